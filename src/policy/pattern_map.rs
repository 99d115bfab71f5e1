//! Values kept under domain patterns and found by a domain, most specific first.
//!
//! A look-up walks the labels of the asked name, so its cost does not grow with the number of patterns.

use std::collections::HashMap;

use crate::domain::{Domain, DomainPattern};

/// Values under patterns; several values under one pattern keep the order of their insertion.
#[derive(Debug, Clone)]
pub(crate) struct PatternMap<V> {
    by_base: HashMap<String, Entries<V>>,
}

impl<V> PatternMap<V> {
    pub(crate) fn new() -> Self {
        Self {
            by_base: HashMap::new(),
        }
    }

    pub(crate) fn insert(&mut self, pattern: &DomainPattern, value: V) {
        let entries = self
            .by_base
            .entry(pattern.base().as_str().to_owned())
            .or_insert_with(|| Entries {
                exact: Vec::new(),
                below: Vec::new(),
            });
        match pattern {
            DomainPattern::Exact(_) => entries.exact.push(value),
            DomainPattern::Subdomains(_) => entries.below.push(value),
        }
    }

    /// The groups of values whose pattern covers `domain`, in the order of [`DomainPattern::specificity`], greatest
    /// first. No group is empty.
    pub(crate) fn covering<'m>(&'m self, domain: &Domain) -> impl Iterator<Item = &'m [V]> {
        let name = domain.as_str();
        let exact = self.by_base.get(name).map(|entries| entries.exact.as_slice());
        let below = suffixes(name)
            .filter_map(|suffix| self.by_base.get(suffix))
            .map(|entries| entries.below.as_slice());
        exact.into_iter().chain(below).filter(|group| !group.is_empty())
    }
}

#[derive(Debug, Clone)]
struct Entries<V> {
    exact: Vec<V>,
    below: Vec<V>,
}

/// The name itself, then what follows each of its dots.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |rest| rest.split_once('.').map(|(_, parent)| parent))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_scan_of_all_patterns_finds_in_the_order_of_specificity(
            patterns in proptest::collection::vec(("(\\*\\.)?[ab](\\.[ab]){0,3}", 0_u8..3), 0..12),
            name in "[ab](\\.[ab]){0,4}",
        ) {
            let domain = Domain::parse(&name).unwrap();
            let mut map = PatternMap::new();
            let mut scanned = Vec::new();
            for (text, _) in &patterns {
                let pattern = DomainPattern::parse(text).unwrap();
                map.insert(&pattern, pattern.clone());
                if pattern.matches(&domain) {
                    scanned.push(pattern);
                }
            }
            scanned.sort_by_key(|pattern| std::cmp::Reverse(pattern.specificity()));
            let found: Vec<_> = map.covering(&domain).flatten().cloned().collect();
            prop_assert_eq!(found, scanned);
        }
    }
}
