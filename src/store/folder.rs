//! The folder of durable state: that it is there, and what keeps it from being used.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A folder that may hold a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// Why a path cannot be the folder of durable state: what only a change of the configuration or of the machine can mend. A file
/// system that is full or takes no changes at the moment is no such reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// There is nothing in which it could be made.
    #[error(
        "edge.state_dir: there is no folder {}, and none to make it in: create it and give it to the user that vestibule runs as \
         (mkdir -p, chown, chmod 700), or write state_dir = \"\" to keep nothing over a restart", .0.display()
    )]
    Missing(PathBuf),
    /// It cannot be made.
    #[error(
        "edge.state_dir: there is no folder {path}, and it cannot be made ({why}): create it and give it to the user that vestibule runs as \
         (mkdir, chown, chmod 700), or write state_dir = \"\" to keep nothing over a restart", path = path.display()
    )]
    NotMade {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        why: String,
    },
    /// Something else has its name.
    #[error("edge.state_dir: {} is no folder: move it away, or name another", .0.display())]
    NoFolder(PathBuf),
}

impl Folder {
    /// The folder at a path, made where it is not there yet: for nobody but the user of the process, and only within one that is
    /// there, as a longer path is more likely a file system that is not mounted.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn make(path: &Path) -> Result<Self, FolderError> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(FolderError::NoFolder(path.to_owned())),
            Err(_) => match DirBuilder::new().mode(0o700).create(path) {
                Ok(()) => {}
                Err(error) if may_pass(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(FolderError::Missing(path.to_owned()));
                }
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    let other = path.ancestors().find(|above| above.is_file()).unwrap_or(path);
                    return Err(FolderError::NoFolder(other.to_owned()));
                }
                Err(error) => {
                    return Err(FolderError::NotMade {
                        path: path.to_owned(),
                        why: error.to_string(),
                    });
                }
            },
        }
        Ok(Self(path.to_owned()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether others than its owner may change what is in it: they could put another store in the place of ours.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        fs::metadata(&self.0).is_ok_and(|found| found.permissions().mode() & 0o022 != 0)
    }
}

/// What time or room may mend, whoever the user is.
fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_for_its_user_alone_and_only_within_a_folder_that_is_there() {
        let above = std::env::temp_dir().join(format!("vestibule-folder-{}", std::process::id()));
        fs::create_dir(&above).unwrap();
        let path = above.join("state");
        let folder = Folder::make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(!folder.is_open_to_others());
        assert_eq!(Folder::make(&path), Ok(folder.clone()), "a second time");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(folder.is_open_to_others());
        let deep = path.join("not").join("there");
        assert_eq!(Folder::make(&deep), Err(FolderError::Missing(deep.clone())));
        fs::write(path.join("not"), "").unwrap();
        assert_eq!(Folder::make(&deep), Err(FolderError::NoFolder(path.join("not"))));
        let file = path.join("not");
        assert_eq!(Folder::make(&file), Err(FolderError::NoFolder(file.clone())));
        fs::remove_dir_all(above).unwrap();
    }
}
