//! The folder of durable state: made before root is given up, and doubted by `vestibule check`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use nix::unistd::{AccessFlags, access};

use super::user::RunAs;
use crate::config::Settings;
use crate::store::{Folder, FolderError};

/// The folder, made and given to the user of the proxy where it is not there yet; `None` where nothing is to be stored.
pub(super) fn folder(settings: &Settings, run_as: Option<&RunAs>) -> anyhow::Result<Option<Folder>> {
    let Some(path) = &settings.edge.state_dir else {
        return Ok(None);
    };
    let is_new = !path.exists();
    let folder = Folder::make(path)?;
    if let Some(user) = run_as.filter(|_| is_new && path.exists()) {
        user.give(path).with_context(|| {
            format!(
                "edge.state_dir: {} cannot be given to {}",
                path.display(),
                user.name()
            )
        })?;
    }
    Ok(Some(folder))
}

/// What would keep the proxy from storing anything: told, and nothing is made. `run_as` is the user to become, where there is one.
#[must_use]
pub fn doubt(path: &Path, run_as: Option<&RunAs>) -> Option<String> {
    let by_this_user = |at: &Path| access(at, AccessFlags::W_OK | AccessFlags::X_OK);
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Some(FolderError::NoFolder(path.to_owned()).to_string()),
        Ok(_) => {
            let may = run_as.map_or_else(|| by_this_user(path).is_ok(), |user| user.may_fill(path));
            let whom = run_as.map_or("this user", RunAs::name);
            (!may).then(|| {
                format!(
                    "edge.state_dir: {whom} may not write in {}, and nothing would outlive a restart: give it to the user that vestibule runs as (chown, chmod u+rwx)",
                    path.display()
                )
            })
        }
        Err(_) => {
            let above = path.parent().filter(|above| !above.as_os_str().is_empty());
            let above = above.unwrap_or_else(|| Path::new("."));
            if !above.is_dir() {
                return Some(FolderError::Missing(path.to_owned()).to_string());
            }
            // Whoever is to become another user makes it before.
            let error = by_this_user(above).err()?;
            let why = error.desc().to_owned();
            Some(
                FolderError::NotMade {
                    path: path.to_owned(),
                    why,
                }
                .to_string(),
            )
        }
    }
}
