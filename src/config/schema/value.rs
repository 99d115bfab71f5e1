//! Single values of the configuration: words, durations, networks, and what the standard library reads from text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::ManagementAddress;

/// Anything that is read from a text by [`FromStr`]; its error is the administrator's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text<T>(pub(crate) T);

/// A length of time: `"500ms"`, `"60s"`, `"5m"`, `"1h"`, `"7d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period(pub(crate) Duration);

/// An IP address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) IpAddr);

/// A network in prefix form, `10.0.0.0/8`; an address alone is the network of that address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

/// A DNS server: an address, with port 53 where none is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server(pub(crate) SocketAddr);

/// Defines an enum of words, as serde reads them.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident $(= $default:ident)? { $($word:literal => $variant:ident),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
        pub(crate) enum $name { $(#[serde(rename = $word)] $variant),+ }
        $(impl Default for $name { fn default() -> Self { Self::$default } })?
    )+};
}

words! {
    /// A zone of the network.
    ZoneName { "outside" => Outside, "inside" => Inside }
    /// What a listener speaks; `xmpps` is XMPP in direct TLS.
    ListenProtocol { "xmpp" => Xmpp, "xmpps" => Xmpps, "sip" => Sip }
    /// What carries SIP.
    Transport = Tls { "tls" => Tls, "tcp" => Tcp, "udp" => Udp }
    /// The lowest TLS version.
    TlsVersion = V1_2 { "1.2" => V1_2, "1.3" => V1_3 }
    /// Whether a connecting peer shows a certificate.
    PeerCertificate = Required { "required" => Required, "optional" => Optional, "off" => Off }
    /// How a certificate proves a SIP peer.
    Identity = Rfc5922 { "rfc5922" => Rfc5922, "route_target" => RouteTarget, "pinned" => Pinned }
    /// What the extended key usage has to allow.
    Eku = ClientOrServer { "strict" => Strict, "client_or_server" => ClientOrServer, "ignore" => Ignore }
    /// What the nodes of a local domain speak.
    LocalProtocol { "xmpp" => Xmpp, "sip" => Sip }
    /// What a local domain is for.
    Role = User { "user" => User, "chat" => Chat, "file-transfer" => FileTransfer }
    /// What the nodes of a local domain want to be told.
    LocalProfile = Simple { "simple" => Simple, "microsoft" => Microsoft }
    /// How we reach an XMPP node.
    Link = S2s { "s2s" => S2s, "component" => Component }
    /// What a foreign domain speaks.
    PeerProtocol = Auto { "sip" => Sip, "xmpp" => Xmpp, "auto" => Auto }
    /// Which protocol goes first where a domain has both.
    Preference { "sip" => Sip, "xmpp" => Xmpp }
    /// The dialect of a foreign domain.
    Profile { "simple" => Simple, "microsoft" => Microsoft, "aol" => Aol, "xmpp" => Xmpp }
    /// A SIP method that may pass the edge.
    SipMethod {
        "INVITE" => Invite, "ACK" => Ack, "BYE" => Bye, "CANCEL" => Cancel, "MESSAGE" => Message, "INFO" => Info,
        "SUBSCRIBE" => Subscribe, "NOTIFY" => Notify, "OPTIONS" => Options, "UPDATE" => Update, "PRACK" => Prack,
        "PUBLISH" => Publish, "REFER" => Refer,
    }
    /// What SIP sessions may be about.
    Media = Messages { "messages" => Messages, "pass" => Pass }
    /// Which bodies of SIP go outside.
    Bodies = Searched { "searched" => Searched, "all" => All }
    /// Whether an XMPP stream uses TLS.
    TlsMode { "none" => None, "optional" => Optional, "required" => Required }
    /// Whether an XMPP stream uses SASL EXTERNAL.
    Sasl { "off" => Off, "optional" => Optional, "required" => Required }
    /// What policy does.
    Action { "deny" => Deny, "allow" => Allow }
    /// Which way traffic goes.
    Direction = Both { "both" => Both, "inbound" => Inbound, "outbound" => Outbound }
    /// What kind of traffic.
    Kind {
        "im" => Im, "presence" => Presence, "groupchat" => Groupchat, "file-transfer" => FileTransfer,
        "other" => Other,
    }
    /// What a blocked party sees.
    Style = Polite { "polite" => Polite, "explicit" => Explicit }
    /// How a busy SIP user looks to an XMPP user.
    BusyAs = Away { "away" => Away, "dnd" => Dnd, "none" => None }
    /// Who moves the octets of a port map.
    MapMode = Proxy { "kernel" => Kernel, "proxy" => Proxy }
    /// What a port map carries.
    MapProtocol = Tcp { "tcp" => Tcp, "udp" => Udp }
    /// What the firewall lets the machine itself open.
    FirewallOutgoing = Any { "any" => Any, "own" => Own }
    /// With what SNMPv3 authenticates.
    SnmpAuth = Sha256 { "sha256" => Sha256, "sha512" => Sha512 }
    /// With what SNMPv3 encrypts.
    SnmpPrivacy = Aes128 { "aes128" => Aes128, "aes256" => Aes256 }
    /// How log lines look.
    LogFormat = Text { "text" => Text, "json" => Json, "journald" => Journald }
}

impl SipMethod {
    /// What passes where a domain lists nothing else.
    pub(crate) const USUAL: [Self; 10] = [
        Self::Invite,
        Self::Ack,
        Self::Bye,
        Self::Cancel,
        Self::Message,
        Self::Info,
        Self::Subscribe,
        Self::Notify,
        Self::Options,
        Self::Update,
    ];
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Im,
        Self::Presence,
        Self::Groupchat,
        Self::FileTransfer,
        Self::Other,
    ];
}

impl Period {
    pub(crate) const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl Network {
    pub(crate) const ALL_V4: Self = Self {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        prefix: 0,
    };
    pub(crate) const ALL_V6: Self = Self {
        address: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        prefix: 0,
    };
}

impl FromStr for Period {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let wrong = || {
            format!("\"{text}\" is not a length of time; write \"500ms\", \"60s\", \"5m\", \"1h\" or \"7d\"")
        };
        let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let total = number.checked_mul(milliseconds).ok_or_else(wrong)?;
        Ok(Self(Duration::from_millis(total)))
    }
}

impl FromStr for Address {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| "not an IP address; write 203.0.113.10 or 2001:db8::10, without a port, and no name")
    }
}

impl FromStr for Server {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let alone = text.parse().map(|address| SocketAddr::new(address, DNS_PORT));
        alone.or_else(|_| text.parse()).map(Self).map_err(|_| {
            format!("\"{text}\" is not an address; write 10.0.0.53, 10.0.0.53:53 or [2001:db8::53]:53")
        })
    }
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("\"{text}\" is not a network; write 10.0.0.0/8 or 2001:db8::/32");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
            None => longest,
        };
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = input.deserialize_str(StringVisitor("a text"))?;
        text.parse().map(Self).map_err(|why: T::Err| {
            let why = why.to_string();
            // Those that say the text themselves need no second time.
            let quoted = format!("\"{text}\"");
            if why.contains(&quoted) {
                D::Error::custom(why)
            } else {
                D::Error::custom(format!("{quoted} cannot be used: {why}"))
            }
        })
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = input.deserialize_str(StringVisitor("a length of time such as \"60s\""))?;
        text.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ManagementAddress {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = input.deserialize_str(StringVisitor("an address and port such as \"127.0.0.1:9464\""))?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(|_| {
            D::Error::custom(format!(
                "\"{text}\" is not an address and port such as 127.0.0.1:9464"
            ))
        })
    }
}

/// Takes a string and says what was wanted where something else stands.
struct StringVisitor(&'static str);

impl Visitor<'_> for StringVisitor {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

const DNS_PORT: u16 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_need_a_number_and_a_unit() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("60s", 60_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Period(Duration::from_millis(milliseconds))),
                "{text}"
            );
        }
        for text in [
            "",
            "60",
            "s",
            "1 h",
            "1h30m",
            "-1s",
            "1.5h",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(text.parse::<Period>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn dns_servers_have_a_port_in_the_end() {
        for (text, server) in [
            ("10.0.0.53", "10.0.0.53:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:54", "[2001:db8::53]:54"),
        ] {
            assert_eq!(
                text.parse::<Server>().map(|s| s.0.to_string()),
                Ok(server.to_owned())
            );
        }
        assert!("dns.example".parse::<Server>().is_err());
    }

    #[test]
    fn networks_have_a_prefix_that_fits_their_family() {
        assert_eq!("0.0.0.0/0".parse(), Ok(Network::ALL_V4));
        assert_eq!("::/0".parse(), Ok(Network::ALL_V6));
        assert_eq!("10.0.9.1".parse::<Network>().map(|n| n.prefix), Ok(32));
        for text in ["10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "x/8"] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
    }
}
