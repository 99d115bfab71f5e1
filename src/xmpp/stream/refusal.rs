//! Why a stream, or one pair on it, is refused, and which stream error says it (RFC 6120 §4.9.3).

use crate::refusal::{Fault, Refuse};
use crate::xml::XmlError;
use crate::xmpp::error::{Condition, StreamCondition};

/// Why a stream or a pair is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamRefusal {
    /// The peer's XML cannot be read.
    #[error("the peer's XML is refused: {0}")]
    Xml(#[from] XmlError),
    /// The root is not `<stream/>`.
    #[error("the peer's root element is not a stream")]
    NotAStream,
    /// The root, the content or the dialback prefix has a namespace that does not belong there.
    #[error("the peer's stream header has a namespace that does not belong there")]
    Namespace,
    /// The version is malformed, or none is given where TLS or SASL is needed.
    #[error("the peer speaks no XMPP version that will do: 1.0 is needed where TLS or SASL is")]
    Version,
    /// The header does not say whom it is for.
    #[error("the peer's stream header has no 'to'")]
    ToMissing,
    /// The header's `to` is no domain, or one that is not served here.
    #[error("the peer asks for a domain that is not served here")]
    HostUnknown,
    /// The header's `from` is no domain, or another one than was proven.
    #[error("the 'from' of the peer's stream header is not a domain, or not the one that was proven")]
    FromInvalid,
    /// A response header without an id, which dialback and components need.
    #[error("the peer gave its stream no id")]
    IdMissing,
    /// The policy does not let this peer talk to that domain.
    #[error("the policy does not allow this peer")]
    Forbidden,
    /// Something other than negotiation came before TLS that is required.
    #[error("the peer went on without TLS, which is required")]
    TlsRequired,
    /// TLS is required and the peer does not offer it, or failed to start it.
    #[error("TLS is required and the peer does not offer it")]
    TlsUnavailable,
    /// The peer requires TLS and our settings forbid it.
    #[error("the peer requires TLS, which the settings towards it turn off")]
    TlsForbidden,
    /// The certificate does not prove the domain and the settings ask for that.
    #[error("the peer's certificate does not prove its domain, which is required")]
    CertificateUnproven,
    /// Neither EXTERNAL nor dialback is both offered and allowed.
    #[error("no way to prove a domain is both offered by the peer and allowed by the settings")]
    NoMethod,
    /// The peer refuses our authentication.
    #[error("the peer refuses our certificate (SASL EXTERNAL)")]
    SaslRefused,
    /// Too many attempts failed.
    #[error("the peer failed to authenticate too often")]
    SaslFailures,
    /// A stanza came before any pair was proven.
    #[error("the peer sent a stanza before it was authenticated")]
    NotAuthenticated,
    /// A stanza lacks an address.
    #[error("the peer sent a stanza without 'from' or 'to'")]
    NotAddressed,
    /// The domain of a stanza's `from` is not proven.
    #[error("the peer sent a stanza from a domain that it has not proven")]
    FromUnproven,
    /// The domain of a stanza's `to` is not one that the sender's domain was proven for.
    #[error("the peer sent a stanza to a domain that it has not proven its own for")]
    ToUnproven,
    /// A stanza came on a stream of ours, which goes one way only.
    #[error("the peer sent a stanza on a stream that only we send on")]
    OneWay,
    /// A first-level element that has no place here.
    #[error("the peer sent an element that has no place at this point of the stream")]
    UnexpectedElement,
    /// An answer of dialback to something that was not asked on this stream.
    #[error("the peer answered a dialback that was not asked on this stream")]
    UnsolicitedDialback,
    /// A dialback element that says nothing.
    #[error("the peer sent a malformed dialback element")]
    BadDialback,
    /// The settings do not let dialback prove this pair.
    #[error("dialback is not allowed for this pair")]
    DialbackForbidden,
    /// The authoritative server denies the key.
    #[error("the authoritative server denies the peer's dialback key")]
    DialbackInvalid,
    /// The key could not be checked.
    #[error("the peer's dialback key could not be checked: {}", .0.as_str())]
    DialbackFailed(Condition),
    /// The peer says that our key is wrong.
    #[error("the peer says that our dialback key is wrong: check that our domain's SRV record leads to us")]
    DialbackRefused,
    /// The peer could not check our key.
    #[error("the peer could not check our dialback key: {}", .0.as_str())]
    DialbackUnchecked(Condition),
    /// Too many pairs on one stream.
    #[error("the peer wants more pairs on one stream than xmpp.pending_dialback")]
    TooManyPairs,
    /// More octets than allowed before authentication.
    #[error("the peer sent more octets before authentication than xmpp.unauthenticated_bytes")]
    TooMuchUnauthenticated,
    /// No stream header in time.
    #[error("the peer sent no stream header within limits.first_message_timeout")]
    HeaderTimeout,
    /// Too many pairs of one stream were refused.
    #[error("the peer went on naming domains after too many of them were refused")]
    TooManyRefused,
    /// The peer acknowledged what was never sent to it.
    #[error("the peer acknowledged a number of stanzas that it cannot have received")]
    AcknowledgedWrong,
    /// The peer did not answer a request for acknowledgement in time.
    #[error("the peer did not acknowledge anything in time: it is taken for dead")]
    Unacknowledged,
    /// Not authenticated in time.
    #[error("the stream was not established within [xmpp] establish_timeout")]
    EstablishTimeout,
    /// The node does not know the component.
    #[error("the node does not serve this component: add it to the node's configuration")]
    ComponentUnknown,
    /// The node has the component connected already.
    #[error("the node says that this component is connected already")]
    ComponentConflict,
    /// The node refuses the secret.
    #[error(
        "the node refuses the component's secret: component_secret at the node, or its like, and `secret` of the \
         [[local]] table have to be the same"
    )]
    ComponentSecret,
}

impl StreamRefusal {
    /// The stream error that says it; `None` where a plain close, or nothing, does.
    #[must_use]
    pub fn stream_condition(self) -> Option<StreamCondition> {
        Some(match self {
            Self::Xml(error) => error.violation().into(),
            Self::NotAStream | Self::IdMissing | Self::BadDialback => StreamCondition::BadFormat,
            Self::Namespace => StreamCondition::InvalidNamespace,
            Self::Version => StreamCondition::UnsupportedVersion,
            Self::ToMissing | Self::NotAddressed => StreamCondition::ImproperAddressing,
            Self::HostUnknown | Self::ToUnproven => StreamCondition::HostUnknown,
            Self::FromInvalid | Self::FromUnproven => StreamCondition::InvalidFrom,
            Self::Forbidden
            | Self::TlsRequired
            | Self::TlsUnavailable
            // RFC 6120 §6.4.5 asks for this one where weak verification will not do.
            | Self::CertificateUnproven
            | Self::DialbackForbidden
            | Self::SaslFailures
            | Self::UnsolicitedDialback
            | Self::TooManyRefused
            | Self::TooMuchUnauthenticated => StreamCondition::PolicyViolation,
            Self::TlsForbidden | Self::NoMethod => StreamCondition::UnsupportedFeature,
            Self::NotAuthenticated | Self::OneWay => StreamCondition::NotAuthorized,
            Self::UnexpectedElement => StreamCondition::UnsupportedStanzaType,
            Self::TooManyPairs => StreamCondition::ResourceConstraint,
            Self::AcknowledgedWrong => StreamCondition::UndefinedCondition,
            Self::HeaderTimeout | Self::EstablishTimeout | Self::Unacknowledged => {
                StreamCondition::ConnectionTimeout
            }
            Self::SaslRefused
            | Self::DialbackInvalid
            | Self::DialbackFailed(_)
            | Self::DialbackRefused
            | Self::DialbackUnchecked(_)
            | Self::ComponentUnknown
            | Self::ComponentConflict
            | Self::ComponentSecret => return None,
        })
    }

    /// The dialback error that refuses one pair with it (XEP-0220 §2.5).
    pub(super) fn dialback_condition(self) -> Condition {
        if let Self::DialbackFailed(condition) = self {
            condition
        } else if self == Self::HostUnknown {
            Condition::ItemNotFound
        } else if self == Self::DialbackInvalid {
            Condition::Forbidden
        } else if matches!(self, Self::CertificateUnproven | Self::DialbackForbidden) {
            Condition::NotAuthorized
        } else {
            Condition::from_name(self.stanza_condition()).unwrap_or(Condition::NotAcceptable)
        }
    }
}

impl Refuse for StreamRefusal {
    fn class(&self) -> &'static str {
        match self {
            Self::Xml(error) => error.class(),
            Self::NotAStream => "not_a_stream",
            Self::Namespace => "stream_namespace",
            Self::Version => "stream_version",
            Self::ToMissing => "stream_to_missing",
            Self::HostUnknown => "host_unknown",
            Self::FromInvalid => "stream_from_invalid",
            Self::IdMissing => "stream_id_missing",
            Self::Forbidden => "policy",
            Self::TlsRequired => "tls_required",
            Self::TlsUnavailable => "tls_unavailable",
            Self::TlsForbidden => "tls_forbidden",
            Self::CertificateUnproven => "certificate_unproven",
            Self::NoMethod => "no_auth_method",
            Self::SaslRefused => "sasl_refused",
            Self::SaslFailures => "sasl_failures",
            Self::NotAuthenticated => "not_authenticated",
            Self::NotAddressed => "not_addressed",
            Self::FromUnproven => "from_unproven",
            Self::ToUnproven => "to_unproven",
            Self::OneWay => "one_way",
            Self::UnexpectedElement => "unexpected_element",
            Self::UnsolicitedDialback => "dialback_unsolicited",
            Self::BadDialback => "dialback_malformed",
            Self::DialbackForbidden => "dialback_forbidden",
            Self::DialbackInvalid => "dialback_invalid",
            Self::DialbackFailed(_) => "dialback_failed",
            Self::DialbackRefused => "dialback_refused",
            Self::DialbackUnchecked(_) => "dialback_unchecked",
            Self::TooManyPairs => "too_many_pairs",
            Self::TooMuchUnauthenticated => "unauthenticated_bytes",
            Self::HeaderTimeout => "header_timeout",
            Self::TooManyRefused => "refused_pairs",
            Self::AcknowledgedWrong => "acknowledged_wrong",
            Self::Unacknowledged => "unacknowledged",
            Self::EstablishTimeout => "establish_timeout",
            Self::ComponentUnknown => "component_unknown",
            Self::ComponentConflict => "component_conflict",
            Self::ComponentSecret => "component_secret",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Xml(error) => error.fault(),
            Self::Forbidden | Self::TlsForbidden | Self::NoMethod | Self::DialbackForbidden => Fault::Policy,
            Self::TooManyPairs => Fault::Overload,
            Self::TlsUnavailable
            | Self::SaslRefused
            | Self::DialbackRefused
            | Self::DialbackUnchecked(_)
            | Self::DialbackFailed(_)
            | Self::HeaderTimeout
            | Self::EstablishTimeout
            | Self::Unacknowledged
            | Self::ComponentUnknown
            | Self::ComponentConflict
            | Self::ComponentSecret => Fault::Route,
            Self::NotAStream
            | Self::Namespace
            | Self::Version
            | Self::ToMissing
            | Self::HostUnknown
            | Self::FromInvalid
            | Self::IdMissing
            | Self::TlsRequired
            | Self::CertificateUnproven
            | Self::SaslFailures
            | Self::NotAuthenticated
            | Self::NotAddressed
            | Self::FromUnproven
            | Self::ToUnproven
            | Self::OneWay
            | Self::UnexpectedElement
            | Self::UnsolicitedDialback
            | Self::BadDialback
            | Self::DialbackInvalid
            | Self::AcknowledgedWrong
            | Self::TooManyRefused
            | Self::TooMuchUnauthenticated => Fault::Peer,
        }
    }

    fn sip_status(&self) -> u16 {
        match self.fault() {
            Fault::Policy => 403,
            Fault::Overload => 503,
            Fault::Peer | Fault::Local => 502,
            Fault::Route => 504,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::HeaderTimeout
            | Self::EstablishTimeout
            | Self::DialbackUnchecked(_)
            | Self::AcknowledgedWrong
            | Self::Unacknowledged => "remote-server-timeout",
            Self::Forbidden
            | Self::TlsRequired
            | Self::TlsUnavailable
            | Self::TlsForbidden
            | Self::CertificateUnproven
            | Self::NoMethod
            | Self::DialbackForbidden => "policy-violation",
            Self::TooManyPairs => "resource-constraint",
            // XEP-0220 §2.1.1 asks for this where our key is called invalid.
            Self::DialbackRefused => "internal-server-error",
            Self::HostUnknown => "remote-server-not-found",
            Self::Xml(_)
            | Self::NotAStream
            | Self::Namespace
            | Self::Version
            | Self::ToMissing
            | Self::FromInvalid
            | Self::IdMissing
            | Self::SaslRefused
            | Self::SaslFailures
            | Self::NotAuthenticated
            | Self::NotAddressed
            | Self::FromUnproven
            | Self::ToUnproven
            | Self::OneWay
            | Self::UnexpectedElement
            | Self::UnsolicitedDialback
            | Self::BadDialback
            | Self::DialbackInvalid
            | Self::DialbackFailed(_)
            | Self::TooManyRefused
            | Self::TooMuchUnauthenticated
            | Self::ComponentUnknown
            | Self::ComponentConflict
            | Self::ComponentSecret => "remote-server-timeout",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::Xml(error) => error.peer_text(),
            Self::NotAStream | Self::Namespace => "The stream header is not one of a server-to-server stream",
            Self::Version => "XMPP 1.0 is required",
            Self::ToMissing => "The stream header has no 'to'",
            Self::HostUnknown => "This domain is not served here",
            Self::FromInvalid => "The 'from' of the stream header is not acceptable",
            Self::IdMissing => "The stream header has no id",
            Self::Forbidden => "Communication with this domain is not allowed",
            Self::TlsRequired | Self::TlsUnavailable => "TLS is required",
            Self::TlsForbidden => "TLS is not used with this domain",
            Self::CertificateUnproven => "The certificate does not prove the domain",
            Self::NoMethod => "No acceptable authentication is offered",
            Self::SaslFailures => "Too many failed attempts",
            Self::NotAuthenticated => "Authentication is required before stanzas",
            Self::NotAddressed => "A stanza needs 'from' and 'to'",
            Self::FromUnproven => "The sender's domain is not authenticated on this stream",
            Self::ToUnproven => "The recipient's domain was not negotiated on this stream",
            Self::OneWay => "Stanzas are not accepted on this stream",
            Self::UnexpectedElement => "The element is not expected here",
            Self::UnsolicitedDialback | Self::BadDialback => "The dialback element is not acceptable",
            Self::DialbackForbidden => "Dialback is not accepted",
            Self::TooManyPairs => "Too many domains on one stream",
            Self::TooMuchUnauthenticated => "Too much was sent before authentication",
            Self::HeaderTimeout => "No stream header came in time",
            Self::TooManyRefused => "Too many domains were refused",
            Self::AcknowledgedWrong => "More was acknowledged than was sent",
            Self::Unacknowledged => "No acknowledgement came in time",
            Self::EstablishTimeout => "The stream was not established in time",
            Self::DialbackInvalid | Self::DialbackFailed(_) => "The dialback key was not confirmed",
            Self::SaslRefused
            | Self::DialbackRefused
            | Self::DialbackUnchecked(_)
            | Self::ComponentUnknown
            | Self::ComponentConflict
            | Self::ComponentSecret => "The stream could not be established",
        }
    }
}

/// What our own side did that a machine cannot do; the machine is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// A stanza to send, before its pair was proven.
    #[error("a stanza was to be sent on a stream before its pair of domains was authenticated")]
    NotAuthenticated,
    /// A stanza to send, on a stream that only the peer sends on.
    #[error("a stanza was to be sent on a stream on which only the peer sends")]
    OneWay,
    /// A verdict or a handshake that was not asked for.
    #[error("a verdict or a handshake was reported that the stream is not waiting for")]
    Unasked,
    /// The stream has ended.
    #[error("the stream has ended")]
    Ended,
    /// A stanza was to be sent that is larger than the peer says it takes (XEP-0478).
    #[error("a stanza is larger than the peer says it takes")]
    TooLarge,
}
