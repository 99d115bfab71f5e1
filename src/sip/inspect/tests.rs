//! Each check by itself, in each role, and which of two that fail is the one that is told.

use super::*;
use crate::limits::SipLimits;
use crate::sip::{Message, parse};

/// A request with these lines beside the mandatory ones.
fn request(method: &str, uri: &str, fields: &[&str], body: &str) -> Request {
    let mut lines = vec![
        format!("{method} {uri} SIP/2.0"),
        "Via: SIP/2.0/TLS a.example.com;branch=z9hG4bK1".to_owned(),
        "From: <sip:ada@example.com>;tag=a1".to_owned(),
        "To: <sip:ben@example.org>".to_owned(),
        "Call-ID: c1".to_owned(),
        format!("CSeq: 1 {method}"),
    ];
    lines.extend(fields.iter().map(|line| (*line).to_owned()));
    let text = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
    match parse::message(text.as_bytes(), &SipLimits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text}: {other:?}"),
    }
}

const URI: &str = "sip:ben@example.org";

const ROLES: [Role; 3] = [Role::UserAgent, Role::Gateway, Role::Proxy];

const fn supported(role: Role) -> Supported<'static> {
    Supported {
        role,
        methods: &[Method::Message, Method::Invite, Method::Options],
        extensions: &["timer"],
        schemes: &["im"],
        content: &[("text", "plain"), ("application", "sdp")],
        answer: Some(("application", "sdp")),
    }
}

/// What each role says, in the order of [`ROLES`]: the status and the header fields, or nothing.
fn verdicts(request: &Request) -> [String; 3] {
    ROLES.map(|role| match inspect(request, &supported(role)) {
        Ok(()) => String::new(),
        Err(Rejection { status, headers }) => {
            let headers = headers.iter().map(|(name, value)| format!(" {name}: {value}"));
            format!("{status}{}", headers.collect::<String>())
        }
    })
}

fn same(verdict: &str) -> [String; 3] {
    [verdict.to_owned(), verdict.to_owned(), verdict.to_owned()]
}

fn not_by_proxy(verdict: &str) -> [String; 3] {
    [verdict.to_owned(), verdict.to_owned(), String::new()]
}

#[test]
fn a_request_that_is_supported_in_all_its_parts_is_taken() {
    let fields = [
        "Max-Forwards: 1",
        "Require: timer, TIMER",
        "Proxy-Require: Timer",
        "Content-Type: Text/Plain;charset=utf-8",
        "Accept: text/html, application/sdp;q=0.5",
    ];
    for method in ["MESSAGE", "INVITE", "OPTIONS"] {
        for uri in [URI, "sips:example.org", "IM:ben@example.org"] {
            assert_eq!(verdicts(&request(method, uri, &fields, "hi")), same(""));
        }
    }
}

#[test]
fn a_method_that_is_not_supported_is_405_and_an_unknown_one_501() {
    let allow = "Allow: MESSAGE, INVITE, OPTIONS";
    assert_eq!(
        verdicts(&request("REGISTER", URI, &[], "")),
        not_by_proxy(&format!("405 {allow}"))
    );
    for unknown in ["NEWS", "message"] {
        assert_eq!(
            verdicts(&request(unknown, URI, &[], "")),
            not_by_proxy(&format!("501 {allow}"))
        );
    }
}

#[test]
fn ack_and_cancel_are_refused_for_neither_method_nor_extension() {
    for method in ["ACK", "CANCEL"] {
        let request = request(method, URI, &["Require: other", "Proxy-Require: other"], "");
        assert_eq!(verdicts(&request), same(""));
    }
}

#[test]
fn an_unknown_scheme_is_416() {
    for uri in ["tel:+15550100", "ims:ben@example.org", "x.y:opaque"] {
        assert_eq!(verdicts(&request("MESSAGE", uri, &[], "")), same("416"));
    }
}

#[test]
fn no_hop_left_is_483_where_the_request_would_go_on() {
    let request = request("MESSAGE", URI, &["Max-Forwards: 0"], "");
    assert_eq!(verdicts(&request), ["", "483", "483"].map(str::to_owned));
}

#[test]
fn unknown_extensions_are_420_by_the_field_that_is_meant_for_the_role() {
    let fields = ["Require: a, timer", "Proxy-Require: p", "Require: b"];
    let request = request("MESSAGE", URI, &fields, "");
    let ends = "420 Unsupported: a, b".to_owned();
    assert_eq!(
        verdicts(&request),
        [ends.clone(), ends, "420 Unsupported: p".to_owned()]
    );
}

#[test]
fn a_body_of_an_unknown_type_is_415_and_says_what_is_known() {
    let verdict = not_by_proxy("415 Accept: text/plain, application/sdp");
    let cases: [&[&str]; 4] = [
        &["Content-Type: text/html"],
        &["Content-Type: plain/text"],
        &[],
        &[
            "Content-Type: text/html",
            "Content-Disposition: render;handling=required",
        ],
    ];
    for fields in cases {
        assert_eq!(
            verdicts(&request("MESSAGE", URI, fields, "x")),
            verdict,
            "{fields:?}"
        );
    }
}

#[test]
fn a_body_that_is_empty_or_optional_may_have_any_type() {
    let html = "Content-Type: text/html";
    assert_eq!(verdicts(&request("MESSAGE", URI, &[html], "")), same(""));
    let optional = "Content-Disposition: render ; Handling = OPTIONAL";
    assert_eq!(
        verdicts(&request("MESSAGE", URI, &[html, optional], "x")),
        same("")
    );
}

#[test]
fn an_encoded_body_is_415_and_says_that_none_is_known() {
    let text = "Content-Type: text/plain";
    let gzip = request("MESSAGE", URI, &[text, "Content-Encoding: gzip"], "x");
    assert_eq!(verdicts(&gzip), not_by_proxy("415 Accept-Encoding: identity"));
    let none = request("MESSAGE", URI, &[text, "e: Identity"], "x");
    assert_eq!(verdicts(&none), same(""));
}

#[test]
fn an_answer_that_is_not_accepted_is_406() {
    for (accept, verdict) in [
        ("Accept: text/plain", "406"),
        ("Accept: text/*, application/xml", "406"),
        ("Accept: sdp/application", "406"),
        ("Accept: application/sdp", ""),
        ("Accept: text/plain, Application/*;q=0.1", ""),
        ("Accept: */*", ""),
        ("Accept:", ""),
        ("Subject: no Accept", ""),
    ] {
        let invite = request("INVITE", URI, &[accept], "");
        assert_eq!(verdicts(&invite), not_by_proxy(verdict), "{accept}");
        let other = request("MESSAGE", URI, &[accept], "");
        assert_eq!(verdicts(&other), same(""), "{accept}");
    }
}

#[test]
fn the_first_check_that_fails_is_told() {
    let mut fields = vec![
        "Accept: text/plain",
        "Content-Type: text/html",
        "Require: a",
        "Max-Forwards: 0",
    ];
    let first = |method: &str, uri: &str, fields: &[&str]| {
        let refused = inspect(&request(method, uri, fields, "x"), &supported(Role::Gateway));
        refused.unwrap_err().status.code()
    };
    assert_eq!(first("REGISTER", "tel:1", &fields), 405);
    assert_eq!(first("INVITE", "tel:1", &fields), 416);
    for expected in [483, 420, 415] {
        assert_eq!(first("INVITE", URI, &fields), expected);
        fields.pop();
    }
    assert_eq!(
        first("INVITE", URI, &[fields[0], "Content-Type: text/plain"]),
        406
    );
}

#[test]
fn a_rejection_becomes_a_response_with_its_header_fields() {
    let request = request("MESSAGE", URI, &["Require: a"], "");
    let rejection = inspect(&request, &supported(Role::UserAgent)).unwrap_err();
    let response = rejection.response(&request, "b1");
    assert_eq!(
        (response.status().code(), response.reason()),
        (420, "Bad Extension")
    );
    assert_eq!(response.headers().get("Unsupported"), Some("a"));
    assert_eq!(response.headers().to().tag(), Some("b1"));
    assert_eq!(response.headers().call_id(), request.headers().call_id());
}
