//! How fast each foreign domain may go on, over all its streams together.
//!
//! Who is too fast is not read from for a moment, so that its own socket holds it back; only what would have to wait
//! longer than that is refused.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::Domain;
use crate::policy::rate::{Bucket, Exceeded, Rate};

/// The buckets of all domains that have a rate.
#[derive(Debug, Default)]
pub struct Rates(Mutex<HashMap<(Domain, Of), (Rate, Bucket)>>);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Of {
    /// Messages, presence and queries.
    Stanzas,
    /// New streams.
    Streams,
    /// Requests of SIP.
    Requests,
    /// New dialogs of SIP.
    Dialogs,
}

impl Rates {
    /// Takes one of what `domain` may do, or says how long it has to wait for it.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn take(&self, now: Instant, domain: &Domain, of: Of, rate: Rate) -> Result<(), Exceeded> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MANY {
            // A full bucket says no more than none.
            buckets.retain(|_, (_, bucket)| !bucket.is_full(now));
        }
        let (known, bucket) = buckets
            .entry((domain.clone(), of))
            .or_insert_with(|| (rate, Bucket::new(rate)));
        if *known != rate {
            (*known, *bucket) = (rate, Bucket::new(rate));
        }
        bucket.take(now)
    }

    /// The same, waiting for at most `patience`.
    ///
    /// # Errors
    /// [`Exceeded`] where that is not enough.
    pub async fn wait(
        &self,
        domain: &Domain,
        of: Of,
        rate: Rate,
        patience: Duration,
    ) -> Result<(), Exceeded> {
        let patient_until = super::world::now().checked_add(patience);
        loop {
            let now = super::world::now();
            let Err(exceeded) = self.take(now, domain, of, rate) else {
                return Ok(());
            };
            let again = now.checked_add(exceeded.retry_after);
            if again > patient_until {
                return Err(exceeded);
            }
            super::world::sleep_until(again).await;
        }
    }
}

/// Buckets beyond which those that are full are forgotten.
const MANY: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::net::world;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_too_fast_waits_and_others_do_not() {
        let rates = Rates::default();
        let (fast, slow) = (
            Domain::parse("fast.example").unwrap(),
            Domain::parse("slow.example").unwrap(),
        );
        let patience = Duration::from_secs(1);
        let started = world::now();
        for _ in 0..11 {
            rates
                .wait(&fast, Of::Stanzas, rate(10, 1), patience)
                .await
                .unwrap();
        }
        let took = world::now().duration_since(started);
        assert!(took >= Duration::from_secs(1), "{took:?}");
        let before = world::now();
        rates
            .wait(&slow, Of::Stanzas, rate(10, 1), patience)
            .await
            .unwrap();
        rates
            .wait(&fast, Of::Streams, rate(10, 1), patience)
            .await
            .unwrap();
        assert_eq!(world::now(), before, "another domain, another thing");
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_wait_too_long_is_refused_and_another_rate_begins_anew() {
        let rates = Rates::default();
        let domain = Domain::parse("fast.example").unwrap();
        let patience = Duration::from_millis(100);
        assert!(
            rates
                .wait(&domain, Of::Stanzas, rate(1, 1), patience)
                .await
                .is_ok()
        );
        assert!(
            rates
                .wait(&domain, Of::Stanzas, rate(1, 1), patience)
                .await
                .is_err()
        );
        assert!(
            rates
                .wait(&domain, Of::Stanzas, rate(2, 1), patience)
                .await
                .is_ok()
        );
    }
}
