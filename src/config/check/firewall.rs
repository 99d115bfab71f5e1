//! The packet filter: what has to be reachable, by all that the file says elsewhere, and what only the kernel does.

use std::net::{IpAddr, SocketAddr};

use super::findings::{Findings, key};
use super::port_map::Mapped;
use super::zones;
use crate::config::schema::{Document, FirewallOutgoing, MapMode, MapProtocol, PortMap as Given};
use crate::firewall::{Carrier, Firewall, KernelMap, KernelNode, Leaving, Opening, Outgoing};
use crate::net::settings::{Listener, Transport};
use crate::portmap::Node;
use crate::route::{Host, Network};
use crate::snmp::Snmp;

/// The filter for these listeners and maps.
pub(super) fn firewall(
    document: &Document,
    (listeners, snmp): (&[Listener], Option<&Snmp>),
    mapped: &Mapped,
    findings: &mut Findings<'_, '_>,
) -> Firewall {
    let given = &document.firewall;
    let management: Vec<Network> = given.management_from.iter().filter_map(zones::network).collect();
    if given.manage && management.is_empty() {
        findings.warning(
            key!["firewall", "management_from"],
            "no network may reach the management of this machine, so that only its console is left",
        );
    }
    let needs_rules = !mapped.kernel.is_empty() || !mapped.leaving.is_empty();
    if needs_rules && !given.manage {
        findings.warning(
            key!["firewall", "manage"],
            "ports are mapped by the kernel as this firewall says, which `vestibule firewall apply` loads only with manage = true",
        );
    }
    if let Some(at) = given.management_ports.iter().position(|port| *port == 0) {
        findings.error(
            key!["firewall", "management_ports", at],
            "port 0 is no port that anybody could connect to",
        );
    }
    Firewall {
        is_managed: given.manage,
        openings: listeners
            .iter()
            .map(of_listener)
            .chain(of_maps(mapped))
            .chain(of_management(document, &management))
            .chain(snmp.map(of_snmp))
            .collect(),
        maps: mapped.kernel.clone(),
        leaving: mapped.leaving.clone(),
        outgoing: outgoing(document, findings),
        inside: {
            let listed = document.zone.inside.networks.iter().filter_map(zones::network);
            listed.chain(own_places(document, mapped)).collect()
        },
        outside: document
            .zone
            .outside
            .networks
            .iter()
            .filter_map(zones::network)
            .collect(),
    }
}

/// The addresses of ours and of the nodes, where what nodes open does not lead either.
fn own_places(document: &Document, mapped: &Mapped) -> Vec<Network> {
    let zone = &document.zone;
    let own = zone
        .outside
        .addresses
        .iter()
        .chain(&zone.inside.addresses)
        .map(|address| address.0.0);
    let of_maps = document.port_map.iter().flat_map(|map| &map.nodes);
    let of_locals = document.local.iter().flat_map(|local| &local.nodes);
    let nodes = of_maps
        .map(|node| &node.host)
        .chain(of_locals.map(|node| &node.host));
    let nodes = nodes.filter_map(|host| host.parse::<IpAddr>().ok());
    // Without nodes that leave there is nothing to keep from anywhere.
    let places = own.chain(nodes).filter(|_| !mapped.leaving.is_empty());
    places
        .filter_map(|address| Network::new(address, if address.is_ipv4() { 32 } else { 128 }))
        .collect()
}

fn of_listener(listener: &Listener) -> Opening {
    Opening {
        what: format!("[[listen]] {} {}", listener.side, listener.protocol),
        carrier: match listener.transport {
            Transport::Tls | Transport::Tcp => Carrier::Tcp,
            Transport::Udp => Carrier::Udp,
        },
        address: Some(listener.address.ip()),
        port: listener.address.port(),
        from: everybody(),
    }
}

fn of_maps(mapped: &Mapped) -> impl Iterator<Item = Opening> {
    mapped.proxied.iter().flat_map(|map| {
        map.public.iter().map(|public| Opening {
            what: format!("[[port_map]] {}", map.name),
            carrier: Carrier::Tcp,
            address: Some(public.ip()),
            port: public.port(),
            from: map.allowed.clone(),
        })
    })
}

fn of_management(document: &Document, from: &[Network]) -> Vec<Opening> {
    if from.is_empty() {
        return Vec::new();
    }
    let metrics = document
        .admin
        .metrics
        .0
        .filter(|metrics| !metrics.ip().is_loopback());
    let metrics = metrics.map(|metrics| ("[admin] metrics", Some(metrics.ip()), metrics.port()));
    let ports = document
        .firewall
        .management_ports
        .iter()
        .map(|port| ("management", None, *port));
    ports
        .chain(metrics)
        .map(|(what, address, port)| Opening {
            what: what.to_owned(),
            carrier: Carrier::Tcp,
            address,
            port,
            from: from.to_vec(),
        })
        .collect()
}

fn of_snmp(snmp: &Snmp) -> Opening {
    let of_communities = snmp.communities.iter().flat_map(|community| &community.from);
    Opening {
        what: "[snmp] listen".to_owned(),
        carrier: Carrier::Udp,
        address: Some(snmp.listen.ip()),
        port: snmp.listen.port(),
        from: snmp.managers.iter().chain(of_communities).copied().collect(),
    }
}

fn outgoing(document: &Document, findings: &mut Findings<'_, '_>) -> Outgoing {
    let user = &document.edge.run_as;
    match document.firewall.outgoing {
        FirewallOutgoing::Any => Outgoing::Any,
        FirewallOutgoing::Own => {
            // It stands between quotation marks in the ruleset.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if user.is_empty() || !user.chars().all(is_plain) {
                findings.error_with_help(
                    key!["firewall", "outgoing"],
                    "what the proxy opens is known by its user, and [edge] run_as names none that the firewall can name",
                    "set [edge] run_as = \"vestibule\", or outgoing = \"any\"",
                );
            }
            Outgoing::Own { user: user.clone() }
        }
    }
}

/// A map that the kernel serves; `None` where it cannot.
pub(super) fn kernel_map(
    at: usize,
    given: &Given,
    (public, nodes): (&[SocketAddr], &[Node]),
    allowed: Vec<Network>,
    findings: &mut Findings<'_, '_>,
) -> Option<KernelMap> {
    if given.send_proxy {
        findings.error_with_help(
            key!["port_map", at, "send_proxy"],
            "the kernel writes nothing into connections, and so no PROXY header",
            "write mode = \"proxy\", or leave `send_proxy` out; nodes see the senders' own addresses as it is",
        );
    }
    if given.max_connections_per_source.is_some() {
        findings.warning(
            key!["port_map", at, "max_connections_per_source"],
            "it has no effect with mode \"kernel\", which counts all sources together",
        );
    }
    let known: Vec<_> = nodes
        .iter()
        .enumerate()
        .filter_map(|(number, node)| {
            let Host::Address(address) = node.host else {
                findings.error_with_help(
                    key!["port_map", at, "nodes", number],
                    &format!("the kernel maps to addresses, and {} is a name", node.host),
                    "write its address, or mode = \"proxy\", which looks names up",
                );
                return None;
            };
            Some(KernelNode {
                address: SocketAddr::new(address, node.port.get()),
                weight: node.weight.max(1),
            })
        })
        .collect();
    let mut priorities = nodes.iter().map(|node| node.priority);
    let first = priorities.next();
    if priorities.any(|other| Some(other) != first) {
        findings.error_with_help(
            key!["port_map", at, "nodes"],
            "the kernel does not see whether a node is there, so that none can wait for another to fail",
            "give all the same priority, or write mode = \"proxy\"",
        );
    }
    if known.len() < nodes.len() {
        return None;
    }
    for address in public {
        if !known
            .iter()
            .any(|node| node.address.is_ipv4() == address.is_ipv4())
        {
            findings.error_with_help(
                key!["port_map", at, "nodes"],
                &format!("{address} has no node of its own family of addresses, and the kernel does not translate between IPv4 and IPv6"),
                "add such a node, name the other addresses in `public`, or write mode = \"proxy\"",
            );
            return None;
        }
    }
    Some(KernelMap {
        name: given.name.clone(),
        carrier: carrier(given.protocol),
        public: public.to_vec(),
        nodes: known,
        allowed,
        idle: given.idle_timeout.0,
        connections: given.max_connections,
    })
}

/// The nodes of a map whose own connections leave from its address, in either mode.
pub(super) fn leaving(
    at: usize,
    given: &Given,
    (public, nodes): (&[SocketAddr], &[Node]),
    findings: &mut Findings<'_, '_>,
) -> Vec<Leaving> {
    if !given.outbound {
        return Vec::new();
    }
    let found = nodes.iter().enumerate().filter_map(|(number, node)| {
        let path = key!["port_map", at, "nodes", number];
        let Host::Address(node) = node.host else {
            // A name is told of already where the kernel maps.
            if given.mode == MapMode::Proxy {
                findings.error_with_help(
                    path,
                    &format!(
                        "what a node opens is known by its address, and {} is a name",
                        node.host
                    ),
                    "write its address, or leave `outbound` out",
                );
            }
            return None;
        };
        let public = public
            .iter()
            .map(SocketAddr::ip)
            .find(|address: &IpAddr| address.is_ipv4() == node.is_ipv4());
        if public.is_none() {
            findings.error_with_help(
                path,
                &format!("{node} can leave from no address of the map, which has none of its family"),
                "add one to [zone.outside] addresses, or leave `outbound` out",
            );
        }
        Some(Leaving {
            name: given.name.clone(),
            carrier: carrier(given.protocol),
            node,
            public: public?,
        })
    });
    found.collect()
}

const fn carrier(protocol: MapProtocol) -> Carrier {
    match protocol {
        MapProtocol::Tcp => Carrier::Tcp,
        MapProtocol::Udp => Carrier::Udp,
    }
}

fn everybody() -> Vec<Network> {
    let all = [IpAddr::from([0_u8; 4]), IpAddr::from([0_u8; 16])];
    all.into_iter()
        .filter_map(|address| Network::new(address, 0))
        .collect()
}
