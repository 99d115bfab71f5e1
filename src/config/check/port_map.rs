//! The port maps: their addresses are ours and free, their nodes are places to connect to.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use super::findings::{Findings, key};
use super::{firewall, local, zones};
use crate::config::schema::{Document, MapMode, MapProtocol, PortMap as Given};
use crate::firewall::{KernelMap, Leaving};
use crate::net::settings::{Listener, Transport};
use crate::portmap::{Announce, Node, PortMap};
use crate::route::Host;

/// All maps, each kind in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// Those that the process serves itself.
    pub(super) proxied: Vec<PortMap>,
    /// Those that the kernel serves.
    pub(super) kernel: Vec<KernelMap>,
    /// Nodes whose own connections leave by an address of ours.
    pub(super) leaving: Vec<Leaving>,
}

/// All maps.
pub(super) fn port_maps(
    document: &Document,
    listeners: &[Listener],
    findings: &mut Findings<'_, '_>,
) -> Mapped {
    let mut mapped = Mapped::default();
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut taken = Taken::by(listeners);
    for (at, given) in document.port_map.iter().enumerate() {
        if let Some(first) = names.insert(&given.name, at) {
            findings.error(
                key!["port_map", at, "name"],
                &format!(
                    "the name \"{}\" is that of [[port_map]] number {}, too; logs and metrics tell maps by their names",
                    given.name,
                    first.saturating_add(1)
                ),
            );
        }
        bounds(at, given, findings);
        let public = public(at, given, document, findings);
        for address in &public {
            taken.claim(at, given, *address, findings);
        }
        let nodes = nodes(at, given, &public, findings);
        mapped
            .leaving
            .extend(firewall::leaving(at, given, (&public, &nodes), findings));
        let allowed = given.allow_from.iter().filter_map(zones::network).collect();
        match given.mode {
            MapMode::Kernel => {
                mapped.kernel.extend(firewall::kernel_map(
                    at,
                    given,
                    (&public, &nodes),
                    allowed,
                    findings,
                ));
            }
            MapMode::Proxy => {
                if given.protocol == MapProtocol::Udp {
                    findings.error_with_help(
                        key!["port_map", at, "protocol"],
                        "mode \"proxy\" carries TCP, not UDP",
                        "write mode = \"kernel\", or protocol = \"tcp\"",
                    );
                }
                mapped.proxied.push(PortMap {
                    name: given.name.clone(),
                    public,
                    nodes,
                    allowed,
                    idle: given.idle_timeout.0,
                    connections: given.max_connections,
                    connections_of_source: given
                        .max_connections_per_source
                        .unwrap_or_else(|| share(given.max_connections)),
                    announce: if given.send_proxy {
                        Announce::ProxyV2
                    } else {
                        Announce::Nothing
                    },
                });
            }
        }
    }
    mapped
}

fn bounds(at: usize, given: &Given, findings: &mut Findings<'_, '_>) {
    let is_named = !given.name.is_empty() && given.name.len() <= LONGEST_NAME;
    let is_plain = |octet: char| octet.is_ascii_alphanumeric() || matches!(octet, '-' | '_' | '.');
    if !is_named || !given.name.chars().all(is_plain) {
        findings.error_with_help(
            key!["port_map", at, "name"],
            &format!("\"{}\" is no name of a map", given.name.escape_debug()),
            &format!("use 1 to {LONGEST_NAME} letters, digits, '-', '_' and '.'"),
        );
    }
    if given.max_connections == 0 || given.max_connections > MOST_CONNECTIONS {
        findings.error(
            key!["port_map", at, "max_connections"],
            &format!(
                "{} connections are not possible: it is a number from 1 to {MOST_CONNECTIONS}",
                given.max_connections
            ),
        );
    }
    if given
        .max_connections_per_source
        .is_some_and(|most| most == 0 || most > given.max_connections)
    {
        findings.error_with_help(
            key!["port_map", at, "max_connections_per_source"],
            "one source may have from 1 to all of max_connections",
            "leave it out for four fifths of them",
        );
    }
    if given.idle_timeout.0 < LEAST_IDLE {
        findings.error_with_help(
            key!["port_map", at, "idle_timeout"],
            "so short a time would close connections that are in use",
            "use 1s or more; an hour suits connections between servers",
        );
    }
    if given.allow_from.is_empty() {
        findings.error_with_help(
            key!["port_map", at, "allow_from"],
            "no source may connect, so the map is of no use",
            "leave `allow_from` out to let everybody connect, or remove the map",
        );
    }
}

/// What one source may have where nothing else is said: not all, as far as that can be.
fn share(all: usize) -> usize {
    all.saturating_sub(all.div_euclid(5)).max(1)
}

/// The addresses that a map listens on: one of ours, or all of the outside.
fn public(at: usize, given: &Given, document: &Document, findings: &mut Findings<'_, '_>) -> Vec<SocketAddr> {
    let path = key!["port_map", at, "public"];
    let zone = &document.zone;
    let outside = || zone.outside.addresses.iter().map(|address| address.0.0);
    let found: Vec<SocketAddr> = match given.public.strip_prefix("outside:") {
        Some(port) => {
            let Ok(port) = port.parse::<u16>() else {
                findings.error_with_help(path, &format!("\"{port}\" is no port"), PUBLIC_HELP);
                return Vec::new();
            };
            if zone.outside.addresses.is_empty() {
                findings.error_with_help(
                    path,
                    "[zone.outside] has no addresses to map",
                    "add addresses = [\"...\"] to [zone.outside], or write the address here",
                );
            }
            outside().map(|address| SocketAddr::new(address, port)).collect()
        }
        None => {
            let Ok(address) = given.public.parse::<SocketAddr>() else {
                findings.error_with_help(
                    path,
                    &format!("\"{}\" is no address with a port", given.public.escape_debug()),
                    PUBLIC_HELP,
                );
                return Vec::new();
            };
            let mut ours = outside().chain(zone.inside.addresses.iter().map(|address| address.0.0));
            let is_known = zone.outside.addresses.is_empty() && zone.inside.addresses.is_empty();
            if !is_known && !ours.any(|known| known == address.ip()) {
                findings.error_with_help(
                    path,
                    &format!("{} is not an address of ours", address.ip()),
                    "add it to [zone.outside] addresses, or map one that stands there",
                );
            }
            vec![address]
        }
    };
    let translates = given.mode == MapMode::Kernel || given.outbound;
    if translates && found.iter().any(|address| address.ip().is_unspecified()) {
        findings.error_with_help(
            path,
            "the kernel translates one address into another, and an unspecified one is none",
            "name the addresses in [zone.outside], or here",
        );
        return Vec::new();
    }
    if found.iter().any(|address| address.port() == 0) {
        findings.error_with_help(
            path,
            "port 0 is no port that anybody could connect to",
            PUBLIC_HELP,
        );
    }
    found
}

/// Which addresses and ports are taken, and by what.
struct Taken(Vec<(SocketAddr, MapProtocol, String)>);

impl Taken {
    fn by(listeners: &[Listener]) -> Self {
        let of = |listener: &Listener| {
            let protocol = match listener.transport {
                Transport::Tls | Transport::Tcp => MapProtocol::Tcp,
                Transport::Udp => MapProtocol::Udp,
            };
            let what = format!("[[listen]] {} {}", listener.side, listener.protocol);
            (listener.address, protocol, what)
        };
        Self(listeners.iter().map(of).collect())
    }

    fn claim(&mut self, at: usize, given: &Given, address: SocketAddr, findings: &mut Findings<'_, '_>) {
        let meets = |other: &SocketAddr| {
            let is_any = |address: IpAddr| address.is_unspecified();
            other.port() == address.port()
                && other.is_ipv4() == address.is_ipv4()
                && (other.ip() == address.ip() || is_any(other.ip()) || is_any(address.ip()))
        };
        let taken = self
            .0
            .iter()
            .find(|(other, protocol, _)| *protocol == given.protocol && meets(other));
        if let Some((other, _, what)) = taken {
            findings.error_with_help(
                key!["port_map", at, "public"],
                &format!("{address} is taken already: {what} has {other}"),
                "give one of the two another port or address",
            );
            return;
        }
        let what = format!("[[port_map]] \"{}\"", given.name);
        self.0.push((address, given.protocol, what));
    }
}

fn nodes(at: usize, given: &Given, public: &[SocketAddr], findings: &mut Findings<'_, '_>) -> Vec<Node> {
    if given.nodes.is_empty() {
        findings.error_with_help(
            key!["port_map", at, "nodes"],
            "it has no node that connections could go on to",
            "add nodes = [{ host = \"imp1.corp.example\", port = 5269 }]",
        );
    }
    let found = given.nodes.iter().enumerate().filter_map(|(number, node)| {
        let path = key!["port_map", at, "nodes", number].to_vec();
        let host = local::host(&path, "host", &node.host, findings)?;
        let Some(port) = node.port.and_then(NonZeroU16::new) else {
            findings.error_with_help(
                &path,
                &format!("{host} has no port that connections could go on to"),
                "add port = 5269, or whatever its service listens on",
            );
            return None;
        };
        if let Host::Address(address) = host
            && public.contains(&SocketAddr::new(address, port.get()))
        {
            findings.error(
                &path,
                &format!("{host}:{port} is the map itself, which would connect to itself for ever"),
            );
        }
        Some(Node {
            host,
            port,
            priority: node.priority,
            weight: node.weight,
        })
    });
    found.collect()
}

const PUBLIC_HELP: &str = "write an address and a port, such as \"203.0.113.10:5269\" or \"[2001:db8::10]:5269\", or \"outside:5269\" for all addresses of [zone.outside]";
const LONGEST_NAME: usize = 64;
const LEAST_IDLE: Duration = Duration::from_secs(1);
/// Each has a descriptor on either side, and a source port towards its node.
const MOST_CONNECTIONS: usize = 100_000;
