//! The commands that ask a running proxy, against a socket that answers as one, or does not.

#![allow(clippy::unwrap_used, reason = "tests, and what only tests use")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use crate::config::Etc;

const SIP_TO_XMPP: &str = include_str!("../../config/examples/sip-partner-to-prosody.toml");

const LISTING: &str = r#"{"subscriptions":[
    {"xmpp":"romeo@example.net","sip":"juliet@example.com","watcher":"xmpp","state":"active","dialogs":1,"next_seconds":2530,
     "seen":"away","told":"away","why":"she allowed it","new":"field"},
    {"xmpp":"romeo@example.net","sip":"nurse@example.com","watcher":"sip","state":"pending","dialogs":1,"next_seconds":null,
     "seen":null,"told":null,"why":"asked\u001b[2J\u009b31m\r\nand more"}],
    "states":{"active":1,"pending":1},"matching":2,"left_out":0}"#;

/// Answers one request with these octets; gives back what was asked.
fn once(path: &Path, answer: Vec<u8>) -> thread::JoinHandle<String> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            if stream.read(&mut octet).unwrap() == 0 {
                break;
            }
            asked.push(octet[0]);
        }
        // Who has gone away does not want it.
        stream.write_all(&answer).ok();
        String::from_utf8(asked).unwrap()
    })
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn vestibule(arguments: &[&str], socket: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(arguments)
        .arg("--socket")
        .arg(socket)
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
fn subscriptions_are_listed_as_text_and_as_json() {
    let etc = Etc::new();
    let list = |arguments: &[&str]| {
        let path = etc.path("control.sock");
        let proxy = once(&path, answer("200 OK", LISTING));
        let output = vestibule(arguments, &path);
        std::fs::remove_file(&path).unwrap();
        let asked = proxy.join().unwrap();
        format!("{}{}\n", said(&etc, &output), asked.lines().next().unwrap())
    };
    let outputs = [
        list(&["subscriptions"]),
        list(&[
            "subscriptions",
            "--state",
            "pen&ding",
            "--most",
            "7",
            "sip:o'neill@example.com",
        ]),
        list(&["subscriptions", "--json", "example.com"]),
    ];
    for output in &outputs {
        let obeyed = |c: char| c.is_control() && c != '\n';
        assert!(!output.contains(obeyed), "{output:?}");
    }
    insta::assert_snapshot!(outputs.join("----\n"));
}

#[test]
fn who_cannot_be_asked_is_told_with_what_to_do() {
    let etc = Etc::new();
    let path = etc.path("control.sock");
    let mut outputs = vec![said(&etc, &vestibule(&["subscriptions"], &path))];
    drop(UnixListener::bind(&path).unwrap());
    outputs.push(said(&etc, &vestibule(&["status"], &path)));
    std::fs::remove_file(&path).unwrap();
    for octets in [
        answer("403 Forbidden", "{}"),
        answer(
            "503 Service Unavailable",
            r#"{"error":"the proxy is stopping\u001b[2J"}"#,
        ),
        answer("200 OK", "{\"subscriptions\":1}"),
        answer("500 Internal Server Error", "<html>"),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        Vec::new(),
    ] {
        let proxy = once(&path, octets);
        outputs.push(said(&etc, &vestibule(&["subscriptions"], &path)));
        proxy.join().unwrap();
        std::fs::remove_file(&path).unwrap();
    }
    insta::assert_snapshot!(outputs.join("----\n"));
}

#[test]
fn the_socket_is_found_by_the_configuration() {
    let etc = Etc::new();
    let path = etc.path("control.sock");
    let ask = |control: &str| {
        let text = format!("{}\n[admin]\ncontrol = \"{control}\"\n", etc.here(SIP_TO_XMPP));
        etc.write("vestibule.toml", &text, 0o644);
        Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["subscriptions", "--config"])
            .arg(etc.path("vestibule.toml"))
            .env_clear()
            .output()
            .unwrap()
    };
    let proxy = once(&path, answer("200 OK", LISTING));
    assert_eq!(ask(path.to_str().unwrap()).status.code(), Some(0));
    proxy.join().unwrap();
    let off = ask("");
    assert_eq!(off.status.code(), Some(1));
    assert!(said(&etc, &off).contains("[admin] control is empty"));
    for wrong in ["control.sock", &format!("/{}", "x".repeat(107))] {
        let refused = ask(wrong);
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&etc, &refused).contains("control = "), "{refused:?}");
    }
}

#[test]
fn a_question_that_makes_no_sense_is_not_asked() {
    let nowhere = Path::new("/nowhere/control.sock");
    for arguments in [
        &["subscriptions", "a b"][..],
        &["subscriptions", "sip:@"],
        &["subscriptions", "--most", "10001"],
        &["subscriptions", "--most", "-1"],
        &["subscriptions", "a.example", "b.example"],
        &["status", "a.example"],
    ] {
        let output = vestibule(arguments, nowhere);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
}

#[test]
fn a_status_is_told_and_its_exit_code_says_whether_the_proxy_is_ready() {
    let etc = Etc::new();
    let path = etc.path("control.sock");
    let status = |ready: &str| {
        let body = format!(
            r#"{{"version":"0.1.0","edge":"edge.example.com","phase":"running",{ready},"started":1,"uptime_seconds":93784,
            "listeners":[{{"side":"outside","protocol":"sip","transport":"tls","address":"192.0.2.1:5061"}}],
            "nodes":[{{"domain":"example.com","node":"imp1.example.com","up":true}}],
            "connections":[{{"side":"outside","protocol":"sip","role":"accepted","count":3}},
                           {{"side":"outside","protocol":"sip","role":"made","count":2}},
                           {{"side":"inside","protocol":"xmpp","role":"made","count":0}}],
            "messages":[{{"way":"inbound","from":"sip","to":"xmpp","outcome":"delivered","count":7}}],
            "subscriptions":[{{"watcher":"xmpp","state":"active","count":3}},{{"watcher":"sip","state":"active","count":2}},
                             {{"watcher":"sip","state":"pending","count":1}},{{"watcher":"sip","state":"dormant","count":0}}],
            "pending_messages":1,"pending_errors":0,"untold":0,"tasks":{{"shard":2}}}}"#
        );
        let proxy = once(&path, answer("200 OK", &body));
        let output = said(&etc, &vestibule(&["status"], &path));
        assert!(proxy.join().unwrap().starts_with("GET /v1/status HTTP/1.0\r\n"));
        std::fs::remove_file(&path).unwrap();
        output
    };
    insta::assert_snapshot!(
        [
            status(r#""ready":true,"reasons":[]"#),
            status(r#""ready":false,"reasons":["no node of example.com is up"]"#)
        ]
        .join("----\n")
    );
}

#[test]
fn a_socket_that_is_another_users_says_so() {
    if !nix::unistd::geteuid().is_root() {
        return; // only root can become somebody else
    }
    let etc = Etc::new();
    let program = etc.path("vestibule");
    std::fs::copy(env!("CARGO_BIN_EXE_vestibule"), &program).unwrap();
    let path = etc.path("control.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"])
        .arg(&program)
        .args(["subscriptions", "--socket"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("only be asked by root"), "{complaint}");
}
