//! RFC 6120 §4.8.3 and §4.7.4, XEP-0114: whatever a stanza carries comes out as it went in, from whichever kind of stream
//! to whichever other; what cannot is refused, and never changed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests, and what only tests use"
)]

use proptest::collection::vec;
use proptest::prelude::*;

use vestibule::limits::Limits;
use vestibule::xml::{Element, Node, write};
use vestibule::xmpp::stream::{Dialback, Event, Input, Sasl, Start, StreamSettings, Tls};
use vestibule::xmpp::{Component, ComponentSecret, Stanza};

use super::streams::{Answers, End, converse, domain, initiating, receiving, settings, start};
use super::xml_samples::any_tree;

const SERVER: &str = "jabber:server";
const COMPONENT: &str = "jabber:component:accept";

/// Prefixes that the peer's header declares, for it to use further down.
const DECLARED: [(&str, &str); 4] = [
    ("stream", "http://etherx.jabber.org/streams"),
    ("db", "jabber:server:dialback"),
    ("p", "urn:a"),
    ("ns1", "urn:b"),
];

const TERMS: StreamSettings = settings(Tls::Off, Sasl::Off, Dialback::On);

/// A stanza as it stands on a stream of that content namespace, with any children and attributes of its own.
fn any_stanza(content: &'static str) -> impl Strategy<Value = Element> {
    let attributes = vec(
        (
            prop::sample::select(vec!["urn:a", "urn:c"]),
            "[a-z]{1,3}",
            any::<String>(),
        ),
        0..3,
    );
    let body = proptest::option::of(any::<String>());
    let kind = prop::sample::select(vec![
        ("message", "chat"),
        ("presence", "unavailable"),
        ("iq", "set"),
    ]);
    let language = proptest::option::of(prop::sample::select(vec!["de", "cs", ""]));
    (kind, attributes, body, vec(any_tree(), 0..4), language).prop_map(
        move |((name, kind), attributes, body, children, language)| {
            let mut stanza = Element::new(name, content)
                .with_attribute("from", "a@there.example/x")
                .with_attribute("to", "b@here.example")
                .with_attribute("id", "1")
                .with_attribute("type", kind);
            for (ns, name, value) in attributes {
                stanza.set_attribute_ns(ns, &name, value);
            }
            if let Some(language) = language {
                stanza.set_attribute("xml:lang", language);
            }
            if let Some(body) = body {
                stanza.push(Element::new("body", content).with_text(&body));
            }
            children.into_iter().fold(stanza, Element::with_child)
        },
    )
}

fn text(element: &Element, content: &str) -> String {
    let mut out = Vec::new();
    write::element(element, content, &DECLARED, &mut out);
    String::from_utf8(out).unwrap()
}

fn header(content: &str, attributes: &[(&str, &str)]) -> String {
    let mut out = Vec::new();
    write::open_stream(content, &DECLARED, attributes, &mut out);
    String::from_utf8(out).unwrap()
}

/// What a stream makes of an element: the stanza, or nothing where its sender was told that it will not do.
fn outcome(events: &[Event]) -> Option<Stanza> {
    match events.last() {
        Some(Event::Stanza(stanza)) => Some(stanza.clone()),
        Some(Event::Answer(told)) => {
            assert_eq!(told.error().unwrap().condition().as_str(), "bad-request");
            None
        }
        other => panic!("{other:?}"),
    }
}

/// Takes in an element from the stream of another server.
fn from_server(element: &Element, language: Option<&str>) -> Option<Stanza> {
    let mut here = receiving(Start::Plain, Answers::serving(TERMS));
    let mut attributes = vec![
        ("from", "there.example"),
        ("to", "here.example"),
        ("version", "1.0"),
    ];
    attributes.extend(language.map(|language| ("xml:lang", language)));
    here.feed(&header(SERVER, &attributes))
        .feed("<db:result from='there.example' to='here.example'>k</db:result>")
        .feed(&text(element, SERVER));
    outcome(&here.events)
}

fn component(language: Option<&str>) -> End<Component> {
    let now = start();
    let secret = ComponentSecret::new("secret");
    let machine = Component::new(now, domain("here.example"), secret, &Limits::default());
    let mut component = End::new(machine, now, Answers::serving(TERMS));
    let mut attributes = vec![("from", "here.example"), ("id", "1")];
    attributes.extend(language.map(|language| ("xml:lang", language)));
    component
        .feed(&header(COMPONENT, &attributes))
        .feed("<handshake/>");
    component.said();
    component
}

/// Takes in an element from a node whose component we are.
fn from_node(element: &Element, language: Option<&str>) -> Option<Stanza> {
    let mut component = component(language);
    component.feed(&text(element, COMPONENT));
    outcome(&component.events)
}

/// Sends a stanza on a stream of ours to a server, and gives what that server reads.
fn to_server(stanza: &Stanza) -> Element {
    let mut there = initiating(Start::Plain, TERMS, Answers::serving(TERMS));
    let mut here = receiving(Start::Plain, Answers::serving(TERMS));
    converse(&mut there, &mut here, usize::MAX);
    there.input(Input::Send(stanza)).unwrap();
    converse(&mut there, &mut here, usize::MAX);
    match here.events.last() {
        Some(Event::Stanza(read)) => read.element().clone(),
        other => panic!("{other:?}"),
    }
}

/// Sends a stanza to a node whose component we are, and gives what the node reads.
fn to_node(stanza: &Stanza) -> Element {
    let mut ours = component(None);
    ours.input(Input::Send(stanza)).unwrap();
    let written = ours.said();
    let mut reader = vestibule::xml::StreamReader::new(&vestibule::limits::XmlLimits::default());
    reader.push(header_of(&ours).as_bytes());
    reader.push(written.as_bytes());
    loop {
        match reader.next().unwrap() {
            Some(vestibule::xml::StreamItem::Element(element)) if element.name() != "handshake" => {
                return element;
            }
            Some(_) => {}
            None => panic!("{written}"),
        }
    }
}

/// The opening tag that our side of a stream sent.
fn header_of(end: &End<Component>) -> String {
    let (header, _) = end.sent.split_once("<handshake").unwrap();
    header.to_owned()
}

/// The same stanza on another kind of stream: its own elements are in the other content namespace, what it carries is not
/// touched.
fn on(content: &str, element: &Element) -> Element {
    let mut other = Element::new(element.name(), content);
    for attribute in element.attributes() {
        other.set_attribute_ns(attribute.ns(), attribute.name(), attribute.value());
    }
    for node in element.nodes() {
        match node {
            Node::Element(child) if child.ns() == element.ns() => other.push(on(content, child)),
            Node::Element(child) => other.push(child.clone()),
            Node::Text(text) => other.push_text(text),
        }
    }
    other
}

fn spoken(mut element: Element, language: Option<&str>) -> Element {
    if let (None, Some(language)) = (element.attribute("xml:lang"), language) {
        element.set_attribute("xml:lang", language);
    }
    element
}

/// Whether something of another content namespace stands where a stanza's own elements stand.
fn is_stray(element: &Element) -> bool {
    element.children().any(|child| {
        if child.ns() == element.ns() {
            is_stray(child)
        } else {
            [SERVER, COMPONENT].contains(&child.ns())
        }
    })
}

fn language() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(prop::sample::select(vec!["fr", "en"]))
}

proptest! {
    #[test]
    fn section_4_8_3_everything_survives_from_server_to_server(
        element in any_stanza(SERVER),
        language in language(),
    ) {
        let read = from_server(&element, language);
        prop_assert_eq!(read.is_none(), is_stray(&element));
        if let Some(stanza) = read {
            let wanted = spoken(element, language);
            prop_assert_eq!(to_server(&stanza), wanted);
        }
    }

    #[test]
    fn section_4_8_3_everything_survives_from_server_to_node(
        element in any_stanza(SERVER),
        language in language(),
    ) {
        let read = from_server(&element, language);
        prop_assert_eq!(read.is_none(), is_stray(&element));
        if let Some(stanza) = read {
            prop_assert_eq!(to_node(&stanza), on(COMPONENT, &spoken(element, language)));
        }
    }

    #[test]
    fn section_4_8_3_everything_survives_from_node_to_server(
        element in any_stanza(COMPONENT),
        language in language(),
    ) {
        let read = from_node(&element, language);
        prop_assert_eq!(read.is_none(), is_stray(&element));
        if let Some(stanza) = read {
            prop_assert_eq!(to_server(&stanza), on(SERVER, &spoken(element, language)));
        }
    }
}

#[test]
fn section_4_7_4_the_language_of_the_stream_goes_with_the_stanza_to_another_stream() {
    let message = |language: Option<&str>| {
        let body = Element::new("body", SERVER).with_text("ahoj");
        let message = Element::new("message", SERVER)
            .with_attribute("from", "a@there.example")
            .with_attribute("to", "b@here.example")
            .with_child(body);
        spoken(message, language)
    };
    for (stream, stanza, wanted) in [
        (Some("cs"), None, Some("cs")),
        (Some("cs"), Some("de"), Some("de")),
        (Some("cs"), Some(""), Some("")),
        (None, Some("de"), Some("de")),
        (None, None, None),
    ] {
        let read = from_server(&message(stanza), stream).unwrap();
        assert_eq!(
            to_server(&read).attribute("xml:lang"),
            wanted,
            "{stream:?} {stanza:?}"
        );
        assert_eq!(
            to_node(&read).attribute("xml:lang"),
            wanted,
            "{stream:?} {stanza:?}"
        );
        let read = from_node(&on(COMPONENT, &message(stanza)), stream).unwrap();
        assert_eq!(
            to_server(&read).attribute("xml:lang"),
            wanted,
            "{stream:?} {stanza:?}"
        );
    }
}

#[test]
fn section_4_8_3_nothing_becomes_a_part_of_a_stanza_on_the_next_stream_that_was_none() {
    let carried = |content: &str, within: &str| {
        format!(
            "<message xmlns='{content}' from='a@there.example' to='b@here.example'><body>seen</body>{within}</message>"
        )
    };
    let read = |text: &str| {
        vestibule::xml::document(text.as_bytes(), &vestibule::limits::XmlLimits::default()).unwrap()
    };
    for within in [
        "<body xmlns='jabber:component:accept'>unseen</body>",
        "<error xmlns='jabber:component:accept'/>",
        "<thread>t<body xmlns='jabber:component:accept'>unseen</body></thread>",
    ] {
        assert_eq!(
            from_server(&read(&carried(SERVER, within)), None),
            None,
            "{within}"
        );
        let turned = within.replace(COMPONENT, SERVER);
        assert_eq!(
            from_node(&read(&carried(COMPONENT, &turned)), None),
            None,
            "{turned}"
        );
    }
    // What carries another stanza is no part of this one.
    for (content, other) in [
        (SERVER, COMPONENT),
        (SERVER, "jabber:client"),
        (COMPONENT, SERVER),
    ] {
        let within = format!(
            "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='{other}'><body>quoted</body></message></forwarded>"
        );
        let element = read(&carried(content, &within));
        let stanza = if content == SERVER {
            from_server(&element, None)
        } else {
            from_node(&element, None)
        };
        assert_eq!(to_server(&stanza.clone().unwrap()), on(SERVER, &element));
        assert_eq!(to_node(&stanza.unwrap()), on(COMPONENT, &element));
    }
}
