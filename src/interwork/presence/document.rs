//! The documents in which SIP notifications say the state of a user, by their types.

use super::{Presence, msrtc, pidf, xpidf};
use crate::limits::{DOCUMENT_DEPTH, PRESENCE_BYTES, XmlLimits};
use crate::mime::MediaType;
use crate::refusal::{Fault, Refuse};
use crate::xml;

/// Why a document says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is of another type.
    #[error("the document is of a type that says nothing of presence; application/pidf+xml is read")]
    MediaType,
    /// It is not what it says that it is.
    #[error("the document cannot be read as what its Content-Type says")]
    Garbled,
}

/// The types that are read, best first.
pub const TYPES: [(&str, &str); 4] = [
    ("application", "pidf+xml"),
    ("application", "msrtc-event-categories+xml"),
    ("text", "xml+msrtc.pidf"),
    ("application", "xpidf+xml"),
];

/// Reads a document of that type.
///
/// # Errors
/// [`DocumentError`].
pub fn read(kind: &MediaType, body: &[u8]) -> Result<Presence, DocumentError> {
    let of = |at: usize| {
        TYPES
            .get(at)
            .is_some_and(|(name, subtype)| kind.is(name, subtype))
    };
    let known = (0..TYPES.len())
        .find(|at| of(*at))
        .ok_or(DocumentError::MediaType)?;
    let limits = XmlLimits {
        element_bytes: PRESENCE_BYTES,
        depth: DOCUMENT_DEPTH,
        ..XmlLimits::default()
    };
    let text = std::str::from_utf8(body).map_err(|_| DocumentError::Garbled)?;
    let root = xml::document(bare(text).as_bytes(), &limits).map_err(|_| DocumentError::Garbled)?;
    match known {
        0 => pidf::read(&root),
        1 => msrtc::categories(&root),
        2 => msrtc::presentity(&root),
        _ => xpidf::read(&root),
    }
}

/// A document without its declaration, which may name an encoding that it is not in, and without a type that defines nothing.
fn bare(text: &str) -> &str {
    let text = text.trim_start_matches('\u{FEFF}').trim_start();
    let text = match text.strip_prefix("<?xml ").and_then(|rest| rest.split_once("?>")) {
        Some((_, rest)) => rest.trim_start(),
        None => text,
    };
    match text
        .strip_prefix("<!DOCTYPE")
        .and_then(|rest| rest.split_once('>'))
    {
        Some((named, rest)) if !named.contains('[') => rest,
        Some(_) | None => text,
    }
}

impl Refuse for DocumentError {
    fn class(&self) -> &'static str {
        match self {
            Self::MediaType => "presence_media_type",
            Self::Garbled => "presence_garbled",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::MediaType => 415,
            Self::Garbled => 400,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::MediaType => "not-acceptable",
            Self::Garbled => "bad-request",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::MediaType => "the document is of a type that is not read here",
            Self::Garbled => "the document cannot be read",
        }
    }
}
