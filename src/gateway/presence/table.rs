//! The relations of a shard: found by their pair, woken in the order of their times, bounded in number.

use std::collections::{BTreeSet, HashMap};
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
    /// Whether the user of XMPP has still to be told that he may not see any more.
    pub(super) has_ended: bool,
    /// Until when his server may answer a probe with no, in the place of a user of XMPP who does not let see.
    pub(super) probed: Option<Instant>,
    /// How often something could not be said.
    pub(super) unsaid_tries: u32,
    /// Whether it stands in the queue of those that have a change to tell.
    pub(super) is_queued: bool,
    /// Whether it stands in the queue of those whose last states are to be kept.
    pub(super) is_noted: bool,
    /// Whether it waits for the way to the SIP side.
    pub(super) is_waiting: bool,
    /// Whether something that was said came back, and whether it waits for the way to the XMPP side.
    pub(super) is_unheard: bool,
    pub(super) waits_to_say: bool,
    /// The ticket of the store for which something of it waited last.
    pub(super) settles: u64,
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
    relations: HashMap<Arc<Pair>, Box<Relation>>,
    /// The same in their order, for who lists them.
    order: BTreeSet<Arc<Pair>>,
    times: BTreeSet<(Instant, Arc<Pair>)>,
    by_domain: HashMap<Domain, Places>,
    adhoc: usize,
    tally: Tally,
}

/// What relations with one domain take of the table, and how many of them are without anybody's consent.
#[derive(Debug, Default)]
struct Places {
    all: usize,
    adhoc: usize,
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

    /// Whether there is something to tell one of the two, in its turn.
    pub(super) fn has_news(&self) -> bool {
        self.serve.as_deref().is_some_and(Serve::is_dirty)
            || self.watch.as_deref().is_some_and(Watch::is_ready)
    }

    /// Whether a no that comes now may be what his server says to a probe, in the place of a user of XMPP who was asked nothing.
    pub(super) fn may_be_probes(&self, now: Instant) -> bool {
        self.probed.is_some_and(|until| now < until)
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
            relations: HashMap::new(),
            order: BTreeSet::new(),
            times: BTreeSet::new(),
            by_domain: HashMap::new(),
            adhoc: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.relations.len()
    }

    /// The key and the relation of a pair.
    pub(super) fn get(&self, pair: &Pair) -> Option<(&Arc<Pair>, &Relation)> {
        self.relations
            .get_key_value(pair)
            .map(|(key, relation)| (key, &**relation))
    }

    pub(super) fn get_mut(&mut self, pair: &Pair) -> Option<&mut Relation> {
        self.relations.get_mut(pair).map(|relation| &mut **relation)
    }

    /// All of them in their order, from the first after `after` on.
    pub(super) fn after(&self, after: Option<&Pair>) -> impl Iterator<Item = (&Arc<Pair>, &Relation)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.order
            .range::<Pair, _>((from, Bound::Unbounded))
            .filter_map(|pair| self.get(pair))
    }

    /// Makes one where there is none; `false` where there is no room. One domain outside leaves half of it to others.
    pub(super) fn make(&mut self, pair: &Pair, outside: &Domain) -> bool {
        if self.relations.contains_key(pair) {
            return true;
        }
        let of_domain = self.by_domain.get(outside).map_or(0, |places| places.all);
        if self.relations.len() >= self.most || of_domain >= self.most.div_ceil(SHARE) {
            return false;
        }
        let places = self.by_domain.entry(outside.clone()).or_default();
        places.all = places.all.saturating_add(1);
        let relation = Relation {
            outside: Some(outside.clone()),
            ..Relation::default()
        };
        let key = Arc::new(pair.clone());
        self.order.insert(Arc::clone(&key));
        self.relations.insert(key, Box::new(relation));
        true
    }

    /// A stanza of a pair has arrived; tells whether nothing is left of it now.
    pub(super) fn said(&mut self, pair: &Pair, is_end: bool) -> bool {
        let Some(relation) = self.relations.get_mut(pair) else {
            return false;
        };
        relation.saying = relation.saying.saturating_sub(1);
        relation.unsaid_tries = 0;
        relation.has_ended &= !is_end;
        relation.is_over()
    }

    /// How many see without anybody's consent.
    #[cfg(test)]
    pub(super) const fn adhoc(&self) -> usize {
        self.adhoc
    }

    /// Whether one more may look at somebody of that domain, or somebody of it at one of ours, without anybody's consent, where so
    /// many may. One domain leaves half of that to others.
    pub(super) fn has_room_to_look(&self, outside: &Domain, most: usize) -> bool {
        let of_domain = self.by_domain.get(outside).map_or(0, |places| places.adhoc);
        self.adhoc < most && of_domain < most.div_ceil(SHARE)
    }

    /// Counts a relation that was without consent, or not, as what it is now.
    pub(super) fn count_adhoc(&mut self, pair: &Pair, was: bool) {
        let Some(relation) = self.relations.get(pair) else {
            return;
        };
        let places = relation
            .outside
            .as_ref()
            .and_then(|outside| self.by_domain.get_mut(outside));
        let counts = std::iter::once(&mut self.adhoc).chain(places.map(|places| &mut places.adhoc));
        for count in counts {
            *count = match (was, relation.is_adhoc()) {
                (false, true) => count.saturating_add(1),
                (true, false) => count.saturating_sub(1),
                (true, true) | (false, false) => *count,
            };
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

    pub(super) fn remove(&mut self, pair: &Pair) -> Option<Box<Relation>> {
        let (key, relation) = self.relations.remove_entry(pair)?;
        self.order.remove(&key);
        self.tally.moved(relation.counted, States::default());
        if let Some(at) = relation.wakes_at {
            self.times.remove(&(at, key));
        }
        if let Some(outside) = &relation.outside
            && let Some(places) = self.by_domain.get_mut(outside)
        {
            places.all = places.all.saturating_sub(1);
            if places.all == 0 {
                self.by_domain.remove(outside);
            }
        }
        Some(relation)
    }
}

/// The part of all that relations with one domain may be is one of so many.
const SHARE: usize = 2;

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "any time will do")]
mod tests {
    use super::*;
    use crate::xmpp::Jid;

    #[test]
    fn those_who_look_at_one_domain_without_consent_leave_places_to_others() {
        let now = Instant::now();
        let mut table = Table::new(100);
        let mut looks = |user: u32, domain: &str| {
            let pair = Pair::new(
                &Jid::parse(&format!("bob{user}@corp.example")).unwrap(),
                &Jid::parse(&format!("alice@{domain}")).unwrap(),
            );
            let outside = pair.sip.domain();
            if !table.has_room_to_look(outside, 4) || !table.make(&pair, outside) {
                return None;
            }
            table.get_mut(&pair)?.watch = Some(Box::new(Watch::adhoc(now)));
            table.count_adhoc(&pair, false);
            Some(pair)
        };
        let first = looks(1, "many.example").unwrap();
        assert!(looks(2, "many.example").is_some());
        assert!(looks(3, "many.example").is_none());
        assert!(looks(4, "few.example").is_some());
        assert!(looks(5, "others.example").is_some());
        assert!(looks(6, "more.example").is_none(), "there are no more at all");
        table.get_mut(&first).unwrap().watch = None;
        table.count_adhoc(&first, true);
        table.remove(&first);
        assert_eq!(table.adhoc(), 3);
        assert!(table.has_room_to_look(&Domain::parse("many.example").unwrap(), 4));
    }
}
