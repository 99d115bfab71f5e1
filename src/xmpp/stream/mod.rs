//! Streams between servers: two machines that negotiate them, and the words in which they speak with the net floor.
//!
//! Sans-io. A machine is fed with [`Input`] and polled for [`Output`] until there is none; whenever it was fed, it must
//! be polled again, and its `timeout` asked again. It opens no connection, does no TLS, holds no queue of stanzas, and
//! judges nobody: it asks a [`Question`] and waits for the [`Verdict`].
//!
//! Invariants:
//! - Before TLS there is no field for an identity. After [`Output::StartTls`] a machine takes nothing but
//!   [`Input::TlsDone`], and every octet from before is forgotten.
//! - A stanza comes out as an [`Event`] only if its two domains are a pair that was proven on this stream.
//! - After [`Event::Refused`] or [`Event::Closed`], of which exactly one comes, no other event comes.
//!
//! RFC 6120 §4 to §6, §8.1; XEP-0178, XEP-0220.

use bytes::Bytes;

use crate::domain::Domain;
use crate::xmpp::Stanza;
use crate::xmpp::error::{Condition, StreamError};

mod features;
pub(super) mod header;
mod initiating;
mod pairs;
mod purpose;
mod receiving;
mod refusal;
mod settings;
mod unproven;
mod wire;

pub use initiating::Initiating;
pub use purpose::Purpose;
pub use receiving::Receiving;
pub use refusal::{Misuse, StreamRefusal};
pub use settings::{ClientCertificate, Dialback, Sasl, StreamSettings, Tls};
pub(super) use wire::Wire;

/// What a machine is told.
#[derive(Debug)]
pub enum Input<'a> {
    /// Octets from the connection, decrypted if TLS is up.
    Bytes(&'a [u8]),
    /// The TLS handshake that [`Output::StartTls`] asked for is done. One that fails is an [`Input::Eof`]: nothing may
    /// be written any more (RFC 6120 §5.4.3.2).
    TlsDone(TlsFacts),
    /// The answer to an [`Output::Ask`].
    Verdict(Verdict),
    /// A stanza to send; only after [`Event::Authenticated`] for its pair, and before [`Event::Ending`].
    Send(&'a Stanza),
    /// Of the stanzas that came, each told by [`Event::Stanza`], [`Event::Answer`] or [`Event::Unanswered`], so many in
    /// all need the peer no more, in their order.
    Settled(u64),
    /// The instant of `timeout` has come.
    Timer,
    /// The connection was cut.
    Eof,
    /// Close the stream in good order, with an error to say why if there is one.
    Close(Option<StreamError>),
}

/// What a machine wants done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Write these octets.
    Transmit(Bytes),
    /// Write everything before, then do the TLS handshake. Octets read and not yet fed are dropped.
    StartTls,
    /// Answer this with [`Input::Verdict`]; there is no time limit but the stream's own.
    Ask(Question),
    /// What happened.
    Event(Event),
    /// Write everything before, then close the connection; nothing follows.
    Close,
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// In the clear, to be raised by STARTTLS.
    Plain,
    /// Within TLS (XEP-0368).
    Tls(TlsFacts),
}

/// What the TLS handshake showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsFacts {
    /// Whether the peer showed a certificate, which is not yet to say that it is good.
    pub certificate: PeerCertificate,
}

/// Whether a TLS peer showed a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerCertificate {
    /// It did; whose it is must be asked.
    Shown,
    /// It did not.
    Absent,
}

/// What a machine cannot know by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Do we serve `to`, may `from` talk to it, and on what terms? `from` is only claimed, and may be absent.
    Host {
        /// The domain that the peer claims to be.
        from: Option<Domain>,
        /// The domain that the peer wants to reach.
        to: Domain,
    },
    /// Does the certificate that the TLS peer showed prove this domain?
    Certificate {
        /// The domain that the peer claims to be.
        claimed: Domain,
    },
    /// Does the authoritative server of `from` confirm this key? To be asked with an [`Initiating`] machine of
    /// [`Purpose::Verify`].
    Dialback {
        /// The domain that the peer claims to be: whose authoritative server is to be asked.
        from: Domain,
        /// The domain of ours that it wants to reach.
        to: Domain,
        /// The id that we gave to the stream on which the key came.
        stream_id: String,
        /// The key.
        key: String,
    },
}

/// The answer to a [`Question`], with the words of the question that tell which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// To [`Question::Host`].
    Host {
        /// As asked.
        from: Option<Domain>,
        /// As asked.
        to: Domain,
        /// The answer.
        answer: HostAnswer,
    },
    /// To [`Question::Certificate`].
    Certificate {
        /// As asked.
        claimed: Domain,
        /// The answer.
        answer: CertificateAnswer,
    },
    /// To [`Question::Dialback`].
    Dialback {
        /// As asked.
        from: Domain,
        /// As asked.
        to: Domain,
        /// The answer.
        answer: DialbackAnswer,
    },
}

/// Whether the pair may have a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAnswer {
    /// Yes, on these terms.
    Served(StreamSettings),
    /// We do not serve the domain.
    Unknown,
    /// We do, but policy forbids this peer.
    Forbidden,
}

/// Whether a certificate proves a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateAnswer {
    /// It does: chain, time, use and name.
    Proven,
    /// It does not.
    Unproven,
}

/// What became of a dialback key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialbackAnswer {
    /// The authoritative server confirms it.
    Valid,
    /// The authoritative server denies it: the peer lies.
    Invalid,
    /// It could not be asked, or did not know (XEP-0220 §2.5 says which condition fits).
    Failed(Condition),
}

/// How a pair was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// By certificate and SASL EXTERNAL.
    External,
    /// By dialback.
    Dialback,
    /// By the shared secret of a component.
    Handshake,
}

/// What happened on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A pair of domains is proven; stanzas between them may flow. May come for several pairs.
    Authenticated {
        /// Our domain.
        local: Domain,
        /// The peer's.
        remote: Domain,
        /// How.
        method: Method,
    },
    /// A stanza of a proven pair.
    Stanza(Stanza),
    /// The peer has taken responsibility for so many more of the stanzas that were sent, in their order (XEP-0198).
    Acknowledged(u32),
    /// The error that is owed to the sender of a malformed stanza: to be routed like any stanza of ours.
    Answer(Stanza),
    /// A malformed stanza came whose sender is owed no error.
    Unanswered,
    /// The answer to a [`Purpose::Verify`]; the stream is closing.
    Verified(DialbackAnswer),
    /// One pair was refused; the stream goes on.
    PairRefused {
        /// Our domain.
        local: Domain,
        /// The peer's.
        remote: Domain,
        /// Why.
        refusal: StreamRefusal,
    },
    /// We began to close the stream: nothing more can be sent on it, though something may still come.
    Ending,
    /// We ended the stream because of what the peer did, or failed to do.
    Refused(StreamRefusal),
    /// The stream ended otherwise.
    Closed(Closed),
}

/// How a stream ended that we did not refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The peer closed it in good order.
    ByPeer,
    /// We were told to.
    ByUs,
    /// Nothing was sent on it for so long that we closed it.
    Idle,
    /// The connection was cut.
    Cut,
    /// The peer ended it with an error.
    PeerError(StreamError),
}
