//! What an administrator is shown of a subscription.

use std::time::Duration;

use super::record::Ends;

/// Some of the subscriptions of a shard, in the order of their users: no turn of a shard is long, however many it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Those of the users that were asked for; of one pair of users stand all here or none.
    pub listed: Vec<Listed>,
    /// After whom the next page goes on; `None` where this was the last.
    pub next: Option<Ends>,
}

/// One subscription, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Between whom.
    pub ends: Ends,
    /// Who sees whom.
    pub watcher: Watcher,
    /// A constant word for how it stands: `asked`, `pending`, `active`, `dormant`, `retrying`, `blocked`, ...
    pub state: &'static str,
    /// How many dialogs of SIP it has.
    pub dialogs: usize,
    /// When something is next done about it: a refresh, another attempt, its expiry.
    pub next: Option<Duration>,
    /// The state that the watched user was last seen in, by our words; `None` where nothing is known.
    pub seen: Option<String>,
    /// The state that the watcher was last told.
    pub told: Option<String>,
    /// Why it stands as it does, in words for people.
    pub why: String,
}

/// Who sees whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watcher {
    /// The user of XMPP sees the one of SIP.
    Xmpp,
    /// The user of SIP sees the one of XMPP.
    Sip,
}
