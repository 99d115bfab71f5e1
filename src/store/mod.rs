//! The durable store: what of users' presence outlives the process.
//!
//! Not a way to ask anything: everything is handed to the shards once at the start, and from then on changes are
//! written in groups. Nothing waits for it but the acknowledgement of a change; where it fails, what has changed is kept in memory
//! until it works again. What is stored is believed no further than its shape: policy and routes are asked again.

mod desk;
mod folder;
mod keeper;
mod memory;
mod redb;
pub mod schema;
mod task;
#[cfg(test)]
mod tests;

pub use self::redb::Redb;
pub use desk::{Desk, Handed};
pub use folder::{Folder, FolderError};
pub use memory::Memory;
pub use task::{Opener, run};

use std::path::PathBuf;

use schema::Key;

use crate::gateway::presence::{Change, Record};

/// Where records are kept. Its calls may block for as long as a disk takes.
pub trait Store: std::fmt::Debug + Send {
    /// Up to `most` of its records, in the order of their keys, from the first or from behind a key. What cannot be read as a record
    /// is kept aside, where no later call finds it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn read(&mut self, behind: Option<&Key>, most: usize) -> Result<Part, StoreError>;

    /// Takes all of these changes, so that they outlive the machine, or none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}

/// Some records of a store.
#[derive(Debug, Default)]
pub struct Part {
    /// They themselves.
    pub records: Vec<Record>,
    /// How many entries between them could not be read.
    pub unreadable: usize,
    /// Behind which key the next part begins; `None` where this was the last.
    pub next: Option<Key>,
}

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Box<dyn Store>,
    /// Where a damaged file was put in whose place a new one was begun.
    pub set_aside: Option<PathBuf>,
}

/// Why a store cannot be used, for its operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "{0} is in use by another process: stop the other vestibule, or give each its own [edge] state_dir (fuser {0} names it)"
    )]
    Locked(String),
    /// It is of a version that comes after ours.
    #[error(
        "{file} was written by a newer vestibule (its schema is {found}, this one knows {}): run that version, or move the file away \
         to begin anew without the subscriptions in it",
        schema::VERSION
    )]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        found: u64,
    },
    /// What is in it is not what was written.
    #[error("{file} is damaged ({what}): look for faults of the disk")]
    Damaged {
        /// The file.
        file: String,
        /// How that was seen.
        what: String,
    },
    /// There were so many damaged files that no other is put beside them.
    #[error(
        "{0} is damaged, and so were others before it, which stand beside it: look for faults of the disk, and move them all away"
    )]
    DamagedAgain(String),
    /// There is no room.
    #[error(
        "there is no room for {0}: make room on its file system, or raise the quota or the limit on the size of files"
    )]
    Full(String),
    /// The file system takes no changes.
    #[error(
        "{0} is on a file system that takes no changes: mount it for writing; where it changed to that by itself, look for faults of the disk"
    )]
    ReadOnly(String),
    /// It is closed to us.
    #[error(
        "{0} cannot be opened for writing by this user: give it and its folder to the user that vestibule runs as (chown, chmod u+rwx)"
    )]
    Denied(String),
    /// Anything else.
    #[error("{file} cannot be used: {what}")]
    Other {
        /// The file.
        file: String,
        /// What the operating system or the library says.
        what: String,
    },
}

impl StoreError {
    /// The constant word for logs and metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Locked(_) => "locked",
            Self::Newer { .. } => "newer",
            Self::Damaged { .. } | Self::DamagedAgain(_) => "damaged",
            Self::Full(_) => "full",
            Self::ReadOnly(_) => "read_only",
            Self::Denied(_) => "denied",
            Self::Other { .. } => "other",
        }
    }
}
