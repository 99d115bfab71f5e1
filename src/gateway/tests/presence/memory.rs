//! What two users who see each other take of memory, as a restart leaves them: the machines and what these hold.

use std::process::Command;

use super::*;
use crate::gateway::presence::{Consent, DeviceRecord, ServeRecord, ServedRecord, WatchRecord};
use crate::sip::dialog;

/// In a process of its own: what tests beside it take is not theirs.
#[test]
fn two_users_who_see_each_other_take_little_memory() {
    if std::env::var_os(ALONE).is_none() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("gateway::tests::presence::memory::two_users_who_see_each_other_take_little_memory")
            .env(ALONE, "yes")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let mut world = World::new();
    let before = resident();
    for part in 0..PAIRS / 100 {
        let records = (0..100).map(|number| record(part * 100 + number)).collect();
        let unix = world.unix;
        world.gateway.handle(world.now, Input::Restore { records, unix });
        while world.gateway.poll(world.now).is_some() {}
    }
    let octets = (resident() - before) / PAIRS;
    let listed = world.gateway.subscriptions(world.now, None, 10).listed;
    assert!(
        listed
            .iter()
            .all(|listed| (listed.state, listed.dialogs) == ("active", 1)),
        "{listed:?}"
    );
    assert!(octets < MOST, "{octets} octets");
}

fn record(number: usize) -> Record {
    let (bob, alice) = (
        format!("bob{number}@corp.example"),
        format!("alice{number}@partner.example"),
    );
    let dialog = |role, tag: &str| dialog::Record {
        role,
        usage: dialog::Usage::Subscription,
        phase: dialog::Phase::Confirmed,
        security: dialog::Security::Open,
        call_id: format!("{tag}f81d4fae7dec11d0a76500a0c91e6bf6{number}"),
        local: format!("<sip:{bob}>;tag={tag}1a2b3c4d{number}"),
        remote: format!("<sip:{alice}>;tag={tag}5e6f7a8b{number}"),
        contact: format!("<sip:bob{number}@edge.corp.example;transport=tls>"),
        local_sequence: Some(7),
        remote_sequence: Some(5),
        target: format!("sip:alice{number}@198.51.100.7:5061;transport=tls"),
        route: vec!["<sip:proxy.partner.example;lr>".to_owned()],
    };
    let device = |name: &str| DeviceRecord {
        name: name.to_owned(),
        state: "available".to_owned(),
        notes: vec![(None, "In the office until five".to_owned())],
        priority: Some(0),
        idle_since: None,
    };
    let until = 1_800_003_600;
    Record {
        watch: Some(WatchRecord {
            consent: Consent::Given,
            dialog: Some((dialog(dialog::Role::Caller, "w"), until)),
            target: None,
            shown: vec![device("desk")],
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
        ends: Ends {
            xmpp: bob,
            sip: alice,
        },
    }
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Set where nothing else runs.
const ALONE: &str = "VESTIBULE_TEST_ALONE";
const PAIRS: usize = 3_000;
/// Octets of resident memory, as 64 MiB for 10,000 pairs are; there are some 5,800.
const MOST: usize = 6_700;
