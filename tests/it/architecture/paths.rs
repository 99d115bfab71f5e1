//! The paths that a file names, in `use` and in the midst of code, as seen from the root of the crate.

use super::lexer::{Kind, Token};

/// A path with the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) root: Root,
    /// Its segments; `*` is one.
    pub(super) segments: Vec<String>,
}

/// Where the first segment is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// In our crate.
    Ours,
    /// In another crate, or among what the file itself has in scope.
    Scope,
}

impl Named {
    /// Whether it begins with these segments.
    pub(super) fn starts_with(&self, path: &str) -> bool {
        let mut segments = self.segments.iter();
        path.split("::")
            .all(|part| segments.next().is_some_and(|segment| segment == part))
    }

    pub(super) fn last(&self) -> &str {
        self.segments.last().map_or("", String::as_str)
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = match self.root {
            Root::Ours => "crate::",
            Root::Scope => "",
        };
        write!(f, "{root}{}", self.segments.join("::"))
    }
}

/// The paths of a file that is `module` (`["policy", "decide"]`).
pub(super) fn paths(module: &[String], tokens: &[Token]) -> Vec<Named> {
    let mut reader = Reader {
        tokens,
        at: 0,
        module: module.to_vec(),
        inline: Vec::new(),
        depth: 0,
        found: Vec::new(),
    };
    reader.read();
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    module: Vec<String>,
    /// The depth of braces at which each module written in the file is over.
    inline: Vec<usize>,
    depth: usize,
    found: Vec<Named>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Name(word) if word == "use" => {
                    self.at += 1;
                    self.tree(token.line, &[]);
                }
                Kind::Name(word) if word == "mod" => {
                    if let [Some(name), Some(brace)] = [1, 2].map(|ahead| self.tokens.get(self.at + ahead))
                        && let (Some(name), true) = (name.name(), brace.is('{'))
                    {
                        self.module.push(name.to_owned());
                        self.inline.push(self.depth);
                    }
                    self.at += 2;
                }
                Kind::Name(_) | Kind::Path => self.path(token.line),
                Kind::Mark('{') => {
                    self.depth += 1;
                    self.at += 1;
                }
                Kind::Mark('}') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.inline.last() == Some(&self.depth) {
                        self.inline.pop();
                        self.module.pop();
                    }
                    self.at += 1;
                }
                Kind::Mark(_) | Kind::Literal => self.at += 1,
            }
        }
    }

    /// A path in the midst of code; a single name is none.
    fn path(&mut self, line: usize) {
        let mut segments = Vec::new();
        loop {
            match self.tokens.get(self.at).map(|token| &token.kind) {
                Some(Kind::Name(name)) => {
                    segments.push(name.clone());
                    self.at += 1;
                    if self
                        .tokens
                        .get(self.at)
                        .is_none_or(|token| token.kind != Kind::Path)
                    {
                        break;
                    }
                }
                Some(Kind::Path) => self.at += 1,
                Some(Kind::Mark(_) | Kind::Literal) | None => break,
            }
        }
        if segments.len() > 1 {
            self.take(line, &segments);
        }
    }

    /// A tree of `use`, behind what was read of it.
    fn tree(&mut self, line: usize, before: &[String]) {
        let mut segments = before.to_vec();
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Name(word) if word == "as" => self.at += 2,
                Kind::Name(name) => {
                    segments.push(name.clone());
                    self.at += 1;
                }
                Kind::Path => self.at += 1,
                Kind::Mark('*') => {
                    segments.push("*".to_owned());
                    self.at += 1;
                }
                Kind::Mark('{') => {
                    self.at += 1;
                    while self.tokens.get(self.at).is_some_and(|token| !token.is('}')) {
                        self.tree(self.tokens[self.at].line, &segments);
                        if self.tokens.get(self.at).is_some_and(|token| token.is(',')) {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                Kind::Mark(_) | Kind::Literal => break,
            }
        }
        if segments.last().is_some_and(|last| last == "self") && segments.len() > 1 {
            segments.pop();
        }
        self.take(line, &segments);
    }

    fn take(&mut self, line: usize, segments: &[String]) {
        let mut base: Option<Vec<String>> = None;
        let mut rest = segments;
        while let Some((first, more)) = rest.split_first() {
            base = match (first.as_str(), base) {
                ("crate" | "vestibule", None) => Some(Vec::new()),
                ("self", None) => Some(self.module.clone()),
                ("super", base) => {
                    let mut base = base.unwrap_or_else(|| self.module.clone());
                    base.pop();
                    Some(base)
                }
                (_, base) => {
                    let root = if base.is_some() { Root::Ours } else { Root::Scope };
                    let mut segments = base.unwrap_or_default();
                    segments.extend_from_slice(rest);
                    return self.found.push(Named { line, root, segments });
                }
            };
            rest = more;
        }
        if let Some(segments) = base {
            self.found.push(Named {
                line,
                root: Root::Ours,
                segments,
            });
        }
    }
}

#[test]
fn paths_are_found_in_use_and_in_code_and_followed_to_the_root() {
    let text = "
        use std::{fmt, net::{self as n, TcpStream}, io::*};
        use super::{Query, super::{app::Run, route::Table}};
        pub(in crate::policy) fn f() -> crate::net::Thing { ::tokio::spawn(x); self::g(super::h()) }
        mod inner { use super::Near; mod more { use super::super::super::net; } }
        use crate as c;
    ";
    let module = ["policy", "decide"].map(str::to_owned);
    let found: Vec<_> = paths(&module, &super::lexer::product(text))
        .iter()
        .map(Named::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "std::fmt",
            "std::net",
            "std::net::TcpStream",
            "std::io::*",
            "crate::policy::Query",
            "crate::app::Run",
            "crate::route::Table",
            "crate::policy",
            "crate::net::Thing",
            "tokio::spawn",
            "crate::policy::decide::g",
            "crate::policy::h",
            "crate::policy::decide::Near",
            "crate::policy::net",
            "crate::",
        ]
    );
}
