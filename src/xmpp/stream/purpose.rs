//! What a stream that we open is for.

use crate::domain::Domain;

/// What the stream is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To send stanzas from a domain that we speak for.
    Stanzas {
        /// Our domain.
        local: Domain,
        /// The peer's.
        remote: Domain,
    },
    /// To ask the authoritative server of `remote` about a key ([`Question::Dialback`](super::Question::Dialback)). It ends with
    /// [`Event::Verified`](super::Event::Verified), or without, and then the key could not be checked.
    Verify {
        /// Our domain: the question's `to`.
        local: Domain,
        /// The domain that is in question: its `from`.
        remote: Domain,
        /// The id of the stream on which the key came.
        stream_id: String,
        /// The key.
        key: String,
    },
}

impl Purpose {
    /// Our domain.
    #[must_use]
    pub const fn local(&self) -> &Domain {
        match self {
            Self::Stanzas { local, .. } | Self::Verify { local, .. } => local,
        }
    }

    /// The peer's domain.
    #[must_use]
    pub const fn remote(&self) -> &Domain {
        match self {
            Self::Stanzas { remote, .. } | Self::Verify { remote, .. } => remote,
        }
    }
}
