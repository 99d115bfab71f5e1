//! INVITEs of ours: what they ask for, and what becomes of each of their answers (RFC 3261 §13.2, RFC 4028 §7).

use std::time::Instant;

use super::caller::{ALLOW, SUPPORTED, wants_other_mode};
use super::names::contact;
use super::takes::Takes;
use super::{Invited, Inviting, Mode, Pair, Phase, Purpose, SESSIONS, Session};
use crate::gateway::answer::Trouble;
use crate::gateway::delivery::Trace;
use crate::gateway::pending::Token;
use crate::gateway::waiting::WaitingKind;
use crate::gateway::{Gateway, after};
use crate::interwork::embedded::TEXT_FORMAT;
use crate::interwork::invitation::{self, MessageMedia};
use crate::mime::MediaType;
use crate::sip::dialog::{Dialog, Fork, ForkInput, Forks};
use crate::sip::sdp::Sdp;
use crate::sip::session_timer::{Failed, SessionTimer};
use crate::sip::transaction::Timers;
use crate::sip::{Flaw, Mandatory, Method, Request, Response};

impl<O> Gateway<O> {
    /// Begins a session for what waits.
    pub(super) fn invite(&mut self, now: Instant, pair: &Pair, token: Token) -> Result<(), Flaw> {
        let Some(WaitingKind::Xmpp { text: Some(text), .. }) =
            self.waiting.get(token).map(|waiting| &waiting.kind)
        else {
            return Ok(());
        };
        let headers = text.headers();
        let (uri, from, to) = (text.uri().clone(), headers.from().clone(), headers.to().clone());
        // The conversation's name is the session's (RFC 7573 §5), if no session had it before.
        let named = headers.call_id().clone();
        let trace = self.waiting.get(token).map(|waiting| waiting.about.trace);
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return Ok(());
        };
        let face = conversation.peer.face.clone();
        let call_id = if conversation.named.as_ref() == Some(&named) {
            self.names.call_id()?
        } else {
            conversation.named = Some(named.clone());
            named
        };
        let mandatory = Mandatory {
            via: self.names.via(&face)?,
            from: from.clone().with_tag(&self.names.tag()),
            to,
            call_id,
            sequence: 1,
        };
        let own = from.uri().sip().ok_or(Flaw::Scheme)?;
        let offer = invitation::offer(face.host(), MessageMedia::Message);
        let mut request = Request::new(Method::Invite, uri, mandatory)
            .with_contact(contact(&face, own)?)
            .with_body(MediaType::plain("application", "sdp"), offer)
            .with_header("Allow", ALLOW)?
            .with_header("Supported", &format!("{SUPPORTED}, {TEXT_FORMAT}"))?;
        if let Some(subject) = text.headers().get("Subject") {
            request.headers_mut().push("Subject", subject)?;
        }
        let timer = SessionTimer::new(self.limits.session_interval, self.limits.session_least);
        timer.ask(&mut request)?;
        let trace = trace.unwrap_or_default();
        self.start_invite(now, pair, request, timer, trace);
        Ok(())
    }

    fn start_invite(
        &mut self,
        now: Instant,
        pair: &Pair,
        request: Request,
        timer: SessionTimer,
        trace: Trace,
    ) {
        let token = self.fresh();
        let until = after(now, self.limits.invite);
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let over = conversation.peer.face.transport().clone();
        if conversation.inviting.len() >= SESSIONS {
            // The first has been answered long ago.
            let old = conversation.inviting.remove(0);
            self.conversations.requests.remove(&old.token);
        }
        conversation.inviting.push(Inviting {
            token,
            request: Box::new(request.clone()),
            forks: Forks::new(request.clone(), over, Timers::default()),
            timer,
            state: Invited::Waiting,
            until,
        });
        self.conversations
            .requests
            .insert(token, (pair.clone(), Purpose::Invite));
        self.send_request(pair, request, token, until, trace);
    }

    pub(super) fn invite_answered(&mut self, now: Instant, pair: &Pair, token: Token, response: &Response) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            self.conversations.requests.remove(&token);
            return;
        };
        let Some(inviting) = conversation.inviting(token) else {
            self.conversations.requests.remove(&token);
            return;
        };
        inviting
            .forks
            .handle(now, ForkInput::Response(Box::new(response.clone())));
        let status = response.status();
        if status.is_success() {
            self.forked(now, pair, token, Some(response));
        } else if status.is_final() {
            self.invite_refused(now, pair, token, response);
        }
    }

    /// Does what the dialogs of an INVITE of ours ask for.
    pub(super) fn forked(&mut self, now: Instant, pair: &Pair, token: Token, response: Option<&Response>) {
        loop {
            let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
                return;
            };
            let Some(inviting) = conversation.inviting(token) else {
                break;
            };
            let Some(fork) = inviting.forks.poll() else {
                if inviting.forks.is_over() && inviting.state != Invited::Waiting {
                    conversation.take_inviting(token);
                    self.conversations.requests.remove(&token);
                }
                break;
            };
            let sequence = inviting.request.headers().cseq().number();
            match fork {
                Fork::Confirmed(dialog) => {
                    let first = inviting.state == Invited::Waiting;
                    if first {
                        inviting.state = Invited::Accepted;
                    }
                    self.acknowledge(now, pair, (token, sequence), &dialog);
                    let accepting = response.filter(|response| takes_messages(response));
                    match accepting {
                        Some(response) if first => self.opened(now, pair, token, *dialog, response),
                        Some(_) | None => self.end_dialog(now, pair, *dialog),
                    }
                    if first && accepting.is_none() {
                        self.fail_queue(pair, |gateway, waiting| {
                            gateway.fail(now, waiting, Trouble::Refused);
                        });
                    }
                }
                Fork::Excess(dialog) => {
                    self.acknowledge(now, pair, (token, sequence), &dialog);
                    self.end_dialog(now, pair, *dialog);
                }
                Fork::Again(id) => self.acknowledge_again(now, pair, token, &id),
                // Nothing can be sent into it, not even a BYE: the session is none.
                Fork::Unusable(..) if inviting.state == Invited::Waiting => {
                    inviting.state = Invited::Accepted;
                    self.fail_queue(pair, |gateway, waiting| {
                        gateway.fail(now, waiting, Trouble::Refused);
                    });
                }
                Fork::Early(_) | Fork::Ended(_) | Fork::Unusable(..) => {}
            }
        }
        self.advance(now, pair);
    }

    /// Our INVITE made a session.
    fn opened(&mut self, now: Instant, pair: &Pair, token: Token, dialog: Dialog, response: &Response) {
        let mut timer = SessionTimer::new(self.limits.session_interval, self.limits.session_least);
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        if let Some(inviting) = conversation.inviting(token) {
            std::mem::swap(&mut timer, &mut inviting.timer);
        }
        timer.accepted(now, response);
        conversation.mode = Mode::Session;
        conversation.sessions.push(Session {
            weight: dialog.weight(),
            dialog,
            timer,
            phase: Phase::Open,
            takes: Takes::new().hear(response.headers(), response.body()),
            offer: None,
            first: None,
        });
    }

    fn invite_refused(&mut self, now: Instant, pair: &Pair, token: Token, response: &Response) {
        let Some(conversation) = self.conversations.by_pair.get_mut(pair) else {
            return;
        };
        let Some(mut inviting) = conversation.take_inviting(token) else {
            return;
        };
        self.conversations.requests.remove(&token);
        if inviting.state != Invited::Waiting {
            return self.advance(now, pair);
        }
        if inviting.timer.refused(now, Some(response)) == Failed::Again {
            let mut request = later(&inviting.request);
            if inviting.timer.ask(&mut request).is_ok() {
                return self.start_invite(now, pair, request, inviting.timer, Trace::default());
            }
        }
        if wants_other_mode(response.status()) && conversation.mode.may_change() {
            conversation.mode = Mode::Page;
            return self.send_all_alone(pair);
        }
        self.fail_queue(pair, |gateway, waiting| {
            gateway.answered_by_sip(now, waiting, response);
        });
    }
}

/// Whether the answer to our offer accepts the messages. One without a description does: there is nothing to negotiate.
fn takes_messages(response: &Response) -> bool {
    if response.body().is_empty() {
        return true;
    }
    Sdp::parse(response.body())
        .is_ok_and(|sdp| sdp.is_of_messages() && sdp.media().any(|media| media.port != 0))
}

/// The same request once more, as a transaction of its own.
fn later(request: &Request) -> Request {
    let headers = request.headers();
    let mandatory = Mandatory {
        via: headers.top_via().clone(),
        from: headers.from().clone(),
        to: headers.to().clone(),
        call_id: headers.call_id().clone(),
        sequence: headers.cseq().number().saturating_add(1),
    };
    let mut later = Request::new(request.method().clone(), request.uri().clone(), mandatory)
        .with_contact(headers.contact().clone());
    if let Some(kind) = headers.content_type() {
        later = later.with_body(kind.clone(), request.body().clone());
    }
    for (name, value) in headers.other() {
        // It was written once already.
        let _ = later.headers_mut().push(name.as_str(), value);
    }
    later
}
