//! What became of each message of one way.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::PAIRS;

/// Which way: what settles a message differs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Settled by the final response to its sender.
    ToXmpp,
    /// Settled when it has arrived, or when its sender was told that it will not: an acknowledgement promises only one of both.
    ToSip,
}

/// What its sender knows of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was not sent.
    Unsent,
    /// Nothing yet.
    Open,
    /// It was accepted: answered 200, or acknowledged.
    Accepted,
    /// It was refused, or reported as failed.
    Refused,
    /// The connection ended before anything was known: the sender sees that.
    Broken,
}

/// All messages of one way.
pub(crate) struct Ledger {
    way: Way,
    book: Mutex<Book>,
    changed: Notify,
}

struct Book {
    entries: Vec<Entry>,
    last: Vec<u64>,
    sent: u64,
    open: u64,
    out_of_order: u64,
    /// From where the next report counts.
    reported: usize,
    reported_order: u64,
    /// When the message was sent that arrived last.
    newest: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Entry {
    fate: Fate,
    arrivals: u8,
    sent: Option<Instant>,
    micros: u32,
}

const NOTHING: Entry = Entry {
    fate: Fate::Unsent,
    arrivals: 0,
    sent: None,
    micros: 0,
};

impl Ledger {
    pub(super) fn new(way: Way) -> Self {
        Self {
            way,
            book: Mutex::new(Book {
                entries: Vec::new(),
                last: vec![0; usize::try_from(PAIRS).unwrap()],
                sent: 0,
                open: 0,
                out_of_order: 0,
                reported: 0,
                reported_order: 0,
                newest: None,
            }),
            changed: Notify::new(),
        }
    }

    /// Messages that were sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.book.lock().unwrap().sent
    }

    /// Messages that are not settled.
    pub(super) fn open(&self) -> u64 {
        self.book.lock().unwrap().open
    }

    /// These are sent now.
    pub(super) fn send(&self, numbers: &[u64]) {
        let now = Instant::now();
        let mut book = self.book.lock().unwrap();
        for number in numbers {
            let place = usize::try_from(*number).unwrap();
            if book.entries.len() <= place {
                book.entries.resize(place + 1, NOTHING);
            }
            book.entries[place].fate = Fate::Open;
            book.entries[place].sent = Some(now);
            book.sent += 1;
            book.open += 1;
        }
    }

    /// A message has arrived at the far end.
    pub(super) fn arrived(&self, number: u64) {
        let mut book = self.book.lock().unwrap();
        let pair = usize::try_from(number % PAIRS).unwrap();
        let place = usize::try_from(number).unwrap();
        let settled = self.is_settled(book.entries[place]);
        let entry = &mut book.entries[place];
        entry.arrivals = entry.arrivals.saturating_add(1);
        let sent = entry.sent.expect("it was sent");
        if entry.arrivals == 1 {
            entry.micros = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
            if book.last[pair] > number {
                book.out_of_order += 1;
            }
            book.last[pair] = number;
        }
        if !settled && self.is_settled(book.entries[place]) {
            book.open -= 1;
        }
        book.newest = book.newest.max(Some(sent));
        drop(book);
        self.changed.notify_waiters();
    }

    /// Its sender hears of a message. What was refused stays so, whatever else is heard.
    pub(super) fn told(&self, number: u64, fate: Fate) {
        let mut book = self.book.lock().unwrap();
        let place = usize::try_from(number).unwrap();
        let settled = self.is_settled(book.entries[place]);
        let entry = &mut book.entries[place];
        if matches!(entry.fate, Fate::Open | Fate::Accepted) {
            entry.fate = fate;
        }
        if !settled && self.is_settled(book.entries[place]) {
            book.open -= 1;
        }
    }

    fn is_settled(&self, entry: Entry) -> bool {
        match (self.way, entry.fate) {
            (_, Fate::Refused | Fate::Broken) | (Way::ToXmpp, Fate::Accepted) => true,
            (Way::ToSip, Fate::Accepted | Fate::Open) => entry.arrivals > 0,
            (Way::ToXmpp, Fate::Open) | (_, Fate::Unsent) => false,
        }
    }

    /// Waits until a message has arrived that was sent after a time: how long after it.
    pub(super) async fn crossed(&self, since: Instant) -> Duration {
        loop {
            let changed = self.changed.notified();
            if self
                .book
                .lock()
                .unwrap()
                .newest
                .is_some_and(|newest| newest > since)
            {
                return since.elapsed();
            }
            changed.await;
        }
    }

    /// What was counted since the last time, as `name_what=number`.
    pub(super) fn report(&self, name: &str) -> String {
        let mut book = self.book.lock().unwrap();
        let entries = &book.entries[book.reported..];
        let count = |what: &dyn Fn(&&Entry) -> bool| entries.iter().filter(what).count();
        let sent = |entry: &&Entry| entry.fate != Fate::Unsent;
        let mut micros: Vec<u32> = entries
            .iter()
            .filter(|entry| entry.arrivals > 0)
            .map(|entry| entry.micros)
            .collect();
        micros.sort_unstable();
        let percentile = |of: usize| {
            micros
                .get((micros.len() * of / 1000).min(micros.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0)
        };
        let mut text = String::new();
        for (what, number) in [
            ("sent", count(&|entry| sent(entry))),
            ("accepted", count(&|entry| entry.fate == Fate::Accepted)),
            ("refused", count(&|entry| entry.fate == Fate::Refused)),
            ("broken", count(&|entry| entry.fate == Fate::Broken)),
            ("arrived", count(&|entry| entry.arrivals > 0)),
            ("twice", count(&|entry| entry.arrivals > 1)),
            // Accepted, or never heard of again, and not there.
            (
                "lost",
                count(&|entry| entry.arrivals == 0 && matches!(entry.fate, Fate::Accepted | Fate::Open)),
            ),
            (
                "unsettled",
                count(&|entry| entry.fate != Fate::Unsent && !self.is_settled(**entry)),
            ),
        ] {
            write!(text, "{name}_{what}={number} ").unwrap();
        }
        write!(
            text,
            "{name}_disordered={} {name}_p50={} {name}_p99={} {name}_p999={} {name}_max={}",
            book.out_of_order - book.reported_order,
            percentile(500),
            percentile(990),
            percentile(999),
            percentile(1000)
        )
        .unwrap();
        (book.reported, book.reported_order) = (book.entries.len(), book.out_of_order);
        text
    }
}
