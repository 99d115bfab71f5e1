//! What the far end of a connection has proven: the chain of its TLS session, and what that is worth for a domain.
//!
//! The chain is verified once, when a domain is first claimed, and by the trust of the context that the domain's entry names, or else of the connection's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::UnixTime;
use tokio::sync::watch;

use super::tls::TlsFacts;
use super::world::{NodeAddresses, World};
use crate::domain::Domain;
use crate::gateway::{Peer, Unproven};
use crate::identity::chain::{self, Usage, Verified};
use crate::identity::matching::{self, Reference, SipRule};
use crate::identity::{Authenticated, ChainError, subjects};
use crate::net::settings::IdentityRule;
use crate::pki::{Context, Contexts};
use crate::refusal::Refuse;
use crate::route::{Federated, Host, Local, Node, Nodes, TlsName, Transport};

/// The proof that a connection carries.
#[derive(Debug)]
pub struct Proof {
    tls: Option<Tls>,
    remote: SocketAddr,
    nodes: NodeAddresses,
}

#[derive(Debug)]
struct Tls {
    context: Arc<Context>,
    /// All contexts: a peer is judged by the one that its entry names.
    contexts: watch::Receiver<Arc<Contexts>>,
    facts: TlsFacts,
    usage: Usage,
    /// What the chain is worth by each context that it was judged by, the one of the connection under no name.
    /// Boxed, because a map makes room for more than the one that most connections need.
    verified: HashMap<Option<TlsName>, Box<Result<Verified, ChainError>>>,
}

impl Proof {
    /// The proof of a TLS session.
    #[must_use]
    pub fn tls(
        world: &World,
        context: Arc<Context>,
        facts: TlsFacts,
        usage: Usage,
        remote: SocketAddr,
    ) -> Self {
        let contexts = world.contexts.clone();
        Self {
            tls: Some(Tls {
                context,
                contexts,
                facts,
                usage,
                verified: HashMap::new(),
            }),
            remote,
            nodes: world.nodes.clone(),
        }
    }

    /// A connection without TLS, which proves nothing but its address.
    #[must_use]
    pub fn none(world: &World, remote: SocketAddr) -> Self {
        Self {
            tls: None,
            remote,
            nodes: world.nodes.clone(),
        }
    }

    /// Whether the peer showed a certificate, whatever it is worth.
    #[must_use]
    pub fn shows_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.facts.chain.is_empty())
    }

    /// Whether the peer's certificate proves an XMPP domain, by the TLS context that the domain's entry names.
    ///
    /// # Errors
    /// [`Unproven`].
    pub fn xmpp(&mut self, domain: &Domain, named: Option<&TlsName>) -> Result<Authenticated, Unproven> {
        let tls = self.tls.as_mut().ok_or_else(|| Unproven::without_tls(domain))?;
        let (verified, _) = tls.verified(domain, named)?;
        matching::xmpp(verified, domain).map_err(|error| unproven(&error))
    }

    /// Whether the peer's certificate proves a SIP domain, by the TLS context that the domain's entry names; `hosts` are
    /// the configured next hops of the domain.
    ///
    /// # Errors
    /// [`Unproven`].
    pub fn sip(
        &mut self,
        domain: &Domain,
        named: Option<&TlsName>,
        hosts: &[Reference],
    ) -> Result<Authenticated, Unproven> {
        let tls = self.tls.as_mut().ok_or_else(|| Unproven::without_tls(domain))?;
        let (verified, identity) = tls.verified(domain, named)?;
        let rule = match identity {
            IdentityRule::Rfc5922 => SipRule::Rfc5922,
            IdentityRule::RouteTarget => SipRule::RouteTarget(hosts),
            IdentityRule::Pinned => SipRule::Pinned,
        };
        matching::sip(verified, domain, rule).map_err(|error| unproven(&error))
    }
}

impl Peer for Proof {
    fn proves(&mut self, domain: &Domain, entry: &Federated) -> Result<Authenticated, Unproven> {
        if self.tls.is_none() && speaks_by_route(entry, self.remote) {
            return Ok(Authenticated::by_route_address(domain.clone()));
        }
        let hosts: Vec<_> = entry
            .routes
            .iter()
            .map(|route| reference(&route.next_hop.host))
            .collect();
        self.sip(domain, entry.tls.as_ref(), &hosts)
    }

    fn is_over_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// By its certificate, which names the domain or one of its nodes, or by its address, which is one of theirs.
    fn is_node_of(&mut self, local: &Local) -> Result<Authenticated, Unproven> {
        let nodes: &[Node] = match &local.nodes {
            Nodes::List(nodes) => nodes,
            Nodes::Srv { .. } => &[],
        };
        let ip = self.remote.ip().to_canonical();
        let stands_there = nodes.iter().any(|node| match &node.host {
            Host::Address(address) => address.to_canonical() == ip,
            Host::Name(name) => self.nodes.leads(name, ip),
        });
        if stands_there {
            return Ok(Authenticated::by_node_address(local.domain.clone()));
        }
        let hosts: Vec<_> = nodes.iter().map(|node| reference(&node.host)).collect();
        let by_name = self.sip(&local.domain, local.tls.as_ref(), &hosts);
        let Some(tls) = self.tls.as_mut().filter(|_| by_name.is_err()) else {
            return by_name;
        };
        let (verified, _) = tls.verified(&local.domain, local.tls.as_ref())?;
        matching::sip(verified, &local.domain, SipRule::RouteTarget(&hosts)).map_err(|error| unproven(&error))
    }
}

impl Tls {
    /// What the chain is worth by a context, and how that context wants names proven.
    fn verified(
        &mut self,
        domain: &Domain,
        named: Option<&TlsName>,
    ) -> Result<(&Verified, IdentityRule), Unproven> {
        let context = match named {
            Some(name) => self.contexts.borrow().get(name).cloned(),
            None => Some(Arc::clone(&self.context)),
        };
        let context = context.unwrap_or_else(|| Arc::clone(&self.context));
        let settings = context.settings();
        // A pin says who its owner is only where the owner's own entry names it: in a context that others share, each of
        // them could pass for the other.
        if settings.identity == IdentityRule::Pinned && named.is_none() {
            let why = format!(
                "a pinned key proves {domain} only where its [[federate]] entry names the TLS context with the pin"
            );
            return Err(Unproven::new("pin_not_named", why));
        }
        let (facts, usage) = (&self.facts, self.usage);
        let verified = self.verified.entry(named.cloned()).or_insert_with(|| {
            Box::new(match settings.identity {
                IdentityRule::Pinned => chain::verify_pinned(&facts.chain, &settings.pins, unix_now()),
                IdentityRule::Rfc5922 | IdentityRule::RouteTarget => {
                    chain::verify(&facts.chain, context.trust(), usage, settings.eku, unix_now())
                }
            })
        });
        let verified = (**verified).as_ref().map_err(unproven)?;
        // The context of the connection has looked already; that of the entry may be another.
        subjects::admit(verified.identities(), &settings.subjects).map_err(|error| unproven(&error))?;
        Ok((verified, settings.identity))
    }
}

/// The host of a route, as a certificate would name it.
#[must_use]
pub fn reference(host: &Host) -> Reference {
    match host {
        Host::Name(name) => Reference::Name(name.clone()),
        Host::Address(address) => Reference::Address(*address),
    }
}

/// A route without TLS lets the address that it leads to speak for its domain: there is nothing better on such a link,
/// and the configuration says so by the route.
fn speaks_by_route(entry: &Federated, remote: SocketAddr) -> bool {
    entry.routes.iter().any(|route| {
        matches!(route.transport, Transport::Tcp | Transport::Udp)
            && matches!(route.next_hop.host, Host::Address(address) if address == remote.ip())
    })
}

fn unproven(error: &(impl Refuse + std::fmt::Display)) -> Unproven {
    Unproven::new(error.class(), error.to_string())
}

/// The time that certificates are checked against.
fn unix_now() -> UnixTime {
    UnixTime::now()
}
