//! The rooms that are fuzzed, from the project's own files, and what several targets share.

#![allow(dead_code, reason = "what only the rooms left out would call")]

#[path = "../../../src/clock.rs"]
pub mod clock;
#[path = "../../../src/domain.rs"]
pub mod domain;
#[path = "../../../src/limits.rs"]
pub mod limits;
#[path = "../../../src/mime.rs"]
pub mod mime;
#[path = "../../../src/refusal.rs"]
pub mod refusal;

#[path = "../../../src/sip/mod.rs"]
pub mod sip;
#[path = "../../../src/xml/mod.rs"]
pub mod xml;
#[path = "../../../src/xmpp/mod.rs"]
pub mod xmpp;

#[path = "../../../src/identity/mod.rs"]
pub mod identity;
#[path = "../../../src/interwork/mod.rs"]
pub mod interwork;
#[path = "../../../src/policy/mod.rs"]
pub mod policy;
#[path = "../../../src/route/mod.rs"]
pub mod route;

#[path = "../../../src/gateway/mod.rs"]
pub mod gateway;

#[path = "../../../src/firewall/mod.rs"]
pub mod firewall;

#[path = "../../../src/config/mod.rs"]
pub mod config;
pub mod net;

pub mod pki;

pub mod portmap;

pub mod snmp;

/// Stands in for the room that logs.
pub mod observe {
    pub mod log {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum Format {
            #[default]
            Text,
            Json,
        }

        pub fn check(_: &str) -> Result<(), std::fmt::Error> {
            Ok(())
        }
    }
}

pub mod choices;
pub mod der;
pub mod streams;

pub use choices::{Choices, portions};
