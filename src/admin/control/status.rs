//! `/v1/status`: how the proxy is, in one look.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Known;
use crate::gateway::Link;
use crate::net::world::{self, World};
use crate::observe::health::NodeState;
use crate::observe::metrics::Counted;
use crate::route::Protocol;

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    edge: String,
    phase: String,
    ready: bool,
    /// Why not, in words.
    reasons: Vec<String>,
    /// Seconds after 1970.
    started: i64,
    uptime_seconds: u64,
    listeners: Vec<Listening>,
    nodes: Vec<Node>,
    /// The foreign domains that there is a link to now.
    peers: Vec<Peer>,
    connections: Vec<Counted>,
    connections_total: Vec<Counted>,
    messages: Vec<Counted>,
    subscriptions: Vec<Counted>,
    pending_messages: i64,
    pending_errors: i64,
    untold: u64,
    tasks: BTreeMap<&'static str, u64>,
    certificates: Vec<Certificate>,
}

/// One of ours.
#[derive(Debug, Serialize)]
struct Certificate {
    context: String,
    chain: String,
    /// The last second at which it counts, after 1970.
    ends: i64,
}

#[derive(Debug, Serialize)]
struct Listening {
    side: &'static str,
    protocol: &'static str,
    transport: String,
    address: String,
}

#[derive(Debug, Serialize)]
struct Node {
    domain: String,
    node: String,
    up: bool,
}

#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Peer {
    domain: String,
    protocol: &'static str,
}

/// The foreign domains of the links, each once for each protocol. The domains that have nodes are ours.
fn peers(world: &World) -> Vec<Peer> {
    let own: BTreeSet<_> = world
        .health
        .nodes()
        .into_iter()
        .map(|(domain, ..)| domain)
        .collect();
    let links = world.pool.links(MOST_LINKS).into_iter();
    let foreign = links.filter_map(|link| {
        let (remote, protocol) = match link {
            Link::Xmpp { remote, .. } => (remote, Protocol::Xmpp),
            Link::Sip { remote } => (remote, Protocol::Sip),
        };
        (!own.contains(&remote)).then(|| Peer {
            domain: remote.to_string(),
            protocol: protocol.as_str(),
        })
    });
    foreign.collect::<BTreeSet<_>>().into_iter().collect()
}

/// As of now.
pub(super) fn of(known: &Known) -> Status {
    let world = &known.world;
    let ready = world.health.ready();
    let uptime = world::now().saturating_duration_since(known.started).as_secs();
    let today = world::today().unix_seconds();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        edge: known.edge.to_string(),
        phase: world.health.phase().to_string(),
        ready: ready.is_ok(),
        reasons: ready.err().unwrap_or_default(),
        started: today.saturating_sub_unsigned(uptime),
        uptime_seconds: uptime,
        listeners: known
            .listeners
            .iter()
            .map(|listener| Listening {
                side: listener.side.as_str(),
                protocol: listener.protocol.as_str(),
                transport: listener.transport.to_string(),
                address: listener.address.to_string(),
            })
            .collect(),
        nodes: world
            .health
            .nodes()
            .into_iter()
            .map(|(domain, node, seen)| Node {
                domain: domain.to_string(),
                node,
                up: seen == NodeState::Up,
            })
            .collect(),
        peers: peers(world),
        connections: world.metrics.connections(),
        connections_total: world.metrics.connections_total(),
        messages: world.metrics.messages(),
        subscriptions: world.metrics.subscriptions(),
        pending_messages: world.metrics.pending.get(),
        pending_errors: world.metrics.telling.get(),
        untold: world.metrics.untold.get(),
        tasks: world.supervisor.alive(),
        certificates: world
            .metrics
            .known_certificates()
            .into_iter()
            .map(|(context, chain, ends)| Certificate { context, chain, ends })
            .collect(),
    }
}

/// What is looked at of the links, so that an answer has a bound.
const MOST_LINKS: usize = 1000;
