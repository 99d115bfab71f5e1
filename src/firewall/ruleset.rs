//! The text of the ruleset, as `nft -f` reads it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Carrier, Firewall, KernelMap, KernelNode, Leaving, Opening, Outgoing};
use crate::route::Network;

/// The table that is ours; no other is touched.
const TABLE: &str = "inet vestibule";

impl Firewall {
    /// The whole ruleset. Loading it replaces the table of ours in one step, or changes nothing.
    #[must_use]
    pub fn ruleset(&self) -> String {
        let mut text = String::from(HEAD);
        // A table that is not there cannot be deleted; one that is declared is there.
        text.push_str(&format!(
            "table {TABLE} {{\n}}\ndelete table {TABLE}\n\ntable {TABLE} {{\n"
        ));
        let mut blocks: Vec<String> = Vec::new();
        blocks.extend(
            self.maps
                .iter()
                .enumerate()
                .flat_map(|(at, map)| timeouts(at, map)),
        );
        blocks.push(chain("input", "filter", "input", "filter", "drop", &self.input()));
        if self.forwards() {
            blocks.push(chain(
                "prerouting",
                "nat",
                "prerouting",
                "dstnat",
                "accept",
                &self.prerouting(),
            ));
            blocks.push(chain(
                "postrouting",
                "nat",
                "postrouting",
                "srcnat",
                "accept",
                &self.postrouting(),
            ));
        }
        if !self.leaving.is_empty() {
            blocks.push(block("chain leaving", &self.leaving_chain()));
        }
        blocks.push(chain(
            "forward",
            "filter",
            "forward",
            "filter",
            "drop",
            &self.forward(),
        ));
        if let Outgoing::Own { user } = &self.outgoing {
            blocks.push(chain(
                "output",
                "filter",
                "output",
                "filter",
                "drop",
                &output(user),
            ));
        }
        text.push_str(&blocks.join("\n"));
        text.push_str("}\n");
        text
    }

    fn input(&self) -> Vec<String> {
        let mut rules: Vec<String> = INPUT.iter().map(ToString::to_string).collect();
        rules.extend(self.openings.iter().flat_map(opening));
        rules.push("limit rate 10/minute burst 20 packets log prefix \"vestibule firewall: \"".to_owned());
        rules.push("counter comment \"dropped\"".to_owned());
        rules
    }

    fn prerouting(&self) -> Vec<String> {
        let mut rules = Vec::new();
        for map in &self.maps {
            for public in &map.public {
                let nodes = map
                    .nodes
                    .iter()
                    .filter(|node| node.address.is_ipv4() == public.is_ipv4());
                let to = destination(public, &nodes.collect::<Vec<_>>());
                rules.extend(
                    matches(Some(public.ip()), &map.allowed)
                        .into_iter()
                        .map(|matched| {
                            format!(
                                "fib daddr . iif type local {matched}{} dport {} {to} comment \"[[port_map]] {}\"",
                                map.carrier.as_str(),
                                public.port(),
                                map.name
                            )
                        }),
                );
            }
        }
        rules
    }

    fn postrouting(&self) -> Vec<String> {
        let rules = self.leaving.iter().map(|leaving| {
            let family = family(leaving.node);
            format!(
                "{} snat {family} to {} comment \"[[port_map]] {}\"",
                source(leaving),
                leaving.public,
                leaving.name
            )
        });
        rules.collect()
    }

    fn forward(&self) -> Vec<String> {
        let mut rules = vec![FLOWS.to_owned()];
        for (at, map) in self.maps.iter().enumerate() {
            for public in &map.public {
                let family = family(public.ip());
                let mapped = format!(
                    "ct state new ct status dnat meta l4proto {} ct original {family} daddr {} ct original proto-dst {}",
                    map.carrier.as_str(),
                    public.ip(),
                    public.port()
                );
                rules.push(format!(
                    "{mapped} ct count over {} counter drop comment \"[[port_map]] {}: max_connections\"",
                    map.connections, map.name
                ));
                rules.push(format!(
                    "{mapped} ct timeout set \"{}\" accept",
                    timeout_name(at, public.ip())
                ));
            }
        }
        rules.extend(
            self.leaving
                .iter()
                .map(|leaving| format!("ct state new {} jump leaving", source(leaving))),
        );
        rules.push("counter comment \"dropped\"".to_owned());
        rules
    }

    /// Where the connections of nodes may lead: outside, and nowhere else.
    fn leaving_chain(&self) -> Vec<String> {
        let of = |networks: &[Network], verdict: &str| {
            [true, false]
                .into_iter()
                .filter_map(move |is_v4| {
                    let set = set(networks, is_v4)?;
                    Some(format!(
                        "{} daddr {set} {verdict}",
                        if is_v4 { "ip" } else { "ip6" }
                    ))
                })
                .collect::<Vec<_>>()
        };
        let mut rules = of(&self.inside, "drop");
        rules.extend(of(&self.outside, "accept"));
        rules.push(format!("ip daddr {{ {PRIVATE_V4} }} drop"));
        rules.push(format!("ip6 daddr {{ {PRIVATE_V6} }} drop"));
        rules.push("accept".to_owned());
        rules
    }
}

fn opening(opening: &Opening) -> Vec<String> {
    let rules = matches(opening.address, &opening.from)
        .into_iter()
        .map(|matched| {
            format!(
                "{matched}{} dport {} accept comment \"{}\"",
                opening.carrier.as_str(),
                opening.port,
                opening.what
            )
        });
    rules.collect()
}

/// The beginnings of rules that match these sources and this destination, one for each family.
fn matches(address: Option<IpAddr>, from: &[Network]) -> Vec<String> {
    let families = [true, false]
        .into_iter()
        .filter(|is_v4| address.is_none_or(|address| address.is_ipv4() == *is_v4));
    families
        .filter_map(|is_v4| {
            let word = if is_v4 { "ip" } else { "ip6" };
            let daddr = address.filter(|address| !address.is_unspecified());
            let daddr = daddr
                .map(|address| format!("{word} daddr {address} "))
                .unwrap_or_default();
            let everybody = from
                .iter()
                .any(|network| network.is_everything() && network.is_ipv4() == is_v4);
            let saddr = match everybody {
                true if daddr.is_empty() => format!("meta nfproto {} ", if is_v4 { "ipv4" } else { "ipv6" }),
                true => String::new(),
                false => format!("{word} saddr {} ", set(from, is_v4)?),
            };
            Some(format!("{daddr}{saddr}"))
        })
        .collect()
}

/// The networks of a family as a set; `None` where there are none. Of those that lie in another only that one is named, as
/// the kernel takes no overlapping ones.
fn set(networks: &[Network], is_v4: bool) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    let of: Vec<_> = networks
        .iter()
        .filter(|network| network.is_ipv4() == is_v4)
        .collect();
    for (at, network) in of.iter().enumerate() {
        let is_within = of
            .iter()
            .enumerate()
            .any(|(other, around)| around.covers(network) && (!network.covers(around) || other < at));
        if !is_within {
            words.push(network.to_string());
        }
    }
    (!words.is_empty()).then(|| format!("{{ {} }}", words.join(", ")))
}

/// What is done with a connection to a mapped port.
fn destination(public: &SocketAddr, nodes: &[&KernelNode]) -> String {
    let family = family(public.ip());
    if let [node] = nodes {
        return format!("dnat {family} to {}", node.address);
    }
    let mut first = 0_u32;
    let shares = nodes.iter().map(|node| {
        let next = first.saturating_add(node.weight.into());
        let last = next.saturating_sub(1);
        let range = if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        };
        first = next;
        format!("{range} : {} . {}", node.address.ip(), node.address.port())
    });
    let shares = shares.collect::<Vec<_>>().join(", ");
    format!("dnat {family} to numgen random mod {first} map {{ {shares} }}")
}

fn source(leaving: &Leaving) -> String {
    format!(
        "{} saddr {} meta l4proto {}",
        family(leaving.node),
        leaving.node,
        leaving.carrier.as_str()
    )
}

/// How long the kernel keeps a quiet connection of a map, for each family that it has.
fn timeouts(at: usize, map: &KernelMap) -> Vec<String> {
    let families = [true, false]
        .into_iter()
        .filter_map(|is_v4| map.public.iter().find(|public| public.is_ipv4() == is_v4));
    families
        .map(|public| {
            let seconds = map.idle.as_secs().max(1);
            let policy = match map.carrier {
                Carrier::Tcp => format!("established : {seconds}"),
                Carrier::Udp => format!(
                    "unreplied : {}, replied : {seconds}",
                    Duration::from_secs(seconds).min(UNREPLIED).as_secs()
                ),
            };
            block(
                &format!("ct timeout {}", timeout_name(at, public.ip())),
                &[
                    format!("protocol {}", map.carrier.as_str()),
                    format!("l3proto {}", family(public.ip())),
                    format!("policy = {{ {policy} }}"),
                ],
            )
        })
        .collect()
}

fn timeout_name(at: usize, address: IpAddr) -> String {
    format!("map-{}-{}", at.saturating_add(1), family(address))
}

const fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}

/// What the machine may open where it is for nothing else than the proxy.
fn output(user: &str) -> Vec<String> {
    let mut rules = vec!["oifname \"lo\" accept".to_owned(), FLOWS.to_owned()];
    rules.push("meta l4proto { icmp, icmpv6 } accept".to_owned());
    rules.push(format!("meta skuid \"{user}\" accept comment \"the proxy\""));
    rules.push("meta l4proto { tcp, udp } th dport 53 accept comment \"DNS\"".to_owned());
    rules.push("udp dport 123 accept comment \"time\"".to_owned());
    rules.push("udp sport 68 udp dport 67 accept comment \"DHCP\"".to_owned());
    rules.push("udp sport 546 udp dport 547 accept comment \"DHCPv6\"".to_owned());
    rules.push("counter comment \"dropped\"".to_owned());
    rules
}

fn chain(name: &str, kind: &str, hook: &str, priority: &str, policy: &str, rules: &[String]) -> String {
    let mut lines = vec![format!(
        "type {kind} hook {hook} priority {priority}; policy {policy};"
    )];
    lines.extend_from_slice(rules);
    block(&format!("chain {name}"), &lines)
}

fn block(head: &str, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("\t\t{line}\n")).collect();
    format!("\t{head} {{\n{lines}\t}}\n")
}

const HEAD: &str = "# The packet filter of vestibule, made from its configuration: edit that, and `vestibule firewall apply` loads this again.\n\n";
/// What belongs to a flow that was let in passes.
const FLOWS: &str = "ct state vmap { established : accept, related : accept, invalid : drop }";
/// What comes before the openings.
const INPUT: [&str; 9] = [
    "iifname \"lo\" accept",
    FLOWS,
    // RFC 4890 §4.4: what IPv6 does not work without, and what tells of paths.
    "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept",
    "ip6 hoplimit 255 icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept",
    "ip6 saddr fe80::/10 icmpv6 type mld-listener-query accept",
    // The answer to a question that went to a group, and so belongs to no flow (RFC 8415 §7).
    "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
    // An address of ours is reached by the network that it stands in, and by no other.
    "fib daddr . iif type != { local, broadcast, multicast } counter drop comment \"came by another network\"",
    "icmp type echo-request limit rate 10/second burst 20 packets accept",
    "icmpv6 type echo-request limit rate 10/second burst 20 packets accept",
];
/// Neither these nor groups are the internet (as `route::boundary` has them).
const PRIVATE_V4: &str = "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3";
const PRIVATE_V6: &str = "::/127, ::ffff:0:0/96, 64:ff9b:1::/48, fc00::/7, fe80::/9, ff00::/8";
const UNREPLIED: Duration = Duration::from_secs(30);
