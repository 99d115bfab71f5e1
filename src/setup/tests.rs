#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use time::OffsetDateTime;

use super::pages::PAGES;
use super::plan::Chance;
use super::*;

const FOLDER: &str = "/etc/vestibule";

fn appliance() -> Machine {
    let card = |name: &str, mac: &str| Card {
        name: name.to_owned(),
        mac: mac.to_owned(),
        has_link: Some(true),
    };
    Machine {
        is_appliance: true,
        cards: vec![
            card("ens3", "52:54:00:00:00:01"),
            card("ens4", "52:54:00:00:00:02"),
        ],
        addresses: Vec::new(),
        name: None,
    }
}

fn server() -> Machine {
    Machine {
        is_appliance: false,
        cards: Vec::new(),
        addresses: ["203.0.113.10", "10.0.0.10"]
            .iter()
            .map(|address| address.parse::<IpAddr>().unwrap())
            .collect(),
        name: Some("edge.example.com".to_owned()),
    }
}

fn chance() -> Chance {
    Chance {
        now: OffsetDateTime::now_utc(),
        salt: [3; 16],
    }
}

/// The answers of an appliance with two arms.
const APPLIANCE: [(&str, &str); 16] = [
    ("password", "correct horse battery staple"),
    ("password_again", "correct horse battery staple"),
    ("outside_interface", "203.0.113.10/24"),
    ("outside_interface6", "2001:db8::10/64"),
    ("gateway", "203.0.113.1"),
    ("gateway6", "fe80::1"),
    ("inside_interface", "10.1.0.10/24"),
    (
        "inside_routes",
        "10.0.0.0/8 via 10.1.0.1, 172.16.0.0/12 via 10.1.0.2",
    ),
    ("name", "edge.example.com"),
    ("dns_servers", "10.0.0.53, 10.0.1.53"),
    ("time_servers", "ntp.example.com"),
    ("local_domains", "example.com example.net"),
    (
        "local_nodes",
        "imp1.corp.example, imp2.corp.example:5270, [fd00::5]:5269",
    ),
    ("partner", "contoso.com"),
    (
        "partner_pin",
        "AB:CDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
    ),
    ("management_from", "10.0.9.0/24"),
];

fn seed(answers: &[(&str, &str)]) -> String {
    answers
        .iter()
        .map(|(key, said)| format!("{key} = {}\n", toml::Value::String((*said).to_owned())))
        .collect()
}

fn with<'a>(answers: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let changed: BTreeSet<_> = more.iter().map(|(key, _)| *key).collect();
    let kept = answers.iter().filter(|(key, _)| !changed.contains(key));
    kept.chain(more).copied().collect()
}

fn plan(answers: &[(&str, &str)], machine: Machine) -> Plan {
    let flow = Flow::of_seed(&seed(answers), machine.clone()).unwrap_or_else(|why| panic!("{why}"));
    Plan::with(
        flow.answers(),
        &machine,
        (Path::new(FOLDER), "vestibule"),
        &chance(),
    )
    .unwrap_or_else(|why| panic!("{why}"))
}

/// Every file but those that chance makes.
fn shown(plan: &Plan) -> String {
    let files = plan.files.iter().map(|file| {
        let is_random = file
            .path
            .extension()
            .is_some_and(|kind| kind == "pem" || kind == "key" || kind == "csr");
        let text = if is_random { "(made now)\n" } else { &file.text };
        format!("==== {} {:?}\n{text}", file.path.display(), file.owner)
    });
    let warnings = plan.warnings.iter().map(|warning| format!("{warning}"));
    files.chain(warnings).collect()
}

#[test]
fn the_files_of_an_appliance_with_two_arms() {
    insta::assert_snapshot!(shown(&plan(&APPLIANCE, appliance())));
}

#[test]
fn the_files_of_a_server_that_is_somebody_elses() {
    let answers = [
        ("local_domains", "example.com"),
        ("local_nodes", "127.0.0.1"),
        ("local_link", "component"),
        ("local_secret", "it is \"secret\""),
        ("partner", "contoso.com"),
        ("partner_protocol", "sip"),
        ("partner_profile", "microsoft"),
        ("partner_next_hop", "sip.contoso.com"),
        ("certificate", "request"),
        ("firewall", "yes"),
        ("management_from", "10.0.9.0/24"),
        ("metrics", "yes"),
    ];
    insta::assert_snapshot!(shown(&plan(&answers, server())));
}

#[test]
fn every_choice_makes_a_configuration_that_can_be_used() {
    let choices = PAGES
        .iter()
        .flat_map(|page| page.questions)
        .filter_map(|question| match question.kind {
            Kind::Choice(words) => Some((question.key, words)),
            Kind::Text | Kind::Secret => None,
        });
    let folder = std::env::temp_dir().join(format!("vestibule-choices-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = certificate::make(&["edge.example.com".to_owned()], chance().now).unwrap();
    let [chain, key] = [("chain", made.certificate), ("key", made.key)].map(|(name, text)| {
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(
            folder.join(name),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        folder.join(name).display().to_string()
    });
    let import = [
        ("certificate_chain", chain.as_str()),
        ("certificate_key", key.as_str()),
    ];
    let usual = Flow::of_seed(&seed(&APPLIANCE), appliance()).unwrap();
    let choices = choices.filter(|(key, _)| {
        let question = Flow::question(key).unwrap();
        usual.answers().arises(question, &appliance())
    });
    let mut tried = 0;
    for (key, words) in choices {
        for word in words {
            let mut more = vec![(key, *word)];
            match *word {
                "component" => more.push(("local_secret", "secret")),
                "import" => more.extend(import),
                "sip" if key == "partner_protocol" => more.push(("partner_next_hop", "192.0.2.1:5062")),
                _ => {}
            }
            let made = plan(&with(&APPLIANCE, &more), appliance());
            assert!(made.files.len() > 3, "{key} {word}");
            tried += 1;
        }
    }
    assert!(tried > 12, "{tried}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn keys_and_secrets_are_nobody_elses() {
    let made = plan(
        &with(
            &APPLIANCE,
            &[("local_link", "component"), ("local_secret", "a secret")],
        ),
        appliance(),
    );
    let owner = |name: &str| {
        made.files
            .iter()
            .find(|file| file.path.ends_with(name))
            .unwrap()
            .owner
    };
    assert_eq!(owner("tls/edge.key"), Owner::Proxy);
    assert_eq!(owner("component.secret"), Owner::Proxy);
    assert_eq!(owner("admin.password"), Owner::Nobody);
    assert_eq!(owner("tls/edge.pem"), Owner::Everybody);
    for file in &made.files {
        let is_open = file.owner == Owner::Everybody;
        for secret in ["a secret", "correct horse", "PRIVATE KEY"] {
            assert!(
                !is_open || !file.text.contains(secret),
                "{secret} in {}",
                file.path.display()
            );
        }
    }
}

#[test]
fn nonsense_is_told_at_each_question() {
    let mut flow = Flow::of_seed(&seed(&APPLIANCE), appliance()).unwrap();
    let mut told = String::new();
    for (key, said) in [
        ("password", "short"),
        ("password", "aaaaaaaaaaaaaaaa"),
        ("password_again", "something else"),
        ("outside_card", "eth9"),
        ("outside_interface", ""),
        ("outside_interface", "203.0.113.10"),
        ("outside_interface", "203.0.113.10/33"),
        ("outside_interface", "0.0.0.0/8"),
        ("outside_interface6", "2001:db8::10"),
        ("gateway", "router"),
        ("gateway", "192.0.2.1"),
        ("gateway", "203.0.113.10"),
        ("inside_card", ""),
        ("inside_interface", "10.1.0.10/0"),
        ("inside_routes", "10.0.0.0/8"),
        ("inside_routes", "10.0.0.0/40 via 10.1.0.1"),
        ("inside_routes", "10.0.0.0/8 via 10.2.0.1"),
        ("name", "edge"),
        ("name", "edge..example"),
        ("dns_servers", "10.0.0.53, dns.example.com"),
        ("dns_servers", "0.0.0.0"),
        ("time_zone", "../etc/passwd"),
        ("time_zone", "Mars/Olympus"),
        ("time_servers", "a b/c"),
        ("local_domains", ""),
        ("local_domains", "example.com, b@d"),
        ("local_protocol", "smtp"),
        ("local_nodes", ""),
        ("local_nodes", "imp1:0"),
        ("local_nodes", "imp1:70000"),
        ("local_nodes", "[fd00::5:5269"),
        ("local_secret", ""),
        ("local_trust", "company.pem"),
        ("local_trust", "/nowhere/company.pem"),
        ("partner", "example.com"),
        ("partner", "*"),
        ("partner_next_hop", "sip.contoso.com:sip"),
        ("partner_pin", "12:34"),
        ("certificate", "magic"),
        ("certificate_chain", "/nowhere"),
        ("firewall", "maybe"),
        ("management_from", "10.0.9.1"),
        ("name", "edge.example.com\u{1b}[2J"),
    ] {
        let question = Flow::question(key).unwrap();
        let before = flow.value(question);
        let wrong = flow.answer(question, said).unwrap_err();
        assert_eq!(flow.value(question), before, "{key}");
        told.push_str(&format!("{key} = {said:?}\n    {}\n", wrong.why));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn what_is_wrong_with_a_seed_is_told_with_its_line() {
    let told = |text: &str| Flow::of_seed(text, server()).unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            told("name = \"edge\"\nlocal_domains = [\"example.com\"]\nlocal_nodes = [1]\n\nnam = \"x\"\nlocal_protocol = \"smtp\"\npassword = 3\n"),
            told("name = \"edge.example.com\"\nname = \"twice.example.com\"\n"),
            told("name = \n"),
            told(""),
        ]
        .join("----\n")
    );
}

#[test]
fn pages_are_gone_through_forward_and_back() {
    let mut flow = Flow::new(server(), Answers::default());
    // Neither the administrator nor the time of a machine of somebody else is asked for.
    assert_eq!((flow.page().title, flow.place()), ("Network", (1, 7)));
    assert!(!flow.back());
    flow.forward().unwrap();
    assert_eq!(flow.page().title, "Name");
    flow.forward().unwrap();
    assert_eq!(flow.page().title, "Inside");
    assert_eq!(flow.forward().unwrap_err().key, "local_domains");
    assert_eq!(flow.page().title, "Inside");
    flow.answer(Flow::question("local_domains").unwrap(), " example.com ")
        .unwrap();
    flow.answer(Flow::question("local_nodes").unwrap(), "10.0.0.5")
        .unwrap();
    assert!(flow.back());
    flow.forward().unwrap();
    assert_eq!(
        flow.value(Flow::question("local_domains").unwrap()),
        "example.com"
    );
    while !flow.is_summary() {
        flow.forward().unwrap();
    }
    assert_eq!(flow.place(), (7, 7));
    assert!(flow.faults().is_empty());
    flow.plan(Path::new(FOLDER), "vestibule").unwrap();
}

#[test]
fn questions_arise_by_what_was_said() {
    let mut flow = Flow::new(server(), Answers::default());
    let mut say = |key: &str, said: &str| flow.note(Flow::question(key).unwrap(), said);
    say("local_protocol", "sip");
    say("partner", "");
    let arises = |flow: &Flow, key: &str| flow.answers().arises(Flow::question(key).unwrap(), &server());
    assert!(!arises(&flow, "local_link"));
    assert!(!arises(&flow, "partner_protocol"));
    flow.note(Flow::question("partner").unwrap(), "contoso.com");
    flow.note(Flow::question("partner_protocol").unwrap(), "xmpp");
    assert!(arises(&flow, "partner_next_hop"));
    assert!(!arises(&flow, "partner_profile"));
}

#[test]
fn what_could_be_written_is_written_or_nothing() {
    let folder = std::env::temp_dir().join(format!("vestibule-setup-{}", std::process::id()));
    let machine = server();
    let answers = [
        ("local_domains", "example.com"),
        ("local_nodes", "127.0.0.1"),
        ("local_tls", "no"),
    ];
    let flow = Flow::of_seed(&seed(&answers), machine.clone()).unwrap();
    let made = Plan::with(flow.answers(), &machine, (&folder, "nobody"), &chance()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("vestibule.toml"), "# before\n").unwrap();
    // A folder stands where a file is to go: nothing is changed.
    std::fs::create_dir_all(folder.join("tls/edge.key.new")).unwrap();
    let why = install(&made, "nobody").unwrap_err();
    assert!(why.to_string().contains("edge.key"), "{why}");
    assert_eq!(read("vestibule.toml").as_deref(), Some("# before\n"));
    assert_eq!(read("tls/edge.pem"), None);
    assert_eq!(read("tls/edge.pem.new"), None);
    std::fs::remove_dir(folder.join("tls/edge.key.new")).unwrap();
    let installed = install(&made, "nobody").unwrap();
    assert!(read("vestibule.toml").unwrap().contains("example.com"));
    assert!(read("tls/edge.key").unwrap().contains("PRIVATE KEY"));
    installed.take_back().unwrap();
    assert_eq!(read("vestibule.toml").as_deref(), Some("# before\n"));
    assert_eq!(read("tls/edge.key"), None);
    std::fs::remove_dir_all(&folder).unwrap();
}
