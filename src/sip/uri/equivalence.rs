//! When two SIP URIs mean the same (RFC 3261 §19.1.4).

use std::collections::BTreeMap;

use super::SipUri;
use crate::sip::lex;

impl SipUri {
    /// Whether the two mean the same resource by the rules of RFC 3261 §19.1.4: the user part by case, the rest
    /// without; escapes of characters that need none as those characters; `user`, `ttl`, `method`, `maddr` and
    /// `transport` in both or in none; other parameters only where both have them; header fields all.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        let same = |a: Option<&str>, b: Option<&str>| a.map(exact) == b.map(exact);
        self.scheme == other.scheme
            && same(self.user(), other.user())
            && same(self.password(), other.password())
            && self.host == other.host
            && self.port == other.port
            && params_match(&params(self), &params(other))
            && headers(self) == headers(other)
    }
}

/// A character of an escaped text: as it stands, or one that would mean something else if it were not escaped.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Character {
    Plain(u8),
    Escaped(u8),
}

type Word = Vec<Character>;

fn params(uri: &SipUri) -> BTreeMap<Word, Option<Word>> {
    let pairs = uri.params.iter();
    pairs
        .map(|(name, value)| (folded(name), value.map(folded)))
        .collect()
}

fn params_match(a: &BTreeMap<Word, Option<Word>>, b: &BTreeMap<Word, Option<Word>>) -> bool {
    let in_both = a
        .iter()
        .all(|(name, value)| b.get(name).is_none_or(|other| other == value));
    let needed = ["user", "ttl", "method", "maddr", "transport"].map(folded);
    in_both
        && needed
            .iter()
            .all(|name| a.contains_key(name) == b.contains_key(name))
}

/// The header fields in an order of their own, since theirs means nothing.
fn headers(uri: &SipUri) -> Vec<Word> {
    let mut headers: Vec<Word> = uri.headers().unwrap_or_default().split('&').map(folded).collect();
    headers.sort_unstable();
    headers
}

fn exact(text: &str) -> Word {
    let mut bytes = text.bytes();
    std::iter::from_fn(|| {
        let b = bytes.next()?;
        if b != b'%' {
            return Some(Character::Plain(b));
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let code = digit()?.checked_mul(16)?.checked_add(digit()?)?;
        let b = u8::try_from(code).ok()?;
        Some(if lex::is_unreserved(b) {
            Character::Plain(b)
        } else {
            Character::Escaped(b)
        })
    })
    .collect()
}

fn folded(text: &str) -> Word {
    exact(&text.to_ascii_lowercase())
        .into_iter()
        .map(|character| match character {
            Character::Plain(b) => Character::Plain(b.to_ascii_lowercase()),
            Character::Escaped(b) => Character::Escaped(b),
        })
        .collect()
}
