#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn network(text: &str) -> Network {
    let (address, prefix) = text.split_once('/').unwrap();
    Network::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap()
}

fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| network(text)).collect()
}

fn opening(what: &str, address: Option<&str>, port: u16, from: &[&str]) -> Opening {
    Opening {
        what: what.to_owned(),
        carrier: Carrier::Tcp,
        address: address.map(|address| address.parse().unwrap()),
        port,
        from: networks(from),
    }
}

const ALL: [&str; 2] = ["0.0.0.0/0", "::/0"];

fn small() -> Firewall {
    Firewall {
        is_managed: true,
        openings: vec![
            opening("[[listen]] outside sip", Some("203.0.113.10"), 5061, &ALL),
            opening("[[listen]] outside xmpp", Some("2001:db8::10"), 5269, &ALL),
        ],
        maps: Vec::new(),
        leaving: Vec::new(),
        outgoing: Outgoing::Any,
        inside: Vec::new(),
        outside: Vec::new(),
    }
}

fn node(address: &str, weight: u16) -> KernelNode {
    KernelNode {
        address: address.parse().unwrap(),
        weight,
    }
}

fn large() -> Firewall {
    let mut firewall = small();
    firewall.openings.extend([
        opening("[[listen]] inside xmpp", Some("0.0.0.0"), 5269, &ALL),
        opening(
            "[[port_map]] chat-1",
            Some("203.0.113.10"),
            25269,
            &["198.51.100.0/24", "198.51.100.128/25", "2001:db8:1::/48"],
        ),
        opening(
            "management",
            None,
            22,
            &["10.0.9.0/24", "fd00:9::/64", "10.0.9.0/24"],
        ),
    ]);
    firewall.maps = vec![
        KernelMap {
            name: "chat-2".to_owned(),
            carrier: Carrier::Tcp,
            public: vec![
                "203.0.113.10:35269".parse().unwrap(),
                "[2001:db8::10]:35269".parse().unwrap(),
            ],
            nodes: vec![
                node("10.0.0.2:5269", 2),
                node("10.0.0.3:5270", 1),
                node("[fd00::2]:5269", 1),
            ],
            allowed: networks(&ALL),
            idle: Duration::from_secs(3600),
            connections: 1000,
        },
        KernelMap {
            name: "media".to_owned(),
            carrier: Carrier::Udp,
            public: vec!["203.0.113.11:3478".parse().unwrap()],
            nodes: vec![node("10.0.0.4:3478", 1)],
            allowed: networks(&["198.51.100.0/24"]),
            idle: Duration::from_millis(20_500),
            connections: 10,
        },
    ];
    firewall.leaving = vec![Leaving {
        name: "chat-2".to_owned(),
        carrier: Carrier::Tcp,
        node: "10.0.0.2".parse().unwrap(),
        public: "203.0.113.10".parse().unwrap(),
    }];
    firewall.outgoing = Outgoing::Own {
        user: "vestibule".to_owned(),
    };
    firewall.inside = networks(&["192.0.2.0/24"]);
    firewall.outside = networks(&["10.99.0.0/16", "fd99::/16"]);
    firewall
}

#[test]
fn listeners_alone_make_a_small_ruleset() {
    insta::assert_snapshot!(small().ruleset());
}

#[test]
fn maps_leaving_nodes_and_what_the_machine_may_open_are_in_the_ruleset() {
    insta::assert_snapshot!(large().ruleset());
}

#[test]
fn who_is_let_in_is_known_before_the_rules_are_loaded() {
    let firewall = large();
    for (source, to, expected) in [
        ("198.51.100.1", "203.0.113.10:5061", true),
        ("198.51.100.1", "203.0.113.11:5061", false),
        ("198.51.100.1", "10.0.0.10:5269", true),
        ("198.51.100.1", "203.0.113.10:25269", true),
        ("198.51.101.1", "203.0.113.10:25269", false),
        ("10.0.9.7", "10.0.0.10:22", true),
        ("10.0.8.7", "10.0.0.10:22", false),
        ("::ffff:10.0.9.7", "10.0.0.10:22", true),
        ("fd00:9::1", "[fd00::10]:22", true),
        ("2001:db8:2::1", "[2001:db8::11]:5269", false),
    ] {
        let admitted = firewall.admits(source.parse().unwrap(), to.parse().unwrap(), Carrier::Tcp);
        assert_eq!(admitted, expected, "{source} to {to}");
    }
    assert!(!firewall.admits(
        "10.0.9.7".parse().unwrap(),
        "10.0.0.10:22".parse().unwrap(),
        Carrier::Udp
    ));
}
