//! The link to the SIP servers of a domain, foreign or ours: finds them, connects, proves them, and keeps a flow for each way that
//! its users' routes lead.
//!
//! Targets are tried in the order of the route; the next one is taken when one cannot be connected to, cannot prove
//! itself, or answers 503, for then it has done nothing with the request (RFC 3263 §4.3). A request of our own that is on a
//! flow and gets no answer is not sent again elsewhere: it fails with the flow, and its sender is told, because nobody can
//! know whether it arrived. One that goes on as a request is, where its connection breaks before anything was heard of it
//! (RFC 3261 §16.9): a proxy leaves it to its ends to know what came twice.

mod choice;
pub(super) mod live;
mod pace;
pub(super) mod reach;
mod ways;

#[cfg(test)]
pub(super) mod tests;

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Instant;

use super::pool::{Content, Letter};
use super::probe;
use super::queue::{self, Refused};
use super::sip_flow::Command;
use super::sip_probe::{self, Said};
use super::sip_relay::Reply;
use super::world::{self, World};
use crate::domain::Domain;
use crate::gateway::{Trouble, weight_of};
use crate::limits::{self, UDP_REQUEST_BYTES};
use crate::policy::pace::Pace;
use crate::refusal::Refuse as _;
use crate::route::aside::Failure;
use crate::route::{LeftAlone, Plan, Protocol, Side, Target, Transport};
use crate::sip::transaction::Key;
use crate::sip::{self, Method, Request, Response, StatusCode};
pub use live::Keeper;
use live::{Live, News, Report};
use pace::Discovered;
use ways::Ways;

/// A request of ours on its way to a server, with what it takes to try another one.
#[derive(Debug)]
pub struct Errand {
    /// The request; its Via is made by the flow.
    pub request: Box<Request>,
    /// The way to its servers, where it is to find one.
    pub plan: Option<Box<Plan>>,
    /// Who hears of the outcome.
    pub reply: Reply,
    /// After this it is not worth sending any more.
    pub until: Instant,
    /// The servers that have answered 503.
    pub tried: Vec<Target>,
    /// Whether it has waited in vain on a connection that broke before it was sent.
    pub was_unsent: bool,
    /// How far an INVITE has come.
    pub invite: Invited,
}

/// How far an INVITE has come that may be called back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Invited {
    /// Nothing was heard: it cannot be called back yet (RFC 3261 §9.1).
    #[default]
    Silent,
    /// A provisional response came.
    Proceeding,
    /// It is to be called back once one comes.
    Recalled,
}

/// Carries letters until none has come for a while.
pub async fn run(world: Arc<World>, remote: Domain, mut letters: queue::Receiver<Letter>) {
    let (idle, entries) = (world.limits().net.sip_idle, world.limits().net.queue);
    let (reports, mut reported) = queue::bounded("sip_report", entries, &world.metrics);
    let mut link = SipLink {
        world,
        remote,
        ways: Ways::new(limits::WAYS_OF_A_LINK),
        lanes: RandomState::new(),
        left_alone: LeftAlone::new(limits::SERVERS_LEFT_ALONE),
        reports,
        pace: None,
        discovered: Discovered::default(),
        asking: Arc::default(),
    };
    let close = link.world.close.clone();
    loop {
        let turn = link.turn().await;
        tokio::select! {
            biased;
            () = close.cancelled() => break,
            // What one server did not take is older than what waits for its first.
            Some(report) = reported.recv() => link.hear(report).await,
            letter = letters.recv() => match letter {
                Some(letter) => {
                    if let Some(errand) = errand(letter) {
                        link.enter(errand).await;
                    }
                }
                None => break,
            },
            () = world::sleep_until(turn) => {}
            () = tokio::time::sleep(idle), if turn.is_none() => break,
        }
    }
    letters.close();
    while let Some(errand) = link.pace.as_mut().and_then(Pace::end) {
        link.give_back(errand, Trouble::Stopping).await;
    }
    while let Some(letter) = letters.next_waiting() {
        let Some(errand) = errand(letter) else { continue };
        if close.is_cancelled() {
            link.give_back(errand, Trouble::Stopping).await;
        } else {
            // It came just as the link was to end for want of letters.
            link.take(errand).await;
        }
    }
    reported.close();
    while let Some(report) = reported.next_waiting() {
        match report.news {
            News::Unavailable(errand, response) => link.answered(errand, response).await,
            News::Broken(errand) | News::Unsent(errand) => link.give_back(errand, Trouble::Broken).await,
            News::Silent | News::Doubtful => {}
        }
    }
}

/// What a letter asks for; `None` for one that is for another kind of link.
fn errand(letter: Letter) -> Option<Box<Errand>> {
    let (request, route, reply) = match (letter.content, letter.token) {
        (Content::Request(request, route, recall), Some(token)) => {
            (request, route, Reply::Shard(token, recall))
        }
        (Content::Relay(request, route, reply), _) => (request, route, reply),
        (Content::Request(..), None) | (Content::Stanza(_), _) => return None,
    };
    Some(Box::new(Errand {
        request,
        plan: route.into_plan(Protocol::Sip).map(Box::new),
        reply,
        until: letter.until,
        tried: Vec::new(),
        was_unsent: false,
        invite: Invited::default(),
    }))
}

struct SipLink {
    world: Arc<World>,
    remote: Domain,
    ways: Ways<Arc<Live>>,
    /// Which lane a pair of users belongs to.
    lanes: RandomState,
    left_alone: LeftAlone,
    reports: queue::Sender<Report>,
    /// What waits for its turn, where requests to the domain have a rate.
    pace: Option<Pace<Box<Errand>>>,
    /// What DNS has said of the domain's rate.
    discovered: Discovered,
    /// Held while a server is asked whether it is there: one at a time.
    asking: Arc<()>,
}

impl SipLink {
    /// Takes a request in its turn. What belongs to a request that went already, as an ACK does, waits for none.
    async fn enter(&mut self, errand: Box<Errand>) {
        if *errand.request.method() == Method::Ack {
            return self.take(errand).await;
        }
        let rate = self.discovered.towards(&self.world, &self.remote).await;
        let Some(rate) = rate else {
            // A reload may have taken the rate away.
            while let Some(errand) = self.pace.as_mut().and_then(Pace::end) {
                self.take(errand).await;
            }
            return self.take(errand).await;
        };
        let pace = self.pace.get_or_insert_with(|| Pace::new(rate));
        pace.set(rate);
        let (octets, until) = (weight_of(&errand.request), errand.until);
        if let Err((errand, exceeded)) = pace.handle(world::now(), errand, octets, until) {
            tracing::info!(
                peer = %self.remote, class = exceeded.class(), method = %errand.request.method(),
                "too many SIP requests wait for their turn towards this domain; the sender of one more is told"
            );
            self.give_back(errand, Trouble::Overload).await;
        }
    }

    /// Sends what may go now; gives the time when the next may.
    async fn turn(&mut self) -> Option<Instant> {
        while let Some(errand) = self.pace.as_mut().and_then(|pace| pace.poll(world::now())) {
            self.take(errand).await;
        }
        self.pace.as_ref()?.timeout(world::now())
    }

    async fn take(&mut self, errand: Box<Errand>) {
        if let Err((errand, trouble)) = self.carry(errand).await {
            self.give_back(errand, trouble).await;
        }
    }

    /// Hands a request to a flow that its route leads to.
    async fn carry(&mut self, mut errand: Box<Errand>) -> Result<(), (Box<Errand>, Trouble)> {
        let lane = self.lane_of(&errand.request);
        // A flow that ended while it was idle takes nothing: one more connection is worth a try.
        for _ in 0..2 {
            let live = match self.choose(&errand, lane).await {
                Ok(live) => live,
                Err(trouble) => return Err((errand, trouble)),
            };
            let live = if live.target.transport == Transport::Udp {
                self.by_size(&errand.request, live).await
            } else {
                live
            };
            // Opening takes time, and its sender may have been told by now that it failed.
            if errand.until <= world::now() {
                return Err((errand, Trouble::Timeout));
            }
            errand = match live.flow.offer(Command::Request(errand)) {
                Ok(()) => return Ok(()),
                Err(Refused::Closed(Command::Request(unsent))) => unsent,
                Err(Refused::Full(Command::Request(unsent))) => return Err((unsent, Trouble::Overload)),
                Err(Refused::Full(_) | Refused::Closed(_)) => return Ok(()),
            };
        }
        Err((errand, Trouble::Broken))
    }

    /// A flow over TCP to the same place, where a request is too large for a datagram.
    //
    //= rfc3261#18.1.1
    //# If a request is within 200 bytes of the path MTU, or if it is larger than 1300 bytes and the path MTU is unknown,
    //# the request MUST be sent using an RFC 2914 congestion controlled transport protocol, such as TCP.
    //= rfc3261#18.1.1
    //# if the attempt to establish the connection generates either an ICMP Protocol Not Supported, or results in a TCP
    //# reset, the element SHOULD retry the request, using UDP.
    async fn by_size(&mut self, request: &Request, live: Arc<Live>) -> Arc<Live> {
        let mut octets = Vec::new();
        sip::write::request(request, &mut octets);
        if octets.len() <= UDP_REQUEST_BYTES {
            return live;
        }
        let target = Target {
            transport: Transport::Tcp,
            ..live.target.clone()
        };
        let way = self.ways.of(&Plan::to(target.clone()));
        match way.lane(ONLY) {
            Some((open, _)) if !open.flow.is_closed() => return Arc::clone(open),
            Some(_) | None => {}
        }
        if way.paused(world::now()).is_some() {
            return live;
        }
        let connected = self.connect(&target).await;
        let way = self.ways.of(&Plan::to(target));
        match connected {
            Ok(open) => {
                way.opened(ONLY, Arc::clone(&open), 0);
                open
            }
            Err(trouble) => {
                way.failed(world::now(), trouble, u32::from_le_bytes(world::random()));
                tracing::warn!(
                    peer = %self.remote, target = %live.target, octets = octets.len(),
                    "a SIP request is too large for a datagram, and its server takes no TCP: it is sent over UDP in fragments, which may not arrive"
                );
                live
            }
        }
    }

    /// Takes note of what a server did, and tries another one where it took nothing.
    //
    //= rfc3263#4.3
    //# If a failure occurs, the client SHOULD create a new request, which is identical to the previous, but has a
    //# different value of the Via branch ID than the previous
    async fn hear(&mut self, report: Report) {
        let Report { target, news } = report;
        let now = world::now();
        match news {
            News::Silent => {
                let random = u32::from_le_bytes(world::random());
                self.world
                    .aside()
                    .failed(now, &target, Failure::Negotiation, random);
                self.ways.leave(|live| live.target == target);
            }
            News::Doubtful => self.ask(target),
            //= rfc3261#16.9
            //# If the transport layer notifies a proxy of an error when it tries to forward a request (see Section 18.4),
            //# the proxy MUST behave as if the forwarded request received a 503 (Service Unavailable) response.
            News::Broken(mut errand) => {
                errand.tried.push(target);
                self.carry_again(errand).await;
            }
            News::Unsent(mut errand) => {
                // The server knows nothing of it, and may take it on another connection, once.
                if std::mem::replace(&mut errand.was_unsent, true) {
                    errand.tried.push(target);
                }
                self.carry_again(errand).await;
            }
            News::Unavailable(mut errand, response) => {
                if let Some(wait) = sip::retry_after(&response) {
                    tracing::info!(
                        peer = %self.remote, %target, seconds = wait.as_secs(),
                        "a SIP server asks to be left alone for a while"
                    );
                    self.left_alone.asked(&target, now, wait);
                    self.ways.leave(|live| live.target == target);
                }
                errand.tried.push(target);
                // The next server has said nothing yet, and cannot be asked to stop (RFC 3261 §9.1).
                errand.invite = Invited::Silent;
                if errand.reply.is_recalled() {
                    self.called_back(errand).await;
                } else if errand.tried.len() >= limits::SERVERS_OF_A_REQUEST || errand.until <= now {
                    self.answered(errand, response).await;
                } else if let Err((errand, _)) = self.carry(errand).await {
                    self.answered(errand, response).await;
                }
            }
        }
    }

    /// Hands a request that broke with its connection to another.
    async fn carry_again(&mut self, errand: Box<Errand>) {
        if errand.reply.is_recalled() {
            return self.called_back(errand).await;
        }
        let is_worth_it = errand.tried.len() < limits::SERVERS_OF_A_REQUEST && errand.until > world::now();
        let errand = if is_worth_it {
            match self.carry(errand).await {
                Ok(()) => return,
                Err((errand, _)) => errand,
            }
        } else {
            errand
        };
        self.give_back(errand, Trouble::Broken).await;
    }

    /// Asks a server outside whether it is there, before others wait for it in vain; nodes are asked in any case.
    fn ask(&self, target: Target) {
        if target.side == Side::Inside || Arc::strong_count(&self.asking) > 1 {
            return;
        }
        let (world, asking) = (Arc::clone(&self.world), Arc::clone(&self.asking));
        self.world.supervisor.spawn("probe", async move {
            let said = tokio::select! {
                said = sip_probe::ask(&world, &target, None) => said,
                () = world.close.cancelled() => return,
            };
            let said = said.map(|(said, _)| said);
            if said != Ok(Said::Alive) {
                probe::note(&world, [&target], said);
                tracing::info!(peer = %target.domain, %target, "a SIP server does not answer; it is set aside");
            }
            drop(asking);
        });
    }

    /// Answers an INVITE that no server has and that its sender has called back: no other one hears of it.
    async fn called_back(&self, errand: Box<Errand>) {
        let status = StatusCode::REQUEST_TERMINATED;
        let tag = Key::of_received(&errand.request).stateless_tag();
        let response = errand.request.response(status, status.reason(), Some(&tag));
        self.answered(errand, Box::new(response)).await;
    }

    async fn answered(&self, mut errand: Box<Errand>, response: Box<Response>) {
        errand
            .reply
            .response(&self.world, &errand.request, response)
            .await;
    }

    async fn give_back(&self, mut errand: Box<Errand>, trouble: Trouble) {
        errand.reply.trouble(&self.world, &errand.request, trouble).await;
    }
}

/// The lane of a way that has but one target.
const ONLY: usize = 0;
