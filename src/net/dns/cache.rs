//! What DNS has said, for as long as it may be believed.
//!
//! RFC 2308 §5 (the absence of records is kept by the SOA's minimum), RFC 9520 §3.2 (failures are kept, too, but shortly).
//! An answer with a TTL of 0 is for those who asked and for nobody after them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::DnsError;
use crate::limits::{DNS_ANSWERS_KEPT, DNS_RECORDS_KEPT};

/// Records, or why there are none.
pub(super) type Answer = Result<Arc<[RData]>, DnsError>;

/// Answers by question.
#[derive(Debug, Default)]
pub(super) struct Cache {
    answers: HashMap<(Name, RecordType), Kept>,
    records: usize,
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    until: Instant,
}

impl Cache {
    /// An answer that may still be believed.
    pub(super) fn get(&self, now: Instant, name: &Name, kind: RecordType) -> Option<Answer> {
        let kept = self.answers.get(&(name.clone(), kind))?;
        (now < kept.until).then(|| kept.answer.clone())
    }

    /// Keeps an answer. `ttl` is what its zone says; `None` where it says nothing.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        name: Name,
        kind: RecordType,
        answer: Answer,
        ttl: Option<Duration>,
    ) {
        let time = match (&answer, ttl) {
            (Ok(_), ttl) => ttl.unwrap_or_default().min(LONGEST),
            //= rfc2308#5
            //# Negative responses without SOA records SHOULD NOT be cached
            (Err(DnsError::NotFound { .. }), ttl) => ttl.unwrap_or_default().clamp(SHORTEST, LONGEST_ABSENCE),
            //= rfc9520#3.2
            //# Resolvers MUST cache resolution failures for at least 1 second.
            (Err(DnsError::Failed { .. }), _) => SHORTEST,
        };
        let size = size(&answer);
        let Some(until) = now.checked_add(time) else {
            return;
        };
        if time.is_zero() || size > DNS_RECORDS_KEPT {
            return;
        }
        self.remove(&(name.clone(), kind));
        while self.answers.len() >= DNS_ANSWERS_KEPT || self.records.saturating_add(size) > DNS_RECORDS_KEPT {
            self.make_room(now);
        }
        self.records = self.records.saturating_add(size);
        self.answers.insert((name, kind), Kept { answer, until });
    }

    /// Drops what is too old, and where nothing is, what would be so first.
    fn make_room(&mut self, now: Instant) {
        self.answers.retain(|_, kept| now < kept.until);
        self.records = self.answers.values().map(|kept| size(&kept.answer)).sum();
        let oldest = self.answers.iter().min_by_key(|(_, kept)| kept.until);
        if let Some(question) = oldest.map(|(question, _)| question.clone()) {
            self.remove(&question);
        }
    }

    fn remove(&mut self, question: &(Name, RecordType)) {
        if let Some(kept) = self.answers.remove(question) {
            self.records = self.records.saturating_sub(size(&kept.answer));
        }
    }
}

fn size(answer: &Answer) -> usize {
    answer.as_ref().map_or(1, |records| records.len().max(1))
}

/// An answer is believed at most this long, so that a mistake in somebody's zone passes.
const LONGEST: Duration = Duration::from_secs(3600);
/// The absence of records is believed at most this long: somebody is just setting up a server.
const LONGEST_ABSENCE: Duration = Duration::from_secs(900);
/// And at least this long, as is a failure: a burst of messages costs one question.
const SHORTEST: Duration = Duration::from_secs(1);

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;
    use hickory_resolver::proto::rr::rdata::A;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn records(count: usize) -> Answer {
        Ok((0..count).map(|_| RData::A(A::new(192, 0, 2, 1))).collect())
    }

    fn not_found() -> Answer {
        Err(DnsError::NotFound {
            name: "a.example.".to_owned(),
            kind: "A",
        })
    }

    fn failed() -> Answer {
        Err(DnsError::Failed {
            name: "a.example.".to_owned(),
            kind: "A",
            why: "SERVFAIL".to_owned(),
        })
    }

    #[test]
    fn answers_are_believed_as_long_as_their_zone_says_within_bounds() {
        let start = Instant::now();
        let seconds = |n| Some(Duration::from_secs(n));
        for (what, answer, ttl, last) in [
            ("records", records(1), seconds(60), 60),
            ("records for long", records(1), seconds(1_000_000), 3600),
            ("records for now", records(1), seconds(0), 0),
            ("records for an unknown time", records(1), None, 0),
            ("absence", not_found(), seconds(300), 300),
            ("absence for long", not_found(), seconds(1_000_000), 900),
            ("absence for now", not_found(), seconds(0), 1),
            ("absence without SOA", not_found(), None, 1),
            ("failure", failed(), None, 1),
        ] {
            let mut cache = Cache::default();
            cache.keep(start, name("a.example."), RecordType::A, answer.clone(), ttl);
            let at = |seconds: u64, millis: u64| {
                let now = start + Duration::from_secs(seconds) - Duration::from_millis(millis);
                cache.get(now, &name("a.example."), RecordType::A)
            };
            assert_eq!(at(last, 0), None, "{what}");
            if last > 0 {
                assert_eq!(at(last, 1), Some(answer), "{what}");
            }
            assert_eq!(cache.get(start, &name("a.example."), RecordType::AAAA), None);
            assert_eq!(cache.get(start, &name("b.example."), RecordType::A), None);
        }
    }

    #[test]
    fn what_is_kept_is_bounded_by_answers_and_by_records() {
        let start = Instant::now();
        let long = Some(Duration::from_secs(3600));
        let mut cache = Cache::default();
        for number in 0..DNS_ANSWERS_KEPT + 5 {
            let later = start + Duration::from_millis(u64::try_from(number).unwrap());
            cache.keep(
                later,
                name(&format!("h{number}.example.")),
                RecordType::A,
                records(1),
                long,
            );
        }
        assert_eq!(cache.answers.len(), DNS_ANSWERS_KEPT);
        assert_eq!(
            cache.get(start, &name("h0.example."), RecordType::A),
            None,
            "the oldest made room"
        );
        let big = DNS_RECORDS_KEPT - DNS_ANSWERS_KEPT / 2;
        cache.keep(start, name("big.example."), RecordType::A, records(big), long);
        assert!(cache.records <= DNS_RECORDS_KEPT, "{}", cache.records);
        assert!(cache.get(start, &name("big.example."), RecordType::A).is_some());
        cache.keep(
            start,
            name("huge.example."),
            RecordType::A,
            records(DNS_RECORDS_KEPT + 1),
            long,
        );
        assert!(
            cache.get(start, &name("big.example."), RecordType::A).is_some(),
            "nothing went for what does not fit"
        );
        let summed: usize = cache.answers.values().map(|kept| size(&kept.answer)).sum();
        assert_eq!(cache.records, summed);
    }
}
