//! What becomes of a message, and what its sender is told.

mod behind;
mod notice;

use super::*;
use crate::limits::GatewayLimits;
use crate::xmpp::stanza::PresenceType;

const ALICE: &str = "sip:alice@partner.example";
const BOB: &str = "sip:bob@corp.example";
const CONFIRM: Duration = Duration::from_secs(3);
const DELIVER: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(1);

/// A gateway with its border and its clock.
struct Bench {
    border: Border,
    gateway: Gateway<u32>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::with_room_for(100)
    }

    fn with_room_for(pending_messages: usize) -> Self {
        let limits = GatewayLimits {
            pending_messages,
            ..GatewayLimits::default()
        };
        assert_eq!((limits.confirm, limits.deliver), (CONFIRM, DELIVER));
        Self {
            border: Setting::open().border(),
            gateway: Gateway::new(3, limits, &speaker(77, "Your IM could not be delivered")),
            now: Instant::now(),
        }
    }

    fn handle(&mut self, input: Input<u32>) -> Seen {
        self.gateway.handle(self.now, input);
        drain(&mut self.gateway, self.now)
    }

    fn pass(&mut self, time: Duration) -> Seen {
        self.now += time;
        self.handle(Input::Tick)
    }

    fn admit(&self, request: Request) -> Box<Delivery> {
        let mut peer = Proven(&["partner.example", "ms.example"]);
        match self
            .border
            .admit_sip(Side::Outside, request, &mut peer, today())
            .unwrap()
        {
            Admitted::Deliver(delivery) => delivery,
            other @ (Admitted::Answer(_) | Admitted::Relay(_) | Admitted::Blocked { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    /// Alice sends Bob a message, without anything being done about it yet.
    fn put(&mut self, number: u32) {
        let delivery = self.admit(message(ALICE, BOB, "hello"));
        let origin = Some(number);
        self.gateway.handle(self.now, Input::Deliver { delivery, origin });
    }

    /// The same, and gives the stanza and the ping behind it.
    fn ask(&mut self, number: u32) -> (Letter, Letter) {
        self.put(number);
        let mut seen = drain(&mut self.gateway, self.now);
        (seen.sent.pop().unwrap(), seen.pings.pop().unwrap())
    }

    fn say(&mut self, stanza: Stanza) -> Seen {
        let side = if stanza.from().domain().as_str() == "corp.example" {
            Side::Inside
        } else {
            Side::Outside
        };
        match self.border.admit_stanza(side, stanza, today(), &[7; 32]).unwrap() {
            AdmittedStanza::Deliver(delivery) => self.handle(Input::Deliver {
                delivery,
                origin: None,
            }),
            other @ (AdmittedStanza::Answer(_)
            | AdmittedStanza::Pong(_)
            | AdmittedStanza::Ignore
            | AdmittedStanza::GivenUp { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    fn written(&mut self, tokens: &[Token], epoch: u64) -> Seen {
        self.handle(Input::Written {
            tokens: tokens.to_vec(),
            epoch,
        })
    }

    fn returned(&mut self, token: Token, trouble: Trouble) -> Seen {
        self.handle(Input::Returned { token, trouble })
    }

    fn broken(&mut self, link: &Link, epoch: u64) -> Seen {
        self.handle(Input::Broken {
            link: link.clone(),
            epoch,
        })
    }

    fn answered(&mut self, answer: Stanza) -> Seen {
        self.handle(Input::Answer(Box::new(answer)))
    }

    /// Once every sender has heard what he is told, nothing waits, nothing is to be done, and nothing is kept.
    fn is_at_rest(&mut self) -> bool {
        let tokens = self.gateway.notices.tokens();
        assert!(self.handle(Input::Acknowledged { tokens, epoch: 1 }).is_empty());
        self.gateway.waiting() == 0
            && [
                self.gateway.waiting.next(),
                self.gateway.notices.next(),
                self.gateway.ping_at,
            ] == [None; 3]
            && self.gateway.links.is_empty()
            && self.gateway.errors.awaits_nothing()
    }
}

fn pong(ping: &Letter) -> Stanza {
    ping.stanza.result_reply(None).unwrap()
}

fn refusal(letter: &Letter, by: &str, condition: Condition) -> Stanza {
    let mut error = letter.stanza.error_reply(&StanzaError::new(condition)).unwrap();
    error.set_from(jid(by));
    error
}

#[test]
fn a_senders_side_is_kept_until_the_outcome_is_known_and_an_error_has_arrived() {
    let kept = std::sync::Arc::new(());
    let is_kept = || std::sync::Arc::strong_count(&kept) > 1;
    let say = |bench: &mut Bench, to| {
        let stanza = chat("juliet@corp.example/x", to, "m1", "hi");
        let Ok(AdmittedStanza::Deliver(delivery)) =
            bench.border.admit_stanza(Side::Inside, stanza, today(), &[7; 32])
        else {
            panic!("not let through")
        };
        let delivery = delivery.held(Some(Box::new(std::sync::Arc::clone(&kept))));
        let origin = None;
        bench.handle(Input::Deliver { delivery, origin })
    };
    let answer = |bench: &mut Bench, seen: &mut Seen, code| {
        let (token, request, _) = seen.requests.remove(0);
        let response = Box::new(request.response(StatusCode::new(code).unwrap(), "x", Some("t")));
        bench.handle(Input::Response { token, response })
    };

    let mut bench = Bench::new();
    let mut seen = say(&mut bench, "alice@partner.example");
    assert!(is_kept());
    answer(&mut bench, &mut seen, 200);
    assert!(!is_kept(), "delivered");

    let mut seen = say(&mut bench, "alice@partner.example");
    let error = answer(&mut bench, &mut seen, 480).sent.remove(0);
    assert!(is_kept(), "nobody has the error");
    let ping = bench.written(&[error.token()], 1).pings.remove(0);
    assert!(is_kept());
    bench.answered(pong(&ping));
    assert!(!is_kept(), "the error has arrived");

    let mut seen = say(&mut bench, "alice@partner.example");
    let error = answer(&mut bench, &mut seen, 480).sent.remove(0);
    bench.returned(error.token(), Trouble::Unreachable);
    assert!(!is_kept(), "a link in trouble keeps nobody waiting");

    let seen = say(&mut bench, "romeo@friend.example");
    assert!(is_kept());
    let (tokens, epoch) = (vec![seen.sent[0].token()], 1);
    bench.handle(Input::Acknowledged { tokens, epoch });
    assert!(!is_kept(), "taken by the far end");
}

#[test]
fn a_request_is_answered_200_when_the_ping_behind_it_is_answered() {
    let mut bench = Bench::new();
    let (letter, ping) = bench.ask(1);
    assert_eq!(letter.link, xmpp_link("partner.example", "corp.example"));
    assert_eq!(letter.stanza.to(), &jid("bob@corp.example"));
    assert_eq!(letter.stanza.child_text("body").as_deref(), Some("hello"));
    assert_eq!(ping.link, letter.link);
    assert_eq!(
        (ping.stanza.from(), ping.stanza.to()),
        (&jid("partner.example"), &jid("corp.example"))
    );
    assert_eq!(letter.token().shard(), 3, "the answer finds the shard");
    assert!(bench.written(&[letter.token(), ping.token()], 1).is_empty());
    let seen = bench.answered(pong(&ping));
    assert_eq!(seen.statuses(), [(1, 200)]);
    assert_eq!(seen.outcomes, [Outcome::Delivered]);
    assert!(seen.responses[0].1.headers().to().tag().is_some());
    assert!(bench.is_at_rest());
}

#[test]
fn an_error_to_the_ping_confirms_as_its_result_does() {
    let mut bench = Bench::new();
    let (letter, ping) = bench.ask(1);
    bench.written(&[letter.token(), ping.token()], 1);
    let seen = bench.answered(refusal(&ping, "corp.example", Condition::ServiceUnavailable));
    assert_eq!(seen.statuses(), [(1, 200)]);
}

#[test]
fn the_answer_to_a_ping_counts_from_the_server_asked_only() {
    let mut bench = Bench::new();
    let (letter, ping) = bench.ask(1);
    bench.written(&[letter.token(), ping.token()], 1);
    for by in [
        "eve@corp.example",
        "bob@corp.example/x",
        "friend.example",
        "partner.example",
    ] {
        let mut forged = pong(&ping);
        forged.set_from(jid(by));
        assert!(bench.answered(forged).is_empty(), "{by}");
    }
    let about_the_message = stanza(Kind::Iq(IqType::Result), "corp.example", "partner.example")
        .with_id(letter.stanza.id().unwrap());
    assert!(bench.answered(about_the_message).is_empty(), "the id of no ping");
    let of_another_process = pong(&ping).with_id(&AnswerIds::new(78).id(ping.token()));
    assert!(
        bench.answered(of_another_process).is_empty(),
        "an id that is none of ours"
    );
    assert_eq!(bench.answered(pong(&ping)).statuses(), [(1, 200)]);
}

#[test]
fn a_request_is_answered_200_by_silence_on_a_live_stream() {
    let mut bench = Bench::new();
    let (letter, _) = bench.ask(1);
    bench.now += Duration::from_secs(5);
    assert!(bench.written(&[letter.token()], 1).is_empty());
    assert_eq!(bench.gateway.timeout(), Some(bench.now + CONFIRM));
    assert!(bench.pass(CONFIRM - TICK).is_empty(), "an error may still come");
    let seen = bench.pass(TICK);
    assert_eq!(seen.statuses(), [(1, 200)]);
    assert!(bench.is_at_rest());
}

#[test]
fn the_silence_of_a_server_that_has_answered_before_is_no_consent() {
    let mut bench = Bench::new();
    let (letter, ping) = bench.ask(1);
    bench.written(&[letter.token(), ping.token()], 1);
    assert_eq!(bench.answered(pong(&ping)).statuses(), [(1, 200)]);

    let (letter, ping) = bench.ask(2);
    bench.written(&[letter.token(), ping.token()], 1);
    let asked_again = bench.pass(CONFIRM);
    assert!(asked_again.statuses().is_empty(), "it is asked again");
    let [again] = &asked_again.pings[..] else {
        panic!("one more ping")
    };
    bench.written(&[again.token()], 1);
    assert_eq!(
        bench.answered(pong(again)).statuses(),
        [(2, 200)],
        "and answers late"
    );

    let (letter, ping) = bench.ask(3);
    bench.written(&[letter.token(), ping.token()], 1);
    let seen = bench.pass(DELIVER);
    assert_eq!(seen.statuses(), [(3, 504)], "it never answers");
    assert!(bench.is_at_rest());
}

#[test]
fn a_request_that_is_never_written_fails_when_its_time_is_over() {
    let mut bench = Bench::new();
    bench.ask(1);
    assert!(bench.pass(DELIVER - TICK).is_empty());
    let seen = bench.pass(TICK);
    assert_eq!(seen.statuses(), [(1, 504)], "never 408 (RFC 4320)");
    assert_eq!(seen.outcomes, [Outcome::Failed]);
    assert!(bench.is_at_rest());
}

#[test]
fn what_is_written_at_the_last_moment_is_confirmed_within_the_whole_time() {
    let mut bench = Bench::new();
    let started = bench.now;
    let (letter, _) = bench.ask(1);
    assert_eq!(letter.until, started + DELIVER - CONFIRM);
    bench.now = letter.until;
    bench.written(&[letter.token()], 1);
    assert_eq!(bench.gateway.timeout(), Some(started + DELIVER));
    // The word of it came late: the sender is still told before its own timer ends.
    bench.now += Duration::from_secs(2);
    bench.written(&[letter.token()], 1);
    assert_eq!(bench.gateway.timeout(), Some(started + DELIVER));
}

#[test]
fn an_error_of_the_addressee_is_answered_by_table_a() {
    let bare = "bob@corp.example";
    let full = "bob@corp.example/desk";
    let server = "corp.example";
    let rows = [
        (Condition::BadRequest, bare, 400),
        (Condition::FeatureNotImplemented, full, 405),
        (Condition::FeatureNotImplemented, bare, 501),
        (Condition::Forbidden, full, 403),
        (Condition::Forbidden, bare, 603),
        (Condition::Gone, bare, 410),
        (Condition::InternalServerError, server, 500),
        (Condition::ItemNotFound, full, 404),
        (Condition::ItemNotFound, bare, 604),
        (Condition::ItemNotFound, server, 404),
        (Condition::NotAcceptable, full, 406),
        (Condition::NotAuthorized, full, 403),
        (Condition::PolicyViolation, server, 403),
        (Condition::RecipientUnavailable, full, 480),
        (Condition::RecipientUnavailable, bare, 600),
        (Condition::RegistrationRequired, full, 403),
        (Condition::RemoteServerTimeout, server, 504),
        (Condition::ServiceUnavailable, bare, 403),
    ];
    for (condition, by, status) in rows {
        let mut bench = Bench::new();
        let (letter, ping) = bench.ask(1);
        bench.written(&[letter.token(), ping.token()], 1);
        let seen = bench.answered(refusal(&letter, by, condition));
        assert_eq!(seen.statuses(), [(1, status)], "{condition:?} by {by}");
        assert_eq!(seen.outcomes, [Outcome::Failed]);
        assert!(bench.is_at_rest());
        assert!(bench.answered(pong(&ping)).is_empty(), "it has its answer");
    }
}

#[test]
fn the_profile_of_the_peer_says_what_service_unavailable_is() {
    let mut bench = Bench::new();
    let delivery = bench.admit(message("sip:carol@ms.example", BOB, "hello"));
    let seen = bench.handle(Input::Deliver {
        delivery,
        origin: Some(1),
    });
    let error = refusal(&seen.sent[0], "bob@corp.example", Condition::ServiceUnavailable);
    let seen = bench.answered(error);
    assert_eq!(seen.statuses(), [(1, 480)]);
    assert!(
        seen.responses[0]
            .1
            .reason()
            .starts_with("Your IM could not be delivered"),
        "{}",
        seen.responses[0].1.reason()
    );
}

#[test]
fn nobody_but_the_addressee_makes_a_message_fail() {
    let mut bench = Bench::new();
    let (letter, ping) = bench.ask(1);
    bench.written(&[letter.token(), ping.token()], 1);
    for by in [
        "eve@corp.example",
        "bob@friend.example",
        "friend.example",
        "sub.corp.example",
    ] {
        let forged = refusal(&letter, by, Condition::ItemNotFound);
        assert!(bench.answered(forged).is_empty(), "{by}");
    }
    let mut to_another = refusal(&letter, "bob@corp.example", Condition::ItemNotFound);
    to_another.set_to(jid("carol@partner.example"));
    assert!(
        bench.answered(to_another).is_empty(),
        "about no message of Carol's"
    );
    let no_error =
        chat("bob@corp.example", "alice@partner.example", "x", "hi").with_id(letter.stanza.id().unwrap());
    assert!(bench.answered(no_error).is_empty(), "a message is no error");
    let about_the_ping =
        refusal(&letter, "bob@corp.example", Condition::Gone).with_id(ping.stanza.id().unwrap());
    assert!(
        bench.answered(about_the_ping).is_empty(),
        "no message has that id"
    );
    assert_eq!(bench.gateway.waiting(), 1);
    assert_eq!(bench.answered(pong(&ping)).statuses(), [(1, 200)]);
}

#[test]
fn what_a_link_gives_back_fails_and_says_why_without_408() {
    let rows = [
        (Trouble::NotFound, 404, Condition::RemoteServerNotFound),
        (Trouble::Unreachable, 504, Condition::RemoteServerTimeout),
        (Trouble::Untrusted, 403, Condition::PolicyViolation),
        (Trouble::Refused, 504, Condition::RemoteServerTimeout),
        (Trouble::Timeout, 504, Condition::RemoteServerTimeout),
        (Trouble::Overload, 503, Condition::ResourceConstraint),
        (Trouble::Broken, 504, Condition::RemoteServerTimeout),
        (Trouble::Stopping, 503, Condition::ResourceConstraint),
    ];
    for (trouble, status, condition) in rows {
        let mut bench = Bench::new();
        let (letter, ping) = bench.ask(1);
        let seen = bench.returned(letter.token(), trouble);
        assert_eq!(seen.statuses(), [(1, status)], "{trouble:?}");
        assert_eq!(seen.outcomes, [Outcome::Failed]);
        let retry = seen.responses[0].1.headers().get("Retry-After");
        assert_eq!(retry.is_some(), status == 503, "{trouble:?}");
        // The ping behind it comes back too. Nothing is left to ask about.
        assert!(bench.returned(ping.token(), trouble).is_empty());
        assert!(bench.is_at_rest(), "{trouble:?}");

        let sent = bench.say(chat("juliet@corp.example/x", "romeo@partner.example", "m1", "hi"));
        let seen = bench.returned(sent.requests[0].0, trouble);
        let told = [("juliet@corp.example/x".to_owned(), "m1".to_owned(), condition)];
        assert_eq!(seen.errors(), told, "{trouble:?}");
        assert_eq!(seen.outcomes, [Outcome::Failed]);

        let sent = bench.say(chat("juliet@corp.example/x", "romeo@friend.example", "m1", "hi"));
        let seen = bench.returned(sent.sent[0].token(), trouble);
        assert_eq!(seen.errors(), told, "{trouble:?}");
        assert_eq!(seen.outcomes, [Outcome::Failed]);
        assert!(bench.is_at_rest(), "{trouble:?}");
    }
}

#[test]
fn a_stream_that_breaks_takes_with_it_what_was_written_on_it_and_nothing_else() {
    let mut bench = Bench::new();
    let (first, ping) = bench.ask(1);
    let link = first.link.clone();
    bench.put(2);
    bench.put(3);
    let seen = drain(&mut bench.gateway, bench.now);
    let (second, third) = (seen.sent[0].token(), seen.sent[1].token());
    bench.written(&[first.token(), ping.token()], 1);
    bench.written(&[second], 2);
    assert!(
        bench
            .broken(&xmpp_link("ms.example", "corp.example"), 1)
            .is_empty(),
        "another link"
    );
    let seen = bench.broken(&link, 1);
    assert_eq!(seen.statuses(), [(1, 504)]);
    assert_eq!(seen.pings.len(), 1, "the rest is asked about anew");
    assert!(
        bench.answered(pong(&ping)).is_empty(),
        "the ping of the broken stream says nothing of another"
    );
    assert_eq!(bench.broken(&link, 1).statuses(), [], "told twice");
    assert_eq!(bench.gateway.waiting(), 2);
    let seen = bench.broken(&link, 2);
    assert_eq!(seen.statuses(), [(2, 504)]);
    bench.written(&[third], 3);
    let seen = bench.pass(CONFIRM);
    assert_eq!(
        seen.statuses(),
        [],
        "late as it was, it answered: its silence is no consent"
    );
    assert_eq!(bench.answered(pong(&seen.pings[0])).statuses(), [(3, 200)]);
    assert!(bench.is_at_rest());
}

#[test]
fn one_too_many_is_answered_503_with_retry_after() {
    let mut bench = Bench::with_room_for(1);
    let (letter, _) = bench.ask(1);
    bench.put(2);
    let seen = drain(&mut bench.gateway, bench.now);
    assert_eq!(seen.statuses(), [(2, 503)]);
    assert_eq!(seen.responses[0].1.headers().get("Retry-After"), Some("5"));
    assert!(seen.sent.is_empty(), "it is not sent");
    let seen = bench.say(chat("juliet@corp.example/x", "romeo@partner.example", "m1", "hi"));
    assert!(seen.requests.is_empty());
    assert_eq!(seen.errors()[0].2, Condition::ResourceConstraint);
    // What was taken is not hurt by it.
    bench.written(&[letter.token()], 1);
    assert_eq!(bench.pass(CONFIRM).statuses(), [(1, 200)]);
    assert!(bench.is_at_rest());
}

#[test]
fn a_batch_has_one_ping_which_goes_behind_it() {
    let mut bench = Bench::new();
    for number in 0..5 {
        bench.put(number);
    }
    let mut order = Vec::new();
    while let Some(output) = bench.gateway.poll(bench.now) {
        if let Output::Send { stanza, .. } = output {
            order.push(stanza.element().name().to_owned());
        }
    }
    assert_eq!(
        order,
        ["message", "message", "message", "message", "message", "iq"]
    );
    bench.put(5);
    let seen = drain(&mut bench.gateway, bench.now);
    assert!(seen.pings.is_empty(), "one ping at a time");
}

#[test]
fn a_ping_says_nothing_of_what_came_behind_it() {
    let mut bench = Bench::new();
    let (_, ping) = bench.ask(1);
    bench.put(2);
    drain(&mut bench.gateway, bench.now);
    let seen = bench.answered(pong(&ping));
    assert_eq!(seen.statuses(), [(1, 200)]);
    assert_eq!(seen.pings.len(), 1, "the second gets its own");
    assert_eq!(bench.answered(pong(&seen.pings[0])).statuses(), [(2, 200)]);
    assert!(bench.is_at_rest());
}

#[test]
fn a_link_that_takes_no_ping_is_not_asked_over_and_over() {
    let mut bench = Bench::new();
    let (letter, ping) = bench.ask(1);
    for trouble in [Trouble::Overload, Trouble::Timeout] {
        assert!(
            bench.returned(ping.token(), trouble).is_empty(),
            "the message still waits in the link's queue"
        );
    }
    let seen = bench.written(&[letter.token()], 1);
    assert_eq!(seen.pings.len(), 1, "it writes again");
    assert_eq!(bench.answered(pong(&seen.pings[0])).statuses(), [(1, 200)]);
}

#[test]
fn a_user_is_told_what_sip_refuses_and_nothing_of_what_it_takes() {
    let rows = [
        (200, None),
        (202, None),
        (302, Some(Condition::RecipientUnavailable)),
        (400, Some(Condition::BadRequest)),
        (404, Some(Condition::ItemNotFound)),
        (408, Some(Condition::RemoteServerTimeout)),
        (413, Some(Condition::PolicyViolation)),
        (480, Some(Condition::RecipientUnavailable)),
        (486, Some(Condition::RecipientUnavailable)),
        (500, Some(Condition::InternalServerError)),
        (503, Some(Condition::InternalServerError)),
        (504, Some(Condition::RemoteServerTimeout)),
        (603, Some(Condition::RecipientUnavailable)),
        (699, Some(Condition::RecipientUnavailable)),
    ];
    for (status, condition) in rows {
        let mut bench = Bench::new();
        let sent = bench.say(chat(
            "juliet@corp.example/balcony",
            "romeo@partner.example",
            "m1",
            "hi",
        ));
        let (token, request, until) = &sent.requests[0];
        assert_eq!(*until, bench.now + DELIVER);
        assert_eq!(request.uri().to_string(), "sip:romeo@partner.example");
        let response = request.response(StatusCode::new(status).unwrap(), "", Some("9"));
        let response = Box::new(response);
        let token = *token;
        let seen = bench.handle(Input::Response {
            token,
            response: response.clone(),
        });
        let told: Vec<_> = condition
            .map(|condition| {
                (
                    "juliet@corp.example/balcony".to_owned(),
                    "m1".to_owned(),
                    condition,
                )
            })
            .into_iter()
            .collect();
        assert_eq!(seen.errors(), told, "{status}");
        for letter in &seen.sent {
            assert_eq!(letter.link, xmpp_link("partner.example", "corp.example"));
            assert_eq!(letter.stanza.from(), &jid("romeo@partner.example"));
            assert!(letter.token.is_some(), "it is kept until it has arrived");
            let error = letter.stanza.error().unwrap();
            assert_eq!(error.by(), Some(&jid("edge.corp.example")));
        }
        let outcome = if condition.is_none() {
            Outcome::Delivered
        } else {
            Outcome::Failed
        };
        assert_eq!(seen.outcomes, [outcome], "{status}");
        assert!(bench.is_at_rest());
        assert!(
            bench.handle(Input::Response { token, response }).is_empty(),
            "once"
        );
        assert!(bench.returned(token, Trouble::Broken).is_empty(), "once");
    }
}

#[test]
fn a_user_whom_sip_does_not_answer_is_told_so() {
    let mut bench = Bench::new();
    bench.say(chat("juliet@corp.example/x", "romeo@partner.example", "m1", "hi"));
    assert!(bench.pass(DELIVER - TICK).is_empty());
    let seen = bench.pass(TICK);
    assert_eq!(seen.errors()[0].2, Condition::RemoteServerTimeout);
    assert_eq!(seen.outcomes, [Outcome::Failed]);
    assert!(bench.is_at_rest());
}

#[test]
fn the_response_to_no_request_of_ours_changes_nothing() {
    let mut bench = Bench::new();
    let (letter, ping) = bench.ask(1);
    let response = message(ALICE, BOB, "").response(StatusCode::OK, "", None);
    for token in [letter.token(), ping.token(), Token::new(3, 999)] {
        let response = Box::new(response.clone());
        assert!(bench.handle(Input::Response { token, response }).is_empty());
    }
    assert_eq!(bench.gateway.waiting(), 1);
    assert_eq!(
        bench.answered(pong(&ping)).statuses(),
        [(1, 200)],
        "it still has its answer"
    );
}

#[test]
fn an_error_about_an_error_is_never_made() {
    let kinds = [
        Kind::Message(MessageType::Error),
        Kind::Presence(PresenceType::Error),
        Kind::Iq(IqType::Error),
        Kind::Iq(IqType::Result),
    ];
    for kind in kinds {
        let mut bench = Bench::new();
        // However one may have come here: the border lets none of them wait.
        let mut delivery = match bench.border.admit_stanza(
            Side::Inside,
            chat("juliet@corp.example/x", "romeo@friend.example", "m1", "hi"),
            today(),
            &[7; 32],
        ) {
            Ok(AdmittedStanza::Deliver(delivery)) => delivery,
            other => panic!("{other:?}"),
        };
        let sender = Box::new(stanza(kind, "juliet@corp.example/x", "romeo@friend.example").with_id("m1"));
        delivery.payload = Payload::Forward {
            stanza: sender.clone(),
            sender,
        };
        let origin = None;
        let seen = bench.handle(Input::Deliver { delivery, origin });
        let seen = bench.returned(seen.sent[0].token(), Trouble::NotFound);
        assert!(seen.sent.is_empty(), "{kind:?}");
        assert_eq!(seen.outcomes, [Outcome::Failed]);
    }
}

#[test]
fn a_forwarded_message_is_not_changed_and_its_sender_hears_of_its_failure_only() {
    let (juliet, romeo) = ("juliet@corp.example/x", "romeo@friend.example");
    let original = chat(juliet, romeo, "m1", "hi");
    let link = xmpp_link("corp.example", "friend.example");
    let start = || {
        let mut bench = Bench::new();
        let mut seen = bench.say(original.clone());
        assert!(seen.pings.is_empty(), "more may come to be asked about");
        let gather = GatewayLimits::default().gather;
        assert_eq!(bench.gateway.timeout(), Some(bench.now + gather));
        let (letter, ping) = (seen.sent.remove(0), bench.pass(gather).pings.remove(0));
        assert_eq!((&letter.stanza, &letter.link), (&original, &link));
        assert_eq!(ping.stanza.to(), &jid("friend.example"));
        (bench, letter, ping)
    };
    let delivered = |seen: &Seen| {
        assert!(seen.sent.is_empty() && seen.responses.is_empty());
        assert_eq!(seen.outcomes, [Outcome::Delivered]);
    };
    let failed = |seen: &Seen| {
        assert_eq!(
            seen.errors(),
            [(juliet.to_owned(), "m1".to_owned(), Condition::RemoteServerTimeout)]
        );
        assert_eq!(
            seen.sent[0].link,
            xmpp_link("friend.example", "corp.example"),
            "as if Romeo's side had answered"
        );
        assert_eq!(seen.outcomes, [Outcome::Failed]);
    };

    let (mut bench, letter, ping) = start();
    bench.written(&[letter.token(), ping.token()], 1);
    delivered(&bench.answered(pong(&ping)));
    assert!(bench.is_at_rest());

    let (mut bench, letter, _) = start();
    bench.written(&[letter.token()], 1);
    assert_eq!(bench.broken(&link, 2).outcomes, [], "another stream");
    failed(&bench.broken(&link, 1));
    assert!(bench.is_at_rest());

    let (mut bench, _, _) = start();
    failed(&bench.pass(DELIVER));
    assert!(bench.is_at_rest());
}

#[test]
fn what_the_far_servers_acknowledgement_says_is_enough_for_what_is_forwarded_and_not_for_what_is_translated()
{
    let mut bench = Bench::new();
    let mut seen = bench.say(chat("juliet@corp.example/x", "romeo@friend.example", "m1", "hi"));
    let (tokens, epoch) = (vec![seen.sent.remove(0).token()], 1);
    let seen = bench.handle(Input::Acknowledged { tokens, epoch });
    assert_eq!(seen.outcomes, [Outcome::Delivered]);
    assert!(bench.is_at_rest());

    let (letter, ping) = bench.ask(1);
    let tokens = vec![letter.token(), ping.token()];
    assert!(bench.handle(Input::Acknowledged { tokens, epoch }).is_empty());
    assert_eq!(bench.answered(pong(&ping)).statuses(), [(1, 200)]);
}

#[test]
fn a_sender_hears_of_one_error_whoever_says_it_first() {
    let (juliet, romeo) = ("juliet@corp.example/x", "romeo@friend.example");
    let link = xmpp_link("corp.example", "friend.example");
    let error = |by: &str, id: &str| {
        let message = chat(juliet, romeo, id, "hi");
        let mut error = message
            .error_reply(&StanzaError::new(Condition::ItemNotFound))
            .unwrap();
        error.set_from(jid(by));
        error
    };
    let start = || {
        let mut bench = Bench::new();
        let token = bench.say(chat(juliet, romeo, "m1", "hi")).sent.remove(0).token();
        bench.written(&[token], 1);
        bench
    };
    // Romeo's side first: its error is passed on, and the end of the stream is no news then.
    let mut bench = start();
    let seen = bench.say(error(romeo, "m1"));
    assert_eq!((seen.sent.len(), &seen.outcomes[..]), (1, &[Outcome::Failed][..]));
    assert!(bench.broken(&link, 1).is_empty() && bench.is_at_rest());
    // We first: what Romeo's side says afterwards is dropped, once, and for this message only.
    let mut bench = start();
    assert_eq!(bench.broken(&link, 1).errors().len(), 1);
    assert_eq!(bench.say(error(romeo, "m2")).sent.len(), 1, "another message");
    assert_eq!(
        bench.say(error("mercutio@capulet.example", "m1")).sent.len(),
        1,
        "another domain"
    );
    assert!(bench.say(error(romeo, "m1")).is_empty());
    assert_eq!(bench.say(error(romeo, "m1")).sent.len(), 1);
    // What comes very late is passed on: it is not remembered for ever.
    let mut bench = start();
    bench.broken(&link, 1);
    bench.pass(DELIVER);
    assert_eq!(bench.say(error(romeo, "m1")).sent.len(), 1);
}

#[test]
fn what_waits_is_bounded_by_its_octets() {
    let mut bench = Bench::new();
    bench.gateway = Gateway::new(
        0,
        GatewayLimits {
            pending_bytes: 6_000,
            ..GatewayLimits::default()
        },
        &speaker(77, ""),
    );
    bench.put(1);
    bench.put(2);
    let delivery = bench.admit(message(ALICE, BOB, &"x".repeat(5_000)));
    let seen = bench.handle(Input::Deliver {
        delivery,
        origin: Some(3),
    });
    assert_eq!(seen.statuses(), [(3, 503)]);
    let response = &seen.responses[0].1;
    assert!(response.headers().get("Retry-After").is_some());
}

#[test]
fn what_nobody_waits_for_is_passed_on_and_forgotten() {
    let mut bench = Bench::new();
    for kind in [
        Kind::Presence(PresenceType::Available),
        Kind::Iq(IqType::Result),
        Kind::Message(MessageType::Headline),
    ] {
        if let Kind::Iq(_) = kind {
            let query = stanza(
                Kind::Iq(IqType::Get),
                "romeo@friend.example",
                "juliet@corp.example/x",
            );
            let token = bench.say(query.with_id("m1")).sent.remove(0).token();
            bench.written(&[token], 1);
        }
        let original = stanza(kind, "juliet@corp.example/x", "romeo@friend.example").with_id("m1");
        let seen = bench.say(original.clone());
        assert_eq!(seen.sent.len(), 1);
        assert_eq!((&seen.sent[0].stanza, seen.sent[0].token), (&original, None));
        assert!(seen.pings.is_empty() && bench.is_at_rest());
    }
}

#[test]
fn outcomes_that_come_too_late_change_nothing() {
    let mut bench = Bench::new();
    let (letter, ping) = bench.ask(1);
    let link = letter.link.clone();
    assert_eq!(bench.pass(DELIVER).statuses(), [(1, 504)]);
    assert!(bench.written(&[letter.token(), ping.token()], 1).is_empty());
    assert!(bench.answered(pong(&ping)).is_empty());
    let error = refusal(&letter, "bob@corp.example", Condition::ItemNotFound);
    assert!(bench.answered(error).is_empty());
    assert!(bench.returned(letter.token(), Trouble::Unreachable).is_empty());
    assert!(bench.returned(ping.token(), Trouble::Unreachable).is_empty());
    assert!(bench.broken(&link, 1).is_empty());
    assert!(bench.pass(DELIVER).is_empty());
    assert!(bench.is_at_rest());
}

#[test]
fn many_messages_to_many_domains_leave_nothing_behind() {
    let mut bench = Bench::with_room_for(10_000);
    for round in 0..500 {
        let to = format!("romeo@d{round}.example");
        let seen = bench.say(chat("juliet@corp.example/x", &to, "m1", "hi"));
        let asked = bench.pass(GatewayLimits::default().gather);
        let (letter, ping) = (&seen.sent[0], &asked.pings[0]);
        // One message that never has an outcome of its own would bring a tick; there is none.
        match round % 4 {
            0 => {
                bench.returned(letter.token(), Trouble::NotFound);
                bench.returned(ping.token(), Trouble::NotFound);
            }
            1 => {
                bench.written(&[letter.token()], 1);
                bench.broken(&letter.link, 1);
            }
            2 => {
                bench.written(&[letter.token(), ping.token()], 1);
                bench.answered(pong(ping));
            }
            _ => {
                bench.written(&[letter.token()], 1);
                bench.pass(DELIVER * 2);
            }
        }
        assert!(bench.is_at_rest(), "round {round}");
    }
}

#[test]
fn a_query_that_cannot_be_passed_on_comes_back_and_a_written_one_is_no_more_our_business() {
    let (juliet, romeo) = ("juliet@corp.example/x", "romeo@friend.example");
    for kind in [
        Kind::Iq(IqType::Get),
        Kind::Iq(IqType::Set),
        Kind::Presence(PresenceType::Subscribe),
    ] {
        let query = || stanza(kind, juliet, romeo).with_id("q1");
        let mut bench = Bench::new();
        let seen = bench.say(query());
        assert!(seen.pings.is_empty(), "the query has an answer of its own");
        let token = seen.sent[0].token();
        let seen = bench.returned(token, Trouble::Unreachable);
        assert_eq!(
            seen.errors(),
            [(juliet.to_owned(), "q1".to_owned(), Condition::RemoteServerTimeout)]
        );
        assert!(bench.is_at_rest());

        let seen = bench.say(query());
        bench.written(&[seen.sent[0].token()], 1);
        assert!(bench.is_at_rest());
        assert!(bench.pass(DELIVER).is_empty());
    }
    let mut bench = Bench::new();
    bench.say(stanza(Kind::Iq(IqType::Get), romeo, juliet).with_id("q1"));
    let seen = bench.say(stanza(Kind::Iq(IqType::Result), juliet, romeo).with_id("q1"));
    assert_eq!(
        seen.sent[0].token, None,
        "nobody waits for what became of an answer"
    );
}

/// A bench whose foreign domains speak both protocols.
fn on_both(prefer: Option<Protocol>) -> Bench {
    let mut setting = Setting::open();
    if let Some(unlisted) = &mut setting.unlisted {
        unlisted.protocol = Speaks::Auto(prefer);
    }
    Bench {
        border: setting.border(),
        ..Bench::new()
    }
}

fn to_both(id: &str) -> Stanza {
    chat("bob@corp.example", "carol@both.example", id, "hello")
}

#[test]
fn a_text_goes_by_the_next_plan_once_where_the_first_leads_to_nobody() {
    for trouble in [
        Trouble::NotFound,
        Trouble::Unresolved,
        Trouble::Unreachable,
        Trouble::Untrusted,
    ] {
        let mut bench = on_both(None);
        let seen = bench.say(to_both("1"));
        assert_eq!((seen.sent.len(), seen.requests.len()), (1, 0));
        let seen = bench.returned(seen.sent[0].token(), trouble);
        assert_eq!(
            (seen.sent.len(), seen.requests.len(), seen.outcomes.len()),
            (0, 1, 0)
        );
        let (token, request, _) = &seen.requests[0];
        assert_eq!(request.uri().to_string(), "sip:carol@both.example");
        let response = request.response(StatusCode::OK, "OK", Some("t"));
        let seen = bench.handle(Input::Response {
            token: *token,
            response: Box::new(response),
        });
        assert_eq!((seen.outcomes, seen.sent.len()), (vec![Outcome::Delivered], 0));
        assert!(bench.is_at_rest());

        let mut bench = on_both(Some(Protocol::Sip));
        let seen = bench.say(to_both("2"));
        assert_eq!((seen.sent.len(), seen.requests.len()), (0, 1));
        let seen = bench.returned(seen.requests[0].0, trouble);
        assert_eq!(
            (seen.sent.len(), seen.requests.len(), seen.outcomes.len()),
            (1, 0, 0)
        );
        assert_eq!(seen.sent[0].stanza.id(), Some("2"));
    }
}

#[test]
fn what_may_have_arrived_goes_by_no_other_plan() {
    for trouble in [
        Trouble::Timeout,
        Trouble::Broken,
        Trouble::Refused,
        Trouble::Overload,
        Trouble::TooLarge,
        Trouble::Stopping,
    ] {
        for prefer in [Protocol::Sip, Protocol::Xmpp] {
            let mut bench = on_both(Some(prefer));
            let seen = bench.say(to_both("1"));
            let tokens = seen.sent.iter().map(Letter::token);
            let token = tokens.chain(seen.requests.iter().map(|it| it.0)).next().unwrap();
            let seen = bench.returned(token, trouble);
            assert_eq!((seen.errors().len(), seen.requests.len()), (1, 0));
            assert_eq!(seen.outcomes, [Outcome::Failed]);
        }
    }
    let mut bench = on_both(None);
    let seen = bench.say(to_both("1"));
    let token = seen.sent[0].token();
    bench.written(&[token], 1);
    let seen = bench.returned(token, Trouble::Unreachable);
    assert_eq!((seen.requests.len(), seen.outcomes), (0, vec![Outcome::Failed]));
}

#[test]
fn where_both_plans_lead_to_nobody_the_sender_is_told_once_in_time_and_why() {
    let mut bench = on_both(None);
    let seen = bench.say(to_both("1"));
    bench.now += DELIVER / 2;
    let seen = bench.returned(seen.sent[0].token(), Trouble::Unreachable);
    let (token, _, until) = seen.requests[0];
    assert_eq!(until, bench.now + DELIVER / 2, "the time is that of the message");
    let seen = bench.returned(token, Trouble::NotFound);
    let told = seen.errors();
    assert_eq!(told.len(), 1);
    assert_ne!(told[0].2, Condition::RemoteServerNotFound);
    assert_eq!(seen.outcomes, [Outcome::Failed]);
    assert!(bench.is_at_rest());
}

#[test]
fn what_may_go_by_two_plans_weighs_what_both_take() {
    let weight = |bench: &Bench| {
        let text = "x".repeat(500);
        let stanza = chat("bob@corp.example", "carol@both.example", "1", &text);
        match bench
            .border
            .admit_stanza(Side::Inside, stanza, today(), &[7; 32])
            .unwrap()
        {
            AdmittedStanza::Deliver(delivery) => delivery.weight(),
            other @ (AdmittedStanza::Answer(_)
            | AdmittedStanza::Pong(_)
            | AdmittedStanza::Ignore
            | AdmittedStanza::GivenUp { .. }) => {
                panic!("{other:?}")
            }
        }
    };
    assert!(weight(&on_both(None)) > weight(&Bench::new()) + 500);
    let limits = GatewayLimits {
        pending_bytes: 2_000,
        ..GatewayLimits::default()
    };
    let outcomes = |mut bench: Bench| {
        bench.gateway = Gateway::new(3, limits.clone(), &speaker(77, ""));
        bench.say(to_both("1")).outcomes
    };
    assert_eq!(outcomes(Bench::new()), []);
    assert_eq!(
        outcomes(on_both(None)),
        [Outcome::Failed],
        "what is kept for later takes room"
    );
}

#[test]
fn what_sip_has_no_word_for_goes_by_the_other_protocol_of_a_domain() {
    let beside = |namespace: &str, name: &str| {
        let element = Element::new(name, namespace).with_attribute("id", "hers");
        let kind = Kind::Message(MessageType::Chat);
        stanza(kind, "bob@corp.example/x", "carol@both.example").with_child(element)
    };
    for (namespace, name) in [
        ("urn:xmpp:receipts", "received"),
        ("http://jabber.org/protocol/chatstates", "composing"),
        ("urn:xmpp:hints", "store"),
    ] {
        let mut bench = on_both(Some(Protocol::Sip));
        let seen = bench.say(beside(namespace, name));
        assert_eq!((seen.sent.len(), seen.requests.len()), (1, 0), "{name}");
        assert!(seen.sent[0].stanza.child(name, namespace).is_some());
    }
}
