//! Who may exchange what with whom: the decision for one message, and the line of the configuration that made it.
//!
//! Pure functions over values. Nothing here knows where a message goes ([`crate::route`]) or whether its sender is who
//! it says ([`crate::identity`]); the caller asks only about senders that are proven.
//!
//! Specification: edge §3 (rules), edge §4 (TLS, SASL and dialback). Invariants:
//! - a [`Permit`] exists only where a [`Decision`] allowed it: its constructor is private to this module;
//! - the running proxy and `vestibule explain` call the same [`Rules::decide`].

mod decide;
pub mod explain;
pub mod pace;
mod party;
pub(crate) mod pattern_map;
mod permit;
pub mod rate;
mod rule;
pub mod security;

pub use decide::{Answers, Decision, Query, RuleRef, Verdict};
pub use party::Party;
pub use permit::{Permit, Refusal};
pub use rule::{
    Action, Block, Blocked, Direction, Directions, Exception, FederatedDomain, Kind, Kinds, RuleSet, Rules,
    Source, Style,
};

#[cfg(test)]
mod tests;
