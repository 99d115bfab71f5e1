//! Stream errors: the last thing said on a stream before its closing tag.
//!
//! RFC 6120 §4.9.2 (syntax), §4.9.3 (conditions).

use crate::xml::{Element, Violation};
use crate::xmpp::ns;

/// A stream error, ours or a peer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    condition: StreamCondition,
    text: Option<String>,
    other_host: Option<String>,
}

impl StreamError {
    /// An error of that condition.
    #[must_use]
    pub const fn new(condition: StreamCondition) -> Self {
        Self {
            condition,
            text: None,
            other_host: None,
        }
    }

    /// A text for people, in English. It goes to the peer: give it constant texts only.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// The defined condition.
    #[must_use]
    pub const fn condition(&self) -> StreamCondition {
        self.condition
    }

    /// The text for people.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Where [`StreamCondition::SeeOtherHost`] points, as the peer wrote it. Nobody is obliged to follow.
    #[must_use]
    pub fn other_host(&self) -> Option<&str> {
        self.other_host.as_deref()
    }

    /// The `<stream:error/>` element.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut condition = Element::new(self.condition.as_str(), ns::STREAM_ERRORS);
        if let Some(host) = &self.other_host {
            condition.push_text(host);
        }
        let mut error = Element::new("error", ns::STREAM).with_child(condition);
        if let Some(text) = &self.text {
            let text = Element::new("text", ns::STREAM_ERRORS)
                .with_attribute("xml:lang", "en")
                .with_text(text);
            error.push(text);
        }
        error
    }

    /// Reads a peer's `<stream:error/>`; an unknown or missing condition is an undefined one (§4.9.2).
    #[must_use]
    pub fn from_element(error: &Element) -> Self {
        let child = error
            .children()
            .find(|child| child.ns() == ns::STREAM_ERRORS && child.name() != "text");
        let condition = child
            .and_then(|child| StreamCondition::from_name(child.name()))
            .unwrap_or(StreamCondition::UndefinedCondition);
        let other_host = child
            .filter(|_| condition == StreamCondition::SeeOtherHost)
            .map(|child| child.text().trim().to_owned());
        Self {
            condition,
            text: error
                .child("text", ns::STREAM_ERRORS)
                .map(|text| text.text().into_owned()),
            other_host,
        }
    }
}

/// The defined conditions of §4.9.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamCondition {
    /// XML that cannot be processed.
    BadFormat,
    /// A prefix that is unsupported or missing.
    BadNamespacePrefix,
    /// A newer stream takes the place of this one, or the name is taken.
    Conflict,
    /// The other side was silent too long.
    ConnectionTimeout,
    /// The domain is no longer served here.
    HostGone,
    /// The domain is not served here.
    HostUnknown,
    /// A stanza between servers without `to` or `from`.
    ImproperAddressing,
    /// The server failed.
    InternalServerError,
    /// A `from` that was not proven.
    InvalidFrom,
    /// A stream or content namespace that is not supported.
    InvalidNamespace,
    /// XML that breaks the schema.
    InvalidXml,
    /// Something that needs authentication first.
    NotAuthorized,
    /// XML that is not well-formed.
    NotWellFormed,
    /// A local policy forbids it.
    PolicyViolation,
    /// A server needed for the stream cannot be reached.
    RemoteConnectionFailed,
    /// New security-critical features; connect again.
    Reset,
    /// Resources are short.
    ResourceConstraint,
    /// XML that XMPP forbids.
    RestrictedXml,
    /// Another host serves this.
    SeeOtherHost,
    /// The server stops.
    SystemShutdown,
    /// None of the others.
    UndefinedCondition,
    /// Not UTF-8.
    UnsupportedEncoding,
    /// A mandatory feature is not supported.
    UnsupportedFeature,
    /// A first-level element that is not understood.
    UnsupportedStanzaType,
    /// A version that is not supported.
    UnsupportedVersion,
}

impl StreamCondition {
    /// All conditions, in the order of RFC 6120.
    pub const ALL: [Self; 25] = [
        Self::BadFormat,
        Self::BadNamespacePrefix,
        Self::Conflict,
        Self::ConnectionTimeout,
        Self::HostGone,
        Self::HostUnknown,
        Self::ImproperAddressing,
        Self::InternalServerError,
        Self::InvalidFrom,
        Self::InvalidNamespace,
        Self::InvalidXml,
        Self::NotAuthorized,
        Self::NotWellFormed,
        Self::PolicyViolation,
        Self::RemoteConnectionFailed,
        Self::Reset,
        Self::ResourceConstraint,
        Self::RestrictedXml,
        Self::SeeOtherHost,
        Self::SystemShutdown,
        Self::UndefinedCondition,
        Self::UnsupportedEncoding,
        Self::UnsupportedFeature,
        Self::UnsupportedStanzaType,
        Self::UnsupportedVersion,
    ];

    /// The name of the condition's element.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadFormat => "bad-format",
            Self::BadNamespacePrefix => "bad-namespace-prefix",
            Self::Conflict => "conflict",
            Self::ConnectionTimeout => "connection-timeout",
            Self::HostGone => "host-gone",
            Self::HostUnknown => "host-unknown",
            Self::ImproperAddressing => "improper-addressing",
            Self::InternalServerError => "internal-server-error",
            Self::InvalidFrom => "invalid-from",
            Self::InvalidNamespace => "invalid-namespace",
            Self::InvalidXml => "invalid-xml",
            Self::NotAuthorized => "not-authorized",
            Self::NotWellFormed => "not-well-formed",
            Self::PolicyViolation => "policy-violation",
            Self::RemoteConnectionFailed => "remote-connection-failed",
            Self::Reset => "reset",
            Self::ResourceConstraint => "resource-constraint",
            Self::RestrictedXml => "restricted-xml",
            Self::SeeOtherHost => "see-other-host",
            Self::SystemShutdown => "system-shutdown",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::UnsupportedFeature => "unsupported-feature",
            Self::UnsupportedStanzaType => "unsupported-stanza-type",
            Self::UnsupportedVersion => "unsupported-version",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        // RFC 3920 spelt this one otherwise, and servers of its time still say it.
        if name == "xml-not-well-formed" {
            return Some(Self::NotWellFormed);
        }
        Self::ALL.into_iter().find(|condition| condition.as_str() == name)
    }
}

impl From<Violation> for StreamCondition {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::NotWellFormed => Self::NotWellFormed,
            Violation::RestrictedXml => Self::RestrictedXml,
            Violation::InvalidXml => Self::InvalidXml,
            Violation::PolicyViolation => Self::PolicyViolation,
            Violation::UnsupportedEncoding => Self::UnsupportedEncoding,
            Violation::BadNamespacePrefix => Self::BadNamespacePrefix,
        }
    }
}
