//! One SIP connection, whoever opened it: frames, transactions and the way to the gateway and back.
//!
//! The task of a flow owns its transactions, so that a peer can answer or repeat only what belongs to its own
//! connection. It ends when the connection does; every transaction on it then fails at once.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::accept::FlowId;
use super::proof::Proof;
use super::pump::{Progress, Pump};
use super::queue;
use super::world::{self, World};
use crate::gateway::{Admitted, Input, Token, Trace, Trouble};
use crate::observe::metrics::Alive;
use crate::refusal::Fault;
use crate::route::{Protocol, Side};
use crate::sip::frame::{Frame, StreamFramer};
use crate::sip::transaction::{Event, Failure, Flow, Reliability, Timers, TransactionId, Transactions};
use crate::sip::{self, Host, Message, Request, Response, Via};

/// Where the SIP transaction of a request is that the gateway will answer.
#[derive(Debug)]
pub struct SipOrigin {
    /// The answer's place in the queue of the flow: it always fits.
    place: queue::Place<Command>,
    transaction: TransactionId,
}

/// What a flow is told to do.
#[derive(Debug)]
pub enum Command {
    /// Send a request; its outcome goes to the shard that owns the token.
    Request {
        /// The request; its Via is made by the flow.
        request: Box<Request>,
        /// The name of the outcome.
        token: Token,
    },
    /// Answer a request.
    Respond {
        /// Which one.
        transaction: TransactionId,
        /// The answer.
        response: Box<Response>,
    },
}

/// A connection that is ready to speak SIP.
#[derive(Debug)]
pub struct SipFlow {
    /// What it shares with all.
    pub world: Arc<World>,
    /// The octets.
    pub pump: Pump,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The peer: it has to say something soon.
    ByPeer,
    /// We, because we have something to say.
    ByUs,
}

impl SipOrigin {
    /// Hands an answer to the flow that the request came on. A flow that is gone took its transaction with it.
    pub fn respond(self, response: Box<Response>) {
        self.place.send(Command::Respond {
            transaction: self.transaction,
            response,
        });
    }
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
    let mut task = Task {
        known: match flow.opened {
            Opened::ByPeer => Known::No,
            Opened::ByUs => Known::Yes,
        },
        framer: StreamFramer::new(&limits.sip),
        transactions: Transactions::new(&limits.sip, Timers::default()),
        tokens: HashMap::new(),
        sender,
        whole_by: match flow.opened {
            Opened::ByPeer => world::now().checked_add(limits.net.first_message),
            Opened::ByUs => None,
        },
        idle_at: world::now().checked_add(limits.net.sip_idle),
        patience: limits.net.first_message,
        idle: limits.net.sip_idle,
        flow,
    };
    let ended = task.serve(&mut commands).await;
    commands.close();
    task.fail_all(&mut commands).await;
    // A connection that failed is dropped; a peer that is well may take a moment to read the last words.
    if ended.is_ok() {
        let _late = tokio::time::timeout(FAREWELL, task.flow.pump.close()).await;
    }
    ended
}

/// Whether a peer has ever sent a whole message: until then keepalives do not keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    No,
    Yes,
}

struct Task {
    flow: SipFlow,
    framer: StreamFramer,
    transactions: Transactions,
    /// Requests of ours by their transaction.
    tokens: HashMap<TransactionId, Token>,
    sender: queue::Sender<Command>,
    /// When the first message, or one that has begun, has to be whole.
    whole_by: Option<Instant>,
    /// Whether a whole message ever came.
    known: Known,
    idle_at: Option<Instant>,
    patience: Duration,
    idle: Duration,
}

impl Task {
    async fn serve(&mut self, commands: &mut queue::Receiver<Command>) -> io::Result<()> {
        let world = Arc::clone(&self.flow.world);
        loop {
            let wake = [self.transactions.timeout(), self.whole_by, self.idle_at]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                progress = self.flow.pump.wait() => match progress? {
                    Progress::Read(read) => self.read(read).await?,
                    Progress::Written => {}
                    Progress::End => return Ok(()),
                },
                command = commands.recv(), if self.flow.pump.has_room() => {
                    let Some(command) = command else { return Ok(()) };
                    self.obey(command).await;
                    // What else waits goes out in the same write.
                    for _ in 0..BATCH {
                        let Some(command) = commands.next_waiting() else { break };
                        self.obey(command).await;
                    }
                }
                () = world::sleep_until(wake) => {
                    let now = world::now();
                    self.transactions.tick(now);
                    if self.whole_by.is_some_and(|by| by <= now) {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "no whole message came in time"));
                    }
                    if self.idle_at.is_some_and(|at| at <= now) {
                        if self.transactions.is_empty() {
                            return Ok(());
                        }
                        self.idle_at = now.checked_add(self.idle);
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
        }
    }

    async fn read(&mut self, read: usize) -> io::Result<()> {
        let now = world::now();
        if self.known == Known::Yes {
            self.idle_at = now.checked_add(self.idle);
        }
        self.framer.push(self.flow.pump.take(read));
        let mut whole = false;
        loop {
            match self.framer.next() {
                Ok(Some(Frame::Message(mut message))) => {
                    whole = true;
                    if let Message::Request(request) = &mut message {
                        request.headers_mut().stamp_via(self.flow.remote);
                    }
                    let flow = self.flow();
                    // A response to nothing of ours is dropped, and a refused request is already answered.
                    let _received = self.transactions.receive(now, flow, message);
                    self.settle().await?;
                }
                Ok(Some(Frame::Bad(bad))) => {
                    whole = true;
                    self.refuse(bad.error.class(), &bad.error, bad.reply)?;
                }
                //= rfc5626#3.5.1
                //# The server responds with a single CRLF.
                Ok(Some(Frame::Ping)) => self.flow.pump.send(b"\r\n")?,
                Ok(Some(Frame::Pong)) => {}
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
        // Until its first message a peer has one deadline, which no keepalive moves.
        match (self.known, self.framer.is_between_messages()) {
            (Known::No, _) => {}
            (Known::Yes, true) => self.whole_by = None,
            (Known::Yes, false) if whole || self.whole_by.is_none() => {
                self.whole_by = now.checked_add(self.patience);
            }
            (Known::Yes, false) => {}
        }
        Ok(())
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
        match command {
            Command::Respond {
                transaction,
                response,
            } => {
                let _responded = self.transactions.respond(now, transaction, &response);
            }
            Command::Request { mut request, token } => {
                let branch = format!("z9hG4bK{}", hex(&world::random::<16>()));
                let border = self.flow.world.border();
                let via = Host::parse(border.edge().as_str())
                    .and_then(|host| Via::new(self.flow.transport.clone(), host, None, &branch));
                let started = match via {
                    Ok(via) => {
                        request.headers_mut().replace_vias(via.with_rport());
                        self.transactions
                            .request(now, self.flow(), &request)
                            .map_err(|error| error.to_string())
                    }
                    Err(flaw) => Err(flaw.to_string()),
                };
                match started {
                    Ok(transaction) => {
                        self.tokens.insert(transaction, token);
                    }
                    Err(error) => {
                        tracing::warn!(flow = %self.flow.id, error, "a SIP request of ours cannot be sent");
                        self.flow
                            .world
                            .tell(
                                token,
                                Input::Returned {
                                    token,
                                    trouble: Trouble::Overload,
                                },
                            )
                            .await;
                    }
                }
            }
        }
    }

    /// Does what the transactions want done.
    async fn settle(&mut self) -> io::Result<()> {
        while let Some(event) = self.transactions.poll() {
            match event {
                Event::Transmit { octets, .. } => self.flow.pump.send(&octets)?,
                Event::Request {
                    transaction, request, ..
                } => self.request(transaction, request).await,
                // We make no dialogs yet, so there is nothing that an ACK could confirm.
                Event::Acknowledged { .. } => {}
                Event::Response {
                    transaction,
                    response,
                } => {
                    if response.status().is_final()
                        && let Some(token) = self.tokens.remove(&transaction)
                    {
                        self.flow
                            .world
                            .tell(token, Input::Response { token, response })
                            .await;
                    }
                }
                Event::Failed { transaction, failure } => self.failed(transaction, failure).await,
                Event::Terminated { transaction } => {
                    self.tokens.remove(&transaction);
                }
            }
        }
        Ok(())
    }

    /// A request of ours got no answer.
    async fn failed(&mut self, transaction: TransactionId, failure: Failure) {
        let Some(token) = self.tokens.remove(&transaction) else {
            return;
        };
        let trouble = match failure {
            Failure::Timeout => Trouble::Timeout,
            Failure::Transport => Trouble::Broken,
        };
        self.flow
            .world
            .tell(token, Input::Returned { token, trouble })
            .await;
    }

    /// Takes a new request through the checks, and answers it or hands it to its shard.
    async fn request(&mut self, transaction: TransactionId, request: Box<Request>) {
        let started = world::now();
        let trace = Trace::new(u64::from_le_bytes(world::random()));
        let border = self.flow.world.border();
        tracing::debug!(
            %trace, flow = %self.flow.id, side = %self.flow.side, method = %request.method(),
            call_id = request.headers().call_id().as_str(), "SIP request received"
        );
        // The answer's place is kept before anything is done, so that no answer is ever lost for want of room.
        let place = self.sender.reserve();
        let admitted = if self.flow.world.refuse_new.is_cancelled() {
            Err(border.refuse_while_stopping(&request))
        } else if place.is_err() {
            Err(border.refuse_for_overload(&request))
        } else {
            border.admit_sip(self.flow.side, *request, &mut self.flow.proof, world::today())
        };
        let metrics = &self.flow.world.metrics;
        metrics
            .translation
            .observe(world::now().saturating_duration_since(started).as_secs_f64());
        match admitted {
            Ok(Admitted::Answer(response)) => self.respond(transaction, &response),
            Ok(Admitted::Deliver(delivery)) => {
                metrics.decided(delivery.permit().direction(), "allow");
                let Ok(place) = place else { return };
                let origin = SipOrigin { place, transaction };
                let Some(shard) = self.flow.world.shard_of(delivery.pair()).cloned() else {
                    return;
                };
                let input = Input::Deliver {
                    delivery: delivery.traced(trace),
                    origin: Some(origin),
                };
                // The peer is held back while the shard is busy: its octets wait in its own socket.
                let _gone = shard.send(input).await;
            }
            Err(rejected) => {
                metrics.refused(self.flow.side, Protocol::Sip, rejected.class());
                if rejected.fault() == Fault::Policy {
                    metrics.decided(self.flow.side.way(), "deny");
                }
                tracing::info!(
                    %trace, flow = %self.flow.id, side = %self.flow.side, peer = %self.flow.remote,
                    class = rejected.class(), why = %rejected, "SIP request refused"
                );
                self.respond(transaction, rejected.response());
            }
        }
    }

    fn respond(&mut self, transaction: TransactionId, response: &Response) {
        let _responded = self.transactions.respond(world::now(), transaction, response);
    }

    fn send(&mut self, message: &Message) -> io::Result<()> {
        let mut octets = Vec::new();
        sip::write::message(message, &mut octets);
        self.flow.pump.send(&octets)
    }

    /// Ends everything that still waits for this connection.
    async fn fail_all(&mut self, commands: &mut queue::Receiver<Command>) {
        self.transactions.flow_failed(world::now(), self.flow.id.get());
        while let Some(event) = self.transactions.poll() {
            if let Event::Failed { transaction, failure } = event {
                self.failed(transaction, failure).await;
            }
        }
        while let Some(command) = commands.next_waiting() {
            if let Command::Request { token, .. } = command {
                self.flow
                    .world
                    .tell(
                        token,
                        Input::Returned {
                            token,
                            trouble: Trouble::Broken,
                        },
                    )
                    .await;
            }
        }
    }

    fn flow(&self) -> Flow {
        Flow {
            id: self.flow.id.get(),
            reliability: Reliability::Reliable,
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// How long a peer may take to read the last words.
const FAREWELL: Duration = Duration::from_secs(2);
/// Commands obeyed before what they made is written.
const BATCH: usize = 64;
