//! The shapes of values. They mirror the gateway's records field by field, and change only together with the version or by a field
//! that may be missing.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::gateway::presence::{
    Consent, DeviceRecord, Ends, Farewell, Record, ServeRecord, ServedRecord, WatchRecord,
};
use crate::sip::dialog;

/// A [`Record`] without its ends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    watch: Option<Watch<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    serve: Option<Serve<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Watch<'a> {
    consent: Word,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    dialog: Option<(Dialog<'a>, u64)>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    shown: Vec<Device<'a>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_ended: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Serve<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consent: Option<Word>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    dialogs: Vec<Served<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    known: Vec<Device<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused_until: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Served<'a> {
    #[serde(borrow)]
    dialog: Dialog<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    event_id: Option<Cow<'a, str>>,
    until: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    farewell: Option<Goodbye>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Device<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<(Option<Cow<'a, str>>, Cow<'a, str>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<i8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_since: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Dialog<'a> {
    role: Role,
    usage: Usage,
    phase: Phase,
    security: Security,
    #[serde(borrow)]
    call_id: Cow<'a, str>,
    #[serde(borrow)]
    local: Cow<'a, str>,
    #[serde(borrow)]
    remote: Cow<'a, str>,
    #[serde(borrow)]
    contact: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    local_sequence: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote_sequence: Option<u32>,
    #[serde(borrow)]
    target: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    route: Vec<Cow<'a, str>>,
}

/// A word of ours for each value of an enum of the gateway's: renaming one there changes nothing that is stored.
macro_rules! words {
    ($name:ident for $of:ty { $($value:ident => $its:path),+ $(,)? }) => {
        #[derive(Debug, Clone, Copy, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum $name { $($value),+ }

        impl $name {
            fn of(value: $of) -> Self {
                match value { $($its => Self::$value),+ }
            }

            fn read(self) -> $of {
                match self { $(Self::$value => $its),+ }
            }
        }
    };
}

words!(Word for Consent { Asked => Consent::Asked, Given => Consent::Given });
words!(Goodbye for Farewell { Rejected => Farewell::Rejected, Nobody => Farewell::Nobody });
words!(Role for dialog::Role { Caller => dialog::Role::Caller, Callee => dialog::Role::Callee });
words!(Usage for dialog::Usage { Session => dialog::Usage::Session, Subscription => dialog::Usage::Subscription });
words!(Phase for dialog::Phase {
    Early => dialog::Phase::Early,
    Confirmed => dialog::Phase::Confirmed,
    Ended => dialog::Phase::Ended,
});
words!(Security for dialog::Security { Sips => dialog::Security::Sips, Open => dialog::Security::Open });

impl<'a> Entry<'a> {
    /// What is to be written of a record.
    pub(super) fn of(record: &'a Record) -> Self {
        Self {
            watch: record.watch.as_ref().map(|watch| Watch {
                consent: Word::of(watch.consent),
                dialog: watch
                    .dialog
                    .as_ref()
                    .map(|(dialog, until)| (Dialog::of(dialog), *until)),
                target: watch.target.as_deref().map(Cow::Borrowed),
                shown: watch.shown.iter().map(Device::of).collect(),
                has_ended: watch.has_ended,
            }),
            serve: record.serve.as_ref().map(|serve| Serve {
                consent: serve.consent.map(Word::of),
                dialogs: serve.dialogs.iter().map(Served::of).collect(),
                known: serve.known.iter().map(Device::of).collect(),
                refused_until: serve.refused_until,
            }),
        }
    }

    /// The record of these users.
    pub(super) fn into_record(self, ends: Ends) -> Record {
        Record {
            ends,
            watch: self.watch.map(|watch| WatchRecord {
                consent: watch.consent.read(),
                dialog: watch.dialog.map(|(dialog, until)| (dialog.read(), until)),
                target: watch.target.map(Cow::into_owned),
                shown: watch.shown.into_iter().map(Device::read).collect(),
                has_ended: watch.has_ended,
            }),
            serve: self.serve.map(|serve| ServeRecord {
                consent: serve.consent.map(Word::read),
                dialogs: serve.dialogs.into_iter().map(Served::read).collect(),
                known: serve.known.into_iter().map(Device::read).collect(),
                refused_until: serve.refused_until,
            }),
        }
    }
}

impl<'a> Served<'a> {
    fn of(served: &'a ServedRecord) -> Self {
        Self {
            dialog: Dialog::of(&served.dialog),
            event_id: served.event_id.as_deref().map(Cow::Borrowed),
            until: served.until,
            farewell: served.farewell.map(Goodbye::of),
        }
    }

    fn read(self) -> ServedRecord {
        ServedRecord {
            dialog: self.dialog.read(),
            event_id: self.event_id.map(Cow::into_owned),
            until: self.until,
            farewell: self.farewell.map(Goodbye::read),
        }
    }
}

impl<'a> Device<'a> {
    fn of(device: &'a DeviceRecord) -> Self {
        let notes = device.notes.iter();
        Self {
            name: Cow::Borrowed(&device.name),
            state: Cow::Borrowed(&device.state),
            notes: notes
                .map(|(language, words)| (language.as_deref().map(Cow::Borrowed), Cow::from(words)))
                .collect(),
            priority: device.priority,
            idle_since: device.idle_since,
        }
    }

    fn read(self) -> DeviceRecord {
        let notes = self.notes.into_iter();
        DeviceRecord {
            name: self.name.into_owned(),
            state: self.state.into_owned(),
            notes: notes
                .map(|(language, words)| (language.map(Cow::into_owned), words.into_owned()))
                .collect(),
            priority: self.priority,
            idle_since: self.idle_since,
        }
    }
}

impl<'a> Dialog<'a> {
    fn of(dialog: &'a dialog::Record) -> Self {
        Self {
            role: Role::of(dialog.role),
            usage: Usage::of(dialog.usage),
            phase: Phase::of(dialog.phase),
            security: Security::of(dialog.security),
            call_id: Cow::Borrowed(&dialog.call_id),
            local: Cow::Borrowed(&dialog.local),
            remote: Cow::Borrowed(&dialog.remote),
            contact: Cow::Borrowed(&dialog.contact),
            local_sequence: dialog.local_sequence,
            remote_sequence: dialog.remote_sequence,
            target: Cow::Borrowed(&dialog.target),
            route: dialog.route.iter().map(Cow::from).collect(),
        }
    }

    fn read(self) -> dialog::Record {
        dialog::Record {
            role: self.role.read(),
            usage: self.usage.read(),
            phase: self.phase.read(),
            security: self.security.read(),
            call_id: self.call_id.into_owned(),
            local: self.local.into_owned(),
            remote: self.remote.into_owned(),
            contact: self.contact.into_owned(),
            local_sequence: self.local_sequence,
            remote_sequence: self.remote_sequence,
            target: self.target.into_owned(),
            route: self.route.into_iter().map(Cow::into_owned).collect(),
        }
    }
}
