//! SIP syntax: bytes to typed messages and back, by RFC 3261 §7, §18.3, §19, §20 and §25 (RFC 5118 for IPv6, RFC 4475
//! for what must be refused).
//!
//! This floor knows grammar, transactions and dialogs, not routing or policy, and it never reads a socket or a clock. What it lets
//! through has one meaning: sizes are bounded, text is clean, every typed header is parsed, single headers are single.
//! Received header bytes are never relayed; [`mod@write`] makes the wire form again from the parsed one.
//!
//! Reading order: [`frame`] cuts a stream into messages, [`parse`] reads one, [`Message`] is the result.

mod address;
mod cseq;
mod date;
pub mod dialog;
mod error;
mod event;
pub mod frame;
mod headers;
mod host;
pub mod inspect;
pub mod keepalive;
mod lex;
mod message;
mod method;
pub mod multipart;
mod name;
mod params;
pub mod parse;
pub mod proxy;
mod retry_after;
mod route_set;
pub mod sdp;
pub mod session_timer;
mod status;
pub mod subscription;
#[cfg(test)]
mod tests;
pub mod transaction;
mod uri;
mod via;
pub mod write;

pub use address::{Contact, NameAddr};
pub use cseq::{CSeq, CallId};
pub use date::Date;
pub use error::{BadMessage, Flaw, ParseError};
pub use event::{Event, SubscriptionState};
pub use headers::Headers;
pub use host::{Host, HostName};
pub use message::{Mandatory, Message, Request, Response};
pub use method::{ExtensionMethod, Method};
pub use name::{Field, HeaderName};
pub use params::{Params, UriParams};
pub use retry_after::retry_after;
pub use route_set::{RouteHop, RouteSet};
pub use status::StatusCode;
pub use uri::{OpaqueUri, Scheme, SipUri, Uri};
pub use via::{ResponseTarget, Rport, Transport, Via};
