//! Signals that would end or halt the process, held for as long as something of it is to be put back first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

/// Signals that do nothing by themselves, as something that can be waited for.
#[derive(Debug)]
pub(super) struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    /// From here on they do nothing by themselves.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn hold() -> io::Result<Self> {
        let mut mask = SigSet::empty();
        let ends = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT];
        // A process that stands still puts nothing back.
        let halts = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
        for signal in ends.into_iter().chain(halts) {
            mask.add(signal);
        }
        let fd = SignalFd::new(&mask)?;
        let before = SigSet::thread_get_mask()?;
        mask.thread_block()?;
        Ok(Self { fd, before })
    }

    /// What can be polled until one has come.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether one has come.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn came(&self) -> io::Result<bool> {
        let mut place = [PollFd::new(self.fd(), PollFlags::POLLIN)];
        Ok(poll(&mut place, PollTimeout::ZERO)? > 0)
    }

    /// They do again what they did, also those that have come meanwhile.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn release(self) -> io::Result<()> {
        Ok(self.before.thread_set_mask()?)
    }
}
