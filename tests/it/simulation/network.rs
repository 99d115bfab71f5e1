//! Connections on a virtual clock: octets arrive in order, in portions and after delays that chance decides, until the
//! connection is closed or reset.

use std::collections::VecDeque;
use std::time::Instant;

use vestibule::domain::Domain;
use vestibule::xmpp::stream::{Initiating, Input, Misuse, Output, Receiving};

/// Which host, and what of it, has an end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    /// A stream that somebody opened to an edge, at its listener of that side.
    EdgeIn { edge: usize, outside: bool },
    /// The stream of a link of an edge.
    EdgeLink { edge: usize, link: LinkName },
    /// A stream that somebody opened to a server.
    ServerIn { server: usize },
    /// The stream of a server to its edge.
    ServerOut { server: usize },
    /// Asks the authoritative server about a key, for a stream that waits for it.
    Verify {
        host: Host,
        asker: Place,
        from: Domain,
        to: Domain,
    },
}

/// For whom, and to whom.
pub(super) type LinkName = (Domain, Domain);

/// One end of a connection: its number, and 0 for who connected or 1 for who accepted.
pub(super) type Place = (usize, usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    Edge(usize),
    Server(usize),
}

#[derive(Debug)]
pub(super) enum Machine {
    Receiving(Box<Receiving>),
    Initiating(Box<Initiating>),
}

/// What travels.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    Octets(Vec<u8>),
    /// This end is ready for TLS.
    Handshake,
    /// Nothing more will come.
    End,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) owner: Owner,
    pub(super) machine: Machine,
    /// What the application wrote and the operating system has not taken.
    pub(super) out: VecDeque<Segment>,
    /// What the operating system has taken and the other end has not read.
    pub(super) wire: VecDeque<Segment>,
    /// Octets that were ever written, taken, and read by the other end.
    pub(super) sent: u64,
    pub(super) taken: u64,
    pub(super) read: u64,
    pub(super) delivering: bool,
    /// Whether TLS is wanted here, and whether the other end is ready for it.
    pub(super) tls: (bool, bool),
    pub(super) is_authenticated: bool,
    /// The machine has ended; when everything is written, so has the stream for its owner.
    pub(super) is_closing: bool,
    pub(super) has_ended: bool,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    pub(super) is_dead: bool,
    /// After so many octets from that end it is reset.
    pub(super) reset_after: Option<(usize, u64)>,
    /// Microseconds that a portion takes, at least and at most.
    pub(super) delay: (u64, u64),
    /// Octets under way in one direction before the writer has to wait.
    pub(super) window: u64,
    /// Nothing is read before this time.
    pub(super) stalled_until: u64,
}

impl Machine {
    pub(super) fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Misuse> {
        match self {
            Self::Receiving(machine) => machine.handle(now, input),
            Self::Initiating(machine) => machine.handle(now, input),
        }
    }

    pub(super) fn poll(&mut self) -> Option<Output> {
        match self {
            Self::Receiving(machine) => machine.poll(),
            Self::Initiating(machine) => machine.poll(),
        }
    }

    /// Whether the other end acknowledges stanzas (XEP-0198).
    pub(super) const fn is_acknowledged(&self) -> bool {
        match self {
            Self::Receiving(_) => false,
            Self::Initiating(machine) => machine.is_acknowledged(),
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            Self::Receiving(machine) => machine.timeout(),
            Self::Initiating(machine) => machine.timeout(),
        }
    }
}

impl End {
    pub(super) const fn new(owner: Owner, machine: Machine) -> Self {
        Self {
            owner,
            machine,
            out: VecDeque::new(),
            wire: VecDeque::new(),
            sent: 0,
            taken: 0,
            read: 0,
            delivering: false,
            tls: (false, false),
            is_authenticated: false,
            is_closing: false,
            has_ended: false,
        }
    }

    pub(super) fn write(&mut self, octets: &[u8]) {
        self.sent += u64::try_from(octets.len()).unwrap();
        self.out.push_back(Segment::Octets(octets.to_vec()));
    }

    /// Octets that the operating system has not taken.
    pub(super) const fn waiting(&self) -> u64 {
        self.sent - self.taken
    }

    /// Moves what fits into the window; says whether something moved.
    pub(super) fn take(&mut self, window: u64) -> bool {
        let mut moved = false;
        while let Some(segment) = self.out.front_mut() {
            let Segment::Octets(octets) = segment else {
                self.wire.extend(self.out.pop_front());
                moved = true;
                continue;
            };
            let room = usize::try_from(window.saturating_sub(self.taken - self.read)).unwrap();
            if room == 0 {
                break;
            }
            let rest = octets.split_off(room.min(octets.len()));
            self.taken += u64::try_from(octets.len()).unwrap();
            moved = true;
            let now = std::mem::replace(octets, rest);
            let is_all = octets.is_empty();
            match self.wire.back_mut() {
                Some(Segment::Octets(before)) => before.extend(now),
                _ => self.wire.push_back(Segment::Octets(now)),
            }
            if is_all {
                self.out.pop_front();
            }
        }
        moved
    }

    pub(super) const fn host(&self) -> Host {
        match &self.owner {
            Owner::EdgeIn { edge, .. } | Owner::EdgeLink { edge, .. } => Host::Edge(*edge),
            Owner::ServerIn { server } | Owner::ServerOut { server } => Host::Server(*server),
            Owner::Verify { host, .. } => *host,
        }
    }
}
