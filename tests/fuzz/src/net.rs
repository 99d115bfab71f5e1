//! What of the network room the configuration names.

#[path = "../../../src/net/settings.rs"]
pub mod settings;
