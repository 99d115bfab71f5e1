//! Whether what is configured can be reached and is let through: said as warnings, as each may be meant.

use super::findings::{Findings, key};
use crate::config::schema::{Document, LocalProtocol, PeerProtocol};
use crate::net::settings::{Listener, Protocol, Side};
use crate::policy::{Direction, Rules};

/// Warns of domains without a listener of their protocol, and of those that policy refuses altogether.
pub(super) fn warn(
    document: &Document,
    listeners: &[Listener],
    rules: &Rules,
    findings: &mut Findings<'_, '_>,
) {
    let listens = |side, protocol| {
        listeners
            .iter()
            .any(|listener| listener.side == side && listener.protocol == protocol)
    };
    for (at, local) in document.local.iter().enumerate() {
        let (protocol, is_linked) = match local.protocol {
            LocalProtocol::Sip => (Protocol::Sip, false),
            LocalProtocol::Xmpp => (
                Protocol::Xmpp,
                local.link == crate::config::schema::Link::Component,
            ),
        };
        // Over a component link the node's own messages come back on the link.
        if !is_linked && !listens(Side::Inside, protocol) {
            // A dialog that nodes could not go on with is not begun with them either.
            let and_in = match protocol {
                Protocol::Sip => ", and nothing is passed to them",
                Protocol::Xmpp => "",
            };
            findings.warning(
                key!["local", at, "protocol"],
                &format!(
                    "no inside listener speaks {protocol}, so its nodes cannot send anything out{and_in}: add a \
                     [[listen]] with zone = \"inside\" and protocol = \"{protocol}\""
                ),
            );
        }
    }
    for (at, federate) in document.federate.iter().enumerate() {
        let unheard = match federate.protocol {
            PeerProtocol::Sip => !listens(Side::Outside, Protocol::Sip),
            PeerProtocol::Xmpp => !listens(Side::Outside, Protocol::Xmpp),
            PeerProtocol::Auto => {
                !listens(Side::Outside, Protocol::Sip) && !listens(Side::Outside, Protocol::Xmpp)
            }
        };
        if unheard {
            findings.warning(
                key!["federate", at, "domain"],
                "no outside listener speaks its protocol, so nothing of it can come in",
            );
        }
        let is_refused = document.local.iter().all(|local| {
            [Direction::Inbound, Direction::Outbound].iter().all(|direction| {
                rules
                    .admit(*direction, federate.domain.0.base(), &local.domain.0)
                    .is_err()
            })
        });
        if is_refused && !document.local.is_empty() {
            findings.warning(
                key!["federate", at, "domain"],
                "policy refuses everything from it and to it; add a [[policy.exception]] that allows it",
            );
        }
    }
}
