//! Bodies of SIP messages as text: text/plain, text/html and text/rtf without their markup, the best of them from
//! multipart/alternative, and any of these inside message/cpim (RFC 7572 §7).
//!
//! One wrapper and one list of parts, and nothing deeper.

use super::cpim::Cpim;
use super::{MessageError, charset, html, multipart, rtf, xhtml};
use crate::mime::MediaType;
use crate::sip::Request;
use crate::xml::Element;

/// What a body says: always its text, and its markup where it has some that says the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::interwork) struct Content {
    /// The text; never empty.
    pub(in crate::interwork) text: String,
    /// The same as XHTML-IM.
    pub(in crate::interwork) rich: Option<Element>,
}

/// The content of a request's body.
pub(in crate::interwork) fn read(request: &Request) -> Result<Content, MessageError> {
    let encoded = request
        .headers()
        .list("Content-Encoding")
        .any(|coding| !coding.eq_ignore_ascii_case("identity"));
    if encoded {
        return Err(MessageError::Encoding);
    }
    match request.headers().content_type() {
        Some(kind) => read_octets(kind, request.body()),
        None if request.body().is_empty() => Err(MessageError::Empty),
        None => Err(MessageError::MediaType),
    }
}

/// The content of octets of that type.
pub(in crate::interwork) fn read_octets(kind: &MediaType, body: &[u8]) -> Result<Content, MessageError> {
    if body.is_empty() {
        return Err(MessageError::Empty);
    }
    if kind.is("message", "cpim") {
        let content = Cpim::read(body)?.content;
        return in_wrapper(content.kind(), &content.octets()?);
    }
    in_wrapper(kind, body)
}

fn in_wrapper(kind: &MediaType, body: &[u8]) -> Result<Content, MessageError> {
    if kind.is("multipart", "alternative") {
        alternative(kind, body)
    } else {
        simple(kind, body)
    }
}

/// The form that loses least when it becomes text; a part that cannot be read is as good as not there. Markup of another
/// part comes with it only if its words are the same, so that nobody reads one thing while others read another.
fn alternative(kind: &MediaType, body: &[u8]) -> Result<Content, MessageError> {
    let parts = multipart::parts(kind, body)?;
    let read = |(kind, subtype): (&str, &str)| {
        let of_type = parts.iter().filter(move |part| part.kind().is(kind, subtype));
        let mut failure = None;
        for part in of_type {
            match part.octets().and_then(|octets| simple(part.kind(), &octets)) {
                Ok(content) => return Ok(content),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure)
    };
    let mut failure = None;
    let mut found: Option<Content> = None;
    for form in SIMPLE {
        match (read(form), &mut found) {
            (Ok(content), None) => found = Some(content),
            (Ok(content), Some(best)) => {
                if best.rich.is_none() && words(&best.text).eq(words(&content.text)) {
                    best.rich = content.rich;
                }
            }
            (Err(error), _) => failure = failure.or(error),
        }
    }
    found.ok_or_else(|| failure.unwrap_or(MessageError::MediaType))
}

fn simple(kind: &MediaType, body: &[u8]) -> Result<Content, MessageError> {
    let content = if kind.is("text", "plain") {
        let text = charset::decode(kind, body)?;
        Content { text, rich: None }
    } else if kind.is("text", "html") {
        let source = charset::decode(kind, body)?;
        Content {
            text: html::to_text(&source),
            rich: xhtml::reduce(&source),
        }
    } else if kind.is("text", "rtf") || kind.is("application", "rtf") {
        let source = charset::decode(kind, body)?;
        Content {
            text: rtf::to_text(&source)?,
            rich: None,
        }
    } else {
        return Err(MessageError::MediaType);
    };
    if content.text.trim().is_empty() {
        return Err(MessageError::Empty);
    }
    Ok(content)
}

/// What is said, whatever the white space and the bullets between.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().filter(|word| *word != "-")
}

/// What is text in itself, best form first.
const SIMPLE: [(&str, &str); 4] = [
    ("text", "plain"),
    ("text", "html"),
    ("text", "rtf"),
    ("application", "rtf"),
];
