//! Carrying out the steps of a plan: asking DNS where the plan says so, and giving the targets in order.

use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use tokio::net::TcpStream;

use super::connect::{self, ConnectError};
use super::dns::{DnsError, Family, Resolver};
use super::sip_udp;
use super::world::{self, World};
use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::limits::TARGETS_OF_A_SERVICE;
use crate::route::select::Health;
use crate::route::srv::{self, Answer, SrvName, SrvRecord};
use crate::route::{Discovery, Host, Inward, Lookup, Plan, Side, Step, Target, Transport, naptr};

/// The targets of a plan, in the order in which they are to be tried.
///
/// # Errors
/// [`Trouble::NotFound`] where nothing leads anywhere; [`Trouble::Unresolved`] where DNS did not answer.
pub async fn targets(world: &World, plan: &Plan) -> Result<Vec<Target>, Trouble> {
    of_steps(world, steps(plan, |_| Health::Up, Draw::Chance), Draw::Chance).await
}

/// What a plan wants tried, in order; `health` is what is known of the targets that need no DNS.
pub fn steps(plan: &Plan, health: impl Fn(&Target) -> Health, draw: Draw) -> Vec<Step> {
    plan.steps(health, &mut |most| draw.pick(most))
}

/// The targets of some steps of a plan, in the order in which they are to be tried.
///
/// # Errors
/// As [`targets`].
pub async fn of_steps(
    world: &World,
    steps: impl IntoIterator<Item = Step>,
    draw: Draw,
) -> Result<Vec<Target>, Trouble> {
    let mut found = Vec::new();
    let mut failed = None;
    for step in steps {
        match step {
            Step::Address(target) => found.push(target),
            Step::Discover(discovery) => {
                match discover(world.dns(discovery.template.side), &discovery, draw).await {
                    Ok(targets) => found.extend(targets),
                    Err(error) => {
                        tracing::info!(peer = %discovery.template.domain, %error, "a peer's servers cannot be looked up");
                        failed = Some(error);
                    }
                }
            }
        }
    }
    match (found.is_empty(), failed) {
        (false, _) => Ok(found),
        (true, Some(DnsError::Failed { .. })) => Err(Trouble::Unresolved),
        (true, Some(DnsError::NotFound { .. }) | None) => Err(Trouble::NotFound),
    }
}

/// Who decides among targets that are equals but for their weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Chance, each time anew.
    Chance,
    /// The number of a lane, of so many: each comes to the same target again, and all of them together to their shares.
    Lane(usize, usize),
}

impl Draw {
    /// A number from 0 to `most`.
    #[must_use]
    pub fn pick(self, most: u64) -> u64 {
        match self {
            Self::Chance => {
                let random = u64::from_le_bytes(world::random());
                most.checked_add(1)
                    .map_or(random, |count| random.checked_rem(count).unwrap_or_default())
            }
            // The middle of the lane, rounded up: of weights 3 and 1 three lanes of four lead to the first.
            Self::Lane(lane, of) => {
                let [lane, of] = [lane, of].map(|number| u64::try_from(number).unwrap_or_default());
                let middle = lane.saturating_mul(2).saturating_add(1);
                let whole = of.saturating_mul(2).max(1);
                most.saturating_mul(middle).div_ceil(whole).min(most)
            }
        }
    }
}

/// What a connection is for: it decides how loud a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody waits for it, or for the link that it is to carry.
    Traffic,
    /// To see whether a node answers.
    Look,
}

/// Connects to a target. The name of a foreign server leads to no address that stands inside.
///
/// # Errors
/// [`Trouble`] where its name cannot be resolved, or nobody answers.
pub async fn connect(
    world: &World,
    target: &Target,
    purpose: Purpose,
) -> Result<(TcpStream, SocketAddr), Trouble> {
    let within = world.limits().net.connect;
    let none = || ready(Vec::new());
    let failures: [OnceLock<DnsError>; 2] = Default::default();
    let [failure_v6, failure_v4] = &failures;
    let connected = match &target.host {
        Host::Address(address) => {
            let address = SocketAddr::new(*address, target.port.get());
            connect::first(none(), ready(vec![address]), within).await
        }
        Host::Name(name) => {
            let v6 = addresses(world, target, name, Family::V6, failure_v6);
            let v4 = addresses(world, target, name, Family::V4, failure_v4);
            connect::first(v6, v4, within).await
        }
    };
    connected.map_err(|error| {
        if let ConnectError::NoAddress = error {
            return unresolved((target, purpose), &failures);
        }
        log((target, purpose), &error, "a server cannot be connected to");
        Trouble::Unreachable
    })
}

/// The same targets, but that each which is reached over UDP by its name becomes one for each address to which the system
/// knows a way, IPv6 first: a datagram that nobody takes is not heard of, so that each address is tried, and set aside, by
/// itself. A name that leads nowhere stays, and says so when it is used.
//
//= rfc3263#4.2
//# If an attempt should fail, based on the definition of failure in Section 4.3, the next SHOULD be tried
pub async fn by_address(world: &World, targets: Vec<Target>) -> Vec<Target> {
    let mut all = Vec::with_capacity(targets.len());
    for target in targets {
        if let (Transport::Udp, Host::Name(_)) = (target.transport, &target.host)
            && let Ok(addresses) = ways(world, &target, Purpose::Look).await
        {
            all.extend(addresses.into_iter().map(|address| Target {
                host: Host::Address(address.ip()),
                ..target.clone()
            }));
        } else {
            all.push(target);
        }
    }
    all
}

/// The first address of a target to which the system knows a way, IPv6 first.
///
/// # Errors
/// As [`connect()`].
pub async fn datagrams(world: &World, target: &Target, purpose: Purpose) -> Result<SocketAddr, Trouble> {
    let addresses = ways(world, target, purpose).await?;
    addresses.into_iter().next().ok_or(Trouble::Unreachable)
}

/// The addresses of a target to which the system knows a way; never none.
async fn ways(world: &World, target: &Target, purpose: Purpose) -> Result<Vec<SocketAddr>, Trouble> {
    let failures: [OnceLock<DnsError>; 2] = Default::default();
    let [failure_v6, failure_v4] = &failures;
    let found = match &target.host {
        Host::Address(address) => return Ok(vec![SocketAddr::new(*address, target.port.get())]),
        Host::Name(name) => {
            let v6 = addresses(world, target, name, Family::V6, failure_v6);
            let v4 = addresses(world, target, name, Family::V4, failure_v4);
            let (mut v6, v4) = tokio::join!(v6, v4);
            v6.extend(v4);
            v6
        }
    };
    if found.is_empty() {
        return Err(unresolved((target, purpose), &failures));
    }
    let mut ways = Vec::with_capacity(found.len());
    for address in found {
        if sip_udp::leads(address).await {
            ways.push(address);
        }
    }
    if ways.is_empty() {
        return Err(Trouble::Unreachable);
    }
    Ok(ways)
}

/// Why the name of a target has led to no address.
fn unresolved(about: (&Target, Purpose), failures: &[OnceLock<DnsError>; 2]) -> Trouble {
    let failed = |failure: &&DnsError| matches!(failure, DnsError::Failed { .. });
    let known = || failures.iter().filter_map(OnceLock::get);
    if let Some(error) = known().find(failed).or_else(|| known().next()) {
        log(about, error, "a server's address cannot be looked up");
    }
    if known().any(|failure| failed(&failure)) {
        Trouble::Unresolved
    } else {
        Trouble::NotFound
    }
}

/// The addresses of one family; why there are none goes to `failure`.
async fn addresses(
    world: &World,
    target: &Target,
    name: &Domain,
    family: Family,
    failure: &OnceLock<DnsError>,
) -> Vec<SocketAddr> {
    let mut addresses = match world.dns(target.side).addresses(name, family).await {
        Ok(addresses) => addresses,
        Err(error) => {
            let _first = failure.set(error);
            return Vec::new();
        }
    };
    match target.side {
        Side::Inside => world.nodes.saw(name, family, &addresses),
        Side::Outside => addresses.retain(|address| leads_outside(world, target, *address)),
    }
    let port = target.port.get();
    addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

/// Nodes are looked at again and again; what changes is told there.
fn log((target, purpose): (&Target, Purpose), error: &impl std::fmt::Display, what: &str) {
    let peer = &target.domain;
    match purpose {
        Purpose::Traffic => tracing::info!(%peer, %target, %error, "{what}"),
        Purpose::Look => tracing::debug!(%peer, %target, %error, "{what}"),
    }
}

/// Whether the address that the name of a foreign server, or its own word, has led to stands outside.
pub fn leads_outside(world: &World, target: &Target, address: IpAddr) -> bool {
    let checked = match world.border().table().boundary().check(address) {
        Ok(()) if world.nodes.has(address) => Err(Inward::Node),
        checked => checked,
    };
    if let Err(why) = checked {
        tracing::warn!(
            peer = %target.domain, %target, %address, class = "address_inside", %why,
            "a foreign server leads inside; it is not connected to"
        );
    }
    checked.is_ok()
}

async fn discover(dns: &Resolver, discovery: &Discovery, draw: Draw) -> Result<Vec<Target>, DnsError> {
    for lookup in &discovery.lookups {
        let answer = match lookup {
            Lookup::Srv(names) => services(dns, names.clone(), &discovery.template, draw).await?,
            Lookup::Naptr(domain) => match dns.naptr(domain).await {
                Ok(records) => {
                    let names = naptr::select(&records, &discovery.transports);
                    one_by_one(dns, names, &discovery.template, draw).await?
                }
                Err(DnsError::NotFound { .. }) => Answer::Nothing,
                Err(error) => return Err(error),
            },
        };
        match answer {
            Answer::Nothing => {}
            Answer::NotOffered => return Ok(Vec::new()),
            Answer::Targets(targets) => return Ok(targets),
        }
    }
    Ok(discovery.fallback.iter().cloned().collect())
}

/// The targets of services whose order is binding, as NAPTR records give it (RFC 3263 §4.1).
async fn one_by_one(
    dns: &Resolver,
    names: Vec<SrvName>,
    template: &Target,
    draw: Draw,
) -> Result<Answer, DnsError> {
    let mut all = Answer::Nothing;
    for name in names {
        all = match (all, services(dns, vec![name], template, draw).await?) {
            (Answer::Targets(mut known), Answer::Targets(more)) => {
                known.extend(more);
                known.truncate(TARGETS_OF_A_SERVICE);
                Answer::Targets(known)
            }
            (known @ Answer::Targets(_), _) => known,
            (Answer::NotOffered, Answer::Nothing) => Answer::NotOffered,
            (_, found) => found,
        };
    }
    Ok(all)
}

/// The targets of services that are one list.
async fn services(
    dns: &Resolver,
    names: Vec<SrvName>,
    template: &Target,
    draw: Draw,
) -> Result<Answer, DnsError> {
    let mut answers: Vec<(SrvName, Vec<SrvRecord>)> = Vec::new();
    let mut failed = None;
    for (name, said) in ask_all(dns, names).await {
        match said {
            Ok(records) => answers.push((name, records)),
            Err(DnsError::NotFound { .. }) => {}
            Err(error) => failed = Some(error),
        }
    }
    match (
        srv::targets(&answers, template, &mut |most| draw.pick(most)),
        failed,
    ) {
        // What is known of one service is used, whatever became of the question for the other. But where that leads
        // nowhere, there may be records that we could not see, and nothing else may stand for them.
        (Answer::Nothing | Answer::NotOffered, Some(error)) => Err(error),
        (answer, _) => Ok(answer),
    }
}

/// Asks for the records of all these names at once: a question that is answered late holds up no other.
async fn ask_all(dns: &Resolver, names: Vec<SrvName>) -> Vec<(SrvName, Result<Vec<SrvRecord>, DnsError>)> {
    let mut names = names.into_iter();
    let mut said = Vec::new();
    // No plan mixes more than two.
    while let Some(name) = names.next() {
        match names.next() {
            Some(other) => {
                let (first, second) = tokio::join!(dns.srv(&name), dns.srv(&other));
                said.extend([(name, first), (other, second)]);
            }
            None => {
                let alone = dns.srv(&name).await;
                said.push((name, alone));
            }
        }
    }
    said
}
