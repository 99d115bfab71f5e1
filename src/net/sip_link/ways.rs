//! The ways to one domain: what leads each plan to its flows, and for how long a plan that failed is not tried.
//!
//! Users of one domain may have routes of their own. Each plan keeps its flows, whichever of them was used last. Pairs of
//! users are spread over the lanes of a plan, and each lane keeps to one flow, so that what two users say stays together
//! while all of them load servers of equal priority by their weights. A lane chooses anew when a server has failed or
//! come back.

use std::time::{Duration, Instant};

use crate::clock::Backoff;
use crate::gateway::Trouble;
use crate::route::Plan;

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
}

/// Into how many lanes the users of a plan are divided: shares are right to a sixteenth.
pub(super) const LANES: usize = 16;
/// The first pause after a failure; letters that come within it are given back at once.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause: a peer that is back is found again within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
