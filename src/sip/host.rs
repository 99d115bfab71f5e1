//! Hosts: names, IPv4 addresses and bracketed IPv6 addresses (RFC 3261 §25.1, RFC 5118 §4).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::Flaw;
use crate::domain::Domain;

/// Where a URI or a Via points.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A host name.
    Name(HostName),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; brackets are put around it when it is written.
    V6(Ipv6Addr),
}

/// A host name as its sender spelled it; compared without regard to case.
///
/// Letters, digits, hyphens, underscores and dots. The last label begins with a letter, so that nothing that
/// another reader could take for an address is a name.
#[derive(Debug, Clone)]
pub struct HostName(Box<str>);

impl Host {
    /// Reads a host; IPv6 needs its brackets, and takes no zone.
    ///
    /// # Errors
    /// [`Flaw::Host`].
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').ok_or(Flaw::Host)?;
            return ipv6(address).map(Self::V6).ok_or(Flaw::Host);
        }
        if text.bytes().next_back().is_some_and(|b| b.is_ascii_digit())
            && let Ok(address) = text.parse()
        {
            return Ok(Self::V4(address));
        }
        HostName::parse(text).map(Self::Name)
    }

    /// The address, where the host is one.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// The name as it is compared and routed; `None` for addresses and for names that are no domain name.
    #[must_use]
    pub fn domain(&self) -> Option<Domain> {
        match self {
            Self::Name(name) => Domain::parse(name.as_str()).ok(),
            Self::V4(_) | Self::V6(_) => None,
        }
    }
}

impl HostName {
    /// Reads a host name.
    ///
    /// # Errors
    /// [`Flaw::Host`].
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if text.len() > MAX_NAME {
            return Err(Flaw::Host);
        }
        let mut last = "";
        for label in name.split('.') {
            let clean = label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            if !clean || label.is_empty() || label.starts_with('-') || label.ends_with('-') {
                return Err(Flaw::Host);
            }
            last = label;
        }
        if !last.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(Flaw::Host);
        }
        Ok(Self(text.into()))
    }

    /// The name as it was spelled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for HostName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for HostName {}

impl Hash for HostName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for b in self.0.bytes() {
            state.write_u8(b.to_ascii_lowercase());
        }
        state.write_u8(0xFF);
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&name.0),
            Self::V4(address) => write!(f, "{address}"),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }
}

impl From<&Domain> for Host {
    fn from(domain: &Domain) -> Self {
        Self::Name(HostName(domain.as_str().into()))
    }
}

/// Reads an IPv6 address, also in the form that the grammar of RFC 3261 has by mistake.
///
//= rfc5118#4.10
//# an implementation must tolerate both of the above constructs
pub(super) fn ipv6(text: &str) -> Option<Ipv6Addr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    // `2001:db8:::192.0.2.1`: a colon too many, and only before an IPv4 address
    let (head, tail) = text.split_once(":::")?;
    let tail: Ipv4Addr = tail.parse().ok()?;
    format!("{head}::{tail}").parse().ok()
}

/// RFC 1035 §2.3.4, with one octet for the trailing dot.
const MAX_NAME: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        for (text, written) in [
            ("example.com", "example.com"),
            ("Example.COM.", "Example.COM."),
            ("my_host", "my_host"),
            ("a1-b.c", "a1-b.c"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::0:1]", "[2001:db8::1]"),
            ("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"),
            ("[2001:db8:::192.0.2.1]", "[2001:db8::c000:201]"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), written, "{text:?}");
        }
        assert_eq!(Host::parse("A.example"), Host::parse("a.EXAMPLE"));
        assert_eq!(Host::parse("192.0.2.1").unwrap().domain(), None);
        assert_eq!(
            Host::parse("Example.COM.").unwrap().domain(),
            Domain::parse("example.com").ok()
        );
    }

    #[test]
    fn what_another_reader_could_take_for_something_else_is_no_host() {
        for text in [
            "",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "192.0.2.256",
            "192.0.2",
            "127.1",
            "0x7f.0x1",
            "010.0.0.1",
            "a.1",
            "2001:db8::1",
            "[2001:db8::1",
            "[2001:db8::1]x",
            "[fe80::1%eth0]",
            "[2001:db8:::1]",
            "[2001:db8::::192.0.2.1]",
            "[2001::db8:::192.0.2.1]",
            "[192.0.2.1]",
            "[]",
            "a b",
            "a%2eb",
            "a@b",
            "bücher.example",
        ] {
            assert_eq!(Host::parse(text), Err(Flaw::Host), "{text:?}");
        }
    }
}
