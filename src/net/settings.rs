//! What the network floor is told by the configuration: listeners and TLS contexts, as plain values.
//!
//! These are checked values: `config::check` is the only place that makes them from a file. Nothing here opens a file
//! or a socket; paths are read by `pki` when the contexts are built.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::domain::DomainPattern;

pub use crate::identity::Eku as ExtendedKeyUsage;
pub use crate::route::{Protocol, Secret, Side, TlsName, Transport};

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

/// A cipher suite of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CipherSuite {
    /// Its number in the IANA registry.
    pub number: u16,
    /// The first version that has it.
    pub since: TlsVersion,
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
    /// The cipher suites that may be used; empty for all that the library has.
    pub suites: Vec<CipherSuite>,
    /// Whether the connecting peer has to show a certificate.
    pub peer_certificate: PeerCertificate,
    /// Names of which a peer's certificate has to have one; empty for anybody.
    pub subjects: Vec<DomainPattern>,
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
