//! What is refused at the border, ready to be answered and to be told to the operator.

mod terms;
mod words;

pub(super) use words::Has;
use words::Words;

use super::Border;
use super::border::Removed;
use crate::domain::{Domain, DomainPattern};
use crate::interwork::error::{AddressedTo, error_stanza, refusal_to_sip, refusal_to_xmpp, status_for};
use crate::interwork::passage::Circling;
use crate::interwork::profile::Profile;
use crate::policy::Refusal;
use crate::refusal::{Fault, Refuse};
use crate::sip::inspect::Rejection;
use crate::sip::proxy::NotPassed;
use crate::sip::transaction::Key;
use crate::sip::{Flaw, Request, Response, StatusCode, Uri};
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::stanza::{IqType, Kind, MessageType, PresenceType};
use crate::xmpp::{Jid, Stanza};

/// A refused request.
#[derive(Debug)]
pub struct Rejected {
    response: Box<Response>,
    class: &'static str,
    fault: Fault,
    why: String,
    words: Words,
}

/// A refused stanza.
#[derive(Debug)]
pub struct RejectedStanza {
    reply: Option<Box<Stanza>>,
    class: &'static str,
    fault: Fault,
    why: String,
}

/// A domain that the far end of a flow did not prove.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unproven {
    class: &'static str,
    why: String,
}

/// Refusals of the border itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("From or Request-URI is not a SIP address at a domain")]
    Addresses,
    #[error("no listener inside serves SIP, so that SIP nodes cannot take part")]
    Inside,
    #[error("{0} is not one of our domains, and a node inside may not speak for it")]
    NotOurs(Domain),
    #[error("the request cannot go on: {0}")]
    NotPassed(NotPassed),
    #[error("a policy without answers lets no dialog through")]
    OneWay,
    #[error("the subscription asks for several users at once, and one at a time is served")]
    List,
    #[error("the request belongs to no session that is known here")]
    NoSession,
    #[error(
        "the session is about other media than messages: [[federate]] {0}, media = \"pass\", would let it pass"
    )]
    Media(DomainPattern),
    #[error("[[federate]] {0}: `methods` does not list MESSAGE")]
    NoMessages(DomainPattern),
    #[error("[[federate]] {0}: `methods` does not list SUBSCRIBE and NOTIFY, or `events` not presence")]
    NoPresence(DomainPattern),
    #[error("{0}")]
    Body(Removed),
    #[error("a sips: URI asks for TLS on every hop, and {0}")]
    Sips(&'static str),
    #[error("From says {0}, which is one of our own domains, and the request came from outside")]
    Impersonation(Domain),
    #[error("{0} is not one of our domains: the edge passes nothing from one peer to another")]
    Relaying(Domain),
    #[error("rooms and file transfers cannot be addressed from SIP in this version")]
    Room,
    #[error("translation is off (edge.interworking = false)")]
    TranslationOff,
    #[error("the stanza asks for what has no counterpart in SIP in this version")]
    Unsupported,
    #[error("nobody here serves what the stanza asks for")]
    Unserved,
    #[error("the query does not hold exactly one child")]
    Query,
    #[error("the query asks about a node that is not there")]
    NoSuchNode,
    #[error("the flow did not prove the domain of From: {0}")]
    Unproven(Unproven),
    #[error("the proxy is stopping and takes nothing new")]
    Stopping,
    #[error("{0}: look at the routes and nodes of both")]
    Circling(Circling),
    #[error("too many requests of this flow wait for their answers")]
    Overload,
    #[error("no entry of the configuration lets {0} speak SIP")]
    Protocol(Domain),
    #[error("a header field of ours could not be written: {0}")]
    Internal(Flaw),
}

impl Rejected {
    pub(super) fn of(request: &Request, refusal: &dyn Refuse) -> Self {
        let error = refusal_to_sip(refusal, "");
        let mut response = error.response(request, &tag(request));
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            // The value is ours and clean, so this cannot fail.
            let _ = response.headers_mut().push("Retry-After", RETRY_AFTER);
        }
        Self {
            response: Box::new(response),
            class: refusal.class(),
            fault: refusal.fault(),
            why: refusal.to_string(),
            words: Words::Edge,
        }
    }

    /// A polite refusal: what the sender would hear of a user who is not there.
    pub(super) fn as_offline(
        request: &Request,
        refusal: &Refusal,
        profile: &Profile,
        undeliverable: &str,
    ) -> Self {
        let offline = StanzaError::new(Condition::ServiceUnavailable);
        let error = status_for(&offline, AddressedTo::BareJid, profile, undeliverable);
        Self {
            response: Box::new(error.response(request, &tag(request))),
            class: refusal.class(),
            fault: refusal.fault(),
            why: refusal.to_string(),
            words: Words::Server,
        }
    }

    /// A polite refusal of what would go on to a SIP node: what a node says of a user who is not there.
    //
    //= rfc3261#21.4.18
    //# The callee's end system was contacted successfully but the callee is currently unavailable
    pub(super) fn as_unavailable(request: &Request, refusal: &Refusal) -> Self {
        let status = StatusCode::TEMPORARILY_UNAVAILABLE;
        Self {
            response: Box::new(request.response(status, status.reason(), Some(&tag(request)))),
            class: refusal.class(),
            fault: refusal.fault(),
            why: refusal.to_string(),
            words: Words::Server,
        }
    }

    pub(super) fn of_inspection(request: &Request, rejection: &Rejection) -> Self {
        Self {
            response: Box::new(rejection.response(request, &tag(request))),
            class: "sip_not_supported",
            fault: Fault::Peer,
            why: format!(
                "{} to {} is answered {}",
                request.method(),
                domain_of(request.uri()),
                rejection.status
            ),
            words: Words::Edge,
        }
    }

    /// A constant word for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        self.class
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// The response that says it.
    #[must_use]
    pub const fn response(&self) -> &Response {
        &self.response
    }
}

impl RejectedStanza {
    pub(super) fn of(stanza: &Stanza, refusal: &dyn Refuse, border: &Border) -> Self {
        let first = Has::of_stanza(stanza).first(border.undeliverable());
        let error = refusal_to_xmpp(refusal, &Jid::from(border.edge().clone()), first);
        Self {
            reply: error_stanza(stanza, &error).map(Box::new),
            class: refusal.class(),
            fault: refusal.fault(),
            why: refusal.to_string(),
        }
    }

    /// A polite refusal: what a server says for a user of its own who is not there (RFC 6121 §8.5.2.2 and §4.3.2), and
    /// in its words, not in those of an edge.
    pub(super) fn as_offline(stanza: &Stanza, refusal: &Refusal) -> Self {
        let reply = match stanza.kind() {
            //= rfc6121#8.5.2.2.1
            //# For a message stanza of type "groupchat", the server MUST return an
            //# error to the sender, which SHOULD be <service-unavailable/>.
            Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::Groupchat)
            //= rfc6121#8.5.2.2.3
            //# if not, then the server MUST reply with a <service-
            //# unavailable/> stanza error.
            | Kind::Iq(IqType::Get | IqType::Set) => {
                stanza.error_reply(&StanzaError::new(Condition::ServiceUnavailable))
            }
            Kind::Presence(PresenceType::Probe) => {
                let offline = Kind::Presence(PresenceType::Unavailable);
                let reply = Stanza::new(offline, stanza.to().bare(), stanza.from().clone());
                Some(match stanza.id() {
                    Some(id) => reply.with_id(id),
                    None => reply,
                })
            }
            //= rfc6121#8.5.2.2.1
            //# For a message stanza of type "headline" or "error", the server MUST
            //# silently ignore the message.
            Kind::Message(MessageType::Headline | MessageType::Error)
            | Kind::Iq(IqType::Result | IqType::Error)
            | Kind::Presence(
                PresenceType::Available
                | PresenceType::Unavailable
                | PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribe
                | PresenceType::Unsubscribed
                | PresenceType::Error,
            ) => None,
        };
        Self {
            reply: reply.map(Box::new),
            class: refusal.class(),
            fault: refusal.fault(),
            why: refusal.to_string(),
        }
    }

    /// A refusal that nobody is told: whoever stands in `from` did not send the stanza.
    pub(super) fn untold(refusal: &dyn Refuse) -> Self {
        Self {
            reply: None,
            class: refusal.class(),
            fault: refusal.fault(),
            why: refusal.to_string(),
        }
    }

    /// A constant word for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        self.class
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// The error stanza that says it, where there may be one.
    #[must_use]
    pub fn into_reply(self) -> Option<Box<Stanza>> {
        self.reply
    }
}

impl Unproven {
    /// Why, as a constant word and in words for the operator.
    #[must_use]
    pub const fn new(class: &'static str, why: String) -> Self {
        Self { class, why }
    }

    /// Nothing is encrypted, so nothing is proven.
    #[must_use]
    pub fn without_tls(domain: &Domain) -> Self {
        let why = format!("the connection has no TLS, and no route lets its address speak for {domain}");
        Self { class: "no_tls", why }
    }

    /// A constant word for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        self.class
    }
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::fmt::Display for RejectedStanza {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl Refuse for Refused {
    fn class(&self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::Inside => "inside_sip",
            Self::NotOurs(_) => "not_our_domain",
            Self::NotPassed(_) => "not_passed",
            Self::OneWay => "one_way",
            Self::List => "list",
            Self::NoSession => "no_session",
            Self::Media(_) => "media",
            Self::NoMessages(_) | Self::NoPresence(_) => "method_not_allowed",
            Self::Body(_) => "body_withheld",
            Self::Sips(_) => "sips",
            Self::Impersonation(_) => "impersonation",
            Self::Relaying(_) => "relaying",
            Self::Room => "room",
            Self::TranslationOff => "translation_off",
            Self::Unsupported => "unsupported",
            Self::Unserved => "unserved",
            Self::Query => "bad_query",
            Self::NoSuchNode => "no_such_node",
            Self::Unproven(unproven) => unproven.class,
            Self::Stopping => "stopping",
            Self::Circling(_) => "loop",
            Self::Overload => "overload",
            Self::Protocol(_) => "protocol_not_configured",
            Self::Internal(_) => "internal",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Addresses
            | Self::NoSession
            | Self::Impersonation(_)
            | Self::Relaying(_)
            | Self::NotOurs(_)
            | Self::Query
            | Self::NoSuchNode
            | Self::Unproven(_) => Fault::Peer,
            Self::NotPassed(_)
            | Self::Circling(_)
            | Self::Inside
            | Self::List
            | Self::Room
            | Self::Unsupported
            | Self::Unserved
            | Self::Internal(_) => Fault::Local,
            Self::TranslationOff
            | Self::Protocol(_)
            | Self::OneWay
            | Self::Media(_)
            | Self::NoMessages(_)
            | Self::NoPresence(_)
            | Self::Body(_)
            | Self::Sips(_) => Fault::Policy,
            Self::Stopping | Self::Overload => Fault::Overload,
        }
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::Addresses | Self::Query => 400,
            Self::Inside | Self::Unsupported => 501,
            Self::Unserved => 480,
            Self::Impersonation(_)
            | Self::TranslationOff
            | Self::Unproven(_)
            | Self::NotOurs(_)
            | Self::OneWay => 403,
            Self::NoSession => 481,
            Self::Media(_) | Self::List => 488,
            Self::NoMessages(_) | Self::NoPresence(_) => 405,
            Self::Body(removed) => removed.status(),
            Self::Sips(_) => 480,
            Self::Relaying(_) | Self::NoSuchNode => 404,
            Self::Room => 405,
            Self::Circling(_) => 482,
            Self::Protocol(_) => 403,
            Self::Stopping | Self::Overload => 503,
            Self::Internal(_) | Self::NotPassed(_) => 500,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::Addresses => "jid-malformed",
            Self::Inside | Self::List | Self::Room | Self::Unsupported => "feature-not-implemented",
            Self::Unserved => "service-unavailable",
            Self::Query => "bad-request",
            Self::NoSuchNode | Self::NoSession => "item-not-found",
            Self::Impersonation(_)
            | Self::TranslationOff
            | Self::Unproven(_)
            | Self::NotOurs(_)
            | Self::OneWay => "policy-violation",
            Self::Media(_) | Self::Body(_) | Self::Sips(_) | Self::Circling(_) => "not-acceptable",
            Self::NoMessages(_) | Self::NoPresence(_) => "feature-not-implemented",
            Self::Relaying(_) => "remote-server-not-found",
            Self::Protocol(_) => "policy-violation",
            Self::Stopping | Self::Overload => "resource-constraint",
            Self::Internal(_) | Self::NotPassed(_) => "internal-server-error",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::Addresses => "The address is not usable here",
            Self::Inside => "Not available here",
            Self::Impersonation(_) | Self::Unproven(_) => "The domain of the sender is not proven",
            Self::NotOurs(_) => "The domain of the sender is not ours",
            Self::List => "Only one user at a time can be subscribed to",
            Self::NoSession => "No such session",
            Self::Media(_) => "Only sessions of messages pass",
            Self::NoMessages(_) => "Messages do not pass",
            Self::NoPresence(_) => "Presence does not pass",
            Self::Body(_) => "The body may not go outside",
            Self::Sips(_) => "SIPS Not Allowed",
            Self::Relaying(_) => "Not one of our domains",
            Self::Room => "Rooms cannot be addressed from SIP",
            Self::TranslationOff | Self::OneWay => "Forbidden by policy",
            Self::Unsupported => "This has no counterpart on the other side",
            Self::Unserved => "Not served here",
            Self::Query => "A query holds exactly one element",
            Self::NoSuchNode => "There is no such node",
            Self::Stopping => "The server is stopping",
            Self::Circling(_) => "Loop Detected",
            Self::Overload => "Too much to do",
            Self::Protocol(_) => "Forbidden by policy",
            Self::Internal(_) | Self::NotPassed(_) => "Internal error",
        }
    }
}

/// The domain of a URI, for logs: they name no users.
fn domain_of(uri: &Uri) -> String {
    match uri {
        Uri::Sip(uri) => uri.host().to_string(),
        Uri::Other(uri) => format!("a {} URI", uri.scheme()),
    }
}

/// The To tag of an answer that the border gives: the same each time the request comes (RFC 3261 §8.2.7).
pub(super) fn tag(request: &Request) -> String {
    Key::of_received(request).stateless_tag()
}

/// Seconds after which a sender may try again what was too much for us.
pub(super) const RETRY_AFTER: &str = "5";
