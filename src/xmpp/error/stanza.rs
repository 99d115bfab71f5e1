//! Stanza errors: condition, type, text, and what else the `<error/>` child carries.
//!
//! RFC 6120 §8.3.2 (syntax), §8.3.3 (conditions and the type that goes with each).

use crate::xml::Element;
use crate::xmpp::{Jid, ns};

/// The content of an `<error/>` child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaError {
    condition: Condition,
    kind: ErrorType,
    text: Option<String>,
    by: Option<Jid>,
    alternate: Option<String>,
    application: Option<Element>,
}

impl StanzaError {
    /// An error of that condition, with the type that RFC 6120 recommends for it.
    #[must_use]
    pub const fn new(condition: Condition) -> Self {
        Self {
            condition,
            kind: condition.default_type(),
            text: None,
            by: None,
            alternate: None,
            application: None,
        }
    }

    /// Another type than the recommended one.
    #[must_use]
    pub const fn with_type(mut self, kind: ErrorType) -> Self {
        self.kind = kind;
        self
    }

    /// A text for people, in English. It goes to the peer: give it constant texts only.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// Who found the error, where that is not the intended recipient.
    #[must_use]
    pub fn with_by(mut self, by: Jid) -> Self {
        self.by = Some(by);
        self
    }

    /// The other address of [`Condition::Gone`] and [`Condition::Redirect`]: a URI.
    #[must_use]
    pub fn with_alternate(mut self, uri: &str) -> Self {
        self.alternate = Some(uri.to_owned());
        self
    }

    /// An application-specific condition (§8.3.4).
    #[must_use]
    pub fn with_application(mut self, element: Element) -> Self {
        self.application = Some(element);
        self
    }

    /// The defined condition.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// What the sender may do about it. A peer's type need not be the recommended one.
    #[must_use]
    pub const fn error_type(&self) -> ErrorType {
        self.kind
    }

    /// The text for people; the first one, if a peer gives several languages.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Who found the error, if it says so.
    #[must_use]
    pub const fn by(&self) -> Option<&Jid> {
        self.by.as_ref()
    }

    /// The other address of [`Condition::Gone`] and [`Condition::Redirect`], as the peer wrote it.
    #[must_use]
    pub fn alternate(&self) -> Option<&str> {
        self.alternate.as_deref()
    }

    /// The application-specific condition, if there is one.
    #[must_use]
    pub const fn application(&self) -> Option<&Element> {
        self.application.as_ref()
    }

    /// The `<error/>` element, qualified by [`ns::STANZA`].
    #[must_use]
    pub fn to_element(&self) -> Element {
        let mut condition = Element::new(self.condition.as_str(), ns::STANZA_ERRORS);
        if let Some(uri) = &self.alternate {
            condition.push_text(uri);
        }
        let mut error = Element::new("error", ns::STANZA)
            .with_attribute("type", self.kind.as_str())
            .with_child(condition);
        if let Some(by) = &self.by {
            error.set_attribute("by", by.to_string());
        }
        if let Some(text) = &self.text {
            let text = Element::new("text", ns::STANZA_ERRORS)
                .with_attribute("xml:lang", "en")
                .with_text(text);
            error.push(text);
        }
        if let Some(application) = &self.application {
            error.push(application.clone());
        }
        error
    }

    /// Reads an `<error/>` element of any peer: what is missing or unknown is taken for what says least.
    #[must_use]
    pub fn from_element(error: &Element) -> Self {
        //= rfc6120#8.3.2
        //# if an entity receives a stanza error condition that it does not understand then it
        //# MUST treat the unknown condition as equivalent to <undefined-condition/>
        let child = error
            .children()
            .find(|child| child.ns() == ns::STANZA_ERRORS && child.name() != "text");
        let condition = child
            .and_then(|child| Condition::from_name(child.name()))
            .unwrap_or(Condition::UndefinedCondition);
        let kind = error
            .attribute("type")
            .and_then(ErrorType::from_name)
            .unwrap_or_else(|| condition.default_type());
        let alternate = match condition {
            Condition::Gone | Condition::Redirect => child.map(|child| child.text().trim().to_owned()),
            Condition::BadRequest
            | Condition::Conflict
            | Condition::FeatureNotImplemented
            | Condition::Forbidden
            | Condition::InternalServerError
            | Condition::ItemNotFound
            | Condition::JidMalformed
            | Condition::NotAcceptable
            | Condition::NotAllowed
            | Condition::NotAuthorized
            | Condition::PolicyViolation
            | Condition::RecipientUnavailable
            | Condition::RegistrationRequired
            | Condition::RemoteServerNotFound
            | Condition::RemoteServerTimeout
            | Condition::ResourceConstraint
            | Condition::ServiceUnavailable
            | Condition::SubscriptionRequired
            | Condition::UndefinedCondition
            | Condition::UnexpectedRequest => None,
        };
        Self {
            condition,
            kind,
            text: error
                .child("text", ns::STANZA_ERRORS)
                .map(|text| text.text().into_owned()),
            by: error.attribute("by").and_then(|by| Jid::parse(by).ok()),
            alternate: alternate.filter(|uri| !uri.is_empty()),
            application: error
                .children()
                .find(|child| child.ns() != ns::STANZA_ERRORS && child.ns() != error.ns())
                .cloned(),
        }
    }
}

/// The defined conditions of §8.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The stanza breaks its schema.
    BadRequest,
    /// The name or address is taken.
    Conflict,
    /// Understood, but not implemented.
    FeatureNotImplemented,
    /// The sender lacks the permission.
    Forbidden,
    /// The address is no longer in use.
    Gone,
    /// The server failed.
    InternalServerError,
    /// The address or item does not exist.
    ItemNotFound,
    /// An address breaks RFC 7622.
    JidMalformed,
    /// The stanza does not meet the recipient's criteria.
    NotAcceptable,
    /// Nobody may do this.
    NotAllowed,
    /// Credentials are missing or wrong.
    NotAuthorized,
    /// A local policy forbids it.
    PolicyViolation,
    /// The recipient is away for a time.
    RecipientUnavailable,
    /// The recipient is to be found elsewhere for a time.
    Redirect,
    /// Registration must come first.
    RegistrationRequired,
    /// The remote domain cannot be resolved or does not answer.
    RemoteServerNotFound,
    /// No stream to the remote domain could be made in time.
    RemoteServerTimeout,
    /// Resources are short.
    ResourceConstraint,
    /// The service is not offered; also the answer that discloses nothing.
    ServiceUnavailable,
    /// A subscription must come first.
    SubscriptionRequired,
    /// None of the others.
    UndefinedCondition,
    /// Out of order.
    UnexpectedRequest,
}

impl Condition {
    /// All conditions, in the order of RFC 6120.
    pub const ALL: [Self; 22] = [
        Self::BadRequest,
        Self::Conflict,
        Self::FeatureNotImplemented,
        Self::Forbidden,
        Self::Gone,
        Self::InternalServerError,
        Self::ItemNotFound,
        Self::JidMalformed,
        Self::NotAcceptable,
        Self::NotAllowed,
        Self::NotAuthorized,
        Self::PolicyViolation,
        Self::RecipientUnavailable,
        Self::Redirect,
        Self::RegistrationRequired,
        Self::RemoteServerNotFound,
        Self::RemoteServerTimeout,
        Self::ResourceConstraint,
        Self::ServiceUnavailable,
        Self::SubscriptionRequired,
        Self::UndefinedCondition,
        Self::UnexpectedRequest,
    ];

    /// The name of the condition's element.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Conflict => "conflict",
            Self::FeatureNotImplemented => "feature-not-implemented",
            Self::Forbidden => "forbidden",
            Self::Gone => "gone",
            Self::InternalServerError => "internal-server-error",
            Self::ItemNotFound => "item-not-found",
            Self::JidMalformed => "jid-malformed",
            Self::NotAcceptable => "not-acceptable",
            Self::NotAllowed => "not-allowed",
            Self::NotAuthorized => "not-authorized",
            Self::PolicyViolation => "policy-violation",
            Self::RecipientUnavailable => "recipient-unavailable",
            Self::Redirect => "redirect",
            Self::RegistrationRequired => "registration-required",
            Self::RemoteServerNotFound => "remote-server-not-found",
            Self::RemoteServerTimeout => "remote-server-timeout",
            Self::ResourceConstraint => "resource-constraint",
            Self::ServiceUnavailable => "service-unavailable",
            Self::SubscriptionRequired => "subscription-required",
            Self::UndefinedCondition => "undefined-condition",
            Self::UnexpectedRequest => "unexpected-request",
        }
    }

    /// The condition of that name, as [`crate::refusal::Refuse::stanza_condition`] gives it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.as_str() == name)
    }

    /// The type that §8.3.3 recommends; the first where it names two.
    #[must_use]
    pub const fn default_type(self) -> ErrorType {
        match self {
            Self::BadRequest
            | Self::JidMalformed
            | Self::NotAcceptable
            | Self::PolicyViolation
            | Self::Redirect => ErrorType::Modify,
            Self::Conflict
            | Self::FeatureNotImplemented
            | Self::Gone
            | Self::InternalServerError
            | Self::ItemNotFound
            | Self::NotAllowed
            | Self::RemoteServerNotFound
            | Self::ServiceUnavailable
            | Self::UndefinedCondition => ErrorType::Cancel,
            Self::Forbidden
            | Self::NotAuthorized
            | Self::RegistrationRequired
            | Self::SubscriptionRequired => ErrorType::Auth,
            Self::RecipientUnavailable
            | Self::RemoteServerTimeout
            | Self::ResourceConstraint
            | Self::UnexpectedRequest => ErrorType::Wait,
        }
    }
}

/// What the sender of the refused stanza may do (§8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Try again with credentials.
    Auth,
    /// Do not try again.
    Cancel,
    /// It was only a warning.
    Continue,
    /// Try again with other data.
    Modify,
    /// Try again later.
    Wait,
}

impl ErrorType {
    /// The value of the attribute `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Auth, Self::Cancel, Self::Continue, Self::Modify, Self::Wait]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}
