//! Time as an argument: a table of timers, and back-off with jitter.
//!
//! Nothing here reads a clock. Protocol code is told `now` and answers with the earliest instant at which it wants
//! to be called again.

use std::time::{Duration, Instant};

/// The timers of one machine, indexed by its own enum.
///
/// `K::index` must be below `N` for every value; an index that is not is a timer that never fires, not a panic.
#[derive(Debug, Clone)]
pub struct TimerTable<K, const N: usize> {
    due: [Option<Instant>; N],
    kind: std::marker::PhantomData<K>,
}

/// A timer's name within its machine.
pub trait TimerKind: Copy + 'static {
    /// All names, in the order of their index.
    const ALL: &'static [Self];
    /// The position of this name in [`TimerKind::ALL`].
    fn index(self) -> usize;
}

impl<K: TimerKind, const N: usize> TimerTable<K, N> {
    /// A table with no timer set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            due: [None; N],
            kind: std::marker::PhantomData,
        }
    }

    /// Sets a timer, replacing what it was set to. An instant beyond what the clock can express never comes.
    pub fn set(&mut self, kind: K, now: Instant, after: Duration) {
        if let Some(slot) = self.due.get_mut(kind.index()) {
            *slot = now.checked_add(after);
        }
    }

    /// Clears a timer.
    pub fn clear(&mut self, kind: K) {
        if let Some(slot) = self.due.get_mut(kind.index()) {
            *slot = None;
        }
    }

    /// Clears all timers.
    pub const fn clear_all(&mut self) {
        self.due = [None; N];
    }

    /// Whether a timer is set.
    #[must_use]
    pub fn is_set(&self, kind: K) -> bool {
        self.due.get(kind.index()).is_some_and(Option::is_some)
    }

    /// The earliest instant of all timers.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.due.iter().flatten().min().copied()
    }

    /// Takes the earliest timer that is due at `now`; call it until it gives `None`.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        let (_, kind) = K::ALL
            .iter()
            .filter_map(|kind| {
                self.due
                    .get(kind.index())
                    .copied()
                    .flatten()
                    .map(|at| (at, *kind))
            })
            .filter(|(at, _)| *at <= now)
            .min_by_key(|(at, _)| *at)?;
        self.clear(kind);
        Some(kind)
    }
}

impl<K: TimerKind, const N: usize> Default for TimerTable<K, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Exponential back-off with full jitter: the n-th wait is random between half of and the whole of `first * 2^n`,
/// never over `most`; both are taken in whole milliseconds, and for at most 49 days.
#[derive(Debug, Clone)]
pub struct Backoff {
    // Whole milliseconds: whoever has a great many of these holds them for long.
    first: u32,
    most: u32,
    failures: u32,
}

impl Backoff {
    /// A back-off that has seen no failure.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self {
            first: millis(first),
            most: millis(most),
            failures: 0,
        }
    }

    /// Counts a failure and gives the time to wait. `random` is uniform over all its values.
    pub fn failed(&mut self, random: u32) -> Duration {
        let doubled = self
            .first
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let ceiling = Duration::from_millis(u64::from(doubled.min(self.most)));
        let half = ceiling.mul_f64(0.5);
        let spread = half.mul_f64(f64::from(random) / f64::from(u32::MAX));
        half.saturating_add(spread)
    }

    /// Another longest wait, from the next failure on.
    pub fn set_longest(&mut self, most: Duration) {
        self.most = millis(most);
    }

    /// Forgets the failures.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How many failures have come since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        A,
        B,
    }

    impl TimerKind for Kind {
        const ALL: &'static [Self] = &[Self::A, Self::B];
        fn index(self) -> usize {
            match self {
                Self::A => 0,
                Self::B => 1,
            }
        }
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn timers_come_in_the_order_of_their_time_and_once() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut timers = TimerTable::<Kind, 2>::new();
        timers.set(Kind::A, start, Duration::from_secs(5));
        timers.set(Kind::B, start, Duration::from_secs(3));
        assert_eq!(timers.next(), Some(at(3)));
        assert_eq!(timers.expired(at(2)), None);
        assert_eq!(timers.expired(at(9)), Some(Kind::B));
        assert_eq!(timers.expired(at(9)), Some(Kind::A));
        assert_eq!(timers.expired(at(9)), None);
        timers.set(Kind::A, start, Duration::MAX);
        assert!(!timers.is_set(Kind::A));
    }

    #[test]
    fn back_off_grows_to_its_ceiling_and_never_over_it() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
        let waits: Vec<_> = (0..40).map(|_| backoff.failed(u32::MAX).as_secs()).collect();
        assert_eq!(
            waits.get(..10),
            Some(&[1, 2, 4, 8, 16, 32, 64, 128, 256, 300][..])
        );
        assert!(waits.iter().all(|w| *w <= 300));
        assert_eq!(
            Backoff::new(Duration::from_secs(8), Duration::from_secs(300))
                .failed(0)
                .as_secs(),
            4
        );
        backoff.succeeded();
        assert_eq!(backoff.failures(), 0);
    }
}
