//! XEP-0478: stream limits, advertised and obeyed.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use vestibule::limits::Limits;
use vestibule::xml::Element;
use vestibule::xmpp::stanza::{Kind, MessageType};
use vestibule::xmpp::stream::{Dialback, DialbackAnswer, Initiating, Input, Misuse, Sasl, Start, Tls};
use vestibule::xmpp::{Jid, Stanza, ns};

use super::streams::{ANSWER, Answers, End, HEADER, initiating, receiving, settings};

/// A stream of ours to a peer that says what it takes.
fn told(limits: &str) -> End<Initiating> {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut there = initiating(Start::Plain, terms, Answers::serving(terms));
    there.feed(ANSWER).feed(&format!(
        "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/>\
         <limits xmlns='urn:xmpp:stream-limits:0'>{limits}</limits></stream:features>"
    ));
    there.feed("<db:result from='here.example' to='there.example' type='valid'/>");
    assert!(there.is_authenticated());
    there.said();
    there
}

fn stanza(text: usize) -> Stanza {
    let body = Element::new("body", ns::STANZA).with_text(&"x".repeat(text));
    let stanza = Stanza::new(
        Kind::Message(MessageType::Chat),
        Jid::parse("a@there.example").unwrap(),
        Jid::parse("b@here.example").unwrap(),
    );
    stanza.with_child(body)
}

#[test]
fn section_3_1_our_limits_are_advertised() {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut answers = Answers::serving(terms);
    answers.dialback = Some(DialbackAnswer::Valid);
    let mut here = receiving(Start::Plain, answers);
    here.feed(HEADER);
    let limits = Limits::default();
    let said = format!(
        "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{}</max-bytes><idle-seconds>{}</idle-seconds></limits>",
        limits.xml.element_bytes,
        limits.xmpp.idle.as_secs()
    );
    assert!(here.sent.contains(&said), "{}", here.sent);
}

#[test]
fn section_4_a_stanza_that_is_larger_than_the_peer_takes_is_not_sent() {
    let mut there = told("<max-bytes>10000</max-bytes>");
    assert_eq!(there.input(Input::Send(&stanza(10_000))), Err(Misuse::TooLarge));
    assert_eq!(there.said(), "", "not an octet of it");
    let frame = {
        there.input(Input::Send(&stanza(1))).unwrap();
        there.said().len() - 1
    };
    assert_eq!(there.input(Input::Send(&stanza(10_000 - frame))), Ok(()));
    assert_eq!(there.said().len(), 10_000);
    assert_eq!(
        there.input(Input::Send(&stanza(10_001 - frame))),
        Err(Misuse::TooLarge)
    );
}

#[test]
fn section_3_1_a_peer_that_gives_up_early_hears_of_us_before() {
    for (idle, keepalive) in [
        ("60", 30),
        ("100000", 300),
        ("1", 5),
        ("0", 5),
        ("x", 300),
        ("-1", 300),
    ] {
        let mut there = told(&format!("<idle-seconds>{idle}</idle-seconds>"));
        assert_eq!(there.wait(), Duration::from_secs(keepalive), "{idle}");
        assert_eq!(there.said(), " ");
    }
}
