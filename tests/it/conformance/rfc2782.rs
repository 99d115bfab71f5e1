//! RFC 2782: the order in which the targets of SRV records are tried.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot be made fails the test"
)]

use proptest::prelude::*;
use vestibule::domain::Domain;
use vestibule::route::srv::{SrvRecord, order};

fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
    SrvRecord {
        priority,
        weight,
        port: 5269,
        target: (target != ".").then(|| Domain::parse(target).unwrap()),
    }
}

fn names(records: &[SrvRecord]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record.target.as_ref().unwrap().as_str())
        .collect()
}

/// A small generator of its own, so that a seed means the same everywhere.
fn seeded(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |most| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % (most + 1)
    }
}

#[test]
fn the_lowest_priority_comes_first_whatever_the_weights() {
    let records = [
        record(20, 65_535, "c.example"),
        record(0, 0, "a.example"),
        record(10, 1, "b.example"),
    ];
    for seed in 0..100 {
        assert_eq!(
            names(&order(&records, &mut seeded(seed))),
            ["a.example", "b.example", "c.example"]
        );
    }
}

#[test]
fn the_first_running_sum_that_reaches_the_random_number_is_taken() {
    // Zero weights at the beginning: running sums 0 (z), 1 (a), 4 (b).
    let records = [
        record(0, 1, "a.example"),
        record(0, 3, "b.example"),
        record(0, 0, "z.example"),
    ];
    let first = |chosen: u64| {
        let mut sums = Vec::new();
        let ordered = order(&records, &mut |sum| {
            sums.push(sum);
            if sums.len() == 1 { chosen } else { 0 }
        });
        assert_eq!(sums[0], 4, "the random number is from 0 to the sum, included");
        names(&ordered)[0].to_owned()
    };
    assert_eq!(first(0), "z.example");
    assert_eq!(first(1), "a.example");
    assert_eq!(first(2), "b.example");
    assert_eq!(first(4), "b.example");
}

#[test]
fn the_sum_is_made_again_for_every_target() {
    let records = [
        record(0, 10, "a.example"),
        record(0, 20, "b.example"),
        record(0, 30, "c.example"),
    ];
    let mut sums = Vec::new();
    let ordered = order(&records, &mut |sum| {
        sums.push(sum);
        sum
    });
    assert_eq!(names(&ordered), ["c.example", "b.example", "a.example"]);
    assert_eq!(sums, [60, 30]);
}

#[test]
fn all_weights_zero_keep_every_target() {
    let records = [
        record(0, 0, "a.example"),
        record(0, 0, "b.example"),
        record(0, 0, "c.example"),
    ];
    let ordered = order(&records, &mut seeded(7));
    assert_eq!(ordered.len(), 3);
}

#[test]
fn the_root_as_target_is_no_target() {
    assert!(order(&[record(0, 0, ".")], &mut seeded(1)).is_empty());
    let mixed = [record(0, 0, "."), record(5, 0, "a.example")];
    assert_eq!(names(&order(&mixed, &mut seeded(1))), ["a.example"]);
}

#[test]
fn shares_follow_the_weights() {
    let records = [
        record(0, 60, "a.example"),
        record(0, 30, "b.example"),
        record(0, 10, "c.example"),
        record(0, 0, "z.example"),
    ];
    let mut random = seeded(42);
    let mut firsts = [0_u32; 4];
    for _ in 0..10_000 {
        match names(&order(&records, &mut random))[0] {
            "a.example" => firsts[0] += 1,
            "b.example" => firsts[1] += 1,
            "c.example" => firsts[2] += 1,
            _ => firsts[3] += 1,
        }
    }
    // Of 101 numbers: 60, 30, 10, and 1 for the zero weight.
    for (found, expected) in firsts.into_iter().zip([5_940_u32, 2_970, 990, 99]) {
        assert!(found.abs_diff(expected) < expected / 10 + 40, "{firsts:?}");
    }
}

proptest! {
    #[test]
    fn an_order_is_a_permutation_by_priority_and_the_same_for_the_same_seed(
        parts in proptest::collection::vec((0_u16..4, any::<u16>()), 0..30), seed in any::<u64>(),
    ) {
        let records: Vec<_> = parts
            .iter()
            .enumerate()
            .map(|(at, (priority, weight))| record(*priority, *weight, &format!("n{at}.example")))
            .collect();
        let ordered = order(&records, &mut seeded(seed));
        prop_assert_eq!(&ordered, &order(&records, &mut seeded(seed)));
        prop_assert!(ordered.iter().is_sorted_by_key(|record| record.priority));
        let (mut found, mut given) = (names(&ordered), names(&records));
        found.sort_unstable();
        given.sort_unstable();
        prop_assert_eq!(found, given);
    }
}
