//! Moving octets from one socket to another within the kernel: splice(2) through a pipe, so that they never enter our memory.
//!
//! A pipe is taken when octets have come and given back when they have gone, so that connections on which nothing happens
//! hold none.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{OFlag, SpliceFFlags, splice};
use nix::unistd::pipe2;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Pipes that are empty.
#[derive(Debug, Default)]
pub(super) struct Pipes(Mutex<Vec<Pipe>>);

/// One that holds nothing, or what was read and is not written yet.
#[derive(Debug)]
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    holds: usize,
}

impl Pipes {
    /// An empty pipe.
    fn take(&self) -> io::Result<Pipe> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.map_or_else(Pipe::new, Ok)
    }

    /// Keeps a pipe for the next who needs one; one that holds anything is closed.
    fn give_back(&self, pipe: Pipe) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pipe.holds == 0 && spare.len() < SPARE {
            spare.push(pipe);
        }
    }

    /// Waits for octets of one socket and brings them to the other; gives their number, and zero where no more will come.
    pub(super) async fn carry(&self, from: &TcpStream, to: &TcpStream) -> io::Result<usize> {
        let mut pipe = loop {
            from.readable().await?;
            let mut pipe = self.take()?;
            match pipe.fill(from) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.give_back(pipe),
                Err(error) => return Err(error),
                Ok(()) => break pipe,
            }
        };
        let carried = pipe.holds;
        while pipe.holds > 0 {
            match pipe.empty(to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
                other => other?,
            }
        }
        self.give_back(pipe);
        Ok(carried)
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Self {
            read,
            write,
            holds: 0,
        })
    }

    fn fill(&mut self, from: &TcpStream) -> io::Result<()> {
        self.holds = from.try_io(Interest::READABLE, || {
            splice(from, None, &self.write, None, MOST, flags()).map_err(io::Error::from)
        })?;
        Ok(())
    }

    fn empty(&mut self, to: &TcpStream) -> io::Result<()> {
        let written = to.try_io(Interest::WRITABLE, || {
            splice(&self.read, None, to, None, self.holds, flags()).map_err(io::Error::from)
        })?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.holds = self.holds.saturating_sub(written);
        Ok(())
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

/// What a pipe holds by default (pipe(7)).
const MOST: usize = 65_536;
/// Empty pipes that are kept.
const SPARE: usize = 64;
