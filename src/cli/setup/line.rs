//! The wizard by plain lines: one question, one answer.

use std::io::{self, BufRead, Write};

use super::terminal::Echo;
use super::{End, Plans, summary};
use crate::cli::terminal;
use crate::setup::{Flow, Kind, Question};

/// What came instead of an answer.
enum Said {
    Answer(String),
    Help,
    Back,
    End,
}

/// Asks everything, and goes back and forth as it is told.
pub(super) fn ask(
    flow: &mut Flow,
    plans: Plans<'_>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    echo: &Echo,
) -> io::Result<End> {
    writeln!(
        out,
        "vestibule setup. Enter takes what stands in [ ]; - is nothing; ? explains; < goes back."
    )?;
    // Whether a page was come to from behind, so that its last question is the next.
    let mut from_behind = false;
    loop {
        let (number, all) = flow.place();
        let page = flow.page();
        writeln!(out, "\n[{number}/{all}] {}\n{}", page.title, page.text)?;
        if flow.is_summary() {
            match confirm(flow, plans, input, out)? {
                Some(end) => return Ok(end),
                None => from_behind = flow.back(),
            }
            continue;
        }
        let last = flow.questions().len().saturating_sub(1);
        let mut at = if from_behind { last } else { 0 };
        from_behind = false;
        loop {
            let Some(question) = flow.questions().get(at).copied() else {
                match flow.forward() {
                    Ok(()) => break,
                    Err(wrong) => {
                        writeln!(out, "  ! {}", terminal::line(&wrong.to_string()))?;
                        at = flow
                            .questions()
                            .iter()
                            .position(|question| question.key == wrong.key)
                            .unwrap_or(0);
                        continue;
                    }
                }
            };
            match read(flow, question, input, out, echo)? {
                Said::End => return Ok(End::Left),
                Said::Help => writeln!(out, "  {}", flow.help(question))?,
                Said::Back if at > 0 => at = at.saturating_sub(1),
                Said::Back => {
                    if flow.back() {
                        from_behind = true;
                        break;
                    }
                    writeln!(out, "  ! this is the first question")?;
                }
                Said::Answer(said) => match flow.answer(question, &said) {
                    Ok(()) => at = at.saturating_add(1),
                    Err(wrong) => writeln!(out, "  ! {}", terminal::line(&wrong.why))?,
                },
            }
        }
    }
}

fn read(
    flow: &Flow,
    question: &Question,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    echo: &Echo,
) -> io::Result<Said> {
    write!(out, "{}", question.ask)?;
    if let Kind::Choice(words) = question.kind {
        write!(out, " ({})", words.join(", "))?;
    }
    let shown = flow.shown(question);
    if !shown.is_empty() {
        write!(out, " [{}]", terminal::line(&shown))?;
    }
    write!(out, ": ")?;
    out.flush()?;
    let line = match question.kind {
        Kind::Secret => echo.without(|| next_line(input))?,
        Kind::Text | Kind::Choice(_) => next_line(input)?,
    };
    Ok(match line.as_deref() {
        None => Said::End,
        Some("?") => Said::Help,
        Some("<") => Said::Back,
        Some("") => Said::Answer(flow.value(question)),
        Some("-") => Said::Answer(String::new()),
        Some(said) => Said::Answer(said.to_owned()),
    })
}

/// Shows everything; `None` to go back.
fn confirm(
    flow: &Flow,
    plans: Plans<'_>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> io::Result<Option<End>> {
    let (lines, is_good) = summary(flow, plans);
    for line in lines {
        writeln!(out, "{}", terminal::line(&line))?;
    }
    loop {
        write!(
            out,
            "{}",
            if is_good {
                "Write this (yes, no, <)? "
            } else {
                "This cannot be written. Back (<) or out (no)? "
            }
        )?;
        out.flush()?;
        match next_line(input)?.as_deref() {
            None | Some("no") => return Ok(Some(End::Left)),
            Some("yes") if is_good => return Ok(Some(End::Write)),
            Some("<") => return Ok(None),
            Some(_) => {}
        }
    }
}

/// A line without its end; `None` where no more comes. More than anybody types is cut off.
fn next_line(input: &mut dyn BufRead) -> io::Result<Option<String>> {
    let mut octets = Vec::new();
    let read = io::Read::take(input, LONGEST).read_until(b'\n', &mut octets)?;
    if read == 0 {
        return Ok(None);
    }
    while matches!(octets.last(), Some(b'\n' | b'\r')) {
        octets.pop();
    }
    // What is no text is no answer to any question: each is told why.
    Ok(Some(
        String::from_utf8(octets).unwrap_or_else(|_| "\u{fffd}".to_owned()),
    ))
}

const LONGEST: u64 = 4096;
