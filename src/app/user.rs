//! Giving up root once the ports are bound, and asking for enough descriptors before.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist, initgroups, setgid, setuid};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

/// Why the user cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such user.
    #[error(
        "edge.run_as: there is no user {0:?} on this machine; create it (adduser --system --group {0}), name another, \
         or write run_as = \"\" to stay the user that started the proxy"
    )]
    Unknown(String),
    /// The operating system refuses.
    #[error("edge.run_as: the proxy cannot become user {0:?}: {1}")]
    Refused(String, nix::Error),
}

/// A file that the user of `run_as` cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "edge.run_as: user {user:?} cannot read {}, which every reload needs: {} is closed to it; give it to that user \
     (chown {user}), or to a group of its own (chgrp and chmod g+r, g+x for a folder)",
    file.display(),
    at.display()
)]
pub struct Closed {
    user: String,
    file: PathBuf,
    /// The file itself, or the folder on the way to it.
    at: PathBuf,
}

/// A user that exists, looked up before anything is started.
#[derive(Debug, Clone)]
pub struct RunAs {
    name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl RunAs {
    /// Looks up the user to become; `None` where there is nothing to give up, because we are not root.
    ///
    /// # Errors
    /// [`UserError::Unknown`].
    pub fn find(name: Option<&str>) -> Result<Option<Self>, UserError> {
        let Some(name) = name.filter(|_| geteuid().is_root()) else {
            return Ok(None);
        };
        let unknown = || UserError::Unknown(name.to_owned());
        let user = User::from_name(name)
            .map_err(|_| unknown())?
            .ok_or_else(unknown)?;
        let groups = CString::new(name)
            .ok()
            .and_then(|name| getgrouplist(&name, user.gid).ok())
            .unwrap_or_else(|| vec![user.gid]);
        Ok(Some(Self {
            name: name.to_owned(),
            uid: user.uid,
            gid: user.gid,
            groups,
        }))
    }

    /// The files, among these, that cannot be read now that the process is that user.
    #[must_use]
    pub fn could_not_read(&self, files: &[PathBuf]) -> Vec<Closed> {
        files
            .iter()
            .filter(|file| fs::File::open(file).is_err())
            .map(|file| Closed {
                user: self.name.clone(),
                file: file.clone(),
                at: self.barrier(file).unwrap_or_else(|| file.clone()),
            })
            .collect()
    }

    /// The files, among these, that the bits of their modes and of the folders above them close to the user. Told
    /// before anything is started; what else may forbid it (access lists, a service manager) is seen when they are read.
    #[must_use]
    pub fn cannot_read(&self, files: &[PathBuf]) -> Vec<Closed> {
        files
            .iter()
            .filter_map(|file| {
                Some(Closed {
                    user: self.name.clone(),
                    file: file.clone(),
                    at: self.barrier(file)?,
                })
            })
            .collect()
    }

    /// What stands between the user and the file: links are followed, as a folder on their way may be closed too.
    fn barrier(&self, file: &Path) -> Option<PathBuf> {
        let real = fs::canonicalize(file).ok()?;
        let folders = real.ancestors().skip(1).chain(file.ancestors().skip(1));
        let closed = folders
            .filter(|folder| !folder.as_os_str().is_empty())
            .find(|folder| !self.may(folder, ENTER));
        let closed = closed.or_else(|| (!self.may(&real, READ)).then_some(file));
        closed.map(Path::to_path_buf)
    }

    fn may(&self, path: &Path, bit: u32) -> bool {
        let Ok(facts) = fs::metadata(path) else {
            return true;
        };
        let bits = if facts.uid() == self.uid.as_raw() {
            facts.mode() >> 6
        } else if self.groups.iter().any(|group| group.as_raw() == facts.gid()) {
            facts.mode() >> 3
        } else {
            facts.mode()
        };
        self.uid.is_root() || bits & bit != 0
    }

    /// Gives a folder to that user.
    ///
    /// # Errors
    /// Those of the system.
    pub fn give(&self, folder: &Path) -> std::io::Result<()> {
        chown(folder, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
    }

    /// Whether the bits of a folder's mode let the user put files into it.
    #[must_use]
    pub fn may_fill(&self, folder: &Path) -> bool {
        self.may(folder, WRITE) && self.may(folder, ENTER)
    }

    /// What the user is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Becomes that user for good.
    ///
    /// # Errors
    /// [`UserError::Refused`].
    pub fn enter(&self) -> Result<(), UserError> {
        let refused = |error| UserError::Refused(self.name.clone(), error);
        let name = CString::new(self.name.clone()).map_err(|_| UserError::Unknown(self.name.clone()))?;
        initgroups(&name, self.gid).map_err(refused)?;
        setgid(self.gid).map_err(refused)?;
        setuid(self.uid).map_err(refused)?;
        tracing::info!(user = %self.name, "privileges given up");
        Ok(())
    }
}

/// Raises the number of descriptors to what the operating system allows, and says where that is less than the
/// connections of one side need; neither is worth stopping for.
pub fn raise_descriptors(connections: usize) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "the number of descriptors cannot be raised");
    }
    let needed = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHER_DESCRIPTORS);
    if hard < needed {
        tracing::warn!(
            hard,
            needed,
            "there are fewer descriptors than [limits] max_connections takes: lower it, or allow more (LimitNOFILE of the unit, ulimit -n)"
        );
    }
}

/// Descriptors that are no accepted connections, about: listeners, DNS, files, and connections that we open.
const OTHER_DESCRIPTORS: u64 = 256;
/// The lowest of the three bits of a mode that let a file be read.
const READ: u32 = 4;
/// The same, for it to be changed.
const WRITE: u32 = 2;
/// The same, for a folder to be entered.
const ENTER: u32 = 1;
