//! What was said so far, by the key of each question.

use std::collections::BTreeMap;

use super::machine::Machine;
use super::pages::PAGES;
use super::question::Question;

/// What was said. A question that nobody answered has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<&'static str, String>);

impl Answers {
    /// What counts for a question: what was said, or else its default.
    #[must_use]
    pub fn value(&self, question: &Question, machine: &Machine) -> String {
        match self.0.get(question.key) {
            Some(said) => said.clone(),
            None => (question.default)(self, machine),
        }
    }

    /// The same by the key, with nothing for a question that does not arise.
    #[must_use]
    pub fn get(&self, key: &str, machine: &Machine) -> String {
        let question = PAGES
            .iter()
            .flat_map(|page| page.questions)
            .find(|question| question.key == key);
        match question {
            Some(question) if (question.applies)(self, machine) => self.value(question, machine),
            Some(_) | None => String::new(),
        }
    }

    /// The words of a list: parted by commas or white space.
    #[must_use]
    pub fn list(&self, key: &str, machine: &Machine) -> Vec<String> {
        words(&self.get(key, machine)).map(str::to_owned).collect()
    }

    /// Takes an answer as it is; `Flow` checks it before.
    pub(super) fn set(&mut self, key: &'static str, said: String) {
        self.0.insert(key, said);
    }

    /// What was said, where anything was.
    pub(super) fn said(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Whether a question arises.
    #[must_use]
    pub fn arises(&self, question: &Question, machine: &Machine) -> bool {
        (question.applies)(self, machine)
    }
}

/// The key as the table of questions has it; `None` for one that is in no page.
pub(super) fn known(key: &str) -> Option<&'static Question> {
    PAGES
        .iter()
        .flat_map(|page| page.questions)
        .find(|question| question.key == key)
}

/// The words of a list.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}
