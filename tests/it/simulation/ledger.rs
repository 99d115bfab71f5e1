//! What really became of each message, and whether that may be.

use std::collections::{BTreeMap, BTreeSet};

/// All messages of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) messages: BTreeMap<String, Message>,
    /// The last number that arrived, for each pair of users.
    arrived: BTreeMap<(String, String), u64>,
    /// What must not be and was.
    pub(super) faults: Vec<String>,
    pub(super) totals: Totals,
}

/// One message.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) number: u64,
    /// Which edges have taken it in.
    pub(super) accepted: BTreeSet<usize>,
    /// How often its addressee's server has taken it in.
    pub(super) delivered: usize,
    /// How often its sender was told that it failed.
    pub(super) told: usize,
    /// An edge was killed while it answered for it: it and the word about it may be lost, for nothing is kept on disk.
    pub(super) edge_killed: bool,
}

/// Sums over runs.
#[derive(Debug, Default, Clone)]
pub(super) struct Totals {
    pub(super) messages: usize,
    pub(super) accepted: usize,
    pub(super) delivered: usize,
    pub(super) told: usize,
    /// Delivered, though the sender was told that it failed.
    pub(super) both: usize,
    /// Lost in silence with an edge that was killed. Nothing else may cost a message and the word about it.
    pub(super) lost_with_edge: usize,
    pub(super) streams: usize,
    /// Streams of edges on which stanzas were acknowledged.
    pub(super) acknowledged: usize,
    pub(super) resets: usize,
    pub(super) kills: usize,
}

impl Ledger {
    pub(super) fn sent(&mut self, id: &str, from: &str, to: &str) {
        let number = u64::try_from(self.messages.len()).unwrap() + 1;
        let message = Message {
            from: from.to_owned(),
            to: to.to_owned(),
            number,
            ..Message::default()
        };
        self.messages.insert(id.to_owned(), message);
    }

    pub(super) fn accepted(&mut self, id: &str, edge: usize) {
        if let Some(message) = self.messages.get_mut(id)
            && !message.accepted.insert(edge)
        {
            self.faults.push(format!("{id} came to edge {edge} twice"));
        }
    }

    pub(super) fn delivered(&mut self, id: &str) {
        let Some(message) = self.messages.get_mut(id) else {
            self.faults.push(format!("{id} was delivered and never sent"));
            return;
        };
        message.delivered += 1;
        if message.delivered > 1 {
            self.faults.push(format!("{id} was delivered twice"));
        }
        let last = self
            .arrived
            .entry((message.from.clone(), message.to.clone()))
            .or_default();
        if *last > message.number {
            self.faults.push(format!("{id} was overtaken by number {last}"));
        }
        *last = message.number.max(*last);
    }

    pub(super) fn told(&mut self, id: &str) {
        match self.messages.get_mut(id) {
            Some(message) => message.told += 1,
            None => self
                .faults
                .push(format!("an error about {id}, which was never sent")),
        }
    }

    /// An edge is killed, with whatever it answers for.
    pub(super) fn killed(&mut self, edge: usize) {
        for message in self.messages.values_mut() {
            if message.accepted.contains(&edge) && message.delivered == 0 && message.told == 0 {
                message.edge_killed = true;
            }
        }
    }

    /// A message that arrived though its sender was told that it failed.
    pub(super) fn both(&self) -> Option<&str> {
        self.messages
            .iter()
            .find(|(_, message)| message.is_both())
            .map(|(id, _)| id.as_str())
    }

    /// All is at rest: nothing that an edge took in is lost in silence.
    pub(super) fn settle(&mut self) {
        for (id, message) in &self.messages {
            self.totals.messages += 1;
            self.totals.accepted += usize::from(!message.accepted.is_empty());
            self.totals.delivered += message.delivered;
            self.totals.told += usize::from(message.told > 0);
            self.totals.both += usize::from(message.is_both());
            if message.accepted.is_empty() || message.delivered > 0 || message.told > 0 {
                continue;
            }
            if message.edge_killed {
                self.totals.lost_with_edge += 1;
            } else {
                self.faults.push(format!("{id} is lost in silence: {message:?}"));
            }
        }
    }
}

impl Message {
    fn is_both(&self) -> bool {
        let is_refused = self.to.starts_with(super::plan::NOBODY);
        self.told > 0 && self.delivered > 0 && !is_refused
    }
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.told += other.told;
        self.both += other.both;
        self.streams += other.streams;
        self.acknowledged += other.acknowledged;
        self.resets += other.resets;
        self.kills += other.kills;
        self.lost_with_edge += other.lost_with_edge;
    }
}
