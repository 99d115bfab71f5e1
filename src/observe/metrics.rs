//! The Prometheus metrics of the process.
//!
//! Labels come from enums and constant classes, never from what a peer sends, so their number is bounded. Counters on
//! the way of a message are resolved once, at start.

mod counted;
mod mapped;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

pub use counted::Counted;
pub use mapped::MapMetrics;

use super::health::{Health, NodeState, Phase};
use crate::gateway::Outcome;
use crate::policy::Direction;
use crate::route::{Protocol, Side};

/// Every metric, resolved.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// `[way][from][to][outcome]`
    messages: [[[[IntCounter; 4]; 2]; 2]; 2],
    refusals: IntCounterVec,
    connections: IntGaugeVec,
    connections_total: IntCounterVec,
    tls_failures: IntCounterVec,
    decisions: IntCounterVec,
    queue_full: IntCounterVec,
    tasks: IntGaugeVec,
    node_up: IntGaugeVec,
    reloads: IntCounterVec,
    late_answers: IntCounterVec,
    subscriptions: IntGaugeVec,
    presence: IntCounterVec,
    certificates: IntGaugeVec,
    store_up: IntGaugeVec,
    store_errors: IntCounterVec,
    mapped: mapped::Mapped,
    phase: IntGauge,
    /// Messages that wait for their outcome.
    pub pending: IntGauge,
    /// Errors that are not known to have arrived at whom they tell of a failure.
    pub telling: IntGauge,
    /// Answers and errors that were given up.
    pub untold: IntCounter,
    /// Changes that are not stored yet.
    pub store_pending: IntGauge,
    /// Time from the whole message read to its translation handed on, in seconds.
    pub translation: Histogram,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// [`prometheus::Error`] where two metrics have one name: a mistake of ours that start-up reports.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
                let made = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(made.clone()))?;
                Ok(made)
            };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let made = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let messages = counters(
            "vestibule_messages_total",
            "Messages by way, protocol on each side, and what became of them.",
            &["way", "from", "to", "outcome"],
        )?;
        let resolved = WAYS.map(|way| {
            PROTOCOLS.map(|from| {
                PROTOCOLS
                    .map(|to| OUTCOMES.map(|outcome| messages.with_label_values(&[way, from, to, outcome])))
            })
        });
        let build = gauges(
            "vestibule_build_info",
            "Always 1; the version is in the label.",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let phase = IntGauge::new(
            "vestibule_phase",
            "Where the process stands: 1 running, above 1 stopping.",
        )?;
        registry.register(Box::new(phase.clone()))?;
        let pending = IntGauge::new(
            "vestibule_pending_messages",
            "Messages that wait for their outcome.",
        )?;
        registry.register(Box::new(pending.clone()))?;
        let telling = IntGauge::new(
            "vestibule_pending_errors",
            "Errors that are not known to have arrived at whom they tell of a failure.",
        )?;
        registry.register(Box::new(telling.clone()))?;
        let untold = IntCounter::new(
            "vestibule_untold_total",
            "Answers and errors that could not be brought to whom they are for, for as long as that was tried.",
        )?;
        registry.register(Box::new(untold.clone()))?;
        let store_pending = IntGauge::new(
            "vestibule_store_pending_changes",
            "Changes that are not stored yet.",
        )?;
        registry.register(Box::new(store_pending.clone()))?;
        let translation = Histogram::with_opts(
            HistogramOpts::new(
                "vestibule_translation_seconds",
                "Time to check, route and translate a message.",
            )
            .buckets(vec![5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2]),
        )?;
        registry.register(Box::new(translation.clone()))?;
        Ok(Self {
            messages: resolved,
            refusals: counters(
                "vestibule_refusals_total",
                "Input that was refused, by its class.",
                &["side", "protocol", "class"],
            )?,
            connections: gauges(
                "vestibule_connections",
                "Connections alive.",
                &["side", "protocol", "role"],
            )?,
            connections_total: counters(
                "vestibule_connections_total",
                "Connections ever accepted or made.",
                &["side", "protocol", "role"],
            )?,
            tls_failures: counters(
                "vestibule_tls_failures_total",
                "TLS handshakes that failed, by reason.",
                &["side", "reason"],
            )?,
            decisions: counters(
                "vestibule_policy_decisions_total",
                "Policy decisions.",
                &["way", "verdict"],
            )?,
            queue_full: counters(
                "vestibule_queue_full_total",
                "Times that a bounded queue was full.",
                &["queue"],
            )?,
            tasks: gauges("vestibule_tasks", "Tasks alive.", &["task"])?,
            node_up: gauges(
                "vestibule_node_up",
                "1 where the inside node answers.",
                &["domain", "node"],
            )?,
            certificates: gauges(
                "vestibule_certificate_expiry_timestamp_seconds",
                "When the first certificate of a chain of ours ends, in seconds since 1970.",
                &["context", "chain"],
            )?,
            reloads: counters("vestibule_reloads_total", "Configuration reloads.", &["result"])?,
            late_answers: counters(
                "vestibule_sip_late_answers_total",
                "SIP answers whose connection was gone, by whether they were given on a new one.",
                &["result"],
            )?,
            store_up: gauges(
                "vestibule_store_up",
                "1 where the store can be read and written, 0 where it cannot; absent where nothing is stored.",
                &[],
            )?,
            store_errors: counters(
                "vestibule_store_errors_total",
                "Failures of the store, and records that could not be read, by class.",
                &["class"],
            )?,
            subscriptions: gauges(
                "vestibule_subscriptions",
                "Subscriptions to presence between SIP and XMPP, by the side that sees and by state.",
                &["watcher", "state"],
            )?,
            presence: counters(
                "vestibule_presence_total",
                "What was said of presence between SIP and XMPP, by the side that it was said to and what became of it.",
                &["to", "kind", "outcome"],
            )?,
            mapped: mapped::Mapped {
                connections: gauges(
                    "vestibule_portmap_connections",
                    "Connections of a port map alive.",
                    &["map"],
                )?,
                ended: counters(
                    "vestibule_portmap_ended_total",
                    "Connections of a port map that ended or were refused, by why.",
                    &["map", "class"],
                )?,
                bytes: counters(
                    "vestibule_portmap_bytes_total",
                    "Octets that a port map has carried.",
                    &["map", "way"],
                )?,
                node_up: gauges(
                    "vestibule_portmap_node_up",
                    "1 where the node of a port map takes connections.",
                    &["map", "node"],
                )?,
            },
            phase,
            pending,
            telling,
            store_pending,
            untold,
            translation,
            registry,
        })
    }

    /// Counts a message and what became of it.
    pub fn message(&self, way: Direction, from: Protocol, to: Protocol, outcome: Outcome) {
        let way = match way {
            Direction::Inbound => 0,
            Direction::Outbound => 1,
        };
        let protocol = |p| match p {
            Protocol::Sip => 0,
            Protocol::Xmpp => 1,
        };
        let outcome = match outcome {
            Outcome::Delivered => 0,
            Outcome::Refused => 1,
            Outcome::Failed => 2,
            Outcome::Ignored => 3,
        };
        let counter = self
            .messages
            .get(way)
            .and_then(|ways| ways.get(protocol(from)))
            .and_then(|froms| froms.get(protocol(to)))
            .and_then(|tos| tos.get(outcome));
        if let Some(counter) = counter {
            counter.inc();
        }
    }

    /// Counts input that was refused. `class` is one of the constant words of `refusal::Refuse::class`.
    pub fn refused(&self, side: Side, protocol: Protocol, class: &'static str) {
        self.refusals
            .with_label_values(&[side.as_str(), protocol.as_str(), class])
            .inc();
    }

    /// Counts a connection for as long as the answer lives. `role` is `accepted` or `made`.
    #[must_use]
    pub fn connection(&self, side: Side, protocol: Protocol, role: &'static str) -> Alive {
        let labels = &[side.as_str(), protocol.as_str(), role];
        self.connections_total.with_label_values(labels).inc();
        let gauge = self.connections.with_label_values(labels);
        gauge.inc();
        Alive(gauge)
    }

    /// Replaces what is known of our own certificates: TLS context, file, and the last second at which it counts.
    pub fn certificates(&self, known: impl IntoIterator<Item = (String, String, i64)>) {
        self.certificates.reset();
        for (context, chain, end) in known {
            self.certificates.with_label_values(&[&context, &chain]).set(end);
        }
    }

    /// Counts a failed TLS handshake.
    pub fn tls_failed(&self, side: Side, reason: &'static str) {
        self.tls_failures
            .with_label_values(&[side.as_str(), reason])
            .inc();
    }

    /// Counts a policy decision. `verdict` is a constant word.
    pub fn decided(&self, way: Direction, verdict: &'static str) {
        let way = match way {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        self.decisions.with_label_values(&[way, verdict]).inc();
    }

    /// The counter of a queue that was full.
    #[must_use]
    pub fn queue_full(&self, queue: &'static str) -> IntCounter {
        self.queue_full.with_label_values(&[queue])
    }

    /// Counts a SIP answer whose connection was gone. `result` is `given` or `lost`.
    pub fn late_answer(&self, result: &'static str) {
        self.late_answers.with_label_values(&[result]).inc();
    }

    /// Takes note of whether the store can be used.
    pub fn store_is(&self, state: StoreState) {
        self.store_up.with_label_values::<&str>(&[]).set(match state {
            StoreState::Up => 1,
            StoreState::Down => 0,
        });
    }

    /// Counts failures of the store. `class` is a constant word.
    pub fn store_failed(&self, class: &'static str, count: u64) {
        self.store_errors.with_label_values(&[class]).inc_by(count);
    }

    /// Counts a reload. `result` is `taken`, `unchanged` or `refused`.
    pub fn reloaded(&self, result: &'static str) {
        self.reloads.with_label_values(&[result]).inc();
    }

    /// The text that Prometheus reads, with the state of health and tasks as of now.
    ///
    /// # Errors
    /// [`prometheus::Error`] where a metric cannot be written.
    pub fn text(
        &self,
        health: &Health,
        tasks: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Result<String, prometheus::Error> {
        let phase = Phase::ALL
            .iter()
            .position(|known| *known == health.phase())
            .unwrap_or_default();
        self.phase.set(i64::try_from(phase).unwrap_or(i64::MAX));
        for (domain, node, seen) in health.nodes() {
            self.node_up
                .with_label_values(&[domain.as_str(), &node])
                .set(match seen {
                    NodeState::Up => 1,
                    NodeState::Down => 0,
                });
        }
        for (task, alive) in tasks {
            self.tasks
                .with_label_values(&[task])
                .set(i64::try_from(alive).unwrap_or(i64::MAX));
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// Whether the store can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// It can be read and written.
    Up,
    /// It cannot, and what changes is kept in memory.
    Down,
}

/// A connection that is counted as alive until this is dropped.
#[derive(Debug)]
pub struct Alive(IntGauge);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.dec();
    }
}

const WAYS: [&str; 2] = ["inbound", "outbound"];
const PROTOCOLS: [&str; 2] = ["sip", "xmpp"];
const OUTCOMES: [&str; 4] = ["delivered", "refused", "failed", "ignored"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_in_the_text() {
        let metrics = Metrics::new().unwrap();
        metrics.message(
            Direction::Outbound,
            Protocol::Xmpp,
            Protocol::Sip,
            Outcome::Failed,
        );
        metrics.refused(Side::Outside, Protocol::Sip, "bad_header");
        metrics.certificates([("old".to_owned(), "/tls/old.pem".to_owned(), 1)]);
        metrics.certificates([("public".to_owned(), "/tls/edge.pem".to_owned(), 1_924_992_000)]);
        assert_eq!(
            metrics.known_certificates(),
            [("public".to_owned(), "/tls/edge.pem".to_owned(), 1_924_992_000)]
        );
        let alive = metrics.connection(Side::Inside, Protocol::Xmpp, "made");
        let health = Health::new();
        health.enter(Phase::Running);
        let text = metrics.text(&health, [("shard", 2)]).unwrap();
        for line in [
            r#"vestibule_messages_total{from="xmpp",outcome="failed",to="sip",way="outbound"} 1"#,
            r#"vestibule_messages_total{from="sip",outcome="delivered",to="xmpp",way="inbound"} 0"#,
            r#"vestibule_refusals_total{class="bad_header",protocol="sip",side="outside"} 1"#,
            r#"vestibule_connections{protocol="xmpp",role="made",side="inside"} 1"#,
            r#"vestibule_tasks{task="shard"} 2"#,
            r#"vestibule_certificate_expiry_timestamp_seconds{chain="/tls/edge.pem",context="public"} 1924992000"#,
            "vestibule_phase 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
        }
        assert!(
            !text.contains("/tls/old.pem"),
            "a certificate that is used no more"
        );
        drop(alive);
        let text = metrics.text(&health, []).unwrap();
        assert!(text.contains(r#"vestibule_connections{protocol="xmpp",role="made",side="inside"} 0"#));
    }
}
