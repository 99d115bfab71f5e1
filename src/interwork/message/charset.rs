//! Octets to text by the charset parameter: UTF-8, US-ASCII and ISO-8859-1, nothing guessed and nothing repaired.

use super::MessageError;
use crate::mime::MediaType;

/// Reads a body in the character set that its type names; UTF-8 where it names none (RFC 3261 §7.4.1).
pub(super) fn decode(kind: &MediaType, body: &[u8]) -> Result<String, MessageError> {
    let name = kind.parameter("charset").unwrap_or("utf-8").to_ascii_lowercase();
    let text = match name.as_str() {
        "utf-8" | "utf8" => std::str::from_utf8(body)
            .map_err(|_| MessageError::Garbled)?
            .to_owned(),
        "us-ascii" | "ascii" => {
            if !body.is_ascii() {
                return Err(MessageError::Garbled);
            }
            std::str::from_utf8(body)
                .map_err(|_| MessageError::Garbled)?
                .to_owned()
        }
        // Its first 256 characters are Unicode's.
        "iso-8859-1" | "iso_8859-1" | "latin1" | "l1" => body.iter().map(|b| char::from(*b)).collect(),
        _ => return Err(MessageError::Charset),
    };
    Ok(match text.strip_prefix('\u{FEFF}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}
