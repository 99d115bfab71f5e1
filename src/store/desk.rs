//! Where a shard hands its changes in. It never waits: what the queue has no room for is held back, newest of each pair of users,
//! and goes when there is room.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future;
use std::sync::Arc;

use crate::gateway::presence::{Change, Ends};
use crate::limits;
use crate::net::queue::{self, Refused};
use crate::observe::Metrics;

/// Changes of one shard.
#[derive(Debug, Default)]
pub struct Handed {
    /// The shard.
    pub shard: u8,
    /// Their numbers, in their order: told back, each, when the changes are kept.
    pub tickets: Vec<u64>,
    /// They themselves, at most one of each pair of users where they were held back.
    pub changes: Vec<Change>,
}

/// The newest change of each of some pairs of users.
#[derive(Debug, Default)]
pub(super) struct Newest(HashMap<Ends, Change>);

/// The place where one shard hands in.
#[derive(Debug)]
pub struct Desk {
    shard: u8,
    /// `None` where nothing is stored.
    sender: Option<queue::Sender<Handed>>,
    metrics: Arc<Metrics>,
    tickets: Vec<u64>,
    held: Newest,
}

impl Newest {
    /// Takes in a change that comes after all that are there; tells how many there are more now, or that there was no room.
    pub(super) fn put(&mut self, change: Change) -> Result<usize, Full> {
        let full = self.0.len() >= limits::STORED_CHANGES;
        match self.0.entry(ends_of(&change).clone()) {
            Entry::Occupied(mut before) => {
                before.insert(change);
                Ok(0)
            }
            Entry::Vacant(_) if full => Err(Full),
            Entry::Vacant(place) => {
                place.insert(change);
                Ok(1)
            }
        }
    }

    /// Takes back a change that comes before all that are there.
    pub(super) fn put_back(&mut self, change: Change) {
        self.0.entry(ends_of(&change).clone()).or_insert(change);
    }

    /// Whether there is one of these users.
    pub(super) fn has(&self, ends: &Ends) -> bool {
        self.0.contains_key(ends)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all.
    pub(super) fn take(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}

/// There are as many changes of as many pairs as are kept in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

fn ends_of(change: &Change) -> &Ends {
    match change {
        Change::Put(record) => &record.ends,
        Change::Forget(ends) => ends,
    }
}

impl Desk {
    /// The place of a shard; without a queue nothing is stored.
    #[must_use]
    pub fn new(shard: u8, sender: Option<queue::Sender<Handed>>, metrics: Arc<Metrics>) -> Self {
        Self {
            shard,
            sender,
            metrics,
            tickets: Vec::new(),
            held: Newest::default(),
        }
    }

    /// Hands in changes under their number; the answer is the numbers that nobody will tell of any more, as nothing is stored.
    #[must_use]
    pub fn hand(&mut self, ticket: u64, changes: Vec<Change>) -> Vec<u64> {
        let Some(sender) = &self.sender else {
            return vec![ticket];
        };
        let handed = Handed {
            shard: self.shard,
            tickets: vec![ticket],
            changes,
        };
        // What comes later must not overtake what is held back.
        let refused = if self.tickets.is_empty() {
            let count = handed.changes.len();
            match sender.offer(handed) {
                Ok(()) => {
                    self.metrics.store_pending.add(signed(count));
                    return Vec::new();
                }
                Err(Refused::Full(handed)) => handed,
                Err(Refused::Closed(_)) => return vec![ticket],
            }
        } else {
            handed
        };
        self.tickets.push(ticket);
        for change in refused.changes {
            match self.held.put(change) {
                Ok(more) => self.metrics.store_pending.add(signed(more)),
                Err(Full) => self.metrics.store_failed("overflow", 1),
            }
        }
        Vec::new()
    }

    /// Waits until what is held back has been handed in, for ever where nothing is. The answer is that of [`Desk::hand`]. Nothing is
    /// lost where it is not waited for to the end.
    pub async fn relieve(&mut self) -> Vec<u64> {
        let (Some(sender), false) = (&self.sender, self.tickets.is_empty()) else {
            return future::pending().await;
        };
        let place = sender.place().await;
        let handed = Handed {
            shard: self.shard,
            tickets: std::mem::take(&mut self.tickets),
            changes: self.held.take(),
        };
        match place {
            Ok(place) => {
                place.send(handed);
                Vec::new()
            }
            Err(_) => {
                self.metrics.store_pending.sub(signed(handed.changes.len()));
                handed.tickets
            }
        }
    }
}

/// A count as the metrics have it.
pub(super) fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::presence::Record;

    fn ends(name: &str) -> Ends {
        Ends {
            xmpp: format!("{name}@example.com"),
            sip: "juliet@example.net".to_owned(),
        }
    }

    fn put(name: &str) -> Change {
        Change::Put(Box::new(Record {
            ends: ends(name),
            watch: None,
            serve: None,
        }))
    }

    fn sorted(mut changes: Vec<Change>) -> Vec<Change> {
        changes.sort_by_key(|change| ends_of(change).xmpp.clone());
        changes
    }

    #[tokio::test]
    async fn what_has_no_room_is_held_back_the_newest_of_each_pair_and_overtaken_by_nothing() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let (sender, mut receiver) = queue::bounded("store", 1, &metrics);
        let mut desk = Desk::new(3, Some(sender), Arc::clone(&metrics));
        assert_eq!(desk.hand(1, vec![put("a")]), [0; 0]);
        for ticket in 2..100 {
            assert_eq!(
                desk.hand(ticket, vec![put("a"), put("b")]),
                [0; 0],
                "and it does not wait"
            );
        }
        assert_eq!(desk.hand(100, vec![Change::Forget(ends("a"))]), [0; 0]);
        assert_eq!(metrics.store_pending.get(), 3);
        let first = receiver.recv().await.unwrap();
        assert_eq!((first.tickets, first.changes), (vec![1], vec![put("a")]));
        // There is room now, but what is held back goes first.
        assert_eq!(desk.hand(101, vec![put("c")]), [0; 0]);
        assert!(receiver.next_waiting().is_none());
        assert_eq!(desk.relieve().await, [0; 0]);
        let rest = receiver.recv().await.unwrap();
        assert_eq!((rest.shard, rest.tickets), (3, (2..=101).collect()));
        assert_eq!(
            sorted(rest.changes),
            [Change::Forget(ends("a")), put("b"), put("c")]
        );
        assert_eq!(desk.hand(102, vec![put("d")]), [0; 0]);
        assert_eq!(receiver.recv().await.unwrap().tickets, [102]);
    }

    #[tokio::test]
    async fn where_nothing_is_stored_nobody_waits() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let mut without = Desk::new(0, None, Arc::clone(&metrics));
        assert_eq!(without.hand(7, vec![put("a")]), [7]);
        let (sender, receiver) = queue::bounded("store", 1, &metrics);
        let mut desk = Desk::new(0, Some(sender), Arc::clone(&metrics));
        assert_eq!(desk.hand(1, vec![put("a")]), [0; 0]);
        assert_eq!(desk.hand(2, vec![put("b")]), [0; 0]);
        drop(receiver);
        assert_eq!(desk.relieve().await, [2], "the task has ended");
        assert_eq!(desk.hand(3, vec![put("c")]), [3]);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_for_room_loses_nothing() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let (sender, mut receiver) = queue::bounded("store", 1, &metrics);
        let mut desk = Desk::new(0, Some(sender), Arc::clone(&metrics));
        for ticket in 1..=2 {
            assert_eq!(desk.hand(ticket, vec![put(&ticket.to_string())]), [0; 0]);
        }
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = desk.relieve() => panic!("there was no room"),
                () = future::ready(()) => {}
            }
        }
        assert_eq!(receiver.recv().await.unwrap().tickets, [1]);
        assert_eq!(desk.relieve().await, [0; 0]);
        assert_eq!(receiver.recv().await.unwrap().changes, [put("2")]);
    }
}
