//! One SIP connection, whoever opened it: frames, transactions and the way to the gateway and back. Over UDP a flow is what
//! goes between two addresses, and lives a little longer than its transactions (`sip_udp`).
//!
//! The task of a flow owns its transactions, so that a peer can answer or repeat only what belongs to its own
//! connection. It ends when the connection does; every transaction on it then fails at once, and the answers that are
//! still to come are given by `late`. A flow that we opened ends when its link lets go of it.

mod carrier;
mod command;
mod incoming;
mod late;
mod outgoing;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::accept::FlowId;
use super::proof::Proof;
use super::queue;
use super::sip_link::{Errand, Keeper};
use super::sip_relay::Recall;
use super::world::{self, World};
use crate::gateway::Call;
use crate::limits::UDP_FLOW_IDLE;
use crate::observe::metrics::Alive;
use crate::refusal::Refuse as _;
use crate::route::{Protocol, Side};
use crate::sip::frame::Frame;
use crate::sip::keepalive::{Due, Keepalive};
use crate::sip::subscription::is_unanswered;
use crate::sip::transaction::{
    Event, Flow, NotStarted, Received, Reliability, Timers, TransactionId, Transactions,
};
use crate::sip::{self, Message, Response};
use carrier::Came;
pub use carrier::Carrier;
pub use command::{Answerer, Command, SipOrigin};

/// A connection that is ready to speak SIP.
#[derive(Debug)]
pub struct SipFlow {
    /// What it shares with all.
    pub world: Arc<World>,
    /// What carries its messages.
    pub carrier: Carrier,
    /// Its number.
    pub id: FlowId,
    /// Where the peer stands.
    pub side: Side,
    /// The peer's address.
    pub remote: SocketAddr,
    /// What our Via says it goes over.
    pub transport: sip::Transport,
    /// Who opened it.
    pub opened: Opened,
    /// What the peer has proven.
    pub proof: Proof,
    /// Counted for as long as the flow lives.
    pub alive: Alive,
}

/// Who opened a connection.
#[derive(Debug)]
pub enum Opened {
    /// The peer: it has to say something soon.
    ByPeer,
    /// We, because we have something to say; the link keeps it.
    ByUs(Keeper),
}

/// Serves a connection until it ends. `commands` is both ends of its queue: the flow gives out the sending end with each
/// request that it passes on.
pub async fn run(
    flow: SipFlow,
    sender: queue::Sender<Command>,
    mut commands: queue::Receiver<Command>,
) -> Result<(), io::Error> {
    let world = Arc::clone(&flow.world);
    let limits = world.limits();
    let now = world::now();
    let let_go = match &flow.opened {
        Opened::ByPeer => None,
        Opened::ByUs(keeper) => Some(keeper.let_go()),
    };
    let (known, whole_by, keepalive) = match (&flow.opened, flow.carrier.reliability()) {
        // Each datagram is whole, and nothing has to be kept open.
        (_, Reliability::Unreliable) => (Known::Yes, None, None),
        (Opened::ByPeer, Reliability::Reliable) => {
            (Known::No, now.checked_add(limits.net.first_message), None)
        }
        (Opened::ByUs(_), Reliability::Reliable) => {
            let random = u32::from_le_bytes(world::random());
            let keepalive = Keepalive::new(now, limits.net.sip_keepalive, random);
            (Known::Yes, None, Some(keepalive))
        }
    };
    let idle = match flow.carrier.reliability() {
        Reliability::Reliable => limits.net.sip_idle,
        Reliability::Unreliable => UDP_FLOW_IDLE,
    };
    let mut task = Task {
        known,
        transactions: Transactions::new(&limits.sip, Timers::default(), world.transactions.clone()),
        errands: HashMap::new(),
        relayed: HashMap::new(),
        calls: HashMap::new(),
        sender,
        whole_by,
        keepalive,
        idle_at: now.checked_add(idle),
        patience: limits.net.first_message,
        idle,
        flow,
    };
    let ended = task.serve(&mut commands, let_go).await;
    commands.close();
    task.fail_all().await;
    let Task { flow, .. } = task;
    late::leave(&flow, commands);
    // A connection that failed is dropped; a peer that is well, or is told what was wrong with its octets, may take a
    // moment to read the last words.
    let is_told = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
    if ended.as_ref().err().is_none_or(is_told) {
        let _late = tokio::time::timeout(FAREWELL, flow.carrier.close()).await;
    }
    ended
}

/// Whether a peer has ever sent a whole message: until then keepalives do not keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    No,
    Yes,
}

/// Whether a flow has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Yes,
    No,
}

struct Task {
    flow: SipFlow,
    transactions: Transactions,
    /// Requests of ours by their transaction.
    errands: HashMap<TransactionId, Box<Errand>>,
    /// INVITEs of the peer that went on, by their transaction: they can be called back.
    relayed: HashMap<TransactionId, Arc<Recall>>,
    /// INVITEs of the peer that the gateway answers, and the number of their pair: they can be called back too.
    calls: HashMap<TransactionId, Box<(u64, Call)>>,
    sender: queue::Sender<Command>,
    /// When the first message, or one that has begun, has to be whole.
    whole_by: Option<Instant>,
    /// Whether a whole message ever came.
    known: Known,
    /// For a flow that we opened.
    keepalive: Option<Keepalive>,
    idle_at: Option<Instant>,
    patience: Duration,
    idle: Duration,
}

impl Task {
    async fn serve(
        &mut self,
        commands: &mut queue::Receiver<Command>,
        let_go: Option<CancellationToken>,
    ) -> io::Result<()> {
        let world = Arc::clone(&self.flow.world);
        let mut held = let_go;
        // Nobody has let go of what nobody held.
        let mut is_left = false;
        loop {
            let keepalive = self.keepalive.as_ref().and_then(Keepalive::timeout);
            let wake = [
                self.transactions.timeout(),
                self.whole_by,
                self.idle_at,
                keepalive,
            ]
            .into_iter()
            .flatten()
            .min();
            let left = async {
                match &held {
                    Some(let_go) => let_go.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                came = self.flow.carrier.wait() => match came? {
                    Came::Read => self.read().await?,
                    Came::Written => {}
                    Came::End => return Ok(()),
                },
                command = commands.recv(), if self.flow.carrier.has_room() => {
                    let Some(command) = command else { return Ok(()) };
                    self.obey(command).await;
                    // What else waits goes out in the same write, but no more than there is room for.
                    for _ in 0..BATCH {
                        self.settle().await?;
                        if !self.flow.carrier.has_room() {
                            break;
                        }
                        let Some(command) = commands.next_waiting() else { break };
                        self.obey(command).await;
                    }
                }
                () = world::sleep_until(wake) => {
                    let now = world::now();
                    self.transactions.tick(now);
                    if self.tick(now)? == Ended::Yes {
                        return Ok(());
                    }
                }
                () = left => {
                    // The link has handed over all that it ever will: that still goes out, and its answers come in.
                    (held, is_left) = (None, true);
                    while let Some(command) = commands.next_waiting() {
                        self.obey(command).await;
                    }
                }
                () = world.close_flows.cancelled() => {
                    // Answers that are ready are given before the end.
                    while let Some(command) = commands.next_waiting() {
                        self.obey(command).await;
                    }
                    return self.settle().await;
                }
            }
            self.settle().await?;
            if is_left && self.transactions.is_empty() {
                return Ok(());
            }
        }
    }

    /// Does what time asks for.
    fn tick(&mut self, now: Instant) -> io::Result<Ended> {
        let timed_out = |why| Err(io::Error::new(io::ErrorKind::TimedOut, why));
        if self.whole_by.is_some_and(|by| by <= now) {
            return timed_out("no whole message came in time");
        }
        match self.keepalive.as_mut().and_then(|keepalive| keepalive.tick(now)) {
            // Between the octets of a message of ours there is no place for it, and there never is one: each is written
            // as a whole.
            Some(Due::Ping) => self.flow.carrier.send(b"\r\n\r\n")?,
            Some(Due::Dead) => return timed_out("the peer no longer answers pings"),
            None => {}
        }
        if self.idle_at.is_some_and(|at| at <= now) {
            if self.transactions.is_empty() {
                return Ok(Ended::Yes);
            }
            self.idle_at = now.checked_add(self.idle);
        }
        Ok(Ended::No)
    }

    async fn read(&mut self) -> io::Result<()> {
        let now = world::now();
        let (mut whole, mut used) = (false, false);
        loop {
            match self.flow.carrier.next() {
                Ok(Some(Frame::Message(mut message))) => {
                    whole = true;
                    // A datagram's is stamped when it is read: the flow is named by where its answers go.
                    if let Message::Request(request) = &mut message
                        && self.flow.carrier.reliability() == Reliability::Reliable
                    {
                        request.headers_mut().stamp_via(self.flow.remote);
                    }
                    let flow = self.flow();
                    match self.transactions.receive(now, flow, message) {
                        Received::Refused => self.count_full(),
                        // A response to nothing of ours is dropped.
                        Received::New | Received::Matched | Received::Stray => {}
                    }
                    self.settle().await?;
                }
                Ok(Some(Frame::Bad(bad))) => {
                    whole = true;
                    self.refuse(bad.error.class(), &bad.error, bad.reply)?;
                }
                //= rfc5626#3.5.1
                //# The server responds with a single CRLF.
                Ok(Some(Frame::Ping)) => {
                    used = true;
                    if let Some(keepalive) = &mut self.keepalive {
                        keepalive.pinged(now);
                    }
                    self.flow.carrier.send(b"\r\n")?;
                }
                Ok(Some(Frame::Pong)) => {
                    if let Some(keepalive) = &mut self.keepalive {
                        keepalive.pong(now);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.refuse(error.error.class(), &error.error, error.reply)?;
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        error.error.to_string(),
                    ));
                }
            }
        }
        if whole {
            self.known = Known::Yes;
        }
        let between = self.flow.carrier.is_between_messages();
        if whole || !between {
            used = true;
            if let Some(keepalive) = &mut self.keepalive {
                keepalive.heard(now);
            }
        }
        // The answer to a ping of ours does not keep a flow that nobody uses.
        if used && self.known == Known::Yes {
            self.idle_at = now.checked_add(self.idle);
        }
        // Until its first message a peer has one deadline, which no keepalive moves.
        match (self.known, between) {
            (Known::No, _) => {}
            (Known::Yes, true) => self.whole_by = None,
            (Known::Yes, false) if whole || self.whole_by.is_none() => {
                self.whole_by = now.checked_add(self.patience);
            }
            (Known::Yes, false) => {}
        }
        Ok(())
    }

    /// There are too many transactions: the table has answered 503 by itself.
    fn count_full(&self) {
        let class = NotStarted::Full(0).class();
        let metrics = &self.flow.world.metrics;
        metrics.refused(self.flow.side, Protocol::Sip, class);
        tracing::debug!(flow = %self.flow.id, side = %self.flow.side, class, "SIP request refused");
    }

    fn refuse(
        &mut self,
        class: &'static str,
        error: &dyn std::fmt::Display,
        reply: Option<Box<Response>>,
    ) -> io::Result<()> {
        self.flow
            .world
            .metrics
            .refused(self.flow.side, Protocol::Sip, class);
        tracing::info!(flow = %self.flow.id, side = %self.flow.side, class, %error, "SIP input refused");
        if let Some(mut reply) = reply {
            reply.headers_mut().stamp_via(self.flow.remote);
            self.send(&Message::Response(*reply))?;
        }
        Ok(())
    }

    async fn obey(&mut self, command: Command) {
        let now = world::now();
        self.idle_at = now.checked_add(self.idle);
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.used(now);
        }
        match command {
            Command::Respond {
                transaction,
                response,
                by,
            } => {
                if is_unanswered(response.headers().cseq().method()) {
                    return self.transactions.abandon(transaction);
                }
                let _responded = match by {
                    Answerer::Us => self.transactions.answer(now, transaction, &response),
                    Answerer::Another => self.transactions.respond(now, transaction, &response),
                };
            }
            Command::Request(errand) => self.start(now, errand).await,
            Command::Recall(transaction) => self.recall(transaction),
        }
    }

    /// Does what the transactions want done.
    async fn settle(&mut self) -> io::Result<()> {
        while let Some(event) = self.transactions.poll() {
            match event {
                Event::Transmit {
                    octets, transaction, ..
                } => self.transmit(&octets, transaction)?,
                Event::Request {
                    transaction,
                    request,
                    cancels,
                    ..
                } => self.request(transaction, request, cancels).await,
                Event::Acknowledged { request, .. } => self.acknowledged(*request).await,
                Event::Response {
                    transaction,
                    response,
                } => self.response(transaction, response).await,
                Event::Failed { transaction, failure } => self.failed(transaction, failure).await,
                Event::Terminated { transaction } => {
                    self.errands.remove(&transaction);
                    self.relayed.remove(&transaction);
                    self.calls.remove(&transaction);
                }
            }
        }
        Ok(())
    }

    /// A connection that takes nothing more has ended; a datagram that cannot be sent is a matter of its own.
    fn transmit(&mut self, octets: &[u8], transaction: Option<TransactionId>) -> io::Result<()> {
        let Err(error) = self.flow.carrier.send(octets) else {
            return Ok(());
        };
        match self.flow.carrier.reliability() {
            Reliability::Reliable => return Err(error),
            Reliability::Unreliable => {
                tracing::info!(flow = %self.flow.id, octets = octets.len(), %error, "a SIP message cannot be sent over UDP");
                if let Some(transaction) = transaction {
                    self.transactions.send_failed(world::now(), transaction);
                }
            }
        }
        Ok(())
    }

    fn respond(&mut self, transaction: TransactionId, response: &Response) {
        // What nobody answers holds no place either.
        if is_unanswered(response.headers().cseq().method()) {
            return self.transactions.abandon(transaction);
        }
        let _responded = self.transactions.respond(world::now(), transaction, response);
    }

    fn send(&mut self, message: &Message) -> io::Result<()> {
        let mut octets = Vec::new();
        sip::write::message(message, &mut octets);
        self.flow.carrier.send(&octets)
    }

    /// Ends everything that still waits for this connection.
    async fn fail_all(&mut self) {
        self.transactions.flow_failed(world::now(), self.flow.id.get());
        while let Some(event) = self.transactions.poll() {
            if let Event::Failed { transaction, failure } = event {
                self.failed(transaction, failure).await;
            }
        }
    }

    fn flow(&self) -> Flow {
        Flow {
            id: self.flow.id.get(),
            reliability: self.flow.carrier.reliability(),
        }
    }
}

/// How long a peer may take to read the last words.
const FAREWELL: Duration = Duration::from_secs(2);
/// Commands obeyed before what they made is written.
const BATCH: usize = 64;
