//! The configuration: from a TOML file and the environment to the settings of every floor.
//!
//! `schema` has the shapes, `load` reads them with the place of every fault, `check` judges what they mean together
//! and makes [`Settings`], `change` says what of a new file can be taken up by a running proxy. Nothing below this
//! floor knows of it: policy, routes, limits and listeners go down as types of the floors that use them.

pub mod change;
mod check;
mod load;
mod problem;
mod schema;
mod secret;
mod settings;
mod source;

pub use problem::{Origin, Place, Problem, Report};
pub use settings::{Admin, Bodies, Dns, Edge, Interworking, Log, Settings, Translation, Xmpp};

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the proxy runs by.
    pub settings: Settings,
    /// What deserves attention.
    pub warnings: Vec<Problem>,
    /// Every file and folder that was read, the configuration first: whoever reloads must be able to read them again.
    pub files: Vec<PathBuf>,
}

/// Reads the file at `path`, with the overrides of this process's environment.
///
/// # Errors
/// [`Report`] with everything that is wrong.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    let text = std::fs::read_to_string(path).map_err(|why| Report {
        errors: vec![
            Problem::new(
                format!("the configuration cannot be read: {why}"),
                Origin::Whole(path.display().to_string()),
            )
            .with_help(if why.kind() == io::ErrorKind::NotFound {
                "begin with one of config/examples in the source, or name another file with --config"
            } else if why.kind() == io::ErrorKind::PermissionDenied {
                "let this user read it, and enter the folders above it"
            } else {
                "it has to be a TOML file in UTF-8"
            }),
        ],
        warnings: Vec::new(),
    })?;
    // Names and values that are not UTF-8 cannot be ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    read(path, &text, &environment)
}

/// Reads `text`, the content of the file at `path`, with the overrides of `environment`.
///
/// # Errors
/// [`Report`] with everything that is wrong.
pub fn read(path: &Path, text: &str, environment: &BTreeMap<String, String>) -> Result<Loaded, Report> {
    let faults = |errors| {
        Report {
            errors,
            warnings: Vec::new(),
        }
        .in_order()
    };
    let source = source::Source::parse(path, text, environment).map_err(faults)?;
    let document = load::shapes(&source).map_err(faults)?;
    let mut loaded = check::settings(&document, &source, environment)?;
    loaded.files.insert(0, path.to_path_buf());
    Ok(loaded)
}

#[cfg(test)]
mod tests;
