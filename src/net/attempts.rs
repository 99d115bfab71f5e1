//! Trying the targets of a destination one after another, and remembering which of them failed.
//!
//! What waits for a stream or flow waits until one target works or none is left: nothing is handed to a target before it
//! has proven itself, so nothing is lost or changes places when the next one is taken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::discover::{self, Draw};
use super::world::{self, World};
use crate::gateway::Trouble;
use crate::observe::health::NodeState;
use crate::route::aside::Failure;
use crate::route::select::Health;
use crate::route::{Link, Plan, Protocol, Side, Step, Target};

/// The targets of a destination that are still to be tried.
#[derive(Debug)]
pub struct Attempts {
    world: Arc<World>,
    left: std::vec::IntoIter<Target>,
    current: Option<Target>,
    trouble: Trouble,
    until: Option<Instant>,
}

impl Attempts {
    /// Finds the targets of a plan; those that failed a short while ago come last.
    ///
    /// # Errors
    /// [`Trouble::NotFound`] where nothing leads anywhere; [`Trouble::Unresolved`] where DNS did not answer.
    pub async fn new(world: &Arc<World>, plan: &Plan) -> Result<Self, Trouble> {
        let steps = discover::steps(plan, |_| Health::Up, Draw::Chance);
        Self::of_steps(world, steps, Draw::Chance).await
    }

    /// Finds the targets of some steps of a plan.
    ///
    /// # Errors
    /// As [`Attempts::new`].
    pub async fn of_steps(
        world: &Arc<World>,
        steps: impl IntoIterator<Item = Step>,
        draw: Draw,
    ) -> Result<Self, Trouble> {
        let until = world::now().checked_add(world.limits().gateway.deliver);
        let targets = discover::of_steps(world, steps, draw).await?;
        let mut targets = discover::by_address(world, targets).await;
        world.aside().order(world::now(), &mut targets);
        Ok(Self {
            world: Arc::clone(world),
            left: targets.into_iter(),
            current: None,
            trouble: Trouble::NotFound,
            until,
        })
    }

    /// The next target; none where all have failed, or so much time has passed that nobody waits any more.
    pub fn next_target(&mut self) -> Option<Target> {
        if self.until.is_some_and(|until| until <= world::now()) {
            return None;
        }
        self.current = self.left.next();
        self.current.clone()
    }

    /// How long the current target may take for TLS and its stream: where another is left, so long that those who wait
    /// can still be served by that one.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let limits = self.world.limits();
        if self.left.len() == 0 {
            limits.xmpp.establish
        } else {
            limits
                .xmpp
                .establish
                .min(limits.gateway.deliver.checked_div(2).unwrap_or_default())
        }
    }

    /// The current target failed, and the next one may be tried.
    pub fn failed(&mut self, trouble: Trouble) {
        // That another server is not there either says nothing new.
        if trouble != Trouble::NotFound {
            self.trouble = trouble;
        }
        let Some(target) = self.current.take() else { return };
        let failure = match trouble {
            Trouble::NotFound | Trouble::Unreachable => Some(Failure::Connection),
            Trouble::Unresolved
            | Trouble::Untrusted
            | Trouble::Refused
            | Trouble::Timeout
            | Trouble::Broken => Some(Failure::Negotiation),
            // That is ours, not the target's.
            Trouble::Overload | Trouble::TooLarge | Trouble::Stopping => None,
        };
        if let Some(failure) = failure {
            let random = u32::from_le_bytes(world::random());
            self.world.aside().failed(world::now(), &target, failure, random);
        }
        match trouble {
            Trouble::NotFound | Trouble::Unresolved | Trouble::Unreachable | Trouble::Timeout => {
                self.saw(&target, NodeState::Down);
            }
            // A node that answers and refuses one pair is up all the same; but one that refuses a component may refuse
            // every one, as with a wrong secret: it is up when it has taken one.
            Trouble::Untrusted
            | Trouble::Refused
            | Trouble::Broken
            | Trouble::Overload
            | Trouble::TooLarge
            | Trouble::Stopping => {
                if !self.is_component(&target) {
                    self.saw(&target, NodeState::Up);
                }
            }
        }
    }

    /// The current target works.
    pub fn succeeded(self) {
        if let Some(target) = &self.current {
            self.world.aside().succeeded(target);
            self.saw(target, NodeState::Up);
        }
    }

    /// Why the last one failed that was there at all.
    #[must_use]
    pub const fn trouble(&self) -> Trouble {
        self.trouble
    }

    fn is_component(&self, target: &Target) -> bool {
        let border = self.world.border();
        let local = border.table().local(&target.domain);
        target.side == Side::Inside && local.is_some_and(|local| matches!(local.link, Link::Component(_)))
    }

    fn saw(&self, target: &Target, seen: NodeState) {
        // A SIP node is up when it has answered a question, which a connection is not.
        let is_known = match (target.protocol, seen) {
            (Protocol::Xmpp, _) | (Protocol::Sip, NodeState::Down) => true,
            (Protocol::Sip, NodeState::Up) => false,
        };
        if target.side == Side::Inside && is_known {
            let node = target.host.to_string();
            self.world.health.saw_node(&target.domain, &node, seen);
        }
    }
}
