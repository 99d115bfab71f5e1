//! The documented file says what the code does.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::super::load::shapes;
use super::super::source::Source;
use super::Document;

const DOCUMENTED: &str = include_str!("../../../config/vestibule.toml");
const MINIMAL: &str = "[edge]\nname = \"edge.example.com\"\n";

fn shape(text: &str) -> Document {
    let environment = BTreeMap::new();
    let source = Source::parse(Path::new("test.toml"), text, &environment).unwrap();
    shapes(&source).unwrap_or_else(|problems| {
        panic!(
            "{}",
            problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        )
    })
}

/// The documented file with its lines "to be filled in" filled in.
fn filled_in() -> String {
    let lines = DOCUMENTED.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || "[{]} ".contains(c)) => {
            // "# words" is a comment; "#  { host = ..." and "#]" belong to a list.
            let is_words = rest.starts_with(' ') && !rest.trim_start().starts_with(['{', '}']);
            if is_words { line } else { rest }
        }
        Some(_) | None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_documented_default_is_the_default() {
    let mut documented: Table = DOCUMENTED.parse().unwrap();
    if let Some(edge) = documented.get_mut("edge").and_then(Value::as_table_mut) {
        edge.insert("name".to_owned(), "edge.example.com".into());
    }
    assert_eq!(shape(&documented.to_string()), shape(MINIMAL));
}

#[test]
fn every_documented_default_of_a_table_to_fill_in_is_the_default() {
    let whole: Value = Value::Table(filled_in().parse().unwrap());
    for (table, keys) in [
        (
            "tls.public",
            &[
                "trust",
                "minimum",
                "cipher_suites",
                "peer_certificate",
                "peer_subjects",
                "identity",
                "pins",
                "eku",
                "crl",
            ][..],
        ),
        ("local.0", &["role", "link", "component_port"]),
        ("local.0.nodes.0", &["priority", "weight"]),
        (
            "federate.0",
            &["description", "protocol", "methods", "events", "media", "bodies"],
        ),
        ("federate.1", &["address_fallback"]),
        (
            "federate.0.routes.0",
            &[
                "transport",
                "priority",
                "weight",
                "in_service",
                "block",
                "allow_less_specific",
            ],
        ),
        ("policy.exception.0", &["direction", "kinds", "action"]),
        ("policy.block.0", &["style"]),
        ("snmp.users.0", &["auth", "priv"]),
        (
            "port_map.0",
            &[
                "mode",
                "protocol",
                "allow_from",
                "idle_timeout",
                "max_connections",
                "send_proxy",
            ],
        ),
    ] {
        for key in keys {
            let mut without = whole.clone();
            let removed = at(&mut without, table).as_table_mut().unwrap().remove(*key);
            assert!(removed.is_some(), "{key} of {table} is not documented");
            assert_eq!(shape(&text(&without)), shape(&text(&whole)), "{key} of {table}");
        }
    }
}

#[test]
fn every_key_of_every_table_is_documented() {
    let whole: Value = Value::Table(filled_in().parse().unwrap());
    for (table, alike) in [
        ("edge", &["edge"][..]),
        ("zone", &["zone"]),
        ("dns", &["dns"]),
        ("zone.outside", &["zone.outside"]),
        ("listen.0", &["listen.0", "listen.1", "listen.2"]),
        ("tls.public", &["tls.public"]),
        ("tls.public.certificates.0", &["tls.public.certificates.0"]),
        ("local.0", &["local.0", "local.1", "local.2", "local.3"]),
        ("local.0.nodes.0", &["local.0.nodes.0"]),
        ("federate.0", &["federate.0", "federate.1"]),
        ("federate.0.routes.0", &["federate.0.routes.0"]),
        ("federate.0.rate", &["federate.0.rate"]),
        ("federate.1.xmpp", &["federate.1.xmpp"]),
        ("policy", &["policy"]),
        ("policy.exception.0", &["policy.exception.0"]),
        ("policy.block.0", &["policy.block.0"]),
        ("xmpp", &["xmpp"]),
        ("sip", &["sip"]),
        ("interworking", &["interworking"]),
        ("limits", &["limits"]),
        ("port_map.0", &["port_map.0"]),
        ("firewall", &["firewall"]),
        ("admin", &["admin"]),
        ("snmp", &["snmp"]),
        ("snmp.users.0", &["snmp.users.0"]),
        ("snmp.communities.0", &["snmp.communities.0"]),
        ("snmp.traps.0", &["snmp.traps.0", "snmp.traps.1"]),
        ("log", &["log"]),
    ] {
        let mut documented = Vec::new();
        for table in alike {
            documented.extend(at(&mut whole.clone(), table).as_table().unwrap().keys().cloned());
        }
        for key in known_keys(&whole, table) {
            assert!(documented.contains(&key), "{key} of {table} is not documented");
        }
    }
}

#[test]
fn the_file_of_the_specification_has_the_right_shape() {
    shape(include_str!("../../../tests/data/config/complete.toml"));
}

/// The keys that a table may have: what the reader lists when it meets one that it does not know.
fn known_keys(whole: &Value, table: &str) -> Vec<String> {
    let mut wrong = whole.clone();
    at(&mut wrong, table)
        .as_table_mut()
        .unwrap()
        .insert("zzzzzzzz".to_owned(), true.into());
    let text = text(&wrong);
    let environment = BTreeMap::new();
    let source = Source::parse(Path::new("test.toml"), &text, &environment).unwrap();
    let problems = shapes(&source).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let (_, list) = problems[0].help().unwrap().rsplit_once(": ").unwrap();
    list.split(", ").map(str::to_owned).collect()
}

fn at<'v>(value: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('.').fold(value, |holder, step| {
        let next = match step.parse::<usize>() {
            Ok(number) => holder.get_mut(number),
            Err(_) => holder.get_mut(step),
        };
        next.unwrap_or_else(|| panic!("{step} of {path} is not documented"))
    })
}

fn text(value: &Value) -> String {
    toml::to_string(value).unwrap()
}
