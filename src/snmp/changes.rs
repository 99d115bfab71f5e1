//! What changed between two looks at the proxy, and the notification that says so. Pure.
//!
//! A node that a proxy which has just started calls down was perhaps not tried yet: it is not judged before [`SETTLED`].

use std::collections::BTreeMap;

use super::objects::{self, Rows};
use super::oid::{COLD_START, Oid, VESTIBULE};
use super::status::Status;
use super::tree::Value;

/// Something that receivers are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The proxy answers no more.
    ServiceDown,
    /// It answers again.
    ServiceUp,
    /// A node went down, or was found down.
    NodeDown { domain: String, node: String },
    /// A node that was down is up.
    NodeUp { domain: String, node: String },
    /// A certificate has so few days left as are told of.
    CertificateEnds {
        context: String,
        chain: String,
        days: i64,
    },
}

/// A notification (`SNMPv2-Trap-PDU`), without the two values that every one begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) name: Oid,
    pub(super) values: Vec<(Oid, Value)>,
}

/// What was seen last.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    answered: Option<bool>,
    /// Nodes by domain and name, and whether they are up.
    nodes: BTreeMap<(String, String), bool>,
    /// Certificates by context and file, and how many of [`DAYS`] they have come to.
    certificates: BTreeMap<(String, String), usize>,
}

impl Changes {
    /// Takes note of a look at the proxy, `None` where it does not answer, and tells what is new. `today` are seconds after 1970.
    pub(super) fn saw(&mut self, status: Option<&Status>, today: i64) -> Vec<Change> {
        let before = self.answered.replace(status.is_some());
        let Some(status) = status else {
            // What its nodes did meanwhile is seen when it answers again.
            return match before {
                Some(false) => Vec::new(),
                Some(true) | None => vec![Change::ServiceDown],
            };
        };
        let mut changes = Vec::new();
        if before == Some(false) {
            changes.push(Change::ServiceUp);
        }
        changes.extend(self.nodes(status));
        changes.extend(self.certificates(status, today));
        changes
    }

    fn nodes(&mut self, status: &Status) -> Vec<Change> {
        let mut changes = Vec::new();
        let is_settled = status.uptime_seconds >= SETTLED;
        let mut nodes = BTreeMap::new();
        for node in &status.nodes {
            let key = (node.domain.clone(), node.node.clone());
            let known = self.nodes.remove(&key);
            let (domain, name) = key.clone();
            let up = match (known, node.up) {
                (Some(false), true) => {
                    changes.push(Change::NodeUp { domain, node: name });
                    true
                }
                (Some(true) | None, false) if is_settled => {
                    changes.push(Change::NodeDown { domain, node: name });
                    false
                }
                (None, false) => continue,
                (Some(known), false) => known,
                (Some(true) | None, true) => true,
            };
            nodes.insert(key, up);
        }
        self.nodes = nodes;
        changes
    }

    fn certificates(&mut self, status: &Status, today: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut certificates = BTreeMap::new();
        for certificate in &status.certificates {
            let key = (certificate.context.clone(), certificate.chain.clone());
            let days = certificate.days_left(today);
            let come_to = DAYS.iter().filter(|left| days <= **left).count();
            if come_to > self.certificates.get(&key).copied().unwrap_or_default() {
                let (context, chain) = key.clone();
                changes.push(Change::CertificateEnds { context, chain, days });
            }
            certificates.insert(key, come_to);
        }
        self.certificates = certificates;
        changes
    }
}

impl Notification {
    /// That the agent has started.
    pub(super) fn cold_start() -> Self {
        Self {
            name: Oid::new(COLD_START),
            values: Vec::new(),
        }
    }

    /// That something changed at the proxy of that edge.
    pub(super) fn of(change: &Change, edge: &str, rows: &mut Rows) -> Self {
        let mut of_node = |domain: &str, node: &str| {
            let number = rows.nodes.of(domain, node);
            objects::node_values(number, domain, node).to_vec()
        };
        let (number, values) = match change {
            Change::NodeDown { domain, node } => (1, of_node(domain, node)),
            Change::NodeUp { domain, node } => (2, of_node(domain, node)),
            Change::ServiceDown => (3, vec![objects::edge_value(edge)]),
            Change::ServiceUp => (4, vec![objects::edge_value(edge)]),
            Change::CertificateEnds { context, chain, days } => {
                let number = rows.certificates.of(context, chain);
                let values = objects::certificate_values(number, context, chain, *days);
                (5, values.to_vec())
            }
        };
        Self {
            // `vestibuleNotifications`.
            name: Oid::new(VESTIBULE).below(&[0, number]),
            values,
        }
    }
}

/// Seconds that a proxy has for its first look at all its nodes.
const SETTLED: u64 = 10;
/// Days left of a certificate at which that is told; the last is after its end.
const DAYS: [i64; 4] = [30, 14, 3, -1];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snmp::status::{Certificate, Node};

    fn status(uptime_seconds: u64, nodes: &[(&str, bool)]) -> Status {
        let mut status: Status = serde_json::from_str(
            r#"{"version": "1", "edge": "edge.example.com", "phase": "running", "ready": true, "uptime_seconds": 0}"#,
        )
        .unwrap();
        status.uptime_seconds = uptime_seconds;
        let nodes = nodes.iter().map(|(node, up)| Node {
            domain: "example.com".to_owned(),
            node: (*node).to_owned(),
            up: *up,
        });
        status.nodes = nodes.collect();
        status
    }

    fn saw(changes: &mut Changes, status: Option<&Status>) -> Vec<Change> {
        changes.saw(status, 0)
    }

    fn down(node: &str) -> Change {
        let domain = "example.com".to_owned();
        let node = node.to_owned();
        Change::NodeDown { domain, node }
    }

    fn up(node: &str) -> Change {
        let domain = "example.com".to_owned();
        let node = node.to_owned();
        Change::NodeUp { domain, node }
    }

    #[test]
    fn a_node_is_told_of_once_when_it_goes_and_once_when_it_comes() {
        let mut changes = Changes::default();
        assert_eq!(
            saw(&mut changes, Some(&status(60, &[("a", true), ("b", true)]))),
            []
        );
        assert_eq!(
            saw(&mut changes, Some(&status(63, &[("a", false), ("b", true)]))),
            [down("a")]
        );
        assert_eq!(
            saw(&mut changes, Some(&status(66, &[("a", false), ("b", true)]))),
            []
        );
        assert_eq!(
            saw(&mut changes, Some(&status(69, &[("a", true), ("b", false)]))),
            [up("a"), down("b")]
        );
    }

    #[test]
    fn a_node_that_is_down_when_it_is_first_seen_is_told_of() {
        let mut changes = Changes::default();
        assert_eq!(saw(&mut changes, Some(&status(60, &[("a", false)]))), [down("a")]);
    }

    #[test]
    fn a_proxy_that_has_just_started_is_not_believed_that_a_node_is_down() {
        let mut changes = Changes::default();
        assert_eq!(
            saw(&mut changes, Some(&status(60, &[("a", true), ("b", false)]))),
            [down("b")]
        );
        assert_eq!(saw(&mut changes, None), [Change::ServiceDown]);
        assert_eq!(saw(&mut changes, None), []);
        let young = status(1, &[("a", false), ("b", false), ("c", false)]);
        assert_eq!(saw(&mut changes, Some(&young)), [Change::ServiceUp]);
        assert_eq!(
            saw(
                &mut changes,
                Some(&status(9, &[("a", false), ("b", true), ("c", false)]))
            ),
            [up("b")]
        );
        assert_eq!(
            saw(
                &mut changes,
                Some(&status(10, &[("a", false), ("b", true), ("c", false)]))
            ),
            [down("a"), down("c")]
        );
    }

    #[test]
    fn a_node_that_is_no_longer_configured_is_forgotten() {
        let mut changes = Changes::default();
        saw(&mut changes, Some(&status(60, &[("a", false)])));
        assert_eq!(saw(&mut changes, Some(&status(63, &[]))), []);
        assert_eq!(saw(&mut changes, Some(&status(66, &[("a", true)]))), []);
    }

    #[test]
    fn a_certificate_is_told_of_at_30_14_and_3_days_and_when_it_has_ended() {
        let day = 86_400;
        let mut changes = Changes::default();
        let mut status = status(60, &[]);
        status.certificates = vec![Certificate {
            context: "public".to_owned(),
            chain: "/tls/edge.pem".to_owned(),
            ends: 100 * day,
        }];
        let told: Vec<i64> = (50..105)
            .flat_map(|today| changes.saw(Some(&status), today * day))
            .map(|change| {
                let Change::CertificateEnds { days, .. } = change else {
                    panic!("{change:?}");
                };
                days
            })
            .collect();
        assert_eq!(told, [30, 14, 3, -1]);
        // It is renewed, and the new one ends too; an agent that starts late tells of it once.
        status.certificates[0].ends = 200 * day;
        assert_eq!(changes.saw(Some(&status), 104 * day), []);
        assert_eq!(changes.saw(Some(&status), 190 * day).len(), 1);
        assert_eq!(changes.saw(Some(&status), 190 * day).len(), 0);
        assert_eq!(Changes::default().saw(Some(&status), 199 * day).len(), 1);
    }

    #[test]
    fn a_proxy_that_never_answered_is_down() {
        let mut changes = Changes::default();
        assert_eq!(saw(&mut changes, None), [Change::ServiceDown]);
    }

    #[test]
    fn a_notification_names_the_node_by_its_row_of_the_table() {
        let mut rows = Rows::default();
        rows.nodes.of("example.com", "a");
        let told = Notification::of(&down("b"), "edge.example.com", &mut rows);
        assert_eq!(told.name.to_string(), "1.3.6.1.4.1.8072.9999.9999.42.0.1");
        let values: Vec<_> = told
            .values
            .iter()
            .map(|(name, value)| (name.to_string(), value))
            .collect();
        assert_eq!(
            values,
            [
                (
                    "1.3.6.1.4.1.8072.9999.9999.42.1.2.1.2.2".to_owned(),
                    &Value::Text("example.com".to_owned())
                ),
                (
                    "1.3.6.1.4.1.8072.9999.9999.42.1.2.1.3.2".to_owned(),
                    &Value::Text("b".to_owned())
                ),
            ]
        );
    }
}
