//! The world: sockets, TLS, DNS and the tasks that carry protocol machines.

pub mod accept;
pub mod attempts;
pub mod circles;
pub mod connect;
pub mod discover;
pub mod dns;
pub mod listen;
pub mod pool;
pub mod probe;
pub mod proof;
pub mod pump;
pub mod queue;
pub mod rates;
pub mod serve;
pub mod settings;
pub mod shard;
pub mod sip_flow;
pub mod sip_link;
mod sip_probe;
pub mod sip_relay;
pub mod sip_udp;
#[cfg(test)]
pub(crate) mod tests;
pub mod tls;
pub mod world;
mod xmpp_dial;
pub mod xmpp_driver;
pub mod xmpp_link;
pub mod xmpp_machine;
pub mod xmpp_places;
mod xmpp_settling;
pub mod xmpp_stream;
pub mod xmpp_terms;
pub mod xmpp_verify;
