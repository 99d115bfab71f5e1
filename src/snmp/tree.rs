//! What managers walk over: values in the order of their names, which nothing changes once they are there.
//!
//! The agent's library only ever sees [`Tree`], so that another one can take its place. A walk that goes on over a new
//! snapshot meets each name at most once: names are asked for by the one before.

use std::sync::{Arc, PoisonError, RwLock};

use super::oid::Oid;

/// The value of an object, in the types of SMIv2 (RFC 2578) that are needed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// INTEGER: also words by their numbers.
    Integer(i32),
    /// OCTET STRING that is text.
    Text(String),
    /// OCTET STRING that is no text.
    Octets(Vec<u8>),
    /// OBJECT IDENTIFIER.
    Name(Oid),
    /// Gauge32 and Unsigned32.
    Gauge(u32),
    /// Counter32.
    Counter(u32),
    /// Counter64.
    Counter64(u64),
    /// TimeTicks: hundredths of a second.
    Ticks(u32),
    /// TimeTicks of this moment, counted from the start of the agent.
    Uptime,
}

/// What is under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A value.
    Value(Value),
    /// The object is known, and has no such instance now.
    NoInstance,
    /// There is no such object.
    NoObject,
}

/// What can be asked by name, and walked.
pub(super) trait Tree: Send + Sync {
    /// What is under this name.
    fn get(&self, name: &Oid) -> Found;
    /// The first value behind this name; `None` at the end.
    fn next(&self, name: &Oid) -> Option<(Oid, Value)>;
}

/// All values of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// In the order of their names, each once.
    values: Vec<(Oid, Value)>,
    /// The objects that there can be, whether they have an instance now or not.
    objects: Vec<Oid>,
}

impl Snapshot {
    /// Of these values, in any order, of these objects; of two with one name the first counts.
    #[must_use]
    pub(super) fn new(mut values: Vec<(Oid, Value)>, objects: Vec<Oid>) -> Self {
        values.sort_by(|(one, _), (other, _)| one.cmp(other));
        values.dedup_by(|(one, _), (other, _)| one == other);
        Self { values, objects }
    }
}

impl Tree for Snapshot {
    fn get(&self, name: &Oid) -> Found {
        let at = self.values.binary_search_by(|(known, _)| known.cmp(name));
        if let Some((_, value)) = at.ok().and_then(|at| self.values.get(at)) {
            return Found::Value(value.clone());
        }
        if self.objects.iter().any(|object| name.is_in(object)) {
            Found::NoInstance
        } else {
            Found::NoObject
        }
    }

    fn next(&self, name: &Oid) -> Option<(Oid, Value)> {
        let behind = self.values.partition_point(|(known, _)| known <= name);
        self.values.get(behind).cloned()
    }
}

/// The snapshot that counts now. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Current(Arc<RwLock<Arc<Snapshot>>>);

impl Current {
    /// Puts another one in its place.
    pub(super) fn replace(&self, snapshot: Snapshot) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
    }

    fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tree for Current {
    fn get(&self, name: &Oid) -> Found {
        self.now().get(name)
    }

    fn next(&self, name: &Oid) -> Option<(Oid, Value)> {
        self.now().next(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn snapshot(names: &[&[u32]]) -> Snapshot {
        let values = names
            .iter()
            .zip(0..)
            .map(|(name, at)| (Oid::new(name), Value::Gauge(at)));
        Snapshot::new(values.collect(), vec![Oid::new(&[1, 2]), Oid::new(&[1, 3])])
    }

    fn walk(tree: &impl Tree) -> Vec<String> {
        let mut names = Vec::new();
        let mut at = Oid::new(&[]);
        while let Some((name, _)) = tree.next(&at) {
            names.push(name.to_string());
            at = name;
        }
        names
    }

    #[test]
    fn a_walk_meets_every_value_in_order_and_ends() {
        let tree = snapshot(&[&[1, 3, 1], &[1, 2, 10], &[1, 2, 9], &[1, 2, 0], &[1, 2, 10, 1]]);
        assert_eq!(walk(&tree), ["1.2.0", "1.2.9", "1.2.10", "1.2.10.1", "1.3.1"]);
        assert_eq!(
            tree.next(&Oid::new(&[1, 2, 9, 5])).unwrap().0,
            Oid::new(&[1, 2, 10])
        );
        assert_eq!(tree.next(&Oid::new(&[1, 3, 1])), None);
    }

    #[test]
    fn what_is_missing_is_an_instance_or_an_object() {
        let tree = snapshot(&[&[1, 2, 0]]);
        assert_eq!(tree.get(&Oid::new(&[1, 2, 0])), Found::Value(Value::Gauge(0)));
        assert_eq!(tree.get(&Oid::new(&[1, 2, 1])), Found::NoInstance);
        assert_eq!(tree.get(&Oid::new(&[1, 2])), Found::NoInstance);
        assert_eq!(tree.get(&Oid::new(&[1, 3, 1, 4])), Found::NoInstance);
        assert_eq!(tree.get(&Oid::new(&[1, 4, 0])), Found::NoObject);
        assert_eq!(tree.get(&Oid::new(&[1])), Found::NoObject);
    }

    #[test]
    fn of_two_values_with_one_name_the_first_counts() {
        let tree = snapshot(&[&[1, 2, 0], &[1, 2, 0]]);
        assert_eq!(walk(&tree), ["1.2.0"]);
        assert_eq!(tree.get(&Oid::new(&[1, 2, 0])), Found::Value(Value::Gauge(0)));
    }

    #[test]
    fn a_walk_that_outlives_its_snapshot_goes_on_in_the_next_one() {
        let current = Current::default();
        assert_eq!(current.next(&Oid::new(&[])), None);
        current.replace(snapshot(&[&[1, 2, 1], &[1, 2, 2]]));
        let (at, _) = current.next(&Oid::new(&[])).unwrap();
        current.replace(snapshot(&[&[1, 2, 1], &[1, 3, 7]]));
        assert_eq!(current.next(&at).unwrap().0, Oid::new(&[1, 3, 7]));
    }

    proptest! {
        #[test]
        fn whatever_the_names_a_walk_is_sorted_and_whole_and_each_of_it_can_be_asked(
            names in prop::collection::vec(prop::collection::vec(0_u32..5, 0..5), 0..40),
            asked in prop::collection::vec(0_u32..6, 0..6),
        ) {
            let values = names.iter().map(|name| (Oid::new(name), Value::Uptime)).collect();
            let tree = Snapshot::new(values, Vec::new());
            let mut expected: Vec<Oid> = names.iter().map(|name| Oid::new(name)).collect();
            expected.sort();
            expected.dedup();
            for name in &expected {
                prop_assert_eq!(tree.get(name), Found::Value(Value::Uptime));
            }
            let asked = Oid::new(&asked);
            let next = expected.iter().find(|name| **name > asked).cloned();
            prop_assert_eq!(tree.next(&asked).map(|(name, _)| name), next);
        }
    }
}
