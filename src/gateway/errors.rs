//! Errors about forwarded messages: each sender hears one, whoever says it.
//!
//! The far side can refuse a message with an error stanza, which is forwarded like any other; and we tell a sender by
//! ourselves when the stream broke on which his message was. Both can happen to one message. What comes first counts:
//! after the far side's error the message does not wait any more, and after ours the far side's is dropped.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::delivery::{Delivery, Outcome, Payload};
use super::pending::Token;
use super::waiting::WaitingKind;
use super::{Gateway, after};
use crate::domain::Domain;
use crate::route::Protocol;
use crate::xmpp::stanza::{Kind, MessageType};
use crate::xmpp::{Jid, Stanza};

/// The forwarded messages that an error may come for.
#[derive(Debug)]
pub(super) struct Errors {
    most: usize,
    waiting: HashMap<About, Token>,
    told: HashMap<About, Instant>,
    /// The same, in their order.
    order: VecDeque<(Instant, About)>,
}

/// What an error stanza and the message that it is about have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct About {
    sender: Jid,
    addressee: Domain,
    id: String,
}

/// Whether an error may go to its addressee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Yes,
    /// He has heard of it.
    No,
}

impl About {
    fn message(message: &Stanza) -> Option<Self> {
        Some(Self {
            sender: message.from().clone(),
            addressee: message.to().domain().clone(),
            id: message.id()?.to_owned(),
        })
    }

    fn error(error: &Stanza) -> Option<Self> {
        Some(Self {
            sender: error.to().clone(),
            addressee: error.from().domain().clone(),
            id: error.id()?.to_owned(),
        })
    }
}

impl Errors {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            waiting: HashMap::new(),
            told: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// A message waits for its outcome.
    pub(super) fn wait(&mut self, message: &Stanza, token: Token) {
        if let Some(about) = About::message(message) {
            self.waiting.insert(about, token);
        }
    }

    /// It does not any more.
    pub(super) fn forget(&mut self, message: &Stanza) {
        if let Some(about) = About::message(message) {
            self.waiting.remove(&about);
        }
    }

    /// Whether no message is waited for.
    #[cfg(test)]
    pub(super) fn awaits_nothing(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Its sender was told by us; what the far side says until then is too late.
    fn tell(&mut self, message: &Stanza, until: Instant) {
        let Some(about) = About::message(message) else {
            return;
        };
        if self.order.len() >= self.most
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
        self.told.insert(about.clone(), until);
        self.order.push_back((until, about));
    }

    fn clean(&mut self, now: Instant) {
        while let Some((until, _)) = self.order.front()
            && *until <= now
            && let Some((until, about)) = self.order.pop_front()
        {
            if self.told.get(&about) == Some(&until) {
                self.told.remove(&about);
            }
        }
    }
}

impl<O> Gateway<O> {
    /// Takes note of an error that the far side sends to the sender of a message.
    pub(super) fn meet_error(&mut self, now: Instant, delivery: &Delivery) -> News {
        let Payload::Pass { stanza, .. } = &delivery.payload else {
            return News::Yes;
        };
        let is_error = stanza.kind() == Kind::Message(MessageType::Error);
        let Some(about) = About::error(stanza).filter(|_| is_error) else {
            return News::Yes;
        };
        self.errors.clean(now);
        if let Some(token) = self.errors.waiting.remove(&about)
            && let Some(waiting) = self.end(token)
        {
            let (about, outcome) = (waiting.about, Outcome::Failed);
            self.observe(about, Protocol::Xmpp, Protocol::Xmpp, outcome);
        }
        if self.errors.told.remove(&about).is_some() {
            return News::No;
        }
        News::Yes
    }

    /// We tell the sender of a forwarded message that it failed.
    pub(super) fn told_by_us(&mut self, now: Instant, sender: &Stanza) {
        let until = after(now, self.limits.deliver);
        self.errors.tell(sender, until);
    }

    /// A message leaves the table.
    pub(super) fn no_error_awaited(&mut self, kind: &WaitingKind<O>) {
        if let WaitingKind::Forwarded { sender } = kind {
            self.errors.forget(sender);
        }
    }
}
