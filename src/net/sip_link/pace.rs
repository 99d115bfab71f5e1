//! How fast requests may go to a domain.

use std::num::NonZeroU32;

use crate::domain::{Domain, DomainPattern};
use crate::limits::DISCOVERED_PEER_RATE;
use crate::net::world::World;
use crate::policy::rate::Rate;
use crate::route::srv::{Service, SrvName};

/// The rate of our requests to a domain: that of its entry, or of a peer that was only discovered: one that no entry
/// names but as one of many, and DNS leads to as to a Microsoft server. A node has none.
pub(super) async fn towards(world: &World, remote: &Domain) -> Option<Rate> {
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
    // The answer is known, as the request itself needs it, or is asked for now and known then.
    let name = SrvName::new(Service::SipFederationTls, remote);
    let found = world.outside_dns.srv(&name).await;
    let is_discovered = found.is_ok_and(|records| !records.is_empty());
    let rate = NonZeroU32::new(DISCOVERED_PEER_RATE).unwrap_or(NonZeroU32::MIN);
    is_discovered.then(|| Rate::per_second(rate))
}
