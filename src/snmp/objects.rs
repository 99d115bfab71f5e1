//! Which values there are, made from the proxy's status: `system` (SNMPv2-MIB), `applTable` (NETWORK-SERVICES-MIB) and
//! VESTIBULE-MIB (config/mibs/VESTIBULE-MIB.txt), by the same numbers.
//!
//! Of a proxy that does not answer nothing is told but that: its counts would be read as counts of now. What is left are
//! `system`, `vestibuleAnswering`, and rows of `applTable` that say down(2).

use std::collections::BTreeMap;
use std::time::Duration;

use ::time::OffsetDateTime;

use super::oid::{APPLICATION, Oid, SYSTEM, VESTIBULE};
use super::status::{Counted, Status};
use super::tree::{Snapshot, Value};

/// Who the agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `sysDescr`.
    pub description: String,
    /// `sysName`: the edge's.
    pub name: String,
    /// `sysContact`.
    pub contact: String,
    /// `sysLocation`.
    pub location: String,
}

/// Numbers of the rows of a table: each row keeps its own for as long as the agent runs, and none is given twice.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers(BTreeMap<(String, String), u32>);

/// The rows of both tables that have numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// Nodes, by domain and name.
    pub(super) nodes: Numbers,
    /// Certificates, by TLS context and file.
    pub(super) certificates: Numbers,
}

/// What is known at a moment. Times of the agent count from its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'s> {
    /// The proxy's answer, where it answers.
    pub(super) status: Option<&'s Status>,
    /// When the proxy started, by the agent's time; 0 where that was before the agent did (RFC 2788, `applUptime`).
    pub(super) since: Duration,
    /// Seconds after 1970.
    pub(super) today: i64,
    /// When what [`operation`] tells last changed.
    pub(super) changed: Duration,
}

impl Numbers {
    /// That of what these two words name.
    pub(super) fn of(&mut self, first: &str, second: &str) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX).saturating_add(1);
        *self
            .0
            .entry((first.to_owned(), second.to_owned()))
            .or_insert(next)
    }
}

/// `applOperStatus` of a phase; of a proxy that does not answer, down.
pub(super) fn operation(status: Option<&Status>) -> i32 {
    match status.map(|status| status.phase.as_str()) {
        None => 2,
        Some("running") => 1,
        Some("starting") => 5,
        // It still serves what is under way.
        Some(_) => 6,
    }
}

/// Everything that there is to tell.
pub(super) fn snapshot(identity: &Identity, rows: &mut Rows, known: Known<'_>) -> Snapshot {
    let mut values = Vec::new();
    system(identity, &mut values);
    applications(identity, known, &mut values);
    service(known.status, &mut values);
    if let Some(status) = known.status {
        nodes(status, &mut rows.nodes, &mut values);
        certificates(status, known.today, &mut rows.certificates, &mut values);
        connections(status, &mut values);
        messages(status, &mut values);
    }
    Snapshot::new(values, objects())
}

/// What can be told before anything is known of the proxy: who the agent is.
pub(super) fn before_the_first_look(identity: &Identity) -> Snapshot {
    let mut values = Vec::new();
    system(identity, &mut values);
    Snapshot::new(values, objects())
}

fn system(identity: &Identity, values: &mut Vec<(Oid, Value)>) {
    let told = [
        (1, text(&identity.description)),
        (2, Value::Name(Oid::new(VESTIBULE).below(PRODUCT))),
        (3, Value::Uptime),
        (4, text(&identity.contact)),
        (5, text(&identity.name)),
        (6, text(&identity.location)),
        // End-to-end (2^3) and applications (2^6).
        (7, Value::Integer(72)),
    ];
    values.extend(
        told.into_iter()
            .map(|(number, value)| (Oid::new(SYSTEM).below(&[number, 0]), value)),
    );
}

fn applications(identity: &Identity, known: Known<'_>, values: &mut Vec<(Oid, Value)>) {
    let entry = Oid::new(APPLICATION);
    for ((name, what), row) in APPLICATIONS.iter().zip(1_u32..) {
        let mut tell = |column: u32, value: Value| values.push((entry.below(&[column, row]), value));
        tell(2, text(name));
        tell(3, text(""));
        tell(6, Value::Integer(operation(known.status)));
        tell(7, Value::Ticks(ticks(known.changed)));
        tell(16, text(&format!("{what} of {}", identity.name)));
        tell(17, text(""));
        let Some(status) = known.status else {
            continue;
        };
        tell(4, text(&status.version));
        tell(5, Value::Ticks(ticks(known.since)));
        for (column, role) in [(8, "accepted"), (9, "made")] {
            tell(column, Value::Gauge(gauge(sum(&status.connections, name, role))));
        }
        for (column, role) in [(10, "accepted"), (11, "made")] {
            tell(
                column,
                Value::Counter(wrapped(sum(&status.connections_total, name, role))),
            );
        }
    }
}

fn service(status: Option<&Status>, values: &mut Vec<(Oid, Value)>) {
    let group = Oid::new(VESTIBULE).below(SERVICE);
    let mut tell = |number: u32, value: Value| values.push((group.below(&[number, 0]), value));
    tell(ANSWERING, truth(status.is_some()));
    let Some(status) = status else {
        return;
    };
    tell(EDGE, text(&status.edge));
    tell(VERSION, text(&status.version));
    let phase = PHASES.iter().zip(1..).find(|(word, _)| **word == status.phase);
    tell(3, Value::Integer(phase.map_or(PHASE_OTHER, |(_, number)| number)));
    tell(4, truth(status.ready));
    tell(5, text(&status.reasons.join("; ")));
    tell(6, Value::Ticks(ticks(Duration::from_secs(status.uptime_seconds))));
    tell(7, Value::Gauge(gauge(status.pending_messages)));
    tell(8, Value::Gauge(gauge(status.pending_errors)));
    tell(9, Value::Counter64(status.untold));
}

fn nodes(status: &Status, numbers: &mut Numbers, values: &mut Vec<(Oid, Value)>) {
    for node in &status.nodes {
        let number = numbers.of(&node.domain, &node.node);
        let [domain, name] = node_values(number, &node.domain, &node.node);
        let state = if node.up { 1 } else { 2 };
        let at = Oid::new(VESTIBULE).below(NODE).below(&[4, number]);
        values.extend([domain, name, (at, Value::Integer(state))]);
    }
}

/// What a notification and the table say of which node it is: its domain and its name.
pub(super) fn node_values(number: u32, domain: &str, node: &str) -> [(Oid, Value); 2] {
    let entry = Oid::new(VESTIBULE).below(NODE);
    [
        (entry.below(&[2, number]), text(domain)),
        (entry.below(&[3, number]), text(node)),
    ]
}

fn certificates(status: &Status, today: i64, numbers: &mut Numbers, values: &mut Vec<(Oid, Value)>) {
    for certificate in &status.certificates {
        let number = numbers.of(&certificate.context, &certificate.chain);
        let days = certificate.days_left(today);
        values.extend(certificate_values(
            number,
            &certificate.context,
            &certificate.chain,
            days,
        ));
        if let Some(ends) = date_and_time(certificate.ends) {
            let at = Oid::new(VESTIBULE).below(CERTIFICATE).below(&[4, number]);
            values.push((at, Value::Octets(ends)));
        }
    }
}

/// What a notification and the table say of which certificate it is, and how many days it has left.
pub(super) fn certificate_values(number: u32, context: &str, chain: &str, days: i64) -> [(Oid, Value); 3] {
    let entry = Oid::new(VESTIBULE).below(CERTIFICATE);
    let days = i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX });
    [
        (entry.below(&[2, number]), text(context)),
        (entry.below(&[3, number]), text(chain)),
        (entry.below(&[5, number]), Value::Integer(days)),
    ]
}

/// DateAndTime (RFC 2579), in UTC, of a second after 1970.
fn date_and_time(second: i64) -> Option<Vec<u8>> {
    let at = OffsetDateTime::from_unix_timestamp(second).ok()?;
    let year = u16::try_from(at.year()).ok()?.to_be_bytes();
    let rest = [
        at.month().into(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        0,
        b'+',
        0,
        0,
    ];
    Some([&year[..], &rest].concat())
}

/// What a notification says of which proxy it is: its edge.
pub(super) fn edge_value(edge: &str) -> (Oid, Value) {
    (Oid::new(VESTIBULE).below(SERVICE).below(&[EDGE, 0]), text(edge))
}

fn connections(status: &Status, values: &mut Vec<(Oid, Value)>) {
    let entry = Oid::new(VESTIBULE).below(CONNECTION);
    for counted in &status.connections {
        if let Some(place) = counted.places(CONNECTION_LABELS) {
            values.push((
                entry.below(&[4]).below(&place),
                Value::Gauge(gauge(counted.count)),
            ));
        }
    }
    for counted in &status.connections_total {
        if let Some(place) = counted.places(CONNECTION_LABELS) {
            values.push((
                entry.below(&[5]).below(&place),
                Value::Counter64(count(counted.count)),
            ));
        }
    }
}

fn messages(status: &Status, values: &mut Vec<(Oid, Value)>) {
    let column = Oid::new(VESTIBULE).below(MESSAGE).below(&[5]);
    for counted in &status.messages {
        if let Some(place) = counted.places(MESSAGE_LABELS) {
            values.push((column.below(&place), Value::Counter64(count(counted.count))));
        }
    }
}

/// Every object that is told of, whether it has an instance now or not.
fn objects() -> Vec<Oid> {
    let vestibule = Oid::new(VESTIBULE);
    let system = (1..=7).map(|number| Oid::new(SYSTEM).below(&[number]));
    let columns = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17];
    let applications = columns.map(|column| Oid::new(APPLICATION).below(&[column]));
    let service = (1..=ANSWERING).map(|number| vestibule.below(SERVICE).below(&[number]));
    let tables = [
        (NODE, 2..=4),
        (CONNECTION, 4..=5),
        (MESSAGE, 5..=5),
        (CERTIFICATE, 2..=5),
    ];
    let tables = tables
        .into_iter()
        .flat_map(|(entry, columns)| columns.map(|column| Oid::new(VESTIBULE).below(entry).below(&[column])));
    system.chain(applications).chain(service).chain(tables).collect()
}

/// All connections of a protocol and a role, on either side.
fn sum(counted: &[Counted], protocol: &str, role: &str) -> i64 {
    let is =
        |one: &Counted, label: &str, word: &str| one.labels.get(label).is_some_and(|known| known == word);
    counted
        .iter()
        .filter(|one| is(one, "protocol", protocol) && is(one, "role", role))
        .fold(0, |sum: i64, one| sum.saturating_add(one.count))
}

/// As long as SnmpAdminString and DisplayString may be: 255 octets.
fn text(text: &str) -> Value {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    Value::Text(text.get(..end).unwrap_or_default().to_owned())
}

/// TruthValue (RFC 2579).
const fn truth(truth: bool) -> Value {
    Value::Integer(if truth { 1 } else { 2 })
}

/// A Gauge32 stands still at its ends.
fn gauge(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

/// A Counter32 begins again at 0.
fn wrapped(counted: i64) -> u32 {
    u32::try_from(count(counted) & u64::from(u32::MAX)).unwrap_or_default()
}

/// TimeTicks, which begin again after 497 days.
pub(super) fn ticks(time: Duration) -> u32 {
    let hundredths = time.as_millis().checked_div(10).unwrap_or_default();
    u32::try_from(hundredths & u128::from(u32::MAX)).unwrap_or_default()
}

/// Rows of `applTable`, by `applIndex` from 1: the first two are named as the protocol of their connections.
const APPLICATIONS: [(&str, &str); 3] = [
    ("sip", "SIP edge"),
    ("xmpp", "XMPP edge"),
    ("gateway", "gateway between SIP and XMPP"),
];

/// `vestibuleEdge` under `vestibuleMIB`: what `sysObjectID` says.
const PRODUCT: &[u32] = &[3, 1];
/// `vestibuleService`.
const SERVICE: &[u32] = &[1, 1];
const EDGE: u32 = 1;
const VERSION: u32 = 2;
const ANSWERING: u32 = 10;
/// `vestibuleNodeEntry`.
const NODE: &[u32] = &[1, 2, 1];
/// `vestibuleConnectionEntry`.
const CONNECTION: &[u32] = &[1, 3, 1];
/// `vestibuleMessageEntry`.
const MESSAGE: &[u32] = &[1, 4, 1];
/// `vestibuleCertificateEntry`.
const CERTIFICATE: &[u32] = &[1, 5, 1];

/// `vestibulePhase`, from 1.
const PHASES: [&str; 9] = [
    "starting",
    "running",
    "not_ready",
    "stop_accept",
    "refuse_new",
    "finish_transactions",
    "close_streams",
    "flush_store",
    "done",
];
/// `vestibulePhase` of a word that is not known here.
const PHASE_OTHER: i32 = 10;

/// The words of the indices of `vestibuleConnectionTable`, each from 1.
const CONNECTION_LABELS: &[(&str, &[&str]); 3] = &[
    ("side", &["outside", "inside"]),
    ("protocol", &["sip", "xmpp"]),
    ("role", &["accepted", "made"]),
];
/// The words of the indices of `vestibuleMessageTable`, each from 1.
const MESSAGE_LABELS: &[(&str, &[&str]); 4] = &[
    ("way", &["inbound", "outbound"]),
    ("from", &["sip", "xmpp"]),
    ("to", &["sip", "xmpp"]),
    ("outcome", &["delivered", "refused", "failed", "ignored"]),
];

#[cfg(test)]
mod tests;
