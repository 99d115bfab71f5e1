//! What we send: texts of an XMPP user, the INVITE that begins a session for them, and what keeps and ends one.

use std::time::Instant;

use super::wrapper::refuses_wrapper;
use super::{Heard, Mode, Pair, Purpose};
use crate::gateway::answer::Trouble;
use crate::gateway::delivery::{Link, SipPeer, Trace};
use crate::gateway::event::Output;
use crate::gateway::pending::Token;
use crate::gateway::waiting::{Waiting, WaitingKind};
use crate::gateway::{Gateway, after};
use crate::interwork::composing::{self, ChatState};
use crate::interwork::passage;
use crate::interwork::profile::Sessions;
use crate::mime::MediaType;
use crate::route::Route;
use crate::sip::dialog::Damage;
use crate::sip::{Flaw, Headers, Method, Request, Response, StatusCode};
use crate::xmpp::Jid;

/// What is to be done with a text for SIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Way {
    /// It is sent on its own; whether it may be sent in a session where it is refused for that.
    Alone {
        /// It is kept for that.
        may_change: bool,
    },
    /// It waits for its turn in a session.
    InSession,
}

impl<O> Gateway<O> {
    /// Takes note that an XMPP user writes, and says how his text is to be sent. Where there is no room for one more
    /// conversation it goes on its own, and whoever takes it in no other way says so.
    pub(in crate::gateway) fn writes(
        &mut self,
        now: Instant,
        pair: &Pair,
        (from, state): (&Jid, Option<ChatState>),
        (link, route, peer): (&Link, &Route, &std::sync::Arc<SipPeer>),
    ) -> Way {
        // Our own users have what others leave.
        let is_guest = *from.domain() == peer.outside;
        if is_guest && !self.conversations.has_share(pair, &peer.outside) {
            return Way::Alone { may_change: false };
        }
        let has_room = self.conversations.has_room();
        let Some(conversation) = self.converse(now, pair, link, route, peer) else {
            return Way::Alone { may_change: false };
        };
        conversation.typing.wrote(state.is_some());
        if !from.is_bare() {
            conversation.device = Some(from.clone());
        }
        let has_session = !conversation.sessions.is_empty() || conversation.is_inviting();
        let way = match conversation.mode {
            // What waits already goes first.
            _ if has_session || !conversation.queue.is_empty() => Way::InSession,
            // There is no room for one more session.
            _ if !has_room => Way::Alone { may_change: false },
            Mode::Session | Mode::Unknown(Sessions::Always) => Way::InSession,
            mode @ (Mode::Page | Mode::Unknown(Sessions::Never | Sessions::Fallback)) => Way::Alone {
                may_change: mode.may_change(),
            },
        };
        self.conversations.schedule(pair);
        way
    }

    /// Puts a text in the queue of its conversation.
    pub(in crate::gateway) fn queue(&mut self, now: Instant, pair: &Pair, token: Token) {
        if let Some(conversation) = self.conversations.by_pair.get_mut(pair) {
            conversation.queue.push_back(token);
            self.conversations
                .requests
                .insert(token, (pair.clone(), Purpose::Text));
            self.advance(now, pair);
        }
    }

    /// A text was sent on its own.
    pub(in crate::gateway) fn sent_alone(&mut self, pair: &Pair, token: Token) {
        if self.conversations.by_pair.contains_key(pair) {
            self.requests_text(pair, token);
        }
    }

    /// A text does not wait any more: its time was over, or it was given back.
    pub(in crate::gateway) fn left(&mut self, now: Instant, token: Token) {
        let Some((pair, _)) = self.conversations.requests.remove(&token) else {
            return;
        };
        let Some(conversation) = self.conversations.by_pair.get_mut(&pair) else {
            return;
        };
        conversation.queue.retain(|queued| *queued != token);
        conversation.sent.take_if(|(sent, _)| *sent == token);
        self.advance(now, &pair);
    }

    /// Does what the first text of a conversation waits for.
    pub(super) fn advance(&mut self, now: Instant, pair: &Pair) {
        loop {
            let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
                return;
            };
            if conversation.sent.is_some() {
                break;
            }
            let Some(token) = conversation.queue.front().copied() else {
                break;
            };
            if !matches!(
                self.waiting.get(token).map(|waiting| &waiting.kind),
                Some(WaitingKind::Xmpp { text: Some(_), .. })
            ) {
                // Its sender was told already.
                conversation.queue.pop_front();
                continue;
            }
            if conversation.speaking().is_some() {
                if self.say(pair, token).is_err() {
                    self.lose_text(now, token);
                    continue;
                }
                break;
            }
            if conversation.is_inviting() || !conversation.sessions.is_empty() {
                // A session is on its way.
                break;
            }
            if !self.conversations.has_room() || self.invite(now, pair, token).is_err() {
                self.lose_text(now, token);
                continue;
            }
            break;
        }
        self.conversations.schedule(pair);
    }

    /// Sends the first text of the queue in the session that is open.
    fn say(&mut self, pair: &Pair, token: Token) -> Result<(), Flaw> {
        let (Some(conversation), Some(waiting)) =
            (self.conversations.by_pair.get_mut(pair), self.waiting.get(token))
        else {
            return Ok(());
        };
        let WaitingKind::Xmpp { text: Some(text), .. } = &waiting.kind else {
            return Ok(());
        };
        let via = self.names.via(&conversation.peer.face)?;
        let Some(session) = conversation.speaking() else {
            return Ok(());
        };
        let id = session.dialog.id();
        let Ok(request) = session.dialog.request(Method::Message, via) else {
            // All numbers are used up: another session has new ones.
            conversation.take_session(&id);
            return Ok(());
        };
        let request = with_text(request, text)?;
        conversation.queue.pop_front();
        conversation.sent = Some((token, id));
        let (until, trace) = (waiting.until, waiting.about.trace);
        self.send_request(pair, request, token, until, trace);
        Ok(())
    }

    /// Says something in the session that is open which nobody waits for; gives it back where there is none.
    pub(in crate::gateway) fn say_beside(
        &mut self,
        now: Instant,
        pair: &Pair,
        (kind, body): (MediaType, String),
    ) -> Result<(), (MediaType, String)> {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return Err((kind, body));
        };
        let via = self.names.via(&conversation.peer.face);
        let (Some(session), Ok(via)) = (conversation.speaking(), via) else {
            return Err((kind, body));
        };
        let id = session.dialog.id();
        let Ok(request) = session.dialog.request(Method::Message, via) else {
            return Err((kind, body));
        };
        let (token, until) = (self.fresh(), after(now, self.limits.deliver));
        self.conversations
            .requests
            .insert(token, (pair.clone(), Purpose::Other(id)));
        let request = request.with_body(kind, body);
        self.send_request(pair, request, token, until, Trace::default());
        Ok(())
    }

    /// Hands a request to the link of a conversation.
    pub(super) fn send_request(
        &mut self,
        pair: &Pair,
        request: Request,
        token: Token,
        until: Instant,
        trace: Trace,
    ) {
        let Some(conversation) = self.conversations.by_pair.get(pair) else {
            return;
        };
        self.ready.push_back(Output::Request {
            link: conversation.link.clone(),
            route: conversation.route.clone(),
            request: Box::new(request),
            token,
            until,
            trace,
        });
    }

    /// No session is to be had: what waits goes as single messages, in its order.
    pub(super) fn send_all_alone(&mut self, pair: &Pair) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let queue = std::mem::take(&mut conversation.queue);
        for token in queue {
            self.send_alone(pair, token);
        }
        self.conversations.schedule(pair);
    }

    /// Sends a text on its own.
    fn send_alone(&mut self, pair: &Pair, token: Token) {
        if let Some(Waiting {
            kind: WaitingKind::Xmpp { text: Some(text), .. },
            until,
            about,
            ..
        }) = self.waiting.get(token)
        {
            let (request, until, trace) = (Request::clone(text), *until, about.trace);
            self.send_request(pair, request, token, until, trace);
        }
    }

    pub(super) fn text_answered(
        &mut self,
        now: Instant,
        pair: &Pair,
        token: Token,
        response: &Response,
    ) -> Heard {
        let status = response.status();
        let quiet_at = self.quiet_from(now);
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            self.conversations.requests.remove(&token);
            return Heard::Elsewhere;
        };
        conversation.quiet_at = quiet_at;
        let Some((_, id)) = conversation.sent.take_if(|(sent, _)| *sent == token) else {
            // It went on its own.
            self.conversations.requests.remove(&token);
            if accepts_typing(response.headers()) {
                conversation.typing.is_taken();
            }
            if refuses_wrapper(status) && self.unwrap(token) {
                self.requests_text(pair, token);
                self.send_alone(pair, token);
                return Heard::Done;
            }
            let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
                return Heard::Elsewhere;
            };
            if status.is_success() {
                if conversation.mode != Mode::Session {
                    conversation.mode = Mode::Page;
                }
                return Heard::Elsewhere;
            }
            // Of several that were on their way together the first has changed it already.
            let may_change = conversation.mode.may_change() || conversation.mode == Mode::Session;
            if wants_other_mode(status) && may_change && self.keeps_text(token) {
                self.change_to_sessions(now, pair, token);
                return Heard::Done;
            }
            return Heard::Elsewhere;
        };
        let damage = match conversation.session(&id) {
            Some(session) => session.dialog.receive_response(response),
            None => Damage::Transaction,
        };
        if damage != Damage::Transaction {
            conversation.take_session(&id);
        }
        if refuses_wrapper(status) && self.unwrap(token) {
            if let Some(conversation) = self.conversations.by_pair.get_mut(pair) {
                conversation.queue.push_front(token);
            }
            self.advance(now, pair);
            return Heard::Done;
        }
        // The other end has lost the session: what was said into it was heard by nobody.
        let dangles = matches!(
            status,
            StatusCode::REQUEST_TIMEOUT
                | StatusCode::TEMPORARILY_UNAVAILABLE
                | StatusCode::CALL_DOES_NOT_EXIST
        );
        if dangles && self.try_again(token) {
            if let Some(conversation) = self.conversations.by_pair.get_mut(pair) {
                conversation.take_session(&id);
                conversation.queue.push_front(token);
            }
            self.advance(now, pair);
            return Heard::Done;
        }
        self.conversations.requests.remove(&token);
        self.advance(now, pair);
        Heard::Elsewhere
    }

    /// A single message was refused for what it is: it goes in a session, and so does what follows.
    fn change_to_sessions(&mut self, now: Instant, pair: &Pair, token: Token) {
        let until = after(now, self.limits.invite);
        self.waiting.wait_until(token, until);
        if let Some(waiting) = self.waiting.get_mut(token) {
            waiting.until = until;
        }
        if let Some(conversation) = self.conversations.by_pair.get_mut(pair) {
            conversation.mode = Mode::Session;
        }
        self.requests_text(pair, token);
        if let Some(conversation) = self.conversations.by_pair.get_mut(pair) {
            // What was written before goes before: tokens are given in that order.
            let at = conversation.queue.partition_point(|queued| *queued < token);
            conversation.queue.insert(at, token);
        }
        self.advance(now, pair);
    }

    fn requests_text(&mut self, pair: &Pair, token: Token) {
        self.conversations
            .requests
            .insert(token, (pair.clone(), Purpose::Text));
    }

    fn keeps_text(&self, token: Token) -> bool {
        matches!(
            self.waiting.get(token).map(|waiting| &waiting.kind),
            Some(WaitingKind::Xmpp { text: Some(_), .. })
        )
    }

    /// Whether a text may be sent once more; each may once.
    fn try_again(&mut self, token: Token) -> bool {
        match self.waiting.get_mut(token) {
            Some(waiting) if waiting.asks == 0 => {
                waiting.asks = 1;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Every text that waits for a session fails.
    pub(super) fn fail_queue(&mut self, pair: &Pair, mut fail: impl FnMut(&mut Self, Waiting<O>)) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        for token in std::mem::take(&mut conversation.queue) {
            self.conversations.requests.remove(&token);
            if let Some(waiting) = self.end(token) {
                fail(self, waiting);
            }
        }
        self.conversations.schedule(pair);
    }

    fn lose_text(&mut self, now: Instant, token: Token) {
        self.conversations.requests.remove(&token);
        if let Some(waiting) = self.end(token) {
            self.fail(now, waiting, Trouble::Overload);
        }
    }
}

impl Mode {
    /// Whether the other mode may still be tried.
    pub(super) const fn may_change(self) -> bool {
        match self {
            Self::Unknown(Sessions::Always | Sessions::Fallback) => true,
            Self::Unknown(Sessions::Never) | Self::Page | Self::Session => false,
        }
    }
}

/// Whether somebody lists what says that somebody types among what he accepts.
pub(super) fn accepts_typing(headers: &Headers) -> bool {
    headers.list("Accept").any(composing::covers_document)
}

/// Whether a refusal is about how a message was sent, and not about the message or its receiver.
pub(super) const fn wants_other_mode(status: StatusCode) -> bool {
    matches!(status.code(), 405 | 415 | 488 | 501)
}

/// A request within a session with the text of one on its own.
pub(super) fn with_text(mut request: Request, text: &Request) -> Result<Request, Flaw> {
    if let Some(kind) = text.headers().content_type() {
        request = request.with_body(kind.clone(), text.body().clone());
    }
    request.headers_mut().set_date(text.headers().date());
    for name in ["Subject", "Content-Language", passage::FIELD] {
        if let Some(value) = text.headers().get(name) {
            request.headers_mut().push(name, value)?;
        }
    }
    Ok(request)
}

/// What we take in a session.
pub(super) const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, MESSAGE, INFO, UPDATE, OPTIONS";
/// What we understand of what a peer may ask for.
pub(super) const SUPPORTED: &str = "timer, ms-sender";
