//! The shapes of the SNMP agent's settings, without the agent.

#[path = "../../../src/snmp/settings.rs"]
mod settings;

pub use settings::{Auth, Community, Credentials, Privacy, Sink, Snmp, User};
