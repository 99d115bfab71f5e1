//! The store in a file of the state folder, by redb: one file, one writer, transactions that outlive a kill.
//!
//! The whole file is verified whenever it is opened, as the library may panic on a damaged one that it trusts. A damaged file is put
//! aside under another name, and a new one begun. The file belongs to one process at a time, by a lock of the operating system.

mod aside;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, Durability, Error, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    WriteTransaction,
};

use super::schema::{self, Key};
use super::{Folder, Opened, Opener, Part, Store, StoreError};
use crate::gateway::presence::Change;

/// An open file.
#[derive(Debug)]
pub struct Redb {
    database: Database,
    path: PathBuf,
}

impl Redb {
    /// Opens the file of a folder; makes it, where there is none, or in the place of a damaged one. Blocks for as long as it takes to
    /// read the file once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Folder) -> Result<Opened, StoreError> {
        let path = folder.path().join(FILE);
        let (store, set_aside) = match Self::at(&path) {
            Err(StoreError::Damaged { what, .. }) => {
                let kept = aside::put(&path)?;
                tracing::error!(
                    class = "damaged", file = %path.display(), kept = %kept.display(), reason = what,
                    "the store is damaged and was put aside; a new one is begun, without the subscriptions that were in it: look for faults of the disk"
                );
                (Self::at(&path)?, Some(kept))
            }
            other => (other?, None),
        };
        Ok(Opened {
            store: Box::new(store),
            set_aside,
        })
    }

    fn at(path: &Path) -> Result<Self, StoreError> {
        let refused = |error: io::Error| trouble(path, error);
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            fs::create_dir(folder).map_err(refused)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(refused)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(refused)?;
        let found = file.metadata().map_err(refused)?;
        if found.permissions().mode() & 0o177 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))
                .map_err(refused)?;
        }
        let backend = FileBackend::new(file).map_err(|error| trouble(path, error))?;
        let database = Builder::new()
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(|error| trouble(path, error))?;
        let mut store = Self {
            database,
            path: path.to_owned(),
        };
        store.take_up(found.len()).map_err(|error| match error {
            Fault::Ours(error) => error,
            Fault::Library(error) => trouble(path, error),
        })?;
        Ok(store)
    }

    /// Makes what is found ours: of our version, and no larger than it has to be.
    fn take_up(&mut self, length: u64) -> Result<(), Fault> {
        let change = self.change()?;
        let found = change.list_tables().map_err(Error::from)?.next().is_some();
        let version = {
            let versions = change.open_table(VERSIONS).map_err(Error::from)?;
            let version = versions.get(SCHEMA).map_err(Error::from)?;
            version.map(|version| version.value())
        };
        let version = version.unwrap_or(if found { 0 } else { schema::VERSION });
        if version > schema::VERSION {
            return Err(Fault::Ours(StoreError::Newer {
                file: self.path.display().to_string(),
                found: version,
            }));
        }
        if version < schema::VERSION {
            self.migrate(&change, version)?;
        }
        {
            let mut versions = change.open_table(VERSIONS).map_err(Error::from)?;
            versions.insert(SCHEMA, schema::VERSION).map_err(Error::from)?;
            change.open_table(RECORDS).map_err(Error::from)?;
            change.open_table(UNREADABLE).map_err(Error::from)?;
        }
        let live = change.stats().map_err(Error::from)?.stored_bytes();
        change.commit().map_err(Error::from)?;
        if length > SMALL.max(live.saturating_mul(LOOSE)) {
            self.database.compact().map_err(Error::from)?;
        }
        if length == 0
            && let Some(folder) = self.path.parent()
        {
            // The name of a new file outlives the machine only once its folder is written.
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| Fault::Library(Error::Io(error)))?;
        }
        Ok(())
    }

    /// All within one transaction: it is of one version or of the other.
    fn migrate(&self, change: &WriteTransaction, version: u64) -> Result<(), Error> {
        let before = self.database.begin_read()?;
        let before = match before.open_table(RECORDS) {
            Ok(before) => before,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut records = change.open_table(RECORDS)?;
        let mut unreadable = change.open_table(UNREADABLE)?;
        records.retain(|_, _| false)?;
        let (mut taken, mut left) = (0_u64, 0_u64);
        for entry in before.iter()? {
            let (key, value) = entry?;
            match schema::migrated(version, key.value(), value.value()) {
                Ok((key, value)) => {
                    records.insert(key.as_slice(), value.as_slice())?;
                    taken += 1;
                }
                Err(_) => {
                    unreadable.insert(key.value(), value.value())?;
                    left += 1;
                }
            }
        }
        tracing::warn!(
            from = version,
            to = schema::VERSION,
            taken,
            put_aside = left,
            "the store was of an older version and was taken over"
        );
        Ok(())
    }

    fn change(&self) -> Result<WriteTransaction, Error> {
        let mut change = self.database.begin_write()?;
        change.set_durability(Durability::Immediate)?;
        Ok(change)
    }

    fn read_part(&self, behind: Option<&Key>, most: usize) -> Result<Part, Error> {
        let mut part = Part::default();
        let mut bad: Vec<(Key, Vec<u8>)> = Vec::new();
        let read = self.database.begin_read()?;
        let records = read.open_table(RECORDS)?;
        let from = behind.map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_slice()));
        let mut count = 0_usize;
        for entry in records.range::<&[u8]>((from, Bound::Unbounded))?.take(most) {
            let (key, value) = entry?;
            count += 1;
            if count == most {
                part.next = Some(key.value().to_vec());
            }
            match schema::record_of(key.value(), value.value()) {
                Ok(record) => part.records.push(record),
                Err(error) => {
                    tracing::debug!(%error, "a stored record cannot be read");
                    bad.push((key.value().to_vec(), value.value().to_vec()));
                }
            }
        }
        part.unreadable = bad.len();
        if !bad.is_empty() {
            let change = self.change()?;
            {
                let mut records = change.open_table(RECORDS)?;
                let mut unreadable = change.open_table(UNREADABLE)?;
                for (key, value) in bad {
                    records.remove(key.as_slice())?;
                    unreadable.insert(key.as_slice(), value.as_slice())?;
                }
            }
            change.commit()?;
        }
        Ok(part)
    }

    fn write_all(&self, changes: &[Change]) -> Result<(), Error> {
        let change = self.change()?;
        {
            let mut records = change.open_table(RECORDS)?;
            for change in changes {
                let written = match change {
                    Change::Put(record) => schema::key_of(&record.ends)
                        .and_then(|key| Ok((key, schema::value_of(record)?)))
                        .map(|(key, value)| records.insert(key.as_slice(), value.as_slice()).map(drop)),
                    Change::Forget(ends) => {
                        schema::key_of(ends).map(|key| records.remove(key.as_slice()).map(drop))
                    }
                };
                match written {
                    Ok(written) => written?,
                    // It would be as wrong the next time: the others must not wait for it.
                    Err(error) => {
                        tracing::error!(class = "unwritable", %error, "a record cannot be stored, and is kept in memory only");
                    }
                }
            }
        }
        change.commit()?;
        Ok(())
    }
}

impl Opener for Folder {
    fn open(&mut self) -> Result<Opened, StoreError> {
        if self.is_open_to_others() {
            tracing::warn!(
                folder = %self.path().display(),
                "others may change what is in [edge] state_dir, and put another store in the place of ours: chmod go-w"
            );
        }
        Redb::open(self)
    }

    fn put_aside(&mut self) -> Result<(), StoreError> {
        aside::put(&self.path().join(FILE)).map(drop)
    }
}

impl Store for Redb {
    fn read(&mut self, behind: Option<&Key>, most: usize) -> Result<Part, StoreError> {
        self.read_part(behind, most)
            .map_err(|error| trouble(&self.path, error))
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.write_all(changes)
            .map_err(|error| trouble(&self.path, error))
    }
}

/// Why a file is not taken up.
enum Fault {
    Ours(StoreError),
    Library(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

/// What the library or the operating system says, in terms of what can be done about it.
fn trouble(path: &Path, error: impl Into<Error>) -> StoreError {
    let error = error.into();
    let file = path.display().to_string();
    let what = error.to_string();
    if let Error::Io(error) = &error {
        let kind = error.kind();
        return match () {
            () if matches!(
                kind,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            ) =>
            {
                StoreError::Full(file)
            }
            () if kind == io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly(file),
            () if kind == io::ErrorKind::PermissionDenied => StoreError::Denied(file),
            // What should be there is not, or is nothing that the library writes.
            () if matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => {
                StoreError::Damaged { file, what }
            }
            () => StoreError::Other { file, what },
        };
    }
    if matches!(error, Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch) {
        return StoreError::Locked(file);
    }
    let damaged = matches!(
        error,
        Error::Corrupted(_)
            | Error::UpgradeRequired(_)
            | Error::RepairAborted
            | Error::TableTypeMismatch { .. }
            | Error::TableIsMultimap(_)
            | Error::TableIsNotMultimap(_)
            | Error::TypeDefinitionChanged { .. }
            | Error::TableDoesNotExist(_)
    );
    if damaged {
        StoreError::Damaged { file, what }
    } else {
        StoreError::Other { file, what }
    }
}

/// The name of the file.
const FILE: &str = "vestibule.redb";
const VERSIONS: TableDefinition<'_, &str, u64> = TableDefinition::new("versions");
const SCHEMA: &str = "schema";
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("presence");
/// What was in the other tables and could not be read, as it was.
const UNREADABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("unreadable");
/// Octets of pages that are kept in memory: everything is read once, and then only written.
const CACHE: usize = 4 << 20;
/// A file is made smaller when it is so many times as large as what is in it,
const LOOSE: u64 = 4;
/// and not small anyway, in octets.
const SMALL: u64 = 4 << 20;
