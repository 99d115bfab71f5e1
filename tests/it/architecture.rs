//! The house rules that a compiler does not see: floors, what they may name, who spawns, how long files are, and that
//! ARCHITECTURE.md says what is there.
//!
//! The rules read tokens, not lines: comments, strings and test code break none of them. Each rule is tried on a planted
//! violation too, so that it cannot hold by finding nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests, and what only tests use"
)]

mod lexer;
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use lexer::Token;
use paths::{Named, Root};

/// Rooms of floors 0 to 3 that use one of their own floor.
const SIBLINGS: [(&str, &str, &str); 2] = [
    ("xmpp", "xml", "a stanza is an XML element"),
    (
        "route",
        "policy",
        "the tables of both are asked by Party and by the same pattern map; an entry holds its rate and security",
    ),
];

/// Crates, or parts of them, that floors 0 to 3 may name: they compute, and touch nothing outside.
const PURE: [&str; 15] = [
    "aws_lc_rs::aead",
    "aws_lc_rs::constant_time",
    "aws_lc_rs::digest",
    "aws_lc_rs::hmac",
    "base64",
    "bytes",
    "icu_properties",
    "idna",
    "memchr",
    "precis_profiles",
    "quick_xml",
    "rustls_pki_types",
    "thiserror",
    "time",
    "webpki",
];
const PURE_X509: &str = "x509_parser";

/// What of the standard library is the world, and not for floors 0 to 3.
const WORLD: [&str; 6] = [
    "std::env",
    "std::fs",
    "std::os",
    "std::process",
    "std::thread",
    "std::io::stdin",
];
const SOCKETS: [&str; 7] = [
    "TcpListener",
    "TcpStream",
    "ToSocketAddrs",
    "UdpSocket",
    "UnixDatagram",
    "UnixListener",
    "UnixStream",
];
/// Functions that read the clock, by their last name.
const CLOCKS: [&str; 3] = ["now", "now_local", "now_utc"];

/// Names by which tasks and threads are started.
const SPAWNERS: [&str; 6] = [
    "JoinSet",
    "LocalSet",
    "TaskTracker",
    "spawn_blocking",
    "spawn_local",
    "spawn_pinned",
];
/// Files that start tasks themselves.
const MAY_SPAWN: [(&str, &str); 4] = [
    (
        "src/cli/firewall/kernel.rs",
        "what it starts is a program, nft, whose end it awaits",
    ),
    ("src/supervise.rs", "it is the place for it"),
    (
        "src/net/connect.rs",
        "attempts to connect race within one call, and end with it",
    ),
    (
        "src/net/probe.rs",
        "the nodes are looked at side by side within one round, and the looks end with it",
    ),
];

const MOST_LINES: usize = 400;
/// Files that are longer, with the most that each may have until it is divided.
const LONGER: [(&str, usize); 0] = [];

/// A file of the product.
struct Source {
    /// From the root of the project: `src/policy/decide.rs`.
    path: String,
    room: String,
    tokens: Vec<Token>,
    paths: Vec<Named>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let inner = path.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
        let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        let tokens = lexer::product(text);
        Self {
            path: path.to_owned(),
            room: module.first().cloned().unwrap_or_default(),
            paths: paths::paths(&module, &tokens),
            tokens,
        }
    }

    /// The floor it stands on; `lib.rs` and `main.rs` stand on top of all.
    fn floor(&self, house: &House) -> usize {
        house.floor(&self.room).unwrap_or(house.floors.len())
    }
}

/// The rooms of each floor, from the ground up, and the crates that could be named.
struct House {
    floors: Vec<Vec<String>>,
    crates: BTreeSet<String>,
}

impl House {
    fn floor(&self, room: &str) -> Option<usize> {
        self.floors
            .iter()
            .position(|rooms| rooms.iter().any(|it| it == room))
    }

    /// As `lib.rs` lists it, and with the crates of Cargo.toml.
    fn of_the_project() -> Self {
        let mut floors: Vec<Vec<String>> = Vec::new();
        for line in read("src/lib.rs").lines() {
            if let Some(rest) = line.strip_prefix("// Floor ") {
                let number: usize = rest.split(':').next().unwrap().parse().unwrap();
                assert_eq!(number, floors.len(), "lib.rs lists the floors in order: {line}");
                floors.push(Vec::new());
            } else if let Some(room) = module_of(line) {
                let floor = floors
                    .last_mut()
                    .unwrap_or_else(|| panic!("{room} stands on no floor"));
                floor.push(room.to_owned());
            }
        }
        let crates = dependencies("dependencies")
            .iter()
            .map(|name| match name.as_str() {
                "rustls-webpki" => "webpki".to_owned(),
                name => name.replace('-', "_"),
            })
            .collect();
        Self { floors, crates }
    }
}

#[test]
fn no_rule_is_broken() {
    let house = House::of_the_project();
    let broken: Vec<_> = sources()
        .iter()
        .flat_map(|source| violations(&house, source))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_exception_is_still_needed() {
    let sources = sources();
    for (room, sibling, _) in SIBLINGS {
        let mut used = sources
            .iter()
            .filter(|source| source.room == room)
            .flat_map(|source| &source.paths);
        let uses = used.any(|path| path.root == Root::Ours && path.starts_with(sibling));
        assert!(uses, "{room} uses {sibling} no more");
    }
    for (path, _) in MAY_SPAWN {
        let source = sources.iter().find(|source| source.path == path).unwrap();
        assert!(!spawns(source).is_empty(), "{path} spawns no more");
    }
    for (path, _) in LONGER {
        let source = sources.iter().find(|source| source.path == path).unwrap();
        let lines = lexer::lines(&source.tokens);
        assert!(
            lines > MOST_LINES,
            "{path} has {lines} lines and needs no exception any more"
        );
    }
    for pure in PURE.into_iter().chain([PURE_X509]) {
        let mut named = sources.iter().flat_map(|source| &source.paths);
        assert!(
            named.any(|path| path.starts_with(pure)),
            "nothing names {pure} any more"
        );
    }
}

#[test]
fn lib_rs_lists_every_module_on_its_floor() {
    let house = House::of_the_project();
    let listed: Vec<_> = house.floors.iter().flatten().cloned().collect();
    let mut present = BTreeSet::new();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap_or(&name);
        if !matches!(module, "bin" | "lib" | "main") {
            present.insert(module.to_owned());
        }
    }
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), present);
    assert_eq!(listed.len(), present.len(), "a module is listed twice");
    assert_eq!(house.floors.len(), 6);
    for rooms in &house.floors {
        assert!(
            rooms.is_sorted(),
            "within a floor the order is that of the alphabet: {rooms:?}"
        );
    }
    let text = read("src/lib.rs");
    let lines: Vec<_> = text.lines().collect();
    for room in house.floors[..4].iter().flatten() {
        let at = lines
            .iter()
            .position(|line| module_of(line) == Some(room))
            .unwrap();
        assert_eq!(
            lines[at - 1],
            "#[deny(clippy::arithmetic_side_effects)]",
            "before {room}"
        );
    }
}

#[test]
fn the_floors_of_the_document_are_those_of_the_code() {
    let house = House::of_the_project();
    let document = read("ARCHITECTURE.md");
    let written: BTreeMap<usize, Vec<String>> = section(&document, "Floors")
        .lines()
        .filter_map(|line| {
            let mut columns = line.strip_prefix("| ")?.split(" | ");
            let floor = columns.next()?.parse().ok()?;
            Some((floor, names(columns.next()?)))
        })
        .collect();
    assert_eq!(written, house.floors.into_iter().enumerate().collect());
    for (room, sibling, _) in SIBLINGS {
        let said = format!("`{room}` → `{sibling}`");
        assert!(section(&document, "Floors").contains(&said), "Floors says {said}");
    }
}

#[test]
fn every_dependency_has_its_line_in_the_document() {
    let document = read("ARCHITECTURE.md");
    let section = section(&document, "Dependencies");
    let mut written = Vec::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let mut columns = line.trim_matches('|').split('|').map(str::trim);
        let crates = names(columns.next().unwrap());
        assert_eq!(crates.len(), 1, "one crate a line: {line}");
        assert!(
            columns.next().is_some_and(|why| why.len() > 10),
            "and why: {line}"
        );
        written.extend(crates);
    }
    let listed = written.len();
    let written: BTreeSet<_> = written.into_iter().collect();
    assert_eq!(written.len(), listed, "a crate is listed twice");
    let mut present = dependencies("dependencies");
    present.extend(dependencies("dev-dependencies"));
    assert_eq!(written, present);
}

#[test]
fn planted_violations_are_found() {
    let house = House::of_the_project();
    let long = "fn f() {}\n".repeat(401);
    for (path, text, expected) in [
        (
            "src/sip/x.rs",
            "use crate::net::tls;",
            "src/sip/x.rs:1: crate::net::tls leads upward",
        ),
        (
            "src/clock.rs",
            "\nuse crate::{domain, limits::Limits};",
            "src/clock.rs:2: crate::domain is a sibling",
        ),
        (
            "src/policy/mod.rs",
            "fn f() { crate::gateway::f() }",
            "leads upward",
        ),
        (
            "src/policy/x.rs",
            "use super::super::config::Settings;",
            "leads upward",
        ),
        (
            "src/policy/x.rs",
            "fn f() { super::super::app::run() }",
            "leads upward",
        ),
        ("src/policy/x.rs", "use crate::route::Table;", "is a sibling"),
        (
            "src/policy/x.rs",
            "#[cfg(test)] mod tests; use crate::app;",
            "leads upward",
        ),
        ("src/net/x.rs", "use crate::app;", "leads upward"),
        ("src/net/x.rs", "use crate::*;", "names the root"),
        ("src/net/x.rs", "use crate as c;", "names the root"),
        ("src/net/x.rs", "use crate::elsewhere;", "names the root"),
        ("src/sip/x.rs", "use tokio::net;", "not for floor 1"),
        (
            "src/sip/x.rs",
            "fn f() { tracing::info!(\"\") }",
            "not for floor 1",
        ),
        (
            "src/xmpp/x.rs",
            "use aws_lc_rs::{digest, rand};",
            "aws_lc_rs::rand is not for floor 1",
        ),
        (
            "src/identity/x.rs",
            "use rustls::ClientConfig;",
            "not for floor 2",
        ),
        (
            "src/gateway/x.rs",
            "use std::{fmt, fs::File};",
            "std::fs::File is not for floor 3",
        ),
        ("src/gateway/x.rs", "use std::thread;", "not for floor 3"),
        ("src/gateway/x.rs", "use std::*;", "not for floor 3"),
        ("src/gateway/x.rs", "use std as s;", "not for floor 3"),
        ("src/gateway/x.rs", "use std::net::*;", "not for floor 3"),
        (
            "src/gateway/x.rs",
            "use std::net; fn f() { net::TcpStream::connect(a) }",
            "net::TcpStream::connect is not",
        ),
        (
            "src/gateway/x.rs",
            "use std::net::{IpAddr, UdpSocket};",
            "std::net::UdpSocket is not",
        ),
        (
            "src/domain.rs",
            "fn f() { let a = Instant::now(); }",
            "Instant::now reads the clock",
        ),
        (
            "src/domain.rs",
            "fn f() { std::time::SystemTime::now() }",
            "reads the clock",
        ),
        (
            "src/domain.rs",
            "fn f(a: Instant) { a.elapsed() }",
            "elapsed reads the clock",
        ),
        (
            "src/app/x.rs",
            "fn f() { tokio::spawn(x) }",
            "tokio::spawn starts a task",
        ),
        (
            "src/app/x.rs",
            "use tokio::task::{spawn_blocking};",
            "starts a task",
        ),
        ("src/app/x.rs", "use tokio::spawn as s;", "starts a task"),
        ("src/app/x.rs", "fn f(x: JoinSet) {}", "starts a task"),
        (
            "src/app/x.rs",
            "fn f(x: &mut X) { x\n.tasks\n.spawn(y) }",
            "src/app/x.rs:3: spawn starts a task",
        ),
        (
            "src/app/x.rs",
            "fn f() { std::thread::Builder::new() }",
            "starts a task",
        ),
        ("src/cli/x.rs", &long, "src/cli/x.rs: 401 lines of code"),
    ] {
        let found = violations(&house, &Source::new(path, text));
        assert!(
            found.iter().any(|it| it.contains(expected)),
            "{path}: {text:.60}\n{found:?}\n{expected}"
        );
    }
}

#[test]
fn what_looks_like_a_violation_and_is_none_passes() {
    let house = House::of_the_project();
    for (path, text) in [
        (
            "src/sip/x.rs",
            "/// See [`crate::net`], `tokio::spawn`.\n// use std::fs;\nconst A: &str = \"crate::app::run\";",
        ),
        (
            "src/sip/x.rs",
            "#[cfg(test)] mod tests { use crate::app; use tokio::net; fn f() { Instant::now() } }",
        ),
        (
            "src/sip/x.rs",
            "use crate::{limits::SipLimits, mime}; use super::uri; use super::super::clock;",
        ),
        (
            "src/sip/x.rs",
            "use std::net::{IpAddr, SocketAddr, Ipv6Addr}; use std::time::{Duration, Instant};",
        ),
        (
            "src/xmpp/x.rs",
            "use crate::xml::Element; fn f(now: Instant) { now.checked_add(x) }",
        ),
        (
            "src/route/x.rs",
            "use crate::policy::Party; fn now() {} fn f() { now() }",
        ),
        (
            "src/net/x.rs",
            "fn f() { world\n.supervisor\n.spawn(\"x\", y) } use crate::pki::Context;",
        ),
        ("src/net/x.rs", "fn spawn(x: u8) {} fn f() { spawn(1) }"),
        (
            "src/net/connect.rs",
            "use tokio::task::JoinSet; fn f(a: JoinSet) { a.spawn(x) }",
        ),
        ("src/app/x.rs", "fn f() { std::thread::available_parallelism() }"),
        (
            "src/app/x.rs",
            &format!("{}{}", "fn f() {}\n".repeat(400), "// comment\n\n".repeat(100)),
        ),
        ("src/main.rs", "use vestibule::cli;"),
    ] {
        let found = violations(&house, &Source::new(path, text));
        assert!(found.is_empty(), "{path}: {text:.60}\n{found:?}");
    }
}

/// Each rule that a file breaks, with the place.
fn violations(house: &House, source: &Source) -> Vec<String> {
    let floor = source.floor(house);
    let mut found = imports(house, source, floor);
    if floor < 4 {
        found.extend(outside(house, source, floor));
    }
    if MAY_SPAWN.iter().all(|(path, _)| *path != source.path) {
        found.extend(spawns(source));
    }
    let lines = lexer::lines(&source.tokens);
    let most = LONGER
        .iter()
        .find(|(path, _)| *path == source.path)
        .map_or(MOST_LINES, |(_, most)| *most);
    let mut found: Vec<_> = found
        .into_iter()
        .map(|(line, what)| format!("{}:{line}: {what}", source.path))
        .collect();
    if lines > most {
        found.push(format!(
            "{}: {lines} lines of code, and at most {most} are allowed",
            source.path
        ));
    }
    found
}

/// Nothing imports upward, and siblings of the lower floors do not know each other.
fn imports(house: &House, source: &Source, floor: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for path in source.paths.iter().filter(|path| path.root == Root::Ours) {
        let room = path.segments.first().map_or("", String::as_str);
        let what = match house.floor(room) {
            // lib.rs itself is the root.
            _ if source.path == "src/lib.rs" => continue,
            None => format!("{path} names the root of the crate and not a room"),
            Some(other) if other > floor => format!("{path} leads upward: from floor {floor} to {other}"),
            Some(other)
                if other == floor && floor < 4 && room != source.room && !is_excepted(&source.room, room) =>
            {
                format!("{path} is a sibling of {} on floor {floor}", source.room)
            }
            Some(_) => continue,
        };
        found.push((path.line, what));
    }
    found
}

fn is_excepted(room: &str, other: &str) -> bool {
    SIBLINGS.iter().any(|(from, to, _)| (*from, *to) == (room, other))
}

/// Floors 0 to 3 name nothing of the world.
fn outside(house: &House, source: &Source, floor: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for path in source.paths.iter().filter(|path| path.root == Root::Scope) {
        let first = path.segments.first().map_or("", String::as_str);
        let pure = PURE
            .into_iter()
            .chain([PURE_X509])
            .any(|pure| path.starts_with(pure));
        let whole = first == "std" && (path.segments.len() == 1 || path.last() == "*");
        let world = WORLD.iter().any(|world| path.starts_with(world));
        let socket = path
            .segments
            .iter()
            .any(|segment| SOCKETS.contains(&segment.as_str()));
        if (house.crates.contains(first) && !pure) || whole || world || socket {
            found.push((path.line, format!("{path} is not for floor {floor}")));
        }
        if CLOCKS.contains(&path.last()) {
            found.push((path.line, format!("{path} reads the clock")));
        }
    }
    for pair in source.tokens.windows(3) {
        if pair[0].is('.') && pair[1].name() == Some("elapsed") && pair[2].is('(') {
            found.push((pair[1].line, "elapsed reads the clock".to_owned()));
        }
    }
    found
}

/// What starts tasks or threads, but by a supervisor.
fn spawns(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for path in &source.paths {
        let by_path = path.root == Root::Scope && path.last() == "spawn";
        let thread = ["std::thread::Builder", "std::thread::scope"]
            .iter()
            .any(|it| path.starts_with(it));
        if by_path || thread {
            found.push((path.line, format!("{path} starts a task or thread")));
        }
    }
    for (at, token) in source.tokens.iter().enumerate() {
        let Some(name) = token.name() else { continue };
        let before = |back: usize| at.checked_sub(back).and_then(|at| source.tokens.get(at));
        let method = name == "spawn"
            && before(1).is_some_and(|dot| dot.is('.'))
            && before(2).is_none_or(|owner| owner.name() != Some("supervisor"));
        if method || SPAWNERS.contains(&name) {
            found.push((token.line, format!("{name} starts a task or thread")));
        }
    }
    found
}

/// The product's files, without those that only tests see.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            if stem == "tests" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 100, "the files were found");
    found
}

fn dependencies(table: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    manifest[table].as_table().unwrap().keys().cloned().collect()
}

/// The text of a section of a document, without its heading.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, rest) = document
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap()
}

/// The names that stand between back-ticks.
fn names(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn module_of(line: &str) -> Option<&str> {
    line.strip_prefix("pub mod ")?.strip_suffix(';')
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}
