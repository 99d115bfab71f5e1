//! Carries one stream machine over one connection: octets, TLS, timers, and the answers to what the machine asks.
//!
//! The owner of a driver waits for [`Driver::next`] beside its other events; dropping the wait loses nothing, because
//! everything that is under way, a TLS handshake included, lives in the driver.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio_util::sync::CancellationToken;

use super::accept::FlowId;
use super::proof::Proof;
use super::pump::{Progress, Pump};
use super::tls::{self, TlsError, TlsFacts, Wire};
use super::world::{self, World};
use super::xmpp_machine::Machine;
use super::{xmpp_terms, xmpp_verify};
use crate::domain::Domain;
use crate::gateway::Trouble;
use crate::identity::chain::Usage;
use crate::observe::Metrics;
use crate::pki::{Alpn, Context};
use crate::route::Side;
use crate::xmpp::error::StreamError;
use crate::xmpp::stream::{
    CertificateAnswer, Event, Input, Misuse, Output, PeerCertificate, Question, Verdict,
};
use crate::xmpp::{Stanza, stream};

/// How TLS begins when the machine wants it.
#[derive(Debug, Clone)]
pub enum Secure {
    /// We answer the handshake.
    Server(Arc<Context>),
    /// We begin it.
    Client {
        /// How.
        context: Arc<Context>,
        /// The server, as SNI names it.
        name: ServerName<'static>,
        /// The domain of ours that we speak for.
        own: Domain,
    },
    /// There is no TLS here.
    Never,
}

/// A machine with its connection.
#[derive(Debug)]
pub struct Driver {
    world: Arc<World>,
    machine: Machine,
    state: State,
    after: Option<After>,
    /// When a farewell that the peer does not read is cut short.
    close_by: Option<Instant>,
    progress: bool,
    ending: Ending,
    secure: Secure,
    /// The domain of ours that the peer asked for last.
    asked: Option<Domain>,
    /// What it means that TLS failed.
    tls: Option<Trouble>,
    proof: Proof,
    side: Side,
    /// The number of the connection, for logs.
    pub id: FlowId,
    remote: SocketAddr,
    events: VecDeque<Event>,
    verdicts: xmpp_verify::Verdicts,
    /// Cancelled with the stream, for what is done on its behalf beside it.
    over: CancellationToken,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

type Handshake = Pin<Box<dyn Future<Output = Result<(Wire, TlsFacts), TlsError>> + Send + Sync>>;

enum State {
    Open(Pump),
    Handshake(Handshake),
    Closed,
}

/// What follows when everything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    StartTls,
    Close,
}

/// What a turn of a driver came to.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is handed on at once and never kept")]
pub enum Turn {
    /// Something happened on the stream.
    Event(Event),
    /// What was sent has been written, so far that there is room again or that nothing waits; or the far end asks what has become
    /// of its stanzas ([`Driver::owes`]).
    Written,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Yes,
}

impl Driver {
    /// A driver for a machine that was just made.
    #[must_use]
    pub fn new(
        world: &Arc<World>,
        machine: Machine,
        wire: Wire,
        secure: Secure,
        proof: Proof,
        (side, id, remote): (Side, FlowId, SocketAddr),
    ) -> Self {
        let limits = world.limits();
        let mut driver = Self {
            machine,
            state: State::Open(Pump::new(wire, limits.net.write_buffer)),
            after: None,
            close_by: None,
            progress: false,
            ending: Ending::No,
            secure,
            asked: None,
            tls: None,
            proof,
            side,
            id,
            remote,
            events: VecDeque::new(),
            verdicts: xmpp_verify::Verdicts::default(),
            over: CancellationToken::new(),
            world: Arc::clone(world),
        };
        driver.absorb();
        driver
    }

    /// The next thing that happened; `None` when the connection is over.
    pub async fn next(&mut self) -> Option<Turn> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(Turn::Event(event));
            }
            self.absorb();
            if !self.events.is_empty() {
                continue;
            }
            if std::mem::take(&mut self.progress) {
                return Some(Turn::Written);
            }
            if let State::Closed = self.state {
                return None;
            }
            // A stream that waits keeps no room for events.
            self.events = VecDeque::new();
            let owed = self.owes();
            self.advance().await;
            self.progress |= self.owes() != owed;
        }
    }

    /// Sends a stanza of a proven pair.
    ///
    /// # Errors
    /// [`Misuse`] where the pair is not proven or the stream is ending.
    pub fn send(&mut self, stanza: &Stanza) -> Result<(), Misuse> {
        self.machine.handle(world::now(), Input::Send(stanza))?;
        self.absorb();
        Ok(())
    }

    /// Whether the stream is ending, so that nothing more can be sent on it.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        matches!(self.ending, Ending::Yes)
    }

    /// Whether the far end acknowledges what it takes.
    #[must_use]
    pub const fn is_acknowledged(&self) -> bool {
        self.machine.is_acknowledged()
    }

    /// How many stanzas have to be settled before the far end's oldest request can be answered.
    pub fn owes(&self) -> Option<u64> {
        self.machine.owes()
    }

    /// So many stanzas in all are settled.
    pub fn settled(&mut self, total: u64) {
        self.tell(Input::Settled(total));
    }

    /// What it means that TLS failed, in the handshake or by an alert after it.
    #[must_use]
    pub const fn tls_failure(&self) -> Option<Trouble> {
        self.tls
    }

    /// Where the peer stands.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// The peer's address.
    #[must_use]
    pub const fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.world.metrics
    }

    /// How many octets were ever sent, and how many of them the operating system has taken.
    #[must_use]
    pub fn octets(&self) -> (u64, u64) {
        match &self.state {
            State::Open(pump) => (pump.sent(), pump.written()),
            State::Handshake(_) | State::Closed => (0, 0),
        }
    }

    /// Whether there is room for another stanza: the peer reads what it is sent.
    #[must_use]
    pub fn has_room(&self) -> bool {
        matches!(&self.state, State::Open(pump) if pump.has_room())
    }

    /// Ends the stream in good order.
    pub fn close(&mut self, error: Option<StreamError>) {
        self.ending = Ending::Yes;
        let _already_closing = self.machine.handle(world::now(), Input::Close(error));
        self.absorb();
    }

    async fn advance(&mut self) {
        let timeout = self.machine.timeout();
        match &mut self.state {
            State::Closed => {}
            State::Open(pump) if self.after.is_some() => {
                let drained = tokio::select! {
                    drained = pump.drain() => drained.is_ok(),
                    () = world::sleep_until(timeout) => {
                        self.tell(Input::Timer);
                        return;
                    }
                    () = world::sleep_until(self.close_by) => {
                        self.state = State::Closed;
                        return;
                    }
                };
                match self.after.take() {
                    Some(After::StartTls) if drained => self.start_tls(),
                    Some(After::StartTls | After::Close) | None => self.hang_up(),
                }
            }
            State::Open(pump) => {
                tokio::select! {
                    progress = pump.wait() => match progress {
                        Ok(Progress::Read(read)) => {
                            let octets = pump.take(read);
                            self.machine.feed(Input::Bytes(octets));
                        }
                        Ok(Progress::Written) => self.progress = true,
                        Ok(Progress::End) => self.tell(Input::Eof),
                        Err(error) => {
                            tracing::debug!(flow = %self.id, %error, "XMPP connection broken");
                            if tls::is_of_tls(&error) {
                                self.tls = Some(Trouble::Unreachable);
                            }
                            self.tell(Input::Eof);
                        }
                    },
                    verdict = self.verdicts.next() => self.tell(Input::Verdict(verdict)),
                    () = world::sleep_until(timeout) => self.tell(Input::Timer),
                }
            }
            State::Handshake(handshake) => {
                let done = tokio::select! {
                    done = handshake => done,
                    () = world::sleep_until(timeout) => {
                        self.tell(Input::Timer);
                        return;
                    }
                };
                self.secured(done);
            }
        }
    }

    fn start_tls(&mut self) {
        let State::Open(pump) = std::mem::replace(&mut self.state, State::Closed) else {
            return;
        };
        let Wire::Plain(socket) = pump.into_wire() else {
            return;
        };
        let within = self.world.limits().net.handshake;
        self.state = match self.secure.clone() {
            Secure::Server(context) => {
                let meant = self.asked.clone();
                State::Handshake(Box::pin(async move {
                    tls::accept(socket, &context, Alpn::None, meant.as_ref(), within).await
                }))
            }
            Secure::Client { context, name, own } => State::Handshake(Box::pin(async move {
                tls::connect(socket, &context, name, Alpn::None, Some(&own), within).await
            })),
            Secure::Never => State::Closed,
        };
    }

    fn secured(&mut self, done: Result<(Wire, TlsFacts), TlsError>) {
        match done {
            Ok((wire, facts)) => {
                let certificate = if facts.chain.is_empty() {
                    PeerCertificate::Absent
                } else {
                    PeerCertificate::Shown
                };
                let (context, usage) = match &self.secure {
                    Secure::Server(context) => (Arc::clone(context), Usage::Client),
                    Secure::Client { context, .. } => (Arc::clone(context), Usage::Server),
                    Secure::Never => return,
                };
                self.proof = Proof::tls(&self.world, context, facts, usage, self.remote);
                self.state = State::Open(Pump::new(wire, self.world.limits().net.write_buffer));
                self.tell(Input::TlsDone(stream::TlsFacts { certificate }));
            }
            Err(error) => {
                self.tls = Some(error.trouble());
                self.world.metrics.tls_failed(self.side, error.reason());
                tracing::info!(
                    flow = %self.id, side = %self.side, peer = %self.remote, class = error.reason(), %error,
                    "TLS on an XMPP stream failed"
                );
                self.state = State::Closed;
                self.tell(Input::Eof);
            }
        }
    }

    /// Says farewell beside this task: a peer that does not read must not hold anybody up.
    fn hang_up(&mut self) {
        if let State::Open(pump) = std::mem::replace(&mut self.state, State::Closed) {
            self.world.supervisor.spawn("farewell", async move {
                let _late = tokio::time::timeout(FAREWELL, pump.close()).await;
            });
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.machine.feed(input);
    }

    /// Takes what the machine wants done. Where only the peer sends, what follows a stanza waits until that stanza was
    /// taken by our owner: we acknowledge nothing that is only on its way there.
    fn absorb(&mut self) {
        let one_way = matches!(self.machine, Machine::Receiving(_));
        while !(one_way && matches!(self.events.back(), Some(Event::Stanza(_))))
            && let Some(output) = self.machine.poll()
        {
            match output {
                Output::Transmit(octets) => {
                    if let State::Open(pump) = &mut self.state
                        && let Err(error) = pump.send(&octets)
                    {
                        tracing::info!(flow = %self.id, side = %self.side, %error, "XMPP stream given up");
                        self.state = State::Closed;
                        self.tell(Input::Eof);
                    }
                }
                Output::StartTls => self.after = Some(After::StartTls),
                Output::Close => {
                    self.after = Some(After::Close);
                    self.close_by = world::now().checked_add(FAREWELL);
                }
                Output::Event(event) => {
                    if matches!(event, Event::Ending | Event::Refused(_) | Event::Closed(_)) {
                        self.ending = Ending::Yes;
                    }
                    self.events.push_back(event);
                }
                Output::Ask(question) => self.answer(question),
            }
        }
    }

    fn answer(&mut self, question: Question) {
        let verdict = match question {
            Question::Host { from, to } => {
                self.asked = Some(to.clone());
                let border = self.world.border();
                let answer = xmpp_terms::host(&border, self.side, from.as_ref(), &to, &self.secure);
                Verdict::Host { from, to, answer }
            }
            Question::Certificate { claimed } => {
                let answer = self.certificate(&claimed);
                Verdict::Certificate { claimed, answer }
            }
            Question::Dialback {
                from,
                to,
                stream_id,
                key,
            } => {
                let world = Arc::clone(&self.world);
                let (place, verdicts) = ((self.side, self.remote.ip()), self.verdicts.sender(&world));
                let over = self.over.clone();
                self.world.supervisor.spawn("dialback", async move {
                    // Nobody cares for the answer any more when the stream is over.
                    tokio::select! {
                        answer = xmpp_verify::ask(&world, place, &from, &to, stream_id, key) => {
                            let _gone = verdicts.send(Verdict::Dialback { from, to, answer }).await;
                        }
                        () = over.cancelled() => {}
                    }
                });
                return;
            }
        };
        self.tell(Input::Verdict(verdict));
    }

    fn certificate(&mut self, claimed: &Domain) -> CertificateAnswer {
        let border = self.world.border();
        let table = border.table();
        let house = table.house_of(claimed).filter(|_| self.side == Side::Outside);
        let direct = self.proof.xmpp(claimed, table.tls_of(claimed));
        // Whoever proves to be the clearing house may speak for the domains that stand behind it, whoever opened the stream.
        let proven = match (direct, house) {
            (Err(unproven), Some((house, tls))) => self.proof.xmpp(house, tls).map_err(|of_house| {
                tracing::info!(flow = %self.id, peer = %house, class = of_house.class(), why = %of_house, "nor does it prove the clearing house");
                unproven
            }),
            (direct, _) => direct,
        };
        match proven {
            Ok(_authenticated) => CertificateAnswer::Proven,
            Err(unproven) => {
                tracing::info!(
                    flow = %self.id, side = %self.side, peer = %claimed, class = unproven.class(), why = %unproven,
                    "the certificate does not prove the XMPP domain"
                );
                CertificateAnswer::Unproven
            }
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Open",
            Self::Handshake(_) => "Handshake",
            Self::Closed => "Closed",
        })
    }
}

/// How long a peer may take to read the last words.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);
