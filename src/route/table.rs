//! The table of domains, and the look-up of one address in it.
//!
//! Rules (specification: edge §2): whole labels, longest first; a local domain before a foreign entry for the same name.
//! A local domain is that name alone, so `imp.example.com` may be local with `example.com` foreign, or the reverse.

use std::collections::HashMap;
use std::sync::Arc;

use super::leg::{Leg, local_plan};
use super::plan::Candidate;
use super::static_route::{self, Selection};
use super::{
    AddressFallback, Boundary, Federated, Host, LessSpecific, Local, Nodes, Plan, Protocol, RoutePattern,
    TlsName,
};
use crate::domain::{Domain, DomainPattern};
use crate::policy::Party;
use crate::policy::pattern_map::PatternMap;
use crate::refusal::{Fault, Refuse};

/// Local and foreign domains.
#[derive(Debug, Clone)]
pub struct Table {
    locals: HashMap<Domain, Arc<Local>>,
    federated: PatternMap<Arc<Federated>>,
    unlisted: Option<Arc<Federated>>,
    boundary: Boundary,
}

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Route {
    destination: Destination,
    plans: Vec<Plan>,
}

/// The entry that an address belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// One of our domains.
    Local(Arc<Local>),
    /// A foreign domain.
    Foreign(Arc<Federated>),
}

/// Why two entries cannot stand in one table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// One local domain, twice.
    #[error("the local domain {0} is configured twice")]
    Local(Domain),
    /// One foreign pattern, twice.
    #[error("the federated domain {0} is configured twice")]
    Federated(DomainPattern),
}

/// Why an address leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// No entry covers the domain, and unlisted domains are not reached.
    #[error("{0} is neither a local nor a federated domain")]
    Unknown(Domain),
    /// A static route blocks the address.
    #[error("a user of {} is blocked by a static route", to.domain())]
    Blocked {
        /// Who is meant.
        to: Party,
        /// The route's pattern.
        pattern: String,
    },
    /// Static routes allow nothing that is in service.
    #[error("no route to this user of {} is in service", .0.domain())]
    NoneInService(Party),
}

impl Table {
    /// Makes the table. `unlisted` is how a foreign domain without an entry is reached; `None` for not at all.
    ///
    /// # Errors
    /// [`Conflict`] where a name stands in it twice.
    pub fn new(
        locals: Vec<Local>,
        federated: Vec<Federated>,
        unlisted: Option<Federated>,
    ) -> Result<Self, Conflict> {
        let mut by_domain = HashMap::new();
        for local in locals {
            let domain = local.domain.clone();
            if by_domain.insert(domain.clone(), Arc::new(local)).is_some() {
                return Err(Conflict::Local(domain));
            }
        }
        let mut by_pattern = PatternMap::new();
        for entry in federated {
            let pattern = entry.pattern.clone();
            let taken = by_pattern
                .covering(pattern.base())
                .flatten()
                .any(|other: &Arc<Federated>| other.pattern == pattern);
            if taken {
                return Err(Conflict::Federated(pattern));
            }
            by_pattern.insert(&pattern, Arc::new(entry));
        }
        Ok(Self {
            locals: by_domain,
            federated: by_pattern,
            unlisted: unlisted.map(Arc::new),
            boundary: Boundary::default(),
        }
        .bounded_by(Boundary::default()))
    }

    /// The same table with another line between inside and outside; nodes that are configured by address are inside of
    /// it in any case.
    #[must_use]
    pub fn bounded_by(mut self, mut boundary: Boundary) -> Self {
        for local in self.locals.values() {
            if let Nodes::List(nodes) = &local.nodes {
                boundary.add_nodes(nodes.iter().filter_map(|node| match &node.host {
                    Host::Address(address) => Some(*address),
                    Host::Name(_) => None,
                }));
            }
        }
        self.boundary = boundary;
        self
    }

    /// Which addresses the names of foreign domains may lead to.
    #[must_use]
    pub const fn boundary(&self) -> &Boundary {
        &self.boundary
    }

    /// The local domain of that name.
    #[must_use]
    pub fn local(&self, domain: &Domain) -> Option<&Arc<Local>> {
        self.locals.get(domain)
    }

    /// The TLS context by which the servers of a domain are judged, whichever side opened the connection; `None` leaves
    /// that to the connection.
    #[must_use]
    pub fn tls_of(&self, domain: &Domain) -> Option<&TlsName> {
        match self.local(domain) {
            Some(local) => local.tls.as_ref(),
            None => self.foreign(domain)?.tls.as_ref(),
        }
    }

    /// All local domains, in no order.
    pub fn locals(&self) -> impl Iterator<Item = &Arc<Local>> {
        self.locals.values()
    }

    /// The entry that speaks of a foreign domain: the most specific, or that for unlisted domains.
    #[must_use]
    pub fn foreign(&self, domain: &Domain) -> Option<&Arc<Federated>> {
        self.listed(domain).or(self.unlisted.as_ref())
    }

    /// The most specific entry that names a foreign domain.
    #[must_use]
    pub fn listed(&self, domain: &Domain) -> Option<&Arc<Federated>> {
        self.federated.covering(domain).flatten().next()
    }

    /// Whether a peer that has proven `proven` may send in the name of `from`: of itself, or of a foreign domain that
    /// stands behind it as a clearing house.
    #[must_use]
    pub fn may_speak_for(&self, proven: &Domain, from: &Domain) -> bool {
        if proven == from {
            return true;
        }
        !self.locals.contains_key(from)
            && self
                .listed(from)
                .is_some_and(|entry| entry.via.as_ref() == Some(proven))
    }

    /// The clearing house that a foreign domain stands behind, and the TLS context by which its servers are judged: that of
    /// its own entry, or else that of the domain.
    #[must_use]
    pub fn house_of(&self, domain: &Domain) -> Option<(&Domain, Option<&TlsName>)> {
        let behind = self.listed(domain)?;
        let house = behind.via.as_ref()?;
        let entry = self.listed(house);
        let tls = entry.and_then(|entry| entry.tls.as_ref()).or(behind.tls.as_ref());
        self.may_speak_for(house, domain).then_some((house, tls))
    }

    /// Finds the way to an address. `origin` is the protocol of the sender, which decides what is asked for first where
    /// the destination may speak either.
    ///
    /// # Errors
    /// [`NoRoute`].
    pub fn lookup(&self, to: &Party, origin: Protocol) -> Result<Route, NoRoute> {
        if let Some(local) = self.local(to.domain()) {
            return Ok(Route {
                plans: vec![local_plan(local)],
                destination: Destination::Local(Arc::clone(local)),
            });
        }
        let entry = self
            .foreign(to.domain())
            .ok_or_else(|| NoRoute::Unknown(to.domain().clone()))?;
        let plans = self.foreign_plans(entry, to, origin)?;
        Ok(Route {
            plans,
            destination: Destination::Foreign(Arc::clone(entry)),
        })
    }

    fn foreign_plans(&self, entry: &Federated, to: &Party, origin: Protocol) -> Result<Vec<Plan>, NoRoute> {
        let (groups, after) = match static_route::choose(&entry.routes, to) {
            Selection::Groups(groups, after) => (groups, after),
            Selection::Blocked(pattern) => return Err(blocked(to, pattern)),
        };
        let mut plans = Vec::new();
        for protocol in entry.protocol.order(origin) {
            let leg = Leg {
                protocol,
                domain: to.domain(),
                tls: entry.tls.as_ref(),
            };
            let mut stages = Vec::new();
            if protocol == entry.protocol.of_static_routes() {
                stages.extend(groups.iter().map(|group| leg.static_stage(group)));
            }
            if after == LessSpecific::Allowed {
                stages.push(vec![Candidate::only(leg.discover(entry.address_fallback))]);
                if let Some(house) = &entry.via {
                    self.clearing_house(house, &leg, &mut stages);
                }
            }
            let plan = Plan::new(protocol, stages);
            if !plan.is_empty() {
                plans.push(plan);
            }
        }
        if plans.is_empty() {
            return Err(NoRoute::NoneInService(to.clone()));
        }
        Ok(plans)
    }

    /// Static routes of the clearing house, then its DNS; its own `via` is not followed.
    fn clearing_house(&self, house: &Domain, behind: &Leg<'_>, stages: &mut Vec<Vec<Candidate>>) {
        let entry = self.listed(house);
        let leg = Leg {
            domain: house,
            tls: entry.and_then(|entry| entry.tls.as_ref()).or(behind.tls),
            ..*behind
        };
        let itself = Party::new(None, house.clone());
        let routes = entry.map_or(&[][..], |entry| &entry.routes);
        let (groups, after) = match static_route::choose(routes, &itself) {
            Selection::Groups(groups, after) => (groups, after),
            Selection::Blocked(_) => return,
        };
        if entry.is_none_or(|entry| entry.protocol.of_static_routes() == leg.protocol) {
            stages.extend(groups.iter().map(|group| leg.static_stage(group)));
        }
        if after == LessSpecific::Allowed {
            let fallback = entry.map_or(AddressFallback::Forbidden, |entry| entry.address_fallback);
            stages.push(vec![Candidate::only(leg.discover(fallback))]);
        }
    }
}

impl Route {
    /// The entry that the address belongs to.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The ways there, by protocol; never empty. A later one is taken only where the former leads to nobody.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The way there in one protocol.
    #[must_use]
    pub fn into_plan(self, protocol: Protocol) -> Option<Plan> {
        self.plans.into_iter().find(|plan| plan.protocol() == protocol)
    }

    /// Keeps one protocol, where it was learned which one the peer speaks; without it the route is unchanged.
    pub fn only(mut self, protocol: Protocol) -> Self {
        if self.plans.iter().any(|plan| plan.protocol() == protocol) {
            self.plans.retain(|plan| plan.protocol() == protocol);
        }
        self
    }

    /// Keeps those ways of SIP that go over TLS; `None` where there is none.
    #[must_use]
    pub fn over_tls(mut self) -> Option<Self> {
        self.plans = self
            .plans
            .into_iter()
            .filter(|plan| plan.protocol() == Protocol::Sip)
            .map(Plan::over_tls)
            .filter(|plan| !plan.is_empty())
            .collect();
        (!self.plans.is_empty()).then_some(self)
    }

    /// The route in words for the operator, one thing to try a line.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let entry = match &self.destination {
            Destination::Local(local) => format!("local domain {} ({})", local.domain, local.role.as_str()),
            Destination::Foreign(entry) if entry.description.is_empty() => {
                format!("federated domain {}", entry.pattern)
            }
            Destination::Foreign(entry) => {
                format!("federated domain {}, {}", entry.pattern, entry.description)
            }
        };
        let steps = self.plans.iter().flat_map(Plan::describe);
        std::iter::once(entry).chain(steps).collect()
    }
}

impl Refuse for NoRoute {
    fn class(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "no_route",
            Self::Blocked { .. } => "route_blocked",
            Self::NoneInService(_) => "route_out_of_service",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Unknown(_) | Self::NoneInService(_) => Fault::Route,
            Self::Blocked { .. } => Fault::Policy,
        }
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::Unknown(_) | Self::NoneInService(_) => 404,
            Self::Blocked { .. } => 403,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::Unknown(_) | Self::NoneInService(_) => "remote-server-not-found",
            Self::Blocked { .. } => "policy-violation",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::Unknown(_) | Self::NoneInService(_) => "No route to the domain",
            Self::Blocked { .. } => "Forbidden by policy",
        }
    }
}

fn blocked(to: &Party, pattern: &RoutePattern) -> NoRoute {
    NoRoute::Blocked {
        to: to.clone(),
        pattern: pattern.to_string(),
    }
}
