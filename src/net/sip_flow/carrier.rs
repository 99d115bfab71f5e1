//! What carries the messages of a flow: a stream of octets, or datagrams.

use std::io;
use std::net::SocketAddr;

use crate::limits::SipLimits;
use crate::net::pump::{Progress, Pump};
use crate::net::sip_udp::{self, Datagrams};
use crate::sip::frame::{Frame, FrameError, StreamFramer};
use crate::sip::transaction::Reliability;
use crate::sip::{self, Flaw, Host, Via};

/// What carries the messages of a flow.
#[derive(Debug)]
pub enum Carrier {
    /// TCP or TLS.
    Stream(Pump, StreamFramer),
    /// UDP.
    Datagrams(Datagrams),
}

/// What a wait came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Something was read: [`Carrier::next`] gives it, until it gives nothing.
    Read,
    /// What waited was written.
    Written,
    /// The peer sends no more.
    End,
}

impl Carrier {
    /// A connection.
    #[must_use]
    pub fn stream(pump: Pump, limits: &SipLimits) -> Self {
        Self::Stream(pump, StreamFramer::new(limits))
    }

    pub(super) async fn wait(&mut self) -> io::Result<Came> {
        match self {
            Self::Stream(pump, framer) => Ok(match pump.wait().await? {
                Progress::Read(read) => {
                    framer.push(pump.take(read));
                    Came::Read
                }
                Progress::Written => Came::Written,
                Progress::End => Came::End,
            }),
            Self::Datagrams(datagrams) => datagrams.wait().await.map(|()| Came::Read),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        match self {
            Self::Stream(_, framer) => framer.next(),
            Self::Datagrams(datagrams) => Ok(datagrams.take()),
        }
    }

    /// Whether nothing that has begun is still to come.
    pub(super) const fn is_between_messages(&self) -> bool {
        match self {
            Self::Stream(_, framer) => framer.is_between_messages(),
            Self::Datagrams(_) => true,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Stream(pump, _) => pump.has_room(),
            Self::Datagrams(_) => true,
        }
    }

    pub(super) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(pump, _) => pump.send(octets),
            Self::Datagrams(datagrams) => datagrams.send(octets),
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Stream(pump, _) => pump.close().await,
            Self::Datagrams(_) => {}
        }
    }

    pub(super) const fn reliability(&self) -> Reliability {
        match self {
            Self::Stream(..) => Reliability::Reliable,
            Self::Datagrams(_) => Reliability::Unreliable,
        }
    }

    /// The Via of a request of ours; `unique` is what nobody can guess.
    pub(super) fn via(&self, transport: &sip::Transport, edge: &str, unique: &str) -> Result<Via, Flaw> {
        let via = match self {
            Self::Stream(..) => {
                let branch = format!("z9hG4bK{unique}");
                Via::new(transport.clone(), Host::parse(edge)?, None, &branch)?
            }
            Self::Datagrams(datagrams) => {
                let local: SocketAddr = datagrams.local();
                sip_udp::via(edge, local, &datagrams.branch(unique))?
            }
        };
        Ok(via.with_rport())
    }
}
