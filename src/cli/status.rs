//! `vestibule status`: how the running proxy is, in one look.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::control::{self, SocketArgs};
use super::subscriptions::period;
use super::{Exit, Form, terminal, write_json};

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) edge: String,
    pub(super) phase: String,
    pub(super) ready: bool,
    pub(super) reasons: Vec<String>,
    pub(super) uptime_seconds: u64,
    pub(super) listeners: Vec<Listening>,
    pub(super) nodes: Vec<Node>,
    #[serde(default)]
    pub(super) peers: Vec<Peer>,
    pub(super) connections: Vec<Counted>,
    pub(super) messages: Vec<Counted>,
    #[serde(default)]
    pub(super) subscriptions: Vec<Counted>,
    pub(super) pending_messages: i64,
    pub(super) pending_errors: i64,
    pub(super) untold: u64,
    /// What this version of the command does not print as text.
    #[serde(flatten)]
    pub(super) more: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Listening {
    pub(super) side: String,
    pub(super) protocol: String,
    pub(super) transport: String,
    pub(super) address: String,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Node {
    pub(super) domain: String,
    pub(super) node: String,
    pub(super) up: bool,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Peer {
    pub(super) domain: String,
    pub(super) protocol: String,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Counted {
    pub(super) count: i64,
    #[serde(flatten)]
    pub(super) labels: BTreeMap<String, String>,
}

/// Asks the proxy, and prints what it says; a proxy that is not ready is bad.
pub(super) fn print(
    config: &Path,
    arguments: &StatusArgs,
    form: Form,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let status = match arguments.socket.ask::<Status>(config, "/v1/status") {
        Ok(status) => status,
        Err(why) => return control::complain(&why, err),
    };
    match form {
        Form::Json => write_json(&status, out)?,
        Form::Text => write!(out, "{}", terminal::Safe(&text(&status)))?,
    }
    Ok(if status.ready { Exit::Good } else { Exit::Bad })
}

fn text(status: &Status) -> String {
    let mut lines = vec![format!(
        "vestibule {} of {}: {} for {}",
        status.version,
        status.edge,
        status.phase,
        period(status.uptime_seconds)
    )];
    lines.push(if status.ready {
        "ready".to_owned()
    } else {
        format!("not ready: {}", status.reasons.join("; "))
    });
    lines.extend(status.listeners.iter().map(|listener| {
        format!(
            "listens   {} {} over {} at {}",
            listener.side, listener.protocol, listener.transport, listener.address
        )
    }));
    lines.extend(status.nodes.iter().map(|node| {
        let up = if node.up { "up" } else { "down" };
        format!("node      {} of {}: {up}", node.node, node.domain)
    }));
    if !status.peers.is_empty() {
        lines.push(format!("linked to {}", named(&status.peers)));
    }
    lines.push(format!(
        "connected {}",
        sums(&status.connections, &["side", "protocol"])
    ));
    lines.push(format!(
        "messages  {}",
        sums(&status.messages, &["way", "outcome"])
    ));
    lines.push(format!("presence  {}", sums(&status.subscriptions, &["state"])));
    lines.push(format!(
        "waiting   messages for their outcome: {}, errors for their senders: {}; could not be told: {}",
        status.pending_messages, status.pending_errors, status.untold
    ));
    lines.push(String::new());
    lines.join("\n")
}

/// The peers with their protocols, as many as a line holds.
pub(super) fn named(peers: &[Peer]) -> String {
    let mut names: Vec<_> = peers
        .iter()
        .take(NAMED)
        .map(|peer| format!("{} ({})", peer.domain, peer.protocol))
        .collect();
    if let Some(more) = peers.len().checked_sub(NAMED).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

/// The counts by these labels, without those that are 0.
pub(super) fn sums(counted: &[Counted], by: &[&str]) -> String {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for one in counted {
        let words = by
            .iter()
            .filter_map(|label| one.labels.get(*label))
            .map(String::as_str);
        let sum = sums.entry(words.collect::<Vec<_>>().join(" ")).or_default();
        *sum = sum.saturating_add(one.count);
    }
    let told: Vec<_> = sums
        .into_iter()
        .filter(|(_, sum)| *sum != 0)
        .map(|(words, sum)| format!("{sum} {words}"))
        .collect();
    if told.is_empty() {
        "none".to_owned()
    } else {
        told.join(", ")
    }
}

const NAMED: usize = 20;
