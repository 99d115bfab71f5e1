//! Where a message goes: the table of domains, the plan for one of them, and the order of what can be tried.
//!
//! Pure functions over values. Names are not resolved here: a [`Route`] is a list of [`Step`]s that the network floor
//! carries out in order, and [`srv`] and [`naptr`] say what its DNS answers mean. Policy is asked elsewhere, before.
//!
//! Specification: edge §2 (domains, static routes, clearing house), interworking §1 (discovery). RFC 2782, RFC 3263,
//! RFC 6120 §3.2, XEP-0368. Invariants:
//! - look-ups compare whole labels, the longest wins, and a local domain comes before a foreign one of equal length;
//! - randomness is an argument; the same numbers give the same order.

pub mod aside;
pub mod boundary;
pub mod federated;
mod hop;
pub mod left_alone;
mod leg;
pub mod local;
pub mod naptr;
mod plan;
pub mod select;
pub mod srv;
pub mod static_route;
mod table;
pub mod target;

pub use boundary::{Boundary, Inward, Network};
pub use federated::{AddressFallback, Federated, Profile, Speaks, XmppSecurity};
pub use hop::Hop;
pub use left_alone::LeftAlone;
pub use local::{ComponentLink, Link, Local, Node, Nodes, Role, Secret};
pub use plan::{Discovery, Lookup, Plan, Step};
pub use static_route::{
    Found, LessSpecific, NextHop, RoutePattern, RouteState, StaticRoute, UserPattern, UserPatternError,
};
pub use table::{Conflict, Destination, NoRoute, Route, Table};
pub use target::{Host, Protocol, Side, Target, TlsName, Transport};

#[cfg(test)]
mod tests;
