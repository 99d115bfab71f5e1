//! The task between shards, which are looked at instead of served, and a store that fails when it is told to.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::gateway::presence::Ends;
use crate::net::tests::{Trial, until, within};
use crate::store::{Memory, schema};

/// Entries that outlive their store, and what is wrong with it.
#[derive(Debug, Clone, Default)]
struct Shelf {
    memory: Memory,
    is_full: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    aside: Arc<AtomicBool>,
}

impl Opener for Shelf {
    fn open(&mut self) -> Result<Opened, StoreError> {
        Ok(Opened {
            store: Box::new(self.clone()),
            set_aside: None,
        })
    }

    fn put_aside(&mut self) -> Result<(), StoreError> {
        self.memory.entries().clear();
        self.aside.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Store for Shelf {
    fn read(&mut self, behind: Option<&Key>, most: usize) -> Result<Part, StoreError> {
        self.memory.read(behind, most)
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        assert!(
            !self.panics.swap(false, Ordering::Relaxed),
            "as a library may on a damaged file"
        );
        if self.is_full.load(Ordering::Relaxed) {
            return Err(StoreError::Full("shelf".to_owned()));
        }
        self.memory.write(changes)
    }
}

fn record(number: usize) -> Record {
    Record {
        ends: Ends {
            xmpp: format!("user{number}@example.com"),
            sip: "juliet@example.net".to_owned(),
        },
        watch: None,
        serve: None,
    }
}

fn handed(shard: u8, ticket: u64, number: usize) -> Handed {
    Handed {
        shard,
        tickets: vec![ticket],
        changes: vec![Change::Put(Box::new(record(number)))],
    }
}

/// A task at work.
struct Work {
    trial: Trial,
    shelf: Shelf,
    sender: queue::Sender<Handed>,
}

impl Work {
    fn new(shelf: Shelf) -> Self {
        let trial = Trial::new("");
        let (sender, receiver) = queue::bounded("store", 16, &trial.world.metrics);
        let task = run(Arc::clone(&trial.world), Box::new(shelf.clone()), receiver);
        trial.world.supervisor.spawn("store", task);
        Self { trial, shelf, sender }
    }

    /// What each shard is given back, until each was told that this was all.
    async fn restored(&mut self) -> Vec<(usize, Record)> {
        let mut missing: BTreeSet<_> = (0..self.trial.world.shards.len()).collect();
        let mut given = Vec::new();
        while !missing.is_empty() {
            match self.trial.told_where().await {
                (shard, Input::Restore { records, unix }) => {
                    assert!(missing.contains(&shard) && records.len() <= AT_ONCE && unix > 1_700_000_000);
                    given.extend(records.into_iter().map(|record| (shard, record)));
                }
                (shard, Input::Restored) => assert!(missing.remove(&shard), "once"),
                (shard, other) => panic!("shard {shard} is told {other:?}"),
            }
        }
        given
    }

    async fn kept(&mut self) -> (usize, u64) {
        match self.trial.told_where().await {
            (shard, Input::Persisted { ticket }) => (shard, ticket),
            (shard, other) => panic!("shard {shard} is told {other:?}"),
        }
    }

    fn holds(&self, number: usize) -> bool {
        let key = schema::key_of(&record(number).ends).unwrap();
        self.shelf.memory.entries().contains_key(&key)
    }

    async fn end(self) {
        self.trial.world.close_store.cancel();
        within(self.trial.world.supervisor.ended()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_record_goes_to_the_shard_of_the_messages_between_its_users() {
    let shelf = Shelf::default();
    let all: Vec<_> = (0..2_500).map(record).collect();
    let changes: Vec<_> = all
        .iter()
        .cloned()
        .map(|record| Change::Put(Box::new(record)))
        .collect();
    shelf.memory.clone().write(&changes).unwrap();
    let mut work = Work::new(shelf);
    let given = work.restored().await;
    for (shard, record) in &given {
        assert_eq!(work.trial.world.shard_number(record.ends.pair()), Some(*shard));
    }
    let names = |records: &mut dyn Iterator<Item = &Record>| {
        records
            .map(|record| record.ends.xmpp.clone())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(given.len(), all.len());
    assert_eq!(
        names(&mut given.iter().map(|(_, record)| record)),
        names(&mut all.iter())
    );
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_told_once_its_changes_are_kept() {
    let mut work = Work::new(Shelf::default());
    work.restored().await;
    let last = u8::try_from(work.trial.world.shards.len() - 1).unwrap();
    for (shard, ticket) in [(0, 1), (last, 8)] {
        let number = usize::try_from(ticket).unwrap();
        assert!(work.sender.offer(handed(shard, ticket, number)).is_ok());
        work.trial.world.metrics.store_pending.inc();
        assert_eq!(work.kept().await, (usize::from(shard), ticket));
        assert!(work.holds(number));
    }
    assert_eq!(work.trial.metric("vestibule_store_up"), 1);
    assert_eq!(work.trial.metric("vestibule_store_pending_changes"), 0);
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_without_room_is_told_and_written_when_there_is_some() {
    let mut work = Work::new(Shelf::default());
    work.restored().await;
    work.shelf.is_full.store(true, Ordering::Relaxed);
    for number in 1..=3 {
        assert!(
            work.sender
                .offer(handed(0, u64::try_from(number).unwrap(), number))
                .is_ok()
        );
        work.trial.world.metrics.store_pending.inc();
        assert_eq!(
            work.kept().await.1,
            u64::try_from(number).unwrap(),
            "nobody waits"
        );
    }
    assert_eq!(work.trial.metric("vestibule_store_up"), 0);
    assert!(work.trial.metric("vestibule_store_errors_total{class=\"full\"}") > 0);
    assert_eq!(work.trial.metric("vestibule_store_pending_changes"), 3);
    work.shelf.is_full.store(false, Ordering::Relaxed);
    until(|| work.trial.metric("vestibule_store_pending_changes") == 0).await;
    assert!((1..=3).all(|number| work.holds(number)));
    assert_eq!(work.trial.metric("vestibule_store_up"), 1);
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn where_the_library_panics_and_that_is_survived_the_store_is_put_aside() {
    let mut work = Work::new(Shelf::default());
    work.restored().await;
    work.shelf.panics.store(true, Ordering::Relaxed);
    assert!(work.sender.offer(handed(0, 1, 1)).is_ok());
    assert_eq!(work.kept().await.1, 1);
    until(|| work.shelf.aside.load(Ordering::Relaxed)).await;
    assert!(work.sender.offer(handed(0, 2, 2)).is_ok());
    assert_eq!(work.kept().await.1, 2);
    until(|| work.holds(2)).await;
    work.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_in_before_the_end_is_kept_and_then_the_task_ends() {
    let mut work = Work::new(Shelf::default());
    work.restored().await;
    for number in 1..=10 {
        assert!(work.sender.offer(handed(0, 1, number)).is_ok());
    }
    let shelf = work.shelf.clone();
    let sender = work.sender.clone();
    work.end().await;
    assert_eq!(shelf.memory.entries().len(), 10);
    assert!(sender.is_closed());
}
