//! The ways to one domain: what leads each plan to its flows, and for how long a plan that failed is not tried.
//!
//! Users of one domain may have routes of their own. Each plan keeps its flows, whichever of them was used last. Pairs of
//! users are spread over the lanes of a plan, and each lane keeps to one flow, so that what two users say stays together
//! while all of them load servers of equal priority by their weights. A lane chooses anew when a server has failed or
//! come back. A server that requests name as their next hop has a way of its own, with one lane.

use std::time::{Duration, Instant};

use crate::clock::Backoff;
use crate::gateway::Trouble;
use crate::route::{Plan, Target};

/// The ways by plan; `L` is a flow that is up.
#[derive(Debug)]
pub(super) struct Ways<L> {
    most: usize,
    /// From the one that was used longest ago to the last.
    ways: Vec<Way<L>>,
}

/// What is known of one plan.
#[derive(Debug)]
pub(super) struct Way<L> {
    plan: Plan,
    /// Where its lanes have led, and what was known of failures then.
    lanes: [Option<(L, u64)>; LANES],
    backoff: Backoff,
    /// After a failure: until then letters are given back with it, and nothing is tried.
    pause: Option<(Instant, Trouble)>,
    /// All targets of the plan, and until when that is believed.
    servers: (Vec<Target>, Option<Instant>),
}

impl<L> Ways<L> {
    /// No ways; at most `most` are known at once.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            ways: Vec::new(),
        }
    }

    /// The way of a plan, from now on the one used last. Where there are too many, the one that was used longest ago is
    /// let go of, with its flow.
    pub(super) fn of(&mut self, plan: &Plan) -> &mut Way<L> {
        let way = match self.ways.iter().position(|way| way.plan == *plan) {
            Some(position) => self.ways.remove(position),
            None => {
                if self.ways.len() >= self.most.max(1) {
                    self.ways.remove(0);
                }
                Way {
                    plan: plan.clone(),
                    lanes: [const { None }; LANES],
                    backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
                    pause: None,
                    servers: (Vec::new(), None),
                }
            }
        };
        self.ways.push_mut(way)
    }

    /// The flows that are up, the same one perhaps several times.
    pub(super) fn flows(&self) -> impl Iterator<Item = &L> {
        let lanes = self.ways.iter().flat_map(|way| &way.lanes);
        lanes.flatten().map(|(live, _)| live)
    }

    /// Lets go of flows.
    pub(super) fn leave(&mut self, is_left: impl Fn(&L) -> bool) {
        for way in &mut self.ways {
            for lane in &mut way.lanes {
                lane.take_if(|(live, _)| is_left(live));
            }
        }
    }
}

impl<L> Way<L> {
    /// Where a lane has led, and what was known of failures then.
    pub(super) fn lane(&self, lane: usize) -> Option<&(L, u64)> {
        self.lanes.get(lane)?.as_ref()
    }

    /// Why nothing is tried now, where that is so.
    pub(super) fn paused(&self, now: Instant) -> Option<Trouble> {
        let (until, trouble) = self.pause?;
        (until > now).then_some(trouble)
    }

    /// A lane has led to a flow; `changes` tells what was known of failures before.
    pub(super) fn opened(&mut self, lane: usize, live: L, changes: u64) {
        self.backoff.succeeded();
        self.pause = None;
        if let Some(lane) = self.lanes.get_mut(lane) {
            *lane = Some((live, changes));
        }
    }

    /// The plan has led nowhere new; the flows that are up stay. `random` is uniform over all its values.
    pub(super) fn failed(&mut self, now: Instant, trouble: Trouble, random: u32) {
        // A server that asked to be left alone says itself for how long, and a stop is no failure.
        if matches!(trouble, Trouble::Overload | Trouble::Stopping) {
            return;
        }
        let pause = self.backoff.failed(random);
        self.pause = now.checked_add(pause).map(|until| (until, trouble));
    }

    /// The targets of the plan, as far as they are known.
    pub(super) fn servers(&self) -> &[Target] {
        &self.servers.0
    }

    /// Whether they are known, or were asked for in vain a short while ago.
    pub(super) fn knows_servers(&self, now: Instant) -> bool {
        self.servers.1.is_some_and(|until| until > now)
    }

    /// The targets that the plan has; `None` where DNS did not say, and what was known stays so.
    pub(super) fn learned(&mut self, now: Instant, servers: Option<Vec<Target>>) {
        let (known, until) = &mut self.servers;
        if let Some(servers) = servers {
            *known = servers;
        }
        *until = now.checked_add(if known.is_empty() { UNKNOWN_FOR } else { KNOWN_FOR });
    }
}

/// Into how many lanes the users of a plan are divided: shares are right to a sixteenth.
pub(super) const LANES: usize = 16;
/// The first pause after a failure; letters that come within it are given back at once.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause: a peer that is back is found again within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// For how long the servers of a plan are believed to be all. While DNS does not answer, each question holds up the link for
/// seconds.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// After how long DNS is asked again where no server is known.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    #![allow(
        clippy::arithmetic_side_effects,
        clippy::disallowed_methods,
        reason = "tests count from some instant"
    )]
    use super::*;
    use crate::domain::Domain;
    use crate::route::{Host, Protocol, Side, Transport};

    #[test]
    fn servers_that_are_known_stay_so_while_dns_does_not_answer() {
        let target = Target {
            protocol: Protocol::Sip,
            transport: Transport::Tls,
            side: Side::Outside,
            host: Host::parse("b.contoso.example").unwrap(),
            port: Protocol::Sip.default_port(Transport::Tls),
            domain: Domain::parse("contoso.example").unwrap(),
            tls: None,
        };
        let (now, mut ways) = (Instant::now(), Ways::<()>::new(1));
        let way = ways.of(&Plan::to(target.clone()));
        assert!(!way.knows_servers(now));
        way.learned(now, None);
        assert!(way.knows_servers(now) && !way.knows_servers(now + UNKNOWN_FOR));
        way.learned(now, Some(vec![target.clone()]));
        assert!(way.knows_servers(now + UNKNOWN_FOR) && !way.knows_servers(now + KNOWN_FOR));
        way.learned(now + KNOWN_FOR, None);
        assert!(way.knows_servers(now + KNOWN_FOR));
        assert_eq!(way.servers(), [target]);
    }
}
