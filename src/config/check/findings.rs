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
    #[allow(dead_code, reason = "the checks of policy and routes use it")]
    pub(super) fn gives(&self, path: &[String]) -> bool {
        self.source.gives(path)
    }

    /// The line of the value at `path`, for what is explained later.
    #[allow(dead_code, reason = "the checks of policy and routes use it")]
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
        let mut table = table_of(path);
        if let Some(domain) = self.domain_of(path) {
            table.push_str(&format!(", domain {domain}"));
        }
        Problem::new(format!("{table}: {what}"), self.source.origin(path, Part::Value))
    }

    /// The `domain` of the table that the path leads into, where it has one.
    fn domain_of(&self, path: &[String]) -> Option<String> {
        let (table, _) = path.split_at_checked(2)?;
        let mut key = table.to_vec();
        key.push("domain".to_owned());
        self.source.text(&key)
    }
}
