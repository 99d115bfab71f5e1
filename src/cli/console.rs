//! `vestibule console`: the status page, live from the control socket.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::symbols::{bar, border};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Sparkline, Wrap};

use super::control::SocketArgs;
use super::status::{Status, named, sums};
use super::subscriptions::period;
use super::{Exit, screen, terminal};
use crate::net::world;

#[derive(Debug, clap::Args)]
pub(super) struct ConsoleArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// Draw with characters that every terminal has.
    #[arg(long)]
    ascii: bool,
}

/// What is known at a moment.
#[derive(Debug)]
pub(super) struct Seen {
    /// What the proxy said last, or why it says nothing.
    status: Result<Status, String>,
    /// Messages in each of the last seconds that were looked at, the newest last.
    rates: VecDeque<u64>,
    /// How many messages there were at the last look, and when that was.
    before: Option<(u64, Instant)>,
}

/// Shows the page until somebody leaves.
pub(super) fn execute(config: &Path, arguments: &ConsoleArgs, err: &mut dyn Write) -> io::Result<Exit> {
    let ask = || {
        arguments
            .socket
            .ask::<Status>(config, "/v1/status")
            .map_err(|why| why.to_string())
    };
    let shown = screen::run(arguments.ascii, |screen| {
        let borders = screen.borders;
        let mut seen = Seen::new();
        loop {
            seen.take(ask(), world::now());
            screen.draw(|frame| draw(frame, &seen, borders))?;
            let next = world::now() + PAUSE;
            while let Some(left) = next.checked_duration_since(world::now()) {
                let Some(event) = screen.event(left)? else {
                    break;
                };
                match event {
                    Event::Key(key) if key.code == KeyCode::Char('q') => return Ok(()),
                    Event::Key(key) if is_control(key, 'c') => return Ok(()),
                    Event::Key(key) if is_control(key, 'l') => {
                        screen.forget()?;
                        break;
                    }
                    Event::Resize(..) => break,
                    Event::Key(_)
                    | Event::FocusGained
                    | Event::FocusLost
                    | Event::Mouse(_)
                    | Event::Paste(_) => {}
                }
            }
        }
    });
    match shown {
        Ok(()) => Ok(Exit::Good),
        Err(why) => {
            writeln!(
                err,
                "vestibule: this terminal cannot show the console ({why}); `vestibule status` prints the same once"
            )?;
            Ok(Exit::Bad)
        }
    }
}

fn is_control(key: KeyEvent, of: char) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char(of)
}

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            status: Err(String::new()),
            rates: VecDeque::new(),
            before: None,
        }
    }

    /// Takes what the proxy said.
    pub(super) fn take(&mut self, status: Result<Status, String>, now: Instant) {
        if let Ok(status) = &status {
            let all: i64 = status
                .messages
                .iter()
                .map(|one| one.count)
                .fold(0, i64::saturating_add);
            let all = u64::try_from(all).unwrap_or(0);
            if let Some((before, then)) = self.before {
                // One that was started again begins at 0.
                let more = all.saturating_sub(before);
                let millis =
                    u64::try_from(now.saturating_duration_since(then).as_millis()).unwrap_or(u64::MAX);
                self.rates
                    .push_back(more.saturating_mul(1000).div_ceil(millis.max(1)));
                while self.rates.len() > RATES {
                    self.rates.pop_front();
                }
            }
            self.before = Some((all, now));
        }
        self.status = status;
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, seen: &Seen, borders: border::Set<'_>) {
    let block = Block::new()
        .borders(Borders::ALL)
        .border_set(borders)
        .title(format!(" vestibule {} ", env!("CARGO_PKG_VERSION")));
    let inside = block.inner(frame.area());
    frame.render_widget(block, frame.area());
    let [page, rates, keys] =
        Layout::vertical([Constraint::Min(10), Constraint::Length(4), Constraint::Length(1)])
            .horizontal_margin(1)
            .areas(inside);
    match &seen.status {
        Ok(status) => frame.render_widget(Paragraph::new(lines(status)).wrap(Wrap { trim: false }), page),
        Err(why) => frame.render_widget(
            Paragraph::new(vec![
                Line::styled(
                    "The proxy does not answer.",
                    Style::new().add_modifier(Modifier::REVERSED),
                ),
                Line::raw(terminal::line(why)),
            ])
            .wrap(Wrap { trim: false }),
            page,
        ),
    }
    let now = seen.rates.back().copied().unwrap_or(0);
    let most = seen.rates.iter().copied().max().unwrap_or(0);
    let sparks: Vec<u64> = seen.rates.iter().copied().collect();
    let line = Sparkline::default()
        .block(
            Block::new()
                .borders(Borders::TOP)
                .border_set(borders)
                .title(format!(" messages a second: {now}, at most {most} ")),
        )
        .bar_set(if borders == border::PLAIN {
            bar::NINE_LEVELS
        } else {
            ASCII_BARS
        })
        .max(most.max(1))
        .data(&sparks);
    frame.render_widget(line, rates);
    frame.render_widget(
        Line::styled("q leaves", Style::new().add_modifier(Modifier::BOLD)),
        keys,
    );
}

fn lines(status: &Status) -> Vec<Line<'static>> {
    let mut lines = vec![
        Line::styled(
            terminal::line(&format!(
                "{}  {} for {}",
                status.edge,
                status.phase,
                period(status.uptime_seconds)
            )),
            Style::new().add_modifier(Modifier::BOLD),
        ),
        match status.ready {
            true => Line::raw("ready"),
            false => Line::styled(
                terminal::line(&format!("not ready: {}", status.reasons.join("; "))),
                Style::new().add_modifier(Modifier::REVERSED),
            ),
        },
        Line::raw(""),
    ];
    let mut listeners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for listener in &status.listeners {
        let what = format!(
            "{} {} over {}",
            listener.side, listener.protocol, listener.transport
        );
        listeners.entry(what).or_default().push(listener.address.clone());
    }
    for (what, places) in listeners {
        lines.push(Line::raw(terminal::line(&format!(
            "listens    {what}: {}",
            places.join(", ")
        ))));
    }
    for node in &status.nodes {
        let text = terminal::line(&format!(
            "node       {} of {}: {}",
            node.node,
            node.domain,
            if node.up { "up" } else { "DOWN" }
        ));
        lines.push(match node.up {
            true => Line::raw(text),
            false => Line::styled(text, Style::new().add_modifier(Modifier::REVERSED)),
        });
    }
    if !status.peers.is_empty() {
        let peers = terminal::line(&named(&status.peers));
        lines.push(Line::raw(format!("{:10} {peers}", "linked to")));
    }
    lines.push(Line::raw(""));
    for (what, counted, labels) in [
        ("connected", &status.connections, &["side", "protocol"][..]),
        ("messages", &status.messages, &["way", "outcome"]),
        ("presence", &status.subscriptions, &["state"]),
    ] {
        lines.push(Line::raw(terminal::line(&format!(
            "{what:10} {}",
            sums(counted, labels)
        ))));
    }
    lines.push(Line::raw(format!(
        "{:10} {} messages, {} errors for their senders; {} could not be told",
        "waiting", status.pending_messages, status.pending_errors, status.untold
    )));
    lines
}

const PAUSE: Duration = Duration::from_secs(2);
/// As many as the screen is wide.
const RATES: usize = 76;
const ASCII_BARS: bar::Set<'static> = bar::Set {
    full: "#",
    seven_eighths: "#",
    three_quarters: "*",
    five_eighths: "*",
    half: "+",
    three_eighths: "=",
    one_quarter: "-",
    one_eighth: ".",
    empty: " ",
};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    const STATUS: &str = r#"{"version":"0.1.0","edge":"edge.example.com","phase":"running","ready":READY,"reasons":REASONS,"uptime_seconds":93784,
        "listeners":[{"side":"outside","protocol":"sip","transport":"tls","address":"203.0.113.10:5061"},
                     {"side":"outside","protocol":"xmpp","transport":"tcp","address":"203.0.113.10:5269"},
                     {"side":"outside","protocol":"xmpp","transport":"tcp","address":"[2001:db8::10]:5269"}],
        "nodes":[{"domain":"example.com","node":"imp1.corp.example:5269","up":true},{"domain":"example.com","node":"imp2.corp.example:5269","up":false}],
        "peers":[{"domain":"contoso.com","protocol":"sip"},{"domain":"example.org","protocol":"xmpp"}],
        "connections":[{"count":5,"side":"outside","protocol":"sip"},{"count":2,"side":"inside","protocol":"xmpp"}],
        "messages":[{"count":MESSAGES,"way":"inbound","outcome":"delivered"}],"subscriptions":[],
        "pending_messages":1,"pending_errors":0,"untold":0}"#;

    fn status(messages: u64, is_ready: bool) -> Status {
        let reasons = if is_ready {
            "[]"
        } else {
            r#"["no node of example.com is up"]"#
        };
        let text = STATUS
            .replace("READY", if is_ready { "true" } else { "false" })
            .replace("REASONS", reasons);
        serde_json::from_str(&text.replace("MESSAGES", &messages.to_string())).unwrap()
    }

    fn drawn(seen: &Seen, borders: border::Set<'_>) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, seen, borders)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_page_shows_what_the_proxy_says() {
        let start = world::now();
        let mut seen = Seen::new();
        let mut all = 100;
        for second in 0..100_u64 {
            all += second % 17;
            seen.take(Ok(status(all, true)), start + Duration::from_secs(second));
        }
        let running = drawn(&seen, border::PLAIN);
        seen.take(Ok(status(all, false)), start + Duration::from_secs(101));
        let not_ready = drawn(&seen, screen::ASCII);
        seen.take(
            Err("no proxy answers at /run/vestibule/control.sock\u{1b}[2J".to_owned()),
            start + Duration::from_secs(102),
        );
        let gone = drawn(&seen, screen::ASCII);
        insta::assert_snapshot!([running, not_ready, gone].join("\n"));
    }

    #[test]
    fn a_proxy_that_was_started_again_has_no_negative_rate() {
        let start = world::now();
        let mut seen = Seen::new();
        for (second, all) in [(0, 1000), (2, 1010), (4, 3), (6, 5)] {
            seen.take(Ok(status(all, true)), start + Duration::from_secs(second));
        }
        assert_eq!(seen.rates, [5, 0, 1]);
    }
}
