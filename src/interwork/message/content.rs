//! Bodies of SIP messages as text: text/plain, text/html without its markup, and either of them inside message/cpim.
//!
//! RFC 7572 §7; RFC 3862 §2 (message/cpim). The addresses of a CPIM wrapper are not looked at: they prove nothing.

use super::{MessageError, charset, html};
use crate::mime::MediaType;
use crate::sip::Request;

/// The text of a request's body.
pub(super) fn text(request: &Request) -> Result<String, MessageError> {
    let encoded = request
        .headers()
        .list("Content-Encoding")
        .any(|coding| !coding.eq_ignore_ascii_case("identity"));
    if encoded {
        return Err(MessageError::Encoding);
    }
    if request.body().is_empty() {
        return Err(MessageError::Empty);
    }
    let kind = request.headers().content_type().ok_or(MessageError::MediaType)?;
    let text = if kind.is("message", "cpim") {
        unwrap(request.body())?
    } else {
        plain(kind, request.body())?
    };
    if text.trim().is_empty() {
        return Err(MessageError::Empty);
    }
    Ok(text)
}

fn plain(kind: &MediaType, body: &[u8]) -> Result<String, MessageError> {
    if kind.is("text", "plain") {
        charset::decode(kind, body)
    } else if kind.is("text", "html") {
        charset::decode(kind, body).map(|text| html::to_text(&text))
    } else {
        Err(MessageError::MediaType)
    }
}

/// The text in a CPIM wrapper: message headers, an empty line, content headers, an empty line, content.
fn unwrap(body: &[u8]) -> Result<String, MessageError> {
    let (_, rest) = split_block(body)?;
    let (head, content) = split_block(rest)?;
    let head = std::str::from_utf8(head).map_err(|_| MessageError::Garbled)?;
    let mut kind = None;
    for field in head.lines() {
        let (name, value) = field.split_once(':').ok_or(MessageError::Garbled)?;
        if name.eq_ignore_ascii_case("Content-Type") {
            if kind.is_some() {
                return Err(MessageError::Garbled);
            }
            kind = Some(MediaType::parse(value.trim()).map_err(|_| MessageError::Garbled)?);
        }
        if name.eq_ignore_ascii_case("Content-Transfer-Encoding")
            && !["7bit", "8bit", "binary"]
                .iter()
                .any(|identity| value.trim().eq_ignore_ascii_case(identity))
        {
            return Err(MessageError::Encoding);
        }
    }
    // RFC 2045 §5.2: text/plain where nothing is said.
    let kind = kind.unwrap_or_else(|| MediaType::plain("text", "plain"));
    plain(&kind, content)
}

/// A block of lines up to the first empty one, and what follows that.
fn split_block(bytes: &[u8]) -> Result<(&[u8], &[u8]), MessageError> {
    // A block may be empty: then the empty line stands first.
    if let Some(rest) = bytes.strip_prefix(b"\r\n").or_else(|| bytes.strip_prefix(b"\n")) {
        return Ok((&[], rest));
    }
    let crlf = memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| (at, 4_usize));
    let lf = memchr::memmem::find(bytes, b"\n\n").map(|at| (at, 2_usize));
    let (end, gap) = [crlf, lf]
        .into_iter()
        .flatten()
        .min()
        .ok_or(MessageError::Garbled)?;
    let (block, rest) = bytes.split_at_checked(end).ok_or(MessageError::Garbled)?;
    Ok((block, rest.get(gap..).unwrap_or_default()))
}
