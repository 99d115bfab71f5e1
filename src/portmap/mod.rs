//! Port mapping: connections that come to a public address and port go on to a node inside, octet for octet (specification:
//! edge §6, `mode = "proxy"`).
//!
//! Nothing of what passes is read. A map has its own places, allowed sources and idle time, tries its nodes in their order
//! until one takes the connection, and looks after those that do not.

mod announce;
mod nodes;
mod pipe;
mod places;
mod relay;
mod serve;
mod settings;

pub use serve::listen;
pub use settings::{Announce, Node, PortMap};
