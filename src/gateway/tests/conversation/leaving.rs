//! What ends before its time: an INVITE that is called back, and everything when the proxy stops.

use super::*;

const FIRST: &str = "ms-text-format: text/plain; charset=UTF-8;ms-body=aGVsbG8=\r\n";

impl Bench {
    /// Juliet has shown in a session that is over that she wants chat states.
    fn shown(&mut self) {
        let accepted = self.invited();
        let active = stanza(Kind::Message(MessageType::Chat), JULIET, ROMEO);
        self.stanza(active.with_child(Element::new("active", STATES)));
        self.request(within(&accepted, "BYE", 2, "", ""));
    }

    /// Sends an INVITE with a text, and gives what calls it back.
    fn call(&mut self) -> (Box<Call>, Seen) {
        let mut peer = Proven(&["ms.example"]);
        self.requests += 1;
        let admitted = self
            .border
            .admit_sip(Side::Outside, invite(FIRST), &mut peer, today());
        let Ok(Admitted::Deliver(delivery)) = admitted else {
            panic!("{admitted:?}");
        };
        let call = delivery.call().unwrap();
        let origin = Some(self.requests);
        (Box::new(call), self.handle(Input::Deliver { delivery, origin }))
    }

    fn stop(&mut self, seconds: u64) -> Seen {
        let by = self.now + Duration::from_secs(seconds);
        self.handle(Input::Stop { by })
    }
}

fn gone(seen: &Seen) -> usize {
    seen.sent
        .iter()
        .filter(|letter| {
            letter
                .stanza
                .child("gone", "http://jabber.org/protocol/chatstates")
                .is_some()
        })
        .count()
}

#[test]
fn an_invitation_that_is_called_back_while_its_text_waits_is_not_accepted_any_more() {
    let mut bench = Bench::new();
    bench.shown();
    let (call, seen) = bench.call();
    assert_eq!(texts(&seen), ["hello"]);
    let pong = seen.pings[0].stanza.result_reply(None).unwrap();
    let seen = bench.handle(Input::CalledBack(call.clone()));
    assert_eq!(
        (seen.statuses(), seen.outcomes.clone()),
        (vec![(4, 487)], vec![Outcome::Failed])
    );
    assert_eq!(
        gone(&seen),
        1,
        "the text may be there already, and its writer is not"
    );
    assert_eq!((bench.gateway.waiting(), bench.gateway.conversations().1), (0, 0));
    let seen = bench.handle(Input::Answer(Box::new(pong)));
    assert!(seen.is_empty(), "it has its answer");
    assert!(bench.handle(Input::CalledBack(call)).is_empty());
}

#[test]
fn an_invitation_that_was_answered_is_called_back_in_vain() {
    let mut bench = Bench::new();
    bench.shown();
    let (call, seen) = bench.call();
    let pong = seen.pings[0].stanza.result_reply(None).unwrap();
    let mut seen = bench.handle(Input::Answer(Box::new(pong)));
    let (_, accepted) = seen.responses.remove(0);
    assert_eq!(accepted.status().code(), 200);
    assert!(bench.handle(Input::CalledBack(call)).is_empty());
    assert_eq!(bench.gateway.conversations().1, 1);
    bench.request(within(&accepted, "ACK", 1, "", ""));
    let (bye, seen) = bench.request(within(&accepted, "BYE", 2, "", ""));
    assert_eq!((bye.unwrap().status().code(), gone(&seen)), (200, 1));
}

#[test]
fn only_who_sent_an_invitation_calls_it_back() {
    let mut bench = Bench::new();
    let (call, _) = bench.call();
    let other = request("INVITE", FROM_ROMEO, TO_JULIET, CONTACT, "");
    let mut peer = Proven(&["ms.example"]);
    let with_text = invite(FIRST);
    for (of, is_call) in [
        (other, true),
        (with_text, true),
        (message(FROM_ROMEO, TO_JULIET, "x"), false),
    ] {
        match bench.border.admit_sip(Side::Outside, of, &mut peer, today()) {
            Ok(Admitted::Deliver(delivery)) => assert_eq!(delivery.call().is_some(), is_call),
            other => panic!("{other:?}"),
        }
    }
    let mut another = invite(FIRST);
    another
        .headers_mut()
        .set_from(sip::NameAddr::parse("<sip:romeo@ms.example>;tag=another").unwrap());
    let Ok(Admitted::Deliver(delivery)) = bench.border.admit_sip(Side::Outside, another, &mut peer, today())
    else {
        panic!();
    };
    let another = Box::new(delivery.call().unwrap());
    assert!(bench.handle(Input::CalledBack(another)).is_empty());
    assert_eq!(bench.handle(Input::CalledBack(call)).statuses(), [(1, 487)]);
}

#[test]
fn a_stop_ends_what_is_quiet_at_once_and_the_rest_when_its_texts_have_arrived() {
    let mut bench = Bench::new();
    bench.invited();
    let seen = bench.stop(8);
    assert_eq!(methods(&seen), ["BYE"]);
    assert_eq!(bench.gateway.ending(), 1, "its answer is waited for");
    let (token, bye, _) = &seen.requests[0];
    bench.answer(*token, bye, &status(200));
    assert_eq!(
        (bench.gateway.ending(), bench.gateway.conversations()),
        (0, (0, 0))
    );

    let mut bench = Bench::new();
    let (token, one) = bench.session();
    bench.write("m2", "two");
    assert!(bench.stop(8).is_empty());
    bench.pass(1);
    let mut seen = bench.answer(token, &one, &status(200));
    assert_eq!(bodies(&seen), ["two"]);
    let (token, two, _) = seen.requests.remove(0);
    assert!(bench.pass(1).is_empty());
    bench.answer(token, &two, &status(200));
    assert_eq!(methods(&bench.pass(1)), ["BYE"]);
}

#[test]
fn what_a_stop_leaves_no_time_for_is_told() {
    let mut bench = Bench::new();
    let (token, invite, _) = bench.write("m1", "one").requests.remove(0);
    bench.write("m2", "two");
    assert!(bench.stop(8).is_empty());
    assert!(bench.pass(7).is_empty());
    let seen = bench.pass(1);
    assert_eq!((seen.recalled.clone(), seen.errors().len()), (vec![token], 2));
    assert_eq!(
        (bench.gateway.waiting(), bench.gateway.conversations()),
        (0, (0, 0))
    );
    bench.answer(token, &invite, &status(487));
    assert_eq!(bench.gateway.ending(), 0);

    // One that nobody acknowledged may not be ended yet (RFC 3261 §15), nor does anybody wait for it for ever.
    let mut bench = Bench::new();
    bench.request(invite_plain());
    assert!(bench.stop(8).is_empty());
    assert_eq!(bench.gateway.ending(), 1);
    assert!(bench.pass(7).is_empty());
    assert!(methods(&bench.pass(1)).is_empty());
    assert_eq!(bench.gateway.conversations(), (0, 0));

    let mut bench = Bench::new();
    let (accepted, _) = bench.request(invite_plain());
    bench.stop(8);
    bench.request(within(&accepted.unwrap(), "ACK", 1, "", ""));
    assert_eq!(methods(&bench.pass(1)), ["BYE"]);
}

fn invite_plain() -> Request {
    invite("")
}
