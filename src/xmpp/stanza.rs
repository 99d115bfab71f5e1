//! Stanzas: one `<message/>`, `<presence/>` or `<iq/>` between two addresses.
//!
//! A [`Stanza`] is a view over its element in which the kind, the type and both addresses are known to be right, and
//! in which the addresses stand in their enforced form, so that whoever reads the element again sees the same two.
//! Its content namespace is always [`ns::STANZA`]; a stream puts in its own when it writes. What a stanza carries is not
//! looked at here, and whether its sender may send it is the stream's to say.
//!
//! RFC 6120 §8.1 (attributes), §8.2 (kinds), §8.3.1 (errors); RFC 6121 §4.7.1 and §5.2.2 (types).

use crate::xml::{Element, Node};
use crate::xmpp::error::{Condition, StanzaError, StreamCondition};
use crate::xmpp::{Jid, ns};

/// A stanza between two addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    element: Element,
    kind: Kind,
    from: Jid,
    to: Jid,
}

/// What a stanza is: its element's name and its type together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `<message/>`.
    Message(MessageType),
    /// `<presence/>`.
    Presence(PresenceType),
    /// `<iq/>`.
    Iq(IqType),
}

/// The types of a message (RFC 6121 §5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Outside any conversation; also any type that is not defined.
    Normal,
    /// In a one-to-one conversation.
    Chat,
    /// In a room.
    Groupchat,
    /// Needs no reply.
    Headline,
    /// An error.
    Error,
}

/// The types of a presence (RFC 6121 §4.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PresenceType {
    /// No type: the sender is available.
    Available,
    /// No longer available.
    Unavailable,
    /// Asks for a subscription.
    Subscribe,
    /// Grants one.
    Subscribed,
    /// Ends the sender's own.
    Unsubscribe,
    /// Denies or ends the recipient's.
    Unsubscribed,
    /// Asks for the current presence.
    Probe,
    /// An error.
    Error,
}

/// The types of an iq (RFC 6120 §8.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IqType {
    /// Asks.
    Get,
    /// Changes something, or asks for an act.
    Set,
    /// The answer.
    Result,
    /// The answer that refuses.
    Error,
}

impl Stanza {
    /// An empty stanza.
    #[must_use]
    pub fn new(kind: Kind, from: Jid, to: Jid) -> Self {
        let mut element = Element::new(kind.name(), ns::STANZA)
            .with_attribute("from", &from)
            .with_attribute("to", &to);
        if let Some(value) = kind.type_attribute() {
            element.set_attribute("type", value);
        }
        Self {
            element,
            kind,
            from,
            to,
        }
    }

    /// The same stanza with that id.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.element.set_attribute("id", id);
        self
    }

    /// The same stanza with one more child.
    #[must_use]
    pub fn with_child(mut self, child: Element) -> Self {
        self.element.push(child);
        self
    }

    /// Reads a first-level element of a stream whose content namespace is `content`.
    ///
    /// # Errors
    /// [`BadStanza`] says whether the stream must end or only this stanza is refused.
    pub fn from_element(mut element: Element, content: &str) -> Result<Self, BadStanza> {
        if element.ns() != content {
            return Err(BadStanza::NotAStanza);
        }
        let read_kind = match element.name() {
            "message" => read_message,
            "presence" => read_presence,
            "iq" => read_iq,
            _ => return Err(BadStanza::NotAStanza),
        };
        let type_attribute = element.attribute("type");
        let kind = read_kind(type_attribute);
        let (Some(from), Some(to)) = (element.attribute("from"), element.attribute("to")) else {
            //= rfc6120#8.1.2.2
            //# A stanza MUST possess a 'from' attribute whose value is an XMPP address
            return Err(BadStanza::NotAddressed);
        };
        let from = Jid::parse(from).map_err(|_| BadStanza::InvalidFrom)?;
        let to = Jid::parse(to).ok();
        let is_iq_without_id = element.name() == "iq" && element.attribute("id").is_none_or(str::is_empty);
        let condition = match (kind, &to) {
            (_, None) => Condition::JidMalformed,
            (Some(_), Some(_)) if is_iq_without_id || has_stray_content(&element, content) => {
                Condition::BadRequest
            }
            (None, Some(_)) => Condition::BadRequest,
            (Some(kind), Some(to)) => {
                let to = to.clone();
                if content != ns::STANZA {
                    element = rescope(&element, content, ns::STANZA);
                }
                element.set_attribute("from", &from);
                element.set_attribute("to", &to);
                return Ok(Self {
                    element,
                    kind,
                    from,
                    to,
                });
            }
        };
        Err(BadStanza::Refused(Box::new(RefusedStanza {
            may_be_answered: kind.is_none_or(Kind::may_be_answered),
            name: match element.name() {
                "message" => Kind::Message(MessageType::Error),
                "presence" => Kind::Presence(PresenceType::Error),
                _ => Kind::Iq(IqType::Error),
            },
            id: element.attribute("id").map(str::to_owned),
            from,
            to,
            condition,
            text: None,
        })))
    }

    /// What takes the place of a first-level element that is too big to be read; `element` is its start tag alone.
    ///
    /// Who waits for an answer, or is owed an error, hears of it: an error that says no more takes the place of either.
    ///
    /// # Errors
    /// [`BadStanza`], which for all else owes its sender a `policy-violation`.
    pub fn from_oversized(element: Element, content: &str) -> Result<Self, BadStanza> {
        let stanza = Self::from_element(element, content)?;
        let id = stanza.id().map(str::to_owned);
        if stanza.kind.may_be_answered() {
            return Err(BadStanza::Refused(Box::new(RefusedStanza {
                may_be_answered: true,
                name: stanza.kind.to_error(),
                id,
                from: stanza.from,
                to: Some(stanza.to),
                condition: Condition::PolicyViolation,
                text: Some("the stanza is too big"),
            })));
        }
        let error = if stanza.kind.is_error() {
            StanzaError::new(Condition::UndefinedCondition).with_text("the error is too big to be passed on")
        } else {
            // Its type is "modify": who asks for less may get it.
            StanzaError::new(Condition::PolicyViolation).with_text("the answer is too big")
        };
        let stand_in =
            Self::new(stanza.kind.to_error(), stanza.from, stanza.to).with_child(error.to_element());
        Ok(match id {
            Some(id) => stand_in.with_id(&id),
            None => stand_in,
        })
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its sender.
    #[must_use]
    pub const fn from(&self) -> &Jid {
        &self.from
    }

    /// Its recipient.
    #[must_use]
    pub const fn to(&self) -> &Jid {
        &self.to
    }

    /// The id that an answer repeats. An iq read from a stream always has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.element.attribute("id")
    }

    /// The whole element, qualified by [`ns::STANZA`].
    #[must_use]
    pub const fn element(&self) -> &Element {
        &self.element
    }

    /// The first child of that expanded name.
    #[must_use]
    pub fn child(&self, name: &str, namespace: &str) -> Option<&Element> {
        self.element.child(name, namespace)
    }

    /// The text of a child in the content namespace: `body`, `subject`, `thread`, `show`, `status`, `priority`.
    #[must_use]
    pub fn child_text(&self, name: &str) -> Option<String> {
        self.child(name, ns::STANZA)
            .map(|child| child.text().into_owned())
    }

    /// The error that it carries, if its type is `error`.
    #[must_use]
    pub fn error(&self) -> Option<StanzaError> {
        if !self.kind.is_error() {
            return None;
        }
        Some(self.child("error", ns::STANZA).map_or_else(
            || StanzaError::new(Condition::UndefinedCondition),
            StanzaError::from_element,
        ))
    }

    /// Puts another sender.
    pub fn set_from(&mut self, from: Jid) {
        self.element.set_attribute("from", &from);
        self.from = from;
    }

    /// Puts another recipient.
    pub fn set_to(&mut self, to: Jid) {
        self.element.set_attribute("to", &to);
        self.to = to;
    }

    /// Gives the stanza a language unless it has one (RFC 6120 §4.7.4).
    pub fn default_language(&mut self, language: &str) {
        if self.element.attribute("xml:lang").is_none() {
            self.element.set_attribute("xml:lang", language);
        }
    }

    /// Appends a child.
    pub fn push(&mut self, child: Element) {
        self.element.push(child);
    }

    /// Keeps only the children that `keep` says yes to.
    pub fn retain_children(&mut self, keep: impl FnMut(&Element) -> bool) {
        self.element.retain_children(keep);
    }

    /// The stanza that refuses this one: addresses swapped, id repeated. `None` where an error would answer an error
    /// or the result of an iq.
    #[must_use]
    pub fn error_reply(&self, error: &StanzaError) -> Option<Self> {
        //= rfc6120#8.3.1
        //# An entity that receives an error stanza MUST NOT respond to the
        //# stanza with a further error stanza
        if !self.kind.may_be_answered() {
            return None;
        }
        Some(self.answer(self.kind.to_error()).with_child(error.to_element()))
    }

    /// The result that answers this iq; `None` where it is no request.
    #[must_use]
    pub fn result_reply(&self, payload: Option<Element>) -> Option<Self> {
        match self.kind {
            Kind::Iq(IqType::Get | IqType::Set) => {}
            Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(_) | Kind::Presence(_) => return None,
        }
        let mut answer = self.answer(Kind::Iq(IqType::Result));
        if let Some(payload) = payload {
            answer.push(payload);
        }
        Some(answer)
    }

    fn answer(&self, kind: Kind) -> Self {
        let answer = Self::new(kind, self.to.clone(), self.from.clone());
        match self.id() {
            Some(id) => answer.with_id(id),
            None => answer,
        }
    }
}

impl Kind {
    /// The name of the element.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Presence(_) => "presence",
            Self::Iq(_) => "iq",
        }
    }

    /// Whether its type is `error`.
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::Message(MessageType::Error) | Self::Presence(PresenceType::Error) | Self::Iq(IqType::Error)
        )
    }

    /// Whether an error may answer it: neither to an error nor to the result of an iq.
    #[must_use]
    pub const fn may_be_answered(self) -> bool {
        !self.is_error() && !matches!(self, Self::Iq(IqType::Result))
    }

    const fn to_error(self) -> Self {
        match self {
            Self::Message(_) => Self::Message(MessageType::Error),
            Self::Presence(_) => Self::Presence(PresenceType::Error),
            Self::Iq(_) => Self::Iq(IqType::Error),
        }
    }

    const fn type_attribute(self) -> Option<&'static str> {
        match self {
            Self::Message(MessageType::Normal) | Self::Presence(PresenceType::Available) => None,
            Self::Message(MessageType::Chat) => Some("chat"),
            Self::Message(MessageType::Groupchat) => Some("groupchat"),
            Self::Message(MessageType::Headline) => Some("headline"),
            Self::Presence(PresenceType::Unavailable) => Some("unavailable"),
            Self::Presence(PresenceType::Subscribe) => Some("subscribe"),
            Self::Presence(PresenceType::Subscribed) => Some("subscribed"),
            Self::Presence(PresenceType::Unsubscribe) => Some("unsubscribe"),
            Self::Presence(PresenceType::Unsubscribed) => Some("unsubscribed"),
            Self::Presence(PresenceType::Probe) => Some("probe"),
            Self::Iq(IqType::Get) => Some("get"),
            Self::Iq(IqType::Set) => Some("set"),
            Self::Iq(IqType::Result) => Some("result"),
            Self::Message(MessageType::Error)
            | Self::Presence(PresenceType::Error)
            | Self::Iq(IqType::Error) => Some("error"),
        }
    }
}

/// Why a first-level element is not a stanza that can go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStanza {
    /// Neither message, presence nor iq of the stream's content namespace.
    #[error("the element is no stanza of this stream")]
    NotAStanza,
    /// `from` or `to` is missing.
    #[error("the stanza lacks 'from' or 'to'")]
    NotAddressed,
    /// `from` is no address.
    #[error("the stanza's 'from' is not an address")]
    InvalidFrom,
    /// The stream goes on; the sender is owed an error.
    #[error("the stanza is refused: {}", .0.condition.as_str())]
    Refused(Box<RefusedStanza>),
}

/// A stanza that is refused before it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedStanza {
    name: Kind,
    id: Option<String>,
    from: Jid,
    to: Option<Jid>,
    condition: Condition,
    text: Option<&'static str>,
    may_be_answered: bool,
}

impl BadStanza {
    /// The stream error, where the stream must end.
    #[must_use]
    pub const fn stream_condition(&self) -> Option<StreamCondition> {
        match self {
            Self::NotAStanza => Some(StreamCondition::UnsupportedStanzaType),
            Self::NotAddressed => Some(StreamCondition::ImproperAddressing),
            Self::InvalidFrom => Some(StreamCondition::InvalidFrom),
            Self::Refused(_) => None,
        }
    }
}

impl RefusedStanza {
    /// Who sent it; not yet known to be allowed to.
    #[must_use]
    pub const fn from(&self) -> &Jid {
        &self.from
    }

    /// Whom it is for, where that is an address.
    #[must_use]
    pub const fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }

    /// The error for its sender, from its recipient, or from `host` where that is what is malformed (RFC 6120 §8.3.1
    /// forbids to repeat a malformed address). `None` where an error would answer an error.
    #[must_use]
    pub fn error_reply(&self, host: &Jid) -> Option<Stanza> {
        if !self.may_be_answered {
            return None;
        }
        let from = self.to.as_ref().unwrap_or(host).clone();
        let mut error = StanzaError::new(self.condition);
        if let Some(text) = self.text {
            error = error.with_text(text);
        }
        let answer = Stanza::new(self.name, from, self.from.clone()).with_child(error.to_element());
        Some(match (&self.id, self.name) {
            (Some(id), _) => answer.with_id(id),
            //= rfc6120#8.3.1
            //# If the generated stanza was <iq/> then the error stanza MUST include an 'id'
            //# attribute.  In all cases, the value of the 'id' attribute MUST
            //# match that of the generated stanza (or be empty if the generated
            //# stanza did not include an 'id' attribute).
            (None, Kind::Iq(_)) => answer.with_id(""),
            (None, Kind::Message(_) | Kind::Presence(_)) => answer,
        })
    }
}

/// Whether what belongs to the stanza holds an element of another content namespace. It means nothing there, and would
/// become a part of the stanza on a stream of that namespace: what we did not see, the next one would.
fn has_stray_content(element: &Element, content: &str) -> bool {
    element.children().any(|child| match child.ns() {
        namespace if namespace == content => has_stray_content(child, content),
        ns::SERVER | ns::COMPONENT => true,
        _ => false,
    })
}

/// Puts a stanza from one content namespace into another.
pub(super) fn rescope(element: &Element, from: &str, to: &str) -> Element {
    //= rfc6120#4.8.3
    //# the rule does not apply to
    //# elements qualified by namespaces other than 'jabber:client' and
    //# 'jabber:server' nor to any children of such elements
    if element.ns() != from {
        return element.clone();
    }
    let mut scoped = Element::new(element.name(), to);
    for attribute in element.attributes() {
        scoped.set_attribute_ns(attribute.ns(), attribute.name(), attribute.value());
    }
    for node in element.nodes() {
        match node {
            Node::Element(child) => scoped.push(rescope(child, from, to)),
            Node::Text(text) => scoped.push_text(text),
        }
    }
    scoped
}

//= rfc6121#5.2.2
//# If an application receives a message with no 'type' attribute or the
//# application does not understand the value of the 'type' attribute
//# provided, it MUST consider the message to be of type "normal"
fn read_message(attribute: Option<&str>) -> Option<Kind> {
    Some(Kind::Message(match attribute {
        Some("chat") => MessageType::Chat,
        Some("groupchat") => MessageType::Groupchat,
        Some("headline") => MessageType::Headline,
        Some("error") => MessageType::Error,
        Some(_) | None => MessageType::Normal,
    }))
}

fn read_presence(attribute: Option<&str>) -> Option<Kind> {
    Some(Kind::Presence(match attribute {
        None => PresenceType::Available,
        Some("unavailable") => PresenceType::Unavailable,
        Some("subscribe") => PresenceType::Subscribe,
        Some("subscribed") => PresenceType::Subscribed,
        Some("unsubscribe") => PresenceType::Unsubscribe,
        Some("unsubscribed") => PresenceType::Unsubscribed,
        Some("probe") => PresenceType::Probe,
        Some("error") => PresenceType::Error,
        Some(_) => return None,
    }))
}

fn read_iq(attribute: Option<&str>) -> Option<Kind> {
    Some(Kind::Iq(match attribute {
        Some("get") => IqType::Get,
        Some("set") => IqType::Set,
        Some("result") => IqType::Result,
        Some("error") => IqType::Error,
        Some(_) | None => return None,
    }))
}

#[cfg(test)]
mod tests;
