//! SRV records: the names that are asked, and what the answers mean (RFC 2782).
//!
//! Asking is the network floor's; here are the names to ask and pure functions over the answers.

use std::fmt;
use std::num::NonZeroU16;

use super::select::{self, Health, Random, Weighted};
use super::{Host, Protocol, Target, Transport};
use crate::domain::{Domain, DomainError};
use crate::limits::TARGETS_OF_A_SERVICE;

/// A service that is found by SRV records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `_xmpp-server._tcp` (RFC 6120 §3.2.1).
    XmppServer,
    /// `_xmpps-server._tcp`: direct TLS (XEP-0368).
    XmppsServer,
    /// `_sipfederationtls._tcp`: the federation edge of Microsoft servers.
    SipFederationTls,
    /// `_sips._tcp` (RFC 3263 §4.1).
    SipsTcp,
    /// `_sip._tcp` (RFC 3263 §4.1).
    SipTcp,
    /// `_sip._udp` (RFC 3263 §4.1).
    SipUdp,
}

/// The name that an SRV question is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SrvName {
    text: String,
    transport: Transport,
}

/// Why a text is not the name of SRV records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SrvNameError {
    /// Too few labels, or such as no service has.
    #[error("SRV records have a name such as _xmpp-server._tcp.example.com: service, protocol and domain")]
    Shape,
    /// The domain is none.
    #[error("in an SRV name: {0}")]
    Domain(#[from] DomainError),
}

/// One SRV record, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SrvRecord {
    /// Lower first.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `None` is the root `.`, which says that the service is not offered.
    pub target: Option<Domain>,
}

/// What a set of answers says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// There is no record: the next way may be tried.
    Nothing,
    /// There are records, and none of them leads anywhere: no other way may be tried.
    NotOffered,
    /// Where to go, in order.
    Targets(Vec<Target>),
}

/// Orders records by priority and weighted chance; records that lead nowhere are left out.
#[must_use]
pub fn order(records: &[SrvRecord], random: Random<'_>) -> Vec<SrvRecord> {
    let usable = records
        .iter()
        .filter(|record| record.target.is_some() && record.port != 0);
    select::order(usable.cloned().collect(), |_| Health::Up, random)
}

/// Makes targets of the answers to the questions of one step, taken together as if they were one set (XEP-0368 §5: a
/// client that asks for both services mixes their records).
///
/// Each target is `template` with the record's host and port and the transport of its question. At most
/// [`TARGETS_OF_A_SERVICE`] are given.
pub fn targets(answers: &[(SrvName, Vec<SrvRecord>)], template: &Target, random: Random<'_>) -> Answer {
    let all: Vec<_> = answers
        .iter()
        .flat_map(|(name, records)| records.iter().map(move |record| (name.transport, record)))
        .collect();
    if all.is_empty() {
        return Answer::Nothing;
    }
    let usable = all
        .into_iter()
        .filter_map(|(transport, record)| {
            //= rfc2782#
            //# A Target of "." means that the service is decidedly not available at this domain.
            let host = Host::Name(record.target.clone()?);
            let target = Target {
                transport,
                host,
                port: NonZeroU16::new(record.port)?,
                ..template.clone()
            };
            Some(Candidate {
                priority: record.priority,
                weight: record.weight,
                target,
            })
        })
        .collect();
    let ordered = select::order(usable, |_| Health::Up, random);
    if ordered.is_empty() {
        return Answer::NotOffered;
    }
    let targets = ordered.into_iter().map(|candidate| candidate.target);
    Answer::Targets(targets.take(TARGETS_OF_A_SERVICE).collect())
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::XmppServer,
        Self::XmppsServer,
        Self::SipFederationTls,
        Self::SipsTcp,
        Self::SipTcp,
        Self::SipUdp,
    ];

    /// What is spoken there.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::XmppServer | Self::XmppsServer => Protocol::Xmpp,
            Self::SipFederationTls | Self::SipsTcp | Self::SipTcp | Self::SipUdp => Protocol::Sip,
        }
    }

    /// The labels before the domain.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::XmppServer => "_xmpp-server._tcp",
            Self::XmppsServer => "_xmpps-server._tcp",
            Self::SipFederationTls => "_sipfederationtls._tcp",
            Self::SipsTcp => "_sips._tcp",
            Self::SipTcp => "_sip._tcp",
            Self::SipUdp => "_sip._udp",
        }
    }

    /// What carries the service.
    #[must_use]
    pub const fn transport(self) -> Transport {
        match self {
            Self::XmppsServer | Self::SipFederationTls | Self::SipsTcp => Transport::Tls,
            Self::XmppServer | Self::SipTcp => Transport::Tcp,
            Self::SipUdp => Transport::Udp,
        }
    }
}

impl SrvName {
    /// The question for a service of a domain.
    #[must_use]
    pub fn new(service: Service, domain: &Domain) -> Self {
        Self {
            text: format!("{}.{domain}", service.prefix()),
            transport: service.transport(),
        }
    }

    /// Reads the name that an operator gives in full, and its domain; of a service that is not known `transport` says what
    /// carries it.
    ///
    /// # Errors
    /// [`SrvNameError`].
    pub fn parse(text: &str, transport: Transport) -> Result<(Self, Domain), SrvNameError> {
        let lower = text.to_ascii_lowercase();
        let mut labels = lower.splitn(3, '.');
        let (Some(service), Some(protocol), Some(rest)) = (labels.next(), labels.next(), labels.next())
        else {
            return Err(SrvNameError::Shape);
        };
        if !is_service_label(service) || !matches!(protocol, "_tcp" | "_udp" | "_tls") {
            return Err(SrvNameError::Shape);
        }
        let domain = Domain::parse(rest)?;
        let name = Self {
            text: format!("{service}.{protocol}.{domain}"),
            transport,
        };
        if name.text.len() > LONGEST_NAME {
            return Err(SrvNameError::Shape);
        }
        let transport = name.service().map_or(transport, Service::transport);
        Ok((Self { transport, ..name }, domain))
    }

    /// The service that is asked for, where it is one that we know.
    #[must_use]
    pub fn service(&self) -> Option<Service> {
        Service::ALL.into_iter().find(|service| {
            let rest = self.text.strip_prefix(service.prefix());
            rest.is_some_and(|rest| rest.starts_with('.'))
        })
    }

    /// The question that a NAPTR record leads to, whose name need not be built on the domain.
    #[must_use]
    pub fn replacement(text: &str, transport: Transport) -> Self {
        Self {
            text: text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase(),
            transport,
        }
    }

    /// The name with a trailing dot, so that a resolver appends no search list.
    #[must_use]
    pub fn to_fqdn(&self) -> String {
        format!("{}.", self.text)
    }

    /// What carries the service.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }
}

impl Weighted for SrvRecord {
    fn priority(&self) -> u16 {
        self.priority
    }

    fn weight(&self) -> u16 {
        self.weight
    }
}

impl fmt::Display for SrvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `_` and then letters, digits and inner hyphens (RFC 6335 §5.1), as far as a look-up needs it.
fn is_service_label(label: &str) -> bool {
    label.strip_prefix('_').is_some_and(|name| {
        !name.is_empty()
            && name.len() < LONGEST_LABEL
            && name
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    })
}

/// RFC 1035 §2.3.4, without the dot of the root.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

struct Candidate {
    priority: u16,
    weight: u16,
    target: Target,
}

impl Weighted for Candidate {
    fn priority(&self) -> u16 {
        self.priority
    }

    fn weight(&self) -> u16 {
        self.weight
    }
}
