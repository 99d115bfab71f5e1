//! Carrying out the steps of a plan: asking DNS where the plan says so, and giving the targets in order.

use std::net::{IpAddr, SocketAddr};

use super::dns::{DnsError, Resolver};
use super::world::{self, World};
use crate::gateway::Trouble;
use crate::route::select::Health;
use crate::route::srv::{self, Answer, SrvName, SrvRecord};
use crate::route::{Discovery, Host, Inward, Lookup, Plan, Side, Step, Target, naptr};

/// The targets of a plan, in the order in which they are to be tried.
///
/// # Errors
/// [`Trouble::NotFound`] where nothing leads anywhere; [`Trouble::Timeout`] where DNS did not answer.
pub async fn targets(world: &World, plan: &Plan) -> Result<Vec<Target>, Trouble> {
    of_steps(world, steps(plan, |_| Health::Up)).await
}

/// What a plan wants tried, in order; `health` is what is known of the targets that need no DNS.
pub fn steps(plan: &Plan, health: impl Fn(&Target) -> Health) -> Vec<Step> {
    plan.steps(health, &mut pick)
}

/// The targets of some steps of a plan, in the order in which they are to be tried.
///
/// # Errors
/// As [`targets`].
pub async fn of_steps(world: &World, steps: impl IntoIterator<Item = Step>) -> Result<Vec<Target>, Trouble> {
    let mut found = Vec::new();
    let mut failed = None;
    for step in steps {
        match step {
            Step::Address(target) => found.push(target),
            Step::Discover(discovery) => match discover(world.dns(discovery.template.side), &discovery).await
            {
                Ok(targets) => found.extend(targets),
                Err(error) => {
                    tracing::info!(peer = %discovery.template.domain, %error, "a peer's servers cannot be looked up");
                    failed = Some(error);
                }
            },
        }
    }
    match (found.is_empty(), failed) {
        (false, _) => Ok(found),
        (true, Some(DnsError::Failed { .. })) => Err(Trouble::Timeout),
        (true, Some(DnsError::NotFound { .. }) | None) => Err(Trouble::NotFound),
    }
}

/// The socket addresses of a target. The name of a foreign server leads to none that stands inside.
///
/// # Errors
/// [`Trouble`] where its name cannot be resolved.
pub async fn addresses(world: &World, target: &Target) -> Result<Vec<SocketAddr>, Trouble> {
    let port = target.port.get();
    match &target.host {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, port)]),
        Host::Name(name) => match world.dns(target.side).addresses(name).await {
            Ok(mut addresses) => {
                match target.side {
                    Side::Inside => world.nodes.saw(name, &addresses),
                    Side::Outside => addresses.retain(|address| leads_outside(world, target, *address)),
                }
                if addresses.is_empty() {
                    return Err(Trouble::NotFound);
                }
                Ok(addresses
                    .into_iter()
                    .map(|address| SocketAddr::new(address, port))
                    .collect())
            }
            Err(error) => {
                tracing::info!(peer = %target.domain, %error, "a server's address cannot be looked up");
                Err(match error {
                    DnsError::NotFound { .. } => Trouble::NotFound,
                    DnsError::Failed { .. } => Trouble::Timeout,
                })
            }
        },
    }
}

/// Whether the address that the name of a foreign server has led to stands outside.
fn leads_outside(world: &World, target: &Target, address: IpAddr) -> bool {
    let checked = match world.border().table().boundary().check(address) {
        Ok(()) if world.nodes.has(address) => Err(Inward::Node),
        checked => checked,
    };
    if let Err(why) = checked {
        tracing::warn!(
            peer = %target.domain, %target, %address, class = "address_inside", %why,
            "the name of a foreign server leads inside; it is not connected to"
        );
    }
    checked.is_ok()
}

async fn discover(dns: &Resolver, discovery: &Discovery) -> Result<Vec<Target>, DnsError> {
    for lookup in &discovery.lookups {
        let names = match lookup {
            Lookup::Srv(names) => names.clone(),
            Lookup::Naptr(domain) => match dns.naptr(domain).await {
                Ok(records) => naptr::select(&records, &discovery.transports),
                Err(DnsError::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            },
        };
        let mut answers: Vec<(SrvName, Vec<SrvRecord>)> = Vec::new();
        for name in names {
            match dns.srv(&name).await {
                Ok(records) => answers.push((name, records)),
                Err(DnsError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match srv::targets(&answers, &discovery.template, &mut pick) {
            Answer::Nothing => {}
            Answer::NotOffered => return Ok(Vec::new()),
            Answer::Targets(targets) => return Ok(targets),
        }
    }
    Ok(discovery.fallback.iter().cloned().collect())
}

/// A uniform number from 0 to `most`.
fn pick(most: u64) -> u64 {
    let random = u64::from_le_bytes(world::random());
    most.checked_add(1)
        .map_or(random, |count| random.checked_rem(count).unwrap_or_default())
}
