//! Whether a believed certificate proves a domain: by the rules of XMPP, and by those of SIP.
//!
//! XMPP (RFC 9525, RFC 6120 §13.7.2): XmppAddr, SRVName of the server service, DNS names with a wildcard for the whole
//! left-most label; never the common name.
//! SIP (RFC 5922 §7): a `sip:` URI; DNS names only where there is no such URI; the common name only where there are no
//! alternative names at all; no wildcard, no suffix.

use std::net::IpAddr;

use super::certificate::{Identities, NamePattern, Presence};
use super::chain::{Evidence, Verified};
use super::evidence::{Authenticated, Proof};
use crate::domain::Domain;
use crate::refusal::{Fault, Refuse};

/// How a SIP peer's certificate has to prove its domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SipRule<'r> {
    /// It names the domain (RFC 5922 §7).
    Rfc5922,
    /// It names one of these hosts, which are the configured next hops of the domain (hosted tenants). A wildcard counts.
    RouteTarget(&'r [Reference]),
    /// Its key was pinned for the domain: [`super::chain::verify_pinned`] made the [`Verified`].
    Pinned,
}

/// A host that a certificate is expected to name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// By name.
    Name(Domain),
    /// By address.
    Address(IpAddr),
}

/// The certificate is good, but not for this domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It names others.
    #[error("the certificate does not prove {domain}: wanted is {wanted}, and it names {names}; {remedy}")]
    Names {
        /// The domain that was claimed.
        domain: Domain,
        /// Which names would have proven it.
        wanted: String,
        /// What to do, if the peer is who it says.
        remedy: String,
        /// What the certificate names, for the operator.
        names: String,
    },
    /// It was not accepted by a pin, and the rule demands one.
    #[error("the key of the certificate is not pinned for {domain}")]
    NotPinned {
        /// The domain that was claimed.
        domain: Domain,
    },
}

/// Whether the certificate proves an XMPP domain, and by which name. A pinned key is its owner's, whatever its certificate
/// names: who pins it says whose it is.
///
/// # Errors
/// [`Mismatch::Names`].
pub fn xmpp(verified: &Verified, domain: &Domain) -> Result<Authenticated, Mismatch> {
    let identities = verified.identities();
    let wanted = || format!("{domain} as an XmppAddr, SRVName or DNS name");
    let remedy = || {
        format!(
            "the peer needs such a certificate, or dialback has to be allowed in [[federate]] domain = \"{domain}\", or its key pinned there"
        )
    };
    let proof = if verified.evidence() == Evidence::Pin {
        Some(Proof::Pinned)
    } else {
        xmpp_proof(identities, domain)
    };
    conclude(identities, domain, proof, (wanted, remedy))
}

/// Whether a certificate, once it is believed, would prove an XMPP domain: for looking at our own.
#[must_use]
pub fn names_xmpp(identities: &Identities, domain: &Domain) -> bool {
    xmpp_proof(identities, domain).is_some()
}

/// Whether the certificate proves a SIP domain, and by which name.
///
/// # Errors
/// [`Mismatch`].
pub fn sip(verified: &Verified, domain: &Domain, rule: SipRule<'_>) -> Result<Authenticated, Mismatch> {
    let identities = verified.identities();
    let proof = match rule {
        SipRule::Rfc5922 => {
            let (names, proof) = sip_names(identities);
            names.contains(&domain).then_some(proof)
        }
        SipRule::RouteTarget(hosts) => hosts
            .iter()
            .any(|host| names_host(identities, host))
            .then_some(Proof::RouteTarget),
        SipRule::Pinned => {
            return match verified.evidence() {
                Evidence::Pin => Ok(Authenticated::by_certificate(domain.clone(), Proof::Pinned)),
                Evidence::Chain | Evidence::TrustedItself => Err(Mismatch::NotPinned {
                    domain: domain.clone(),
                }),
            };
        }
    };
    conclude(
        identities,
        domain,
        proof,
        (|| rule.wanted(domain), || rule.remedy(domain)),
    )
}

fn xmpp_proof(identities: &Identities, domain: &Domain) -> Option<Proof> {
    if identities.xmpp.contains(domain) {
        Some(Proof::XmppAddr)
    } else if identities
        .srv
        .iter()
        .any(|id| XMPP_SERVICES.contains(&id.service.as_str()) && id.name.matches(domain))
    {
        Some(Proof::SrvName)
    } else if identities.dns.iter().any(|name| name.matches(domain)) {
        Some(Proof::DnsId)
    } else {
        None
    }
}

/// The SIP domains that a certificate names (RFC 5922 §7.1): what an accepting server chooses from (§7.4).
#[must_use]
pub fn sip_domains(identities: &Identities) -> Vec<Domain> {
    sip_names(identities).0.into_iter().cloned().collect()
}

fn sip_names(identities: &Identities) -> (Vec<&Domain>, Proof) {
    //= rfc5922#7.1
    //# An implementation MUST accept a domain name system identifier as a SIP domain identity if and only if no other
    //# identity is found that matches the "sip" URI type described above.
    if identities.sip_uri == Presence::Present {
        return (identities.sip.iter().collect(), Proof::SipUri);
    }
    //= rfc5922#7.1
    //# If and only if the subjectAltName does not appear in the certificate, the implementation MAY examine the CN field
    //# of the certificate.
    if identities.alternative_names == Presence::Absent {
        return (identities.common_names.iter().collect(), Proof::CommonName);
    }
    //= rfc5922#7.2
    //# Implementations MUST NOT match any form of wildcard
    let exact = identities.dns.iter().filter_map(|name| match name {
        NamePattern::Exact(name) => Some(name),
        NamePattern::OneLabelAnd(_) => None,
    });
    (exact.collect(), Proof::DnsId)
}

/// RFC 9525 §6.3 and §6.4, and the common name of old certificates as in RFC 5922.
fn names_host(identities: &Identities, host: &Reference) -> bool {
    match host {
        Reference::Name(name) => {
            identities.dns.iter().any(|pattern| pattern.matches(name))
                || sip_names(identities).0.contains(&name)
        }
        Reference::Address(address) => identities.addresses.contains(address),
    }
}

fn conclude(
    identities: &Identities,
    domain: &Domain,
    proof: Option<Proof>,
    (wanted, remedy): (impl FnOnce() -> String, impl FnOnce() -> String),
) -> Result<Authenticated, Mismatch> {
    match proof {
        Some(proof) => Ok(Authenticated::by_certificate(domain.clone(), proof)),
        None => Err(Mismatch::Names {
            domain: domain.clone(),
            wanted: wanted(),
            remedy: remedy(),
            names: shown(identities),
        }),
    }
}

pub(super) fn shown(identities: &Identities) -> String {
    let names = identities.names();
    let more = names.len().saturating_sub(MOST_SHOWN);
    let first = names.iter().take(MOST_SHOWN).cloned().collect::<Vec<_>>();
    match (names.is_empty(), more) {
        (true, _) => "nobody".to_owned(),
        (false, 0) => first.join(", "),
        (false, _) => format!("{} and {more} more", first.join(", ")),
    }
}

impl SipRule<'_> {
    /// Which names would prove a domain, for the operator.
    fn wanted(self, domain: &Domain) -> String {
        match self {
            Self::Rfc5922 | Self::Pinned => {
                format!("sip:{domain}, or where it has no SIP URI the DNS name {domain} without a wildcard")
            }
            Self::RouteTarget([]) => format!("a host that {domain} is reached at, and none is configured"),
            Self::RouteTarget(hosts) => {
                let hosts: Vec<_> = hosts.iter().take(MOST_SHOWN).map(ToString::to_string).collect();
                format!(
                    "one of the hosts that {domain} is reached at ({})",
                    hosts.join(", ")
                )
            }
        }
    }

    /// What to do where the peer is who it says.
    fn remedy(self, domain: &Domain) -> String {
        match self {
            Self::Rfc5922 | Self::Pinned => format!(
                "the peer needs such a certificate, or [[federate]] domain = \"{domain}\" a TLS context with identity = \"route_target\" and a route to a host that it names, or \"pinned\" with its key"
            ),
            Self::RouteTarget(_) => {
                format!(
                    "a next_hop of [[federate]] domain = \"{domain}\", or for a domain of ours the host of a node, has to be a name of the certificate"
                )
            }
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl NamePattern {
    /// RFC 9525 §6.3: a wildcard is one label, neither none nor several.
    pub(super) fn matches(&self, name: &Domain) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::OneLabelAnd(base) => name
                .as_str()
                .split_once('.')
                .is_some_and(|(_, rest)| rest == base.as_str()),
        }
    }
}

impl Refuse for Mismatch {
    fn class(&self) -> &'static str {
        match self {
            Self::Names { .. } => "certificate_name",
            Self::NotPinned { .. } => "certificate_not_pinned",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn sip_status(&self) -> u16 {
        403
    }

    fn stanza_condition(&self) -> &'static str {
        "policy-violation"
    }

    fn peer_text(&self) -> &'static str {
        "The certificate does not prove the domain"
    }
}

/// RFC 6120 §13.7.1.2 names the first; XEP-0368 has the second for direct TLS.
const XMPP_SERVICES: [&str; 2] = ["_xmpp-server", "_xmpps-server"];
/// Names of a certificate that one log line shows.
const MOST_SHOWN: usize = 8;
