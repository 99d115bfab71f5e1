//! The shape of the configuration file: its tables, keys and defaults.
//!
//! Only shapes and single values are judged here; what keys mean together is judged by `check`. Names are the
//! product's interface: a key may be added, but not renamed. `config/vestibule.toml` documents each.

mod default;
mod snmp;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Deserialize;

pub(crate) use self::snmp::{Snmp, SnmpTrap};
pub(crate) use self::value::{
    Action, Address, Bodies, BusyAs, Direction, Eku, FirewallOutgoing, Identity, Kind, Link, ListenProtocol,
    LocalProfile, LocalProtocol, LogFormat, MapMode, MapProtocol, Media, Network, PeerCertificate,
    PeerProtocol, Period, Preference, Profile, Role, Sasl, Server, SipMethod, SnmpAuth, SnmpPrivacy, Style,
    Text, TlsMode, TlsVersion, Transport, ZoneName,
};
use crate::domain::{Domain, DomainPattern};

/// The whole file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) edge: Edge,
    pub(crate) zone: Zones,
    pub(crate) dns: Dns,
    pub(crate) listen: Vec<Listen>,
    pub(crate) tls: BTreeMap<String, Tls>,
    pub(crate) local: Vec<Local>,
    pub(crate) federate: Vec<Federate>,
    pub(crate) policy: Policy,
    pub(crate) xmpp: Xmpp,
    pub(crate) sip: Sip,
    pub(crate) interworking: Interworking,
    pub(crate) limits: Bounds,
    pub(crate) port_map: Vec<PortMap>,
    pub(crate) firewall: Firewall,
    pub(crate) admin: Admin,
    pub(crate) snmp: Snmp,
    pub(crate) log: Log,
}

/// The tables that may stand at the top of the file.
pub(crate) const SECTIONS: &[&str] = &[
    "edge",
    "zone",
    "dns",
    "listen",
    "tls",
    "local",
    "federate",
    "policy",
    "xmpp",
    "sip",
    "interworking",
    "limits",
    "port_map",
    "firewall",
    "admin",
    "snmp",
    "log",
];

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edge {
    pub(crate) name: Text<Domain>,
    #[serde(default = "default::state_dir")]
    pub(crate) state_dir: String,
    #[serde(default = "default::run_as")]
    pub(crate) run_as: String,
    #[serde(default = "default::yes")]
    pub(crate) interworking: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Zones {
    pub(crate) outside: Zone,
    pub(crate) inside: Zone,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Zone {
    pub(crate) addresses: Vec<Text<Address>>,
    pub(crate) networks: Vec<Text<Network>>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dns {
    pub(crate) servers: Vec<Text<Server>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) zone: ZoneName,
    pub(crate) protocol: ListenProtocol,
    pub(crate) transport: Option<Transport>,
    pub(crate) port: Option<u16>,
    pub(crate) address: Option<Text<Address>>,
    pub(crate) tls: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) trust: Vec<String>,
    pub(crate) minimum: TlsVersion,
    pub(crate) cipher_suites: Vec<String>,
    pub(crate) peer_certificate: PeerCertificate,
    pub(crate) peer_subjects: Vec<Text<DomainPattern>>,
    pub(crate) identity: Identity,
    pub(crate) pins: Vec<String>,
    pub(crate) eku: Eku,
    pub(crate) crl: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Local {
    pub(crate) domain: Text<Domain>,
    pub(crate) protocol: LocalProtocol,
    #[serde(default)]
    pub(crate) role: Role,
    #[serde(default)]
    pub(crate) nodes: Vec<Node>,
    pub(crate) srv: Option<String>,
    pub(crate) transport: Option<Transport>,
    pub(crate) tls: Option<String>,
    #[serde(default)]
    pub(crate) link: Link,
    pub(crate) secret: Option<String>,
    #[serde(default = "default::component_port")]
    pub(crate) component_port: u16,
    #[serde(default)]
    pub(crate) profile: LocalProfile,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    #[serde(default = "default::one")]
    pub(crate) priority: u16,
    #[serde(default = "default::one")]
    pub(crate) weight: u16,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Federate {
    pub(crate) domain: Text<DomainPattern>,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) protocol: PeerProtocol,
    pub(crate) prefer: Option<Preference>,
    pub(crate) profile: Option<Profile>,
    #[serde(default)]
    pub(crate) routes: Vec<StaticRoute>,
    pub(crate) via: Option<Text<Domain>>,
    pub(crate) tls: Option<String>,
    #[serde(default)]
    pub(crate) rate: Rate,
    #[serde(default)]
    pub(crate) address_fallback: bool,
    #[serde(default)]
    pub(crate) xmpp: PeerXmpp,
    #[serde(default = "default::methods")]
    pub(crate) methods: Vec<SipMethod>,
    #[serde(default = "default::events")]
    pub(crate) events: Vec<String>,
    #[serde(default)]
    pub(crate) media: Media,
    #[serde(default)]
    pub(crate) bodies: Bodies,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StaticRoute {
    pub(crate) next_hop: String,
    #[serde(default)]
    pub(crate) port: u16,
    #[serde(default)]
    pub(crate) transport: Transport,
    pub(crate) user: Option<String>,
    #[serde(default = "default::one")]
    pub(crate) priority: u16,
    #[serde(default = "default::one")]
    pub(crate) weight: u16,
    #[serde(default = "default::yes")]
    pub(crate) in_service: bool,
    #[serde(default)]
    pub(crate) block: bool,
    #[serde(default = "default::yes")]
    pub(crate) allow_less_specific: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rate {
    pub(crate) requests_per_second: Option<u32>,
    pub(crate) new_dialogs_per_second: Option<u32>,
    pub(crate) outbound_requests_per_second: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PeerXmpp {
    pub(crate) tls: Option<TlsMode>,
    pub(crate) sasl: Option<Sasl>,
    pub(crate) dialback: Option<bool>,
    pub(crate) require_certificate: Option<bool>,
    pub(crate) inbound: DirectedXmpp,
    pub(crate) outbound: DirectedXmpp,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DirectedXmpp {
    pub(crate) tls: Option<TlsMode>,
    pub(crate) sasl: Option<Sasl>,
    pub(crate) dialback: Option<bool>,
    pub(crate) require_certificate: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policy {
    pub(crate) default: Action,
    pub(crate) exception: Vec<Exception>,
    pub(crate) block: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    pub(crate) domain: Text<DomainPattern>,
    #[serde(default)]
    pub(crate) direction: Direction,
    #[serde(default = "default::all_kinds")]
    pub(crate) kinds: Vec<Kind>,
    #[serde(default = "default::allow")]
    pub(crate) action: Action,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Block {
    pub(crate) address: String,
    #[serde(default)]
    pub(crate) style: Style,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Xmpp {
    pub(crate) tls: TlsMode,
    pub(crate) sasl: Sasl,
    pub(crate) dialback: bool,
    pub(crate) require_certificate: bool,
    pub(crate) dialback_secret: String,
    pub(crate) max_stanza_bytes: usize,
    pub(crate) max_depth: usize,
    pub(crate) max_attributes: usize,
    pub(crate) max_queued_stanzas: usize,
    pub(crate) max_queued_bytes: usize,
    pub(crate) establish_timeout: Period,
    pub(crate) idle_timeout: Period,
    pub(crate) keepalive: Period,
    pub(crate) acknowledge_timeout: Period,
    pub(crate) max_retry_pause: Period,
    pub(crate) max_retry_pause_of_node: Period,
    pub(crate) max_connections: usize,
    pub(crate) max_unauthenticated: usize,
    pub(crate) max_unauthenticated_per_address: usize,
    pub(crate) max_connections_per_domain: usize,
    pub(crate) show_version: bool,
    pub(crate) drop_unasked_answers: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sip {
    pub(crate) max_message_bytes: usize,
    pub(crate) max_head_bytes: usize,
    pub(crate) max_line_bytes: usize,
    pub(crate) max_header_fields: usize,
    pub(crate) max_transactions: usize,
    pub(crate) idle_timeout: Period,
    pub(crate) keepalive: Period,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Interworking {
    pub(crate) conversation_timeout: Period,
    pub(crate) undeliverable_text: String,
    pub(crate) busy_as: Option<BusyAs>,
    pub(crate) presence_burst_interval: Period,
    pub(crate) presence_changes_per_second: u32,
    pub(crate) presence_expiry: Period,
    pub(crate) presence_least_expiry: Period,
    pub(crate) max_presence_pairs: usize,
    pub(crate) confirm_timeout: Period,
    pub(crate) deliver_timeout: Period,
    pub(crate) max_pending_messages: usize,
    pub(crate) pager_message_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Bounds {
    pub(crate) max_connections: usize,
    pub(crate) handshake_timeout: Period,
    pub(crate) first_message_timeout: Period,
    pub(crate) connect_timeout: Period,
    pub(crate) queue: usize,
    pub(crate) write_buffer_bytes: usize,
    pub(crate) drain_timeout: Period,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortMap {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) mode: MapMode,
    #[serde(default)]
    pub(crate) protocol: MapProtocol,
    pub(crate) public: String,
    pub(crate) nodes: Vec<Node>,
    #[serde(default = "default::everywhere")]
    pub(crate) allow_from: Vec<Text<Network>>,
    #[serde(default = "default::an_hour")]
    pub(crate) idle_timeout: Period,
    #[serde(default = "default::a_thousand")]
    pub(crate) max_connections: usize,
    #[serde(default)]
    pub(crate) max_connections_per_source: Option<usize>,
    #[serde(default)]
    pub(crate) send_proxy: bool,
    #[serde(default)]
    pub(crate) outbound: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Firewall {
    pub(crate) manage: bool,
    pub(crate) management_from: Vec<Text<Network>>,
    pub(crate) management_ports: Vec<u16>,
    pub(crate) outgoing: FirewallOutgoing,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    pub(crate) control: String,
    pub(crate) metrics: ManagementAddress,
    pub(crate) snmp_agentx: String,
}

/// An address and port, or nothing for "off".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ManagementAddress(pub(crate) Option<SocketAddr>);

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: String,
    pub(crate) bodies: bool,
}

#[cfg(test)]
mod tests;
