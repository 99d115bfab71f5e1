//! The ways to one domain: what leads each plan to its flow, and for how long a plan that failed is not tried.
//!
//! Users of one domain may have routes of their own. Each plan keeps its flow, whichever of them was used last.

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
    /// Where it has led.
    pub(super) live: Option<L>,
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
                    live: None,
                    backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
                    pause: None,
                }
            }
        };
        self.ways.push_mut(way)
    }

    /// The flows that are up, the same one perhaps several times.
    pub(super) fn flows(&self) -> impl Iterator<Item = &L> {
        self.ways.iter().filter_map(|way| way.live.as_ref())
    }

    /// Lets go of flows.
    pub(super) fn leave(&mut self, is_left: impl Fn(&L) -> bool) {
        for way in &mut self.ways {
            way.live.take_if(|live| is_left(live));
        }
    }
}

impl<L> Way<L> {
    /// Why nothing is tried now, where that is so.
    pub(super) fn paused(&self, now: Instant) -> Option<Trouble> {
        let (until, trouble) = self.pause?;
        (until > now).then_some(trouble)
    }

    /// The plan has led to a flow.
    pub(super) fn opened(&mut self, live: L) {
        self.backoff.succeeded();
        self.pause = None;
        self.live = Some(live);
    }

    /// The plan has led nowhere. `random` is uniform over all its values.
    pub(super) fn failed(&mut self, now: Instant, trouble: Trouble, random: u32) {
        self.live = None;
        // A server that asked to be left alone says itself for how long, and a stop is no failure.
        if matches!(trouble, Trouble::Overload | Trouble::Stopping) {
            return;
        }
        let pause = self.backoff.failed(random);
        self.pause = now.checked_add(pause).map(|until| (until, trouble));
    }
}

/// The first pause after a failure; letters that come within it are given back at once.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause: a peer that is back is found again within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
