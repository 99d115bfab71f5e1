//! Accepting connections within the limits.
//!
//! [`Accepted`] is the first evidence in the life of a message: it is made only here, and holds the place that its
//! connection takes among those allowed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::listen;
use super::settings::{Listener, Side};

/// A connection that the limits allow. Dropping it gives its place back.
#[derive(Debug)]
pub struct Accepted {
    /// The listener that took it.
    pub listener: Arc<Listener>,
    /// Who connected.
    pub remote: SocketAddr,
    /// Its number, for logs: never used twice.
    pub flow: FlowId,
    _place: OwnedSemaphorePermit,
}

impl Accepted {
    /// Where the peer stands.
    #[must_use]
    pub fn side(&self) -> Side {
        self.listener.side
    }
}

/// The number of a live connection, unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(u64);

impl FlowId {
    /// A number that was not given before.
    #[must_use]
    pub fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for FlowId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Accepts until the task is cancelled, giving each connection to `serve`. A connection over the limit is closed at
/// once and counted, so that those inside are not disturbed.
pub async fn run(
    socket: Arc<TcpListener>,
    listener: Arc<Listener>,
    places: Arc<Semaphore>,
    mut serve: impl FnMut(TcpStream, Accepted),
    mut over_limit: impl FnMut(SocketAddr),
) {
    loop {
        let (stream, remote) = match socket.accept().await {
            Ok(accepted) => accepted,
            // One connection failed, or there is no descriptor for it: the listener is well, and goes on after a breath.
            Err(error) => {
                tracing::warn!(listener = %listener.address, %error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            over_limit(remote);
            continue;
        };
        if let Err(error) = listen::prepare(&stream) {
            tracing::debug!(%remote, %error, "a new connection cannot be prepared");
            continue;
        }
        let accepted = Accepted {
            listener: Arc::clone(&listener),
            remote,
            flow: FlowId::fresh(),
            _place: place,
        };
        serve(stream, accepted);
    }
}

/// Between failed accepts, so that a lack of descriptors does not become a lack of time.
const BREATH: std::time::Duration = std::time::Duration::from_millis(50);
