//! What the network floor is told by the configuration: listeners and TLS contexts, as plain values.
//!
//! These are checked values: `config::check` is the only place that makes them from a file. Nothing here opens a file
//! or a socket; paths are read by `pki` when the contexts are built.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Which network a listener, a flow or a target belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The internet: foreign organisations' servers.
    Outside,
    /// The company network: our own nodes.
    Inside,
}

/// The protocol that a listener speaks.
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
    /// TCP. With [`Protocol::Xmpp`] TLS begins by STARTTLS, where a TLS context is named.
    Tcp,
    /// UDP, for [`Protocol::Sip`] only.
    Udp,
}

/// One address on which we accept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Where its peers stand.
    pub side: Side,
    /// What they speak.
    pub protocol: Protocol,
    /// What carries it.
    pub transport: Transport,
    /// Where it is bound; never the unspecified address unless the zone names it.
    pub address: SocketAddr,
    /// The TLS context of [`Transport::Tls`] and of STARTTLS; always there for the former.
    pub tls: Option<TlsName>,
}

/// The name of a `[tls.NAME]` table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TlsName(Arc<str>);

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

/// How TLS is spoken on a listener or towards a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsContext {
    /// Our certificates; the first that suits the peer's SNI and signature algorithms is shown. Never empty.
    pub certificates: Vec<CertificateFiles>,
    /// Whom we trust to vouch for a peer.
    pub trust: Vec<TrustSource>,
    /// The lowest version spoken.
    pub minimum: TlsVersion,
    /// Whether the connecting peer has to show a certificate.
    pub peer_certificate: PeerCertificate,
    /// How a certificate proves who the peer is, on SIP.
    pub identity: IdentityRule,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo, DER) that [`IdentityRule::Pinned`] accepts.
    pub pins: Vec<[u8; 32]>,
    /// What the certificate's extended key usage has to say.
    pub eku: ExtendedKeyUsage,
    /// Revocation lists: files or folders.
    pub crl: Vec<PathBuf>,
}

/// One certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Where trust anchors come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustSource {
    /// The operating system's store.
    System,
    /// A PEM file, or a folder of them.
    Path(PathBuf),
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// Whether a connecting peer has to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerCertificate {
    /// No certificate, no connection.
    Required,
    /// Asked for; without one the peer has proven nothing by TLS.
    Optional,
    /// Not asked for.
    Off,
}

/// How a certificate proves who a SIP peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityRule {
    /// The certificate names the SIP domain (RFC 5922 §7).
    Rfc5922,
    /// The certificate names the host of the route, as with hosted tenants.
    RouteTarget,
    /// The certificate has one of the keys listed in the context.
    Pinned,
}

/// What the extended key usage of a peer's certificate has to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedKeyUsage {
    /// Client certificates need clientAuth, server certificates serverAuth.
    Strict,
    /// Either serves for both.
    ClientOrServer,
    /// Not looked at.
    Ignore,
}

/// A shared secret. It is not shown by `Debug`, and has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// A secret from its text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself: for key derivation and handshakes, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outside => "outside",
            Self::Inside => "inside",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sip => "sip",
            Self::Xmpp => "xmpp",
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "tls",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for TlsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
