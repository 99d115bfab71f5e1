//! The end of a route: one host, one port, one way to talk to it.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::domain::{Domain, DomainError};
use crate::policy::Direction;

/// A protocol that servers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// SIP (RFC 3261).
    Sip,
    /// XMPP between servers (RFC 6120).
    Xmpp,
}

/// What carries the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TLS from the first octet on. With [`Protocol::Xmpp`] this is direct TLS (XEP-0368).
    Tls,
    /// TCP. With [`Protocol::Xmpp`] TLS may begin by STARTTLS.
    Tcp,
    /// UDP, for [`Protocol::Sip`] only.
    Udp,
}

/// The network that a target stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The internet: foreign organisations' servers.
    Outside,
    /// The company network: our own nodes.
    Inside,
}

/// The name of a `[tls.NAME]` table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TlsName(Arc<str>);

/// A host by name or by address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name that DNS resolves.
    Name(Domain),
    /// An address.
    Address(IpAddr),
}

/// One place to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// What is spoken there.
    pub protocol: Protocol,
    /// What carries it.
    pub transport: Transport,
    /// Where it stands.
    pub side: Side,
    /// The host; a name is resolved to its A and AAAA records.
    pub host: Host,
    /// The port.
    pub port: NonZeroU16,
    /// The domain whose servers these are, which SNI names: of a clearing house its own, not that of the domain behind it.
    pub domain: Domain,
    /// The TLS context; `None` is the default of its side.
    pub tls: Option<TlsName>,
}

impl Protocol {
    /// The port of the protocol where nothing names one: RFC 3261 §19.1.2, RFC 6120 §14.7; XEP-0368 names none for
    /// direct TLS, and 5270 is the custom.
    #[must_use]
    pub const fn default_port(self, transport: Transport) -> NonZeroU16 {
        match (self, transport) {
            (Self::Sip, Transport::Tls) => SIPS_PORT,
            (Self::Sip, Transport::Tcp | Transport::Udp) => SIP_PORT,
            (Self::Xmpp, Transport::Tls) => XMPPS_PORT,
            (Self::Xmpp, Transport::Tcp | Transport::Udp) => XMPP_PORT,
        }
    }

    /// The word of the configuration, also used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Xmpp => "xmpp",
        }
    }
}

impl Transport {
    /// The word of the configuration, also used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl Side {
    /// Which way a message goes that comes from this side.
    #[must_use]
    pub const fn way(self) -> Direction {
        match self {
            Self::Outside => Direction::Inbound,
            Self::Inside => Direction::Outbound,
        }
    }

    /// The word of the configuration, also used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Inside => "inside",
        }
    }
}

impl TlsName {
    /// The name, as written in the configuration.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name, as written in the configuration.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Host {
    /// Reads a name, an IPv4 address, or an IPv6 address with or without brackets.
    ///
    /// # Errors
    /// [`DomainError`] where it is none of these.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        match bare.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => Domain::parse(text).map(Self::Name),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for TlsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} over {} to {}:{}",
            self.protocol, self.transport, self.host, self.port
        )
    }
}

const SIP_PORT: NonZeroU16 = port(5060);
const SIPS_PORT: NonZeroU16 = port(5061);
const XMPP_PORT: NonZeroU16 = port(5269);
const XMPPS_PORT: NonZeroU16 = port(5270);

const fn port(number: u16) -> NonZeroU16 {
    match NonZeroU16::new(number) {
        Some(port) => port,
        None => NonZeroU16::MAX,
    }
}
