//! What the checks find, collected so that one run shows everything.

use crate::config::load::table_of;
use crate::config::problem::{Problem, Report};
use crate::config::source::{Part, Source};

/// The path of a key: `key!["listen", 0, "port"]`.
macro_rules! key {
    ($($step:expr),+ $(,)?) => { &[$($step.to_string()),+][..] };
}
pub(super) use key;

/// Errors and warnings, each with the place of the key it is about.
#[derive(Debug)]
pub(super) struct Findings<'s, 't> {
    source: &'s Source<'t>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'s, 't> Findings<'s, 't> {
    pub(super) const fn new(source: &'s Source<'t>) -> Self {
        Self {
            source,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The value at `path` makes the configuration unusable. `table` names the table, `what` says why.
    pub(super) fn error(&mut self, path: &[String], what: &str) {
        let problem = self.problem(path, what);
        self.errors.push(problem);
    }

    /// The same, with what to do about it.
    pub(super) fn error_with_help(&mut self, path: &[String], what: &str, help: &str) {
        let problem = self.problem(path, what).with_help(help);
        self.errors.push(problem);
    }

    /// The value at `path` deserves attention.
    pub(super) fn warning(&mut self, path: &[String], what: &str) {
        let problem = self.problem(path, what);
        self.warnings.push(problem);
    }

    /// Whether the file or the environment gives the value at `path`.
    pub(super) fn gives(&self, path: &[String]) -> bool {
        self.source.gives(path)
    }

    /// The line of the value at `path`, for what is explained later.
    pub(super) fn line(&self, path: &[String]) -> Option<usize> {
        self.source.line(path)
    }

    /// Everything found, in the order of the lines.
    pub(super) fn report(self) -> Report {
        Report {
            errors: self.errors,
            warnings: self.warnings,
        }
        .in_order()
    }

    fn problem(&self, path: &[String], what: &str) -> Problem {
        let table = self.table(path);
        Problem::new(format!("{table}: {what}"), self.source.origin(path, Part::Value))
    }

    /// The words for the table that `path` leads to or into, with its domain.
    fn table(&self, path: &[String]) -> String {
        let inside =
            |table: &[String]| -> Vec<String> { table.iter().cloned().chain([String::new()]).collect() };
        let path = match path.split_last() {
            _ if self.source.is_table(path) => inside(path),
            // An item of a list is part of the key that holds the list.
            Some((item, list)) if item.parse::<usize>().is_ok() => list.to_vec(),
            Some(_) | None => path.to_vec(),
        };
        let words = table_of(&path);
        let domain = self.domain_of(&path);
        let Some(((table, _), domain)) = path.split_at_checked(2).zip(domain) else {
            return words;
        };
        let whole = table_of(&inside(table));
        let rest = words.strip_prefix(&whole).unwrap_or_default();
        format!("{whole}, domain {domain}{rest}")
    }

    /// The `domain` of the table that the path leads into, where it has one.
    fn domain_of(&self, path: &[String]) -> Option<String> {
        let (table, _) = path.split_at_checked(2)?;
        let mut key = table.to_vec();
        key.push("domain".to_owned());
        self.source.text(&key)
    }
}
