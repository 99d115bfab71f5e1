//! Giving up root once the ports are bound, and asking for enough descriptors before.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setuid};
use std::ffi::CString;

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

/// A user that exists, looked up before anything is started.
#[derive(Debug, Clone)]
pub struct RunAs {
    name: String,
    uid: Uid,
    gid: Gid,
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
        Ok(Some(Self {
            name: name.to_owned(),
            uid: user.uid,
            gid: user.gid,
        }))
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

/// Raises the number of descriptors to what the operating system allows; failing is not worth stopping for.
pub fn raise_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "the number of descriptors cannot be raised");
    }
}
