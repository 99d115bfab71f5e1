//! What the machine of a link is told, and what it wants done.

use std::time::Instant;

use crate::gateway::{Token, Trouble};
use crate::limits::XmppLimits;
use crate::xmpp::Stanza;

/// A stanza that the link is asked to carry.
#[derive(Debug)]
pub struct Letter {
    /// The stanza.
    pub stanza: Box<Stanza>,
    /// By which name its fate is told; nobody asks where there is none.
    pub token: Option<Token>,
    /// After this it is given back rather than written.
    pub until: Instant,
}

/// Whether the link has a stream while there is nothing to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// A stream is opened when a letter comes.
    WhileUsed,
    /// A stream is opened at once and again after each end.
    Always,
}

/// Who is at the far end: it decides how long a link may pause after failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Far {
    /// A server of a foreign organisation.
    Peer,
    /// A server of ours, which is to be found again soon.
    Node,
}

/// What the caller learns of what was written on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// How far the operating system has taken it ([`Input::Taken`]).
    Taken,
    /// How much the far end has acknowledged ([`Input::Acknowledged`]; XEP-0198).
    Acknowledged,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Whether the stream is kept up; [`Keep::WhileUsed`] until told otherwise.
    Keep(Keep),
    /// The limits are others; a pause that has begun is cut to what it may be now.
    Limits(Box<XmppLimits>),
    /// A letter came; only while [`super::XmppLink::takes_letters`].
    Letter(Letter),
    /// The stream that [`Output::Open`] asked for is up.
    Opened(Evidence),
    /// No stream could be opened. `random` is uniform over all its values.
    Failed {
        /// Why.
        trouble: Trouble,
        /// Spreads the pause.
        random: u32,
    },
    /// The answer to [`Output::Write`]: the stanza ends at this octet of all that was ever sent on the stream.
    Wrote(u64),
    /// The other answer to [`Output::Write`]: it was not written at all.
    Unwritable(Trouble),
    /// The operating system has taken so many octets of the stream.
    Taken(u64),
    /// The far end has acknowledged so many more of the stanzas that were written.
    Acknowledged(u64),
    /// What the stream was opened for is gone: other terms, another node.
    Changed,
    /// The stream is closing: nothing more can be written on it.
    Ending,
    /// The stream is over. `random` is uniform over all its values.
    Ended {
        /// Spreads the pause.
        random: u32,
    },
    /// The proxy is stopping.
    Stop,
    /// The instant of [`super::XmppLink::timeout`] has come.
    Timer,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Open a stream; answer with [`Input::Opened`] or [`Input::Failed`].
    Open,
    /// Write this on the stream and answer with [`Input::Wrote`] or [`Input::Unwritable`] before anything else.
    Write(Box<Stanza>),
    /// Tell the gateway.
    Tell(Fate),
    /// Close the stream in good order.
    Close(Farewell),
    /// Nothing was carried for so long that the link may end: unless a letter waits for it.
    Retire,
    /// Nothing more will be carried; whoever holds letters for this link gives them back.
    Done,
}

/// What became of letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// They are out of our hands.
    Written {
        /// Which.
        tokens: Vec<Token>,
        /// On which stream.
        epoch: u64,
    },
    /// The far end has taken responsibility for them.
    Acknowledged {
        /// Which.
        tokens: Vec<Token>,
        /// On which stream.
        epoch: u64,
    },
    /// One was not written, or not acknowledged before its stream ended.
    Returned {
        /// Which.
        token: Token,
        /// Why.
        trouble: Trouble,
    },
    /// A stream is over, with what was written on it.
    Broken {
        /// Which.
        epoch: u64,
    },
}

/// Why a stream is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// It is not what it should be any more.
    Changed,
    /// The proxy is stopping.
    Stopping,
}
