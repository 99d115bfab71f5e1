//! XEP-0198: stream management between servers, both roles; without resumption.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use vestibule::xmpp::stanza::{Kind, MessageType};
use vestibule::xmpp::stream::{
    Closed, Dialback, Event, Input, Sasl, Start, StreamRefusal, StreamSettings, Tls,
};
use vestibule::xmpp::stream::{Initiating, Receiving};
use vestibule::xmpp::{Jid, Stanza};

use super::streams::{
    ANSWER, Answers, End, HEADER, MESSAGE, SHOWN, auth, converse, initiating, receiving, settings,
};

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";
const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";
const FEATURES: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
const MANAGED: &str = "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

const fn external() -> StreamSettings {
    settings(Tls::Required, Sasl::Required, Dialback::Off)
}

fn stanza() -> Stanza {
    Stanza::new(
        Kind::Message(MessageType::Chat),
        Jid::parse("a@there.example").unwrap(),
        Jid::parse("b@here.example").unwrap(),
    )
}

/// A peer of ours whose stream is proven by certificate.
fn accepted() -> End<Receiving> {
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
    here.feed(HEADER).feed(&auth("="));
    assert!(!here.said().contains("urn:xmpp:sm:3"), "offered to a stranger");
    here.feed(HEADER);
    assert!(here.said().contains("<sm xmlns='urn:xmpp:sm:3'"));
    here
}

/// A stream of ours to a peer that offers stream management, up to our request for it.
fn opened() -> End<Initiating> {
    let mut there = initiating(Start::Tls(SHOWN), external(), Answers::serving(external()));
    there.feed(ANSWER).feed(FEATURES).feed(SUCCESS).feed(ANSWER);
    there.said();
    there.feed(MANAGED);
    assert_eq!(there.said(), ENABLE);
    assert!(!there.is_authenticated(), "nothing is sent before the answer");
    there
}

fn managed() -> End<Initiating> {
    let mut there = opened();
    there.feed("<enabled xmlns='urn:xmpp:sm:3'/>");
    assert!(there.is_authenticated() && there.machine.is_acknowledged());
    there
}

fn acknowledged(end: &End<Initiating>) -> Vec<u32> {
    let counts = end.events.iter().filter_map(|event| match event {
        Event::Acknowledged(count) => Some(*count),
        Event::Authenticated { .. }
        | Event::Stanza(_)
        | Event::Answer(_)
        | Event::Unanswered
        | Event::Verified(_)
        | Event::PairRefused { .. }
        | Event::Ending
        | Event::Refused(_)
        | Event::Closed(_) => None,
    });
    counts.collect()
}

fn answer(handled: u32) -> String {
    format!("<a xmlns='urn:xmpp:sm:3' h='{handled}'/>")
}

#[test]
fn section_3_it_is_enabled_after_the_proof_and_both_ends_count_alike_however_the_stream_is_cut() {
    for portion in [1, 7, usize::MAX] {
        let mut there = initiating(Start::Plain, external(), Answers::serving(external()));
        let mut here = receiving(Start::Plain, Answers::serving(external()));
        converse(&mut there, &mut here, portion);
        assert!(there.machine.is_acknowledged(), "{}", there.sent);
        for _ in 0..5 {
            there.input(Input::Send(&stanza())).unwrap();
        }
        converse(&mut there, &mut here, portion);
        assert_eq!(here.stanzas(), 5);
        assert_eq!(acknowledged(&there).iter().sum::<u32>(), 5, "{}", here.sent);
    }
}

#[test]
fn section_4_a_request_is_answered_once_what_stood_before_it_is_settled_and_never_with_more() {
    let mut here = accepted();
    here.machine = here.machine.settle_later();
    // What came before it was on does not count, but is settled like the rest.
    here.feed(MESSAGE).feed(ENABLE);
    assert_eq!(here.said(), "<enabled xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(here.machine.owes(), None);
    here.feed(MESSAGE).feed(REQUEST).feed(MESSAGE).feed(REQUEST);
    assert_eq!((here.said().as_str(), here.machine.owes()), ("", Some(2)));
    here.input(Input::Settled(1)).unwrap();
    assert_eq!(here.said(), "");
    here.input(Input::Settled(2)).unwrap();
    assert_eq!((here.said(), here.machine.owes()), (answer(1), Some(3)));
    here.feed(MESSAGE);
    here.input(Input::Settled(9)).unwrap();
    assert_eq!(here.said(), answer(3), "no more than there were");
    here.feed(REQUEST);
    assert_eq!(here.said(), answer(3));

    // A peer that asks and asks gets its answers, with what is settled.
    let mut here = accepted();
    here.machine = here.machine.settle_later();
    here.feed(ENABLE).feed(MESSAGE);
    for _ in 0..65 {
        here.feed(REQUEST);
    }
    assert!(here.said().ends_with(&answer(0)));
    // Whoever ends in good order has taken what it has taken.
    here.input(Input::Close(None)).unwrap();
    assert_eq!(here.said(), format!("{}</stream:stream>", answer(1)));

    // What its end has overtaken is owed to nobody.
    let mut here = accepted();
    here.machine = here.machine.settle_later();
    here.feed(ENABLE).feed(MESSAGE).feed(REQUEST);
    assert_eq!(here.machine.owes(), Some(1));
    here.feed("</stream:stream>");
    assert_eq!(here.machine.owes(), None);
}

#[test]
fn section_3_a_peer_that_refuses_it_gets_its_stanzas_without() {
    let mut there = opened();
    there.feed("<failed xmlns='urn:xmpp:sm:3'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>");
    assert!(there.is_authenticated() && !there.machine.is_acknowledged());
    there.input(Input::Send(&stanza())).unwrap();
    assert!(!there.said().contains("<r "));
}

#[test]
fn section_3_it_is_enabled_once_and_for_nobody_unknown() {
    let mut here = accepted();
    here.feed(ENABLE);
    assert_eq!(here.said(), "<enabled xmlns='urn:xmpp:sm:3'/>");
    here.feed(ENABLE);
    assert!(here.said().contains("<unexpected-request"));
    here.feed("<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>");
    assert!(here.said().contains("<item-not-found"), "nothing is resumed");
    assert_eq!(here.refusal(), None);
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
    here.feed(HEADER).feed(ENABLE);
    assert!(here.refusal().is_some() && !here.sent.contains("<enabled"));
}

#[test]
fn section_4_a_request_is_answered_with_what_was_taken_since_it_was_enabled() {
    let mut here = accepted();
    here.feed(MESSAGE).feed(ENABLE);
    here.said();
    here.feed(REQUEST);
    assert_eq!(here.said(), answer(0), "what came before does not count");
    here.feed(MESSAGE).feed(MESSAGE).feed(REQUEST);
    assert_eq!(here.said(), answer(2));
    here.feed(MESSAGE).feed("</stream:stream>");
    assert!(here.said().starts_with(&answer(3)), "the last word, unasked");
}

#[test]
fn section_4_an_acknowledgement_is_asked_for_while_something_has_none() {
    let mut there = managed();
    there.said();
    there.input(Input::Send(&stanza())).unwrap();
    assert!(there.said().ends_with(REQUEST));
    there.input(Input::Send(&stanza())).unwrap();
    assert!(!there.said().contains(REQUEST));
    there.feed(&answer(1));
    assert_eq!(there.said(), REQUEST, "for the second");
    there.feed(&answer(2));
    assert_eq!(there.said(), "");
    assert_eq!(acknowledged(&there), [1, 1]);
}

#[test]
fn section_4_a_count_that_cannot_be_ends_the_stream() {
    for wrong in ["h='2'", "h='-1'", "h=''", "", "h='4294967296'"] {
        let mut there = managed();
        there.input(Input::Send(&stanza())).unwrap();
        there.feed(&format!("<a xmlns='urn:xmpp:sm:3' {wrong}/>"));
        assert_eq!(there.refusal(), Some(StreamRefusal::AcknowledgedWrong), "{wrong}");
        assert!(acknowledged(&there).is_empty());
    }
}

#[test]
fn section_4_a_peer_that_acknowledges_nothing_is_taken_for_dead() {
    let mut there = managed();
    there.input(Input::Send(&stanza())).unwrap();
    assert_eq!(there.wait(), Duration::from_secs(60));
    assert_eq!(there.refusal(), Some(StreamRefusal::Unacknowledged));
    assert_eq!(there.stream_error(), Some("connection-timeout"));
}

#[test]
fn section_4_silence_is_broken_by_a_question_that_must_be_answered() {
    let mut there = managed();
    there.said();
    assert_eq!(there.wait(), Duration::from_secs(300));
    assert_eq!(there.said(), REQUEST);
    there.feed(&answer(0));
    there.wait();
    assert_eq!(there.refusal(), None);
    let mut there = managed();
    there.wait();
    there.wait();
    assert_eq!(there.refusal(), Some(StreamRefusal::Unacknowledged));
}

#[test]
fn section_4_what_the_peer_took_before_our_close_is_acknowledged_after_it() {
    let mut there = managed();
    there.input(Input::Send(&stanza())).unwrap();
    there.input(Input::Close(None)).unwrap();
    there.feed(&answer(1)).feed("</stream:stream>");
    assert_eq!(acknowledged(&there), [1]);
    assert_eq!(there.events.last(), Some(&Event::Closed(Closed::ByUs)));
}
