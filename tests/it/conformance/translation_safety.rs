//! Hostile words in a message, both ways: a strict reader of others on the far side (rsip, rxml) finds exactly the header
//! fields and elements that were meant, and none more. RFC 3261 §7.3.1, RFC 6120 §11.
//!
//! The seed is fixed. `TRANSLATIONS=500000` says how many messages go each way; it is few by default.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests, and what only tests use"
)]

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rsip::prelude::HasHeaders as _;
use rxml::error::EndOrError;
use rxml::{Event, Parse as _};
use vestibule::interwork::address::{Party, Sips};
use vestibule::interwork::message::{
    Hop, Im, ImKind, Language, Seed, Sending, Threading, from_sip, from_xmpp, to_sip, to_xmpp,
};
use vestibule::interwork::profile::{PeerKind, Profile};
use vestibule::limits::{GatewayLimits, SipLimits};
use vestibule::sip::{self, Date, Host, Message, Request, Scheme, Transport};
use vestibule::xml;
use vestibule::xml::Element;
use vestibule::xmpp::{Jid, Stanza, ns};

/// Words made of what breaks lines, quotes, elements and sentences.
fn hostile() -> impl Strategy<Value = String> {
    const PIECES: [&str; 34] = [
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "\0",
        "%0d%0a",
        "%00",
        "\"",
        "'",
        "\\",
        "\\\"",
        "<",
        ">",
        "<>",
        ";tag=x",
        ",",
        "&",
        "&lt;",
        "&#10;",
        "]]>",
        "<![CDATA[",
        "</body>",
        "</message></stream:stream>",
        "<x xmlns='urn:x'/>",
        "\r\nVia: SIP/2.0/TLS evil.example;branch=z9hG4bKx",
        "\nContent-Length: 0\n\n",
        "INVITE sip:x@evil.example SIP/2.0\r\n",
        "\u{80}\u{85}\u{9F}",
        "\u{2028}\u{2029}",
        "\u{202A}\u{202B}\u{202D}\u{202E}",
        "\u{2066}\u{2067}\u{2068}\u{2069}\u{202C}",
        "\u{FEFF}\u{FFFE}\u{FFFF}",
        "\u{1F469}\u{200D}\u{10FFFF}",
        "ÿü漢",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => "[\x00-\x1F\x7F-\u{9F}]",
        2 => "[ -~]{1,6}",
        1 => "\\PC{1,4}",
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn run<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let cases = std::env::var("TRANSLATIONS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(300);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[75; 32]);
    TestRunner::new_with_rng(config, rng)
        .run(strategy, test)
        .unwrap_or_else(|error| panic!("{error}"));
}

fn turns_or_breaks(c: char) -> bool {
    c.is_control() && c != '\t' || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn party(jid: &str) -> Party {
    Party::from_jid(&Jid::parse(jid).unwrap(), Scheme::Sip).unwrap()
}

fn sent(im: &Im) -> (Request, Vec<u8>) {
    let hop = Hop::new(Transport::Tls, Host::parse("edge.example.com").unwrap(), None);
    let profile = Profile::new(PeerKind::Simple, &GatewayLimits::default()).with_message_bytes(65_536);
    let sending = Sending {
        hop: &hop,
        seed: &Seed::new(&[7; 32]),
        threading: Threading::Keep,
        profile: &profile,
    };
    let request = to_sip(im, &sending).unwrap();
    let mut octets = Vec::new();
    sip::write::request(&request, &mut octets);
    (request, octets)
}

/// The names of the header fields by the word of another reader, and the body.
fn by_rsip(octets: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
    let rsip::SipMessage::Request(request) = rsip::SipMessage::try_from(octets).expect("rsip reads it")
    else {
        panic!("no request");
    };
    assert_eq!(request.method, rsip::Method::Message);
    let headers = request
        .headers()
        .iter()
        .map(|header| {
            let line = header.to_string();
            let (name, value) = line.split_once(':').expect("a name");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        })
        .collect();
    (headers, request.body)
}

/// Depth, name with namespace, attributes, text.
type Found = (usize, String, Vec<(String, String)>, String);

/// The elements by the word of another reader: names with namespaces in their order, attributes, and text.
fn by_rxml(octets: &[u8]) -> Vec<Found> {
    let mut parser = rxml::Parser::default();
    let mut rest = octets;
    let mut found: Vec<Found> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    loop {
        let event = match parser.parse(&mut rest, true) {
            Ok(Some(event)) => event,
            Ok(None) | Err(EndOrError::NeedMoreData) => break,
            Err(EndOrError::Error(error)) => panic!("rxml: {error}: {}", octets.escape_ascii()),
        };
        match event {
            Event::StartElement(_, (namespace, name), attributes) => {
                let attributes = attributes
                    .iter()
                    .map(|((_, name), value)| (name.to_string(), value.clone()))
                    .collect();
                open.push(found.len());
                found.push((
                    open.len(),
                    format!("{}|{name}", namespace.as_str()),
                    attributes,
                    String::new(),
                ));
            }
            Event::EndElement(_) => {
                open.pop();
            }
            Event::Text(_, text) => {
                if let Some(last) = open.last().and_then(|at| found.get_mut(*at)) {
                    last.3.push_str(&text);
                }
            }
            Event::XmlDeclaration(..) => {}
        }
    }
    assert!(rest.is_empty() && open.is_empty());
    found
}

#[test]
fn from_xmpp_to_sip_only_what_was_meant_is_read() {
    let strategy = (hostile(), hostile(), hostile(), hostile(), hostile());
    run(&strategy, |(body, subject, thread, id, language)| {
        let mut stanza = Stanza::new(
            vestibule::xmpp::stanza::Kind::Message(vestibule::xmpp::stanza::MessageType::Chat),
            Jid::parse("a@a.example/r").unwrap(),
            Jid::parse("b@b.example").unwrap(),
        )
        .with_id(&id);
        stanza.default_language(&language);
        for (name, text) in [("body", &body), ("subject", &subject), ("thread", &thread)] {
            stanza.push(Element::new(name, ns::STANZA).with_text(text));
        }
        stanza.push(Element::new("nick", "http://jabber.org/protocol/nick").with_text(&subject));
        let Ok(im) = from_xmpp(&stanza, Scheme::Sip) else {
            prop_assert!(body.is_empty(), "{body:?}");
            return Ok(());
        };
        let (request, octets) = sent(&im);
        let (headers, read) = by_rsip(&octets);
        let mut names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let mut expected = vec![
            "call-id",
            "content-length",
            "content-type",
            "cseq",
            "from",
            "max-forwards",
            "to",
            "via",
        ];
        expected.extend((!im.subjects().is_empty()).then_some("subject"));
        expected.extend(im.language().map(|_| "content-language"));
        expected.sort_unstable();
        prop_assert_eq!(names, expected, "{}", octets.escape_ascii());
        prop_assert_eq!(&read, &request.body().to_vec());
        let value = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        prop_assert_eq!(value("content-length"), Some(request.body().len().to_string()));
        prop_assert_eq!(
            value("from").unwrap().split(";tag=").next().unwrap().to_owned(),
            "<sip:a@a.example;gr=r>"
        );
        prop_assert_eq!(value("to").unwrap(), "<sip:b@b.example>");
        if let Some(subject) = value("subject") {
            prop_assert!(!subject.chars().any(turns_or_breaks), "{:?}", subject);
        }
        let text = String::from_utf8(read).unwrap().replace("\r\n", "\n");
        prop_assert_eq!(text.as_str(), im.bodies().first().unwrap().as_str());
        Ok(())
    });
}

#[test]
fn from_sip_to_xmpp_only_what_was_meant_is_read() {
    let kinds = proptest::sample::select(
        &[
            "text/plain",
            "text/html",
            "message/cpim",
            "text/rtf",
            "multipart/alternative;boundary=b",
        ][..],
    );
    let strategy = (hostile(), hostile(), hostile(), hostile(), kinds);
    run(&strategy, |(body, subject, call, display, kind)| {
        // What our own reader of SIP refuses goes nowhere; what can stand in a line is put there.
        let line = |text: &str| text.replace(['\r', '\n', '\0'], " ");
        let body = match kind {
            "message/cpim" => format!(
                "From: {}\r\n\r\nContent-Type: text/plain\r\n\r\n{body}",
                line(&display)
            ),
            "text/rtf" => format!("{{\\rtf1 {body}}}"),
            "multipart/alternative;boundary=b" => {
                format!("--b\r\n\r\n{body}\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>{body}</b>\r\n--b--")
            }
            _ => body,
        };
        let display = line(&display).replace('\\', "\\\\").replace('"', "\\\"");
        let call: String = call.chars().filter(char::is_ascii_graphic).collect();
        let text = format!(
            "MESSAGE sip:b@b.example SIP/2.0\r\nVia: SIP/2.0/TLS x.example;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: \"{display}\" <sip:a@a.example>;tag=1\r\nTo: <sip:b@b.example>\r\nCall-ID: {call}x\r\nCSeq: 1 MESSAGE\r\n\
             Subject: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            line(&subject),
            body.len(),
        );
        let Ok(Message::Request(request)) = sip::parse::message(text.as_bytes(), &SipLimits::default())
        else {
            return Ok(());
        };
        let now = Date::from_unix_seconds(1_700_000_000).unwrap();
        let Ok(im) = from_sip(&request, now, Sips::Refuse) else {
            return Ok(());
        };
        let octets = xml::write::document(to_xmpp(&im).element());
        let found = by_rxml(&octets);
        let mut expected = vec!["jabber:server|message".to_owned()];
        expected.extend((!im.subjects().is_empty()).then(|| "jabber:server|subject".to_owned()));
        expected.push("jabber:server|body".to_owned());
        expected.push("jabber:server|thread".to_owned());
        let (rich, plain): (Vec<_>, Vec<_>) = found.iter().partition(|(_, name, ..)| name.contains("xhtml"));
        let names: Vec<_> = plain.iter().map(|(_, name, ..)| name.clone()).collect();
        prop_assert_eq!(names, expected, "{}", octets.escape_ascii());
        prop_assert_eq!(rich.is_empty(), im.rich().is_none());
        prop_assert!(
            plain
                .iter()
                .all(|(depth, name, ..)| (*depth == 1) == name.ends_with("|message"))
        );
        let attributes = &found.first().unwrap().2;
        let mut names: Vec<_> = attributes.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        prop_assert_eq!(names, ["from", "id", "to"]);
        prop_assert!(attributes.contains(&("from".to_owned(), "a@a.example".to_owned())));
        prop_assert!(
            rich.iter()
                .all(|(_, _, attributes, _)| attributes.iter().all(|(name, _)| name == "href"))
        );
        let text = |wanted: &str| {
            plain
                .iter()
                .find(|(_, name, ..)| name.ends_with(wanted))
                .map(|found| found.3.clone())
        };
        prop_assert_eq!(text("|body").unwrap(), im.bodies().first().unwrap().as_str());
        if let Some(subject) = text("|subject") {
            prop_assert!(!subject.chars().any(turns_or_breaks), "{:?}", subject);
        }
        Ok(())
    });
}

#[test]
fn the_second_readers_see_what_is_planted() {
    let im = Im::new(party("a@a.example"), party("b@b.example"), "x")
        .with_kind(ImKind::Chat)
        .with_language(Language::parse("en"));
    let (_, octets) = sent(&im);
    let planted = String::from_utf8(octets)
        .unwrap()
        .replace("\r\nCSeq", "\r\nX-Planted: 1\r\nCSeq");
    let (headers, _) = by_rsip(planted.as_bytes());
    assert!(headers.iter().any(|(name, _)| name == "x-planted"));
    let octets = xml::write::document(to_xmpp(&im).element());
    let planted = String::from_utf8(octets)
        .unwrap()
        .replace("</body>", "</body><planted/>");
    assert!(
        by_rxml(planted.as_bytes())
            .iter()
            .any(|(_, name, ..)| name.ends_with("|planted"))
    );
}
