//! From a file and the environment to the shapes of `schema`, every fault with its line.
//!
//! figment merges the layers and names the key at fault; `source` knows its line. Each table is read by itself, and
//! after a fault once more without the key at fault, so that one run shows all faults.

use std::collections::BTreeMap;

use figment::Figment;
use figment::error::{Actual, Error, Kind};
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::schema::{Document, SECTIONS};
use super::source::{Part, Source};

/// Reads the shapes.
///
/// # Errors
/// All faults of shape that the file and the environment have.
pub(crate) fn shapes(source: &Source<'_>) -> Result<Document, Vec<Problem>> {
    let merged = Figment::from(source.file_provider())
        .merge(source.environment_provider())
        .extract::<Dict>()
        .map_err(|error| vec![describe(source, &[], &error)])?;
    let mut reader = Reader {
        source,
        merged,
        problems: Vec::new(),
    };
    reader.refuse_unknown_sections();
    let document = reader.document();
    match document {
        Some(document) if reader.problems.is_empty() => Ok(document),
        Some(_) | None => Err(reader.problems),
    }
}

/// The words for the table that holds the key at `path`: `[edge]`, `[[listen]] number 2`.
pub(crate) fn table_of(path: &[String]) -> String {
    let mut text = String::new();
    let mut keys: Vec<&str> = Vec::new();
    let holders = path.split_last().map_or(path, |(_, holders)| holders);
    for step in holders {
        let Some(number) = step.parse::<usize>().ok().map(|at| at.saturating_add(1)) else {
            keys.push(step);
            continue;
        };
        let name = keys.join(".");
        keys.clear();
        if text.is_empty() {
            text = format!("[[{name}]] number {number}");
        } else {
            text.push_str(&format!(", {name} number {number}"));
        }
    }
    match (text.is_empty(), keys.is_empty()) {
        (true, true) => "the file".to_owned(),
        (true, false) => format!("[{}]", keys.join(".")),
        (false, true) => text,
        (false, false) => format!("{text}, {}", keys.join(".")),
    }
}

/// The words for the value at `path`: a key of a table, or an item of a list.
fn subject_of(path: &[String]) -> String {
    match path {
        [holders @ .., list, item] if let Ok(at) = item.parse::<usize>() => {
            let holder: Vec<String> = holders.iter().chain([list]).cloned().collect();
            format!(
                "item {} of `{list}` in {}",
                at.saturating_add(1),
                table_of(&holder)
            )
        }
        _ => {
            let key = path.last().map_or("", String::as_str);
            format!("`{key}` in {}", table_of(path))
        }
    }
}

/// The known name nearest to `given`, where one is near enough to be meant.
pub(crate) fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&given.to_lowercase(), &name.to_lowercase()),
                *name,
            )
        })
        .filter(|(distance, name)| *distance <= name.len().min(given.len()).saturating_add(1) / 3)
        .min()
        .map(|(_, name)| name)
}

struct Reader<'s, 't> {
    source: &'s Source<'t>,
    merged: Dict,
    problems: Vec<Problem>,
}

impl Reader<'_, '_> {
    fn refuse_unknown_sections(&mut self) {
        let unknown: Vec<String> = self
            .merged
            .keys()
            .filter(|key| !SECTIONS.contains(&key.as_str()))
            .cloned()
            .collect();
        for key in unknown {
            let error = Error::from(Kind::UnknownField(key.clone(), SECTIONS)).with_path(&key);
            self.problems.push(describe(self.source, &[], &error));
        }
    }

    fn document(&mut self) -> Option<Document> {
        // Every table is read before the first `?`, so that all faults are found.
        let edge = self.table("edge");
        let zone = self.table("zone");
        let dns = self.table("dns");
        let listen = self.tables("listen");
        let tls = self.named("tls");
        let local = self.tables("local");
        let federate = self.tables("federate");
        let policy = self.table("policy");
        let xmpp = self.table("xmpp");
        let sip = self.table("sip");
        let interworking = self.table("interworking");
        let limits = self.table("limits");
        let port_map = self.tables("port_map");
        let firewall = self.table("firewall");
        let admin = self.table("admin");
        let snmp = self.table("snmp");
        let log = self.table("log");
        Some(Document {
            edge: edge?,
            zone: zone?,
            dns: dns?,
            listen,
            tls,
            local,
            federate,
            policy: policy?,
            xmpp: xmpp?,
            sip: sip?,
            interworking: interworking?,
            limits: limits?,
            port_map,
            firewall: firewall?,
            admin: admin?,
            snmp: snmp?,
            log: log?,
        })
    }

    /// `[name]`; where it is not given, what its keys are by default.
    fn table<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self
            .merged
            .get(name)
            .cloned()
            .unwrap_or_else(|| Value::from(Dict::new()));
        self.element(&[name.to_owned()], value)
    }

    /// `[[name]]`, in the order of the file.
    fn tables<T: DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
        match self.merged.get(name).cloned() {
            None => Vec::new(),
            Some(Value::Array(_, items)) => items
                .into_iter()
                .enumerate()
                .filter_map(|(at, item)| self.element(&[name.to_owned(), at.to_string()], item))
                .collect(),
            Some(other) => {
                self.wrong_type(name, &other, "a list of tables, each headed");
                Vec::new()
            }
        }
    }

    /// `[name.KEY]`.
    fn named<T: DeserializeOwned>(&mut self, name: &str) -> BTreeMap<String, T> {
        match self.merged.get(name).cloned() {
            None => BTreeMap::new(),
            Some(Value::Dict(_, items)) => items
                .into_iter()
                .filter_map(|(key, item)| {
                    let read = self.element(&[name.to_owned(), key.clone()], item)?;
                    Some((key, read))
                })
                .collect(),
            Some(other) => {
                self.wrong_type(name, &other, "tables, each headed");
                BTreeMap::new()
            }
        }
    }

    fn wrong_type(&mut self, name: &str, found: &Value, wanted: &str) {
        let header = if wanted.starts_with("a list") {
            format!("[[{name}]]")
        } else {
            format!("[{name}.NAME]")
        };
        let kind = Kind::InvalidType(found.to_actual(), format!("{wanted} {header}"));
        let error = Error::from(kind).with_path(name);
        self.problems.push(describe(self.source, &[], &error));
    }

    /// Reads one table, and again without each key that is at fault.
    fn element<T: DeserializeOwned>(&mut self, base: &[String], mut value: Value) -> Option<T> {
        let mut removed: Vec<Vec<String>> = Vec::new();
        loop {
            let error = match value.deserialize::<T>() {
                Ok(read) => return removed.is_empty().then_some(read),
                Err(error) => error,
            };
            let missing = if let Kind::MissingField(name) = &error.kind {
                let mut path = error.path.clone();
                path.push(name.to_string());
                Some(path)
            } else {
                None
            };
            // A required key that was there, but at fault, is not missing as well.
            if !missing.as_ref().is_some_and(|path| removed.contains(path)) {
                self.problems.push(describe(self.source, base, &error));
            }
            let gone = remove(&mut value, &error.path);
            match gone {
                Some(path) if missing.is_none() => removed.push(path),
                Some(_) | None => return None,
            }
        }
    }
}

/// Takes out the key at `path`, or for an item of a list the list, and says which path went.
fn remove(value: &mut Value, path: &[String]) -> Option<Vec<String>> {
    let (last, holders) = path.split_last()?;
    let mut holder = &mut *value;
    for step in holders {
        holder = match holder {
            Value::Dict(_, inner) => inner.get_mut(step)?,
            Value::Array(_, inner) => inner.get_mut(step.parse::<usize>().ok()?)?,
            Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => {
                return None;
            }
        };
    }
    match holder {
        Value::Dict(_, inner) => inner.remove(last).map(|_| path.to_vec()),
        Value::Array(_, _) => remove(value, holders),
        Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => None,
    }
}

/// The administrator's text for a fault that figment found in the table at `base`.
fn describe(source: &Source<'_>, base: &[String], error: &Error) -> Problem {
    let path: Vec<String> = base.iter().chain(&error.path).cloned().collect();
    let table = table_of(&path);
    let subject = subject_of(&path);
    let at = |part| source.origin(&path, part);
    match &error.kind {
        Kind::UnknownField(name, known) => {
            let guess = nearest(name, known)
                .map(|name| format!("did you mean `{name}`? "))
                .unwrap_or_default();
            Problem::new(format!("unknown key `{name}` in {table}"), at(Part::Key))
                .with_help(format!("{guess}known keys here: {}", known.join(", ")))
        }
        Kind::MissingField(name) => {
            let mut missing = path.clone();
            missing.push(name.to_string());
            let table = table_of(&missing);
            Problem::new(
                format!("{table} has no `{name}`, which is required"),
                at(Part::Key),
            )
            .with_help(format!("add a line `{name} = ...` to it"))
        }
        Kind::UnknownVariant(word, known) => {
            let guess = nearest(word, known)
                .map(|name| format!("did you mean \"{name}\"? "))
                .unwrap_or_default();
            Problem::new(format!("{subject} cannot be \"{word}\""), at(Part::Value))
                .with_help(format!("{guess}it is one of: {}", known.join(", ")))
        }
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            Problem::new(format!("{subject} is {}", actual(found)), at(Part::Value))
                .with_help(format!("it has to be {}", expected(wanted)))
        }
        Kind::Message(text) => Problem::new(format!("{subject}: {text}"), at(Part::Value)),
        Kind::InvalidLength(..)
        | Kind::DuplicateField(_)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..) => Problem::new(format!("{subject}: {}", error.kind), at(Part::Value)),
    }
}

fn actual(found: &Actual) -> String {
    match found {
        Actual::Bool(truth) => truth.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Char(one) => format!("the text \"{one}\""),
        Actual::Str(text) => format!("the text \"{text}\""),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        Actual::Bytes(_)
        | Actual::Unit
        | Actual::Option
        | Actual::NewtypeStruct
        | Actual::Enum
        | Actual::UnitVariant
        | Actual::NewtypeVariant
        | Actual::TupleVariant
        | Actual::StructVariant
        | Actual::Other(_) => found.to_string(),
    }
}

fn expected(wanted: &str) -> String {
    match wanted {
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "u64" | "usize" => "a whole number, not below 0".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "string only" => "a text in quotes".to_owned(),
        "a sequence" => "a list in [ ]".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other if other.starts_with("enum ") || other.contains("variant") => "a word in quotes".to_owned(),
        other => other.to_owned(),
    }
}
