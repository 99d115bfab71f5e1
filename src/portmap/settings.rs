//! What a map is told by the configuration, as checked values.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use crate::route::{Host, Network};

/// A port of ours that stands for a service inside, over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMap {
    /// Its name, for logs and metrics; no two have the same.
    pub name: String,
    /// Where it listens; never empty.
    pub public: Vec<SocketAddr>,
    /// Where connections go on to; never empty.
    pub nodes: Vec<Node>,
    /// From where they may come; a source in none of these is closed without a word.
    pub allowed: Vec<Network>,
    /// A connection over which nothing passed either way for so long is closed.
    pub idle: Duration,
    /// Connections at once.
    pub connections: usize,
    /// How many of them may be of one source: an address of IPv4, or a /64 of IPv6.
    pub connections_of_source: usize,
    /// What the node is told of who connects.
    pub announce: Announce,
}

/// A place inside that takes connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its host; a name is resolved by the inside's DNS for each connection.
    pub host: Host,
    /// Its port.
    pub port: NonZeroU16,
    /// Lower first.
    pub priority: u16,
    /// Its share among equals.
    pub weight: u16,
}

/// What a node is told of who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announce {
    /// Nothing: it sees our address.
    Nothing,
    /// A header of the PROXY protocol, version 2, before all else.
    ProxyV2,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl PortMap {
    /// Whether a source may connect.
    #[must_use]
    pub fn allows(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.allowed.iter().any(|network| network.contains(source))
    }
}
