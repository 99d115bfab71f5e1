//! SIP in datagrams: the sockets of UDP listeners, and who gets what comes in on them.
//!
//! What is shared by all peers of a socket is only this: a request is given to the flow of the place where its answers go
//! (RFC 3261 §18.2.2, RFC 3581 §4), a response to the flow that its branch names. From there on a flow over UDP is as any
//! other. A source that is no sender the configuration knows makes no flow: it is answered without state, by no more than
//! a small factor of what it sent, and at a bounded rate for the whole socket.
//!
//! Not done: `maddr` is not followed, as it would let a sender have our answers sent to others; a listener on an
//! unspecified address answers from the address that the system chooses; on a socket that is shared nobody hears that the
//! network found nobody at an address, and timers tell it.

mod datagrams;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::UdpSocket;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

pub use datagrams::Datagrams;
use datagrams::{Arrived, Inbox, read};

use super::accept::FlowId;
use super::proof::Proof;
use super::queue::{self, Refused};
use super::sip_flow::{self, Carrier, Opened, SipFlow};
use super::world::{self, World};
use crate::gateway::Peer as _;
use crate::limits::{
    DATAGRAMS_OF_A_FLOW, FLOWS_OF_AN_ADDRESS, UNPROVEN_ANSWER_FACTOR, UNPROVEN_ANSWERS_PER_SECOND,
};
use crate::policy::rate::{Bucket, Rate};
use crate::route::{Protocol, Side};
use crate::sip::transaction::Key;
use crate::sip::{
    self, BadMessage, Host, Message, Method, Request, Response, Rport, StatusCode, Uri, Via, write,
};

/// The UDP sockets that we listen on.
#[derive(Debug, Default)]
pub struct Sockets(Mutex<Vec<Arc<Listening>>>);

/// One socket that everybody may send to.
#[derive(Debug)]
pub struct Listening {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    side: Side,
    /// Flows that we opened, by the number that their branches carry.
    made: Mutex<HashMap<u64, (SocketAddr, queue::Sender<Arrived>)>>,
}

impl Sockets {
    /// The socket from which requests to `remote` go out, so that answers and requests use the same two addresses.
    #[must_use]
    pub fn towards(&self, side: Side, remote: SocketAddr) -> Option<Arc<Listening>> {
        let sockets = self.lock();
        let suits =
            |socket: &&Arc<Listening>| socket.side == side && socket.local.is_ipv4() == remote.is_ipv4();
        sockets.iter().find(suits).cloned()
    }

    fn add(&self, socket: &Arc<Listening>) {
        self.lock().push(Arc::clone(socket));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Listening>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a bound socket. When `accepting` is cancelled, no new senders are taken; what is under way goes on until the
/// flows are closed.
///
/// # Errors
/// Where the socket does not know its address.
pub fn listen(
    world: &Arc<World>,
    socket: UdpSocket,
    side: Side,
    accepting: &CancellationToken,
) -> io::Result<()> {
    let listening = Arc::new(Listening {
        local: socket.local_addr()?,
        socket: Arc::new(socket),
        side,
        made: Mutex::default(),
    });
    world.udp.add(&listening);
    let hub = Hub {
        world: Arc::clone(world),
        listening,
        accepted: BTreeMap::new(),
        unproven: Bucket::new(Rate::per_second(
            NonZeroU32::new(UNPROVEN_ANSWERS_PER_SECOND).unwrap_or(NonZeroU32::MIN),
        )),
        accepting: accepting.clone(),
    };
    world.supervisor.spawn("sip_datagrams", hub.run());
    Ok(())
}

/// Opens a flow over UDP to `remote`: on the socket that we listen on on that side, or else on one of its own.
///
/// # Errors
/// Those of the operating system.
pub async fn open(world: &World, side: Side, remote: SocketAddr, id: FlowId) -> io::Result<Datagrams> {
    let Some(listening) = world.udp.towards(side, remote) else {
        let socket = UdpSocket::bind(any(remote)).await?;
        socket.connect(remote).await?;
        return Datagrams::alone(socket, remote, id, &world.limits().sip);
    };
    let (sender, receiver) = queue::bounded("sip_datagrams", DATAGRAMS_OF_A_FLOW, &world.metrics);
    listening.lock().insert(id.get(), (remote, sender));
    Ok(Datagrams::shared(
        Inbox {
            socket: Arc::clone(&listening.socket),
            arrived: receiver,
            made_on: Some(listening.clone()),
            _place: None,
        },
        (listening.local, remote),
        id,
    ))
}

/// Whether the system knows a way to an address; nothing is sent.
pub async fn leads(remote: SocketAddr) -> bool {
    match UdpSocket::bind(any(remote)).await {
        Ok(socket) => socket.connect(remote).await.is_ok(),
        Err(_) => false,
    }
}

fn any(remote: SocketAddr) -> SocketAddr {
    let ip = match remote {
        SocketAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}

impl Listening {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, (SocketAddr, queue::Sender<Arrived>)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives each datagram of a socket to its flow.
struct Hub {
    world: Arc<World>,
    listening: Arc<Listening>,
    /// Flows that others opened, by where their answers go.
    accepted: BTreeMap<SocketAddr, queue::Sender<Arrived>>,
    /// Answers to those who have proven nothing.
    unproven: Bucket,
    accepting: CancellationToken,
}

/// What a datagram was answered to, where it is answered without state.
struct Asked<'a> {
    octets: usize,
    source: SocketAddr,
    via: &'a Via,
}

impl Hub {
    async fn run(mut self) {
        let socket = Arc::clone(&self.listening.socket);
        let closing = self.world.close_flows.clone();
        let mut buffer = vec![0; LARGEST];
        loop {
            let received = tokio::select! {
                received = socket.recv_from(&mut buffer) => received,
                () = closing.cancelled() => return,
            };
            match received {
                Ok((length, source)) => {
                    self.take(buffer.get(..length).unwrap_or_default(), source).await;
                }
                Err(error) => {
                    tracing::warn!(listener = %self.listening.local, %error, "a datagram could not be read");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    async fn take(&mut self, octets: &[u8], source: SocketAddr) {
        let limits = self.world.limits();
        match read(octets, &limits.sip) {
            Ok(Some(Message::Request(mut request))) => {
                request.headers_mut().stamp_via(source);
                self.request(request, octets.len(), source).await;
            }
            Ok(Some(Message::Response(response))) => self.response(response, source),
            // It keeps a translation of addresses alive, and says nothing.
            Ok(None) => {}
            Err(bad) => self.bad(bad, octets.len(), source),
        }
    }

    async fn request(&mut self, mut request: Request, octets: usize, source: SocketAddr) {
        let target = target(request.headers().top_via(), source);
        if let Some(flow) = self.accepted.get(&target) {
            match flow.offer(Arrived(Box::new(Message::Request(request)))) {
                // What finds no room is lost as on the way, and comes again.
                Ok(()) | Err(Refused::Full(_)) => return,
                Err(Refused::Closed(Arrived(message))) => match *message {
                    Message::Request(unserved) => request = unserved,
                    Message::Response(_) => return,
                },
            }
            self.accepted.remove(&target);
        }
        if let Err(response) = self.admit(&request, source) {
            if let Some(response) = response {
                let asked = Asked {
                    octets,
                    source,
                    via: request.headers().top_via(),
                };
                self.answer_unproven(&asked, &response);
            }
            return;
        }
        let Some((sender, inbox)) = self.place(&request, octets, source, target) else {
            return;
        };
        let _new = sender.offer(Arrived(Box::new(Message::Request(request))));
        self.accepted.insert(target, sender);
        self.start(inbox, source, target);
    }

    /// Whether a request may make a flow: its sender is one whom this source may speak for. If not, what the border says
    /// of it.
    fn admit(&self, request: &Request, source: SocketAddr) -> Result<(), Option<Box<Response>>> {
        let border = self.world.border();
        let mut proof = Proof::none(&self.world, source);
        let domain = match request.headers().from().uri() {
            Uri::Sip(uri) => uri.host().domain(),
            Uri::Other(_) => None,
        };
        let is_known = domain.is_some_and(|domain| {
            let table = border.table();
            match (self.listening.side, table.local(&domain)) {
                (Side::Inside, Some(local)) => proof.is_node_of(local).is_ok(),
                (Side::Outside, None) => table
                    .foreign(&domain)
                    .is_some_and(|entry| border.prove(&domain, entry, &mut proof).is_ok()),
                (Side::Inside, None) | (Side::Outside, Some(_)) => false,
            }
        });
        if is_known {
            return Ok(());
        }
        if *request.method() == Method::Ack {
            return Err(None);
        }
        let side = self.listening.side;
        let admitted = border.admit_sip(side, request.clone(), &mut proof, world::today());
        let Err(rejected) = admitted else {
            return Err(None);
        };
        self.world.metrics.refused(side, Protocol::Sip, rejected.class());
        tracing::info!(
            %side, peer = %source, class = rejected.class(), why = %rejected,
            "SIP request refused"
        );
        Err(Some(Box::new(rejected.response().clone())))
    }

    /// Room for one more flow; where there is none, its sender is told.
    fn place(
        &mut self,
        request: &Request,
        octets: usize,
        source: SocketAddr,
        target: SocketAddr,
    ) -> Option<(queue::Sender<Arrived>, Inbox)> {
        self.accepted.retain(|_, flow| !flow.is_closed());
        let (first, last) = (
            SocketAddr::new(target.ip(), 0),
            SocketAddr::new(target.ip(), u16::MAX),
        );
        let has_room = self.accepted.range(first..=last).count() < FLOWS_OF_AN_ADDRESS;
        let place: Option<OwnedSemaphorePermit> = has_room
            .then(|| self.world.places.of(self.listening.side).try_acquire_owned().ok())
            .flatten();
        if place.is_none() || self.accepting.is_cancelled() {
            let class = "connection_limit";
            self.world
                .metrics
                .refused(self.listening.side, Protocol::Sip, class);
            tracing::warn!(peer = %source, side = %self.listening.side, class, "a SIP request over UDP is refused: there is no place for its sender");
            if *request.method() != Method::Ack {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let tag = Key::of_received(request).stateless_tag();
                let response = request.response(status, status.reason(), Some(&tag));
                let asked = Asked {
                    octets,
                    source,
                    via: request.headers().top_via(),
                };
                self.answer_unproven(&asked, &response);
            }
            return None;
        }
        let (sender, arrived) = queue::bounded("sip_datagrams", DATAGRAMS_OF_A_FLOW, &self.world.metrics);
        let inbox = Inbox {
            socket: Arc::clone(&self.listening.socket),
            arrived,
            made_on: None,
            _place: place,
        };
        Some((sender, inbox))
    }

    fn start(&self, inbox: Inbox, source: SocketAddr, target: SocketAddr) {
        let (world, side, id) = (Arc::clone(&self.world), self.listening.side, FlowId::fresh());
        let limits = world.limits();
        let flow = SipFlow {
            carrier: Carrier::Datagrams(Datagrams::shared(inbox, (self.listening.local, target), id)),
            id,
            side,
            remote: target,
            transport: sip::Transport::Udp,
            opened: Opened::ByPeer,
            proof: Proof::none(&world, source),
            alive: world.metrics.connection(side, Protocol::Sip, "accepted"),
            world: Arc::clone(&world),
        };
        tracing::debug!(flow = %id, %side, peer = %target, "SIP flow over UDP begins");
        let (sender, commands) = queue::bounded("sip_flow", limits.sip.transactions, &world.metrics);
        world.supervisor.spawn("sip_flow", async move {
            if let Err(error) = sip_flow::run(flow, sender, commands).await {
                tracing::info!(flow = %id, %side, peer = %target, %error, "SIP flow broken");
            }
        });
    }

    /// A response belongs to the flow that its branch names, if it comes from the host that the request went to. The port
    /// may be another: not every server answers from where it listens.
    fn response(&self, response: Response, source: SocketAddr) {
        let branch = response.headers().top_via().branch();
        let flow = branch.and_then(datagrams::flow_of).and_then(|id| {
            let made = self.listening.lock();
            let (remote, flow) = made.get(&id)?;
            (remote.ip() == source.ip()).then(|| flow.clone())
        });
        match flow {
            // What finds no room is lost as on the way, and comes again.
            Some(flow) => {
                let _lost = flow.offer(Arrived(Box::new(Message::Response(response))));
            }
            None => self.drop_as("datagram_stray_response"),
        }
    }

    fn bad(&mut self, bad: BadMessage, octets: usize, source: SocketAddr) {
        self.drop_as(bad.error.class());
        tracing::debug!(side = %self.listening.side, peer = %source, error = %bad.error, "a datagram is no SIP message");
        if let Some(mut reply) = bad.reply {
            reply.headers_mut().stamp_via(source);
            let asked = Asked {
                octets,
                source,
                via: reply.headers().top_via(),
            };
            self.answer_unproven(&asked, &reply);
        }
    }

    fn drop_as(&self, class: &'static str) {
        self.world
            .metrics
            .refused(self.listening.side, Protocol::Sip, class);
    }

    /// Answers without state, and without being of use to whoever writes the address of another: no more octets than a
    /// small factor of what came, and so many a second on the whole socket.
    fn answer_unproven(&mut self, asked: &Asked<'_>, response: &Response) {
        let mut octets = Vec::new();
        write::response(response, &mut octets);
        let is_small = octets.len() <= asked.octets.saturating_mul(UNPROVEN_ANSWER_FACTOR);
        if !is_small || self.unproven.take(world::now()).is_err() {
            return;
        }
        let to = target(asked.via, asked.source);
        // An answer that is lost is given again to a repetition.
        let _lost = self.listening.socket.try_send_to(&octets, to);
    }
}

/// Where the answers to a request go.
//
//= rfc3261#18.2.2
//# Otherwise (for unreliable unicast transports), if the top Via has a "received" parameter, the response MUST be sent to
//# the address in the "received" parameter, using the port indicated in the "sent-by" value, or using port 5060 if none
//# is specified explicitly.
//= rfc3581#4
//# The response must be sent from the same address and port that the request was received on in order to traverse
//# symmetric NATs.
fn target(via: &Via, source: SocketAddr) -> SocketAddr {
    match via.rport() {
        Rport::Port(_) => source,
        Rport::Absent | Rport::Asked => {
            let port = via.port().unwrap_or_else(|| sip::Transport::Udp.default_port());
            SocketAddr::new(source.ip(), port)
        }
    }
}

/// The Via of a request over UDP names the port that answers come to where the server does not know `rport`.
pub(super) fn via(edge: &str, local: SocketAddr, branch: &str) -> Result<Via, sip::Flaw> {
    let port = Some(local.port()).filter(|port| *port != sip::Transport::Udp.default_port());
    Via::new(sip::Transport::Udp, Host::parse(edge)?, port, branch)
}

/// The longest datagram.
const LARGEST: usize = 65_535;
/// Between failed reads, so that a lasting error does not become a busy loop.
const BREATH: std::time::Duration = std::time::Duration::from_millis(50);
