//! Presence of users across the protocols.

mod listed;
mod record;

use std::time::Instant;

pub use listed::{Listed, Watcher};
pub use record::{Change, Consent, DeviceRecord, Ends, Record, ServeRecord, ServedRecord, WatchRecord};

use super::Gateway;

impl<O> Gateway<O> {
    /// The subscriptions that stand between users of SIP and of XMPP.
    #[must_use]
    pub fn subscriptions(&self, now: Instant) -> Vec<Listed> {
        let _ = now;
        Vec::new()
    }
}
