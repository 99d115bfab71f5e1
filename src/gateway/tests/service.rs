//! What the edge answers by itself.

use super::*;
use crate::xmpp::stanza::PresenceType;

const JULIET: &str = "juliet@corp.example/x";
const ROMEO: &str = "romeo@friend.example/y";
const EDGE: &str = "edge.corp.example";
const INFO: &str = "http://jabber.org/protocol/disco#info";
const ITEMS: &str = "http://jabber.org/protocol/disco#items";
const VERSION: &str = "jabber:iq:version";

/// `friend.example` may ask; `version` is told or not.
fn border(version: Version) -> Border {
    let mut setting = Setting::with(
        "friend.example",
        Action::Allow,
        Directions::Both,
        &policy::Kind::ALL,
    );
    setting.conduct.version = version;
    setting.border()
}

fn query(kind: IqType, from: &str, to: &str, payload: Option<Element>) -> Stanza {
    let query = stanza(Kind::Iq(kind), from, to).with_id("q1");
    payload.into_iter().fold(query, Stanza::with_child)
}

fn admit(border: &Border, stanza: Stanza) -> Result<AdmittedStanza, RejectedStanza> {
    let side = if border.table().local(stanza.from().domain()).is_some() {
        Side::Inside
    } else {
        Side::Outside
    };
    border.admit_stanza(side, stanza, today(), &[7; 32])
}

/// The payload of the answer, or the condition of the error.
fn answered(border: &Border, stanza: Stanza) -> Result<Option<Element>, Condition> {
    match admit(border, stanza.clone()) {
        Ok(AdmittedStanza::Answer(answer) | AdmittedStanza::Pong(answer)) => {
            assert_eq!(answer.kind(), Kind::Iq(IqType::Result));
            assert_eq!((answer.from(), answer.to()), (stanza.to(), stanza.from()));
            assert_eq!(answer.id(), stanza.id());
            Ok(answer.element().children().next().cloned())
        }
        Ok(other) => panic!("{other:?}"),
        Err(rejected) => Err(rejected.into_reply().unwrap().error().unwrap().condition()),
    }
}

fn element(name: &str, ns: &str) -> Option<Element> {
    Some(Element::new(name, ns))
}

/// Who may ask whom, and what the one who is asked says of itself.
const ASKED: [(&str, &str, (&str, &str)); 3] = [
    (JULIET, EDGE, ("component", "s2s")),
    (ROMEO, EDGE, ("component", "s2s")),
    (JULIET, "partner.example", ("gateway", "simple")),
];

#[test]
fn pings_and_discovery_are_answered_for_the_edge_and_for_domains_of_sip() {
    let border = border(Version::Hidden);
    for (from, to, (category, kind)) in ASKED {
        let get = |payload| answered(&border, query(IqType::Get, from, to, payload));
        assert_eq!(get(element("ping", ns::PING)), Ok(None), "{to}");
        let features = [INFO, ITEMS, ns::PING];
        let wanted = features.iter().fold(
            Element::new("query", INFO).with_child(
                Element::new("identity", INFO)
                    .with_attribute("category", category)
                    .with_attribute("type", kind),
            ),
            |query, feature| query.with_child(Element::new("feature", INFO).with_attribute("var", *feature)),
        );
        assert_eq!(get(element("query", INFO)), Ok(Some(wanted)), "{to}");
        assert_eq!(get(element("query", ITEMS)), Ok(element("query", ITEMS)), "{to}");
    }
}

#[test]
fn the_version_is_told_only_where_it_is_configured() {
    for (from, to, _) in ASKED {
        let ask = || query(IqType::Get, from, to, element("query", VERSION));
        assert_eq!(
            answered(&border(Version::Hidden), ask()),
            Err(Condition::ServiceUnavailable)
        );
        let shown = border(Version::Shown);
        let software = answered(&shown, ask()).unwrap().unwrap();
        let names: Vec<_> = software.children().map(Element::name).collect();
        assert_eq!(names, ["name", "version"], "nothing of the operating system");
        assert_eq!(software.child("name", VERSION).unwrap().text(), "vestibule");
        let features = answered(&shown, query(IqType::Get, from, to, element("query", INFO)));
        let offered = features.unwrap().unwrap();
        assert!(offered.children().any(|it| it.attribute("var") == Some(VERSION)));
    }
}

#[test]
fn what_is_not_served_is_service_unavailable_and_what_is_no_query_bad_request() {
    let border = border(Version::Hidden);
    let node = Element::new("query", INFO).with_attribute("node", "n");
    let two =
        query(IqType::Get, JULIET, EDGE, element("ping", ns::PING)).with_child(Element::new("a", "urn:b"));
    for (from, to, _) in ASKED {
        let user = format!("nobody@{to}");
        for (what, stanza, condition) in [
            (
                "unknown",
                query(IqType::Get, from, to, element("vCard", "vcard-temp")),
                Condition::ServiceUnavailable,
            ),
            (
                "a ping that sets",
                query(IqType::Set, from, to, element("ping", ns::PING)),
                Condition::ServiceUnavailable,
            ),
            (
                "a user",
                query(IqType::Get, from, &user, element("ping", ns::PING)),
                Condition::ServiceUnavailable,
            ),
            (
                "a resource",
                query(IqType::Get, from, &format!("{to}/x"), element("ping", ns::PING)),
                Condition::ServiceUnavailable,
            ),
            (
                "a node",
                query(IqType::Get, from, to, Some(node.clone())),
                Condition::ItemNotFound,
            ),
            (
                "nothing",
                query(IqType::Get, from, to, None),
                Condition::BadRequest,
            ),
        ] {
            assert_eq!(answered(&border, stanza), Err(condition), "{what} of {to}");
        }
    }
    assert_eq!(
        answered(&border, two),
        Err(Condition::BadRequest),
        "two things at once"
    );
}

#[test]
fn the_edge_takes_no_messages_and_hears_no_presence_and_no_answers() {
    let border = border(Version::Hidden);
    for (from, kind) in [
        (JULIET, MessageType::Chat),
        (ROMEO, MessageType::Normal),
        (ROMEO, MessageType::Groupchat),
    ] {
        assert_eq!(
            answered(&border, stanza(Kind::Message(kind), from, EDGE)),
            Err(Condition::ServiceUnavailable)
        );
    }
    for kind in [
        Kind::Message(MessageType::Error),
        Kind::Message(MessageType::Headline),
        Kind::Presence(PresenceType::Available),
        Kind::Presence(PresenceType::Subscribe),
        Kind::Presence(PresenceType::Probe),
        Kind::Iq(IqType::Result),
        Kind::Iq(IqType::Error),
    ] {
        for from in [JULIET, ROMEO] {
            let admitted = admit(&border, stanza(kind, from, EDGE).with_id("q1"));
            assert!(matches!(admitted, Ok(AdmittedStanza::Ignore)), "{kind:?} {from}");
        }
    }
}

#[test]
fn who_may_not_ask_hears_that_and_nobody_speaks_in_the_name_of_the_edge() {
    let border = border(Version::Shown);
    let ask = |from| query(IqType::Get, from, EDGE, element("query", VERSION));
    assert_eq!(
        answered(&border, ask("x@evil.example")),
        Err(Condition::PolicyViolation)
    );
    let mine = query(IqType::Get, EDGE, JULIET, element("ping", ns::PING));
    for side in [Side::Outside, Side::Inside] {
        let rejected = border
            .admit_stanza(side, mine.clone(), today(), &[7; 32])
            .unwrap_err();
        assert_eq!(rejected.class(), "impersonation");
        assert_eq!(rejected.into_reply(), None);
    }
    let request = message("sip:x@edge.corp.example", "sip:bob@corp.example", "hello");
    let refused = border.admit_sip(Side::Outside, request, &mut Proven(&[EDGE]), today());
    assert_eq!(refused.unwrap_err().class(), "impersonation");
}
