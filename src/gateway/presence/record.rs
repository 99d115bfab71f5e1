//! What of two users' presence outlives the process, in parts that any store can keep.
//!
//! A record says nothing of routes, servers or policy: those are asked again when it is read, so that nothing comes back that the
//! configuration has forbidden meanwhile.

use crate::gateway::delivery::pair_of_addresses;
use crate::sip::dialog;

/// What two users know of each other's presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Between whom.
    pub ends: Ends,
    /// What the user of XMPP has asked to see.
    pub watch: Option<WatchRecord>,
    /// What the user of SIP has asked to see.
    pub serve: Option<ServeRecord>,
}

/// Two users by their bare addresses, as XMPP writes both: the key of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ends {
    /// The user of XMPP.
    pub xmpp: String,
    /// The user of SIP.
    pub sip: String,
}

impl Ends {
    /// The number of the pair, by which its shard is chosen: that of the messages between them.
    #[must_use]
    pub fn pair(&self) -> u64 {
        pair_of_addresses(&self.xmpp, &self.sip)
    }
}

/// Whether somebody may see the state of another: what outlives every dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consent {
    /// It was asked for, and nobody has answered.
    Asked,
    /// It was given.
    Given,
}

/// A user of XMPP sees one of SIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRecord {
    /// Whether he may.
    pub consent: Consent,
    /// The subscription that brings the state, where one stands, and when it ends, in seconds since 1970.
    pub dialog: Option<(dialog::Record, u64)>,
    /// The URI that the user of SIP is known by, where it is not the address of his name in XMPP.
    pub target: Option<String>,
    /// What the user of XMPP was shown last.
    pub shown: Vec<DeviceRecord>,
    /// Whether it is over, and he has still to be told.
    pub has_ended: bool,
}

/// A user of SIP sees one of XMPP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeRecord {
    /// Whether he may; `None` where nobody is asked: the watcher is blocked and is not to know, or the other has said no.
    pub consent: Option<Consent>,
    /// His subscriptions.
    pub dialogs: Vec<ServedRecord>,
    /// What is known of the user of XMPP.
    pub known: Vec<DeviceRecord>,
    /// Until when the user of XMPP is not asked, because he has said no, in seconds since 1970.
    pub refused_until: Option<u64>,
}

/// One subscription of a user of SIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedRecord {
    /// Its dialog.
    pub dialog: dialog::Record,
    /// The `id` of its Event, where it has one.
    pub event_id: Option<String>,
    /// When it ends, in seconds since 1970.
    pub until: u64,
    /// That it is over already, where its watcher has not said that he has heard so; until then he believes that it lasts.
    pub farewell: Option<Farewell>,
}

/// Why a subscription is over, where its watcher would go on to show what he saw if he were not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Farewell {
    /// He may not see the other any more.
    Rejected,
    /// There is nobody to be seen.
    Nobody,
}

/// A device of a user in a state, by words that do not change: the name of the state is that of [`crate::interwork::presence::State`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// The resource.
    pub name: String,
    /// The state.
    pub state: String,
    /// What its user says of that: language, words.
    pub notes: Vec<(Option<String>, String)>,
    /// Its priority.
    pub priority: Option<i8>,
    /// Since when it was not used, in seconds since 1970.
    pub idle_since: Option<u64>,
}

/// A change for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This is what is known of two users now.
    Put(Box<Record>),
    /// Nothing is known of them any more.
    Forget(Ends),
}
