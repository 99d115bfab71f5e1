//! The messages that wait for their outcome, by token and by the time at which waiting ends.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

/// The name of something under way, unique in the process: the shard that owns it, and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(u64);

impl Token {
    /// The `number`-th token of a shard.
    #[must_use]
    pub const fn new(shard: u8, number: u64) -> Self {
        Self((number << SHARD_BITS) | Self::widen(shard))
    }

    /// The shard that owns it.
    #[must_use]
    pub const fn shard(self) -> u8 {
        let [shard, ..] = self.0.to_le_bytes();
        shard
    }

    /// The whole name as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The token of a number, as it comes back in an answer.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    const fn widen(shard: u8) -> u64 {
        u64::from_le_bytes([shard, 0, 0, 0, 0, 0, 0, 0])
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A bounded table of things that wait, each until its own time.
#[derive(Debug)]
pub(super) struct Pending<T> {
    most: usize,
    most_octets: usize,
    octets: usize,
    /// With when each ends, and the octets that were counted for it.
    entries: HashMap<Token, (Instant, usize, T)>,
    times: BTreeSet<(Instant, Token)>,
}

/// What waits takes memory.
pub(super) trait Weighs {
    /// About how many octets.
    fn weight(&self) -> usize;
}

impl<T: Weighs> Pending<T> {
    pub(super) fn new(most: usize, most_octets: usize) -> Self {
        Self {
            most,
            most_octets,
            octets: 0,
            entries: HashMap::new(),
            times: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Puts an entry in; gives it back where the table is full.
    pub(super) fn insert(&mut self, token: Token, until: Instant, entry: T) -> Result<(), T> {
        let weight = entry.weight();
        let octets = self.octets.saturating_add(weight);
        if self.entries.len() >= self.most || octets > self.most_octets {
            return Err(entry);
        }
        self.octets = octets;
        self.times.insert((until, token));
        if let Some((before, replaced, _)) = self.entries.insert(token, (until, weight, entry)) {
            self.octets = self.octets.saturating_sub(replaced);
            self.times.remove(&(before, token));
        }
        Ok(())
    }

    pub(super) fn get(&self, token: Token) -> Option<&T> {
        self.entries.get(&token).map(|(.., entry)| entry)
    }

    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        self.entries.get_mut(&token).map(|(.., entry)| entry)
    }

    /// Lets an entry wait until another time.
    pub(super) fn wait_until(&mut self, token: Token, until: Instant) {
        if let Some((before, ..)) = self.entries.get_mut(&token) {
            self.times.remove(&(*before, token));
            *before = until;
            self.times.insert((until, token));
        }
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<T> {
        // What has changed since it was put in weighs what was counted then.
        let (until, weight, entry) = self.entries.remove(&token)?;
        self.octets = self.octets.saturating_sub(weight);
        self.times.remove(&(until, token));
        Some(entry)
    }

    #[cfg(test)]
    pub(super) fn tokens(&self) -> Vec<Token> {
        self.entries.keys().copied().collect()
    }

    /// The earliest time at which waiting ends.
    pub(super) fn next(&self) -> Option<Instant> {
        self.times.first().map(|(until, _)| *until)
    }

    /// Whose waiting ends first.
    pub(super) fn first(&self) -> Option<Token> {
        self.times.first().map(|(_, token)| *token)
    }

    /// Whose waiting ended first, if that is at or before `now`.
    pub(super) fn due(&self, now: Instant) -> Option<Token> {
        self.times
            .first()
            .filter(|(until, _)| *until <= now)
            .map(|(_, token)| *token)
    }

    /// Takes out the entry whose waiting ended first, if that is at or before `now`.
    pub(super) fn expired(&mut self, now: Instant) -> Option<(Token, T)> {
        let token = self.due(now)?;
        self.remove(token).map(|entry| (token, entry))
    }
}

const SHARD_BITS: u32 = 8;

#[cfg(test)]
mod tests {
    #![allow(
        clippy::arithmetic_side_effects,
        clippy::disallowed_methods,
        reason = "tests count from some instant"
    )]
    use super::*;
    use std::time::Duration;

    impl Weighs for char {
        fn weight(&self) -> usize {
            if *self == 'H' { 80 } else { 1 }
        }
    }

    #[test]
    fn what_waits_is_bounded_by_its_octets_too() {
        let now = Instant::now();
        let mut pending = Pending::new(10, 100);
        assert_eq!(pending.insert(Token::new(0, 1), now, 'H'), Ok(()));
        assert_eq!(pending.insert(Token::new(0, 2), now, 'H'), Err('H'));
        assert_eq!(pending.insert(Token::new(0, 3), now, 'l'), Ok(()));
        assert_eq!(pending.remove(Token::new(0, 1)), Some('H'));
        assert_eq!(pending.insert(Token::new(0, 2), now, 'H'), Ok(()));
    }

    #[test]
    fn tokens_name_their_shard() {
        let token = Token::new(7, 12_345);
        assert_eq!(token.shard(), 7);
        assert_ne!(token, Token::new(8, 12_345));
        assert_eq!(Token::from_number(token.get()), token);
    }

    #[test]
    fn entries_leave_in_the_order_of_their_time() {
        let now = Instant::now();
        let at = |s| now + Duration::from_secs(s);
        let (a, b, c) = (Token::new(0, 1), Token::new(0, 2), Token::new(0, 3));
        let mut pending = Pending::new(2, 100);
        assert_eq!(pending.insert(a, at(5), 'a'), Ok(()));
        assert_eq!(pending.insert(b, at(3), 'b'), Ok(()));
        assert_eq!(pending.insert(c, at(1), 'c'), Err('c'), "the table is full");
        assert_eq!(pending.next(), Some(at(3)));
        pending.wait_until(b, at(9));
        assert_eq!(pending.expired(at(4)), None);
        assert_eq!(pending.expired(at(10)), Some((a, 'a')));
        assert_eq!(pending.remove(b), Some('b'));
        assert_eq!((pending.next(), pending.len()), (None, 0));
    }
}
