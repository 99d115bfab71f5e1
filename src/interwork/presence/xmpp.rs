//! The `<presence/>` of one device (RFC 6121 §4.7, RFC 8048 §6, XEP-0319).

use super::table::{self, BusyAs, Show};
use super::{Device, State};
use crate::interwork::message::{Language, read_stamp, stamp};
use crate::interwork::profile::PeerKind;
use crate::xml::Element;
use crate::xmpp::stanza::{Kind, PresenceType};
use crate::xmpp::{Jid, Stanza, ns};

/// What a stanza says of the device that it is from; `None` for one that says nothing of that.
//
//= rfc8048#6.2
//# the XMPP-to-SIP gateway
//# MUST map that information to a PIDF basic status of "open".
#[must_use]
pub fn from_stanza(stanza: &Stanza) -> Option<Device> {
    let is_open = match stanza.kind() {
        Kind::Presence(PresenceType::Available) => true,
        Kind::Presence(PresenceType::Unavailable) => false,
        Kind::Presence(
            PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed
            | PresenceType::Probe
            | PresenceType::Error,
        )
        | Kind::Message(_)
        | Kind::Iq(_) => return None,
    };
    let show = stanza.child_text("show").and_then(|show| Show::parse(&show));
    let state = if is_open {
        show.unwrap_or(Show::None).state()
    } else {
        State::Offline
    };
    let priority = stanza
        .child_text("priority")
        .and_then(|priority| priority.trim().parse().ok());
    let idle = stanza
        .child("idle", IDLE)
        .and_then(|idle| read_stamp(idle.attribute("since")?));
    let whole = stanza.element().attribute("xml:lang").and_then(Language::parse);
    let device = Device::new(stanza.from().resource().unwrap_or_default(), state)
        .with_priority(priority.filter(|_| is_open))
        .with_idle_since(idle.filter(|_| is_open));
    Some(
        stanza
            .element()
            .children()
            .filter(|child| child.is("status", ns::STANZA))
            .fold(device, |device, status| {
                let own = status.attribute("xml:lang").and_then(Language::parse);
                device.with_note(&status.text(), own.or_else(|| whole.clone()))
            }),
    )
}

/// The stanza that shows a device of a SIP peer's user; `from` is the user, by the device where it has a name.
#[must_use]
pub fn to_stanza(device: &Device, (kind, busy_as): (PeerKind, BusyAs), from: Jid, to: Jid) -> Stanza {
    let Some((show, words)) = table::to_xmpp(kind, busy_as, device.state) else {
        let stanza = Stanza::new(Kind::Presence(PresenceType::Unavailable), from, to);
        return with_notes(stanza, device, None);
    };
    let mut stanza = Stanza::new(Kind::Presence(PresenceType::Available), from, to);
    if let Some(show) = show.as_str() {
        stanza.push(Element::new("show", ns::STANZA).with_text(show));
    }
    let mut stanza = with_notes(stanza, device, words);
    if let Some(priority) = device.priority {
        stanza.push(Element::new("priority", ns::STANZA).with_text(&priority.to_string()));
    }
    if let Some(since) = device.idle_since.and_then(stamp) {
        stanza.push(Element::new("idle", IDLE).with_attribute("since", since));
    }
    stanza
}

fn with_notes(mut stanza: Stanza, device: &Device, words: Option<&str>) -> Stanza {
    for note in &device.notes {
        let mut status = Element::new("status", ns::STANZA).with_text(note.as_str());
        if let Some(language) = note.language() {
            status.set_attribute("xml:lang", language.as_str());
        }
        stanza.push(status);
    }
    if let Some(words) = words.filter(|_| device.notes.is_empty()) {
        stanza.push(Element::new("status", ns::STANZA).with_text(words));
    }
    stanza
}

/// Last interaction (XEP-0319).
const IDLE: &str = "urn:xmpp:idle:1";
