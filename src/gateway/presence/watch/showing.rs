//! What a user of XMPP is told of the state that he sees: only what is new, and no more often than he wants.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use super::{Stage, Watch};
use crate::gateway::presence::act::{Act, Lent, Word};
use crate::interwork::presence::{Device, Presence, State};
use crate::limits::PRESENCE_DEVICES;
use crate::xmpp::Jid;

impl Watch {
    /// He sees nobody any more.
    pub(super) fn unsee(&mut self, lent: &mut Lent<'_>) {
        self.seen = None;
        (self.is_dirty, self.is_ready) = (false, false);
        let mut believed = std::mem::take(&mut self.unsure);
        for device in self.shown.take().iter().flat_map(|shown| shown.devices()) {
            if device.state() != State::Offline {
                believed.insert(device.name().to_owned());
            }
        }
        for name in believed {
            self.say_gone(lent, &name);
        }
    }

    /// Tells all his devices of one that he sees.
    fn say(&mut self, lent: &mut Lent<'_>, device: Device) {
        // That none of them is there is said in no device's name, and takes one without a name back only where there was one.
        let is_device = !device.name().is_empty() || names(self.shown.as_deref()).contains("");
        if device.state() == State::Offline && is_device && self.going.len() < PRESENCE_DEVICES {
            self.going.insert(device.name().to_owned());
        }
        lent.say(Word::Device(Box::new(device), None));
    }

    fn say_gone(&mut self, lent: &mut Lent<'_>, name: &str) {
        self.say(lent, Device::new(name, State::Offline));
    }

    /// He has heard that a device is gone, or will be told again; tells whether that is news.
    pub(in crate::gateway::presence) fn has_gone(&mut self, name: &str) -> bool {
        let was_going = self.going.remove(name);
        if self.going.is_empty() {
            // An empty set may still hold the room of its last element.
            self.going = BTreeSet::new();
        }
        was_going
    }

    /// What he may believe, as far as anybody knows: what he was told, and what he may not have heard the end of.
    pub(in crate::gateway::presence) fn believed(&self) -> Presence {
        let shown = self.shown.as_deref().cloned().unwrap_or_default();
        self.going
            .iter()
            .chain(&self.unsure)
            .fold(shown, |believed, name| {
                if names(Some(&believed)).contains(name.as_str()) {
                    believed
                } else {
                    believed.with(Device::new(name, State::Available))
                }
            })
    }

    /// Tells all that is known, new or not: to one device of his, or to all.
    pub(super) fn show_all(&mut self, lent: &mut Lent<'_>, to: Option<Jid>) {
        if self.seen.is_none() {
            return;
        }
        // What all of them have still to hear, this one hears too.
        self.tells_all |= to.is_none();
        if to.is_none() || self.is_dirty {
            self.show(lent);
        }
        if let (Some(to), Some(seen)) = (to, &self.seen) {
            for device in told(seen) {
                lent.say(Word::Device(
                    Box::new(device.into_owned()),
                    Some(Box::new(to.clone())),
                ));
            }
        }
    }

    /// A device that he is told of has to be known to whoever takes it back, though this process is killed the moment after.
    fn settle(&self, lent: &mut Lent<'_>) {
        let (shown, seen) = (names(self.shown.as_deref()), names(self.seen.as_deref()));
        if !seen.is_subset(&shown) {
            lent.keep();
            lent.acts.push(Act::Settle);
        }
    }

    /// He was told what is known.
    fn remember(&mut self, lent: &mut Lent<'_>) {
        // What he believes to be there has to be known to whoever takes it back.
        if names(self.shown.as_deref()) != names(self.seen.as_deref()) {
            lent.keep();
        } else if self.shown != self.seen {
            lent.note();
        }
        self.shown.clone_from(&self.seen);
    }

    /// What was told of a device did not arrive: it is told again, after a while that grows.
    pub(super) fn untold(&mut self, lent: &Lent<'_>, device: String) {
        let _was_going = self.has_gone(&device);
        if self.unsure.len() < PRESENCE_DEVICES {
            self.unsure.insert(device);
        }
        self.is_dirty = true;
        self.untold_tries = self.untold_tries.saturating_add(1);
        let doubled = 1_u32
            .checked_shl(self.untold_tries.min(MOST_DOUBLED))
            .unwrap_or(1);
        self.quiet = Some(lent.after(UNTOLD_PAUSE.saturating_mul(doubled)));
    }

    /// There is a way again: what did not arrive need not wait.
    pub(super) fn tellable(&mut self) {
        if !self.unsure.is_empty() {
            self.quiet = None;
            (self.is_dirty, self.is_ready) = (true, true);
        }
    }

    /// Tells what is new, in its turn.
    pub(in crate::gateway::presence) fn tell_new(&mut self, lent: &mut Lent<'_>) {
        let is_over = matches!(self.stage, Stage::Leaving | Stage::Forbidden | Stage::Over);
        if std::mem::take(&mut self.is_ready) && !is_over {
            self.show(lent);
        }
    }

    /// Tells what is new of what is known.
    pub(super) fn show(&mut self, lent: &mut Lent<'_>) {
        (self.is_dirty, self.is_ready) = (false, false);
        let unsure = std::mem::take(&mut self.unsure);
        let shown = self.shown.clone();
        let Some(seen) = self.seen.clone() else {
            // That he is not there did not arrive, or that he was.
            for name in unsure {
                self.say_gone(lent, &name);
            }
            return;
        };
        self.settle(lent);
        let tells_all = std::mem::take(&mut self.tells_all);
        let before = shown.as_deref().map(told).unwrap_or_default();
        let now = told(&seen);
        let mut is_new = false;
        for device in &now {
            if tells_all || !before.contains(device) || unsure.contains(device.name()) {
                is_new = true;
                self.say(lent, device.clone().into_owned());
            }
        }
        // Who said nothing of one without a name meant all of them, which is not so any more where one is there.
        let is_there = now.iter().any(|device| device.state() != State::Offline);
        let meant = unsure.iter().filter(|name| !is_there || !name.is_empty());
        let believed: BTreeSet<&str> = names(shown.as_deref())
            .into_iter()
            .chain(meant.map(String::as_str))
            .collect();
        for name in believed {
            if now.iter().all(|other| other.name() != name) {
                is_new = true;
                self.say_gone(lent, name);
            }
        }
        if is_new {
            self.quiet = Some(lent.after(lent.pause));
        }
        self.remember(lent);
    }
}

/// The devices by which a user can be reached.
fn names(presence: Option<&Presence>) -> BTreeSet<&str> {
    let devices = presence.map(Presence::devices).unwrap_or_default();
    let open = devices.iter().filter(|device| device.state() != State::Offline);
    open.map(Device::name).collect()
}

/// What is said of a state: the devices by which the user can be reached, or one by which he cannot.
fn told(presence: &Presence) -> Vec<Cow<'_, Device>> {
    let devices = presence.devices();
    let open = devices.iter().filter(|device| device.state() != State::Offline);
    let open: Vec<_> = open.map(Cow::Borrowed).collect();
    if !open.is_empty() {
        return open;
    }
    vec![match devices.first() {
        Some(last) => Cow::Borrowed(last),
        None => Cow::Owned(Device::new("", State::Offline)),
    }]
}

/// What could not be told is told again after twice this, then after four times as long, up to 80 s.
const UNTOLD_PAUSE: Duration = Duration::from_millis(2_500);
const MOST_DOUBLED: u32 = 5;
