//! The checks at the border, in their order: who sends, may they, where does it go, what is it there.
//!
//! Each step consumes what the one before has found, and [`Delivery`] is made nowhere else, so that no message can be
//! passed on unchecked. `vestibule explain` takes a made-up message through the same functions. [`sip`] has the checks of
//! requests, [`relay`] what is more to a request that goes on as one, and [`xmpp`] has those of stanzas.

mod bodies;
pub(super) mod presence;
mod relay;
mod secure;
mod session;
mod sip;
mod trust;
mod xmpp;

use std::sync::Arc;

pub use relay::{Relay, Removed, Return, Returned};

use super::conversation::Pair;
use super::delivery::{Delivery, pair_of_users};
use super::rejection::{RejectedStanza, Unproven};
use super::service::Version;
use crate::domain::Domain;
use crate::identity::Authenticated;
use crate::interwork::passage::Mark;
use crate::interwork::presence::table::BusyAs;
use crate::interwork::profile::{PeerKind, Profile};
use crate::limits::Limits;
use crate::policy::Rules;
use crate::route::{self, Federated, Local, Side, Table};
use crate::sip::proxy::{Face, Proxy, Terms};
use crate::sip::{Method, Request, Response};
use crate::xmpp::Stanza;

/// The rules and tables that a message is checked against; replaced as a whole on reload.
#[derive(Debug, Clone)]
pub struct Border {
    edge: Domain,
    rules: Rules,
    table: Table,
    limits: Limits,
    conduct: Conduct,
}

/// What the border does beyond policy and routes.
#[derive(Debug, Clone)]
pub struct Conduct {
    /// Whether messages are translated between SIP and XMPP.
    pub translation: Translation,
    /// Whether the software version is told.
    pub version: Version,
    /// What becomes of answers that nobody asked for.
    pub unasked: Unasked,
    /// What a user reads first whose message could not be delivered: a polite block says it as the gateway does.
    pub undeliverable: Arc<str>,
    /// How requests go on from SIP to SIP; `None` where no node speaks it.
    pub proxy: Option<Arc<Proxy>>,
    /// What stands for us on what we translate.
    pub mark: Mark,
    /// Where each side reaches us over SIP.
    pub faces: Arc<[(Side, Face)]>,
    /// How somebody busy is shown to users of XMPP; `None` as the kind of peer is used to.
    pub busy_as: Option<BusyAs>,
}

/// Whether messages are translated between SIP and XMPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Translation {
    /// SIP and XMPP users reach each other.
    On,
    /// Only what needs no translation is forwarded.
    Off,
}

/// What becomes of results and errors of queries that did not pass here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// They are dropped.
    Dropped,
    /// They are judged as any other stanza: for several edges before one domain, where the query may have left by another.
    Judged,
}

/// The far end of the flow that a request came on.
pub trait Peer {
    /// Whether it has proven a domain, by the rules of that domain's entry.
    ///
    /// # Errors
    /// [`Unproven`].
    fn proves(&mut self, domain: &Domain, entry: &Federated) -> Result<Authenticated, Unproven>;

    /// Whether it is a node of a local domain.
    ///
    /// # Errors
    /// [`Unproven`].
    fn is_node_of(&mut self, local: &Local) -> Result<Authenticated, Unproven>;

    /// Whether what it sends comes over TLS.
    fn is_over_tls(&self) -> bool;
}

/// A request that passed.
#[derive(Debug)]
pub enum Admitted {
    /// The edge answers it by itself.
    Answer(Box<Response>),
    /// It is to be delivered.
    Deliver(Box<Delivery>),
    /// It goes on as it is.
    Relay(Box<Relay>),
    /// It asks for the presence of a user, on behalf of one who is blocked and is not to know it.
    Blocked {
        /// The request.
        request: Box<Request>,
        /// Between whom.
        ends: BlockedEnds,
    },
}

/// Two users whom policy keeps apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedEnds(pub(super) Pair);

impl BlockedEnds {
    /// The number that keeps what goes between two users in one shard, as [`Delivery::pair`].
    #[must_use]
    pub fn pair(&self) -> u64 {
        pair_of_users(&self.0.xmpp, &self.0.sip)
    }
}

/// A stanza that passed.
#[derive(Debug)]
pub enum AdmittedStanza {
    /// The edge answers it by itself.
    Answer(Box<Stanza>),
    /// The same, for a ping of a domain of SIP: behind what was written there before it.
    Pong(Box<Stanza>),
    /// It is to be delivered.
    Deliver(Box<Delivery>),
    /// Nobody waits for it, and nothing is lost with it.
    Ignore,
    /// A user of XMPP takes back what he and one of SIP had of each other's presence, whatever policy says of them now.
    GivenUp {
        /// Between whom.
        ends: BlockedEnds,
        /// What.
        what: GivenUp,
        /// What he is told all the same, where he is told anything.
        refused: Option<Box<RejectedStanza>>,
    },
}

/// What a user of XMPP takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// He does not want to see any more.
    Seeing,
    /// He does not let see any more.
    BeingSeen,
}

impl Border {
    /// Joins rules and tables.
    #[must_use]
    pub const fn new(edge: Domain, rules: Rules, table: Table, limits: Limits, conduct: Conduct) -> Self {
        Self {
            edge,
            rules,
            table,
            limits,
            conduct,
        }
    }

    /// Our public name.
    #[must_use]
    pub const fn edge(&self) -> &Domain {
        &self.edge
    }

    /// Whether a domain is the edge itself: its name, where no node has that name.
    #[must_use]
    pub fn is_edge(&self, domain: &Domain) -> bool {
        *domain == self.edge && self.table.local(domain).is_none()
    }

    /// What it does beyond policy and routes.
    pub(super) const fn conduct(&self) -> &Conduct {
        &self.conduct
    }

    /// Who may exchange what with whom.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where everything goes.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// How to speak with the servers of a foreign domain.
    fn profile(&self, entry: &Federated) -> Profile {
        self.profile_by(entry.profile, &entry.terms)
    }

    /// How to speak with nodes of ours.
    fn profile_of_nodes(&self, local: &Local) -> Profile {
        Profile::new(kind_of(local.profile), &self.limits.gateway)
    }

    fn profile_by(&self, profile: route::Profile, terms: &Terms) -> Profile {
        let kind = kind_of(profile);
        let profile = [Method::Info, Method::Update]
            .iter()
            .filter(|method| !terms.allows(method))
            .fold(Profile::new(kind, &self.limits.gateway), Profile::without);
        if terms.allows(&Method::Invite) {
            profile
        } else {
            profile.without_sessions()
        }
    }
}

const fn kind_of(profile: route::Profile) -> PeerKind {
    match profile {
        route::Profile::Simple | route::Profile::Xmpp => PeerKind::Simple,
        route::Profile::Microsoft => PeerKind::Microsoft,
        route::Profile::Aol => PeerKind::Aol,
    }
}

impl Conduct {
    /// The defaults: translation, and nothing told that need not be.
    #[must_use]
    pub fn new(translation: Translation, undeliverable: &str, mark: Mark) -> Self {
        Self {
            translation,
            version: Version::default(),
            unasked: Unasked::Dropped,
            undeliverable: undeliverable.into(),
            proxy: None,
            mark,
            faces: Arc::default(),
            busy_as: None,
        }
    }
}
