//! Fills a store as a busy edge would, and times what is done with it: `load store --folder F --records N`.

use std::path::Path;
use std::time::Instant;

use vestibule::gateway::presence::{
    Change, Consent, DeviceRecord, Ends, Record, ServeRecord, ServedRecord, WatchRecord,
};
use vestibule::sip::dialog;
use vestibule::store::{Folder, Redb, Store};

use super::Arguments;

/// Writes the records, reads them again, and changes some; prints a line for each.
pub(crate) fn run(arguments: &Arguments) {
    let folder = Folder::make(Path::new(arguments.get("folder"))).unwrap();
    let records = usize::try_from(arguments.number("records", 100_000)).unwrap();
    let (from, to) = (arguments.get("from-domain"), arguments.get("to-domain"));
    let put = |number| Change::Put(Box::new(record(number, from, to)));
    let mut store = Redb::open(&folder).unwrap().store;
    let began = Instant::now();
    for part in (0..records).collect::<Vec<_>>().chunks(1_000) {
        let changes: Vec<_> = part.iter().map(|number| put(*number)).collect();
        store.write(&changes).unwrap();
    }
    println!("filled {records} {:.3}", began.elapsed().as_secs_f64());
    drop(store);
    let began = Instant::now();
    let mut store = Redb::open(&folder).unwrap().store;
    println!("opened {:.3}", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let count = count(store.as_mut());
    println!("read {count} {:.3}", began.elapsed().as_secs_f64());
    for group in [1, 16, 256] {
        let began = Instant::now();
        for turn in 0..COMMITS {
            let changes: Vec<_> = (0..group)
                .map(|place| put((turn * 7_919 + place * 104_729) % records))
                .collect();
            store.write(&changes).unwrap();
        }
        let each = began.elapsed().as_secs_f64() / f64::from(u32::try_from(COMMITS).unwrap());
        println!("commit {group} {:.6}", each);
    }
    drop(store);
    let length = std::fs::metadata(folder.path().join("vestibule.redb"))
        .unwrap()
        .len();
    println!("size {length}");
}

fn count(store: &mut dyn Store) -> usize {
    let (mut count, mut behind) = (0, None);
    loop {
        let part = store.read(behind.as_ref(), 1_000).unwrap();
        count += part.records.len();
        behind = part.next;
        if behind.is_none() {
            return count;
        }
    }
}

/// A pair of users who see each other, as long as such a record is in earnest; in an hour nothing of it is to be renewed.
fn record(number: usize, xmpp: &str, sip: &str) -> Record {
    let until = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        + 3_600;
    let (romeo, juliet) = (format!("romeo{number}@{xmpp}"), format!("juliet{number}@{sip}"));
    let dialog = |role, tag: &str| dialog::Record {
        role,
        usage: dialog::Usage::Subscription,
        phase: dialog::Phase::Confirmed,
        security: dialog::Security::Open,
        call_id: format!("{tag}f81d4fae7dec11d0a76500a0c91e6bf6{number}@edge.lan"),
        local: format!("<sip:{romeo}>;tag={tag}1a2b3c4d{number}"),
        remote: format!("<sip:{juliet}>;tag={tag}5e6f7a8b{number}"),
        contact: format!("<sip:{tag}9c0d1e2f3a4b{number}@edge.lan:5061;transport=tls>"),
        local_sequence: Some(7),
        remote_sequence: Some(5),
        target: format!("sip:juliet{number}@198.51.100.7:5061;transport=tls"),
        route: vec![format!("<sip:proxy.{sip}:5061;transport=tls;lr>")],
    };
    let device = |name: &str| DeviceRecord {
        name: name.to_owned(),
        state: "available".to_owned(),
        notes: vec![(Some("en".to_owned()), "In the office until five".to_owned())],
        priority: Some(0),
        idle_since: None,
    };
    Record {
        ends: Ends {
            xmpp: romeo.clone(),
            sip: juliet.clone(),
        },
        watch: Some(WatchRecord {
            consent: Consent::Given,
            dialog: Some((dialog(dialog::Role::Caller, "w"), until)),
            target: None,
            shown: vec![device("sip")],
            has_ended: false,
        }),
        serve: Some(ServeRecord {
            refused_until: None,
            consent: Some(Consent::Given),
            dialogs: vec![ServedRecord {
                dialog: dialog(dialog::Role::Callee, "s"),
                event_id: None,
                until,
                farewell: None,
            }],
            known: vec![device("balcony")],
        }),
    }
}

/// How often each size of a group is written.
const COMMITS: usize = 200;
