//! The configuration as an administrator meets it: a file, files it names, the environment, and what is said of them.

#![allow(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "tests, and what only tests use"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use vestibule::config::{self, Loaded, Report};
use vestibule::domain::Domain;
use vestibule::policy::{Direction, Kind, Party, Query};
use vestibule::route::{Link, Nodes, Protocol};
use vestibule::sip::proxy::{Bodies, Sessions};

/// Whom the certificates of the tests name: the edge, and every local domain of the configurations here.
const NAMES: [&str; 4] = [
    "edge.example.com",
    "example.com",
    "*.example.com",
    "voice.example.com",
];

/// A folder that stands for `/etc/vestibule`, with certificates and secrets in it; gone when dropped.
pub(crate) struct Etc(PathBuf);

impl Etc {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("etc-{}-{number}", std::process::id()));
        let etc = Self(folder);
        for name in ["edge", "inside", "other"] {
            let pair = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned)).unwrap();
            etc.write(&format!("tls/{name}.pem"), &pair.cert.pem(), 0o644);
            etc.write(
                &format!("tls/{name}.key"),
                &pair.signing_key.serialize_pem(),
                0o600,
            );
            etc.write(&format!("trust/internal/{name}.pem"), &pair.cert.pem(), 0o644);
        }
        fs::copy(etc.path("tls/other.pem"), etc.path("trust/partner.pem")).unwrap();
        etc.write("component.secret", "a long secret between two servers\n", 0o600);
        etc.write("dialback.secret", "another long secret\n", 0o640);
        etc
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A text of the configuration with this folder in place of `/etc/vestibule`.
    pub(crate) fn here(&self, text: &str) -> String {
        text.replace("/etc/vestibule", &self.0.display().to_string())
    }

    /// The reverse of [`Self::here`], for what is shown; carets under the folder's name shrink with it.
    pub(crate) fn shown(&self, text: &str) -> String {
        let here = self.0.display().to_string();
        let surplus = here.len() - "/etc/vestibule".len();
        let mut under_name = false;
        let mut shown = String::new();
        for line in text.lines() {
            let carets = line.matches('^').count();
            if under_name && carets > surplus {
                shown.push_str(line.trim_end_matches('^'));
                shown.push_str(&"^".repeat(carets - surplus));
            } else {
                shown.push_str(&line.replace(&here, "/etc/vestibule"));
            }
            shown.push('\n');
            under_name = line.contains(&here);
        }
        shown
    }

    fn read(&self, text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Report> {
        let environment: BTreeMap<String, String> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        config::read(Path::new("vestibule.toml"), &self.here(text), &environment)
    }

    /// All that is said of a text.
    fn report(&self, text: &str, environment: &[(&str, &str)]) -> String {
        let said = match self.read(text, environment) {
            Ok(loaded) => {
                let warnings: Vec<String> = loaded
                    .warnings
                    .iter()
                    .map(|w| format!("warning: {w}\n"))
                    .collect();
                format!("usable\n{}", warnings.concat())
            }
            Err(report) => report.to_string(),
        };
        self.shown(&said)
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A configuration that is right, without policy and federation.
const BASE: &str = r#"
[edge]
name = "edge.example.com"
[zone.outside]
addresses = ["203.0.113.10"]
[zone.inside]
addresses = ["10.0.0.10"]
[tls.public]
certificates = [{ chain = "/etc/vestibule/tls/edge.pem", key = "/etc/vestibule/tls/edge.key" }]
trust = ["/etc/vestibule/trust/internal/"]
"#;

const LISTEN: &str = r#"
[[listen]]
zone = "outside"
protocol = "xmpp"
tls = "public"
[[listen]]
zone = "outside"
protocol = "sip"
tls = "public"
[[listen]]
zone = "inside"
protocol = "xmpp"
"#;

const LOCAL: &str = r#"
[[local]]
domain = "example.com"
protocol = "xmpp"
nodes = [{ host = "imp1.corp.example" }]
"#;

#[test]
fn the_examples_are_accepted_without_a_warning() {
    let etc = Etc::new();
    for (name, text) in [
        (
            "sip-partner-to-prosody",
            include_str!("../../config/examples/sip-partner-to-prosody.toml"),
        ),
        ("xmpp-only", include_str!("../../config/examples/xmpp-only.toml")),
    ] {
        assert_eq!(etc.report(text, &[]), "usable\n", "{name}");
    }
}

#[test]
fn the_file_of_the_specification_is_accepted_with_warnings_of_what_has_no_effect_yet() {
    let etc = Etc::new();
    insta::assert_snapshot!(etc.report(include_str!("../data/config/complete.toml"), &[]));
}

#[test]
fn settings_are_those_of_the_file() {
    let etc = Etc::new();
    let settings = etc
        .read(include_str!("../data/config/complete.toml"), &[])
        .unwrap()
        .settings;
    assert_eq!(settings.edge.name.as_str(), "edge.example.com");
    let listeners: Vec<String> = settings
        .listeners
        .iter()
        .map(|l| {
            format!(
                "{} {} {} {} {}",
                l.side,
                l.protocol,
                l.transport,
                l.address,
                l.tls.as_ref().unwrap()
            )
        })
        .collect();
    assert_eq!(
        listeners,
        [
            "outside xmpp tcp 203.0.113.10:5269 public",
            "outside xmpp tcp [2001:db8::10]:5269 public",
            "outside sip tls 203.0.113.10:5061 public",
            "outside sip tls [2001:db8::10]:5061 public",
            "inside xmpp tcp 10.0.0.10:5269 internal",
        ]
    );
    assert_eq!(
        settings.xmpp.dialback_secret.unwrap().expose(),
        "another long secret"
    );
    let local = settings
        .table
        .local(&Domain::parse("example.com").unwrap())
        .unwrap();
    assert_eq!((local.protocol, &local.link), (Protocol::Xmpp, &Link::S2s));
    assert!(matches!(&local.nodes, Nodes::List(nodes) if nodes.len() == 2));
    let contoso = settings
        .table
        .listed(&Domain::parse("contoso.com").unwrap())
        .unwrap();
    assert_eq!(contoso.routes.len(), 1);
    assert_eq!(contoso.rate.unwrap().per_second.get(), 20);
    assert_eq!(contoso.outbound.unwrap().per_second.get(), 15);
}

#[test]
fn decisions_name_the_line_of_the_file() {
    let etc = Etc::new();
    let text = include_str!("../data/config/complete.toml");
    let rules = etc.read(text, &[]).unwrap().settings.rules;
    let party = |text: &str| Party::new(None, Domain::parse(text).unwrap());
    let because = |foreign: &str| {
        let (foreign, own) = (party(foreign), party("example.com"));
        let query = Query {
            direction: Direction::Inbound,
            foreign: &foreign,
            own: &own,
            kind: Kind::Im,
        };
        rules.decide(&query).because()
    };
    let line = |start: &str| text.lines().position(|line| line.starts_with(start)).unwrap() + 1;
    for (foreign, start) in [
        ("a.partner.org", "[[policy.exception]]"),
        ("contoso.com", "domain = \"contoso.com\""),
        ("unknown.example", "default = \"deny\""),
    ] {
        let line = line(start) + usize::from(start.starts_with('['));
        assert!(
            because(foreign).contains(&format!("line {line}")),
            "{}",
            because(foreign)
        );
    }
}

#[test]
fn a_local_domain_is_neither_twice_nor_foreign() {
    let etc = Etc::new();
    insta::assert_snapshot!(etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}{LOCAL}
[[federate]]
domain = \"EXAMPLE.com\"
protocol = \"sip\"
[[federate]]
domain = \"*.partner.org\"
protocol = \"sip\"
via = \"example.com\"
[[federate]]
domain = \".org.partner.*\"
"
        ),
        &[]
    ));
}

#[test]
fn listeners_have_their_own_address_and_the_tls_they_need() {
    let etc = Etc::new();
    insta::assert_snapshot!(etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}
[[listen]]
zone = \"outside\"
protocol = \"xmpps\"
port = 5269
tls = \"public\"
[[listen]]
zone = \"outside\"
protocol = \"xmpp\"
port = 25269
[[listen]]
zone = \"outside\"
protocol = \"sip\"
port = 15061
tls = \"pubic\"
[[listen]]
zone = \"outside\"
protocol = \"sip\"
transport = \"udp\"
[[listen]]
zone = \"inside\"
protocol = \"xmpp\"
transport = \"udp\"
[[listen]]
zone = \"inside\"
protocol = \"xmpp\"
transport = \"tls\"
[[listen]]
zone = \"inside\"
protocol = \"sip\"
transport = \"tcp\"
address = \"10.0.0.11\"
"
        ),
        &[]
    ));
}

#[test]
fn nothing_at_all_is_not_enough() {
    let etc = Etc::new();
    insta::assert_snapshot!(etc.report("[edge]\nname = \"edge.example.com\"\n", &[]));
    insta::assert_snapshot!(etc.report("", &[]));
    insta::assert_snapshot!(etc.report("[edge\nname = \"edge.example.com\"\nname = 1\n", &[]));
}

#[test]
fn tls_contexts_need_files_that_belong_together() {
    let etc = Etc::new();
    etc.write(
        "tls/open.key",
        &fs::read_to_string(etc.path("tls/edge.key")).unwrap(),
        0o644,
    );
    for (name, text) in [
        (
            "tls/locked.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ),
        (
            "tls/old-locked.key",
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
        ),
        (
            "tls/broken.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
        ("trust/none.pem", "no certificate at all\n"),
        ("trust/nobody/README", "certificates of partners go here\n"),
    ] {
        etc.write(name, text, 0o600);
    }
    insta::assert_snapshot!(etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}
[tls.locked]
certificates = [
  {{ chain = \"/etc/vestibule/tls/edge.pem\", key = \"/etc/vestibule/tls/locked.key\" }},
  {{ chain = \"/etc/vestibule/tls/edge.pem\", key = \"/etc/vestibule/tls/old-locked.key\" }},
]
[tls.broken]
certificates = [{{ chain = \"/etc/vestibule/tls/broken.pem\", key = \"/etc/vestibule/tls/edge.key\" }}]
[tls.nobody]
certificates = [{{ chain = \"/etc/vestibule/tls/edge.pem\", key = \"/etc/vestibule/tls/edge.key\" }}]
trust = [\"/etc/vestibule/trust/nobody\"]
[tls.none]
certificates = [{{ chain = \"/etc/vestibule/tls/edge.pem\", key = \"/etc/vestibule/tls/edge.key\" }}]
trust = [\"/etc/vestibule/trust/none.pem\"]
[tls.missing]
certificates = [{{ chain = \"/etc/vestibule/tls/none.pem\", key = \"/etc/vestibule/tls/edge.key\" }}]
[tls.mixed]
certificates = [{{ chain = \"/etc/vestibule/tls/edge.pem\", key = \"/etc/vestibule/tls/other.key\" }}]
[tls.open]
certificates = [{{ chain = \"/etc/vestibule/tls/edge.pem\", key = \"/etc/vestibule/tls/open.key\" }}]
[tls.empty]
trust = []
pins = [\"abcd\"]
[tls.pinned]
certificates = [{{ chain = \"/etc/vestibule/tls/edge.pem\", key = \"/etc/vestibule/tls/edge.key\" }}]
identity = \"pinned\"
"
        ),
        &[]
    ));
}

#[test]
fn suites_that_are_not_there_and_subjects_that_nobody_shows_are_told() {
    let etc = Etc::new();
    let files =
        "certificates = [{ chain = \"/etc/vestibule/tls/edge.pem\", key = \"/etc/vestibule/tls/edge.key\" }]";
    insta::assert_snapshot!(etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}
[tls.odd]
{files}
cipher_suites = [\"TLS_AES_128_GCM_SHA256\", \"TLS_RSA_WITH_RC4_128_SHA\"]
[tls.none]
{files}
minimum = \"1.3\"
cipher_suites = [\"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"]
[tls.open]
{files}
peer_certificate = \"optional\"
peer_subjects = [\"sip.contoso.com\", \"*.contoso.com\"]
"
        ),
        &[]
    ));
}

#[test]
fn certificates_that_peers_will_turn_away_are_warned_of() {
    let etc = Etc::new();
    let mut params = rcgen::CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    etc.write("tls/edge.pem", &params.self_signed(&key).unwrap().pem(), 0o644);
    etc.write("tls/edge.key", &key.serialize_pem(), 0o600);
    let warnings = etc.read(&format!("{BASE}{LISTEN}{LOCAL}"), &[]).unwrap().warnings;
    let said: Vec<_> = warnings.iter().map(|warning| warning.what()).collect();
    for (expected, why) in [
        (
            "days ago, and peers refuse it; put a new chain and key there",
            "its time",
        ),
        (
            "no certificate names example.com for sip: peers that look for it turn us away; it names elsewhere.example",
            "its names",
        ),
    ] {
        assert!(
            said.iter().any(|text| text.contains(expected)),
            "{why}: {said:#?}"
        );
    }
}

#[test]
fn local_domains_have_nodes_and_a_link_that_works() {
    let etc = Etc::new();
    insta::assert_snapshot!(etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}
[[local]]
domain = \"a.example.com\"
protocol = \"xmpp\"
[[local]]
domain = \"b.example.com\"
protocol = \"xmpp\"
srv = \"corp.example\"
nodes = [{{ host = \"n.example\" }}]
[[local]]
domain = \"c.example.com\"
protocol = \"xmpp\"
nodes = [{{ host = \"n.example\", port = 0 }}, {{ host = \"not a host\" }}]
transport = \"tcp\"
[[local]]
domain = \"d.example.com\"
protocol = \"xmpp\"
nodes = [{{ host = \"n.example\", port = 5269 }}]
link = \"component\"
[[local]]
domain = \"e.example.com\"
protocol = \"sip\"
nodes = [{{ host = \"10.0.0.20\" }}]
transport = \"tls\"
[[local]]
domain = \"f.example.com\"
protocol = \"sip\"
srv = \"corp.example\"
link = \"component\"
secret = \"file:/etc/vestibule/component.secret\"
component_port = 0
[[federate]]
domain = \"*.partner.org\"
protocol = \"xmpp\"
"
        ),
        &[]
    ));
}

#[test]
fn static_routes_lead_somewhere() {
    let etc = Etc::new();
    insta::assert_snapshot!(etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}
[[federate]]
domain = \"contoso.com\"
protocol = \"sip\"
profile = \"xmpp\"
prefer = \"sip\"
via = \"contoso.com\"
rate = {{ requests_per_second = 0 }}
routes = [
  {{ next_hop = \"192.0.2.1\" }},
  {{ next_hop = \"sip contoso com\", port = 5061 }},
  {{ next_hop = \"sip.contoso.com\", port = 5061, priority = 0, weight = 0, user = \"*a\" }},
]
[[federate]]
domain = \"example.net\"
protocol = \"xmpp\"
profile = \"aol\"
tls = \"none\"
routes = [{{ next_hop = \"xmpp.example.net\", transport = \"udp\" }}]
"
        ),
        &[]
    ));
}

#[test]
fn terms_of_sip_are_words_that_mean_something() {
    let etc = Etc::new();
    let entry = |protocol: &str, more: &str| {
        let entry = format!(
            "[[federate]]\ndomain = \"contoso.com\"\nprotocol = \"{protocol}\"\ntls = \"public\"\n{more}\n"
        );
        etc.report(&format!("{BASE}{LISTEN}{LOCAL}{entry}"), &[])
    };
    for (protocol, more, wanted) in [
        ("sip", "methods = [\"MESAGE\"]", "cannot be \"MESAGE\"\n"),
        ("sip", "methods = [\"MESAGE\"]", "did you mean \"MESSAGE\"?"),
        ("sip", "methods = [\"invite\"]", "did you mean \"INVITE\"?"),
        ("sip", "methods = [\"REGISTER\"]", "it is one of: INVITE, ACK"),
        ("sip", "methods = []", "without methods nothing of SIP passes"),
        ("sip", "methods = [\"SUBSCRIBE\"]", "warning: "),
        (
            "sip",
            "methods = [\"SUBSCRIBE\"]",
            "SUBSCRIBE and NOTIFY are of use together only",
        ),
        (
            "sip",
            "methods = [\"MESSAGE\"]\nmedia = \"pass\"",
            "no session begins, as `methods` does not list INVITE",
        ),
        (
            "sip",
            "methods = [\"MESSAGE\"]\nevents = [\"presence\"]",
            "`events` has no effect, as `methods` lists none of SUBSCRIBE, NOTIFY and PUBLISH",
        ),
        (
            "xmpp",
            "rate = { outbound_requests_per_second = 5 }",
            "only requests of SIP wait for their turn",
        ),
        ("sip", "events = [\"presense\"]", "did you mean \"presence\"?"),
        (
            "sip",
            "events = [\"a b\"]",
            "\"a b\" is not the name of an event package",
        ),
        ("sip", "media = \"calls\"", "it is one of: messages, pass"),
        ("sip", "bodies = \"any\"", "it is one of: searched, all"),
        (
            "xmpp",
            "methods = [\"MESSAGE\"]",
            "`methods` is for SIP, and protocol is \"xmpp\"",
        ),
        (
            "xmpp",
            "media = \"pass\"",
            "`media` is for SIP, and protocol is \"xmpp\"",
        ),
    ] {
        let report = entry(protocol, more);
        assert!(report.contains(wanted), "{more}: {report}");
    }
    let right = "methods = [\"INVITE\", \"REFER\", \"NOTIFY\", \"SUBSCRIBE\"]\nevents = [\"presence\", \"x-ours\"]\nmedia = \"pass\"\nbodies = \"all\"";
    let entry =
        format!("[[federate]]\ndomain = \"contoso.com\"\nprotocol = \"sip\"\ntls = \"public\"\n{right}\n");
    let loaded = etc.read(&format!("{BASE}{LISTEN}{LOCAL}{entry}"), &[]).unwrap();
    let terms = &loaded.settings.federated[0].terms;
    assert_eq!(
        terms.allow(),
        "INVITE, ACK, BYE, CANCEL, SUBSCRIBE, NOTIFY, PRACK, REFER"
    );
    assert_eq!(terms.events, ["presence".into(), "x-ours".into()]);
    assert_eq!(
        (terms.sessions, terms.bodies),
        (Sessions::OfAnything, Bodies::Any)
    );
    let profile = format!("{BASE}{LISTEN}{LOCAL}profile = \"microsoft\"\n");
    assert!(
        etc.report(&profile, &[])
            .contains("it is for nodes that speak SIP, and protocol is \"xmpp\"")
    );
}

#[test]
fn nodes_that_are_found_by_srv_records_are_hidden_by_the_name_of_these() {
    let etc = Etc::new();
    for (srv, text, is_hidden) in [
        ("_sip._tcp.nodes.corp", "sip:a@imp1.nodes.corp", true),
        ("nodes.corp", "sip:a@nodes.corp", true),
        ("nodes.corp", "sip:a@imp1.corp", false),
        // Our own names are no secret.
        ("voice.example.com", "sip:a@voice.example.com", false),
        ("_sip._tcp.example.com", "sip:a@voice.example.com", false),
    ] {
        let text_of = format!(
            "{BASE}{LISTEN}tls = \"public\"\n[[listen]]\nzone = \"inside\"\nprotocol = \"sip\"\ntls = \"public\"\n\
             [[local]]\ndomain = \"voice.example.com\"\nprotocol = \"sip\"\nsrv = \"{srv}\"\n"
        );
        let conduct = etc.read(&text_of, &[]).unwrap().settings.conduct(b"secret");
        let proxy = conduct.proxy.unwrap();
        assert_eq!(proxy.inner().is_shown_in(text), is_hidden, "{srv} {text}");
        let warning = "the nodes are not known by name here";
        assert!(etc.report(&text_of, &[]).contains(warning), "{srv}");
    }
}

#[test]
fn srv_names_in_full_agree_with_the_rest() {
    let etc = Etc::new();
    let federate = |route: &str| {
        let allow = "[[policy.exception]]\ndomain = \"example.net\"\n";
        let entry = format!(
            "[[federate]]\ndomain = \"example.net\"\nprotocol = \"xmpp\"\nroutes = [{{ {route} }}]\n"
        );
        etc.report(&format!("{BASE}{LISTEN}{LOCAL}{entry}{allow}"), &[])
    };
    let local = |srv: &str| {
        let mine =
            format!("[[local]]\ndomain = \"cluster.example.com\"\nprotocol = \"xmpp\"\nsrv = \"{srv}\"\n");
        etc.report(&format!("{BASE}{LISTEN}{LOCAL}{mine}"), &[])
    };
    let tcp = "transport = \"tcp\"";
    for (said, expected) in [
        (
            federate(&format!("next_hop = \"_xmpp-server._tcp.hub.example\", {tcp}")),
            None,
        ),
        (federate("next_hop = \"_xmpps-server._tcp.hub.example\""), None),
        (
            federate(&format!("next_hop = \"_mine._tcp.hub.example\", {tcp}")),
            None,
        ),
        (local("cluster.example"), None),
        (local("_xmpp-server._tcp.cluster.example"), None),
        (
            federate("next_hop = \"_xmpp-server._tcp.hub.example\""),
            Some("_xmpp-server._tcp is spoken over tcp, and this goes over tls"),
        ),
        (
            federate("next_hop = \"_sips._tcp.hub.example\""),
            Some("_sips._tcp is for sip, and this is xmpp"),
        ),
        (
            federate(&format!(
                "next_hop = \"_xmpp-server._tcp.hub.example\", port = 5269, {tcp}"
            )),
            Some("SRV records say the port themselves"),
        ),
        (
            federate("next_hop = \"_xmpp-server.hub.example\""),
            Some("service, protocol and domain"),
        ),
        (
            federate("next_hop = \"hub.example\", user = \"vip*\""),
            Some("has no effect"),
        ),
        (local("_xmpp-server._tcp"), Some("service, protocol and domain")),
        (
            local("_sip._tcp.cluster.example"),
            Some("_sip._tcp is for sip, and this is xmpp"),
        ),
        (local("a b"), Some("has no SRV records")),
    ] {
        match expected {
            Some(words) => assert!(said.contains(words), "{words}\n{said}"),
            None => assert!(
                !said.contains("srv") && !said.contains("next_hop") && said.starts_with("usable"),
                "{said}"
            ),
        }
    }
}

#[test]
fn a_domain_must_be_provable_on_xmpp() {
    let etc = Etc::new();
    for (number, (tls, sasl, dialback)) in [
        ("none", "required", false),
        ("none", "optional", false),
        ("required", "off", false),
        ("optional", "off", false),
        ("none", "off", false),
    ]
    .into_iter()
    .enumerate()
    {
        let xmpp = format!("tls = \"{tls}\", sasl = \"{sasl}\", dialback = {dialback}");
        let federate =
            format!("[[federate]]\ndomain = \"example.net\"\nprotocol = \"xmpp\"\nxmpp = {{ {xmpp} }}\n");
        let allow = "[[policy.exception]]\ndomain = \"example.net\"\n";
        let said = etc.report(&format!("{BASE}{LISTEN}{LOCAL}{federate}{allow}"), &[]);
        insta::assert_snapshot!(format!("invalid-{number}"), said);
        let global = format!("[xmpp]\n{}\n", xmpp.replace(", ", "\n"));
        assert!(
            etc.read(&format!("{BASE}{LISTEN}{LOCAL}{global}"), &[]).is_err(),
            "{xmpp}"
        );
    }
    insta::assert_snapshot!(etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}
[[federate]]
domain = \"example.net\"
protocol = \"xmpp\"
xmpp = {{ tls = \"required\", inbound = {{ sasl = \"required\" }}, outbound = {{ tls = \"optional\" }} }}
[[policy.exception]]
domain = \"example.net\"
"
        ),
        &[]
    ));
}

#[test]
fn certificates_that_nobody_needs_and_those_that_a_listener_demands_are_told() {
    let etc = Etc::new();
    let said = etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}
[[federate]]
domain = \"example.net\"
protocol = \"xmpp\"
xmpp = {{ require_certificate = false }}
[[federate]]
domain = \"example.org\"
protocol = \"xmpp\"
xmpp = {{ dialback = false, outbound = {{ require_certificate = false }} }}
[policy]
default = \"allow\"
"
        ),
        &[],
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_pinned_context_stands_for_nobody_who_does_not_name_it() {
    let etc = Etc::new();
    let pinned = BASE.replace(
        "trust = [\"/etc/vestibule/trust/internal/\"]",
        "identity = \"pinned\"\npins = [\"0000000000000000000000000000000000000000000000000000000000000000\"]",
    );
    let said = etc.report(
        &format!("{pinned}{LISTEN}{LOCAL}[[federate]]\ndomain = \"example.net\"\nprotocol = \"xmpp\"\n"),
        &[],
    );
    assert!(
        said.contains("XMPP TLS is required, and there is no TLS context for it"),
        "{said}"
    );
}

#[test]
fn pins_that_several_domains_share_are_warned_of() {
    let etc = Etc::new();
    for (second, is_warned) in [
        (format!(", \"{}\"", "1".repeat(64)), true),
        (String::new(), false),
    ] {
        let pins = format!("identity = \"pinned\"\npins = [\"{}\"{second}]", "0".repeat(64));
        let pinned = BASE.replace("trust = [\"/etc/vestibule/trust/internal/\"]", &pins);
        let federate = ["a.example", "b.example"].map(|domain| {
            format!("[[federate]]\ndomain = \"{domain}\"\nprotocol = \"xmpp\"\ntls = \"public\"\n[[policy.exception]]\ndomain = \"{domain}\"\n")
        });
        let said = etc.report(&format!("{pinned}{LISTEN}{LOCAL}{}", federate.concat()), &[]);
        assert!(said.starts_with("usable"), "{said}");
        assert_eq!(
            said.contains("2 foreign domains share these pins"),
            is_warned,
            "{said}"
        );
    }
}

#[test]
fn policy_lines_that_cannot_hold_are_named() {
    let etc = Etc::new();
    insta::assert_snapshot!(etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}
[[federate]]
domain = \"example.net\"
protocol = \"xmpp\"
[[policy.exception]]
domain = \"example.org\"
kinds = []
[[policy.exception]]
domain = \"a.example.org\"
action = \"deny\"
[[policy.exception]]
domain = \"a.example.org\"
[[policy.block]]
address = \"spammer at contoso.com\"
"
        ),
        &[]
    ));
}

#[test]
fn bounds_fit_each_other() {
    let etc = Etc::new();
    insta::assert_snapshot!(etc.report(
        &format!(
            "{BASE}{LISTEN}{LOCAL}
[xmpp]
max_stanza_bytes = 9999
keepalive = \"20m\"
establish_timeout = \"0s\"
max_connections = 10
[sip]
max_message_bytes = 4096
[limits]
write_buffer_bytes = 1000
[interworking]
confirm_timeout = \"1m\"
undeliverable_text = \"two\\nlines\"
[admin]
metrics = \"0.0.0.0:9464\"
[log]
level = \"vestibule=loud\"
bodies = true
"
        ),
        &[]
    ));
}

#[test]
fn a_bound_has_a_least_and_a_most_and_the_report_says_which() {
    let etc = Etc::new();
    for (table, line, allowed) in [
        ("xmpp", "max_connections = 1000001", "at most 1000000 is allowed"),
        ("xmpp", "max_connections = 0", "at least 1 is needed"),
        ("xmpp", "max_unauthenticated = 0", "at least 1 is needed"),
        (
            "xmpp",
            "max_unauthenticated = 1001",
            "greater than `max_connections` (1000)",
        ),
        (
            "xmpp",
            "max_unauthenticated_per_address = 501",
            "greater than `max_unauthenticated` (500)",
        ),
        (
            "xmpp",
            "max_queued_bytes = 262143",
            "at least 262144 is needed: the longest stanza",
        ),
        (
            "xmpp",
            "max_queued_bytes = 9999999999",
            "at most 1073741824 is allowed",
        ),
        (
            "xmpp",
            "max_stanza_bytes = 1073741824",
            "at most 16777216 is allowed",
        ),
        ("xmpp", "max_depth = 100000", "at most 256 is allowed"),
        (
            "xmpp",
            "acknowledge_timeout = \"500ms\"",
            "is \"500ms\"; it is from \"1s\" to \"1h\"",
        ),
        (
            "xmpp",
            "max_retry_pause = \"36h\"",
            "is \"36h\"; it is from \"1s\" to \"1d\"",
        ),
        (
            "xmpp",
            "max_retry_pause_of_node = \"0s\"",
            "is \"0s\"; it is from \"1s\" to \"1d\"",
        ),
        ("xmpp", "max_retry_pauze = \"5m\"", "max_retry_pause"),
        ("sip", "max_transactions = 18446744073709551615", "whole number"),
        (
            "limits",
            "queue = 9000000000000000000",
            "at most 1000000 is allowed",
        ),
        (
            "limits",
            "drain_timeout = \"7d\"",
            "is \"7d\"; it is from \"0s\" to \"1h\"",
        ),
    ] {
        let report = etc.report(&format!("{BASE}{LISTEN}{LOCAL}[{table}]\n{line}\n"), &[]);
        assert!(report.contains(allowed), "{line}: {report}");
    }
}

#[test]
fn fewer_streams_leave_fewer_to_strangers_and_room_for_the_known() {
    let etc = Etc::new();
    for (lines, (of_all, of_one)) in [
        ("", (500, 400)),
        ("max_connections = 100", (50, 40)),
        ("max_connections = 20", (10, 8)),
        ("max_connections = 2000", (500, 400)),
        ("max_connections = 100\nmax_unauthenticated = 80", (80, 64)),
        (
            "max_connections = 100\nmax_unauthenticated_per_address = 5",
            (50, 5),
        ),
    ] {
        let text = format!("{BASE}{LISTEN}{LOCAL}[xmpp]\n{lines}\n");
        let limits = etc.read(&text, &[]).unwrap().settings.limits.xmpp;
        assert_eq!(
            (limits.strangers, limits.strangers_of_network),
            (of_all, of_one),
            "{lines}"
        );
    }
}

#[test]
fn the_management_side_is_never_outside() {
    let etc = Etc::new();
    for (address, is_usable) in [
        ("203.0.113.10:9464", false),
        ("[::]:9464", false),
        ("10.0.0.10:9464", true),
        ("127.0.0.1:9464", true),
        ("", true),
    ] {
        let text = format!("{BASE}{LISTEN}{LOCAL}[admin]\nmetrics = \"{address}\"\n");
        assert_eq!(etc.read(&text, &[]).is_ok(), is_usable, "{address}");
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let etc = Etc::new();
    let text = format!("{BASE}{LISTEN}{LOCAL}[sip]\nmax_transactions = 5\n");
    let settings = etc
        .read(
            &text,
            &[
                ("VESTIBULE__SIP__MAX_TRANSACTIONS", "7"),
                ("VESTIBULE__LOG__LEVEL", "debug"),
                ("VESTIBULE__ZONE__OUTSIDE__ADDRESSES", "[192.0.2.1, 192.0.2.2]"),
                ("VESTIBULE__TLS__PUBLIC__MINIMUM", "\"1.3\""),
                ("UNRELATED", "x"),
            ],
        )
        .unwrap()
        .settings;
    assert_eq!(settings.limits.sip.transactions, 7);
    assert_eq!(settings.log.level, "debug");
    assert!(
        settings
            .listeners
            .iter()
            .any(|l| l.address.to_string() == "192.0.2.2:5269")
    );
    insta::assert_snapshot!(etc.report(
        &text,
        &[
            ("VESTIBULE__SIP__MAX_TRANSACTION", "7"),
            ("VESTIBULE__POLICY__DEFAULT", "perhaps"),
            ("VESTIBULE__XMPP__KEEPALIVE", "often"),
            ("VESTIBULE__LISTEN__0__PORT", "1"),
        ],
    ));
}

#[test]
fn secrets_are_read_from_where_they_are_kept() {
    let etc = Etc::new();
    let with = |secret: &str| {
        format!(
            "{BASE}{LISTEN}
[[local]]
domain = \"example.com\"
protocol = \"xmpp\"
nodes = [{{ host = \"imp1.corp.example\" }}]
link = \"component\"
secret = \"{secret}\"
"
        )
    };
    let environment = [("COMPONENT_SECRET", "from the environment")];
    for (reference, expected) in [
        (
            "file:/etc/vestibule/component.secret",
            "a long secret between two servers",
        ),
        ("env:COMPONENT_SECRET", "from the environment"),
        ("written out", "written out"),
    ] {
        let settings = etc.read(&with(reference), &environment).unwrap().settings;
        let Link::Component(link) = &settings.locals[0].link else {
            panic!("no component link");
        };
        assert_eq!(link.secret.expose(), expected);
        assert!(!format!("{settings:?}").contains(expected), "a secret shows");
    }
    etc.write("open.secret", "known to all\n", 0o644);
    etc.write("empty.secret", "\n", 0o600);
    etc.write("long.secret", &"x".repeat(5_000), 0o600);
    let said: Vec<String> = [
        "file:/etc/vestibule/open.secret",
        "file:/etc/vestibule/none.secret",
        "env:NONE",
        "file:/etc/vestibule/empty.secret",
        "file:/etc/vestibule/long.secret",
        "written out",
    ]
    .into_iter()
    .map(|reference| etc.report(&with(reference), &environment))
    .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_running_proxy_takes_up_what_needs_no_restart_and_nothing_of_what_does() {
    use vestibule::config::change::{self, Part};
    let etc = Etc::new();
    let base = format!("{BASE}{LISTEN}{LOCAL}");
    let running = etc.read(&base, &[]).unwrap().settings;
    let taken_up = |more: &str, environment: &[(&str, &str)]| {
        let new = etc.read(&format!("{base}{more}"), environment).unwrap().settings;
        change::check(&running, &new)
    };
    for (more, part) in [
        ("[policy]\ndefault = \"allow\"\n", Part::Policy),
        (
            "[[local]]\ndomain = \"b.example.com\"\nprotocol = \"xmpp\"\nnodes = [{ host = \"n.example\" }]\n",
            Part::Routes,
        ),
        ("[sip]\nmax_transactions = 5\n", Part::Limits),
        ("[interworking]\npager_message_bytes = 2000\n", Part::Limits),
        ("[log]\nlevel = \"debug\"\n", Part::LogLevel),
        (
            "[tls.more]\ncertificates = [{ chain = \"/etc/vestibule/tls/edge.pem\", key = \"/etc/vestibule/tls/edge.key\" }]\n",
            Part::Tls,
        ),
    ] {
        assert_eq!(taken_up(more, &[]), Ok(vec![part]), "{more}");
    }
    assert_eq!(taken_up("", &[]), Ok(vec![]));
    let contoso = |more: &str| {
        let entry = format!("[[federate]]\ndomain = \"contoso.com\"\nprotocol = \"sip\"\n{more}");
        etc.read(&format!("{base}{entry}"), &[]).unwrap().settings
    };
    for more in [
        "media = \"pass\"",
        "bodies = \"all\"",
        "methods = [\"MESSAGE\"]",
        "events = []",
    ] {
        assert_eq!(
            change::check(&contoso(""), &contoso(more)),
            Ok(vec![Part::Routes]),
            "{more}"
        );
    }
    assert_eq!(
        taken_up("", &[("VESTIBULE__EDGE__INTERWORKING", "false")]),
        Ok(vec![Part::Translation])
    );
    assert_eq!(
        taken_up("", &[("VESTIBULE__ZONE__OUTSIDE__NETWORKS", "[10.9.0.0/16]")]),
        Ok(vec![Part::Routes])
    );
    let refused: Vec<String> = [
        (
            "[[listen]]\nzone = \"inside\"\nprotocol = \"xmpp\"\nport = 5270\n",
            ("X", ""),
        ),
        ("", ("VESTIBULE__EDGE__NAME", "other.example.com")),
        ("", ("VESTIBULE__EDGE__STATE_DIR", "/elsewhere")),
        ("", ("VESTIBULE__EDGE__RUN_AS", "nobody")),
        ("", ("VESTIBULE__ZONE__INSIDE__ADDRESSES", "[10.0.0.11]")),
        (
            "[policy]\ndefault = \"allow\"\n",
            ("VESTIBULE__ADMIN__METRICS", "127.0.0.1:1"),
        ),
        ("", ("VESTIBULE__LOG__FORMAT", "json")),
        (
            "[xmpp]\ndialback_secret = \"file:/etc/vestibule/dialback.secret\"\n",
            ("X", ""),
        ),
        ("[interworking]\nundeliverable_text = \"No\"\n", ("X", "")),
        ("", ("VESTIBULE__INTERWORKING__DELIVER_TIMEOUT", "20s")),
        ("", ("VESTIBULE__LIMITS__QUEUE", "10")),
        ("[dns]\nservers = [\"127.0.0.1\"]\n", ("X", "")),
    ]
    .into_iter()
    .map(|(more, variable)| taken_up(more, &[variable]).unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!(refused.join("\n"));
}

#[test]
fn the_networks_of_the_zones_say_where_names_of_foreign_domains_may_lead() {
    let etc = Etc::new();
    let with = |outside: &str, inside: &str| {
        let text = BASE.replace(
            "[zone.inside]",
            &format!("networks = [{outside}]\n[zone.inside]\nnetworks = [{inside}]"),
        );
        format!("{text}{LISTEN}{LOCAL}")
    };
    let settings = etc
        .read(&with("\"10.9.0.0/16\"", "\"198.51.100.0/24\""), &[])
        .unwrap()
        .settings;
    for (address, may) in [
        ("192.0.2.1", true),
        ("10.9.0.1", true),
        ("10.8.0.1", false),
        ("198.51.100.1", false),
        ("203.0.113.10", false),
        ("10.0.0.10", false),
        ("::ffff:127.0.0.1", false),
    ] {
        let checked = settings.table.boundary().check(address.parse().unwrap());
        assert_eq!(checked.is_ok(), may, "{address}: {checked:?}");
    }
    let said = etc.report(&with("\"10.9.0.0/16\"", "\"10.9.1.1/16\""), &[]);
    assert!(
        said.contains("10.9.0.0/16 is in [zone.inside] networks, too"),
        "{said}"
    );
    let said = etc.report(&with("\"0.0.0.0/0\"", ""), &[]);
    assert!(
        said.contains("warning") && said.contains("this is every address"),
        "{said}"
    );
    let said = etc.report(&with("\"10.9.0.0/33\"", ""), &[]);
    assert!(said.contains("is not a network"), "{said}");
}

/// A file with a stretch cut out is judged, whatever the cut: no input stops the reader.
#[test]
fn no_cut_of_a_file_stops_the_reader() {
    let whole = include_str!("../data/config/complete.toml");
    let lines: Vec<&str> = whole.lines().collect();
    let environment = BTreeMap::new();
    for start in 0..lines.len() {
        for length in [1, 3, 17] {
            let end = (start + length).min(lines.len());
            let cut: Vec<&str> = lines[..start].iter().chain(&lines[end..]).copied().collect();
            if let Err(report) = config::read(Path::new("cut.toml"), &cut.join("\n"), &environment) {
                assert!(!report.errors.is_empty());
            }
        }
    }
    for end in (0..whole.len())
        .step_by(7)
        .filter(|end| whole.is_char_boundary(*end))
    {
        let report = config::read(Path::new("cut.toml"), &whole[..end], &environment);
        assert!(report.is_err());
    }
}
