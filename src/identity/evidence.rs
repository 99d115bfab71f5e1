//! The evidence that a flow may speak for a domain.

use std::fmt;

use crate::domain::Domain;

/// A domain that the far end of a flow has proven, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Authenticated {
    domain: Domain,
    method: Method,
}

/// How a domain was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// By the certificate of the TLS session.
    Certificate(Proof),
    /// By dialback (XEP-0220).
    Dialback,
    /// By the secret of a component link (XEP-0114).
    ComponentSecret,
    /// By the address of a configured node of ours, inside only.
    NodeAddress,
    /// By the address of a static route without TLS, where the configuration has one for the domain.
    RouteAddress,
}

/// What in a certificate proved the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// An XmppAddr (RFC 6120 §13.7.1.4).
    XmppAddr,
    /// An SRVName of the XMPP server service (RFC 4985).
    SrvName,
    /// A dNSName.
    DnsId,
    /// A URI `sip:domain` (RFC 5922 §7.1).
    SipUri,
    /// The common name of a certificate without alternative names (RFC 5922 §7.1).
    CommonName,
    /// The name or address of the route's host.
    RouteTarget,
    /// A pinned key.
    Pinned,
}

impl Authenticated {
    /// Only [`super::matching`] may say this.
    pub(super) const fn by_certificate(domain: Domain, proof: Proof) -> Self {
        Self {
            domain,
            method: Method::Certificate(proof),
        }
    }

    /// For the caller that has the stream machine's word that dialback was answered with `valid` for this domain on
    /// this stream.
    pub const fn by_dialback(domain: Domain) -> Self {
        Self {
            domain,
            method: Method::Dialback,
        }
    }

    /// For the caller that has the component machine's word that the handshake was right.
    pub const fn by_component_secret(domain: Domain) -> Self {
        Self {
            domain,
            method: Method::ComponentSecret,
        }
    }

    /// For the caller that found the flow's address among the configured nodes of this local domain.
    pub const fn by_node_address(domain: Domain) -> Self {
        Self {
            domain,
            method: Method::NodeAddress,
        }
    }

    /// For the caller that found the flow's address among the static routes without TLS of this foreign domain.
    pub const fn by_route_address(domain: Domain) -> Self {
        Self {
            domain,
            method: Method::RouteAddress,
        }
    }

    /// The domain.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// How it was proven.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }
}

impl Method {
    /// A constant word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate(proof) => proof.as_str(),
            Self::Dialback => "dialback",
            Self::ComponentSecret => "component-secret",
            Self::NodeAddress => "node-address",
            Self::RouteAddress => "route-address",
        }
    }
}

impl Proof {
    const fn as_str(self) -> &'static str {
        match self {
            Self::XmppAddr => "certificate-xmpp-addr",
            Self::SrvName => "certificate-srv-name",
            Self::DnsId => "certificate-dns",
            Self::SipUri => "certificate-sip-uri",
            Self::CommonName => "certificate-common-name",
            Self::RouteTarget => "certificate-route-target",
            Self::Pinned => "certificate-pinned",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
