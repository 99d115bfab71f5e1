//! Whether the process is alive and ready: what `/healthz` and `/readyz` answer.
//!
//! Ready means: the phase is running, every listener is bound, and at least one node of each local domain is up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::Domain;

/// The steps of an orderly stop, in their order (ARCHITECTURE.md, "Concurrency, shutdown, reload").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Listeners are not bound yet.
    Starting,
    /// Traffic passes.
    Running,
    /// `/readyz` says no, so that a balancer turns away from us.
    NotReady,
    /// Listeners are closed.
    StopAccept,
    /// New requests and stanzas are refused; what is under way goes on.
    RefuseNew,
    /// What is under way comes to its end, or to the grace time.
    FinishTransactions,
    /// Streams and flows are closed.
    CloseStreams,
    /// What is to outlive the process is written.
    FlushStore,
    /// Everything has ended.
    Done,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 9] = [
        Self::Starting,
        Self::Running,
        Self::NotReady,
        Self::StopAccept,
        Self::RefuseNew,
        Self::FinishTransactions,
        Self::CloseStreams,
        Self::FlushStore,
        Self::Done,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::NotReady => "not_ready",
            Self::StopAccept => "stop_accept",
            Self::RefuseNew => "refuse_new",
            Self::FinishTransactions => "finish_transactions",
            Self::CloseStreams => "close_streams",
            Self::FlushStore => "flush_store",
            Self::Done => "done",
        })
    }
}

/// The state that health answers are made from. Clones share it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Local domain to the nodes of it that are up.
    nodes: BTreeMap<Domain, BTreeMap<String, NodeState>>,
}

/// What is known of an inside node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// The last attempt to reach it worked.
    Up,
    /// The last attempt to reach it failed, or none was made.
    Down,
}

impl Health {
    /// A process that is starting and knows of no node.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Starting,
            nodes: BTreeMap::new(),
        })))
    }

    /// The current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Goes on to another phase.
    pub fn enter(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// Replaces the local domains and nodes that must be watched; the state of those known before is kept.
    pub fn expect_nodes(&self, nodes: impl IntoIterator<Item = (Domain, String)>) {
        let mut state = self.lock();
        let mut known = std::mem::take(&mut state.nodes);
        for (domain, node) in nodes {
            let before = known.get_mut(&domain).and_then(|nodes| nodes.remove(&node));
            state
                .nodes
                .entry(domain)
                .or_default()
                .insert(node, before.unwrap_or(NodeState::Down));
        }
    }

    /// Takes note of what became of an attempt to reach a node; tells whether that is news.
    pub fn saw_node(&self, domain: &Domain, node: &str, seen: NodeState) -> bool {
        let mut state = self.lock();
        match state.nodes.get_mut(domain).and_then(|nodes| nodes.get_mut(node)) {
            Some(known) => std::mem::replace(known, seen) != seen,
            None => false,
        }
    }

    /// Each node with its state.
    #[must_use]
    pub fn nodes(&self) -> Vec<(Domain, String, NodeState)> {
        let state = self.lock();
        let flat = state.nodes.iter().flat_map(|(domain, nodes)| {
            nodes
                .iter()
                .map(|(node, seen)| (domain.clone(), node.clone(), *seen))
        });
        flat.collect()
    }

    /// Whether traffic can pass; otherwise each reason why not, in words.
    ///
    /// # Errors
    /// The reasons.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let state = self.lock();
        let mut reasons = Vec::new();
        if state.phase != Phase::Running {
            reasons.push(format!("the proxy is {}", state.phase));
        }
        for (domain, nodes) in &state.nodes {
            if nodes.values().all(|seen| *seen == NodeState::Down) {
                reasons.push(format!("no node of {domain} is up"));
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_the_running_phase_and_a_node_of_each_domain() {
        let health = Health::new();
        let domain = Domain::parse("example.com").unwrap();
        health.expect_nodes([
            (domain.clone(), "imp1".to_owned()),
            (domain.clone(), "imp2".to_owned()),
        ]);
        let reasons = health.ready().unwrap_err();
        assert_eq!(reasons, ["the proxy is starting", "no node of example.com is up"]);
        health.enter(Phase::Running);
        health.saw_node(&domain, "imp2", NodeState::Up);
        assert_eq!(health.ready(), Ok(()));
        health.expect_nodes([(domain.clone(), "imp2".to_owned())]);
        assert_eq!(health.ready(), Ok(()), "a reload keeps what is known");
        health.saw_node(&domain, "imp2", NodeState::Down);
        assert!(health.ready().is_err());
    }
}
