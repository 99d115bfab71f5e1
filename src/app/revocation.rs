//! Whether revocation lists have changed since they were read.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::config::Settings;
use crate::pki;

/// Files by name, with the time of their last change and their size. What cannot be looked at is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lists(Vec<(PathBuf, SystemTime, u64)>);

impl Lists {
    /// How the lists of all TLS contexts are now, those of folders included.
    pub(super) fn look(settings: &Settings) -> Self {
        let mut files: Vec<PathBuf> = Vec::new();
        for path in settings.tls.values().flat_map(|context| &context.crl) {
            files.extend(pki::files_of(path, "revocation list").unwrap_or_default());
        }
        files.sort();
        files.dedup();
        let state = |path: PathBuf| {
            let found = fs::metadata(&path).ok()?;
            Some((path, found.modified().ok()?, found.len()))
        };
        Self(files.into_iter().filter_map(state).collect())
    }
}

/// How often it is looked whether they have changed.
pub(super) const LOOK: Duration = Duration::from_secs(5);
