use super::*;
use crate::xmpp::error::ErrorType;
use crate::xmpp::ping;

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn element(name: &str, content: &str, attributes: &[(&str, &str)]) -> Element {
    attributes
        .iter()
        .fold(Element::new(name, content), |element, (name, value)| {
            element.with_attribute(name, *value)
        })
}

fn read(name: &str, attributes: &[(&str, &str)]) -> Result<Stanza, BadStanza> {
    Stanza::from_element(element(name, ns::SERVER, attributes), ns::SERVER)
}

const FROM: (&str, &str) = ("from", "a@one.example/x");
const TO: (&str, &str) = ("to", "B@TWO.example");

#[test]
fn the_type_of_each_kind_is_read() {
    for (name, value, kind) in [
        ("message", None, Kind::Message(MessageType::Normal)),
        ("message", Some("chat"), Kind::Message(MessageType::Chat)),
        ("message", Some("no-such"), Kind::Message(MessageType::Normal)),
        ("presence", None, Kind::Presence(PresenceType::Available)),
        ("presence", Some("probe"), Kind::Presence(PresenceType::Probe)),
        ("iq", Some("get"), Kind::Iq(IqType::Get)),
    ] {
        let mut attributes = vec![FROM, TO, ("id", "1")];
        attributes.extend(value.map(|value| ("type", value)));
        assert_eq!(read(name, &attributes).unwrap().kind(), kind, "{name} {value:?}");
    }
}

#[test]
fn every_kind_writes_the_type_it_reads() {
    use {IqType as I, MessageType as M, PresenceType as P};
    for kind in [
        Kind::Message(M::Normal),
        Kind::Message(M::Chat),
        Kind::Message(M::Groupchat),
        Kind::Message(M::Headline),
        Kind::Message(M::Error),
        Kind::Presence(P::Available),
        Kind::Presence(P::Unavailable),
        Kind::Presence(P::Subscribe),
        Kind::Presence(P::Subscribed),
        Kind::Presence(P::Unsubscribe),
        Kind::Presence(P::Unsubscribed),
        Kind::Presence(P::Probe),
        Kind::Presence(P::Error),
        Kind::Iq(I::Get),
        Kind::Iq(I::Set),
        Kind::Iq(I::Result),
        Kind::Iq(I::Error),
    ] {
        let made = Stanza::new(kind, jid("a@one.example"), jid("two.example")).with_id("1");
        assert_eq!(Stanza::from_element(made.element().clone(), ns::STANZA), Ok(made));
    }
}

#[test]
fn addresses_stand_in_the_element_in_their_enforced_form() {
    let stanza = read("message", &[FROM, TO]).unwrap();
    assert_eq!(stanza.to(), &jid("b@two.example"));
    assert_eq!(stanza.element().attribute("to"), Some("b@two.example"));
}

#[test]
fn the_content_namespace_becomes_the_inner_one_but_not_within_extensions() {
    let body = Element::new("body", ns::COMPONENT).with_text("hi");
    let quoted = Element::new("forwarded", "urn:xmpp:forward:0").with_child(body.clone());
    let outer = element("message", ns::COMPONENT, &[FROM, TO])
        .with_attribute("xml:lang", "cs")
        .with_child(body)
        .with_child(quoted.clone());
    let stanza = Stanza::from_element(outer.clone(), ns::COMPONENT).unwrap();
    assert_eq!(stanza.child_text("body").as_deref(), Some("hi"));
    assert_eq!(stanza.child("forwarded", "urn:xmpp:forward:0"), Some(&quoted));
    assert_eq!(
        rescope(stanza.element(), ns::STANZA, ns::COMPONENT).attribute("xml:lang"),
        Some("cs")
    );
    assert_eq!(
        Stanza::from_element(outer, ns::SERVER),
        Err(BadStanza::NotAStanza)
    );
}

#[test]
fn what_ends_the_stream_says_so() {
    for (name, attributes, condition) in [
        ("message", vec![FROM], StreamCondition::ImproperAddressing),
        ("message", vec![TO], StreamCondition::ImproperAddressing),
        ("message", vec![TO, ("from", "@x")], StreamCondition::InvalidFrom),
        ("auth", vec![FROM, TO], StreamCondition::UnsupportedStanzaType),
    ] {
        let bad = read(name, &attributes).unwrap_err();
        assert_eq!(bad.stream_condition(), Some(condition), "{name} {attributes:?}");
    }
}

#[test]
fn what_only_refuses_the_stanza_is_answered_once() {
    for (name, attributes, condition, sender) in [
        (
            "message",
            vec![FROM, ("to", "a@@b"), ("id", "7")],
            Condition::JidMalformed,
            "edge.example",
        ),
        (
            "iq",
            vec![FROM, TO, ("type", "get")],
            Condition::BadRequest,
            "b@two.example",
        ),
        (
            "iq",
            vec![FROM, TO, ("type", "subscribe"), ("id", "7")],
            Condition::BadRequest,
            "b@two.example",
        ),
        (
            "presence",
            vec![FROM, TO, ("type", "no-such"), ("id", "7")],
            Condition::BadRequest,
            "b@two.example",
        ),
    ] {
        let Err(BadStanza::Refused(refused)) = read(name, &attributes) else {
            panic!("{name} {attributes:?} is not refused");
        };
        let answer = refused.error_reply(&jid("edge.example")).unwrap();
        assert_eq!(answer.error().unwrap().condition(), condition);
        assert_eq!(
            (answer.from(), answer.to()),
            (&jid(sender), &jid("a@one.example/x"))
        );
        let id = attributes.iter().find(|(name, _)| *name == "id");
        // RFC 6120 §8.3.1: that of an iq without id is empty.
        let empty = (name == "iq").then_some("");
        assert_eq!(answer.id(), id.map(|(_, id)| *id).or(empty));
        assert!(answer.kind().is_error());
    }
    let Err(BadStanza::Refused(refused)) = read("message", &[FROM, ("to", "a@@b"), ("type", "error")]) else {
        panic!("not refused");
    };
    assert_eq!(refused.error_reply(&jid("edge.example")), None);
}

#[test]
fn an_answer_or_an_error_that_is_too_big_becomes_an_error_that_says_no_more() {
    for (name, value, condition) in [
        ("iq", "result", Condition::PolicyViolation),
        ("iq", "error", Condition::UndefinedCondition),
        ("message", "error", Condition::UndefinedCondition),
        ("presence", "error", Condition::UndefinedCondition),
    ] {
        let mut start = Element::new(name, ns::SERVER);
        for (name, value) in [FROM, TO, ("id", "7"), ("type", value)] {
            start.set_attribute(name, value);
        }
        let stand_in = Stanza::from_oversized(start, ns::SERVER).unwrap();
        assert_eq!(
            (stand_in.kind().name(), stand_in.kind().is_error()),
            (name, true),
            "{value}"
        );
        assert_eq!(
            (stand_in.from(), stand_in.to(), stand_in.id()),
            (&jid("a@one.example/x"), &jid("b@two.example"), Some("7")),
            "it goes on its way"
        );
        assert_eq!(stand_in.error().unwrap().condition(), condition);
    }
    let mut start = Element::new("message", ns::SERVER);
    for (name, value) in [FROM, TO] {
        start.set_attribute(name, value);
    }
    let Err(BadStanza::Refused(refused)) = Stanza::from_oversized(start, ns::SERVER) else {
        panic!("its sender is told");
    };
    let answer = refused.error_reply(&jid("edge.example")).unwrap();
    assert_eq!(
        (answer.to(), answer.id()),
        (&jid("a@one.example/x"), None),
        "a message needs no id"
    );
}

#[test]
fn an_error_goes_back_with_swapped_addresses_and_the_same_id() {
    let stanza = read("message", &[FROM, TO, ("id", "7"), ("type", "chat")]).unwrap();
    let reply = stanza
        .error_reply(&StanzaError::new(Condition::RemoteServerTimeout).with_text("no answer"))
        .unwrap();
    assert_eq!((reply.from(), reply.to()), (stanza.to(), stanza.from()));
    assert_eq!(
        (reply.id(), reply.kind()),
        (Some("7"), Kind::Message(MessageType::Error))
    );
    let error = reply.error().unwrap();
    assert_eq!(error.condition(), Condition::RemoteServerTimeout);
    assert_eq!(error.error_type(), ErrorType::Wait);
    assert_eq!(error.text(), Some("no answer"));
}

#[test]
fn no_error_answers_an_error_or_a_result() {
    let error = StanzaError::new(Condition::ServiceUnavailable);
    for (name, value) in [
        ("message", "error"),
        ("presence", "error"),
        ("iq", "error"),
        ("iq", "result"),
    ] {
        let stanza = read(name, &[FROM, TO, ("id", "7"), ("type", value)]).unwrap();
        assert_eq!(stanza.error_reply(&error), None, "{name} {value}");
        assert_eq!(stanza.result_reply(None), None, "{name} {value}");
    }
}

#[test]
fn an_error_reads_back_as_it_was_made() {
    for condition in Condition::ALL {
        let error = StanzaError::new(condition)
            .with_type(ErrorType::Continue)
            .with_text("why")
            .with_by(jid("edge.example"))
            .with_application(Element::new("detail", "urn:example"));
        assert_eq!(StanzaError::from_element(&error.to_element()), error);
        assert_eq!(Condition::from_name(condition.as_str()), Some(condition));
    }
    let gone = StanzaError::new(Condition::Gone).with_alternate("xmpp:b@new.example");
    assert_eq!(StanzaError::from_element(&gone.to_element()), gone);
    let unknown = Element::new("error", ns::STANZA).with_child(Element::new("payment", ns::STANZA_ERRORS));
    assert_eq!(
        StanzaError::from_element(&unknown).condition(),
        Condition::UndefinedCondition
    );
}

#[test]
fn a_ping_is_known_and_answered() {
    let ask = ping::request(jid("one.example"), jid("two.example"), "p1");
    let answer = ping::answer(&ask).unwrap();
    assert_eq!(answer.kind(), Kind::Iq(IqType::Result));
    assert_eq!((answer.id(), answer.to()), (Some("p1"), &jid("one.example")));
    assert_eq!(ping::answer(&answer), None);
}

#[test]
fn a_stanza_is_written_to_a_component_as_if_it_had_been_put_into_its_namespace() {
    let declared = [("stream", ns::STREAM)];
    let forwarded = Element::new("message", ns::STANZA).with_child(Element::new("body", ns::STANZA));
    let prefixed = Element::new("x", ns::STREAM).with_child(Element::new("body", ns::STANZA));
    let foreign = Element::new("body", "http://www.w3.org/1999/xhtml").with_text("hi");
    let element = Element::new("message", ns::STANZA)
        .with_attribute("xml:lang", "de")
        .with_child(Element::new("body", ns::STANZA).with_text("hi"))
        .with_child(Element::new("forwarded", "urn:xmpp:forward:0").with_child(forwarded))
        .with_child(prefixed)
        .with_child(Element::new("html", "http://jabber.org/protocol/xhtml-im").with_child(foreign));
    let (mut here, mut there) = (Vec::new(), Vec::new());
    crate::xml::write::element_of(&element, ns::STANZA, ns::COMPONENT, &declared, &mut here);
    let moved = rescope(&element, ns::STANZA, ns::COMPONENT);
    crate::xml::write::element(&moved, ns::COMPONENT, &declared, &mut there);
    assert_eq!(String::from_utf8(here), String::from_utf8(there));
}
