//! The link to the SIP servers of a foreign domain: finds them, connects, proves them, and keeps a flow.
//!
//! Targets are tried in the order of the route; the next one is taken when one cannot be connected to or cannot prove
//! itself. A request that is already on a flow is not sent again elsewhere: it fails with the flow, and its sender is
//! told, because nobody can know whether it arrived.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use super::accept::FlowId;
use super::attempts::Attempts;
use super::pool::{Content, Letter};
use super::proof::{self, Proof};
use super::pump::Pump;
use super::queue::{self, Refused};
use super::sip_flow::{self, Command, Opened, SipFlow};
use super::tls::{self, Wire};
use super::world::{self, World};
use super::{connect, discover};
use crate::clock::Backoff;
use crate::domain::Domain;
use crate::gateway::{Input, Token, Trouble};
use crate::identity::chain::Usage;
use crate::pki::Alpn;
use crate::route::{Host, Plan, Protocol, Route, Target, Transport};
use crate::sip;

/// Carries letters until none has come for a while.
pub async fn run(world: Arc<World>, remote: Domain, mut letters: queue::Receiver<Letter>) {
    let idle = world.limits().net.sip_idle;
    let mut link = SipLink {
        world,
        remote,
        live: None,
        backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        pause: None,
    };
    let close = link.world.close.clone();
    loop {
        let letter = tokio::select! {
            letter = letters.recv() => letter,
            () = tokio::time::sleep(idle) => None,
            () = close.cancelled() => None,
        };
        let Some(letter) = letter else { break };
        link.carry(letter).await;
    }
    letters.close();
    while let Some(letter) = letters.next_waiting() {
        link.give_back(letter.token, Trouble::Stopping).await;
    }
}

struct SipLink {
    world: Arc<World>,
    remote: Domain,
    live: Option<Live>,
    backoff: Backoff,
    /// After a failure: until then letters are given back with it, and nothing is tried.
    pause: Option<(Instant, Trouble)>,
}

/// A flow that is up, and the way that led to it.
struct Live {
    plans: Vec<Plan>,
    flow: queue::Sender<Command>,
}

impl SipLink {
    async fn carry(&mut self, letter: Letter) {
        let (Content::Request(mut request, route), Some(token)) = (letter.content, letter.token) else {
            return;
        };
        // A flow that ended while it was idle takes nothing: one more connection is worth a try.
        for _ in 0..2 {
            if let Err(trouble) = self.ensure(&route).await {
                return self.give_back(Some(token), trouble).await;
            }
            // Opening takes time, and its sender may have been told by now that it failed.
            if letter.until <= world::now() {
                return self.give_back(Some(token), Trouble::Timeout).await;
            }
            let Some(up) = self.live.as_ref() else { break };
            match up.flow.offer(Command::Request { request, token }) {
                Ok(()) => return,
                Err(Refused::Full(_)) => return self.give_back(Some(token), Trouble::Overload).await,
                Err(Refused::Closed(Command::Request { request: unsent, .. })) => request = unsent,
                Err(Refused::Closed(Command::Respond { .. })) => break,
            }
        }
        self.give_back(Some(token), Trouble::Broken).await;
    }

    /// Makes sure that there is a flow that this route would lead to.
    async fn ensure(&mut self, route: &Route) -> Result<(), Trouble> {
        if self
            .live
            .as_ref()
            .is_some_and(|live| !live.flow.is_closed() && live.plans == route.plans())
        {
            return Ok(());
        }
        self.live = None;
        if let Some((until, trouble)) = self.pause
            && until > world::now()
        {
            return Err(trouble);
        }
        let opened = tokio::select! {
            opened = open(&self.world, &self.remote, route) => opened,
            () = self.world.close.cancelled() => Err(Trouble::Stopping),
        };
        match opened {
            Ok(flow) => {
                self.backoff.succeeded();
                self.pause = None;
                self.live = Some(Live {
                    plans: route.plans().to_vec(),
                    flow,
                });
                Ok(())
            }
            Err(trouble) => {
                let pause = self.backoff.failed(u32::from_le_bytes(world::random()));
                self.pause = world::now().checked_add(pause).map(|until| (until, trouble));
                Err(trouble)
            }
        }
    }

    async fn give_back(&self, token: Option<Token>, trouble: Trouble) {
        if let Some(token) = token {
            self.world.tell(token, Input::Returned { token, trouble }).await;
        }
    }
}

/// Opens a flow to the first target that can be reached and proves itself.
async fn open(world: &Arc<World>, remote: &Domain, route: &Route) -> Result<queue::Sender<Command>, Trouble> {
    let Some(plan) = route.plans().iter().find(|plan| plan.protocol() == Protocol::Sip) else {
        return Err(Trouble::NotFound);
    };
    let mut attempts = Attempts::new(world, plan).await?;
    while let Some(target) = attempts.next_target() {
        match reach(world, remote, &target).await {
            Ok(flow) => {
                attempts.succeeded();
                return Ok(flow);
            }
            Err(trouble) => attempts.failed(trouble),
        }
    }
    Err(attempts.trouble())
}

async fn reach(
    world: &Arc<World>,
    remote: &Domain,
    target: &Target,
) -> Result<queue::Sender<Command>, Trouble> {
    let limits = world.limits();
    let addresses = discover::addresses(world, target).await?;
    let (socket, address) = match connect::first(&addresses, limits.net.connect).await {
        Ok(connected) => connected,
        Err(error) => {
            tracing::info!(peer = %remote, %target, %error, "a SIP server cannot be connected to");
            return Err(Trouble::Unreachable);
        }
    };
    let (wire, proof, transport) = match target.transport {
        Transport::Tls => {
            let (wire, proof) = secure(world, target, socket, address, limits.net.handshake).await?;
            (wire, proof, sip::Transport::Tls)
        }
        Transport::Tcp => (Wire::Plain(socket), Proof::none(address), sip::Transport::Tcp),
        Transport::Udp => {
            tracing::warn!(peer = %remote, %target, "SIP over UDP is not available in this version");
            return Err(Trouble::Unreachable);
        }
    };
    let id = FlowId::fresh();
    tracing::info!(peer = %remote, %target, flow = %id, "SIP flow opened");
    let flow = SipFlow {
        world: Arc::clone(world),
        pump: Pump::new(wire, limits.net.write_buffer),
        id,
        side: target.side,
        remote: address,
        transport,
        opened: Opened::ByUs,
        proof,
        alive: world.metrics.connection(target.side, Protocol::Sip, "made"),
    };
    let (sender, commands) = queue::bounded("sip_flow", limits.sip.transactions, &world.metrics);
    let own = sender.clone();
    world.supervisor.spawn("sip_flow", async move {
        if let Err(error) = sip_flow::run(flow, own, commands).await {
            tracing::info!(flow = %id, %error, "SIP flow broken");
        }
    });
    Ok(sender)
}

/// TLS towards a server, and the check that it is the one that was meant (RFC 5922 §7.3).
async fn secure(
    world: &World,
    target: &Target,
    socket: tokio::net::TcpStream,
    address: std::net::SocketAddr,
    within: Duration,
) -> Result<(Wire, Proof), Trouble> {
    let Some(context) = world.context(target.tls.as_ref(), target.side) else {
        tracing::warn!(%target, "there is no TLS context for this side: name one with tls = \"...\"");
        return Err(Trouble::Untrusted);
    };
    let shown = match &target.host {
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned()),
        Host::Address(_) => ServerName::try_from(target.domain.as_str().to_owned()),
    };
    let name = shown.unwrap_or_else(|_| ServerName::IpAddress(address.ip().into()));
    match tls::connect(socket, &context, name, Alpn::None, None, within).await {
        Ok((wire, facts)) => {
            let mut proof = Proof::tls(world, context, facts, Usage::Server, address);
            match proof.sip(
                &target.domain,
                target.tls.as_ref(),
                &[proof::reference(&target.host)],
            ) {
                Ok(_authenticated) => Ok((wire, proof)),
                Err(unproven) => {
                    tracing::warn!(
                        peer = %target.domain, %target, class = unproven.class(), why = %unproven,
                        "a SIP server is not the one that was meant"
                    );
                    Err(Trouble::Untrusted)
                }
            }
        }
        Err(error) => {
            world.metrics.tls_failed(target.side, error.reason());
            tracing::warn!(peer = %target.domain, %target, class = error.reason(), %error, "TLS with a SIP server failed");
            Err(Trouble::Untrusted)
        }
    }
}

/// The first pause after a failure; letters that come within it are given back at once.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause: a peer that is back is found again within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
