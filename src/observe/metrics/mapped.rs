//! What is counted of each port map, by its name.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Alive, Metrics};

/// The metrics of all port maps.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) connections: IntGaugeVec,
    pub(super) ended: IntCounterVec,
    pub(super) bytes: IntCounterVec,
    pub(super) node_up: IntGaugeVec,
}

/// Those of one map.
#[derive(Debug)]
pub struct MapMetrics {
    name: String,
    alive: IntGauge,
    ended: IntCounterVec,
    node_up: IntGaugeVec,
    /// Octets from outside to a node.
    pub inward: IntCounter,
    /// Octets from a node to outside.
    pub outward: IntCounter,
}

impl Metrics {
    /// What is counted of the map of that name.
    #[must_use]
    pub fn port_map(&self, name: &str) -> MapMetrics {
        let mapped = &self.mapped;
        MapMetrics {
            name: name.to_owned(),
            alive: mapped.connections.with_label_values(&[name]),
            ended: mapped.ended.clone(),
            node_up: mapped.node_up.clone(),
            inward: mapped.bytes.with_label_values(&[name, "inbound"]),
            outward: mapped.bytes.with_label_values(&[name, "outbound"]),
        }
    }
}

impl MapMetrics {
    /// Counts a connection for as long as the answer lives.
    #[must_use]
    pub fn connection(&self) -> Alive {
        self.alive.inc();
        Alive(self.alive.clone())
    }

    /// Counts a connection that has ended or was refused, by a constant word for why.
    pub fn ended(&self, class: &'static str) {
        self.ended.with_label_values(&[self.name.as_str(), class]).inc();
    }

    /// Says whether a node takes connections.
    pub fn node(&self, node: &str, is_up: bool) {
        let gauge = self.node_up.with_label_values(&[self.name.as_str(), node]);
        gauge.set(i64::from(is_up));
    }
}
