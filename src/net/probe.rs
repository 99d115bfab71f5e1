//! Watching the inside nodes: whether each takes connections, for `/readyz`, metrics and alarms, and for the order in
//! which nodes are tried: one that is down is tried last, and one that answers again is back at once.
//!
//! A component link is its own proof and reports by itself; every other node is connected to now and then, once for all
//! domains that lead to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::discover;
use super::world::{self, World};
use crate::domain::Domain;
use crate::observe::health::NodeState;
use crate::policy::Party;
use crate::route::aside::Failure;
use crate::route::{Link, Local, Nodes, Target, Transport};

/// Watches until the proxy closes its connections.
pub async fn run(world: Arc<World>) {
    loop {
        look(&world).await;
        let is_well = world.health.ready().is_ok()
            && world
                .health
                .nodes()
                .iter()
                .all(|(_, _, seen)| *seen == NodeState::Up);
        let pause = if is_well { WELL } else { ILL };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = world.close.cancelled() => return,
        }
    }
}

/// Looks at every node once, at all of them at the same time: one that keeps us waiting hides no other.
async fn look(world: &Arc<World>) {
    let locals: Vec<_> = world.border().table().locals().cloned().collect();
    let mut places: HashMap<_, Vec<(Arc<Local>, Target)>> = HashMap::new();
    let mut seen: BTreeMap<(Domain, String), NodeState> = BTreeMap::new();
    for local in locals.into_iter().filter(|local| local.link == Link::S2s) {
        let targets = targets(world, &local).await;
        if let Nodes::Srv { name, .. } = &local.nodes {
            seen.insert((local.domain.clone(), name.to_string()), NodeState::Down);
        }
        for target in targets {
            let place = (target.host.clone(), target.port);
            places
                .entry(place)
                .or_default()
                .push((Arc::clone(&local), target));
        }
    }
    let mut looks = JoinSet::new();
    for users in places.into_values() {
        let world = Arc::clone(world);
        looks.spawn(async move {
            let Some((_, target)) = users.first() else {
                return (users, NodeState::Down);
            };
            if discover::connect(&world, target, discover::Purpose::Look)
                .await
                .is_ok()
            {
                world.aside().answered(target);
                (users, NodeState::Up)
            } else {
                let random = u32::from_le_bytes(world::random());
                world
                    .aside()
                    .failed(world::now(), target, Failure::Connection, random);
                (users, NodeState::Down)
            }
        });
    }
    while let Some(look) = looks.join_next().await {
        let Ok((users, state)) = look else { continue };
        for (local, target) in &users {
            // Where SRV records stand for the list of nodes, their name is up when one of them is.
            let node = match &local.nodes {
                Nodes::Srv { name, .. } => name.to_string(),
                Nodes::List(_) => target.host.to_string(),
            };
            let known = seen.entry((local.domain.clone(), node)).or_insert(state);
            if state == NodeState::Up {
                *known = state;
            }
        }
    }
    for ((domain, node), state) in seen {
        if world.health.saw_node(&domain, &node, state) {
            tracing::info!(%domain, node, ?state, "inside node");
        }
    }
}

/// Where the nodes of a domain are now.
async fn targets(world: &World, local: &Local) -> Vec<Target> {
    let route = world
        .border()
        .table()
        .lookup(&Party::new(None, local.domain.clone()), local.protocol);
    let Some(plan) = route.ok().and_then(|route| route.plans().first().cloned()) else {
        return Vec::new();
    };
    let mut targets = discover::targets(world, &plan).await.unwrap_or_default();
    // There is no connection that could tell.
    targets.retain(|target| target.transport != Transport::Udp);
    targets
}

/// Between looks while all is well.
const WELL: Duration = Duration::from_secs(10);
/// Between looks while something is missing.
const ILL: Duration = Duration::from_secs(1);
