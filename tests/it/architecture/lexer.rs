//! A small lexer for Rust: names and punctuation with their lines, without comments, strings and test code.
//!
//! It knows as much of the language as the rules need and no more: what is a comment, what is a literal, which braces
//! belong together, and which item `#[cfg(test)]` stands before.

use std::collections::BTreeSet;

/// A token that rules look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Its first line, from 1.
    pub(super) line: usize,
    /// Its last line; another than the first only for literals.
    last: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Name(String),
    Mark(char),
    /// `::`.
    Path,
    /// A string, character or number, whatever it is.
    Literal,
}

impl Token {
    pub(super) fn name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Name(name) => Some(name),
            Kind::Mark(_) | Kind::Path | Kind::Literal => None,
        }
    }

    pub(super) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// The tokens of a file without what only tests see.
pub(super) fn product(text: &str) -> Vec<Token> {
    without_tests(tokens(text))
}

/// How many lines have a token on them.
pub(super) fn lines(tokens: &[Token]) -> usize {
    let lines: BTreeSet<usize> = tokens.iter().flat_map(|token| token.line..=token.last).collect();
    lines.len()
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, kind) = if first.is_whitespace() {
            (first.len_utf8(), None)
        } else if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), None)
        } else if rest.starts_with("/*") {
            (block_comment(rest), None)
        } else if let Some(length) = string(rest).or_else(|| character(rest)) {
            (length, Some(Kind::Literal))
        } else if first.is_ascii_digit() {
            (
                rest.find(|c: char| !is_name(c)).unwrap_or(rest.len()),
                Some(Kind::Literal),
            )
        } else if is_name(first) {
            let raw = if rest.starts_with("r#") { 2 } else { 0 };
            let length = rest[raw..]
                .find(|c: char| !is_name(c))
                .map_or(rest.len(), |end| raw + end);
            (length, Some(Kind::Name(rest[raw..length].to_owned())))
        } else if rest.starts_with("::") {
            (2, Some(Kind::Path))
        } else {
            (first.len_utf8(), Some(Kind::Mark(first)))
        };
        let (taken, left) = rest.split_at(length);
        let last = line + taken.matches('\n').count();
        tokens.extend(kind.map(|kind| Token { kind, line, last }));
        (line, rest) = (last, left);
    }
    tokens
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Comments of this kind nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else if let Some(c) = rest.chars().next() {
            at += c.len_utf8();
        } else {
            return text.len();
        }
        if depth == 0 {
            return at;
        }
    }
}

/// The length of a string literal of any kind, where one begins here.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let rest = text.strip_prefix(prefix).map(|rest| rest.trim_start_matches('#'));
        rest.is_some_and(|rest| rest.starts_with('"'))
    })?;
    let rest = &text[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let opened = prefix.len() + hashes + 1;
    if prefix.ends_with('r') {
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(
            text[opened..]
                .find(&close)
                .map_or(text.len(), |end| opened + end + close.len()),
        );
    }
    // `#"` without an `r` before it is no string but a mark and a string.
    if hashes > 0 {
        return None;
    }
    let mut escaped = false;
    for (at, c) in text[opened..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(opened + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let opened = if text.starts_with("b'") { 2 } else { 1 };
    let inner = text.strip_prefix('b').unwrap_or(text).strip_prefix('\'')?;
    let mut chars = inner.char_indices();
    match chars.next()?.1 {
        '\\' => {
            // What is escaped may itself be a quote.
            let after = chars.nth(1)?.0;
            Some(opened + after + inner[after..].find('\'')? + 1)
        }
        _ => match chars.next()? {
            (at, '\'') => Some(opened + at + 1),
            _ => None,
        },
    }
}

/// Drops each item that `#[cfg(test)]` stands before, with its attributes.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut product = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = end_of_item(&tokens, at);
        } else {
            product.push(tokens[at].clone());
            at += 1;
        }
    }
    product
}

fn is_test_attribute(tokens: &[Token]) -> bool {
    let [hash, open, cfg, bracket, test, close, end, ..] = tokens else {
        return false;
    };
    hash.is('#')
        && open.is('[')
        && cfg.name() == Some("cfg")
        && bracket.is('(')
        && test.name() == Some("test")
        && close.is(')')
        && end.is(']')
}

/// Where the item that begins at `at` with attributes is over: after its `;` or its braces.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.kind {
            Kind::Mark('(' | '[' | '{') => depth += 1,
            Kind::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.is('}') {
                    return at;
                }
            }
            Kind::Mark(';') if depth == 0 => return at,
            Kind::Mark(_) | Kind::Name(_) | Kind::Path | Kind::Literal => {}
        }
    }
    at
}

#[test]
fn tokens_are_what_is_neither_comment_nor_literal() {
    let text = r####"
        //! tokio::spawn
        /* std::fs /* std::thread */ still a comment */
        let r#use = "crate::net \" \\" + r##"crate::app "# "## + b"x" + 'a' + '\'' + b'\\' + '\u{1F600}' + 0x1f_u8;
        fn f<'a>(x: &'a str) -> c::Str { } // end
    "####;
    let names: Vec<_> = tokens(text)
        .iter()
        .filter_map(Token::name)
        .map(str::to_owned)
        .collect();
    assert_eq!(names, ["let", "use", "fn", "f", "a", "x", "a", "str", "c", "Str"]);
    assert_eq!(lines(&tokens(text)), 2);
    assert_eq!(lines(&tokens("let x = \"one\ntwo\nthree\";\n\n// four\n")), 3);
}

#[test]
fn test_code_is_left_out_wherever_it_stands() {
    let text = "
        #[cfg(test)]
        mod tests;
        fn before() {}
        #[cfg(test)]
        #[allow(dead_code, reason = \"tests\")]
        mod more { use tokio::net; fn x() { { } } }
        #[cfg(not(test))]
        fn after() {}
        #[cfg(test)]
        fn only([a, b]: [u8; 2]) -> u8 { a }
        struct Last;
    ";
    let names: Vec<_> = product(text)
        .iter()
        .filter_map(Token::name)
        .map(str::to_owned)
        .collect();
    assert_eq!(
        names,
        [
            "fn", "before", "cfg", "not", "test", "fn", "after", "struct", "Last"
        ]
    );
}
