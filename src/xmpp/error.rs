//! The two kinds of error of XMPP: of one stanza, after which the stream goes on, and of the stream, after which it ends.
//!
//! Nothing here decides who is told what; a reason to refuse ([`crate::refusal::Refuse`]) names its condition, and
//! these types carry it.
//!
//! RFC 6120 §8.3 (stanza errors), §4.9 (stream errors).

mod stanza;
mod stream;

pub use stanza::{Condition, ErrorType, StanzaError};
pub use stream::{StreamCondition, StreamError};
