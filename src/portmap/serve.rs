//! The listener of a map, and what becomes of a connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::nodes::{self, News, Nodes};
use super::pipe::Pipes;
use super::places::{NoPlace, Place, Places, Seldom};
use super::relay::{self, Ended};
use super::{Announce, Node, PortMap, announce};
use crate::net::accept::FlowId;
use crate::net::connect::ConnectError;
use crate::net::listen::prepare;
use crate::net::world::{self, World};
use crate::observe::metrics::MapMetrics;

/// A map that is served.
#[derive(Debug)]
struct Served {
    map: PortMap,
    nodes: Nodes,
    pipes: Pipes,
    metrics: MapMetrics,
}

/// Serves a map on its bound sockets until `accepting` is cancelled; its connections go on until the world closes its own.
pub fn listen(world: &Arc<World>, sockets: Vec<TcpListener>, map: PortMap, accepting: &CancellationToken) {
    let places = Places::new(map.connections, map.connections_of_source);
    let served = Arc::new(Served {
        nodes: Nodes::new(map.nodes.clone()),
        pipes: Pipes::default(),
        metrics: world.metrics.port_map(&map.name),
        map,
    });
    for (_, node) in served.nodes.all() {
        served.metrics.node(&node.to_string(), true);
    }
    let looking = look_after(Arc::clone(world), Arc::clone(&served));
    world.supervisor.spawn("port_map", looking);
    for socket in sockets {
        let (world, accepting, socket) = (Arc::clone(world), accepting.clone(), Arc::new(socket));
        let (served, places) = (Arc::clone(&served), places.clone());
        let supervisor = world.supervisor.clone();
        supervisor.keep("listener", move || {
            let (world, accepting) = (Arc::clone(&world), accepting.clone());
            let (served, socket, places) = (Arc::clone(&served), Arc::clone(&socket), places.clone());
            async move {
                tokio::select! {
                    () = accept(&world, &served, &socket, &places) => Err("accepting ended"),
                    () = accepting.cancelled() => Ok(()),
                }
            }
        });
    }
}

async fn accept(world: &Arc<World>, served: &Arc<Served>, socket: &TcpListener, places: &Places) {
    let name = &served.map.name;
    let mut refusals = Seldom::default();
    loop {
        let (stream, source) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(map = name, %error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let place = match served.admit(source.ip(), places) {
            Ok(place) => place,
            Err((class, why)) => {
                served.metrics.ended(class);
                // Anybody can knock as often as he likes.
                if let Some(untold) = refusals.say(world::now()) {
                    tracing::warn!(map = name, peer = %source, class, untold, "a connection is refused: {why}");
                }
                continue;
            }
        };
        let connection = connection(Arc::clone(world), Arc::clone(served), (stream, source), place);
        world.supervisor.spawn("port_map_connection", connection);
    }
}

async fn connection(
    world: Arc<World>,
    served: Arc<Served>,
    (peer, source): (TcpStream, SocketAddr),
    place: Place,
) {
    let (flow, name) = (FlowId::fresh(), &served.map.name);
    let alive = served.metrics.connection();
    let reached = tokio::select! {
        reached = reach(&world, &served, &peer, source) => reached,
        () = world.close.cancelled() => return,
    };
    let Some((node, address)) = reached else {
        served.metrics.ended("no_node");
        tracing::warn!(%flow, map = name, peer = %source, class = "no_node", "a connection is closed: no node of the map takes it");
        return;
    };
    tracing::debug!(%flow, map = name, peer = %source, node = %address, "a connection is mapped");
    let carried = relay::relay(
        &served.pipes,
        (&peer, &node),
        (&served.metrics.inward, &served.metrics.outward),
        served.map.idle,
    );
    let ended = tokio::select! {
        ended = carried => ended,
        () = world.close.cancelled() => return,
    };
    let class = match &ended {
        Ended::Closed => "closed",
        Ended::Idle => "idle",
        Ended::Broken(_) => "broken",
    };
    served.metrics.ended(class);
    match ended {
        Ended::Closed => tracing::debug!(%flow, map = name, class, "a mapped connection has ended"),
        Ended::Idle => {
            tracing::info!(%flow, map = name, class, "a mapped connection is closed: nothing passed for idle_timeout");
        }
        Ended::Broken(error) => {
            tracing::debug!(%flow, map = name, class, %error, "a mapped connection broke");
        }
    }
    drop((alive, place));
}

/// Connects to the first node that takes it.
async fn reach(
    world: &World,
    served: &Served,
    peer: &TcpStream,
    source: SocketAddr,
) -> Option<(TcpStream, SocketAddr)> {
    if let Err(error) = prepare(peer) {
        tracing::debug!(map = served.map.name, peer = %source, %error, "a new connection cannot be prepared");
        return None;
    }
    for (place, node) in served.nodes.order(world::now()) {
        let mut reached = nodes::connect(world, node).await;
        if let (Ok((stream, address)), Announce::ProxyV2) = (&mut reached, served.map.announce)
            && let Err(error) = tell(stream, peer, source).await
        {
            let address = *address;
            reached = Err(ConnectError::Failed { address, error });
        }
        served.saw(place, node, reached.as_ref().err());
        if let Ok(reached) = reached {
            return Some(reached);
        }
    }
    None
}

/// Tells a node who connects.
async fn tell(node: &mut TcpStream, peer: &TcpStream, source: SocketAddr) -> io::Result<()> {
    let header = announce::header(source, peer.local_addr()?);
    node.write_all(&header).await
}

impl Served {
    /// A place for a connection from `source`, or the class and the words of why there is none.
    fn admit(&self, source: IpAddr, places: &Places) -> Result<Place, (&'static str, &'static str)> {
        if !self.map.allows(source) {
            return Err(("source_not_allowed", "allow_from has no such source"));
        }
        places.take(source).map_err(|why| match why {
            NoPlace::All => ("connection_limit", "max_connections of the map is reached"),
            NoPlace::OfSource => (
                "source_limit",
                "its source has all connections that max_connections_per_source gives it",
            ),
        })
    }

    /// Takes note of an attempt.
    fn saw(&self, place: usize, node: &Node, failed: Option<&ConnectError>) {
        if failed.is_some_and(|error| !nodes::is_its_fault(error)) {
            return;
        }
        let (map, now) = (&self.map.name, world::now());
        match (self.nodes.note(now, place, failed.is_none()), failed) {
            (News::Up, _) => {
                self.metrics.node(&node.to_string(), true);
                tracing::info!(map, %node, "a node of the map takes connections again");
            }
            (News::Down, Some(error)) => {
                self.metrics.node(&node.to_string(), false);
                tracing::warn!(map, %node, %error, "a node of the map takes no connection; others are tried first until it does");
            }
            (News::Down | News::None, _) => {}
        }
    }
}

/// Looks at nodes that failed until they answer again, and at all of them now and then, so that the first to find out that
/// one is down is not a peer.
async fn look_after(world: Arc<World>, served: Arc<Served>) {
    let mut whole = world::now();
    loop {
        let now = world::now();
        let looked_at: Vec<_> = if whole <= now {
            whole = now.checked_add(WHOLE).unwrap_or(now);
            served.nodes.all().collect()
        } else {
            served.nodes.due(now)
        };
        for (place, node) in looked_at {
            tokio::select! {
                reached = nodes::connect(&world, node) => served.saw(place, node, reached.as_ref().err()),
                () = world.close.cancelled() => return,
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = world.close.cancelled() => return,
        }
    }
}

/// Between failed accepts, so that a lack of descriptors does not become a lack of time.
const BREATH: Duration = Duration::from_millis(50);
/// Between looks at nodes that failed.
const LOOK: Duration = Duration::from_millis(500);
/// Between looks at all nodes.
const WHOLE: Duration = Duration::from_secs(15);
