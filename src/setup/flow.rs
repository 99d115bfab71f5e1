//! The way through the pages: forward when all of a page is good, back at any time.

use super::answers::{Answers, known};
use super::machine::Machine;
use super::pages::PAGES;
use super::plan::{Plan, PlanError};
use super::question::{Kind, Page, Question};

/// A walk through the pages.
#[derive(Debug)]
pub struct Flow {
    machine: Machine,
    answers: Answers,
    page: usize,
}

/// An answer that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{ask}: {why}")]
pub struct Wrong {
    /// The key of the question.
    pub key: &'static str,
    /// What was asked.
    pub ask: &'static str,
    /// Why, and what to write instead.
    pub why: String,
}

impl Flow {
    /// From the beginning, with what is known already.
    #[must_use]
    pub fn new(machine: Machine, answers: Answers) -> Self {
        let mut flow = Self {
            machine,
            answers,
            page: 0,
        };
        flow.page = (0..PAGES.len()).find(|at| flow.shows(*at)).unwrap_or(0);
        flow
    }

    /// The page that is shown.
    #[must_use]
    pub fn page(&self) -> &'static Page {
        PAGES.get(self.page).unwrap_or(SUMMARY)
    }

    /// Its number and how many there are, of those that have questions for this machine.
    #[must_use]
    pub fn place(&self) -> (usize, usize) {
        let shown = |end: usize| (0..end).filter(|at| self.shows(*at)).count();
        (shown(self.page).saturating_add(1), shown(PAGES.len()))
    }

    /// The questions of the page that arise, as far as it is answered.
    #[must_use]
    pub fn questions(&self) -> Vec<&'static Question> {
        self.of(self.page())
    }

    /// What is meant by a question, for who wonders.
    #[must_use]
    pub fn help(&self, question: &Question) -> String {
        let mut help = question.help.to_owned();
        if question.key.ends_with("_card") {
            for card in &self.machine.cards {
                let link = match card.has_link {
                    Some(true) => ", with a cable",
                    Some(false) => ", without a cable",
                    None => "",
                };
                help.push_str(&format!(" {} ({}{link}).", card.name, card.mac));
            }
        }
        if help.is_empty() {
            "There is no more to say of it.".to_owned()
        } else {
            help
        }
    }

    /// Whether this is the last page, the summary.
    #[must_use]
    pub fn is_summary(&self) -> bool {
        self.page().questions.is_empty()
    }

    /// What stands in the place of an answer.
    #[must_use]
    pub fn value(&self, question: &Question) -> String {
        self.answers.value(question, &self.machine)
    }

    /// Takes an answer.
    ///
    /// # Errors
    /// What is wrong with it; what was there before stays.
    pub fn answer(&mut self, question: &'static Question, said: &str) -> Result<(), Wrong> {
        let said = match question.kind {
            // What is secret may begin with a blank.
            Kind::Secret => said,
            Kind::Text | Kind::Choice(_) => said.trim(),
        };
        self.judge(question, said)?;
        self.answers.set(question.key, said.to_owned());
        Ok(())
    }

    /// Takes an answer as it is typed, and does not judge it yet.
    pub fn note(&mut self, question: &'static Question, said: &str) {
        self.answers.set(question.key, said.to_owned());
    }

    /// On to the next page, where all of this one is good.
    ///
    /// # Errors
    /// The first that is not.
    pub fn forward(&mut self) -> Result<(), Wrong> {
        for question in self.questions() {
            let said = self.value(question);
            self.answer(question, &said)?;
        }
        let after = self.page.saturating_add(1)..PAGES.len();
        self.page = after.into_iter().find(|at| self.shows(*at)).unwrap_or(self.page);
        Ok(())
    }

    /// Back to the page before; `false` at the first.
    pub fn back(&mut self) -> bool {
        let before = (0..self.page).rev().find(|at| self.shows(*at));
        self.page = before.unwrap_or(self.page);
        before.is_some()
    }

    /// Every answer in order, as far as anybody may see it.
    #[must_use]
    pub fn summary(&self) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
        let pages = PAGES.iter().filter(|page| self.has_questions(page)).map(|page| {
            let told = self.of(page).into_iter().filter(|question| question.key != AGAIN);
            let lines = told.map(|question| (question.ask, self.shown(question)));
            (page.title, lines.collect())
        });
        pages.collect()
    }

    /// An answer as far as anybody may see it.
    #[must_use]
    pub fn shown(&self, question: &Question) -> String {
        let value = self.value(question);
        match question.kind {
            Kind::Secret => "*".repeat(value.chars().count().min(SHOWN_SECRET)),
            Kind::Text | Kind::Choice(_) => value,
        }
    }

    /// Everything that is wrong, on all pages.
    #[must_use]
    pub fn faults(&self) -> Vec<Wrong> {
        let all = PAGES.iter().flat_map(|page| self.of(page));
        all.filter_map(|question| self.judge(question, &self.value(question)).err())
            .collect()
    }

    /// What is to be written into a folder, for a proxy that runs as `user`.
    ///
    /// # Errors
    /// What of it cannot be.
    pub fn plan(&self, folder: &std::path::Path, user: &str) -> Result<Plan, PlanError> {
        Plan::make(&self.answers, &self.machine, (folder, user))
    }

    /// The machine that it is about.
    #[must_use]
    pub(super) const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What was said.
    #[must_use]
    pub const fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The question of that key.
    #[must_use]
    pub fn question(key: &str) -> Option<&'static Question> {
        known(key)
    }

    fn judge(&self, question: &'static Question, said: &str) -> Result<(), Wrong> {
        let wrong = |why| Wrong {
            key: question.key,
            ask: question.ask,
            why,
        };
        if let Kind::Choice(words) = question.kind
            && !words.contains(&said)
        {
            return Err(wrong(format!("\"{said}\" is none of {}", words.join(", "))));
        }
        // What goes into a file of lines is one line.
        if said.chars().any(char::is_control) {
            return Err(wrong("it holds a control character".to_owned()));
        }
        (question.check)(said, &self.answers, &self.machine).map_err(wrong)
    }

    fn of(&self, page: &'static Page) -> Vec<&'static Question> {
        page.questions
            .iter()
            .filter(|question| self.answers.arises(question, &self.machine))
            .collect()
    }

    fn has_questions(&self, page: &Page) -> bool {
        page.questions
            .iter()
            .any(|question| self.answers.arises(question, &self.machine))
    }

    /// Whether there is anything to see on a page: questions that arise, or the summary.
    fn shows(&self, at: usize) -> bool {
        PAGES
            .get(at)
            .is_some_and(|page| page.questions.is_empty() || self.has_questions(page))
    }
}

/// What a page behind the last would be.
const SUMMARY: &Page = &Page {
    title: "",
    text: "",
    questions: &[],
};
const SHOWN_SECRET: usize = 12;
/// Only to be typed once more.
const AGAIN: &str = "password_again";
