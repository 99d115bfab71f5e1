//! What is kept of a relation for the next process, and how that takes it up.

use std::time::{Duration, Instant};

use super::record::{Consent, DeviceRecord, Ends, Farewell, Record, ServeRecord, ServedRecord, WatchRecord};
use super::serve::Serve;
use super::table::Relation;
use super::watch::{Stage, Watch};
use crate::gateway::conversation::Pair;
use crate::interwork::message::Language;
use crate::interwork::presence::{Device, Occupation, Presence, State};
use crate::limits::PRESENCE_DEVICES;
use crate::sip::subscription::Ending;
use crate::sip::{Date, SipUri};

/// The time of day at an instant, for what outlives the process.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Calendar {
    at: Instant,
    unix: u64,
}

impl Calendar {
    /// It is `unix` seconds since 1970 at `now`.
    pub(in crate::gateway) const fn new(now: Instant, unix: u64) -> Self {
        Self { at: now, unix }
    }

    /// The seconds since 1970 at an instant.
    pub(super) fn unix(self, at: Instant) -> u64 {
        let ahead = at.saturating_duration_since(self.at).as_secs();
        let behind = self.at.saturating_duration_since(at).as_secs();
        self.unix.saturating_add(ahead).saturating_sub(behind)
    }

    /// How long it is until then; nothing where it is past.
    pub(super) const fn until(self, unix: u64) -> Duration {
        Duration::from_secs(unix.saturating_sub(self.unix))
    }
}

/// What is kept of a relation; `None` where there is nothing.
pub(super) fn record(
    pair: &Pair,
    relation: &Relation,
    calendar: Calendar,
    spelling: Option<&SipUri>,
) -> Option<Record> {
    let watch = relation
        .watch
        .as_deref()
        .and_then(|watch| watched(watch, calendar, spelling))
        .or_else(|| relation.has_ended.then(ended));
    let serve = relation
        .serve
        .as_deref()
        .and_then(|serve| served(serve, calendar));
    (watch.is_some() || serve.is_some()).then(|| Record {
        ends: ends(pair),
        watch,
        serve,
    })
}

pub(super) fn ends(pair: &Pair) -> Ends {
    Ends {
        xmpp: pair.xmpp.to_string(),
        sip: pair.sip.to_string(),
    }
}

fn watched(watch: &Watch, calendar: Calendar, spelling: Option<&SipUri>) -> Option<WatchRecord> {
    // What is given up is not begun again, whatever becomes of the dialog.
    if watch.is_adhoc() || matches!(watch.stage(), Stage::Leaving | Stage::Over) {
        return None;
    }
    let dialog = watch.subscriber().and_then(|subscriber| {
        let until = subscriber.until()?;
        Some((subscriber.dialog()?.record(), calendar.unix(until)))
    });
    Some(WatchRecord {
        consent: watch.consent(),
        dialog,
        target: spelling.map(ToString::to_string),
        shown: devices(&watch.believed()),
        has_ended: false,
    })
}

/// One that is over, of which the user of XMPP has not heard.
const fn ended() -> WatchRecord {
    WatchRecord {
        consent: Consent::Asked,
        dialog: None,
        target: None,
        shown: Vec::new(),
        has_ended: true,
    }
}

fn served(serve: &Serve, calendar: Calendar) -> Option<ServeRecord> {
    let consent = serve.consent();
    let dialogs = serve.notifiers().filter_map(|notifier| {
        // One that is over does not live again; its watcher is told so by the next process, if he has not heard it from this one.
        let farewell = match notifier.ending() {
            None => None,
            Some(Ending::Rejected) => Some(Farewell::Rejected),
            Some(Ending::NoResource) => Some(Farewell::Nobody),
            // He has given it up, or tries again by himself.
            Some(Ending::Timeout | Ending::GiveUp(_) | Ending::Probation(_) | Ending::Deactivated) => {
                return None;
            }
        };
        Some(ServedRecord {
            dialog: notifier.dialog().record(),
            event_id: notifier.event().id().map(str::to_owned),
            until: calendar.unix(notifier.until()?),
            farewell,
        })
    });
    let dialogs: Vec<ServedRecord> = dialogs.collect();
    let refused_until = serve.refused_until().map(|until| calendar.unix(until));
    // Where nobody is asked there is nothing to remember but that somebody looks, or that he is not to be asked.
    (consent.is_some() || !dialogs.is_empty() || refused_until.is_some()).then(|| ServeRecord {
        consent,
        dialogs,
        known: devices(serve.known()),
        refused_until,
    })
}

fn devices(presence: &Presence) -> Vec<DeviceRecord> {
    presence.devices().iter().map(device).collect()
}

fn device(device: &Device) -> DeviceRecord {
    DeviceRecord {
        name: device.name().to_owned(),
        state: word(device.state()).to_owned(),
        notes: device
            .notes()
            .iter()
            .map(|note| {
                let language = note.language().map(|language| language.as_str().to_owned());
                (language, note.as_str().to_owned())
            })
            .collect(),
        priority: device.priority(),
        idle_since: device
            .idle_since()
            .and_then(|since| u64::try_from(since.unix_seconds()).ok()),
    }
}

/// The presence of a record; what it cannot mean is left out.
pub(super) fn presence(records: &[DeviceRecord]) -> Presence {
    let devices = records.iter().take(PRESENCE_DEVICES);
    devices
        .filter_map(|record| {
            let since = record.idle_since.and_then(|since| i64::try_from(since).ok());
            let device = Device::new(&record.name, state(&record.state)?)
                .with_priority(record.priority)
                .with_idle_since(since.and_then(Date::from_unix_seconds));
            Some(record.notes.iter().fold(device, |device, (language, words)| {
                device.with_note(words, language.as_deref().and_then(Language::parse))
            }))
        })
        .fold(Presence::new(), Presence::with)
}

/// The name of a state, which does not change.
pub(super) const fn word(state: State) -> &'static str {
    match state {
        State::Chat => "chat",
        State::Available => "available",
        State::Busy(Occupation::Unsaid) => "busy",
        State::Busy(Occupation::Phone) => "on-the-phone",
        State::Busy(Occupation::Meeting) => "meeting",
        State::Busy(Occupation::Presentation) => "presentation",
        State::DoNotDisturb => "dnd",
        State::BeRightBack => "be-right-back",
        State::Away => "away",
        State::ExtendedAway => "xa",
        State::Offline => "offline",
    }
}

fn state(name: &str) -> Option<State> {
    STATES.into_iter().find(|state| word(*state) == name)
}

const STATES: [State; 11] = [
    State::Chat,
    State::Available,
    State::Busy(Occupation::Unsaid),
    State::Busy(Occupation::Phone),
    State::Busy(Occupation::Meeting),
    State::Busy(Occupation::Presentation),
    State::DoNotDisturb,
    State::BeRightBack,
    State::Away,
    State::ExtendedAway,
    State::Offline,
];
