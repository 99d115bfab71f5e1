//! vestibule, a hardened edge proxy for the DMZ: SIP and XMPP federation, policy, and translation between the two.
//!
//! # The life of a message
//!
//! The modules below stand in floor order; a floor knows itself and those under it (ARCHITECTURE.md). A message takes
//! them in this order, and each stage consumes the evidence of the one before:
//!
//! ```text
//! net::listen -> accept -> tls -> sip::frame | xml::split -> parse | read -> xmpp::stream
//!    -> identity -> policy -> route -> interwork -> gateway -> net::pool -> write -> observe
//! ```

// Floor 0: vocabulary.
#[deny(clippy::arithmetic_side_effects)]
pub mod clock;
#[deny(clippy::arithmetic_side_effects)]
pub mod domain;
#[deny(clippy::arithmetic_side_effects)]
pub mod limits;
#[deny(clippy::arithmetic_side_effects)]
pub mod mime;
#[deny(clippy::arithmetic_side_effects)]
pub mod refusal;

// Floor 1: protocols, sans-io.
#[deny(clippy::arithmetic_side_effects)]
pub mod sip;
#[deny(clippy::arithmetic_side_effects)]
pub mod xml;
#[deny(clippy::arithmetic_side_effects)]
pub mod xmpp;

// Floor 2: decisions, pure functions.
#[deny(clippy::arithmetic_side_effects)]
pub mod identity;
#[deny(clippy::arithmetic_side_effects)]
pub mod interwork;
#[deny(clippy::arithmetic_side_effects)]
pub mod policy;
#[deny(clippy::arithmetic_side_effects)]
pub mod route;

// Floor 3: the gateway core, sans-io with state.
#[deny(clippy::arithmetic_side_effects)]
pub mod gateway;

// Floor 4: the world.
pub mod admin;
#[deny(clippy::arithmetic_side_effects)]
pub mod firewall;
pub mod net;
pub mod observe;
pub mod pki;
pub mod portmap;
pub mod snmp;
pub mod store;
pub mod supervise;

// Floor 5: composition.
pub mod app;
pub mod cli;
pub mod config;
pub mod setup;
