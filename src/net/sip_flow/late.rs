//! Answers to requests whose connection is gone: they are given on a new one, to whoever proves to be the sender.
//!
//! RFC 3261 §18.2.2, RFC 3263 §5. Where the request came from is tried first, then the host that its Via names, if that
//! is the sender's own: nobody makes us connect to the hosts of others. A node is connected to only where the configuration
//! says that it listens: the one whose address the request came from, or the only one of its domain. An answer that nobody
//! takes is counted and logged; its request was acted on all the same, and its sender has seen his connection break.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use super::{Command, Opened, SipFlow};
use crate::domain::Domain;
use crate::gateway::{Peer as _, Trouble};
use crate::net::accept::FlowId;
use crate::net::discover::{self, Purpose};
use crate::net::pump::Pump;
use crate::net::queue;
use crate::net::sip_link::reach::{self, Reached};
use crate::net::sip_link::{Errand, Keeper};
use crate::net::world::World;
use crate::policy::Party;
use crate::route::{self, Federated, Local, Plan, Protocol, Side, Target};
use crate::sip::transaction::Reliability;
use crate::sip::{self, Response, Uri, Via, write};

/// Leaves behind what gives the answers that the requests of a flow still wait for.
pub(super) fn leave(flow: &SipFlow, commands: queue::Receiver<Command>) {
    let answers = Answers {
        world: Arc::clone(&flow.world),
        id: flow.id,
        side: flow.side,
        source: flow.remote.ip(),
        transport: flow.transport.clone(),
        connection: match flow.carrier.reliability() {
            Reliability::Reliable => Connection::Untried,
            // There was no connection, and where the answer goes nobody is.
            Reliability::Unreliable => Connection::Failed,
        },
        keeper: match &flow.opened {
            Opened::ByUs(keeper) => Some(keeper.clone()),
            Opened::ByPeer => None,
        },
        giving: None,
    };
    let world = &flow.world;
    world.supervisor.spawn("sip_answers", answers.give(commands));
}

struct Answers {
    world: Arc<World>,
    /// The flow that is gone.
    id: FlowId,
    side: Side,
    /// Where its requests came from.
    source: IpAddr,
    transport: sip::Transport,
    connection: Connection,
    /// The link that opened it.
    keeper: Option<Keeper>,
    /// The answer that is being given.
    giving: Option<Box<Response>>,
}

/// The one new connection that takes all the answers of a flow.
enum Connection {
    Untried,
    Open(Box<Open>),
    /// It is not tried again for the next answer.
    Failed,
}

struct Open {
    /// The domain for whose answer it was made.
    domain: Domain,
    reached: Reached,
    pump: Pump,
}

/// Whom an answer is for.
#[derive(Clone, Copy)]
enum Sender<'t> {
    Node(&'t Local),
    Peer(&'t Federated),
}

/// Why an answer was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Lost {
    #[error("its sender is no domain that the configuration knows")]
    Unknown,
    #[error(
        "it is not known which of the nodes of its sender's domain it is for: none has the address it came from"
    )]
    NoNode,
    #[error("too many answers wait for new connections")]
    Overload,
    #[error("no server of its sender could be reached, or none proved itself")]
    Unreachable,
    #[error("the new connection broke, or took nothing more")]
    Broken,
    #[error("the proxy stops, and there was no time left")]
    Stopping,
}

impl Answers {
    /// Gives answers until none can come any more, or the time for last words is over: what is left then is told as lost.
    async fn give(mut self, mut commands: queue::Receiver<Command>) {
        let world = Arc::clone(&self.world);
        let over = async {
            world.close_flows.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = self.serve(&mut commands) => return,
            () = over => {}
        }
        commands.close();
        if let Some(response) = self.giving.take() {
            self.count(&response, Err(Lost::Stopping));
        }
        while let Some(command) = commands.next_waiting() {
            match command {
                Command::Respond { response, .. } => self.count(&response, Err(Lost::Stopping)),
                Command::Request(errand) => self.give_back(errand).await,
                Command::Recall(_) => {}
            }
        }
    }

    async fn serve(&mut self, commands: &mut queue::Receiver<Command>) {
        let stopping = self.world.close_flows.clone();
        let mut is_closed = false;
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                () = stopping.cancelled(), if !is_closed => {
                    // What waits, and what has its place, is taken out all the same.
                    commands.close();
                    is_closed = true;
                    continue;
                }
            };
            match command {
                Some(Command::Respond { response, .. }) => {
                    self.giving = Some(response.clone());
                    let given = self.answer(&response).await;
                    self.giving = None;
                    self.count(&response, given);
                }
                Some(Command::Request(errand)) => self.give_back(errand).await,
                Some(Command::Recall(_)) => {}
                None => break,
            }
        }
        if let Connection::Open(open) = std::mem::replace(&mut self.connection, Connection::Failed) {
            let _late = tokio::time::timeout(super::FAREWELL, open.pump.close()).await;
        }
    }

    /// A request came too late for its connection.
    async fn give_back(&self, errand: Box<Errand>) {
        let unsent = match &self.keeper {
            Some(keeper) => keeper.unsent(errand).await,
            None => Err(errand),
        };
        if let Err(mut errand) = unsent {
            let Errand { reply, request, .. } = &mut *errand;
            reply.trouble(&self.world, request, Trouble::Broken).await;
        }
    }

    async fn answer(&mut self, response: &Response) -> Result<(), Lost> {
        match sender_of(response) {
            Some(domain) => self.try_to(&domain, response).await,
            None => Err(Lost::Unknown),
        }
    }

    fn count(&self, response: &Response, given: Result<(), Lost>) {
        let domain = sender_of(response);
        let peer = domain.as_ref().map_or("?", Domain::as_str);
        let status = response.status();
        match given {
            Ok(()) => {
                self.world.metrics.late_answer("given");
                tracing::info!(flow = %self.id, peer, %status, "a SIP answer whose connection is gone was given on a new one");
            }
            Err(lost) => {
                self.world.metrics.late_answer("lost");
                tracing::warn!(
                    flow = %self.id, peer, %status, why = %lost,
                    "a SIP answer is lost with its connection; its request was acted on"
                );
            }
        }
    }

    async fn try_to(&mut self, domain: &Domain, response: &Response) -> Result<(), Lost> {
        let world = Arc::clone(&self.world);
        let border = world.border();
        let table = border.table();
        let sender = match (self.side, table.local(domain), table.foreign(domain)) {
            (Side::Inside, Some(local), _) if local.protocol == Protocol::Sip => Sender::Node(local),
            (Side::Outside, None, Some(entry)) if entry.protocol.includes(Protocol::Sip) => {
                Sender::Peer(entry)
            }
            _ => return Err(Lost::Unknown),
        };
        if let Connection::Untried = self.connection {
            let _place = world.late_answers.try_acquire().map_err(|_full| Lost::Overload)?;
            let open = match sender {
                Sender::Node(local) => self.connect_node(local).await?,
                Sender::Peer(entry) => self.connect(domain, entry, response).await,
            };
            self.connection = match open {
                Some(open) => Connection::Open(Box::new(open)),
                None => Connection::Failed,
            };
        }
        let Connection::Open(open) = &mut self.connection else {
            return Err(Lost::Unreachable);
        };
        let proven = match sender {
            // One node may serve many of our domains.
            Sender::Node(local) => open.domain == *domain || open.reached.proof.is_node_of(local).is_ok(),
            // A clearing house sends for many: each answer is for a domain that this server may speak for.
            Sender::Peer(entry) => border.prove(domain, entry, &mut open.reached.proof).is_ok(),
        };
        if !proven {
            return Err(Lost::Unreachable);
        }
        let mut octets = Vec::new();
        write::response(response, &mut octets);
        // A peer that reads nothing holds up no other answer.
        let sent = open.pump.send(&octets).is_ok()
            && matches!(
                tokio::time::timeout(super::FAREWELL, open.pump.drain()).await,
                Ok(Ok(()))
            );
        if !sent {
            self.connection = Connection::Failed;
            return Err(Lost::Broken);
        }
        Ok(())
    }

    /// Connects to the node that the requests came from, where the configuration says that it listens.
    async fn connect_node(&self, local: &Local) -> Result<Option<Open>, Lost> {
        let world = &self.world;
        let party = Party::new(None, local.domain.clone());
        let route = world.border().table().lookup(&party, Protocol::Sip);
        let plan = route.ok().and_then(|route| route.into_plan(Protocol::Sip));
        let targets = match &plan {
            Some(plan) => discover::targets(world, plan).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let is_source = |target: &&Target| match &target.host {
            route::Host::Address(address) => address.to_canonical() == self.source.to_canonical(),
            route::Host::Name(name) => world.nodes.leads(name, self.source),
        };
        let own: Vec<_> = targets.iter().filter(is_source).collect();
        let node = match (own.as_slice(), targets.as_slice()) {
            ([first, ..], _) => *first,
            ([], [only]) => only,
            ([], _) => return Err(Lost::NoNode),
        };
        // The answer is too late for a datagram, whose sender would not know it from one that was forged.
        if node.transport == route::Transport::Udp {
            return Ok(None);
        }
        let Ok((wire, reached)) = reach::reach(world, node, Purpose::Traffic).await else {
            return Ok(None);
        };
        let pump = Pump::new(wire, world.limits().net.write_buffer);
        let domain = local.domain.clone();
        Ok(Some(Open {
            domain,
            reached,
            pump,
        }))
    }

    //= rfc3261#18.2.2
    //# If that connection is no longer open, the server SHOULD open a connection to the IP address in the "received"
    //# parameter, if present, using the port in the "sent-by" value, or the default port for that transport, if no port
    //# is specified.
    //= rfc3261#18.2.2
    //# If that connection attempt fails, the server SHOULD use the procedures in [4] for servers in order to determine
    //# the IP address and port to open the connection and send the response to.
    async fn connect(&self, domain: &Domain, entry: &Federated, response: &Response) -> Option<Open> {
        let via = response.headers().top_via();
        for plan in self.plans(domain, entry, via) {
            for target in discover::targets(&self.world, &plan).await.unwrap_or_default() {
                if let Some(open) = self.reach(domain, entry, &target).await {
                    return Some(open);
                }
            }
        }
        None
    }

    /// Connects, and believes the server only if it proves the domain as it would have to for a request of its own.
    async fn reach(&self, domain: &Domain, entry: &Federated, target: &Target) -> Option<Open> {
        let (wire, mut reached) = reach::connect(&self.world, target, Purpose::Traffic).await.ok()?;
        let proven = self.world.border().prove(domain, entry, &mut reached.proof);
        if let Err(unproven) = proven {
            tracing::info!(peer = %domain, class = unproven.class(), "a SIP server is not the one that sent a request");
            return None;
        }
        let pump = Pump::new(wire, self.world.limits().net.write_buffer);
        Some(Open {
            domain: domain.clone(),
            reached,
            pump,
        })
    }

    fn plans(&self, domain: &Domain, entry: &Federated, via: &Via) -> Vec<Plan> {
        let transport = match self.transport {
            sip::Transport::Tls => route::Transport::Tls,
            sip::Transport::Udp
            | sip::Transport::Tcp
            | sip::Transport::Sctp
            | sip::Transport::Ws
            | sip::Transport::Wss
            | sip::Transport::Other(_) => route::Transport::Tcp,
        };
        let template = |host, port: Option<u16>| Target {
            protocol: Protocol::Sip,
            transport,
            side: self.side,
            host,
            port: port
                .and_then(NonZeroU16::new)
                .unwrap_or_else(|| Protocol::Sip.default_port(transport)),
            domain: domain.clone(),
            tls: entry.tls.clone(),
        };
        let mut plans = Vec::new();
        // Only where the request came from: neither maddr nor any other word of the sender leads to another address.
        if let Some(at) = via.received().or_else(|| via.host().ip())
            && at.to_canonical() == self.source.to_canonical()
        {
            let target = template(route::Host::Address(at.to_canonical()), via.port());
            if is_configured(at, entry) || discover::leads_outside(&self.world, &target, at) {
                plans.push(Plan::to(target));
            }
        }
        if let Some(name) = via.host().domain()
            && is_own(&name, domain, entry)
        {
            let target = template(route::Host::Name(name), via.port());
            plans.push(match via.port() {
                Some(_) => Plan::to(target),
                None => Plan::by_service(target),
            });
        }
        plans
    }
}

/// The domain that an answer is for.
fn sender_of(response: &Response) -> Option<Domain> {
    match response.headers().from().uri() {
        Uri::Sip(uri) => uri.host().domain(),
        Uri::Other(_) => None,
    }
}

/// Whether the configuration says that a peer is at this address.
fn is_configured(address: IpAddr, entry: &Federated) -> bool {
    entry.routes.iter().any(|route| {
        matches!(&route.next_hop.host, route::Host::Address(at) if at.to_canonical() == address.to_canonical())
    })
}

/// Whether a host belongs to a peer, by its name or by the configuration.
fn is_own(host: &Domain, domain: &Domain, entry: &Federated) -> bool {
    host == domain
        || host.is_below(domain)
        || entry
            .routes
            .iter()
            .any(|route| matches!(&route.next_hop.host, route::Host::Name(name) if name == host))
}

/// What is left for the answers that wait when the proxy closes its flows: less than the stop waits for them.
const LAST_WORDS: Duration = Duration::from_secs(1);
