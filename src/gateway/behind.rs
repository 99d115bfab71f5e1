//! Pings of XMPP servers that stand behind texts to SIP.
//!
//! Whoever writes by XMPP pings behind what he wrote, and takes the answer for the word that nothing of it was refused. So the
//! ping of a domain of SIP is answered when what its sender's domain wrote there before has its outcome, behind the errors. A
//! text that takes long holds nobody up: one user's phone that rings would make the others' messages late.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::event::Output;
use super::pending::Token;
use super::waiting::{Waiting, WaitingKind};
use super::{Gateway, after};
use crate::domain::Domain;
use crate::limits::{OUTCOME_WAIT, WAITING_PINGS, WAITING_PINGS_OF_DOMAIN};
use crate::xmpp::Stanza;

/// Texts to SIP without an outcome, and the pings behind them.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// By whose domain they are of and which they are for: when they came.
    texts: HashMap<Way, BTreeMap<Token, Instant>>,
    pings: VecDeque<Ping>,
    /// What stood behind nothing more.
    free: VecDeque<Arc<Stanza>>,
}

/// A domain that writes, and one of SIP that is written to.
type Way = (Domain, Domain);

#[derive(Debug)]
struct Ping {
    way: Way,
    /// The last text before it.
    last: Token,
    until: Instant,
    pong: Arc<Stanza>,
}

impl Behind {
    /// A text is taken.
    pub(super) fn enter(&mut self, now: Instant, sender: &Stanza, token: Token) {
        let way = (sender.from().domain().clone(), sender.to().domain().clone());
        self.texts.entry(way).or_default().insert(token, now);
    }

    /// A text has its outcome.
    pub(super) fn leave(&mut self, sender: &Stanza, token: Token) {
        let way = (sender.from().domain().clone(), sender.to().domain().clone());
        let Some(texts) = self.texts.get_mut(&way) else {
            return;
        };
        texts.remove(&token);
        let first = texts.keys().next().copied();
        if first.is_none() {
            self.texts.remove(&way);
        }
        self.release(|ping| ping.way == way && first.is_none_or(|first| first > ping.last));
    }

    /// Somebody pings; `pong` is the answer.
    fn ping(&mut self, now: Instant, pong: Arc<Stanza>) {
        let way = (pong.to().domain().clone(), pong.from().domain().clone());
        let of_domain = self.pings.iter().filter(|ping| ping.way.0 == way.0).count();
        let has_room = self.pings.len() < WAITING_PINGS && of_domain < WAITING_PINGS_OF_DOMAIN;
        match self.last(now, &way).filter(|_| has_room) {
            Some((last, came)) => self.pings.push_back(Ping {
                way,
                last,
                until: after(came, OUTCOME_WAIT),
                pong,
            }),
            None => self.free.push_back(pong),
        }
    }

    /// The last text of a way, where it is still waited for; those that are not are forgotten.
    fn last(&mut self, now: Instant, way: &Way) -> Option<(Token, Instant)> {
        let texts = self.texts.get_mut(way)?;
        while let Some(text) = texts.first_entry()
            && after(*text.get(), OUTCOME_WAIT) <= now
        {
            text.remove();
        }
        let last = texts.last_key_value().map(|(token, came)| (*token, *came));
        if last.is_none() {
            self.texts.remove(way);
        }
        last
    }

    fn release(&mut self, is_free: impl Fn(&Ping) -> bool) {
        let mut kept = VecDeque::new();
        for ping in std::mem::take(&mut self.pings) {
            if is_free(&ping) {
                self.free.push_back(ping.pong);
            } else {
                kept.push_back(ping);
            }
        }
        self.pings = kept;
    }

    /// Lets go of what has waited long enough.
    pub(super) fn tick(&mut self, now: Instant) {
        self.release(|ping| ping.until <= now);
    }

    /// When that is to be done.
    pub(super) fn next(&self) -> Option<Instant> {
        self.pings.iter().map(|ping| ping.until).min()
    }
}

impl<O> Gateway<O> {
    pub(super) fn pinged(&mut self, now: Instant, pong: Arc<Stanza>) {
        self.behind.ping(now, pong);
    }

    /// The outcome of a message is known.
    pub(super) fn left_behind(&mut self, token: Token, waiting: &Waiting<O>) {
        if let WaitingKind::Xmpp { sender, .. } = &waiting.kind {
            self.behind.leave(sender, token);
        }
    }

    /// The answers that stand behind nothing: not before the errors that are ready are gone.
    pub(super) fn pong_where_free(&mut self) {
        let free = self.behind.free.drain(..).map(Output::Pong);
        self.ready.extend(free);
    }
}
