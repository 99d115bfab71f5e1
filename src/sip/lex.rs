//! The lexer that framing and every header parser share: character classes and a cursor over one unfolded value.
//!
//! RFC 3261 §25.1. A value that reaches a [`Cursor`] holds no line breaks (folding is already one blank) and no
//! control characters but those that follow a backslash inside quotes, so the cursor need not look for them again.

use std::borrow::Cow;

use super::error::Flaw;

/// A place in one header value; every read moves it forward or fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) const fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// Passes blanks (`SWS`).
    pub(super) fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(BLANK);
    }

    /// Passes `wanted`, which is an ASCII character, if it comes next.
    pub(super) fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes the bytes of a class; the class holds all bytes above 0x7F or none of them.
    pub(super) fn take_while(&mut self, class: impl Fn(u8) -> bool) -> &'a str {
        let end = self
            .rest
            .bytes()
            .position(|b| !class(b))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    pub(super) fn token(&mut self) -> Result<&'a str, Flaw> {
        match self.take_while(is_token) {
            "" => Err(Flaw::Token),
            token => Ok(token),
        }
    }

    /// Takes a quoted string and gives it as written, quotes included.
    pub(super) fn quoted(&mut self) -> Result<&'a str, Flaw> {
        let mut bytes = self.rest.bytes().enumerate();
        if bytes.next().map(|(_, b)| b) != Some(b'"') {
            return Err(Flaw::Quote);
        }
        let end = loop {
            match bytes.next().ok_or(Flaw::Quote)? {
                (at, b'"') => break at,
                (_, b'\\') => match bytes.next() {
                    // quoted-pair covers ASCII only; cutting a longer character in two would change its meaning
                    Some((_, b)) if b.is_ascii() => {}
                    _ => return Err(Flaw::Quote),
                },
                _ => {}
            }
        };
        let (taken, rest) = self
            .rest
            .split_at_checked(end.saturating_add(1))
            .ok_or(Flaw::Quote)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Fails unless nothing but blanks is left.
    pub(super) fn end(mut self) -> Result<(), Flaw> {
        self.skip_blanks();
        if self.is_empty() {
            Ok(())
        } else {
            Err(Flaw::Trailing)
        }
    }
}

/// Reads a comma-separated list of at least one element, each with `read`; an empty element is a [`Flaw`].
pub(super) fn list<'a, T>(
    value: &'a str,
    mut read: impl FnMut(&mut Cursor<'a>) -> Result<T, Flaw>,
    mut keep: impl FnMut(T) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    let mut cursor = Cursor::new(value);
    loop {
        cursor.skip_blanks();
        if cursor.is_empty() || cursor.peek() == Some(b',') {
            return Err(Flaw::EmptyElement);
        }
        keep(read(&mut cursor)?)?;
        cursor.skip_blanks();
        if !cursor.take(',') {
            return cursor.end();
        }
    }
}

/// Splits at commas outside quotes and angle brackets; elements are trimmed and empty ones left out.
pub(super) fn elements(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut in_quotes = false;
        let mut in_brackets = false;
        let mut escaped = false;
        let end = rest.bytes().position(|b| {
            if escaped {
                escaped = false;
                return false;
            }
            match b {
                b'\\' if in_quotes => escaped = true,
                b'"' => in_quotes = !in_quotes,
                b'<' if !in_quotes => in_brackets = true,
                b'>' if !in_quotes => in_brackets = false,
                b',' => return !in_quotes && !in_brackets,
                _ => {}
            }
            false
        });
        let element;
        (element, rest) = match end.and_then(|at| rest.split_at_checked(at)) {
            Some((element, tail)) => (element, tail.strip_prefix(',').unwrap_or(tail)),
            None => (rest, ""),
        };
        Some(element.trim_matches(BLANK))
    })
    .filter(|element| !element.is_empty())
}

/// The text that a quoted string stands for; anything else stands for itself.
pub(super) fn unquote(raw: &str) -> Cow<'_, str> {
    let Some(inner) = raw.strip_prefix('"').and_then(|tail| tail.strip_suffix('"')) else {
        return Cow::Borrowed(raw);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// Appends `text` as a quoted string. Control characters are escaped, and line breaks, which no escape can carry,
/// become blanks.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '\r' | '\n' => out.push(' '),
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii_control() && c != '\t' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Reads `1*DIGIT` that is not over `most`.
pub(super) fn number(text: &str, most: u32) -> Result<u32, Flaw> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Flaw::Number);
    }
    match text.trim_start_matches('0') {
        "" => Ok(0),
        digits => match digits.parse() {
            Ok(value) if value <= most => Ok(value),
            _ => Err(Flaw::Range),
        },
    }
}

/// Reads a port: 1 to 65535.
pub(super) fn port(text: &str) -> Result<u16, Flaw> {
    match number(text, u32::from(u16::MAX)).map(u16::try_from) {
        Ok(Ok(port)) if port > 0 => Ok(port),
        _ => Err(Flaw::Port),
    }
}

/// Whether every byte is of `class` or part of a `%HH` escape.
pub(super) fn is_escaped_text(text: &str, class: impl Fn(u8) -> bool) -> Result<(), Flaw> {
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let hex = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_hexdigit());
            if !(hex(bytes.next()) && hex(bytes.next())) {
                return Err(Flaw::Escape);
            }
        } else if !class(b) {
            return Err(Flaw::UriCharacter);
        }
    }
    Ok(())
}

/// Whether the whole text is a `token`.
pub(super) fn is_token_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token)
}

pub(super) const fn is_token(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// `word` of RFC 3261 §25.1: what a Call-ID is made of.
pub(super) const fn is_word(b: u8) -> bool {
    is_token(b)
        || matches!(
            b,
            b'(' | b')' | b'<' | b'>' | b':' | b'\\' | b'"' | b'/' | b'[' | b']' | b'?' | b'{' | b'}'
        )
}

pub(super) const fn is_unreserved(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
}

/// A control character other than the tab, which is a blank.
pub(super) const fn is_control(b: u8) -> bool {
    b.is_ascii_control() && b != b'\t'
}

pub(super) const BLANK: [char; 2] = [' ', '\t'];
