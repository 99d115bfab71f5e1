//! A piece of a body with a header of its own (RFC 2045 §3): what multipart bodies and CPIM wrappers hold.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::MessageError;
use crate::limits::PART_HEADER_BYTES;
use crate::mime::MediaType;

/// A part: what it says it is, and its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::interwork) struct Part<'b> {
    kind: MediaType,
    body: &'b [u8],
    transfer: Transfer,
}

/// How the octets were made fit for mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Identity,
    Base64,
    Unknown,
}

impl<'b> Part<'b> {
    /// Reads a header, an empty line, and octets.
    pub(super) fn read(octets: &'b [u8]) -> Result<Self, MessageError> {
        let (head, body) = split_block(octets)?;
        if head.len() > PART_HEADER_BYTES {
            return Err(MessageError::Garbled);
        }
        let head = std::str::from_utf8(head).map_err(|_| MessageError::Garbled)?;
        let mut kind = None;
        let mut transfer = None;
        for line in head.lines() {
            // A folded line belongs to the one before.
            if line.starts_with([' ', '\t']) {
                return Err(MessageError::Garbled);
            }
            let (name, value) = field(line)?;
            if name.eq_ignore_ascii_case("Content-Type") {
                let value = MediaType::parse(value).map_err(|_| MessageError::Garbled)?;
                if kind.replace(value).is_some() {
                    return Err(MessageError::Garbled);
                }
            } else if name.eq_ignore_ascii_case("Content-Transfer-Encoding")
                && transfer.replace(Transfer::of(value)).is_some()
            {
                return Err(MessageError::Garbled);
            }
        }
        Ok(Self {
            // RFC 2045 §5.2: text/plain where nothing is said.
            kind: kind.unwrap_or_else(|| MediaType::plain("text", "plain")),
            body,
            transfer: transfer.unwrap_or(Transfer::Identity),
        })
    }

    /// What it says it is.
    pub(in crate::interwork) const fn kind(&self) -> &MediaType {
        &self.kind
    }

    /// Its octets as they came.
    pub(in crate::interwork) const fn body(&self) -> &'b [u8] {
        self.body
    }

    /// Its octets as they were before they were made fit for mail; never more than came.
    pub(in crate::interwork) fn octets(&self) -> Result<Cow<'b, [u8]>, MessageError> {
        match self.transfer {
            Transfer::Identity => Ok(Cow::Borrowed(self.body)),
            Transfer::Base64 => {
                let digits: Vec<u8> = self
                    .body
                    .iter()
                    .copied()
                    .filter(|b| !b.is_ascii_whitespace())
                    .collect();
                let octets = STANDARD.decode(digits).map_err(|_| MessageError::Garbled)?;
                Ok(Cow::Owned(octets))
            }
            Transfer::Unknown => Err(MessageError::Encoding),
        }
    }
}

impl Transfer {
    fn of(value: &str) -> Self {
        let is = |name: &str| value.eq_ignore_ascii_case(name);
        if is("7bit") || is("8bit") || is("binary") {
            Self::Identity
        } else if is("base64") {
            Self::Base64
        } else {
            Self::Unknown
        }
    }
}

/// `name: value`.
pub(super) fn field(line: &str) -> Result<(&str, &str), MessageError> {
    let (name, value) = line.split_once(':').ok_or(MessageError::Garbled)?;
    Ok((name.trim(), value.trim()))
}

/// A block of lines up to the first empty one, and what follows that.
pub(super) fn split_block(bytes: &[u8]) -> Result<(&[u8], &[u8]), MessageError> {
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
