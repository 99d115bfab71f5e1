//! How records look in a store: keys, and values as JSON in shapes that are versioned apart from the gateway's own.
//!
//! Not a format on the wire, and nothing that others read. A reader takes whatever octets a file holds and answers with a record or
//! a reason; what it does not know of a value it passes over, so that a field may be added without a new version.

mod shapes;
#[cfg(test)]
pub(super) mod tests;

use crate::gateway::presence::{Ends, Record};

/// The version that this program writes.
///
/// - 0: keys were both addresses with a NUL between them, and the file did not say its version.
/// - 1: keys tell the length of the first address.
pub const VERSION: u64 = 1;

/// The octets by which a record is found.
pub type Key = Vec<u8>;

/// Why something cannot be kept, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// The key is not made of two addresses.
    #[error("its key is not made of two addresses")]
    Key,
    /// An address is longer than any can be.
    #[error("an address of it is longer than {MOST_ADDRESS} octets")]
    Address,
    /// The value has not the shape of a record.
    #[error("its value has not the shape of a record: {0}")]
    Value(String),
}

/// The key of two users.
///
/// # Errors
/// [`BadEntry::Address`].
pub fn key_of(ends: &Ends) -> Result<Key, BadEntry> {
    let length = u16::try_from(ends.xmpp.len()).map_err(|_| BadEntry::Address)?;
    let mut key = Vec::with_capacity(ends.xmpp.len() + ends.sip.len() + 2);
    key.extend(length.to_be_bytes());
    key.extend(ends.xmpp.as_bytes());
    key.extend(ends.sip.as_bytes());
    Ok(key)
}

/// The two users of a key.
///
/// # Errors
/// [`BadEntry::Key`].
pub fn ends_of(key: &[u8]) -> Result<Ends, BadEntry> {
    let (length, rest) = key.split_first_chunk().ok_or(BadEntry::Key)?;
    let (xmpp, sip) = rest
        .split_at_checked(usize::from(u16::from_be_bytes(*length)))
        .ok_or(BadEntry::Key)?;
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).map_err(|_| BadEntry::Key);
    Ok(Ends {
        xmpp: text(xmpp)?,
        sip: text(sip)?,
    })
}

/// The value of a record: what it says beside whose it is.
///
/// # Errors
/// [`BadEntry::Value`].
pub fn value_of(record: &Record) -> Result<Vec<u8>, BadEntry> {
    serde_json::to_vec(&shapes::Entry::of(record)).map_err(|error| BadEntry::Value(error.to_string()))
}

/// The record of a key and a value.
///
/// # Errors
/// [`BadEntry`].
pub fn record_of(key: &[u8], value: &[u8]) -> Result<Record, BadEntry> {
    let ends = ends_of(key)?;
    let entry: shapes::Entry<'_> = serde_json::from_slice(value)
        // The library's words may quote the value, which is not for a log.
        .map_err(|error| BadEntry::Value(format!("{:?} at octet {}", error.classify(), error.column())))?;
    Ok(entry.into_record(ends))
}

/// What was stored under an older version, as [`VERSION`] has it.
///
/// # Errors
/// [`BadEntry`] where it was not of that version.
pub fn migrated(version: u64, key: &[u8], value: &[u8]) -> Result<(Key, Vec<u8>), BadEntry> {
    let mut key = key.to_vec();
    if version == 0 {
        let mut ends = key.splitn(2, |octet| *octet == 0);
        let mut next = || {
            let end = ends.next().ok_or(BadEntry::Key)?;
            String::from_utf8(end.to_vec()).map_err(|_| BadEntry::Key)
        };
        let ends = Ends {
            xmpp: next()?,
            sip: next()?,
        };
        key = key_of(&ends)?;
    }
    Ok((key, value.to_vec()))
}

/// The longest address: what a key can tell the length of.
const MOST_ADDRESS: u16 = u16::MAX;
