//! DNS lookups by our rules: names are always fully qualified (no search list), answers of outside lookups never come from
//! the hosts file, and every question has its answer or its failure within seconds, whatever others are asking.
//!
//! What the answers mean and in which order targets are tried is decided by `route::srv`.

mod ask;
mod cache;
#[cfg(test)]
pub(super) mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use self::ask::{Heard, Servers, Why};
use self::cache::{Answer, Cache};
use super::world;
use crate::domain::Domain;
use crate::limits::ADDRESSES_OF_A_HOST;
use crate::route::naptr::NaptrRecord;
use crate::route::srv::{SrvName, SrvRecord};

/// Looks names up. Clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    servers: Servers,
    cache: Arc<Mutex<Cache>>,
    hosts: Arc<hickory_resolver::Hosts>,
}

/// Which hosts file a resolver believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// The operating system's, before DNS: for our own inside nodes.
    File,
    /// None: for foreign names, which nobody inside may answer for.
    Ignored,
}

/// A kind of address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// AAAA records.
    V6,
    /// A records.
    V4,
}

/// Why a lookup gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name, or the record at the name, does not exist.
    #[error("{name} has no {kind} record")]
    NotFound {
        /// What was asked for.
        name: String,
        /// Which kind of record.
        kind: &'static str,
    },
    /// No server answered, or one said that it failed.
    #[error("{name}: the {kind} lookup failed: {why}")]
    Failed {
        /// What was asked for.
        name: String,
        /// Which kind of record.
        kind: &'static str,
        /// What the resolver says.
        why: String,
    },
}

impl Resolver {
    /// A resolver that asks `servers`, or those of the operating system where none is named.
    ///
    /// # Errors
    /// [`DnsError::Failed`] where the system's configuration cannot be read.
    pub fn new(servers: &[SocketAddr], hosts: Hosts) -> Result<Self, DnsError> {
        let servers = Servers::new(servers).map_err(|error| DnsError::Failed {
            name: "the resolver's configuration".to_owned(),
            kind: "system",
            why: error.to_string(),
        })?;
        let hosts = match hosts {
            Hosts::File => hickory_resolver::Hosts::from_system().unwrap_or_default(),
            Hosts::Ignored => hickory_resolver::Hosts::default(),
        };
        Ok(Self {
            servers,
            cache: Arc::default(),
            hosts: Arc::new(hosts),
        })
    }

    /// The SRV records of a name.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn srv(&self, name: &SrvName) -> Result<Vec<SrvRecord>, DnsError> {
        let mut found = Vec::new();
        for data in self.lookup(&name.to_fqdn(), RecordType::SRV, "SRV").await?.iter() {
            let RData::SRV(srv) = data else { continue };
            let target = if srv.target.is_root() {
                None
            } else {
                // A target that is no host name leads nowhere, but it is there: the domain does name its servers.
                match Domain::parse(&srv.target.to_ascii()) {
                    Ok(target) => Some(target),
                    Err(why) => {
                        tracing::info!(%name, %why, "an SRV record has a target that is no host name");
                        None
                    }
                }
            };
            found.push(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target,
            });
        }
        Ok(found)
    }

    /// The NAPTR records of a domain.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn naptr(&self, domain: &Domain) -> Result<Vec<NaptrRecord>, DnsError> {
        let mut found = Vec::new();
        let records = self.lookup(&domain.to_fqdn(), RecordType::NAPTR, "NAPTR").await?;
        for data in records.iter() {
            let RData::NAPTR(naptr) = data else { continue };
            let text = |octets: &[u8]| std::str::from_utf8(octets).map(str::to_owned);
            let (Ok(flags), Ok(services), Ok(regexp)) =
                (text(&naptr.flags), text(&naptr.services), text(&naptr.regexp))
            else {
                continue;
            };
            found.push(NaptrRecord {
                order: naptr.order,
                preference: naptr.preference,
                flags,
                services,
                regexp,
                replacement: naptr.replacement.to_ascii(),
            });
        }
        Ok(found)
    }

    /// The addresses of a host in one family, at most [`ADDRESSES_OF_A_HOST`].
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn addresses(&self, host: &Domain, family: Family) -> Result<Vec<IpAddr>, DnsError> {
        let (kind, word) = match family {
            Family::V6 => (RecordType::AAAA, "AAAA"),
            Family::V4 => (RecordType::A, "A"),
        };
        let records = self.lookup(&host.to_fqdn(), kind, word).await?;
        Ok(records
            .iter()
            .filter_map(RData::ip_addr)
            .take(ADDRESSES_OF_A_HOST)
            .collect())
    }

    async fn lookup(&self, text: &str, kind: RecordType, word: &'static str) -> Answer {
        let failed = |why| DnsError::Failed {
            name: text.to_owned(),
            kind: word,
            why,
        };
        let absent = || DnsError::NotFound {
            name: text.to_owned(),
            kind: word,
        };
        let name = Name::from_ascii(text).map_err(|error| failed(error.to_string()))?;
        if let Some(lookup) = self.hosts.lookup_static_host(&Query::query(name.clone(), kind)) {
            return Ok(lookup
                .answers()
                .iter()
                .map(|record| record.data.clone())
                .collect());
        }
        //= rfc6761#6.3
        //# Name resolution APIs and libraries SHOULD NOT send queries for localhost names to their configured caching DNS
        //# server(s).
        if NOT_IN_DNS.iter().any(|local| is_below(text, local)) {
            return Err(absent());
        }
        if let Some(kept) = self.cache().get(world::now(), &name, kind) {
            return kept;
        }
        let Heard { said, ttl } = self.servers.ask(&name, kind).await;
        let answer = match said {
            Ok(records) => Ok(records.into()),
            Err(Why::Absent) => Err(absent()),
            Err(Why::Failed(why)) => Err(failed(why)),
        };
        self.cache().keep(world::now(), name, kind, answer.clone(), ttl);
        answer
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

fn is_below(name: &str, top: &str) -> bool {
    name.strip_suffix('.')
        .and_then(|name| name.strip_suffix(top))
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Names that DNS knows nothing of (RFC 6761 §6.3, §6.4; RFC 7686).
const NOT_IN_DNS: [&str; 3] = ["localhost", "invalid", "onion"];
