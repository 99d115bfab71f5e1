//! What a user of XMPP is told of the state that he sees: only what is new, and no more often than he wants.

use super::Watch;
use crate::gateway::presence::act::{Lent, Word};
use crate::interwork::presence::{Device, Presence, State};
use crate::xmpp::Jid;

impl Watch {
    /// He sees nobody any more.
    pub(super) fn unsee(&mut self, lent: &mut Lent<'_>) {
        self.seen = None;
        self.is_dirty = false;
        for device in self.shown.take().iter().flat_map(Presence::devices) {
            if device.state() != State::Offline {
                let gone = Device::new(device.name(), State::Offline);
                lent.say(Word::Device(Box::new(gone), None));
            }
        }
    }

    /// Tells all that is known, new or not: to one device of his, or to all.
    pub(super) fn show_all(&mut self, lent: &mut Lent<'_>, to: Option<Jid>) {
        let Some(seen) = &self.seen else { return };
        for device in told(seen) {
            lent.say(Word::Device(Box::new(device), to.clone()));
        }
        if to.is_none() {
            self.shown = Some(seen.clone());
        }
    }

    /// Tells what is new of what is known.
    pub(super) fn show(&mut self, lent: &mut Lent<'_>) {
        self.is_dirty = false;
        let is_untold = std::mem::take(&mut self.is_untold);
        let Some(seen) = &self.seen else {
            // That he is not there did not arrive, or that he was.
            if is_untold {
                let gone = Device::new("", State::Offline);
                lent.say(Word::Device(Box::new(gone), None));
            }
            return;
        };
        let tells_all = std::mem::take(&mut self.tells_all);
        let before = self.shown.as_ref().map(told).unwrap_or_default();
        let now = told(seen);
        let mut is_new = false;
        for device in &now {
            if tells_all || !before.contains(device) {
                is_new = true;
                lent.say(Word::Device(Box::new(device.clone()), None));
            }
        }
        for device in &before {
            let is_gone =
                device.state() != State::Offline && now.iter().all(|other| other.name() != device.name());
            if is_gone {
                is_new = true;
                let gone = Device::new(device.name(), State::Offline);
                lent.say(Word::Device(Box::new(gone), None));
            }
        }
        self.shown = Some(seen.clone());
        if is_new {
            self.quiet = Some(lent.after(lent.pause));
            lent.keep();
        }
    }
}

/// What is said of a state: the devices by which the user can be reached, or one by which he cannot.
fn told(presence: &Presence) -> Vec<Device> {
    let open: Vec<Device> = presence
        .devices()
        .iter()
        .filter(|device| device.state() != State::Offline)
        .cloned()
        .collect();
    if !open.is_empty() {
        return open;
    }
    let last = presence.devices().first();
    vec![last.cloned().unwrap_or_else(|| Device::new("", State::Offline))]
}
