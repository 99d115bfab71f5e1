//! Messages to bytes: long names, one blank, no folding, one line a value, Content-Length from the body, the body raw.
//!
//! What is written is made from the parsed form alone, so nothing that another reader could understand in another way
//! passes through (RFC 3261 §7.3.1, §18.3).

use std::fmt::{self, Display, Write};

use super::address::Contact;
use super::headers::Headers;
use super::message::{Message, Request, Response};
use super::name::Field;

/// Appends a message.
pub fn message(message: &Message, out: &mut Vec<u8>) {
    match message {
        Message::Request(message) => request(message, out),
        Message::Response(message) => response(message, out),
    }
}

/// Appends a request.
pub fn request(request: &Request, out: &mut Vec<u8>) {
    out.reserve(TYPICAL_HEAD.saturating_add(request.body().len()));
    let mut text = Text(out);
    text.put(request.method());
    text.put(" ");
    text.put(request.uri());
    text.put(" SIP/2.0\r\n");
    headers(request.headers(), &mut text);
    body(request.body(), &mut text);
}

/// Appends a response.
pub fn response(response: &Response, out: &mut Vec<u8>) {
    out.reserve(TYPICAL_HEAD.saturating_add(response.body().len()));
    let mut text = Text(out);
    text.put("SIP/2.0 ");
    text.put(response.status());
    text.put(" ");
    text.put(response.reason());
    text.put("\r\n");
    headers(response.headers(), &mut text);
    body(response.body(), &mut text);
}

fn headers(headers: &Headers, text: &mut Text<'_>) {
    for via in headers.vias() {
        text.field(Field::Via, via);
    }
    for hop in headers.route().iter() {
        text.field(Field::Route, hop);
    }
    for hop in headers.record_route().iter() {
        text.field(Field::RecordRoute, hop);
    }
    text.optional(Field::MaxForwards, headers.max_forwards());
    text.mandatory(headers, Field::From, headers.from());
    text.mandatory(headers, Field::To, headers.to());
    text.mandatory(headers, Field::CallId, headers.call_id());
    text.mandatory(headers, Field::CSeq, headers.cseq());
    match headers.contact() {
        Contact::Listed(addresses) => {
            for address in addresses {
                text.field(Field::Contact, address);
            }
        }
        Contact::Everything => text.field(Field::Contact, "*"),
    }
    text.optional(Field::Expires, headers.expires());
    text.optional(Field::Date, headers.date());
    text.optional(Field::Event, headers.event());
    text.optional(Field::SubscriptionState, headers.subscription_state());
    for (name, value) in headers.other() {
        text.field(name, value);
    }
    text.optional(Field::ContentType, headers.content_type());
}

fn body(body: &[u8], text: &mut Text<'_>) {
    text.field(Field::ContentLength, body.len());
    text.put("\r\n");
    text.0.extend_from_slice(body);
}

/// Formats into bytes; a `Vec` takes whatever is written, so there is no error to report.
struct Text<'a>(&'a mut Vec<u8>);

impl Text<'_> {
    fn put(&mut self, value: impl Display) {
        let _ = write!(self, "{value}");
    }

    fn field(&mut self, name: impl Display, value: impl Display) {
        let _ = write!(self, "{name}: {value}\r\n");
    }

    /// Writes a field that is always there, or in an answer to what could not be read the text that came.
    fn mandatory(&mut self, headers: &Headers, name: Field, value: impl Display) {
        match headers.echo(name) {
            None => self.field(name, value),
            Some(echo) => self.optional(name, echo.text.as_ref()),
        }
    }

    fn optional(&mut self, name: Field, value: Option<impl Display>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

/// What is set aside at once for a message's head.
const TYPICAL_HEAD: usize = 768;
