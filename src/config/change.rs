//! What a new configuration means for a running proxy: what is taken up live, and what refuses it as a whole.
//!
//! Certificates, policy, routes, most limits and the log level are taken up without a connection being dropped. Sockets,
//! the user, the state folder and what the gateway core is made with belong to the start of the process; a file that
//! changes them is refused entirely, so that nothing is ever half applied.

use std::fmt;

use super::Settings;
use crate::limits::GatewayLimits;
use crate::net::settings::Listener;

/// A part of the settings that a running proxy takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Rules of policy.
    Policy,
    /// Local and foreign domains, their nodes, routes and rates, and the networks of the zones.
    Routes,
    /// TLS contexts. Their files are read again on every reload, changed or not.
    Tls,
    /// Bounds; those of connections hold for new ones.
    Limits,
    /// Whether SIP and XMPP are translated.
    Translation,
    /// What the edge answers by itself, and which answers it lets pass.
    Answers,
    /// The log's level.
    LogLevel,
}

/// Something that only a restart can change, with what is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fixed {
    /// Our own name: it stands in Via and Record-Route of what is under way.
    Name,
    /// The state folder.
    StateDir,
    /// The user.
    RunAs,
    /// The DNS servers.
    Dns,
    /// Where we accept.
    Listeners {
        /// New ones.
        added: Vec<Listener>,
        /// Those that are gone.
        removed: Vec<Listener>,
    },
    /// The port maps: their ports are bound at the start.
    PortMaps,
    /// The dialback secret: keys that peers are about to verify were made with the old one.
    DialbackSecret,
    /// What the gateway core is made with: its times, its size, its text for users.
    Gateway,
    /// The number of connections, and the length of queues: their places are handed out at the start.
    Places,
    /// The control socket, or the address of metrics and health.
    Admin,
    /// How log lines look.
    LogFormat,
}

/// A new configuration cannot be taken up without a restart; the old one stays, in all its parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NeedsRestart {
    /// Why; never empty.
    pub because: Vec<Fixed>,
}

/// Says what is different in `new`.
///
/// # Errors
/// [`NeedsRestart`] where anything changed that a running proxy cannot take up.
pub fn check(running: &Settings, new: &Settings) -> Result<Vec<Part>, NeedsRestart> {
    let because = fixed(running, new);
    if !because.is_empty() {
        return Err(NeedsRestart { because });
    }
    let changed = [
        (Part::Policy, running.rules.set() != new.rules.set()),
        (
            Part::Routes,
            running.locals != new.locals
                || running.federated != new.federated
                || running.table.boundary() != new.table.boundary(),
        ),
        (Part::Tls, running.tls != new.tls),
        (Part::Limits, running.limits != new.limits),
        (
            Part::Translation,
            running.interworking.translation != new.interworking.translation
                || running.interworking.busy_as != new.interworking.busy_as,
        ),
        (
            Part::Answers,
            (running.xmpp.version, running.xmpp.unasked) != (new.xmpp.version, new.xmpp.unasked),
        ),
        (
            Part::LogLevel,
            (&running.log.level, running.log.bodies) != (&new.log.level, new.log.bodies),
        ),
    ];
    Ok(changed
        .into_iter()
        .filter_map(|(part, is_changed)| is_changed.then_some(part))
        .collect())
}

fn fixed(running: &Settings, new: &Settings) -> Vec<Fixed> {
    let mut fixed = Vec::new();
    if running.edge.name != new.edge.name {
        fixed.push(Fixed::Name);
    }
    if running.edge.state_dir != new.edge.state_dir {
        fixed.push(Fixed::StateDir);
    }
    if running.edge.run_as != new.edge.run_as {
        fixed.push(Fixed::RunAs);
    }
    if running.dns != new.dns {
        fixed.push(Fixed::Dns);
    }
    let missing = |these: &[Listener], those: &[Listener]| -> Vec<Listener> {
        these
            .iter()
            .filter(|listener| !those.contains(listener))
            .cloned()
            .collect()
    };
    let added = missing(&new.listeners, &running.listeners);
    let removed = missing(&running.listeners, &new.listeners);
    if !added.is_empty() || !removed.is_empty() {
        fixed.push(Fixed::Listeners { added, removed });
    }
    if running.port_maps != new.port_maps {
        fixed.push(Fixed::PortMaps);
    }
    if running.xmpp.dialback_secret != new.xmpp.dialback_secret {
        fixed.push(Fixed::DialbackSecret);
    }
    let gateway = |settings: &Settings| {
        let GatewayLimits {
            pending_messages,
            pending_bytes,
            confirm,
            deliver,
            // Asked anew for each message.
            pager_message_bytes: _,
            // Nothing configures them.
            gather: _,
            queries: _,
            query: _,
            silence: _,
            notices: _,
            notices_of_link: _,
            notice_bytes: _,
            notice: _,
            conversation,
            conversations: _,
            invite: _,
            session_interval: _,
            session_least: _,
            receipts: _,
            receipt: _,
            conversation_bytes: _,
            ref presence,
        } = settings.limits.gateway;
        (
            (pending_messages, pending_bytes, confirm, deliver, conversation),
            presence.clone(),
        )
    };
    if gateway(running) != gateway(new)
        || running.interworking.undeliverable != new.interworking.undeliverable
    {
        fixed.push(Fixed::Gateway);
    }
    let places = |settings: &Settings| (settings.limits.net.connections, settings.limits.net.queue);
    if places(running) != places(new) {
        fixed.push(Fixed::Places);
    }
    if running.admin != new.admin {
        fixed.push(Fixed::Admin);
    }
    if running.log.format != new.log.format {
        fixed.push(Fixed::LogFormat);
    }
    fixed
}

impl Part {
    /// The word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Routes => "routes",
            Self::Tls => "tls",
            Self::Limits => "limits",
            Self::Translation => "translation",
            Self::Answers => "answers",
            Self::LogLevel => "log level",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("[edge] name"),
            Self::StateDir => f.write_str("[edge] state_dir"),
            Self::RunAs => f.write_str("[edge] run_as"),
            Self::Dns => f.write_str("[dns]"),
            Self::Listeners { added, removed } => {
                f.write_str("[[listen]]")?;
                for (word, listeners) in [("new", added), ("gone or changed", removed)] {
                    for listener in listeners {
                        write!(
                            f,
                            " ({word}: {} {} {} {})",
                            listener.side, listener.protocol, listener.transport, listener.address
                        )?;
                    }
                }
                Ok(())
            }
            Self::PortMaps => f.write_str("[[port_map]]"),
            Self::DialbackSecret => f.write_str("[xmpp] dialback_secret"),
            Self::Gateway => f.write_str(
                "[interworking] conversation_timeout, undeliverable_text, confirm_timeout, deliver_timeout, \
                 max_pending_messages, max_presence_pairs, presence_burst_interval, presence_changes_per_second, \
                 presence_expiry or presence_least_expiry",
            ),
            Self::Places => f.write_str("[limits] max_connections or queue"),
            Self::Admin => f.write_str("[admin]"),
            Self::LogFormat => f.write_str("[log] format"),
        }
    }
}

impl fmt::Display for NeedsRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.because.iter().map(ToString::to_string).collect();
        write!(
            f,
            "{} can only change with a restart: undo that in the file, or restart the proxy",
            parts.join(", ")
        )
    }
}
