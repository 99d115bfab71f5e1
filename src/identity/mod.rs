//! Who a peer is: the names in its certificate, whether the certificate can be believed, and whether it proves a domain.
//!
//! Pure functions over DER and values; the time is an argument. TLS only shows that a peer holds the key of its
//! certificate: what the certificate is worth is decided here, after the peer has named the domain it speaks for.
//! Whether that domain may send anything is [`crate::policy`]'s.
//!
//! RFC 5280 (certificates), RFC 9525 (names, for XMPP), RFC 5922 (names, for SIP), RFC 6120 §13.7, RFC 4985 (SRVName).
//! Invariants:
//! - [`chain::Verified`] exists only where a chain, a trusted certificate or a pin was checked;
//! - [`Authenticated`] by certificate exists only where a name of a [`chain::Verified`] certificate matched;
//! - a certificate with a NUL or control character in any name is refused as a whole.

pub mod certificate;
pub mod chain;
mod doubt;
mod evidence;
pub mod matching;
pub mod subjects;

pub use certificate::{BadCertificate, Identities};
pub use chain::{BadTrust, Eku, Trust, Usage, Verified};
pub use doubt::ChainError;
pub use evidence::{Authenticated, Method, Proof};
pub use matching::{Mismatch, Reference, SipRule};
pub use subjects::NotAmong;
