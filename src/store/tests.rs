//! The file on a real file system: what it keeps, and what becomes of it when it is not as we left it.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use ::redb::{Database, TableDefinition};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::gateway::presence::{Consent, Ends, WatchRecord};

/// A folder that is gone when this is.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vestibule-store-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn folder(&self) -> Folder {
        Folder::make(&self.0.join("state")).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.0.join("state/vestibule.redb")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join("state")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn open(folder: &Folder) -> Box<dyn Store> {
    Redb::open(folder).unwrap().store
}

fn ends(number: usize) -> Ends {
    Ends {
        xmpp: format!("user{number}@example.com"),
        sip: "juliet@example.net".to_owned(),
    }
}

fn record(number: usize, target: &str) -> Record {
    Record {
        ends: ends(number),
        watch: Some(WatchRecord {
            consent: Consent::Given,
            dialog: None,
            target: Some(target.to_owned()),
            shown: Vec::new(),
            has_ended: false,
        }),
        serve: None,
    }
}

fn put(number: usize, target: &str) -> Change {
    Change::Put(Box::new(record(number, target)))
}

fn all(store: &mut dyn Store, most: usize) -> (Vec<Record>, usize) {
    let (mut records, mut unreadable, mut behind) = (Vec::new(), 0, None);
    loop {
        let part = store.read(behind.as_ref(), most).unwrap();
        records.extend(part.records);
        unreadable += part.unreadable;
        behind = part.next;
        if behind.is_none() {
            return (records, unreadable);
        }
    }
}

/// Writes octets at a place of a file.
fn spoil(path: &Path, at: u64, octets: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(octets).unwrap();
}

/// Writes into the tables of a closed file behind the store's back.
fn tamper(path: &Path, version: Option<u64>, entries: &[(&[u8], &[u8])]) {
    let versions = TableDefinition::<'_, &str, u64>::new("versions");
    let records = TableDefinition::<'_, &[u8], &[u8]>::new("presence");
    let database = Database::create(path).unwrap();
    let change = database.begin_write().unwrap();
    if let Some(version) = version {
        change
            .open_table(versions)
            .unwrap()
            .insert("schema", version)
            .unwrap();
    }
    let mut table = change.open_table(records).unwrap();
    for (key, value) in entries {
        table.insert(*key, *value).unwrap();
    }
    drop(table);
    change.commit().unwrap();
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again_in_parts_of_any_size() {
    let scratch = Scratch::new();
    let mut store = open(&scratch.folder());
    let changes: Vec<_> = (0..10).map(|number| put(number, "sip:a@example.net")).collect();
    store.write(&changes).unwrap();
    store
        .write(&[put(3, "sip:b@example.net"), Change::Forget(ends(4))])
        .unwrap();
    drop(store);
    let expected: Vec<_> = (0..10)
        .filter(|number| *number != 4)
        .map(|number| {
            record(
                number,
                if number == 3 {
                    "sip:b@example.net"
                } else {
                    "sip:a@example.net"
                },
            )
        })
        .collect();
    let mut store = open(&scratch.folder());
    for most in [1, 2, 3, 8, 9, 10, 100] {
        assert_eq!(
            all(store.as_mut(), most),
            (expected.clone(), 0),
            "{most} at a time"
        );
    }
}

#[test]
fn both_stores_keep_the_same() {
    let mut runner = TestRunner::deterministic();
    let scratch = Scratch::new();
    let (mut file, mut memory) = (open(&scratch.folder()), Memory::default());
    for _ in 0..50 {
        let record = schema::tests::records().new_tree(&mut runner).unwrap().current();
        let forget = any::<bool>().new_tree(&mut runner).unwrap().current();
        let mut changes = vec![Change::Put(Box::new(record.clone()))];
        if forget {
            changes.push(Change::Forget(record.ends));
        }
        file.write(&changes).unwrap();
        memory.write(&changes).unwrap();
    }
    let kept = all(file.as_mut(), 7);
    assert!(!kept.0.is_empty());
    assert_eq!(kept, all(&mut memory, 7));
}

#[test]
fn the_file_is_its_owners_alone() {
    let scratch = Scratch::new();
    let mode = || fs::metadata(scratch.file()).unwrap().permissions().mode() & 0o777;
    drop(open(&scratch.folder()));
    assert_eq!(mode(), 0o600);
    fs::set_permissions(scratch.file(), fs::Permissions::from_mode(0o664)).unwrap();
    drop(open(&scratch.folder()));
    assert_eq!(mode(), 0o600);
    let folder = fs::metadata(scratch.0.join("state")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_cannot_be_read_is_put_aside_and_the_rest_is_kept() {
    let scratch = Scratch::new();
    let mut store = open(&scratch.folder());
    store
        .write(&[put(1, "sip:a@example.net"), put(2, "sip:b@example.net")])
        .unwrap();
    drop(store);
    let good = schema::key_of(&ends(1)).unwrap();
    tamper(
        &scratch.file(),
        None,
        &[(&good, b"{\"watch\":7}"), (b"\xff", b"{}"), (b"", b"")],
    );
    let mut store = open(&scratch.folder());
    assert_eq!(
        all(store.as_mut(), 100),
        (vec![record(2, "sip:b@example.net")], 3)
    );
    assert_eq!(
        all(store.as_mut(), 100).1,
        0,
        "they are no longer among the others"
    );
    store.write(&[put(1, "sip:c@example.net")]).unwrap();
    assert_eq!(all(store.as_mut(), 1).0.len(), 2);
}

#[test]
fn a_file_of_the_version_before_is_taken_over() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    let value = schema::value_of(&record(1, "sip:a@example.net")).unwrap();
    tamper(
        &scratch.file(),
        None,
        &[
            (b"user1@example.com\0juliet@example.net", &value),
            (b"no two addresses", &value),
        ],
    );
    for _ in 0..2 {
        let mut store = open(&folder);
        assert_eq!(
            all(store.as_mut(), 100),
            (vec![record(1, "sip:a@example.net")], 0)
        );
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    tamper(&scratch.file(), Some(schema::VERSION + 1), &[(b"x", b"y")]);
    for _ in 0..2 {
        let error = Redb::open(&folder).unwrap_err();
        assert_eq!(
            error,
            StoreError::Newer {
                file: scratch.file().display().to_string(),
                found: schema::VERSION + 1
            }
        );
        assert!(
            error.to_string().contains("run that version"),
            "it says what to do: {error}"
        );
    }
    assert_eq!(scratch.names(), ["vestibule.redb"]);
}

#[test]
fn a_file_that_somebody_has_is_left_to_him() {
    let scratch = Scratch::new();
    let mut store = open(&scratch.folder());
    store.write(&[put(1, "sip:a@example.net")]).unwrap();
    assert_eq!(
        Redb::open(&scratch.folder()).unwrap_err(),
        StoreError::Locked(scratch.file().display().to_string())
    );
    drop(store);
    assert_eq!(all(open(&scratch.folder()).as_mut(), 9).0.len(), 1);
}

#[test]
fn a_damaged_file_is_put_aside_and_a_new_one_begun_and_no_damage_brings_the_process_down() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    let changes: Vec<_> = (0..3_000)
        .map(|number| put(number, "sip:a@example.net"))
        .collect();
    open(&folder).write(&changes).unwrap();
    let good = fs::read(scratch.file()).unwrap();
    let length = u64::try_from(good.len()).unwrap();
    let mut runner = TestRunner::deterministic();
    let mut draw = |most: u64| (0..most).new_tree(&mut runner).unwrap().current();
    let (mut aside, mut well) = (0, 0);
    for round in 0..120 {
        fs::write(scratch.file(), &good).unwrap();
        match round % 4 {
            0 => {
                let at = draw(length);
                let octet = good[usize::try_from(at).unwrap()];
                spoil(&scratch.file(), at, &[octet ^ 1 << (round % 8)]);
            }
            1 => {
                // Where the library says what is where.
                let at = draw(4_096);
                spoil(&scratch.file(), at, &[0xa5; 16]);
            }
            2 => {
                let file = OpenOptions::new().write(true).open(scratch.file()).unwrap();
                file.set_len(draw(length)).unwrap();
            }
            _ => {
                let at = draw(length - 4_096);
                spoil(&scratch.file(), at, &[0x5a; 4_096]);
            }
        }
        // A fault of one octet may lie where nothing is.
        let opened = Redb::open(&folder).unwrap();
        let mut store = opened.store;
        let kept = all(store.as_mut(), 10_000).0;
        store.write(&[put(7, "sip:b@example.net")]).unwrap();
        assert!(
            all(store.as_mut(), 1_000)
                .0
                .contains(&record(7, "sip:b@example.net"))
        );
        drop(store);
        match opened.set_aside {
            Some(kept_at) => {
                aside += 1;
                assert!(kept.is_empty());
                assert!(kept_at.exists() && kept_at.to_string_lossy().contains("vestibule.redb.damaged-2"));
                fs::remove_file(kept_at).unwrap();
            }
            None => {
                well += 1;
                assert_eq!(kept.len(), 3_000, "all or nothing");
            }
        }
    }
    assert!(aside > 30, "{aside} were seen, {well} were not there");
    let damaged: Vec<_> = (0..6)
        .map(|_| {
            fs::write(scratch.file(), "no database").unwrap();
            Redb::open(&folder).map(drop)
        })
        .collect();
    assert!(damaged.iter().take(5).all(Result::is_ok), "{damaged:?}");
    assert_eq!(
        damaged.last(),
        Some(&Err(StoreError::DamagedAgain(
            scratch.file().display().to_string()
        )))
    );
    assert_eq!(scratch.names().len(), 6, "none takes the place of another");
}

#[test]
fn a_file_that_is_much_larger_than_what_is_in_it_is_made_smaller() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    let size = || fs::metadata(scratch.file()).unwrap().len();
    let long = "x".repeat(2_000);
    let mut store = open(&folder);
    let changes: Vec<_> = (0..5_000).map(|number| put(number, &long)).collect();
    store.write(&changes).unwrap();
    let gone: Vec<_> = (1..5_000).map(|number| Change::Forget(ends(number))).collect();
    store.write(&gone).unwrap();
    drop(store);
    let before = size();
    let mut store = open(&folder);
    assert_eq!(all(store.as_mut(), 100).0, [record(0, &long)]);
    drop(store);
    assert!(size() * 4 < before, "{before} to {}", size());
}

/// Not a test: what [`what_was_said_to_be_kept_outlives_a_kill_at_any_time`] starts and kills.
#[test]
#[ignore = "it is the child of another test"]
fn child_that_writes_until_it_is_killed() {
    let folder = std::env::var_os("VESTIBULE_TEST_FOLDER").unwrap();
    let from: usize = std::env::var("VESTIBULE_TEST_FROM").unwrap().parse().unwrap();
    let mut store = open(&Folder::make(Path::new(&folder)).unwrap());
    for number in from.. {
        store
            .write(&[
                put(number % 50, &number.to_string()),
                put(1_000, &number.to_string()),
            ])
            .unwrap();
        println!("\nkept {number}");
    }
}

#[test]
fn what_was_said_to_be_kept_outlives_a_kill_at_any_time() {
    let scratch = Scratch::new();
    let folder = scratch.folder();
    let mut from = 1;
    for round in 0..15 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "--nocapture",
                "store::tests::child_that_writes_until_it_is_killed",
            ])
            .env("VESTIBULE_TEST_FOLDER", folder.path())
            .env("VESTIBULE_TEST_FROM", from.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = |most: usize| {
            let kept = lines
                .by_ref()
                .map_while(Result::ok)
                .filter_map(|line| line.strip_prefix("kept ")?.parse().ok());
            kept.take(most).last()
        };
        let first: usize = said(5 + round * 7).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let last = said(usize::MAX).unwrap_or(first);
        let opened = Redb::open(&folder).unwrap();
        assert_eq!(opened.set_aside, None, "a kill damages nothing");
        let mut store = opened.store;
        let kept = all(store.as_mut(), 1_000).0;
        let at = |number: usize| {
            let found = kept.iter().find(|record| record.ends == ends(number)).unwrap();
            let watch = found.watch.as_ref().unwrap();
            watch.target.as_ref().unwrap().parse::<usize>().unwrap()
        };
        // One more may be kept that there was no time to say; what belongs together is kept together.
        let newest = at(1_000);
        assert!(
            newest == last || newest == last + 1,
            "{last} was said, {newest} is kept"
        );
        assert_eq!(at(newest % 50), newest);
        from = newest + 1;
    }
}
