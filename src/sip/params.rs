//! Parameters of header values and of URIs, kept as one clean text each and read from it on demand.
//!
//! A set is short and mostly copied, so one allocation serves it better than one for each name and value. The text is
//! `;name=value;name` without blanks; names are unique (RFC 3261 §7.3.1, §19.1.1) and compared without regard to case.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use super::error::Flaw;
use super::host::ipv6;
use super::lex::{self, Cursor};

/// Parameters after a header value: `token [= token | host | quoted-string]` (RFC 3261 §25.1 `generic-param`).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Params(Box<str>);

/// Parameters of a SIP URI: `pname [= pvalue]`, with `%HH` escapes kept as written (RFC 3261 §19.1.1).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct UriParams(Box<str>);

impl Params {
    /// Reads `;name=value` as often as it comes; blanks may stand around `;` and `=`.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Flaw> {
        let mut text = String::new();
        let mut count = 0_usize;
        loop {
            cursor.skip_blanks();
            if !cursor.take(';') {
                break;
            }
            if text.is_empty() {
                text.reserve(cursor.rest().len().saturating_add(1).min(RESERVE));
            }
            cursor.skip_blanks();
            let name = cursor.token().map_err(|_| Flaw::Parameter)?;
            text.push(';');
            text.push_str(name);
            count = count.saturating_add(1);
            let before = *cursor;
            cursor.skip_blanks();
            if cursor.take('=') {
                cursor.skip_blanks();
                text.push('=');
                text.push_str(value(cursor)?);
            } else {
                *cursor = before;
            }
        }
        check_unique(&text, count)?;
        Ok(Self(text.into()))
    }

    /// The value as written (a quoted string with its quotes); `None` where the parameter is absent or has none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        find(&self.0, name, str::eq_ignore_ascii_case).flatten()
    }

    /// The text that the value stands for, quotes and escapes removed.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(lex::unquote)
    }

    /// Whether the parameter is there, with or without a value.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        find(&self.0, name, str::eq_ignore_ascii_case).is_some()
    }

    /// All parameters in their order, values as written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        pairs(&self.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a parameter, in its old place if there was one; a value that is no token becomes a quoted string.
    ///
    /// # Errors
    /// [`Flaw::Token`] where the name is no token.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Flaw> {
        if !lex::is_token_text(name) {
            return Err(Flaw::Token);
        }
        match value {
            Some(value) if !lex::is_token_text(value) => {
                let mut quoted = String::with_capacity(value.len().saturating_add(2));
                lex::quote(value, &mut quoted);
                self.put(name, Some(&quoted));
            }
            value => self.put(name, value),
        }
        Ok(())
    }

    /// Removes a parameter.
    pub fn remove(&mut self, name: &str) {
        if self.contains(name) {
            self.0 = rebuild(pairs(&self.0).filter(|(known, _)| !known.eq_ignore_ascii_case(name)));
        }
    }

    /// Sets a parameter to a value that is already in wire form.
    pub(super) fn put(&mut self, name: &str, value: Option<&str>) {
        put(&mut self.0, name, value, str::eq_ignore_ascii_case);
    }
}

impl UriParams {
    /// Reads `;name=value;name`, which may be empty.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let list = text.strip_prefix(';').ok_or(Flaw::Parameter)?;
        let mut count = 0_usize;
        for param in list.split(';') {
            let (name, value) = match param.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (param, None),
            };
            if name.is_empty() || value.is_some_and(str::is_empty) {
                return Err(Flaw::Parameter);
            }
            lex::is_escaped_text(name, is_param_char)?;
            lex::is_escaped_text(value.unwrap_or_default(), is_param_char)?;
            count = count.saturating_add(1);
        }
        if text.contains('%') {
            check_unique_in_uri(text)?;
        } else {
            check_unique(text, count)?;
        }
        Ok(Self(text.into()))
    }

    /// The value as written, escapes not decoded; `None` where the parameter is absent or has none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        find(&self.0, name, same_in_uri).flatten()
    }

    /// Whether the parameter is there, with or without a value.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        find(&self.0, name, same_in_uri).is_some()
    }

    /// All parameters in their order, as written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        pairs(&self.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a parameter, in its old place if there was one; characters that may not stand in a URI are escaped.
    /// Setting with an empty name does nothing.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        if name.is_empty() {
            return;
        }
        let name = escape(name, is_param_char);
        match value.filter(|value| !value.is_empty()) {
            Some(value) => put(
                &mut self.0,
                &name,
                Some(&escape(value, is_param_char)),
                same_in_uri,
            ),
            None => put(&mut self.0, &name, None, same_in_uri),
        }
    }

    /// Removes a parameter.
    pub fn remove(&mut self, name: &str) {
        if self.contains(name) {
            self.0 = rebuild(pairs(&self.0).filter(|(known, _)| !same_in_uri(known, name)));
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for UriParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UriParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Percent-encodes every byte that is not of `class`.
pub(super) fn escape(text: &str, class: impl Fn(u8) -> bool) -> Cow<'_, str> {
    if text.bytes().all(&class) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_mul(3));
    for b in text.bytes() {
        if class(b) {
            out.push(char::from(b));
        } else {
            let digit = |n: u8| {
                char::from_digit(u32::from(n), 16)
                    .unwrap_or('0')
                    .to_ascii_uppercase()
            };
            out.extend(['%', digit(b >> 4), digit(b & 0xF)]);
        }
    }
    Cow::Owned(out)
}

/// Reads a value: a quoted string, a bracketed or bare IPv6 address, or a token.
fn value<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Flaw> {
    match cursor.peek() {
        Some(b'"') => cursor.quoted(),
        Some(b'[') => {
            let text = cursor.take_while(|b| is_address_char(b) || matches!(b, b'[' | b']'));
            let inner = text.strip_prefix('[').and_then(|tail| tail.strip_suffix(']'));
            match inner.and_then(ipv6) {
                Some(_) => Ok(text),
                None => Err(Flaw::Parameter),
            }
        }
        _ => {
            let token = *cursor;
            let text = cursor.take_while(lex::is_token);
            // RFC 3261 writes an IPv6 address in Via's `received` without brackets.
            if cursor.peek() == Some(b':') {
                *cursor = token;
                let address = cursor.take_while(is_address_char);
                return match ipv6(address) {
                    Some(_) => Ok(address),
                    None => Err(Flaw::Parameter),
                };
            }
            if text.is_empty() {
                Err(Flaw::Parameter)
            } else {
                Ok(text)
            }
        }
    }
}

/// Walks over `;name=value;name`, a text that is known to be well formed.
fn pairs(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut cursor = Cursor::new(text);
    std::iter::from_fn(move || {
        if !cursor.take(';') {
            return None;
        }
        let name = cursor.take_while(|b| !matches!(b, b'=' | b';'));
        if !cursor.take('=') {
            return Some((name, None));
        }
        let value = match cursor.peek() {
            Some(b'"') => cursor.quoted().unwrap_or_default(),
            _ => cursor.take_while(|b| b != b';'),
        };
        Some((name, Some(value)))
    })
}

fn find<'a>(text: &'a str, name: &str, same: impl Fn(&str, &str) -> bool) -> Option<Option<&'a str>> {
    pairs(text)
        .find(|(known, _)| same(known, name))
        .map(|(_, value)| value)
}

fn put(text: &mut Box<str>, name: &str, value: Option<&str>, same: impl Fn(&str, &str) -> bool) {
    if find(text, name, &same).is_some() {
        *text = rebuild(pairs(text).map(|(known, old)| {
            if same(known, name) {
                (known, value)
            } else {
                (known, old)
            }
        }));
    } else {
        let of_value = value.map_or(1, |value| value.len().saturating_add(2));
        let more = name.len().saturating_add(of_value);
        let mut longer = String::with_capacity(text.len().saturating_add(more));
        longer.push_str(text);
        append(&mut longer, name, value);
        *text = longer.into();
    }
}

fn rebuild<'a>(pairs: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Box<str> {
    let mut text = String::new();
    for (name, value) in pairs {
        append(&mut text, name, value);
    }
    text.into()
}

fn append(text: &mut String, name: &str, value: Option<&str>) {
    text.push(';');
    text.push_str(name);
    if let Some(value) = value {
        text.push('=');
        text.push_str(value);
    }
}

/// Refuses a name that stands twice; linear in the text, whatever a peer puts into it.
fn check_unique(text: &str, count: usize) -> Result<(), Flaw> {
    if count < 2 {
        return Ok(());
    }
    if count <= FEW {
        let mut seen = [""; FEW];
        for (at, (name, _)) in pairs(text).enumerate() {
            if seen.iter().take(at).any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(Flaw::ParameterTwice);
            }
            if let Some(slot) = seen.get_mut(at) {
                *slot = name;
            }
        }
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(count);
    if pairs(text).all(|(name, _)| seen.insert(name.to_ascii_lowercase())) {
        Ok(())
    } else {
        Err(Flaw::ParameterTwice)
    }
}

/// Whether two names of URI parameters are the same: an escape is the character that it stands for (RFC 3261 §19.1.4),
/// or `;%6Cr` would be a loose router to one reader and none to another.
fn same_in_uri(one: &str, other: &str) -> bool {
    if one.contains('%') || other.contains('%') {
        folded(one).eq(folded(other))
    } else {
        one.eq_ignore_ascii_case(other)
    }
}

/// As [`check_unique`], for the rare URI with escapes.
fn check_unique_in_uri(text: &str) -> Result<(), Flaw> {
    let mut seen = HashSet::new();
    if pairs(text).all(|(name, _)| seen.insert(folded(name).collect::<Vec<u8>>())) {
        Ok(())
    } else {
        Err(Flaw::ParameterTwice)
    }
}

/// The octets that a text with `%HH` stands for, letters in lowercase.
fn folded(text: &str) -> impl Iterator<Item = u8> {
    let mut bytes = text.bytes();
    std::iter::from_fn(move || {
        let b = bytes.next()?;
        if b != b'%' {
            return Some(b.to_ascii_lowercase());
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let code = digit()?.checked_mul(16)?.checked_add(digit()?)?;
        u8::try_from(code).ok().map(|b| b.to_ascii_lowercase())
    })
}

/// `paramchar` of RFC 3261 §25.1, escapes aside.
const fn is_param_char(b: u8) -> bool {
    lex::is_unreserved(b) || matches!(b, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$')
}

const fn is_address_char(b: u8) -> bool {
    b.is_ascii_hexdigit() || matches!(b, b':' | b'.')
}

/// Up to so many names are compared pair by pair, without an allocation.
const FEW: usize = 12;
/// What is set aside at once for a set of parameters.
const RESERVE: usize = 96;
