//! The unfolded lines of a head (RFC 3261 §7.3.1).

use std::borrow::Cow;

use crate::sip::error::ParseError;
use crate::sip::lex;

/// Walks over a head; each line of it ends with CRLF.
pub(super) struct Lines<'a> {
    rest: &'a str,
}

/// One line, each fold made one blank.
pub(super) struct Line<'a> {
    /// The whole of it.
    pub(super) text: Cow<'a, str>,
    /// Octets of its first physical line, where name and colon must stand.
    pub(super) first: usize,
    /// Whether there is a control character in it; never a line break.
    pub(super) has_control: bool,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(head: &'a str) -> Self {
        Self { rest: head }
    }

    fn logical(&mut self) -> Result<Line<'a>, ParseError> {
        let first = self.physical()?;
        let mut text = Cow::Borrowed(first);
        while self.rest.starts_with(lex::BLANK) {
            let more = self.physical()?;
            let text = text.to_mut();
            text.push(' ');
            text.push_str(more.trim_start_matches(lex::BLANK));
        }
        // No early end, so that the compiler takes many octets at a time: this sees every octet of a head.
        let has_control = text.bytes().fold(false, |found, b| found | lex::is_control(b));
        if has_control && text.contains('\r') {
            return Err(ParseError::BareLineBreak);
        }
        Ok(Line {
            text,
            first: first.len(),
            has_control,
        })
    }

    /// Takes one line up to its CRLF.
    fn physical(&mut self) -> Result<&'a str, ParseError> {
        let end = memchr::memchr(b'\n', self.rest.as_bytes()).ok_or(ParseError::HeadUnfinished)?;
        let (line, rest) = self
            .rest
            .split_at_checked(end)
            .ok_or(ParseError::HeadUnfinished)?;
        self.rest = rest.strip_prefix('\n').unwrap_or(rest);
        line.strip_suffix('\r').ok_or(ParseError::BareLineBreak)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.logical())
    }
}

/// Whether each control character follows a backslash within quotes, the one place where the grammar has them.
pub(super) fn controls_are_escaped(value: &str) -> bool {
    let mut in_quotes = false;
    let mut bytes = value.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'"' => in_quotes = !in_quotes,
            b'\\' if in_quotes => {
                bytes.next();
            }
            b if lex::is_control(b) => return false,
            _ => {}
        }
    }
    true
}
