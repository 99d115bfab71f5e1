//! The bounds: numbers of the file that stand in `limits.rs`, and what they have to be among themselves.
//!
//! Each has a least and a most. The most is generous: it stops what is mistyped, and what no machine can hold.

mod order;

use std::num::NonZeroU32;
use std::time::Duration;

use super::findings::{Findings, key};
use crate::config::schema::Document;
use crate::limits::{GatewayLimits, Limits, NetLimits, PresenceLimits, SipLimits, XmlLimits, XmppLimits};

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
    let mut limits = Limits {
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
            acknowledge: xmpp.acknowledge_timeout.0,
            longest_pause: xmpp.max_retry_pause.0,
            longest_pause_of_node: xmpp.max_retry_pause_of_node.0,
            queued_stanzas: xmpp.max_queued_stanzas,
            queued_bytes: xmpp.max_queued_bytes,
            connections: xmpp.max_connections,
            strangers: xmpp.max_unauthenticated,
            strangers_of_network: xmpp.max_unauthenticated_per_address,
            connections_per_domain: xmpp.max_connections_per_domain,
            ..default.xmpp
        },
        gateway: GatewayLimits {
            pending_messages: interworking.max_pending_messages,
            confirm: interworking.confirm_timeout.0,
            deliver: interworking.deliver_timeout.0,
            pager_message_bytes: interworking.pager_message_bytes,
            conversation: interworking.conversation_timeout.0,
            presence: PresenceLimits {
                relations: interworking.max_presence_pairs,
                pause: interworking.presence_burst_interval.0,
                changes: NonZeroU32::new(interworking.presence_changes_per_second)
                    .unwrap_or(default.gateway.presence.changes),
                expires: interworking.presence_expiry.0,
                least: interworking.presence_least_expiry.0,
                ..default.gateway.presence.clone()
            },
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
    leave_room_for_the_known(&mut limits.xmpp, findings);
    check_numbers(&limits, findings);
    check_periods(&limits, findings);
    order::check(&limits, findings);
    limits
}

/// Whoever only lowers the number of streams does not thereby give all of them to strangers.
fn leave_room_for_the_known(limits: &mut XmppLimits, findings: &Findings<'_, '_>) {
    if !findings.gives(key!["xmpp", "max_unauthenticated"]) {
        limits.strangers = limits.strangers.min(limits.connections.div_ceil(2));
    }
    if !findings.gives(key!["xmpp", "max_unauthenticated_per_address"]) {
        let fifths = limits.strangers.saturating_mul(4).div_ceil(5);
        limits.strangers_of_network = limits.strangers_of_network.min(fifths);
    }
}

/// A number of the file, and what it may be.
struct Number {
    table: &'static str,
    key: &'static str,
    value: usize,
    least: usize,
    /// Why no less.
    why: &'static str,
    most: usize,
}

fn check_numbers(limits: &Limits, findings: &mut Findings<'_, '_>) {
    let xmpp = |key, value, least, why, most| Number {
        table: "xmpp",
        key,
        value,
        least,
        why,
        most,
    };
    let sip = |key, value, least, why, most| Number {
        table: "sip",
        ..xmpp(key, value, least, why, most)
    };
    let interworking = |key, value, why, most| Number {
        table: "interworking",
        ..xmpp(key, value, 1, why, most)
    };
    let net = |key, value, least, why, most| Number {
        table: "limits",
        ..xmpp(key, value, least, why, most)
    };
    let (sizes, counts) = (limits, &limits.xmpp);
    let numbers = [
        xmpp(
            "max_stanza_bytes",
            sizes.xml.element_bytes,
            10_000,
            "RFC 6120 section 13.12 forbids less",
            LARGEST,
        ),
        xmpp(
            "max_depth",
            sizes.xml.depth,
            8,
            "ordinary stanzas are deeper than less",
            256,
        ),
        xmpp(
            "max_attributes",
            sizes.xml.attributes,
            8,
            "ordinary stanzas have more than less",
            1_024,
        ),
        xmpp(
            "max_queued_stanzas",
            counts.queued_stanzas,
            1,
            "nothing could wait for its stream",
            MANY,
        ),
        xmpp(
            "max_queued_bytes",
            counts.queued_bytes,
            sizes.xml.element_bytes,
            "the longest stanza has to fit in",
            HUGE,
        ),
        xmpp("max_connections", counts.connections, 1, NO_STREAM, MANY),
        xmpp("max_unauthenticated", counts.strangers, 1, NO_STREAM, MANY),
        xmpp(
            "max_unauthenticated_per_address",
            counts.strangers_of_network,
            1,
            NO_STREAM,
            MANY,
        ),
        xmpp(
            "max_connections_per_domain",
            counts.connections_per_domain,
            1,
            NO_STREAM,
            MANY,
        ),
        sip(
            "max_message_bytes",
            sizes.sip.message_bytes,
            2_048,
            "ordinary requests are longer than less",
            LARGEST,
        ),
        sip(
            "max_head_bytes",
            sizes.sip.head_bytes,
            1_024,
            "ordinary requests are longer than less",
            LARGEST,
        ),
        sip(
            "max_line_bytes",
            sizes.sip.line_bytes,
            256,
            "ordinary header fields are longer than less",
            LARGEST,
        ),
        sip(
            "max_header_fields",
            sizes.sip.header_fields,
            16,
            "ordinary requests have more than less",
            10_000,
        ),
        sip(
            "max_transactions",
            sizes.sip.transactions,
            1,
            "no request could be answered",
            MANY,
        ),
        interworking(
            "max_pending_messages",
            sizes.gateway.pending_messages,
            "no message could pass",
            MANY,
        ),
        interworking(
            "max_presence_pairs",
            sizes.gateway.presence.relations,
            "nobody could see anybody",
            MANY,
        ),
        interworking(
            "pager_message_bytes",
            sizes.gateway.pager_message_bytes,
            "no message could pass",
            LARGEST,
        ),
        net(
            "max_connections",
            sizes.net.connections,
            1,
            "no connection could be made",
            MANY,
        ),
        net("queue", sizes.net.queue, 1, "nothing could be handed over", MANY),
        net(
            "write_buffer_bytes",
            sizes.net.write_buffer,
            sizes.sip.message_bytes.max(sizes.xml.element_bytes),
            "the longest SIP message and stanza have to fit in",
            HUGE,
        ),
    ];
    for Number {
        table,
        key,
        value,
        least,
        why,
        most,
    } in numbers
    {
        if value < least {
            findings.error(
                key![table, key],
                &format!("`{key}` is {value}, and at least {least} is needed: {why}"),
            );
        } else if value > most {
            findings.error(
                key![table, key],
                &format!("`{key}` is {value}, and at most {most} is allowed"),
            );
        }
    }
}

fn check_periods(limits: &Limits, findings: &mut Findings<'_, '_>) {
    let Limits {
        xmpp, gateway, net, ..
    } = limits;
    let presence = &gateway.presence;
    // A peer is told of silence in whole seconds, and nobody can prove a domain in less.
    let periods = [
        ("xmpp", "establish_timeout", xmpp.establish, SECOND, HOUR),
        ("xmpp", "idle_timeout", xmpp.idle, SECOND, WEEK),
        ("xmpp", "keepalive", xmpp.keepalive, SECOND, WEEK),
        ("xmpp", "acknowledge_timeout", xmpp.acknowledge, SECOND, HOUR),
        ("xmpp", "max_retry_pause", xmpp.longest_pause, SECOND, DAY),
        (
            "xmpp",
            "max_retry_pause_of_node",
            xmpp.longest_pause_of_node,
            SECOND,
            DAY,
        ),
        ("sip", "idle_timeout", net.sip_idle, SECOND, WEEK),
        ("sip", "keepalive", net.sip_keepalive, SECOND, WEEK),
        ("interworking", "confirm_timeout", gateway.confirm, INSTANT, HOUR),
        ("interworking", "deliver_timeout", gateway.deliver, INSTANT, HOUR),
        (
            "interworking",
            "conversation_timeout",
            gateway.conversation,
            SECOND,
            WEEK,
        ),
        (
            "interworking",
            "presence_burst_interval",
            presence.pause,
            Duration::ZERO,
            HOUR,
        ),
        (
            "interworking",
            "presence_expiry",
            presence.expires,
            TEN_SECONDS,
            DAY,
        ),
        (
            "interworking",
            "presence_least_expiry",
            presence.least,
            SECOND,
            HOUR,
        ),
        ("limits", "handshake_timeout", net.handshake, INSTANT, HOUR),
        (
            "limits",
            "first_message_timeout",
            net.first_message,
            INSTANT,
            HOUR,
        ),
        ("limits", "connect_timeout", net.connect, INSTANT, HOUR),
        ("limits", "drain_timeout", net.drain, Duration::ZERO, HOUR),
    ];
    for (table, key, value, least, most) in periods {
        if value < least || value > most {
            let (value, least, most) = (text(value), text(least), text(most));
            findings.error(
                key![table, key],
                &format!("`{key}` is \"{value}\"; it is from \"{least}\" to \"{most}\""),
            );
        }
    }
}

/// A length of time as the file writes it.
fn text(time: Duration) -> String {
    let milliseconds = time.as_millis();
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units
        .into_iter()
        .find(|(size, _)| milliseconds >= *size && milliseconds.is_multiple_of(*size));
    match unit {
        Some((size, name)) => format!("{}{name}", milliseconds / size),
        None => format!("{milliseconds}ms"),
    }
}

const NO_STREAM: &str = "no stream could be opened";
/// Octets of one message: what is longer is no message (16 MiB).
const LARGEST: usize = 16 << 20;
/// Octets of a buffer or a queue (1 GiB).
const HUGE: usize = 1 << 30;
/// Things of one kind.
const MANY: usize = 1_000_000;
const INSTANT: Duration = Duration::from_millis(1);
const TEN_SECONDS: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
