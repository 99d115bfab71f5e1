//! xmpp.

pub mod jid;
pub mod ns;

pub use jid::Jid;
