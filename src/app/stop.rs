//! The orderly stop: phase by phase, each seen in `/readyz` and in the metrics, and bounded by the grace time.

use std::sync::Arc;
use std::time::Duration;

use crate::net::world::World;
use crate::observe::health::Phase;
use tokio_util::sync::CancellationToken;

/// Takes the proxy from running to done within `grace`; `accepting` is cancelled to close the listeners.
pub(super) async fn stop(
    world: &Arc<World>,
    accepting: &CancellationToken,
    answering: &CancellationToken,
    grace: Duration,
) {
    let enter = |phase: Phase| {
        tracing::info!(%phase, "stopping");
        world.health.enter(phase);
    };
    enter(Phase::NotReady);
    enter(Phase::StopAccept);
    accepting.cancel();
    enter(Phase::RefuseNew);
    world.refuse_new.cancel();
    enter(Phase::FinishTransactions);
    let finished = tokio::time::timeout(grace, nothing_waits(world)).await;
    if finished.is_err() {
        tracing::warn!(
            waiting = world.metrics.pending.get(),
            "the grace time is over while messages still wait"
        );
    }
    enter(Phase::CloseStreams);
    // Links first: what still waits on them comes back, and its answers go out on the flows, which close last.
    world.close.cancel();
    let links = async {
        ended(world, &LINKS).await;
        nothing_waits(world).await;
    };
    if tokio::time::timeout(FAREWELL, links).await.is_err() {
        tracing::warn!("some links did not close in time");
    }
    world.close_flows.cancel();
    if tokio::time::timeout(FAREWELL, ended(world, &FLOWS))
        .await
        .is_err()
    {
        tracing::warn!("some connections did not close in time");
    }
    answering.cancel();
    world.supervisor.abort();
    world.supervisor.ended().await;
    enter(Phase::Done);
}

/// Waits until no message waits for its outcome.
async fn nothing_waits(world: &World) {
    let mut every = tokio::time::interval(LOOK);
    while world.metrics.pending.get() > 0 {
        every.tick().await;
    }
}

/// Waits until no task of these names is alive.
async fn ended(world: &World, names: &[&str]) {
    let mut every = tokio::time::interval(LOOK);
    while world
        .supervisor
        .alive()
        .iter()
        .any(|(task, alive)| names.contains(task) && *alive > 0)
    {
        every.tick().await;
    }
}

/// The tasks that carry what is under way to its end.
const LINKS: [&str; 3] = ["sip_link", "xmpp_link", "xmpp_stream"];
/// The tasks that hold connections after that.
const FLOWS: [&str; 2] = ["sip_flow", "farewell"];
/// How often the number of waiting messages is looked at during the stop.
const LOOK: Duration = Duration::from_millis(20);
/// Time for the farewells of streams and TLS sessions.
const FAREWELL: Duration = Duration::from_secs(2);
