//! Session timers of two ends, by a script of who refreshes, what the answer is and how much time goes by: both know of
//! the same interval, one of them refreshes, and nobody keeps a session for longer than it was agreed on.

use std::time::{Duration, Instant};

use vestibule::choices::Choices;
use vestibule::sip::session_timer::{Failed, Party, SessionTimer, SessionTimerOutput};
use vestibule::sip::{CallId, Mandatory, Method, NameAddr, Request, StatusCode, Uri, Via};

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut now = Instant::now();
    let mut ends = [timer(&mut choices), timer(&mut choices)];
    let mut is_over = [false; 2];
    let mut sequence = 0;
    while !choices.is_done() && is_over == [false; 2] {
        match choices.next() % 8 {
            0..=3 => {
                sequence += 1;
                refresh(now, &mut ends, &mut choices, sequence);
            }
            4 => {
                // Nobody answers, or not well.
                let end = usize::from(choices.next() % 2);
                let code = choices.pick(&[None, Some(408), Some(481), Some(500), Some(491)]);
                let request = request(1);
                let response = code.map(|code| request.response(StatusCode::new(code).expect("a status"), "", None));
                let failed = ends[end].refused(now, response.as_ref());
                assert_eq!(failed == Failed::Over, matches!(code, None | Some(408 | 481)));
                is_over[end] |= failed == Failed::Over;
            }
            5 => now += Duration::from_secs(u64::from(choices.next())),
            _ => {
                let Some(at) = ends.iter().filter_map(SessionTimer::timeout).min() else {
                    continue;
                };
                now = now.max(at);
            }
        }
        for (end, is_over) in ends.iter_mut().zip(&mut is_over) {
            let running = end.running();
            end.handle(now);
            while let Some(output) = end.poll() {
                match output {
                    SessionTimerOutput::Refresh => assert_eq!(running.map(|(party, _)| party), Some(Party::Us)),
                    SessionTimerOutput::Expired => {
                        assert!(!*is_over, "it expires twice");
                        *is_over = true;
                    }
                }
            }
            assert_eq!(end.running().is_some(), end.timeout().is_some(), "a session without an end");
            if let (Some((_, interval)), Some(at)) = (end.running(), end.timeout()) {
                assert!(interval >= Duration::from_secs(90));
                assert!(at > now && at <= now + interval);
            }
        }
    }
}

/// One end asks, the other answers: at most twice it wants a longer interval.
fn refresh(now: Instant, ends: &mut [SessionTimer; 2], choices: &mut Choices<'_>, sequence: u32) {
    let [one, two] = ends;
    let (asker, answerer) = if choices.seldom(2) { (two, one) } else { (one, two) };
    let mut tries = 0;
    loop {
        let mut request = request(sequence);
        asker.ask(&mut request).expect("numbers");
        match choices.next() % 16 {
            // A hop on the way asks for less, or knows nothing of timers.
            0 => request.headers_mut().remove("Supported"),
            1 => request.headers_mut().remove("Session-Expires"),
            _ => {}
        }
        let Err(small) = answerer.check(&request) else {
            let mut response = request.response(StatusCode::OK, "", None);
            answerer.answer(now, &request, &mut response).expect("numbers");
            asker.accepted(now, &response);
            break;
        };
        tries += 1;
        assert!(tries <= 2, "it is never long enough");
        let refused = small.response(&request, "b1");
        assert_eq!(asker.refused(now, Some(&refused)), Failed::Again);
    }
    match (asker.running(), answerer.running()) {
        (Some((asking, interval)), Some((answering, same))) => {
            assert_eq!(interval, same);
            assert_ne!(asking, answering, "both refresh, or nobody does");
        }
        (None, None) => {}
        (asking, answering) => panic!("{asking:?} here, {answering:?} there"),
    }
}

fn timer(choices: &mut Choices<'_>) -> SessionTimer {
    let seconds = [90, 1_800, 600, 0, 90_000];
    let interval = Duration::from_secs(choices.pick(&seconds));
    SessionTimer::new(interval, Duration::from_secs(choices.pick(&seconds[..4])))
}

fn request(sequence: u32) -> Request {
    let address = |text| NameAddr::parse(text).expect("an address");
    let mandatory = Mandatory {
        via: Via::parse("SIP/2.0/TLS edge.example;branch=z9hG4bK1").expect("a Via"),
        from: address("<sip:ann@a.example>;tag=a1"),
        to: address("<sip:bob@b.example>;tag=b1"),
        call_id: CallId::parse("c1").expect("a Call-ID"),
        sequence,
    };
    Request::new(Method::Update, Uri::parse("sip:bob@b.example").expect("a URI"), mandatory)
}
