//! Chat states: who is typing, and who has left (RFC 7573 §6, RFC 3994, XEP-0085, Microsoft's KeyboardActivity).
//!
//! A state never begins a session, and is never kept for later: what nobody can be told now is dropped.

use std::sync::Arc;
use std::time::Instant;

use super::takes::{TypingBy, Word};
use super::typing::Support;
use super::{Conversation, Invited, Names, Pair, Phase, Purpose, Session};
use crate::gateway::delivery::{Delivery, Link, Payload, SipPeer, Trace};
use crate::gateway::event::Output;
use crate::gateway::{Gateway, Trouble, after, send};
use crate::interwork::composing::{self, Activity, ChatState};
use crate::interwork::passage;
use crate::route::Route;
use crate::sip::dialog::{Dialog, ForkInput};
use crate::sip::session_timer::SessionTimerOutput;
use crate::sip::{Mandatory, Method, Request};
use crate::xmpp::Stanza;

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

    /// The same outside of sessions: it is remembered that the SIP user knows of such things.
    pub(super) fn types_alone(
        &mut self,
        now: Instant,
        pair: &Pair,
        (stanza, activity): (Stanza, Activity),
        (peer, back): (&Arc<SipPeer>, &Route),
    ) {
        let link = Link::Sip {
            remote: pair.sip.domain().clone(),
        };
        if self.conversations.has_share(pair, &peer.outside)
            && let Some(conversation) = self.converse(now, pair, &link, back, peer)
        {
            conversation.typing.is_taken();
            self.peer_types(now, pair, stanza, activity);
        }
    }

    /// An XMPP user types, has stopped, or has left.
    pub(in crate::gateway) fn state(&mut self, now: Instant, delivery: Delivery) {
        let Payload::State {
            stanza,
            state,
            request,
        } = delivery.payload
        else {
            return;
        };
        let pair = Pair::new(stanza.from(), stanza.to());
        let Some(typing) = state.to_typing() else {
            return self.leave_sessions(now, &pair);
        };
        let Some(conversation) = self.conversations.by_pair.get_mut(&pair) else {
            return;
        };
        if request.is_some() {
            conversation.typing.template = request;
        }
        if let Some(typing) = conversation.typing.does(now, typing) {
            self.tell_typing(now, &pair, typing);
        }
        self.conversations.schedule(&pair);
    }

    /// Tells the SIP user what the XMPP user does: in the session that is open, or else on its own where he is known to
    /// take that. It begins nothing, is sent once, and nobody hears what becomes of it.
    fn tell_typing(&mut self, now: Instant, pair: &Pair, typing: composing::Typing) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let Some((request, purpose)) = says_typing(conversation, &mut self.names, typing) else {
            return conversation.typing.dropped();
        };
        conversation.typing.told(now, typing);
        let token = self.fresh();
        let until = after(now, self.limits.deliver);
        self.conversations.requests.insert(token, (pair.clone(), purpose));
        self.send_request(pair, request, token, until, Trace::default());
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

    /// Tells the XMPP user something, where he has shown that he wants to know.
    //
    // XEP-0085 §5.1: until he has, and once he has answered without, no state may be sent to him.
    fn tell_state(&mut self, now: Instant, pair: &Pair, mut stanza: Stanza) {
        let is_wanted = self
            .conversations
            .by_pair
            .get(pair)
            .is_some_and(|conversation| conversation.typing.support == Support::Shown);
        if !is_wanted {
            return;
        }
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
        if let Some(typing) = conversation.typing.due(now) {
            self.tell_typing(now, pair, typing);
        }
        self.forget_acknowledged(now, pair);
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
            //= rfc3261#15
            //# the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx
            //# response or until the server transaction times out.
            if session.phase == Phase::Open {
                self.end_dialog(now, pair, session.dialog);
            }
        }
        if let Some(thread) = thread {
            self.say_gone(now, pair, &thread);
        }
        self.conversations.remove(pair);
    }
}

/// The request that says it; `None` where the SIP user takes none.
fn says_typing(
    conversation: &mut Conversation,
    names: &mut Names,
    typing: composing::Typing,
) -> Option<(Request, Purpose)> {
    let peer = Arc::clone(&conversation.peer);
    let via = names.via(&peer.face).ok()?;
    if let Some(session) = conversation.speaking() {
        let (method, (kind, body)) = match session.takes.typing(&peer)? {
            TypingBy::Info => (Method::Info, composing::keyboard_activity(typing)),
            TypingBy::Document => (Method::Message, composing::is_composing(typing, None)),
        };
        let id = session.dialog.id();
        let request = session.dialog.request(method, via).ok()?;
        return Some((request.with_body(kind, body), Purpose::Typing(id)));
    }
    if conversation.typing.composes != Word::Yes || conversation.is_inviting() {
        return None;
    }
    let template = conversation.typing.template.as_ref()?;
    let headers = template.headers();
    let mandatory = Mandatory {
        via,
        from: headers.from().clone().with_tag(&names.tag()),
        to: headers.to().clone(),
        call_id: names.call_id().ok()?,
        sequence: 1,
    };
    let (kind, body) = composing::is_composing(typing, None);
    let mut request = Request::new(Method::Message, template.uri().clone(), mandatory).with_body(kind, body);
    if let Some(value) = headers.get(passage::FIELD) {
        request.headers_mut().push(passage::FIELD, value).ok()?;
    }
    Some((request, Purpose::TypingAlone))
}
