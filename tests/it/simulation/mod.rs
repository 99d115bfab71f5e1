//! Two edges and two servers in a simulated world: a message goes from a server through its edge and the other's edge to
//! the other server, over streams that the real machines negotiate, on a virtual clock and network. A seed decides who
//! writes when, on which terms streams are made, how slow the network is, what breaks at which octet, and who is killed.
//!
//! Laws, once the faults are over and time has passed:
//! - What an edge took in has arrived, or its sender was told. One thing excuses that neither is so: an edge was killed
//!   while it answered for the message, for it keeps nothing on disk. Whatever fails on the network excuses nothing.
//! - Nothing arrives twice, and what one user wrote to another arrives in order.
//! - No gateway takes for delivered what nobody took, and none gives up telling a sender.
//! - Queues are empty, no stream hangs half made, and after a long silence streams and links are gone.
//!
//! `SIMULATION_SEEDS=25000` runs so many seeds of each sort of faults, `SIMULATION_SEEDS=17..18` those; a failure prints
//! its seed and what happened last.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests, and what only tests use"
)]

mod chance;
mod edge;
mod ledger;
mod network;
mod plan;
mod server;
mod sip;
mod streams;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use vestibule::xmpp::DialbackSecret;

use ledger::Totals;
use network::Host;
use plan::Faults;
use world::World;

#[test]
fn what_an_edge_takes_in_arrives_once_and_in_order_while_nothing_fails() {
    let totals = run(Faults::None);
    assert_eq!(totals.both, 0);
    assert_eq!(totals.lost_with_edge, 0, "no edge was killed");
}

#[test]
fn what_an_edge_takes_in_arrives_or_its_sender_is_told_while_connections_break_and_stall() {
    let totals = run(Faults::Network);
    assert!(totals.resets > 0 && totals.told > 0);
    assert_eq!(totals.lost_with_edge, 0, "no edge was killed");
}

#[test]
fn what_an_edge_takes_in_arrives_or_its_sender_is_told_while_servers_and_edges_are_killed() {
    let totals = run(Faults::Hosts);
    assert!(totals.kills > 0 && totals.told > 0);
}

#[test]
fn what_an_edge_takes_in_arrives_or_its_sender_is_told_whatever_fails_at_once() {
    let totals = run(Faults::All);
    assert!(totals.resets > 0 && totals.kills > 0 && totals.told > 0);
}

fn run(faults: Faults) -> Totals {
    let given = std::env::var("SIMULATION_SEEDS").unwrap_or_else(|_| SEEDS.to_owned());
    let (first, end) = given.split_once("..").unwrap_or(("0", &given));
    let seeds = first.parse::<u64>().unwrap()..end.parse::<u64>().unwrap();
    let start = Instant::now();
    let mut totals = Totals::default();
    for seed in seeds {
        let mut world = World::new(faults, seed, start, false);
        let run =
            catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|_| Err("a panic".to_owned()));
        let run = run.and_then(|()| match world.ledger.both() {
            Some(id) if faults == Faults::None => {
                Err(format!("{id} was told to have failed, and it arrived"))
            }
            Some(_) | None => Ok(()),
        });
        if let Err(fault) = run {
            panic!(
                "{faults:?}, seed {seed}: {fault}\n{}",
                trace(faults, seed, start, &fault)
            );
        }
        totals.add(&world.ledger.totals);
    }
    println!("{faults:?}: {totals:?}");
    assert!(totals.delivered > 0);
    totals
}

/// Runs a seed once more, and gives the last of what happened.
fn trace(faults: Faults, seed: u64, start: Instant, fault: &str) -> String {
    let mut world = World::new(faults, seed, start, true);
    let _again = catch_unwind(AssertUnwindSafe(|| world.run()));
    // What names the message at fault, and whatever concerns connections.
    let id = fault.split(' ').find(|word| {
        word.strip_prefix('m')
            .is_some_and(|number| number.parse::<u64>().is_ok())
    });
    let concerns = |line: &&String| {
        let is_of_another = line.contains("Message(")
            || line.contains("Iq(")
            || line.contains(" says of ")
            || line.contains(" Written ");
        id.is_none_or(|id| line.split([' ', ':']).any(|word| word == id)) || !is_of_another
    };
    let lines: Vec<_> = world.trace().iter().filter(concerns).cloned().collect();
    let last = lines.len().saturating_sub(MOST_LINES);
    lines[last..].join("\n")
}

/// The domain of a server, and of its edge.
fn domain(number: usize) -> &'static str {
    ["here.example", "there.example"][number]
}

/// Each host has a secret of its own.
fn secret(host: Host) -> DialbackSecret {
    DialbackSecret::new(format!("{host:?}").as_bytes())
}

/// For each sort of faults.
const SEEDS: &str = "250";
const MOST_LINES: usize = 120;
