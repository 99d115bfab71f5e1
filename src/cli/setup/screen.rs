//! The wizard on screens: what a key does, apart from any terminal.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{End, Plans, draw, summary};
use crate::cli::screen;
use crate::setup::{Flow, Kind, Question};

/// What is on the screen.
#[derive(Debug)]
pub(super) struct Screen<'a> {
    pub(super) flow: &'a mut Flow,
    /// The question that is being answered, by its place on the page.
    pub(super) at: usize,
    /// What is wrong, until the next key.
    pub(super) wrong: Option<String>,
    /// The lines of the summary, and whether they can be written.
    pub(super) summary: Option<(Vec<String>, bool)>,
    /// The first of them that is seen.
    pub(super) scrolled: usize,
    /// Whether leaving was asked for once.
    is_leaving: bool,
    plans: Plans<'a>,
}

/// Shows pages until all is said or whoever answers leaves.
pub(super) fn ask(flow: &mut Flow, plans: Plans<'_>, ascii: bool) -> io::Result<End> {
    let mut screen = Screen::new(flow, plans);
    screen::run(ascii, |terminal| {
        loop {
            let borders = terminal.borders;
            terminal.draw(|frame| draw::page(frame, &screen, borders))?;
            match terminal.event(LONG)? {
                Some(Event::Key(key)) if is_redraw(key) => terminal.forget()?,
                Some(Event::Key(key)) => {
                    if let Some(end) = screen.key(key) {
                        return Ok(end);
                    }
                }
                Some(
                    Event::Resize(..)
                    | Event::FocusGained
                    | Event::FocusLost
                    | Event::Mouse(_)
                    | Event::Paste(_),
                )
                | None => {}
            }
        }
    })
}

/// Whether what was drawn is to be drawn again: the kernel may have written over it.
fn is_redraw(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('l') && key.modifiers.contains(KeyModifiers::CONTROL)
}

impl<'a> Screen<'a> {
    pub(super) fn new(flow: &'a mut Flow, plans: Plans<'a>) -> Self {
        let mut screen = Self {
            flow,
            at: 0,
            wrong: None,
            summary: None,
            scrolled: 0,
            is_leaving: false,
            plans,
        };
        screen.arrive(0);
        screen
    }

    /// The question that is being answered.
    pub(super) fn question(&self) -> Option<&'static Question> {
        self.flow.questions().get(self.at).copied()
    }

    /// Does what a key says.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<End> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        self.wrong = None;
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let was_leaving = std::mem::take(&mut self.is_leaving);
        match key.code {
            KeyCode::Char('c') if control => {
                if was_leaving {
                    return Some(End::Left);
                }
                self.is_leaving = true;
                self.wrong = Some("Ctrl-C once more leaves; nothing is written then.".to_owned());
            }
            KeyCode::Enter => return self.enter(),
            KeyCode::Esc | KeyCode::PageUp => self.back(),
            KeyCode::Down | KeyCode::Tab => self.step(1),
            KeyCode::Up | KeyCode::BackTab => self.step(-1),
            KeyCode::Char(c) if !control => self.typed(Some(c)),
            KeyCode::Backspace => self.typed(None),
            KeyCode::Left => self.choose(-1),
            KeyCode::Right => self.choose(1),
            _ => {}
        }
        None
    }

    fn enter(&mut self) -> Option<End> {
        if let Some((_, is_good)) = self.summary {
            if is_good {
                return Some(End::Write);
            }
            self.wrong = Some("This cannot be written; Esc goes back to what is wrong.".to_owned());
            return None;
        }
        if let Some(question) = self.question() {
            let said = self.flow.value(question);
            if let Err(wrong) = self.flow.answer(question, &said) {
                self.wrong = Some(wrong.why);
                return None;
            }
        }
        if self.at.saturating_add(1) < self.flow.questions().len() {
            self.at = self.at.saturating_add(1);
            return None;
        }
        match self.flow.forward() {
            Ok(()) => self.arrive(0),
            Err(wrong) => {
                self.at = self
                    .flow
                    .questions()
                    .iter()
                    .position(|question| question.key == wrong.key)
                    .unwrap_or(0);
                self.wrong = Some(wrong.why);
            }
        }
        None
    }

    fn back(&mut self) {
        if self.flow.back() {
            self.arrive(0);
        } else {
            self.wrong = Some("This is the first page; Ctrl-C leaves.".to_owned());
        }
    }

    fn arrive(&mut self, at: usize) {
        self.at = at;
        self.scrolled = 0;
        self.summary = self.flow.is_summary().then(|| summary(self.flow, self.plans));
    }

    /// Up or down: over the questions, or over the lines of the summary.
    fn step(&mut self, by: isize) {
        let (place, all) = match &self.summary {
            Some((lines, _)) => (&mut self.scrolled, lines.len()),
            None => (&mut self.at, self.flow.questions().len()),
        };
        *place = place.saturating_add_signed(by).min(all.saturating_sub(1));
    }

    fn typed(&mut self, c: Option<char>) {
        let Some(question) = self.question() else { return };
        let mut said = self.flow.value(question);
        match (question.kind, c) {
            (Kind::Choice(_), Some(' ')) => return self.choose(1),
            // A word of a choice is taken by its first letter.
            (Kind::Choice(words), Some(c)) => match words.iter().find(|word| word.starts_with(c)) {
                Some(word) => said = (*word).to_owned(),
                None => return,
            },
            (Kind::Choice(_), None) => return,
            (Kind::Text | Kind::Secret, Some(c)) if said.len() < LONGEST => said.push(c),
            (Kind::Text | Kind::Secret, Some(_)) => return,
            (Kind::Text | Kind::Secret, None) => drop(said.pop()),
        }
        self.flow.note(question, &said);
    }

    fn choose(&mut self, by: isize) {
        let Some(question) = self.question() else { return };
        let Kind::Choice(words) = question.kind else {
            return;
        };
        let said = self.flow.value(question);
        let at = words.iter().position(|word| *word == said).unwrap_or(0);
        let last = words.len().saturating_sub(1);
        let at = match at.checked_add_signed(by) {
            Some(at) if at <= last => at,
            Some(_) => 0,
            None => last,
        };
        if let Some(word) = words.get(at) {
            self.flow.note(question, word);
        }
    }
}

const LONGEST: usize = 1000;
/// As long as whoever answers takes to think.
const LONG: Duration = Duration::from_hours(1);
