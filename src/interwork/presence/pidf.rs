//! Presence information documents (RFC 3863) with rich presence (RFC 4479, RFC 4480), and with what other systems put into them.

use super::document::DocumentError;
use super::table::{self, Show};
use super::{Device, Presence, State};
use crate::interwork::address::{self, AddressError, Sips};
use crate::interwork::message::{Language, read_stamp, stamp};
use crate::interwork::profile::PeerKind;
use crate::limits::PRESENCE_DEVICES;
use crate::sip::{Scheme, Uri};
use crate::xml::{self, Element};
use crate::xmpp::Jid;

/// Reads a document: a device for each tuple. What says most goes before the rest (specification: interworking §7): the show of
/// XMPP, the activities of the person, those of the tuple, what old clients say of messages, open or closed.
pub(super) fn read(root: &Element) -> Result<Presence, DocumentError> {
    if !root.is("presence", PIDF) {
        return Err(DocumentError::Garbled);
    }
    let person = root.children().find(|child| child.is("person", DATA_MODEL));
    let mut presence = Presence::new();
    let tuples = root.children().filter(|child| child.is("tuple", PIDF));
    for tuple in tuples.take(PRESENCE_DEVICES) {
        presence.set(device(root, person, tuple));
    }
    if let (true, Some(person)) = (presence.devices().is_empty(), person) {
        let state = activities(person).unwrap_or(State::Offline);
        presence.set(noted(Device::new("", state), root, [person, root, person]));
    }
    Ok(presence)
}

fn device(root: &Element, person: Option<&Element>, tuple: &Element) -> Device {
    let name = tuple.attribute("id").unwrap_or_default();
    let name = name.strip_prefix(NAMED).unwrap_or(name);
    let new = |state| Device {
        is_unaddressed: !is_address(tuple, name),
        ..Device::new(name, state)
    };
    let status = tuple.child("status", PIDF);
    let is_open = status
        .and_then(|status| status.child("basic", PIDF))
        .is_some_and(|basic| basic.text().trim() == "open");
    if !is_open {
        return noted(new(State::Offline), root, [tuple, root, tuple]);
    }
    let show = status
        .and_then(|status| status.child("show", JABBER))
        .and_then(|show| Show::parse(&show.text()));
    let said = || {
        person
            .and_then(activities)
            .or_else(|| activities(tuple))
            .or_else(|| status.and_then(activities))
            .or_else(|| table::of_activity(&status?.child("im", PIDF_IM)?.text()))
    };
    let (is_idle, since) = [person, Some(tuple)]
        .into_iter()
        .flatten()
        .find_map(idle)
        .unwrap_or_default();
    let state = match show.map(Show::state).or_else(said) {
        Some(state) => state,
        None if is_idle => State::Away,
        None => State::Available,
    };
    let priority = tuple
        .child("contact", PIDF)
        .and_then(|contact| thousandths(contact.attribute("priority")?))
        .and_then(|parts| i8::try_from(parts.saturating_mul(127).saturating_add(500) / 1_000).ok());
    let device = new(state).with_priority(priority).with_idle_since(since);
    noted(device, root, [tuple, root, person.unwrap_or(tuple)])
}

/// Whether a tuple says that it can be reached under that name (RFC 5627).
fn is_address(tuple: &Element, name: &str) -> bool {
    tuple
        .child("contact", PIDF)
        .and_then(|contact| Uri::parse(contact.text().trim()).ok())
        .and_then(|uri| address::to_jid(&uri, Sips::Translate).ok())
        .is_some_and(|jid| jid.resource() == Some(name))
}

/// The first of a tuple, the document and its person that has notes gives them.
fn noted(device: Device, root: &Element, places: [&Element; 3]) -> Device {
    let language = |element: &Element| element.attribute("xml:lang").and_then(Language::parse);
    // What stands around a note says its language too (XML 1.0 §2.12).
    let around = language(root);
    let notes = |place: &Element| -> Vec<(String, Option<Language>)> {
        place
            .children()
            .filter(|child| child.name() == "note" && [PIDF, DATA_MODEL, RPID].contains(&child.ns()))
            .map(|note| {
                let said = language(note).or_else(|| language(place));
                (note.text().into_owned(), said.or_else(|| around.clone()))
            })
            .collect()
    };
    places
        .into_iter()
        .map(notes)
        .find(|notes| !notes.is_empty())
        .unwrap_or_default()
        .into_iter()
        .fold(device, |device, (note, language)| {
            device.with_note(&note, language)
        })
}

/// What the activities in an element say: the most that any of them says.
fn activities(element: &Element) -> Option<State> {
    element
        .children()
        .filter(|child| child.name() == "activities" && RICH.contains(&child.ns()))
        .flat_map(Element::children)
        .filter_map(|activity| {
            // As RFC 4480 has them, and as the drafts before had them.
            if activity.name() == "activity" {
                table::of_activity(&activity.text())
            } else {
                table::of_activity(activity.name())
            }
        })
        .max_by_key(|state| state.rank())
}

/// Whether the user has left a device alone, and since when (RFC 4480 §3.9).
fn idle(element: &Element) -> Option<(bool, Option<crate::sip::Date>)> {
    let input = element
        .children()
        .find(|child| child.name() == "user-input" && RICH.contains(&child.ns()))?;
    let is_idle = input.text().trim() == "idle";
    let since = input.attribute("last-input").and_then(read_stamp);
    Some((is_idle, since.filter(|_| is_idle)))
}

/// A decimal between 0 and 1 with three digits (RFC 3863 §4.1.5), in thousandths.
fn thousandths(decimal: &str) -> Option<u32> {
    let (whole, digits) = decimal
        .trim()
        .split_once('.')
        .unwrap_or_else(|| (decimal.trim(), ""));
    let digits: String = digits.chars().chain(['0'; 3]).take(3).collect();
    let parts = whole
        .parse::<u32>()
        .ok()?
        .checked_mul(1_000)?
        .checked_add(digits.parse().ok()?)?;
    (parts <= 1_000).then_some(parts)
}

/// The document that tells a peer of that kind of a user of XMPP: of each of his devices, or of all of them as one.
///
/// # Errors
/// [`AddressError`] for a user whom SIP cannot name.
pub fn write(presence: &Presence, user: &Jid, kind: PeerKind) -> Result<Vec<u8>, AddressError> {
    let user = user.bare();
    let uri = address::to_uri(&user, Scheme::Sip)?.to_string();
    let whole = presence.aggregate();
    let state = table::of_device(kind, &whole);
    let mut root = Element::new("presence", PIDF);
    match kind {
        PeerKind::Simple => {
            let entity = uri.split_once(':').map_or(uri.as_str(), |(_, address)| address);
            root.set_attribute("entity", format!("pres:{entity}"));
            for device in presence.devices() {
                root.push(tuple(device, &user)?);
            }
            if presence.devices().is_empty() {
                root.push(tuple(&whole, &user)?);
            }
        }
        PeerKind::Microsoft | PeerKind::Aol => {
            root.set_attribute("entity", uri);
            let told = Device {
                name: String::new(),
                state,
                ..whole.clone()
            };
            root.push(tuple(&told, &user)?);
        }
    }
    let Some(activity) = table::activity(state) else {
        return Ok(xml::write::document(&root));
    };
    root.push(person(activity, &whole));
    // There are user agents (baresip 1.0) that look for `<rpid:busy/>` as it is written here.
    Ok(xml::write::document_with(
        &root,
        &[("dm", DATA_MODEL), ("rpid", RPID)],
    ))
}

fn tuple(device: &Device, user: &Jid) -> Result<Element, AddressError> {
    let word = if device.state.is_open() { "open" } else { "closed" };
    let mut status = Element::new("status", PIDF).with_child(Element::new("basic", PIDF).with_text(word));
    if let Some(show) = show(device.state) {
        status.push(Element::new("show", JABBER).with_text(show));
    }
    if let Some(activity) = table::activity(device.state) {
        let activity = Element::new("activity", RPID_IN_TUPLE).with_text(activity);
        status.push(Element::new("activities", RPID_IN_TUPLE).with_child(activity));
    }
    let mut tuple = Element::new("tuple", PIDF)
        .with_attribute("id", identifier(&device.name))
        .with_child(status);
    if device.state.is_open() {
        let whom = match user.with_resource(&device.name) {
            Ok(full) if !device.name.is_empty() => full,
            Ok(_) | Err(_) => user.clone(),
        };
        let mut contact =
            Element::new("contact", PIDF).with_text(&address::to_uri(&whom, Scheme::Sip)?.to_string());
        //= rfc8048#6.2
        //# If the value
        //# of the XMPP <priority/> element is negative, an XMPP-to-SIP
        //# gateway MUST NOT map the value.
        if let Some(priority) = device.priority.and_then(|priority| u32::try_from(priority).ok()) {
            let parts = priority.saturating_mul(1_000).saturating_add(63) / 127;
            let decimal = format!("{}.{:03}", parts / 1_000, parts % 1_000);
            contact.set_attribute("priority", decimal);
        }
        tuple.push(contact);
    }
    for note in &device.notes {
        let mut element = Element::new("note", PIDF).with_text(note.as_str());
        if let Some(language) = note.language() {
            element.set_attribute("xml:lang", language.as_str());
        }
        tuple.push(element);
    }
    Ok(tuple)
}

fn person(activity: &str, whole: &Device) -> Element {
    let activities = Element::new("activities", RPID).with_child(Element::new(activity, RPID));
    let mut person = Element::new("person", DATA_MODEL)
        .with_attribute("id", "person")
        .with_child(activities);
    if let Some(since) = whole.idle_since.and_then(stamp) {
        let input = Element::new("user-input", RPID)
            .with_attribute("last-input", since)
            .with_text("idle");
        person.push(input);
    }
    person
}

/// What XMPP calls it, for those who look for that.
const fn show(state: State) -> Option<&'static str> {
    match state {
        State::Chat => Show::Chat.as_str(),
        State::Away | State::BeRightBack => Show::Away.as_str(),
        State::ExtendedAway => Show::ExtendedAway.as_str(),
        State::DoNotDisturb => Show::DoNotDisturb.as_str(),
        State::Available | State::Busy(_) | State::Offline => None,
    }
}

/// The name of a device as an identifier of XML, which takes neither every character nor a digit first.
fn identifier(name: &str) -> String {
    let mut id = String::from(NAMED);
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || b"-.".contains(&octet) {
            id.push(char::from(octet));
        } else {
            id.push_str(&format!("_{octet:02x}"));
        }
    }
    id
}

/// What goes before the name of a device.
const NAMED: &str = "ID-";
const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";
const RPID: &str = "urn:ietf:params:xml:ns:pidf:rpid";
/// Where Microsoft's clients look for activities.
const RPID_IN_TUPLE: &str = "urn:ietf:params:xml:ns:pidf:status:rpid-status";
const RICH: [&str; 4] = [
    RPID,
    RPID_IN_TUPLE,
    "urn:ietf:params:xml:ns:pidf:rpid-tuple",
    "urn:ietf:params:xml:ns:pidf:rpid-person",
];
/// RFC 3922 §3.2.
const PIDF_IM: &str = "urn:ietf:params:xml:ns:pidf:im";
const JABBER: &str = "jabber:client";
