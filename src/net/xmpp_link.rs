//! The link on which we speak for one domain towards another: a stream to a peer or a node, or a component of a node.
//!
//! Letters wait in the link's queue while a stream is set up; when that fails they are given back with the reason, and
//! their senders are told. What was written on a stream that then breaks is told as such: whether it arrived, nobody
//! knows. A component link is kept up whether anything is to be sent or not, because inside users reach out through it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pool::{Content, Letter};
use super::queue;
use super::world::{self, World};
use super::xmpp_dial::{attach, establish};
use super::xmpp_driver::{Driver, Turn};
use super::{discover, xmpp_stream};
use crate::clock::Backoff;
use crate::domain::Domain;
use crate::gateway::{Input, Link, Token, Trouble};
use crate::observe::health::NodeState;
use crate::observe::metrics::Alive;
use crate::policy::Party;
use crate::route::{self, Federated, Local, Protocol, Side, Target};
use crate::xmpp::component::{Component, ComponentSecret};
use crate::xmpp::error::{StreamCondition, StreamError};
use crate::xmpp::stream::{Event, Purpose};

/// Carries letters for as long as there is something to carry; a component link for as long as it is configured.
pub async fn run(world: Arc<World>, local: Domain, remote: Domain, mut letters: queue::Receiver<Letter>) {
    let mut link = LinkTask {
        backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        pause: None,
        epoch: 0,
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
    pause: Option<Pause>,
    /// Counts the streams.
    epoch: u64,
}

/// No stream is opened before its end.
#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    /// After a failure letters are given back with it at once; after a stream that was up they wait.
    trouble: Option<Trouble>,
}

/// Letters that were written, and when they are out of our hands.
#[derive(Debug, Default)]
struct Written(VecDeque<(u64, Token)>);

/// What a link without a stream has to do.
enum Wait {
    Letter(Letter),
    Connect,
    End,
}

/// A stream that is up.
struct Up {
    driver: Driver,
    /// Where the peer stood when it was opened.
    side: Side,
    /// The host, as the configuration names it.
    node: String,
    _alive: Alive,
}

impl Written {
    /// Takes out what lies within the first `octets` of the stream.
    fn take_until(&mut self, octets: u64) -> Vec<Token> {
        let count = self.0.iter().take_while(|(at, _)| *at <= octets).count();
        self.0.drain(..count).map(|(_, token)| token).collect()
    }
}

impl LinkTask {
    /// Waits for a reason to open a stream.
    async fn wait(&self, letters: &mut queue::Receiver<Letter>) -> Wait {
        loop {
            let pause = self.pause.filter(|pause| pause.until > world::now());
            let keep_up = self.component().is_some();
            if keep_up && pause.is_none() {
                return Wait::Connect;
            }
            let trouble = pause.and_then(|pause| pause.trouble);
            let idle = self.world.limits().xmpp.idle;
            tokio::select! {
                letter = letters.recv(), if pause.is_none() || trouble.is_some() => match (letter, trouble) {
                    (None, _) => return Wait::End,
                    (Some(letter), Some(trouble)) => self.give_back(letter, trouble).await,
                    (Some(letter), None) => return Wait::Letter(letter),
                },
                () = world::sleep_until(pause.map(|pause| pause.until)) => {}
                () = tokio::time::sleep(idle), if !keep_up => return Wait::End,
                () = self.world.close.cancelled() => return Wait::End,
            }
        }
    }

    /// Opens a stream, carries letters on it until it ends, and tells what became of them.
    async fn work(&mut self, first: Option<Letter>, letters: &mut queue::Receiver<Letter>) {
        let opened = tokio::select! {
            opened = self.open() => opened,
            () = self.world.close.cancelled() => Err(Trouble::Stopping),
        };
        let mut up = match opened {
            Ok(up) => up,
            Err(trouble) => return self.failed(trouble, first, letters).await,
        };
        self.pause = None;
        self.epoch = self.epoch.wrapping_add(1);
        let opened_at = world::now();
        let mut written = Written::default();
        if let Some(letter) = first {
            self.write(&mut up.driver, letter, &mut written).await;
        }
        let mut border = self.world.border.clone();
        let terms = self.terms();
        loop {
            self.tell_written(&up.driver, &mut written).await;
            tokio::select! {
                turn = up.driver.next() => match turn {
                    None => break,
                    Some(Turn::Written) => {}
                    Some(Turn::Event(event)) => self.observe(up.side, &up.driver, event).await,
                },
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
                Ok(()) = border.changed(), if !up.driver.is_closing() => {
                    // Another node, other terms, or no such domain any more: what this stream was opened for is gone.
                    if self.terms() != terms {
                        up.driver.close(None);
                    }
                }
                () = self.world.close.cancelled(), if !up.driver.is_closing() => {
                    up.driver.close(Some(StreamError::new(StreamCondition::SystemShutdown)));
                }
            }
        }
        // Whatever may have reached the peer counts as written, and is told as lost with the stream.
        self.tell_all(written.take_until(u64::MAX)).await;
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
        if up.side == Side::Inside && self.component().is_some() {
            self.world
                .health
                .saw_node(&self.remote, &up.node, NodeState::Down);
        }
        // A peer that ends each stream at once must not make us spin; one that was up for a while is well.
        let lived = world::now().saturating_duration_since(opened_at);
        if lived > LONGEST_PAUSE {
            self.backoff.succeeded();
        }
        let pause = self.backoff.failed(u32::from_le_bytes(world::random()));
        self.pause = world::now()
            .checked_add(pause)
            .map(|until| Pause { until, trouble: None });
    }

    /// No stream could be opened: everything that waits for one is given back, and the next try waits.
    async fn failed(
        &mut self,
        trouble: Trouble,
        first: Option<Letter>,
        letters: &mut queue::Receiver<Letter>,
    ) {
        let pause = self.backoff.failed(u32::from_le_bytes(world::random()));
        self.pause = world::now().checked_add(pause).map(|until| Pause {
            until,
            trouble: Some(trouble),
        });
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
    }

    async fn write(&self, driver: &mut Driver, letter: Letter, written: &mut Written) {
        if letter.until <= world::now() {
            return self.give_back(letter, Trouble::Timeout).await;
        }
        let Content::Stanza(stanza) = &letter.content else {
            return;
        };
        match driver.send(stanza) {
            Ok(()) => {
                let (sent, _) = driver.octets();
                written.0.extend(letter.token.map(|token| (sent, token)));
            }
            Err(misuse) => {
                tracing::info!(peer = %self.remote, local = %self.local, %misuse, "a stanza could not be written");
                self.give_back(letter, Trouble::Broken).await;
            }
        }
    }

    /// Tells each shard which of its stanzas the operating system has taken.
    async fn tell_written(&self, driver: &Driver, written: &mut Written) {
        let (_, taken) = driver.octets();
        self.tell_all(written.take_until(taken)).await;
    }

    async fn tell_all(&self, mut tokens: Vec<Token>) {
        tokens.sort_by_key(|token| token.shard());
        for tokens in tokens.chunk_by(|left, right| left.shard() == right.shard()) {
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
    }

    /// What the stream is opened for: when it changes, so must the stream.
    fn terms(&self) -> (Option<Arc<Local>>, Option<Arc<Federated>>) {
        let border = self.world.border();
        let local = border.table().local(&self.remote).cloned();
        let foreign = if local.is_none() {
            &self.remote
        } else {
            &self.local
        };
        (local, border.table().foreign(foreign).cloned())
    }

    async fn observe(&self, side: Side, driver: &Driver, event: Event) {
        driver.log(&event);
        match event {
            // A component hears everything on its one stream; on a stream that we opened to a server only what is for
            // the pair that was proven on it.
            Event::Stanza(stanza) => xmpp_stream::take(&self.world, side, stanza).await,
            Event::Answer(stanza) => xmpp_stream::send(&self.world, stanza),
            Event::Authenticated { .. }
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
                // A node that answers and refuses one pair is up all the same.
                let seen = match &reached {
                    Err(Trouble::Unreachable | Trouble::NotFound | Trouble::Timeout) => NodeState::Down,
                    Ok(_) | Err(_) => NodeState::Up,
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
        let driver = match self.component() {
            Some(secret) => {
                let limits = self.world.limits();
                let machine = Component::new(world::now(), self.local.clone(), secret, &limits);
                attach(&self.world, target, &self.local, machine).await?
            }
            None => {
                let purpose = Purpose::Stanzas {
                    local: self.local.clone(),
                    remote: self.remote.clone(),
                };
                establish(&self.world, target, &purpose).await?.0
            }
        };
        Ok(Up {
            driver,
            side: target.side,
            node: target.host.to_string(),
            _alive: self.world.metrics.connection(target.side, Protocol::Xmpp, "made"),
        })
    }
}

/// The first pause after a failure; letters that come within it are given back at once.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause: a node that is back is found again within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Letters written before what happened on the stream is looked at.
const BATCH: usize = 128;
