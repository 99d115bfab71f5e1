//! Documents of the clients before PIDF: `application/xpidf+xml`, with the substatus of MSN's.

use super::document::DocumentError;
use super::{Device, Presence, State, table};
use crate::limits::PRESENCE_DEVICES;
use crate::xml::Element;

pub(super) fn read(root: &Element) -> Result<Presence, DocumentError> {
    if root.name() != "presence" {
        return Err(DocumentError::Garbled);
    }
    let named = |name: &'static str| move |child: &&Element| child.name() == name;
    let mut presence = Presence::new();
    for atom in root.children().filter(named("atom")).take(PRESENCE_DEVICES) {
        let name = atom.attribute("id").unwrap_or_default();
        let states = atom.children().filter(named("address")).map(|address| {
            let of = |name: &'static str, attribute| {
                address
                    .children()
                    .find(named(name))
                    .and_then(|child| child.attribute(attribute))
            };
            let is_open = of("status", "status").is_some_and(|status| matches!(status, "open" | "inuse"));
            if is_open {
                of("msnsubstatus", "substatus")
                    .and_then(table::of_activity)
                    .unwrap_or(State::Available)
            } else {
                State::Offline
            }
        });
        let state = states.min_by_key(|state| state.rank()).unwrap_or(State::Offline);
        presence.set(Device {
            is_unaddressed: true,
            ..Device::new(name, state)
        });
    }
    Ok(presence)
}
