//! A dialog as plain text and numbers, for a store: what is written is read back as the same dialog.

use super::{Dialog, MOST_SEQUENCE, Phase, Role, Security, Usage};
use crate::limits::HOPS_OF_A_DIALOG;
use crate::sip::{CallId, Flaw, NameAddr, RouteHop, RouteSet, Uri};

/// A dialog, in parts that any store can keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which end we are.
    pub role: Role,
    /// What it is for.
    pub usage: Usage,
    /// How far it has come.
    pub phase: Phase,
    /// Whether every hop has to be protected.
    pub security: Security,
    /// Its Call-ID.
    pub call_id: String,
    /// Our address with our tag, as in From or To.
    pub local: String,
    /// The other end's.
    pub remote: String,
    /// Our Contact.
    pub contact: String,
    /// The number of our last request.
    pub local_sequence: Option<u32>,
    /// The number of the other end's last request.
    pub remote_sequence: Option<u32>,
    /// Where the other end is reached.
    pub target: String,
    /// The way there, first hop first, as each hop was written.
    pub route: Vec<String>,
}

/// Why a record is no dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// A part cannot be read.
    #[error("the stored dialog has a part that cannot be read: {0}")]
    Part(#[from] Flaw),
    /// Our address has no tag.
    #[error("the stored dialog has no tag of ours")]
    Tag,
    /// A sequence number is out of range.
    #[error("the stored dialog has a sequence number of 2^31 or more")]
    Sequence,
    /// There are too many hops.
    #[error("the stored dialog has more than {HOPS_OF_A_DIALOG} hops")]
    Hops,
}

impl Dialog {
    /// The dialog for a store.
    #[must_use]
    pub fn record(&self) -> Record {
        Record {
            role: self.role,
            usage: self.usage,
            phase: self.phase,
            security: self.security,
            call_id: self.call_id.to_string(),
            local: self.local.to_string(),
            remote: self.remote.to_string(),
            contact: self.contact.to_string(),
            local_sequence: self.local_sequence,
            remote_sequence: self.remote_sequence,
            target: self.target.to_string(),
            route: self.route.iter().map(ToString::to_string).collect(),
        }
    }

    /// The dialog from a store.
    ///
    /// # Errors
    /// [`BadRecord`]; a store is not believed to hold only what we wrote.
    pub fn restore(record: &Record) -> Result<Self, BadRecord> {
        let local = NameAddr::parse(&record.local)?;
        if local.tag().is_none() {
            return Err(BadRecord::Tag);
        }
        if record.local_sequence.max(record.remote_sequence) > Some(MOST_SEQUENCE) {
            return Err(BadRecord::Sequence);
        }
        if record.route.len() > HOPS_OF_A_DIALOG {
            return Err(BadRecord::Hops);
        }
        let route: Result<Vec<_>, _> = record.route.iter().map(|hop| RouteHop::parse(hop)).collect();
        Ok(Self {
            role: record.role,
            usage: record.usage,
            phase: record.phase,
            security: record.security,
            call_id: CallId::parse(&record.call_id)?,
            local,
            remote: NameAddr::parse(&record.remote)?,
            contact: NameAddr::parse(&record.contact)?,
            local_sequence: record.local_sequence,
            remote_sequence: record.remote_sequence,
            target: Uri::parse(&record.target)?,
            route: RouteSet::from(route?),
        })
    }
}
