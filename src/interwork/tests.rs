//! What the tests of this room share: requests and stanzas by their text.

use crate::limits::{SipLimits, XmlLimits};
use crate::sip::{Message, Request, parse};
use crate::xml;
use crate::xmpp::{Jid, Stanza, ns};

pub(super) fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

/// A request of that method within a conversation, with further header fields and a body.
pub(super) fn request(method: &str, fields: &str, body: &[u8]) -> Request {
    let mut text = format!(
        "{method} sip:juliet@example.com SIP/2.0\r\nVia: SIP/2.0/TLS s2x.example.net;branch=z9hG4bKeskdgs677\r\n\
         Max-Forwards: 70\r\nTo: <sip:juliet@example.com>\r\nFrom: <sip:romeo@example.net>;tag=vwxyz\r\n\
         Call-ID: call-1\r\nCSeq: 1 {method}\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    text.extend_from_slice(body);
    match parse::message(&text, &SipLimits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// A request with a body of that type.
pub(super) fn of_type(method: &str, kind: &str, body: &str) -> Request {
    request(method, &format!("Content-Type: {kind}\r\n"), body.as_bytes())
}

/// A message from juliet@example.com/balcony to romeo@example.net.
pub(super) fn message(attributes: &str, children: &str) -> Stanza {
    let text = format!(
        "<message xmlns='jabber:server' from='juliet@example.com/balcony' to='romeo@example.net' {attributes}>\
         {children}</message>"
    );
    let element = xml::document(text.as_bytes(), &XmlLimits::default()).unwrap();
    Stanza::from_element(element, ns::SERVER).unwrap()
}

/// A stanza as it goes on a stream.
pub(super) fn written(stanza: &Stanza) -> String {
    let mut octets = Vec::new();
    xml::write::element(stanza.element(), ns::SERVER, &[], &mut octets);
    String::from_utf8(octets).unwrap()
}
