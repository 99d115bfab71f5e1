//! Requests of ours towards a peer at no more than its rate: what comes too fast waits its turn, in its order.
//!
//! A machine without a clock. What would wait beyond its own time, or finds no room, is given back at once, so that whoever
//! sent it is told the truth while it helps. Invariant: what waits together is bounded in number and in octets.

use std::collections::VecDeque;
use std::time::Instant;

use super::rate::{Bucket, Exceeded, Rate};
use crate::limits::{PACED_BYTES, PACED_REQUESTS};

/// What waits for its turn towards one peer.
#[derive(Debug)]
pub struct Pace<T> {
    rate: Rate,
    bucket: Bucket,
    waiting: VecDeque<(usize, T)>,
    octets: usize,
}

impl<T> Pace<T> {
    /// Nothing waits.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            bucket: Bucket::new(rate),
            waiting: VecDeque::new(),
            octets: 0,
        }
    }

    /// Another rate from now on; what waits goes on waiting by it.
    pub fn set(&mut self, rate: Rate) {
        if self.rate != rate {
            (self.rate, self.bucket) = (rate, Bucket::new(rate));
        }
    }

    /// Takes something in that holds so many octets and is worth sending until then; [`Pace::poll`] gives it out.
    ///
    /// # Errors
    /// It is given back where its turn would come too late, or too much waits, with the time after which there is room.
    pub fn handle(
        &mut self,
        now: Instant,
        entry: T,
        octets: usize,
        until: Instant,
    ) -> Result<(), (T, Exceeded)> {
        let wait = self.bucket.wait(now, self.waiting.len());
        let is_late = now.checked_add(wait).is_none_or(|turn| turn > until);
        let held = self.octets.saturating_add(octets);
        if is_late || self.waiting.len() >= PACED_REQUESTS || (held > PACED_BYTES && !self.waiting.is_empty())
        {
            return Err((entry, Exceeded { retry_after: wait }));
        }
        self.octets = held;
        self.waiting.push_back((octets, entry));
        Ok(())
    }

    /// What may go now; call it until it gives nothing.
    pub fn poll(&mut self, now: Instant) -> Option<T> {
        if self.waiting.is_empty() || self.bucket.take(now).is_err() {
            return None;
        }
        self.end()
    }

    /// Takes out what is next, whether it may go or not: for the end.
    pub fn end(&mut self) -> Option<T> {
        let (octets, entry) = self.waiting.pop_front()?;
        self.octets = self.octets.saturating_sub(octets);
        Some(entry)
    }

    /// When the next may go; none where nothing waits.
    #[must_use]
    pub fn timeout(&self, now: Instant) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        now.checked_add(self.bucket.wait(now, 0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests")]
    #![allow(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]

    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    /// Lets time pass until something may go.
    fn next(pace: &mut Pace<u32>, now: &mut Instant) -> Option<u32> {
        if let Some(at) = pace.timeout(*now) {
            *now = at;
        }
        pace.poll(*now)
    }

    #[test]
    fn what_comes_too_fast_waits_in_its_order_and_nothing_is_lost() {
        let start = Instant::now();
        let (mut now, late) = (start, start + Duration::from_secs(60));
        let mut pace = Pace::new(rate(20, 20));
        for number in 0..100 {
            pace.handle(now, number, 1, late).unwrap();
        }
        for number in 0..20 {
            assert_eq!(pace.poll(start), Some(number), "a burst goes at once");
        }
        assert_eq!(pace.poll(start), None);
        for number in 20..100 {
            assert_eq!(next(&mut pace, &mut now), Some(number));
        }
        assert_eq!(now.duration_since(start), Duration::from_secs(4));
        assert_eq!((pace.timeout(now), pace.poll(late)), (None, None));
    }

    #[test]
    fn what_would_go_too_late_is_given_back_at_once() {
        let now = Instant::now();
        let until = now + Duration::from_secs(2);
        let mut pace = Pace::new(rate(10, 1));
        let taken = (0..100).filter(|number| pace.handle(now, *number, 1, until).is_ok());
        assert_eq!(taken.count(), 21, "one at once, and ten in each second");
        let (given, exceeded) = pace.handle(now, 7, 1, until).unwrap_err();
        assert_eq!((given, exceeded.retry_after), (7, Duration::from_millis(2_100)));
        assert!(
            pace.handle(now, 8, 1, until + Duration::from_secs(1)).is_ok(),
            "another has more time"
        );
    }

    #[test]
    fn neither_many_nor_large_ones_fill_the_memory_and_one_alone_passes_in_any_case() {
        let now = Instant::now();
        let until = now + Duration::from_secs(1_000_000);
        let mut pace = Pace::new(rate(1, 1));
        let taken = (0..10_000)
            .filter(|number| pace.handle(now, *number, 1, until).is_ok())
            .count();
        assert_eq!(taken, PACED_REQUESTS);
        let mut pace = Pace::new(rate(1, 1));
        assert!(pace.handle(now, 0, PACED_BYTES * 2, until).is_ok());
        assert!(pace.handle(now, 1, 1, until).is_err());
        assert_eq!(pace.end(), Some(0));
        assert!(pace.handle(now, 1, PACED_BYTES, until).is_ok());
    }

    #[test]
    fn another_rate_holds_for_what_waits_already() {
        let mut now = Instant::now();
        let until = now + Duration::from_secs(1_000);
        let mut pace = Pace::new(rate(1, 1));
        for number in 0..10 {
            pace.handle(now, number, 1, until).unwrap();
        }
        assert_eq!(pace.poll(now), Some(0));
        pace.set(rate(100, 1));
        let start = now;
        while next(&mut pace, &mut now).is_some() {}
        assert!(now.duration_since(start) <= Duration::from_millis(100));
    }

    proptest! {
        #[test]
        fn what_is_taken_goes_in_time_and_no_faster_than_the_rate(
            per_second in 1_u32..50, burst in 1_u32..20, patience in 1_u64..5_000,
            steps in proptest::collection::vec(0_u64..100, 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut pace = Pace::new(rate(per_second, burst));
            let mut until = VecDeque::new();
            let mut went = Vec::new();
            let mut go = |pace: &mut Pace<u32>, until: &mut VecDeque<Instant>, now: Instant| {
                while let Some(at) = pace.timeout(now).filter(|at| *at <= now) {
                    prop_assert!(pace.poll(at).is_some());
                    prop_assert!(until.pop_front().is_some_and(|until| at <= until));
                    went.push(at);
                }
                Ok(())
            };
            for step in steps {
                let next = now + Duration::from_millis(step);
                while let Some(at) = pace.timeout(now).filter(|at| *at <= next) {
                    now = at;
                    go(&mut pace, &mut until, now)?;
                }
                now = next;
                let by = now + Duration::from_millis(patience);
                if pace.handle(now, 0, 1, by).is_ok() {
                    until.push_back(by);
                }
                go(&mut pace, &mut until, now)?;
            }
            for (first, from) in went.iter().enumerate() {
                for (last, to) in went.iter().enumerate().skip(first) {
                    let gained = to.duration_since(*from).as_nanos() * u128::from(per_second) / 1_000_000_000;
                    prop_assert!(u128::try_from(last - first + 1).unwrap() <= u128::from(burst) + gained + 1);
                }
            }
        }
    }
}
