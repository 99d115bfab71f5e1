//! The world: sockets, TLS, DNS and the tasks that carry protocol machines.

pub mod dns;
pub mod queue;
pub mod settings;
