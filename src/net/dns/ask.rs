//! Asking a DNS server: one question with its aliases followed, within a time, and nothing believed that was not asked.
//!
//! The library frames, sends, repeats and matches questions (it checks id, port, and the case of the name); equal
//! questions that are under way at the same time are sent once. Aliases are followed here, because the library takes the
//! target of an SRV record for one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer as _};
use hickory_resolver::net::{DnsError as Said, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, Query};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig, system_conf};

use crate::limits::RECORDS_OF_A_NAME;

/// The servers that are asked.
#[derive(Clone)]
pub(super) struct Servers {
    pool: NameServerPool<TokioRuntimeProvider>,
    options: DnsRequestOptions,
}

/// What came of a question.
pub(super) struct Heard {
    pub(super) said: Result<Vec<RData>, Why>,
    /// How long that may be believed, where it says so.
    pub(super) ttl: Option<Duration>,
}

/// Why there are no records.
pub(super) enum Why {
    /// There are none.
    Absent,
    /// Nobody said anything of use.
    Failed(String),
}

impl Servers {
    /// Those at `addresses`, or those of the operating system where there are none.
    ///
    /// # Errors
    /// Where the system's configuration cannot be read.
    pub(super) fn new(addresses: &[SocketAddr]) -> Result<Self, NetError> {
        let (servers, mut options) = if addresses.is_empty() {
            let (config, options) = system_conf::read_system_conf()?;
            (config.name_servers, options)
        } else {
            (addresses.iter().map(server).collect(), ResolverOpts::default())
        };
        options.timeout = PATIENCE;
        options.case_randomization = true;
        options.try_tcp_on_error = true;
        options.max_active_requests = MOST_ON_A_CONNECTION;
        let mut request = DnsRequestOptions::default();
        request.use_edns = options.edns0;
        request.edns_payload_len = options.edns_payload_len;
        let context = Arc::new(PoolContext::new(options, TlsConfig::new()?));
        Ok(Self {
            pool: NameServerPool::from_config(servers, context, TokioRuntimeProvider::default()),
            options: request,
        })
    }

    /// Asks, and follows the aliases that the answers name.
    pub(super) async fn ask(&self, name: &Name, kind: RecordType) -> Heard {
        match tokio::time::timeout(PATIENCE_IN_ALL, self.follow(name, kind)).await {
            Ok(heard) => heard,
            Err(_late) => Heard::failed(format!("no answer within {} s", PATIENCE_IN_ALL.as_secs())),
        }
    }

    async fn follow(&self, name: &Name, kind: RecordType) -> Heard {
        let mut name = name.clone();
        let mut ttl = None;
        let mut aliases = 0_usize;
        loop {
            let query = Query::query(name.clone(), kind);
            let answered = self.pool.lookup(query, self.options).first_answer().await;
            let response = match answered.and_then(|response| Ok(Said::from_response(response)?)) {
                Ok(response) => response,
                Err(NetError::Dns(Said::NoRecordsFound(none))) => {
                    let soa = none.negative_ttl.map(|ttl| Duration::from_secs(ttl.into()));
                    return Heard {
                        said: Err(Why::Absent),
                        ttl: shorter(ttl, soa),
                    };
                }
                Err(error) => return Heard::failed(error.to_string()),
            };
            let before = name.clone();
            while let Some(alias) = alias(&response.answers, &name) {
                aliases = aliases.saturating_add(1);
                if aliases > MOST_ALIASES {
                    return Heard::failed(format!(
                        "more than {MOST_ALIASES} aliases, or aliases in a circle"
                    ));
                }
                ttl = shorter(ttl, Some(Duration::from_secs(alias.0.into())));
                name = alias.1;
            }
            let mut records = Vec::new();
            for record in response.answers.iter().filter(|record| record.name == name) {
                if record.record_type() == kind && records.len() < RECORDS_OF_A_NAME {
                    ttl = shorter(ttl, Some(Duration::from_secs(record.ttl.into())));
                    records.push(record.data.clone());
                }
            }
            if !records.is_empty() {
                return Heard {
                    said: Ok(records),
                    ttl,
                };
            }
            // An answer that has neither the records nor an alias has nothing to do with the question.
            if name == before {
                return Heard::failed("the answer is about another name".to_owned());
            }
        }
    }
}

impl Heard {
    const fn failed(why: String) -> Self {
        Self {
            said: Err(Why::Failed(why)),
            ttl: None,
        }
    }
}

/// The name that a name stands for, with the time for which that is so.
fn alias(answers: &[Record], name: &Name) -> Option<(u32, Name)> {
    answers.iter().find_map(|record| {
        let RData::CNAME(target) = &record.data else {
            return None;
        };
        (record.name == *name).then(|| (record.ttl, target.0.clone()))
    })
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

/// How long one server may take: an answer that is late by five seconds still counts.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a question may take with all its servers and aliases.
const PATIENCE_IN_ALL: Duration = Duration::from_secs(12);
/// Questions under way on one TCP connection to a server; over UDP each has a socket of its own.
const MOST_ON_A_CONNECTION: usize = 512;
/// Aliases followed one after another.
const MOST_ALIASES: usize = 8;
