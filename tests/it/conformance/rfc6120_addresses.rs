//! RFC 6120 §8.1: the addresses of every stanza, checked against the pairs of its own stream. Nothing that fails comes out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests, and what only tests use"
)]

use vestibule::xmpp::stream::{Dialback, Event, Receiving, Sasl, Start, Tls};

use super::streams::{Answers, End, HEADER, SHOWN, auth, receiving, settings};

/// A stream of `there.example` to `here.example`, proven by certificate.
fn proven() -> End<Receiving> {
    let terms = settings(Tls::Required, Sasl::Required, Dialback::Off);
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(terms));
    here.feed(HEADER).feed(&auth("=")).feed(HEADER);
    assert!(here.is_authenticated());
    here
}

/// A stream between domains of these names, each pair proven by dialback.
fn dialled<const N: usize>(pairs: [(&str, &str); N]) -> End<Receiving> {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut here = receiving(Start::Plain, Answers::serving(terms));
    if let Some((from, to)) = pairs.first() {
        here.feed(&HEADER.replace("there.example", from).replace("here.example", to));
    }
    for (from, to) in pairs {
        here.feed(&format!("<db:result from='{from}' to='{to}'>k</db:result>"));
    }
    here
}

fn stanza(name: &str, from: &str, to: &str) -> String {
    let kind = if name == "iq" { " type='get'" } else { "" };
    format!("<{name} from='{from}' to='{to}' id='1'{kind}/>")
}

const NAMES: [&str; 3] = ["message", "presence", "iq"];

#[test]
fn section_8_1_2_2_no_other_domain_than_the_proven_one_may_be_the_sender() {
    for from in [
        "",
        "@there.example",
        "a@",
        "/there.example",
        "/a@there.example",
        "a@evil.example",
        "evil.example/a@there.example",
        "a@evil.example/there.example",
        "a@there.example@evil.example",
        "a@evil.example@there.example",
        "there.example@evil.example",
        "a@sub.there.example",
        "a@example",
        "a@notthere.example",
        "a@there.example.evil.example",
        "a@there.example..",
        "a@there.examp\u{2113}e.evil",
        "a@th\u{435}re.example",
        "a@192.0.2.1",
        "a@[2001:db8::1]",
        "a@here.example",
        "here.example",
        "a@there example",
        "a@there.example:5269",
    ] {
        for name in NAMES {
            let mut here = proven();
            here.feed(&stanza(name, from, "b@here.example"));
            assert_eq!(here.stream_error(), Some("invalid-from"), "{name} {from}");
            assert_eq!(here.stanzas(), 0);
        }
    }
}

#[test]
fn section_8_1_1_2_no_other_domain_than_the_streams_may_be_the_recipient() {
    for to in [
        "b@other.example",
        "other.example/b@here.example",
        "b@other.example/here.example",
        "b@sub.here.example",
        "b@example",
        "b@there.example",
        "b@here.example.other.example",
        "b@h\u{435}re.example",
    ] {
        for name in NAMES {
            let mut here = proven();
            here.feed(&stanza(name, "a@there.example", to));
            assert_eq!(here.stream_error(), Some("host-unknown"), "{name} {to}");
            assert_eq!(here.stanzas(), 0);
        }
    }
}

#[test]
fn section_8_1_a_missing_address_is_improper_addressing() {
    for name in NAMES {
        for addresses in ["to='b@here.example'", "from='a@there.example'", ""] {
            let mut here = proven();
            here.feed(&format!("<{name} {addresses} id='1' type='error'/>"));
            assert_eq!(
                here.stream_error(),
                Some("improper-addressing"),
                "{name} {addresses}"
            );
            // An address in a namespace is another attribute.
            let mut here = proven();
            here.feed(&format!(
                "<{name} xmlns:x='jabber:server' x:from='a@there.example' x:to='b@here.example' id='1'/>"
            ));
            assert_eq!(here.stream_error(), Some("improper-addressing"), "{name}");
            assert_eq!(here.stanzas(), 0);
        }
    }
}

#[test]
fn section_8_3_3_8_a_recipient_that_is_no_address_is_told_and_goes_nowhere() {
    for to in [
        "",
        "/b@here.example",
        "@here.example",
        "b@",
        "b@here.example@other.example",
        "b@192.0.2.1",
        "b@here.example/",
    ] {
        for name in NAMES {
            let mut here = proven();
            here.feed(&stanza(name, "a@there.example", to));
            let told = here.events.iter().find_map(|event| match event {
                Event::Answer(answer) => Some(answer.clone()),
                _ => None,
            });
            let told = told.unwrap_or_else(|| panic!("{name} {to}"));
            assert_eq!(told.error().unwrap().condition().as_str(), "jid-malformed");
            assert_eq!(
                told.from().to_string(),
                "here.example",
                "what is malformed is not repeated"
            );
            assert_eq!(told.to().to_string(), "a@there.example");
            assert_eq!(here.stanzas(), 0);
            assert!(!here.is_closed, "the stream goes on");
        }
    }
}

#[test]
fn section_8_1_one_name_is_one_name_in_every_spelling_and_goes_on_in_its_own() {
    for (from, to) in [
        ("a@there.example", "b@here.example"),
        ("A@THERE.Example", "B@HERE.example"),
        ("a@there.example.", "b@here.example."),
        (
            "a@\u{ff54}\u{ff48}\u{ff45}\u{ff52}\u{ff45}.example",
            "b@here\u{3002}example",
        ),
    ] {
        let mut here = proven();
        here.feed(&stanza("message", from, to));
        let Some(Event::Stanza(passed)) = here.events.last() else {
            panic!("{from} {to}: {}", here.sent);
        };
        assert_eq!(
            (
                passed.element().attribute("from").unwrap(),
                passed.element().attribute("to").unwrap()
            ),
            ("a@there.example", "b@here.example")
        );
    }
    let (unicode, ascii, apart) = (
        "b\u{fc}cher.example",
        "xn--bcher-kva.example",
        "bu\u{308}cher.example",
    );
    for opened in [unicode, ascii, apart] {
        for from in [unicode, ascii, apart, "B\u{dc}CHER.example"] {
            let mut here = dialled([(opened, "here.example")]);
            here.feed(&stanza("message", &format!("a@{from}"), "b@here.example"));
            assert_eq!(here.stanzas(), 1, "{opened} {from}: {}", here.sent);
        }
        let mut here = dialled([(opened, "here.example")]);
        here.feed(&stanza("message", "a@bucher.example", "b@here.example"));
        assert_eq!(here.stream_error(), Some("invalid-from"));
    }
}

#[test]
fn section_8_1_what_stands_behind_the_slash_is_no_domain() {
    for (from, to) in [
        ("there.example/a@evil.example", "b@here.example"),
        ("a@there.example/evil.example", "here.example/b@other.example"),
        ("a@there.example//@evil.example", "b@here.example/@/"),
    ] {
        let mut here = proven();
        here.feed(&stanza("message", from, to));
        let Some(Event::Stanza(passed)) = here.events.last() else {
            panic!("{from} {to}: {}", here.sent);
        };
        assert_eq!(passed.from().domain().as_str(), "there.example");
        assert_eq!(passed.to().domain().as_str(), "here.example");
    }
}

#[test]
fn section_8_1_the_sender_of_one_pair_does_not_reach_the_recipient_of_another() {
    let two = [
        ("there.example", "here.example"),
        ("also.example", "rooms.example"),
    ];
    for (from, to, condition) in [
        ("there.example", "here.example", None),
        ("also.example", "rooms.example", None),
        ("there.example", "rooms.example", Some("host-unknown")),
        ("also.example", "here.example", Some("host-unknown")),
        ("here.example", "there.example", Some("invalid-from")),
        ("rooms.example", "here.example", Some("invalid-from")),
    ] {
        let mut here = dialled(two);
        here.feed(&stanza("message", &format!("a@{from}"), &format!("b@{to}")));
        assert_eq!(here.stream_error(), condition, "{from} to {to}");
        assert_eq!(here.stanzas(), usize::from(condition.is_none()));
    }
}

#[test]
fn section_6_4_6_another_name_after_the_restart_is_refused_and_so_are_its_stanzas() {
    let terms = settings(Tls::Required, Sasl::Optional, Dialback::On);
    for header in [
        HEADER.replace("from='there.example'", "from='evil.example'"),
        HEADER.replace("from='there.example'", "from='sub.there.example'"),
        HEADER.replace("from='there.example'", "from='a@there.example'"),
    ] {
        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(terms));
        here.feed(HEADER).feed(&auth("=")).feed(&header);
        here.feed(&stanza("message", "a@evil.example", "b@here.example"));
        assert_eq!(here.stream_error(), Some("invalid-from"), "{header}");
        assert_eq!((here.stanzas(), here.is_authenticated()), (0, false));
    }
    // The name that TLS was opened with, and not the one that was said before.
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(terms));
    here.feed(HEADER)
        .feed(&auth("="))
        .feed(&HEADER.replace("from='there.example' ", ""));
    here.feed(&stanza("message", "a@evil.example", "b@here.example"));
    assert_eq!(here.stream_error(), Some("invalid-from"));
    assert_eq!(here.stanzas(), 0);
    // A pair that is proven before TLS begins, or claimed only, is none.
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(terms));
    here.answers.dialback = None;
    here.feed(HEADER).feed(&auth("=")).feed(HEADER);
    here.feed("<db:result from='evil.example' to='here.example'>k</db:result>");
    here.feed(&stanza("message", "a@evil.example", "b@here.example"));
    assert_eq!(
        here.stream_error(),
        Some("invalid-from"),
        "still being asked about"
    );
}
