//! XEP-0114: the component's side.

#![allow(clippy::unwrap_used, reason = "tests, and what only tests use")]

use vestibule::limits::Limits;
use vestibule::xmpp::stanza::{Kind, MessageType};
use vestibule::xmpp::stream::{Closed, Dialback, Event, Input, Method, Misuse, Sasl, StreamRefusal, Tls};
use vestibule::xmpp::{Component, ComponentSecret, Jid, Stanza};

use super::streams::{Answers, End, domain, settings, start};

const ANSWER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
    xmlns:stream='http://etherx.jabber.org/streams' from='plays.shakespeare.lit' id='3BF96D32'>";

fn component() -> End<Component> {
    let now = start();
    let machine = Component::new(
        now,
        domain("plays.shakespeare.lit"),
        ComponentSecret::new("secret"),
        &Limits::default(),
    );
    End::new(
        machine,
        now,
        Answers::serving(settings(Tls::Off, Sasl::Off, Dialback::Off)),
    )
}

#[test]
fn section_3_the_header_names_the_component_and_the_handshake_proves_it() {
    let mut component = component();
    let header = component.said();
    assert!(
        header.contains("xmlns='jabber:component:accept'") && header.contains("to='plays.shakespeare.lit'")
    );
    assert_eq!(
        header.matches("version=").count(),
        1,
        "no version but that of XML: {header}"
    );
    component.feed(ANSWER);
    // printf 3BF96D32secret | sha1sum
    assert_eq!(
        component.said(),
        "<handshake>b09ea9b3b7f586be8a08d0a3dd7466f110aeb136</handshake>"
    );
    component.feed("<handshake/>");
    let plays = domain("plays.shakespeare.lit");
    let authenticated = Event::Authenticated {
        local: plays.clone(),
        remote: plays,
        method: Method::Handshake,
    };
    assert_eq!(component.events, [authenticated]);
}

#[test]
fn section_3_nothing_follows_our_closing_tag_whatever_the_node_still_says() {
    let mut component = component();
    component.said();
    component.input(Input::Close(None)).unwrap();
    assert_eq!(component.said(), "</stream:stream>");
    component.feed(ANSWER).feed("<handshake/>");
    assert_eq!(component.said(), "");
    component.feed("</stream:stream>");
    assert_eq!(component.events, [Event::Ending, Event::Closed(Closed::ByUs)]);
}

#[test]
fn section_3_stanzas_cross_in_the_component_namespace() {
    let mut component = component();
    let (from, to) = ("a@plays.shakespeare.lit", "b@here.example");
    let stanza = Stanza::new(
        Kind::Message(MessageType::Chat),
        Jid::parse(from).unwrap(),
        Jid::parse(to).unwrap(),
    );
    assert_eq!(
        component.input(Input::Send(&stanza)),
        Err(Misuse::NotAuthenticated)
    );
    component.feed(ANSWER).feed("<handshake/>").said();
    component.input(Input::Send(&stanza)).unwrap();
    let written = component.said();
    assert!(
        written.starts_with("<message ") && !written.contains("xmlns"),
        "{written}"
    );
    component.feed(&format!(
        "<message from='{to}' to='{from}' type='chat'><body>hi</body></message>"
    ));
    let Some(Event::Stanza(received)) = component.events.last() else {
        panic!("no stanza: {:?}", component.events);
    };
    assert_eq!(received.child_text("body").as_deref(), Some("hi"));
    component.feed("<message from='b@here.example'/>");
    assert_eq!(component.stream_error(), Some("improper-addressing"));
}

#[test]
fn a_node_is_told_of_a_stanza_that_is_too_big_and_the_component_stays() {
    let mut component = component();
    component.feed(ANSWER).feed("<handshake/>").said();
    let big = "x".repeat(300_000);
    component.feed(&format!(
        "<message from='b@here.example' to='a@plays.shakespeare.lit' id='7'><body>{big}</body></message>"
    ));
    let Some(Event::Answer(answer)) = component.events.last() else {
        panic!("no answer: {:?}", component.events);
    };
    assert_eq!(answer.error().unwrap().condition().as_str(), "policy-violation");
    assert_eq!(
        (answer.to().to_string(), answer.id()),
        ("b@here.example".to_owned(), Some("7"))
    );
    component.feed("<message from='b@here.example' to='a@plays.shakespeare.lit'/>");
    assert_eq!(component.stanzas(), 1);
}

#[test]
fn section_3_what_the_node_refuses_is_told_in_words_of_the_configuration() {
    let error = |word: &str| {
        format!("<stream:error><{word} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
    };
    for (before, word, refusal) in [
        (ANSWER, "host-unknown", Some(StreamRefusal::ComponentUnknown)),
        (ANSWER, "conflict", Some(StreamRefusal::ComponentConflict)),
        (ANSWER, "not-authorized", Some(StreamRefusal::ComponentSecret)),
        (ANSWER, "system-shutdown", None),
    ] {
        let mut component = component();
        component.feed(before).feed(&error(word));
        assert_eq!(component.refusal(), refusal, "{word}");
        let is_told = matches!(component.events.last(), Some(Event::Closed(Closed::PeerError(_))));
        assert_eq!(is_told, refusal.is_none(), "{word}");
    }
}

#[test]
fn section_3_a_node_that_is_no_node_is_left() {
    for answer in [
        ANSWER.replace("jabber:component:accept", "jabber:server"),
        ANSWER.replace(" id='3BF96D32'", ""),
    ] {
        let mut component = component();
        component.said();
        component.feed(&answer);
        assert!(component.refusal().is_some() && component.is_closed);
        assert!(!component.sent.contains("handshake"), "the secret is not tried");
    }
    let mut component = component();
    component
        .feed(ANSWER)
        .feed("<message from='b@here.example' to='a@plays.shakespeare.lit'/>");
    assert_eq!(component.stream_error(), Some("unsupported-stanza-type"));
}

/// ejabberd gives each component of a listener with several names what is for any of them.
#[test]
fn section_1_what_is_for_another_component_of_the_node_is_taken_all_the_same() {
    for to in [
        "a@plays.shakespeare.lit",
        "plays.shakespeare.lit/x",
        "a@partner.example",
    ] {
        let mut component = component();
        component.feed(ANSWER).feed("<handshake/>");
        component.feed(&format!("<message from='b@here.example' to='{to}'/>"));
        assert_eq!((component.stanzas(), component.stream_error()), (1, None), "{to}");
    }
}
