//! What tells a sender of a failure arrives, whatever its link does; and what silence means for what was forwarded.

use super::*;

const JULIET: &str = "juliet@corp.example/x";
const SILENCE: Duration = Duration::from_secs(60);
const ROMEO: &str = "romeo@friend.example";

/// A bench on which Juliet's message has failed, and the error for her.
fn failed() -> (Bench, Letter) {
    let mut bench = Bench::new();
    let seen = bench.say(chat(JULIET, ROMEO, "m1", "hi"));
    let mut seen = bench.returned(seen.sent[0].token(), Trouble::Unreachable);
    assert_eq!(seen.outcomes, [Outcome::Failed]);
    let letter = seen.sent.remove(0);
    assert_eq!(letter.link, xmpp_link("friend.example", "corp.example"));
    (bench, letter)
}

fn notice_life() -> Duration {
    GatewayLimits::default().notice
}

#[test]
fn an_error_that_its_link_gives_back_is_sent_again_until_its_time_is_over() {
    for trouble in [
        Trouble::Overload,
        Trouble::Unreachable,
        Trouble::Refused,
        Trouble::Broken,
        Trouble::Timeout,
        Trouble::NotFound,
        Trouble::Untrusted,
    ] {
        let (mut bench, first) = failed();
        let start = bench.now;
        let (mut letter, mut times) = (first.clone(), 0);
        loop {
            assert!(bench.returned(letter.token(), trouble).is_empty(), "not at once");
            let next = bench.gateway.timeout().unwrap();
            assert!(next > bench.now && next - bench.now <= Duration::from_secs(30));
            let mut seen = bench.pass(next - bench.now);
            if seen.untold > 0 {
                assert!(seen.sent.is_empty());
                break;
            }
            times += 1;
            let again = seen.sent.remove(0);
            assert_eq!((&again.stanza, &again.link), (&first.stanza, &first.link));
            assert_ne!(again.token, letter.token, "an older ping says nothing of it");
            letter = again;
        }
        assert_eq!(bench.now - start, notice_life());
        assert!((15..40).contains(&times), "{times}");
        assert!(
            bench.is_at_rest(),
            "told that it was given up, and then forgotten"
        );
    }
    let (mut bench, letter) = failed();
    assert_eq!(bench.returned(letter.token(), Trouble::Stopping).untold, 1);
    assert!(bench.is_at_rest());
}

#[test]
fn an_error_is_kept_until_it_is_acknowledged_or_a_ping_behind_it_is_answered() {
    let (mut bench, letter) = failed();
    let (tokens, epoch) = (vec![letter.token()], 1);
    assert!(bench.handle(Input::Acknowledged { tokens, epoch }).is_empty());
    assert_eq!((bench.gateway.telling(), bench.gateway.timeout()), (0, None));

    let (mut bench, letter) = failed();
    let seen = bench.written(&[letter.token()], 1);
    assert_eq!((&seen.pings[0].link, seen.sent.len()), (&letter.link, 0));
    let ping = bench.broken(&letter.link, 2).pings.remove(0);
    assert_eq!(bench.gateway.telling(), 1, "another stream");
    assert!(bench.answered(pong(&ping)).is_empty());
    assert_eq!((bench.gateway.telling(), bench.gateway.timeout()), (0, None));
    assert!(bench.gateway.links.is_empty());

    // What a stream took with it is sent again, behind a ping of its own.
    let (mut bench, letter) = failed();
    let ping = bench.written(&[letter.token()], 1).pings.remove(0);
    assert!(bench.broken(&letter.link, 1).is_empty());
    let again = bench.pass(Duration::from_secs(1)).sent.remove(0);
    assert_eq!(again.stanza, letter.stanza);
    bench.answered(pong(&ping));
    assert_eq!(bench.gateway.telling(), 1, "that ping went with the stream");
    let ping = bench.written(&[again.token()], 2).pings.remove(0);
    bench.answered(pong(&ping));
    assert_eq!(bench.gateway.telling(), 0);
}

#[test]
fn the_far_sides_errors_and_our_refusals_are_kept_as_our_own_are() {
    let mut bench = Bench::new();
    let error = stanza(Kind::Message(MessageType::Error), JULIET, ROMEO).with_id("m1");
    let mut seen = bench.say(error.clone());
    assert_eq!(seen.sent.remove(0).stanza, error);
    assert_eq!(bench.gateway.telling(), 1);

    let seen = bench.handle(Input::Notice {
        stanza: Box::new(error.clone()),
        trace: Trace::new(1),
        hold: None,
    });
    assert_eq!(seen.sent[0].stanza, error);
    assert_eq!(bench.gateway.telling(), 2);

    // Whoever asks has a timer of his own: his answer is kept until it is written, and no ping asks about it, or two
    // servers that are both away would ask each other for ever.
    let mut bench = Bench::new();
    let error = stanza(Kind::Iq(IqType::Error), JULIET, ROMEO).with_id("q1");
    let notice = || Input::Notice {
        stanza: Box::new(error.clone()),
        trace: Trace::new(1),
        hold: None,
    };
    let letter = bench.handle(notice()).sent.remove(0);
    assert!(bench.returned(letter.token(), Trouble::Overload).is_empty());
    let again = bench.pass(Duration::from_secs(1)).sent.remove(0);
    assert!(bench.written(&[again.token()], 1).is_empty());
    assert_eq!(bench.gateway.telling(), 0);
    let letter = bench.handle(notice()).sent.remove(0);
    assert_eq!(letter.until, bench.now + DELIVER);
}

#[test]
fn an_error_that_is_too_large_goes_without_what_it_is_about() {
    let mut bench = Bench::new();
    let body = Element::new("body", ns::STANZA).with_text(&"x".repeat(1_000));
    let error = chat(ROMEO, JULIET, "m1", "")
        .error_reply(&StanzaError::new(Condition::ItemNotFound))
        .unwrap();
    let whole = error.clone().with_child(body);
    let letter = bench.say(whole).sent.remove(0);
    let again = bench.returned(letter.token(), Trouble::TooLarge).sent.remove(0);
    assert_eq!(again.stanza, error);
    assert_eq!(bench.returned(again.token(), Trouble::TooLarge).untold, 1);
    assert!(bench.is_at_rest());
}

#[test]
fn what_is_to_be_told_is_bounded_by_number_by_link_and_by_octets_and_then_sent_once() {
    let fill = |limits: GatewayLimits, to: fn(u32) -> String| {
        let mut bench = Bench::new();
        bench.gateway = Gateway::new(3, limits, &speaker(77, ""));
        let letters: Vec<_> = (0..10)
            .map(|number| {
                let error = stanza(Kind::Message(MessageType::Error), JULIET, &to(number));
                bench.say(error.with_id("m1")).sent.remove(0)
            })
            .collect();
        assert_eq!(letters.len(), 10, "each is sent");
        let kept = letters.iter().filter(|letter| letter.token.is_some()).count();
        assert_eq!(bench.gateway.telling(), kept);
        for letter in letters.iter().filter(|letter| letter.token.is_some()) {
            bench.written(&[letter.token()], 1);
            bench.handle(Input::Acknowledged {
                tokens: vec![letter.token()],
                epoch: 1,
            });
        }
        let error = stanza(Kind::Message(MessageType::Error), JULIET, &to(1)).with_id("m1");
        assert!(bench.say(error).sent[0].token.is_some(), "there is room again");
        kept
    };
    let limits = GatewayLimits::default;
    let one = |_| ROMEO.to_owned();
    let many = |number| format!("romeo@n{number}.example");
    assert_eq!(fill(limits(), one), 10);
    assert_eq!(
        fill(
            GatewayLimits {
                notices: 3,
                ..limits()
            },
            many
        ),
        3
    );
    let narrow = || GatewayLimits {
        notices_of_link: 2,
        ..limits()
    };
    assert_eq!(fill(narrow(), one), 2);
    assert_eq!(fill(narrow(), many), 10);
    let light = GatewayLimits {
        notice_bytes: 2_000,
        ..limits()
    };
    assert!((1..5).contains(&fill(light, many)));
}

/// Sends a message that is written and not answered.
fn unanswered(bench: &mut Bench, id: &str) -> (Token, Link) {
    let letter = bench.say(chat(JULIET, ROMEO, id, "hi")).sent.remove(0);
    bench.written(&[letter.token()], 1);
    (letter.token(), letter.link)
}

#[test]
fn silence_is_a_failure_of_what_was_forwarded_and_is_asked_about_ever_less() {
    let mut bench = Bench::new();
    bench.now += DELIVER / 2;
    unanswered(&mut bench, "m1");
    let (mut asked, start) = (Vec::new(), bench.now);
    loop {
        let seen = bench.pass(TICK * 10);
        asked.extend(seen.pings.iter().map(|_| (bench.now - start).as_secs()));
        if !seen.outcomes.is_empty() {
            assert_eq!(seen.outcomes, [Outcome::Failed]);
            assert_eq!(seen.errors()[0].2, Condition::RemoteServerTimeout);
            break;
        }
    }
    assert_eq!(asked, [0, 3, 9, 21, 45]);
    assert_eq!(bench.now - start, SILENCE, "from when it was written");
    assert!(bench.is_at_rest());
}

#[test]
fn an_answer_that_comes_after_the_next_question_still_confirms() {
    let mut bench = Bench::new();
    let mut seen = bench.say(chat(JULIET, ROMEO, "m1", "hi"));
    let asked = bench.pass(GatewayLimits::default().gather).pings.remove(0);
    let (letter, ping) = (seen.sent.remove(0), asked);
    bench.written(&[letter.token(), ping.token()], 1);
    assert_eq!(bench.pass(CONFIRM).pings.len(), 1);
    assert_eq!(bench.answered(pong(&ping)).outcomes, [Outcome::Delivered]);
    assert!(bench.is_at_rest());
}

#[test]
fn a_server_that_lives_and_answers_no_pings_is_believed_after_three_silences() {
    // It sends messages of its own meanwhile.
    let mut bench = Bench::new();
    for round in 0..3 {
        unanswered(&mut bench, &format!("m{round}"));
        bench.say(stanza(
            Kind::Message(MessageType::Headline),
            ROMEO,
            "juliet@corp.example",
        ));
        let seen = bench.pass(SILENCE);
        assert_eq!(seen.outcomes, [Outcome::Failed], "{round}");
    }
    unanswered(&mut bench, "m3");
    assert_eq!(bench.pass(CONFIRM).outcomes, [Outcome::Delivered]);

    // One that says nothing at all may hang.
    let mut bench = Bench::new();
    for round in 0..6 {
        unanswered(&mut bench, &format!("m{round}"));
        let seen = bench.pass(SILENCE);
        assert_eq!(seen.outcomes, [Outcome::Failed], "{round}");
    }
}
