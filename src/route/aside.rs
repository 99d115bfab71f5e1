//! The targets that failed a short while ago: they are tried after those that did not.
//!
//! Nothing here says that a target is not to be tried: where all have failed, they are tried in their usual order. What
//! is known of a place (nobody answers at that host and port) holds for every domain that leads there; what is known of a
//! target (TLS or the stream came to nothing) for that domain only.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use super::select::{Health, Watch};
use super::{Host, Protocol, Side, Target, Transport};
use crate::domain::Domain;
use crate::limits::TARGETS_SET_ASIDE;

/// What failed, and until when it comes last.
#[derive(Debug, Default)]
pub struct Aside(HashMap<Key, Watch>);

/// How far an attempt came before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Nobody answered there.
    Connection,
    /// Somebody answered, and no stream or flow came of it.
    Negotiation,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Place(Side, Host, NonZeroU16),
    Target(Domain, Protocol, Transport, Side, Host, NonZeroU16),
}

impl Aside {
    /// Puts targets that are set aside after the others, and leaves the order as it is otherwise.
    pub fn order(&self, now: Instant, targets: &mut [Target]) {
        targets.sort_by_key(|target| self.is_set_aside(now, target));
    }

    /// Whether a target failed so short a while ago that others go first.
    #[must_use]
    pub fn is_set_aside(&self, now: Instant, target: &Target) -> bool {
        [place(target), negotiation(target)]
            .iter()
            .filter_map(|key| self.0.get(key))
            // When its time is over the next attempt is the probe.
            .any(|watch| watch.health(now) == Health::Down)
    }

    /// Sets a target aside, for longer with each failure. `random` is uniform over all its values.
    pub fn failed(&mut self, now: Instant, target: &Target, failure: Failure, random: u32) {
        let key = match failure {
            Failure::Connection => place(target),
            Failure::Negotiation => negotiation(target),
        };
        if self.0.len() >= TARGETS_SET_ASIDE {
            self.0.retain(|_, watch| watch.health(now) == Health::Down);
        }
        if self.0.len() >= TARGETS_SET_ASIDE && !self.0.contains_key(&key) {
            return;
        }
        let watch = self.0.entry(key).or_insert_with(|| match target.side {
            Side::Outside => Watch::new(FIRST_OUTSIDE, MOST_OUTSIDE),
            Side::Inside => Watch::new(INSIDE, INSIDE),
        });
        watch.failed(now, random);
    }

    /// A target did all that was asked of it.
    pub fn succeeded(&mut self, target: &Target) {
        self.0.remove(&place(target));
        self.0.remove(&negotiation(target));
    }

    /// Somebody answers at the place of a target again; whether the rest works will be seen.
    pub fn answered(&mut self, target: &Target) {
        self.0.remove(&place(target));
    }
}

fn place(target: &Target) -> Key {
    Key::Place(target.side, target.host.clone(), target.port)
}

fn negotiation(target: &Target) -> Key {
    Key::Target(
        target.domain.clone(),
        target.protocol,
        target.transport,
        target.side,
        target.host.clone(),
        target.port,
    )
}

/// How long a foreign target comes last after its first failure.
const FIRST_OUTSIDE: Duration = Duration::from_secs(10);
/// And after many (edge §4: back-off to 300 s at most).
const MOST_OUTSIDE: Duration = Duration::from_secs(300);
/// How long a node comes last: nodes are probed every few seconds, which ends it, or makes it longer, much sooner.
const INSIDE: Duration = Duration::from_secs(30);

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;

    fn target(side: Side, domain: &str, host: &str) -> Target {
        Target {
            protocol: Protocol::Xmpp,
            transport: Transport::Tcp,
            side,
            host: Host::parse(host).unwrap(),
            port: NonZeroU16::new(5269).unwrap(),
            domain: Domain::parse(domain).unwrap(),
            tls: None,
        }
    }

    fn order(aside: &Aside, now: Instant, targets: &[&Target]) -> Vec<String> {
        let mut ordered: Vec<Target> = targets.iter().map(|target| (*target).clone()).collect();
        aside.order(now, &mut ordered);
        ordered.iter().map(|target| target.host.to_string()).collect()
    }

    #[test]
    fn what_failed_comes_last_for_a_while_and_longer_each_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let [a, b] = ["a.example", "b.example"].map(|host| target(Side::Outside, "example.org", host));
        let mut aside = Aside::default();
        aside.failed(start, &a, Failure::Connection, u32::MAX);
        assert_eq!(order(&aside, after(9), &[&a, &b]), ["b.example", "a.example"]);
        assert_eq!(order(&aside, after(10), &[&a, &b]), ["a.example", "b.example"]);
        aside.failed(after(10), &a, Failure::Connection, u32::MAX);
        assert_eq!(order(&aside, after(29), &[&a, &b]), ["b.example", "a.example"]);
        assert_eq!(order(&aside, after(30), &[&a, &b]), ["a.example", "b.example"]);
        aside.failed(after(30), &b, Failure::Negotiation, 0);
        aside.failed(after(30), &a, Failure::Connection, 0);
        assert_eq!(
            order(&aside, after(31), &[&a, &b]),
            ["a.example", "b.example"],
            "where all have failed the order is the usual one"
        );
        aside.succeeded(&a);
        aside.succeeded(&b);
        aside.failed(after(40), &a, Failure::Connection, u32::MAX);
        assert_eq!(
            order(&aside, after(50), &[&a, &b]),
            ["a.example", "b.example"],
            "a success counts"
        );
    }

    #[test]
    fn a_dead_place_is_dead_for_all_domains_and_a_bad_stream_for_its_own() {
        let now = Instant::now();
        let mine = target(Side::Inside, "example.com", "imp1.example");
        let alias = target(Side::Inside, "chat.example.com", "imp1.example");
        let elsewhere = target(Side::Outside, "example.com", "imp1.example");
        let mut aside = Aside::default();
        aside.failed(now, &mine, Failure::Connection, 0);
        assert!(aside.is_set_aside(now, &mine) && aside.is_set_aside(now, &alias));
        assert!(
            !aside.is_set_aside(now, &elsewhere),
            "a name outside is another place"
        );
        aside.failed(now, &mine, Failure::Negotiation, 0);
        aside.answered(&alias);
        assert!(!aside.is_set_aside(now, &alias));
        assert!(
            aside.is_set_aside(now, &mine),
            "that somebody answers does not mend its stream"
        );
        aside.succeeded(&mine);
        assert!(!aside.is_set_aside(now, &mine));
    }

    #[test]
    fn a_peer_cannot_fill_the_memory_with_targets_that_fail() {
        let start = Instant::now();
        let mut aside = Aside::default();
        let numbered = |number: usize| target(Side::Outside, "example.org", &format!("h{number}.example"));
        for number in 0..TARGETS_SET_ASIDE + 10 {
            aside.failed(start, &numbered(number), Failure::Connection, u32::MAX);
        }
        assert_eq!(aside.0.len(), TARGETS_SET_ASIDE);
        let later = start + Duration::from_secs(60);
        let late = numbered(TARGETS_SET_ASIDE + 20);
        aside.failed(later, &late, Failure::Connection, u32::MAX);
        assert!(
            aside.is_set_aside(later, &late),
            "those whose time is over make room"
        );
    }
}
