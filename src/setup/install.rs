//! Writing the files, all or none of them, and taking them back.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, chown};

use super::plan::{File, Owner, Plan};

/// What was there before, so that it can be put back.
#[derive(Debug)]
#[must_use = "what was there before can be put back until this is dropped"]
pub struct Installed(Vec<Placed>);

#[derive(Debug)]
struct Placed {
    path: PathBuf,
    /// Where the file that was there before lies now.
    before: Option<PathBuf>,
}

/// Puts all files in place, for the proxy's `user`. Those that are there are kept beside, with `.before` (or `.before-2`, and so on) behind their names.
///
/// # Errors
/// With the file that could not be written; nothing is changed then.
pub fn install(plan: &Plan, user: &str) -> io::Result<Installed> {
    let proxy = match Uid::effective().is_root() {
        true => Some(User::from_name(user)?.ok_or_else(|| {
            io::Error::other(format!(
                "there is no user {user}, to whom keys and secrets are to belong; `scripts/install` makes it, or name another by --user"
            ))
        })?),
        false => None,
    };
    let mut written = Vec::new();
    for file in &plan.files {
        match write_beside(file, proxy.as_ref()) {
            Ok(path) => written.push((path, file.path.clone())),
            Err(why) => {
                forget(&written);
                return Err(told(&file.path, why));
            }
        }
    }
    let mut installed = Installed(Vec::new());
    for (new, path) in &written {
        let placed = put(new, path);
        match placed {
            Ok(placed) => installed.0.push(placed),
            Err(why) => {
                forget(&written);
                installed.take_back()?;
                return Err(told(path, why));
            }
        }
    }
    Ok(installed)
}

impl Installed {
    /// Puts back what was there before.
    ///
    /// # Errors
    /// With the first file that could not be.
    pub fn take_back(self) -> io::Result<()> {
        for placed in self.0.into_iter().rev() {
            let done = match &placed.before {
                Some(before) => fs::rename(before, &placed.path),
                None => fs::remove_file(&placed.path),
            };
            done.map_err(|why| told(&placed.path, why))?;
        }
        Ok(())
    }
}

/// The whole file under another name in the same folder.
fn write_beside(file: &File, proxy: Option<&User>) -> io::Result<PathBuf> {
    let folder = file.path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder)?;
    let path = beside(&file.path, "new");
    // One that is left from a run that was cut off.
    match fs::remove_file(&path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        Ok(()) | Err(_) => {}
    }
    let mode = match file.owner {
        Owner::Everybody => 0o644,
        Owner::Nobody | Owner::Proxy => 0o600,
    };
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)?;
    if let (Owner::Proxy, Some(user)) = (file.owner, proxy) {
        chown(&path, Some(user.uid), Some(user.gid))?;
    }
    // Whatever the umask is: the proxy has to be able to read it.
    out.set_permissions(Permissions::from_mode(mode))?;
    out.write_all(file.text.as_bytes())?;
    out.sync_all()?;
    Ok(path)
}

fn put(new: &Path, path: &Path) -> io::Result<Placed> {
    // What was put aside before stays: it may be the key of a certificate that was paid for.
    let names =
        std::iter::once("before".to_owned()).chain((2_u32..).map(|number| format!("before-{number}")));
    let before = names.map(|name| beside(path, &name)).find(|path| !path.exists());
    let before = before.unwrap_or_else(|| beside(path, "before"));
    let before = match fs::rename(path, &before) {
        Ok(()) => Some(before),
        Err(why) if why.kind() == io::ErrorKind::NotFound => None,
        Err(why) => return Err(why),
    };
    if let Err(why) = fs::rename(new, path) {
        if let Some(before) = &before {
            fs::rename(before, path)?;
        }
        return Err(why);
    }
    Ok(Placed {
        path: path.to_path_buf(),
        before,
    })
}

fn forget(written: &[(PathBuf, PathBuf)]) {
    for (path, _) in written {
        // What is left of them is in nobody's way.
        let _removed = fs::remove_file(path);
    }
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

fn told(path: &Path, why: io::Error) -> io::Error {
    let help = if why.kind() == io::ErrorKind::PermissionDenied {
        "; run it as root"
    } else {
        ""
    };
    io::Error::new(
        why.kind(),
        format!("{} cannot be written: {why}{help}", path.display()),
    )
}
