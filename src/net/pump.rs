//! Moving octets: reads what has come and writes what waits, both at once, on one connection.
//!
//! A flow's task asks its [`Pump`] to [`Pump::wait`] beside its other events. Nothing is lost when the wait is dropped
//! for another event: what was read is returned in the same poll, and what was not written stays.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::tls::Wire;

/// A connection with its buffers.
#[derive(Debug)]
pub struct Pump {
    wire: Wire,
    /// What the last wait read; an idle connection keeps no room for it.
    read: Vec<u8>,
    out: BytesMut,
    most: usize,
    unflushed: Flush,
    sent: u64,
    told: Told,
}

/// What a wait came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// That many octets were read; [`Pump::take`] gives them.
    Read(usize),
    /// What waited was written, so far that there is room again or that nothing waits.
    Written,
    /// The peer sends no more.
    End,
}

/// How far the writing of what was sent has come, as far as [`Progress::Written`] has told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Room,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    Done,
    Due,
}

impl Pump {
    /// A pump that holds at most `most` octets for a peer that does not read.
    #[must_use]
    pub fn new(wire: Wire, most: usize) -> Self {
        Self {
            wire,
            read: Vec::new(),
            out: BytesMut::new(),
            most,
            unflushed: Flush::Done,
            sent: 0,
            told: Told::All,
        }
    }

    /// Where the octets of the last [`Progress::Read`] are.
    #[must_use]
    pub fn take(&self, read: usize) -> &[u8] {
        self.read.get(..read).unwrap_or_default()
    }

    /// Puts octets where the next wait writes them.
    ///
    /// # Errors
    /// `TimedOut` where the peer has let too much pile up: the connection should be closed.
    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.out.len().saturating_add(octets.len()) > self.most {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer does not read what is sent to it",
            ));
        }
        self.out.extend_from_slice(octets);
        self.sent = self
            .sent
            .saturating_add(u64::try_from(octets.len()).unwrap_or(u64::MAX));
        self.told = Told::Nothing;
        Ok(())
    }

    /// Whether little enough waits that more should be sent.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.out.len() < ROOM
    }

    /// How many octets were ever given to [`Pump::send`].
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// How many of them the operating system has taken.
    #[must_use]
    pub fn written(&self) -> u64 {
        if self.out.is_empty() && self.unflushed == Flush::Due {
            // What TLS still holds is not told apart: the last octets count when all of it is out.
            return self.sent.saturating_sub(1);
        }
        self.sent
            .saturating_sub(u64::try_from(self.out.len()).unwrap_or(u64::MAX))
    }

    /// Whether all was written that was sent.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.out.is_empty() && self.unflushed == Flush::Done
    }

    /// Writes what waits, until something was read.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn wait(&mut self) -> io::Result<Progress> {
        poll_fn(|cx| self.poll_wait(cx)).await
    }

    /// Writes all that waits, and reads nothing.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn drain(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write_out(cx)).await
    }

    /// Writes all that waits and says that no more will come; errors no longer matter then.
    pub async fn close(mut self) {
        if self.drain().await.is_ok() {
            let _closed = self.wire.shutdown().await;
        }
    }

    /// The connection itself, to begin TLS on it; what was read and not taken is gone with the pump, as RFC 6120
    /// §5.4.3.3 asks.
    #[must_use]
    pub fn into_wire(self) -> Wire {
        self.wire
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        if let Poll::Ready(Err(error)) = self.poll_write_out(cx) {
            return Poll::Ready(Err(error));
        }
        let told = match (self.is_drained(), self.has_room()) {
            (true, _) => Told::All,
            (false, true) => Told::Room,
            (false, false) => Told::Nothing,
        };
        if told > self.told {
            self.told = told;
            return Poll::Ready(Ok(Progress::Written));
        }
        self.poll_read(cx)
    }

    /// Reads into the thread's buffer: only what came is kept with the connection, as most of them are idle most of the time.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(&mut self.wire).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) => {
                    self.read.clear();
                    self.read.extend_from_slice(buffer.filled());
                    Poll::Ready(Ok(match buffer.filled().len() {
                        0 => Progress::End,
                        read => Progress::Read(read),
                    }))
                }
                // A peer that leaves without TLS's farewell has left all the same: framing tells whether something is cut.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(Progress::End))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.read = Vec::new();
                    if self.out.is_empty() {
                        self.out = BytesMut::new();
                    }
                    Poll::Pending
                }
            }
        })
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match Pin::new(&mut self.wire).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.unflushed = Flush::Due;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.out.capacity() > KEEP {
            self.out = BytesMut::new();
        }
        if self.unflushed == Flush::Due {
            match Pin::new(&mut self.wire).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = Flush::Done,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

/// Octets read at once.
const READ: usize = 16 * 1024;
/// Octets that may wait before senders are held back.
const ROOM: usize = 64 * 1024;
/// A write buffer over this size is given back when it is empty: a burst must not be paid for ever.
const KEEP: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Pump, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (ours, theirs) = tokio::join!(connect, listener.accept());
        (Pump::new(Wire::Plain(ours.unwrap()), 1 << 20), theirs.unwrap().0)
    }

    #[tokio::test]
    async fn writing_goes_on_while_the_peer_only_reads() {
        let (mut pump, mut peer) = pair().await;
        let sent = vec![b'x'; 900_000];
        pump.send(&sent).unwrap();
        let reader = async {
            let mut got = vec![0; sent.len()];
            peer.read_exact(&mut got).await.unwrap();
            peer.write_all(b"done").await.unwrap();
            got
        };
        let writer = async {
            let mut turns = Vec::new();
            while turns.last() != Some(&Progress::Read(4)) {
                turns.push(pump.wait().await.unwrap());
            }
            turns
        };
        let (turns, got) = tokio::join!(writer, reader);
        assert!(turns.contains(&Progress::Written), "{turns:?}");
        assert_eq!(pump.take(4), b"done");
        assert!(got == sent && pump.is_drained());
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_not_waited_for_without_end() {
        let (mut pump, _peer) = pair().await;
        let octets = vec![0; 1 << 20];
        pump.send(&octets).unwrap();
        assert_eq!(pump.send(b"x").unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn the_end_of_the_peer_is_told() {
        let (mut pump, peer) = pair().await;
        drop(peer);
        assert_eq!(pump.wait().await.unwrap(), Progress::End);
    }
}
