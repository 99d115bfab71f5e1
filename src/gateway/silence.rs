//! Pings, their answers, and what it means when none comes.
//!
//! A SIP request cannot wait for long: where its server has never answered a ping, silence on a live stream is taken for
//! success after `confirm`. A forwarded message waits for nobody, so its silence is a failure after `silence`, unless the
//! server has shown that it lives and answers no pings at all. What is asked again is asked less and less often.
//! XEP-0199; RFC 6120 §8.2.3 has every query answered.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::answer::Trouble;
use super::delivery::Link;
use super::pending::Token;
use super::waiting::{State, Waiting, WaitingKind};
use super::{Gateway, after, send};
use crate::xmpp::{Jid, Stanza, ping};

impl<O> Gateway<O> {
    /// Whatever is said of the ping: it was read, and so was all that stood before it.
    pub(super) fn ping_answered(&mut self, now: Instant, token: Token, stanza: &Stanza) {
        // Only the server itself was asked. A user there who has seen the id of one message can guess those that follow.
        if stanza.from().local().is_some() {
            return;
        }
        let link = Link::Xmpp {
            local: stanza.to().domain().clone(),
            remote: stanza.from().domain().clone(),
        };
        let mut confirmed = BTreeSet::new();
        self.leave(&link, |link| confirmed = link.answered(token));
        // An answer that comes too late to confirm anything shows all the same that silence is no consent.
        self.manners.answered(link);
        for token in confirmed {
            match self.waiting.remove(token) {
                Some(waiting) => self.succeed(now, waiting),
                None => self.notice_taken(token),
            }
        }
    }

    /// Takes note that a far end lives.
    pub(super) fn hear(&mut self, stanza: &Stanza) {
        let link = Link::Xmpp {
            local: stanza.to().domain().clone(),
            remote: stanza.from().domain().clone(),
        };
        if let Some(link) = self.links.get_mut(&link) {
            link.hear();
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        while let Some((token, mut waiting)) = self.waiting.expired(now) {
            let consents = self.consents_by_silence(&waiting);
            let is_written = matches!(waiting.state, State::Written { .. });
            if is_written && !consents && waiting.until > now {
                if let Some(link) = self.links.get_mut(&waiting.link) {
                    // It may have been asked a little later than the message was written.
                    let within = self.limits.confirm.saturating_sub(self.limits.gather);
                    link.ask_again(now, within);
                }
                let at = waiting.until.min(after(now, self.patience(waiting.asks)));
                waiting.asks = waiting.asks.saturating_add(1);
                match self.waiting.insert(token, at, waiting) {
                    Ok(()) => continue,
                    Err(unkept) => waiting = unkept,
                }
            }
            self.left_behind(token, &waiting);
            let mut was_heard = false;
            self.leave(&waiting.link, |link| {
                was_heard = link.was_heard();
                link.expired(token);
            });
            if consents {
                self.succeed(now, waiting);
                continue;
            }
            if is_written && was_heard {
                self.manners.silent(now, &waiting.link, self.limits.silence);
            }
            self.left(now, token);
            self.fail(now, waiting, Trouble::Timeout);
        }
        self.tick_conversations(now);
        self.tick_presence(now);
        self.receipts.expire(now);
        self.tick_notices(now);
        self.behind.tick(now);
    }

    /// Whether the silence of its far end means that a message was taken.
    fn consents_by_silence(&self, waiting: &Waiting<O>) -> bool {
        match (&waiting.state, &waiting.kind) {
            (State::Written { .. }, WaitingKind::Sip { .. }) => !self.manners.answers(&waiting.link),
            (State::Written { .. }, WaitingKind::Forwarded { .. }) => self.manners.is_mute(&waiting.link),
            (State::Queued, _)
            | (State::Written { .. }, WaitingKind::Xmpp { .. } | WaitingKind::Passed { .. }) => false,
        }
    }

    /// The time until the far end of a message is asked again, when it was asked again so often.
    fn patience(&self, asks: u32) -> Duration {
        let doubled = 2_u32.checked_shl(asks).unwrap_or(u32::MAX);
        self.limits.confirm.saturating_mul(doubled)
    }

    pub(super) fn ping_where_wanted(&mut self, now: Instant) {
        let until = after(now, self.limits.confirm);
        let mut number = self.numbers;
        self.ping_at = None;
        for (link, state) in &mut self.links {
            let Link::Xmpp { local, remote } = link else {
                continue;
            };
            match state.wants_ping() {
                None => continue,
                Some(Some(at)) if at > now => {
                    self.ping_at = self.ping_at.into_iter().chain([at]).min();
                    continue;
                }
                Some(_) => {}
            }
            number = number.wrapping_add(1);
            let token = Token::new(self.shard, number);
            let stanza = ping::request(
                Jid::from(local.clone()),
                Jid::from(remote.clone()),
                &self.answers.id(token),
            );
            state.pinged(token, now);
            self.ready
                .push_back(send(link, Box::new(stanza), Some(token), until, None));
        }
        self.numbers = number;
    }
}
