//! Who gets through the border, and what the others are told.

use super::*;
use crate::policy::{Directions, Kinds};
use crate::xmpp::stanza::PresenceType;

const ALICE: &str = "sip:alice@partner.example";
const BOB: &str = "sip:bob@corp.example";
const JULIET: &str = "juliet@corp.example/x";
const ROMEO: &str = "romeo@partner.example";

/// How a request fares when the far end has proven `partner.example`.
fn fares(setting: Setting, side: Side, request: Request) -> Result<Admitted, Rejected> {
    let border = setting.border();
    border.admit_sip(side, request, &mut Proven(&["partner.example"]), today())
}

/// The status and the class of a refusal.
fn refusal(setting: Setting, side: Side, request: Request) -> (u16, &'static str) {
    let rejected = fares(setting, side, request.clone()).unwrap_err();
    let response = rejected.response();
    assert!(
        response.headers().to().tag().is_some(),
        "a final response has a To tag"
    );
    assert_eq!(response.headers().call_id(), request.headers().call_id());
    (response.status().code(), rejected.class())
}

fn from_outside(request: Request) -> (u16, &'static str) {
    refusal(Setting::default(), Side::Outside, request)
}

/// How a stanza that is refused fares: the condition that its sender is told, and the class.
fn refused(setting: Setting, side: Side, stanza: Stanza) -> (Option<Condition>, &'static str) {
    let rejected = setting
        .border()
        .admit_stanza(side, stanza.clone(), today(), &[7; 32])
        .unwrap_err();
    let class = rejected.class();
    let reply = rejected.into_reply();
    if let Some(reply) = &reply {
        assert_eq!((reply.from(), reply.to()), (stanza.to(), stanza.from()));
        assert_eq!(reply.id(), stanza.id());
        assert_eq!(
            reply.error().and_then(|error| error.by().cloned()),
            Some(jid("edge.corp.example"))
        );
    }
    (
        reply
            .and_then(|reply| reply.error())
            .map(|error| error.condition()),
        class,
    )
}

fn passes(setting: Setting, side: Side, stanza: Stanza) -> AdmittedStanza {
    setting
        .border()
        .admit_stanza(side, stanza, today(), &[7; 32])
        .unwrap()
}

fn allowing(name: &str, directions: Directions) -> Setting {
    Setting {
        exceptions: vec![Exception {
            pattern: DomainPattern::parse(name).unwrap(),
            directions,
            kinds: Kinds::ALL,
            action: Action::Allow,
            source: Source::new("policy.exception[0]"),
        }],
        ..Setting::default()
    }
}

#[test]
fn a_message_of_a_proven_federated_domain_to_a_user_of_ours_passes() {
    let uris = [BOB, "sip:BOB@Corp.Example;transport=tls", "im:bob@corp.example"];
    for to in uris {
        let Ok(Admitted::Deliver(delivery)) =
            fares(Setting::default(), Side::Outside, message(ALICE, to, "hello"))
        else {
            panic!("{to} is refused");
        };
        assert_eq!(delivery.link(), &xmpp_link("partner.example", "corp.example"));
        assert_eq!(delivery.permit().direction(), Direction::Inbound);
        let Payload::ToXmpp { stanza, .. } = &delivery.payload else {
            panic!("{delivery:?}");
        };
        assert_eq!(
            (stanza.from(), stanza.to()),
            (&jid("alice@partner.example"), &jid("bob@corp.example")),
            "{to}"
        );
    }
}

#[test]
fn requests_that_may_not_pass_are_refused_with_the_status_that_says_why() {
    let eve = |from: &str| message(from, BOB, "hello");
    let to = |to: &str| message(ALICE, to, "hello");
    let rows = [
        // Who sends.
        ("not proven", eve("sip:carol@ms.example"), (403, "no_tls")),
        (
            "of our own domain",
            eve("sip:bob@corp.example"),
            (403, "impersonation"),
        ),
        (
            "of our own domain in capitals",
            eve("sip:bob@CORP.Example."),
            (403, "impersonation"),
        ),
        (
            "a domain below a federated one",
            eve("sip:a@sub.partner.example"),
            (403, "policy_default"),
        ),
        (
            "a domain that nobody knows",
            eve("sip:mallory@evil.example"),
            (403, "policy_default"),
        ),
        ("by address", eve("sip:alice@192.0.2.1"), (400, "addresses")),
        ("no SIP address", eve("tel:+15551234"), (400, "addresses")),
        // To whom.
        (
            "to a domain that nobody knows",
            to("sip:x@evil.example"),
            (404, "no_route"),
        ),
        ("to another peer", to("sip:x@ms.example"), (404, "relaying")),
        ("to a room", to("sip:tea@rooms.corp.example"), (405, "room")),
        (
            "to a SIP node of ours",
            to("sip:desk@phones.corp.example"),
            (501, "inside_sip"),
        ),
        ("to an address", to("sip:bob@192.0.2.1"), (400, "addresses")),
        (
            "sips: in the Request-URI",
            to("sips:bob@corp.example"),
            (480, "address_sips"),
        ),
        ("a number", to("tel:+15551234"), (416, "sip_not_supported")),
    ];
    for (what, request, wanted) in rows {
        assert_eq!(from_outside(request), wanted, "{what}");
    }
    assert_eq!(
        refusal(Setting::default(), Side::Inside, message(ALICE, BOB, "hello")),
        (403, "not_our_domain"),
        "from an inside node"
    );
}

#[test]
fn a_sips_address_in_to_alone_is_refused_too() {
    let mut request = message(ALICE, BOB, "hello");
    let sips = message(ALICE, "sips:bob@corp.example", "");
    request.headers_mut().set_to(sips.headers().to().clone());
    assert_eq!(from_outside(request), (480, "address_sips"));
}

#[test]
fn a_tenant_is_proven_by_the_clearing_house_that_it_stands_behind_and_by_no_other() {
    let border = Setting::default().border();
    let admit = |proven: &[&str], from: &str| {
        border
            .admit_sip(
                Side::Outside,
                message(from, BOB, "hello"),
                &mut Proven(proven),
                today(),
            )
            .map_err(|rejected| rejected.response().status().code())
            .map(|_| ())
    };
    assert_eq!(admit(&["house.example"], "sip:a@tenant.example"), Ok(()));
    assert_eq!(admit(&["tenant.example"], "sip:a@tenant.example"), Ok(()));
    assert_eq!(admit(&["partner.example"], "sip:a@tenant.example"), Err(403));
    assert_eq!(
        admit(&["house.example"], "sip:a@partner.example"),
        Err(403),
        "it speaks for its tenants only"
    );
    assert_eq!(
        admit(&["tenant.example"], "sip:a@house.example"),
        Err(403),
        "nor a tenant for the house"
    );
}

const ALLOW: &str = "MESSAGE, OPTIONS, INVITE, BYE, INFO, UPDATE, SUBSCRIBE, NOTIFY";
const TEXTS: &str = "text/plain, text/html, text/rtf, application/rtf, multipart/alternative, message/cpim, \
     application/im-iscomposing+xml, message/imdn+xml, application/ms-imdn+xml";

#[test]
fn what_the_gateway_cannot_do_is_refused_and_what_it_can_do_is_named() {
    let header = |request: Request, name: &str| {
        let rejected = fares(Setting::default(), Side::Outside, request).unwrap_err();
        let response = rejected.response();
        let value = response.headers().get(name).unwrap_or_default().to_owned();
        (response.status().code(), value)
    };
    let of = |method: &str| request(method, ALICE, BOB, "Max-Forwards: 70\r\n", "");
    for method in ["PUBLISH", "REGISTER"] {
        assert_eq!(header(of(method), "Allow"), (405, ALLOW.to_owned()), "{method}");
    }
    assert_eq!(header(of("DANCE"), "Allow"), (501, ALLOW.to_owned()));
    assert_eq!(
        header(message(ALICE, "sip:tea@rooms.corp.example", "x"), "Allow"),
        (405, "OPTIONS".to_owned())
    );
    let typed = |lines: &str| {
        request(
            "MESSAGE",
            ALICE,
            BOB,
            &format!("Max-Forwards: 70\r\n{lines}"),
            "body",
        )
    };
    assert_eq!(
        header(typed("Content-Type: image/png\r\n"), "Accept"),
        (415, TEXTS.to_owned())
    );
    assert_eq!(
        header(
            typed("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n"),
            "Accept-Encoding"
        ),
        (415, "identity".to_owned())
    );
    assert_eq!(
        header(typed("Content-Type: text/plain;charset=koi8-r\r\n"), "Accept").0,
        415
    );
    assert_eq!(
        header(
            typed("Content-Type: text/plain\r\nRequire: 100rel\r\n"),
            "Unsupported"
        ),
        (420, "100rel".to_owned())
    );
    let last_hop = request("MESSAGE", ALICE, BOB, "Max-Forwards: 0\r\n", "");
    assert_eq!(header(last_hop, "Allow").0, 483);
}

#[test]
fn options_are_answered_by_the_edge_to_those_who_may_send_and_to_none_else() {
    let options = |from: &str, to: &str| request("OPTIONS", from, to, "Max-Forwards: 70\r\n", "");
    for translation in [Translation::On, Translation::Off] {
        for to in ["sip:corp.example", BOB, "sip:rooms.corp.example"] {
            let setting = Setting {
                conduct: conduct(translation),
                ..Setting::default()
            };
            let Ok(Admitted::Answer(response)) = fares(setting, Side::Outside, options(ALICE, to)) else {
                panic!("{to} is not answered");
            };
            let headers = response.headers();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(
                headers.get("Allow"),
                Some("MESSAGE, OPTIONS, INVITE, ACK, BYE, CANCEL, INFO, UPDATE, SUBSCRIBE, NOTIFY")
            );
            assert_eq!(headers.get("Accept"), Some(TEXTS));
            assert!(headers.to().tag().is_some());
        }
    }
    let rows = [
        (options("sip:carol@ms.example", BOB), (403, "no_tls")),
        (options("sip:bob@corp.example", BOB), (403, "impersonation")),
        (options("sip:x@evil.example", BOB), (403, "policy_default")),
        (options(ALICE, "sip:ms.example"), (404, "relaying")),
    ];
    for (request, wanted) in rows {
        assert_eq!(from_outside(request), wanted);
    }
}

#[test]
fn without_translation_nothing_crosses_and_xmpp_is_still_forwarded() {
    let off = || Setting {
        conduct: conduct(Translation::Off),
        ..allowing("friend.example", Directions::Both)
    };
    assert_eq!(
        refusal(off(), Side::Outside, message(ALICE, BOB, "hello")),
        (403, "translation_off")
    );
    assert_eq!(
        refused(off(), Side::Inside, chat(JULIET, ROMEO, "m1", "hi")),
        (Some(Condition::PolicyViolation), "translation_off")
    );
    assert!(matches!(
        passes(
            off(),
            Side::Inside,
            chat(JULIET, "romeo@friend.example", "m1", "hi")
        ),
        AdmittedStanza::Deliver(_)
    ));
}

#[test]
fn a_stanza_may_only_come_from_where_its_sender_is() {
    let setting = || allowing("friend.example", Directions::Both);
    let (juliet, romeo) = (JULIET, "romeo@friend.example/y");
    for (side, from, to) in [(Side::Inside, juliet, romeo), (Side::Outside, romeo, juliet)] {
        let AdmittedStanza::Deliver(delivery) = passes(setting(), side, chat(from, to, "m1", "hi")) else {
            panic!("{from} to {to}");
        };
        assert_eq!(
            delivery.link(),
            &Link::Xmpp {
                local: jid(from).domain().clone(),
                remote: jid(to).domain().clone(),
            }
        );
    }
    let rows = [
        (
            "ours, from outside",
            Side::Outside,
            juliet,
            "bob@corp.example",
            (None, "impersonation"),
        ),
        (
            "theirs, from inside",
            Side::Inside,
            romeo,
            juliet,
            (None, "impersonation"),
        ),
        (
            "theirs to another of theirs, from outside",
            Side::Outside,
            romeo,
            "x@partner.example",
            (Some(Condition::RemoteServerNotFound), "relaying"),
        ),
        (
            "to nobody",
            Side::Outside,
            romeo,
            "x@nowhere.example",
            (Some(Condition::RemoteServerNotFound), "no_route"),
        ),
        (
            "not allowed, from outside",
            Side::Outside,
            "x@evil.example",
            juliet,
            (Some(Condition::PolicyViolation), "policy_default"),
        ),
        (
            "not allowed, from inside",
            Side::Inside,
            juliet,
            "x@evil.example",
            (Some(Condition::PolicyViolation), "policy_default"),
        ),
        (
            "ours to ours through the edge",
            Side::Inside,
            juliet,
            "bob@corp.example",
            (Some(Condition::PolicyViolation), "policy_default"),
        ),
    ];
    for (what, side, from, to, wanted) in rows {
        assert_eq!(
            refused(setting(), side, chat(from, to, "m1", "hi")),
            wanted,
            "{what}"
        );
    }
    // Where policy says yes, there is still no way from inside to inside.
    assert_eq!(
        refused(
            Setting::open(),
            Side::Inside,
            chat(juliet, "bob@corp.example", "m1", "hi")
        ),
        (Some(Condition::RemoteServerNotFound), "relaying")
    );
}

#[test]
fn an_exception_for_one_direction_lets_nothing_pass_the_other_way() {
    let (juliet, romeo) = (JULIET, "romeo@friend.example");
    let inbound = |side, from: &str, to: &str| {
        let setting = allowing("friend.example", Directions::Inbound);
        setting
            .border()
            .admit_stanza(side, chat(from, to, "m1", "hi"), today(), &[7; 32])
            .map_err(|rejected| rejected.class())
            .map(|_| ())
    };
    assert_eq!(inbound(Side::Outside, romeo, juliet), Ok(()));
    assert_eq!(inbound(Side::Inside, juliet, romeo), Err("policy_one_way"));
}

#[test]
fn stanzas_for_a_sip_domain_are_translated_answered_refused_or_dropped() {
    let of = |kind, to: &str| stanza(kind, JULIET, to).with_id("q1");
    let with_body = |kind| of(kind, ROMEO).with_child(Element::new("body", ns::STANZA).with_text("hi"));
    let admit = |stanza| {
        Setting::default()
            .border()
            .admit_stanza(Side::Inside, stanza, today(), &[7; 32])
    };

    for kind in [MessageType::Normal, MessageType::Chat] {
        let Ok(AdmittedStanza::Deliver(delivery)) = admit(with_body(Kind::Message(kind))) else {
            panic!("{kind:?} is not translated");
        };
        assert_eq!(
            delivery.link(),
            &Link::Sip {
                remote: domain("partner.example")
            }
        );
        let Payload::ToSip { request, sender, .. } = &delivery.payload else {
            panic!("{delivery:?}");
        };
        assert_eq!(request.body().as_ref(), b"hi");
        assert_eq!(sender.child_text("body"), None, "the text is kept once");
    }

    let dropped = [
        with_body(Kind::Message(MessageType::Headline)),
        with_body(Kind::Message(MessageType::Error)),
        of(Kind::Message(MessageType::Chat), ROMEO),
        of(Kind::Iq(IqType::Result), ROMEO),
        of(Kind::Iq(IqType::Error), ROMEO),
    ];
    for stanza in dropped {
        let kind = stanza.kind();
        assert!(matches!(admit(stanza), Ok(AdmittedStanza::Ignore)), "{kind:?}");
    }

    let ping = ping::request(jid(JULIET), jid("partner.example"), "q1");
    let Ok(AdmittedStanza::Pong(pong)) = admit(ping) else {
        panic!("the ping of a SIP domain is not answered");
    };
    assert_eq!(pong.kind(), Kind::Iq(IqType::Result));
    assert_eq!((pong.id(), pong.to()), (Some("q1"), &jid(JULIET)));

    let unsupported = [with_body(Kind::Message(MessageType::Groupchat))];
    for stanza in unsupported {
        let kind = stanza.kind();
        assert_eq!(
            refused(Setting::default(), Side::Inside, stanza),
            (Some(Condition::FeatureNotImplemented), "unsupported"),
            "{kind:?}"
        );
    }
    assert_eq!(
        refused(
            Setting::default(),
            Side::Inside,
            ping::request(jid(JULIET), jid(ROMEO), "q1")
        ),
        (Some(Condition::ServiceUnavailable), "unserved"),
        "a user of SIP cannot be asked"
    );
}

#[test]
fn nobody_answers_an_error_or_a_result_that_is_refused() {
    for kind in [
        Kind::Message(MessageType::Error),
        Kind::Iq(IqType::Result),
        Kind::Iq(IqType::Error),
        Kind::Presence(PresenceType::Error),
        Kind::Presence(PresenceType::Unavailable),
    ] {
        let stanza = stanza(kind, JULIET, "x@evil.example").with_id("q1");
        assert_eq!(
            refused(Setting::default(), Side::Inside, stanza),
            (None, "policy_default"),
            "{kind:?}"
        );
    }
}

#[test]
fn a_message_that_is_longer_than_the_peer_takes_violates_policy() {
    let long = "x".repeat(1_300);
    assert_eq!(
        refused(Setting::default(), Side::Inside, chat(JULIET, ROMEO, "m1", &long)),
        (Some(Condition::PolicyViolation), "message_too_large")
    );
    let to_microsoft = chat(JULIET, "romeo@ms.example", "m1", &long);
    assert!(matches!(
        passes(Setting::default(), Side::Inside, to_microsoft),
        AdmittedStanza::Deliver(_)
    ));
}

#[test]
fn both_directions_of_a_conversation_are_one_pair() {
    let there = chat("juliet@corp.example/x", "romeo@partner.example", "m1", "hi");
    let back = chat("romeo@partner.example/y", "juliet@corp.example", "m2", "ho");
    let other = chat("juliet@corp.example/x", "mercutio@partner.example", "m3", "hi");
    assert_eq!(pair_of(&there), pair_of(&back));
    assert_ne!(pair_of(&there), pair_of(&other));
    let admitted = fares(Setting::default(), Side::Outside, message(ALICE, BOB, "hello"));
    let Ok(Admitted::Deliver(delivery)) = admitted else {
        panic!("{admitted:?}");
    };
    let answer = chat("bob@corp.example/x", "alice@partner.example", "m1", "hi");
    assert_eq!(delivery.pair(), pair_of(&answer));
}

#[test]
fn what_comes_while_the_proxy_stops_may_be_tried_again() {
    let border = Setting::default().border();
    let rejected = border.refuse_while_stopping(&message(ALICE, BOB, "hello"));
    let headers = rejected.response().headers();
    assert_eq!(rejected.response().status().code(), 503);
    assert_eq!(headers.get("Retry-After"), Some("5"));
    let rejected = border.refuse_stanza_while_stopping(&chat(JULIET, ROMEO, "m1", "hi"));
    let error = rejected.into_reply().and_then(|reply| reply.error()).unwrap();
    assert_eq!(error.condition(), Condition::ResourceConstraint);
}
