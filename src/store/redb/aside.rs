//! Damaged files, which are kept beside the new one under names that tell when.

use std::fs;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::macros::format_description;

use super::super::StoreError;
use super::trouble;
use crate::net::world;

/// Renames a damaged file; the answer is its new name.
///
/// # Errors
/// [`StoreError`], also where there are too many of them: a disk that fails again and again would fill up otherwise.
pub(super) fn put(path: &Path) -> Result<PathBuf, StoreError> {
    let others = path.parent().map_or(Ok(0), |folder| count(folder, path));
    if others.map_err(|error| trouble(path, error))? >= MOST {
        return Err(StoreError::DamagedAgain(path.display().to_string()));
    }
    let now = i64::try_from(world::unix()).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(now)
        .ok()
        .and_then(|now| {
            now.format(format_description!("[year][month][day]T[hour][minute][second]Z"))
                .ok()
        })
        .unwrap_or_default();
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{DAMAGED}{time}"));
    let mut to = PathBuf::from(&name);
    for number in 2..=MOST {
        if !to.exists() {
            break;
        }
        let mut other = name.clone();
        other.push(format!("-{number}"));
        to = PathBuf::from(other);
    }
    fs::rename(path, &to).map_err(|error| trouble(path, error))?;
    Ok(to)
}

fn count(folder: &Path, path: &Path) -> std::io::Result<usize> {
    let prefix = format!(
        "{}{DAMAGED}",
        path.file_name().unwrap_or_default().to_string_lossy()
    );
    let names = fs::read_dir(folder)?.filter_map(Result::ok);
    Ok(names
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .count())
}

/// What a damaged file's name has before the time.
const DAMAGED: &str = ".damaged-";
/// So many of them are kept.
const MOST: usize = 5;
