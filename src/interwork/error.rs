//! Errors: a stanza error as a SIP response, a SIP response as a stanza error, and what failed on our own side as either
//! (RFC 7247 §7, RFC 6120 §8.3).
//!
//! Where we leave RFC 7247's tables, which are a SHOULD: 401 and 407 need a challenge that only their author can make, so
//! not-authorized and registration-required are 403; 301 and 302 need an address, so gone and redirect without one that
//! SIP can use are 410 and 480; and service-unavailable is what the peer's profile says.
//!
//! The reason for people crosses with the error, after a text of the configuration's; it is cut to
//! [`REASON_CHARACTERS`] characters and cannot break a line.

mod table;

pub use table::{condition_for, rfc_status};

use super::address::{self, Sips};
use super::carried;
use super::message::is_direction_control;
use super::percent;
use super::profile::Profile;
use crate::limits::REASON_CHARACTERS;
use crate::refusal::Refuse;
use crate::sip::{Method, Request, Response, Scheme, SipUri, StatusCode, Uri};
use crate::xmpp::error::{Condition, ErrorType, StanzaError};
use crate::xmpp::stanza::{Kind, PresenceType};
use crate::xmpp::{Jid, Stanza, ns};

/// Whom an XMPP error speaks of, and so how much of a SIP user it speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressedTo {
    /// One device, or it is not sure whom: other branches of a forked request may still succeed.
    FullJid,
    /// The user, by the word of the user's own server: a 6xx may end the search everywhere.
    BareJid,
}

impl AddressedTo {
    /// Whom an error stanza speaks of: the user only if it comes from the bare address itself and names nobody else as
    /// its source.
    #[must_use]
    pub fn of(stanza: &Stanza) -> Self {
        let by_another = stanza
            .error()
            .is_some_and(|error| error.by().is_some_and(|by| by.domain() != stanza.from().domain()));
        if stanza.from().is_bare() && stanza.from().local().is_some() && !by_another {
            Self::BareJid
        } else {
            Self::FullJid
        }
    }
}

/// An error as SIP says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipError {
    status: StatusCode,
    reason: String,
    contact: Option<SipUri>,
}

impl SipError {
    /// The status code.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The reason for people.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The other address of a 301 or 302.
    #[must_use]
    pub const fn contact(&self) -> Option<&SipUri> {
        self.contact.as_ref()
    }

    /// The response that says it, with the header fields that its status code demands.
    #[must_use]
    pub fn response(&self, request: &Request, to_tag: &str) -> Response {
        let mut response = request.response(self.status, &self.reason, Some(to_tag));
        if let Some(contact) = &self.contact {
            response = response.with_contact(crate::sip::NameAddr::new(contact.clone()));
        }
        // All values are our own and clean, so no push can fail.
        //= rfc3261#21.4.6
        //# The response MUST include an Allow header field containing a list of
        //# valid methods for the indicated address.
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            let others = [Method::Message, Method::Options];
            let allowed: Vec<_> = others
                .iter()
                .filter(|method| *method != request.method())
                .map(Method::as_str)
                .collect();
            let _ = response.headers_mut().push("Allow", &allowed.join(", "));
        }
        //= rfc3261#21.4.13
        //# The server MUST return a list of acceptable formats using the
        //# Accept, Accept-Encoding, or Accept-Language header field
        if self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            let _ = response.headers_mut().push("Accept", &carried::accept());
            let _ = response.headers_mut().push("Accept-Encoding", "identity");
        }
        response
    }
}

/// What SIP says for a stanza error (RFC 7247 §7.1). `undeliverable` goes before the reason; it may be empty.
#[must_use]
pub fn status_for(
    error: &StanzaError,
    addressed: AddressedTo,
    profile: &Profile,
    undeliverable: &str,
) -> SipError {
    let condition = error.condition();
    let alternate = error.alternate().and_then(sip_address);
    let (status, contact) = match (condition, alternate) {
        //= rfc7247#7.1
        //# If the <gone/> element includes XML character data specifying
        //# the new address, the error MUST be mapped to SIP 301; if not, it
        //# MUST be mapped to SIP 410.
        (Condition::Gone, Some(contact)) => (StatusCode::MOVED_PERMANENTLY, Some(contact)),
        (Condition::Gone, None) => (StatusCode::GONE, None),
        (Condition::Redirect, Some(contact)) => (StatusCode::MOVED_TEMPORARILY, Some(contact)),
        (Condition::Redirect, None) => (StatusCode::TEMPORARILY_UNAVAILABLE, None),
        (Condition::NotAuthorized | Condition::RegistrationRequired, _) => (StatusCode::FORBIDDEN, None),
        (Condition::ServiceUnavailable, _) => (profile.service_unavailable(), None),
        // 491 asks for another try, which only makes sense where the peer expects one.
        (Condition::UnexpectedRequest, _) if error.error_type() != ErrorType::Wait => {
            (StatusCode::BAD_REQUEST, None)
        }
        _ => (rfc_status(condition, addressed), None),
    };
    let said = error
        .text()
        .map(line)
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| status.reason().to_owned());
    SipError {
        status,
        reason: join(undeliverable, &said),
        contact,
    }
}

/// The stanza error that a SIP response means (RFC 7247 §7.2). `by` is the gateway; `undeliverable` goes before the
/// reason and may be empty. A provisional or success response is no error; it must not come here, and would be taken
/// for one that says least.
#[must_use]
pub fn error_for(response: &Response, by: &Jid, undeliverable: &str) -> StanzaError {
    let status = response.status();
    let (condition, kind) = condition_for(status);
    let alternate = response
        .headers()
        .contact()
        .addresses()
        .first()
        .map(|contact| xmpp_address(contact.uri()));
    let error = match (condition, alternate) {
        //= rfc7247#7.2
        //# When mapping SIP 301 to XMPP <gone/>, the <gone/> element MUST
        //# include XML character data specifying the new address.
        (Condition::Gone, Some(uri)) if status == StatusCode::MOVED_PERMANENTLY => {
            StanzaError::new(condition).with_type(kind).with_alternate(&uri)
        }
        // Moved, but nobody says where to.
        (Condition::Gone, None) if status == StatusCode::MOVED_PERMANENTLY => {
            StanzaError::new(Condition::ItemNotFound)
        }
        (Condition::Redirect, Some(uri)) => StanzaError::new(condition).with_type(kind).with_alternate(&uri),
        (Condition::Redirect, None) => StanzaError::new(Condition::RecipientUnavailable),
        _ if status == StatusCode::SERVICE_UNAVAILABLE && response.headers().get("Retry-After").is_some() => {
            StanzaError::new(condition).with_type(ErrorType::Wait)
        }
        _ => StanzaError::new(condition).with_type(kind),
    };
    let said = line(response.reason());
    let said = if said.is_empty() {
        status.reason().to_owned()
    } else {
        said
    };
    let numbered = join_with(&status.to_string(), " ", &said);
    error
        .with_by(by.clone())
        .with_text(&join(undeliverable, &numbered))
}

/// What failed between us and the next server, before it could answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocalFailure {
    /// DNS says that there is no such domain, or that it offers no such service.
    NoSuchDomain,
    /// DNS did not answer.
    Unresolved,
    /// No connection: refused, reset, or TLS broken off by the other side.
    Unreachable,
    /// A connection that our policy does not allow: certificate, TLS version, no TLS at all.
    Insecure,
    /// A connection, but no answer in time (SIP timers B and F, a silent stream).
    NoAnswer,
    /// More than the next hop says it takes (XEP-0478).
    TooLarge,
    /// We are at a limit of our own.
    Overload,
}

impl LocalFailure {
    /// All failures.
    pub const ALL: [Self; 7] = [
        Self::NoSuchDomain,
        Self::Unresolved,
        Self::Unreachable,
        Self::Insecure,
        Self::NoAnswer,
        Self::TooLarge,
        Self::Overload,
    ];

    /// The stanza error that says it. The text is constant: nothing of the peer's certificate or address is in it.
    #[must_use]
    pub fn stanza_error(self, by: &Jid, undeliverable: &str) -> StanzaError {
        let error = StanzaError::new(self.condition()).with_text(&join(undeliverable, self.text()));
        match self {
            //= xep0478#3
            //# SHOULD NOT contain a 'by' attribute (as the policy being violated is not the current entity's)
            Self::TooLarge => error,
            Self::NoSuchDomain
            | Self::Unresolved
            | Self::Unreachable
            | Self::Insecure
            | Self::NoAnswer
            | Self::Overload => error.with_by(by.clone()),
        }
    }

    /// The SIP error that says it.
    #[must_use]
    pub fn sip_error(self, undeliverable: &str) -> SipError {
        let status = match self {
            // RFC 7247 §7.1 note 4: 404 for what does not exist, 408 for what could not be resolved.
            Self::NoSuchDomain => StatusCode::NOT_FOUND,
            Self::Unresolved | Self::Unreachable | Self::NoAnswer => StatusCode::REQUEST_TIMEOUT,
            Self::Insecure => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::MESSAGE_TOO_LARGE,
            Self::Overload => StatusCode::SERVER_INTERNAL_ERROR,
        };
        SipError {
            status,
            reason: join(undeliverable, self.text()),
            contact: None,
        }
    }

    const fn condition(self) -> Condition {
        match self {
            Self::NoSuchDomain => Condition::RemoteServerNotFound,
            Self::Unresolved | Self::Unreachable | Self::NoAnswer => Condition::RemoteServerTimeout,
            Self::Insecure | Self::TooLarge => Condition::PolicyViolation,
            Self::Overload => Condition::ResourceConstraint,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::NoSuchDomain => "no such domain",
            Self::Unresolved => "the domain could not be looked up",
            Self::Unreachable => "the server could not be reached",
            Self::Insecure => "no connection with the required security",
            Self::NoAnswer => "the server did not answer",
            Self::TooLarge => "larger than the server takes",
            Self::Overload => "too much to do",
        }
    }
}

/// The SIP error of a refusal of our own.
#[must_use]
pub fn refusal_to_sip(refusal: &dyn Refuse, undeliverable: &str) -> SipError {
    SipError {
        status: StatusCode::new(refusal.sip_status()).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR),
        reason: join(undeliverable, refusal.peer_text()),
        contact: None,
    }
}

/// The stanza error of a refusal of our own.
#[must_use]
pub fn refusal_to_xmpp(refusal: &dyn Refuse, by: &Jid, undeliverable: &str) -> StanzaError {
    let condition = Condition::from_name(refusal.stanza_condition()).unwrap_or(Condition::UndefinedCondition);
    StanzaError::new(condition)
        .with_by(by.clone())
        .with_text(&join(undeliverable, refusal.peer_text()))
}

/// The error stanza that answers `original`: addresses swapped, id and thread kept, nothing else of it repeated. `None`
/// where nothing may answer: an error, the result of an iq, a presence that says goodbye.
#[must_use]
pub fn error_stanza(original: &Stanza, error: &StanzaError) -> Option<Stanza> {
    if original.kind() == Kind::Presence(PresenceType::Unavailable) {
        return None;
    }
    let mut answer = original.error_reply(error)?;
    if let Some(thread) = original.child("thread", ns::STANZA) {
        answer.push(thread.clone());
    }
    Some(answer)
}

/// The SIP address in `<gone/>` or `<redirect/>`, where it is one or an XMPP address that has one.
fn sip_address(alternate: &str) -> Option<SipUri> {
    let alternate = alternate.trim();
    if let Some((scheme, rest)) = alternate.split_once(':')
        && scheme.eq_ignore_ascii_case("xmpp")
    {
        // RFC 5122: a query or fragment is no part of the address.
        let address = rest.split(['?', '#']).next()?;
        let jid = Jid::parse(&percent::decode(address)?).ok()?;
        return address::to_uri(&jid, Scheme::Sip).ok();
    }
    let uri = Uri::parse(alternate).ok()?;
    address::Party::from_uri(&uri, Sips::Translate)
        .ok()
        .map(|party| party.uri().clone())
}

/// The address of a redirection as an XMPP client can use it; as it is, where it has no JID.
fn xmpp_address(contact: &Uri) -> String {
    match address::to_jid(contact, Sips::Translate) {
        Ok(jid) => address::xmpp_uri(&jid),
        Err(_) => contact.to_string(),
    }
}

/// One line of a peer's text: no control characters, no separators of lines, not longer than a reason may be.
fn line(text: &str) -> String {
    let clean: String = text
        .chars()
        .filter(|c| !is_direction_control(*c))
        .map(|c| if breaks_lines(c) { ' ' } else { c })
        .take(REASON_CHARACTERS)
        .collect();
    clean.trim().to_owned()
}

/// Whether a character is a control or ends a line for some reader.
pub(super) fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A text that is read before another, and that other; either may be empty.
#[must_use]
pub fn join(first: &str, second: &str) -> String {
    join_with(&line(first), ": ", second)
}

fn join_with(first: &str, between: &str, second: &str) -> String {
    if first.is_empty() || second.is_empty() {
        return format!("{first}{second}");
    }
    format!("{first}{between}{second}")
}

#[cfg(test)]
mod tests;
