//! What the gateway core is told, and what it wants done.

use std::sync::Arc;
use std::time::Instant;

use super::answer::Trouble;
use super::border::{BlockedEnds, Border, GivenUp};
use super::conversation::Call;
use super::delivery::{Delivery, Link, Outcome, Trace, weight_of};
use super::hold::Hold;
use super::pending::Token;
use super::presence::{Change, Record};
use crate::policy::Direction;
use crate::route::{Protocol, Route};
use crate::sip::{Request, Response};
use crate::xmpp::Stanza;

/// What happened.
#[derive(Debug)]
pub enum Input<O> {
    /// A message passed the checks. `origin` is for a request that waits for its answer, and for none else.
    Deliver {
        /// The message.
        delivery: Box<Delivery>,
        /// Where its SIP transaction is.
        origin: Option<O>,
    },
    /// The edge refuses something by itself, and this error tells its sender.
    Notice {
        /// The error.
        stanza: Box<Stanza>,
        /// The correlation id of what is refused.
        trace: Trace,
        /// What the sender's side is kept by until it has the error.
        hold: Option<Hold>,
    },
    /// Somebody pings a domain of SIP: the answer, which every shard gets. Each gives it back by [`Output::Pong`], and the last to do so
    /// has it sent.
    Ping(Arc<Stanza>),
    /// A stanza came that answers something of ours ([`super::AnswerIds::token`]).
    Answer(Box<Stanza>),
    /// A link has written these stanzas on its `epoch`-th stream.
    Written {
        /// Which ones.
        tokens: Vec<Token>,
        /// The number of the stream, counted by the link.
        epoch: u64,
    },
    /// The far end of a link has taken responsibility for these stanzas (XEP-0198).
    Acknowledged {
        /// Which ones.
        tokens: Vec<Token>,
        /// The number of the stream, counted by the link.
        epoch: u64,
    },
    /// A link gives something back that it did not write, or that was not acknowledged before its stream broke; told before anything that stood behind it is written, or an
    /// answered ping would confirm what never left.
    Returned {
        /// What.
        token: Token,
        /// Why.
        trouble: Trouble,
    },
    /// A stream of a link broke: whatever was written on it and not confirmed may be lost. Told after all that was
    /// written on it, and before anything is written on the next.
    Broken {
        /// Which link.
        link: Link,
        /// Which of its streams.
        epoch: u64,
    },
    /// A SIP request of ours got its final response.
    Response {
        /// Which request.
        token: Token,
        /// The response.
        response: Box<Response>,
    },
    /// A SIP peer calls back an INVITE that may wait for its answer ([`Delivery::call`]).
    CalledBack(Box<Call>),
    /// The proxy stops, and nothing new comes any more: sessions end as soon as nothing waits in them.
    Stop {
        /// Whatever still waits then is told as failed.
        by: Instant,
    },
    /// What the store has kept of the presence of users, at the start and in parts.
    Restore {
        /// Some of its records.
        records: Vec<Record>,
        /// The time now, in seconds since 1970, by which theirs are read.
        unix: u64,
    },
    /// The configuration was read, at the start or again; before anything about presence.
    Configured {
        /// What it says.
        border: Arc<Border>,
        /// The time now, in seconds since 1970, by which subscriptions are kept.
        unix: u64,
    },
    /// Somebody who is blocked asks for presence, and is not to know.
    Blocked {
        /// The request.
        request: Box<Request>,
        /// Between whom.
        ends: BlockedEnds,
        /// Where its SIP transaction is.
        origin: Option<O>,
    },
    /// Somebody whom policy keeps apart from a user of SIP takes back what they had of each other's presence.
    GivenUp {
        /// Between whom.
        ends: BlockedEnds,
        /// What.
        what: GivenUp,
        /// Held until that is kept.
        hold: Option<Hold>,
    },
    /// That was all that the store has: presence that waited for it goes on.
    Restored,
    /// What [`Output::Persist`] gave is kept, or cannot be: the store has said so, and nobody waits for it any more.
    Persisted {
        /// The number of the output.
        ticket: u64,
    },
    /// Time has passed.
    Tick,
}

impl<O> Input<O> {
    /// About how many octets of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>().saturating_add(match self {
            Self::Deliver { delivery, .. } => delivery.weight(),
            Self::Answer(stanza) | Self::Notice { stanza, .. } => stanza.element().weight(),
            Self::Ping(pong) => pong.element().weight(),
            Self::Response { response, .. } => response.body().len(),
            Self::Written { .. }
            | Self::Acknowledged { .. }
            | Self::Returned { .. }
            | Self::Broken { .. }
            | Self::CalledBack(_)
            | Self::GivenUp { .. }
            | Self::Stop { .. }
            | Self::Restored
            | Self::Configured { .. }
            | Self::Persisted { .. }
            | Self::Tick => 0,
            Self::Blocked { request, .. } => weight_of(request),
            Self::Restore { records, .. } => records.len().saturating_mul(RECORD),
        })
    }
}

/// Octets that a record of presence takes, about.
const RECORD: usize = 2_048;

/// What is to be done.
#[derive(Debug)]
pub enum Output<O> {
    /// Keep these changes, in this order, and say so by [`Input::Persisted`]. Those of one shard are kept in the order of their
    /// tickets; a later change of the same users makes an earlier one needless.
    Persist {
        /// The number of this output, which grows.
        ticket: u64,
        /// What has changed.
        changes: Vec<Change>,
    },
    /// Of this shard nothing more stands before the answer to a ping.
    Pong(Arc<Stanza>),
    /// Write a stanza on a link; tell what became of it where there is a token.
    Send {
        /// Which link.
        link: Link,
        /// The stanza.
        stanza: Box<Stanza>,
        /// By which name it is told of.
        token: Option<Token>,
        /// After this it is not worth sending any more.
        until: Instant,
        /// The correlation id of the message that it is, or is about; none for a ping.
        trace: Option<Trace>,
    },
    /// Send a SIP request on a link; tell its final response or its failure.
    Request {
        /// Which link.
        link: Link,
        /// The way to its servers.
        route: Route,
        /// The request.
        request: Box<Request>,
        /// By which name it is told of.
        token: Token,
        /// After this it is not worth sending any more.
        until: Instant,
        /// The correlation id of the message.
        trace: Trace,
    },
    /// Call back an INVITE of ours that nobody has answered.
    Recall {
        /// Which one.
        token: Token,
    },
    /// Answer a SIP request.
    Respond {
        /// Where its transaction is.
        origin: O,
        /// The answer.
        response: Box<Response>,
    },
    /// What became of a message, to be counted.
    Observe(Observation),
    /// Somebody could not be told that something of his failed, for as long as that was tried.
    Untold {
        /// The link that did not carry it.
        link: Link,
        /// The correlation id of what failed.
        trace: Trace,
    },
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Which way it went.
    pub way: Direction,
    /// The protocol it came in.
    pub from: Protocol,
    /// The protocol it went out in.
    pub to: Protocol,
    /// The end of it.
    pub outcome: Outcome,
    /// The correlation id of the message.
    pub trace: Trace,
}
