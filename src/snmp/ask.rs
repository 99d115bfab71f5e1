//! Asking the proxy by its control socket, in bounded time and size.

use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::status::Status;
use crate::admin::control::parted;
use crate::limits;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// Nobody listens: the proxy does not run.
    #[error(
        "no proxy answers at its control socket ({0}): start it, or see its log for why it has no socket"
    )]
    Gone(io::Error),
    /// It does, or something else does, and not as it should.
    #[error(
        "the proxy's control socket cannot be asked ({0}); the agent has to run as root or as the user of the proxy"
    )]
    Broken(io::Error),
    /// It says no.
    #[error(
        "the proxy refuses to answer (status {0}); the agent has to run as root or as the user of the proxy, edge.run_as"
    )]
    Refused(u16),
    /// It says nothing in time.
    #[error("the proxy does not answer in time: it is too busy, or stands still; see its log")]
    Slow,
    /// It says something else.
    #[error(
        "what answers at the control socket does not speak as this version does ({0}); install proxy and agent together"
    )]
    Strange(String),
}

/// Asks for the status.
pub(super) async fn status(socket: &Path) -> Result<Status, Unanswered> {
    let text = tokio::time::timeout(limits::SNMP_QUESTION, exchange(socket))
        .await
        .map_err(|_| Unanswered::Slow)?
        .map_err(|error| {
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind()) {
                Unanswered::Gone(error)
            } else {
                Unanswered::Broken(error)
            }
        })?;
    let (status, body) = parted(&text).ok_or_else(|| Unanswered::Strange("no HTTP".to_owned()))?;
    if status != 200 {
        return Err(Unanswered::Refused(status));
    }
    serde_json::from_slice(body).map_err(|error| Unanswered::Strange(error.to_string()))
}

async fn exchange(socket: &Path) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    let asked = stream
        .write_all(b"GET /v1/status HTTP/1.0\r\nHost: vestibule\r\n\r\n")
        .await;
    let mut text = Vec::new();
    let read = stream
        .take(limits::SNMP_ANSWER_BYTES)
        .read_to_end(&mut text)
        .await;
    // Whoever refuses us need not read what we want: his answer counts.
    if text.is_empty() {
        asked?;
        read?;
    }
    Ok(text)
}
