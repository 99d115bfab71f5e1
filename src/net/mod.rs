//! The world: sockets, TLS, DNS and the tasks that carry protocol machines.

pub mod accept;
pub mod connect;
pub mod dns;
pub mod listen;
pub mod pump;
pub mod queue;
pub mod settings;
pub mod tls;
