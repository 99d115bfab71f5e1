//! What holds where a key is left out. Numbers that bound something come from `limits.rs`.

use std::net::SocketAddr;

use super::value::Network;
use super::{
    Action, Admin, Bounds, Eku, Firewall, FirewallOutgoing, Identity, Interworking, Kind, Log, LogFormat,
    ManagementAddress, PeerCertificate, Period, Policy, Sasl, Sip, SipMethod, Text, Tls, TlsMode, TlsVersion,
    Xmpp,
};
use crate::limits::Limits;

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            trust: vec!["system".to_owned()],
            minimum: TlsVersion::default(),
            cipher_suites: Vec::new(),
            peer_certificate: PeerCertificate::default(),
            peer_subjects: Vec::new(),
            identity: Identity::default(),
            pins: Vec::new(),
            eku: Eku::default(),
            crl: Vec::new(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            default: Action::Deny,
            exception: Vec::new(),
            block: Vec::new(),
        }
    }
}

impl Default for Firewall {
    fn default() -> Self {
        Self {
            manage: false,
            management_from: Vec::new(),
            management_ports: vec![22],
            outgoing: FirewallOutgoing::Any,
        }
    }
}

impl Default for Xmpp {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            tls: TlsMode::Required,
            sasl: Sasl::Optional,
            dialback: true,
            require_certificate: true,
            dialback_secret: String::new(),
            max_stanza_bytes: limits.xml.element_bytes,
            max_depth: limits.xml.depth,
            max_attributes: limits.xml.attributes,
            max_queued_stanzas: limits.xmpp.queued_stanzas,
            max_queued_bytes: limits.xmpp.queued_bytes,
            establish_timeout: Period(limits.xmpp.establish),
            idle_timeout: Period(limits.xmpp.idle),
            keepalive: Period(limits.xmpp.keepalive),
            acknowledge_timeout: Period(limits.xmpp.acknowledge),
            max_retry_pause: Period(limits.xmpp.longest_pause),
            max_retry_pause_of_node: Period(limits.xmpp.longest_pause_of_node),
            max_connections: limits.xmpp.connections,
            max_unauthenticated: limits.xmpp.strangers,
            max_unauthenticated_per_address: limits.xmpp.strangers_of_network,
            max_connections_per_domain: limits.xmpp.connections_per_domain,
            show_version: false,
            drop_unasked_answers: true,
        }
    }
}

impl Default for Sip {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            max_message_bytes: limits.sip.message_bytes,
            max_head_bytes: limits.sip.head_bytes,
            max_line_bytes: limits.sip.line_bytes,
            max_header_fields: limits.sip.header_fields,
            max_transactions: limits.sip.transactions,
            idle_timeout: Period(limits.net.sip_idle),
            keepalive: Period(limits.net.sip_keepalive),
        }
    }
}

impl Default for Interworking {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            conversation_timeout: Period::from_secs(600),
            undeliverable_text: "Your IM could not be delivered".to_owned(),
            busy_as: None,
            presence_burst_interval: Period(limits.gateway.presence.pause),
            presence_changes_per_second: limits.gateway.presence.changes.get(),
            presence_expiry: Period(limits.gateway.presence.expires),
            presence_least_expiry: Period(limits.gateway.presence.least),
            max_presence_pairs: limits.gateway.presence.relations,
            confirm_timeout: Period(limits.gateway.confirm),
            deliver_timeout: Period(limits.gateway.deliver),
            max_pending_messages: limits.gateway.pending_messages,
            pager_message_bytes: limits.gateway.pager_message_bytes,
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        let limits = Limits::default().net;
        Self {
            max_connections: limits.connections,
            handshake_timeout: Period(limits.handshake),
            first_message_timeout: Period(limits.first_message),
            connect_timeout: Period(limits.connect),
            queue: limits.queue,
            write_buffer_bytes: limits.write_buffer,
            drain_timeout: Period(limits.drain),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            control: "/run/vestibule/control.sock".to_owned(),
            metrics: ManagementAddress(Some(SocketAddr::from(([127, 0, 0, 1], 9464)))),
            snmp_agentx: String::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            level: "info".to_owned(),
            bodies: false,
        }
    }
}

pub(super) fn state_dir() -> String {
    "/var/lib/vestibule".to_owned()
}

pub(super) fn run_as() -> String {
    "vestibule".to_owned()
}

pub(super) const fn yes() -> bool {
    true
}

pub(super) const fn one() -> u16 {
    1
}

/// The port on which XMPP servers by custom accept components.
pub(super) const fn component_port() -> u16 {
    5347
}

pub(super) fn all_kinds() -> Vec<Kind> {
    Kind::ALL.to_vec()
}

pub(super) fn methods() -> Vec<SipMethod> {
    SipMethod::USUAL.to_vec()
}

pub(super) fn events() -> Vec<String> {
    vec!["presence".to_owned()]
}

pub(super) const fn allow() -> Action {
    Action::Allow
}

pub(super) fn everywhere() -> Vec<Text<Network>> {
    vec![Text(Network::ALL_V4), Text(Network::ALL_V6)]
}

pub(super) const fn an_hour() -> Period {
    Period::from_secs(3_600)
}

pub(super) const fn a_thousand() -> usize {
    1_000
}
