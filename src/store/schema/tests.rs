#![allow(clippy::as_conversions, reason = "tests, and what only tests use")]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::gateway::presence::{Consent, DeviceRecord, Farewell, ServeRecord, ServedRecord, WatchRecord};
use crate::sip::dialog;

fn text() -> impl Strategy<Value = String> {
    // What users write, what addresses have, and what JSON and keys could stumble over.
    prop_oneof!["[a-z0-9@.;:<>=\"\\\\ -]{0,40}", "\\PC{0,20}", any::<String>()]
}

fn farewell() -> impl Strategy<Value = Farewell> {
    prop_oneof![Just(Farewell::Rejected), Just(Farewell::Nobody)]
}

fn consent() -> impl Strategy<Value = Consent> {
    prop_oneof![Just(Consent::Asked), Just(Consent::Given)]
}

fn dialogs() -> impl Strategy<Value = dialog::Record> {
    let words = (
        prop_oneof![Just(dialog::Role::Caller), Just(dialog::Role::Callee)],
        prop_oneof![Just(dialog::Usage::Session), Just(dialog::Usage::Subscription)],
        prop_oneof![
            Just(dialog::Phase::Early),
            Just(dialog::Phase::Confirmed),
            Just(dialog::Phase::Ended)
        ],
        prop_oneof![Just(dialog::Security::Sips), Just(dialog::Security::Open)],
    );
    let texts = (text(), text(), text(), text(), text(), vec(text(), 0..4));
    let numbers = (option::of(any::<u32>()), option::of(any::<u32>()));
    (words, texts, numbers).prop_map(|(words, texts, numbers)| dialog::Record {
        role: words.0,
        usage: words.1,
        phase: words.2,
        security: words.3,
        call_id: texts.0,
        local: texts.1,
        remote: texts.2,
        contact: texts.3,
        target: texts.4,
        route: texts.5,
        local_sequence: numbers.0,
        remote_sequence: numbers.1,
    })
}

fn devices() -> impl Strategy<Value = Vec<DeviceRecord>> {
    let device = (
        text(),
        text(),
        vec((option::of(text()), text()), 0..3),
        option::of(any::<i8>()),
        option::of(any::<u64>()),
    );
    let device = device.prop_map(|(name, state, notes, priority, idle_since)| DeviceRecord {
        name,
        state,
        notes,
        priority,
        idle_since,
    });
    vec(device, 0..3)
}

/// Any record at all.
pub(in crate::store) fn records() -> impl Strategy<Value = Record> {
    let watch = (
        consent(),
        option::of((dialogs(), any::<u64>())),
        option::of(text()),
        devices(),
        any::<bool>(),
    )
        .prop_map(|(consent, dialog, target, shown, has_ended)| WatchRecord {
            consent,
            dialog,
            target,
            shown,
            has_ended,
        });
    let served = (
        dialogs(),
        option::of(text()),
        any::<u64>(),
        option::of(farewell()),
    )
        .prop_map(|(dialog, event_id, until, farewell)| ServedRecord {
            dialog,
            event_id,
            until,
            farewell,
        });
    let serve = (
        option::of(consent()),
        vec(served, 0..3),
        devices(),
        option::of(any::<u64>()),
    )
        .prop_map(|(consent, dialogs, known, refused_until)| ServeRecord {
            consent,
            dialogs,
            known,
            refused_until,
        });
    let ends = (text(), text()).prop_map(|(xmpp, sip)| Ends { xmpp, sip });
    (ends, option::of(watch), option::of(serve)).prop_map(|(ends, watch, serve)| Record {
        ends,
        watch,
        serve,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_as_the_same_record(record in records()) {
        let (key, value) = (key_of(&record.ends).unwrap(), value_of(&record).unwrap());
        prop_assert_eq!(record_of(&key, &value), Ok(record));
    }

    #[test]
    fn two_pairs_of_users_have_two_keys(one in (text(), text()), other in (text(), text())) {
        let key = |(xmpp, sip): &(String, String)| key_of(&Ends { xmpp: xmpp.clone(), sip: sip.clone() });
        prop_assert_eq!(one == other, key(&one) == key(&other));
    }

    #[test]
    fn octets_are_a_record_or_none_and_nothing_else_happens(key in vec(any::<u8>(), 0..40), value in vec(any::<u8>(), 0..200)) {
        let _ = record_of(&key, &value);
        let _ = migrated(0, &key, &value);
    }

    #[test]
    fn a_value_that_was_changed_in_one_place_is_a_record_or_none(record in records(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let (mut key, mut value) = (key_of(&record.ends).unwrap(), value_of(&record).unwrap());
        let octet = at.index(key.len() + value.len());
        match key.get_mut(octet) {
            Some(octet) => *octet ^= 1 << bit,
            None => value[octet - key.len()] ^= 1 << bit,
        }
        let _ = record_of(&key, &value);
    }
}

#[test]
fn a_value_looks_as_this_version_says() {
    let record = Record {
        ends: Ends {
            xmpp: "romeo@example.com".to_owned(),
            sip: "juliet@example.net".to_owned(),
        },
        watch: Some(WatchRecord {
            consent: Consent::Given,
            dialog: Some((
                dialog::Record {
                    role: dialog::Role::Caller,
                    usage: dialog::Usage::Subscription,
                    phase: dialog::Phase::Confirmed,
                    security: dialog::Security::Open,
                    call_id: "a@b".to_owned(),
                    local: "<sip:romeo@example.com>;tag=1".to_owned(),
                    remote: "<sip:juliet@example.net>;tag=2".to_owned(),
                    contact: "<sip:romeo@edge.example.com>".to_owned(),
                    local_sequence: Some(7),
                    remote_sequence: None,
                    target: "sip:juliet@198.51.100.7".to_owned(),
                    route: vec!["<sip:proxy.example.net;lr>".to_owned()],
                },
                1_800_000_000,
            )),
            target: None,
            shown: vec![DeviceRecord {
                name: "desk".to_owned(),
                state: "away".to_owned(),
                notes: vec![(Some("en".to_owned()), "Lunch".to_owned())],
                priority: Some(-1),
                idle_since: None,
            }],
            has_ended: false,
        }),
        serve: Some(ServeRecord {
            consent: Some(Consent::Asked),
            dialogs: Vec::new(),
            known: Vec::new(),
            refused_until: None,
        }),
    };
    let value = String::from_utf8(value_of(&record).unwrap()).unwrap();
    insta::assert_snapshot!(value, @r#"{"watch":{"consent":"given","dialog":[{"role":"caller","usage":"subscription","phase":"confirmed","security":"open","call_id":"a@b","local":"<sip:romeo@example.com>;tag=1","remote":"<sip:juliet@example.net>;tag=2","contact":"<sip:romeo@edge.example.com>","local_sequence":7,"target":"sip:juliet@198.51.100.7","route":["<sip:proxy.example.net;lr>"]},1800000000],"shown":[{"name":"desk","state":"away","notes":[["en","Lunch"]],"priority":-1}]},"serve":{"consent":"asked"}}"#);
    assert_eq!(
        key_of(&record.ends).unwrap(),
        b"\x00\x11romeo@example.comjuliet@example.net"
    );
    let later = value.replace(r#""watch":{"#, r#""colour":"red","watch":{"mood":[1],"#);
    assert_ne!(later, value);
    let key = key_of(&record.ends).unwrap();
    assert_eq!(
        record_of(&key, later.as_bytes()),
        Ok(record),
        "fields that are not known are passed over"
    );
}
