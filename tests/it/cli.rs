//! The built program: its exit codes, and what its commands print.

#![allow(clippy::unwrap_used, reason = "tests, and what only tests use")]

use std::process::{Command, Output};

use crate::config::Etc;

const SIP_TO_XMPP: &str = include_str!("../../config/examples/sip-partner-to-prosody.toml");
const XMPP_ONLY: &str = include_str!("../../config/examples/xmpp-only.toml");

/// Runs the program with a configuration.
fn vestibule(etc: &Etc, text: &str, arguments: &[&str]) -> Output {
    etc.write("vestibule.toml", &etc.here(text), 0o644);
    Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(arguments)
        .arg("--config")
        .arg(etc.path("vestibule.toml"))
        .env_clear()
        // Whether there is a user vestibule here is no matter of these tests.
        .env("VESTIBULE__EDGE__RUN_AS", "")
        .env("VESTIBULE__EDGE__STATE_DIR", etc.path("state"))
        .output()
        .unwrap()
}

fn bare(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

fn said(etc: &Etc, output: &Output) -> String {
    let text = |octets: &[u8]| etc.shown(std::str::from_utf8(octets).unwrap());
    format!(
        "exit {}\n{}{}",
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr)
    )
}

#[test]
fn exit_codes_tell_good_from_bad_from_misuse() {
    let etc = Etc::new();
    let code = |output: Output| output.status.code();
    assert_eq!(code(vestibule(&etc, SIP_TO_XMPP, &["check"])), Some(0));
    assert_eq!(code(vestibule(&etc, "[edge]\n", &["check"])), Some(1));
    assert_eq!(code(vestibule(&etc, "[edge]\n", &["run"])), Some(1));
    assert_eq!(
        code(vestibule(
            &etc,
            "[edge]\n",
            &["explain", "--from", "a@a.example", "--to", "b@b.example"]
        )),
        Some(1)
    );
    assert_eq!(
        code(bare(&["check", "--config", "/nowhere/vestibule.toml"])),
        Some(1)
    );
    for misuse in [
        &["serve"][..],
        &["check", "--colour"],
        &["explain", "--from", "a@a.example"],
        &["map"],
        &[],
    ] {
        assert_eq!(code(bare(misuse)), Some(2), "{misuse:?}");
    }
    for good in [
        &["--help"][..],
        &["--version"],
        &["man"],
        &["map", "a@example.com"],
    ] {
        assert_eq!(code(bare(good)), Some(0), "{good:?}");
    }
}

#[test]
fn check_sums_up_and_says_everything_as_text_and_as_json() {
    let etc = Etc::new();
    let wrong = SIP_TO_XMPP.replace("port = 5061\ntls", "prot = 5061\ntls");
    let outputs = [
        said(&etc, &vestibule(&etc, SIP_TO_XMPP, &["check"])),
        said(&etc, &vestibule(&etc, &wrong, &["check"])),
        said(&etc, &vestibule(&etc, &wrong, &["check", "--json"])),
        said(&etc, &vestibule(&etc, SIP_TO_XMPP, &["check", "--json"])),
    ];
    insta::assert_snapshot!(outputs.join("----\n"));
}

#[test]
fn check_says_why_nothing_could_be_stored_and_makes_nothing() {
    let etc = Etc::new();
    etc.write("vestibule.toml", &etc.here(SIP_TO_XMPP), 0o644);
    let check = |folder: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["check", "--config"])
            .arg(etc.path("vestibule.toml"))
            .env("VESTIBULE__EDGE__RUN_AS", "")
            .env("VESTIBULE__EDGE__STATE_DIR", folder)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "it may be for another machine");
        String::from_utf8(output.stdout).unwrap()
    };
    let at = |name: &str| etc.path(name).display().to_string();
    for (folder, said) in [
        (at("state"), None),
        (at("tls"), None),
        (String::new(), None),
        (at("component.secret"), Some("is no folder")),
        (at("not/there"), Some("none to make it in")),
    ] {
        let output = check(&folder);
        assert_eq!(
            output.contains("edge.state_dir"),
            said.is_some(),
            "{folder}: {output}"
        );
        assert!(output.contains(said.unwrap_or_default()), "{folder}: {output}");
    }
    assert!(!etc.path("state").exists());
}

#[test]
fn check_tells_root_what_the_user_of_the_proxy_cannot_read() {
    if !nix::unistd::geteuid().is_root() {
        return; // nobody else becomes another user
    }
    let etc = Etc::new();
    etc.write("vestibule.toml", &etc.here(SIP_TO_XMPP), 0o644);
    let check = |user: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["check", "--config"])
            .arg(etc.path("vestibule.toml"))
            .env("VESTIBULE__EDGE__RUN_AS", user)
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "a warning and no fault: the file may be for another machine"
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let nobody = check("nobody");
    for file in ["tls/edge.key", "component.secret"] {
        let said = format!("user \"nobody\" cannot read {}", etc.path(file).display());
        assert!(nobody.contains(&said), "{file}: {nobody}");
    }
    assert!(check("no-such-user").contains("there is no user \"no-such-user\" on this machine; create it"));
    assert!(check("root").contains("usable, 0 warnings"));
}

#[test]
fn the_environment_of_the_process_overrides_the_file() {
    let etc = Etc::new();
    etc.write("vestibule.toml", &etc.here(SIP_TO_XMPP), 0o644);
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["check", "--config"])
        .arg(etc.path("vestibule.toml"))
        .env("VESTIBULE__POLICY__DEFAULT", "maybe")
        .output()
        .unwrap();
    insta::assert_snapshot!(said(&etc, &output));
}

#[test]
fn explain_shows_the_chain_for_messages_that_pass() {
    let etc = Etc::new();
    let explain = |text: &str, arguments: &[&str]| {
        let arguments: Vec<&str> = ["explain"].iter().chain(arguments).copied().collect();
        said(&etc, &vestibule(&etc, text, &arguments))
    };
    let outputs = [
        explain(
            SIP_TO_XMPP,
            &[
                "--from",
                "sip:o'malley@partner.example",
                "--to",
                "sip:romeo@example.com",
            ],
        ),
        explain(
            SIP_TO_XMPP,
            &[
                "--from",
                "romeo@example.com/garden",
                "--to",
                "juliet@partner.example",
            ],
        ),
        explain(
            XMPP_ONLY,
            &[
                "--from",
                "a@im.partner.org",
                "--to",
                "b@example.com",
                "--kind",
                "presence",
            ],
        ),
        explain(
            XMPP_ONLY,
            &["--from", "b@example.com", "--to", "a@im.partner.org"],
        ),
        explain(
            SIP_TO_XMPP,
            &[
                "--from",
                "romeo@example.com",
                "--to",
                "juliet@partner.example",
                "--json",
            ],
        ),
    ];
    insta::assert_snapshot!(outputs.join("----\n"));
}

#[test]
fn explain_says_that_a_clearing_house_may_speak_for_a_domain_behind_it() {
    let etc = Etc::new();
    let text = format!(
        "{XMPP_ONLY}\n[[federate]]\ndomain = \"tenant.example\"\nprotocol = \"xmpp\"\nvia = \"house.example\"\n\
         [[policy.exception]]\ndomain = \"tenant.example\"\n"
    );
    let explain = |from: &str, to: &str| {
        let arguments = ["explain", "--from", from, "--to", to];
        said(&etc, &vestibule(&etc, &text, &arguments))
    };
    let inbound = explain("a@tenant.example", "b@example.com");
    assert!(
        inbound.contains("tenant.example, or house.example for it"),
        "{inbound}"
    );
    let outbound = explain("b@example.com", "a@tenant.example");
    assert!(outbound.contains("_xmpp-server._tcp.house.example"), "{outbound}");
}

#[test]
fn explain_shows_why_a_message_is_refused() {
    let etc = Etc::new();
    let explain = |text: &str, arguments: &[&str]| {
        let arguments: Vec<&str> = ["explain"].iter().chain(arguments).copied().collect();
        said(&etc, &vestibule(&etc, text, &arguments))
    };
    let outputs = [
        // Not in the rules.
        explain(
            XMPP_ONLY,
            &["--from", "a@stranger.example", "--to", "b@example.com"],
        ),
        // Not this kind.
        explain(
            XMPP_ONLY,
            &[
                "--from",
                "a@partner.org",
                "--to",
                "b@example.com",
                "--kind",
                "file-transfer",
            ],
        ),
        // Only messages are translated.
        explain(
            SIP_TO_XMPP,
            &[
                "--from",
                "a@partner.example",
                "--to",
                "b@example.com",
                "--kind",
                "presence",
            ],
        ),
        // Translation is off.
        explain(
            XMPP_ONLY,
            &["--from", "sip:a@partner.org", "--to", "sip:b@example.com"],
        ),
        // Nothing to do with us.
        explain(
            XMPP_ONLY,
            &["--from", "a@partner.org", "--to", "b@stranger.example"],
        ),
        explain(XMPP_ONLY, &["--from", "a@example.com", "--to", "b@example.com"]),
        // No address at all.
        explain(XMPP_ONLY, &["--from", "a@@example.com", "--to", "b@partner.org"]),
        explain(XMPP_ONLY, &["--from", "sip:a@192.0.2.1", "--to", "b@example.com"]),
        // No address on the other side.
        explain(
            SIP_TO_XMPP,
            &[
                "--from",
                "sip:%ff@partner.example",
                "--to",
                "sip:romeo@example.com",
            ],
        ),
    ];
    insta::assert_snapshot!(outputs.join("----\n"));
}

#[test]
fn explain_says_what_the_border_says() {
    let etc = Etc::new();
    let xmpp = format!(
        "{XMPP_ONLY}\n\
         [[policy.exception]]\ndomain = \"quiet.example\"\ndirection = \"inbound\"\n\
         [[policy.block]]\naddress = \"mallory@partner.org\"\n\
         [[policy.block]]\naddress = \"oscar@partner.org\"\nstyle = \"explicit\"\n\
         [[local]]\ndomain = \"rooms.example.com\"\nprotocol = \"xmpp\"\nrole = \"chat\"\n\
         nodes = [{{ host = \"imp1.inside.example\" }}]\n"
    );
    let explain = |text: &str, from: &str, to: &str, more: &[&str]| {
        let arguments: Vec<&str> = ["explain", "--from", from, "--to", to]
            .iter()
            .chain(more)
            .copied()
            .collect();
        said(&etc, &vestibule(&etc, text, &arguments))
    };
    let outputs = [
        // One way, and back.
        explain(&xmpp, "a@quiet.example", "b@example.com", &[]),
        explain(&xmpp, "b@example.com", "a@quiet.example", &[]),
        // Blocks in both styles.
        explain(&xmpp, "mallory@partner.org", "b@example.com", &[]),
        explain(&xmpp, "oscar@partner.org", "b@example.com", &[]),
        // A chat node decides what kind it is.
        explain(&xmpp, "a@partner.org", "tea@rooms.example.com", &[]),
        // What the edge answers by itself.
        explain(
            SIP_TO_XMPP,
            "romeo@example.com",
            "partner.example",
            &["--kind", "other"],
        ),
        explain(
            SIP_TO_XMPP,
            "sip:a@partner.example",
            "sip:example.com",
            &["--kind", "other", "--proto", "sip"],
        ),
        explain(
            SIP_TO_XMPP,
            "b@example.com",
            "edge.example.com",
            &["--kind", "other"],
        ),
        // What SIP has no word for.
        explain(
            SIP_TO_XMPP,
            "romeo@example.com",
            "juliet@partner.example",
            &["--kind", "presence"],
        ),
        explain(
            SIP_TO_XMPP,
            "a@partner.example",
            "b@example.com",
            &["--kind", "file-transfer"],
        ),
    ];
    insta::assert_snapshot!(outputs.join("----\n"));
}

#[test]
fn map_shows_an_address_in_both_protocols() {
    let etc = Etc::new();
    let outputs: Vec<String> = [
        &["map", "sip:o'malley@sip.example"][..],
        &["map", "o\\27malley@sip.example"],
        &["map", "tschüss@xmpp.example"],
        &["map", "sip:foo@sip.example;gr=bar"],
        &["map", "sip:f%C3%BC@sip.example", "--json"],
        &["map", "sips:secure@sip.example"],
        &["map", "sip:%ff@sip.example"],
        &["map", "a@@b"],
        &["map", "sip:a b@sip.example"],
    ]
    .into_iter()
    .map(|arguments| format!("{arguments:?}\n{}", said(&etc, &bare(arguments))))
    .collect();
    insta::assert_snapshot!(outputs.join("----\n"));
}

#[test]
fn every_command_has_a_manual_page() {
    let page = |arguments: &[&str]| {
        let output = bare(arguments);
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = page(&["man"]);
    for word in [
        ".SS vestibule run",
        ".SS vestibule check",
        ".SS vestibule explain",
        ".SS vestibule map",
        ".SS vestibule man",
        "config",
        "json",
        "\\-\\-kind",
        "One of: im, presence, groupchat, file\\-transfer, other.",
        ".SH EXIT STATUS",
        "SIGHUP",
        "VESTIBULE__POLICY__DEFAULT=allow",
        "/etc/vestibule/vestibule.toml",
        "/readyz",
    ] {
        assert!(whole.contains(word), "{word} is not in:\n{whole}");
    }
    let explain = page(&["man", "explain"]);
    for word in ["from", "kind", "proto", "vestibule explain"] {
        assert!(explain.contains(word), "{word}");
    }
    assert_eq!(bare(&["man", "nothing"]).status.code(), Some(2));
}
