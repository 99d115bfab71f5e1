//! Tables of look-ups and plans.

#![allow(clippy::arithmetic_side_effects, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::naptr::NaptrRecord;
use super::select::{Health, Watch, Weighted};
use super::srv::{Answer, Service, SrvName, SrvRecord};
use super::*;
use crate::domain::{Domain, DomainPattern};
use crate::policy::Party;
use crate::refusal::Refuse;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn party(text: &str) -> Party {
    match text.rsplit_once('@') {
        Some((user, name)) => Party::new(Some(user), domain(name)),
        None => Party::new(None, domain(text)),
    }
}

fn number(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value).unwrap()
}

/// `host`, `host:port`, and `host:port/priority/weight`.
fn node(text: &str) -> Node {
    let mut parts = text.split('/');
    let (host, port) = match parts.next().unwrap().rsplit_once(':') {
        Some((host, port)) => (host, Some(number(port.parse().unwrap()))),
        None => (text, None),
    };
    let mut number = || parts.next().map_or(1, |word| word.parse().unwrap());
    Node {
        host: Host::parse(host).unwrap(),
        port,
        transport: Transport::Tcp,
        priority: number(),
        weight: number(),
    }
}

fn local(name: &str, protocol: Protocol, nodes: &[&str]) -> Local {
    Local {
        domain: domain(name),
        protocol,
        role: Role::User,
        nodes: Nodes::List(nodes.iter().map(|text| node(text)).collect()),
        tls: None,
        link: Link::S2s,
        profile: Profile::Simple,
    }
}

fn srv_name(text: &str) -> SrvName {
    SrvName::parse(text, Transport::Tcp).unwrap().0
}

fn federated(pattern: &str, protocol: Speaks) -> Federated {
    Federated {
        protocol,
        ..Federated::unlisted(DomainPattern::parse(pattern).unwrap())
    }
}

const SIP: Speaks = Speaks::Only(Protocol::Sip);
const XMPP: Speaks = Speaks::Only(Protocol::Xmpp);

fn static_route(pattern: &str, host: &str, port: u16) -> StaticRoute {
    let (user, name) = match pattern.rsplit_once('@') {
        Some((user, name)) => (Some(UserPattern::parse(user).unwrap()), name),
        None => (None, pattern),
    };
    StaticRoute {
        pattern: RoutePattern {
            user,
            domain: DomainPattern::parse(name).unwrap(),
        },
        next_hop: NextHop {
            host: Host::parse(host).unwrap(),
            found: NonZeroU16::new(port).map_or(Found::Service, Found::Port),
        },
        transport: Transport::Tls,
        priority: number(1),
        weight: number(1),
        state: RouteState::InService,
        less_specific: LessSpecific::Allowed,
    }
}

fn table(locals: &[&str], foreign: Vec<Federated>) -> Table {
    let locals = locals
        .iter()
        .map(|name| local(name, Protocol::Xmpp, &["imp1.corp.example:5269"]));
    Table::new(locals.collect(), foreign, None).unwrap()
}

/// The entry an address belongs to: `local NAME` or `foreign PATTERN`.
fn entry(table: &Table, to: &str) -> String {
    match table.lookup(&party(to), Protocol::Xmpp) {
        Ok(route) => match route.destination() {
            Destination::Local(local) => format!("local {}", local.domain),
            Destination::Foreign(entry) => format!("foreign {}", entry.pattern),
        },
        Err(error) => error.to_string(),
    }
}

/// What is tried, in words, with weights left out where a random number would decide.
fn plan(table: &Table, to: &str) -> Vec<String> {
    let route = table.lookup(&party(to), Protocol::Xmpp).unwrap();
    let mut lines = Vec::new();
    for plan in route.plans() {
        for step in plan.steps(|_| Health::Up, &mut |_| 0) {
            lines.push(match step {
                Step::Address(target) => format!("{target} for {}", target.domain),
                Step::Discover(discovery) => format!("{discovery} for {}", discovery.template.domain),
            });
        }
    }
    lines
}

#[test]
fn sub_domains_go_where_the_longest_whole_label_match_says() {
    // Local below foreign.
    let inner = table(&["imp.example.com"], vec![federated("*.example.com", XMPP)]);
    assert_eq!(entry(&inner, "a@imp.example.com"), "local imp.example.com");
    assert_eq!(entry(&inner, "a@example.com"), "foreign *.example.com");
    assert_eq!(entry(&inner, "a@other.example.com"), "foreign *.example.com");
    // Foreign below local.
    let outer = table(&["example.com"], vec![federated("foreign.example.com", XMPP)]);
    assert_eq!(entry(&outer, "a@example.com"), "local example.com");
    assert_eq!(
        entry(&outer, "a@foreign.example.com"),
        "foreign foreign.example.com"
    );
    assert_eq!(
        entry(&outer, "a@third.example.com"),
        "third.example.com is neither a local nor a federated domain"
    );
    // Siblings.
    let siblings = table(&["a.example.com"], vec![federated("b.example.com", SIP)]);
    assert_eq!(entry(&siblings, "u@a.example.com"), "local a.example.com");
    assert_eq!(entry(&siblings, "u@b.example.com"), "foreign b.example.com");
    // Equal names: ours first.
    let equal = table(
        &["example.com"],
        vec![federated("example.com", XMPP), federated("*.example.com", SIP)],
    );
    assert_eq!(entry(&equal, "a@example.com"), "local example.com");
    assert_eq!(entry(&equal, "a@sub.example.com"), "foreign *.example.com");
    // Whole labels, and the longest.
    let many = vec![
        federated("*.example.com", XMPP),
        federated("*.deep.example.com", XMPP),
        federated("deep.example.com", XMPP),
    ];
    let many = table(&[], many);
    assert_eq!(entry(&many, "a@x.deep.example.com"), "foreign *.deep.example.com");
    assert_eq!(entry(&many, "a@deep.example.com"), "foreign deep.example.com");
    assert_eq!(
        entry(&many, "a@badexample.com"),
        "badexample.com is neither a local nor a federated domain"
    );
}

#[test]
fn a_name_stands_in_the_table_once() {
    let twice = Table::new(
        vec![
            local("a.example", Protocol::Sip, &[]),
            local("a.example", Protocol::Xmpp, &[]),
        ],
        Vec::new(),
        None,
    );
    assert_eq!(twice.unwrap_err(), Conflict::Local(domain("a.example")));
    let pattern = || federated("*.a.example", SIP);
    let twice = Table::new(
        Vec::new(),
        vec![pattern(), federated("a.example", SIP), pattern()],
        None,
    );
    assert_eq!(
        twice.unwrap_err().to_string(),
        "the federated domain *.a.example is configured twice"
    );
}

#[test]
fn the_servers_of_a_domain_are_judged_by_the_context_that_it_names() {
    let name = |text: &str| TlsName::new(text);
    let ours = Local {
        tls: Some(name("internal")),
        ..local("example.com", Protocol::Xmpp, &["node.corp"])
    };
    let plain = local("plain.example.com", Protocol::Xmpp, &["node.corp"]);
    let theirs = Federated {
        tls: Some(name("partner")),
        ..federated("*.partner.org", XMPP)
    };
    let table = Table::new(vec![ours, plain], vec![theirs], None).unwrap();
    for (of, expected) in [
        ("example.com", Some("internal")),
        ("plain.example.com", None),
        ("im.partner.org", Some("partner")),
        ("stranger.org", None),
    ] {
        let expected = expected.map(name);
        assert_eq!(table.tls_of(&domain(of)), expected.as_ref(), "{of}");
    }
}

#[test]
fn an_unlisted_domain_is_reached_only_where_that_is_configured() {
    let error = table(&[], vec![])
        .lookup(&party("a@x.example"), Protocol::Sip)
        .unwrap_err();
    assert_eq!(
        (error.class(), error.sip_status(), error.stanza_condition()),
        ("no_route", 404, "remote-server-not-found")
    );
    let open = Federated::unlisted(DomainPattern::parse("*.example").unwrap());
    let open = Table::new(Vec::new(), Vec::new(), Some(open)).unwrap();
    let order = |origin| {
        let route = open.lookup(&party("a@x.other"), origin).unwrap();
        let protocols = route.plans().iter().map(Plan::protocol);
        (protocols.collect::<Vec<_>>(), route)
    };
    assert_eq!(order(Protocol::Xmpp).0, [Protocol::Xmpp, Protocol::Sip]);
    let (protocols, route) = order(Protocol::Sip);
    assert_eq!(protocols, [Protocol::Sip, Protocol::Xmpp]);
    // A learned protocol.
    let learned = route.only(Protocol::Xmpp);
    assert_eq!(
        learned.plans().iter().map(Plan::protocol).collect::<Vec<_>>(),
        [Protocol::Xmpp]
    );
    assert!(open.listed(&domain("x.other")).is_none());
}

#[test]
fn dns_is_asked_in_the_order_of_the_specification() {
    let preferred = Speaks::Auto(Some(Protocol::Sip));
    let fallback = Federated {
        address_fallback: AddressFallback::Allowed,
        ..federated("open.example", SIP)
    };
    let table = table(
        &[],
        vec![
            federated("x.example", XMPP),
            federated("*.s.example", SIP),
            fallback,
            federated("both.example", preferred),
        ],
    );
    assert_eq!(
        plan(&table, "a@x.example"),
        [
            "xmpp by DNS: SRV _xmpps-server._tcp.x.example with _xmpp-server._tcp.x.example, or where there is none \
             x.example:5269 for x.example"
        ]
    );
    // The name that is asked about is the address's own, not the pattern's.
    let sip = "sip by DNS: SRV _sipfederationtls._tcp.a.s.example, then SRV _sips._tcp.a.s.example, then NAPTR \
               a.s.example";
    assert_eq!(plan(&table, "a@a.s.example"), [format!("{sip} for a.s.example")]);
    assert!(plan(&table, "a@open.example")[0].contains("or where there is none open.example:5061"));
    let both = plan(&table, "a@both.example");
    assert!(
        both[0].starts_with("sip by DNS") && both[1].starts_with("xmpp by DNS"),
        "{both:?}"
    );
}

#[test]
fn static_routes_go_from_the_most_specific_pattern_to_dns() {
    let mut entry = federated("*.contoso.example", SIP);
    entry.routes = vec![
        static_route("*.contoso.example", "any.example", 5061),
        static_route("hq.contoso.example", "hq.example", 0),
        static_route("ali..@hq.contoso.example", "alice.example", 5061),
        static_route("a*@hq.contoso.example", "a.example", 5061),
        static_route("*.contoso.example", "192.0.2.9", 0),
    ];
    let table = table(&[], vec![entry]);
    // A static route without a port, and DNS at the end, ask for SRV records.
    assert_eq!(
        plan(&table, "bob@hq.contoso.example"),
        [
            "sip by DNS: SRV _sipfederationtls._tcp.hq.example, then SRV _sips._tcp.hq.example, or where there is none \
             hq.example:5061 for hq.contoso.example",
            "sip over tls to any.example:5061 for hq.contoso.example",
            "sip over tls to 192.0.2.9:5061 for hq.contoso.example",
            "sip by DNS: SRV _sipfederationtls._tcp.hq.contoso.example, then SRV _sips._tcp.hq.contoso.example, then \
             NAPTR hq.contoso.example for hq.contoso.example",
        ]
    );
    let tail = ["any.example:5061", "192.0.2.9:5061"].map(str::to_owned);
    let hosts_of = |to: &str| {
        let found = plan(&table, to);
        found
            .iter()
            .map(|line| {
                line.split(" to ")
                    .nth(1)
                    .unwrap_or("DNS")
                    .split(' ')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    let expected = |first: &[&str]| {
        let first = first.iter().map(|text| (*text).to_owned());
        first
            .chain(tail.clone())
            .chain(["DNS".to_owned()])
            .collect::<Vec<_>>()
    };
    assert_eq!(
        hosts_of("alice@hq.contoso.example"),
        expected(&["alice.example:5061", "a.example:5061", "DNS"])
    );
    assert_eq!(
        hosts_of("ALICE@hq.contoso.example"),
        expected(&["alice.example:5061", "a.example:5061", "DNS"])
    );
    assert_eq!(
        hosts_of("alix@hq.contoso.example"),
        expected(&["a.example:5061", "DNS"])
    );
    assert_eq!(hosts_of("hq.contoso.example"), expected(&["DNS"]));
    assert_eq!(hosts_of("alice@x.contoso.example"), expected(&[]));
}

#[test]
fn routes_out_of_service_blocked_or_final_change_what_follows() {
    let lines = |change: &dyn Fn(&mut Vec<StaticRoute>)| {
        let mut entry = federated("*.x.example", SIP);
        entry.routes = vec![
            static_route("a.x.example", "first.example", 5061),
            static_route("a.x.example", "second.example", 5061),
            static_route("*.x.example", "wide.example", 5061),
        ];
        change(&mut entry.routes);
        let table = table(&[], vec![entry]);
        match table.lookup(&party("u@a.x.example"), Protocol::Xmpp) {
            Ok(_) => plan(&table, "u@a.x.example")
                .iter()
                .map(|line| {
                    line.split(" to ")
                        .nth(1)
                        .unwrap_or("DNS")
                        .split(':')
                        .next()
                        .unwrap()
                        .to_owned()
                })
                .collect(),
            Err(error) => vec![format!("{} {error}", error.sip_status())],
        }
    };
    let all = ["first.example", "second.example", "wide.example", "DNS"];
    assert_eq!(lines(&|_| {}), all);
    let out = RouteState::OutOfService;
    assert_eq!(lines(&|routes| routes[0].state = out), all[1..]);
    assert_eq!(
        lines(&|routes| (routes[0].state, routes[1].state) = (out, out)),
        all[2..]
    );
    // Only these, and not even DNS.
    let last = LessSpecific::Forbidden;
    assert_eq!(lines(&|routes| routes[1].less_specific = last), all[..2]);
    assert_eq!(lines(&|routes| routes[2].less_specific = last), all[..3]);
    // A route that is out of service says nothing.
    assert_eq!(
        lines(&|routes| {
            routes[0].state = out;
            routes[0].less_specific = last;
        }),
        all[1..]
    );
    let block = RouteState::Blocked;
    assert_eq!(lines(&|routes| routes[0].state = block), all[1..]);
    assert_eq!(
        lines(&|routes| (routes[0].state, routes[1].state) = (block, out)),
        ["403 a user of a.x.example is blocked by a static route"]
    );
    assert_eq!(lines(&|routes| routes[2].state = block), all[..2]);
}

#[test]
fn user_patterns_count_characters_and_take_the_rest() {
    for (pattern, user, matches) in [
        ("alice", "alice", true),
        ("Alice", "alice", true),
        ("alice", "alicex", false),
        ("ali..", "alice", true),
        ("ali..", "ali", false),
        ("ali..", "alicex", false),
        ("4*", "4711", true),
        ("4*", "4", true),
        ("4*", "5", false),
        ("*", "anyone", true),
        (".", "ü", true),
        ("..*", "a", false),
    ] {
        assert_eq!(
            UserPattern::parse(pattern).unwrap().matches(user),
            matches,
            "{pattern} {user}"
        );
    }
    assert_eq!(UserPattern::parse(""), Err(UserPatternError::Empty));
    assert_eq!(UserPattern::parse("a*b"), Err(UserPatternError::InnerStar));
}

#[test]
fn a_domain_behind_a_clearing_house_is_tried_itself_first_and_the_house_last() {
    let mut behind = federated("friend.example", SIP);
    behind.routes = vec![static_route("friend.example", "direct.example", 5061)];
    behind.via = Some(domain("house.example"));
    behind.tls = Some(TlsName::new("public"));
    let mut house = federated("house.example", SIP);
    house.routes = vec![static_route("house.example", "hub.example", 5061)];
    house.tls = Some(TlsName::new("house"));
    house.via = Some(domain("friend.example"));
    // A pattern that would let the house speak for us, were we not local.
    let mut ours = federated("*.own.example", SIP);
    ours.via = Some(domain("house.example"));
    let table = table(&["own.example"], vec![behind, house, ours]);
    assert_eq!(
        plan(&table, "a@friend.example"),
        [
            "sip over tls to direct.example:5061 for friend.example",
            "sip by DNS: SRV _sipfederationtls._tcp.friend.example, then SRV _sips._tcp.friend.example, then NAPTR \
             friend.example for friend.example",
            "sip over tls to hub.example:5061 for house.example",
            "sip by DNS: SRV _sipfederationtls._tcp.house.example, then SRV _sips._tcp.house.example, then NAPTR \
             house.example for house.example",
        ]
    );
    let route = table.lookup(&party("a@friend.example"), Protocol::Sip).unwrap();
    let steps = route.plans()[0].steps(|_| Health::Up, &mut |_| 0);
    let contexts: Vec<_> = steps
        .iter()
        .map(|step| match step {
            Step::Address(target) => target.tls.as_ref().map(TlsName::as_str),
            Step::Discover(discovery) => discovery.template.tls.as_ref().map(TlsName::as_str),
        })
        .collect();
    assert_eq!(
        contexts,
        [Some("public"), Some("public"), Some("house"), Some("house")]
    );
    let house_of = |name: &str| {
        let (house, tls) = table.house_of(&domain(name))?;
        Some((house.to_string(), tls.map(TlsName::to_string)))
    };
    assert_eq!(
        house_of("friend.example"),
        Some(("house.example".to_owned(), Some("house".to_owned())))
    );
    for nobody in ["own.example", "sub.friend.example", "stranger.example"] {
        assert_eq!(house_of(nobody), None, "{nobody}");
    }
    for (proven, from, may) in [
        ("house.example", "friend.example", true),
        ("house.example", "house.example", true),
        ("friend.example", "friend.example", true),
        ("house.example", "own.example", false),
        ("house.example", "stranger.example", false),
        ("stranger.example", "friend.example", false),
        ("house.example", "sub.friend.example", false),
    ] {
        assert_eq!(
            table.may_speak_for(&domain(proven), &domain(from)),
            may,
            "{proven} for {from}"
        );
    }
}

#[test]
fn nodes_share_by_weight_and_a_failed_ones_share_goes_to_the_others() {
    let nodes = [
        "one.example:5269/1/75",
        "two.example:5269/1/25",
        "spare.example:5269/2/1",
    ];
    let table = Table::new(
        vec![local("own.example", Protocol::Xmpp, &nodes)],
        Vec::new(),
        None,
    )
    .unwrap();
    let route = table.lookup(&party("a@own.example"), Protocol::Sip).unwrap();
    let plan = &route.plans()[0];
    let order = |down: &[&str], random: &mut dyn FnMut(u64) -> u64| -> Vec<String> {
        let health = |target: &Target| {
            if down.contains(&target.host.to_string().as_str()) {
                Health::Down
            } else {
                Health::Up
            }
        };
        plan.steps(health, random)
            .into_iter()
            .map(|step| match step {
                Step::Address(target) => {
                    assert_eq!((target.side, target.port.get()), (Side::Inside, 5269));
                    target.host.to_string()
                }
                Step::Discover(_) => unreachable!(),
            })
            .collect()
    };
    assert_eq!(
        order(&[], &mut |_| 75),
        ["one.example", "two.example", "spare.example"]
    );
    assert_eq!(
        order(&[], &mut |_| 76),
        ["two.example", "one.example", "spare.example"]
    );
    assert_eq!(
        order(&["one.example"], &mut |_| 0),
        ["two.example", "spare.example", "one.example"]
    );
    assert_eq!(
        order(&["one.example", "two.example"], &mut |_| 0),
        ["spare.example", "one.example", "two.example"]
    );
}

#[test]
fn a_route_to_an_srv_name_is_found_by_those_records_and_by_nothing_else() {
    let mut entry = federated("friend.example", XMPP);
    let mut route = static_route("friend.example", "hub.example", 0);
    route.next_hop.found = Found::Records(srv_name("_xmpp-server._tcp.hub.example"));
    route.less_specific = LessSpecific::Forbidden;
    entry.routes = vec![route];
    assert_eq!(
        plan(&table(&[], vec![entry]), "a@friend.example"),
        ["xmpp by DNS: SRV _xmpp-server._tcp.hub.example for friend.example"]
    );
}

#[test]
fn srv_names_in_full() {
    for (text, known, transport, host) in [
        (
            "_xmpp-server._tcp.hub.example",
            Some(Service::XmppServer),
            Transport::Tcp,
            "hub.example",
        ),
        (
            "_XMPPS-Server._TCP.Hub.example.",
            Some(Service::XmppsServer),
            Transport::Tls,
            "hub.example",
        ),
        (
            "_sipfederationtls._tcp.a.b.example",
            Some(Service::SipFederationTls),
            Transport::Tls,
            "a.b.example",
        ),
        (
            "_sip._udp.hub.example",
            Some(Service::SipUdp),
            Transport::Udp,
            "hub.example",
        ),
        // Of these the operator says what carries them.
        ("_sip._tls.hub.example", None, Transport::Tcp, "hub.example"),
        (
            "_xmpp-server2._tcp.hub.example",
            None,
            Transport::Tcp,
            "hub.example",
        ),
    ] {
        let (name, of) = SrvName::parse(text, Transport::Tcp).unwrap();
        assert_eq!(
            (name.service(), name.transport(), of),
            (known, transport, domain(host)),
            "{text}"
        );
        assert_eq!(
            format!("{name}."),
            text.trim_end_matches('.').to_ascii_lowercase() + "."
        );
    }
    let long = format!("_{}._tcp.example", "a".repeat(63));
    let longer = format!("_xmpp-server._tcp.{}example", "abcdefghi.".repeat(24));
    for text in [
        "_xmpp-server",
        "_xmpp-server._tcp",
        "_xmpp-server._tcp.",
        "_._tcp.example",
        "_xmpp-server._sctp.example",
        "_xmpp-server.example",
        "xmpp-server._tcp.example",
        "_xmpp server._tcp.example",
        "_a._tcp.-b.example",
        "_xmpp-server._tcp.192.0.2.1",
        &long,
        &longer,
    ] {
        assert!(SrvName::parse(text, Transport::Tcp).is_err(), "{text}");
    }
}

#[test]
fn links_ports_and_srv_names_of_local_domains() {
    let mut component = local(
        "chat.example",
        Protocol::Xmpp,
        &["imp.example:5269", "imp2.example"],
    );
    component.link = Link::Component(ComponentLink {
        port: number(5347),
        secret: Secret::new("s3cret"),
    });
    assert!(!format!("{component:?}").contains("s3cret"));
    let mut by_name = local("srv.example", Protocol::Xmpp, &[]);
    by_name.nodes = Nodes::Srv {
        name: domain("cluster.corp.example"),
        transport: Transport::Tcp,
        records: None,
    };
    let mut in_full = by_name.clone();
    in_full.domain = domain("full.example");
    in_full.nodes = Nodes::Srv {
        name: domain("cluster.corp.example"),
        transport: Transport::Tcp,
        records: Some(srv_name("_xmpp-server._tcp.cluster.corp.example")),
    };
    let mut sip = local("sip.example", Protocol::Sip, &["a.example", "[2001:db8::1]:5070"]);
    if let Nodes::List(nodes) = &mut sip.nodes {
        nodes[0].transport = Transport::Tls;
        nodes[1].transport = Transport::Udp;
    }
    let table = Table::new(vec![component, by_name, in_full, sip], Vec::new(), None).unwrap();
    assert_eq!(
        plan(&table, "chat.example"),
        [
            "xmpp over tcp to imp.example:5347 for chat.example",
            "xmpp over tcp to imp2.example:5347 for chat.example"
        ]
    );
    assert_eq!(
        plan(&table, "srv.example"),
        [
            "xmpp by DNS: SRV _xmpp-server._tcp.cluster.corp.example, or where there is none cluster.corp.example:5269 \
             for srv.example"
        ]
    );
    assert_eq!(
        plan(&table, "full.example"),
        ["xmpp by DNS: SRV _xmpp-server._tcp.cluster.corp.example for full.example"]
    );
    assert_eq!(
        plan(&table, "sip.example"),
        [
            "sip over tls to a.example:5061 for sip.example",
            "sip over udp to [2001:db8::1]:5070 for sip.example"
        ]
    );
}

#[test]
fn a_route_tells_the_operator_what_it_is() {
    let mut entry = federated("contoso.example", SIP);
    entry.description = "Contoso (Lync)".to_owned();
    entry.routes = vec![static_route("contoso.example", "sip.contoso.example", 5061)];
    let route = table(&[], vec![entry])
        .lookup(&party("a@contoso.example"), Protocol::Xmpp)
        .unwrap();
    let lines = route.describe();
    assert_eq!(lines[0], "federated domain contoso.example, Contoso (Lync)");
    assert_eq!(
        lines[1],
        "sip over tls to sip.contoso.example:5061 (priority 1, weight 1)"
    );
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_target_is_set_aside_probed_after_a_growing_time_and_back_when_it_answers() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut watch = Watch::new(Duration::from_secs(2), Duration::from_secs(60));
    assert_eq!(watch.health(start), Health::Up);
    assert_eq!(watch.failed(start, u32::MAX), at(2));
    assert_eq!(
        (watch.health(at(1)), watch.health(at(2))),
        (Health::Down, Health::Probing)
    );
    assert_eq!(watch.failed(at(2), u32::MAX), at(6));
    assert_eq!(watch.health(at(5)), Health::Down);
    watch.succeeded();
    assert_eq!((watch.health(at(5)), watch.probe_at()), (Health::Up, None));
    // The growth starts again, and a peer's own wish counts.
    assert_eq!(watch.failed(at(10), u32::MAX), at(12));
    assert_eq!(watch.asked_to_wait(at(10), Duration::from_secs(30)), at(40));
    assert_eq!(watch.health(at(39)), Health::Down);
}

#[test]
fn naptr_records_lead_to_srv_names_of_transports_we_use() {
    let record = |order, preference, flags: &str, services: &str, replacement: &str| NaptrRecord {
        order,
        preference,
        flags: flags.to_owned(),
        services: services.to_owned(),
        regexp: String::new(),
        replacement: replacement.to_owned(),
    };
    let records = [
        record(100, 50, "s", "SIP+D2U", "_sip._udp.example.com."),
        record(90, 60, "s", "SIP+D2T", "_sip._tcp.example.com"),
        record(90, 50, "S", "sips+d2t", "_SIPS._tcp.Example.com."),
        record(1, 1, "s", "SIPS+D2S", "_sips._sctp.example.com."),
        record(1, 1, "u", "SIPS+D2T", "_sips._tcp.wrong.example."),
        record(1, 1, "s", "SIPS+D2T", "."),
        record(1, 1, "s", "E2U+sip", "_sip._tcp.wrong.example."),
        NaptrRecord {
            regexp: "!^.*$!x!".to_owned(),
            ..record(1, 1, "s", "SIPS+D2T", "_sips._tcp.wrong.example.")
        },
    ];
    let found = |supported: &[Transport]| -> Vec<_> {
        let names = naptr::select(&records, supported);
        names
            .iter()
            .map(|name| (name.to_fqdn(), name.transport()))
            .collect()
    };
    let tls = ("_sips._tcp.example.com.".to_owned(), Transport::Tls);
    assert_eq!(found(&[Transport::Tls]), std::slice::from_ref(&tls));
    let all = found(&[Transport::Udp, Transport::Tcp, Transport::Tls]);
    assert_eq!(
        all,
        [
            tls,
            ("_sip._tcp.example.com.".to_owned(), Transport::Tcp),
            ("_sip._udp.example.com.".to_owned(), Transport::Udp),
        ]
    );
    assert!(found(&[]).is_empty());
}

fn template() -> Target {
    Target {
        protocol: Protocol::Xmpp,
        transport: Transport::Tcp,
        side: Side::Outside,
        host: Host::Name(domain("x.example")),
        port: number(5269),
        domain: domain("x.example"),
        tls: None,
    }
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> SrvRecord {
    SrvRecord {
        priority,
        weight,
        port,
        target: (target != ".").then(|| domain(target)),
    }
}

#[test]
fn answers_of_direct_tls_and_starttls_are_one_set() {
    let tls = SrvName::new(Service::XmppsServer, &domain("x.example"));
    let plain = SrvName::new(Service::XmppServer, &domain("x.example"));
    let targets = |secure: &[SrvRecord], other: &[SrvRecord]| {
        let answers = [(tls.clone(), secure.to_vec()), (plain.clone(), other.to_vec())];
        srv::targets(&answers, &template(), &mut |_| 0)
    };
    let shown = |answer: Answer| match answer {
        Answer::Targets(targets) => targets.iter().map(Target::to_string).collect::<Vec<_>>(),
        other @ (Answer::Nothing | Answer::NotOffered) => vec![format!("{other:?}")],
    };
    assert_eq!(
        shown(targets(
            &[srv(5, 1, 443, "b.example"), srv(30, 1, 5270, "d.example")],
            &[srv(20, 1, 5269, "c.example"), srv(1, 1, 5269, "a.example")]
        )),
        [
            "xmpp over tcp to a.example:5269",
            "xmpp over tls to b.example:443",
            "xmpp over tcp to c.example:5269",
            "xmpp over tls to d.example:5270",
        ]
    );
    // One of the two is not offered: the other counts.
    assert_eq!(
        shown(targets(&[srv(0, 0, 0, ".")], &[srv(1, 1, 5269, "a.example")])),
        ["xmpp over tcp to a.example:5269"]
    );
    assert_eq!(shown(targets(&[], &[srv(0, 0, 0, ".")])), ["NotOffered"]);
    assert_eq!(shown(targets(&[], &[srv(1, 1, 0, "a.example")])), ["NotOffered"]);
    assert_eq!(shown(targets(&[], &[])), ["Nothing"]);
}

#[test]
fn hosts_are_names_or_addresses() {
    for (text, shown) in [
        ("IMP.example", "imp.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ] {
        assert_eq!(Host::parse(text).unwrap().to_string(), shown);
    }
    for text in ["", "[192.0.2.1", "a b", "_sip._tcp.x.example", "fe80::1%eth0"] {
        assert!(Host::parse(text).is_err(), "{text}");
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Item(u16, u16, usize);

impl Weighted for Item {
    fn priority(&self) -> u16 {
        self.0
    }

    fn weight(&self) -> u16 {
        self.1
    }
}

proptest! {
    #[test]
    fn any_order_is_a_permutation_by_health_and_priority_and_the_same_for_the_same_numbers(
        weights in proptest::collection::vec((0_u16..3, any::<u16>(), 0_u8..3), 0..20),
        numbers in proptest::collection::vec(any::<u64>(), 1..8),
    ) {
        let items: Vec<_> = weights.iter().enumerate().map(|(at, (p, w, _))| Item(*p, *w, at)).collect();
        let health = |item: &Item| match weights[item.2].2 {
            0 => Health::Up,
            1 => Health::Probing,
            _ => Health::Down,
        };
        let order = || {
            let mut turn = numbers.iter().cycle();
            select::order(items.clone(), health, &mut |_| *turn.next().unwrap())
        };
        let ordered = order();
        prop_assert_eq!(&ordered, &order());
        prop_assert!(ordered.iter().is_sorted_by_key(|item| (health(item), item.0)));
        let mut positions: Vec<_> = ordered.iter().map(|item| item.2).collect();
        positions.sort_unstable();
        prop_assert_eq!(positions, (0..items.len()).collect::<Vec<_>>());
    }

    #[test]
    fn no_look_up_panics_and_every_route_has_something_to_try(
        patterns in proptest::collection::btree_set("(\\*\\.)?[ab](\\.[ab]){0,2}", 0..5),
        locals in proptest::collection::btree_set("[ab](\\.[ab]){0,2}", 0..3),
        routes in proptest::collection::vec(("([ab.]{1,2}\\*?@)?(\\*\\.)?[ab](\\.[ab]){0,1}", 0_u16..3, 0_u8..3, any::<bool>()), 0..5),
        to in "([ab]{1,3}@)?[ab](\\.[ab]){0,3}",
        via in proptest::option::of("[ab](\\.[ab]){0,2}"),
    ) {
        let routes: Vec<_> = routes.iter().map(|(pattern, port, state, last)| StaticRoute {
            state: [RouteState::InService, RouteState::OutOfService, RouteState::Blocked][usize::from(*state)],
            less_specific: if *last { LessSpecific::Forbidden } else { LessSpecific::Allowed },
            ..static_route(pattern, "hop.example", *port)
        }).collect();
        let foreign = patterns.iter().map(|pattern| Federated {
            routes: routes.clone(),
            via: via.as_deref().map(domain),
            ..federated(pattern, Speaks::Auto(None))
        });
        let locals: Vec<_> = locals.iter().map(String::as_str).collect();
        let table = table(&locals, foreign.collect());
        for origin in [Protocol::Sip, Protocol::Xmpp] {
            if let Ok(route) = table.lookup(&party(&to), origin) {
                prop_assert!(!route.plans().is_empty());
                for plan in route.plans() {
                    prop_assert!(!plan.steps(|_| Health::Down, &mut |most| most).is_empty());
                }
                prop_assert!(route.describe().len() > 1);
            }
        }
    }
}
