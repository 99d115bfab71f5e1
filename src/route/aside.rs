//! The targets that failed a short while ago: they are tried after those that did not.
//!
//! Nothing here says that a target is not to be tried: where all have failed, they are tried in their usual order. What
//! is known of a place (nobody answers at that host and port) holds for every domain that leads there; what is known of a
//! target (TLS or the stream came to nothing) for that domain only.
//!
//! A SIP server outside comes back when it has answered a question of its own ([`Aside::due`]), everything else when its
//! time is over: the next attempt is the probe then. Nodes are looked at in any case.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use super::select::{Health, Watch};
use super::{Host, Protocol, Side, Target, Transport};
use crate::domain::Domain;
use crate::limits::TARGETS_SET_ASIDE;

/// What failed, and until when it comes last.
#[derive(Debug, Default)]
pub struct Aside {
    failed: HashMap<Key, Failed>,
    changes: u64,
}

/// How far an attempt came before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Nobody answered there.
    Connection,
    /// Somebody answered, and no stream or flow came of it.
    Negotiation,
}

#[derive(Debug)]
struct Failed {
    watch: Watch,
    target: Target,
    /// When traffic last asked for it.
    wanted: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// Streams of octets and datagrams of one port are two places.
    Place(Side, Carried, Host, NonZeroU16),
    Target(Domain, Protocol, Transport, Side, Host, NonZeroU16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Carried {
    Streams,
    Datagrams,
}

impl Aside {
    /// Puts targets that are set aside after the others, and leaves the order as it is otherwise.
    pub fn order(&mut self, now: Instant, targets: &mut [Target]) {
        for target in &*targets {
            for key in [place(target), negotiation(target)] {
                if let Some(failed) = self.failed.get_mut(&key) {
                    failed.wanted = now;
                }
            }
        }
        targets.sort_by_key(|target| self.is_set_aside(now, target));
    }

    /// Whether a target failed so short a while ago that others go first.
    #[must_use]
    pub fn is_set_aside(&self, now: Instant, target: &Target) -> bool {
        [place(target), negotiation(target)]
            .iter()
            .filter_map(|key| self.failed.get(key))
            .any(|failed| failed.is_set_aside(now))
    }

    /// Changes whenever a target is set aside or comes back: who has chosen one may choose again then.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// Sets a target aside, for longer with each failure. `random` is uniform over all its values.
    pub fn failed(&mut self, now: Instant, target: &Target, failure: Failure, random: u32) {
        let key = match failure {
            Failure::Connection => place(target),
            Failure::Negotiation => negotiation(target),
        };
        if let Some(failed) = self.set_aside(now, key, target) {
            failed.watch.failed(now, random);
        }
    }

    /// A target asked to be left alone for a while.
    pub fn asked(&mut self, now: Instant, target: &Target, wait: Duration) {
        if let Some(failed) = self.set_aside(now, negotiation(target), target) {
            failed.watch.asked_to_wait(now, wait);
        }
    }

    /// A target did all that was asked of it.
    pub fn succeeded(&mut self, target: &Target) {
        self.forget(&place(target));
        self.forget(&negotiation(target));
    }

    /// Somebody answers at the place of a target again; whether the rest works will be seen.
    pub fn answered(&mut self, target: &Target) {
        self.forget(&place(target));
    }

    /// At most so many of the targets that have to answer a question before they get traffic again, and whose time has
    /// come. None of them is given again before `patience` is over.
    pub fn due(&mut self, now: Instant, most: usize, patience: Duration) -> Vec<Target> {
        // Nobody waits for what nobody has asked for in a long time.
        let is_wanted = |failed: &Failed| {
            now.saturating_duration_since(failed.wanted) < FORGOTTEN || !failed.has_to_answer()
        };
        let before = self.failed.len();
        self.failed.retain(|_, failed| is_wanted(failed));
        if self.failed.len() != before {
            self.changes = self.changes.wrapping_add(1);
        }
        let mut due: Vec<Target> = Vec::new();
        for failed in self.failed.values_mut() {
            let is_due = failed.has_to_answer() && failed.watch.health(now) == Health::Probing;
            if !is_due || due.len() >= most {
                continue;
            }
            failed.watch.asked_to_wait(now, patience);
            if !due.contains(&failed.target) {
                due.push(failed.target.clone());
            }
        }
        due
    }

    fn set_aside(&mut self, now: Instant, key: Key, target: &Target) -> Option<&mut Failed> {
        if self.failed.len() >= TARGETS_SET_ASIDE {
            self.failed
                .retain(|_, failed| failed.watch.health(now) == Health::Down);
        }
        let is_known = self.failed.contains_key(&key);
        if self.failed.len() >= TARGETS_SET_ASIDE && !is_known {
            return None;
        }
        if !is_known {
            self.changes = self.changes.wrapping_add(1);
        }
        Some(self.failed.entry(key).or_insert_with(|| Failed {
            watch: match target.side {
                Side::Outside => Watch::new(FIRST_OUTSIDE, MOST_OUTSIDE),
                Side::Inside => Watch::new(INSIDE, INSIDE),
            },
            target: target.clone(),
            wanted: now,
        }))
    }

    fn forget(&mut self, key: &Key) {
        if self.failed.remove(key).is_some() {
            self.changes = self.changes.wrapping_add(1);
        }
    }
}

impl Failed {
    fn has_to_answer(&self) -> bool {
        self.target.protocol == Protocol::Sip && self.target.side == Side::Outside
    }

    fn is_set_aside(&self, now: Instant) -> bool {
        match self.watch.health(now) {
            Health::Up => false,
            // Elsewhere the next attempt is the probe.
            Health::Probing => self.has_to_answer(),
            Health::Down => true,
        }
    }
}

fn place(target: &Target) -> Key {
    let carried = match target.transport {
        Transport::Udp => Carried::Datagrams,
        Transport::Tcp | Transport::Tls => Carried::Streams,
    };
    Key::Place(target.side, carried, target.host.clone(), target.port)
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
/// A server outside is asked no more whether it is back when no traffic wanted it for so long; the next one that does is
/// tried there as if nothing were known.
const FORGOTTEN: Duration = Duration::from_secs(3600);

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

    fn order(aside: &mut Aside, now: Instant, targets: &[&Target]) -> Vec<String> {
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
        assert_eq!(order(&mut aside, after(9), &[&a, &b]), ["b.example", "a.example"]);
        assert_eq!(
            order(&mut aside, after(10), &[&a, &b]),
            ["a.example", "b.example"]
        );
        aside.failed(after(10), &a, Failure::Connection, u32::MAX);
        assert_eq!(
            order(&mut aside, after(29), &[&a, &b]),
            ["b.example", "a.example"]
        );
        assert_eq!(
            order(&mut aside, after(30), &[&a, &b]),
            ["a.example", "b.example"]
        );
        aside.failed(after(30), &b, Failure::Negotiation, 0);
        aside.failed(after(30), &a, Failure::Connection, 0);
        assert_eq!(
            order(&mut aside, after(31), &[&a, &b]),
            ["a.example", "b.example"],
            "where all have failed the order is the usual one"
        );
        aside.succeeded(&a);
        aside.succeeded(&b);
        aside.failed(after(40), &a, Failure::Connection, u32::MAX);
        assert_eq!(
            order(&mut aside, after(50), &[&a, &b]),
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
        assert_eq!(aside.failed.len(), TARGETS_SET_ASIDE);
        let later = start + Duration::from_secs(60);
        let late = numbered(TARGETS_SET_ASIDE + 20);
        aside.failed(later, &late, Failure::Connection, u32::MAX);
        assert!(
            aside.is_set_aside(later, &late),
            "those whose time is over make room"
        );
    }

    #[test]
    fn a_sip_server_outside_comes_back_when_it_has_answered_and_is_asked_in_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let sip = |side, transport| Target {
            protocol: Protocol::Sip,
            transport,
            ..target(side, "example.org", "a.example")
        };
        let a = sip(Side::Outside, Transport::Tls);
        let mut aside = Aside::default();
        aside.failed(start, &a, Failure::Connection, u32::MAX);
        aside.failed(start, &sip(Side::Inside, Transport::Tls), Failure::Connection, 0);
        aside.failed(
            start,
            &target(Side::Outside, "example.org", "b.example"),
            Failure::Connection,
            0,
        );
        let patience = Duration::from_secs(20);
        assert!(aside.due(after(9), 8, patience).is_empty());
        assert_eq!(aside.due(after(10), 8, patience), std::slice::from_ref(&a));
        assert!(
            aside.due(after(29), 8, patience).is_empty(),
            "one question at a time"
        );
        assert!(
            aside.is_set_aside(after(31), &a),
            "its time is over, and it has not answered"
        );
        assert!(
            !aside.is_set_aside(after(31), &sip(Side::Outside, Transport::Udp)),
            "datagrams are another matter"
        );
        let changes = aside.changes();
        aside.succeeded(&a);
        assert!(!aside.is_set_aside(after(31), &a) && aside.changes() != changes);
        // One that asked for a time is asked after it.
        aside.asked(after(40), &a, Duration::from_secs(60));
        assert!(aside.due(after(99), 8, patience).is_empty());
        assert_eq!(aside.due(after(100), 8, patience).len(), 1);
        // What nobody wants any more is not asked for ever.
        assert!(aside.due(after(40 + 3600), 8, patience).is_empty());
    }
}
