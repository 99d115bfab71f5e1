//! Between a `<message/>` and an [`Im`].

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Im, ImKind, Language, MessageError, Text, add};
use crate::interwork::address::Party;
use crate::sip::{Date, Scheme};
use crate::xml::Element;
use crate::xmpp::stanza::{Kind, MessageType};
use crate::xmpp::{Stanza, ns};

/// Reads a message (RFC 7572 §4); its parties get SIP addresses of that scheme.
///
/// # Errors
/// [`MessageError`] says why it does not cross; where [`MessageError::is_silent`] nobody is told.
pub fn from_xmpp(stanza: &Stanza, scheme: Scheme) -> Result<Im, MessageError> {
    let kind = match stanza.kind() {
        Kind::Message(MessageType::Normal) => ImKind::Single,
        Kind::Message(MessageType::Chat) => ImKind::Chat,
        Kind::Message(MessageType::Groupchat | MessageType::Headline | MessageType::Error) => {
            return Err(MessageError::Silent);
        }
        Kind::Presence(_) | Kind::Iq(_) => return Err(MessageError::NotAMessage),
    };
    let bodies = texts(stanza, "body", Text::new);
    if bodies.is_empty() {
        return Err(MessageError::Silent);
    }
    let from = Party::from_jid(stanza.from(), scheme)?;
    let to = Party::from_jid(stanza.to(), scheme)?;
    let mut im = Im::new(from, to, "")
        .with_kind(kind)
        .with_language(stanza.element().attribute("xml:lang").and_then(Language::parse))
        .with_sent(delayed(stanza));
    im.bodies = bodies;
    im.subjects = texts(stanza, "subject", Text::line);
    if let Some(id) = stanza.id() {
        im = im.with_id(id);
    }
    if let Some(thread) = stanza.child_text("thread") {
        im = im.with_thread(&thread);
    }
    Ok(im)
}

/// Makes the message that says it (RFC 7572 §5).
#[must_use]
pub fn to_xmpp(im: &Im) -> Stanza {
    //= rfc7572#5
    //# gateway MUST specify no XMPP 'type' attribute or, equivalently, a
    //# 'type' attribute whose value is "normal"
    let kind = match im.kind() {
        ImKind::Single => MessageType::Normal,
        ImKind::Chat => MessageType::Chat,
    };
    let mut stanza = Stanza::new(
        Kind::Message(kind),
        im.from().jid().clone(),
        im.to().jid().clone(),
    );
    if let Some(id) = im.id() {
        stanza = stanza.with_id(id);
    }
    if let Some(language) = im.language() {
        stanza.default_language(language.as_str());
    }
    for subject in im.subjects() {
        stanza.push(element("subject", subject));
    }
    //= rfc7572#7
    //# gateway MUST process SIP messages that
    //# contain message bodies of type "text/plain" and MUST encapsulate such
    //# message bodies as the XML character data of the XMPP <body/> element.
    for body in im.bodies() {
        stanza.push(element("body", body));
    }
    //= rfc7572#7
    //# a gateway MUST
    //# transform the "text/html" content into XHTML content
    if let Some(rich) = im.rich() {
        stanza.push(rich.clone());
    }
    if let Some(thread) = im.thread() {
        stanza.push(Element::new("thread", ns::STANZA).with_text(thread));
    }
    if let Some(stamp) = im.sent().and_then(stamp) {
        let delay = Element::new("delay", DELAY)
            .with_attribute("from", im.from().jid().domain().to_unicode())
            .with_attribute("stamp", stamp);
        stanza.push(delay);
    }
    stanza
}

fn texts(stanza: &Stanza, name: &str, make: impl Fn(&str, Option<Language>) -> Text) -> Vec<Text> {
    let mut texts = Vec::new();
    for child in stanza
        .element()
        .children()
        .filter(|child| child.is(name, ns::STANZA))
    {
        let language = child.attribute("xml:lang").and_then(Language::parse);
        add(&mut texts, make(&child.text(), language));
    }
    texts
}

fn element(name: &str, text: &Text) -> Element {
    let mut element = Element::new(name, ns::STANZA);
    if let Some(language) = text.language() {
        element.set_attribute("xml:lang", language.as_str());
    }
    element.push_text(text.as_str());
    element
}

/// The time in an XEP-0203 delay; one that cannot be read is none.
fn delayed(stanza: &Stanza) -> Option<Date> {
    read_stamp(stanza.child("delay", DELAY)?.attribute("stamp")?)
}

/// A time as XEP-0082 and RFC 3339 write it.
pub(in crate::interwork) fn read_stamp(stamp: &str) -> Option<Date> {
    let time = OffsetDateTime::parse(stamp.trim(), &Rfc3339).ok()?;
    Date::from_unix_seconds(time.unix_timestamp())
}

/// XEP-0082: the time in UTC, to the second.
pub(in crate::interwork) fn stamp(date: Date) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(date.unix_seconds()).ok()?;
    time.format(&Rfc3339).ok()
}

/// Delayed delivery (XEP-0203).
const DELAY: &str = "urn:xmpp:delay";
