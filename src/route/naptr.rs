//! NAPTR records: which transports a SIP domain offers, and in which order (RFC 3263 §4.1).

use super::Transport;
use super::srv::SrvName;
use crate::limits::SERVICES_OF_A_DOMAIN;

/// One NAPTR record, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NaptrRecord {
    /// Lower first; binding.
    pub order: u16,
    /// Lower first among equal order.
    pub preference: u16,
    /// What the replacement is; only `s` leads to SRV records.
    pub flags: String,
    /// The service, as `SIPS+D2T`.
    pub services: String,
    /// A rewriting rule, which SIP does not use.
    pub regexp: String,
    /// The name to ask next, with or without its trailing dot.
    pub replacement: String,
}

/// The SRV questions that the records lead to, best first.
///
/// `supported` are the transports we may use; a plan that demands TLS gives only [`Transport::Tls`].
#[must_use]
pub fn select(records: &[NaptrRecord], supported: &[Transport]) -> Vec<SrvName> {
    let mut usable: Vec<_> = records
        .iter()
        .filter_map(|record| {
            //= rfc3263#4.1
            //# a client MUST discard any service fields that identify a resolution service whose value is not "D2X",
            //# for values of X that indicate transport protocols supported by the client
            let transport = transport(&record.services)?;
            let leads = record.flags.eq_ignore_ascii_case("s")
                && record.regexp.is_empty()
                && !matches!(record.replacement.as_str(), "" | ".");
            (leads && supported.contains(&transport)).then_some((record, transport))
        })
        .collect();
    usable.sort_by_key(|(record, _)| (record.order, record.preference));
    usable
        .into_iter()
        .take(SERVICES_OF_A_DOMAIN)
        .map(|(record, transport)| SrvName::replacement(&record.replacement, transport))
        .collect()
}

fn transport(services: &str) -> Option<Transport> {
    match services.to_ascii_uppercase().as_str() {
        "SIPS+D2T" => Some(Transport::Tls),
        "SIP+D2T" => Some(Transport::Tcp),
        "SIP+D2U" => Some(Transport::Udp),
        _ => None,
    }
}
