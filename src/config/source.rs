//! The text of a configuration file and the environment, and where in them each key stands.
//!
//! figment merges the two and says which key is wrong; this says which line that key is on. The file is parsed once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Origin, Place, Problem};

/// A parsed file, with the overrides that the environment makes.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    file: String,
    text: &'t str,
    table: Spanned<DeTable<'t>>,
    overrides: BTreeMap<Vec<String>, (String, String)>,
}

/// Which part of `key = value` to point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

impl<'t> Source<'t> {
    /// Parses the file; `environment` is all of it, of which the names that begin with `VESTIBULE__` are taken.
    pub(crate) fn parse(
        file: &Path,
        text: &'t str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<Problem>> {
        let file = file.display().to_string();
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problems = errors.iter().map(|error| {
                let origin = error.span().map_or_else(
                    || Origin::Whole(file.clone()),
                    |span| Origin::File(Place::of(&file, text, &span)),
                );
                Problem::new(format!("not valid TOML: {}", error.message()), origin)
            });
            return Err(problems.collect());
        }
        let overrides = environment
            .iter()
            .filter_map(|(name, value)| {
                let keys = name.strip_prefix(PREFIX)?;
                let path = keys.split("__").map(str::to_ascii_lowercase).collect();
                Some((path, (name.clone(), value.clone())))
            })
            .collect();
        Ok(Self {
            file,
            text,
            table,
            overrides,
        })
    }

    /// Where the value at `path` came from; where the path is not there, where its nearest container is.
    pub(crate) fn origin(&self, path: &[String], part: Part) -> Origin {
        if let Some(name) = self.variable(path) {
            return Origin::Environment(name.to_owned());
        }
        match self.range(path, part) {
            Some(range) => Origin::File(Place::of(&self.file, self.text, &range)),
            None => Origin::Whole(self.file.clone()),
        }
    }

    /// Whether the file or the environment gives the value at `path`.
    pub(crate) fn gives(&self, path: &[String]) -> bool {
        self.variable(path).is_some() || find(self.table.get_ref(), path).is_some()
    }

    /// The text at `path`, as the file has it.
    pub(crate) fn text(&self, path: &[String]) -> Option<String> {
        let (_, value) = find(self.table.get_ref(), path)?;
        value.get_ref().as_str().map(str::to_owned)
    }

    /// Whether the file has a table at `path`.
    pub(crate) fn is_table(&self, path: &[String]) -> bool {
        find(self.table.get_ref(), path).is_some_and(|(_, value)| value.get_ref().is_table())
    }

    /// The line of the value at `path`, where the file gives it.
    pub(crate) fn line(&self, path: &[String]) -> Option<usize> {
        match self.origin(path, Part::Value) {
            Origin::File(place) => Some(place.line),
            Origin::Environment(_) | Origin::Whole(_) => None,
        }
    }

    /// The file as figment takes it.
    pub(crate) fn file_provider(&self) -> impl Provider {
        Given {
            name: "file",
            dict: to_dict(self.table.get_ref()),
        }
    }

    /// The environment as figment takes it.
    pub(crate) fn environment_provider(&self) -> impl Provider {
        let mut dict = Dict::new();
        for (path, (_, value)) in &self.overrides {
            insert(&mut dict, path, parse_value(value));
        }
        Given {
            name: "environment",
            dict,
        }
    }

    fn variable(&self, path: &[String]) -> Option<&str> {
        self.overrides
            .iter()
            .find(|(known, _)| path.starts_with(known) || known.starts_with(path))
            .map(|(_, (name, _))| name.as_str())
    }

    fn range(&self, path: &[String], part: Part) -> Option<Range<usize>> {
        let mut path = path;
        while !path.is_empty() {
            if let Some((key, value)) = find(self.table.get_ref(), path) {
                let wanted = match part {
                    Part::Key => key.unwrap_or_else(|| value.span()),
                    // The span of a table is its header; that of an array of tables is of no use.
                    Part::Value if value.get_ref().is_table() && key.is_some() => key.unwrap_or_default(),
                    Part::Value => value.span(),
                };
                return Some(wanted);
            }
            (_, path) = path.split_last()?;
        }
        None
    }
}

/// One layer of the configuration, as a tree that figment merges.
struct Given {
    name: &'static str,
    dict: Dict,
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

type Found<'a, 't> = (Option<Range<usize>>, &'a Spanned<DeValue<'t>>);

fn find<'a, 't>(table: &'a DeTable<'t>, path: &[String]) -> Option<Found<'a, 't>> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table
        .iter()
        .find(|(key, _)| key.get_ref().as_ref() == first.as_str())?;
    let mut found = (Some(key.span()), value);
    for step in rest {
        found = match found.1.get_ref() {
            DeValue::Table(inner) => {
                let (key, value) = inner
                    .iter()
                    .find(|(key, _)| key.get_ref().as_ref() == step.as_str())?;
                (Some(key.span()), value)
            }
            DeValue::Array(inner) => (None, inner.get(step.parse::<usize>().ok()?)?),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => return None,
        };
    }
    Some(found)
}

fn to_dict(table: &DeTable<'_>) -> Dict {
    table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), to_value(value.get_ref())))
        .collect()
}

fn to_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or_else(
                // Beyond 64 bits: no key takes that, so it is refused as a text where a number is needed.
                |_| Value::from(number.as_str()),
                Value::from,
            )
        }
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or_else(|_| Value::from(number.as_str()), Value::from),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => Value::from(
            items
                .iter()
                .map(|item| to_value(item.get_ref()))
                .collect::<Vec<_>>(),
        ),
        DeValue::Table(table) => Value::from(to_dict(table)),
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        dict.insert(first.clone(), value);
        return;
    }
    let entry = dict
        .entry(first.clone())
        .or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = entry {
        insert(inner, rest, value);
    }
}

/// A value of the environment: `true`, `5`, `[a, b]` and `{a = 1}` are what they look like, the rest is text.
fn parse_value(text: &str) -> Value {
    text.parse()
        .unwrap_or_else(|never: std::convert::Infallible| match never {})
}

const PREFIX: &str = "VESTIBULE__";
