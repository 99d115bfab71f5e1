//! The table: matching, bounds, flows, and two tables over a link that loses and repeats.

#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use proptest::prelude::*;

use super::super::tests::{Clock, INVITE, MESSAGE, answer, message, received, request};
use super::super::{Failure, Reliability};
use super::*;

mod link;

const UDP: Flow = Flow {
    id: 1,
    reliability: Reliability::Unreliable,
};
const TLS: Flow = Flow {
    id: 2,
    reliability: Reliability::Reliable,
};

fn empty() -> Transactions {
    Transactions::new(&SipLimits::default(), Timers::default(), Register::new())
}

fn events(table: &mut Transactions) -> Vec<Event> {
    std::iter::from_fn(|| table.poll()).collect()
}

/// One word for each event.
fn words(table: &mut Transactions) -> String {
    let words: Vec<String> = events(table)
        .into_iter()
        .map(|event| match event {
            Event::Transmit { flow, octets, .. } => {
                let text = std::str::from_utf8(&octets).unwrap();
                let words: Vec<&str> = text.split(' ').collect();
                let what = if words[0] == "SIP/2.0" { words[1] } else { words[0] };
                format!("send {what} to {flow}")
            }
            Event::Request { request, cancels, .. } => {
                let cancels = if cancels.is_some() { " for an INVITE" } else { "" };
                format!("request {}{cancels}", request.method())
            }
            Event::Acknowledged { transaction, .. } => {
                format!("ack {}", if transaction.is_some() { "matched" } else { "alone" })
            }
            Event::Response { response, .. } => format!("response {}", response.status()),
            Event::Failed { failure, .. } => format!("failed {failure:?}"),
            Event::Terminated { .. } => "terminated".to_owned(),
        })
        .collect();
    words.join(", ")
}

/// Lets a table receive a request and gives the transaction made for it.
fn open(table: &mut Transactions, clock: Clock, flow: Flow, text: &str) -> TransactionId {
    assert_eq!(table.receive(clock.at(0), flow, message(text)), Received::New);
    let mut made = None;
    for event in events(table) {
        if let Event::Request { transaction, .. } = event {
            made = Some(transaction);
        }
    }
    made.unwrap()
}

#[test]
fn a_request_comes_up_once_however_often_it_is_sent() {
    let (clock, mut table) = (Clock::new(), empty());
    assert_eq!(table.receive(clock.at(0), UDP, message(MESSAGE)), Received::New);
    assert_eq!(words(&mut table), "request MESSAGE");
    assert_eq!(
        table.receive(clock.at(500), UDP, message(MESSAGE)),
        Received::Matched
    );
    assert_eq!(words(&mut table), "");
    assert_eq!(table.len(), 1);
}

#[test]
fn a_request_that_nobody_answers_holds_no_place() {
    let (clock, mut table) = (Clock::new(), empty());
    let text = MESSAGE.replace("MESSAGE", "BENOTIFY");
    let transaction = open(&mut table, clock, TLS, &text);
    table.abandon(transaction);
    assert_eq!(words(&mut table), "terminated");
    assert!(table.is_empty());
    table.abandon(transaction);
    table.tick(clock.at(60_000));
    assert_eq!(words(&mut table), "", "and nothing is ever said of it");
}

#[test]
fn a_response_reaches_its_request_and_a_stray_one_nothing() {
    let (clock, mut table) = (Clock::new(), empty());
    table.request(clock.at(0), TLS, &request(MESSAGE)).unwrap();
    assert_eq!(words(&mut table), "send MESSAGE to 2");
    let response = Message::Response(answer(&request(MESSAGE), 200));
    assert_eq!(
        table.receive(clock.at(9), TLS, response.clone()),
        Received::Matched
    );
    assert_eq!(words(&mut table), "response 200, terminated");
    assert!(table.is_empty());
    assert_eq!(table.receive(clock.at(10), TLS, response), Received::Stray);
    assert_eq!(words(&mut table), "");
}

#[test]
fn another_flow_can_neither_answer_nor_repeat_nor_acknowledge() {
    let (clock, mut table) = (Clock::new(), empty());
    table.request(clock.at(0), UDP, &request(MESSAGE)).unwrap();
    let response = Message::Response(answer(&request(MESSAGE), 200));
    assert_eq!(table.receive(clock.at(1), TLS, response), Received::Stray);

    let invite = open(&mut table, clock, UDP, INVITE);
    assert_eq!(
        table.respond(clock.at(2), invite, &answer(&request(INVITE), 486)),
        Responded::Sent
    );
    events(&mut table);
    assert_eq!(table.receive(clock.at(3), TLS, message(INVITE)), Received::New);
    assert_eq!(words(&mut table), "request INVITE");
    let ack = message(&INVITE.replace("INVITE", "ACK"));
    assert_eq!(table.receive(clock.at(4), TLS, ack), Received::Matched);
    table.tick(clock.at(502));
    assert_eq!(
        words(&mut table),
        "send 100 to 2, send MESSAGE to 1, send 486 to 1"
    );
}

#[test]
fn a_refused_invite_takes_its_ack_and_an_accepted_one_hands_it_up() {
    let (clock, mut table) = (Clock::new(), empty());
    let ack = message(&INVITE.replace("INVITE", "ACK"));
    let invite = open(&mut table, clock, TLS, INVITE);
    let _ = table.respond(clock.at(1), invite, &answer(&request(INVITE), 486));
    assert_eq!(table.receive(clock.at(2), TLS, ack.clone()), Received::Matched);
    assert_eq!(words(&mut table), "send 486 to 2, terminated");

    let invite = open(&mut table, clock, TLS, INVITE);
    let _ = table.respond(clock.at(1), invite, &answer(&request(INVITE), 200));
    assert_eq!(table.receive(clock.at(2), TLS, ack.clone()), Received::Matched);
    assert_eq!(words(&mut table), "send 200 to 2, ack matched");
    table.tick(clock.at(60_000));
    assert_eq!(words(&mut table), "terminated");

    // The ACK to a 2xx is a transaction of its own, with a branch of its own (RFC 3261 §13.2.2.4).
    assert_eq!(table.receive(clock.at(60_001), TLS, ack), Received::New);
    assert_eq!(words(&mut table), "ack alone");
    assert!(table.is_empty());
}

#[test]
fn an_ack_of_rfc_2543_finds_its_invite_by_the_tag_of_the_response() {
    let old = INVITE.replace(";branch=z9hG4bKinvite1", "");
    let tagged = "To: <sip:ben@example.org>;tag=b1";
    let ack = old
        .replace("INVITE", "ACK")
        .replace("To: <sip:ben@example.org>", tagged);
    for (code, seen) in [(486, "send 486 to 1"), (200, "send 200 to 1, ack matched")] {
        let (clock, mut table) = (Clock::new(), empty());
        let invite = open(&mut table, clock, UDP, &old);
        let _ = table.respond(clock.at(1), invite, &answer(&request(&old), code));
        let other = message(&ack.replace("tag=b1", "tag=b2"));
        assert_eq!(table.receive(clock.at(2), UDP, message(&ack)), Received::Matched);
        assert_eq!(words(&mut table), seen);
        assert_eq!(table.receive(clock.at(3), UDP, other), Received::New);
        assert_eq!(words(&mut table), "ack alone");
        table.tick(clock.at(99_000));
        assert_eq!(words(&mut table), "terminated");
        assert!(table.index.is_empty() && table.due.is_empty() && table.is_empty());
    }
}

#[test]
fn a_cancel_comes_up_with_the_invite_it_is_about() {
    let (clock, mut table) = (Clock::new(), empty());
    let cancel = INVITE.replace("INVITE", "CANCEL");
    assert_eq!(table.receive(clock.at(0), TLS, message(&cancel)), Received::New);
    assert_eq!(words(&mut table), "request CANCEL");

    let (clock, mut table) = (Clock::new(), empty());
    let invite = open(&mut table, clock, TLS, INVITE);
    assert_eq!(table.receive(clock.at(1), TLS, message(&cancel)), Received::New);
    match table.poll() {
        Some(Event::Request { cancels, .. }) => assert_eq!(cancels, Some(invite)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cancel_comes_up_with_whatever_it_is_about_and_never_with_a_cancel() {
    let (clock, mut table) = (Clock::new(), empty());
    let cancel = MESSAGE.replace("MESSAGE", "CANCEL");
    assert_eq!(table.receive(clock.at(0), TLS, message(&cancel)), Received::New);
    assert_eq!(words(&mut table), "request CANCEL");

    let (clock, mut table) = (Clock::new(), empty());
    let about = open(&mut table, clock, TLS, MESSAGE);
    open(&mut table, clock, UDP, &MESSAGE.replace("message1", "message0"));
    assert_eq!(table.receive(clock.at(1), TLS, message(&cancel)), Received::New);
    match table.poll() {
        Some(Event::Request { cancels, .. }) => assert_eq!(cancels, Some(about)),
        other => panic!("{other:?}"),
    }
    assert_eq!(table.receive(clock.at(1), UDP, message(&cancel)), Received::New);
    assert_eq!(words(&mut table), "request CANCEL", "another flow has no say");
}

#[test]
fn over_the_limit_a_request_is_answered_503_with_retry_after_and_holds_nothing() {
    let limits = SipLimits {
        transactions: 1,
        ..SipLimits::default()
    };
    let (clock, mut table) = (
        Clock::new(),
        Transactions::new(&limits, Timers::default(), Register::new()),
    );
    open(&mut table, clock, TLS, MESSAGE);
    let other = MESSAGE.replace("z9hG4bKmessage1", "z9hG4bKmessage2");
    for _ in 0..2 {
        assert_eq!(
            table.receive(clock.at(1), TLS, message(&other)),
            Received::Refused
        );
        let Some(Event::Transmit {
            transaction,
            octets,
            flow,
        }) = table.poll()
        else {
            panic!("no answer");
        };
        let Message::Response(response) = received(&octets) else {
            panic!("not a response");
        };
        assert_eq!((transaction, flow, response.status().code()), (None, TLS.id, 503));
        assert_eq!(response.headers().get("Retry-After"), Some("32"));
        assert!(response.headers().to().tag().is_some());
    }
    assert_eq!(table.len(), 1);
    assert_eq!(
        table.request(clock.at(2), TLS, &request(&other)),
        Err(NotStarted::Full(1))
    );
    // What is under way goes on.
    assert_eq!(
        table.receive(clock.at(3), TLS, message(MESSAGE)),
        Received::Matched
    );
    // An ACK holds nothing and is never answered.
    let ack = message(&INVITE.replace("INVITE", "ACK"));
    assert_eq!(table.receive(clock.at(4), TLS, ack), Received::New);
    assert_eq!(words(&mut table), "ack alone");
}

#[test]
fn a_request_that_cannot_have_a_transaction_is_not_started() {
    let (clock, mut table) = (Clock::new(), empty());
    let no_branch = MESSAGE.replace(";branch=z9hG4bKmessage1", "");
    let ack = INVITE.replace("INVITE", "ACK");
    assert_eq!(
        table.request(clock.at(0), TLS, &request(&no_branch)),
        Err(NotStarted::NoBranch)
    );
    assert_eq!(
        table.request(clock.at(0), TLS, &request(&ack)),
        Err(NotStarted::Ack)
    );
    assert!(table.request(clock.at(0), TLS, &request(MESSAGE)).is_ok());
    assert_eq!(
        table.request(clock.at(0), TLS, &request(MESSAGE)),
        Err(NotStarted::Duplicate)
    );
    assert_eq!(table.len(), 1);
}

#[test]
fn a_broken_flow_is_told_to_all_on_it_at_once_and_to_no_other() {
    let (clock, mut table) = (Clock::new(), empty());
    table.request(clock.at(0), TLS, &request(MESSAGE)).unwrap();
    table.request(clock.at(0), TLS, &request(INVITE)).unwrap();
    let received = MESSAGE.replace("a.example.com", "c.example.com");
    open(&mut table, clock, TLS, &received);
    // Flows with a lower and a higher number stand beside it.
    table.request(clock.at(0), UDP, &request(MESSAGE)).unwrap();
    let next = Flow { id: 3, ..UDP };
    table.request(clock.at(0), next, &request(MESSAGE)).unwrap();
    events(&mut table);
    table.flow_failed(clock.at(5), TLS.id);
    assert_eq!(
        words(&mut table),
        "failed Transport, terminated, failed Transport, terminated, failed Transport, terminated"
    );
    assert_eq!(table.len(), 2);
    table.tick(clock.at(500));
    assert_eq!(words(&mut table), "send MESSAGE to 1, send MESSAGE to 3");
}

#[test]
fn the_earliest_timer_of_all_is_the_timeout() {
    let (clock, mut table) = (Clock::new(), empty());
    assert_eq!(table.timeout(), None);
    table.request(clock.at(0), TLS, &request(MESSAGE)).unwrap();
    assert_eq!(table.timeout(), Some(clock.at(32_000)));
    table.request(clock.at(100), UDP, &request(MESSAGE)).unwrap();
    assert_eq!(table.timeout(), Some(clock.at(600)));
    let response = Message::Response(answer(&request(MESSAGE), 200));
    let _ = table.receive(clock.at(200), UDP, response);
    assert_eq!(table.timeout(), Some(clock.at(5_200)));
    table.tick(clock.at(5_200));
    assert_eq!(table.timeout(), Some(clock.at(32_000)));
    table.tick(clock.at(32_000));
    assert_eq!(table.timeout(), None);
    assert!(table.is_empty());
}

#[test]
fn a_response_to_a_client_transaction_or_to_none_is_too_late() {
    let (clock, mut table) = (Clock::new(), empty());
    let client = table.request(clock.at(0), TLS, &request(MESSAGE)).unwrap();
    let response = answer(&request(MESSAGE), 200);
    assert_eq!(table.respond(clock.at(1), client, &response), Responded::TooLate);
    assert_eq!(
        table.respond(clock.at(1), TransactionId::new(99), &response),
        Responded::TooLate
    );
}
