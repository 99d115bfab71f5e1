//! Bounds of which one cannot be over another.

use std::time::Duration;

use crate::config::check::findings::{Findings, key};
use crate::limits::Limits;

pub(super) fn check(limits: &Limits, findings: &mut Findings<'_, '_>) {
    let seconds = |time: Duration| usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
    let ordered = [
        (
            "sip",
            ("max_line_bytes", limits.sip.line_bytes),
            ("max_head_bytes", limits.sip.head_bytes),
        ),
        (
            "sip",
            ("max_head_bytes", limits.sip.head_bytes),
            ("max_message_bytes", limits.sip.message_bytes),
        ),
        (
            "xmpp",
            ("max_connections_per_domain", limits.xmpp.connections_per_domain),
            ("max_connections", limits.xmpp.connections),
        ),
        (
            "xmpp",
            ("max_unauthenticated", limits.xmpp.strangers),
            ("max_connections", limits.xmpp.connections),
        ),
        (
            "xmpp",
            (
                "max_unauthenticated_per_address",
                limits.xmpp.strangers_of_network,
            ),
            ("max_unauthenticated", limits.xmpp.strangers),
        ),
        (
            "interworking",
            ("confirm_timeout", seconds(limits.gateway.confirm)),
            ("deliver_timeout", seconds(limits.gateway.deliver)),
        ),
    ];
    for (table, (lesser, low), (greater, high)) in ordered {
        if low > high {
            // At fault is the one that the file gives.
            let given = if findings.gives(key![table, lesser]) {
                lesser
            } else {
                greater
            };
            findings.error(
                key![table, given],
                &format!("`{lesser}` ({low}) is greater than `{greater}` ({high})"),
            );
        }
    }
    for (table, keepalive, idle, what) in [
        ("xmpp", limits.xmpp.keepalive, limits.xmpp.idle, "streams"),
        (
            "sip",
            limits.net.sip_keepalive,
            limits.net.sip_idle,
            "connections",
        ),
    ] {
        if keepalive >= idle {
            findings.warning(
                key![table, "keepalive"],
                &format!(
                    "`keepalive` is not shorter than `idle_timeout`: quiet {what} are closed before a keepalive is sent"
                ),
            );
        }
    }
}
