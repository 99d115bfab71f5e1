//! The pages and their questions, in the order in which they are asked.

mod arising;

use self::arising::{
    always, card_at, elsewhere, has_partner, has_tls_inside, has_two_arms, imports, is_component,
    manages_firewall, nothing, on_appliance, partner_may_speak_sip, speaks_xmpp,
};
use super::checks;
use super::question::{Kind, Page, Question};

const YES_OR_NO: Kind = Kind::Choice(&["yes", "no"]);

/// A question with no default and no check that always arises.
const PLAIN: Question = Question {
    key: "",
    ask: "",
    help: "",
    kind: Kind::Text,
    default: nothing,
    check: checks::anything,
    applies: always,
};

/// All of them.
pub(super) static PAGES: [Page; 9] = [
    Page {
        title: "Administrator",
        text: "Who knows this password may change things at the console of this machine. There is none yet.",
        questions: &[
            Question {
                key: "password",
                ask: "Password",
                help: "12 characters or more. Only what it can be checked by is kept.",
                kind: Kind::Secret,
                check: checks::password,
                applies: on_appliance,
                ..PLAIN
            },
            Question {
                key: "password_again",
                ask: "The same again",
                kind: Kind::Secret,
                check: checks::password_again,
                // A seed file says it once.
                default: nothing,
                applies: on_appliance,
                ..PLAIN
            },
        ],
    },
    Page {
        title: "Network",
        text: "Which card stands in which network, and the addresses there. One card may do for both (one arm), with an address for each.",
        questions: &[
            Question {
                key: "outside_card",
                ask: "Card outside",
                help: "The card towards the internet.",
                default: |_, machine| card_at(machine, 0),
                check: checks::card,
                applies: on_appliance,
                ..PLAIN
            },
            Question {
                key: "outside_interface",
                ask: "Address outside",
                help: "With the length of the network's prefix: 203.0.113.10/24.",
                check: checks::interface,
                applies: on_appliance,
                ..PLAIN
            },
            Question {
                key: "outside_interface6",
                ask: "IPv6 address outside",
                help: "2001:db8::10/64, or nothing.",
                check: checks::interface_or_nothing,
                applies: on_appliance,
                ..PLAIN
            },
            Question {
                key: "gateway",
                ask: "Gateway",
                help: "The router that leads to the internet.",
                check: checks::gateway,
                applies: on_appliance,
                ..PLAIN
            },
            Question {
                key: "gateway6",
                ask: "IPv6 gateway",
                check: checks::gateway6,
                applies: |answers, machine| !answers.get("outside_interface6", machine).is_empty(),
                ..PLAIN
            },
            Question {
                key: "inside_card",
                ask: "Card inside",
                help: "The card towards the company network; the same as outside where there is one only.",
                default: |_, machine| card_at(machine, 1),
                check: checks::card,
                applies: on_appliance,
                ..PLAIN
            },
            Question {
                key: "inside_interface",
                ask: "Address inside",
                help: "The inside nodes connect to this one: 10.0.0.10/24.",
                check: checks::interface,
                applies: on_appliance,
                ..PLAIN
            },
            Question {
                key: "inside_routes",
                ask: "Routes inside",
                help: "Networks behind a router inside: 10.0.0.0/8 via 10.1.0.1, or nothing.",
                check: checks::routes,
                applies: has_two_arms,
                ..PLAIN
            },
            Question {
                key: "outside_addresses",
                ask: "Addresses outside",
                help: "The addresses of this machine that the internet reaches.",
                default: |_, machine| {
                    machine
                        .addresses
                        .first()
                        .map(ToString::to_string)
                        .unwrap_or_default()
                },
                check: checks::addresses,
                applies: elsewhere,
                ..PLAIN
            },
            Question {
                key: "inside_addresses",
                ask: "Addresses inside",
                help: "The addresses of this machine that the inside nodes reach.",
                default: |_, machine| {
                    machine
                        .addresses
                        .last()
                        .map(ToString::to_string)
                        .unwrap_or_default()
                },
                check: checks::addresses,
                applies: elsewhere,
                ..PLAIN
            },
        ],
    },
    Page {
        title: "Name",
        text: "What this machine is called outside, and whom it asks for names.",
        questions: &[
            Question {
                key: "name",
                ask: "Name of the edge",
                help: "In full. Partners find it by DNS, and its certificate names it.",
                default: |_, machine| machine.name.clone().unwrap_or_default(),
                check: checks::domain,
                ..PLAIN
            },
            Question {
                key: "dns_servers",
                ask: "DNS servers",
                help: "By address. With none, the edge asks those of the operating system.",
                check: checks::servers,
                ..PLAIN
            },
        ],
    },
    Page {
        title: "Time",
        text: "Certificates are good or bad by the clock, so it has to be right.",
        questions: &[
            Question {
                key: "time_zone",
                ask: "Time zone",
                help: "UTC, Europe/Berlin, Asia/Tokyo: for what people read.",
                default: |_, _| "UTC".to_owned(),
                check: checks::time_zone,
                applies: on_appliance,
                ..PLAIN
            },
            Question {
                key: "time_servers",
                ask: "Time servers",
                help: "NTP servers by name or address. With none, the clock of the virtual machine is relied on.",
                check: checks::time_servers,
                applies: on_appliance,
                ..PLAIN
            },
        ],
    },
    Page {
        title: "Inside",
        text: "The domains that are ours, and the servers inside that have their users.",
        questions: &[
            Question {
                key: "local_domains",
                ask: "Our domains",
                help: "The part after the @ of our users' addresses; several are parted by commas.",
                check: checks::domains,
                ..PLAIN
            },
            Question {
                key: "local_protocol",
                ask: "Their servers speak",
                kind: Kind::Choice(&["xmpp", "sip"]),
                default: |_, _| "xmpp".to_owned(),
                ..PLAIN
            },
            Question {
                key: "local_nodes",
                ask: "Their servers",
                help: "Hosts, with a port where it is not the usual one: imp1.corp.example, 10.0.0.5:5222.",
                check: checks::hosts,
                ..PLAIN
            },
            Question {
                key: "local_link",
                ask: "Link to them",
                help: "s2s: as one XMPP server to another. component: the edge logs in as a component (XEP-0114).",
                kind: Kind::Choice(&["s2s", "component"]),
                default: |_, _| "s2s".to_owned(),
                applies: speaks_xmpp,
                ..PLAIN
            },
            Question {
                key: "local_secret",
                ask: "Secret of the component",
                kind: Kind::Secret,
                check: checks::secret,
                applies: is_component,
                ..PLAIN
            },
            Question {
                key: "local_tls",
                ask: "TLS with them",
                help: "Whether the leg inside is encrypted.",
                kind: YES_OR_NO,
                default: |answers, machine| {
                    if is_component(answers, machine) {
                        "no"
                    } else {
                        "yes"
                    }
                    .to_owned()
                },
                ..PLAIN
            },
            Question {
                key: "local_trust",
                ask: "Who vouches for them",
                help: "system (the public authorities), or the path of a PEM file with the company's own.",
                default: |_, _| "system".to_owned(),
                check: checks::trust,
                applies: has_tls_inside,
                ..PLAIN
            },
        ],
    },
    Page {
        title: "First partner",
        text: "The first foreign domain to talk to. Nothing here is needed to begin with; nobody is let in who is not named.",
        questions: &[
            Question {
                key: "partner",
                ask: "Domain",
                help: "contoso.com, or *.example.org for it and all below it. Nothing: no partner yet.",
                check: checks::partner,
                ..PLAIN
            },
            Question {
                key: "partner_protocol",
                ask: "It speaks",
                help: "auto: what its DNS says.",
                kind: Kind::Choice(&["auto", "sip", "xmpp"]),
                default: |_, _| "auto".to_owned(),
                applies: has_partner,
                ..PLAIN
            },
            Question {
                key: "partner_profile",
                ask: "Its servers are",
                help: "microsoft: Lync, Skype for Business, OCS. simple: every other SIP.",
                kind: Kind::Choice(&["simple", "microsoft"]),
                default: |_, _| "simple".to_owned(),
                applies: partner_may_speak_sip,
                ..PLAIN
            },
            Question {
                key: "partner_next_hop",
                ask: "Its server",
                help: "A host, with a port where it is not 5061 or 5269. Nothing: DNS says.",
                check: checks::host_or_nothing,
                applies: |answers, machine| {
                    has_partner(answers, machine) && answers.get("partner_protocol", machine) != "auto"
                },
                ..PLAIN
            },
            Question {
                key: "partner_pin",
                ask: "SHA-256 of its key",
                help: "For a partner whose certificate no public authority vouches for. Nothing: the public authorities do.",
                check: checks::pin,
                applies: has_partner,
                ..PLAIN
            },
        ],
    },
    Page {
        title: "Certificate",
        text: "What proves to partners who we are. Most of them take only one that a public authority has signed.",
        questions: &[
            Question {
                key: "certificate",
                ask: "Certificate",
                help: "self-signed: made now. request: made now, with a request for an authority beside it. import: you have one.",
                kind: Kind::Choice(&["self-signed", "request", "import"]),
                default: |_, _| "self-signed".to_owned(),
                ..PLAIN
            },
            Question {
                key: "certificate_chain",
                ask: "Its file",
                help: "PEM: the certificate first, then those that vouch for it.",
                check: checks::path,
                applies: imports,
                ..PLAIN
            },
            Question {
                key: "certificate_key",
                ask: "The file of its key",
                help: "PEM, not encrypted, readable for nobody but its owner.",
                check: checks::path,
                applies: imports,
                ..PLAIN
            },
        ],
    },
    Page {
        title: "Management",
        text: "Who may reach what this machine tells of itself. At its console it can be managed in any case.",
        questions: &[
            Question {
                key: "firewall",
                ask: "Firewall",
                help: "yes: everything but the listeners and what is named here is dropped.",
                kind: YES_OR_NO,
                default: |_, _| "no".to_owned(),
                applies: elsewhere,
                ..PLAIN
            },
            Question {
                key: "metrics",
                ask: "Prometheus",
                help: "yes: /metrics on the inside address, port 9464. no: on this machine only.",
                kind: YES_OR_NO,
                default: |_, _| "no".to_owned(),
                ..PLAIN
            },
            Question {
                key: "management_from",
                ask: "From these networks",
                help: "Who may ask: 10.0.9.0/24. Nothing: nobody but this machine.",
                check: checks::networks,
                applies: manages_firewall,
                ..PLAIN
            },
        ],
    },
    // What is shown there is made of the answers.
    Page {
        title: "Summary",
        text: "Nothing has been changed so far.",
        questions: &[],
    },
];
