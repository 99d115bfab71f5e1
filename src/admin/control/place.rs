//! Where the control socket is: a file that only its user can use.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::{Mode, fchmod};
use nix::unistd::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

/// A socket that is bound; its file goes with it.
#[derive(Debug)]
pub(super) struct Place {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file, which tell whether it is still the one that was made.
    file: (u64, u64),
}

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visitor {
    /// Root, or the user of this process.
    Known,
    /// Another user, by number.
    Stranger(u32),
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error(
        "[admin] control: the folder {at} cannot be made ({1}); make it and give it to the user of the proxy, or name \
         another place", at = .0.display()
    )]
    Folder(PathBuf, io::Error),
    #[error(
        "[admin] control: {at} is there and is no socket; it is left alone: move it away, or name another place", at = .0.display()
    )]
    NoSocket(PathBuf),
    #[error(
        "[admin] control: another process answers at {at}: a second proxy runs with the same configuration (find it with: \
         ss -lxp); stop it, or give each its own place", at = .0.display()
    )]
    Taken(PathBuf),
    #[error(
        "[admin] control: what a process that is gone left at {at} cannot be removed ({1}); remove it, or give its folder to the \
         user of the proxy", at = .0.display()
    )]
    Stale(PathBuf, io::Error),
    #[error(
        "[admin] control: {at} cannot be bound ({1}); its folder has to belong to the user of the proxy", at = .0.display()
    )]
    Bind(PathBuf, io::Error),
}

/// Makes the folder of a socket where it is missing; tells which one was made.
///
/// # Errors
/// Those of the system.
pub fn make_folder(socket: &Path) -> io::Result<Option<PathBuf>> {
    let Some(folder) = socket.parent().filter(|folder| !folder.exists()) else {
        return Ok(None);
    };
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    Ok(Some(folder.to_path_buf()))
}

impl Place {
    /// Binds the socket: the file of a process that is gone is replaced, that of one that lives is left to it.
    pub(super) async fn open(path: &Path) -> Result<Self, PlaceError> {
        make_folder(path).map_err(|error| {
            let folder = path.parent().unwrap_or(path);
            PlaceError::Folder(folder.to_path_buf(), error)
        })?;
        clear(path).await?;
        let cannot = |error| PlaceError::Bind(path.to_path_buf(), error);
        let listener = bind(path).map_err(cannot)?;
        let file = file_of(path).map_err(cannot)?;
        Ok(Self {
            listener,
            path: path.to_path_buf(),
            file,
        })
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<(UnixStream, Visitor)> {
        let (stream, _) = self.listener.accept().await?;
        let user = stream.peer_cred()?.uid();
        let visitor = if user == 0 || user == geteuid().as_raw() {
            Visitor::Known
        } else {
            Visitor::Stranger(user)
        };
        Ok((stream, visitor))
    }

    /// Whether the file that commands look for is still the one that was made here.
    pub(super) fn is_ours(&self) -> bool {
        file_of(&self.path).is_ok_and(|file| file == self.file)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_ours()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, path = %self.path.display(), "the control socket's file stays behind; the next start replaces it");
        }
    }
}

/// Takes away what a process that is gone has left there.
async fn clear(path: &Path) -> Result<(), PlaceError> {
    match fs::symlink_metadata(path) {
        Ok(facts) if facts.file_type().is_socket() => {}
        Ok(_) => return Err(PlaceError::NoSocket(path.to_path_buf())),
        Err(_) => return Ok(()),
    }
    // Nobody listens at a file whose process is gone, and a live one whose queue is full does not refuse.
    match tokio::time::timeout(LIVES, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| PlaceError::Stale(path.to_path_buf(), error))
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) | Err(_) => Err(PlaceError::Taken(path.to_path_buf())),
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    // Linux gives the file the mode that the socket had before: at no time can others connect.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(WAITING)?;
    UnixListener::from_std(socket.into())
}

fn file_of(path: &Path) -> io::Result<(u64, u64)> {
    let facts = fs::symlink_metadata(path)?;
    Ok((facts.dev(), facts.ino()))
}

/// How long a live process may take to be seen as one.
const LIVES: Duration = Duration::from_secs(1);
/// Connections that wait to be accepted.
const WAITING: i32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("vestibule-{name}-{}", std::process::id()));
        fs::remove_dir_all(&folder).ok();
        folder
    }

    #[tokio::test]
    async fn the_file_is_its_owners_alone_and_goes_with_the_socket() {
        let folder = folder("place");
        let path = folder.join("run").join("control.sock");
        let place = Place::open(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (_near, far) = tokio::join!(UnixStream::connect(&path), place.accept());
        assert_eq!(far.unwrap().1, Visitor::Known);
        drop(place);
        assert!(!path.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced_and_what_a_live_one_has_is_not() {
        let folder = folder("stale");
        let path = folder.join("control.sock");
        fs::create_dir_all(&folder).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "the standard library leaves its file");
        let place = Place::open(&path).await.unwrap();
        assert!(matches!(Place::open(&path).await, Err(PlaceError::Taken(_))));
        assert!(place.is_ours());
        fs::remove_file(&path).unwrap();
        let second = Place::open(&path).await.unwrap();
        assert!(!place.is_ours() && second.is_ours());
        drop(place);
        assert!(path.exists(), "it is the second's now");
        drop(second);
        fs::write(&path, "important").unwrap();
        assert!(matches!(Place::open(&path).await, Err(PlaceError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "important");
        fs::remove_dir_all(folder).unwrap();
    }
}
