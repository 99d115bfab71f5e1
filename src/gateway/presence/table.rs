//! The relations of a shard: found by their pair, woken in the order of their times, bounded in number.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use super::act::Word;
use super::listing;
use super::serve::Serve;
use super::tally::{States, Tally};
use super::watch::{Stage, Watch};
use crate::domain::Domain;
use crate::gateway::conversation::Pair;

/// What two users have between them.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Relation {
    pub(super) watch: Option<Box<Watch>>,
    pub(super) serve: Option<Box<Serve>>,
    /// What could not be said to the user of XMPP, and when it is said again.
    pub(super) unsaid: Vec<Word>,
    pub(super) unsaid_at: Option<Instant>,
    /// Stanzas that were said and have not arrived yet, as far as is known.
    pub(super) saying: usize,
    /// Whether the process before has sent in its dialogs what it may not have written down.
    pub(super) is_resumed: bool,
    /// How often something could not be said.
    pub(super) unsaid_tries: u32,
    /// Whether it stands in the queue of those that have a change to tell.
    pub(super) is_queued: bool,
    /// Whether it waits for the way to the SIP side.
    pub(super) is_waiting: bool,
    /// By which configuration it was looked at last.
    pub(super) reviewed: u32,
    wakes_at: Option<Instant>,
    /// The domain of the one who is outside.
    outside: Option<Domain>,
    /// As what it is counted.
    counted: States,
}

/// The relations by pair.
#[derive(Debug)]
pub(in crate::gateway) struct Table {
    most: usize,
    relations: BTreeMap<Arc<Pair>, Relation>,
    times: BTreeSet<(Instant, Arc<Pair>)>,
    by_domain: HashMap<Domain, usize>,
    adhoc: usize,
    tally: Tally,
}

impl Relation {
    /// Whether nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        let watches = self
            .watch
            .as_deref()
            .is_some_and(|watch| watch.stage() != Stage::Over);
        let serves = self.serve.as_deref().is_some_and(|serve| !serve.is_over());
        !watches && !serves && self.unsaid.is_empty() && self.saying == 0
    }

    /// Whether somebody sees without anybody's consent.
    pub(super) fn is_adhoc(&self) -> bool {
        self.watch
            .as_deref()
            .is_some_and(|watch| watch.is_adhoc() && watch.stage() != Stage::Over)
    }

    /// Whether something of it waits for the way to the SIP side.
    pub(super) fn is_troubled(&self) -> bool {
        self.watch.as_deref().is_some_and(Watch::is_troubled)
            || self.serve.as_deref().is_some_and(Serve::is_troubled)
    }

    fn wakes(&self) -> Option<Instant> {
        [
            self.watch.as_deref().and_then(Watch::timeout),
            self.serve.as_deref().and_then(Serve::timeout),
            self.unsaid_at.filter(|_| !self.unsaid.is_empty()),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Table {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            relations: BTreeMap::new(),
            times: BTreeSet::new(),
            by_domain: HashMap::new(),
            adhoc: 0,
            tally: Tally::default(),
        }
    }

    /// The key and the relation of a pair.
    pub(super) fn get(&self, pair: &Pair) -> Option<(&Arc<Pair>, &Relation)> {
        self.relations.get_key_value(pair)
    }

    pub(super) fn get_mut(&mut self, pair: &Pair) -> Option<&mut Relation> {
        self.relations.get_mut(pair)
    }

    /// All of them in their order, from the first after `after` on.
    pub(super) fn after(&self, after: Option<&Pair>) -> impl Iterator<Item = (&Arc<Pair>, &Relation)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.relations.range::<Pair, _>((from, Bound::Unbounded))
    }

    /// Makes one where there is none; `false` where there is no room. One domain outside leaves half of it to others.
    pub(super) fn make(&mut self, pair: &Pair, outside: &Domain) -> bool {
        if self.relations.contains_key(pair) {
            return true;
        }
        let of_domain = self.by_domain.get(outside).copied().unwrap_or_default();
        if self.relations.len() >= self.most || of_domain >= self.most.div_ceil(SHARE) {
            return false;
        }
        let count = self.by_domain.entry(outside.clone()).or_default();
        *count = count.saturating_add(1);
        let relation = Relation {
            outside: Some(outside.clone()),
            ..Relation::default()
        };
        self.relations.insert(Arc::new(pair.clone()), relation);
        true
    }

    /// A stanza of a pair has arrived; tells whether nothing is left of it now.
    pub(super) fn said(&mut self, pair: &Pair) -> bool {
        let Some(relation) = self.relations.get_mut(pair) else {
            return false;
        };
        relation.saying = relation.saying.saturating_sub(1);
        relation.unsaid_tries = 0;
        relation.is_over()
    }

    /// How many see without anybody's consent.
    pub(super) const fn adhoc(&self) -> usize {
        self.adhoc
    }

    pub(super) const fn count_adhoc(&mut self, was: bool, is: bool) {
        match (was, is) {
            (false, true) => self.adhoc = self.adhoc.saturating_add(1),
            (true, false) => self.adhoc = self.adhoc.saturating_sub(1),
            (true, true) | (false, false) => {}
        }
    }

    pub(super) const fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) const fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.times.first().map(|(at, _)| *at)
    }

    pub(super) fn due(&self, now: Instant) -> Option<Arc<Pair>> {
        let (at, pair) = self.times.first()?;
        (*at <= now).then(|| Arc::clone(pair))
    }

    /// Puts a relation in the table of times by what it waits for, not before `least`; forgets one that is over.
    pub(super) fn schedule(&mut self, pair: &Arc<Pair>, least: Instant) {
        let Some(relation) = self.relations.get_mut(&**pair) else {
            return;
        };
        let states = listing::states(relation);
        self.tally.moved(relation.counted, states);
        relation.counted = states;
        let at = relation.wakes().map(|at| at.max(least));
        if relation.wakes_at != at {
            if let Some(before) = std::mem::replace(&mut relation.wakes_at, at) {
                self.times.remove(&(before, Arc::clone(pair)));
            }
            if let Some(at) = at {
                self.times.insert((at, Arc::clone(pair)));
            }
        }
    }

    pub(super) fn remove(&mut self, pair: &Pair) -> Option<Relation> {
        let (key, relation) = self.relations.remove_entry(pair)?;
        self.tally.moved(relation.counted, States::default());
        if let Some(at) = relation.wakes_at {
            self.times.remove(&(at, key));
        }
        if let Some(outside) = &relation.outside
            && let Some(count) = self.by_domain.get_mut(outside)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_domain.remove(outside);
            }
        }
        Some(relation)
    }
}

/// The part of all that relations with one domain may be is one of so many.
const SHARE: usize = 2;
