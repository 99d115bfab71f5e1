//! Which queries passed here and wait for their answers, so that an answer that nobody asked for is known.
//!
//! The XMPP side answers a query by its id, from the domain that was asked. A table of a fixed size; a query that finds
//! no room is refused, and one that is not answered in time is forgotten.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::time::{Duration, Instant};

use super::Gateway;
use super::answer::{Answers, Trouble};
use super::delivery::{Delivery, Outcome, Part, Payload};
use super::waiting::About;
use crate::domain::Domain;
use crate::policy::{self, Kind};
use crate::route::Protocol;
use crate::xmpp::{Jid, Stanza};

/// The queries without answer.
#[derive(Debug)]
pub(super) struct Asked {
    most: usize,
    life: Duration,
    /// By the keyed hash of who asked, which domain, under which id: what a peer sends takes no more room than that.
    queries: HashMap<u64, Query>,
    /// In the order of their time. Answered ones stay until their time has come, or until there are too many.
    order: VecDeque<(u64, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Query {
    kind: Kind,
    until: Instant,
}

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Asked {
    /// Room for so many queries, each of which may wait so long.
    pub(super) fn new(most: usize, life: Duration) -> Self {
        Self {
            most,
            life,
            queries: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Takes note of a query.
    pub(super) fn insert(&mut self, now: Instant, query: &Stanza, kind: Kind) -> Result<(), Full> {
        self.expire(now);
        let key = self.key(query.from(), query.to().domain(), query.id());
        if self.queries.len() >= self.most && !self.queries.contains_key(&key) {
            return Err(Full);
        }
        let until = now.checked_add(self.life).unwrap_or(now);
        self.queries.insert(key, Query { kind, until });
        self.order.push_back((key, until));
        if self.order.len() > self.most.saturating_mul(2) {
            let queries = &self.queries;
            self.order
                .retain(|(key, until)| queries.get(key).is_some_and(|query| query.until == *until));
        }
        Ok(())
    }

    /// The kind of the query that a stanza answers; it has its answer then.
    pub(super) fn answered(&mut self, now: Instant, answer: &Stanza) -> Option<Kind> {
        let key = self.key(answer.to(), answer.from().domain(), answer.id());
        let query = self.queries.remove(&key)?;
        (query.until > now).then_some(query.kind)
    }

    /// A query did not leave, so nobody answers it.
    pub(super) fn forget(&mut self, query: &Stanza) {
        let key = self.key(query.from(), query.to().domain(), query.id());
        self.queries.remove(&key);
    }

    fn expire(&mut self, now: Instant) {
        while let Some((key, until)) = self.order.front().copied() {
            if until > now {
                return;
            }
            self.order.pop_front();
            if self.queries.get(&key).is_some_and(|query| query.until == until) {
                self.queries.remove(&key);
            }
        }
    }

    fn key(&self, asker: &Jid, asked: &Domain, id: Option<&str>) -> u64 {
        self.queries.hasher().hash_one((asker, asked, id))
    }
}

impl<O> Gateway<O> {
    /// Whether a stanza may take its part in an exchange: not an answer to nothing, and not a query too many.
    pub(super) fn has_part(&mut self, now: Instant, delivery: &mut Delivery) -> bool {
        let about = About {
            trace: delivery.trace,
            way: delivery.permit.direction(),
            answers: delivery.permit.answers(),
        };
        let Payload::Pass { stanza, sender, part } = &mut delivery.payload else {
            return true;
        };
        match (*part, about.answers) {
            (Part::Whole, _) => true,
            (Part::Answer { to }, _) => {
                let passes = self
                    .asked
                    .answered(now, stanza)
                    .is_some_and(|kind| to.contains(kind));
                if !passes {
                    self.observe(about, Protocol::Xmpp, Protocol::Xmpp, Outcome::Ignored);
                }
                passes
            }
            // The answer may not pass, and RFC 6120 §8.2.3 has every query answered: so the edge does it, without waiting.
            (Part::Query, policy::Answers::Withhold) => {
                if let Some(error) = sender.take().as_deref().and_then(Answers::withheld) {
                    self.send_back(now, error, about.trace);
                }
                true
            }
            (Part::Query, policy::Answers::Pass) => {
                if self.asked.insert(now, stanza, delivery.permit.kind()).is_ok() {
                    return true;
                }
                let error = sender.as_deref().and_then(|sender| {
                    self.answers
                        .troubled_sender(sender, Trouble::Overload, about.answers)
                });
                if let Some(error) = error {
                    self.send_back(now, error, about.trace);
                }
                self.observe(about, Protocol::Xmpp, Protocol::Xmpp, Outcome::Failed);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmpp::stanza::{IqType, Kind as StanzaKind};

    const LIFE: Duration = Duration::from_secs(10);

    fn query(from: &str, to: &str, id: &str) -> Stanza {
        let jid = |text| Jid::parse(text).unwrap();
        Stanza::new(StanzaKind::Iq(IqType::Get), jid(from), jid(to)).with_id(id)
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn an_answer_is_known_once_by_asker_domain_and_id() {
        let now = Instant::now();
        let mut asked = Asked::new(2, LIFE);
        let one = query("a@one.example/x", "b@two.example", "1");
        let answer = |query: &Stanza| query.result_reply(None).unwrap();
        assert_eq!(asked.insert(now, &one, Kind::Other), Ok(()));
        for other in [
            query("a@one.example/y", "b@two.example", "1"),
            query("a@one.example/x", "b@three.example", "1"),
            query("a@one.example/x", "b@two.example", "2"),
        ] {
            assert_eq!(asked.answered(now, &answer(&other)), None);
        }
        assert_eq!(asked.answered(now, &answer(&one)), Some(Kind::Other));
        assert_eq!(asked.answered(now, &answer(&one)), None, "once");
        asked.insert(now, &one, Kind::Im).unwrap();
        asked.forget(&one);
        assert_eq!(asked.answered(now, &answer(&one)), None, "it never left");
    }

    #[test]
    #[allow(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn there_is_room_for_so_many_and_no_longer_than_they_live() {
        let start = Instant::now();
        let mut asked = Asked::new(2, LIFE);
        let number = |number: u32| query("a@one.example/x", "b@two.example", &number.to_string());
        for it in 0..2 {
            asked.insert(start, &number(it), Kind::Other).unwrap();
        }
        assert_eq!(asked.insert(start, &number(2), Kind::Other), Err(Full));
        assert_eq!(
            asked.insert(start, &number(1), Kind::Im),
            Ok(()),
            "the same again"
        );
        let late = start + LIFE;
        assert_eq!(asked.answered(late, &number(1).result_reply(None).unwrap()), None);
        assert_eq!(asked.insert(late, &number(2), Kind::Other), Ok(()));
        for it in 0..1_000 {
            asked.insert(late, &number(it), Kind::Other).unwrap();
            asked.answered(late, &number(it).result_reply(None).unwrap());
            assert!(asked.order.len() <= 5, "what was answered takes no room for long");
        }
    }
}
