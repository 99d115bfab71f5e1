//! What a MESSAGE or INFO carries, inside a dialog or outside: words, that somebody is typing, or a receipt.

use super::composing::{self, Activity};
use super::message::MessageError;
use super::receipt::{self, Receipt};
use crate::sip::{Method, Request};

/// What the body of a MESSAGE may be.
pub const TYPES: [(&str, &str); 9] = [
    ("text", "plain"),
    ("text", "html"),
    ("text", "rtf"),
    ("application", "rtf"),
    ("multipart", "alternative"),
    ("message", "cpim"),
    ("application", "im-iscomposing+xml"),
    ("message", "imdn+xml"),
    ("application", "ms-imdn+xml"),
];

/// The same as an Accept header field lists them (RFC 3261 §20.1).
#[must_use]
pub fn accept() -> String {
    TYPES
        .map(|(kind, subtype)| format!("{kind}/{subtype}"))
        .join(", ")
}

/// What is in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// Words, or something that cannot be read: [`super::message`] says which.
    Text,
    /// That somebody is typing, or has stopped.
    Activity(Activity),
    /// What became of the message with that identifier.
    Receipt(Receipt, String),
    /// Nothing that anybody is told: it is answered 200.
    Nothing,
}

/// Says what a request carries.
///
/// # Errors
/// [`MessageError`] for what says that it is one thing and is another, and for an INFO that says nothing of typing.
pub fn read(request: &Request) -> Result<Carried, MessageError> {
    if receipt::is_receipt(request) {
        return Ok(match receipt::of_request(request)? {
            Some((receipt, id)) => Carried::Receipt(receipt, id),
            None => Carried::Nothing,
        });
    }
    if *request.method() == Method::Info || composing::is_composing_request(request) {
        return composing::of_request(request).map(Carried::Activity);
    }
    Ok(Carried::Text)
}

#[cfg(test)]
mod tests;
