//! The first message of a conversation inside the INVITE that begins it, as Microsoft's clients write it: `ms-text-format`
//! and `ms-im-format` header fields whose `ms-body` is base64.
//!
//! Who takes this message says so in the 2xx (`Supported: ms-text-format`); else the caller sends it again as the first
//! MESSAGE of the dialog. Some callers send it again in any case: [`Embedded::same_as`] recognises that one. Until when
//! it is looked for is the gateway's.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::message::{MessageError, text_of, text_of_octets};
use crate::limits::EMBEDDED_BYTES;
use crate::mime::MediaType;
use crate::sip::{Method, Request};

/// The header field that offers a first message, and the option tag by which it is taken.
pub const TEXT_FORMAT: &str = "ms-text-format";

/// A first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    text: String,
    call_id: String,
}

impl Embedded {
    /// Its text, with LF between lines.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a request is this message once more: a MESSAGE of the same Call-ID with the same text.
    #[must_use]
    pub fn same_as(&self, request: &Request) -> bool {
        *request.method() == Method::Message
            && request.headers().call_id().as_str() == self.call_id
            && text_of(request).is_ok_and(|text| text.trim() == self.text.trim())
    }
}

/// The message in an INVITE: its plain text, or else the best other form that can be read. `None` where there is none.
///
/// # Errors
/// Where there is a message that cannot be read. An INVITE may be accepted all the same, without the option tag: the
/// caller then sends the message in the dialog, where it has an answer of its own.
pub fn first_message(request: &Request) -> Result<Option<Embedded>, MessageError> {
    if *request.method() != Method::Invite {
        return Ok(None);
    }
    let headers = request.headers();
    let mut failure = None;
    for value in headers.all(TEXT_FORMAT).chain(headers.all(IM_FORMAT)) {
        match read(value) {
            Ok(Some(text)) => {
                let call_id = headers.call_id().as_str().to_owned();
                return Ok(Some(Embedded { text, call_id }));
            }
            Ok(None) => {}
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(None), Err)
}

/// One form of the message: `type/subtype; name=value; ms-body=BASE64`. `None` where it has no body.
fn read(value: &str) -> Result<Option<String>, MessageError> {
    // Base64 has no semicolon, and nothing else here is quoted.
    let mut parts = value.split(';').map(str::trim);
    let mut kind = MediaType::parse(parts.next().unwrap_or_default()).map_err(|_| MessageError::Garbled)?;
    let mut body = None;
    for part in parts {
        let Some((name, value)) = part.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        if name.trim_end().eq_ignore_ascii_case(BODY) {
            if body.replace(value).is_some() {
                return Err(MessageError::Garbled);
            }
        } else if name.trim_end().eq_ignore_ascii_case("charset") {
            kind = kind.with("charset", value);
        }
        // `msgr` is fonts and colours.
    }
    let Some(body) = body.filter(|body| !body.is_empty()) else {
        return Ok(None);
    };
    text_of_octets(&kind, &decode(body)?).map(Some)
}

fn decode(text: &str) -> Result<Vec<u8>, MessageError> {
    // Three octets are four characters: what is longer is not decoded at all.
    if text.len() / 4 > EMBEDDED_BYTES.div_ceil(3) {
        return Err(MessageError::TooLarge {
            octets: text.len(),
            most: EMBEDDED_BYTES,
        });
    }
    let octets = BASE64.decode(text).map_err(|_| MessageError::Garbled)?;
    if octets.len() > EMBEDDED_BYTES {
        return Err(MessageError::TooLarge {
            octets: octets.len(),
            most: EMBEDDED_BYTES,
        });
    }
    Ok(octets)
}

/// Other forms of the message.
const IM_FORMAT: &str = "ms-im-format";
/// The parameter with the message.
const BODY: &str = "ms-body";
/// Padding is left out by some of these clients.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests;
