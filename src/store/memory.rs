//! A store that ends with the process: for tests, and to see what a store has to do.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::schema::{self, Key};
use super::{Part, Store, StoreError};
use crate::gateway::presence::Change;

/// Entries in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<Key, Vec<u8>>>>);

impl Memory {
    /// Its entries.
    pub fn entries(&self) -> MutexGuard<'_, BTreeMap<Key, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn read(&mut self, behind: Option<&Key>, most: usize) -> Result<Part, StoreError> {
        let mut entries = self.entries();
        let from = behind.map_or(Bound::Unbounded, |key| Bound::Excluded(key.clone()));
        let found: Vec<_> = entries
            .range((from, Bound::Unbounded))
            .take(most)
            .map(|(key, value)| (key.clone(), schema::record_of(key, value)))
            .collect();
        let mut part = Part::default();
        if found.len() == most {
            part.next = found.last().map(|(key, _)| key.clone());
        }
        for (key, record) in found {
            match record {
                Ok(record) => part.records.push(record),
                Err(_) => {
                    entries.remove(&key);
                    part.unreadable += 1;
                }
            }
        }
        Ok(part)
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut entries = self.entries();
        for change in changes {
            match change {
                Change::Put(record) => {
                    if let (Ok(key), Ok(value)) = (schema::key_of(&record.ends), schema::value_of(record)) {
                        entries.insert(key, value);
                    }
                }
                Change::Forget(ends) => {
                    if let Ok(key) = schema::key_of(ends) {
                        entries.remove(&key);
                    }
                }
            }
        }
        Ok(())
    }
}
