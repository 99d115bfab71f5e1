//! Our answers to an INVITE or UPDATE of a peer: what is agreed on, and what is not.
//!
//! RFC 3261 §13.3 and §14.2, RFC 3311 §5.2, RFC 4028 §9.

use std::time::Instant;

use super::Session;
use super::caller::{ALLOW, SUPPORTED};
use crate::gateway::rejection::tag;
use crate::interwork::embedded::TEXT_FORMAT;
use crate::interwork::error::refusal_to_sip;
use crate::interwork::invitation::{self, Invitation, MessageMedia};
use crate::mime::MediaType;
use crate::refusal::Refuse;
use crate::sip::session_timer::SessionTimer;
use crate::sip::{Flaw, Method, Request, Response, StatusCode};

/// The answer that accepts an INVITE.
pub(super) fn accepted(
    session: &Session,
    request: &Request,
    host: &crate::sip::Host,
    is_consumed: bool,
) -> Result<Response, Flaw> {
    let description = match invitation::judge(request) {
        Ok(Invitation::Messages(streams)) => {
            invitation::answer(host, &streams, request.headers().from().uri())
        }
        Ok(Invitation::Offerless) | Err(_) => invitation::offer(host, MessageMedia::Message),
    };
    // Whoever sees the tag does not send the text again.
    let supported = if is_consumed {
        format!("{SUPPORTED}, {TEXT_FORMAT}")
    } else {
        SUPPORTED.to_owned()
    };
    session
        .dialog
        .answer(request, StatusCode::OK, "")
        .with_header("Allow", ALLOW)?
        .with_header("Supported", &supported)
        .map(|response| response.with_body(MediaType::plain("application", "sdp"), description))
}

pub(super) fn with_timer(
    timer: &mut SessionTimer,
    now: Instant,
    request: &Request,
    mut response: Response,
) -> Result<Response, Flaw> {
    timer.answer(now, request, &mut response)?;
    Ok(response)
}

/// The answer to a re-INVITE or an UPDATE: the session goes on as it is, or the request is refused and it does so too.
pub(super) fn refreshed(
    session: &mut Session,
    now: Instant,
    request: &Request,
    host: &crate::sip::Host,
) -> Response {
    let is_invite = *request.method() == Method::Invite;
    //= rfc3261#14.2
    //# A UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in progress MUST return a
    //# 491 (Request Pending) response to the received INVITE.
    // RFC 3311 §5.2 has the same for an UPDATE with an offer.
    if session.offer.is_some() && (is_invite || !request.body().is_empty()) {
        return session.dialog.answer(request, StatusCode::REQUEST_PENDING, "");
    }
    session.weight = session.dialog.weight();
    if let Err(small) = session.timer.check(request) {
        return small.response(request, session.dialog.local().tag().unwrap_or_default());
    }
    let mut response = session.dialog.answer(request, StatusCode::OK, "");
    if is_invite || !request.body().is_empty() {
        let description = match invitation::judge(request) {
            Ok(Invitation::Messages(streams)) => {
                invitation::answer(host, &streams, request.headers().from().uri())
            }
            Ok(Invitation::Offerless) => invitation::offer(host, MessageMedia::Message),
            Err(refused) => return refuse(request, &refused),
        };
        response = response.with_body(MediaType::plain("application", "sdp"), description);
    }
    match with_timer(&mut session.timer, now, request, response) {
        Ok(response) => {
            session.takes = session.takes.hear(request.headers(), request.body());
            response
        }
        Err(_) => {
            let status = StatusCode::SERVER_INTERNAL_ERROR;
            request.response(status, status.reason(), None)
        }
    }
}

pub(super) fn refuse(request: &Request, refusal: &dyn Refuse) -> Response {
    refusal_to_sip(refusal, "").response(request, &tag(request))
}
