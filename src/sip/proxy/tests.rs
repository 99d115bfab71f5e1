//! Dialogs that go through the edge, hop by hop, as both ends would see them.

#![allow(clippy::wildcard_enum_match_arm, reason = "tests that expect one thing")]

use super::*;
use crate::limits::SipLimits;
use crate::sip::{Message, StatusCode, parse, write};

fn proxy() -> Proxy {
    let outside = Face::new(Transport::Tls, Host::parse("edge.example").unwrap(), None);
    let inside = Face::new(Transport::Tcp, Host::parse("10.0.0.1").unwrap(), Some(5060));
    Proxy::new(
        Veil::new(b"secret"),
        outside,
        vec![inside],
        Inner::new(["imp1.corp".to_owned(), "10.0.0.9".to_owned()]),
    )
}

fn request(text: &str) -> Request {
    let text = text.replace('\n', "\r\n");
    match parse::message(text.as_bytes(), &SipLimits::default()).unwrap() {
        Message::Request(request) => request,
        other => panic!("{other:?}"),
    }
}

fn written(request: &Request) -> String {
    let mut octets = Vec::new();
    write::request(request, &mut octets);
    String::from_utf8(octets).unwrap()
}

fn answered(response: &Response) -> String {
    let mut octets = Vec::new();
    write::response(response, &mut octets);
    String::from_utf8(octets).unwrap()
}

fn hops(set: &RouteSet) -> Vec<String> {
    set.iter().map(ToString::to_string).collect()
}

fn set(hops: &[&str]) -> RouteSet {
    RouteSet::from(
        hops.iter()
            .map(|hop| RouteHop::parse(hop).unwrap())
            .collect::<Vec<_>>(),
    )
}

fn ends(own: &str) -> Ends {
    Ends::new(&Uri::parse(own).unwrap(), Domain::parse("out.example").unwrap())
}

/// Forwards, and gives what went on with the state of its responses.
fn pass(way: Way, request: &mut Request, own: &str) -> (Arrived, Passage) {
    let proxy = proxy();
    let arrived = proxy.receive(way, request);
    let passage = proxy
        .forward(way, arrived.clone(), request, &ends(own), &Transport::Tcp)
        .unwrap();
    (arrived, passage)
}

fn shows_nothing(text: &str) {
    for name in ["10.0.0", "corp", "imp1", "Via: SIP/2.0/TCP", "secret"] {
        assert!(!text.contains(name), "{name} in {text}");
    }
}

const FROM_OUTSIDE: &str = "INVITE sip:ann@in.example;maddr=10.0.0.9 SIP/2.0
Via: SIP/2.0/TLS proxy.out.example;branch=z9hG4bKp
Via: SIP/2.0/TLS ua.out.example;branch=z9hG4bKu
Max-Forwards: 200
Route: <sip:edge.example;lr>, <sip:10.0.0.77;lr>
Record-Route: <sip:proxy.out.example;lr;ms-opaque=X1>;tag=7
From: <sip:bob@out.example>;tag=b
To: <sip:ann@in.example>
Call-ID: 1@ua.out.example
CSeq: 1 INVITE
Contact: <sip:bob@ua.out.example;opaque=a>
P-Asserted-Identity: <sip:boss@in.example>
ms-edge-proxy-message-trust: ms-source-verified-user=verified
Subject: hello
Alert-Info: <http://10.0.0.9/ring.wav>
Call-Info: <http://out.example/photo.jpg>;purpose=icon
Error-Info: <sip:announcement@out.example>
Identity-Info: <https://out.example/cert>;alg=rsa-sha1
Authentication-Info: nextnonce=x
Proxy-Authorization: Digest x
Remote-Party-ID: <sip:boss@in.example>
User-Agent: x
Content-Length: 0

";

const FROM_INSIDE: &str = "INVITE sip:bob@out.example SIP/2.0
Via: SIP/2.0/TCP imp1.corp;branch=z9hG4bKn
Via: SIP/2.0/TCP 10.0.0.50;branch=z9hG4bKu
Max-Forwards: 70
Record-Route: <sip:imp1.corp;lr>, <sip:10.0.0.9;lr>
From: <sip:ann@in.example>;tag=a
To: <sip:bob@out.example>
Call-ID: secret-2@10.0.0.50
CSeq: 1 INVITE
Contact: <sip:ann@10.0.0.50:5070;transport=tcp>;+sip.instance=\"<urn:uuid:1>\"
User-Agent: Phone at 10.0.0.50
Warning: 399 imp1.corp \"x\"
Organization: at imp1.corp
Referred-By: <sip:ann@10.0.0.50>
Priority: urgent
Content-Length: 0

";

#[test]
fn a_dialog_that_begins_outside_keeps_its_route_both_ways() {
    let proxy = proxy();
    let mut invite = request(FROM_OUTSIDE);
    let (arrived, passage) = pass(Way::Inward, &mut invite, "sip:ann@in.example");
    assert!(!arrived.is_in_dialog());
    assert_eq!(invite.uri().to_string(), "sip:ann@in.example");
    assert_eq!(invite.headers().max_forwards(), Some(69));
    assert!(
        invite.headers().route().is_empty(),
        "the outside has no say in the way inside"
    );
    assert_eq!(invite.headers().call_id().as_str(), "1@ua.out.example");
    let others: Vec<_> = invite
        .headers()
        .other()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    assert_eq!(
        others,
        [("Subject", "hello")],
        "nothing that the outside may not make the inside believe, and nothing that is fetched"
    );
    assert_eq!(
        hops(invite.headers().record_route()),
        [
            "<sip:o@10.0.0.1:5060;transport=tcp;lr>",
            "<sip:o@edge.example;transport=tls;lr>",
            "<sip:proxy.out.example;lr;ms-opaque=X1>;tag=7"
        ]
    );

    // Two nodes record themselves, and the user answers.
    let mut recorded = set(&["<sip:imp2.corp;lr>", "<sip:imp1.corp;lr>"]);
    for hop in invite.headers().record_route().iter() {
        recorded.push_last(hop.clone());
    }
    let mut response = invite
        .response(StatusCode::OK, "Well said at imp1.corp", Some("a"))
        .with_contact(NameAddr::parse("<sip:ann@10.0.0.50;transport=tcp>").unwrap())
        .with_record_route(recorded)
        .with_header("Server", "imp1.corp")
        .unwrap();
    proxy.answer(&passage, &mut response).unwrap();
    let text = answered(&response);
    shows_nothing(&text);
    assert!(text.contains("proxy.out.example;branch=z9hG4bKp"), "{text}");
    let recorded = hops(response.headers().record_route());
    assert_eq!(recorded.len(), 2, "{recorded:?}");
    assert_eq!(recorded[1], "<sip:proxy.out.example;lr;ms-opaque=X1>;tag=7");

    // What the peer sends in the dialog goes the nodes' way.
    let contact = response.headers().contact().addresses()[0].uri().clone();
    let own = response.headers().record_route().first().unwrap().to_string();
    let text = format!(
        "BYE {contact} SIP/2.0\nVia: SIP/2.0/TLS proxy.out.example;branch=z9hG4bKq\nMax-Forwards: 5\nRoute: {own}\n\
         From: <sip:bob@out.example>;tag=b\nTo: <sip:ann@in.example>;tag=a\nCall-ID: 1@ua.out.example\nCSeq: 2 BYE\n\
         Content-Length: 0\n\n"
    );
    let mut bye = request(&text);
    let (arrived, _) = pass(Way::Inward, &mut bye, "sip:ann@in.example");
    assert_eq!(arrived.ends(), Some(&ends("sip:ann@in.example")));
    assert_eq!(bye.uri().to_string(), "sip:ann@10.0.0.50;transport=tcp");
    assert_eq!(
        hops(bye.headers().route()),
        ["<sip:imp1.corp;lr>", "<sip:imp2.corp;lr>"]
    );
    assert_eq!(bye.headers().call_id().as_str(), "1@ua.out.example");

    // And what the user sends goes the peer's way, octet for octet.
    let text = "BYE sip:bob@ua.out.example;opaque=a SIP/2.0\nVia: SIP/2.0/TCP imp1.corp;branch=z9hG4bKr\nMax-Forwards: 70\n\
         Route: <sip:o@10.0.0.1:5060;transport=tcp;lr>, <sip:o@edge.example;transport=tls;lr>, \
         <sip:proxy.out.example;lr;ms-opaque=X1>;tag=7\nFrom: <sip:ann@in.example>;tag=a\n\
         To: <sip:bob@out.example>;tag=b\nCall-ID: 1@ua.out.example\nCSeq: 1 BYE\nContent-Length: 0\n\n";
    let mut bye = request(text);
    let (arrived, _) = pass(Way::Outward, &mut bye, "sip:ann@in.example");
    assert!(arrived.is_in_dialog());
    assert_eq!(
        hops(bye.headers().route()),
        ["<sip:proxy.out.example;lr;ms-opaque=X1>;tag=7"]
    );
    assert_eq!(
        bye.headers().call_id().as_str(),
        "1@ua.out.example",
        "the peer's own Call-ID"
    );
}

#[test]
fn a_dialog_that_begins_inside_shows_nothing_of_it() {
    let proxy = proxy();
    let mut invite = request(FROM_INSIDE);
    let (_, passage) = pass(Way::Outward, &mut invite, "sip:ann@in.example");
    let mut sent = invite.clone();
    sent.headers_mut()
        .replace_vias(Via::parse("SIP/2.0/TLS edge.example;branch=z9hG4bKe").unwrap());
    shows_nothing(&written(&sent));
    assert!(written(&sent).contains("+sip.instance=\"<urn:uuid:1>\""));

    let theirs = "<sip:proxy.out.example;lr>";
    let mut recorded = set(&[theirs]);
    recorded.push_last(sent.headers().record_route().first().unwrap().clone());
    let mut response = sent
        .response(StatusCode::OK, "", Some("b"))
        .with_contact(NameAddr::parse("<sip:bob@ua.out.example>").unwrap())
        .with_record_route(recorded);
    let sealed = response.headers().record_route().last().unwrap().clone();
    proxy.answer(&passage, &mut response).unwrap();
    assert_eq!(response.headers().call_id().as_str(), "secret-2@10.0.0.50");
    let vias: Vec<_> = response.headers().vias().map(ToString::to_string).collect();
    assert_eq!(vias.len(), 2);
    assert_eq!(
        hops(response.headers().record_route()),
        [
            theirs,
            &sealed.to_string(),
            "<sip:i@10.0.0.1:5060;transport=tcp;lr>",
            "<sip:imp1.corp;lr>",
            "<sip:10.0.0.9;lr>"
        ]
    );

    // The caller goes on in the dialog.
    let text = format!(
        "MESSAGE sip:bob@ua.out.example SIP/2.0\nVia: SIP/2.0/TCP imp1.corp;branch=z9hG4bKs\nMax-Forwards: 70\n\
         Route: <sip:i@10.0.0.1:5060;transport=tcp;lr>, {sealed}, {theirs}\nFrom: <sip:ann@in.example>;tag=a\n\
         To: <sip:bob@out.example>;tag=b\nCall-ID: secret-2@10.0.0.50\nCSeq: 2 MESSAGE\nContent-Length: 0\n\n"
    );
    let mut message = request(&text);
    pass(Way::Outward, &mut message, "sip:ann@in.example");
    assert_eq!(hops(message.headers().route()), [theirs]);
    assert_eq!(message.headers().call_id(), sent.headers().call_id());

    // And so does the peer.
    let contact = sent.headers().contact().addresses()[0].uri();
    let text = format!(
        "BYE {contact} SIP/2.0\nVia: SIP/2.0/TLS proxy.out.example;branch=z9hG4bKt\nMax-Forwards: 70\nRoute: {sealed}\n\
         From: <sip:bob@out.example>;tag=b\nTo: <sip:ann@in.example>;tag=a\nCall-ID: {}\nCSeq: 1 BYE\nContent-Length: 0\n\n",
        sent.headers().call_id()
    );
    let mut bye = request(&text);
    let (arrived, passage) = pass(Way::Inward, &mut bye, "sip:ann@in.example");
    assert_eq!(arrived.ends(), Some(&ends("sip:ann@in.example")));
    assert_eq!(bye.uri().to_string(), "sip:ann@10.0.0.50:5070;transport=tcp");
    assert_eq!(
        hops(bye.headers().route()),
        ["<sip:imp1.corp;lr>", "<sip:10.0.0.9;lr>"]
    );
    assert_eq!(bye.headers().call_id().as_str(), "secret-2@10.0.0.50");
    let mut response = bye.response(StatusCode::OK, "", None);
    proxy.answer(&passage, &mut response).unwrap();
    assert_eq!(response.headers().call_id(), sent.headers().call_id());
}

#[test]
fn a_strict_router_is_understood() {
    let proxy = proxy();
    let mut invite = request(FROM_INSIDE);
    let _ = pass(Way::Outward, &mut invite, "sip:ann@in.example");
    let contact = invite.headers().contact().addresses()[0].uri().clone();
    let hop = invite.headers().record_route().first().unwrap().uri().clone();
    let text = format!(
        "BYE {hop} SIP/2.0\nVia: SIP/2.0/TLS h;branch=z9hG4bKt\nRoute: <{contact}>\nFrom: <sip:bob@out.example>;tag=b\n\
         To: <sip:ann@in.example>;tag=a\nCall-ID: {}\nCSeq: 1 BYE\nContent-Length: 0\n\n",
        invite.headers().call_id()
    );
    let mut bye = request(&text);
    let arrived = proxy.receive(Way::Inward, &mut bye);
    assert!(arrived.is_in_dialog());
    assert_eq!(bye.uri().to_string(), "sip:ann@10.0.0.50:5070;transport=tcp");
    proxy
        .forward(
            Way::Inward,
            arrived,
            &mut bye,
            &ends("sip:ann@in.example"),
            &Transport::Tcp,
        )
        .unwrap();
    assert_eq!(
        hops(bye.headers().route()),
        ["<sip:imp1.corp;lr>", "<sip:10.0.0.9;lr>"]
    );
}

#[test]
fn a_node_that_redirects_names_no_place_inside() {
    let proxy = proxy();
    let mut invite = request(FROM_OUTSIDE);
    let (_, passage) = pass(Way::Inward, &mut invite, "sip:ann@in.example");
    let mut response = invite
        .response(StatusCode::new(302).unwrap(), "", Some("a"))
        .with_contact(NameAddr::parse("<sip:ann@10.0.0.51>;q=0.5").unwrap());
    proxy.answer(&passage, &mut response).unwrap();
    shows_nothing(&answered(&response));
    let contact = &response.headers().contact().addresses()[0];
    assert_eq!(contact.params().get("q"), Some("0.5"));
    let mut again =
        request(&FROM_OUTSIDE.replace("sip:ann@in.example;maddr=10.0.0.9", &contact.uri().to_string()));
    let arrived = proxy.receive(Way::Inward, &mut again);
    assert_eq!(again.uri().to_string(), "sip:ann@10.0.0.51");
    assert_eq!(arrived.ends(), Some(&ends("sip:ann@in.example")));
}

#[test]
fn a_name_that_somebody_else_made_up_stands_for_nobody() {
    let proxy = proxy();
    let mut made_up =
        request(&FROM_OUTSIDE.replace("sip:ann@in.example;maddr=10.0.0.9", "sip:AAAA@edge.example"));
    let arrived = proxy.receive(Way::Inward, &mut made_up);
    assert_eq!(arrived.ends(), None);
    assert_eq!(made_up.uri().to_string(), "sip:AAAA@edge.example");
}

#[test]
fn whatever_a_peer_does_the_way_of_a_dialog_leads_through_the_edge() {
    let proxy = proxy();
    // It begins one with a Call-ID that it knows of us.
    let mut ours = request(FROM_INSIDE);
    let (_, passage) = pass(Way::Outward, &mut ours, "sip:ann@in.example");
    let known = ours.headers().call_id().to_string();
    let mut invite = request(&FROM_OUTSIDE.replace("1@ua.out.example", &known));
    pass(Way::Inward, &mut invite, "sip:ann@in.example");
    assert_eq!(invite.headers().record_route().len(), 3);

    // It answers without our hop, or with one of its wishes.
    for theirs in [set(&[]), set(&["<sip:10.0.0.9;lr>"])] {
        let mut response = ours
            .response(StatusCode::OK, "", Some("b"))
            .with_contact(NameAddr::parse("<sip:x@10.0.0.9>").unwrap())
            .with_record_route(theirs.clone());
        proxy.answer(&passage, &mut response).unwrap();
        let recorded = hops(response.headers().record_route());
        assert_eq!(recorded.len(), theirs.len() + 4, "{recorded:?}");
        assert_eq!(
            recorded[theirs.len() + 1],
            "<sip:i@10.0.0.1:5060;transport=tcp;lr>"
        );
    }

    // It sends a caller elsewhere.
    let mut response = ours
        .response(StatusCode::new(302).unwrap(), "", Some("b"))
        .with_contact(NameAddr::parse("<sip:x@10.0.0.9>").unwrap());
    proxy.answer(&passage, &mut response).unwrap();
    assert!(response.headers().contact().addresses().is_empty());
}

#[test]
fn a_name_of_ours_stands_for_whom_policy_judged_and_not_for_whom_to_names() {
    let proxy = proxy();
    let mut invite = request(&FROM_OUTSIDE.replace("To: <sip:ann@in.example>", "To: <sip:open@in.example>"));
    let (_, passage) = pass(Way::Inward, &mut invite, "sip:ann@in.example");
    let mut response = invite
        .response(StatusCode::OK, "", Some("a"))
        .with_contact(NameAddr::parse("<sip:ann@10.0.0.50>;gr=\"10.0.0.50\";q=0.1").unwrap());
    proxy.answer(&passage, &mut response).unwrap();
    shows_nothing(&answered(&response));
    let contact = response.headers().contact().addresses()[0].uri().to_string();
    let mut bye = request(&FROM_OUTSIDE.replace("sip:ann@in.example;maddr=10.0.0.9", &contact));
    let arrived = proxy.receive(Way::Inward, &mut bye);
    assert_eq!(arrived.ends(), Some(&ends("sip:ann@in.example")));
}

#[test]
fn nobody_is_asked_for_notifications_without_an_answer() {
    for way in [Way::Inward, Way::Outward] {
        let mut request = request(
            "SUBSCRIBE sip:ann@in.example SIP/2.0
Via: SIP/2.0/TLS ua.out.example;branch=z9hG4bKu
From: <sip:bob@out.example>;tag=b
To: <sip:ann@in.example>
Call-ID: c
CSeq: 1 SUBSCRIBE
Contact: <sip:bob@ua.out.example>
Event: presence
Supported: timer, MS-BENOTIFY
Supported: ms-piggyback-first-notify
Proxy-Require: ms-benotify
Content-Length: 0

",
        );
        pass(way, &mut request, "sip:ann@in.example");
        let headers = request.headers();
        assert_eq!(
            headers.list("Supported").collect::<Vec<_>>(),
            ["timer", "ms-piggyback-first-notify"],
            "{way:?}"
        );
        assert_eq!(headers.get("Proxy-Require"), None, "{way:?}");
    }
}

//= rfc3261#16.6
//# If the copy contains a Max-Forwards header field, the proxy MUST decrement its value by one (1).
#[test]
fn nobody_may_ask_for_more_hops_than_anybody_needs() {
    for (asked, left) in [
        ("Max-Forwards: 255\n", 69),
        ("Max-Forwards: 200\n", 69),
        ("Max-Forwards: 71\n", 69),
        ("Max-Forwards: 70\n", 69),
        ("Max-Forwards: 69\n", 68),
        ("Max-Forwards: 1\n", 0),
        ("", 69),
    ] {
        for (way, text) in [(Way::Inward, FROM_OUTSIDE), (Way::Outward, FROM_INSIDE)] {
            let text = text
                .replace("Max-Forwards: 200\n", asked)
                .replace("Max-Forwards: 70\n", asked);
            let mut request = request(&text);
            pass(way, &mut request, "sip:ann@in.example");
            assert_eq!(request.headers().max_forwards(), Some(left), "{asked:?} {way:?}");
        }
    }
}

#[test]
fn in_a_secure_dialog_every_name_of_ours_is_secure() {
    let proxy = proxy();
    let text = FROM_OUTSIDE.replace("sip:ann@in.example;maddr=10.0.0.9", "sips:ann@in.example");
    let mut invite = request(&text);
    let (_, passage) = pass(Way::Inward, &mut invite, "sips:ann@in.example");
    let recorded = hops(invite.headers().record_route());
    assert!(
        recorded[0].starts_with("<sips:o@10.0.0.1") && recorded[1] == "<sips:o@edge.example;lr>",
        "{recorded:?}"
    );
    let mut response = invite
        .response(StatusCode::OK, "", Some("a"))
        .with_contact(NameAddr::parse("<sips:ann@10.0.0.50>").unwrap())
        .with_record_route(invite.headers().record_route().clone());
    proxy.answer(&passage, &mut response).unwrap();
    let contact = response.headers().contact().addresses()[0].uri().to_string();
    assert!(
        contact.starts_with("sips:") && contact.ends_with("@edge.example"),
        "{contact}"
    );
    let recorded = hops(response.headers().record_route());
    assert!(recorded[0].starts_with("<sips:"), "{recorded:?}");
    let mut bye = request(&FROM_OUTSIDE.replace("sip:ann@in.example;maddr=10.0.0.9", &contact));
    proxy.receive(Way::Inward, &mut bye);
    assert_eq!(bye.uri().to_string(), "sips:ann@10.0.0.50");
}

#[test]
fn a_subject_is_the_users_own() {
    let text = FROM_INSIDE.replace(
        "User-Agent: Phone",
        "Subject: meet me at imp1.corp\nUser-Agent: Phone",
    );
    let mut invite = request(&text);
    pass(Way::Outward, &mut invite, "sip:ann@in.example");
    assert_eq!(invite.headers().get("Subject"), Some("meet me at imp1.corp"));
    assert_eq!(invite.headers().get("Priority"), Some("urgent"));
    assert_eq!(invite.headers().get("Organization"), None);
}
