//! The packet filter of this machine, made from the configuration (specification: edge §6).
//!
//! Everything is dropped but what the listeners, the port maps and the management need, what belongs to a flow that was
//! let in, and the ICMP that IPv6 and the discovery of path MTUs live on (RFC 4890). Maps of `mode = "kernel"`, and what
//! mapped nodes open themselves, are address translation in the same ruleset.
//!
//! Pure: settings in, the text of an nftables ruleset out. `vestibule firewall` shows and loads it; the proxy itself never
//! has the power to.

mod ruleset;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::route::Network;

/// What the filter is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    /// Whether `vestibule firewall apply` may load it on this machine.
    pub is_managed: bool,
    /// What may be reached from elsewhere.
    pub openings: Vec<Opening>,
    /// The ports that the kernel maps, in the order of the file.
    pub maps: Vec<KernelMap>,
    /// Nodes whose own connections leave from an address of ours.
    pub leaving: Vec<Leaving>,
    /// What the machine itself may open.
    pub outgoing: Outgoing,
    /// Networks that are inside whatever their addresses look like, where `leaving` may not lead.
    pub inside: Vec<Network>,
    /// Private networks that are outside all the same.
    pub outside: Vec<Network>,
}

/// A port of this machine that may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// What needs it, for people: no quotation marks, and short.
    pub what: String,
    /// What is carried.
    pub carrier: Carrier,
    /// At which address; `None` is each. An unspecified one is each of its family.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// From where.
    pub from: Vec<Network>,
}

/// A public port that the kernel maps to nodes, `mode = "kernel"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelMap {
    /// Its name; no two maps have the same.
    pub name: String,
    /// What is carried.
    pub carrier: Carrier,
    /// The addresses of ours; for each family there is a node.
    pub public: Vec<SocketAddr>,
    /// Where it goes, each by its share.
    pub nodes: Vec<KernelNode>,
    /// From where.
    pub allowed: Vec<Network>,
    /// Silence after which a connection is forgotten; whole seconds are told to the kernel.
    pub idle: Duration,
    /// Connections at once.
    pub connections: usize,
}

/// A node of a [`KernelMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelNode {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share among the others; at least 1.
    pub weight: u16,
}

/// A node whose own connections to the outside leave from an address of ours (source translation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// The map that says so.
    pub name: String,
    /// What is carried.
    pub carrier: Carrier,
    /// The node.
    pub node: IpAddr,
    /// Our address, of the same family.
    pub public: IpAddr,
}

/// What carries a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What the machine itself may open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// Anything.
    Any,
    /// What the proxy opens, known by its user, and DNS, time and address assignment of the system.
    Own {
        /// The user that the proxy becomes.
        user: String,
    },
}

impl Firewall {
    /// Whether who connects from `source` to a port of ours is let in.
    #[must_use]
    pub fn admits(&self, source: IpAddr, to: SocketAddr, carrier: Carrier) -> bool {
        let source = source.to_canonical();
        self.openings.iter().any(|opening| {
            opening.carrier == carrier
                && opening.port == to.port()
                && opening.address.is_none_or(|address| {
                    address == to.ip() || (address.is_unspecified() && address.is_ipv4() == to.is_ipv4())
                })
                && opening.from.iter().any(|network| network.contains(source))
        })
    }

    /// Whether packets have to pass through the machine for it to work.
    #[must_use]
    pub fn forwards(&self) -> bool {
        !self.maps.is_empty() || !self.leaving.is_empty()
    }
}

impl Carrier {
    /// As nftables writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

#[cfg(test)]
mod tests;
