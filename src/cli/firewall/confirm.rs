//! Waiting for a yes, whatever happens to the session that it should come from.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cli::signals::Signals;
use crate::net::world;

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// "yes".
    Yes,
    /// Another line, or the end of input.
    Other,
    /// Nothing in time.
    Late,
    /// A signal: the session is gone, or somebody ends this.
    Stopped,
}

/// Waits for a line of standard input.
pub(super) fn answer(signals: &Signals, within: Duration) -> io::Result<Answer> {
    let end = world::now() + within;
    let mut line = Vec::new();
    let stdin = io::stdin();
    loop {
        let left = end.saturating_duration_since(world::now());
        if left.is_zero() {
            return Ok(Answer::Late);
        }
        let timeout = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
        let mut places = [
            PollFd::new(signals.fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        ];
        if poll(&mut places, timeout)? == 0 {
            continue;
        }
        let [signal, input] = places.map(|place| place.any().unwrap_or(true));
        if signal {
            return Ok(Answer::Stopped);
        }
        if !input {
            continue;
        }
        // Past the buffer of the standard library, which `poll` does not see.
        let mut octet = [0];
        match nix::unistd::read(&stdin, &mut octet)? {
            0 => return Ok(Answer::Other),
            _ if octet == *b"\n" => {
                let is_yes = line.trim_ascii().eq_ignore_ascii_case(b"yes");
                return Ok(if is_yes { Answer::Yes } else { Answer::Other });
            }
            _ if line.len() < LONGEST => line.extend(octet),
            _ => {}
        }
    }
}

const LONGEST: usize = 80;
