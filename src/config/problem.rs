//! What is wrong with a configuration, and where: the text an administrator reads.
//!
//! A [`Problem`] says what, where and what to do, and shows the line. It is never shown to a peer.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong, or that deserves attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    what: String,
    origin: Origin,
    help: Option<String>,
}

impl Problem {
    pub(crate) const fn new(what: String, origin: Origin) -> Self {
        Self {
            what,
            origin,
            help: None,
        }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, in one sentence.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// All of it on one line, as a log has it.
    #[must_use]
    pub fn line(&self) -> String {
        let place = match &self.origin {
            Origin::File(place) => format!("{}:{}:{}", place.file, place.line, place.column),
            Origin::Environment(name) => format!("environment variable {name}"),
            Origin::Whole(file) => file.clone(),
        };
        let help = self
            .help
            .as_ref()
            .map(|help| format!(" ({help})"))
            .unwrap_or_default();
        format!("{place}: {}{help}", self.what)
    }

    /// Where the text that causes it stands.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Report {
    /// Puts what stands in the file in the order of its lines.
    pub(crate) fn in_order(mut self) -> Self {
        for problems in [&mut self.errors, &mut self.warnings] {
            problems.sort_by_key(|problem| match &problem.origin {
                Origin::File(place) => (place.line, place.column),
                Origin::Environment(_) | Origin::Whole(_) => (usize::MAX, 0),
            });
        }
        self
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the file.
    File(Place),
    /// An environment variable, by its name.
    Environment(String),
    /// The file as a whole, by its path.
    Whole(String),
}

/// A stretch of one line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path of the file, as it was given.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The length of the stretch in characters, at least 1.
    pub width: usize,
    /// The whole line.
    pub text: String,
}

impl Place {
    /// The place of a range of octets; a range over several lines ends with its first.
    pub(crate) fn of(file: &str, text: &str, range: &Range<usize>) -> Self {
        let (before, after) = text.split_at_checked(range.start).unwrap_or((text, ""));
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let (_, head) = before.split_at_checked(line_start).unwrap_or(("", before));
        let tail = after.split(['\n', '\r']).next().unwrap_or_default();
        let marked = tail
            .get(..range.len().min(tail.len()))
            .unwrap_or(tail)
            .chars()
            .count();
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count().saturating_add(1),
            column: head.chars().count().saturating_add(1),
            width: marked.max(1),
            text: format!("{head}{tail}"),
        }
    }
}

/// What came of reading a configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Report {
    /// Why it cannot be used; never empty.
    pub errors: Vec<Problem>,
    /// What deserves attention besides.
    pub warnings: Vec<Problem>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(place) => {
                writeln!(f, "{}:{}:{}: {}", place.file, place.line, place.column, self.what)?;
                let number = place.line.to_string();
                let gutter = " ".repeat(number.len());
                // Tabs keep their width in the line of carets.
                let indent: String = place
                    .text
                    .chars()
                    .take(place.column.saturating_sub(1))
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                writeln!(f, "  {number} | {}", place.text)?;
                write!(f, "  {gutter} | {indent}{}", "^".repeat(place.width))?;
            }
            Origin::Environment(name) => write!(f, "environment variable {name}: {}", self.what)?,
            Origin::Whole(file) => write!(f, "{file}: {}", self.what)?,
        }
        if let Some(help) = &self.help {
            write!(f, "\n  {help}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.errors {
            writeln!(f, "error: {problem}")?;
        }
        for problem in &self.warnings {
            writeln!(f, "warning: {problem}")?;
        }
        Ok(())
    }
}
