//! Which addresses the names of foreign domains may lead to: never to what stands inside.
//!
//! Whoever runs the DNS of a foreign domain chooses the addresses that we connect to. Without this check a domain that is
//! allowed to exchange messages could make the edge connect to our own nodes, to services of its own machine, or to
//! anything else in the company network. What the configuration names by address was chosen by the operator and is not
//! asked about here.
//!
//! RFC 1122 §3.2.1.3, RFC 1918, RFC 3927, RFC 4193, RFC 4291, RFC 5735, RFC 6052, RFC 6598, RFC 8215.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the line between inside and outside runs, by address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Boundary {
    own: Vec<IpAddr>,
    nodes: Vec<IpAddr>,
    outside: Vec<Network>,
    inside: Vec<Network>,
}

/// All addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

/// Why an address counts as inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Inward {
    /// One of the proxy's own.
    #[error("it is an address of this proxy")]
    OurOwn,
    /// That of a node.
    #[error("it is the address of an inside node")]
    Node,
    /// In a network that the configuration calls inside.
    #[error("it is in a network of [zone.inside] networks")]
    Listed,
    /// `0.0.0.0`, `::`, and the rest of the network that they stand in.
    #[error("it is an unspecified address")]
    Unspecified,
    /// This machine.
    #[error("it is a loopback address")]
    Loopback,
    /// This network segment.
    #[error("it is a link-local address")]
    LinkLocal,
    /// A group, or everybody.
    #[error("it is a multicast or broadcast address")]
    Multicast,
    /// A network that is not the internet.
    #[error("it is a private address; name its network in [zone.outside] networks if it does stand outside")]
    Private,
}

impl Boundary {
    /// The line, by the proxy's own addresses, and the networks of each side that the rules for private addresses do not
    /// know of. Where networks of both contain an address the smaller one counts, and of equals that of the inside.
    #[must_use]
    pub fn new(own: Vec<IpAddr>, outside: Vec<Network>, inside: Vec<Network>) -> Self {
        Self {
            own: own.into_iter().map(plain).collect(),
            nodes: Vec::new(),
            outside,
            inside,
        }
    }

    /// Adds the addresses of nodes.
    pub(super) fn add_nodes(&mut self, nodes: impl Iterator<Item = IpAddr>) {
        self.nodes.extend(nodes.map(plain));
    }

    /// Whether the name of a foreign domain may lead to this address.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, address: IpAddr) -> Result<(), Inward> {
        let address = plain(address);
        if self.own.contains(&address) {
            return Err(Inward::OurOwn);
        }
        if self.nodes.contains(&address) {
            return Err(Inward::Node);
        }
        let class = class(address);
        // These are no places, whatever a network that contains them is called.
        if let Some(inward @ (Inward::Unspecified | Inward::Multicast)) = class {
            return Err(inward);
        }
        let longest = |networks: &[Network]| {
            let around = networks.iter().filter(|network| network.contains(address));
            around.map(|network| network.prefix).max()
        };
        match (longest(&self.outside), longest(&self.inside)) {
            (outside, Some(inside)) if outside.is_none_or(|outside| inside >= outside) => Err(Inward::Listed),
            (Some(_), _) => Ok(()),
            (None, _) => class.map_or(Ok(()), Err),
        }
    }
}

impl Network {
    /// The network of an address and the number of leading bits that count; `None` where it has fewer.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then(|| Self {
            first: first(address, prefix),
            prefix,
        })
    }

    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && first(address, self.prefix) == self.first
    }

    /// Whether it is of IPv4.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Whether every address of the other one is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.first)
    }

    /// Whether every address of a family is in it.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.prefix == 0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The address with all bits after the prefix cleared.
fn first(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into()));
            Ipv4Addr::from_bits(address.to_bits() & mask.unwrap_or(0)).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into()));
            Ipv6Addr::from_bits(address.to_bits() & mask.unwrap_or(0)).into()
        }
    }
}

/// An IPv4 address that comes as an IPv6 address, as itself: however it is written, it leads to the same place.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
    }
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |[_, _, _, _, _, _, high, low]: [u16; 8]| {
        Ipv4Addr::from_bits(u32::from(high).wrapping_shl(16) | u32::from(low))
    };
    let segments = address.segments();
    match segments {
        // `::` and `::1` are addresses of IPv6 itself.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-mapped, IPv4-compatible (RFC 4291 §2.5.5), IPv4-translated (RFC 2765), and the well-known prefix of
        // translators (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(last(segments)),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits(
            u32::from(high).wrapping_shl(16) | u32::from(low),
        )),
        _ => None,
    }
}

fn class(address: IpAddr) -> Option<Inward> {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    }
}

fn class_v4(address: Ipv4Addr) -> Option<Inward> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, ..) => Some(Inward::Unspecified),
        (127, ..) => Some(Inward::Loopback),
        (169, 254, _) => Some(Inward::LinkLocal),
        // Groups, what is reserved for the future, and broadcast.
        (224.., ..) => Some(Inward::Multicast),
        // RFC 1918, shared address space (RFC 6598), protocol assignments (RFC 6890), benchmarks (RFC 2544).
        (10, ..)
        | (172, 16..=31, _)
        | (192, 168, _)
        | (100, 64..=127, _)
        | (192, 0, 0)
        | (198, 18..=19, _) => Some(Inward::Private),
        _ => None,
    }
}

const fn class_v6(address: Ipv6Addr) -> Option<Inward> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Inward::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Inward::Loopback),
        [0xfe80..=0xfebf, ..] => Some(Inward::LinkLocal),
        [0xff00..=0xffff, ..] => Some(Inward::Multicast),
        // Unique local (RFC 4193), the former site-local (RFC 3879), translators of one's own (RFC 8215).
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Some(Inward::Private),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        let (address, prefix) = text.split_once('/').unwrap();
        Network::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap()
    }

    fn found(boundary: &Boundary, address: &str) -> Option<Inward> {
        boundary.check(address.parse().unwrap()).err()
    }

    #[test]
    fn addresses_that_are_not_of_the_internet_are_inside() {
        use Inward::{LinkLocal, Loopback, Multicast, Private, Unspecified};
        let nothing_configured = Boundary::default();
        for (address, expected) in [
            ("192.0.2.1", None),
            ("8.8.8.8", None),
            ("2001:db8::1", None),
            ("2606:4700::1111", None),
            ("0.0.0.0", Some(Unspecified)),
            ("0.1.2.3", Some(Unspecified)),
            ("::", Some(Unspecified)),
            ("127.0.0.1", Some(Loopback)),
            ("127.255.255.254", Some(Loopback)),
            ("::1", Some(Loopback)),
            ("169.254.169.254", Some(LinkLocal)),
            ("fe80::1", Some(LinkLocal)),
            ("febf::1", Some(LinkLocal)),
            ("224.0.0.1", Some(Multicast)),
            ("255.255.255.255", Some(Multicast)),
            ("240.0.0.1", Some(Multicast)),
            ("ff02::1", Some(Multicast)),
            ("10.0.0.1", Some(Private)),
            ("11.0.0.1", None),
            ("172.15.255.255", None),
            ("172.16.0.1", Some(Private)),
            ("172.31.255.255", Some(Private)),
            ("172.32.0.1", None),
            ("192.168.1.1", Some(Private)),
            ("192.169.1.1", None),
            ("100.63.255.255", None),
            ("100.64.0.1", Some(Private)),
            ("100.127.255.255", Some(Private)),
            ("100.128.0.1", None),
            ("192.0.0.8", Some(Private)),
            ("198.19.255.255", Some(Private)),
            ("fc00::1", Some(Private)),
            ("fdff:ffff::1", Some(Private)),
            ("fec0::1", Some(Private)),
            ("64:ff9b:1::a00:1", Some(Private)),
        ] {
            assert_eq!(found(&nothing_configured, address), expected, "{address}");
        }
    }

    #[test]
    fn an_inside_address_in_the_clothes_of_ipv6_is_known() {
        let boundary = Boundary::new(vec!["203.0.113.10".parse().unwrap()], Vec::new(), Vec::new());
        for (address, expected) in [
            ("::ffff:127.0.0.1", Some(Inward::Loopback)),
            ("::ffff:10.1.2.3", Some(Inward::Private)),
            ("::ffff:192.0.2.1", None),
            ("::ffff:203.0.113.10", Some(Inward::OurOwn)),
            ("::127.0.0.1", Some(Inward::Loopback)),
            ("::ffff:0:127.0.0.1", Some(Inward::Loopback)),
            ("64:ff9b::10.0.0.1", Some(Inward::Private)),
            ("64:ff9b::192.0.2.1", None),
            ("2002:7f00:1::1", Some(Inward::Loopback)),
            ("2002:c000:201::1", None),
        ] {
            assert_eq!(found(&boundary, address), expected, "{address}");
        }
        let mapped = Boundary::new(vec!["::ffff:203.0.113.10".parse().unwrap()], vec![], vec![]);
        assert_eq!(found(&mapped, "203.0.113.10"), Some(Inward::OurOwn));
    }

    #[test]
    fn what_is_configured_goes_before_what_is_usual() {
        let mut boundary = Boundary::new(
            vec!["10.0.0.10".parse().unwrap()],
            vec![
                network("10.9.0.0/16"),
                network("127.83.1.0/24"),
                network("0.0.0.0/0"),
            ],
            vec![
                network("203.0.113.0/24"),
                network("10.9.9.0/24"),
                network("2001:db8:1::/48"),
            ],
        );
        boundary.add_nodes(
            ["10.9.0.5", "198.51.100.5"]
                .map(|text| text.parse().unwrap())
                .into_iter(),
        );
        for (address, expected) in [
            ("10.9.0.1", None),
            ("10.9.0.5", Some(Inward::Node)),
            ("198.51.100.5", Some(Inward::Node)),
            ("::ffff:10.9.0.5", Some(Inward::Node)),
            ("10.9.9.1", Some(Inward::Listed)),
            ("10.0.0.10", Some(Inward::OurOwn)),
            ("203.0.113.7", Some(Inward::Listed)),
            ("2001:db8:1::7", Some(Inward::Listed)),
            ("2001:db8:2::7", None),
            ("127.83.1.7", None),
            ("127.0.0.1", None),
            ("0.0.0.0", Some(Inward::Unspecified)),
            ("224.0.0.1", Some(Inward::Multicast)),
            ("fd00::1", Some(Inward::Private)),
        ] {
            assert_eq!(found(&boundary, address), expected, "{address}");
        }
        let both = Boundary::new(vec![], vec![network("10.0.0.0/8")], vec![network("10.0.0.0/8")]);
        assert_eq!(
            found(&both, "10.0.0.1"),
            Some(Inward::Listed),
            "of equals the safer one"
        );
    }

    #[test]
    fn a_network_is_what_its_prefix_says() {
        for (text, within, without) in [
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/31", "10.1.2.2", "10.1.2.4"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::/0", "ffff::", "127.0.0.1"),
            ("2001:db8::5/128", "2001:db8::5", "2001:db8::4"),
        ] {
            assert!(network(text).contains(within.parse().unwrap()), "{text} {within}");
            assert!(
                !network(text).contains(without.parse().unwrap()),
                "{text} {without}"
            );
        }
        assert_eq!(network("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(Network::new("10.0.0.0".parse().unwrap(), 33), None);
    }
}
