//! The documents in which SIP notifications say the state of a user, by their types.

use super::{Device, Presence, msrtc, pidf, xpidf};
use crate::interwork::message::Language;
use crate::limits::{DOCUMENT_DEPTH, PRESENCE_BYTES, XmlLimits};
use crate::mime::MediaType;
use crate::refusal::{Fault, Refuse};
use crate::xml::{self, Element};

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

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// How the user can be reached now.
    Whole(Presence),
    /// What of that has changed, of all his devices together.
    Changes {
        /// The state; its notes say nothing.
        device: Option<Device>,
        /// The note, which may be that there is none any more.
        note: Option<String>,
    },
}

impl Said {
    /// How the user can be reached now, where that is what was known before; `None` where that is not known, and is not said.
    #[must_use]
    pub fn onto(self, known: Option<&Presence>) -> Option<Presence> {
        let (device, note) = match self {
            Self::Whole(presence) => return Some(presence),
            Self::Changes { device, note } => (device, note),
        };
        let known = known.map(Presence::aggregate);
        let mut now = device.or_else(|| known.clone())?;
        now.notes = match note {
            Some(_) => Vec::new(),
            None => known.map(|known| known.notes).unwrap_or_default(),
        };
        Some(Presence::new().with(now.with_note(&note.unwrap_or_default(), None)))
    }

    /// The same; its notes are in that language, where they do not say in which.
    #[must_use]
    pub fn in_language(self, language: &Language) -> Self {
        match self {
            Self::Whole(presence) => {
                let devices = presence.devices.into_iter();
                Self::Whole(Presence {
                    devices: devices.map(|device| device.in_language(language)).collect(),
                })
            }
            changes @ Self::Changes { .. } => changes,
        }
    }
}

/// Reads a document of that type.
///
/// # Errors
/// [`DocumentError`].
pub fn read(kind: &MediaType, body: &[u8]) -> Result<Said, DocumentError> {
    let of = |at: usize| {
        TYPES
            .get(at)
            .is_some_and(|(name, subtype)| kind.is(name, subtype))
    };
    let known = (0..TYPES.len())
        .find(|at| of(*at))
        .ok_or(DocumentError::MediaType)?;
    let root = parse(body)?;
    match known {
        0 => pidf::read(&root).map(Said::Whole),
        1 => msrtc::categories(&root),
        2 => msrtc::presentity(&root).map(Said::Whole),
        _ => xpidf::read(&root).map(Said::Whole),
    }
}

/// How many users a list of Microsoft's asks for (`application/msrtc-adrl-categorylist+xml`, MS-PRES); 0 where it cannot be read.
#[must_use]
pub fn asked_for(body: &[u8]) -> usize {
    let root = parse(body).ok();
    root.map_or(0, |root| msrtc::asked_for(&root))
}

fn parse(body: &[u8]) -> Result<Element, DocumentError> {
    let limits = XmlLimits {
        element_bytes: PRESENCE_BYTES,
        depth: DOCUMENT_DEPTH,
        ..XmlLimits::default()
    };
    let text = std::str::from_utf8(body).map_err(|_| DocumentError::Garbled)?;
    xml::document(bare(text).as_bytes(), &limits).map_err(|_| DocumentError::Garbled)
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
