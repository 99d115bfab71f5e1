//! Two SIP user agents and the edge between them in a simulated world: what one of them sends goes over its own leg to the
//! edge, and over the other leg on, on a virtual clock and network. A seed decides who writes and calls when, which legs
//! are UDP or TCP, what is lost, comes twice or in another order, and after which octet a connection is reset.
//!
//! Joined here are the pure parts: `sip::transaction` at all three, `sip::frame`, `sip::dialog` and `Forks` at the user
//! agents, `sip::proxy` at the edge. How the edge joins them repeats `net::sip_flow` and `net::sip_relay` in short. Not
//! covered: the border's checks, routes and links (a request that nobody has heard of is not tried elsewhere), answers that
//! are given late on another connection, queues and their places, TLS, and more than one proxy or user agent behind a leg.
//!
//! Laws, once the faults are over and time has passed:
//! - Every request that a user agent sends has one outcome, and all transactions, timers and what is kept of a request
//!   are gone.
//! - No request has two different final answers, whatever is repeated.
//! - What a user sends arrives at most once; what its receiver accepted is told as failed only where a message of its own
//!   was lost or a connection broke.
//! - Each 2xx to an INVITE that arrives is acknowledged, and each that is not is followed by the callee's BYE; no dialog is
//!   left.
//! - Nothing of the inside is seen on the leg outside.

mod agent;
mod edge;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use world::{Faults, Totals, World};

#[test]
fn a_request_through_the_edge_has_one_outcome_while_nothing_fails() {
    let totals = run(Faults::None);
    assert_eq!((totals.both, totals.lost, totals.resets), (0, 0, 0));
    assert!(totals.accepted > 0 && totals.refused > 0 && totals.calls > 0);
}

#[test]
fn a_request_through_the_edge_has_one_outcome_while_datagrams_are_lost_and_repeated() {
    let totals = run(Faults::Datagrams);
    assert!(totals.lost > 0 && totals.accepted > 0 && totals.calls > 0);
}

#[test]
fn a_request_through_the_edge_has_one_outcome_while_connections_are_reset() {
    let totals = run(Faults::Connections);
    assert!(totals.resets > 0 && totals.accepted > 0 && totals.failed > 0);
}

#[test]
fn a_request_through_the_edge_has_one_outcome_whatever_fails_at_once() {
    let totals = run(Faults::All);
    assert!(totals.resets > 0 && totals.lost > 0 && totals.failed > 0);
}

fn run(faults: Faults) -> Totals {
    let given = std::env::var("SIMULATION_SEEDS").unwrap_or_else(|_| SEEDS.to_owned());
    let (first, end) = given.split_once("..").unwrap_or(("0", &given));
    let start = Instant::now();
    let mut totals = Totals::default();
    for seed in first.parse::<u64>().unwrap()..end.parse::<u64>().unwrap() {
        let mut world = World::new(faults, seed, start, false);
        if let Err(fault) = outcome(&mut world) {
            let mut again = World::new(faults, seed, start, true);
            let _again = outcome(&mut again);
            let last = again.trace.len().saturating_sub(MOST_LINES);
            panic!(
                "{faults:?}, seed {seed}: {fault}\n{}",
                again.trace[last..].join("\n")
            );
        }
        totals.add(&world.totals);
    }
    println!("{faults:?}: {totals:?}");
    totals
}

fn outcome(world: &mut World) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|_| Err("a panic".to_owned()))
}

/// For each sort of faults.
const SEEDS: &str = "60";
const MOST_LINES: usize = 80;
