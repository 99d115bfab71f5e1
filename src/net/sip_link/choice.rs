//! Which server a request goes to: the flow of its lane, or one that is opened to the first server that can be reached.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Instant;

use super::SipLink;
use super::live::{self, Live};
use super::ways::LANES;
use crate::gateway::Trouble;
use crate::net::attempts::Attempts;
use crate::net::discover::{self, Draw, Purpose};
use crate::net::world;
use crate::route::select::Health;
use crate::route::{Plan, Target, Transport};
use crate::sip::Request;

impl SipLink {
    /// A flow that this plan leads to for a lane, to a server that was not tried yet.
    pub(super) async fn ensure(
        &mut self,
        plan: Option<&Plan>,
        lane: usize,
        tried: &[Target],
    ) -> Result<Arc<Live>, Trouble> {
        let plan = plan.ok_or(Trouble::NotFound)?;
        let changes = self.world.aside().changes();
        let way = self.ways.of(plan);
        let kept = match way.lane(lane) {
            Some((live, chosen)) if !live.flow.is_closed() && !tried.contains(&live.target) => {
                if *chosen == changes {
                    return Ok(Arc::clone(live));
                }
                Some(Arc::clone(live))
            }
            Some(_) | None => None,
        };
        if let Some(trouble) = way.paused(world::now()) {
            return kept.ok_or(trouble);
        }
        let close = self.world.close.clone();
        let opened = tokio::select! {
            opened = self.open(plan, lane, tried) => opened,
            () = close.cancelled() => return Err(Trouble::Stopping),
        };
        // A better one was looked for in vain, perhaps because DNS is out of order: the one that is up goes on.
        let opened = match (opened, kept) {
            (Err(_), Some(live)) if !live.flow.is_closed() => Ok(live),
            (opened, _) => opened,
        };
        let way = self.ways.of(plan);
        match &opened {
            Ok(live) => way.opened(lane, Arc::clone(live), changes),
            // Of a server that answers, be it by 503, a plan has not failed.
            Err(_) if !tried.is_empty() => {}
            Err(trouble) => way.failed(world::now(), *trouble, u32::from_le_bytes(world::random())),
        }
        opened
    }

    /// The lane of a request: the same for all that one user writes to another.
    pub(super) fn lane_of(&self, request: &Request) -> usize {
        let headers = request.headers();
        let pair = self.lanes.hash_one((headers.from().uri(), headers.to().uri()));
        let lane = u64::try_from(LANES)
            .ok()
            .and_then(|lanes| pair.checked_rem(lanes));
        lane.and_then(|lane| usize::try_from(lane).ok())
            .unwrap_or_default()
    }

    /// Opens a flow to the first target that can be reached and proves itself, or finds one that is open already.
    async fn open(&self, plan: &Plan, lane: usize, tried: &[Target]) -> Result<Arc<Live>, Trouble> {
        let (now, draw) = (world::now(), Draw::Lane(lane, LANES));
        let steps = discover::steps(plan, |target| self.health(now, target), draw);
        let (mut trouble, mut waiting, mut asked) = (Trouble::NotFound, false, false);
        let mut later = Vec::new();
        // DNS is asked only when what stands before it has failed.
        for step in steps {
            let mut attempts = match Attempts::of_steps(&self.world, [step], draw).await {
                Ok(attempts) => attempts,
                Err(Trouble::NotFound) => continue,
                Err(failed) => {
                    trouble = failed;
                    continue;
                }
            };
            while let Some(target) = attempts.next_target() {
                if tried.contains(&target) {
                    continue;
                }
                if self.left_alone.has(&target, world::now()) {
                    waiting = true;
                    continue;
                }
                // Nobody has to answer for a datagram to be sent: what is known of this address, which the step may
                // only name, is all there is to tell that nobody would.
                if target.transport == Transport::Udp && self.health(now, &target) == Health::Down {
                    later.push(target);
                    continue;
                }
                match self.flow_to(&target).await {
                    Ok(live) => {
                        // Over UDP nobody has answered yet.
                        if target.transport != Transport::Udp {
                            attempts.succeeded();
                        }
                        return Ok(live);
                    }
                    Err(failed) => {
                        attempts.failed(failed);
                        (trouble, asked) = (failed, true);
                    }
                }
            }
        }
        for target in later {
            match self.flow_to(&target).await {
                Ok(live) => return Ok(live),
                Err(failed) => (trouble, asked) = (failed, true),
            }
        }
        if waiting && !asked {
            tracing::info!(peer = %self.remote, "every SIP server of this domain has asked to be left alone for a while");
            trouble = Trouble::Overload;
        }
        Err(trouble)
    }

    fn health(&self, now: Instant, target: &Target) -> Health {
        if self.world.aside().is_set_aside(now, target) {
            Health::Down
        } else {
            Health::Up
        }
    }

    /// The flow to a target that is open, or a new one.
    async fn flow_to(&self, target: &Target) -> Result<Arc<Live>, Trouble> {
        match self.ways.flows().find(|live| live.leads_to(target)) {
            Some(live) => Ok(Arc::clone(live)),
            None => self.connect(target).await,
        }
    }

    pub(super) async fn connect(&self, target: &Target) -> Result<Arc<Live>, Trouble> {
        let reports = self.reports.clone();
        let live = live::open(&self.world, &self.remote, target, reports, Purpose::Traffic).await?;
        Ok(Arc::new(live))
    }
}
