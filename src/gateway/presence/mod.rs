//! Presence of users across the protocols.

mod listed;
mod record;

use std::time::Instant;

pub use listed::{Listed, Page, Watcher};
pub use record::{Change, Consent, DeviceRecord, Ends, Record, ServeRecord, ServedRecord, WatchRecord};

use super::Gateway;

impl<O> Gateway<O> {
    /// The subscriptions that stand between users of SIP and of XMPP, of at most `most` pairs of users, in their order, from the
    /// first after `after` on.
    #[must_use]
    pub fn subscriptions(&self, now: Instant, after: Option<&Ends>, most: usize) -> Page {
        let _ = (now, after, most);
        Page::default()
    }
}
