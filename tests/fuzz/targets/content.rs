//! Bodies of SIP messages: whatever a body of each type says, its words fit into a stanza; what says that somebody is
//! typing, or what became of a message, is a stanza of its own; a first message in an INVITE is a message; and what an
//! INVITE asks for has an answer.

use vestibule::interwork::address::Sips;
use vestibule::interwork::carried::{self, Carried};
use vestibule::interwork::composing;
use vestibule::interwork::embedded::first_message;
use vestibule::interwork::invitation::{self, Invitation};
use vestibule::interwork::message;
use vestibule::interwork::receipt::{self, Asked};
use vestibule::limits::{EMBEDDED_BYTES, SipLimits, XmlLimits};
use vestibule::sip::sdp::Sdp;
use vestibule::sip::{Date, Host, Message, Request, Uri, parse};
use vestibule::xml;
use vestibule::xmpp::{Jid, Stanza, ns};

pub fn run(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let Some(kind) = KINDS.get(usize::from(*choice) % (KINDS.len() + 1)) else {
        return first(body);
    };
    for method in ["MESSAGE", "INFO", "INVITE"] {
        let Some(request) = request(method, &format!("Content-Type: {kind}\r\n"), body) else {
            return;
        };
        let _ = Asked::of_request(&request, Date::from_unix_seconds(1_700_000_000).expect("a date"));
        words(&request);
        match carried::read(&request) {
            Ok(Carried::Activity(activity)) => {
                again(&composing::to_stanza(activity.state.to_chat_state(), jid("a@a.example"), jid("b@b.example"), None));
            }
            Ok(Carried::Receipt(receipt, id)) => {
                again(&receipt::to_stanza(receipt, &id, jid("a@a.example"), jid("b@b.example")));
            }
            Ok(Carried::Text | Carried::Nothing) | Err(_) => {}
        }
        if let Ok(Invitation::Messages(streams)) = invitation::judge(&request) {
            let host = Host::parse("edge.example").expect("a host");
            let uri = Uri::parse("sip:a@a.example").expect("a URI");
            let answer = invitation::answer(&host, &streams, &uri);
            let sdp = Sdp::parse(answer.as_bytes()).expect("a description");
            assert!(sdp.is_of_messages(), "{answer}");
        }
    }
}

/// A header field of an INVITE with a message in it.
fn first(value: &[u8]) {
    let Ok(value) = std::str::from_utf8(value) else { return };
    let Some(request) = request("INVITE", &format!("ms-text-format: {value}\r\n"), b"") else {
        return;
    };
    if let Ok(Some(embedded)) = first_message(&request) {
        assert!(!embedded.text().trim().is_empty());
        // A character that XML cannot carry takes three octets.
        assert!(embedded.text().len() <= 3 * EMBEDDED_BYTES);
    }
}

fn words(request: &Request) {
    let now = Date::from_unix_seconds(1_800_000_000).expect("a date");
    let Ok(im) = message::from_sip(request, now, Sips::Refuse) else {
        return;
    };
    assert!(im.bodies().len() == 1 && im.bodies().iter().all(|body| !body.as_str().is_empty()));
    again(&message::to_xmpp(&im));
}

fn again(stanza: &Stanza) {
    let document = xml::write::document(stanza.element());
    let element = xml::document(&document, &XmlLimits::default())
        .unwrap_or_else(|error| panic!("{error}: {}", document.escape_ascii()));
    assert_eq!(Stanza::from_element(element, ns::STANZA).as_ref(), Ok(stanza));
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).expect("an address")
}

fn request(method: &str, fields: &str, body: &[u8]) -> Option<Request> {
    let mut text = format!(
        "{method} sip:b@b.example SIP/2.0\r\nVia: SIP/2.0/TLS x.example;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:a@a.example>;tag=1\r\nTo: <sip:b@b.example>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\n{fields}\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    text.extend_from_slice(body);
    match parse::message(&text, &SipLimits::default()) {
        Ok(Message::Request(request)) => Some(request),
        Ok(Message::Response(_)) | Err(_) => None,
    }
}

const KINDS: [&str; 9] = [
    "text/plain",
    "text/html",
    "text/rtf",
    "message/cpim",
    "multipart/alternative;boundary=b",
    "application/im-iscomposing+xml",
    "application/xml",
    "message/imdn+xml",
    "application/sdp",
];
