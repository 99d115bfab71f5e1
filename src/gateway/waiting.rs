//! A message that waits for its outcome, and what it takes to tell its sender.

use std::time::Instant;

use super::answer::Trouble;
use super::delivery::{Delivery, Link, Trace, weight_of};
use super::hold::Hold;
use super::pending::{Token, Weighs};
use crate::interwork::profile::Profile;
use crate::interwork::receipt;
use crate::policy::{Answers, Direction};
use crate::sip::Request;
use crate::xmpp::{Jid, Stanza};

/// A message that waits for its outcome.
#[derive(Debug)]
pub(super) struct Waiting<O> {
    /// By which name it is told of.
    pub(super) token: Token,
    pub(super) about: About,
    /// When it has waited long enough, whatever happens.
    pub(super) until: Instant,
    pub(super) link: Link,
    pub(super) state: State,
    /// How often its far end was asked again.
    pub(super) asks: u32,
    pub(super) kind: WaitingKind<O>,
    /// By the next plan of its route, where there is one.
    pub(super) other: Option<Box<Delivery>>,
    /// Why the plan before this one led to nobody.
    pub(super) before: Option<Trouble>,
    /// What its sender's side is kept by.
    pub(super) hold: Option<Hold>,
}

/// What is told of a message wherever it is told of.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) trace: Trace,
    pub(super) way: Direction,
    /// Whether anything of what becomes of it may be told.
    pub(super) answers: Answers,
}

impl<O> Weighs for Waiting<O> {
    fn weight(&self) -> usize {
        let other = self.other.as_deref().map_or(0, Delivery::weight);
        let kind = match &self.kind {
            WaitingKind::Sip { request, .. } => weight_of(request),
            WaitingKind::Xmpp { sender, text, .. } => sender
                .element()
                .weight()
                .saturating_add(text.as_deref().map_or(0, weight_of)),
            WaitingKind::Forwarded { sender } | WaitingKind::Passed { sender } => sender.element().weight(),
        };
        size_of::<Self>().saturating_add(kind).saturating_add(other)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Handed to a link that has not written it yet.
    Queued,
    /// Written on that stream of the link.
    Written { epoch: u64 },
}

#[derive(Debug)]
pub(super) enum WaitingKind<O> {
    /// A SIP request that was translated, its user's addresses as stanzas have them, and how its peer is answered.
    Sip {
        origin: O,
        request: Box<Request>,
        from: Jid,
        to: Jid,
        profile: Profile,
    },
    /// A stanza without payload that was translated to SIP.
    Xmpp {
        sender: Box<Stanza>,
        /// The request as it would go on its own, where the text in it may have to go otherwise.
        text: Option<Box<Request>>,
        /// What the sender asks to be told of it.
        asked: Option<Box<receipt::Asked>>,
    },
    /// A stanza without payload that was forwarded.
    Forwarded { sender: Box<Stanza> },
    /// A query without payload that was forwarded: once it is written, its answer is another's business.
    Passed { sender: Box<Stanza> },
}
