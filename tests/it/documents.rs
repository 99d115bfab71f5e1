//! The tables of docs/ that name the test behind each sentence of a specification name tests that exist.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and what only tests use")]

use std::fs;
use std::path::{Path, PathBuf};

/// The short names of folders in those tables.
const FOLDERS: [(&str, &str); 4] = [
    ("it/", "tests/it/conformance/"),
    ("interwork/", "src/interwork/"),
    ("gateway/", "src/gateway/"),
    ("rig/", "tests/rig/"),
];

/// What the last cells of the rows of a document name: a file, and where it is said a test in it.
fn named(text: &str) -> Vec<(String, Option<String>)> {
    let mut named = Vec::new();
    let mut file = String::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cell = row
            .trim_end()
            .trim_end_matches('|')
            .rsplit(" | ")
            .next()
            .unwrap_or_default();
        for code in cell.split('`').skip(1).step_by(2) {
            if code.ends_with(".rs") || code.ends_with(".py") {
                code.clone_into(&mut file);
                named.push((file.clone(), None));
            } else {
                named.push((file.clone(), Some(code.to_owned())));
            }
        }
    }
    named
}

fn place(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = FOLDERS
        .iter()
        .find_map(|(short, folder)| Some((folder, file.strip_prefix(short)?)));
    match folder {
        Some((folder, rest)) => root.join(folder).join(rest),
        None => root.join(file),
    }
}

/// What is named and is not there.
fn missing(text: &str) -> Vec<String> {
    let is_missing = |(file, test): &(String, Option<String>)| {
        let Ok(source) = fs::read_to_string(place(file)) else {
            return true;
        };
        test.as_ref().is_some_and(|test| {
            let functions = [format!("fn {test}("), format!("def {test}(self")];
            !functions.iter().any(|function| source.contains(function))
        })
    };
    let missing = named(text).into_iter().filter(is_missing);
    missing
        .map(|(file, test)| format!("{file} {}", test.unwrap_or_default()))
        .collect()
}

#[test]
fn each_test_that_a_table_of_a_specification_names_is_there() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut seen = 0;
    for entry in fs::read_dir(docs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("interworking-") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let tests = named(&text).iter().filter(|(_, test)| test.is_some()).count();
        assert!(tests > 10, "{name} names {tests} tests");
        assert_eq!(
            missing(&text),
            Vec::<String>::new(),
            "{name} names what is not there"
        );
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn a_test_that_is_not_there_is_found() {
    let planted = "| § | shown by |\n|--|--|\n\
        | 1 | `it/rfc7247.rs` `section_6_2_table_1`, `no_such_test`; `rig/test_edge.py` |\n\
        | 2 | the same; `section_6_5_xmpp_to_sip` |\n\
        | 3 | `rig/test_nothing.py` |\n\
        not a row: `no_such_test_either`\n";
    assert_eq!(
        missing(planted),
        [
            "it/rfc7247.rs no_such_test",
            "rig/test_edge.py section_6_5_xmpp_to_sip",
            "rig/test_nothing.py "
        ]
    );
}
