//! A seed file: the answers in TOML, for machines that nobody types at. Its keys are those of the questions.
//!
//! ```toml
//! name = "edge.example.com"
//! outside_addresses = ["203.0.113.10"]
//! ```

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::answers::{Answers, known};
use super::flow::Flow;
use super::machine::Machine;

/// What is wrong with a seed file, all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedError(pub Vec<SeedProblem>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedProblem {
    /// The line; `None` for what is not there.
    pub line: Option<usize>,
    /// What, why, and what to write instead.
    pub what: String,
}

impl Flow {
    /// The flow that a seed file leads through to the end.
    ///
    /// # Errors
    /// Everything that is wrong, with its line.
    pub fn of_seed(text: &str, machine: Machine) -> Result<Self, SeedError> {
        let line = |at: usize| {
            text.get(..at)
                .map(|before| before.matches('\n').count().saturating_add(1))
        };
        let table = DeTable::parse(text).map_err(|why| {
            SeedError(vec![SeedProblem {
                line: why.span().and_then(|span| line(span.start)),
                what: why.message().to_owned(),
            }])
        })?;
        let mut answers = Answers::default();
        let mut lines = Vec::new();
        let mut problems = Vec::new();
        for (key, value) in table.get_ref() {
            let at = line(key.span().start);
            let mut problem = |what| problems.push(SeedProblem { line: at, what });
            let Some(question) = known(key.get_ref()) else {
                problem(format!("nothing is asked by the name \"{}\"", key.get_ref()));
                continue;
            };
            match said(value) {
                Some(said) => {
                    answers.set(question.key, said);
                    lines.push((question.key, at));
                }
                None => problem(format!("{} takes a text or a list of texts", question.key)),
            }
        }
        // Said once is enough in a file.
        if let (Some(password), None) = (answers.said("password"), answers.said("password_again")) {
            let password = password.to_owned();
            answers.set("password_again", password);
        }
        let flow = Self::new(machine, answers);
        for (key, line) in &lines {
            let question = known(key).filter(|question| !flow.answers().arises(question, flow.machine()));
            if let Some(question) = question {
                problems.push(SeedProblem {
                    line: *line,
                    what: format!(
                        "{}: this is not asked on this machine, or by what the other answers say, and would have no effect",
                        question.key
                    ),
                });
            }
        }
        for wrong in flow.faults() {
            let line = lines
                .iter()
                .find(|(key, _)| *key == wrong.key)
                .and_then(|(_, line)| *line);
            problems.push(SeedProblem {
                line,
                what: format!("{}: {}", wrong.key, wrong.why),
            });
        }
        if problems.is_empty() {
            return Ok(flow);
        }
        problems.sort_by_key(|problem| (problem.line.is_none(), problem.line));
        Err(SeedError(problems))
    }
}

/// A value as it would be typed.
fn said(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(true) => Some("yes".to_owned()),
        DeValue::Boolean(false) => Some("no".to_owned()),
        DeValue::Array(values) => {
            let texts: Option<Vec<_>> = values
                .iter()
                .map(|value| value.get_ref().as_str().map(str::to_owned))
                .collect();
            texts.map(|texts| texts.join(", "))
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            match problem.line {
                Some(line) => writeln!(f, "line {line}: {}", problem.what)?,
                None => writeln!(f, "{}", problem.what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for SeedError {}
