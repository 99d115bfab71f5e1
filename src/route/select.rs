//! The order in which things of a priority and a weight are tried, and which of them are well.
//!
//! The weighted order is that of RFC 2782, used for SRV records, nodes and static routes alike.

use std::time::{Duration, Instant};

use crate::clock::Backoff;

/// Something with a priority and a weight.
pub trait Weighted {
    /// Lower first.
    fn priority(&self) -> u16;
    /// Share among equals; zero is a very small share.
    fn weight(&self) -> u16;
}

/// A source of randomness: a uniform number from 0 to the argument, both included.
pub type Random<'r> = &'r mut dyn FnMut(u64) -> u64;

/// How a target is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Health {
    /// It answers, or nobody has tried.
    Up,
    /// It failed, and its time to be tried again has come: one probe is under way or due.
    Probing,
    /// It failed a short while ago.
    Down,
}

/// What is known of one target: set aside after a failure, probed after a growing time, back as soon as it answers.
#[derive(Debug, Clone)]
pub struct Watch {
    backoff: Backoff,
    probe_at: Option<Instant>,
}

/// Puts everything in the order in which it is to be tried.
///
/// What is up comes first, by priority and then by weighted chance, so that the share of a failed one goes to its equals
/// at once. What is probed follows, and what is down comes last rather than never: where nothing else is left, trying
/// is better than failing.
#[must_use]
pub fn order<T: Weighted>(items: Vec<T>, health: impl Fn(&T) -> Health, random: Random<'_>) -> Vec<T> {
    let mut ranked: Vec<_> = items
        .into_iter()
        .map(|item| ((health(&item), item.priority()), item))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut ordered = Vec::with_capacity(ranked.len());
    let mut rest = ranked.into_iter().peekable();
    while let Some((rank, first)) = rest.next() {
        let mut group = vec![first];
        while let Some((_, item)) = rest.next_if(|(next, _)| *next == rank) {
            group.push(item);
        }
        shuffle(group, &mut ordered, random);
    }
    ordered
}

/// Moves a group of equals to the end of `ordered` by weighted chance.
//
//= rfc2782#
//# arrange all SRV RRs (that have not been ordered yet) in any order, except that all those with weight 0 are placed at
//# the beginning of the list
fn shuffle<T: Weighted>(mut group: Vec<T>, ordered: &mut Vec<T>, random: Random<'_>) {
    group.sort_by_key(|item| item.weight() != 0);
    while group.len() > 1 {
        let sum = group
            .iter()
            .fold(0_u64, |sum, item| sum.saturating_add(item.weight().into()));
        //= rfc2782#
        //# choose a uniform random number between 0 and the sum computed (inclusive), and select the RR whose running
        //# sum value is the first in the selected order which is greater than or equal to the random number selected
        let chosen = random(sum).min(sum);
        let mut running = 0_u64;
        let position = group.iter().position(|item| {
            running = running.saturating_add(item.weight().into());
            running >= chosen
        });
        // `remove` and not `swap_remove`: the zero weights have to stay at the beginning.
        ordered.push(group.remove(position.unwrap_or(0)));
    }
    ordered.append(&mut group);
}

impl Watch {
    /// A target that nobody has tried; a failed one is probed after `first`, then after twice that, up to `most`.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self {
            backoff: Backoff::new(first, most),
            probe_at: None,
        }
    }

    /// How the target is doing.
    #[must_use]
    pub fn health(&self, now: Instant) -> Health {
        match self.probe_at {
            None => Health::Up,
            Some(at) if at <= now => Health::Probing,
            Some(_) => Health::Down,
        }
    }

    /// The target failed; gives the time of its next probe. `random` is uniform over all its values.
    pub fn failed(&mut self, now: Instant, random: u32) -> Instant {
        let wait = self.backoff.failed(random);
        self.set_aside(now, wait)
    }

    /// The target asked to be left alone for a while (SIP Retry-After).
    pub fn asked_to_wait(&mut self, now: Instant, wait: Duration) -> Instant {
        self.set_aside(now, wait)
    }

    /// The target answered.
    pub fn succeeded(&mut self) {
        self.backoff.succeeded();
        self.probe_at = None;
    }

    /// When the next probe is due.
    #[must_use]
    pub const fn probe_at(&self) -> Option<Instant> {
        self.probe_at
    }

    fn set_aside(&mut self, now: Instant, wait: Duration) -> Instant {
        let at = now.checked_add(wait).unwrap_or(now);
        self.probe_at = Some(at);
        at
    }
}
