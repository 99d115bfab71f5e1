//! `vestibule check`: what is wrong with the configuration, and a summary of one that is right.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::{Exit, Form, write_json};
use crate::app::state;
use crate::app::user::RunAs;
use crate::config::{Loaded, Origin, Problem, Report, Settings};

#[derive(Debug, Serialize)]
struct Checked {
    usable: bool,
    errors: Vec<Said>,
    warnings: Vec<Said>,
}

#[derive(Debug, Serialize)]
struct Said {
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<String>,
}

/// Prints what came of reading the file at `path`.
pub(super) fn print(
    path: &Path,
    read: Result<Loaded, Report>,
    form: Form,
    out: &mut dyn Write,
) -> io::Result<Exit> {
    let (settings, report) = match read {
        Ok(loaded) => (
            Some(loaded.settings),
            Report {
                errors: Vec::new(),
                warnings: loaded.warnings,
            },
        ),
        Err(report) => (None, report),
    };
    match form {
        Form::Json => write_json(
            &Checked {
                usable: settings.is_some(),
                errors: report.errors.iter().map(said).collect(),
                warnings: report.warnings.iter().map(said).collect(),
            },
            out,
        )?,
        Form::Text => {
            write!(out, "{report}")?;
            match &settings {
                Some(settings) => writeln!(
                    out,
                    "{}: usable, {}; {}",
                    path.display(),
                    counted(report.warnings.len(), "warning"),
                    summary(settings)
                )?,
                None => writeln!(
                    out,
                    "{}: not usable, {} and {}",
                    path.display(),
                    counted(report.errors.len(), "error"),
                    counted(report.warnings.len(), "warning")
                )?,
            }
        }
    }
    Ok(if settings.is_some() { Exit::Good } else { Exit::Bad })
}

/// Adds what would keep `vestibule run` from starting, or from storing anything, although the file is right: the user of `run_as`, which
/// is asked only of root, as nobody else becomes another user; and the folder of durable state. All this is only told, as the file
/// may be meant for another machine.
pub(super) fn add_doubts(loaded: &mut Loaded) {
    let path = loaded.files.first().map(|path| path.display().to_string());
    let mut doubts: Vec<String> = Vec::new();
    match RunAs::find(loaded.settings.edge.run_as.as_deref()) {
        Ok(user) => {
            if let Some(user) = &user {
                let closed = user.cannot_read(&loaded.files);
                doubts.extend(closed.iter().map(ToString::to_string));
            }
            let folder = loaded.settings.edge.state_dir.as_deref();
            doubts.extend(folder.and_then(|folder| state::doubt(folder, user.as_ref())));
        }
        Err(why) => doubts.push(why.to_string()),
    }
    loaded.warnings.extend(
        doubts
            .into_iter()
            .map(|doubt| Problem::new(doubt, Origin::Whole(path.clone().unwrap_or_default()))),
    );
}

fn said(problem: &Problem) -> Said {
    let mut said = Said {
        what: problem.what().to_owned(),
        help: problem.help().map(str::to_owned),
        file: None,
        line: None,
        column: None,
        variable: None,
    };
    match problem.origin() {
        Origin::File(place) => {
            said.file = Some(place.file.clone());
            said.line = Some(place.line);
            said.column = Some(place.column);
        }
        Origin::Whole(file) => said.file = Some(file.clone()),
        Origin::Environment(name) => said.variable = Some(name.clone()),
    }
    said
}

fn summary(settings: &Settings) -> String {
    format!(
        "{}, {}, {}",
        counted(settings.listeners.len(), "listener"),
        counted(settings.locals.len(), "local domain"),
        counted(settings.federated.len(), "federated domain"),
    )
}

fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
