//! The two tables of RFC 7247 §7, as they stand there.

use super::AddressedTo;
use crate::sip::StatusCode;
use crate::xmpp::error::{Condition, ErrorType};

/// Table 2 (§7.1): the status code of a condition. [`super::status_for`] says where we leave it.
///
/// Where the RFC names two: for remote-server-not-found the first, because an error that came through XMPP does not
/// tell the cases apart; for service-unavailable the first of the two that it calls closest; for unexpected-request the
/// first.
#[must_use]
pub const fn rfc_status(condition: Condition, addressed: AddressedTo) -> StatusCode {
    let (device, user) = match condition {
        Condition::BadRequest
        | Condition::Conflict
        | Condition::JidMalformed
        | Condition::SubscriptionRequired
        | Condition::UndefinedCondition => same(StatusCode::BAD_REQUEST),
        Condition::FeatureNotImplemented => (StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED),
        Condition::Forbidden => (StatusCode::FORBIDDEN, StatusCode::DECLINE),
        Condition::Gone => same(StatusCode::GONE),
        Condition::InternalServerError | Condition::ResourceConstraint => {
            same(StatusCode::SERVER_INTERNAL_ERROR)
        }
        Condition::ItemNotFound => (StatusCode::NOT_FOUND, StatusCode::DOES_NOT_EXIST_ANYWHERE),
        Condition::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, StatusCode::NOT_ACCEPTABLE_ANYWHERE),
        Condition::NotAllowed | Condition::PolicyViolation | Condition::ServiceUnavailable => {
            same(StatusCode::FORBIDDEN)
        }
        Condition::NotAuthorized => same(StatusCode::UNAUTHORIZED),
        Condition::RecipientUnavailable => (StatusCode::TEMPORARILY_UNAVAILABLE, StatusCode::BUSY_EVERYWHERE),
        Condition::Redirect => same(StatusCode::MOVED_TEMPORARILY),
        Condition::RegistrationRequired => same(StatusCode::PROXY_AUTHENTICATION_REQUIRED),
        Condition::RemoteServerNotFound => same(StatusCode::NOT_FOUND),
        Condition::RemoteServerTimeout => same(StatusCode::REQUEST_TIMEOUT),
        Condition::UnexpectedRequest => same(StatusCode::REQUEST_PENDING),
    };
    match addressed {
        AddressedTo::FullJid => device,
        AddressedTo::BareJid => user,
    }
}

/// Table 3 (§7.2) with the error types of RFC 6120 §8.3.3: the condition of a status code.
#[must_use]
pub fn condition_for(status: StatusCode) -> (Condition, ErrorType) {
    let row = ROWS.iter().find(|(code, _, _)| *code == status.code());
    if let Some((_, condition, kind)) = row {
        return (*condition, *kind);
    }
    //= rfc7247#7.2
    //# it SHOULD map a 3xx-series
    //# code to <redirect/>, a 4xx-series code to <bad-request/>, a 5xx-
    //# series code to <internal-server-error>, and a 6xx-series code to
    //# <recipient-unavailable/>.
    match status.code() {
        300..=399 => (Condition::Redirect, ErrorType::Modify),
        400..=499 => (Condition::BadRequest, ErrorType::Modify),
        500..=599 => (Condition::InternalServerError, ErrorType::Cancel),
        600..=699 => (Condition::RecipientUnavailable, ErrorType::Wait),
        _ => (Condition::UndefinedCondition, ErrorType::Cancel),
    }
}

const fn same(status: StatusCode) -> (StatusCode, StatusCode) {
    (status, status)
}

/// One row a code that the RFC lists, in its order.
const ROWS: [(u16, Condition, ErrorType); 48] = [
    (300, Condition::Redirect, ErrorType::Modify),
    (301, Condition::Gone, ErrorType::Cancel),
    (302, Condition::Redirect, ErrorType::Modify),
    (305, Condition::Redirect, ErrorType::Modify),
    (380, Condition::NotAcceptable, ErrorType::Modify),
    (400, Condition::BadRequest, ErrorType::Modify),
    (401, Condition::NotAuthorized, ErrorType::Auth),
    (402, Condition::BadRequest, ErrorType::Modify),
    (403, Condition::Forbidden, ErrorType::Auth),
    (404, Condition::ItemNotFound, ErrorType::Cancel),
    (405, Condition::FeatureNotImplemented, ErrorType::Cancel),
    (406, Condition::NotAcceptable, ErrorType::Modify),
    (407, Condition::RegistrationRequired, ErrorType::Auth),
    (408, Condition::RemoteServerTimeout, ErrorType::Wait),
    (410, Condition::Gone, ErrorType::Cancel),
    (413, Condition::PolicyViolation, ErrorType::Modify),
    (414, Condition::PolicyViolation, ErrorType::Modify),
    (415, Condition::NotAcceptable, ErrorType::Modify),
    (416, Condition::NotAcceptable, ErrorType::Modify),
    (420, Condition::FeatureNotImplemented, ErrorType::Cancel),
    (421, Condition::NotAcceptable, ErrorType::Modify),
    (423, Condition::ResourceConstraint, ErrorType::Wait),
    (430, Condition::RecipientUnavailable, ErrorType::Wait),
    (439, Condition::FeatureNotImplemented, ErrorType::Cancel),
    (440, Condition::PolicyViolation, ErrorType::Modify),
    (480, Condition::RecipientUnavailable, ErrorType::Wait),
    (481, Condition::ItemNotFound, ErrorType::Cancel),
    (482, Condition::NotAcceptable, ErrorType::Modify),
    (483, Condition::NotAcceptable, ErrorType::Modify),
    (484, Condition::ItemNotFound, ErrorType::Cancel),
    (485, Condition::ItemNotFound, ErrorType::Cancel),
    (486, Condition::RecipientUnavailable, ErrorType::Wait),
    (487, Condition::RecipientUnavailable, ErrorType::Wait),
    (488, Condition::NotAcceptable, ErrorType::Modify),
    (489, Condition::PolicyViolation, ErrorType::Modify),
    (491, Condition::UnexpectedRequest, ErrorType::Wait),
    (493, Condition::BadRequest, ErrorType::Modify),
    (500, Condition::InternalServerError, ErrorType::Cancel),
    (501, Condition::FeatureNotImplemented, ErrorType::Cancel),
    (502, Condition::RemoteServerNotFound, ErrorType::Cancel),
    (503, Condition::InternalServerError, ErrorType::Cancel),
    (504, Condition::RemoteServerTimeout, ErrorType::Wait),
    (505, Condition::NotAcceptable, ErrorType::Modify),
    (513, Condition::PolicyViolation, ErrorType::Modify),
    (600, Condition::RecipientUnavailable, ErrorType::Wait),
    (603, Condition::RecipientUnavailable, ErrorType::Wait),
    (604, Condition::ItemNotFound, ErrorType::Cancel),
    (606, Condition::NotAcceptable, ErrorType::Modify),
];
