//! What a stream knows beyond its octets: what was acknowledged, and what the peer says that it takes.
//!
//! XEP-0198 §4, XEP-0478.

use std::time::{Duration, Instant};

use super::{Timer, Wire};
use crate::xmpp::management::{self, Handled, Sent, Word};
use crate::xmpp::stream::features::PeerLimits;
use crate::xmpp::stream::{Event, StreamRefusal};

impl Wire {
    /// Our stanzas are acknowledged from now on.
    pub(in crate::xmpp) fn manage_sent(&mut self) {
        self.sent = Some(Sent::default());
    }

    /// We acknowledge the peer's stanzas from now on.
    pub(in crate::xmpp) fn manage_handled(&mut self) {
        self.handled = Some(Handled::since(self.given));
    }

    /// Nothing counts as handled before our owner says so.
    pub(in crate::xmpp) const fn settle_later(&mut self) {
        self.settled = Some(0);
    }

    /// Our owner has done with so many of the peer's stanzas.
    pub(in crate::xmpp) fn has_settled(&mut self, total: u64) {
        self.settled = self.settled.map(|before| before.max(total));
        let settled = self.settled();
        while let Some(handled) = &mut self.handled
            && handled.pay(settled)
        {
            let answer = handled.answer(settled);
            if self.is_writable() {
                self.send(&answer);
            }
        }
    }

    /// How many stanzas our owner must have done with before the peer's oldest request can be answered.
    pub(in crate::xmpp) fn owes(&self) -> Option<u64> {
        // Of a stream that has ended nobody hears any more.
        let handled = self.handled.as_ref().filter(|_| !self.has_ended());
        handled.and_then(Handled::owes)
    }

    fn settled(&self) -> u64 {
        self.settled.unwrap_or(self.given).min(self.given)
    }

    /// Whether our stanzas are acknowledged.
    pub(in crate::xmpp) const fn is_acknowledged(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether we acknowledge the peer's stanzas.
    pub(in crate::xmpp) const fn acknowledges(&self) -> bool {
        self.handled.is_some()
    }

    /// A stanza of the peer was given out.
    pub(in crate::xmpp) const fn has_given(&mut self) {
        self.given = self.given.saturating_add(1);
    }

    /// Takes a request or an acknowledgement on a stream that has them.
    pub(in crate::xmpp) fn acknowledgement(&mut self, now: Instant, word: Word) -> Result<(), StreamRefusal> {
        let (given, settled) = (self.given, self.settled());
        match (word, &mut self.sent) {
            //= xep0198#4
            //# When an <r/> element ("request") is received, the recipient MUST acknowledge it by sending an <a/>
            (Word::Request, sent) => {
                let answer = match (&mut self.handled, sent) {
                    (Some(handled), _) => {
                        if settled < given && handled.owe(given) {
                            return Ok(());
                        }
                        handled.answer(settled)
                    }
                    // The peer sends us nothing on this stream.
                    (None, Some(_)) => Handled::default().answer(0),
                    (None, None) => return Err(StreamRefusal::UnexpectedElement),
                };
                if self.is_writable() {
                    self.send(&answer);
                }
            }
            (Word::Answer(Some(handled)), Some(sent)) => {
                let more = sent
                    .acknowledged(handled)
                    .map_err(|_| StreamRefusal::AcknowledgedWrong)?;
                let (wants_request, is_asked) = (sent.wants_request(), sent.is_asked());
                self.timers.clear(Timer::Acknowledgement);
                if is_asked {
                    self.timers
                        .set(Timer::Acknowledgement, now, self.limits.acknowledge);
                }
                if more > 0 {
                    self.event(Event::Acknowledged(more));
                }
                if wants_request {
                    self.request(now);
                }
            }
            (Word::Answer(None), Some(_)) => return Err(StreamRefusal::AcknowledgedWrong),
            // Nothing of ours is on this stream that could be acknowledged.
            (Word::Answer(_), None) if self.handled.is_some() => {}
            (
                Word::Answer(_) | Word::Enable | Word::Enabled | Word::Failed | Word::Resume | Word::Unknown,
                _,
            ) => return Err(StreamRefusal::UnexpectedElement),
        }
        Ok(())
    }

    /// Says, at the end of a stream, what we took on it: whoever ends in good order does with it what is to be done.
    pub(super) fn acknowledge_last(&mut self) {
        if let Some(answer) = self.handled.as_ref().map(|handled| handled.answer(self.given)) {
            self.send(&answer);
        }
    }

    /// A stanza of ours was sent: asks for its acknowledgement, where none is asked for.
    pub(super) fn has_sent(&mut self, now: Instant) {
        if let Some(sent) = &mut self.sent {
            sent.sent();
            if sent.wants_request() {
                self.request(now);
            }
        }
    }

    /// Shows the peer that we live; where it can, it has to show the same.
    pub(super) fn keep_alive(&mut self, now: Instant) {
        match &self.sent {
            Some(sent) if sent.is_asked() => {}
            Some(_) => self.request(now),
            // RFC 6120 §4.6.1: one space, between elements.
            None => self.pending.push(b' '),
        }
        self.timers.set(Timer::Keepalive, now, self.silence());
    }

    /// Takes note of what the peer says that it takes.
    pub(in crate::xmpp) const fn obey(&mut self, limits: PeerLimits) {
        self.peer = limits;
    }

    /// How long nothing may be sent before we show that we live: well before the peer takes us for gone.
    pub(super) fn silence(&self) -> Duration {
        let half = self.peer.idle.and_then(|idle| idle.checked_div(2));
        let least = self.limits.least_keepalive;
        half.map_or(self.limits.keepalive, |half| {
            half.max(least).min(self.limits.keepalive)
        })
    }

    fn request(&mut self, now: Instant) {
        if !self.is_writable() {
            return;
        }
        self.send(&management::request());
        if let Some(sent) = &mut self.sent {
            sent.asked();
        }
        // The oldest request counts.
        if !self.timers.is_set(Timer::Acknowledgement) {
            self.timers
                .set(Timer::Acknowledgement, now, self.limits.acknowledge);
        }
    }
}
