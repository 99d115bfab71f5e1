//! What a SIP peer sends within a session, or to begin one.
//!
//! An INVITE for messages is accepted on behalf of the XMPP user, who is asked nothing; where it brings a first text, that
//! text's fate is its answer.

use std::time::{Duration, Instant};

use super::agreeing::{accepted, refreshed, refuse, with_timer};
use super::arrival::Arrival;
use super::names::contact;
use super::takes::Takes;
use super::{Pair, Phase, SESSIONS, Session};
use crate::gateway::answer::{Answers, Trouble};
use crate::gateway::delivery::{Carries, Link};
use crate::gateway::event::Output;
use crate::gateway::rejection::tag;
use crate::gateway::{Gateway, after};
use crate::interwork::embedded;
use crate::policy;
use crate::sip::dialog::{self, Dialog, DialogId, Received};
use crate::sip::session_timer::SessionTimer;
use crate::sip::{Method, Request, Response, StatusCode};

impl<O> Gateway<O> {
    pub(super) fn invited(&mut self, now: Instant, arrival: Arrival<O>) {
        let Arrival {
            request,
            carries,
            pair,
            peer,
            origin,
            rest,
        } = arrival;
        let to_sip = Link::Sip {
            remote: pair.sip.domain().clone(),
        };
        let face = peer.face.clone();
        let timer = SessionTimer::new(self.limits.session_interval, self.limits.session_least);
        if let Err(small) = timer.check(&request) {
            let response = small.response(&request, &tag(&request));
            return self.respond(origin, response);
        }
        let dialog = self.callee(&request, &face);
        let dialog = match dialog {
            Ok(dialog) => dialog,
            Err(status) => {
                let response = request.response(status, status.reason(), Some(&tag(&request)));
                return self.respond(origin, response);
            }
        };
        let has_share = self.conversations.has_share(&pair, &peer.outside)
            && self.conversations.has_octets(&peer.outside);
        let conversation = has_share
            .then(|| self.converse(now, &pair, &to_sip, &rest.back, &peer))
            .flatten();
        let Some(conversation) = conversation else {
            let response = self
                .answers
                .troubled_request(&request, Trouble::Overload, policy::Answers::Pass);
            return self.respond(origin, response);
        };
        // A peer that begins one session after the other has forgotten the first.
        let mut excess = None;
        if conversation.sessions.len() >= SESSIONS {
            let open = conversation
                .sessions
                .iter()
                .position(|session| session.phase == Phase::Open);
            let Some(open) = open else {
                let response =
                    self.answers
                        .troubled_request(&request, Trouble::Overload, policy::Answers::Pass);
                return self.respond(origin, response);
            };
            excess = Some(conversation.sessions.remove(open));
        }
        conversation.sessions.push(Session {
            weight: dialog.weight(),
            dialog,
            timer,
            phase: Phase::Offered { text: None },
            takes: Takes::new().hear(request.headers(), request.body()),
            offer: None,
            first: None,
        });
        if let Some(excess) = excess {
            self.end_dialog(now, &pair, excess.dialog);
        }
        match carries {
            Carries::Text(stanza) => {
                let delivery = rest.delivery(stanza, request, &peer);
                self.deliver(now, delivery, origin);
            }
            Carries::Nothing | Carries::State(..) | Carries::Receipt(..) => {
                self.accept(now, &pair, &request, origin);
            }
        }
    }

    fn callee(&mut self, request: &Request, face: &crate::sip::proxy::Face) -> Result<Dialog, StatusCode> {
        let own = request
            .headers()
            .to()
            .uri()
            .sip()
            .ok_or(StatusCode::BAD_REQUEST)?;
        let contact = contact(face, own).map_err(|_| StatusCode::BAD_REQUEST)?;
        let over = request.headers().top_via().transport().clone();
        Dialog::of_callee(request, &self.names.tag(), contact, &over).map_err(|_| StatusCode::BAD_REQUEST)
    }

    /// Accepts an INVITE of a peer; its text, where there is one, has arrived.
    pub(in crate::gateway) fn accept(
        &mut self,
        now: Instant,
        pair: &Pair,
        request: &Request,
        origin: Option<O>,
    ) {
        let first = embedded::first_message(request).ok().flatten();
        let until = after(now, ACKNOWLEDGED);
        let repeated_until = after(now, REPEATED);
        let response = self.offered(pair, request).map(|(session, face)| {
            session.dialog.confirm();
            session.phase = Phase::Accepted { until };
            let is_consumed = first.is_some();
            session.first = first.map(|first| (first, repeated_until));
            let response = accepted(session, request, face.host(), is_consumed)?;
            with_timer(&mut session.timer, now, request, response)
        });
        let response = match response {
            Some(Ok(response)) => response,
            Some(Err(_)) | None => {
                let status = StatusCode::SERVER_INTERNAL_ERROR;
                request.response(status, status.reason(), Some(&tag(request)))
            }
        };
        self.respond(origin, response);
        self.conversations.schedule(pair);
    }

    /// The text in an INVITE was refused or lost, and with it the INVITE.
    pub(in crate::gateway) fn decline(&mut self, now: Instant, pair: &Pair, request: &Request) {
        let id = self
            .offered(pair, request)
            .map(|(session, _)| session.dialog.id());
        if let (Some(id), Some(conversation)) = (id, self.conversations.by_pair.get_mut(pair)) {
            conversation.take_session(&id);
        }
        self.advance(now, pair);
    }

    /// The session that an INVITE has begun and that was not accepted yet.
    fn offered(&mut self, pair: &Pair, request: &Request) -> Option<(&mut Session, crate::sip::proxy::Face)> {
        let conversation = self.conversations.by_pair.get_mut(pair)?;
        let face = conversation.peer.face.clone();
        conversation.offered(request).map(|session| (session, face))
    }

    pub(super) fn peer_acknowledged(&mut self, now: Instant, arrival: &Arrival<O>) {
        let id = DialogId::of_request(&arrival.request);
        let Some(conversation) = self.conversations.by_pair.get_mut(&arrival.pair) else {
            return;
        };
        if let Some(session) = conversation.session(&id)
            && matches!(session.phase, Phase::Accepted { .. })
        {
            session.phase = Phase::Open;
            self.advance(now, &arrival.pair);
        }
    }

    /// A request within a session.
    pub(super) fn within(&mut self, now: Instant, arrival: Arrival<O>) {
        let Arrival {
            request,
            carries,
            pair,
            peer,
            origin,
            rest,
            ..
        } = arrival;
        let id = DialogId::of_request(&request);
        let quiet_at = self.quiet_from(now);
        let session = self
            .conversations
            .by_pair
            .get_mut(&pair)
            .and_then(|conversation| {
                conversation.quiet_at = quiet_at;
                conversation.session(&id)
            });
        let Some(session) = session else {
            let response = refuse(&request, &dialog::Refused::NoSuchDialog);
            return self.respond(origin, response);
        };
        let received = match session.dialog.receive(&request) {
            Ok(received) => received,
            Err(refused) => {
                let response = refuse(&request, &refused);
                return self.respond(origin, response);
            }
        };
        if received == Received::Bye {
            let response = session.dialog.answer(&request, StatusCode::OK, "");
            self.respond(origin, response);
            return self.hung_up(now, &pair, &id);
        }
        match (request.method(), carries) {
            (Method::Message, Carries::Text(stanza)) => {
                // Only the first text may be that of the INVITE; the same words later are said once more.
                let is_repeated = session
                    .first
                    .take()
                    .is_some_and(|(first, until)| until > now && first.same_as(&request));
                if is_repeated {
                    return self.respond_ok(&request, origin);
                }
                let delivery = rest.delivery(stanza, request, &peer);
                self.deliver(now, delivery, origin);
            }
            (Method::Invite | Method::Update, _) => {
                let host = peer.face.host().clone();
                let response = refreshed(session, now, &request, &host);
                self.respond(origin, response);
            }
            (method, Carries::State(stanza, activity)) => {
                session.takes.typed_by(method);
                self.respond_ok(&request, origin);
                self.peer_types(now, &pair, *stanza, activity);
            }
            (_, Carries::Receipt(receipt, id)) => {
                self.respond_ok(&request, origin);
                self.receipt_of_sip(now, &pair, receipt, &id, rest.trace);
            }
            (_, Carries::Text(_) | Carries::Nothing) => self.respond_ok(&request, origin),
        }
    }

    /// The peer has ended a session.
    fn hung_up(&mut self, now: Instant, pair: &Pair, id: &DialogId) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let ended = conversation.take_session(id);
        if let Some(ended) = ended
            && conversation.sessions.is_empty()
            && !conversation.is_inviting()
        {
            self.say_gone(now, pair, ended.dialog.id().call_id().as_str());
        }
        // A text that was under way in it is answered, or not, by itself; what waits begins another session.
        self.advance(now, pair);
    }

    pub(super) fn respond_ok(&mut self, request: &Request, origin: Option<O>) {
        let response = Answers::taken(request, policy::Answers::Pass);
        self.respond(origin, response);
    }

    pub(in crate::gateway) fn respond(&mut self, origin: Option<O>, response: Response) {
        if let Some(origin) = origin {
            self.ready.push_back(Output::Respond {
                origin,
                response: Box::new(response),
            });
        }
    }
}

/// RFC 3261 §13.3.1.4: 64*T1, until an ACK has to come.
const ACKNOWLEDGED: Duration = Duration::from_secs(32);
/// How long a peer may send the text of its INVITE once more.
const REPEATED: Duration = Duration::from_secs(30);
