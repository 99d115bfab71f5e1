//! Watching the inside nodes: whether each takes connections, for `/readyz`, metrics and alarms.
//!
//! A component link is its own proof and reports by itself; every other node is connected to now and then.

use std::sync::Arc;
use std::time::Duration;

use super::world::World;
use super::{connect, discover};
use crate::observe::health::NodeState;
use crate::policy::Party;
use crate::route::{Link, Local};

/// Watches until the proxy closes its connections.
pub async fn run(world: Arc<World>) {
    loop {
        let locals: Vec<_> = world.border().table().locals().cloned().collect();
        for local in locals.iter().filter(|local| local.link == Link::S2s) {
            probe(&world, local).await;
        }
        let pause = if world.health.ready().is_ok() { WELL } else { ILL };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = world.close.cancelled() => return,
        }
    }
}

async fn probe(world: &World, local: &Local) {
    let route = world
        .border()
        .table()
        .lookup(&Party::new(None, local.domain.clone()), local.protocol);
    let Some(plan) = route.ok().and_then(|route| route.plans().first().cloned()) else {
        return;
    };
    for target in discover::targets(world, &plan).await.unwrap_or_default() {
        let within = world.limits().net.connect;
        let reached = match discover::addresses(world, &target).await {
            Ok(addresses) => connect::first(&addresses, within).await.is_ok(),
            Err(_) => false,
        };
        let seen = if reached { NodeState::Up } else { NodeState::Down };
        let node = target.host.to_string();
        if world.health.saw_node(&local.domain, &node, seen) {
            tracing::info!(domain = %local.domain, node, state = ?seen, "inside node");
        }
    }
}

/// Between looks while all is well.
const WELL: Duration = Duration::from_secs(10);
/// Between looks while something is missing.
const ILL: Duration = Duration::from_secs(1);
