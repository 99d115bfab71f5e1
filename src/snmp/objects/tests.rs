//! What is told of which status.

use super::*;
use crate::observe::Metrics;
use crate::observe::health::Phase;
use crate::snmp::tree::{Found, Tree};

fn identity() -> Identity {
    Identity {
        description: "vestibule".to_owned(),
        name: "edge.example.com".to_owned(),
        contact: "noc@example.com".to_owned(),
        location: String::new(),
    }
}

fn status() -> Status {
    serde_json::from_str(
        r#"{"version": "1.2.3", "edge": "edge.example.com", "phase": "running", "ready": false,
            "reasons": ["no node of a.example is up", "no node of b.example is up"], "started": 5, "uptime_seconds": 90,
            "listeners": [], "new": {"in": "a later version"},
            "nodes": [{"domain": "a.example", "node": "imp1", "up": false}, {"domain": "b.example", "node": "imp2", "up": true}],
            "connections": [{"side": "outside", "protocol": "sip", "role": "accepted", "count": 3},
                            {"side": "inside", "protocol": "sip", "role": "accepted", "count": 4},
                            {"side": "inside", "protocol": "xmpp", "role": "made", "count": 5},
                            {"side": "beside", "protocol": "xmpp", "role": "made", "count": 6}],
            "connections_total": [{"side": "outside", "protocol": "sip", "role": "accepted", "count": 4294967299}],
            "messages": [{"way": "inbound", "from": "sip", "to": "xmpp", "outcome": "delivered", "count": 7},
                         {"way": "outbound", "from": "xmpp", "to": "sip", "outcome": "ignored", "count": 8},
                         {"way": "outbound", "from": "smtp", "to": "sip", "outcome": "ignored", "count": 9}],
            "pending_messages": 10, "pending_errors": -1, "untold": 12, "tasks": {},
            "certificates": [{"context": "public", "chain": "/tls/edge.pem", "ends": 1800259199},
                             {"context": "internal", "chain": "/tls/inner.pem", "ends": 1799999999}]}"#,
    )
    .unwrap()
}

fn made(status: Option<&Status>) -> Snapshot {
    let known = Known {
        status,
        since: Duration::from_secs(10),
        today: 1_800_000_000,
        changed: Duration::from_secs(20),
    };
    snapshot(&identity(), &mut Rows::default(), known)
}

/// Everything that a walk meets, a line each.
fn walked(snapshot: &Snapshot) -> String {
    let mut lines = String::new();
    let mut at = Oid::new(&[]);
    while let Some((name, value)) = snapshot.next(&at) {
        lines.push_str(&format!("{name} = {value:?}\n"));
        at = name;
    }
    lines
}

#[test]
fn a_status_becomes_these_values() {
    insta::assert_snapshot!(walked(&made(Some(&status()))));
}

#[test]
fn of_a_proxy_that_does_not_answer_only_that_is_told() {
    insta::assert_snapshot!(walked(&made(None)));
}

#[test]
fn what_cannot_be_told_now_is_an_instance_that_is_missing_and_not_an_object() {
    let snapshot = made(None);
    for number in 1..=9 {
        let name = Oid::new(VESTIBULE).below(SERVICE).below(&[number, 0]);
        assert_eq!(snapshot.get(&name), Found::NoInstance, "{name}");
    }
    let unknown = Oid::new(VESTIBULE).below(SERVICE).below(&[11, 0]);
    assert_eq!(snapshot.get(&unknown), Found::NoObject);
}

#[test]
fn every_value_is_of_an_object_that_is_listed() {
    let objects = objects();
    let mut at = Oid::new(&[]);
    while let Some((name, _)) = made(Some(&status())).next(&at) {
        assert!(objects.iter().any(|object| name.is_in(object)), "{name}");
        at = name;
    }
}

#[test]
fn every_label_and_phase_of_the_proxy_has_its_number() {
    let words: Vec<String> = Phase::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(words, PHASES);
    let metrics = Metrics::new().unwrap();
    let read = |counted: Vec<crate::observe::metrics::Counted>| -> Vec<Counted> {
        serde_json::from_value(serde_json::to_value(counted).unwrap()).unwrap()
    };
    let messages = read(metrics.messages());
    assert_eq!(messages.len(), 32);
    for counted in &messages {
        assert!(counted.places(MESSAGE_LABELS).is_some(), "{counted:?}");
    }
    for connections in [read(metrics.connections()), read(metrics.connections_total())] {
        assert_eq!(connections.len(), 8);
        for counted in &connections {
            assert!(counted.places(CONNECTION_LABELS).is_some(), "{counted:?}");
        }
    }
}

#[test]
fn a_node_keeps_its_number_whatever_comes_and_goes() {
    let mut numbers = Numbers::default();
    assert_eq!(numbers.of("b", "1"), 1);
    assert_eq!(numbers.of("a", "1"), 2);
    assert_eq!(numbers.of("b", "1"), 1);
    assert_eq!(numbers.of("b", "2"), 3);
}

#[test]
fn texts_end_at_255_octets_and_never_within_a_letter() {
    let Value::Text(cut) = text(&"ä".repeat(200)) else {
        panic!("no text");
    };
    assert_eq!(cut, "ä".repeat(127));
}

#[test]
fn counts_end_as_their_types_say() {
    assert_eq!(gauge(-1), 0);
    assert_eq!(gauge(i64::MAX), u32::MAX);
    assert_eq!(wrapped((1 << 32) + 5), 5);
    assert_eq!(ticks(Duration::from_secs(2)), 200);
    assert_eq!(ticks(Duration::from_millis(((1 << 32) + 7) * 10)), 7);
}
