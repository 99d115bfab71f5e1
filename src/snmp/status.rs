//! What the agent reads of the proxy's `/v1/status`. What is missing is of an older proxy, and what is more of a newer one.

use std::collections::BTreeMap;

use serde::Deserialize;

/// How the proxy is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) edge: String,
    pub(super) phase: String,
    pub(super) ready: bool,
    #[serde(default)]
    pub(super) reasons: Vec<String>,
    pub(super) uptime_seconds: u64,
    #[serde(default)]
    pub(super) nodes: Vec<Node>,
    #[serde(default)]
    pub(super) connections: Vec<Counted>,
    #[serde(default)]
    pub(super) connections_total: Vec<Counted>,
    #[serde(default)]
    pub(super) messages: Vec<Counted>,
    #[serde(default)]
    pub(super) pending_messages: i64,
    #[serde(default)]
    pub(super) pending_errors: i64,
    #[serde(default)]
    pub(super) untold: u64,
    #[serde(default)]
    pub(super) certificates: Vec<Certificate>,
}

/// A certificate of the proxy's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Certificate {
    pub(super) context: String,
    pub(super) chain: String,
    /// The last second at which it counts, after 1970.
    pub(super) ends: i64,
}

/// A node, and whether it is up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Node {
    pub(super) domain: String,
    pub(super) node: String,
    pub(super) up: bool,
}

/// A count by its labels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Counted {
    pub(super) count: i64,
    #[serde(flatten)]
    pub(super) labels: BTreeMap<String, String>,
}

impl Certificate {
    /// Whole days that are left, at that second after 1970; below 0 where it has ended.
    pub(super) fn days_left(&self, today: i64) -> i64 {
        self.ends.saturating_sub(today).div_euclid(SECONDS_OF_DAY)
    }
}

impl Counted {
    /// The number of each label's word, from 1, in its list; `None` where a word is not known here.
    pub(super) fn places<const N: usize>(&self, of: &[(&str, &[&str]); N]) -> Option<[u32; N]> {
        let mut places = [0; N];
        for (place, (label, words)) in places.iter_mut().zip(of) {
            let word = self.labels.get(*label)?;
            let at = words.iter().position(|known| known == word)?;
            *place = u32::try_from(at).ok()?.checked_add(1)?;
        }
        Some(places)
    }
}

const SECONDS_OF_DAY: i64 = 86_400;
