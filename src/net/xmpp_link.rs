//! The link on which we speak for one domain towards another: a stream to a peer or a node, or a component of a node.
//!
//! Letters wait in the link's queue while a stream is set up; when that fails they are given back with the reason, and
//! their senders are told. What was written on a stream that then breaks is told as such: whether it arrived, nobody
//! knows. A component link is kept up whether anything is to be sent or not, because inside users reach out through it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;

use super::accept::FlowId;
use super::pool::{Content, Letter};
use super::proof::Proof;
use super::queue;
use super::tls::{self, Wire};
use super::world::{self, World};
use super::xmpp_driver::{Driver, Machine, Secure};
use super::{connect, discover, xmpp_stream, xmpp_terms};
use crate::clock::Backoff;
use crate::domain::Domain;
use crate::gateway::{Input, Link, Token, Trouble};
use crate::identity::chain::Usage;
use crate::observe::health::NodeState;
use crate::observe::metrics::Alive;
use crate::pki::Alpn;
use crate::policy::Party;
use crate::route::{self, Host, Local, Protocol, Side, Target, Transport};
use crate::xmpp::component::{Component, ComponentSecret};
use crate::xmpp::error::{StreamCondition, StreamError};
use crate::xmpp::stream::{Event, Initiating, PeerCertificate, Purpose, Start, TlsFacts};

/// Carries letters for as long as there is something to carry; a component link for as long as it is configured.
pub async fn run(world: Arc<World>, local: Domain, remote: Domain, mut letters: queue::Receiver<Letter>) {
    let mut link = LinkTask {
        backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        not_before: None,
        epoch: 0,
        trouble: Trouble::Unreachable,
        world,
        local,
        remote,
    };
    loop {
        let first = match link.wait(&mut letters).await {
            Wait::Letter(letter) => Some(letter),
            Wait::Connect => None,
            Wait::End => break,
        };
        link.work(first, &mut letters).await;
    }
    letters.close();
    while let Some(letter) = letters.next_waiting() {
        link.give_back(letter, Trouble::Stopping).await;
    }
}

struct LinkTask {
    world: Arc<World>,
    local: Domain,
    remote: Domain,
    backoff: Backoff,
    /// After a failure: until then letters are given back with `trouble`, and nothing is tried.
    not_before: Option<Instant>,
    trouble: Trouble,
    /// Counts the streams.
    epoch: u64,
}

/// What a link without a stream has to do.
enum Wait {
    Letter(Letter),
    Connect,
    End,
}

/// A stream that is up.
struct Up {
    driver: Driver,
    _alive: Alive,
}

impl LinkTask {
    /// Waits for a reason to open a stream.
    async fn wait(&self, letters: &mut queue::Receiver<Letter>) -> Wait {
        loop {
            let pause = self.not_before.filter(|at| *at > world::now());
            let keep_up = self.component().is_some();
            if keep_up && pause.is_none() {
                return Wait::Connect;
            }
            let idle = self.world.limits().xmpp.idle;
            tokio::select! {
                letter = letters.recv() => match letter {
                    None => return Wait::End,
                    Some(letter) if pause.is_some() => self.give_back(letter, self.trouble).await,
                    Some(letter) => return Wait::Letter(letter),
                },
                () = world::sleep_until(pause), if keep_up => {}
                () = tokio::time::sleep(idle), if !keep_up => return Wait::End,
                () = self.world.close.cancelled() => return Wait::End,
            }
        }
    }

    /// Opens a stream, carries letters on it until it ends, and tells what became of them.
    async fn work(&mut self, first: Option<Letter>, letters: &mut queue::Receiver<Letter>) {
        let opened = self.open().await;
        let mut up = match opened {
            Ok(up) => up,
            Err(trouble) => {
                let random = u32::from_le_bytes(world::random());
                let pause = self.backoff.failed(random);
                self.not_before = world::now().checked_add(pause);
                self.trouble = trouble;
                tracing::warn!(
                    peer = %self.remote, local = %self.local, class = trouble.class(), pause_ms = pause.as_millis(),
                    "no XMPP stream; it is tried again after the pause"
                );
                if let Some(letter) = first {
                    self.give_back(letter, trouble).await;
                }
                while let Some(letter) = letters.next_waiting() {
                    self.give_back(letter, trouble).await;
                }
                return;
            }
        };
        self.backoff.succeeded();
        self.not_before = None;
        self.epoch = self.epoch.wrapping_add(1);
        let mut written = Vec::new();
        if let Some(letter) = first {
            self.write(&mut up.driver, letter, &mut written).await;
        }
        loop {
            self.tell_written(&mut written).await;
            tokio::select! {
                event = up.driver.next() => {
                    let Some(event) = event else { break };
                    self.observe(&up.driver, event).await;
                }
                letter = letters.recv(), if up.driver.has_room() && !up.driver.is_closing() => {
                    let Some(letter) = letter else { break };
                    self.write(&mut up.driver, letter, &mut written).await;
                    for _ in 0..BATCH {
                        if !up.driver.has_room() {
                            break;
                        }
                        let Some(letter) = letters.next_waiting() else { break };
                        self.write(&mut up.driver, letter, &mut written).await;
                    }
                }
                () = self.world.close.cancelled(), if !up.driver.is_closing() => {
                    up.driver.close(Some(StreamError::new(StreamCondition::SystemShutdown)));
                }
            }
        }
        self.tell_written(&mut written).await;
        let link = Link::Xmpp {
            local: self.local.clone(),
            remote: self.remote.clone(),
        };
        for shard in &self.world.shards {
            let broken = Input::Broken {
                link: link.clone(),
                epoch: self.epoch,
            };
            let _gone = shard.send(broken).await;
        }
        // A peer that ends a stream at once each time must not make us spin.
        self.not_before = world::now().checked_add(FIRST_PAUSE);
        self.trouble = Trouble::Broken;
    }

    async fn write(&self, driver: &mut Driver, letter: Letter, written: &mut Vec<Token>) {
        if letter.until <= world::now() {
            return self.give_back(letter, Trouble::Timeout).await;
        }
        let Content::Stanza(stanza) = &letter.content else {
            return;
        };
        match driver.send(stanza) {
            Ok(()) => written.extend(letter.token),
            Err(misuse) => {
                tracing::info!(peer = %self.remote, local = %self.local, %misuse, "a stanza could not be written");
                self.give_back(letter, Trouble::Broken).await;
            }
        }
    }

    /// Tells each shard which of its stanzas were written.
    async fn tell_written(&self, written: &mut Vec<Token>) {
        written.sort_by_key(|token| token.shard());
        for tokens in written.chunk_by(|left, right| left.shard() == right.shard()) {
            if let Some(first) = tokens.first() {
                self.world
                    .tell(
                        *first,
                        Input::Written {
                            tokens: tokens.to_vec(),
                            epoch: self.epoch,
                        },
                    )
                    .await;
            }
        }
        written.clear();
    }

    async fn observe(&self, driver: &Driver, event: Event) {
        driver.log(&event);
        match event {
            // A component hears everything on its one stream; on a stream that we opened to a server only what is for
            // the pair that was proven on it.
            Event::Stanza(stanza) => xmpp_stream::take(&self.world, self.side(), stanza).await,
            Event::Answer(_)
            | Event::Authenticated { .. }
            | Event::PairRefused { .. }
            | Event::Refused(_)
            | Event::Closed(_)
            | Event::Verified(_)
            | Event::Ending => {}
        }
    }

    async fn give_back(&self, letter: Letter, trouble: Trouble) {
        if let Some(token) = letter.token {
            self.world.tell(token, Input::Returned { token, trouble }).await;
        }
    }

    /// The local domain that is spoken to, where it is one.
    fn node_domain(&self) -> Option<Arc<Local>> {
        self.world.border().table().local(&self.remote).cloned()
    }

    fn component(&self) -> Option<ComponentSecret> {
        let local = self.node_domain()?;
        match &local.link {
            route::Link::Component(link) => Some(ComponentSecret::new(link.secret.expose())),
            route::Link::S2s => None,
        }
    }

    fn side(&self) -> Side {
        if self.node_domain().is_some() {
            Side::Inside
        } else {
            Side::Outside
        }
    }

    /// Opens a stream to the first target that can be reached and lets us in.
    async fn open(&self) -> Result<Up, Trouble> {
        let to = Party::new(None, self.remote.clone());
        let route = self
            .world
            .border()
            .table()
            .lookup(&to, Protocol::Xmpp)
            .map_err(|_| Trouble::NotFound)?;
        let plan = route
            .plans()
            .iter()
            .find(|plan| plan.protocol() == Protocol::Xmpp)
            .ok_or(Trouble::NotFound)?;
        let mut trouble = Trouble::NotFound;
        for target in discover::targets(&self.world, plan).await? {
            let reached = self.reach(&target).await;
            if target.side == Side::Inside {
                let seen = if reached.is_ok() {
                    NodeState::Up
                } else {
                    NodeState::Down
                };
                self.world
                    .health
                    .saw_node(&self.remote, &target.host.to_string(), seen);
            }
            match reached {
                Ok(up) => return Ok(up),
                Err(failed) => trouble = failed,
            }
        }
        Err(trouble)
    }

    async fn reach(&self, target: &Target) -> Result<Up, Trouble> {
        let mut driver = dial(&self.world, target, |start, secure| match self.component() {
            Some(secret) => {
                let limits = self.world.limits();
                Machine::Component(Box::new(Component::new(
                    world::now(),
                    self.local.clone(),
                    secret,
                    &limits,
                )))
            }
            None => {
                let purpose = Purpose::Stanzas {
                    local: self.local.clone(),
                    remote: self.remote.clone(),
                };
                initiating(&self.world, start, purpose, secure)
            }
        })
        .await?;
        let alive = self.world.metrics.connection(target.side, Protocol::Xmpp, "made");
        loop {
            let event = tokio::select! {
                event = driver.next() => event,
                () = self.world.close.cancelled() => return Err(Trouble::Stopping),
            };
            let Some(event) = event else {
                return Err(Trouble::Refused);
            };
            driver.log(&event);
            if let Event::Authenticated { .. } = event {
                return Ok(Up {
                    driver,
                    _alive: alive,
                });
            }
            if let Event::Refused(refusal) = &event {
                tracing::warn!(peer = %self.remote, %target, why = %refusal, "an XMPP server was refused by us");
                return Err(Trouble::Untrusted);
            }
        }
    }
}

/// The machine of a stream that we open.
pub(super) fn initiating(world: &World, start: Start, purpose: Purpose, secure: &Secure) -> Machine {
    let border = world.border();
    let (Purpose::Stanzas { remote, .. } | Purpose::Verify { remote, .. }) = &purpose;
    let terms = match border.table().local(remote) {
        Some(local) => xmpp_terms::towards_node(local, secure),
        None => xmpp_terms::towards_peer(&border, remote, secure),
    };
    let machine = Initiating::new(
        world::now(),
        start,
        purpose,
        terms,
        world.dialback.clone(),
        &world.limits(),
    );
    Machine::Initiating(Box::new(machine))
}

/// Connects to a target, with TLS where it is direct, and starts a machine on the connection.
pub(super) async fn dial(
    world: &Arc<World>,
    target: &Target,
    machine: impl FnOnce(Start, &Secure) -> Machine,
) -> Result<Driver, Trouble> {
    let limits = world.limits();
    let addresses = discover::addresses(world, target).await?;
    let (socket, address) = connect::first(&addresses, limits.net.connect)
        .await
        .map_err(|error| {
            tracing::info!(peer = %target.domain, %target, %error, "an XMPP server cannot be connected to");
            Trouble::Unreachable
        })?;
    // Inside, TLS is spoken only where the domain names a context: a node on the same host often has none.
    let context = match target.side {
        Side::Inside => world.context_of(target.tls.as_ref()),
        Side::Outside => world.context(target.tls.as_ref(), target.side),
    };
    let name = server_name(target, address.ip());
    let (wire, proof, secure, start) = match (target.transport, context) {
        (Transport::Tls, Some(context)) => {
            let within = limits.net.handshake;
            let secured = tls::connect(socket, &context, name.clone(), Alpn::XmppServer, within).await;
            let (wire, facts) = secured.map_err(|error| {
                world.metrics.tls_failed(target.side, error.reason());
                tracing::warn!(peer = %target.domain, %target, %error, "TLS with an XMPP server failed");
                Trouble::Untrusted
            })?;
            let certificate = if facts.chain.is_empty() {
                PeerCertificate::Absent
            } else {
                PeerCertificate::Shown
            };
            let proof = Proof::tls(Arc::clone(&context), facts, Usage::Server, address);
            (
                wire,
                proof,
                Secure::Client(context, name),
                Start::Tls(TlsFacts { certificate }),
            )
        }
        (Transport::Tls, None) => {
            tracing::warn!(%target, "there is no TLS context for this side: name one with tls = \"...\"");
            return Err(Trouble::Untrusted);
        }
        (Transport::Tcp | Transport::Udp, context) => {
            let secure = context.map_or(Secure::Never, |context| Secure::Client(context, name));
            (Wire::Plain(socket), Proof::none(address), secure, Start::Plain)
        }
    };
    let machine = machine(start, &secure);
    let place = (target.side, FlowId::fresh(), address);
    Ok(Driver::new(world, machine, wire, secure, proof, place))
}

/// What SNI says: the domain that is meant (RFC 6120 §13.7.2.1), which is also what the certificate has to prove.
fn server_name(target: &Target, address: std::net::IpAddr) -> ServerName<'static> {
    let name = match &target.host {
        Host::Name(_) | Host::Address(_) => target.domain.as_str().to_owned(),
    };
    ServerName::try_from(name).unwrap_or_else(|_| ServerName::IpAddress(address.into()))
}

/// The first pause after a failure; letters that come within it are given back at once.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause: a node that is back is found again within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Letters written before what happened on the stream is looked at.
const BATCH: usize = 128;
