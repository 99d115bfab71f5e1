//! Profiles: the numbers by which one kind of SIP peer differs from another.
//!
//! A profile is data, not a code path: a new kind of peer is a new row.

use crate::limits::GatewayLimits;
use crate::sip::{Method, StatusCode};

/// The kinds of SIP peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// Any standard SIMPLE peer.
    Simple,
    /// Microsoft: OCS, Lync, Skype for Business, Office 365.
    Microsoft,
    /// The AOL SIP access gateway and its like.
    Aol,
}

/// Whether a peer takes messages in sessions, which begin with an INVITE and are dialogs (RFC 7573 §5 has them over MSRP,
/// Microsoft's servers in the dialog itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sessions {
    /// It does not: single messages only.
    Never,
    /// Single messages are tried first.
    Fallback,
    /// In sessions, and single messages are tried only where it refuses them.
    Always,
}

/// What becomes of a message that is longer than the peer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Oversize {
    /// Its sender is told (RFC 7572 §6).
    Refuse,
    /// It goes as several messages.
    Split,
}

/// How to speak with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    kind: PeerKind,
    message_bytes: usize,
    sessions: Sessions,
    service_unavailable: StatusCode,
    oversize: Oversize,
    /// Methods that do not pass to it.
    refused: Refused,
}

/// Which of the methods that a session can do without a peer may not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Refused {
    info: bool,
    update: bool,
}

impl Profile {
    /// The defaults for a kind of peer.
    #[must_use]
    pub const fn new(kind: PeerKind, limits: &GatewayLimits) -> Self {
        let (message_bytes, sessions, service_unavailable) = match kind {
            PeerKind::Simple => (
                limits.pager_message_bytes,
                Sessions::Fallback,
                StatusCode::FORBIDDEN,
            ),
            PeerKind::Aol => (limits.pager_message_bytes, Sessions::Never, StatusCode::FORBIDDEN),
            // Its clients show 480 as "offline", and 403 as a failure.
            PeerKind::Microsoft => (
                MICROSOFT_BYTES,
                Sessions::Always,
                StatusCode::TEMPORARILY_UNAVAILABLE,
            ),
        };
        Self {
            kind,
            message_bytes,
            sessions,
            service_unavailable,
            oversize: Oversize::Refuse,
            refused: Refused {
                info: false,
                update: false,
            },
        }
    }

    /// The same for a peer that is to get long messages in that way.
    #[must_use]
    pub const fn with_oversize(mut self, oversize: Oversize) -> Self {
        self.oversize = oversize;
        self
    }

    /// The same for a peer that is known to take longer messages, or only shorter ones.
    #[must_use]
    pub const fn with_message_bytes(mut self, octets: usize) -> Self {
        self.message_bytes = octets;
        self
    }

    /// The kind of peer.
    #[must_use]
    pub const fn kind(&self) -> PeerKind {
        self.kind
    }

    /// Octets of a whole MESSAGE request outside a session (RFC 3428 §8).
    #[must_use]
    pub const fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// The same for a peer that may not be invited.
    #[must_use]
    pub const fn without_sessions(mut self) -> Self {
        self.sessions = Sessions::Never;
        self
    }

    /// The same for a peer that may not be sent requests of that method: INFO or UPDATE, which a session can do without.
    #[must_use]
    pub const fn without(mut self, method: &Method) -> Self {
        self.refused.info |= matches!(method, Method::Info);
        self.refused.update |= matches!(method, Method::Update);
        self
    }

    /// Whether it may be sent requests of that method within a session.
    #[must_use]
    pub const fn takes(&self, method: &Method) -> bool {
        let is_refused = self.refused.info && matches!(method, Method::Info)
            || self.refused.update && matches!(method, Method::Update);
        !is_refused
    }

    /// Whether it takes messages in sessions.
    #[must_use]
    pub const fn sessions(&self) -> Sessions {
        self.sessions
    }

    /// What becomes of a message that is longer.
    #[must_use]
    pub const fn oversize(&self) -> Oversize {
        self.oversize
    }

    /// What XMPP's service-unavailable is called, which is both "offline" and "not for you" (RFC 7247 §7.1 note 5).
    #[must_use]
    pub const fn service_unavailable(&self) -> StatusCode {
        self.service_unavailable
    }
}

/// What Microsoft servers take over their TLS connections.
const MICROSOFT_BYTES: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_differ_in_size_and_in_what_offline_is_called() {
        let limits = GatewayLimits::default();
        for (kind, bytes, status) in [
            (PeerKind::Simple, 1_300, 403),
            (PeerKind::Microsoft, 8_192, 480),
            (PeerKind::Aol, 1_300, 403),
        ] {
            let profile = Profile::new(kind, &limits);
            assert_eq!(
                (profile.message_bytes(), profile.service_unavailable().code()),
                (bytes, status)
            );
            assert_eq!(profile.oversize(), Oversize::Refuse);
            assert_eq!(profile.with_message_bytes(9).message_bytes(), 9);
        }
    }
}
