//! The world: sockets, TLS, DNS and the tasks that carry protocol machines.

pub mod queue;
pub mod settings;
