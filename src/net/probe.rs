//! Watching the inside nodes: whether each answers, for `/readyz`, metrics and alarms, and for the order in which nodes are
//! tried: one that is down is tried last, and one that answers again is back at once. And asking the SIP servers outside
//! that were set aside, before they get traffic again.
//!
//! A component link is its own proof and reports by itself; an XMPP node is connected to now and then, and a SIP node asked
//! by OPTIONS, once for all domains that lead to it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::discover::{self, Purpose};
use super::sip_link::live::Live;
use super::sip_probe::{self, Said};
use super::world::{self, World};
use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::observe::health::NodeState;
use crate::policy::Party;
use crate::route::aside::Failure;
use crate::route::left_alone::LONGEST_WAIT;
use crate::route::{Host, Link, Local, Nodes, Protocol, Target, Transport};

/// Watches the nodes until the proxy closes its connections.
pub async fn run(world: Arc<World>) {
    let mut watched = HashMap::new();
    loop {
        tokio::select! {
            () = look(&world, &mut watched) => {}
            () = world.close.cancelled() => return,
        }
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

/// Asks the SIP servers outside that were set aside whether they are back, until the proxy closes its connections.
pub async fn ask_those_set_aside(world: Arc<World>) {
    let mut asked = JoinSet::new();
    loop {
        let room = QUESTIONS.saturating_sub(asked.len());
        let due = world.aside().due(world::now(), room, GIVEN_UP);
        for target in due {
            let world = Arc::clone(&world);
            asked.spawn(async move {
                let said = sip_probe::ask(&world, &target, None).await;
                if note(&world, [&target], said.map(|(said, _)| said)) == NodeState::Up {
                    tracing::info!(peer = %target.domain, %target, "a SIP server that was set aside answers again");
                }
            });
        }
        tokio::select! {
            Some(_done) = asked.join_next() => {}
            () = tokio::time::sleep(BETWEEN_QUESTIONS) => {}
            () = world.close.cancelled() => return,
        }
    }
}

/// Where something listens, whatever domains lead to it.
type Place = (Protocol, Transport, Host, u16);

/// What is known of a SIP node between two looks.
struct Watched {
    flow: Option<Live>,
    state: NodeState,
    /// Not to be asked before.
    next: Option<Instant>,
}

/// Looks at every node once, at all of them at the same time: one that keeps us waiting hides no other.
async fn look(world: &Arc<World>, watched: &mut HashMap<Place, Watched>) {
    let locals: Vec<_> = world.border().table().locals().cloned().collect();
    let mut places: HashMap<Place, Vec<(Domain, String, Target)>> = HashMap::new();
    let mut seen: BTreeMap<(Domain, String), NodeState> = BTreeMap::new();
    for local in locals.into_iter().filter(|local| local.link == Link::S2s) {
        let targets = targets(world, &local).await;
        if let Nodes::Srv { name, .. } = &local.nodes {
            seen.insert((local.domain.clone(), name.to_string()), NodeState::Down);
        }
        for target in targets {
            let node = match &local.nodes {
                Nodes::Srv { name, .. } => name.to_string(),
                Nodes::List(_) => target.host.to_string(),
            };
            for target in discover::by_address(world, vec![target]).await {
                let place = (
                    target.protocol,
                    target.transport,
                    target.host.clone(),
                    target.port.get(),
                );
                let user = (local.domain.clone(), node.clone(), target);
                places.entry(place).or_default().push(user);
            }
        }
    }
    watched.retain(|place, _| places.contains_key(place));
    let mut looks = JoinSet::new();
    for (place, users) in places {
        let (world, known) = (Arc::clone(world), watched.remove(&place));
        looks.spawn(async move {
            let (state, known) = match (place.0, users.first()) {
                (_, None) => (NodeState::Down, None),
                (Protocol::Xmpp, Some((.., target))) => (connect(&world, target).await, None),
                (Protocol::Sip, Some((.., target))) => {
                    let all: Vec<_> = users.iter().map(|(.., target)| target).collect();
                    let known = ask(&world, target, &all, known).await;
                    (known.state, Some(known))
                }
            };
            (place, users, state, known)
        });
    }
    while let Some(look) = looks.join_next().await {
        let Ok((place, users, state, known)) = look else {
            continue;
        };
        watched.extend(known.map(|known| (place, known)));
        for (domain, node, _) in users {
            // Where SRV records stand for the list of nodes, or a name for several addresses, it is up when one of them is.
            let known = seen.entry((domain, node)).or_insert(state);
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

/// Whether an XMPP node takes connections.
async fn connect(world: &World, target: &Target) -> NodeState {
    if discover::connect(world, target, Purpose::Look).await.is_ok() {
        world.aside().answered(target);
        NodeState::Up
    } else {
        failed(world, target, Failure::Connection);
        NodeState::Down
    }
}

/// Asks a SIP node, unless it was well a short while ago or wants to be left alone.
async fn ask(world: &Arc<World>, target: &Target, users: &[&Target], known: Option<Watched>) -> Watched {
    let now = world::now();
    let is_doubted = world.aside().is_set_aside(now, target);
    let flow = match known {
        Some(known) if known.next.is_some_and(|next| next > now) => {
            if known.state == NodeState::Down || !is_doubted {
                return known;
            }
            known.flow
        }
        Some(known) => known.flow,
        None => None,
    };
    let asked = sip_probe::ask(world, target, flow).await;
    let (said, flow) = match asked {
        Ok((said, live)) => (Ok(said), Some(live)),
        Err(trouble) => (Err(trouble), None),
    };
    let state = note(world, users.iter().copied(), said);
    let wait = match said {
        Ok(Said::Alive) => Some(WELL),
        Ok(Said::Busy(wait)) => wait.map(|wait| wait.min(LONGEST_WAIT)),
        Err(_) => None,
    };
    // What was well is looked at in the same rhythm, whatever others do; a moment less, so that no look passes it over.
    let next = wait.and_then(|wait| world::now().checked_add(wait.saturating_sub(ILL)));
    Watched { flow, state, next }
}

/// Takes note of what a SIP server said or did not say, for all domains that lead to it.
pub(super) fn note<'t>(
    world: &World,
    targets: impl IntoIterator<Item = &'t Target>,
    said: Result<Said, Trouble>,
) -> NodeState {
    let mut state = NodeState::Down;
    for target in targets {
        match said {
            Ok(Said::Alive) => {
                world.aside().succeeded(target);
                state = NodeState::Up;
            }
            Ok(Said::Busy(wait)) => {
                world.aside().answered(target);
                match wait {
                    Some(wait) => world.aside().asked(world::now(), target, wait.min(LONGEST_WAIT)),
                    None => failed(world, target, Failure::Negotiation),
                }
            }
            Err(Trouble::NotFound | Trouble::Unresolved | Trouble::Unreachable | Trouble::Timeout) => {
                failed(world, target, Failure::Connection);
            }
            Err(
                Trouble::Untrusted
                | Trouble::Refused
                | Trouble::Broken
                | Trouble::Overload
                | Trouble::TooLarge
                | Trouble::Stopping,
            ) => {
                world.aside().answered(target);
                failed(world, target, Failure::Negotiation);
            }
        }
    }
    state
}

fn failed(world: &World, target: &Target, failure: Failure) {
    let random = u32::from_le_bytes(world::random());
    world.aside().failed(world::now(), target, failure, random);
}

/// Where the nodes of a domain are now.
async fn targets(world: &World, local: &Local) -> Vec<Target> {
    let route = world
        .border()
        .table()
        .lookup(&Party::new(None, local.domain.clone()), local.protocol);
    let Some(plan) = route.ok().and_then(|route| route.into_plan(local.protocol)) else {
        return Vec::new();
    };
    discover::targets(world, &plan).await.unwrap_or_default()
}

/// Between looks while all is well.
const WELL: Duration = Duration::from_secs(10);
/// Between looks while something is missing.
const ILL: Duration = Duration::from_secs(1);
/// Between looks at who outside is to be asked.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(1);
/// Servers outside that are asked at the same time.
const QUESTIONS: usize = 16;
/// A question that has no end by then is asked again.
const GIVEN_UP: Duration = Duration::from_secs(60);
