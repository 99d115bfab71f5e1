//! The shapes of port maps, without what serves them.

#[path = "../../../src/portmap/settings.rs"]
mod settings;

pub use settings::{Announce, Node, PortMap};
