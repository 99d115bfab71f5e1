//! Presence documents: the state of a user as a `<presence/>` of each of his devices, and as the documents that SIP
//! notifications carry (RFC 8048 §6).
//!
//! Both directions go over [`Presence`], which belongs to neither protocol: [`xmpp`] and the readers of [`document`] read into it,
//! [`xmpp`] and [`pidf`] write from it. How kinds of peers name a state is data, in [`table`]. Who may see what, when it is told, and
//! subscriptions are not here.
//!
//! Invariants of a [`Presence`]: it has no two devices of one name; its notes hold only characters that XML can carry, are one
//! line, and not longer than [`crate::limits::NOTE_CHARACTERS`].

pub mod document;
mod msrtc;
pub mod pidf;
pub mod table;
pub mod xmpp;
mod xpidf;

use crate::limits::{NOTE_CHARACTERS, PRESENCE_DEVICES};
use crate::sip::Date;

use super::message::{Language, Text};

/// How a user can be reached, by what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    devices: Vec<Device>,
}

/// One of the devices of a user, or all of them together where nothing tells them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name: the resource of a JID, the identifier of a tuple.
    pub(super) name: String,
    pub(super) state: State,
    pub(super) notes: Vec<Text>,
    pub(super) priority: Option<i8>,
    pub(super) idle_since: Option<Date>,
    /// Whether its name is no address by which requests reach it (RFC 5627).
    pub(super) is_unaddressed: bool,
}

/// What a user does at a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Wants to talk (XMPP alone says so).
    Chat,
    /// Can be reached.
    Available,
    /// Works on something, and can be reached.
    Busy(Occupation),
    /// Does not want to be disturbed.
    DoNotDisturb,
    /// Is about to come back.
    BeRightBack,
    /// Is not there.
    Away,
    /// Is not there for long.
    ExtendedAway,
    /// Cannot be reached.
    Offline,
}

/// What keeps a busy user busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Occupation {
    /// Nobody says.
    Unsaid,
    /// A call.
    Phone,
    /// A meeting, an appointment.
    Meeting,
    /// A presentation, a performance.
    Presentation,
}

impl Presence {
    /// Of no device yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { devices: Vec::new() }
    }

    /// The same with a device more, or with what is new of one that it has. More than [`PRESENCE_DEVICES`] are not kept.
    #[must_use]
    pub fn with(mut self, device: Device) -> Self {
        self.set(device);
        self
    }

    /// Takes what is new of a device.
    pub fn set(&mut self, device: Device) {
        if self.devices.contains(&device) {
            return;
        }
        self.remove(&device.name);
        if self.devices.len() < PRESENCE_DEVICES {
            // It is kept for long, and most users have one.
            self.devices.reserve_exact(1);
            self.devices.push(device);
        }
    }

    /// Forgets a device.
    pub fn remove(&mut self, name: &str) {
        self.devices.retain(|device| device.name != name);
    }

    /// The devices: what was new last comes last.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// All of them as one: the most available, of several the one of highest priority, of these the last. A device of
    /// negative priority wants no messages and does not count (RFC 6121 §8.5.2.1.1).
    #[must_use]
    pub fn aggregate(&self) -> Device {
        self.devices
            .iter()
            .filter(|device| device.state == State::Offline || device.priority.unwrap_or_default() >= 0)
            .rev()
            .min_by_key(|device| {
                let priority = std::cmp::Reverse(device.priority.unwrap_or_default());
                (device.state.rank(), priority)
            })
            .cloned()
            .unwrap_or_else(|| Device::new("", State::Offline))
    }
}

impl Device {
    /// A device in a state.
    #[must_use]
    pub fn new(name: &str, state: State) -> Self {
        Self {
            name: name.to_owned(),
            state,
            notes: Vec::new(),
            priority: None,
            idle_since: None,
            is_unaddressed: false,
        }
    }

    /// The same with a note in words, perhaps in a language; a second in one language, and an empty one, are left out.
    #[must_use]
    pub fn with_note(mut self, note: &str, language: Option<Language>) -> Self {
        let cut: String = note.chars().take(NOTE_CHARACTERS).collect();
        super::message::add(&mut self.notes, Text::line(&cut, language));
        self
    }

    /// The same with a priority among the devices of its user (RFC 6121 §4.7.2.3).
    #[must_use]
    pub const fn with_priority(mut self, priority: Option<i8>) -> Self {
        self.priority = priority;
        self
    }

    /// The same, unused since then.
    #[must_use]
    pub const fn with_idle_since(mut self, since: Option<Date>) -> Self {
        self.idle_since = since;
        self
    }

    /// Whether what is sent to it has to go to its user, as its name is no address (RFC 5627).
    #[must_use]
    pub const fn is_unaddressed(&self) -> bool {
        self.is_unaddressed
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its user does.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// What its user says of that, at most once a language.
    #[must_use]
    pub fn notes(&self) -> &[Text] {
        &self.notes
    }

    /// Its priority.
    #[must_use]
    pub const fn priority(&self) -> Option<i8> {
        self.priority
    }

    /// The same; its notes are in that language, where they do not say in which.
    fn in_language(mut self, language: &Language) -> Self {
        for note in std::mem::take(&mut self.notes) {
            let own = note.language().cloned();
            self = self.with_note(note.as_str(), own.or_else(|| Some(language.clone())));
        }
        self
    }

    /// Since when it was not used.
    #[must_use]
    pub const fn idle_since(&self) -> Option<Date> {
        self.idle_since
    }
}

impl State {
    /// Whether messages reach the user.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Offline)
    }

    /// The lower, the more available.
    const fn rank(self) -> u8 {
        match self {
            Self::Chat => 0,
            Self::Available => 1,
            Self::Busy(_) => 2,
            Self::BeRightBack => 3,
            Self::Away => 4,
            Self::ExtendedAway => 5,
            Self::DoNotDisturb => 6,
            Self::Offline => 7,
        }
    }
}

#[cfg(test)]
mod tests;
