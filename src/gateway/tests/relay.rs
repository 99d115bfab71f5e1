//! Requests that go on from SIP to SIP: who may, in which direction, and what a name of ours is worth to whom.

use std::sync::Arc;

use super::*;
use crate::interwork::profile::PeerKind;
use crate::policy::Kind;
use crate::sip::proxy::{Bodies, Face, Inner, Proxy, Sessions, Terms, Veil};
use crate::sip::{Method, NameAddr, Response, Transport, Uri};

const ALICE: &str = "sip:alice@partner.example";
const DESK: &str = "sip:desk@phones.corp.example";
const SESSION: &str = "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";

/// A setting whose inside has a listener for SIP.
fn proxied(setting: Setting) -> Setting {
    let face = |transport, host: &str| Face::new(transport, sip::Host::parse(host).unwrap(), None);
    let proxy = Proxy::new(
        Veil::new(b"secret"),
        face(Transport::Tls, "edge.corp.example"),
        vec![face(Transport::Tcp, "10.0.0.1")],
        Inner::default(),
    );
    Setting {
        conduct: Conduct {
            proxy: Some(Arc::new(proxy)),
            ..setting.conduct
        },
        ..setting
    }
}

fn relays() -> Setting {
    proxied(Setting::default())
}

/// How a request fares when the far end has proven these domains.
fn fares(setting: Setting, side: Side, proven: &[&str], request: Request) -> Result<Admitted, Rejected> {
    setting
        .border()
        .admit_sip(side, request, &mut Proven(proven), today())
}

fn passes(setting: Setting, side: Side, proven: &[&str], request: Request) -> Relay {
    match fares(setting, side, proven, request.clone()) {
        Ok(Admitted::Relay(relay)) => *relay,
        other => panic!("{request:?}\n{other:?}"),
    }
}

fn refused(setting: Setting, side: Side, proven: &[&str], request: Request) -> (u16, &'static str) {
    let rejected = fares(setting, side, proven, request.clone()).unwrap_err();
    let headers = rejected.response().headers();
    assert!(headers.to().tag().is_some(), "a final response has a To tag");
    assert_eq!(headers.call_id(), request.headers().call_id());
    assert_eq!(headers.vias().count(), request.headers().vias().count());
    (rejected.response().status().code(), rejected.class())
}

fn of(method: &str, from: &str, to: &str) -> Request {
    let more = match method {
        "INVITE" => {
            "Max-Forwards: 70\r\nContact: <sip:x@ua.partner.example>\r\nContent-Type: application/sdp\r\n"
        }
        "SUBSCRIBE" | "NOTIFY" => {
            "Max-Forwards: 70\r\nContact: <sip:x@ua.partner.example>\r\nEvent: presence\r\n"
        }
        _ => "Max-Forwards: 70\r\n",
    };
    let body = match method {
        "INVITE" => format!("{SESSION}m=message 5060 sip null\r\n"),
        _ => String::new(),
    };
    request(method, from, to, more, &body)
}

/// What a node answers, as the outside gets it.
fn accepted(relay: Relay) -> Box<Response> {
    let (_, sent, _, back) = relay.into_parts();
    let response = sent
        .response(StatusCode::OK, "", Some("there"))
        .with_contact(NameAddr::parse("<sip:desk@10.0.0.50>").unwrap())
        .with_record_route(sent.headers().record_route().clone());
    told(&back, &sent, response)
}

/// What the sender hears of a response.
fn told(back: &Return, sent: &Request, response: Response) -> Box<Response> {
    back.response(sent, Box::new(response)).response.unwrap()
}

/// A dialog of alice with the desk, begun by her: the name and the hop that stand for the desk.
fn dialog() -> (String, String) {
    let response = accepted(passes(
        relays(),
        Side::Outside,
        &["partner.example"],
        of("INVITE", ALICE, DESK),
    ));
    let contact = response.headers().contact().addresses()[0].uri().to_string();
    let hop = response.headers().record_route().first().unwrap().to_string();
    assert!(!format!("{contact}{hop}").contains("10.0.0"), "{contact} {hop}");
    (contact, hop)
}

#[test]
fn requests_pass_between_a_peer_and_a_node_of_sip_both_ways() {
    for method in [
        "MESSAGE",
        "OPTIONS",
        "INVITE",
        "SUBSCRIBE",
        "NOTIFY",
        "INFO",
        "UPDATE",
        "PRACK",
        "BYE",
        "ACK",
    ] {
        let relay = passes(
            relays(),
            Side::Outside,
            &["partner.example"],
            of(method, ALICE, DESK),
        );
        let remote = domain("phones.corp.example");
        assert_eq!(relay.link(), &Link::Sip { remote }, "{method}");
        assert_eq!(relay.permit().direction(), Direction::Inbound);
        let relay = passes(
            relays(),
            Side::Inside,
            &["phones.corp.example"],
            of(method, DESK, ALICE),
        );
        let remote = domain("partner.example");
        assert_eq!(relay.link(), &Link::Sip { remote }, "{method}");
        assert_eq!(relay.permit().direction(), Direction::Outbound);
        assert_eq!(relay.request().headers().max_forwards(), Some(69));
        let text = written(relay.request());
        assert!(!text.contains("Call-ID: asd88asd77a"), "{text}");
    }
}

#[test]
fn a_request_that_goes_on_keeps_the_marks_of_gateways_and_no_names_of_them() {
    let mark = own_mark();
    for (side, from, to) in [
        (Side::Outside, ALICE, DESK),
        (Side::Inside, DESK, "sip:alice@partner.example"),
    ] {
        let more = format!("Max-Forwards: 70\r\nPassed-Gateways: {mark}, gw2.corp.lan\r\n");
        let relay = passes(
            relays(),
            side,
            &["partner.example", "phones.corp.example"],
            request("MESSAGE", from, to, &more, ""),
        );
        assert_eq!(
            relay.request().headers().get(passage::FIELD),
            Some(&*mark.to_string()),
            "{side}"
        );
    }
}

fn written(request: &Request) -> String {
    let mut octets = Vec::new();
    sip::write::request(request, &mut octets);
    String::from_utf8(octets).unwrap()
}

#[test]
fn requests_that_may_not_go_on_are_refused_with_the_status_that_says_why() {
    let partner: &[&str] = &["partner.example"];
    let nobody: &[&str] = &[];
    let phones: &[&str] = &["phones.corp.example"];
    let call = format!("{SESSION}m=audio 4000 RTP/AVP 0\r\n");
    let both = format!("{SESSION}m=message 5060 sip null\r\nm=audio 4000 RTP/AVP 0\r\n");
    let offering = |method: &str, kind: &str, body: &str| {
        let more = format!("Max-Forwards: 70\r\nContact: <sip:x@y>\r\nContent-Type: {kind}\r\n");
        request(method, ALICE, DESK, &more, body)
    };
    let sdp = "application/sdp";
    let text = |from, to| message(from, to, "hello");
    let rows = [
        // Who sends.
        (
            "not proven",
            Side::Outside,
            nobody,
            text(ALICE, DESK),
            (403, "no_tls"),
        ),
        (
            "another's domain",
            Side::Outside,
            partner,
            text("sip:carol@ms.example", DESK),
            (403, "no_tls"),
        ),
        (
            "ours from outside",
            Side::Outside,
            phones,
            text(DESK, DESK),
            (403, "impersonation"),
        ),
        (
            "the edge from outside",
            Side::Outside,
            partner,
            text("sip:edge.corp.example", DESK),
            (403, "impersonation"),
        ),
        (
            "nobody's",
            Side::Outside,
            partner,
            text("sip:m@evil.example", DESK),
            (403, "policy_default"),
        ),
        (
            "of XMPP only",
            Side::Outside,
            &["friend.example"],
            text("sip:m@friend.example", DESK),
            (403, "policy_default"),
        ),
        ("no node", Side::Inside, &[], text(DESK, ALICE), (403, "no_tls")),
        (
            "a node of another domain",
            Side::Inside,
            &["corp.example"],
            text(DESK, ALICE),
            (403, "no_tls"),
        ),
        (
            "a foreign From inside",
            Side::Inside,
            phones,
            text(ALICE, DESK),
            (403, "not_our_domain"),
        ),
        (
            "the edge from inside",
            Side::Inside,
            phones,
            text("sip:edge.corp.example", ALICE),
            (403, "not_our_domain"),
        ),
        // To whom.
        (
            "to a foreign domain from outside",
            Side::Outside,
            partner,
            text(ALICE, "sip:x@ms.example"),
            (404, "relaying"),
        ),
        (
            "to nobody",
            Side::Outside,
            partner,
            text(ALICE, "sip:x@evil.example"),
            (404, "no_route"),
        ),
        (
            "to an address",
            Side::Outside,
            partner,
            text(ALICE, "sip:desk@10.0.0.50"),
            (400, "addresses"),
        ),
        (
            "to a domain that is not allowed",
            Side::Inside,
            phones,
            text(DESK, "sip:x@evil.example"),
            (403, "policy_default"),
        ),
        (
            "to an address outside",
            Side::Inside,
            phones,
            text(DESK, "sip:x@192.0.2.1"),
            (400, "addresses"),
        ),
        // What.
        (
            "REFER",
            Side::Outside,
            partner,
            of("REFER", ALICE, DESK),
            (405, "method_not_allowed"),
        ),
        (
            "PUBLISH",
            Side::Outside,
            partner,
            of("PUBLISH", ALICE, DESK),
            (405, "method_not_allowed"),
        ),
        (
            "REGISTER",
            Side::Outside,
            partner,
            of("REGISTER", ALICE, DESK),
            (405, "method_not_allowed"),
        ),
        (
            "REGISTER from inside",
            Side::Inside,
            phones,
            of("REGISTER", DESK, ALICE),
            (405, "method_not_allowed"),
        ),
        (
            "an unknown method",
            Side::Outside,
            partner,
            of("DANCE", ALICE, DESK),
            (501, "method_not_allowed"),
        ),
        (
            "a call",
            Side::Outside,
            partner,
            offering("INVITE", sdp, &call),
            (488, "media"),
        ),
        (
            "messages with a call",
            Side::Outside,
            partner,
            offering("INVITE", sdp, &both),
            (488, "media"),
        ),
        (
            "a call by UPDATE",
            Side::Outside,
            partner,
            offering("UPDATE", sdp, &call),
            (488, "media"),
        ),
        (
            "a call by PRACK",
            Side::Outside,
            partner,
            offering("PRACK", sdp, &call),
            (488, "media"),
        ),
        (
            "a call in parts",
            Side::Outside,
            partner,
            offering("INVITE", "multipart/mixed;boundary=b", &call),
            (488, "media"),
        ),
        (
            "no description",
            Side::Outside,
            partner,
            offering("INVITE", sdp, "hello"),
            (488, "media"),
        ),
        (
            "the last hop",
            Side::Outside,
            partner,
            request("MESSAGE", ALICE, DESK, "Max-Forwards: 0\r\n", ""),
            (483, "sip_not_supported"),
        ),
        (
            "what a proxy cannot",
            Side::Outside,
            partner,
            request("MESSAGE", ALICE, DESK, "Proxy-Require: magic\r\n", ""),
            (420, "sip_not_supported"),
        ),
    ];
    for (what, side, proven, request, wanted) in rows {
        assert_eq!(refused(relays(), side, proven, request), wanted, "{what}");
    }
    let without = Setting::default();
    assert_eq!(
        refused(without, Side::Inside, phones, text(DESK, ALICE)),
        (501, "inside_sip"),
        "no listener inside"
    );
}

#[test]
fn the_kinds_that_policy_knows_are_told_apart() {
    let rows = [
        ("MESSAGE", Kind::Im),
        ("INVITE", Kind::Im),
        ("SUBSCRIBE", Kind::Presence),
    ];
    for (method, kind) in rows {
        let setting = || {
            proxied(Setting::with(
                "partner.example",
                Action::Deny,
                Directions::Both,
                &[kind],
            ))
        };
        assert_eq!(
            refused(
                setting(),
                Side::Outside,
                &["partner.example"],
                of(method, ALICE, DESK)
            ),
            (403, "policy_exception"),
            "{method} from outside"
        );
        assert_eq!(
            refused(
                setting(),
                Side::Inside,
                &["phones.corp.example"],
                of(method, DESK, ALICE)
            ),
            (403, "policy_exception"),
            "{method} from inside"
        );
        for (other, _) in rows.iter().filter(|(_, other)| *other != kind) {
            passes(
                setting(),
                Side::Outside,
                &["partner.example"],
                of(other, ALICE, DESK),
            );
        }
    }
}

#[test]
fn a_policy_of_one_way_lets_messages_in_without_an_answer_and_no_dialog() {
    let setting = || {
        let kinds = [Kind::Im, Kind::Presence, Kind::Other];
        proxied(Setting::with(
            "partner.example",
            Action::Allow,
            Directions::Inbound,
            &kinds,
        ))
    };
    let partner = ["partner.example"];
    for method in [
        "INVITE",
        "SUBSCRIBE",
        "NOTIFY",
        "OPTIONS",
        "BYE",
        "INFO",
        "UPDATE",
        "PRACK",
    ] {
        assert_eq!(
            refused(setting(), Side::Outside, &partner, of(method, ALICE, DESK)),
            (403, "one_way"),
            "{method}"
        );
    }
    assert_eq!(
        refused(
            setting(),
            Side::Inside,
            &["phones.corp.example"],
            of("MESSAGE", DESK, ALICE)
        ),
        (403, "policy_one_way")
    );
    for status in [200, 302, 486, 600] {
        let relay = passes(setting(), Side::Outside, &partner, message(ALICE, DESK, "hello"));
        let (_, sent, _, back) = relay.into_parts();
        let answer = sent
            .response(
                StatusCode::new(status).unwrap(),
                "told by the node",
                Some("there"),
            )
            .with_contact(NameAddr::parse("<sip:desk@10.0.0.50>").unwrap());
        let answer = told(&back, &sent, answer);
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{status}");
        let text = octets(&answer);
        assert!(!text.contains("told by") && !text.contains("there"), "{text}");
        assert!(text.contains("proxy.partner.example"), "{text}");
    }
}

#[test]
fn whoever_is_blocked_politely_hears_what_is_said_of_a_user_who_is_not_there() {
    let blocked = || proxied(Setting::blocking("alice@partner.example", Style::Polite));
    let partner = ["partner.example"];
    for method in ["MESSAGE", "INVITE", "SUBSCRIBE", "OPTIONS"] {
        let rejected = fares(blocked(), Side::Outside, &partner, of(method, ALICE, DESK)).unwrap_err();
        let absent = passes(relays(), Side::Outside, &partner, of(method, ALICE, DESK));
        let (_, sent, _, back) = absent.into_parts();
        let status = StatusCode::TEMPORARILY_UNAVAILABLE;
        let absent = told(
            &back,
            &sent,
            sent.response(status, status.reason(), Some("there")),
        );
        let as_seen = |response: &Response| {
            let tag = response.headers().to().tag().unwrap_or_default().to_owned();
            octets(response).replace(&tag, "TAG")
        };
        assert_eq!(as_seen(rejected.response()), as_seen(&absent), "{method}");
    }
    // What is wrong with a request anyway is said as to anybody, so that the block does not show in it.
    assert_eq!(
        refused(blocked(), Side::Outside, &partner, of("REFER", ALICE, DESK)),
        (405, "method_not_allowed")
    );
    let explicit = proxied(Setting::blocking("alice@partner.example", Style::Explicit));
    assert_eq!(
        refused(explicit, Side::Outside, &partner, of("MESSAGE", ALICE, DESK)).0,
        403
    );
}

/// A request in the dialog: where to, by which hop, from whom.
fn within(method: &str, uri: &str, hop: &str, from: &str) -> Request {
    let text = written(&of(method, from, DESK))
        .replacen(DESK, uri, 1)
        .replace(&format!("To: <{DESK}>"), &format!("To: <{DESK}>;tag=there"))
        .replace("Max-Forwards", &format!("Route: {hop}\r\nMax-Forwards"));
    match sip::parse::message(text.as_bytes(), &SipLimits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text}\n{other:?}"),
    }
}

#[test]
fn a_name_of_ours_leads_the_domain_that_it_was_given_to_and_no_other() {
    let (contact, hop) = dialog();
    let partner = ["partner.example"];
    let relay = passes(
        relays(),
        Side::Outside,
        &partner,
        within("BYE", &contact, &hop, ALICE),
    );
    assert_eq!(relay.request().uri().to_string(), "sip:desk@10.0.0.50");
    let remote = domain("phones.corp.example");
    assert_eq!(relay.link(), &Link::Sip { remote });

    let other = within("BYE", &contact, &hop, "sip:carol@ms.example");
    assert_eq!(
        refused(relays(), Side::Outside, &["ms.example"], other),
        (400, "addresses")
    );
    // And whom policy has come to block, it leads nowhere.
    let blocked = proxied(Setting::blocking("alice@partner.example", Style::Explicit));
    assert_eq!(
        refused(
            blocked,
            Side::Outside,
            &partner,
            within("MESSAGE", &contact, &hop, ALICE)
        )
        .0,
        403
    );
}

#[test]
fn a_hop_of_ours_leads_nowhere_without_the_name_that_belongs_to_it() {
    let (contact, hop) = dialog();
    let partner = ["partner.example"];
    // A host inside that the outside chooses.
    assert_eq!(
        refused(
            relays(),
            Side::Outside,
            &partner,
            within("BYE", "sip:root@10.0.0.7", &hop, ALICE)
        ),
        (400, "addresses")
    );
    assert_eq!(
        refused(
            relays(),
            Side::Outside,
            &partner,
            within("BYE", "sip:x@ms.example", &hop, ALICE)
        ),
        (404, "relaying")
    );
    // Another user is asked about as himself.
    let another = within("MESSAGE", "sip:boss@phones.corp.example", &hop, ALICE);
    let relay = passes(relays(), Side::Outside, &partner, another);
    assert_eq!(relay.request().uri().to_string(), "sip:boss@phones.corp.example");
    assert!(relay.request().headers().route().is_empty());
    // Another's hop adds nothing to a name.
    let theirs = accepted(passes(
        relays(),
        Side::Outside,
        &["ms.example"],
        of("INVITE", "sip:carol@ms.example", DESK),
    ));
    let theirs = theirs.headers().record_route().first().unwrap().to_string();
    assert_ne!(theirs, hop);
    let relay = passes(
        relays(),
        Side::Outside,
        &partner,
        within("BYE", &contact, &theirs, ALICE),
    );
    assert_eq!(relay.request().uri().to_string(), "sip:desk@10.0.0.50");
}

#[test]
fn a_request_of_a_node_goes_where_its_dialog_leads_and_not_where_its_uri_says() {
    let phones = ["phones.corp.example"];
    let text = |to: &str| {
        written(&of("BYE", DESK, to))
            .replacen(to, "sip:x@ua.evil.example", 1)
            .replace(&format!("To: <{to}>"), &format!("To: <{to}>;tag=there"))
            .replace("Max-Forwards", "Route: <sip:i@10.0.0.1;lr>\r\nMax-Forwards")
    };
    let read = |text: String| match sip::parse::message(text.as_bytes(), &SipLimits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text}\n{other:?}"),
    };
    let relay = passes(relays(), Side::Inside, &phones, read(text(ALICE)));
    let remote = domain("partner.example");
    assert_eq!(
        relay.link(),
        &Link::Sip { remote },
        "by To, which policy was asked about"
    );
    assert_eq!(
        refused(relays(), Side::Inside, &phones, read(text("sip:m@evil.example"))),
        (403, "policy_default")
    );
}

#[test]
fn failures_of_the_next_hop_are_told_as_a_proxy_does() {
    let relay = |method| {
        let relay = passes(
            relays(),
            Side::Outside,
            &["partner.example"],
            of(method, ALICE, DESK),
        );
        let (_, sent, _, back) = relay.into_parts();
        (sent, back)
    };
    for (method, status, wanted) in [
        ("MESSAGE", 503, 500),
        ("MESSAGE", 408, 504),
        ("INVITE", 408, 408),
        ("MESSAGE", 486, 486),
        ("INVITE", 180, 180),
    ] {
        let (sent, back) = relay(method);
        let response = sent.response(StatusCode::new(status).unwrap(), "", Some("there"));
        let response = told(&back, &sent, response);
        assert_eq!(response.status().code(), wanted, "{method} {status}");
        assert_eq!(response.headers().vias().count(), 1);
    }
    let (sent, back) = relay("MESSAGE");
    let busy = back.trouble(&sent, Trouble::Overload);
    assert_eq!(busy.status().code(), 503);
    assert!(busy.headers().get("Retry-After").is_some());
}

#[test]
fn where_a_name_of_ours_is_no_longer_local_it_leads_nowhere() {
    let own = Uri::parse("sip:desk@gone.corp.example").unwrap();
    assert!(
        Setting::default()
            .border()
            .table()
            .local(&domain("gone.corp.example"))
            .is_none()
    );
    let request = message(ALICE, &own.to_string(), "hello");
    assert_eq!(
        refused(relays(), Side::Outside, &["partner.example"], request),
        (404, "no_route")
    );
}

fn with_terms(terms: Terms) -> Setting {
    Setting { terms, ..relays() }
}

#[test]
fn the_terms_of_a_domain_hold_both_ways_and_the_log_names_the_key() {
    let only = |methods: &[Method]| Terms {
        methods: methods.to_vec(),
        ..Terms::default()
    };
    let subscribe = |event: &str| {
        let more = format!("Max-Forwards: 70\r\nContact: <sip:x@ua.partner.example>\r\nEvent: {event}\r\n");
        request("SUBSCRIBE", ALICE, DESK, &more, "")
    };
    let call = || {
        let more = "Max-Forwards: 70\r\nContact: <sip:x@y>\r\nContent-Type: application/sdp\r\n";
        request(
            "INVITE",
            ALICE,
            DESK,
            more,
            &format!("{SESSION}m=audio 4000 RTP/AVP 0\r\n"),
        )
    };
    let rows = [
        (
            only(&[Method::Message]),
            of("OPTIONS", ALICE, DESK),
            405,
            ("Allow", "MESSAGE"),
            "[[federate]] partner.example: `methods` does not list OPTIONS",
        ),
        (
            Terms::default(),
            of("REFER", ALICE, DESK),
            405,
            (
                "Allow",
                "INVITE, ACK, BYE, CANCEL, MESSAGE, INFO, SUBSCRIBE, NOTIFY, OPTIONS, UPDATE, PRACK",
            ),
            "[[federate]] partner.example: `methods` does not list REFER",
        ),
        (
            Terms::default(),
            subscribe("dialog"),
            489,
            ("Allow-Events", "presence"),
            "[[federate]] partner.example: `events` does not list \"dialog\"",
        ),
        (
            Terms::default(),
            call(),
            488,
            (
                "Warning",
                "304 edge.corp.example \"Only sessions of messages pass\"",
            ),
            "the session is about other media than messages: [[federate]] partner.example, media = \"pass\", would let it pass",
        ),
    ];
    for (terms, request, status, (name, value), why) in rows {
        let refused = fares(with_terms(terms), Side::Outside, &["partner.example"], request).unwrap_err();
        assert_eq!(refused.response().status().code(), status, "{why}");
        assert_eq!(refused.response().headers().get(name), Some(value));
        assert_eq!(refused.to_string(), why);
        assert_eq!(refused.fault(), crate::refusal::Fault::Policy);
    }
    let outward = fares(
        with_terms(only(&[Method::Options])),
        Side::Inside,
        &["phones.corp.example"],
        of("MESSAGE", DESK, ALICE),
    );
    assert_eq!(outward.unwrap_err().response().status().code(), 405);
    let allowed = Terms {
        methods: vec![Method::Invite, Method::Subscribe, Method::Refer],
        events: vec!["dialog".into()],
        sessions: Sessions::OfAnything,
        bodies: Bodies::Searched,
    };
    for request in [subscribe("dialog"), call(), of("REFER", ALICE, DESK)] {
        passes(
            with_terms(allowed.clone()),
            Side::Outside,
            &["partner.example"],
            request,
        );
    }
    // Of another domain nothing changes.
    assert_eq!(
        refused(
            with_terms(allowed),
            Side::Outside,
            &["ms.example"],
            of("REFER", "sip:carol@ms.example", DESK)
        )
        .0,
        405
    );
}

#[test]
fn terms_hold_for_what_is_translated_too() {
    let terms = || Terms {
        methods: vec![Method::Options],
        ..Terms::default()
    };
    let bob = "sip:bob@corp.example";
    let refused = fares(
        with_terms(terms()),
        Side::Outside,
        &["partner.example"],
        message(ALICE, bob, "hello"),
    )
    .unwrap_err();
    assert_eq!(refused.response().status().code(), 405);
    assert_eq!(refused.response().headers().get("Allow"), Some("OPTIONS"));
    assert!(
        refused.to_string().contains("`methods` does not list MESSAGE"),
        "{refused}"
    );
    let answered = |setting, to: &str| match fares(
        setting,
        Side::Outside,
        &["partner.example"],
        of("OPTIONS", ALICE, to),
    ) {
        Ok(Admitted::Answer(response)) => response.headers().get("Allow").unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(answered(with_terms(terms()), bob), "OPTIONS");
    assert_eq!(
        answered(relays(), bob),
        "MESSAGE, OPTIONS, INVITE, ACK, BYE, CANCEL, INFO, UPDATE, SUBSCRIBE, NOTIFY"
    );
    assert_eq!(
        answered(relays(), "sip:phones.corp.example"),
        "INVITE, ACK, BYE, CANCEL, MESSAGE, INFO, SUBSCRIBE, NOTIFY, OPTIONS, UPDATE, PRACK"
    );
}

/// A request of a node with a body.
fn with_body(method: &str, kind: &str, body: &str) -> Request {
    let more = format!(
        "Max-Forwards: 70\r\nContact: <sip:desk@10.0.0.50>\r\nEvent: presence\r\nContent-Type: {kind}\r\n"
    );
    request(method, DESK, ALICE, &more, body)
}

#[test]
fn a_body_that_would_show_the_inside_is_told_of_or_taken_out() {
    let phones = ["phones.corp.example"];
    let kind = "application/dialog-info+xml";
    let body = "<a b='sip:desk@10.0.0.50'/>";
    let rejected = fares(relays(), Side::Inside, &phones, with_body("NOTIFY", kind, body)).unwrap_err();
    assert_eq!(
        (rejected.response().status().code(), rejected.class()),
        (403, "body_withheld")
    );
    assert!(
        rejected
            .to_string()
            .ends_with("[[federate]] partner.example, bodies = \"all\", would let it pass"),
        "{rejected}"
    );
    let relay = passes(relays(), Side::Inside, &phones, with_body("BYE", kind, body));
    assert!(relay.removed().is_some());
    assert!(relay.request().body().is_empty());
    assert_eq!(relay.request().headers().content_type(), None);
    let all = Terms {
        bodies: Bodies::Any,
        ..Terms::default()
    };
    let relay = passes(
        with_terms(all),
        Side::Inside,
        &phones,
        with_body("NOTIFY", kind, body),
    );
    assert_eq!(&relay.request().body()[..], body.as_bytes());

    let (_, sent, _, back) = passes(
        relays(),
        Side::Outside,
        &["partner.example"],
        of("SUBSCRIBE", ALICE, DESK),
    )
    .into_parts();
    let answer = sent.response(StatusCode::OK, "", Some("there")).with_body(
        crate::mime::MediaType::plain("application", "dialog-info+xml"),
        body,
    );
    let returned = back.response(&sent, Box::new(answer));
    assert!(returned.removed.is_some());
    let response = returned.response.unwrap();
    assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 0));
}

#[test]
fn a_session_that_is_offered_late_is_one_of_messages_in_the_end() {
    let offerless = |from, to| {
        let more = "Max-Forwards: 70\r\nContact: <sip:x@ua.partner.example>\r\n";
        request("INVITE", from, to, more, "")
    };
    let call = format!("{SESSION}m=audio 4000 RTP/AVP 0\r\nm=message 5060 sip null\r\n");
    let sdp = || crate::mime::MediaType::plain("application", "sdp");
    for (side, proven, from, to) in [
        (Side::Outside, "partner.example", ALICE, DESK),
        (Side::Inside, "phones.corp.example", DESK, ALICE),
    ] {
        let (_, sent, _, back) = passes(relays(), side, &[proven], offerless(from, to)).into_parts();
        for status in [183, 200] {
            let status = StatusCode::new(status).unwrap();
            let response = sent
                .response(status, "", Some("there"))
                .with_body(sdp(), call.clone());
            let text = octets(&told(&back, &sent, response));
            assert!(
                text.contains("m=audio 0 RTP/AVP 0\r\nm=message 5060 sip null\r\n"),
                "{side}: {text}"
            );
        }
        let mixed = crate::mime::MediaType::parse("multipart/mixed;boundary=b").unwrap();
        let coded = format!(
            "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\n{call}\r\n--b--\r\n"
        );
        let response = sent
            .response(StatusCode::OK, "", Some("there"))
            .with_body(mixed, coded);
        let returned = back.response(&sent, Box::new(response));
        assert!(returned.removed.is_some(), "{side}");
        let text = octets(&returned.response.unwrap());
        assert!(!text.contains("m=audio"), "{side}: {text}");
        let more = "Max-Forwards: 70\r\nContent-Type: application/sdp\r\n";
        let acknowledged = request("ACK", from, to, more, &call);
        let relay = passes(relays(), side, &[proven], acknowledged);
        assert!(
            written(relay.request()).contains("m=audio 0 RTP/AVP 0\r\n"),
            "{side}"
        );
    }
}

/// A far end without TLS that proves what it claims.
struct Plain<'a>(Proven<'a>);

impl Peer for Plain<'_> {
    fn proves(&mut self, domain: &Domain, entry: &Federated) -> Result<Authenticated, Unproven> {
        self.0.proves(domain, entry)
    }

    fn is_node_of(&mut self, local: &Local) -> Result<Authenticated, Unproven> {
        self.0.is_node_of(local)
    }

    fn is_over_tls(&self) -> bool {
        false
    }
}

#[test]
fn a_promise_of_tls_on_every_hop_is_kept_or_refused() {
    let partner = ["partner.example"];
    let sips = || of("MESSAGE", ALICE, "sips:desk@phones.corp.example");
    let secure = |inside: Transport| {
        let face = |transport, host: &str| Face::new(transport, sip::Host::parse(host).unwrap(), None);
        let proxy = Proxy::new(
            Veil::new(b"secret"),
            face(Transport::Tls, "edge.corp.example"),
            vec![face(inside, "10.0.0.1")],
            Inner::default(),
        );
        let setting = Setting::default();
        Setting {
            conduct: Conduct {
                proxy: Some(Arc::new(proxy)),
                ..setting.conduct
            },
            ..setting
        }
    };
    let wanted = Some("380 edge.corp.example \"SIPS Not Allowed\"");
    let rejected = |result: Result<Admitted, Rejected>| {
        let rejected = result.unwrap_err();
        assert_eq!(rejected.response().headers().get("Warning"), wanted, "{rejected}");
        (rejected.response().status().code(), rejected.class())
    };
    assert_eq!(
        rejected(fares(secure(Transport::Tcp), Side::Outside, &partner, sips())),
        (480, "sips"),
        "nodes do not reach us by TLS"
    );
    let border = secure(Transport::Tls).border();
    assert_eq!(
        rejected(border.admit_sip(Side::Outside, sips(), &mut Plain(Proven(&partner)), today())),
        (480, "sips"),
        "it came without TLS"
    );
    assert_eq!(
        rejected(border.admit_sip(Side::Outside, sips(), &mut Proven(&partner), today())),
        (480, "sips"),
        "the nodes are reached by TCP"
    );
    // A foreign domain is found over TLS alone.
    let out = of("MESSAGE", DESK, "sips:alice@partner.example");
    match border.admit_sip(Side::Inside, out, &mut Proven(&["phones.corp.example"]), today()) {
        Ok(Admitted::Relay(relay)) => {
            assert_eq!(relay.request().uri().to_string(), "sips:alice@partner.example");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn where_answers_are_withheld_nothing_is_told_but_the_edges_own_word() {
    let setting = proxied(Setting::with(
        "partner.example",
        Action::Allow,
        Directions::Inbound,
        &[Kind::Im],
    ));
    let relay = passes(
        setting,
        Side::Outside,
        &["partner.example"],
        message(ALICE, DESK, "hello"),
    );
    let (_, sent, _, back) = relay.into_parts();
    for status in [100, 180, 183, 199] {
        let status = StatusCode::new(status).unwrap();
        let provisional = sent.response(status, "", Some("there"));
        assert!(
            back.response(&sent, Box::new(provisional)).response.is_none(),
            "{status}"
        );
    }
    let told: Vec<_> = [
        Trouble::Broken,
        Trouble::NotFound,
        Trouble::Overload,
        Trouble::Stopping,
        Trouble::Timeout,
        Trouble::Unreachable,
    ]
    .into_iter()
    .map(|trouble| octets(&back.trouble(&sent, trouble)))
    .collect();
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
    assert!(told[0].starts_with("SIP/2.0 480 "), "{}", told[0]);
}

#[test]
fn nodes_of_microsoft_are_told_who_sent_a_request_and_nobody_else_is() {
    let told = |profile, proven: &str, from: &str| {
        let setting = Setting {
            nodes: profile,
            ..relays()
        };
        let claim = "P-Asserted-Identity: <sip:boss@corp.example>\r\nms-edge-proxy-message-trust: ms-source-verified-user=verified\r\n";
        let relay = passes(
            setting,
            Side::Outside,
            &[proven],
            request("MESSAGE", from, DESK, claim, ""),
        );
        let headers = relay.request().headers();
        let one = |name| headers.all(name).map(str::to_owned).collect::<Vec<_>>();
        (one("P-Asserted-Identity"), one("ms-edge-proxy-message-trust"))
    };
    assert_eq!(
        told(route::Profile::Simple, "partner.example", ALICE),
        (vec![], vec![])
    );
    // In tests it is an address that proves.
    let trust = "ms-source-type=AutoFederation;ms-ep-fqdn=edge.corp.example;ms-source-verified-user=unverified;\
        ms-source-network=federation;ms-remote-fqdn=partner.example";
    assert_eq!(
        told(route::Profile::Microsoft, "partner.example", ALICE),
        (vec![], vec![trust.to_owned()])
    );
    let (_, trust) = told(route::Profile::Microsoft, "house.example", "sip:a@tenant.example");
    assert!(
        trust[0].starts_with("ms-source-type=AuthorizedServer;"),
        "{trust:?}"
    );
    assert!(trust[0].ends_with(";ms-remote-fqdn=house.example"), "{trust:?}");
}

#[test]
fn nodes_are_spoken_with_by_their_own_profile() {
    for (profile, kind) in [
        (route::Profile::Simple, PeerKind::Simple),
        (route::Profile::Microsoft, PeerKind::Microsoft),
    ] {
        let border = proxied(Setting {
            nodes: profile,
            ..Setting::open()
        })
        .border();
        let (romeo, desk) = ("romeo@friend.example", "desk@phones.corp.example");
        let footing = border.footing(&Pair::new(&jid(romeo), &jid(desk))).unwrap();
        assert_eq!(footing.peer.profile.kind(), kind);
        let inwards = chat("romeo@friend.example/y", desk, "m1", "hi");
        match border.admit_stanza(Side::Outside, inwards, today(), &[7; 32]) {
            Ok(AdmittedStanza::Deliver(delivery)) => {
                let Payload::ToSip { peer, .. } = &delivery.payload else {
                    panic!("{delivery:?}")
                };
                assert_eq!(peer.profile.kind(), kind);
            }
            other => panic!("{other:?}"),
        }
        let outwards = message(DESK, "sip:romeo@friend.example", "hi");
        let mut nodes = Proven(&["phones.corp.example"]);
        match border.admit_sip(Side::Inside, outwards, &mut nodes, today()) {
            Ok(Admitted::Deliver(delivery)) => {
                let Payload::ToXmpp { profile, .. } = &delivery.payload else {
                    panic!("{delivery:?}")
                };
                assert_eq!(profile.kind(), kind);
            }
            other => panic!("{other:?}"),
        }
    }
}
