//! What the SNMP agent is told by the configuration, as checked values.

use std::net::{IpAddr, SocketAddr};

use crate::route::{Network, Secret};

/// The agent, where it is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snmp {
    /// Where it answers, over UDP; one address of the management side.
    pub listen: SocketAddr,
    /// From where users of SNMPv3 may ask; what comes from elsewhere is not answered.
    pub managers: Vec<Network>,
    /// The users of SNMPv3; each at authPriv only.
    pub users: Vec<User>,
    /// The communities of SNMPv2c; none unless the file names one.
    pub communities: Vec<Community>,
    /// Who is told of changes.
    pub sinks: Vec<Sink>,
    /// `sysContact`.
    pub contact: String,
    /// `sysLocation`.
    pub location: String,
}

/// A user of the user-based security model (RFC 3414).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `msgUserName`: 1 to 32 octets.
    pub name: String,
    /// With what messages are authenticated.
    pub auth: Auth,
    /// The password from which the key for that is made; 8 octets at least.
    pub auth_secret: Secret,
    /// With what they are encrypted.
    pub privacy: Privacy,
    /// The password from which the key for that is made; 8 octets at least.
    pub privacy_secret: Secret,
}

/// Authentication of messages (RFC 7860).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// usmHMAC192SHA256AuthProtocol.
    Sha256,
    /// usmHMAC384SHA512AuthProtocol.
    Sha512,
}

/// Encryption of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// usmAesCfb128Protocol (RFC 3826).
    Aes128,
    /// AES with keys of 256 bits, which no RFC has: as net-snmp and most managers extend the key (draft-blumenthal-aes-usm-04).
    Aes256,
}

/// A community of SNMPv2c: a password that everybody on the way can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Community {
    /// The community itself.
    pub secret: Secret,
    /// From where it counts; never empty.
    pub from: Vec<Network>,
}

/// A receiver of notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    /// As whom it is told.
    pub credentials: Credentials,
}

/// As whom a receiver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user of SNMPv3, one of [`Snmp::users`], by name.
    User(String),
    /// A community of SNMPv2c.
    Community(Secret),
}

impl Snmp {
    /// Whether users of SNMPv3 may ask from there.
    #[must_use]
    pub fn allows_manager(&self, source: IpAddr) -> bool {
        contain(&self.managers, source)
    }

    /// Whether anything may be asked from there.
    #[must_use]
    pub fn allows_anything(&self, source: IpAddr) -> bool {
        let mut networks = self.communities.iter().map(|community| &community.from);
        self.allows_manager(source) || networks.any(|from| contain(from, source))
    }
}

impl Community {
    /// Whether it counts from there.
    #[must_use]
    pub fn counts_from(&self, source: IpAddr) -> bool {
        contain(&self.from, source)
    }
}

fn contain(networks: &[Network], source: IpAddr) -> bool {
    let source = source.to_canonical();
    networks.iter().any(|network| network.contains(source))
}
