#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::interwork::address::{AddressError, Sips};
use crate::interwork::error;
use crate::interwork::profile::{PeerKind, Profile};
use crate::limits::{FOREIGN_ID_BYTES, GatewayLimits, SipLimits, XmlLimits};
use crate::refusal::Refuse;
use crate::sip::{Host, Message, Request, Scheme, Transport, parse, write};
use crate::xml;
use crate::xmpp::stanza::{Kind, MessageType, PresenceType};
use crate::xmpp::{Jid, Stanza, ns};

const NOW: i64 = 1_700_000_000;

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn party(text: &str) -> Party {
    Party::from_jid(&jid(text), Scheme::Sip).unwrap()
}

fn date(seconds: i64) -> Date {
    Date::from_unix_seconds(seconds).unwrap()
}

fn request(extra: &str, body: &[u8]) -> Request {
    let mut text = format!(
        "MESSAGE sip:juliet@example.com SIP/2.0\r\n\
         Via: SIP/2.0/TCP s2x.example.net;branch=z9hG4bKeskdgs677\r\n\
         Max-Forwards: 70\r\nTo: sip:juliet@example.com\r\n\
         From: <sip:romeo@example.net;gr=dr4hcr0st3lup4c>;tag=vwxyz\r\n\
         Call-ID: 9E97FB43-85F4-4A00-8751-1124FD4C7B2E\r\nCSeq: 1 MESSAGE\r\n\
         {extra}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    text.extend_from_slice(body);
    read(&text)
}

fn read(text: &[u8]) -> Request {
    match parse::message(text, &SipLimits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn s2x(request: &Request) -> Result<Im, MessageError> {
    from_sip(request, date(NOW), Sips::Refuse)
}

fn plain(body: &[u8]) -> Result<Im, MessageError> {
    s2x(&request("Content-Type: text/plain\r\n", body))
}

fn profile() -> Profile {
    Profile::new(PeerKind::Simple, &GatewayLimits::default())
}

fn x2s_by(im: &Im, threading: Threading, profile: &Profile) -> Result<Request, MessageError> {
    let hop = Hop::new(
        Transport::Tls,
        Host::parse("edge.example.com").unwrap(),
        Some(5061),
    );
    let seed = Seed::new(&[7; 32]);
    to_sip(
        im,
        &Sending {
            hop: &hop,
            seed: &seed,
            threading,
            profile,
        },
    )
}

fn x2s(im: &Im) -> Result<Request, MessageError> {
    x2s_by(im, Threading::Keep, &profile())
}

fn written(request: &Request) -> Vec<u8> {
    let mut out = Vec::new();
    write::request(request, &mut out);
    out
}

fn stanza(xml: &str) -> Stanza {
    let element = xml::document(xml.as_bytes(), &XmlLimits::default()).unwrap();
    Stanza::from_element(element, ns::SERVER).unwrap()
}

fn message(attributes: &str, children: &str) -> Stanza {
    stanza(&format!(
        "<message xmlns='jabber:server' from='juliet@example.com/balcony' to='romeo@example.net' {attributes}>\
         {children}</message>"
    ))
}

#[test]
fn a_request_becomes_a_message_without_type() {
    let request = request(
        "Content-Type: text/plain\r\nSubject: Names\r\nContent-Language: cs, en\r\n",
        "Nic z obého".as_bytes(),
    );
    let im = s2x(&request).unwrap();
    let stanza = to_xmpp(&im);
    assert_eq!(stanza.kind(), Kind::Message(MessageType::Normal));
    assert_eq!(stanza.element().attribute("type"), None);
    assert_eq!(stanza.from(), &jid("romeo@example.net/dr4hcr0st3lup4c"));
    assert_eq!(stanza.to(), &jid("juliet@example.com"));
    assert_eq!(stanza.id(), Some("z9hG4bKeskdgs677"));
    assert_eq!(stanza.element().attribute("xml:lang"), Some("cs"));
    assert_eq!(
        stanza.child_text("thread").as_deref(),
        Some("9E97FB43-85F4-4A00-8751-1124FD4C7B2E")
    );
    assert_eq!(stanza.child_text("subject").as_deref(), Some("Names"));
    assert_eq!(stanza.child_text("body").as_deref(), Some("Nic z obého"));
}

#[test]
fn a_message_becomes_a_request() {
    let im = from_xmpp(
        &message(
            "id='m1' xml:lang='en' type='chat'",
            "<thread>t-1@x</thread><subject>Night</subject><body>Art thou\nRomeo?</body>",
        ),
        Scheme::Sip,
    )
    .unwrap();
    assert_eq!(im.kind(), ImKind::Chat);
    let request = read(&written(&x2s(&im).unwrap()));
    let headers = request.headers();
    assert_eq!(request.method(), &crate::sip::Method::Message);
    assert_eq!(request.uri().to_string(), "sip:romeo@example.net");
    assert_eq!(headers.to().uri(), request.uri());
    assert_eq!(headers.to().tag(), None);
    assert_eq!(
        headers.from().uri().to_string(),
        "sip:juliet@example.com;gr=balcony"
    );
    assert!(headers.from().tag().is_some_and(|tag| tag.len() == 16));
    assert_eq!(headers.call_id().as_str(), "t-1@x");
    assert_eq!(headers.cseq().to_string(), "1 MESSAGE");
    assert_eq!(headers.max_forwards(), Some(70));
    assert!(
        headers
            .top_via()
            .branch()
            .is_some_and(|branch| branch.starts_with("z9hG4bK") && branch.len() == 39)
    );
    assert_eq!(
        headers.content_type().map(ToString::to_string).as_deref(),
        Some("text/plain;charset=UTF-8")
    );
    assert_eq!(headers.get("Content-Language"), Some("en"));
    assert_eq!(headers.get("Subject"), Some("Night"));
    assert!(headers.contact().addresses().is_empty());
    assert_eq!(request.body().as_ref(), b"Art thou\r\nRomeo?");
}

#[test]
fn identifiers_follow_the_seed_and_never_the_peer() {
    let im = |thread: &str| {
        Im::new(party("a@a.example"), party("b@b.example"), "x")
            .with_id("m1")
            .with_thread(thread)
    };
    let call = |im: &Im, threading| {
        x2s_by(im, threading, &profile())
            .unwrap()
            .headers()
            .call_id()
            .as_str()
            .to_owned()
    };
    let fresh = call(&im("t1"), Threading::Hide);
    assert_eq!(fresh.len(), 32);
    assert_eq!(call(&im("t1"), Threading::Keep), "t1");
    for illegal in [
        "",
        "two words",
        "a;b",
        "ä",
        "a\r\nVia: x",
        "a@b@c",
        &"x".repeat(129),
    ] {
        assert_eq!(call(&im(illegal), Threading::Keep), fresh, "{illegal:?}");
    }
    let one = x2s(&im("t1")).unwrap();
    assert_eq!(one, x2s(&im("t1")).unwrap(), "a second try is the same request");
    let other = x2s(&im("t1").with_id("m2")).unwrap();
    assert_ne!(
        one.headers().top_via().branch(),
        other.headers().top_via().branch()
    );
    assert_ne!(one.headers().from().tag(), other.headers().from().tag());
}

#[test]
fn bodies_are_read_by_their_type_and_character_set() {
    use MessageError as E;
    let of_parts = |parts: &[&str]| {
        let parts: String = parts
            .iter()
            .map(|part| format!("--b\r\nContent-Type: {part}\r\n"))
            .collect();
        format!("{parts}--b--\r\n").into_bytes()
    };
    let cpim = "From: MR SANDERS <im:p@example.com>\r\nTo: x <im:y@example.com>\r\n\r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\nContent-ID: <1@x>\r\n\r\n";
    let with = |tail: &[u8]| [cpim.as_bytes(), tail].concat();
    for (kind, body, outcome) in [
        ("text/plain", "ü".as_bytes(), Ok("ü")),
        ("Text/Plain ; Charset=\"utf-8\"", "\u{FEFF}ü".as_bytes(), Ok("ü")),
        ("text/plain;charset=US-ASCII", b"u", Ok("u")),
        ("text/plain;charset=ISO-8859-1", b"\xFC\xA4", Ok("ü¤")),
        ("text/plain", b"a\r\nb\rc\nd", Ok("a\nb\nc\nd")),
        ("text/plain", b"\xFF", Err(E::Garbled)),
        ("text/plain;charset=US-ASCII", b"\xFC", Err(E::Garbled)),
        ("text/plain;charset=utf-16", b"u\0", Err(E::Charset)),
        ("text/plain;charset=windows-1252", b"u", Err(E::Charset)),
        ("text/html", b"<p>a</p>&lt;b&gt;", Ok("a\n<b>")),
        ("text/html;charset=iso-8859-1", b"<b>\xFC</b>", Ok("ü")),
        ("text/html", b"<script>x</script>", Err(E::Empty)),
        ("message/cpim", &with(b"\xFC"), Ok("ü")),
        ("message/cpim", b"From: x\n\n\nhello", Ok("hello")),
        (
            "message/cpim",
            b"From: x\r\n\r\nContent-Type: image/png\r\n\r\nx",
            Err(E::MediaType),
        ),
        (
            "message/cpim",
            b"From: x\r\n\r\nContent-Type: message/cpim\r\n\r\nx",
            Err(E::MediaType),
        ),
        (
            "message/cpim",
            b"From: x\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\naGVs\r\nbG8=\r\n",
            Ok("hello"),
        ),
        (
            "message/cpim",
            b"From: x\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\nx",
            Err(E::Garbled),
        ),
        (
            "message/cpim",
            b"From: x\r\n\r\nContent-Transfer-Encoding: uuencode\r\n\r\nx",
            Err(E::Encoding),
        ),
        (
            "message/cpim",
            b"From: x\r\n\r\nnonsense\r\n\r\nx",
            Err(E::Garbled),
        ),
        (
            "message/cpim",
            b"From: x\r\n\r\nContent-Type: text/plain",
            Err(E::Garbled),
        ),
        ("message/cpim", b"hello", Err(E::Garbled)),
        (
            "multipart/alternative;boundary=b",
            &of_parts(&["text/html\r\n\r\n<b>h</b>", "text/plain\r\n\r\np"]),
            Ok("p"),
        ),
        (
            "multipart/alternative;boundary=\"b\"",
            &of_parts(&["image/gif\r\n\r\nx", "text/html\r\n\r\n<b>h</b>"]),
            Ok("h"),
        ),
        (
            "multipart/alternative;boundary=b",
            &of_parts(&[
                "text/plain\r\nContent-Transfer-Encoding: x\r\n\r\np",
                "text/html\r\n\r\nh",
            ]),
            Ok("h"),
        ),
        (
            "multipart/alternative;boundary=b",
            &of_parts(&["text/plain\r\n\r\n  ", "text/html\r\n\r\nh"]),
            Ok("h"),
        ),
        (
            "multipart/alternative;boundary=b",
            &of_parts(&["text/plain; charset=utf-16\r\n\r\np"]),
            Err(E::Charset),
        ),
        (
            "multipart/alternative;boundary=b",
            &of_parts(&["image/gif\r\n\r\nx"]),
            Err(E::MediaType),
        ),
        // what stands before and after the parts, and boundaries that are longer words, are passed over
        (
            "multipart/alternative;boundary=b",
            b"for old readers\r\n--b \r\n\r\na --b\r\n--bc\r\n--b--\r\nmore\r\n--b--",
            Ok("a --b\n--bc"),
        ),
        ("multipart/alternative;boundary=b", b"--b\n\np\n--b--", Ok("p")),
        // no part of parts is read, nor a wrapper in a part
        (
            "multipart/alternative;boundary=b",
            &of_parts(&["multipart/alternative;boundary=c\r\n\r\n--c\r\n\r\np\r\n--c--"]),
            Err(E::MediaType),
        ),
        (
            "multipart/alternative;boundary=b",
            &of_parts(&["message/cpim\r\n\r\nFrom: x\r\n\r\n\r\np"]),
            Err(E::MediaType),
        ),
        (
            "multipart/alternative;boundary=b",
            &of_parts(&["text/plain\r\n\r\np"; 16]),
            Ok("p"),
        ),
        (
            "multipart/alternative;boundary=b",
            &of_parts(&["text/plain\r\n\r\np"; 17]),
            Err(E::Garbled),
        ),
        (
            "multipart/alternative;boundary=b",
            b"--b\r\n\r\nnever closed",
            Err(E::Garbled),
        ),
        ("multipart/alternative;boundary=b", b"--b--", Err(E::Garbled)),
        (
            "multipart/alternative;boundary=b",
            b"--b\r\nno header\r\n\r\nx\r\n--b--",
            Err(E::Garbled),
        ),
        ("multipart/alternative", b"--\r\n\r\np\r\n----", Err(E::Garbled)),
        (
            "message/cpim",
            &[
                b"From: x\r\n\r\nContent-Type: multipart/alternative;boundary=b\r\n\r\n",
                of_parts(&["text/plain\r\n\r\np"]).as_slice(),
            ]
            .concat(),
            Ok("p"),
        ),
        ("image/png", b"x", Err(E::MediaType)),
        ("multipart/mixed;boundary=x", b"x", Err(E::MediaType)),
        ("application/im-iscomposing+xml", b"<x/>", Err(E::MediaType)),
        ("text/plain", b"", Err(E::Empty)),
        ("text/plain", b" \r\n\t", Err(E::Empty)),
    ] {
        let read = s2x(&request(&format!("Content-Type: {kind}\r\n"), body));
        let text = read.as_ref().map(|im| im.bodies()[0].as_str()).map_err(|e| *e);
        assert_eq!(text, outcome, "{kind} {:?}", String::from_utf8(body.to_vec()));
    }
    assert_eq!(s2x(&request("", b"x")), Err(E::MediaType));
    assert_eq!(
        s2x(&request(
            "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n",
            b"x"
        )),
        Err(E::Encoding)
    );
    assert!(
        s2x(&request(
            "Content-Type: text/plain\r\nContent-Encoding: identity\r\n",
            b"x"
        ))
        .is_ok()
    );
}

#[test]
fn markup_goes_beside_the_text_and_never_says_anything_else() {
    let rich = |kind: &str, body: &str| {
        let im = s2x(&request(&format!("Content-Type: {kind}\r\n"), body.as_bytes())).unwrap();
        let stanza = to_xmpp(&im);
        let html = stanza
            .child("html", "http://jabber.org/protocol/xhtml-im")
            .map(|html| {
                let mut octets = Vec::new();
                xml::write::element(html, "http://www.w3.org/1999/xhtml", &[], &mut octets);
                String::from_utf8(octets).unwrap()
            });
        assert_eq!(
            stanza
                .element()
                .children()
                .filter(|child| child.name() == "body")
                .count(),
            1
        );
        (stanza.child_text("body").unwrap(), html)
    };
    let alternative = |parts: &[(&str, &str)]| {
        let parts: String = parts
            .iter()
            .map(|(kind, body)| format!("--b\r\nContent-Type: {kind}\r\n\r\n{body}\r\n"))
            .collect();
        format!("{parts}--b--")
    };
    let bold = "<html><body><strong>no</strong> way</body></html>";
    let both = |html: &str| alternative(&[("text/plain", "no way"), ("text/html", html)]);
    let of = "multipart/alternative;boundary=b";
    let (text, html) = rich("text/html", "<b>no</b> way");
    assert_eq!(
        (text.as_str(), html.as_deref().map(dense)),
        ("no way", Some(bold.to_owned()))
    );
    assert_eq!(rich(of, &both("<b>no</b>\r\nway")), (text.clone(), html));
    assert_eq!(rich("text/html", "no way"), (text.clone(), None));
    assert_eq!(rich("text/plain", "<b>no</b> way").1, None);
    // markup that says something else
    assert_eq!(rich(of, &both("<b>yes</b> way")), (text.clone(), None));
    assert_eq!(rich(of, &both("<script>x</script>")), (text, None));
    // text/rtf
    let rtf = r"{\rtf1\ansi{\fonttbl x;}\b gr\'fc\'dfe\b0\par romeo}";
    assert_eq!(rich("text/rtf", rtf), ("grüße\nromeo".to_owned(), None));
    assert_eq!(
        rich(of, &alternative(&[("text/rtf", rtf)])),
        ("grüße\nromeo".to_owned(), None)
    );
    assert_eq!(
        s2x(&request("Content-Type: text/rtf\r\n", b"grr")),
        Err(MessageError::Garbled)
    );
    // what is rich comes from SIP only: XHTML-IM of XMPP is not looked at
    let from_xmpp = from_xmpp(
        &message(
            "",
            "<body>x</body><html xmlns='http://jabber.org/protocol/xhtml-im'/>",
        ),
        Scheme::Sip,
    );
    assert_eq!(from_xmpp.unwrap().rich(), None);
}

/// XML without declarations of namespaces, whose place is the writer's.
fn dense(xml: &str) -> String {
    let mut out = String::new();
    for (number, piece) in xml.split(" xmlns='").enumerate() {
        out.push_str(if number == 0 {
            piece
        } else {
            piece.split_once('\'').unwrap().1
        });
    }
    out
}

#[test]
fn what_turns_the_direction_of_text_stays_in_its_line_and_out_of_subjects() {
    let im = Im::new(party("a@a.example"), party("b@b.example"), "a\u{202E}b\nc")
        .with_subject("Re\u{202E}gnp.exe\u{2066}")
        .with_thread("t\u{2067}1")
        .with_id("i\u{202A}1");
    assert_eq!(im.bodies()[0].as_str(), "a\u{202E}b\u{202C}\nc");
    assert_eq!(im.subjects()[0].as_str(), "Regnp.exe");
    assert_eq!((im.thread(), im.id()), (Some("t1"), Some("i1")));
    let refused = error::LocalFailure::NoAnswer.sip_error("Not\u{202E} delivered\r\nVia: x");
    assert_eq!(
        refused.reason(),
        "Not delivered  Via: x: the server did not answer"
    );
}

#[test]
fn a_conversation_knows_who_speaks() {
    let request = request("Content-Type: text/html\r\nSubject: s\r\n", b"<b>x</b>");
    let (from, to) = (party("r@a.example"), party("j@b.example/x"));
    let im = from_session(&request, from.clone(), to.clone(), date(NOW)).unwrap();
    assert_eq!(
        (im.from(), im.to(), im.kind(), im.id()),
        (&from, &to, ImKind::Chat, None)
    );
    assert_eq!(im.bodies()[0].as_str(), "x");
    assert!(im.rich().is_some());
    assert_eq!(
        parties(&request, Sips::Refuse).unwrap().1.jid(),
        &jid("juliet@example.com")
    );
    let said = say(&im, request).unwrap();
    assert_eq!(said.body().as_ref(), b"x");
}

#[test]
fn a_message_that_is_too_long_goes_in_parts_where_the_profile_says_so() {
    use crate::interwork::profile::Oversize;
    let hop = Hop::new(
        Transport::Tls,
        Host::parse("edge.example.com").unwrap(),
        Some(5061),
    );
    let seed = Seed::new(&[7; 32]);
    let parts = |im: &Im, profile: &Profile| {
        let sending = Sending {
            hop: &hop,
            seed: &seed,
            threading: Threading::Keep,
            profile,
        };
        to_sip_in_parts(im, &sending)
    };
    let split = profile().with_oversize(Oversize::Split);
    let text = "A paragraph of some words, e\u{301} and 漢字.\n\n".repeat(100);
    let im = Im::new(party("a@a.example"), party("b@b.example"), &text)
        .with_subject("s")
        .with_thread("t")
        .with_language(Language::parse("en"));
    assert!(matches!(
        parts(&im, &profile()),
        Err(MessageError::TooLarge { .. })
    ));
    let requests = parts(&im, &split).unwrap();
    assert!((4..10).contains(&requests.len()), "{}", requests.len());
    let mut said = String::new();
    for (number, request) in (1_u32..).zip(&requests) {
        let octets = written(request);
        assert!(octets.len() <= 1_300, "{}", octets.len());
        assert_eq!(&read(&octets), request);
        let headers = request.headers();
        assert_eq!(headers.cseq().number(), number);
        assert_eq!(headers.call_id().as_str(), "t");
        assert_eq!(headers.get("Content-Language"), Some("en"));
        assert_eq!(headers.get("Subject").is_some(), number == 1);
        assert_eq!(headers.from().tag(), requests[0].headers().from().tag());
        said.push_str(std::str::from_utf8(request.body()).unwrap());
    }
    let words = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(words(&said), words(&text));
    let mut branches: Vec<_> = requests
        .iter()
        .map(|request| request.headers().top_via().branch())
        .collect();
    branches.sort_unstable();
    branches.dedup();
    assert_eq!(branches.len(), requests.len());
    // what fits is one message, the same as without
    let short = Im::new(party("a@a.example"), party("b@b.example"), "x");
    assert_eq!(parts(&short, &split), Ok(vec![x2s(&short).unwrap()]));
    // and what would be too many messages is refused
    let long = Im::new(
        party("a@a.example"),
        party("b@b.example"),
        &"word ".repeat(10_000),
    );
    assert!(matches!(parts(&long, &split), Err(MessageError::TooLarge { .. })));
    assert!(matches!(
        parts(&im, &split.clone().with_message_bytes(300)),
        Err(MessageError::TooLarge { .. })
    ));
}

#[test]
fn an_unsupported_body_is_answered_with_what_is_supported() {
    let request = request("Content-Type: image/png\r\n", b"x");
    let refused = s2x(&request).unwrap_err();
    let response = error::refusal_to_sip(&refused, "Your IM could not be delivered").response(&request, "t");
    assert_eq!(response.status().code(), 415);
    assert_eq!(
        response.reason(),
        "Your IM could not be delivered: unsupported media type"
    );
    assert_eq!(
        response.headers().get("Accept"),
        Some(
            "text/plain, text/html, text/rtf, application/rtf, multipart/alternative, message/cpim, \
             application/im-iscomposing+xml, message/imdn+xml, application/ms-imdn+xml"
        )
    );
    assert_eq!(response.headers().get("Accept-Encoding"), Some("identity"));
}

#[test]
fn characters_that_xml_cannot_carry_are_replaced_in_their_place() {
    let im = plain(b"a\0b\x07c\x1Bd\xEF\xBF\xBEe\tf]]>g").unwrap();
    assert_eq!(
        im.bodies()[0].as_str(),
        "a\u{FFFD}b\u{FFFD}c\u{FFFD}d\u{FFFD}e\tf]]>g"
    );
}

#[test]
fn time_is_honoured() {
    let at = |sent: i64, expires: &str| {
        let extra = format!("Content-Type: text/plain\r\nDate: {}\r\n{expires}", date(sent));
        s2x(&request(&extra, b"x")).map(|im| im.sent().map(Date::unix_seconds))
    };
    assert_eq!(at(NOW - 10, ""), Ok(None), "fresh");
    assert_eq!(at(NOW - 61, ""), Ok(Some(NOW - 61)), "late");
    assert_eq!(at(NOW + 500, ""), Ok(None), "a clock that is ahead");
    assert_eq!(at(NOW - 100, "Expires: 99\r\n"), Err(MessageError::Expired));
    assert_eq!(at(NOW - 100, "Expires: 100\r\n"), Ok(Some(NOW - 100)));
    assert_eq!(at(NOW - 100, "Expires: 0\r\n"), Ok(Some(NOW - 100)));
    assert_eq!(at(NOW - 100, "Expires: 4294967295\r\n"), Ok(Some(NOW - 100)));
    let undated = request("Content-Type: text/plain\r\nExpires: 1\r\n", b"x");
    assert!(s2x(&undated).is_ok());

    let late = s2x(&request(
        &format!("Content-Type: text/plain\r\nDate: {}\r\n", date(NOW - 100)),
        b"x",
    ))
    .unwrap();
    let stanza = to_xmpp(&late);
    let delay = stanza.child("delay", "urn:xmpp:delay").unwrap();
    assert_eq!(delay.attribute("stamp"), Some("2023-11-14T22:11:40Z"));
    assert_eq!(delay.attribute("from"), Some("example.net"));
    // and back: a delay becomes Date
    assert_eq!(from_xmpp(&stanza, Scheme::Sip).unwrap().sent(), late.sent());
    assert_eq!(x2s(&late).unwrap().headers().date(), late.sent());
}

#[test]
fn what_is_no_message_for_a_user_is_refused_or_dropped() {
    let edit = |from: &str, to: &str| {
        let text = String::from_utf8(written(&request("Content-Type: text/plain\r\n", b"x"))).unwrap();
        assert!(text.contains(from), "{from}");
        s2x(&read(text.replace(from, to).as_bytes()))
    };
    let address = |error| Err(MessageError::Address(error));
    assert_eq!(
        edit("Max-Forwards: 70", "Max-Forwards: 0"),
        Err(MessageError::TooManyHops)
    );
    assert_eq!(edit("MESSAGE", "OPTIONS"), Err(MessageError::NotAMessage));
    assert_eq!(edit("MESSAGE sip:", "MESSAGE sips:"), address(AddressError::Sips));
    assert_eq!(edit("To: <sip:", "To: <sips:"), address(AddressError::Sips));
    assert_eq!(
        edit("MESSAGE sip:juliet@example.com", "MESSAGE tel:+1555"),
        address(AddressError::Scheme)
    );
    assert_eq!(
        edit("<sip:romeo@example.net", "<sip:romeo@192.0.2.1"),
        address(AddressError::Host)
    );
    assert!(edit("To: <sip:", "To: <im:").is_ok());

    for kind in ["groupchat", "headline", "error"] {
        let refused =
            from_xmpp(&message(&format!("type='{kind}'"), "<body>x</body>"), Scheme::Sip).unwrap_err();
        assert!(refused.is_silent(), "{kind}");
    }
    for children in [
        "",
        "<body/>",
        "<active xmlns='http://jabber.org/protocol/chatstates'/>",
        "<subject>x</subject>",
    ] {
        assert_eq!(
            from_xmpp(&message("", children), Scheme::Sip),
            Err(MessageError::Silent),
            "{children}"
        );
    }
    let presence = Stanza::new(
        Kind::Presence(PresenceType::Available),
        jid("a.example"),
        jid("b.example"),
    );
    assert_eq!(from_xmpp(&presence, Scheme::Sip), Err(MessageError::NotAMessage));
    let unmapped = Stanza::new(
        Kind::Message(MessageType::Normal),
        jid(r"c\5cx@a.example"),
        jid("b.example"),
    )
    .with_child(Element::new("body", ns::STANZA).with_text("x"));
    assert_eq!(
        from_xmpp(&unmapped, Scheme::Sip),
        address(AddressError::IdleEscape)
    );
}

#[test]
fn one_text_is_chosen_from_many_languages() {
    let bodies = "<body xml:lang='de'>hallo</body><body xml:lang='en'>hello</body><body xml:lang='de'>zwei</body>\
        <subject xml:lang='en'>Hi</subject><subject>S</subject>";
    for (language, children, body, tag, subject) in [
        ("xml:lang='en'", bodies, "hello", Some("en"), Some("Hi")),
        ("xml:lang='fr'", bodies, "hallo", Some("de"), Some("S")),
        ("", bodies, "hallo", Some("de"), Some("S")),
        (
            "xml:lang='fr'",
            "<body xml:lang='de'>hallo</body><body>salut</body>",
            "salut",
            Some("fr"),
            None,
        ),
        ("xml:lang='not a tag'", "<body>x</body>", "x", None, None),
    ] {
        let im = from_xmpp(&message(language, children), Scheme::Sip).unwrap();
        let request = x2s(&im).unwrap();
        assert_eq!(request.body().as_ref(), body.as_bytes(), "{language}");
        assert_eq!(request.headers().get("Content-Language"), tag, "{language}");
        assert_eq!(request.headers().get("Subject"), subject, "{language}");
        // to XMPP all of them go
        let back = from_xmpp(&to_xmpp(&im), Scheme::Sip).unwrap();
        assert_eq!(back, im);
    }
    let many = "<body>x</body>".to_owned()
        + &(0..40)
            .map(|n| format!("<body xml:lang='x-{n}'>y</body>"))
            .collect::<String>();
    assert_eq!(
        from_xmpp(&message("", &many), Scheme::Sip)
            .unwrap()
            .bodies()
            .len(),
        LANGUAGES_OF_A_TEXT
    );
}

#[test]
fn language_tags_are_tags() {
    for tag in ["en", "de-AT", "zh-Hant-TW", "x-klingon", "sl-rozaj-biske"] {
        assert_eq!(Language::parse(tag).map(|tag| tag.0).as_deref(), Some(tag));
    }
    for text in [
        "",
        "-",
        "en-",
        "1a",
        "en_US",
        "de AT",
        "toolongsub",
        "ü",
        "*",
        "en\r\nX: y",
        &"en-".repeat(40),
    ] {
        assert_eq!(Language::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_request_that_is_too_long_is_not_sent() {
    let im = |body: &str| Im::new(party("a@a.example"), party("b@b.example"), body);
    let overhead = written(&x2s(&im("x")).unwrap()).len() - 1;
    // Content-Length grows from one digit to three.
    let fits = im(&"x".repeat(1_300 - overhead - 2));
    assert_eq!(written(&x2s(&fits).unwrap()).len(), 1_300);
    let refused = x2s(&im(&"x".repeat(1_300 - overhead - 1))).unwrap_err();
    assert_eq!(
        refused,
        MessageError::TooLarge {
            octets: 1_301,
            most: 1_300
        }
    );
    assert_eq!(refused.stanza_condition(), "policy-violation");
    assert!(
        x2s_by(
            &im(&"x".repeat(1_300)),
            Threading::Keep,
            &profile().with_message_bytes(8_192)
        )
        .is_ok()
    );
}

#[test]
fn a_microsoft_endpoint_is_a_resource_and_comes_back_beside_the_uri() {
    let text = String::from_utf8(written(&request("Content-Type: text/plain\r\n", b"x"))).unwrap();
    let from = |value: &str| {
        let text = text.replace("<sip:romeo@example.net;gr=dr4hcr0st3lup4c>;tag=vwxyz", value);
        s2x(&read(text.as_bytes())).unwrap()
    };
    let im = from("<sip:romeo@example.net>;tag=a;epid=0123abcdef");
    assert_eq!(im.from().jid(), &jid("romeo@example.net/epid-0123abcdef"));
    let answer = Im::new(im.to().clone(), im.from().clone(), "x");
    let request = x2s(&answer).unwrap();
    assert_eq!(request.uri().to_string(), "sip:romeo@example.net");
    assert_eq!(
        request.headers().to().to_string(),
        "<sip:romeo@example.net>;epid=0123abcdef"
    );
    // what is no such identifier is not taken for one
    assert!(
        from("<sip:romeo@example.net>;tag=a;epid=\"a b\"")
            .from()
            .jid()
            .is_bare()
    );
    assert!(from("<sip:romeo@example.net>;tag=a").from().jid().is_bare());
}

#[test]
fn a_long_branch_is_no_id() {
    let text = String::from_utf8(written(&request("Content-Type: text/plain\r\n", b"x"))).unwrap();
    let long = text.replace("eskdgs677", &"x".repeat(200));
    assert_eq!(s2x(&read(long.as_bytes())).unwrap().id(), None);
}

/// Pieces that have broken other programs, among ordinary text.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        Just("%0d%0a".to_owned()),
        Just("\"".to_owned()),
        Just("'".to_owned()),
        Just("]]>".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("</body></message></stream:stream>".to_owned()),
        Just("&amp;&#0;&lt;".to_owned()),
        Just("\r\nVia: SIP/2.0/TCP evil.example;branch=z9hG4bKx\r\n".to_owned()),
        Just("\nContent-Length: 0\n\nINVITE sip:x SIP/2.0\n".to_owned()),
        Just("\u{202E}\u{2066}".to_owned()),
        Just("\u{85}\u{2028}\u{2029}".to_owned()),
        Just("\u{FEFF}\u{FFFE}\u{FFFF}".to_owned()),
        "[\x00-\x1F\x7F-\u{9F}]",
        "[ -~]{1,6}",
        "\\PC{1,4}",
    ];
    proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn whatever_is_said_the_structure_is_ours(
        body in hostile(),
        subject in hostile(),
        thread in hostile(),
        id in hostile(),
        language in hostile(),
    ) {
        let im = Im::new(party("a@a.example/r"), party("b@b.example"), &body)
            .with_subject(&subject)
            .with_thread(&thread)
            .with_id(&id)
            .with_language(Language::parse(&language));
        let wide = profile().with_message_bytes(65_536);

        let request = x2s_by(&im, Threading::Keep, &wide).unwrap();
        let again = read(&written(&request));
        prop_assert_eq!(&again, &request);
        let names: Vec<_> = again.headers().other().map(|(name, _)| name.as_str().to_owned()).collect();
        let mut expected = Vec::new();
        if !im.subjects().is_empty() {
            expected.push("Subject");
            prop_assert_eq!(again.headers().get("Subject").map(|text| text.trim_matches('\t')), Some(im.subjects()[0].as_str().trim_matches('\t')));
        }
        if im.language().is_some() {
            expected.push("Content-Language");
        }
        prop_assert_eq!(names, expected);
        prop_assert_eq!(again.headers().vias().count(), 1);
        let kept = im.thread() == Some(thread.as_str()) && thread.len() <= FOREIGN_ID_BYTES && crate::sip::CallId::parse(&thread).is_ok();
        prop_assert_eq!(again.headers().call_id().as_str() == thread, kept);
        let text = std::str::from_utf8(again.body()).unwrap();
        prop_assert_eq!(lines(text), im.bodies()[0].as_str());

        let stanza = to_xmpp(&im);
        let mut octets = Vec::new();
        xml::write::element(stanza.element(), "", &[], &mut octets);
        let read = xml::document(&octets, &XmlLimits::default()).unwrap();
        prop_assert_eq!(&read, stanza.element());
        prop_assert_eq!(read.children().count(), 1 + im.subjects().len() + usize::from(im.thread().is_some()));
        let back = from_xmpp(&Stanza::from_element(read, ns::SERVER).unwrap(), Scheme::Sip).unwrap();
        prop_assert_eq!(back, im);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_sip_body_makes_a_message_or_a_reason(body in proptest::collection::vec(any::<u8>(), 0..64), html in hostile()) {
        for (kind, body) in [("text/plain", body.as_slice()), ("text/plain;charset=iso-8859-1", &body), ("text/html", html.as_bytes()), ("message/cpim", &body)] {
            if let Ok(im) = s2x(&request(&format!("Content-Type: {kind}\r\n"), body)) {
                let stanza = to_xmpp(&im);
                let mut octets = Vec::new();
                xml::write::element(stanza.element(), "", &[], &mut octets);
                let read = xml::document(&octets, &XmlLimits::default()).unwrap();
                prop_assert_eq!(&read, stanza.element());
            }
        }
    }

    #[test]
    fn sip_to_xmpp_and_back_keeps_the_text(body in "[^\r\u{FEFF}][^\r]{0,40}[a-z]", chat in any::<bool>()) {
        let kind = if chat { ImKind::Chat } else { ImKind::Single };
        let im = Im::new(party("a@a.example"), party("b@b.example/x"), &body).with_kind(kind);
        let wide = profile().with_message_bytes(65_536);
        let request = read(&written(&x2s_by(&im, Threading::Keep, &wide).unwrap()));
        let back = s2x(&request).unwrap();
        prop_assert_eq!(back.bodies(), im.bodies());
        prop_assert_eq!((back.from(), back.to()), (im.from(), im.to()));
        prop_assert_eq!(back.kind(), ImKind::Single);
    }
}
