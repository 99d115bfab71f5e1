//! What the senders of messages are told, in their own protocol, and the ids by which answers are recognised.

use std::sync::Arc;

use super::pending::Token;
use super::rejection::{RETRY_AFTER, tag};
use super::speaker::Speaker;
use crate::interwork::error::{AddressedTo, LocalFailure, SipError, error_for, error_stanza, status_for};
use crate::interwork::profile::Profile;
use crate::policy;
use crate::sip::{Request, Response, StatusCode};
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::{Jid, Stanza};

/// Makes answers.
#[derive(Debug)]
pub(super) struct Answers {
    ids: AnswerIds,
    by: Jid,
    undeliverable: Arc<str>,
}

/// Makes the ids of what the gateway sends, and knows them again. Clones know each other's.
#[derive(Debug, Clone)]
pub struct AnswerIds {
    prefix: Arc<str>,
}

impl AnswerIds {
    /// Ids that begin with something that nobody outside can guess.
    #[must_use]
    pub fn new(secret: u64) -> Self {
        Self {
            prefix: format!("vb{secret:016x}-").into(),
        }
    }

    /// The id that stands for a token.
    #[must_use]
    pub fn id(&self, token: Token) -> String {
        format!("{}{token}", self.prefix)
    }

    /// The token that an id stands for, where it is one of ours.
    #[must_use]
    pub fn token(&self, id: &str) -> Option<Token> {
        let number = id.strip_prefix(&*self.prefix)?;
        u64::from_str_radix(number, 16).ok().map(Token::from_number)
    }
}

impl Answers {
    /// Answers as a speaker.
    pub(super) fn new(speaker: &Speaker) -> Self {
        Self {
            ids: speaker.ids.clone(),
            by: Jid::from(speaker.edge.clone()),
            undeliverable: Arc::clone(&speaker.undeliverable),
        }
    }

    pub(super) fn id(&self, token: Token) -> String {
        self.ids.id(token)
    }

    pub(super) fn token(&self, id: &str) -> Option<Token> {
        self.ids.token(id)
    }

    /// The XMPP side took the message; where its word is withheld, the edge says for itself that it has passed it on,
    /// and not what became of it (RFC 3428 §7).
    pub(super) fn taken(request: &Request, answers: policy::Answers) -> Response {
        let status = match answers {
            policy::Answers::Pass => StatusCode::OK,
            policy::Answers::Withhold => StatusCode::ACCEPTED,
        };
        request.response(status, status.reason(), Some(&tag(request)))
    }

    /// The XMPP side refused the message with `stanza`.
    pub(super) fn refused_by_xmpp(
        &self,
        request: &Request,
        stanza: &Stanza,
        profile: &Profile,
    ) -> Option<Response> {
        let error = status_for(
            &stanza.error()?,
            AddressedTo::of(stanza),
            profile,
            &self.undeliverable,
        );
        Some(Self::response(request, &error))
    }

    /// The XMPP side was not reached.
    pub(super) fn troubled_request(
        &self,
        request: &Request,
        trouble: Trouble,
        answers: policy::Answers,
    ) -> Response {
        if answers == policy::Answers::Withhold {
            let status = StatusCode::TEMPORARILY_UNAVAILABLE;
            return request.response(status, status.reason(), Some(&tag(request)));
        }
        let error = trouble.failure().sip_error(&self.undeliverable);
        if !matches!(trouble, Trouble::Overload | Trouble::Stopping) {
            return Self::response(request, &error);
        }
        //= rfc3261#21.5.4
        //# The server is temporarily unable to process the request due to a
        //# temporary overloading or maintenance of the server.
        let mut response = request.response(
            StatusCode::SERVICE_UNAVAILABLE,
            error.reason(),
            Some(&tag(request)),
        );
        // The value is ours and clean, so this cannot fail.
        let _ = response.headers_mut().push("Retry-After", RETRY_AFTER);
        response
    }

    /// The SIP side refused what `sender` had sent.
    pub(super) fn refused_by_sip(&self, sender: &Stanza, response: &Response) -> Option<Stanza> {
        error_stanza(sender, &error_for(response, &self.by, &self.undeliverable))
    }

    /// The next hop of what `sender` had sent was not reached.
    pub(super) fn troubled_sender(
        &self,
        sender: &Stanza,
        trouble: Trouble,
        answers: policy::Answers,
    ) -> Option<Stanza> {
        if answers == policy::Answers::Withhold {
            return Self::withheld(sender);
        }
        let error: StanzaError = trouble.failure().stanza_error(&self.by, &self.undeliverable);
        error_stanza(sender, &error)
    }

    /// What is said in the place of an answer that may not pass: always the same.
    pub(super) fn withheld(sender: &Stanza) -> Option<Stanza> {
        sender.error_reply(&StanzaError::new(Condition::ServiceUnavailable))
    }

    pub(super) fn response(request: &Request, error: &SipError) -> Response {
        let tag = tag(request);
        //= rfc4320#4.2
        //# A transaction-stateful SIP element MUST NOT send a response with Status-Code of 408 to a non-INVITE request.
        if error.status() == StatusCode::REQUEST_TIMEOUT {
            return request.response(StatusCode::SERVER_TIMEOUT, error.reason(), Some(&tag));
        }
        error.response(request, &tag)
    }
}

/// Why a link could not carry something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// DNS says that the domain, or its service, does not exist.
    NotFound,
    /// DNS did not say where it is.
    Unresolved,
    /// No server could be connected to.
    Unreachable,
    /// TLS failed, or the certificate does not prove the domain.
    Untrusted,
    /// The server refused the stream or us.
    Refused,
    /// It took too long.
    Timeout,
    /// A queue or a table of ours is full.
    Overload,
    /// The server says that it takes nothing so large.
    TooLarge,
    /// The stream or flow broke while the message was on it.
    Broken,
    /// The proxy is stopping.
    Stopping,
}

impl Trouble {
    /// A constant word for metrics and logs.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::NotFound => "peer_not_found",
            Self::Unresolved => "peer_unresolved",
            Self::Unreachable => "peer_unreachable",
            Self::Untrusted => "peer_untrusted",
            Self::Refused => "peer_refused",
            Self::Timeout => "peer_timeout",
            Self::Overload => "overload",
            Self::TooLarge => "too_large",
            Self::Broken => "link_broken",
            Self::Stopping => "stopping",
        }
    }

    /// What the sender is told of it: nothing of our inside.
    pub(super) const fn failure(self) -> LocalFailure {
        match self {
            Self::NotFound => LocalFailure::NoSuchDomain,
            Self::Unresolved => LocalFailure::Unresolved,
            Self::Unreachable | Self::Refused | Self::Broken => LocalFailure::Unreachable,
            Self::Untrusted => LocalFailure::Insecure,
            Self::Timeout => LocalFailure::NoAnswer,
            Self::TooLarge => LocalFailure::TooLarge,
            Self::Overload | Self::Stopping => LocalFailure::Overload,
        }
    }
}
