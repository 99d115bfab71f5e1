//! What each message of RFC 4475 is about: the facts that a reader which takes it must not get wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: a fact that is not there fails the test"
)]

use std::time::Instant;

use vestibule::limits::SipLimits;
use vestibule::sip::frame::Frame;
use vestibule::sip::inspect::Role;
use vestibule::sip::transaction::{
    Event, Flow, Key, Received, Register, Reliability, Responded, Timers, Transactions,
};
use vestibule::sip::{Message, Method, NameAddr, ParseError, SipUri, StatusCode, Transport, Uri};

use super::rfc4475_reading::{datagram, frames, octets, rejection, request};

pub(super) fn wsinv(message: &Message) {
    let headers = message.headers();
    let vias: Vec<String> = headers.vias().map(ToString::to_string).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP 198.51.100.2;branch=k17plain",
            "SIP/2.0/TCP loom.example.com;branch=z9hG4bKloom77",
            "SIP/2.0/UDP 203.0.113.99;branch=z9hG4bKpatch12",
        ]
    );
    assert_eq!(headers.max_forwards(), Some(51));
    assert_eq!(headers.from().display(), Some("G. Hopper \\\""));
    assert_eq!(headers.from().uri().to_string(), "sip:hopper@example.com");
    assert_eq!(headers.to().display(), None);
    assert_eq!(headers.to().uri().to_string(), "sip:greta@rooms.example.com");
    assert!(request(message).uri().sip().unwrap().params().contains("floor"));
    let route: Vec<String> = headers.route().iter().map(ToString::to_string).collect();
    assert_eq!(route, ["<sip:edge.example.com;lr;odd=thing;bare-one>"]);
    assert!(headers.route().first().unwrap().is_loose_router());
    let [contact] = headers.contact().addresses() else {
        panic!("one Contact");
    };
    assert_eq!(contact.display(), Some("Says \"so\""));
    let params: Vec<_> = contact.params().iter().collect();
    assert_eq!(
        params,
        [("fresh", Some("paint")), ("bare", None), ("q", Some("0.75"))]
    );
    assert!(headers.content_type().unwrap().is("application", "sdp"));
    let other: Vec<_> = headers
        .other()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    assert_eq!(
        other,
        [
            ("Subject", ""),
            ("BrandNewHeader", "brand new value which goes on here"),
            ("HeaderOfUnknownGrammar", ";;,,;,;;"),
        ]
    );
}

pub(super) fn intmeth(message: &Message) {
    let headers = message.headers();
    let uri = request(message).uri().sip().unwrap();
    assert_eq!(
        (uri.user(), uri.password(), uri.host().to_string()),
        (
            Some("9_odd.User~(or-not!really)&won't+it$/strange?,/;;*"),
            Some("&pw+has=2,odd!*se$cre~t_bits.(isn't-it)"),
            "example.net".to_owned()
        )
    );
    assert_eq!(headers.to().display(), Some("STX:\u{2} NUL:\0 DEL:\u{7f}"));
    assert_eq!(headers.from().display(), Some("word1`~ word2+'_ word3%*-!."));
    assert_eq!(headers.from().uri().to_string(), "sip:plain@example.net");
    let param = headers.from().params().text("oddParam'~+*_!.%-");
    assert_eq!(param.as_deref(), Some("καλημέρα"));
    assert_eq!(headers.max_forwards(), Some(255));
    assert_eq!(headers.get("odd-Header.!%*+_`'~"), Some("\u{feff}紅茶"));
    let refused = rejection(message, Role::UserAgent).unwrap();
    assert_eq!(
        refused.headers,
        [("Allow", "INVITE, BYE, MESSAGE, OPTIONS".to_owned())]
    );
}

pub(super) fn esc01(message: &Message) {
    let headers = message.headers();
    let uri = request(message).uri().sip().unwrap();
    assert_eq!(uri.scheme().as_str(), "sip");
    assert_eq!(uri.host().to_string(), "example.com");
    assert_eq!(uri.user_text().as_deref(), Some("sips:inner@example.org"));
    assert_eq!(user_text(headers.to()), "greta");
    assert!(
        sip(headers.to()).is_equivalent(&uri_of("sip:greta@example.org")),
        "an escape is the character that it stands for"
    );
    assert_eq!(user_text(headers.from()), "A name with gaps");
    let contact = sip(&headers.contact().addresses()[0]);
    let params: Vec<_> = contact.params().iter().collect();
    assert_eq!(
        params,
        [("%6D%72", None), ("l%61bel", Some("t%65xt%25%34%32"))],
        "written as they came"
    );
    assert!(contact.params().contains("mr"));
    assert_eq!(contact.params().get("label"), Some("t%65xt%25%34%32"));
    for (text, is_same) in [
        ("sip:writer@branch2.example.com;mr;label=text%2542", true),
        ("sip:writer@branch2.example.com;label=text%25%342;mr", true),
        ("sip:writer@branch2.example.com;mr;label=text%42", false),
        ("sip:writer@branch2.example.com;mr;label=textB", false),
        ("sip:writer@branch2.example.com;mr;label=other", false),
    ] {
        assert_eq!(contact.is_equivalent(&uri_of(text)), is_same, "{text}");
    }
}

pub(super) fn escnull(message: &Message) {
    let headers = message.headers();
    assert_eq!(user_text(headers.to()), "zero-\0-zero");
    assert_eq!(user_text(headers.from()), "zero-\0-zero");
    let contacts = headers.contact().addresses();
    let users: Vec<String> = contacts.iter().map(user_text).collect();
    assert_eq!(users, ["\0", "\0\0"]);
    assert!(
        !sip(&contacts[0]).is_equivalent(sip(&contacts[1])),
        "two bindings, not one"
    );
}

pub(super) fn esc02(message: &Message) {
    let headers = message.headers();
    assert!(!request(message).method().is_known());
    assert_ne!(*request(message).method(), Method::Message);
    for address in [headers.to(), headers.from()] {
        assert_eq!(address.display(), Some("%Q%51"));
    }
    let contacts: Vec<String> = headers
        .contact()
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        contacts,
        ["<sip:first@a.example.com>", "<sip:third@c.example.com>"]
    );
    assert_eq!(headers.get("C%6Fntact"), Some("<sip:second@b.example.com>"));
}

pub(super) fn lwsdisp(message: &Message) {
    let from = message.headers().from();
    assert_eq!(from.display(), Some("visitor"));
    assert_eq!(from.uri().to_string(), "sip:visitor@example.com");
    assert_eq!(
        from.to_string(),
        "\"visitor\" <sip:visitor@example.com>;tag=tight",
        "written as the grammar has it"
    );
}

pub(super) fn longreq(message: &Message) {
    let headers = message.headers();
    let display = format!("A display name that is {}long", "really ".repeat(40));
    assert_eq!(headers.to().display(), Some(display.as_str()));
    let to = sip(headers.to());
    assert_eq!(to.port(), Some(6100));
    let params: Vec<_> = to.params().iter().collect();
    assert_eq!(
        params,
        [
            (
                "firstparam",
                Some(format!("a{}value", "wide".repeat(30)).as_str())
            ),
            (format!("stretched{}", "label".repeat(30)).as_str(), Some("tiny")),
            (format!("{}NameAlone", "endless".repeat(30)).as_str(), None),
        ]
    );
    let from = headers.from();
    assert_eq!(user_text(from), "averylongcallersname".repeat(6));
    assert!(sip(from).params().is_empty());
    let params: Vec<_> = from.params().iter().skip(1).collect();
    assert_eq!(
        params,
        [
            (
                format!("oddheaderparam{}", "label".repeat(25)).as_str(),
                Some(format!("oddheaderparam{}", "worth".repeat(20)).as_str())
            ),
            (format!("loneparam{}", "label".repeat(12)).as_str(), None),
        ]
    );
    let hops: Vec<String> = headers.vias().map(|via| via.host().to_string()).collect();
    let expected: Vec<String> = (1..=33)
        .rev()
        .map(|hop| format!("hop{hop}.example.com"))
        .chain(["origin.example.com".to_owned()])
        .collect();
    assert_eq!(hops, expected);
    let last = headers.vias().last().unwrap();
    assert_eq!(last.received(), Some([203, 0, 113, 5].into()));
    let branch = format!("z9hG4bK{}branch", "wide".repeat(60));
    assert_eq!(last.branch(), Some(branch.as_str()));
    let (name, value) = headers.other().next().unwrap();
    assert_eq!(name.as_str(), format!("Unheard-{}-Field", "Of".repeat(30)));
    let word = format!("unheard-{}", "of".repeat(30));
    assert_eq!(value, format!("{word}-value; {word}-parameter = {word}-worth"));
    assert_eq!(
        user_text(&headers.contact().addresses()[0]),
        "averylongcallersname".repeat(6)
    );
}

pub(super) fn dblreq(message: &Message) {
    let first = message.headers();
    assert_eq!(first.call_id().as_str(), "dblreq.first-one");
    assert_eq!(
        first.contact().addresses()[0].uri().to_string(),
        "sip:ada@branch5.example.org"
    );
    // What a datagram carries behind its message is noise; on a stream it is the next message.
    let (frames, ended) = frames(&octets("rfc4475", "dblreq"), 7);
    assert_eq!(ended, None);
    let [Frame::Message(one), Frame::Message(two)] = frames.as_slice() else {
        panic!("two messages: {frames:?}");
    };
    assert_eq!(one, message);
    assert_eq!(*request(two).method(), Method::Invite);
    assert_eq!(request(two).uri().to_string(), "sip:stowaway@example.com");
    assert_eq!(two.headers().call_id().as_str(), "dblreq.second@203.0.113.77");
    assert_eq!(two.headers().to().uri().to_string(), "sip:stowaway@example.com");
    assert_eq!(two.body().len(), 165);
}

pub(super) fn semiuri(message: &Message) {
    let uri = request(message).uri().sip().unwrap();
    assert_eq!(uri.user(), Some("ada;via=b%40example.net"));
    assert_eq!(uri.user_text().as_deref(), Some("ada;via=b@example.net"));
    assert_eq!(uri.host().to_string(), "example.com");
    assert!(uri.params().is_empty());
    let accepted: Vec<&str> = message.headers().list("Accept").collect();
    assert_eq!(
        accepted,
        [
            "application/sdp",
            "application/pkcs7-mime",
            "multipart/mixed",
            "multipart/signed",
            "message/sip",
            "message/sipfrag",
        ]
    );
}

pub(super) fn transports(message: &Message) {
    let transports: Vec<&Transport> = message.headers().vias().map(|via| via.transport()).collect();
    assert_eq!(
        transports,
        [
            &Transport::Udp,
            &Transport::Sctp,
            &Transport::Tls,
            &Transport::Other("PIGEON".into()),
            &Transport::Tcp,
        ]
    );
}

pub(super) fn mpart01(message: &Message) {
    let headers = message.headers();
    let kind = headers.content_type().unwrap();
    assert!(kind.is("multipart", "mixed"));
    let boundary = format!("--{}", kind.parameter("boundary").unwrap());
    let body = message.body();
    assert!(body.starts_with(boundary.as_bytes()));
    assert!(body.ends_with(format!("\r\n{boundary}--\r\n").as_bytes()));
    let parts = body
        .windows(boundary.len())
        .filter(|part| *part == boundary.as_bytes());
    assert_eq!(parts.count(), 3, "two parts and the end");
    assert_eq!(body.iter().filter(|octet| **octet == 0).count(), 5);
    assert!(std::str::from_utf8(body).is_err(), "binary octets are kept");
    assert_eq!(headers.date().unwrap().unix_seconds(), 1_772_525_730);
    assert_eq!(headers.get("Content-Transfer-Encoding"), Some("binary"));
    assert_eq!(headers.route().len(), 1);
    let refused = rejection(message, Role::UserAgent).unwrap();
    assert_eq!(
        refused.headers,
        [("Accept", "application/sdp, text/plain".to_owned())]
    );
}

/// The phrase reaches the user of the transaction that the response belongs to.
pub(super) fn unreason(message: &Message) {
    let (mut table, response) = table_with_invite("198.51.100.198;branch=z9hG4bKwords9", message);
    assert_eq!(table.receive(now(), UDP, response), Received::Matched);
    let events: Vec<Event> = std::iter::from_fn(|| table.poll()).collect();
    let [Event::Transmit { .. }, Event::Response { response, .. }] = events.as_slice() else {
        panic!("the INVITE and its answer: {events:?}");
    };
    assert_eq!(response.reason(), "= 3**2 * 7 είναι εξήντα τρία");
}

pub(super) fn noreason(message: &Message) {
    let Message::Response(response) = message else {
        panic!("a request");
    };
    assert_eq!(response.reason(), "");
    assert_eq!(response.status(), StatusCode::TRYING);
    let text = String::from_utf8(octets("rfc4475", "noreason")).unwrap();
    let without_space = text.replacen("100 \r\n", "100\r\n", 1);
    assert_eq!(
        datagram(without_space.as_bytes()).unwrap_err().error,
        ParseError::StartLine
    );
}

/// A cookie with nothing behind it makes nothing unique: what RFC 2543 compares is compared.
pub(super) fn badbranch(message: &Message) {
    assert_is_told_apart_as_in_rfc_2543(message);
}

pub(super) fn unkscm(message: &Message) {
    let Uri::Other(uri) = request(message).uri() else {
        panic!("a SIP URI");
    };
    assert_eq!(
        (uri.scheme(), uri.rest()),
        ("schemeofnobodys", "whatever-it-may-mean")
    );
    // To has no say in where a request goes.
    assert_eq!(message.headers().to().uri().to_string(), "sip:desk@example.com");
}

pub(super) fn novelsc(message: &Message) {
    let Uri::Other(uri) = request(message).uri() else {
        panic!("a SIP URI");
    };
    assert_eq!((uri.scheme(), uri.rest()), ("soap.beep", "//198.51.100.103:3100"));
}

pub(super) fn unksm2(message: &Message) {
    let headers = message.headers();
    let uris = [headers.to(), headers.from(), &headers.contact().addresses()[0]].map(|address| {
        assert_eq!(address.uri().sip(), None);
        address.uri().to_string()
    });
    assert_eq!(
        uris,
        [
            "isbn:9780000000002",
            "http://www.example.org",
            "name:Ada_Lovelace"
        ]
    );
}

pub(super) fn bext01(message: &Message) {
    for (role, unsupported) in [
        (Role::UserAgent, "unheardOf, neverHeardOfEither"),
        (Role::Gateway, "unheardOf, neverHeardOfEither"),
        (Role::Proxy, "noProxyHasThis, norThisOne"),
    ] {
        let refused = rejection(message, role).unwrap();
        assert_eq!(refused.headers, [("Unsupported", unsupported.to_owned())]);
        let response = refused.response(request(message), "b1");
        assert_eq!(response.headers().get("Unsupported"), Some(unsupported));
    }
}

pub(super) fn invut(message: &Message) {
    let kind = message.headers().content_type().unwrap();
    assert!(kind.is("application", "unheard-of"));
    assert!(message.body().starts_with(b"<sound>\r\n <wave "));
    let refused = rejection(message, Role::UserAgent).unwrap();
    assert_eq!(
        refused.headers,
        [("Accept", "application/sdp, text/plain".to_owned())]
    );
}

pub(super) fn regaut01(message: &Message) {
    assert_eq!(
        message.headers().get("Authorization"),
        Some("SchemeOfTomorrow hidden-data=inside")
    );
    let refused = rejection(message, Role::UserAgent).unwrap();
    assert_eq!(
        refused.headers,
        [("Allow", "INVITE, BYE, MESSAGE, OPTIONS".to_owned())]
    );
}

/// A response whose top Via is not ours goes nowhere, least of all on to the Via below.
pub(super) fn bcast(message: &Message) {
    let below = message.headers().vias().nth(1).unwrap();
    assert_eq!(below.host().to_string(), "255.255.255.255");
    let (mut table, response) = table_with_invite("198.51.100.198;branch=z9hG4bKours", message);
    let Some(Event::Transmit { .. }) = table.poll() else {
        panic!("the INVITE is sent");
    };
    assert_eq!(table.receive(now(), UDP, response), Received::Stray);
    assert!(table.poll().is_none());
    assert_eq!(table.len(), 1);
}

pub(super) fn zeromf(message: &Message) {
    assert_eq!(message.headers().max_forwards(), Some(0));
    let refused = rejection(message, Role::Gateway).unwrap();
    assert_eq!(refused.status, StatusCode::TOO_MANY_HOPS);
}

pub(super) fn cparam01(message: &Message) {
    let contact = &message.headers().contact().addresses()[0];
    assert!(contact.params().contains("oddparam"));
    assert!(sip(contact).params().is_empty());
    assert_eq!(contact.to_string(), "<sip:+15550100133@gw2.example.com>;oddparam");
}

pub(super) fn cparam02(message: &Message) {
    let contact = &message.headers().contact().addresses()[0];
    assert!(contact.params().is_empty());
    assert!(sip(contact).params().contains("oddparam"));
    assert_eq!(contact.to_string(), "<sip:+15550100133@gw2.example.com;oddparam>");
}

pub(super) fn regescrt(message: &Message) {
    let contact = &message.headers().contact().addresses()[0];
    assert_eq!(sip(contact).headers(), Some("Route=%3Csip:gate.example.org%3E"));
    assert_eq!(
        contact.to_string(),
        "<sip:ada@example.org?Route=%3Csip:gate.example.org%3E>"
    );
    assert!(
        message.headers().route().is_empty(),
        "it is no route of this request"
    );
}

pub(super) fn sdp01(message: &Message) {
    let accepted: Vec<&str> = message.headers().list("Accept").collect();
    assert_eq!(accepted, ["text/nobodyWritesThis"]);
}

pub(super) fn inv2543(message: &Message) {
    let headers = message.headers();
    assert_eq!(headers.max_forwards(), None);
    // In brackets it is the URI's, without them the header's.
    assert_eq!(sip(headers.from()).params().get("user"), Some("phone"));
    assert_eq!(headers.to().params().get("user"), Some("phone"));
    assert!(sip(headers.to()).params().is_empty());
    let hop = headers.record_route().first().unwrap();
    assert_eq!(
        hop.uri().sip().unwrap().params().get("maddr"),
        Some("first.example.com")
    );
    assert!(!hop.is_loose_router());
    assert_is_told_apart_as_in_rfc_2543(message);
    assert_is_acknowledged_as_in_rfc_2543(message);
}

fn assert_is_told_apart_as_in_rfc_2543(message: &Message) {
    let of = |message: &Message| Key::of_received(request(message));
    let again = message.clone();
    assert_eq!(of(&again), of(message));
    let mut other = message.clone();
    other
        .headers_mut()
        .set_from(message.headers().from().clone().with_tag("another"));
    assert_ne!(of(&other), of(message));
    let mut table = Transactions::new(&SipLimits::default(), Timers::default(), Register::new());
    let received = [message, &again, &other].map(|each| table.receive(now(), UDP, each.clone()));
    assert_eq!(received, [Received::New, Received::Matched, Received::New]);
}

fn assert_is_acknowledged_as_in_rfc_2543(invite: &Message) {
    let mut table = Transactions::new(&SipLimits::default(), Timers::default(), Register::new());
    assert_eq!(table.receive(now(), UDP, invite.clone()), Received::New);
    let Some(Event::Request { transaction, .. }) = table.poll() else {
        panic!("the INVITE comes up");
    };
    let busy = request(invite).response(StatusCode::BUSY_HERE, "", Some("b1"));
    assert_eq!(table.respond(now(), transaction, &busy), Responded::Sent);
    let text = String::from_utf8(octets("rfc4475", "inv2543")).unwrap();
    let ack = text
        .replace("INVITE", "ACK")
        .replace("user=phone\r\nCall-ID", "user=phone;tag=b1\r\nCall-ID");
    let ack = datagram(ack.as_bytes()).unwrap();
    assert_eq!(ack.headers().to().tag(), Some("b1"));
    assert_eq!(table.receive(now(), UDP, ack), Received::Matched);
}

/// A table with an INVITE of ours under way, whose top Via this is, and a response to look at.
fn table_with_invite(via: &str, response: &Message) -> (Transactions, Message) {
    let text = format!(
        "INVITE sip:ben@example.org SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nFrom: {}\r\nTo: <sip:ben@example.org>\r\n\
         Call-ID: {}\r\nCSeq: {}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        response.headers().from(),
        response.headers().call_id(),
        response.headers().cseq(),
    );
    let invite = datagram(text.as_bytes()).unwrap();
    let mut table = Transactions::new(&SipLimits::default(), Timers::default(), Register::new());
    table.request(now(), UDP, request(&invite)).unwrap();
    (table, response.clone())
}

const UDP: Flow = Flow {
    id: 1,
    reliability: Reliability::Unreliable,
};

#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
fn now() -> Instant {
    Instant::now()
}

fn sip(address: &NameAddr) -> &SipUri {
    address.uri().sip().unwrap()
}

fn user_text(address: &NameAddr) -> String {
    sip(address).user_text().unwrap().into_owned()
}

fn uri_of(text: &str) -> SipUri {
    Uri::parse(text).unwrap().sip().unwrap().clone()
}
