//! How many connections a map holds, and how many of one source: what one network fills up is not everybody's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::net::xmpp_places::network;

/// The places of a map. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    most: usize,
    most_of_source: usize,
    all: usize,
    sources: HashMap<IpAddr, usize>,
}

/// The place of a connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    source: IpAddr,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken.
    All,
    /// The source has those that it may have.
    OfSource,
}

impl Places {
    /// As many as this, and of one address of IPv4 or one /64 of IPv6 so many.
    pub(super) fn new(most: usize, most_of_source: usize) -> Self {
        Self(Arc::new(Mutex::new(Counts {
            most,
            most_of_source,
            all: 0,
            sources: HashMap::new(),
        })))
    }

    pub(super) fn take(&self, source: IpAddr) -> Result<Place, NoPlace> {
        let source = network(source);
        let mut counts = self.counts();
        if counts.all >= counts.most {
            return Err(NoPlace::All);
        }
        let own = counts.sources.get(&source).copied().unwrap_or_default();
        if own >= counts.most_of_source {
            return Err(NoPlace::OfSource);
        }
        counts.sources.insert(source, own.saturating_add(1));
        counts.all = counts.all.saturating_add(1);
        Ok(Place {
            places: self.clone(),
            source,
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.counts();
        counts.all = counts.all.saturating_sub(1);
        if let Some(own) = counts.sources.get_mut(&self.source) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                counts.sources.remove(&self.source);
            }
        }
    }
}

/// What is said again and again at the will of others, and is said once in a while.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    said: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// Whether it is to be said now, and how often it was not since it was said last.
    pub(super) fn say(&mut self, now: Instant) -> Option<u64> {
        let is_soon = self
            .said
            .is_some_and(|said| now.saturating_duration_since(said) < PAUSE);
        if is_soon {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

const PAUSE: Duration = Duration::from_secs(10);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::net::world;

    fn source(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_does_not_take_the_places_of_all() {
        let places = Places::new(3, 2);
        let first = places.take(source("2001:db8::1")).unwrap();
        let _second = places.take(source("2001:db8::2")).unwrap();
        assert_eq!(places.take(source("2001:db8::3")).unwrap_err(), NoPlace::OfSource);
        let _third = places.take(source("192.0.2.1")).unwrap();
        assert_eq!(places.take(source("192.0.2.2")).unwrap_err(), NoPlace::All);
        drop(first);
        let _again = places.take(source("2001:db8::3")).unwrap();
        assert_eq!(places.take(source("192.0.2.2")).unwrap_err(), NoPlace::All);
    }

    #[test]
    fn places_that_are_given_back_leave_nothing_behind() {
        let places = Places::new(1000, 10);
        let held: Vec<_> = (0..200_u8)
            .map(|last| places.take(IpAddr::from([192, 0, 2, last])).unwrap())
            .collect();
        assert_eq!(places.counts().sources.len(), 200);
        drop(held);
        let counts = places.counts();
        assert_eq!((counts.all, counts.sources.len()), (0, 0));
    }

    #[test]
    fn what_others_cause_is_said_once_in_a_while() {
        let (mut seldom, start) = (Seldom::default(), world::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let said: Vec<_> = [0, 1, 9, 10, 11, 40]
            .into_iter()
            .map(|seconds| seldom.say(at(seconds)))
            .collect();
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
