//! How fast requests may go to a domain.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::domain::{Domain, DomainPattern};
use crate::limits::DISCOVERED_PEER_RATE;
use crate::net::dns::DnsError;
use crate::net::world::{self, World};
use crate::policy::rate::Rate;
use crate::route::srv::{Service, SrvName};

/// The rate that DNS gives to a domain by saying what it is, and until when it is not asked again: an open flow needs no
/// DNS, and no request on it waits for one.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    rate: Option<Rate>,
    until: Option<Instant>,
}

impl Discovered {
    /// The rate of our requests to a domain: that of its entry, or of a peer that was only discovered: one that no entry
    /// names but as one of many, and DNS leads to as to a Microsoft server. A node has none.
    pub(super) async fn towards(&mut self, world: &World, remote: &Domain) -> Option<Rate> {
        let border = world.border();
        let table = border.table();
        if table.local(remote).is_some() {
            return None;
        }
        let entry = table.foreign(remote)?;
        let is_named = matches!(entry.pattern, DomainPattern::Exact(_)) && table.listed(remote).is_some();
        if entry.outbound.is_some() || is_named || !entry.routes.is_empty() {
            return entry.outbound;
        }
        if self.until.is_none_or(|until| until <= world::now()) {
            let name = SrvName::new(Service::SipFederationTls, remote);
            self.rate = match world.outside_dns.srv(&name).await {
                Ok(records) if !records.is_empty() => {
                    let rate = NonZeroU32::new(DISCOVERED_PEER_RATE).unwrap_or(NonZeroU32::MIN);
                    Some(Rate::per_second(rate))
                }
                Ok(_) | Err(DnsError::NotFound { .. }) => None,
                // It says nothing of the domain, which is what it was.
                Err(DnsError::Failed { .. }) => self.rate,
            };
            self.until = world::now().checked_add(AGAIN);
        }
        self.rate
    }
}

#[cfg(test)]
impl Discovered {
    /// This rate, which is to be asked for again at once.
    pub(super) const fn known(rate: Rate) -> Self {
        Self {
            rate: Some(rate),
            until: None,
        }
    }

    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }
}

/// Between two questions; also after one that was not answered.
const AGAIN: Duration = Duration::from_secs(60);
