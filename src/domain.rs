//! Domain names as they are compared, routed and shown.
//!
//! A [`Domain`] is a fully qualified name in lowercase A-label form without its trailing dot, so that two
//! spellings of one name are equal. It is not an address: IP literals are refused here and have types of their
//! own in the standard library.
//!
//! RFC 1035 §2.3.4 (lengths), RFC 5890 (A-label and U-label), RFC 7622 §3.2 (domainpart).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// A domain name: lowercase A-labels, letters, digits and inner hyphens, at most 63 octets a label and 255 a name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Arc<str>);

impl Domain {
    /// Reads a name in any case, with U-labels or A-labels, with or without one trailing dot.
    ///
    /// # Errors
    /// [`DomainError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        if text.parse::<IpAddr>().is_ok() || (text.starts_with('[') && text.ends_with(']')) {
            return Err(DomainError::IsAddress);
        }
        let is_plain = text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
        // Only names with something to map need IDNA; `xn--` labels are checked by it too.
        let ascii = if is_plain && !text.contains("xn--") {
            text.to_owned()
        } else {
            let is_wrong = |b: u8| b.is_ascii() && !b.is_ascii_alphanumeric() && !matches!(b, b'-' | b'.');
            idna::domain_to_ascii_strict(text).map_err(|_| {
                if text.bytes().any(is_wrong) {
                    DomainError::Character
                } else {
                    DomainError::NotInternational
                }
            })?
        };
        check_labels(&ascii)?;
        Ok(Self(ascii.into()))
    }

    /// The name as A-labels: what DNS, certificates and SIP use.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether any of its labels is an A-label, so that people see another name.
    #[must_use]
    pub fn is_international(&self) -> bool {
        self.0.contains("xn--")
    }

    /// The name as U-labels: what people and JIDs show.
    #[must_use]
    pub fn to_unicode(&self) -> String {
        if !self.is_international() {
            return self.0.to_string();
        }
        match idna::domain_to_unicode(&self.0) {
            (text, Ok(())) => text,
            (_, Err(_)) => self.0.to_string(),
        }
    }

    /// The name with a trailing dot, so that a resolver appends no search list.
    #[must_use]
    pub fn to_fqdn(&self) -> String {
        format!("{}.", self.0)
    }

    /// The labels, left-most first.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// True where `self` lies strictly below `ancestor`, compared by whole labels.
    #[must_use]
    pub fn is_below(&self, ancestor: &Self) -> bool {
        self.0
            .strip_suffix(&*ancestor.0)
            .is_some_and(|head| head.ends_with('.'))
    }
}

/// Why a text is not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing but perhaps a dot.
    #[error("the domain name is empty")]
    Empty,
    /// An IPv4 or IPv6 address.
    #[error("an IP address stands where a domain name is needed")]
    IsAddress,
    /// IDNA refuses the name.
    #[error("the name is not a valid internationalised domain name")]
    NotInternational,
    /// An empty label, or one over 63 octets.
    #[error("a label of the name is empty or longer than 63 octets")]
    LabelLength,
    /// Over 253 octets of text (255 in DNS form).
    #[error("the name is longer than 255 octets")]
    NameLength,
    /// A character other than letters, digits and inner hyphens.
    #[error("the name holds a character other than letters, digits and inner hyphens")]
    Character,
    /// A wildcard where it has no meaning.
    #[error("a wildcard is only allowed as the whole left-most label, as in *.example.com")]
    Wildcard,
}

/// Which domains a line of the configuration speaks of.
///
/// `example.com` is that name alone; `*.example.com` is that name and every name below it (specification: edge §3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DomainPattern {
    /// That name alone.
    Exact(Domain),
    /// That name and all below it.
    Subdomains(Domain),
}

impl DomainPattern {
    /// Reads `example.com`, `*.example.com`, or the reversed way of writing the second, `.com.example.*`.
    ///
    /// # Errors
    /// [`DomainError`] of the name, or [`DomainError::Wildcard`].
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if let Some(reversed) = text.strip_prefix('.').and_then(|rest| rest.strip_suffix(".*")) {
            let forward = reversed.split('.').rev().collect::<Vec<_>>().join(".");
            return Domain::parse(&forward).map(Self::Subdomains);
        }
        if let Some(base) = text.strip_prefix("*.") {
            if base.contains('*') {
                return Err(DomainError::Wildcard);
            }
            return Domain::parse(base).map(Self::Subdomains);
        }
        if text.contains('*') {
            return Err(DomainError::Wildcard);
        }
        Domain::parse(text).map(Self::Exact)
    }

    /// Whether the pattern covers `domain`.
    #[must_use]
    pub fn matches(&self, domain: &Domain) -> bool {
        match self {
            Self::Exact(name) => name == domain,
            Self::Subdomains(base) => base == domain || domain.is_below(base),
        }
    }

    /// Orders patterns that cover one domain: the greater is the more specific (longest first, exact before wildcard).
    #[must_use]
    pub fn specificity(&self) -> (usize, bool) {
        (self.base().labels().count(), matches!(self, Self::Exact(_)))
    }

    /// The name that the pattern is built on.
    #[must_use]
    pub fn base(&self) -> &Domain {
        match self {
            Self::Exact(name) | Self::Subdomains(name) => name,
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::Subdomains(base) => write!(f, "*.{base}"),
        }
    }
}

impl FromStr for DomainPattern {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn check_labels(name: &str) -> Result<(), DomainError> {
    if name.len() > MAX_NAME {
        return Err(DomainError::NameLength);
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return Err(DomainError::LabelLength);
        }
        let clean = label
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !clean || label.starts_with('-') || label.ends_with('-') {
            return Err(DomainError::Character);
        }
    }
    Ok(())
}

/// 255 octets in DNS form are 253 in text: a length octet before each label and the root's make two more.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_one_name_are_equal() {
        assert_eq!(domain("Example.COM."), domain("example.com"));
        assert_eq!(domain("bücher.example"), domain("xn--bcher-kva.example"));
        assert_eq!(domain("xn--bcher-kva.example").to_unicode(), "bücher.example");
        assert_eq!(domain("example.com").to_fqdn(), "example.com.");
    }

    #[test]
    fn what_is_not_a_name_is_refused_with_its_reason() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = vec!["abcdefgh"; 29].join(".");
        for (text, why) in [
            ("", DomainError::Empty),
            (".", DomainError::Empty),
            ("192.0.2.1", DomainError::IsAddress),
            ("2001:db8::1", DomainError::IsAddress),
            ("[2001:db8::1]", DomainError::IsAddress),
            ("a..b", DomainError::LabelLength),
            ("-a.example", DomainError::Character),
            ("a-.example", DomainError::Character),
            (long_label.as_str(), DomainError::LabelLength),
            (long_name.as_str(), DomainError::NameLength),
        ] {
            assert_eq!(Domain::parse(text), Err(why), "{text:?}");
        }
        for text in [
            "a_b.example",
            "a b.example",
            "exa\0mple.com",
            "a/b",
            "a@b",
            "xn--zzzzzzzz-.example",
        ] {
            assert!(Domain::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn patterns_match_by_whole_label() {
        let below = DomainPattern::parse("*.example.com").unwrap();
        for (name, covered) in [
            ("example.com", true),
            ("a.b.example.com", true),
            ("badexample.com", false),
            ("com", false),
        ] {
            assert_eq!(below.matches(&domain(name)), covered, "{name}");
        }
        let exact = DomainPattern::parse("example.com").unwrap();
        assert!(exact.matches(&domain("example.com")) && !exact.matches(&domain("a.example.com")));
        assert_eq!(DomainPattern::parse(".com.example.*"), Ok(below.clone()));
        assert_eq!(DomainPattern::parse("a.*.com"), Err(DomainError::Wildcard));
        assert!(exact.specificity() > below.specificity());
        let deeper = DomainPattern::parse("*.a.example.com").unwrap();
        assert!(deeper.specificity() > exact.specificity());
    }
}
