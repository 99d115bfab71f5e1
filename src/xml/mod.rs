//! XML as this product reads and writes it: one hardened reader for streams and for documents, one writer for both.
//!
//! It is not a general XML library: no DTD, no comments, no processing instructions, no entities but the five
//! predefined ones, UTF-8 only (RFC 6120 §11.1, §11.6; the profile holds for documents in SIP bodies too). quick-xml
//! finds the events; everything that a hostile peer could bend is checked here (docs/decisions/0002).
//!
//! Invariants:
//! - What [`StreamReader`] and [`document`] let through is namespace-well-formed XML 1.0 within [`XmlLimits`].
//! - Cutting the input anywhere changes neither the items nor the error (only runs of white space between stanzas may
//!   be reported in more pieces).
//! - An [`Element`] holds names, namespaces and characters that XML can carry and nothing else, so that what
//!   [`mod@write`] makes of it is always well-formed and reads back as an equal tree.
//!
//! [`XmlLimits`]: crate::limits::XmlLimits

mod element;
mod error;
mod read;
mod split;
mod stream;
mod syntax;
mod word;
pub mod write;

pub use element::{Attribute, Element, Node};
pub use error::{Construct, Rule, Violation, XmlError};
pub use read::document;
pub use stream::{StreamHeader, StreamItem, StreamReader};

/// The namespace that the prefix `xml` is bound to.
pub const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of namespace declarations, which no element or attribute of a tree may be in.
pub const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";
/// The namespace of the stream's own elements (RFC 6120 §4.8.1).
pub const STREAM_NAMESPACE: &str = "http://etherx.jabber.org/streams";

#[cfg(test)]
mod tests;
