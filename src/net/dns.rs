//! DNS lookups, through hickory with our rules: names are always fully qualified (no search list), answers of outside
//! lookups never come from the hosts file, and time-outs are short.
//!
//! What the answers mean and in which order targets are tried is decided by `route::srv`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::domain::Domain;
use crate::route::naptr::NaptrRecord;
use crate::route::srv::{SrvName, SrvRecord};

/// Looks names up. Clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    resolver: TokioResolver,
}

/// Which hosts file a resolver believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// The operating system's, before DNS: for our own inside nodes.
    File,
    /// None: for foreign names, which nobody inside may answer for.
    Ignored,
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
        let failed = |error: NetError| DnsError::Failed {
            name: "the resolver's configuration".to_owned(),
            kind: "system",
            why: error.to_string(),
        };
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(failed)?
        } else {
            let servers = servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        rules(builder.options_mut(), hosts);
        Ok(Self {
            resolver: builder.build().map_err(failed)?,
        })
    }

    /// The SRV records of a name.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn srv(&self, name: &SrvName) -> Result<Vec<SrvRecord>, DnsError> {
        let mut found = Vec::new();
        for data in self.lookup(&name.to_fqdn(), RecordType::SRV, "SRV").await? {
            // A CNAME on the way stands among the answers, too.
            let RData::SRV(srv) = data else { continue };
            let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
            if srv.target.is_root() {
                found.push(SrvRecord {
                    priority,
                    weight,
                    port,
                    target: None,
                });
            } else if let Ok(target) = Domain::parse(&srv.target.to_ascii()) {
                found.push(SrvRecord {
                    priority,
                    weight,
                    port,
                    target: Some(target),
                });
            }
        }
        Ok(found)
    }

    /// The NAPTR records of a domain.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn naptr(&self, domain: &Domain) -> Result<Vec<NaptrRecord>, DnsError> {
        let mut found = Vec::new();
        for data in self.lookup(&domain.to_fqdn(), RecordType::NAPTR, "NAPTR").await? {
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

    /// The addresses of a host, IPv6 and IPv4 interleaved, IPv6 first (RFC 8305 §4).
    ///
    /// # Errors
    /// [`DnsError`] where neither kind of address was found.
    pub async fn addresses(&self, host: &Domain) -> Result<Vec<IpAddr>, DnsError> {
        let name = host.to_fqdn();
        let (v6, v4) = tokio::join!(
            self.lookup(&name, RecordType::AAAA, "AAAA"),
            self.lookup(&name, RecordType::A, "A"),
        );
        let addresses = |records: &Result<Vec<RData>, DnsError>| -> Vec<IpAddr> {
            records.iter().flatten().filter_map(RData::ip_addr).collect()
        };
        let found = interleave(addresses(&v6), addresses(&v4));
        if !found.is_empty() {
            return Ok(found);
        }
        match (v6, v4) {
            (Err(error @ DnsError::Failed { .. }), _) | (_, Err(error @ DnsError::Failed { .. })) => {
                Err(error)
            }
            _ => Err(DnsError::NotFound {
                name,
                kind: "A or AAAA",
            }),
        }
    }

    async fn lookup(&self, name: &str, kind: RecordType, word: &'static str) -> Result<Vec<RData>, DnsError> {
        match self.resolver.lookup(name, kind).await {
            Ok(lookup) => Ok(lookup
                .answers()
                .iter()
                .map(|record| record.data.clone())
                .collect()),
            Err(error) if error.is_no_records_found() => Err(DnsError::NotFound {
                name: name.to_owned(),
                kind: word,
            }),
            Err(error) => Err(DnsError::Failed {
                name: name.to_owned(),
                kind: word,
                why: error.to_string(),
            }),
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

fn rules(options: &mut ResolverOpts, hosts: Hosts) {
    options.use_hosts_file = match hosts {
        Hosts::File => ResolveHosts::Always,
        Hosts::Ignored => ResolveHosts::Never,
    };
    options.attempts = 2;
    options.timeout = Duration::from_secs(3);
    options.case_randomization = true;
    options.try_tcp_on_error = true;
    options.positive_min_ttl = Some(SHORTEST);
    options.negative_min_ttl = Some(SHORTEST);
    options.positive_max_ttl = Some(LONGEST);
    options.negative_max_ttl = Some(LONGEST);
}

fn interleave(first: Vec<IpAddr>, second: Vec<IpAddr>) -> Vec<IpAddr> {
    let longest = first.len().max(second.len());
    (0..longest)
        .flat_map(|i| [first.get(i).copied(), second.get(i).copied()])
        .flatten()
        .collect()
}

/// An answer is kept at least this long, so that a TTL of 0 does not make us ask for every message.
const SHORTEST: Duration = Duration::from_secs(30);
/// An answer is kept at most this long, so that a mistake in somebody's zone passes.
const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_alternate_by_family_with_ipv6_first() {
        let v6 = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]);
        let v4 = |n: u8| IpAddr::from([192, 0, 2, n]);
        assert_eq!(interleave(vec![v6(1), v6(2)], vec![v4(1)]), [v6(1), v4(1), v6(2)]);
        assert_eq!(interleave(vec![], vec![v4(1), v4(2)]), [v4(1), v4(2)]);
    }
}
