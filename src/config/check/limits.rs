//! The bounds: numbers of the file that stand in `limits.rs`, and what they have to be among themselves.

use std::time::Duration;

use super::findings::{Findings, key};
use crate::config::schema::Document;
use crate::limits::{GatewayLimits, Limits, NetLimits, SipLimits, XmlLimits, XmppLimits};

/// All bounds. What the file has no key for keeps its default.
pub(super) fn limits(document: &Document, findings: &mut Findings<'_, '_>) -> Limits {
    let default = Limits::default();
    let Document {
        xmpp,
        sip,
        interworking,
        limits: net,
        ..
    } = document;
    let limits = Limits {
        sip: SipLimits {
            message_bytes: sip.max_message_bytes,
            head_bytes: sip.max_head_bytes,
            line_bytes: sip.max_line_bytes,
            header_fields: sip.max_header_fields,
            transactions: sip.max_transactions,
            ..default.sip
        },
        xml: XmlLimits {
            element_bytes: xmpp.max_stanza_bytes,
            depth: xmpp.max_depth,
            attributes: xmpp.max_attributes,
            ..default.xml
        },
        xmpp: XmppLimits {
            establish: xmpp.establish_timeout.0,
            idle: xmpp.idle_timeout.0,
            keepalive: xmpp.keepalive.0,
            queued_stanzas: xmpp.max_queued_stanzas,
            connections: xmpp.max_connections,
            connections_per_domain: xmpp.max_connections_per_domain,
            ..default.xmpp
        },
        gateway: GatewayLimits {
            pending_messages: interworking.max_pending_messages,
            confirm: interworking.confirm_timeout.0,
            deliver: interworking.deliver_timeout.0,
            pager_message_bytes: interworking.pager_message_bytes,
            ..default.gateway
        },
        net: NetLimits {
            connections: net.max_connections,
            handshake: net.handshake_timeout.0,
            first_message: net.first_message_timeout.0,
            connect: net.connect_timeout.0,
            queue: net.queue,
            write_buffer: net.write_buffer_bytes,
            sip_idle: sip.idle_timeout.0,
            sip_keepalive: sip.keepalive.0,
            drain: net.drain_timeout.0,
            ..default.net
        },
    };
    check(&limits, findings);
    limits
}

fn check(limits: &Limits, findings: &mut Findings<'_, '_>) {
    let at_least = [
        (
            "xmpp",
            "max_stanza_bytes",
            limits.xml.element_bytes,
            10_000,
            "RFC 6120 section 13.12 forbids less",
        ),
        (
            "xmpp",
            "max_depth",
            limits.xml.depth,
            8,
            "ordinary stanzas are deeper than less",
        ),
        (
            "xmpp",
            "max_attributes",
            limits.xml.attributes,
            8,
            "ordinary stanzas have more than less",
        ),
        (
            "xmpp",
            "max_queued_stanzas",
            limits.xmpp.queued_stanzas,
            1,
            "nothing could wait for its stream",
        ),
        (
            "xmpp",
            "max_connections",
            limits.xmpp.connections,
            1,
            "no stream could be opened",
        ),
        (
            "xmpp",
            "max_connections_per_domain",
            limits.xmpp.connections_per_domain,
            1,
            "no stream could be opened",
        ),
        (
            "sip",
            "max_message_bytes",
            limits.sip.message_bytes,
            2_048,
            "ordinary requests are longer than less",
        ),
        (
            "sip",
            "max_head_bytes",
            limits.sip.head_bytes,
            1_024,
            "ordinary requests are longer than less",
        ),
        (
            "sip",
            "max_line_bytes",
            limits.sip.line_bytes,
            256,
            "ordinary header fields are longer than less",
        ),
        (
            "sip",
            "max_header_fields",
            limits.sip.header_fields,
            16,
            "ordinary requests have more than less",
        ),
        (
            "sip",
            "max_transactions",
            limits.sip.transactions,
            1,
            "no request could be answered",
        ),
        (
            "interworking",
            "max_pending_messages",
            limits.gateway.pending_messages,
            1,
            "no message could pass",
        ),
        (
            "interworking",
            "pager_message_bytes",
            limits.gateway.pager_message_bytes,
            1,
            "no message could pass",
        ),
        (
            "limits",
            "max_connections",
            limits.net.connections,
            1,
            "no connection could be made",
        ),
        (
            "limits",
            "queue",
            limits.net.queue,
            1,
            "nothing could be handed over",
        ),
        (
            "limits",
            "write_buffer_bytes",
            limits.net.write_buffer,
            limits.sip.message_bytes.max(limits.xml.element_bytes),
            "the longest SIP message and stanza have to fit in",
        ),
    ];
    for (table, key, value, least, why) in at_least {
        if value < least {
            findings.error(
                key![table, key],
                &format!("`{key}` is {value}, and at least {least} is needed: {why}"),
            );
        }
    }
    let positive = [
        ("xmpp", "establish_timeout", limits.xmpp.establish),
        ("xmpp", "idle_timeout", limits.xmpp.idle),
        ("xmpp", "keepalive", limits.xmpp.keepalive),
        ("sip", "idle_timeout", limits.net.sip_idle),
        ("sip", "keepalive", limits.net.sip_keepalive),
        ("interworking", "confirm_timeout", limits.gateway.confirm),
        ("interworking", "deliver_timeout", limits.gateway.deliver),
        ("limits", "handshake_timeout", limits.net.handshake),
        ("limits", "first_message_timeout", limits.net.first_message),
        ("limits", "connect_timeout", limits.net.connect),
    ];
    for (table, key, value) in positive {
        if value == Duration::ZERO {
            findings.error(
                key![table, key],
                &format!("`{key}` is 0, which leaves no time at all"),
            );
        }
    }
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
