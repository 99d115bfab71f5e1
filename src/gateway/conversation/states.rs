//! Chat states: who is typing, and who has left (RFC 7573 §6, RFC 3994, XEP-0085, Microsoft's KeyboardActivity).
//!
//! A state never begins a session, and is never kept for later: what nobody can be told now is dropped.

use std::time::{Duration, Instant};

use super::{Invited, Pair, Phase, Purpose, Session};
use crate::gateway::delivery::Link;
use crate::gateway::delivery::Trace;
use crate::gateway::event::Output;
use crate::gateway::{Gateway, Trouble, after, send};
use crate::interwork::composing::{self, Activity, ChatState};
use crate::interwork::profile::PeerKind;
use crate::sip::Method;
use crate::sip::dialog::{Dialog, ForkInput};
use crate::sip::session_timer::SessionTimerOutput;
use crate::xmpp::Stanza;

/// Who of a pair is known to be typing.
#[derive(Debug, Default)]
pub(super) struct Typing {
    /// The SIP user, until then; and the state that his XMPP contact saw, to be taken back.
    sip: Option<(Instant, Box<Stanza>)>,
    /// What the SIP user was told of the XMPP user last, and when.
    told: Option<(Instant, composing::Typing)>,
}

impl Typing {
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.sip.as_ref().map(|(until, _)| *until)
    }

    /// The XMPP user has sent what was being typed.
    pub(super) fn wrote(&mut self) {
        self.told = None;
    }

    /// The SIP user has.
    pub(super) fn said(&mut self) {
        self.sip = None;
    }
}

impl<O> Gateway<O> {
    /// The SIP user types, or has stopped.
    pub(super) fn peer_types(&mut self, now: Instant, pair: &Pair, stanza: Stanza, activity: Activity) {
        let until = after(now, activity.lasts());
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let was_typing = conversation.typing.sip.is_some();
        match activity.state {
            composing::Typing::Active => {
                conversation.typing.sip = Some((until, Box::new(stanza.clone())));
                if was_typing {
                    return;
                }
            }
            composing::Typing::Idle => {
                conversation.typing.said();
                if !was_typing {
                    return;
                }
            }
        }
        self.tell_state(now, pair, stanza);
    }

    /// An XMPP user types, has stopped, or has left.
    pub(in crate::gateway) fn state(&mut self, now: Instant, pair: &Pair, state: ChatState) {
        let Some(typing) = state.to_typing() else {
            return self.leave_sessions(now, pair);
        };
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let told = conversation.typing.told;
        let is_news = match (told, typing) {
            // Whatever was said in between.
            (Some((at, _)), composing::Typing::Active) => after(at, REPEATED) <= now,
            (None, composing::Typing::Active)
            | (Some((_, composing::Typing::Active)), composing::Typing::Idle) => true,
            (None | Some((_, composing::Typing::Idle)), composing::Typing::Idle) => false,
        };
        if !is_news {
            return;
        }
        let is_microsoft = conversation.peer.profile.kind() == PeerKind::Microsoft;
        let Ok(via) = self.names.via(&conversation.peer.face) else {
            return;
        };
        let Some(session) = conversation.speaking() else {
            return;
        };
        let (method, (kind, body)) = if is_microsoft {
            (Method::Info, composing::keyboard_activity(typing))
        } else {
            (Method::Message, composing::is_composing(typing, None))
        };
        let id = session.dialog.id();
        let Ok(request) = session.dialog.request(method.clone(), via) else {
            return;
        };
        let since = told
            .map(|(at, _)| at)
            .filter(|_| typing == composing::Typing::Idle);
        conversation.typing.told = Some((since.unwrap_or(now), typing));
        let token = self.fresh();
        let until = after(now, self.limits.deliver);
        self.conversations
            .requests
            .insert(token, (pair.clone(), Purpose::Other(id)));
        self.send_request(
            pair,
            request.with_body(kind, body),
            token,
            until,
            Trace::default(),
        );
    }

    /// The XMPP user has left the conversation: its sessions end, but for what still waits.
    fn leave_sessions(&mut self, now: Instant, pair: &Pair) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        if !conversation.queue.is_empty() || conversation.sent.is_some() || conversation.is_inviting() {
            return;
        }
        conversation.device = None;
        // Those that the peer has just begun are accepted first: before its ACK nobody may end them (RFC 3261 §15).
        let (open, kept) = std::mem::take(&mut conversation.sessions)
            .into_iter()
            .partition(|session: &Session| session.phase == Phase::Open);
        conversation.sessions = kept;
        let open: Vec<Session> = open;
        for session in open {
            self.end_dialog(now, pair, session.dialog);
        }
        self.conversations.schedule(pair);
    }

    /// Tells the XMPP user that the SIP user has left.
    pub(super) fn say_gone(&mut self, now: Instant, pair: &Pair, thread: &str) {
        let to = match self.conversations.device(pair) {
            Some(device) => device.clone(),
            None => pair.xmpp.clone(),
        };
        let stanza = composing::to_stanza(ChatState::Gone, pair.sip.clone(), to, Some(thread));
        self.tell_state(now, pair, stanza);
    }

    fn tell_state(&mut self, now: Instant, pair: &Pair, mut stanza: Stanza) {
        if stanza.to().is_bare()
            && let Some(device) = self.conversations.device(pair)
        {
            stanza.set_to(device.clone());
        }
        let link = Link::Xmpp {
            local: stanza.from().domain().clone(),
            remote: stanza.to().domain().clone(),
        };
        let until = after(now, self.limits.confirm);
        self.ready
            .push_back(send(&link, Box::new(stanza), None, until, None));
    }

    /// Does what the time of a conversation asks for.
    pub(super) fn attend(&mut self, now: Instant, pair: &Pair) {
        self.attend_sessions(now, pair);
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        if let Some((_, seen)) = conversation.typing.sip.take_if(|(until, _)| *until <= now) {
            let state = composing::Typing::Idle.to_chat_state();
            let thread = seen.child_text("thread");
            let stanza =
                composing::to_stanza(state, seen.from().clone(), seen.to().clone(), thread.as_deref());
            self.tell_state(now, pair, stanza);
        }
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let mut late = Vec::new();
        let mut over = Vec::new();
        for inviting in &mut conversation.inviting {
            if inviting.state == Invited::Waiting && inviting.until <= now {
                inviting.state = Invited::Recalled;
                late.push(inviting.token);
            } else if inviting.forks.timeout().is_some_and(|at| at <= now) {
                inviting.forks.handle(now, ForkInput::Timer);
                over.push(inviting.token);
            }
        }
        for token in late {
            self.ready.push_back(Output::Recall { token });
            self.fail_queue(pair, |gateway, waiting| {
                gateway.fail(now, waiting, Trouble::Timeout);
            });
        }
        for token in over {
            self.forked(now, pair, token, None);
        }
    }

    fn attend_sessions(&mut self, now: Instant, pair: &Pair) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let mut lost: Vec<Dialog> = Vec::new();
        let mut stale = Vec::new();
        conversation.sessions.retain_mut(|session| {
            session.timer.handle(now);
            session.first.take_if(|(_, until)| *until <= now);
            let mut is_lost = matches!(session.phase, Phase::Accepted { until } if until <= now);
            while let Some(output) = session.timer.poll() {
                match output {
                    SessionTimerOutput::Refresh => stale.push(session.dialog.id()),
                    SessionTimerOutput::Expired => is_lost = true,
                }
            }
            if is_lost {
                lost.push(session.dialog.clone());
            }
            !is_lost
        });
        let ended = !lost.is_empty();
        for dialog in lost {
            self.end_dialog(now, pair, dialog);
        }
        if ended {
            self.advance(now, pair);
        }
        for id in stale {
            self.refresh(now, pair, &id);
        }
    }

    /// Ends a conversation in which nobody has said anything for long.
    pub(super) fn close(&mut self, now: Instant, pair: &Pair) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let sessions = std::mem::take(&mut conversation.sessions);
        let thread = sessions
            .first()
            .map(|session| session.dialog.id().call_id().as_str().to_owned());
        for session in sessions {
            self.end_dialog(now, pair, session.dialog);
        }
        if let Some(thread) = thread {
            self.say_gone(now, pair, &thread);
        }
        self.conversations.remove(pair);
    }
}

/// A state is not said again sooner than that.
const REPEATED: Duration = Duration::from_secs(5);
