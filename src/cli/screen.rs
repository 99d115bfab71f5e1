//! The terminal as a screen: taken over, drawn on, and given back as it was.

use std::io::{self, Stdout};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::{cursor, execute, terminal};
use ratatui::layout::Rect;
use ratatui::prelude::CrosstermBackend;
use ratatui::symbols::border;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

use super::signals::Signals;
use crate::net::world;

/// A screen on standard output.
pub(super) struct Screen<'a> {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// How its frames are drawn.
    pub(super) borders: border::Set<'static>,
    signals: &'a Signals,
}

impl<'a> Screen<'a> {
    fn new(borders: border::Set<'static>, signals: &'a Signals) -> io::Result<Self> {
        let terminal = Self::open()?;
        Ok(Self {
            terminal,
            borders,
            signals,
        })
    }

    fn open() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
        // A serial line does not say how large its terminal is.
        let viewport = match terminal::size() {
            Ok((columns, rows)) if columns > 0 && rows > 0 => Viewport::Fullscreen,
            Ok(_) | Err(_) => Viewport::Fixed(Rect::new(0, 0, 80, 24)),
        };
        execute!(io::stdout(), terminal::Clear(terminal::ClearType::All))?;
        Terminal::with_options(CrosstermBackend::new(io::stdout()), TerminalOptions { viewport })
    }

    /// Draws what has changed.
    pub(super) fn draw(&mut self, page: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(page).map(drop)
    }

    /// The next key, or whatever else happens; nothing where nothing does in time.
    ///
    /// # Errors
    /// Those of the terminal, and that a signal has come, which does what it does when the terminal is given back.
    pub(super) fn event(&self, within: Duration) -> io::Result<Option<Event>> {
        let end = world::now() + within;
        loop {
            let left = end.saturating_duration_since(world::now());
            if event::poll(left.min(LOOK))? {
                return event::read().map(Some);
            }
            if self.signals.came()? {
                return Err(io::Error::new(
                    io::ErrorKind::Interrupted,
                    "it was ended by a signal",
                ));
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// Forgets what was drawn, so that the next time all is. `Terminal::clear` would ask where the cursor is, and wait in
    /// vain on a line where nobody answers.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.terminal = Self::open()?;
        Ok(())
    }
}

/// Does `work` on the screen, and gives the terminal back whatever came of it.
///
/// # Errors
/// Those of the terminal, and of the work.
pub(super) fn run<T>(ascii: bool, work: impl FnOnce(&mut Screen<'_>) -> io::Result<T>) -> io::Result<T> {
    let borders = if ascii || !knows_lines() {
        ASCII
    } else {
        border::PLAIN
    };
    let signals = Signals::hold()?;
    terminal::enable_raw_mode()?;
    let done = execute!(io::stdout(), terminal::EnterAlternateScreen)
        .and_then(|()| Screen::new(borders, &signals))
        .and_then(|mut screen| work(&mut screen));
    // One that fails leaves the other to be tried.
    let left = execute!(io::stdout(), terminal::LeaveAlternateScreen, cursor::Show);
    let cooked = terminal::disable_raw_mode();
    signals.release()?;
    let done = done?;
    left.and(cooked)?;
    Ok(done)
}

/// Whether box-drawing characters come out as such: in UTF-8, and not on a serial terminal.
fn knows_lines() -> bool {
    let is = |name: &str, of: &dyn Fn(&str) -> bool| std::env::var(name).is_ok_and(|value| of(&value));
    let is_utf8 = |value: &str| value.to_ascii_lowercase().replace('-', "").contains("utf8");
    let speaks_utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .any(|name| is(name, &is_utf8));
    (speaks_utf8 || is("TERM", &|term| term == "linux"))
        && !is("TERM", &|term| term.starts_with("vt") || term == "dumb")
}

/// How long a signal may wait to be seen.
const LOOK: Duration = Duration::from_millis(200);

/// Borders of characters that every terminal has.
pub(super) const ASCII: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};
