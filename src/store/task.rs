//! The task: carries out what the keeper wants, beside the threads that wait for the disk.

#[cfg(test)]
mod tests;

use std::future;
use std::pin::Pin;
use std::sync::Arc;

use super::desk::{Handed, signed};
use super::keeper::{Act, Event, Found, Keeper};
use super::schema::Key;
use super::{Opened, Part, Store, StoreError};
use crate::gateway::Input;
use crate::gateway::presence::{Change, Record};
use crate::net::queue;
use crate::net::world::{self, World};
use crate::observe::StoreState;

/// Opens stores. Its calls may block.
pub trait Opener: std::fmt::Debug + Send + 'static {
    /// Opens the store, or makes it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn open(&mut self) -> Result<Opened, StoreError>;

    /// Puts the store aside, which was found damaged while it was in use and is closed now.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put_aside(&mut self) -> Result<(), StoreError>;
}

/// Hands over what is stored, and stores what the shards hand in, until everything stops.
pub async fn run(world: Arc<World>, opener: Box<dyn Opener>, mut handed: queue::Receiver<Handed>) {
    let mut keeper = Keeper::new(world::now());
    let mut clerk = Clerk {
        world: Arc::clone(&world),
        opener: Some(opener),
        store: None,
        restored: 0,
    };
    let mut job: Option<Job> = None;
    let mut closing = false;
    loop {
        while let Some(act) = keeper.poll(world::now()) {
            if let Act::End(left) = act {
                if left == 0 && !handed.is_empty() {
                    break;
                }
                return clerk.end(left).await;
            }
            if let Some(started) = clerk.act(act).await {
                job = Some(started);
            }
        }
        tokio::select! {
            entry = handed.recv() => {
                let Some(entry) = entry else { return clerk.end(keeper.pending()).await };
                clerk.take(&mut keeper, entry);
                for _ in 0..BATCH {
                    let Some(entry) = handed.next_waiting() else { break };
                    clerk.take(&mut keeper, entry);
                }
            }
            event = finished(&mut job) => {
                job = None;
                let before = keeper.pending();
                keeper.handle(world::now(), clerk.back(event));
                clerk.count(before, keeper.pending());
            }
            () = world.close_store.cancelled(), if !closing => {
                closing = true;
                keeper.handle(world::now(), Event::Close);
            }
            () = world::sleep_until(keeper.timeout()) => {}
        }
    }
}

/// What runs on a thread of its own, and gives back what it was lent.
type Job = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What came of it.
struct Done {
    opener: Option<Box<dyn Opener>>,
    store: Option<Box<dyn Store>>,
    event: Event,
}

async fn finished(job: &mut Option<Job>) -> Done {
    match job {
        Some(job) => job.await,
        None => future::pending().await,
    }
}

/// Does what is to be done.
struct Clerk {
    world: Arc<World>,
    /// Both are gone while they are lent to a job.
    opener: Option<Box<dyn Opener>>,
    store: Option<Box<dyn Store>>,
    restored: usize,
}

impl Clerk {
    fn take(&self, keeper: &mut Keeper, entry: Handed) {
        let before = keeper.pending() + entry.changes.len();
        keeper.handle(world::now(), Event::Handed(entry));
        self.count(before, keeper.pending());
    }

    fn count(&self, before: usize, after: usize) {
        self.world
            .metrics
            .store_pending
            .add(signed(after) - signed(before));
    }

    fn back(&mut self, done: Done) -> Event {
        self.opener = self.opener.take().or(done.opener);
        self.store = done.store;
        done.event
    }

    async fn act(&mut self, act: Act) -> Option<Job> {
        match act {
            Act::Open(found) => return self.open(found),
            Act::Read(behind) => return self.read(behind),
            Act::Write(changes) => return self.write(changes),
            Act::Restore(records) => self.restore(records).await,
            Act::Restored => {
                for shard in &self.world.shards {
                    // A shard is gone only when the process is.
                    let _gone = shard.send(Input::Restored).await;
                }
                tracing::info!(
                    records = self.restored,
                    "what was stored of presence is handed over"
                );
            }
            Act::Tell(shard, tickets) => {
                if let Some(shard) = self.world.shards.get(usize::from(shard)) {
                    for ticket in tickets {
                        let _gone = shard.send(Input::Persisted { ticket }).await;
                    }
                }
            }
            Act::Works => {
                self.world.metrics.store_is(StoreState::Up);
                tracing::info!("the store works");
            }
            Act::Failed(error, pause) => {
                self.world.metrics.store_is(StoreState::Down);
                self.world.metrics.store_failed(error.class(), 1);
                tracing::error!(
                    class = error.class(),
                    pause_ms = pause.as_millis(),
                    pending = self.world.metrics.store_pending.get(),
                    "the store does not work; traffic goes on, what changes is kept in memory, and it is tried again: {error}"
                );
            }
            Act::Silent => {
                self.world.metrics.store_is(StoreState::Down);
                self.world.metrics.store_failed("silent", 1);
                tracing::error!(
                    class = "silent",
                    "the store has not answered for seconds, and nobody waits for it any more: look at the disk of [edge] state_dir (dmesg, iostat)"
                );
            }
            Act::Lost(count) => {
                self.world.metrics.store_failed("overflow", count);
                tracing::error!(
                    class = "overflow",
                    count,
                    "the store has not worked for so long that there is no room in memory for what changes: it is not stored"
                );
            }
            Act::Unreadable(count) => {
                let records = u64::try_from(count).unwrap_or(u64::MAX);
                self.world.metrics.store_failed("unreadable", records);
                tracing::error!(
                    class = "unreadable",
                    count,
                    "stored records cannot be read, and are put aside in the store: their users subscribe again; log level debug says why"
                );
            }
            // The caller's.
            Act::End(_) => {}
        }
        None
    }

    fn open(&mut self, found: Found) -> Option<Job> {
        let mut opener = self.opener.take()?;
        let work = move || {
            let aside = match found {
                Found::Well => Ok(()),
                Found::Damaged => opener.put_aside(),
            };
            let opened = aside.and_then(|()| opener.open());
            (opener, opened)
        };
        let running = self.world.supervisor.block(NAME, work);
        Some(Box::pin(async move {
            let Some((opener, opened)) = running.await else {
                return Done {
                    opener: None,
                    store: None,
                    event: Event::Opened(Err(broken())),
                };
            };
            let (store, result) = match opened {
                Ok(opened) => (Some(opened.store), Ok(())),
                Err(error) => (None, Err(error)),
            };
            Done {
                opener: Some(opener),
                store,
                event: Event::Opened(result),
            }
        }))
    }

    fn read(&mut self, behind: Option<Key>) -> Option<Job> {
        let mut store = self.store.take()?;
        let work = move || {
            let part = store.read(behind.as_ref(), PART);
            kept(store, part)
        };
        let running = self.world.supervisor.block(NAME, work);
        Some(Box::pin(async move {
            let (store, part): (_, Result<Part, _>) = running.await.unwrap_or_else(|| (None, Err(broken())));
            Done {
                opener: None,
                store,
                event: Event::Read(part),
            }
        }))
    }

    fn write(&mut self, changes: Vec<Change>) -> Option<Job> {
        let mut store = self.store.take()?;
        let work = move || {
            let written = store.write(&changes);
            let (store, written) = kept(store, written);
            (store, changes, written)
        };
        let running = self.world.supervisor.block(NAME, work);
        Some(Box::pin(async move {
            let done = running.await;
            let (store, changes, written) = done.unwrap_or_else(|| (None, Vec::new(), Err(broken())));
            Done {
                opener: None,
                store,
                event: Event::Written(changes, written),
            }
        }))
    }

    async fn restore(&mut self, records: Vec<Record>) {
        self.restored += records.len();
        let mut parts: Vec<Vec<Record>> = self.world.shards.iter().map(|_| Vec::new()).collect();
        for record in records {
            let shard = self.world.shard_number(record.ends.pair());
            if let Some(part) = shard.and_then(|shard| parts.get_mut(shard)) {
                part.push(record);
            }
        }
        let unix = world::unix();
        for (shard, mut part) in self.world.shards.iter().zip(parts) {
            while !part.is_empty() {
                let rest = part.split_off(AT_ONCE.min(part.len()));
                let records = std::mem::replace(&mut part, rest);
                let _gone = shard.send(Input::Restore { records, unix }).await;
            }
        }
    }

    /// Closes the store, which may take its time.
    async fn end(mut self, left: usize) {
        if left > 0 {
            tracing::error!(
                left,
                "the store could not be written: so many changes are lost with this process"
            );
        }
        let store = self.store.take();
        self.world.supervisor.block(NAME, move || drop(store)).await;
    }
}

/// A store that failed is closed at once, where it may take its time.
fn kept<T>(
    store: Box<dyn Store>,
    result: Result<T, StoreError>,
) -> (Option<Box<dyn Store>>, Result<T, StoreError>) {
    match result {
        Ok(result) => (Some(store), Ok(result)),
        Err(error) => {
            drop(store);
            (None, Err(error))
        }
    }
}

/// Seen only where a panic does not end the process.
fn broken() -> StoreError {
    StoreError::Damaged {
        file: "the store".to_owned(),
        what: "it has led the library astray".to_owned(),
    }
}

/// The name of its task and of its threads.
const NAME: &str = "store";
/// Records of one reading.
const PART: usize = 1_000;
/// Records that a shard takes at once: messages pass between them.
const AT_ONCE: usize = 256;
/// Entries that are taken before anything is done about them.
const BATCH: usize = 256;
