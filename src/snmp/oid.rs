//! Names of objects: lists of numbers in their order, and the roots under which ours stand.

use std::fmt;

/// An object identifier; ordered as a walk goes (RFC 3416 §4.2.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Oid(Vec<u32>);

impl Oid {
    /// Of these numbers.
    #[must_use]
    pub(super) fn new(numbers: &[u32]) -> Self {
        Self(numbers.to_vec())
    }

    /// What stands under it at these numbers.
    #[must_use]
    pub(super) fn below(&self, numbers: &[u32]) -> Self {
        Self([&self.0, numbers].concat())
    }

    /// Its numbers.
    #[must_use]
    pub(super) fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// Whether it is `other`, or stands under it.
    #[must_use]
    pub(super) fn is_in(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, number) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}

/// `system` of SNMPv2-MIB (RFC 3418).
pub(super) const SYSTEM: &[u32] = &[1, 3, 6, 1, 2, 1, 1];
/// `applEntry` of NETWORK-SERVICES-MIB (RFC 2788).
pub(super) const APPLICATION: &[u32] = &[1, 3, 6, 1, 2, 1, 27, 1, 1];
/// `vestibuleMIB`: netSnmpPlaypen.42, until a number of its own is assigned. The MIB's only line that says it is the one that
/// names the module.
pub(super) const VESTIBULE: &[u32] = &[1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 42];
/// `coldStart` (RFC 3418).
pub(super) const COLD_START: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 5, 1];
/// Everything: what a user may read.
pub(super) const INTERNET: &[u32] = &[1, 3, 6, 1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_ordered_number_by_number_and_a_prefix_comes_first() {
        let mut walked: Vec<Oid> = [&[1, 10][..], &[1, 9, 1], &[1, 9], &[1], &[1, 9, 0, 7], &[2]]
            .into_iter()
            .map(Oid::new)
            .collect();
        walked.sort();
        let written: Vec<String> = walked.iter().map(ToString::to_string).collect();
        assert_eq!(written, ["1", "1.9", "1.9.0.7", "1.9.1", "1.10", "2"]);
    }

    #[test]
    fn what_is_under_it_is_in_it() {
        let system = Oid::new(SYSTEM);
        assert!(system.is_in(&system) && system.below(&[1, 0]).is_in(&system));
        assert!(!Oid::new(&[1, 3, 6, 1, 2, 1, 11]).is_in(&system));
        assert!(!system.is_in(&system.below(&[1])));
    }
}
