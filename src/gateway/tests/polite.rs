//! Blocks: what the blocked one sees, and that a polite block cannot be told from a user who is not there.

use super::*;
use crate::limits::GatewayLimits;
use crate::xmpp::stanza::PresenceType;

const ALICE: &str = "sip:alice@partner.example";
const BOB: &str = "sip:bob@corp.example";
const JULIET: &str = "juliet@corp.example/x";
const ROMEO: &str = "romeo@friend.example/y";

/// `friend.example` is allowed; `whom` is blocked.
fn border(blocked: Option<(&str, Style)>) -> Border {
    let blocks = blocked.map_or_else(Vec::new, |(whom, style)| Setting::blocking(whom, style).blocks);
    Setting {
        blocks,
        ..Setting::with(
            "friend.example",
            Action::Allow,
            Directions::Both,
            &policy::Kind::ALL,
        )
    }
    .border()
}

fn polite(whom: &str) -> Border {
    border(Some((whom, Style::Polite)))
}

fn request_fares(border: &Border, request: Request) -> Result<Admitted, Rejected> {
    border.admit_sip(
        Side::Outside,
        request,
        &mut Proven(&["partner.example", "ms.example"]),
        today(),
    )
}

fn stanza_fares(border: &Border, stanza: Stanza) -> Result<AdmittedStanza, RejectedStanza> {
    let side = if stanza.from().domain().as_str() == "corp.example" {
        Side::Inside
    } else {
        Side::Outside
    };
    border.admit_stanza(side, stanza, today(), &[7; 32])
}

/// What the blocked sender is told.
fn told(border: &Border, stanza: Stanza) -> Option<Stanza> {
    let rejected = stanza_fares(border, stanza).unwrap_err();
    assert_eq!(rejected.class(), "blocked_polite");
    rejected.into_reply().map(|reply| *reply)
}

#[test]
fn a_politely_blocked_user_is_answered_as_by_the_server_of_an_offline_user() {
    let border = polite("romeo@friend.example");
    let of = |kind, to| stanza(kind, ROMEO, to).with_id("q1");
    let juliet = "juliet@corp.example";
    for to in [juliet, JULIET] {
        for kind in [
            Kind::Message(MessageType::Normal),
            Kind::Message(MessageType::Chat),
            Kind::Message(MessageType::Groupchat),
            Kind::Iq(IqType::Get),
            Kind::Iq(IqType::Set),
        ] {
            let sent = of(kind, to).with_child(Element::new("thread", ns::STANZA).with_text("t"));
            let unavailable = Element::new("service-unavailable", ns::STANZA_ERRORS);
            let wanted = Element::new(kind.name(), ns::STANZA)
                .with_attribute("type", "error")
                .with_attribute("id", "q1")
                .with_attribute("from", to)
                .with_attribute("to", ROMEO)
                .with_child(
                    Element::new("error", ns::STANZA)
                        .with_attribute("type", "cancel")
                        .with_child(unavailable),
                );
            let reply = told(&border, sent).unwrap();
            assert_eq!(reply.element(), &wanted, "no word of an edge: {kind:?}");
        }
        for kind in [
            Kind::Message(MessageType::Headline),
            Kind::Message(MessageType::Error),
            Kind::Iq(IqType::Result),
            Kind::Iq(IqType::Error),
            Kind::Presence(PresenceType::Available),
            Kind::Presence(PresenceType::Unavailable),
            Kind::Presence(PresenceType::Subscribe),
            Kind::Presence(PresenceType::Subscribed),
            Kind::Presence(PresenceType::Unsubscribe),
            Kind::Presence(PresenceType::Unsubscribed),
            Kind::Presence(PresenceType::Error),
        ] {
            assert_eq!(told(&border, of(kind, to)), None, "{kind:?}");
        }
        let probed = told(&border, of(Kind::Presence(PresenceType::Probe), to)).unwrap();
        let offline = stanza(Kind::Presence(PresenceType::Unavailable), juliet, ROMEO).with_id("q1");
        assert_eq!(probed, offline);
    }
}

#[test]
fn an_explicitly_blocked_user_is_told_that_policy_forbids_it() {
    let explicit = |whom| border(Some((whom, Style::Explicit)));
    let rejected =
        stanza_fares(&explicit("romeo@friend.example"), chat(ROMEO, JULIET, "m1", "hi")).unwrap_err();
    assert_eq!(rejected.class(), "blocked");
    let error = rejected.into_reply().unwrap().error().unwrap();
    let said = format!("{UNDELIVERABLE}: Forbidden by policy");
    assert_eq!(error.condition(), Condition::PolicyViolation);
    assert_eq!(error.text(), Some(said.as_str()));
    let rejected = request_fares(&explicit("alice@partner.example"), message(ALICE, BOB, "x")).unwrap_err();
    assert_eq!(
        (rejected.response().status().code(), rejected.class()),
        (403, "blocked")
    );
    assert_eq!(rejected.response().reason(), said);
    // Who only types reads nothing.
    let state = stanza(Kind::Message(MessageType::Chat), ROMEO, JULIET);
    let rejected = stanza_fares(&explicit("romeo@friend.example"), state).unwrap_err();
    let error = rejected.into_reply().unwrap().error().unwrap();
    assert_eq!(error.text(), Some("Forbidden by policy"));
}

#[test]
fn a_block_holds_in_every_spelling_both_ways_and_at_either_end() {
    for from in [ALICE, "sip:Alice@partner.example", "sip:%61lice@partner.example"] {
        let rejected = request_fares(&polite("alice@partner.example"), message(from, BOB, "x")).unwrap_err();
        assert_eq!(rejected.class(), "blocked_polite", "{from}");
    }
    let rejected = request_fares(&polite("bob@corp.example"), message(ALICE, BOB, "x")).unwrap_err();
    assert_eq!(rejected.class(), "blocked_polite", "the addressee");
    let blocked = polite("romeo@friend.example");
    assert!(
        told(&blocked, chat(JULIET, ROMEO, "m1", "hi")).is_some(),
        "outwards"
    );
    let other = chat(JULIET, "mercutio@friend.example", "m1", "hi");
    assert!(matches!(
        stanza_fares(&blocked, other),
        Ok(AdmittedStanza::Deliver(_))
    ));
}

/// What the gateway answers a SIP peer when the server of the addressee says that he is not there.
fn offline(request: Request) -> Box<Response> {
    let mut gateway = Gateway::<u32>::new(0, GatewayLimits::default(), &speaker(7, UNDELIVERABLE));
    let now = Instant::now();
    let Ok(Admitted::Deliver(delivery)) = request_fares(&border(None), request) else {
        panic!("refused");
    };
    gateway.handle(
        now,
        Input::Deliver {
            delivery,
            origin: Some(1),
        },
    );
    let letter = drain(&mut gateway, now).sent.pop().unwrap();
    let error = letter
        .stanza
        .error_reply(&StanzaError::new(Condition::ServiceUnavailable));
    gateway.handle(now, Input::Answer(Box::new(error.unwrap())));
    drain(&mut gateway, now).responses.pop().unwrap().1
}

#[test]
fn a_polite_block_is_answered_on_sip_octet_by_octet_as_an_offline_user() {
    for (from, whom, status) in [
        (ALICE, "alice@partner.example", 403),
        ("sip:carol@ms.example", "carol@ms.example", 480),
    ] {
        let request = message(from, BOB, "hello");
        let rejected = request_fares(&polite(whom), request.clone()).unwrap_err();
        assert_eq!(rejected.response().status().code(), status);
        assert_eq!(octets(rejected.response()), octets(&offline(request)), "{from}");
        assert!(
            rejected.to_string().contains("policy.block[0]"),
            "the operator reads which line it was: {rejected}"
        );
    }
}

#[test]
fn whatever_else_a_politely_blocked_peer_tries_is_answered_as_to_anybody() {
    let options = |to| request("OPTIONS", ALICE, to, "Max-Forwards: 70\r\n", "");
    let typed = |kind: &str| {
        let head = format!("Max-Forwards: 70\r\nContent-Type: {kind}\r\n");
        request("MESSAGE", ALICE, BOB, &head, "body")
    };
    for request in [
        options(BOB),
        options("sip:corp.example"),
        options("sip:x@nowhere.example"),
        message(ALICE, "sip:x@nowhere.example", "x"),
        message(ALICE, "sip:x@ms.example", "x"),
        message(ALICE, "sip:tea@rooms.corp.example", "x"),
        message(ALICE, "sip:desk@phones.corp.example", "x"),
        message(ALICE, "sips:bob@corp.example", "x"),
        message("sip:%61lice@partner.example", "sips:bob@corp.example", "x"),
        typed("image/png"),
        typed("text/plain;charset=koi8-r"),
    ] {
        let said = |border: &Border| match request_fares(border, request.clone()) {
            Ok(Admitted::Answer(response)) => octets(&response),
            Ok(other @ (Admitted::Deliver(_) | Admitted::Relay(_) | Admitted::Blocked { .. })) => {
                panic!("{other:?}")
            }
            Err(rejected) => octets(rejected.response()),
        };
        assert_eq!(
            said(&polite("alice@partner.example")),
            said(&border(None)),
            "{} {}",
            request.method(),
            request.uri()
        );
    }
    for to in ["x@nowhere.example", "x@partner.example"] {
        let reply = |border: &Border| {
            stanza_fares(border, chat(ROMEO, to, "m1", "hi"))
                .unwrap_err()
                .into_reply()
        };
        assert_eq!(
            reply(&polite("romeo@friend.example")),
            reply(&border(None)),
            "{to}"
        );
    }
}
