//! Waiting for a yes, whatever happens to the session that it should come from.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cli::signals::Signals;
use crate::net::world;

/// Whether "yes" is typed in time, and no signal says before that the session is gone or that somebody ends this.
pub(super) fn is_confirmed(signals: &Signals, within: Duration) -> io::Result<bool> {
    let end = world::now() + within;
    let mut line = Vec::new();
    let stdin = io::stdin();
    loop {
        let left = end.saturating_duration_since(world::now());
        if left.is_zero() {
            return Ok(false);
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
            return Ok(false);
        }
        if !input {
            continue;
        }
        // Past the buffer of the standard library, which `poll` does not see.
        let mut octet = [0];
        match nix::unistd::read(&stdin, &mut octet)? {
            0 => return Ok(false),
            _ if octet == *b"\n" => {
                return Ok(line.trim_ascii().eq_ignore_ascii_case(b"yes"));
            }
            _ if line.len() < LONGEST => line.extend(octet),
            _ => {}
        }
    }
}

const LONGEST: usize = 80;
