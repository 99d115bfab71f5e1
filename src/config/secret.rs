//! Secrets by reference: `file:/path` and `env:NAME`, so that the configuration itself can be shown around.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::net::settings::Secret;

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("the secret file {} cannot be read: {why}; it is a file of one line, mode 0600, that belongs to the proxy's user", path.display())]
    Unreadable { path: PathBuf, why: io::Error },
    #[error(
        "the secret file {} can be read by other users (mode {mode:04o}); run: chmod 0600 {}",
        path.display(),
        path.display()
    )]
    Open { path: PathBuf, mode: u32 },
    #[error("the secret file {} is longer than {LONGEST} octets", .0.display())]
    Long(PathBuf),
    #[error("the environment variable {0}, which should hold the secret, is not set for this process")]
    Unset(String),
    #[error("the secret is empty")]
    Empty,
}

/// Reads what `reference` points at. A text without `file:` or `env:` is the secret itself.
pub(crate) fn read(reference: &str, environment: &BTreeMap<String, String>) -> Result<Secret, SecretError> {
    let text = if let Some(path) = reference.strip_prefix("file:") {
        read_file(Path::new(path))?
    } else if let Some(name) = reference.strip_prefix("env:") {
        environment
            .get(name)
            .cloned()
            .ok_or_else(|| SecretError::Unset(name.to_owned()))?
    } else {
        reference.to_owned()
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(SecretError::Empty);
    }
    Ok(Secret::new(text))
}

/// The file that `reference` points at, where it is one.
pub(crate) fn file(reference: &str) -> Option<PathBuf> {
    reference.strip_prefix("file:").map(PathBuf::from)
}

/// Whether `reference` is a secret written out, and not a reference.
pub(crate) fn is_written_out(reference: &str) -> bool {
    !reference.starts_with("file:") && !reference.starts_with("env:")
}

/// The mode of a file, where others than owner and group may read it.
pub(crate) fn open_to_others(file: &File) -> io::Result<Option<u32>> {
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    Ok((mode & 0o007 != 0).then_some(mode))
}

fn read_file(path: &Path) -> Result<String, SecretError> {
    let unreadable = |why| SecretError::Unreadable {
        path: path.to_owned(),
        why,
    };
    // The mode is asked of the file that is open, so that it cannot be exchanged in between.
    let file = File::open(path).map_err(unreadable)?;
    if let Some(mode) = open_to_others(&file).map_err(unreadable)? {
        return Err(SecretError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    file.take(LONGEST.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(SecretError::Long(path.to_owned()));
    }
    Ok(text)
}

/// A secret is a line, not a file of them.
const LONGEST: u64 = 4_096;
