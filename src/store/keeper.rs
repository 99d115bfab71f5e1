//! What is to be done with a store, and when: without a store, a task or a clock.
//!
//! At the start everything in it is handed over. Changes are gathered for a moment and written together, the newest of each pair of
//! users; one thing is done at a time. While the store cannot be used, changes are gathered in memory, nobody waits for them, and it is
//! tried again with growing pauses.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Part;
use super::StoreError;
use super::desk::{Full, Handed, Newest};
use super::schema::Key;
use crate::clock::Backoff;
use crate::gateway::presence::{Change, Record};

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A shard has handed in changes.
    Handed(Handed),
    /// The store was opened, or could not be.
    Opened(Result<(), StoreError>),
    /// A part was read, or could not be, and the store is closed.
    Read(Result<Part, StoreError>),
    /// These changes were written, or could not be, and the store is closed.
    Written(Vec<Change>, Result<(), StoreError>),
    /// The proxy stops: what is there is written at once, and then it ends.
    Close,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Open the store; where it was found damaged while it was in use, put it aside before.
    Open(Found),
    /// Read a part.
    Read(Option<Key>),
    /// Write these.
    Write(Vec<Change>),
    /// Hand these to their shards.
    Restore(Vec<Record>),
    /// Tell every shard that this was all.
    Restored,
    /// Tell a shard that nobody waits any more for these.
    Tell(u8, Vec<u64>),
    /// Say that the store works.
    Works,
    /// Say why it does not, and that it is tried again after a pause.
    Failed(StoreError, Duration),
    /// Say that it has not answered for as long as anybody waits.
    Silent,
    /// Say that so many changes found no room in memory while it does not work.
    Lost(u64),
    /// Say that so many records could not be read.
    Unreadable(usize),
    /// Nothing is left to do; so many changes could not be written.
    End(usize),
}

/// How the store was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Well,
    Damaged,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Keeper {
    stage: Stage,
    /// Whether what it has was handed over once.
    loaded: Loaded,
    /// Whether the shards know that they need not wait for that.
    restored: bool,
    /// Whether it is known not to work: then nobody waits for it.
    works: Works,
    /// What was said of that last.
    said: Option<Works>,
    changed: Newest,
    /// Whose changes these are.
    tickets: Vec<(u8, Vec<u64>)>,
    /// When they are written.
    due: Option<Instant>,
    /// How many are being written, and whose they are.
    writing: usize,
    written_for: Vec<(u8, Vec<u64>)>,
    backoff: Backoff,
    found: Found,
    lost: u64,
    closing: bool,
    acts: VecDeque<Act>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Closed, until it is tried again.
    Closed(Instant),
    /// Something is being done, and its end is waited for until then.
    Busy(Instant),
    /// Open.
    Idle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loaded {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Works {
    /// Or it is not known yet.
    Well,
    Not,
}

impl Keeper {
    /// A keeper that begins by opening the store.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stage: Stage::Closed(now),
            loaded: Loaded::No,
            restored: false,
            works: Works::Well,
            said: None,
            changed: Newest::default(),
            tickets: Vec::new(),
            due: None,
            writing: 0,
            written_for: Vec::new(),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            found: Found::Well,
            lost: 0,
            closing: false,
            acts: VecDeque::new(),
        }
    }

    /// How many changes are not written.
    pub(super) fn pending(&self) -> usize {
        self.changed.len() + self.writing
    }

    /// Takes note of what happened.
    pub(super) fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Handed(handed) => self.take(now, handed),
            Event::Opened(Ok(())) => {
                self.found = Found::Well;
                self.stage = Stage::Idle;
                match self.loaded {
                    Loaded::No => self.busy(now, Act::Read(None)),
                    Loaded::Yes => self.well(),
                }
            }
            Event::Read(Ok(part)) => self.read(now, part),
            Event::Written(changes, Ok(())) => {
                drop(changes);
                self.writing = 0;
                self.stage = Stage::Idle;
                self.well();
                self.tell_written();
            }
            Event::Written(changes, Err(error)) => {
                self.writing = 0;
                for change in changes {
                    self.changed.put_back(change);
                }
                self.due = Some(now);
                self.note(&error);
                self.failed(now, error);
            }
            Event::Read(Err(error)) => {
                self.note(&error);
                self.failed(now, error);
            }
            Event::Opened(Err(error)) => self.failed(now, error),
            Event::Close => {
                self.closing = true;
                self.due = Some(now);
                if let Stage::Closed(_) = self.stage {
                    self.stage = Stage::Closed(now);
                }
            }
        }
    }

    /// The next thing to be done.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Act> {
        if let Some(act) = self.acts.pop_front() {
            return Some(act);
        }
        match self.stage {
            Stage::Busy(until) if until <= now && self.works == Works::Well => {
                self.works = Works::Not;
                self.said = Some(Works::Not);
                self.acts.push_back(Act::Silent);
                self.nobody_waits();
            }
            Stage::Busy(_) => {}
            Stage::Closed(_) | Stage::Idle if self.closing && self.changed.is_empty() => {
                return Some(Act::End(0));
            }
            Stage::Closed(again) if again <= now => {
                let found = self.found;
                self.busy(now, Act::Open(found));
            }
            Stage::Closed(_) => {}
            Stage::Idle => {
                if self.due.is_some_and(|due| due <= now) || self.changed.len() >= GROUP {
                    self.write(now);
                }
            }
        }
        self.acts.pop_front()
    }

    /// When it is to be polled again though nothing happens.
    pub(super) fn timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Closed(again) => Some(again),
            Stage::Busy(until) => (self.works == Works::Well).then_some(until),
            Stage::Idle => self.due,
        }
    }

    fn take(&mut self, now: Instant, handed: Handed) {
        let before = self.lost;
        for change in handed.changes {
            if self.changed.put(change) == Err(Full) {
                self.lost += 1;
            }
        }
        if self.lost > before {
            self.acts.push_back(Act::Lost(self.lost - before));
        }
        match self.works {
            Works::Not => self.acts.push_back(Act::Tell(handed.shard, handed.tickets)),
            Works::Well => self.tickets.push((handed.shard, handed.tickets)),
        }
        if self.due.is_none() {
            self.due = now.checked_add(MOMENT);
        }
    }

    fn read(&mut self, now: Instant, part: Part) {
        if part.unreadable > 0 {
            self.acts.push_back(Act::Unreadable(part.unreadable));
        }
        let next = part.next.filter(|_| !self.closing);
        let more = next.is_some();
        if more {
            // While this part is handed over.
            self.busy(now, Act::Read(next));
        } else {
            self.stage = Stage::Idle;
        }
        let mut records = part.records;
        // Those users have gone on meanwhile.
        records.retain(|record| !self.changed.has(&record.ends));
        if !records.is_empty() {
            self.acts.push_back(Act::Restore(records));
        }
        if !more {
            self.loaded = Loaded::Yes;
            self.well();
            self.tell_restored();
        }
    }

    fn write(&mut self, now: Instant) {
        self.due = None;
        let changes = self.changed.take();
        if changes.is_empty() {
            self.written_for.append(&mut self.tickets);
            self.tell_written();
            return;
        }
        self.writing = changes.len();
        self.written_for.append(&mut self.tickets);
        self.busy(now, Act::Write(changes));
    }

    fn busy(&mut self, now: Instant, act: Act) {
        self.stage = Stage::Busy(now.checked_add(PATIENCE).unwrap_or(now));
        self.acts.push_back(act);
    }

    fn well(&mut self) {
        self.works = Works::Well;
        self.backoff.succeeded();
        self.lost = 0;
        if self.said.replace(Works::Well) != Some(Works::Well) {
            self.acts.push_back(Act::Works);
        }
    }

    /// What opening it did not find.
    fn note(&mut self, error: &StoreError) {
        if matches!(error, StoreError::Damaged { .. }) {
            self.found = Found::Damaged;
        }
    }

    fn failed(&mut self, now: Instant, error: StoreError) {
        self.works = Works::Not;
        self.said = Some(Works::Not);
        let pause = self.backoff.failed(u32::MAX);
        self.stage = Stage::Closed(now.checked_add(pause).unwrap_or(now));
        self.acts.push_back(Act::Failed(error, pause));
        self.nobody_waits();
        if self.closing {
            let left = self.changed.take().len();
            self.acts.push_back(Act::End(left));
        }
    }

    fn nobody_waits(&mut self) {
        self.written_for.append(&mut self.tickets);
        self.tell_written();
        self.tell_restored();
    }

    fn tell_written(&mut self) {
        let told = self.written_for.drain(..);
        self.acts
            .extend(told.map(|(shard, tickets)| Act::Tell(shard, tickets)));
    }

    fn tell_restored(&mut self) {
        if !std::mem::replace(&mut self.restored, true) {
            self.acts.push_back(Act::Restored);
        }
    }
}

/// Changes are gathered so long before they are written,
const MOMENT: Duration = Duration::from_millis(5);
/// or until there are so many.
const GROUP: usize = 256;
/// So long anybody waits for the store: a disk that hangs holds up no answer for longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before it is tried again, at first,
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// and at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
