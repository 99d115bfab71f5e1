//! XEP-0220 (server dialback) and XEP-0185 (its keys), by section.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests, and what only tests use"
)]

use vestibule::limits::Limits;
use vestibule::xmpp::DialbackSecret;
use vestibule::xmpp::error::Condition;
use vestibule::xmpp::stream::{
    CertificateAnswer, ClientCertificate, Dialback, DialbackAnswer, Event, HostAnswer, Input, Method, Misuse,
    Purpose, Question, Receiving, Sasl, Start, StreamRefusal, StreamSettings, Tls, Verdict,
};

use super::streams::{
    ANSWER, Answers, End, HEADER, MESSAGE, SHOWN, auth, converse, domain, initiating, initiating_for,
    receiving, secret, settings, start,
};

const PLAIN: StreamSettings = settings(Tls::Off, Sasl::Off, Dialback::On);

const RESULT: &str = "<db:result from='there.example' to='here.example'>k</db:result>";

/// A stream from `there.example` that is past its features, whose dialback questions are answered so.
fn asked(dialback: Option<DialbackAnswer>) -> End<Receiving> {
    let answers = Answers {
        dialback,
        ..Answers::serving(PLAIN)
    };
    let mut here = receiving(Start::Plain, answers);
    here.feed(HEADER);
    here.said();
    here
}

fn judge(here: &mut End<Receiving>, from: &str, answer: DialbackAnswer) -> Result<(), Misuse> {
    here.input(Input::Verdict(Verdict::Dialback {
        from: domain(from),
        to: domain("here.example"),
        answer,
    }))
}

#[test]
fn xep_0185_the_example_key_is_made_and_verified() {
    let (receiving, originating) = (domain("xmpp.example.com"), domain("example.org"));
    let key = "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643";
    assert_eq!(secret().key(&receiving, &originating, "D60000229F"), key);
    assert!(secret().verifies(key, &receiving, &originating, "D60000229F"));
}

#[test]
fn section_2_the_example_keys_are_made() {
    let (capulet, montague) = (domain("capulet.example"), domain("montague.example"));
    assert_eq!(
        secret().key(&montague, &capulet, "D60000229F"),
        "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"
    );
    assert_eq!(
        DialbackSecret::new(b"d14lb4ck43v3r").key(&capulet, &montague, "417GAF25"),
        "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d"
    );
}

/// The whole figure of §1.4: initiating, receiving and authoritative server, with real keys.
#[test]
fn section_1_4_three_servers_come_to_a_verdict() {
    for (their_secret, expected) in [
        (secret(), DialbackAnswer::Valid),
        (DialbackSecret::new(b"forged"), DialbackAnswer::Invalid),
    ] {
        for portion in [1, 5, usize::MAX] {
            let mut there = initiating(Start::Plain, PLAIN, Answers::serving(PLAIN));
            let unanswered = Answers {
                dialback: None,
                ..Answers::serving(PLAIN)
            };
            let mut here = receiving(Start::Plain, unanswered);
            converse(&mut there, &mut here, portion);
            let Some(Question::Dialback {
                from,
                to,
                stream_id,
                key,
            }) = here.asked.last().cloned()
            else {
                panic!("no key was to be checked: {:?}", here.asked);
            };
            let purpose = Purpose::Verify {
                local: to,
                remote: from,
                stream_id,
                key,
            };
            let mut ask = initiating_for(purpose, Start::Plain, PLAIN, Answers::serving(PLAIN));
            let now = start();
            let mut authority = End::new(
                Receiving::new(
                    now,
                    Start::Plain,
                    [7, 8, 9],
                    their_secret.clone(),
                    &Limits::default(),
                ),
                now,
                Answers::serving(PLAIN),
            );
            converse(&mut ask, &mut authority, portion);
            let answer = ask.events.iter().find_map(|event| match event {
                Event::Verified(answer) => Some(*answer),
                _ => None,
            });
            assert_eq!(answer, Some(expected));
            assert!(ask.is_closed && authority.is_closed && !authority.is_authenticated());
            judge(&mut here, "there.example", expected).unwrap();
            converse(&mut there, &mut here, portion);
            let is_valid = expected == DialbackAnswer::Valid;
            assert_eq!(here.is_authenticated(), is_valid);
            assert_eq!(there.is_authenticated(), is_valid);
            let refusal = (!is_valid).then_some(StreamRefusal::DialbackRefused);
            assert_eq!(there.refusal(), refusal);
        }
    }
}

#[test]
fn section_2_1_1_an_answer_must_be_to_what_was_asked() {
    let features = "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
    for (answer, refusal) in [
        (
            "<db:result from='here.example' to='there.example' type='valid'/>",
            None,
        ),
        (
            "<db:result from='evil.example' to='there.example' type='valid'/>",
            Some(StreamRefusal::UnsolicitedDialback),
        ),
        (
            "<db:result from='here.example' to='other.example' type='valid'/>",
            Some(StreamRefusal::UnsolicitedDialback),
        ),
        (
            "<db:verify from='here.example' to='there.example' id='abc' type='valid'/>",
            Some(StreamRefusal::UnsolicitedDialback),
        ),
        (
            "<db:result from='here.example' to='there.example' type='invalid'/>",
            Some(StreamRefusal::DialbackRefused),
        ),
        (
            "<db:result from='here.example' to='there.example' type='error'><error type='cancel'>\
             <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
            Some(StreamRefusal::DialbackUnchecked(Condition::ItemNotFound)),
        ),
        (
            "<db:result from='here.example' to='there.example'>k</db:result>",
            Some(StreamRefusal::UnexpectedElement),
        ),
    ] {
        let mut there = initiating(Start::Plain, PLAIN, Answers::serving(PLAIN));
        there.feed(ANSWER).feed(features).feed(answer);
        assert_eq!(there.refusal(), refusal, "{answer}");
        assert_eq!(there.is_authenticated(), refusal.is_none(), "{answer}");
        if refusal.is_none() {
            there.feed(answer);
            assert_eq!(
                there.refusal(),
                Some(StreamRefusal::UnsolicitedDialback),
                "a second time"
            );
        }
    }
    // Before anything was asked.
    let mut there = initiating(Start::Plain, PLAIN, Answers::serving(PLAIN));
    there
        .feed(ANSWER)
        .feed("<db:result from='here.example' to='there.example' type='valid'/>");
    assert!(there.is_closed && !there.is_authenticated());
}

#[test]
fn section_2_1_2_a_verdict_must_name_the_stream_it_is_about() {
    for (id, from, verified) in [
        ("id9", "there.example", Some(DialbackAnswer::Valid)),
        ("id8", "there.example", None),
        ("id9", "evil.example", None),
    ] {
        let purpose = Purpose::Verify {
            local: domain("here.example"),
            remote: domain("there.example"),
            stream_id: "id9".to_owned(),
            key: "k".to_owned(),
        };
        let mut ask = initiating_for(purpose, Start::Plain, PLAIN, Answers::serving(PLAIN));
        ask.feed(ANSWER).feed("<stream:features/>");
        assert!(
            ask.sent
                .contains("<db:verify from='here.example' to='there.example' id='id9'>k</db:verify>")
        );
        ask.feed(&format!(
            "<db:verify from='{from}' to='here.example' id='{id}' type='valid'/>"
        ));
        let found = ask.events.iter().find_map(|event| match event {
            Event::Verified(answer) => Some(*answer),
            _ => None,
        });
        assert_eq!(found, verified, "{id} {from}");
        let refusal = verified.is_none().then_some(StreamRefusal::UnsolicitedDialback);
        assert_eq!(ask.refusal(), refusal);
    }
}

#[test]
fn section_2_2_1_the_answer_names_the_pair_the_other_way_round() {
    for (answer, said) in [
        (
            DialbackAnswer::Valid,
            "<db:result from='here.example' to='there.example' type='valid'/>",
        ),
        (
            DialbackAnswer::Invalid,
            "<db:result from='here.example' to='there.example' type='invalid'/>",
        ),
        (
            DialbackAnswer::Failed(Condition::RemoteServerNotFound),
            "<db:result from='here.example' to='there.example' type='error'><error type='cancel'>\
             <remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
        ),
    ] {
        let mut here = asked(Some(answer));
        here.feed(RESULT);
        assert!(here.said().starts_with(said), "{}", here.sent);
        assert_eq!(here.is_authenticated(), answer == DialbackAnswer::Valid);
        assert_eq!(
            here.is_closed,
            answer == DialbackAnswer::Invalid,
            "XEP-0220: MUST close the stream"
        );
    }
}

#[test]
fn section_2_2_1_no_stanza_passes_while_the_key_is_checked() {
    let mut here = asked(None);
    here.feed(RESULT).feed(MESSAGE);
    assert_eq!(here.stream_error(), Some("not-authorized"));
    assert_eq!(
        judge(&mut here, "there.example", DialbackAnswer::Valid),
        Err(Misuse::Ended)
    );
    assert!(!here.is_authenticated());
}

#[test]
fn section_2_2_1_a_verdict_that_nobody_asked_for_proves_nothing() {
    let mut here = asked(None);
    assert_eq!(
        judge(&mut here, "there.example", DialbackAnswer::Valid),
        Err(Misuse::Unasked)
    );
    here.feed(RESULT);
    assert_eq!(
        judge(&mut here, "evil.example", DialbackAnswer::Valid),
        Err(Misuse::Unasked)
    );
    judge(&mut here, "there.example", DialbackAnswer::Valid).unwrap();
    assert_eq!(
        judge(&mut here, "there.example", DialbackAnswer::Invalid),
        Err(Misuse::Unasked)
    );
    here.feed(MESSAGE);
    assert_eq!(here.stanzas(), 1);
}

#[test]
fn section_2_2_2_keys_are_checked_from_the_secret_alone() {
    let key = secret().key(&domain("there.example"), &domain("here.example"), "xyz");
    let ours = secret().key(&domain("there.example"), &domain("other.example"), "xyz");
    for (to, id, key, said) in [
        ("here.example", "xyz", key.as_str(), "type='valid'"),
        ("here.example", "xyy", key.as_str(), "type='invalid'"),
        ("here.example", "xyz", "0", "type='invalid'"),
        ("other.example", "xyz", ours.as_str(), "type='valid'"),
        ("other.example", "xyz", key.as_str(), "<item-not-found"),
    ] {
        let mut here = asked(None);
        here.feed(&format!(
            "<db:verify from='there.example' to='{to}' id='{id}'>\n {key}\n</db:verify>"
        ));
        let answer = here.said();
        assert!(answer.contains(said), "{to} {id}: {answer}");
        assert!(
            answer.contains(&format!("from='{to}' to='there.example'")),
            "{answer}"
        );
        assert!(answer.contains(&format!("id='{id}'")), "{answer}");
        assert!(!here.is_closed && !here.is_authenticated());
    }
}

#[test]
fn section_2_4_what_old_servers_say_with_a_namespace_is_understood() {
    let old = HEADER.replace(" version='1.0'>", ">");
    let mut here = receiving(Start::Plain, Answers::serving(PLAIN));
    here.feed(&old).feed(RESULT).feed(MESSAGE);
    assert!(
        !here.sent.contains("features") && !here.sent.contains("version='1.0'>"),
        "{}",
        here.sent
    );
    assert_eq!(here.stanzas(), 1);
    let mut there = initiating(Start::Plain, PLAIN, Answers::serving(PLAIN));
    there.feed(&ANSWER.replace(" version='1.0'>", ">"));
    assert!(there.sent.contains("<db:result"));
    let mut there = initiating(Start::Plain, PLAIN, Answers::serving(PLAIN));
    there.feed(
        &ANSWER
            .replace(" version='1.0'>", ">")
            .replace(" xmlns:db='jabber:server:dialback'", ""),
    );
    assert_eq!(there.refusal(), Some(StreamRefusal::NoMethod));
}

#[test]
fn section_2_4_2_the_feature_with_errors_is_offered_where_dialback_is_allowed() {
    let mut here = receiving(Start::Plain, Answers::serving(PLAIN));
    here.feed(HEADER);
    assert!(
        here.sent
            .contains("<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>")
    );
    let mut here = receiving(Start::Plain, Answers::serving(StreamSettings::default()));
    here.feed(HEADER);
    assert!(!here.sent.contains("urn:xmpp:features:dialback"), "{}", here.sent);
}

#[test]
fn section_2_5_a_pair_that_is_refused_costs_nothing_but_itself() {
    let host = |host| {
        let mut here = asked(Some(DialbackAnswer::Valid));
        here.feed(RESULT);
        here.answers.host = host;
        here.said();
        here
    };
    let second = "<db:result from='there.example' to='rooms.example'>k</db:result>";
    let only_sasl = HostAnswer::Served(settings(Tls::Required, Sasl::Required, Dialback::On));
    for (answer, condition) in [
        (HostAnswer::Unknown, "item-not-found"),
        (HostAnswer::Forbidden, "policy-violation"),
        (only_sasl, "not-authorized"),
    ] {
        let mut here = host(answer);
        here.feed(second);
        let said = here.said();
        assert!(
            said.contains("from='rooms.example' to='there.example' type='error'"),
            "{said}"
        );
        assert!(said.contains(condition), "{said}");
        assert!(matches!(here.events.last(), Some(Event::PairRefused { .. })));
        here.feed(MESSAGE);
        assert_eq!(here.stanzas(), 1);
        here.feed("<message from='a@there.example' to='b@rooms.example'/>");
        assert_eq!(here.stream_error(), Some("host-unknown"));
    }
    // With a pair that is proven already, a forged key is an error of its own and not the end of the stream.
    let mut here = host(HostAnswer::Served(PLAIN));
    here.answers.dialback = Some(DialbackAnswer::Invalid);
    here.feed("<db:result from='evil.example' to='here.example'>k</db:result>");
    assert!(here.said().contains("<forbidden"));
    here.feed(MESSAGE)
        .feed("<message from='a@evil.example' to='b@here.example'/>");
    assert_eq!((here.stanzas(), here.stream_error()), (1, Some("invalid-from")));
}

#[test]
fn section_2_6_several_pairs_share_a_stream_each_proven_for_itself() {
    let mut here = asked(None);
    here.feed(RESULT)
        .feed("<db:result from='rooms.there.example' to='here.example'>k2</db:result>")
        .feed("<db:result from='rooms.there.example' to='here.example'>again</db:result>");
    assert_eq!(
        here.asked
            .iter()
            .filter(|asked| matches!(asked, Question::Dialback { .. }))
            .count(),
        2
    );
    judge(&mut here, "rooms.there.example", DialbackAnswer::Valid).unwrap();
    let from_room = "<message from='r@rooms.there.example' to='b@here.example'/>";
    here.feed(from_room);
    judge(&mut here, "there.example", DialbackAnswer::Valid).unwrap();
    here.feed(MESSAGE).feed(RESULT);
    assert_eq!(here.stanzas(), 2);
    assert_eq!(
        here.said().matches("type='valid'").count(),
        3,
        "a key for a proven pair is answered at once"
    );
    let proven: Vec<_> = here
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Authenticated { remote, method, .. } => Some((remote.to_string(), *method)),
            _ => None,
        })
        .collect();
    assert_eq!(
        proven,
        [
            ("rooms.there.example".to_owned(), Method::Dialback),
            ("there.example".to_owned(), Method::Dialback)
        ]
    );
}

#[test]
fn section_2_6_the_terms_of_each_pair_are_its_own() {
    // The stream is opened in the name of a peer with weak terms; a pair with strict ones gains nothing by that.
    let strict = StreamSettings {
        certificate: ClientCertificate::Required,
        ..settings(Tls::Optional, Sasl::Optional, Dialback::On)
    };
    for (certificate, is_proven) in [
        (CertificateAnswer::Proven, true),
        (CertificateAnswer::Unproven, false),
    ] {
        let weak = settings(Tls::Optional, Sasl::Off, Dialback::On);
        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(weak));
        here.feed(HEADER).feed(RESULT);
        here.answers.host = HostAnswer::Served(strict);
        here.answers.certificate = certificate;
        here.feed("<db:result from='strict.example' to='here.example'>k</db:result>");
        assert!(here.asked.contains(&Question::Certificate {
            claimed: domain("strict.example")
        }));
        here.feed("<message from='a@strict.example' to='b@here.example'/>");
        assert_eq!(here.stanzas() == 1, is_proven);
    }
    let mut here = asked(Some(DialbackAnswer::Valid));
    here.feed(RESULT);
    here.answers.host = HostAnswer::Served(StreamSettings::default());
    here.feed("<db:result from='strict.example' to='here.example'>k</db:result>");
    assert!(
        here.said().contains("<not-authorized"),
        "TLS is required of this one"
    );
}

#[test]
fn section_2_6_pairs_are_bounded() {
    let mut here = asked(None);
    for n in 0..150 {
        // Two of the hundred and fifty are the same.
        here.feed(&format!(
            "<db:result from='a{n}.example' to='here.example'>k</db:result>"
        ));
    }
    let refused = here
        .events
        .iter()
        .filter(|event| {
            matches!(
                event,
                Event::PairRefused {
                    refusal: StreamRefusal::TooManyPairs,
                    ..
                }
            )
        })
        .count();
    assert_eq!(refused, 50);
    assert!(here.said().contains("<resource-constraint"));
}

#[test]
fn a_peer_that_is_refused_too_often_on_one_stream_is_closed() {
    let mut here = asked(Some(DialbackAnswer::Valid));
    here.feed(RESULT);
    here.answers.host = HostAnswer::Forbidden;
    for n in 0..10_000 {
        if here.is_closed {
            break;
        }
        here.feed(&format!(
            "<db:result from='a{n}.example' to='here.example'>k</db:result>"
        ));
    }
    let refused = |event: &&Event| matches!(event, Event::PairRefused { .. });
    assert_eq!(here.events.iter().filter(refused).count(), 101);
    assert_eq!(here.stream_error(), Some("policy-violation"));
    assert_eq!(here.refusal(), Some(StreamRefusal::TooManyRefused));
}

#[test]
fn section_4_1_unsolicited_answers_end_the_stream_wherever_they_come() {
    for answer in [
        "<db:result from='there.example' to='here.example' type='valid'/>",
        "<db:result from='there.example' to='here.example' type='invalid'/>",
        "<db:verify from='there.example' to='here.example' id='1' type='valid'/>",
    ] {
        let mut here = asked(Some(DialbackAnswer::Valid));
        here.feed(answer).feed(MESSAGE);
        assert_eq!(here.stream_error(), Some("policy-violation"), "{answer}");
        assert_eq!((here.is_authenticated(), here.stanzas()), (false, 0));

        let mut here = asked(None);
        here.feed(RESULT).feed(answer).feed(MESSAGE);
        assert_eq!(
            here.stream_error(),
            Some("policy-violation"),
            "{answer}, while one is awaited"
        );
        assert!(!here.is_authenticated());

        let mut here = receiving(Start::Tls(SHOWN), Answers::serving(StreamSettings::default()));
        here.feed(HEADER).feed(&auth("=")).feed(HEADER).feed(answer);
        assert_eq!(
            here.stream_error(),
            Some("policy-violation"),
            "{answer}, after EXTERNAL"
        );
    }
}

#[test]
fn malformed_elements_end_the_stream() {
    for (element, condition) in [
        (
            "<db:result to='here.example'>k</db:result>",
            "improper-addressing",
        ),
        (
            "<db:result from='a@there.example' to='here.example'>k</db:result>",
            "invalid-from",
        ),
        (
            "<db:result from='there.example' to='10.0.0.1'>k</db:result>",
            "host-unknown",
        ),
        (
            "<db:result from='there.example' to='here.example'> </db:result>",
            "bad-format",
        ),
        (
            "<db:result from='there.example' to='here.example' type='odd'/>",
            "bad-format",
        ),
        (
            "<db:verify from='there.example' to='here.example'>k</db:verify>",
            "bad-format",
        ),
        ("<db:unheard-of/>", "unsupported-stanza-type"),
    ] {
        let mut here = asked(Some(DialbackAnswer::Valid));
        here.feed(element);
        assert_eq!(here.stream_error(), Some(condition), "{element}");
    }
}
