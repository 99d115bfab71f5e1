//! The nodes of a map: which is tried first, and which are well.

use std::future::ready;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::Node;
use crate::net::connect::{self, ConnectError};
use crate::net::discover::Draw;
use crate::net::dns::Family;
use crate::net::world::{self, World};
use crate::route::Host;
use crate::route::select::{self, Health, Watch, Weighted};

/// The nodes of a map with what is known of each.
#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    watches: Mutex<Vec<Watch>>,
}

/// A node by its place in the list.
#[derive(Debug, Clone, Copy)]
struct Placed<'n> {
    place: usize,
    node: &'n Node,
    health: Health,
}

impl Weighted for Placed<'_> {
    fn priority(&self) -> u16 {
        self.node.priority
    }

    fn weight(&self) -> u16 {
        self.node.weight
    }
}

/// What a connection to a node, or the attempt, has shown of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that was not known.
    None,
    /// It takes connections again.
    Up,
    /// It takes none any more.
    Down,
}

impl Nodes {
    pub(super) fn new(nodes: Vec<Node>) -> Self {
        let watches = nodes
            .iter()
            .map(|_| Watch::new(FIRST_LOOK, LONGEST_LOOK))
            .collect();
        Self {
            nodes,
            watches: Mutex::new(watches),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes.iter().enumerate()
    }

    /// The nodes in the order in which they are to be tried: those that are well by priority and weight, then the rest.
    pub(super) fn order(&self, now: Instant) -> Vec<(usize, &Node)> {
        let placed = {
            let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
            let known = self.nodes.iter().enumerate().zip(watches.iter());
            known
                .map(|((place, node), watch)| Placed {
                    place,
                    node,
                    health: watch.health(now),
                })
                .collect()
        };
        let ordered = select::order(placed, |placed: &Placed<'_>| placed.health, &mut |most| {
            Draw::Chance.pick(most)
        });
        ordered
            .into_iter()
            .map(|placed| (placed.place, placed.node))
            .collect()
    }

    /// Those that failed and whose time to be looked at has come.
    pub(super) fn due(&self, now: Instant) -> Vec<(usize, &Node)> {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.nodes.iter().enumerate().zip(watches.iter());
        known
            .filter(|(_, watch)| watch.health(now) == Health::Probing)
            .map(|(node, _)| node)
            .collect()
    }

    /// Takes note of what became of an attempt.
    pub(super) fn note(&self, now: Instant, place: usize, is_well: bool) -> News {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watch) = watches.get_mut(place) else {
            return News::None;
        };
        let was_well = watch.probe_at().is_none();
        if is_well {
            watch.succeeded();
        } else {
            watch.failed(now, u32::from_le_bytes(world::random()));
        }
        match (was_well, is_well) {
            (true, false) => News::Down,
            (false, true) => News::Up,
            (true, true) | (false, false) => News::None,
        }
    }
}

/// Connects to a node.
pub(super) async fn connect(world: &World, node: &Node) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let within = world.limits().net.connect;
    let at = |address: IpAddr| SocketAddr::new(address, node.port.get());
    match &node.host {
        Host::Address(address) => connect::first(ready(Vec::new()), ready(vec![at(*address)]), within).await,
        Host::Name(name) => {
            let of = |family: Family| async move {
                let found = world.inside_dns.addresses(name, family).await;
                found.unwrap_or_default().into_iter().map(at).collect()
            };
            connect::first(of(Family::V6), of(Family::V4), within).await
        }
    }
}

/// Whether that a connection failed says that its node is not well: what we lack ourselves does not.
pub(super) fn is_its_fault(error: &ConnectError) -> bool {
    match error {
        ConnectError::Failed { error, .. } => {
            !matches!(
                error.raw_os_error().map(nix::errno::Errno::from_raw),
                Some(
                    nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE | nix::errno::Errno::EADDRNOTAVAIL
                )
            ) && error.kind() != io::ErrorKind::OutOfMemory
        }
        ConnectError::NoAddress | ConnectError::Timeout(_) => true,
    }
}

/// A node that took no connection is tried again after this, and then after twice that, up to the longest.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LONGEST_LOOK: Duration = Duration::from_secs(10);
