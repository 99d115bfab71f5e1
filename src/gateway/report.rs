//! What links report of the stanzas that were handed to them.

use std::time::{Duration, Instant};

use super::answer::Trouble;
use super::confirm::Confirmation;
use super::conversation::Heard;
use super::delivery::Link;
use super::pending::Token;
use super::presence::Of;
use super::waiting::{State, Waiting, WaitingKind};
use super::{Gateway, after};

impl<O> Gateway<O> {
    pub(super) fn written(&mut self, now: Instant, tokens: &[Token], epoch: u64) {
        let confirmed_at = after(now, self.limits.confirm);
        for token in tokens {
            let Some(waiting) = self.waiting.get_mut(*token) else {
                if self.presence_written(now, *token, epoch) == Of::Other {
                    self.notice_written(now, *token, epoch);
                }
                continue;
            };
            if let WaitingKind::Passed { .. } = waiting.kind {
                self.waiting.remove(*token);
                continue;
            }
            waiting.state = State::Written { epoch };
            if let WaitingKind::Forwarded { .. } = waiting.kind {
                // Nobody waits for the word that it has arrived, so its far end has the whole time for that.
                waiting.until = after(now, self.limits.silence);
            }
            let until = waiting.until.min(confirmed_at);
            if let Some(link) = self.links.get_mut(&waiting.link) {
                link.written();
            }
            self.waiting.wait_until(*token, until);
        }
    }

    /// What the far end's server answers for is out of our hands; a translated message waits for its user's server to
    /// say more, by an answered ping, as long as it does on any stream.
    pub(super) fn acknowledged(&mut self, now: Instant, tokens: &[Token], epoch: u64) {
        for token in tokens {
            if self.presence_taken(*token) == Of::Presence {
                continue;
            }
            match self.waiting.get(*token).map(|waiting| &waiting.kind) {
                Some(WaitingKind::Forwarded { .. }) => {
                    if let Some(waiting) = self.end(*token) {
                        self.succeed(now, waiting);
                    }
                }
                Some(WaitingKind::Sip { .. } | WaitingKind::Xmpp { .. } | WaitingKind::Passed { .. }) => {
                    self.written(now, &[*token], epoch);
                }
                None => self.notice_taken(*token),
            }
        }
    }

    pub(super) fn returned(&mut self, now: Instant, token: Token, trouble: Trouble) {
        if self.presence_returned(now, token, trouble) == Of::Presence
            || self.unheard(now, token, trouble) == Heard::Done
        {
            return;
        }
        match self.end(token) {
            Some(waiting) => self.fall(now, waiting, trouble),
            None if self.notice_returned(now, token, trouble) => {}
            // Neither message nor notice, so a ping, or a message whose time was over.
            None => self.links.values_mut().for_each(|link| link.ping_returned(token)),
        }
    }

    /// A plan has led to nobody: the next one is taken, if there is one and nothing can have arrived by the first.
    pub(super) fn fall(&mut self, now: Instant, mut waiting: Waiting<O>, trouble: Trouble) {
        let unreached = match trouble {
            // Whoever cannot prove to be the domain is nobody of it; the next plan has its own proof to ask for.
            Trouble::NotFound | Trouble::Unresolved | Trouble::Unreachable | Trouble::Untrusted => true,
            // A server was there, or it is not known that nothing was written, or it is no fault of the plan.
            Trouble::Refused
            | Trouble::Timeout
            | Trouble::Overload
            | Trouble::TooLarge
            | Trouble::Broken
            | Trouble::Stopping => false,
        };
        match waiting.other.take() {
            Some(other) if unreached && waiting.state == State::Queued && waiting.until > now => {
                self.no_error_awaited(&waiting.kind);
                self.receipts.forget(waiting.token);
                let other = other.held(waiting.hold.take());
                self.deliver_until(now, *other, None, waiting.until, Some(trouble));
            }
            Some(_) | None => self.fail(now, waiting, trouble),
        }
    }

    pub(super) fn broken(&mut self, now: Instant, link: &Link, epoch: u64) {
        self.presence_broken(now, link, epoch);
        let Some(state) = self.links.get_mut(link) else {
            return;
        };
        state.broke();
        let unconfirmed: Vec<_> = state.unconfirmed().collect();
        for token in unconfirmed {
            let waiting = self.waiting.get(token);
            if waiting.is_some_and(|waiting| waiting.state == State::Written { epoch }) {
                if let Some(waiting) = self.end(token) {
                    self.fail(now, waiting, Trouble::Broken);
                }
            } else if self.is_notice_on(token, epoch) {
                self.notice_returned(now, token, Trouble::Broken);
            }
        }
    }

    /// How long a link may keep a stanza: what is written last still leaves time to be confirmed.
    pub(super) fn time_to_send(&self) -> Duration {
        let (whole, confirm) = (self.limits.deliver, self.limits.confirm);
        let half = whole.checked_div(2).unwrap_or(whole);
        whole.saturating_sub(confirm).max(half)
    }

    /// Takes out a message whose outcome is known: nothing of it is left, and its link is asked about it no more.
    pub(super) fn end(&mut self, token: Token) -> Option<Waiting<O>> {
        let waiting = self.waiting.remove(token)?;
        self.leave(&waiting.link, |link| link.left(token));
        self.left_behind(token, &waiting);
        Some(waiting)
    }

    /// Tells a link that a message left, and forgets the link with the last one.
    pub(super) fn leave(&mut self, link: &Link, left: impl FnOnce(&mut Confirmation)) {
        if let Some(state) = self.links.get_mut(link) {
            left(state);
            if state.is_idle() {
                self.links.remove(link);
            }
        }
    }
}
