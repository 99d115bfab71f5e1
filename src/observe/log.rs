//! Logging set-up: text or JSON lines on standard error, with a level that a reload can change.
//!
//! The vocabulary of fields is fixed: `peer`, `flow`, `side`, `rule`, `class`, `trace` (the correlation id that follows
//! a message across protocols). No bodies, and no full addresses at info.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Changes the level of the running process.
#[derive(Debug, Clone)]
pub struct LevelHandle(reload::Handle<EnvFilter, Registry>);

impl LevelHandle {
    /// Takes up another level: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,vestibule::sip=debug`.
    ///
    /// # Errors
    /// [`LogError`] where the text is not a level or filter.
    pub fn set(&self, level: &str) -> Result<(), LogError> {
        self.0.reload(filter(level)?).map_err(|_| LogError::Closed)
    }
}

/// Why logging could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is none.
    #[error("log.level {0:?} is neither a level (error, warn, info, debug, trace) nor a filter: {1}")]
    Level(String, ParseError),
    /// Something else logs already.
    #[error("logging was set up twice")]
    Twice,
    /// The subscriber is gone.
    #[error("the log subscriber is gone")]
    Closed,
}

/// Starts logging for the whole process.
///
/// # Errors
/// [`LogError`] where the level is wrong, or where logging is already set up.
pub fn start(format: Format, level: &str) -> Result<LevelHandle, LogError> {
    let (layer, handle) = reload::Layer::new(filter(level)?);
    let registry = tracing_subscriber::registry().with(layer);
    match format {
        Format::Text => registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_target(false),
            )
            .try_init(),
        Format::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    }
    .map_err(|_| LogError::Twice)?;
    Ok(LevelHandle(handle))
}

/// Why a text is neither a level nor a filter.
#[derive(Debug, thiserror::Error)]
pub enum BadLevel {
    /// It cannot be read.
    #[error(transparent)]
    Filter(#[from] ParseError),
    /// It holds a word that is no level, and that a filter would take for the name of a module, which then logs everything.
    #[error("there is no level \"{0}\"")]
    Stray(String),
}

/// Whether `level` is a level or a filter.
///
/// # Errors
/// [`BadLevel`].
pub fn check(level: &str) -> Result<(), BadLevel> {
    EnvFilter::builder().parse(level)?;
    let stray = level
        .split(',')
        .map(str::trim)
        .find(|part| !part.contains(['=', '[', ':', '{', '}', ']']) && part.parse::<LevelFilter>().is_err());
    match stray {
        Some(word) => Err(BadLevel::Stray(word.to_owned())),
        None => Ok(()),
    }
}

/// A bare level is ours alone: libraries speak only of what is wrong.
fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let wrong = |error| LogError::Level(level.to_owned(), error);
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into());
    if level.parse::<LevelFilter>().is_ok() {
        return builder.parse(format!("warn,vestibule={level}")).map_err(wrong);
    }
    builder.parse(level).map_err(wrong)
}
