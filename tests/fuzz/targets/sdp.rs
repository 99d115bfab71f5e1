//! A session description: what is written of it reads as the same session, shows no address, and stays as it is when it
//! is hidden once more.

use vestibule::sip::sdp::{Media, Sdp};

pub fn run(data: &[u8]) {
    let Ok(sdp) = Sdp::parse(data) else {
        return;
    };
    let hidden = sdp.hidden(OURS);
    let again = Sdp::parse(hidden.as_bytes()).unwrap_or_else(|error| panic!("{error}: {hidden:?}"));
    let media = |sdp: &Sdp<'_>| {
        let words = |Media { kind, port, protocol }: Media<'_>| format!("{kind} {port} {protocol}");
        sdp.media().map(words).collect::<Vec<_>>()
    };
    assert_eq!(media(&again), media(&sdp));
    assert_eq!(again.is_of_messages(), sdp.is_of_messages());
    assert_eq!(again.hidden(OURS), hidden);
    assert!(hidden.len() <= data.len().saturating_mul(8), "{} of {}", hidden.len(), data.len());
    if sdp.is_of_messages() {
        shows_nothing(&hidden);
    }
}

/// What a session of messages says is made of words and numbers, where there is no place for an address. Only a media
/// type could be called like one.
fn shows_nothing(hidden: &str) {
    for line in hidden.lines().filter(|line| !line.to_ascii_lowercase().starts_with("a=accept-")) {
        let line = line.replace(OURS, "");
        for inside in INSIDE {
            assert!(!line.to_ascii_lowercase().contains(inside), "{inside} in {line:?}");
        }
    }
}

const OURS: &str = "edge.example";

/// As they stand in the dictionary and the seeds.
const INSIDE: [&str; 2] = ["10.77.66.55", "imp1.corp"];
