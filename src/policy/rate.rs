//! How much of something a peer may do in a time: a token bucket on a virtual clock.
//!
//! One bucket is one instant: the time at which it will be full again (the generic cell rate algorithm). Nothing is
//! refilled by a timer, and no fraction is lost.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::refusal::{Fault, Refuse};

/// A rate and the burst that it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Events a second, over time.
    pub per_second: NonZeroU32,
    /// Events at once, after a quiet time.
    pub burst: NonZeroU32,
}

/// A bucket that holds `burst` tokens and gains `per_second` of them a second.
#[derive(Debug, Clone)]
pub struct Bucket {
    interval: Duration,
    slack: Duration,
    full_at: Option<Instant>,
}

/// The rate is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("over the configured rate; the next is allowed in {} ms", retry_after.as_millis())]
pub struct Exceeded {
    /// When the next event is allowed, from now.
    pub retry_after: Duration,
}

impl Rate {
    /// A rate whose burst is one second of it.
    #[must_use]
    pub const fn per_second(per_second: NonZeroU32) -> Self {
        Self {
            per_second,
            burst: per_second,
        }
    }
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let interval = Duration::from_secs(1)
            .checked_div(rate.per_second.get())
            .unwrap_or(Duration::ZERO);
        Self {
            interval,
            slack: interval.saturating_mul(rate.burst.get().saturating_sub(1)),
            full_at: None,
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// [`Exceeded`] where there is none; nothing is taken then, so refused events do not delay the next allowed one.
    pub fn take(&mut self, now: Instant) -> Result<(), Exceeded> {
        let full_at = self.full_at.filter(|at| *at > now).unwrap_or(now);
        let debt = full_at.saturating_duration_since(now);
        if let Some(retry_after) = debt.checked_sub(self.slack).filter(|wait| !wait.is_zero()) {
            return Err(Exceeded { retry_after });
        }
        self.full_at = full_at.checked_add(self.interval);
        Ok(())
    }

    /// How long somebody has to wait for a token who lets so many others go first.
    #[must_use]
    pub fn wait(&self, now: Instant, ahead: usize) -> Duration {
        let full_at = self.full_at.filter(|at| *at > now).unwrap_or(now);
        let debt = full_at.saturating_duration_since(now);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        debt.saturating_add(self.interval.saturating_mul(ahead))
            .saturating_sub(self.slack)
    }

    /// Whether the bucket holds all its tokens, so that it may be forgotten.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

impl Refuse for Exceeded {
    fn class(&self) -> &'static str {
        "rate"
    }

    fn fault(&self) -> Fault {
        Fault::Overload
    }

    fn sip_status(&self) -> u16 {
        503
    }

    fn stanza_condition(&self) -> &'static str {
        "resource-constraint"
    }

    fn peer_text(&self) -> &'static str {
        "Too many requests"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests")]
    #![allow(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]

    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    #[test]
    fn a_burst_passes_and_then_one_an_interval() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = Bucket::new(rate(10, 3));
        assert!(bucket.is_full(start));
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        let wait = |ms| {
            Err(Exceeded {
                retry_after: Duration::from_millis(ms),
            })
        };
        assert_eq!(bucket.take(start), wait(100));
        assert_eq!(bucket.take(at(40)), wait(60));
        assert_eq!(bucket.take(at(100)), Ok(()));
        assert_eq!(bucket.take(at(100)), wait(100));
        assert!(!bucket.is_full(at(399)) && bucket.is_full(at(400)));
        // A long quiet time gives a whole burst and no more.
        for _ in 0..3 {
            assert_eq!(bucket.take(at(60_000)), Ok(()));
        }
        assert_eq!(bucket.take(at(60_000)), wait(100));
        // Time that goes back is no reason to let more through.
        assert!(bucket.take(at(1_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_window_of_time_passes_more_than_its_rate_and_the_burst(
            per_second in 1_u32..50, burst in 1_u32..20,
            steps in proptest::collection::vec(0_u64..200, 1..300),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut bucket = Bucket::new(rate(per_second, burst));
            let mut passed = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                match bucket.take(now) {
                    Ok(()) => passed.push(now),
                    Err(exceeded) => prop_assert!(bucket.clone().take(now + exceeded.retry_after).is_ok()),
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let gained = to.duration_since(*from).as_nanos() * u128::from(per_second) / 1_000_000_000;
                    let passed = u128::try_from(last - first + 1).unwrap();
                    prop_assert!(passed <= u128::from(burst) + gained + 1);
                }
            }
        }
    }
}
