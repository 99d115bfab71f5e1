//! Which server a request goes to: the flow of its lane, or one that is opened to the first server that can be reached.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Instant;

use super::live::{self, Live};
use super::ways::LANES;
use super::{Errand, ONLY, SipLink};
use crate::gateway::Trouble;
use crate::net::attempts::Attempts;
use crate::net::discover::{self, Draw, Purpose};
use crate::net::world;
use crate::route::select::Health;
use crate::route::{Hop, Plan, Target, Transport};
use crate::sip::Request;

impl SipLink {
    /// The flow of a request: to the server that it names as its next hop where that is one of its plan's and is well, or
    /// that of its lane. Whatever a request says, it leads nowhere but where its plan does.
    pub(super) async fn choose(&mut self, errand: &Errand, lane: usize) -> Result<Arc<Live>, Trouble> {
        let plan = errand.plan.as_deref();
        if let (Some(plan), Some(hop)) = (plan, Hop::of(&errand.request))
            && let Some(live) = self.named(plan, &hop, &errand.tried).await
        {
            return Ok(live);
        }
        self.ensure(plan, lane, &errand.tried).await
    }

    async fn named(&mut self, plan: &Plan, hop: &Hop, tried: &[Target]) -> Option<Arc<Live>> {
        self.learn_servers(plan).await;
        let servers = self.ways.of(plan).servers();
        let named = servers.iter().find(|target| hop.names(target));
        // Of one there is nothing to choose.
        let target = named.filter(|_| servers.len() > 1)?.clone();
        let is_well = |link: &Self, target: &Target| {
            let now = world::now();
            let is_up = link.health(now, target) == Health::Up && !link.left_alone.has(target, now);
            is_up && !tried.contains(target)
        };
        if !is_well(self, &target) {
            return None;
        }
        let live = self.ensure(Some(&Plan::to(target)), ONLY, &[]).await.ok()?;
        // Over UDP it leads to one of the addresses of the server.
        is_well(self, &live.target).then_some(live)
    }

    /// Finds out which servers a plan has, where that is not known or was long ago.
    async fn learn_servers(&mut self, plan: &Plan) {
        if self.ways.of(plan).knows_servers(world::now()) {
            return;
        }
        let close = self.world.close.clone();
        let servers = tokio::select! {
            servers = discover::targets(&self.world, plan) => servers.ok(),
            () = close.cancelled() => return,
        };
        self.ways.of(plan).learned(world::now(), servers);
    }

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
