//! Microsoft's own documents: categories (`application/msrtc-event-categories+xml`, MS-PRES) and the presentity before them
//! (`text/xml+msrtc.pidf`). Names of elements are looked at, not their namespaces, which differ from version to version.

use super::document::{DocumentError, Said};
use super::{Device, Occupation, Presence, State, table};
use crate::interwork::message::read_stamp;
use crate::xml::Element;

/// The state and the note that a user's server publishes for all of his devices, or what of that has changed.
pub(super) fn categories(root: &Element) -> Result<Said, DocumentError> {
    if root.name() != "categories" {
        return Err(DocumentError::Garbled);
    }
    let categories = |name: &'static str| {
        root.children()
            .filter(|child| child.name() == "category")
            .filter(move |category| category.attribute("name") == Some(name))
    };
    let of = |name: &'static str| {
        categories(name)
            .flat_map(move |category| category.children().filter(move |child| child.name() == name))
    };
    // Each device publishes one too; that of the server joins them.
    let is_joined = |state: &&Element| {
        state
            .attributes()
            .any(|attribute| attribute.name() == "type" && attribute.value().ends_with("aggregateState"))
    };
    let state = of("state").find(is_joined).or_else(|| of("state").next());
    let mut notes = of("note")
        .flat_map(Element::children)
        .filter(|body| body.name() == "body");
    // A category that has nothing in it says that there is nothing any more.
    let (is_stated, is_noted) = (
        categories("state").next().is_some(),
        categories("note").next().is_some(),
    );
    let device = state.map(of_state);
    Ok(Said::Changes {
        device: device.or_else(|| is_stated.then(|| Device::new("", State::Offline))),
        note: is_noted.then(|| {
            notes
                .next()
                .map(|body| body.text().into_owned())
                .unwrap_or_default()
        }),
    })
}

fn of_state(state: &Element) -> Device {
    let number = named(state, "availability")
        .and_then(|availability| availability.text().trim().parse().ok())
        .unwrap_or_default();
    let token =
        named(state, "activity").and_then(|activity| table::of_activity(activity.attribute("token")?));
    let since = state.attribute("lastActive").and_then(read_stamp);
    numbered(number, token, since)
}

fn numbered(number: u32, token: Option<State>, since: Option<crate::sip::Date>) -> Device {
    let (state, is_idle) = table::of_availability(number);
    let state = match (state, token) {
        // What he is busy with.
        (State::Busy(Occupation::Unsaid), Some(token @ State::Busy(_))) => token,
        // Where he is.
        (State::Away, Some(State::ExtendedAway)) if !is_idle => State::ExtendedAway,
        (state, _) => state,
    };
    Device::new("", state).with_idle_since(since.filter(|_| is_idle))
}

/// How many users a `batchSub` lists.
pub(super) fn asked_for(root: &Element) -> usize {
    root.children()
        .filter(|child| child.name() == "action")
        .flat_map(Element::children)
        .filter(|child| child.name() == "adhocList")
        .flat_map(Element::children)
        .filter(|child| child.name() == "resource")
        .count()
}

/// The document of Live Communications Server 2005 and clients of its time.
pub(super) fn presentity(root: &Element) -> Result<Presence, DocumentError> {
    if !matches!(root.name(), "presentity" | "presence") {
        return Err(DocumentError::Garbled);
    }
    let root = named(root, "presentity").unwrap_or(root);
    let modern = named(root, "userInfo")
        .and_then(|info| named(info, "states"))
        .and_then(|states| named(states, "state"))
        .and_then(|state| state.attribute("avail")?.trim().parse().ok());
    let aggregate = |name| -> Option<u32> { named(root, name)?.attribute("aggregate")?.trim().parse().ok() };
    let device = match (modern, aggregate("availability"), aggregate("activity")) {
        (Some(number), ..) => numbered(number, None, None),
        (None, Some(1..), Some(activity)) => Device::new("", of_legacy(activity)),
        (None, Some(200..), None) => Device::new("", State::Available),
        (None, _, _) => Device::new("", State::Offline),
    };
    let note = named(root, "activity").and_then(|activity| activity.attribute("note"));
    let noted = named(root, "userInfo").and_then(|info| named(info, "note"));
    let device = device
        .with_note(note.unwrap_or_default(), None)
        .with_note(&noted.map(Element::text).unwrap_or_default(), None);
    Ok(Presence::new().with(device))
}

/// The numbers of activities before those of [`table::of_availability`].
const fn of_legacy(activity: u32) -> State {
    match activity {
        0..=99 => State::Offline,
        100..=299 => State::Away,
        300..=399 => State::BeRightBack,
        400..=499 => State::Available,
        500..=599 => State::Busy(Occupation::Phone),
        600.. => State::Busy(Occupation::Unsaid),
    }
}

fn named<'e>(element: &'e Element, name: &str) -> Option<&'e Element> {
    element.children().find(|child| child.name() == name)
}
