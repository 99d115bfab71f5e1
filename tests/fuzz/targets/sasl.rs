//! SASL payloads: a peer whose certificate proves `one.example` may act as that, however it writes it, and as nobody
//! else; after three failures the stream is closed.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vestibule::choices::Choices;
use vestibule::domain::Domain;
use vestibule::limits::Limits;
use vestibule::streams::{Machine, Witness};
use vestibule::xml::Element;
use vestibule::xml::write;
use vestibule::xmpp::stream::{
    CertificateAnswer, Event, HostAnswer, Input, PeerCertificate, Question, Receiving, Start, StreamSettings, TlsFacts,
    Verdict,
};
use vestibule::xmpp::{DialbackSecret, ns};

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let now = Instant::now();
    let facts = TlsFacts {
        certificate: PeerCertificate::Shown,
    };
    let machine = Receiving::new(
        now,
        Start::Tls(facts),
        [1, 2, 3],
        DialbackSecret::new(b"s"),
        &Limits::default(),
    );
    let mut witness = Witness::new(Machine::Receiving(Box::new(machine)), now, true);
    witness.feed(HEADER.as_bytes());
    answer(&mut witness);
    let mut failures = 0;
    let mut fed = 0;
    while !choices.is_done() && failures < 3 && fed < 8_192 {
        let text = match choices.next() % 3 {
            0 => choices.text(),
            1 => STANDARD.encode(choices.octets()),
            _ => STANDARD.encode(choices.pick(&["one.example", "ONE.example", "two.example", "u@one.example", ""])),
        };
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        let text = text.replace(['\u{fffe}', '\u{ffff}'], "");
        let auth = Element::new("auth", ns::SASL)
            .with_attribute("mechanism", "EXTERNAL")
            .with_text(&text);
        let mut octets = Vec::new();
        write::element(&auth, ns::SERVER, &[], &mut octets);
        fed += octets.len();
        if fed >= 8_192 {
            break;
        }
        witness.feed(&octets);
        let Some(said) = witness.written.last() else {
            panic!("nothing is said to {text:?}");
        };
        let claimed = STANDARD
            .decode(&text)
            .ok()
            .and_then(|octets| Domain::parse(std::str::from_utf8(&octets).ok()?).ok());
        let is_own = text == "=" || (!text.is_empty() && claimed == Domain::parse("one.example").ok());
        match said.name() {
            "success" => {
                assert!(is_own, "{text:?} acts as one.example");
                witness.feed(HEADER.as_bytes());
                answer(&mut witness);
                let is_proven = witness
                    .events
                    .iter()
                    .any(|event| matches!(event, Event::Authenticated { .. }));
                assert!(is_proven);
                break;
            }
            "challenge" => assert_eq!(text, ""),
            // After the third failure the stream error follows.
            "failure" | "error" => {
                assert!(!is_own, "{text:?} may not act as one.example");
                failures += 1;
                assert_eq!(witness.closed, failures == 3);
            }
            other => panic!("{other} to {text:?}"),
        }
    }
    witness.end();
}

fn answer(witness: &mut Witness) {
    while let Some(question) = witness.questions.pop() {
        let verdict = match question {
            Question::Host { from, to } => Verdict::Host {
                from,
                to,
                answer: HostAnswer::Served(StreamSettings::default()),
            },
            Question::Certificate { claimed } => {
                witness.certified.push(claimed.clone());
                Verdict::Certificate {
                    claimed,
                    answer: CertificateAnswer::Proven,
                }
            }
            Question::Dialback { .. } => panic!("nobody dials back"),
        };
        witness.tell(Input::Verdict(verdict)).expect("it was asked");
    }
}

const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                      from='one.example' to='two.example' version='1.0'>";
