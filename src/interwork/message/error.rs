//! Why a single message is not translated, for both sides and for the operator.

use crate::interwork::address::AddressError;
use crate::refusal::{Fault, Refuse};

/// Why a message does not cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A request that is no MESSAGE, or a stanza that is no message.
    #[error("this is not an instant message")]
    NotAMessage,
    /// An address without counterpart.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Max-Forwards has come to 0.
    #[error("the request has made all the hops it was allowed")]
    TooManyHops,
    /// Its time is over (Expires).
    #[error("the message had expired when it came")]
    Expired,
    /// A body of a type that we do not translate, or of none.
    #[error("the body is of a media type that is not translated")]
    MediaType,
    /// A character set that we do not read.
    #[error("the body is in a character set other than UTF-8, US-ASCII and ISO-8859-1")]
    Charset,
    /// A content encoding, which we do not undo.
    #[error("the body has a content encoding")]
    Encoding,
    /// A body that its own headers do not describe.
    #[error("the body is not what its Content-Type says")]
    Garbled,
    /// No text in the body.
    #[error("the message has no text")]
    Empty,
    /// Longer than the peer takes.
    #[error("the SIP request would have {octets} octets; the peer takes {most}")]
    TooLarge {
        /// What it would have.
        octets: usize,
        /// What the peer's profile allows.
        most: usize,
    },
    /// A value of our own that SIP cannot write: a defect of ours.
    #[error("the SIP request could not be made")]
    Unwritable,
    /// A stanza that is not translated and not answered: a headline, a groupchat message, an error, or one without
    /// text (chat states and their like).
    #[error("the stanza is of a kind that is not translated")]
    Silent,
}

impl MessageError {
    /// Whether the message is dropped without a word to its sender.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        matches!(self, Self::Silent)
    }
}

impl Refuse for MessageError {
    fn class(&self) -> &'static str {
        match self {
            Self::NotAMessage => "message_not_one",
            Self::Address(error) => error.class(),
            Self::TooManyHops => "message_too_many_hops",
            Self::Expired => "message_expired",
            Self::MediaType => "message_media_type",
            Self::Charset => "message_charset",
            Self::Encoding => "message_encoding",
            Self::Garbled => "message_garbled",
            Self::Empty => "message_empty",
            Self::TooLarge { .. } => "message_too_large",
            Self::Unwritable => "message_unwritable",
            Self::Silent => "message_not_translated",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Address(error) => error.fault(),
            Self::TooLarge { .. } => Fault::Policy,
            Self::Unwritable => Fault::Local,
            Self::NotAMessage
            | Self::TooManyHops
            | Self::Expired
            | Self::MediaType
            | Self::Charset
            | Self::Encoding
            | Self::Garbled
            | Self::Empty
            | Self::Silent => Fault::Peer,
        }
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::NotAMessage => 405,
            Self::Address(error) => error.sip_status(),
            Self::TooManyHops => 483,
            Self::Expired => 480,
            Self::MediaType | Self::Charset | Self::Encoding => 415,
            Self::Garbled | Self::Empty => 400,
            Self::TooLarge { .. } => 413,
            Self::Unwritable => 500,
            Self::Silent => 403,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::Address(error) => error.stanza_condition(),
            Self::TooLarge { .. } => "policy-violation",
            Self::Unwritable => "internal-server-error",
            Self::NotAMessage | Self::Silent => "feature-not-implemented",
            Self::TooManyHops
            | Self::Expired
            | Self::MediaType
            | Self::Charset
            | Self::Encoding
            | Self::Garbled
            | Self::Empty => "not-acceptable",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::NotAMessage => "not supported here",
            Self::Address(error) => error.peer_text(),
            Self::TooManyHops => "too many hops",
            Self::Expired => "the message had expired",
            Self::MediaType => "unsupported media type",
            Self::Charset => "unsupported character set",
            Self::Encoding => "unsupported content encoding",
            Self::Garbled => "the body does not match its type",
            Self::Empty => "the message has no text",
            Self::TooLarge { .. } => "the message is too long for this route",
            Self::Unwritable => "internal error",
            Self::Silent => "not translated",
        }
    }
}
