//! One end of a message as policy and routing compare it.
//!
//! Not an address of either protocol: SIP URIs and JIDs stay what they are, and [`crate::interwork`] translates them.

use std::fmt;

use crate::domain::Domain;

/// A user at a domain, or a domain itself.
///
/// The user is kept with the escapes of its protocol undone and in lower case, so that `sip:%73pam@x.example`,
/// `sip:Spam@x.example` and the JID `spam@x.example` are one party: a block cannot be walked around by spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Party {
    user: Option<String>,
    domain: Domain,
}

impl Party {
    /// A party whose user is written without the escapes of any protocol, as in the configuration.
    #[must_use]
    pub fn new(user: Option<&str>, domain: Domain) -> Self {
        Self {
            user: user.filter(|text| !text.is_empty()).map(str::to_lowercase),
            domain,
        }
    }

    /// A party named by a SIP URI's user part as it stood on the wire; `%HH` is undone (RFC 3261 §19.1.4).
    ///
    /// Octets that are not UTF-8 when undone leave the text as it was: it then equals no name of the configuration.
    #[must_use]
    pub fn from_sip(user: Option<&str>, domain: Domain) -> Self {
        Self::new(user.map(undo_percent).as_deref(), domain)
    }

    /// A party named by a JID's localpart; the escapes of XEP-0106 are undone.
    #[must_use]
    pub fn from_jid(local: Option<&str>, domain: Domain) -> Self {
        Self::new(local.map(undo_backslash).as_deref(), domain)
    }

    /// The user, unescaped and in lower case.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The domain.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user}@{}", self.domain),
            None => write!(f, "{}", self.domain),
        }
    }
}

fn undo_percent(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| hex_pair(tail)).flatten();
        let (octet, next) = escaped.unwrap_or((first, tail));
        octets.push(octet);
        rest = next;
    }
    String::from_utf8(octets).unwrap_or_else(|_| text.to_owned())
}

fn undo_backslash(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('\\') {
        let (head, tail) = rest.split_at_checked(position).unwrap_or((rest, ""));
        plain.push_str(head);
        let found = ESCAPES
            .iter()
            .find_map(|(escape, character)| tail.strip_prefix(escape).map(|after| (*character, after)));
        if let Some((character, after)) = found {
            plain.push(character);
            rest = after;
        } else {
            plain.push('\\');
            rest = tail.strip_prefix('\\').unwrap_or("");
        }
    }
    plain.push_str(rest);
    plain
}

fn hex_pair(octets: &[u8]) -> Option<(u8, &[u8])> {
    let (pair, rest) = octets.split_first_chunk::<2>()?;
    let pair = std::str::from_utf8(pair).ok()?;
    // from_str_radix takes a sign, which is no hexadecimal digit.
    let value = pair.bytes().all(|b| b.is_ascii_hexdigit()).then_some(pair)?;
    Some((u8::from_str_radix(value, 16).ok()?, rest))
}

/// XEP-0106 §4.2: these ten and no others; hexadecimal digits are lower case.
const ESCAPES: [(&str, char); 10] = [
    ("\\20", ' '),
    ("\\22", '"'),
    ("\\26", '&'),
    ("\\27", '\''),
    ("\\2f", '/'),
    ("\\3a", ':'),
    ("\\3c", '<'),
    ("\\3e", '>'),
    ("\\40", '@'),
    ("\\5c", '\\'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_is_one_party_in_every_spelling() {
        let domain = Domain::parse("contoso.example").unwrap();
        let plain = |user| Party::new(Some(user), domain.clone());
        let sip = |user| Party::from_sip(Some(user), domain.clone());
        let jid = |user| Party::from_jid(Some(user), domain.clone());
        for (left, right) in [
            (plain("Spammer"), sip("spammer")),
            (plain("spammer"), sip("%73pammer")),
            (plain("spammer"), sip("%53PAMMER")),
            (plain("o'malley"), jid("o\\27malley")),
            (plain("o'malley"), sip("o'malley")),
            (plain("fü"), sip("f%C3%BC")),
            (plain("FÜ"), jid("fü")),
            (plain("a\\b"), jid("a\\5cb")),
            (plain("a\\zz"), jid("a\\zz")),
            (plain("100%"), sip("100%25")),
            (plain("100%41"), jid("100%41")),
        ] {
            assert_eq!(left, right);
        }
        for (left, right) in [
            (plain("a"), sip("b")),
            (plain("a%41"), sip("a%41")),
            (plain("\u{fffd}"), sip("%ff")),
            (plain("a"), Party::new(None, domain.clone())),
            (plain("+1"), sip("%+1")),
        ] {
            assert_ne!(left, right);
        }
        assert_eq!(Party::new(Some(""), domain.clone()).user(), None);
        assert_eq!(sip("a%").user(), Some("a%"));
    }
}
