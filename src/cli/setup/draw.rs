//! How a page of the wizard looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Wrap};

use super::screen::Screen;
use crate::cli::terminal;
use crate::setup::Kind;

pub(super) fn page(frame: &mut Frame<'_>, screen: &Screen<'_>, borders: border::Set<'_>) {
    let page = screen.flow.page();
    let (number, all) = screen.flow.place();
    let block = Block::new()
        .borders(Borders::ALL)
        .border_set(borders)
        .title(format!(" vestibule setup  {number}/{all}  {} ", page.title));
    let inside = block.inner(frame.area());
    frame.render_widget(block, frame.area());
    let [text, body, help, keys] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Min(4),
        Constraint::Length(3),
        Constraint::Length(1),
    ])
    .horizontal_margin(1)
    .areas(inside);
    frame.render_widget(Paragraph::new(page.text).wrap(Wrap { trim: true }), text);
    match &screen.summary {
        Some((lines, _)) => list(frame, lines, screen.scrolled, body),
        None => fields(frame, screen, body),
    }
    let below = match (&screen.wrong, screen.question()) {
        (Some(wrong), _) => Span::styled(
            terminal::line(wrong),
            Style::new().add_modifier(Modifier::REVERSED),
        ),
        (None, Some(question)) => Span::raw(screen.flow.help(question)),
        (None, None) => Span::raw(""),
    };
    frame.render_widget(Paragraph::new(Line::from(below)).wrap(Wrap { trim: true }), help);
    let told = match screen.summary {
        Some((_, true)) => "Enter writes it   Esc back   Up Down more   Ctrl-C leaves",
        Some((_, false)) => "Esc back   Up Down more   Ctrl-C leaves",
        None => "Enter next   Esc page before   Up Down   Left Right chooses   Ctrl-C leaves",
    };
    frame.render_widget(
        Line::styled(told, Style::new().add_modifier(Modifier::BOLD)),
        keys,
    );
}

fn fields(frame: &mut Frame<'_>, screen: &Screen<'_>, area: Rect) {
    let width = usize::from(area.width).saturating_sub(ASK.saturating_add(1));
    let mut lines = Vec::new();
    for (at, question) in screen.flow.questions().into_iter().enumerate() {
        let is_here = at == screen.at;
        let shown = terminal::line(&screen.flow.shown(question));
        // The end is where it is typed.
        let hidden = shown.chars().count().saturating_sub(width.saturating_sub(1));
        let tail: String = shown.chars().skip(hidden).collect();
        let mut spans = vec![Span::styled(
            format!("{:ASK$} ", question.ask),
            if is_here {
                Style::new().add_modifier(Modifier::BOLD)
            } else {
                Style::new()
            },
        )];
        match question.kind {
            Kind::Choice(words) => {
                for word in words {
                    let style = match *word == shown {
                        true => Style::new().add_modifier(Modifier::REVERSED),
                        false => Style::new(),
                    };
                    // Not by the style alone: a terminal may have none.
                    let (open, close) = if *word == shown { ('[', ']') } else { (' ', ' ') };
                    spans.push(Span::styled(format!("{open}{word}{close}"), style));
                    spans.push(Span::raw(" "));
                }
            }
            Kind::Text | Kind::Secret => spans.push(Span::styled(
                format!("{tail:width$}"),
                Style::new().add_modifier(Modifier::UNDERLINED),
            )),
        }
        if is_here && !matches!(question.kind, Kind::Choice(_)) {
            let column = ASK.saturating_add(1).saturating_add(tail.chars().count());
            let place = (u16::try_from(column), u16::try_from(at));
            if let (Ok(column), Ok(row)) = place {
                frame.set_cursor_position(Position::new(
                    area.x.saturating_add(column),
                    area.y.saturating_add(row),
                ));
            }
        }
        lines.push(Line::from(spans));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn list(frame: &mut Frame<'_>, lines: &[String], first: usize, area: Rect) {
    let shown = lines
        .iter()
        .skip(first)
        .map(|line| Line::raw(terminal::line(line)));
    frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()), area);
}

/// Columns of what is asked.
const ASK: usize = 22;
