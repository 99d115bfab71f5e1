//! On what terms a stream is negotiated: the configuration of a peer or node in the words of the stream machines.

use super::xmpp_driver::Secure;
use crate::domain::Domain;
use crate::gateway::Border;
use crate::policy::Direction;
use crate::policy::security::Security;
use crate::route::{Local, Protocol, Side};
use crate::xmpp::stream::{ClientCertificate, Dialback, HostAnswer, Purpose, Sasl, StreamSettings, Tls};

/// Whether a stream from `from` to `to` is served on a side, and on what terms. `from` is only claimed.
#[must_use]
pub fn host(border: &Border, side: Side, from: Option<&Domain>, to: &Domain, secure: &Secure) -> HostAnswer {
    let table = border.table();
    match side {
        Side::Outside => {
            if table.local(to).is_none() && !border.is_edge(to) {
                return HostAnswer::Unknown;
            }
            let Some(from) = from else {
                return HostAnswer::Served(of_security(Security::STANDARD, secure));
            };
            let speaks = table
                .foreign(from)
                .is_none_or(|entry| entry.protocol.includes(Protocol::Xmpp));
            if !speaks
                || table.local(from).is_some()
                || border.is_edge(from)
                || border.rules().admit(Direction::Inbound, from, to).is_err()
            {
                return HostAnswer::Forbidden;
            }
            let security = table
                .foreign(from)
                .map_or(Security::STANDARD, |entry| entry.xmpp.inbound);
            HostAnswer::Served(of_security(security, secure))
        }
        Side::Inside => {
            if table.local(to).is_some() {
                return HostAnswer::Unknown;
            }
            match from {
                Some(from) if table.local(from).is_none() => HostAnswer::Forbidden,
                // Our own nodes may ask the edge itself.
                Some(_) if border.is_edge(to) => HostAnswer::Served(of_node(secure)),
                Some(from) if border.rules().admit(Direction::Outbound, to, from).is_err() => {
                    HostAnswer::Forbidden
                }
                Some(_) | None => HostAnswer::Served(of_node(secure)),
            }
        }
    }
}

/// The terms of a stream that we open to a peer.
#[must_use]
pub fn towards_peer(border: &Border, remote: &Domain, secure: &Secure) -> StreamSettings {
    let security = border
        .table()
        .foreign(remote)
        .map_or(Security::STANDARD, |entry| entry.xmpp.outbound);
    of_security(security, secure)
}

/// Whether a peer may be spoken to without TLS where TLS with it failed: it is optional, and for stanzas dialback has to
/// prove us.
#[must_use]
pub fn may_go_without_tls(border: &Border, purpose: &Purpose) -> bool {
    let security = border
        .table()
        .foreign(purpose.remote())
        .map_or(Security::STANDARD, |entry| entry.xmpp.outbound);
    let is_proven = match purpose {
        Purpose::Stanzas { .. } => security.dialback == Dialback::On,
        Purpose::Verify { .. } => true,
    };
    security.tls == Tls::Optional && is_proven
}

/// The terms of a stream that we open to a node: TLS where the domain names a context, proven by it.
#[must_use]
pub fn towards_node(local: &Local, secure: &Secure) -> StreamSettings {
    StreamSettings {
        certificate: match local.tls {
            Some(_) => ClientCertificate::Required,
            None => ClientCertificate::NotRequired,
        },
        ..of_node(secure)
    }
}

/// Inside, a listener or link with a TLS context requires TLS; a node proves itself by certificate or by dialback.
const fn of_node(secure: &Secure) -> StreamSettings {
    StreamSettings {
        tls: match secure {
            Secure::Server(_) | Secure::Client { .. } => Tls::Required,
            Secure::Never => Tls::Off,
        },
        sasl: Sasl::Optional,
        dialback: Dialback::On,
        certificate: ClientCertificate::NotRequired,
    }
}

const fn of_security(security: Security, secure: &Secure) -> StreamSettings {
    StreamSettings {
        // Without a context there can be no TLS: what demands it then fails, rather than being let off.
        tls: match (security.tls, secure) {
            (Tls::Optional, Secure::Never) => Tls::Off,
            (tls, _) => tls,
        },
        sasl: security.sasl,
        dialback: security.dialback,
        certificate: security.certificate,
    }
}
