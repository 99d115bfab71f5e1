//! Our reader against `rsip`, for messages inside the dialect that both understand (docs/decisions/0001): long names,
//! no folding, one Via a field, IPv4 or names, a quoted display name or none.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests, and what only tests use"
)]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rsip::headers::ToTypedHeader;
use rsip::prelude::{HasHeaders, HeadersExt, UntypedHeader};
use vestibule::limits::SipLimits;
use vestibule::sip::{self, Message, NameAddr};

/// What both must agree on.
#[derive(Debug, Default, PartialEq)]
struct Facts {
    method: String,
    uri: String,
    status: u16,
    from: Party,
    to: Party,
    call_id: String,
    sequence: (u32, String),
    max_forwards: u32,
    vias: Vec<(String, String, Option<String>)>,
    subject: Option<String>,
    body: Vec<u8>,
}

#[derive(Debug, Default, PartialEq)]
struct Party {
    display: Option<String>,
    uri: String,
    tag: Option<String>,
}

fn ours(bytes: &[u8]) -> Facts {
    let message = sip::parse::message(bytes, &SipLimits::default()).expect("valid");
    let headers = message.headers();
    let party = |address: &NameAddr| Party {
        display: address.display().map(str::to_owned),
        uri: address.uri().to_string(),
        tag: address.tag().map(str::to_owned),
    };
    let mut facts = Facts {
        from: party(headers.from()),
        to: party(headers.to()),
        call_id: headers.call_id().to_string(),
        sequence: (headers.cseq().number(), headers.cseq().method().to_string()),
        max_forwards: headers.max_forwards().map_or(0, u32::from),
        subject: headers.get("Subject").map(str::to_owned),
        body: message.body().to_vec(),
        ..Facts::default()
    };
    for via in headers.vias() {
        let port = via.port().map(|port| format!(":{port}")).unwrap_or_default();
        facts.vias.push((
            via.transport().as_str().to_owned(),
            format!("{}{port}", via.host()),
            via.branch().map(str::to_owned),
        ));
    }
    match &message {
        Message::Request(request) => {
            facts.method = request.method().to_string();
            facts.uri = request.uri().to_string();
        }
        Message::Response(response) => facts.status = response.status().code(),
    }
    facts
}

fn theirs(bytes: &[u8]) -> Facts {
    let message = rsip::SipMessage::try_from(bytes).expect("within the dialect");
    let tag = |params: &[rsip::Param]| {
        params.iter().find_map(|param| match param {
            rsip::Param::Tag(tag) => Some(tag.value().to_owned()),
            _ => None,
        })
    };
    let from = message.from_header().unwrap().typed().unwrap();
    let to = message.to_header().unwrap().typed().unwrap();
    let cseq = message.cseq_header().unwrap().typed().unwrap();
    let mut facts = Facts {
        from: Party {
            display: from.display_name.as_deref().map(unquoted),
            uri: from.uri.to_string(),
            tag: tag(&from.params),
        },
        to: Party {
            display: to.display_name.as_deref().map(unquoted),
            uri: to.uri.to_string(),
            tag: tag(&to.params),
        },
        call_id: message.call_id_header().unwrap().value().to_owned(),
        sequence: (cseq.seq, cseq.method.to_string()),
        max_forwards: message.max_forwards_header().unwrap().num().unwrap(),
        body: message.body().clone(),
        ..Facts::default()
    };
    for header in message.headers().iter() {
        match header {
            rsip::Header::Via(via) => {
                let via = via.typed().unwrap();
                facts.vias.push((
                    via.transport.to_string(),
                    via.uri.host_with_port.to_string(),
                    via.branch().map(|branch| branch.value().to_owned()),
                ));
            }
            rsip::Header::Subject(subject) => facts.subject = Some(subject.value().to_owned()),
            _ => {}
        }
    }
    match &message {
        rsip::SipMessage::Request(request) => {
            facts.method = request.method().to_string();
            facts.uri = request.uri().to_string();
        }
        rsip::SipMessage::Response(response) => facts.status = response.status_code().code(),
    }
    facts
}

/// rsip gives the quotes with the display name.
fn unquoted(display: &str) -> String {
    display.trim_matches('"').to_owned()
}

fn host() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z][a-z0-9]{0,5}(\\.[a-z][a-z0-9]{0,4}){1,2}",
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
    ]
    .boxed()
}

fn uri() -> BoxedStrategy<String> {
    let port = option::of(1_u16..).prop_map(|port| port.map(|port| format!(":{port}")).unwrap_or_default());
    let params = select(vec!["", ";transport=TCP", ";lr", ";user=phone;x=y"]);
    let scheme = select(vec!["sip", "sips"]);
    (scheme, "[a-z0-9._+-]{1,8}", host(), port, params)
        .prop_map(|(scheme, user, host, port, params)| format!("{scheme}:{user}@{host}{port}{params}"))
        .boxed()
}

fn party() -> BoxedStrategy<String> {
    let display = option::of("[A-Za-z][A-Za-z0-9 .,;@-]{0,10}[a-z]")
        .prop_map(|display| display.map(|text| format!("\"{text}\" ")).unwrap_or_default());
    let tag =
        option::of("[a-z0-9]{1,10}").prop_map(|tag| tag.map(|tag| format!(";tag={tag}")).unwrap_or_default());
    (display, uri(), tag)
        .prop_map(|(display, uri, tag)| format!("{display}<{uri}>{tag}"))
        .boxed()
}

fn via() -> BoxedStrategy<String> {
    let transport = select(vec!["UDP", "TCP", "TLS"]);
    (transport, host(), 1_u16.., "[A-Za-z0-9.]{1,12}")
        .prop_map(|(transport, host, port, branch)| {
            format!("SIP/2.0/{transport} {host}:{port};branch=z9hG4bK{branch}")
        })
        .boxed()
}

fn message() -> BoxedStrategy<Vec<u8>> {
    let method = select(vec![
        "MESSAGE",
        "INVITE",
        "BYE",
        "OPTIONS",
        "SUBSCRIBE",
        "NOTIFY",
        "UPDATE",
        "PRACK",
    ]);
    let start = prop_oneof![
        3 => uri().prop_map(|uri| format!("%M {uri} SIP/2.0")),
        1 => select(vec!["100 Trying", "200 OK", "404 Not Found", "503 Service Unavailable"])
            .prop_map(|status| format!("SIP/2.0 {status}")),
    ];
    let ids = ("[a-z0-9-]{1,12}(@[a-z]{1,6})?", 0_u32..1 << 31, 0_u8..=255);
    let subject = option::of("[A-Za-z][ -~]{0,16}[a-z]");
    let body = vec(any::<u8>(), 0..64);
    (method, start, vec(via(), 1..4), party(), party(), ids, subject, body)
        .prop_map(|(method, start, vias, from, to, (call_id, number, hops), subject, body)| {
            let vias: String = vias.iter().map(|via| format!("Via: {via}\r\n")).collect();
            let subject = subject.map(|text| format!("Subject: {text}\r\n")).unwrap_or_default();
            let head = format!(
                "{start}\r\n{vias}Max-Forwards: {hops}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
                 CSeq: {number} %M\r\n{subject}Content-Length: {}\r\n\r\n",
                body.len()
            );
            [head.replace("%M", method).into_bytes(), body].concat()
        })
        .boxed()
}

proptest! {
    #[test]
    fn both_readers_find_the_same_facts(bytes in message()) {
        prop_assert_eq!(ours(&bytes), theirs(&bytes), "{}", bytes.escape_ascii());
    }
}

/// Differences that are known and wanted: each is a reason of docs/decisions/0001.
#[test]
fn where_the_oracle_is_wrong_we_are_not() {
    use vestibule::sip::Uri;
    let host = |text: &str| {
        Uri::parse(text)
            .ok()
            .and_then(|uri| uri.sip().map(|uri| uri.host().to_string()))
    };
    let oracle = |text: &str| {
        rsip::Uri::try_from(text)
            .map(|uri| uri.host_with_port.to_string())
            .ok()
    };
    for (text, ours) in [
        ("sip:a@[2001:db8::1]", Some("[2001:db8::1]")),
        ("im:a@example.com", None),
        ("sip:a@example.com?x=y", Some("example.com")),
        ("<sip:a@example.com", None),
    ] {
        assert_eq!(host(text).as_deref(), ours, "{text:?}");
        assert_ne!(oracle(text).as_deref(), ours, "{text:?}");
    }
}
