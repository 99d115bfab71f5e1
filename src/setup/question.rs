//! What a question is.

use super::answers::Answers;
use super::machine::Machine;

/// Questions that stand on one screen.
#[derive(Debug)]
pub struct Page {
    /// A few words.
    pub title: &'static str,
    /// What it is about, in a sentence or two.
    pub text: &'static str,
    /// In the order in which they are asked.
    pub questions: &'static [Question],
}

/// One thing to say.
pub struct Question {
    /// Its name in a seed file.
    pub key: &'static str,
    /// What is asked, short enough to stand before the answer.
    pub ask: &'static str,
    /// What is meant, for who wonders.
    pub help: &'static str,
    /// What can be said.
    pub kind: Kind,
    pub(super) default: fn(&Answers, &Machine) -> String,
    /// What is wrong with an answer, in words that say what to write.
    pub(super) check: fn(&str, &Answers, &Machine) -> Result<(), String>,
    pub(super) applies: fn(&Answers, &Machine) -> bool,
}

/// What can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A line of text.
    Text,
    /// A line that nobody else may read.
    Secret,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
