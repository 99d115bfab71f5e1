//! A connection of a map, from when its node has taken it to its end.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::pipe::Pipes;
use crate::net::world;

/// How it ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Both ends have said all that they had to say.
    Closed,
    /// Nothing passed for too long.
    Idle,
    /// One of the two connections broke.
    Broken(io::Error),
}

/// Carries octets both ways until both ends have closed theirs, one breaks, or nothing passes for `idle`. An end that has
/// no more to say is told to the other, which may go on.
pub(super) async fn relay(
    pipes: &Pipes,
    (peer, node): (&TcpStream, &TcpStream),
    (inward, outward): (&IntCounter, &IntCounter),
    idle: Duration,
) -> Ended {
    let last = Last::new();
    let both = async {
        tokio::try_join!(
            one_way(pipes, (peer, node), inward, &last),
            one_way(pipes, (node, peer), outward, &last)
        )
    };
    tokio::select! {
        ended = both => match ended {
            Ok(_) => Ended::Closed,
            Err(error) => Ended::Broken(error),
        },
        () = silence(&last, idle) => Ended::Idle,
    }
}

async fn one_way(
    pipes: &Pipes,
    (from, to): (&TcpStream, &TcpStream),
    counter: &IntCounter,
    last: &Last,
) -> io::Result<()> {
    loop {
        let carried = pipes.carry(from, to).await?;
        last.is_now();
        if carried == 0 {
            return match SockRef::from(to).shutdown(Shutdown::Write) {
                // It has closed both ways already.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
                other => other,
            };
        }
        counter.inc_by(u64::try_from(carried).unwrap_or_default());
    }
}

/// When something was carried last; both ways tell it.
struct Last {
    began: Instant,
    milliseconds: AtomicU64,
}

impl Last {
    fn new() -> Self {
        Self {
            began: world::now(),
            milliseconds: AtomicU64::new(0),
        }
    }

    fn is_now(&self) {
        let since = world::now().saturating_duration_since(self.began);
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.milliseconds.store(milliseconds, Ordering::Relaxed);
    }

    fn at(&self) -> Option<Instant> {
        let since = Duration::from_millis(self.milliseconds.load(Ordering::Relaxed));
        self.began.checked_add(since)
    }
}

/// Ends when nothing was carried for so long.
async fn silence(last: &Last, idle: Duration) {
    loop {
        let seen = last.at();
        world::sleep_until(seen.and_then(|at| at.checked_add(idle))).await;
        if last.at() == seen {
            return;
        }
    }
}
