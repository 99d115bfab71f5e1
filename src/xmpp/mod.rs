//! XMPP between servers: addresses, stanzas, errors, and the machines that negotiate a stream.
//!
//! Sans-io: bytes, verdicts and time go in; bytes, questions and events come out. No decision about who may talk to whom
//! is made here: a stream asks and is told.
//!
//! RFC 6120, RFC 7622; XEP-0114, XEP-0178, XEP-0185, XEP-0199, XEP-0220.

pub mod component;
mod dialback;
pub mod error;
pub mod jid;
mod management;
pub mod ns;
pub mod ping;
mod sasl;
pub mod stanza;
pub mod stream;

pub use component::{Component, ComponentSecret};
pub use dialback::DialbackSecret;
pub use jid::Jid;
pub use stanza::Stanza;
