//! What of the metrics is read again, for the control socket, and what is taken over as others have counted it.

use std::collections::BTreeMap;

use prometheus::core::Collector as _;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{Metrics, OUTCOMES, PROTOCOLS, WAYS};
use crate::gateway::presence::{Tally, Watcher};
use crate::route::Side;

/// A count with what it is of, by the labels of its metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    labels: Vec<(&'static str, String)>,
    count: i64,
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (label, value) in &self.labels {
            map.serialize_entry(label, value)?;
        }
        map.serialize_entry("count", &self.count)?;
        map.end()
    }
}

impl Metrics {
    /// The messages so far, by their labels.
    #[must_use]
    pub fn messages(&self) -> Vec<Counted> {
        let mut counted = Vec::new();
        for (way, by_way) in WAYS.iter().zip(&self.messages) {
            for (from, by_from) in PROTOCOLS.iter().zip(by_way) {
                for (to, by_to) in PROTOCOLS.iter().zip(by_from) {
                    for (outcome, counter) in OUTCOMES.iter().zip(by_to) {
                        counted.push(Counted {
                            labels: [("way", *way), ("from", *from), ("to", *to), ("outcome", *outcome)]
                                .map(|(name, value)| (name, value.to_owned()))
                                .to_vec(),
                            count: counter.get().try_into().unwrap_or(i64::MAX),
                        });
                    }
                }
            }
        }
        counted
    }

    /// The subscriptions to presence, by their labels.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Counted> {
        let families = self.subscriptions.collect();
        let metrics = families.iter().flat_map(|family| family.get_metric());
        metrics
            .map(|metric| {
                let of = |name| {
                    let labels = metric.get_label();
                    let label = labels.iter().find(|label| label.name() == name);
                    label.map(|label| label.value().to_owned()).unwrap_or_default()
                };
                Counted {
                    labels: ["watcher", "state"].map(|name| (name, of(name))).to_vec(),
                    count: self
                        .subscriptions
                        .with_label_values(&[&of("watcher"), &of("state")])
                        .get(),
                }
            })
            .collect()
    }

    /// The connections that are alive, by their labels.
    #[must_use]
    pub fn connections(&self) -> Vec<Counted> {
        counted_connections(|labels| self.connections.with_label_values(labels).get())
    }

    /// The connections that ever were, by the same labels.
    #[must_use]
    pub fn connections_total(&self) -> Vec<Counted> {
        counted_connections(|labels| {
            let count = self.connections_total.with_label_values(labels).get();
            count.try_into().unwrap_or(i64::MAX)
        })
    }

    /// Our own certificates, in order: TLS context, file, and the last second at which each counts.
    #[must_use]
    pub fn known_certificates(&self) -> Vec<(String, String, i64)> {
        let families = self.certificates.collect();
        let metrics = families.iter().flat_map(|family| family.get_metric());
        let mut known: Vec<_> = metrics
            .map(|metric| {
                let of = |name: &str| {
                    let label = metric.get_label().iter().find(|label| label.name() == name);
                    label.map(|label| label.value().to_owned()).unwrap_or_default()
                };
                let (context, chain) = (of("context"), of("chain"));
                let end = self.certificates.with_label_values(&[&context, &chain]).get();
                (context, chain, end)
            })
            .collect();
        known.sort();
        known
    }

    /// Counts what a shard has counted of presence since `before`.
    pub fn presence(&self, before: &Tally, now: &Tally) {
        let known: BTreeMap<_, _> = before
            .states()
            .map(|(watcher, state, count)| ((watcher, state), count))
            .collect();
        for (watcher, state, count) in now.states() {
            let was = known.get(&(watcher, state)).copied().unwrap_or_default();
            let watcher = match watcher {
                Watcher::Xmpp => "xmpp",
                Watcher::Sip => "sip",
            };
            self.subscriptions
                .with_label_values(&[watcher, state])
                .add(count.saturating_sub(was));
        }
        let known: BTreeMap<_, _> = before
            .said()
            .map(|(saying, fate, count)| ((saying, fate), count))
            .collect();
        for (saying, fate, count) in now.said() {
            let was = known.get(&(saying, fate)).copied().unwrap_or_default();
            let (to, kind) = saying.words();
            let counter = self.presence.with_label_values(&[to, kind, fate.as_str()]);
            counter.inc_by(count.saturating_sub(was));
        }
    }
}

/// What `count` gives for each combination of labels that a connection can have.
fn counted_connections(count: impl Fn(&[&str]) -> i64) -> Vec<Counted> {
    let mut counted = Vec::new();
    for side in [Side::Outside, Side::Inside].map(Side::as_str) {
        for protocol in PROTOCOLS {
            for role in ["accepted", "made"] {
                counted.push(Counted {
                    labels: [("side", side), ("protocol", protocol), ("role", role)]
                        .map(|(name, value)| (name, value.to_owned()))
                        .to_vec(),
                    count: count(&[side, protocol, role]),
                });
            }
        }
    }
    counted
}
