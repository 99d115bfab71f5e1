//! Sessions that end before their time: an INVITE of a peer that is called back, and an orderly stop.
//!
//! RFC 3261 §9.2 and §15.

use std::time::{Duration, Instant};

use super::{Conversation, Invited, Pair, Phase};
use crate::gateway::answer::Trouble;
use crate::gateway::delivery::{Delivery, Outcome, Payload};
use crate::gateway::event::Output;
use crate::gateway::rejection::tag;
use crate::gateway::waiting::{Waiting, WaitingKind};
use crate::gateway::{Gateway, after};
use crate::route::Protocol;
use crate::sip::dialog::DialogId;
use crate::sip::{Method, StatusCode};

/// An INVITE of a peer that waits for its answer, as its CANCEL finds it again.
#[derive(Debug, Clone)]
pub struct Call {
    pair: Pair,
    invite: DialogId,
}

impl Delivery {
    /// The INVITE that it is, where it is one that may be called back.
    #[must_use]
    pub fn call(&self) -> Option<Call> {
        match &self.payload {
            Payload::Subscription { .. } | Payload::Presence { .. } => None,
            Payload::InSession { request, ends, .. }
                if *request.method() == Method::Invite && request.headers().to().tag().is_none() =>
            {
                Some(Call {
                    pair: Pair::clone(ends),
                    invite: DialogId::of_request(request),
                })
            }
            Payload::InSession { .. }
            | Payload::ToXmpp { .. }
            | Payload::ToSip { .. }
            | Payload::State { .. }
            | Payload::Receipt { .. }
            | Payload::Forward { .. }
            | Payload::Pass { .. } => None,
        }
    }
}

impl<O> Gateway<O> {
    /// A peer calls its INVITE back. What was answered already stays answered: who sent the CANCEL acknowledges that and
    /// says BYE. A text that is on its way cannot be taken back, so its reader sees it, and that its writer has left.
    //
    //= rfc3261#9.2
    //# If the original request was an INVITE, the UAS SHOULD immediately respond to the INVITE with a 487 (Request
    //# Terminated).
    pub(in crate::gateway) fn called_back(&mut self, now: Instant, call: &Call) {
        let Call { pair, invite } = call;
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let offered = conversation
            .sessions
            .iter()
            .find_map(|session| match session.phase {
                Phase::Offered { text: Some(text) } if session.is_of(invite) => {
                    Some((session.dialog.id(), text))
                }
                Phase::Offered { .. } | Phase::Accepted { .. } | Phase::Open => None,
            });
        let Some((id, text)) = offered else { return };
        conversation.take_session(&id);
        let is_over = conversation.sessions.is_empty() && !conversation.is_inviting();
        if let Some(Waiting {
            about,
            kind: WaitingKind::Sip { origin, request, .. },
            ..
        }) = self.end(text)
        {
            let status = StatusCode::REQUEST_TERMINATED;
            let response = request.response(status, status.reason(), Some(&tag(&request)));
            self.respond(Some(origin), response);
            self.observe(about, Protocol::Sip, Protocol::Xmpp, Outcome::Failed);
        }
        if is_over {
            self.say_gone(now, pair, id.call_id().as_str());
        }
        self.advance(now, pair);
    }

    /// The proxy stops: what is quiet ends now, the rest as soon as it is, and whatever is left at `by` is told as failed.
    pub(in crate::gateway) fn stop(&mut self, now: Instant, by: Instant) {
        self.stopping = Some(by);
        self.keep_noted(now);
        let pairs: Vec<Pair> = self.conversations.by_pair.keys().cloned().collect();
        for pair in pairs {
            if let Some(conversation) = self.conversations.by_pair.get_mut(&pair) {
                conversation.quiet_at = now;
            }
            self.conversations.schedule(&pair);
        }
        self.tick_conversations(now);
    }

    /// How much an orderly stop waits for beside messages: sessions that are open, and requests that end some.
    #[must_use]
    pub fn ending(&self) -> usize {
        match self.stopping {
            Some(_) => self
                .conversations
                .sessions()
                .saturating_add(self.conversations.requests.len()),
            None => 0,
        }
    }

    /// When a conversation in which something was said now is forgotten.
    pub(super) fn quiet_from(&self, now: Instant) -> Instant {
        let time = match self.stopping {
            Some(_) => LOOK,
            None => self.limits.conversation,
        };
        after(now, time)
    }

    /// Ends a conversation that nobody uses; `false` where something of it is still to come.
    pub(super) fn retire(&mut self, now: Instant, pair: &Pair) -> bool {
        let Some(conversation) = self.conversations.by_pair.get(pair) else {
            return true;
        };
        let is_busy = match self.stopping {
            Some(by) if by <= now => {
                self.give_up(now, pair);
                false
            }
            // A 2xx that is repeated later meets nobody any more in any case.
            Some(_) => conversation.is_used(),
            None => conversation.is_busy(),
        };
        if !is_busy {
            self.close(now, pair);
        }
        !is_busy
    }

    /// There is no more time: what waits fails, and what nobody has answered is called back.
    fn give_up(&mut self, now: Instant, pair: &Pair) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let waiting = conversation
            .inviting
            .iter_mut()
            .filter(|inviting| inviting.state == Invited::Waiting);
        for inviting in waiting {
            inviting.state = Invited::Recalled;
            self.ready.push_back(Output::Recall {
                token: inviting.token,
            });
        }
        self.fail_queue(pair, |gateway, waiting| {
            gateway.fail(now, waiting, Trouble::Stopping);
        });
    }
}

impl Conversation {
    /// Whether an end of it may still want something of the other: a text, or an answer.
    fn is_used(&self) -> bool {
        let is_open = |phase: Phase| phase == Phase::Open;
        !self.queue.is_empty()
            || self.sent.is_some()
            || self.is_inviting()
            || self.sessions.iter().any(|session| !is_open(session.phase))
    }
}

/// How often it is looked, in a stop, whether a conversation has come to its end.
const LOOK: Duration = Duration::from_millis(100);
