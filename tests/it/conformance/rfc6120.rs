//! RFC 6120: streams between servers, by section. Dialback has a file of its own.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests, and what only tests use"
)]

use std::time::Duration;

use vestibule::refusal::Refuse as _;
use vestibule::xmpp::error::{StreamCondition, StreamError};
use vestibule::xmpp::stanza::{Kind, MessageType};
use vestibule::xmpp::stream::{
    CertificateAnswer, ClientCertificate, Closed, Dialback, Event, HostAnswer, Input, Method, Misuse,
    PeerCertificate, Sasl, Start, StreamRefusal, StreamSettings, Tls, TlsFacts,
};
use vestibule::xmpp::{Jid, Stanza};

use super::streams::{
    ANSWER, Answers, HEADER, MESSAGE, SHOWN, STARTTLS, auth, converse, domain, initiating, receiving,
    settings,
};

fn message(from: &str, to: &str) -> Stanza {
    Stanza::new(
        Kind::Message(MessageType::Chat),
        Jid::parse(from).unwrap(),
        Jid::parse(to).unwrap(),
    )
}

const fn external() -> StreamSettings {
    settings(Tls::Required, Sasl::Required, Dialback::Off)
}

fn authenticated(method: Method) -> (Event, Event) {
    let (here, there) = (domain("here.example"), domain("there.example"));
    let ours = Event::Authenticated {
        local: there.clone(),
        remote: here.clone(),
        method,
    };
    let theirs = Event::Authenticated {
        local: here,
        remote: there,
        method,
    };
    (ours, theirs)
}

/// The ordinary courses: terms on both sides, how they begin, and what must come out.
fn courses() -> Vec<(&'static str, StreamSettings, Start, Method)> {
    vec![
        ("TLS and EXTERNAL", external(), Start::Plain, Method::External),
        (
            "defaults",
            StreamSettings::default(),
            Start::Plain,
            Method::External,
        ),
        (
            "direct TLS and EXTERNAL",
            external(),
            Start::Tls(SHOWN),
            Method::External,
        ),
        (
            "TLS and dialback",
            settings(Tls::Required, Sasl::Off, Dialback::On),
            Start::Plain,
            Method::Dialback,
        ),
        (
            "optional TLS and dialback",
            settings(Tls::Optional, Sasl::Off, Dialback::On),
            Start::Plain,
            Method::Dialback,
        ),
        (
            "plaintext and dialback",
            settings(Tls::Off, Sasl::Optional, Dialback::On),
            Start::Plain,
            Method::Dialback,
        ),
    ]
}

#[test]
fn section_4_3_every_ordinary_course_ends_in_stanzas_however_it_is_cut() {
    for (name, terms, begin, method) in courses() {
        for portion in [1, 2, 3, 7, 64, usize::MAX] {
            let mut there = initiating(begin, terms, Answers::serving(terms));
            let mut here = receiving(begin, Answers::serving(terms));
            converse(&mut there, &mut here, portion);
            let (ours, theirs) = authenticated(method);
            assert_eq!(there.events, [ours], "{name}, {portion}: {}", there.sent);
            assert_eq!(here.events, [theirs], "{name}, {portion}: {}", here.sent);
            let stanza = message("a@there.example", "b@here.example/x").with_id("1");
            there.input(Input::Send(&stanza)).unwrap();
            converse(&mut there, &mut here, portion);
            assert_eq!(
                here.events.last(),
                Some(&Event::Stanza(stanza)),
                "{name}, {portion}"
            );
            let is_in_the_clear = !here.sent.contains("<proceed") && begin == Start::Plain;
            assert_eq!(is_in_the_clear, terms.tls == Tls::Off, "{name}");
        }
    }
}

#[test]
fn section_4_3_5_a_stanza_before_authentication_is_not_authorized() {
    let dialback = settings(Tls::Optional, Sasl::Off, Dialback::On);
    for stanza in [MESSAGE, "<iq/>", "<presence type='nonsense'/>"] {
        let mut here = receiving(Start::Plain, Answers::serving(dialback));
        here.feed(HEADER).feed(stanza);
        assert_eq!(here.stream_error(), Some("not-authorized"), "{stanza}");
        assert_eq!(here.stanzas(), 0);
        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
        here.feed(HEADER).feed(stanza);
        assert_eq!(here.stream_error(), Some("not-authorized"), "{stanza}");
    }
}

#[test]
fn section_4_4_a_peer_that_closes_is_answered() {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut there = initiating(Start::Plain, terms, Answers::serving(terms));
    let mut here = receiving(Start::Plain, Answers::serving(terms));
    converse(&mut there, &mut here, 64);
    there.input(Input::Close(None)).unwrap();
    assert_eq!(there.events.last(), Some(&Event::Ending));
    let stanza = message("a@there.example", "b@here.example");
    assert_eq!(there.input(Input::Send(&stanza)), Err(Misuse::Ended));
    assert!(!there.is_closed);
    converse(&mut there, &mut here, 64);
    assert_eq!(here.events.last(), Some(&Event::Closed(Closed::ByPeer)));
    assert_eq!(there.events.last(), Some(&Event::Closed(Closed::ByUs)));
    assert!(here.is_closed && there.is_closed);
}

#[test]
fn section_4_4_a_peer_that_does_not_close_is_left_after_a_while() {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut here = receiving(Start::Plain, Answers::serving(terms));
    here.feed(HEADER);
    let error = StreamError::new(StreamCondition::SystemShutdown);
    here.input(Input::Close(Some(error))).unwrap();
    assert!(here.sent.contains("<system-shutdown"));
    here.feed(MESSAGE);
    here.wait();
    assert_eq!(here.events.last(), Some(&Event::Closed(Closed::ByUs)));
    assert!(here.is_closed);
}

#[test]
fn section_4_6_silence_brings_keepalives_and_then_a_close() {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut here = receiving(Start::Plain, Answers::serving(terms));
    here.feed(HEADER)
        .feed("<db:result from='there.example' to='here.example'>k</db:result>");
    here.said();
    assert_eq!(here.wait(), Duration::from_secs(300));
    assert_eq!(here.said(), " ");
    // White space is no sign that the stream is of use.
    here.feed(" \n ");
    here.wait();
    if !here.sent.ends_with("</stream:stream>") {
        here.wait();
    }
    here.feed(MESSAGE).feed("</stream:stream>");
    assert_eq!(here.stanzas(), 1, "what was under way is not lost");
    assert_eq!(here.events.last(), Some(&Event::Closed(Closed::Idle)));
}

#[test]
fn section_4_6_a_connection_that_is_cut_says_so() {
    let mut here = receiving(Start::Plain, Answers::serving(external()));
    here.feed(HEADER);
    here.input(Input::Eof).unwrap();
    assert_eq!(here.events, [Event::Closed(Closed::Cut)]);
    here.feed(MESSAGE);
    assert_eq!(here.machine.timeout(), None);
}

#[test]
fn section_4_7_a_header_that_will_not_do_gets_its_own_error() {
    let header = |attributes: &str| {
        format!(
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' {attributes}>"
        )
    };
    for (text, condition) in [
        (
            header("from='there.example' version='1.0'"),
            "improper-addressing",
        ),
        (
            header("from='there.example' to='no domain' version='1.0'"),
            "host-unknown",
        ),
        (
            header("from='a@there.example' to='here.example' version='1.0'"),
            "invalid-from",
        ),
        (
            header("from='there.example' to='here.example' version='one'"),
            "unsupported-version",
        ),
        (
            header("from='there.example' to='here.example'"),
            "unsupported-version",
        ),
        (
            header("from='there.example' to='here.example' version='0.9'"),
            "unsupported-version",
        ),
        (
            header("from='there.example' to='here.example' version='1.0' xmlns:db='jabber:evil'"),
            "invalid-namespace",
        ),
        (
            HEADER.replace("jabber:server'", "jabber:client'"),
            "invalid-namespace",
        ),
        (
            HEADER.replace("etherx.jabber.org", "evil.example"),
            "invalid-namespace",
        ),
        (HEADER.replace("stream:stream", "stream:flood"), "bad-format"),
        ("<!DOCTYPE stream>".to_owned(), "restricted-xml"),
        (
            "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>".to_owned(),
            "restricted-xml",
        ),
        (
            "<?xml version='1.0' encoding='UTF-16'?>".to_owned(),
            "unsupported-encoding",
        ),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "not-well-formed"),
        (format!("<a {}", "b".repeat(5_000)), "policy-violation"),
    ] {
        let mut here = receiving(Start::Plain, Answers::serving(external()));
        here.feed(&text);
        assert_eq!(here.stream_error(), Some(condition), "{text}");
        assert!(here.sent.starts_with("<?xml"), "{}", here.sent);
        assert!(!here.refusal().unwrap().class().is_empty());
    }
}

#[test]
fn section_4_7_our_header_answers_the_peers() {
    let mut here = receiving(Start::Plain, Answers::serving(external()));
    here.feed(&HEADER.replace("version='1.0'>", "version='1.7' id='ignored' xml:lang='de'>"));
    for part in [
        "from='here.example'",
        "to='there.example'",
        "id='00000000000000000000000000000001'",
        "version='1.0'",
        "xml:lang='en'",
        "xmlns='jabber:server'",
        "xmlns:db='jabber:server:dialback'",
    ] {
        assert!(here.sent.contains(part), "{part}: {}", here.sent);
    }
}

#[test]
fn section_4_7_3_each_stream_has_an_id_of_its_own() {
    let mut here = receiving(Start::Plain, Answers::serving(external()));
    here.feed(HEADER)
        .feed(STARTTLS)
        .tls(SHOWN)
        .feed(HEADER)
        .feed(&auth("="))
        .feed(HEADER);
    assert!(here.is_authenticated());
    let ids: Vec<_> = here
        .sent
        .split(" id='")
        .skip(1)
        .filter_map(|rest| rest.get(..32))
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
}

#[test]
fn section_4_7_4_the_language_of_the_stream_is_that_of_its_stanzas() {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut here = receiving(Start::Plain, Answers::serving(terms));
    here.feed(&HEADER.replace("to='here.example'", "to='here.example' xml:lang='cs'"))
        .feed("<db:result from='there.example' to='here.example'>k</db:result>")
        .feed(MESSAGE)
        .feed(&MESSAGE.replace("<message", "<message xml:lang='de'"));
    let languages: Vec<_> = here
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Stanza(stanza) => stanza.element().attribute("xml:lang"),
            _ => None,
        })
        .collect();
    assert_eq!(languages, ["cs", "de"]);
}

#[test]
fn section_4_8_2_elements_may_name_their_namespace_each_for_itself() {
    let header = "<stream xmlns='http://etherx.jabber.org/streams' from='there.example' to='here.example' version='1.0'>";
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
    here.feed(header).feed(&auth("=")).feed(header);
    here.feed(&MESSAGE.replace("<message", "<message xmlns='jabber:server'"));
    assert_eq!(here.stanzas(), 1);
    here.feed(MESSAGE);
    assert_eq!(here.stream_error(), Some("unsupported-stanza-type"));
}

#[test]
fn section_4_9_3_a_domain_that_is_not_served_or_not_allowed_is_told_so() {
    for (answer, condition) in [
        (HostAnswer::Unknown, "host-unknown"),
        (HostAnswer::Forbidden, "policy-violation"),
    ] {
        let mut here = receiving(
            Start::Plain,
            Answers {
                host: answer,
                ..Answers::serving(external())
            },
        );
        here.feed(HEADER);
        assert_eq!(here.stream_error(), Some(condition));
        assert!(!here.sent.contains("features"));
    }
}

#[test]
fn section_4_9_3_xml_that_breaks_the_rules_ends_the_stream() {
    for (text, condition) in [
        ("<a></b>", "not-well-formed"),
        ("<!-- no -->", "restricted-xml"),
        ("<?pi no?>", "restricted-xml"),
        ("<a>&evil;</a>", "restricted-xml"),
        ("<x:a/>", "bad-namespace-prefix"),
        ("text", "invalid-xml"),
        ("]]>", "not-well-formed"),
        ("\u{1}", "not-well-formed"),
        ("<unheard-of xmlns='urn:example'/>", "unsupported-stanza-type"),
    ] {
        let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
        let mut here = receiving(Start::Plain, Answers::serving(terms));
        here.feed(HEADER).feed(text);
        assert_eq!(here.stream_error(), Some(condition), "{text}");
    }
}

#[test]
fn section_4_9_3_22_octets_that_are_no_utf_8_are_an_unsupported_encoding_wherever_they_stand() {
    for octets in [&b"\xc3\x28"[..], b"\xff", b"<a>\xc3\x28</a>", b"<a b='\xff'/>"] {
        let mut here = receiving(
            Start::Plain,
            Answers::serving(settings(Tls::Off, Sasl::Off, Dialback::On)),
        );
        here.feed(HEADER).octets(octets);
        assert_eq!(here.stream_error(), Some("unsupported-encoding"), "{octets:?}");
    }
}

#[test]
fn section_4_9_a_peers_error_ends_the_stream_and_is_told() {
    let mut there = initiating(Start::Plain, external(), Answers::serving(external()));
    there.feed(ANSWER).feed(
        "<stream:error><host-gone xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
    );
    let error = StreamError::new(StreamCondition::HostGone);
    assert_eq!(there.events, [Event::Closed(Closed::PeerError(error))]);
}

#[test]
fn section_5_nothing_but_negotiation_comes_before_tls_that_is_required() {
    for text in [
        MESSAGE,
        "<db:result from='there.example' to='here.example'>k</db:result>",
        "<db:verify from='there.example' to='here.example' id='1'>k</db:verify>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
        "<unheard-of/>",
    ] {
        let mut here = receiving(Start::Plain, Answers::serving(StreamSettings::default()));
        here.feed(HEADER).feed(text);
        assert_eq!(here.stream_error(), Some("policy-violation"), "{text}");
        assert_eq!(here.refusal(), Some(StreamRefusal::TlsRequired));
    }
}

#[test]
fn section_5_a_stripped_offer_of_tls_is_not_gone_along_with() {
    for answer in [
        format!("{ANSWER}<stream:features/>"),
        format!("{ANSWER}<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"),
        ANSWER.replace(" version='1.0'>", ">"),
    ] {
        let terms = settings(Tls::Required, Sasl::Optional, Dialback::On);
        let mut there = initiating(Start::Plain, terms, Answers::serving(terms));
        there.feed(&answer);
        assert_eq!(there.refusal(), Some(StreamRefusal::TlsUnavailable), "{answer}");
        assert!(!there.sent.contains("db:result"));
        assert_eq!(there.stream_error(), Some("policy-violation"));
    }
}

#[test]
fn section_5_a_server_that_requires_tls_we_must_not_use_is_left() {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut there = initiating(Start::Plain, terms, Answers::serving(terms));
    there.feed(ANSWER).feed(
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>",
    );
    assert_eq!(there.refusal(), Some(StreamRefusal::TlsForbidden));
}

#[test]
fn section_5_4_2_starttls_that_was_not_offered_fails() {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut here = receiving(Start::Plain, Answers::serving(terms));
    here.feed(HEADER).feed(STARTTLS);
    assert!(
        here.sent
            .contains("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    );
    assert!(here.is_closed);
    let mut twice = receiving(Start::Tls(SHOWN), Answers::serving(external()));
    twice.feed(HEADER).feed(STARTTLS);
    assert!(twice.is_closed && !twice.sent.contains("proceed"));
}

#[test]
fn section_5_4_3_what_is_injected_before_tls_is_forgotten() {
    // In one portion with the request, in a portion of its own, and as the start of something that TLS would end.
    let injected = format!("{HEADER}{}", auth("="));
    for (together, apart) in [
        (injected.as_str(), ""),
        ("", injected.as_str()),
        ("<?xml version='1.0'?><stream:str", "<stream:str"),
    ] {
        let mut here = receiving(Start::Plain, Answers::serving(external()));
        here.feed(HEADER)
            .feed(&format!("{STARTTLS}{together}"))
            .feed(apart);
        here.said();
        here.tls(SHOWN);
        assert_eq!(here.said(), "", "an answer to what was injected");
        here.feed(HEADER).feed(&auth("=")).feed(HEADER).feed(MESSAGE);
        assert_eq!(here.stanzas(), 1, "{}", here.sent);
    }
    let mut there = initiating(Start::Plain, external(), Answers::serving(external()));
    there.feed(ANSWER).feed(&format!(
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>\
         <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{ANSWER}<stream:features/>"
    ));
    there.feed(ANSWER).said();
    there.tls(SHOWN);
    assert!(there.said().starts_with("<?xml"));
    assert!(!there.is_authenticated() && !there.is_closed);
}

#[test]
fn section_5_4_3_only_the_facts_of_tls_count_while_it_is_negotiated() {
    let mut here = receiving(Start::Plain, Answers::serving(external()));
    assert_eq!(here.input(Input::TlsDone(SHOWN)), Err(Misuse::Unasked));
    here.feed(HEADER).feed(STARTTLS).said();
    here.now += Duration::from_secs(60);
    here.input(Input::Timer).unwrap();
    assert_eq!(here.refusal(), Some(StreamRefusal::EstablishTimeout));
    assert_eq!(here.said(), "", "something in the clear within a handshake");
}

#[test]
fn section_6_3_4_external_is_offered_for_a_good_certificate_only() {
    let optional = settings(Tls::Required, Sasl::Optional, Dialback::On);
    for (certificate, facts, is_offered) in [
        (CertificateAnswer::Proven, SHOWN, true),
        (CertificateAnswer::Unproven, SHOWN, false),
        (
            CertificateAnswer::Proven,
            TlsFacts {
                certificate: PeerCertificate::Absent,
            },
            false,
        ),
    ] {
        let answers = Answers {
            certificate,
            ..Answers::serving(optional)
        };
        let mut here = receiving(Start::Plain, answers);
        here.feed(HEADER);
        assert!(!here.sent.contains("EXTERNAL"), "offered in the clear");
        here.feed(STARTTLS).tls(facts).feed(HEADER);
        assert_eq!(here.sent.contains("<mechanism>EXTERNAL</mechanism>"), is_offered);
        if !is_offered {
            here.feed(&auth("="));
            assert!(here.sent.contains("<invalid-mechanism/>") && !here.is_authenticated());
            here.feed("<db:result from='there.example' to='here.example'>k</db:result>");
            assert!(
                here.is_authenticated(),
                "dialback takes its place on the same stream"
            );
        }
    }
}

#[test]
fn section_6_3_4_a_certificate_that_is_required_has_no_substitute() {
    let strict = StreamSettings {
        certificate: ClientCertificate::Required,
        ..settings(Tls::Required, Sasl::Optional, Dialback::On)
    };
    let answers = Answers {
        certificate: CertificateAnswer::Unproven,
        ..Answers::serving(strict)
    };
    let mut here = receiving(Start::Plain, answers);
    here.feed(HEADER).feed(STARTTLS).tls(SHOWN).feed(HEADER);
    assert_eq!(here.stream_error(), Some("policy-violation"));
    assert_eq!(here.refusal(), Some(StreamRefusal::CertificateUnproven));
    let mut there = initiating(Start::Tls(SHOWN), strict, answers);
    assert_eq!(there.refusal(), Some(StreamRefusal::CertificateUnproven));
    assert_eq!(there.said(), "", "not a word to a stranger");
    for lax in [
        settings(Tls::Required, Sasl::Optional, Dialback::Off),
        settings(Tls::Required, Sasl::Required, Dialback::On),
        settings(Tls::Optional, Sasl::Required, Dialback::Off),
    ] {
        let mut there = initiating(Start::Tls(SHOWN), lax, answers);
        assert_eq!(
            there.refusal(),
            Some(StreamRefusal::CertificateUnproven),
            "where no dialback is in use, it is required all the same"
        );
        assert_eq!(there.said(), "");
    }
    let dialled = settings(Tls::Required, Sasl::Optional, Dialback::On);
    assert_eq!(initiating(Start::Tls(SHOWN), dialled, answers).refusal(), None);
}

#[test]
fn section_6_4_the_identity_is_the_certificates_or_none() {
    for (text, failure) in [
        ("ZXZpbC5leGFtcGxl", "invalid-authzid"),
        ("aGVyZS5leGFtcGxl", "invalid-authzid"),
        ("c3ViLnRoZXJlLmV4YW1wbGU=", "invalid-authzid"),
        ("YUB0aGVyZS5leGFtcGxl", "invalid-authzid"),
        ("dGhlcmUuZXhhbXBsZQ", "incorrect-encoding"),
        ("not base64!", "incorrect-encoding"),
        ("dGhlcmUuZXhhbXBsZQ==", ""),
        ("VEhFUkUuZXhhbXBsZQ==", ""),
        ("=", ""),
    ] {
        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
        here.feed(HEADER).feed(&auth(text));
        let is_refused = here.sent.contains("<failure");
        assert_eq!(is_refused, !failure.is_empty(), "{text}: {}", here.sent);
        assert!(here.sent.contains(failure), "{text}: {}", here.sent);
        here.feed(&format!("{HEADER}{MESSAGE}"));
        assert_eq!(here.is_authenticated(), !is_refused, "{text}");
    }
}

#[test]
fn section_6_4_2_a_missing_identity_is_asked_for() {
    for (response, is_accepted) in [
        ("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", true),
        (
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dGhlcmUuZXhhbXBsZQ==</response>",
            true,
        ),
        (
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>ZXZpbC5leGFtcGxl</response>",
            false,
        ),
        ("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", false),
    ] {
        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
        here.feed(HEADER).feed(&auth(""));
        assert!(here.sent.contains("<challenge"));
        here.feed(response);
        assert_eq!(here.sent.contains("<success"), is_accepted, "{response}");
    }
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
    here.feed(HEADER)
        .feed("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>");
    assert!(here.sent.contains("<malformed-request/>"));
}

#[test]
fn section_6_4_5_the_third_failure_closes_the_stream() {
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
    here.feed(HEADER);
    for _ in 0..2 {
        here.feed(&auth("ZXZpbC5leGFtcGxl"));
        assert!(!here.is_closed);
    }
    here.feed("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>");
    assert!(here.sent.contains("<invalid-mechanism/>"));
    assert_eq!(here.stream_error(), Some("policy-violation"));
    assert_eq!(here.refusal(), Some(StreamRefusal::SaslFailures));
}

#[test]
fn section_6_4_6_the_name_after_sasl_is_the_proven_one() {
    for (header, condition) in [
        (HEADER.to_owned(), None),
        (HEADER.replace("from='there.example' ", ""), None),
        (
            HEADER.replace("from='there.example'", "from='evil.example'"),
            Some("invalid-from"),
        ),
    ] {
        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
        here.feed(HEADER).feed(&auth("=")).feed(&header);
        assert_eq!(here.stream_error(), condition);
        assert_eq!(here.is_authenticated(), condition.is_none());
    }
}

#[test]
fn section_6_what_came_with_the_proof_does_not_count_after_it() {
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
    here.feed(HEADER).feed(&format!("{}{MESSAGE}", auth("=")));
    assert_eq!((here.stanzas(), here.is_authenticated()), (0, false));
    here.feed(HEADER).feed(MESSAGE);
    assert_eq!(here.stanzas(), 1);
}

#[test]
fn section_6_a_refused_certificate_is_told_and_dialback_tried_where_it_may() {
    let offer = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
        <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
    let mut there = initiating(Start::Tls(SHOWN), external(), Answers::serving(external()));
    there.feed(ANSWER).feed(offer).feed(failure);
    assert_eq!(there.refusal(), Some(StreamRefusal::SaslRefused));
    let terms = settings(Tls::Required, Sasl::Optional, Dialback::On);
    let mut there = initiating(Start::Tls(SHOWN), terms, Answers::serving(terms));
    there.feed(ANSWER).feed(offer);
    assert!(
        there
            .sent
            .contains("mechanism='EXTERNAL'>dGhlcmUuZXhhbXBsZQ==</auth>")
    );
    there.feed(failure);
    assert!(
        there
            .sent
            .contains("<db:result from='there.example' to='here.example'>")
    );
}

#[test]
fn section_8_1_a_stanza_must_name_the_proven_pair() {
    for (stanza, condition) in [
        ("<message to='b@here.example'/>", "improper-addressing"),
        ("<message from='a@there.example'/>", "improper-addressing"),
        (
            "<message from='a@evil.example' to='b@here.example'/>",
            "invalid-from",
        ),
        (
            "<message from='a@sub.there.example' to='b@here.example'/>",
            "invalid-from",
        ),
        (
            "<message from='a@here.example' to='b@there.example'/>",
            "invalid-from",
        ),
        (
            "<message from='@there.example' to='b@here.example'/>",
            "invalid-from",
        ),
        ("<message from='a@evil.example' to='@'/>", "invalid-from"),
        (
            "<message from='a@there.example' to='b@other.example'/>",
            "host-unknown",
        ),
        (
            "<message from='a@there.example' to='b@sub.here.example'/>",
            "host-unknown",
        ),
        (
            "<query from='a@there.example' to='b@here.example'/>",
            "unsupported-stanza-type",
        ),
        (
            "<message xmlns='jabber:client' from='a@there.example' to='b@here.example'/>",
            "invalid-namespace",
        ),
        (STARTTLS, "unsupported-stanza-type"),
    ] {
        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
        here.feed(HEADER).feed(&auth("=")).feed(HEADER).feed(stanza);
        assert_eq!(here.stream_error(), Some(condition), "{stanza}");
        assert_eq!(here.stanzas(), 0);
    }
}

#[test]
fn section_8_3_a_malformed_stanza_of_a_proven_sender_is_answered_and_the_stream_goes_on() {
    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
    here.feed(HEADER).feed(&auth("=")).feed(HEADER);
    here.feed("<message from='a@there.example' to='b@@here.example' id='7'/>")
        .feed(MESSAGE);
    let answer = here.events.iter().find_map(|event| match event {
        Event::Answer(answer) => Some(answer),
        _ => None,
    });
    let answer = answer.expect("an answer");
    assert_eq!(answer.error().unwrap().condition().as_str(), "jid-malformed");
    assert_eq!(
        (answer.to().to_string(), answer.id()),
        ("a@there.example".to_owned(), Some("7"))
    );
    assert_eq!(here.stanzas(), 1);
}

#[test]
fn section_13_12_the_sender_of_a_stanza_that_is_too_big_is_told_and_the_stream_goes_on() {
    let big = "x".repeat(300_000);
    let cases = [
        (
            "<message from='a@there.example' to='b@here.example' id='7'>",
            "</message>",
            Some("7"),
        ),
        (
            "<iq from='a@there.example' to='b@here.example' type='set' id='8'>",
            "</iq>",
            Some("8"),
        ),
        (
            "<iq from='a@there.example' to='b@here.example' type='result' id='9'>",
            "</iq>",
            None,
        ),
        (
            "<message from='a@there.example' to='b@here.example' type='error'>",
            "</message>",
            None,
        ),
    ];
    for (start, end, told) in cases {
        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
        here.feed(HEADER).feed(&auth("=")).feed(HEADER);
        here.feed(&format!("{start}<body>{big}</body>{end}{MESSAGE}"));
        let answers: Vec<_> = here
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Answer(answer) => Some((
                    answer.error().unwrap().condition().as_str().to_owned(),
                    answer.from().to_string(),
                    answer.to().to_string(),
                    answer.id().unwrap().to_owned(),
                )),
                _ => None,
            })
            .collect();
        let expected = told.map(|id| {
            let [condition, from, to] =
                ["policy-violation", "b@here.example", "a@there.example"].map(str::to_owned);
            (condition, from, to, id.to_owned())
        });
        assert_eq!(answers, expected.into_iter().collect::<Vec<_>>(), "{start}");
        // What nobody may be answered about goes on, as an error that says no more.
        let stanzas = if told.is_some() { 1 } else { 2 };
        assert_eq!((here.stanzas(), here.refusal()), (stanzas, None), "{start}");
    }
    // Only for the pair that is proven, and only from there.
    for (start, error) in [
        (
            "<message from='a@other.example' to='b@here.example'>",
            "invalid-from",
        ),
        (
            "<message from='a@there.example' to='b@elsewhere.example'>",
            "host-unknown",
        ),
    ] {
        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
        here.feed(HEADER).feed(&auth("=")).feed(HEADER);
        here.feed(&format!("{start}{big}</message>"));
        assert_eq!(here.stream_error(), Some(error), "{start}");
    }
}

#[test]
fn section_8_a_stream_of_ours_carries_nothing_to_us() {
    let terms = settings(Tls::Off, Sasl::Off, Dialback::On);
    let mut there = initiating(Start::Plain, terms, Answers::serving(terms));
    let mut here = receiving(Start::Plain, Answers::serving(terms));
    converse(&mut there, &mut here, 64);
    let stanza = message("b@here.example", "a@there.example");
    assert_eq!(here.input(Input::Send(&stanza)), Err(Misuse::OneWay));
    assert_eq!(there.input(Input::Send(&stanza)), Err(Misuse::NotAuthenticated));
    there.feed("<message from='b@here.example' to='a@there.example'/>");
    assert_eq!(there.stream_error(), Some("not-authorized"));
    assert_eq!(there.stanzas(), 0);
}

#[test]
fn section_8_nothing_is_sent_before_the_pair_is_proven() {
    let mut there = initiating(Start::Plain, external(), Answers::serving(external()));
    let stanza = message("a@there.example", "b@here.example");
    assert_eq!(there.input(Input::Send(&stanza)), Err(Misuse::NotAuthenticated));
    there.feed(ANSWER);
    assert_eq!(there.input(Input::Send(&stanza)), Err(Misuse::NotAuthenticated));
    assert!(!there.sent.contains("message"));
}

#[test]
fn section_13_12_strangers_are_bounded_in_octets_and_time() {
    let mut here = receiving(Start::Plain, Answers::serving(external()));
    here.feed(HEADER);
    for _ in 0..20 {
        here.feed(&" ".repeat(1_000));
    }
    assert_eq!(here.stream_error(), Some("policy-violation"));
    assert_eq!(here.refusal(), Some(StreamRefusal::TooMuchUnauthenticated));

    let mut here = receiving(Start::Plain, Answers::serving(external()));
    here.feed("<");
    assert_eq!(
        here.wait(),
        Duration::from_secs(30),
        "silence instead of a header"
    );
    assert_eq!(here.stream_error(), Some("connection-timeout"));
    assert_eq!(here.refusal(), Some(StreamRefusal::HeaderTimeout));

    let mut here = receiving(Start::Plain, Answers::serving(external()));
    here.feed(HEADER);
    assert_eq!(here.wait(), Duration::from_secs(60), "silence instead of a proof");
    assert_eq!(here.stream_error(), Some("connection-timeout"));
    assert_eq!(here.refusal(), Some(StreamRefusal::EstablishTimeout));

    let mut here = receiving(Start::Tls(SHOWN), Answers::serving(external()));
    here.feed(HEADER).feed(&auth("=")).feed(HEADER);
    for _ in 0..100 {
        here.feed(MESSAGE).feed(&" ".repeat(1_000));
    }
    assert_eq!(here.stanzas(), 100, "no such bound on a peer that is known");
}
