//! Pings of XMPP servers that stand behind texts to SIP.

use super::*;
use crate::limits::{OUTCOME_WAIT, WAITING_PINGS_OF_DOMAIN};

const JULIET: &str = "juliet@corp.example/x";

/// Juliet writes to a user of SIP: the request.
fn writes(bench: &mut Bench, to: &str) -> (Token, Box<Request>) {
    let mut seen = bench.say(chat(JULIET, to, "m1", "hi"));
    let (token, request, _) = seen.requests.remove(0);
    (token, request)
}

fn answers(bench: &mut Bench, (token, request): &(Token, Box<Request>), code: u16) -> Seen {
    let response = request.response(StatusCode::new(code).unwrap(), "x", Some("t"));
    bench.handle(Input::Response {
        token: *token,
        response: Box::new(response),
    })
}

/// Her server pings a domain of SIP.
fn pings(bench: &mut Bench, of: &str) -> usize {
    let ping = ping::request(jid("corp.example"), jid(of), "q1");
    let Ok(AdmittedStanza::Pong(pong)) = bench.border.admit_stanza(Side::Inside, ping, today(), &[7; 32])
    else {
        panic!("a ping of a domain of SIP is answered");
    };
    bench.handle(Input::Ping((*pong).into())).pongs
}

#[test]
fn a_ping_of_a_sip_domain_is_answered_when_each_text_before_it_has_its_outcome() {
    let mut bench = Bench::new();
    assert_eq!(pings(&mut bench, "partner.example"), 1, "nothing is before it");
    let first = writes(&mut bench, "alice@partner.example");
    let second = writes(&mut bench, "romeo@partner.example");
    assert_eq!(pings(&mut bench, "partner.example"), 0);
    assert_eq!(pings(&mut bench, "tenant.example"), 1, "it is of another domain");
    let third = writes(&mut bench, "alice@partner.example");
    assert_eq!(answers(&mut bench, &second, 200).pongs, 0);
    assert_eq!(
        answers(&mut bench, &first, 200).pongs,
        1,
        "the third is behind it"
    );
    assert_eq!(answers(&mut bench, &third, 200).pongs, 0, "it is answered once");
}

#[test]
fn the_answer_to_a_ping_goes_behind_the_error_of_what_was_before_it() {
    let mut bench = Bench::new();
    let text = writes(&mut bench, "alice@partner.example");
    assert_eq!(pings(&mut bench, "partner.example"), 0);
    let (token, request) = &text;
    let response = Box::new(request.response(StatusCode::new(482).unwrap(), "x", Some("t")));
    let token = *token;
    bench
        .gateway
        .handle(bench.now, Input::Response { token, response });
    let mut order = Vec::new();
    while let Some(output) = bench.gateway.poll(bench.now) {
        match output {
            Output::Send { stanza, .. } if stanza.kind().is_error() => order.push("error"),
            Output::Pong(_) => order.push("pong"),
            Output::Send { .. }
            | Output::Request { .. }
            | Output::Respond { .. }
            | Output::Recall { .. }
            | Output::Persist { .. }
            | Output::Untold { .. }
            | Output::Observe(_) => {}
        }
    }
    assert_eq!(order, ["error", "pong"]);
}

#[test]
fn a_text_that_takes_long_holds_up_no_ping_for_long() {
    let mut bench = Bench::new();
    let text = writes(&mut bench, "alice@partner.example");
    assert_eq!(pings(&mut bench, "partner.example"), 0);
    assert_eq!(bench.gateway.timeout(), Some(bench.now + OUTCOME_WAIT));
    assert_eq!(bench.pass(OUTCOME_WAIT).pongs, 1);
    assert_eq!(pings(&mut bench, "partner.example"), 1, "it has had its time");
    assert_eq!(answers(&mut bench, &text, 200).pongs, 0);
}

#[test]
fn no_more_pings_wait_than_there_is_room_for() {
    let mut bench = Bench::new();
    let text = writes(&mut bench, "alice@partner.example");
    for _ in 0..WAITING_PINGS_OF_DOMAIN {
        assert_eq!(pings(&mut bench, "partner.example"), 0);
    }
    assert_eq!(pings(&mut bench, "partner.example"), 1);
    assert_eq!(
        bench.returned(text.0, Trouble::Unreachable).pongs,
        WAITING_PINGS_OF_DOMAIN
    );
}
