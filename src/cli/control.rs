//! Asking the running proxy by its control socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};

use super::Exit;
use crate::admin::control::parted;
use crate::config;

/// Where the proxy is asked.
#[derive(Debug, clap::Args)]
pub(super) struct SocketArgs {
    /// The control socket of the proxy. Default: `control` in [admin] of the configuration.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// Why there is no answer, in words for whoever asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("{0}")]
    Configuration(String),
    #[error(
        "the control socket is off: [admin] control is empty in {}. Give it a path and restart the proxy, or name the socket by \
         --socket", .0.display()
    )]
    Off(PathBuf),
    #[error(
        "no proxy answers at {at}: there is no such socket. Is the proxy running, and by this configuration? Its log tells why \
         where it has no socket; another place is named by --socket", at = .0.display()
    )]
    Missing(PathBuf),
    #[error("no proxy answers at {at}: the process that made the socket is gone. Start the proxy", at = .0.display())]
    Gone(PathBuf),
    #[error("{at} may only be asked by root and by the user of the proxy. Ask as one of them: sudo, or su -s /bin/sh USER -c ...", at = .0.display())]
    Forbidden(PathBuf),
    #[error("the proxy at {at} does not answer in time: it is too busy, or stands still. See its log, and ask again", at = .0.display())]
    Slow(PathBuf),
    #[error("the proxy at {at} cannot be asked ({1}). See its log, and ask again", at = .0.display())]
    Broken(PathBuf, io::Error),
    #[error("{at} does not answer as the proxy of this version does ({1}). Is it the socket of a vestibule, and of the same version?", at = .0.display())]
    Strange(PathBuf, String),
    #[error("the proxy at {at} says: {1}", at = .0.display())]
    Refused(PathBuf, String),
}

/// What the proxy says to a question.
#[derive(Debug, serde::Deserialize)]
struct Wrong {
    error: String,
}

impl SocketArgs {
    /// Asks for `path`, and reads the answer as JSON.
    pub(super) fn ask<T: DeserializeOwned>(&self, config: &Path, path: &str) -> Result<T, Unanswered> {
        let socket = self.find(config)?;
        let text = exchange(&socket, path).map_err(|error| unanswered(&socket, error))?;
        let strange = |what: &str| Unanswered::Strange(socket.clone(), what.to_owned());
        let (status, body) = parted(&text).ok_or_else(|| strange("no HTTP"))?;
        if status == 200 {
            return serde_json::from_slice(body).map_err(|error| strange(&error.to_string()));
        }
        if status == 403 {
            return Err(Unanswered::Forbidden(socket));
        }
        match serde_json::from_slice::<Wrong>(body) {
            Ok(wrong) => Err(Unanswered::Refused(socket, wrong.error)),
            Err(_) => Err(strange(&format!("status {status}"))),
        }
    }

    fn find(&self, config: &Path) -> Result<PathBuf, Unanswered> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let loaded = config::load(config).map_err(|report| {
            Unanswered::Configuration(format!(
                "{report}The control socket's place is read from the configuration; --socket names it without"
            ))
        })?;
        loaded
            .settings
            .admin
            .control
            .ok_or_else(|| Unanswered::Off(config.to_path_buf()))
    }
}

fn unanswered(socket: &Path, error: io::Error) -> Unanswered {
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    let socket = socket.to_path_buf();
    if is(&[io::ErrorKind::NotFound]) {
        Unanswered::Missing(socket)
    } else if is(&[io::ErrorKind::ConnectionRefused]) {
        Unanswered::Gone(socket)
    } else if is(&[io::ErrorKind::PermissionDenied]) {
        Unanswered::Forbidden(socket)
    } else if is(&[io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut]) {
        Unanswered::Slow(socket)
    } else {
        Unanswered::Broken(socket, error)
    }
}

/// Says why there is no answer.
pub(super) fn complain(why: &Unanswered, err: &mut dyn Write) -> io::Result<Exit> {
    writeln!(err, "vestibule: {}", super::terminal::Safe(&why.to_string()))?;
    Ok(Exit::Bad)
}

/// One request, and all that comes back.
fn exchange(socket: &Path, path: &str) -> io::Result<Vec<u8>> {
    let connection = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    connection.connect_timeout(&SockAddr::unix(socket)?, CONNECT)?;
    let mut stream = UnixStream::from(std::os::fd::OwnedFd::from(connection));
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    let written = stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: vestibule\r\n\r\n").as_bytes());
    let mut text = Vec::new();
    let read = (&stream).take(MOST).read_to_end(&mut text);
    // Whoever refuses us need not read what we want: his answer counts.
    if text.is_empty() {
        written?;
        read?;
    }
    Ok(text)
}

/// Time to be let in.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for each piece of the answer: more than the proxy takes.
const ANSWER: Duration = Duration::from_secs(30);
/// Octets of an answer: many times the longest.
const MOST: u64 = 256 << 20;
