//! Bodies of SIP messages as text: text/plain, text/html without its markup, the better of them from
//! multipart/alternative, and any of these inside message/cpim (RFC 7572 §7).
//!
//! One wrapper and one list of parts, and nothing deeper.

use super::cpim::Cpim;
use super::{MessageError, charset, html, multipart};
use crate::mime::MediaType;
use crate::sip::Request;

/// The text of a request's body.
pub(in crate::interwork) fn text(request: &Request) -> Result<String, MessageError> {
    let encoded = request
        .headers()
        .list("Content-Encoding")
        .any(|coding| !coding.eq_ignore_ascii_case("identity"));
    if encoded {
        return Err(MessageError::Encoding);
    }
    let kind = request.headers().content_type();
    match kind {
        Some(kind) => text_of(kind, request.body()),
        None if request.body().is_empty() => Err(MessageError::Empty),
        None => Err(MessageError::MediaType),
    }
}

/// The text of octets of that type; never empty.
pub(in crate::interwork) fn text_of(kind: &MediaType, body: &[u8]) -> Result<String, MessageError> {
    if body.is_empty() {
        return Err(MessageError::Empty);
    }
    let text = if kind.is("message", "cpim") {
        let content = Cpim::read(body)?.content;
        in_wrapper(content.kind(), &content.octets()?)?
    } else {
        in_wrapper(kind, body)?
    };
    if text.trim().is_empty() {
        return Err(MessageError::Empty);
    }
    Ok(text)
}

fn in_wrapper(kind: &MediaType, body: &[u8]) -> Result<String, MessageError> {
    if kind.is("multipart", "alternative") {
        alternative(kind, body)
    } else {
        simple(kind, body)
    }
}

/// The form that loses least when it becomes text; a part that cannot be read is as good as not there.
fn alternative(kind: &MediaType, body: &[u8]) -> Result<String, MessageError> {
    let parts = multipart::parts(kind, body)?;
    let mut failure = MessageError::MediaType;
    for (kind, subtype) in SIMPLE {
        for part in parts.iter().filter(|part| part.kind().is(kind, subtype)) {
            match part.octets().and_then(|octets| simple(part.kind(), &octets)) {
                Ok(text) if text.trim().is_empty() => failure = MessageError::Empty,
                Ok(text) => return Ok(text),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}

fn simple(kind: &MediaType, body: &[u8]) -> Result<String, MessageError> {
    if kind.is("text", "plain") {
        charset::decode(kind, body)
    } else if kind.is("text", "html") {
        charset::decode(kind, body).map(|text| html::to_text(&text))
    } else {
        Err(MessageError::MediaType)
    }
}

/// What is text in itself, best form first.
const SIMPLE: [(&str, &str); 2] = [("text", "plain"), ("text", "html")];
