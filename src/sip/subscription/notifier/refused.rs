//! A SUBSCRIBE that makes no subscription.

use crate::refusal::{Fault, Refuse};
use crate::sip::dialog::NoDialog;
use crate::sip::{Request, Response, StatusCode};

/// Why a SUBSCRIBE makes no subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// It makes no dialog.
    #[error(transparent)]
    NoDialog(#[from] NoDialog),
    /// It names no event package, or one that is not served.
    #[error("the request asks for an event package that is not served")]
    Event,
    /// It asks for too short a time.
    #[error("the request asks for a subscription of less than {0} seconds")]
    TooBrief(u64),
}

impl NotAccepted {
    /// The response that says it.
    #[must_use]
    pub fn response(&self, request: &Request, to_tag: &str) -> Response {
        let status = match self {
            Self::NoDialog(NoDialog::OtherRequest) => StatusCode::CALL_DOES_NOT_EXIST,
            Self::NoDialog(_) => StatusCode::BAD_REQUEST,
            Self::Event => StatusCode::BAD_EVENT,
            Self::TooBrief(_) => StatusCode::INTERVAL_TOO_BRIEF,
        };
        let mut response = request.response(status, "", Some(to_tag));
        if let Self::TooBrief(least) = self {
            // A number is clean, so this cannot fail.
            let _ = response.headers_mut().push("Min-Expires", &least.to_string());
        }
        response
    }
}

impl Refuse for NotAccepted {
    fn class(&self) -> &'static str {
        match self {
            Self::NoDialog(cause) => cause.class(),
            Self::Event => "event_unknown",
            Self::TooBrief(_) => "subscription_too_brief",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::NoDialog(cause) => cause.sip_status(),
            Self::Event => 489,
            Self::TooBrief(_) => 423,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::NoDialog(cause) => cause.stanza_condition(),
            Self::Event => "feature-not-implemented",
            Self::TooBrief(_) => "not-acceptable",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::NoDialog(cause) => cause.peer_text(),
            Self::Event => "the event package is not served here",
            Self::TooBrief(_) => "the subscription is too brief",
        }
    }
}
