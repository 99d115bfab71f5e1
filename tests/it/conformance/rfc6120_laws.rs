//! RFC 6120: what holds of a peer's stream whatever it sends, in whatever order and portions.

#![allow(clippy::unwrap_used, reason = "tests, and what only tests use")]

use proptest::prelude::*;

use vestibule::domain::Domain;
use vestibule::xmpp::error::Condition;
use vestibule::xmpp::stream::{
    CertificateAnswer, ClientCertificate, Dialback, DialbackAnswer, Event, HostAnswer, Receiving, Sasl,
    Start, StreamSettings, Tls,
};

use super::streams::{Answers, End, HEADER, MESSAGE, SHOWN, STARTTLS, auth, receiving};

fn words() -> impl Strategy<Value = String> {
    let words = [
        HEADER.to_owned(),
        HEADER.replace("there", "evil"),
        HEADER.replace(" version='1.0'>", ">"),
        HEADER.replace("jabber:server'", "jabber:client'"),
        STARTTLS.to_owned(),
        auth("="),
        auth(""),
        auth("ZXZpbC5leGFtcGxl"),
        auth("***"),
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(),
        "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(),
        "<db:result from='there.example' to='here.example'>k</db:result>".to_owned(),
        "<db:result from='evil.example' to='here.example'>k</db:result>".to_owned(),
        "<db:result from='there.example' to='here.example' type='valid'/>".to_owned(),
        "<db:verify from='there.example' to='here.example' id='1'>k</db:verify>".to_owned(),
        MESSAGE.to_owned(),
        MESSAGE.replace("there", "evil"),
        MESSAGE.replace("to='b@here.example'", "to='@'"),
        "<presence/>".to_owned(),
        "<stream:error/>".to_owned(),
        "</stream:stream>".to_owned(),
        " ".to_owned(),
        "<!--".to_owned(),
        "<a>".to_owned(),
    ];
    proptest::sample::select(words.to_vec())
}

/// Any words after some of the way of an honest peer, so that every phase is met often.
fn steps() -> impl Strategy<Value = Vec<String>> {
    let honest = [HEADER, STARTTLS, HEADER, &auth("="), HEADER, MESSAGE].map(str::to_owned);
    (0..=honest.len(), proptest::collection::vec(words(), 0..10))
        .prop_map(move |(way, words)| honest.iter().take(way).cloned().chain(words).collect())
}

fn terms() -> impl Strategy<Value = StreamSettings> {
    (
        proptest::sample::select(vec![Tls::Required, Tls::Optional, Tls::Off]),
        proptest::sample::select(vec![Sasl::Required, Sasl::Optional, Sasl::Off]),
        proptest::sample::select(vec![Dialback::On, Dialback::Off]),
        proptest::sample::select(vec![ClientCertificate::Required, ClientCertificate::NotRequired]),
    )
        .prop_map(|(tls, sasl, dialback, certificate)| StreamSettings {
            tls,
            sasl,
            dialback,
            certificate,
        })
}

fn answers() -> impl Strategy<Value = Answers> {
    (
        prop_oneof![
            6 => terms().prop_map(HostAnswer::Served),
            1 => Just(HostAnswer::Unknown),
            1 => Just(HostAnswer::Forbidden)
        ],
        proptest::sample::select(vec![CertificateAnswer::Proven, CertificateAnswer::Unproven]),
        proptest::sample::select(vec![
            None,
            Some(DialbackAnswer::Valid),
            Some(DialbackAnswer::Invalid),
            Some(DialbackAnswer::Failed(Condition::RemoteServerTimeout)),
        ]),
    )
        .prop_map(|(host, certificate, dialback)| Answers {
            host,
            certificate,
            dialback,
        })
}

/// Each step is one moment of the peer's; TLS comes between two of them.
fn run(begin: Start, answers: Answers, steps: &[String], portion: usize) -> End<Receiving> {
    let mut here = receiving(begin, answers);
    for step in steps {
        for piece in step.as_bytes().chunks(portion) {
            here.feed(std::str::from_utf8(piece).unwrap());
        }
        here.tls_if_asked();
    }
    here
}

proptest! {
    #[test]
    fn stanzas_come_only_from_a_pair_that_was_proven_before(
        is_direct in any::<bool>(),
        answers in answers(),
        steps in steps(),
    ) {
        let begin = if is_direct { Start::Tls(SHOWN) } else { Start::Plain };
        let here = run(begin, answers, &steps, usize::MAX);
        let mut proven: Vec<(Domain, Domain)> = Vec::new();
        for event in &here.events {
            match event {
                Event::Authenticated { local, remote, .. } => proven.push((remote.clone(), local.clone())),
                Event::Stanza(stanza) => {
                    let pair = (stanza.from().domain().clone(), stanza.to().domain().clone());
                    prop_assert!(proven.contains(&pair), "{:?}", here.events);
                }
                Event::Answer(answer) => {
                    prop_assert!(proven.iter().any(|(remote, _)| remote == answer.to().domain()));
                }
                Event::Verified(_)
                | Event::Acknowledged(_)
                | Event::Unanswered
                | Event::PairRefused { .. }
                | Event::Ending
                | Event::Refused(_)
                | Event::Closed(_) => {}
            }
        }
        if let HostAnswer::Served(terms) = answers.host {
            let is_clear = !is_direct && !here.sent.contains("<proceed");
            prop_assert!(!(is_clear && terms.tls == Tls::Required && here.is_authenticated()));
            let is_unproven = answers.certificate == CertificateAnswer::Unproven;
            let is_undialled = answers.dialback != Some(DialbackAnswer::Valid) || terms.dialback == Dialback::Off;
            prop_assert!(!(is_unproven && is_undialled && here.is_authenticated()));
        } else {
            prop_assert!(!here.is_authenticated());
        }
    }

    #[test]
    fn portions_change_nothing(
        answers in answers(),
        steps in steps(),
        portion in 1_usize..40,
    ) {
        let whole = run(Start::Plain, answers, &steps, usize::MAX);
        let cut = run(Start::Plain, answers, &steps, portion);
        prop_assert_eq!(whole.sent, cut.sent);
        prop_assert_eq!(whole.events, cut.events);
    }

    #[test]
    fn no_octets_do_harm(octets in proptest::collection::vec(any::<u8>(), 0..200), after_header in any::<bool>()) {
        let mut here = receiving(Start::Plain, Answers::serving(StreamSettings::default()));
        if after_header {
            here.feed(HEADER);
        }
        here.octets(&octets);
        prop_assert!(!here.is_authenticated());
    }
}
