//! What every task of the network floor shares: settings that a reload replaces, counters, and the way to the gateway.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::circles::Circles;
use super::dns::{Family, Resolver};
use super::pool::Pool;
use super::queue;
use super::rates::Rates;
use super::shard::Question;
use super::sip_flow::SipOrigin;
use super::sip_udp::Sockets;
use super::xmpp_places::XmppPlaces;
use super::xmpp_verify::Verifications;
use crate::domain::Domain;
use crate::gateway::{AnswerIds, Border, Input, Token};
use crate::limits::Limits;
use crate::observe::{Health, Metrics};
use crate::pki::{Context, Contexts};
use crate::route::aside::Aside;
use crate::route::{Side, TlsName};
use crate::sip::Date;
use crate::sip::transaction::Register;
use crate::supervise::Supervisor;
use crate::xmpp::DialbackSecret;

/// Shared by all flows, links and shards.
#[derive(Debug)]
pub struct World {
    /// Spawns.
    pub supervisor: Supervisor,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Phase and nodes.
    pub health: Health,
    /// Bounds; a reload changes those of new connections.
    pub limits: watch::Receiver<Arc<Limits>>,
    /// The checks and the tables that they work on.
    pub border: watch::Receiver<Arc<Border>>,
    /// Certificates and trust.
    pub contexts: watch::Receiver<Arc<Contexts>>,
    /// The default TLS contexts of each side, where a route names none.
    pub default_tls: watch::Receiver<DefaultTls>,
    /// Names of foreign servers.
    pub outside_dns: Resolver,
    /// Names of our own nodes.
    pub inside_dns: Resolver,
    /// What dialback keys are made with.
    pub dialback: DialbackSecret,
    /// Recognises answers to what the gateway sent.
    pub ids: AnswerIds,
    /// The shards of the gateway, by their number.
    pub shards: Vec<queue::Sender<Input<SipOrigin>>>,
    /// Where each shard is asked what it holds, by its number.
    pub questions: Vec<queue::Sender<Question>>,
    /// The sockets that SIP over UDP listens on.
    pub udp: Sockets,
    /// Links to peers and nodes.
    pub pool: Pool,
    /// The targets that failed a short while ago.
    pub set_aside: Mutex<Aside>,
    /// The addresses that names of our nodes lead to.
    pub nodes: NodeAddresses,
    /// Places for accepted connections, by side: what the outside fills up is not the inside's.
    pub places: Places,
    /// Places for XMPP streams, whoever opened them.
    pub xmpp_places: XmppPlaces,
    /// How fast each foreign domain may go on.
    pub rates: Rates,
    /// Stanzas from outside that come again and again.
    pub circles: Circles,
    /// Accepted XMPP streams by the foreign domain that they are proven for.
    pub streams: Streams,
    /// How many SIP transactions are alive, and which requests are under way.
    pub transactions: Register,
    /// Places for connections on which answers are given whose own connection is gone.
    pub late_answers: Semaphore,
    /// Places for questions to authoritative servers (dialback).
    pub verifications: Verifications,
    /// Cancelled when nothing new is taken any more.
    pub refuse_new: CancellationToken,
    /// Cancelled when the streams that others opened are to be closed: before the links, which tell who still sends.
    pub close_streams: CancellationToken,
    /// Cancelled when links are to be closed.
    pub close: CancellationToken,
    /// Cancelled when SIP flows are to be closed: after the links, so that answers still find their way.
    pub close_flows: CancellationToken,
    /// Cancelled when the store is to be written and closed: last, as what ends before may change what it keeps.
    pub close_store: CancellationToken,
}

/// The TLS context of each side for what names none.
#[derive(Debug, Clone, Default)]
pub struct DefaultTls {
    /// Towards peers.
    pub outside: Option<TlsName>,
    /// Towards nodes.
    pub inside: Option<TlsName>,
}

/// Places for accepted connections.
#[derive(Debug)]
pub struct Places {
    outside: Arc<Semaphore>,
    inside: Arc<Semaphore>,
}

/// How many accepted streams are proven for each domain.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<HashMap<Domain, usize>>>);

/// The addresses that the names of our nodes led to when they were last looked up.
#[derive(Debug, Clone, Default)]
pub struct NodeAddresses(Arc<Mutex<KnownNodes>>);

type KnownNodes = HashMap<(Domain, Family), Vec<IpAddr>>;

/// The place of one stream of a domain, given back when it is dropped.
#[derive(Debug)]
pub struct StreamPlace {
    streams: Streams,
    domain: Domain,
}

impl Places {
    /// So many places for each side.
    #[must_use]
    pub fn new(each: usize) -> Self {
        Self {
            outside: Arc::new(Semaphore::new(each)),
            inside: Arc::new(Semaphore::new(each)),
        }
    }

    /// The places of a side.
    #[must_use]
    pub fn of(&self, side: Side) -> Arc<Semaphore> {
        Arc::clone(match side {
            Side::Outside => &self.outside,
            Side::Inside => &self.inside,
        })
    }
}

impl Streams {
    /// Takes a place for a stream of `domain`; `None` where it has `most` already.
    #[must_use]
    pub fn enter(&self, domain: &Domain, most: usize) -> Option<StreamPlace> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = streams.entry(domain.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count = count.saturating_add(1);
        Some(StreamPlace {
            streams: self.clone(),
            domain: domain.clone(),
        })
    }
}

impl NodeAddresses {
    /// Takes note of where the name of a node leads now.
    pub fn saw(&self, name: &Domain, family: Family, addresses: &[IpAddr]) {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.insert((name.clone(), family), addresses.to_vec());
    }

    /// Whether the name of a node leads there.
    #[must_use]
    pub fn leads(&self, name: &Domain, address: IpAddr) -> bool {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let canonical = address.to_canonical();
        nodes
            .iter()
            .filter(|((known, _), _)| known == name)
            .flat_map(|(_, addresses)| addresses)
            .any(|known| known.to_canonical() == canonical)
    }

    /// Whether a node stands there.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let canonical = address.to_canonical();
        nodes
            .values()
            .flatten()
            .any(|known| known.to_canonical() == canonical)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut streams = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = streams.get_mut(&self.domain) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                streams.remove(&self.domain);
            }
        }
    }
}

impl World {
    /// The current limits.
    #[must_use]
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.borrow())
    }

    /// The current checks and tables.
    #[must_use]
    pub fn border(&self) -> Arc<Border> {
        Arc::clone(&self.border.borrow())
    }

    /// The TLS context of a name, or the default of a side.
    #[must_use]
    pub fn context(&self, name: Option<&TlsName>, side: Side) -> Option<Arc<Context>> {
        let default = self.default_tls.borrow();
        let name = name.or(match side {
            Side::Outside => default.outside.as_ref(),
            Side::Inside => default.inside.as_ref(),
        })?;
        self.contexts.borrow().get(name).cloned()
    }

    /// The TLS context of a name; none where none is named.
    #[must_use]
    pub fn context_of(&self, name: Option<&TlsName>) -> Option<Arc<Context>> {
        self.contexts.borrow().get(name?).cloned()
    }

    /// The resolver of a side.
    #[must_use]
    pub const fn dns(&self, side: Side) -> &Resolver {
        match side {
            Side::Outside => &self.outside_dns,
            Side::Inside => &self.inside_dns,
        }
    }

    /// The targets that failed a short while ago.
    pub fn aside(&self) -> MutexGuard<'_, Aside> {
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shard that owns a pair of users.
    #[must_use]
    pub fn shard_of(&self, pair: u64) -> Option<&queue::Sender<Input<SipOrigin>>> {
        self.shards.get(self.shard_number(pair)?)
    }

    /// Its number.
    #[must_use]
    pub fn shard_number(&self, pair: u64) -> Option<usize> {
        let shards = u64::try_from(self.shards.len()).ok()?;
        usize::try_from(pair.checked_rem(shards)?).ok()
    }

    /// Tells the shard that made a token what became of it.
    pub async fn tell(&self, token: Token, input: Input<SipOrigin>) {
        if let Some(shard) = self.shards.get(usize::from(token.shard())) {
            // A shard is gone only when the process is.
            let _gone = shard.send(input).await;
        }
    }
}

/// The time, as every machine is told it.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the network floor is where time is read"
)]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The date, as messages are dated.
#[must_use]
pub fn today() -> Date {
    let date = i64::try_from(unix()).ok().and_then(Date::from_unix_seconds);
    date.unwrap_or(Date::EPOCH)
}

/// The time in seconds since 1970, as what outlives the process is dated.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the network floor is where time is read"
)]
pub fn unix() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Waits until an instant, or for ever where there is none.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Octets that nobody can guess.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    // The library's generator cannot fail once the process has started; zeros would still be unique with the rest of
    // what they are combined with, and are refused by nobody.
    if aws_lc_rs::rand::fill(&mut octets).is_err() {
        tracing::error!("the system's random source failed");
    }
    octets
}
