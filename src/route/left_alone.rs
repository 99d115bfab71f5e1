//! The servers that have asked to be left alone for a while, and until when (RFC 3261 §21.5.4, RFC 3263 §4.3).
//!
//! Not those that failed: they are tried last ([`super::aside`]), these not at all. Invariant: at most so many targets
//! are known as [`LeftAlone::new`] was told; what is forgotten is asked again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Target;

/// The servers that are left alone. Time is an argument.
#[derive(Debug)]
pub struct LeftAlone {
    most: usize,
    until: HashMap<Target, Instant>,
}

impl LeftAlone {
    /// No server; at most `most` will be.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            until: HashMap::new(),
        }
    }

    /// A server asked to be left alone; a wait beyond [`LONGEST_WAIT`] is cut to it.
    //
    //= rfc3261#21.5.4
    //# It SHOULD NOT forward any other requests to that server for the duration specified in the Retry-After header
    //# field, if present.
    pub fn asked(&mut self, target: &Target, now: Instant, wait: Duration) {
        let Some(until) = now.checked_add(wait.min(LONGEST_WAIT)) else {
            return;
        };
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= self.most && !self.until.contains_key(target) {
            // The one whose time is over first makes room.
            let first = self.until.iter().min_by_key(|(_, until)| **until);
            if let Some(first) = first.map(|(target, _)| target.clone()) {
                self.until.remove(&first);
            }
        }
        self.until.insert(target.clone(), until);
    }

    /// Whether a server is not to be asked.
    #[must_use]
    pub fn has(&self, target: &Target, now: Instant) -> bool {
        self.until.get(target).is_some_and(|until| *until > now)
    }
}

/// The longest time that a peer can keep us from one of its servers: what asks for more is a mistake, and its users
/// would wait for a server that is long well.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    #![allow(
        clippy::arithmetic_side_effects,
        clippy::disallowed_methods,
        reason = "tests count from some instant"
    )]
    use super::*;
    use crate::domain::Domain;
    use crate::route::{Host, Protocol, Side, Transport};

    fn target(host: &str) -> Target {
        Target {
            protocol: Protocol::Sip,
            transport: Transport::Tls,
            side: Side::Outside,
            host: Host::parse(host).unwrap(),
            port: Protocol::Sip.default_port(Transport::Tls),
            domain: Domain::parse("contoso.example").unwrap(),
            tls: None,
        }
    }

    #[test]
    fn a_server_is_left_alone_for_just_the_time_that_it_asked_for() {
        let (now, mut left) = (Instant::now(), LeftAlone::new(8));
        let (a, b) = (target("a.example"), target("b.example"));
        left.asked(&a, now, Duration::from_secs(30));
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(left.has(&a, at(29)) && !left.has(&b, at(29)));
        assert!(!left.has(&a, at(30)));
        // What it said last counts.
        left.asked(&a, at(5), Duration::from_secs(1));
        assert!(!left.has(&a, at(6)));
    }

    #[test]
    fn nobody_can_send_us_away_for_ever_nor_fill_the_memory() {
        let (now, mut left) = (Instant::now(), LeftAlone::new(2));
        let (a, b, c) = (target("a.example"), target("b.example"), target("c.example"));
        left.asked(&a, now, Duration::from_secs(u64::MAX));
        assert!(!left.has(&a, now + LONGEST_WAIT));
        left.asked(&b, now, Duration::from_secs(5));
        left.asked(&c, now, Duration::from_secs(9));
        assert_eq!(
            [&a, &b, &c].map(|target| left.has(target, now)),
            [true, false, true]
        );
    }
}
