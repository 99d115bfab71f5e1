//! What is ours: local domains, their nodes, and how the edge is linked to them.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::select::Weighted;
use super::srv::SrvName;
use super::{Host, Profile, Protocol, TlsName, Transport};
use crate::domain::Domain;

/// A domain of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The domain; that name alone.
    pub domain: Domain,
    /// What its nodes speak.
    pub protocol: Protocol,
    /// What the domain is for.
    pub role: Role,
    /// Where its nodes are.
    pub nodes: Nodes,
    /// The TLS context towards the nodes; `None` where the configuration names none.
    pub tls: Option<TlsName>,
    /// How the edge is linked to the nodes.
    pub link: Link,
    /// What its nodes want to be told of what comes from outside.
    pub profile: Profile,
}

/// What a local domain is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// People.
    User,
    /// The rooms of a chat node.
    Chat,
    /// The files of a file-transfer node.
    FileTransfer,
}

/// The nodes of a local domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nodes {
    /// A list.
    List(Vec<Node>),
    /// The SRV records of this name stand for the list.
    Srv {
        /// The name that the service is asked of.
        name: Domain,
        /// What carries the protocol.
        transport: Transport,
        /// These records, where the configuration names them in full; else those that the name has for the transport.
        records: Option<SrvName>,
    },
}

/// One server of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// Where it is.
    pub host: Host,
    /// Its port; `None` is the default of protocol and transport.
    pub port: Option<NonZeroU16>,
    /// What carries the protocol.
    pub transport: Transport,
    /// Lower first.
    pub priority: u16,
    /// Share among nodes of equal priority.
    pub weight: u16,
}

/// How the edge is linked to the nodes of a local domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Streams between servers, or SIP.
    S2s,
    /// The edge is a component of the node (XEP-0114).
    Component(ComponentLink),
}

/// A component link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentLink {
    /// The port of the node's component listener.
    pub port: NonZeroU16,
    /// The secret that both know.
    pub secret: Secret,
}

/// A secret of the configuration; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Role {
    /// The word of the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Chat => "chat",
            Self::FileTransfer => "file-transfer",
        }
    }
}

impl Secret {
    /// Keeps a secret.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the computation that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Weighted for Node {
    fn priority(&self) -> u16 {
        self.priority
    }

    fn weight(&self) -> u16 {
        self.weight
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
