//! Why there is no dialog, why a request within one is refused, and what a refusal of ours does to it.

use crate::refusal::{Fault, Refuse};
use crate::sip::{Method, StatusCode};

/// Why a message makes no dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoDialog {
    /// The method makes none.
    #[error("a request of this method makes no dialog")]
    Method,
    /// Only 101 to 299 make one.
    #[error("a response with this status makes no dialog")]
    Status,
    /// It belongs to another request, or to one within a dialog.
    #[error("the message does not belong to a request outside of dialogs")]
    OtherRequest,
    /// There is no tag to tell it by.
    #[error("the message has no tag")]
    Tag,
    /// There is not exactly one Contact, or not one that may be used (`sips` where the dialog is secure).
    #[error(
        "the message has not exactly one Contact with a SIP URI, or one that is less secure than its dialog"
    )]
    Contact,
}

/// Why a request of the other end is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// It belongs to no dialog that there is, or to a usage that this one has not.
    #[error("the request belongs to no dialog that is known here")]
    NoSuchDialog,
    /// Its number is not above that of the one before.
    #[error("the request came after a later one of its dialog")]
    OutOfOrder,
    /// Its Contact cannot be used.
    #[error("the Contact of the request is none that its dialog could go on with")]
    Contact,
}

/// Why no request can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotSent {
    /// The dialog has ended.
    #[error("the dialog has ended")]
    Ended,
    /// A callee may not end a dialog that it has not confirmed: it refuses the INVITE instead.
    #[error("a callee cannot send BYE before it has accepted")]
    Early,
    /// All sequence numbers are used up.
    #[error("the dialog has no sequence number left")]
    Exhausted,
}

/// How much a failure ends (RFC 5057 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// This request has failed; nothing else has.
    Transaction,
    /// What the dialog was for is over.
    Usage,
    /// The dialog is over with all that it was for.
    Dialog,
}

/// What a response to a request within a dialog ends. A transaction that timed out counts as 408.
//
//= rfc3261#12.2.1.2
//# If the response for a request within a dialog is a 481 (Call/Transaction Does Not Exist) or a 408 (Request Timeout),
//# the UAC SHOULD terminate the dialog.
#[must_use]
pub fn damage(method: &Method, status: StatusCode) -> Damage {
    // It is an answer about the transaction that was to be cancelled.
    if *method == Method::Cancel {
        return Damage::Transaction;
    }
    let is_of_subscription = matches!(method, Method::Subscribe | Method::Notify);
    // What a usage cannot do without (RFC 5057 §5.1, note 3); an INFO that is refused leaves the session as it was.
    let is_integral = is_of_subscription || matches!(method, Method::Invite | Method::Bye);
    match status.code() {
        404 | 410 | 416 | 482..=485 | 502 | 604 => Damage::Dialog,
        480 | 481 => Damage::Usage,
        405 | 501 if is_integral => Damage::Usage,
        489 if is_of_subscription => Damage::Usage,
        // A subscription outlives a refresh that nobody answered (RFC 6665 §4.1.2.2), a session does not.
        408 if *method != Method::Subscribe => Damage::Usage,
        _ => Damage::Transaction,
    }
}

impl Refuse for NoDialog {
    fn class(&self) -> &'static str {
        "no_dialog"
    }

    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::OtherRequest => 481,
            Self::Method | Self::Status | Self::Tag | Self::Contact => 400,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        "bad-request"
    }

    fn peer_text(&self) -> &'static str {
        "the message cannot begin a dialog"
    }
}

impl Refuse for Refused {
    fn class(&self) -> &'static str {
        match self {
            Self::NoSuchDialog => "dialog_unknown",
            Self::OutOfOrder => "dialog_out_of_order",
            Self::Contact => "dialog_contact",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::NoSuchDialog => 481,
            Self::OutOfOrder => 500,
            Self::Contact => 400,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::NoSuchDialog => "item-not-found",
            Self::OutOfOrder => "unexpected-request",
            Self::Contact => "bad-request",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::NoSuchDialog => "no such dialog",
            Self::OutOfOrder => "the request is out of order",
            Self::Contact => "the Contact cannot be used",
        }
    }
}

impl Refused {
    /// The status that says it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::NoSuchDialog => StatusCode::CALL_DOES_NOT_EXIST,
            Self::OutOfOrder => StatusCode::SERVER_INTERNAL_ERROR,
            Self::Contact => StatusCode::BAD_REQUEST,
        }
    }
}
