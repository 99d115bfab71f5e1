//! The datagrams of one flow: what carries SIP to and from one address.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::OwnedSemaphorePermit;

use super::{LARGEST, Listening};
use crate::limits::SipLimits;
use crate::net::accept::FlowId;
use crate::net::queue;
use crate::sip::frame::Frame;
use crate::sip::{BadMessage, Message, ParseError, parse};

/// What came in on a shared socket for one flow; a request has its Via stamped.
#[derive(Debug)]
pub(super) struct Arrived(pub(super) Box<Message>);

/// A flow's part of a socket that it shares.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) arrived: queue::Receiver<Arrived>,
    /// Where a flow that we opened is known by its number.
    pub(super) made_on: Option<Arc<Listening>>,
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

/// What carries a flow over UDP.
#[derive(Debug)]
pub struct Datagrams {
    source: Source,
    local: SocketAddr,
    remote: SocketAddr,
    id: FlowId,
    next: Option<Frame>,
}

#[derive(Debug)]
enum Source {
    Shared(Inbox),
    /// Connected: the system gives only what this peer sent, and tells when nobody is there.
    Alone(UdpSocket, SipLimits),
}

impl Datagrams {
    pub(super) fn shared(inbox: Inbox, (local, remote): (SocketAddr, SocketAddr), id: FlowId) -> Self {
        Self {
            source: Source::Shared(inbox),
            local,
            remote,
            id,
            next: None,
        }
    }

    pub(super) fn alone(
        socket: UdpSocket,
        remote: SocketAddr,
        id: FlowId,
        limits: &SipLimits,
    ) -> io::Result<Self> {
        Ok(Self {
            local: socket.local_addr()?,
            source: Source::Alone(socket, limits.clone()),
            remote,
            id,
            next: None,
        })
    }

    /// Our address on it.
    #[must_use]
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// A branch for a request on this flow: `unique` is what nobody can guess. It names the flow, so that the response is
    /// found where many flows share a socket.
    #[must_use]
    pub fn branch(&self, unique: &str) -> String {
        format!("{COOKIE}{:x}.{unique}", self.id.get())
    }

    /// Waits for the next message, which [`Datagrams::take`] gives.
    ///
    /// # Errors
    /// `ConnectionRefused` and its like where the network says that nobody is there; a shared socket does not hear it.
    pub async fn wait(&mut self) -> io::Result<()> {
        let frame = match &mut self.source {
            Source::Shared(inbox) => match inbox.arrived.recv().await {
                Some(Arrived(message)) => Frame::Message(*message),
                None => std::future::pending().await,
            },
            //= rfc3261#18.4
            //# Host, network, port or protocol unreachable errors, or parameter problem errors SHOULD cause the transport
            //# layer to inform the transport user of a failure in sending.
            Source::Alone(socket, limits) => {
                let remote = self.remote;
                poll_fn(|cx| poll_frame(socket, limits, remote, cx)).await?
            }
        };
        self.next = Some(frame);
        Ok(())
    }

    /// What the last wait has read.
    pub fn take(&mut self) -> Option<Frame> {
        self.next.take()
    }

    /// Sends one datagram. What the system has no room for is lost, as it may be on the way.
    ///
    /// # Errors
    /// Those of the operating system, as where the datagram is too long.
    pub fn send(&self, octets: &[u8]) -> io::Result<()> {
        let sent = match &self.source {
            Source::Shared(inbox) => inbox.socket.try_send_to(octets, self.remote),
            Source::Alone(socket, _) => socket.try_send(octets),
        };
        match sent {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        if let Source::Shared(Inbox {
            made_on: Some(listening),
            ..
        }) = &self.source
        {
            listening.lock().remove(&self.id.get());
        }
    }
}

/// Reads into the thread's buffer until a datagram holds something.
fn poll_frame(
    socket: &UdpSocket,
    limits: &SipLimits,
    remote: SocketAddr,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Frame>> {
    SCRATCH.with_borrow_mut(|scratch| {
        loop {
            let mut buffer = ReadBuf::new(scratch);
            match socket.poll_recv(cx, &mut buffer) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match read(buffer.filled(), limits) {
                Ok(None) => {}
                Ok(Some(mut message)) => {
                    if let Message::Request(request) = &mut message {
                        request.headers_mut().stamp_via(remote);
                    }
                    return Poll::Ready(Ok(Frame::Message(message)));
                }
                Err(bad) => return Poll::Ready(Ok(Frame::Bad(bad))),
            }
        }
    })
}

/// Reads one datagram; `None` where it only keeps a path open (RFC 5626 §3.5.2 does not use it, but many do).
pub(super) fn read(octets: &[u8], limits: &SipLimits) -> Result<Option<Message>, BadMessage> {
    if octets.iter().all(|octet| matches!(octet, b'\r' | b'\n' | b'\0')) {
        return Ok(None);
    }
    // STUN (RFC 5389 §6) begins with two zero bits, as no SIP message does; it is read no further.
    if octets.first().is_some_and(|first| *first < b' ') {
        return Err(ParseError::StartLine.into());
    }
    parse::message(octets, limits).map(Some)
}

/// The number of the flow that a branch of ours names.
pub(super) fn flow_of(branch: &str) -> Option<u64> {
    let (cookie, rest) = branch.split_at_checked(COOKIE.len())?;
    let (id, _) = rest.split_once('.')?;
    cookie
        .eq_ignore_ascii_case(COOKIE)
        .then(|| u64::from_str_radix(id, 16).ok())
        .flatten()
}

const COOKIE: &str = "z9hG4bK";

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGEST]);
}
