//! What users who ask are told of their messages, each once and in their own words.

use super::*;
use crate::interwork::receipt::{self, Receipt};

const ALICE: &str = "alice@partner.example";
const FROM_ALICE: &str = "sip:alice@partner.example";
const RECEIPTS: &str = "urn:xmpp:receipts";
const MARKERS: &str = "urn:xmpp:chat-markers:0";

/// A text of Alice's who asks to be told of it.
fn asking(wanted: &str) -> Request {
    wrapped(
        FROM_ALICE,
        &format!("imdn.Message-ID: alice-1\r\nimdn.Disposition-Notification: {wanted}\r\n"),
        "text/plain",
        "hello",
    )
}

fn wrapped(from: &str, head: &str, kind: &str, body: &str) -> Request {
    let body = format!(
        "From: <{from}>\r\nTo: <{TO_JULIET}>\r\nDateTime: 2026-11-21T10:00:00+01:00\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\n{head}\r\nContent-Type: {kind}\r\n\r\n{body}"
    );
    let more = "Max-Forwards: 70\r\nContent-Type: message/cpim\r\n";
    request("MESSAGE", from, TO_JULIET, more, &body)
}

/// What Alice says of the message with that name.
fn notification(id: &str, note: &str, status: &str) -> Request {
    let body = format!(
        "<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>{id}</message-id><datetime>2026-11-21T10:00:00Z</datetime>\
         <{note}-notification><status><{status}/></status></{note}-notification></imdn>"
    );
    wrapped(FROM_ALICE, "imdn.Message-ID: n1\r\n", "message/imdn+xml", &body)
}

fn told(receipt: Receipt, id: &str, from: &str, to: &str) -> Stanza {
    receipt::to_stanza(receipt, id, jid(from), jid(to))
}

/// Which requests tell Alice of her message, and what.
fn notifications(seen: &Seen) -> Vec<(Receipt, String)> {
    seen.requests
        .iter()
        .filter_map(|(_, request, _)| receipt::of_request(request).unwrap())
        .collect()
}

/// Which stanzas tell Juliet of hers, and what.
fn receipts(seen: &Seen) -> Vec<(Receipt, String)> {
    seen.sent
        .iter()
        .filter_map(|letter| receipt::of_stanza(&letter.stanza))
        .collect()
}

impl Bench {
    /// Alice has asked: gives the stanza that Juliet got.
    fn asked(&mut self, wanted: &str) -> Stanza {
        let (none, seen) = self.request(asking(wanted));
        assert!(none.is_none());
        assert_eq!(texts(&seen), ["hello"]);
        let stanza = Stanza::clone(&seen.sent[0].stanza);
        let pong = seen.pings[0].stanza.result_reply(None).unwrap();
        let seen = self.handle(Input::Answer(Box::new(pong)));
        assert_eq!(seen.responses.last().unwrap().1.status().code(), 200);
        assert!(seen.requests.is_empty(), "200 is no receipt to who asks for one");
        stanza
    }
}

#[test]
fn a_sip_user_is_told_once_of_delivery_and_once_of_display_where_he_asked() {
    let delivered = ("alice-1".to_owned(), Receipt::Delivered);
    let displayed = ("alice-1".to_owned(), Receipt::Displayed);
    for (wanted, request, markable, expected) in [
        (
            "positive-delivery, negative-delivery",
            true,
            false,
            vec![delivered.clone()],
        ),
        ("display", false, true, vec![displayed.clone()]),
        (
            "positive-delivery,display",
            true,
            true,
            vec![delivered, displayed],
        ),
        ("negative-delivery", false, false, vec![]),
        ("processing", false, false, vec![]),
    ] {
        let mut bench = Bench::new();
        let stanza = bench.asked(wanted);
        assert_eq!(
            (
                stanza.child("request", RECEIPTS).is_some(),
                stanza.child("markable", MARKERS).is_some()
            ),
            (request, markable),
            "{wanted}"
        );
        let id = stanza.id().unwrap();
        let mut heard = Vec::new();
        for device in [JULIET, "juliet@corp.example/chamber"] {
            for receipt in [Receipt::Delivered, Receipt::Displayed] {
                let seen = bench.stanza(told(receipt, id, device, ALICE));
                assert!(seen.sent.is_empty() && seen.responses.is_empty());
                for (_, request, _) in &seen.requests {
                    assert_eq!(request.headers().to().uri().to_string(), FROM_ALICE);
                    assert!(
                        String::from_utf8_lossy(request.body())
                            .contains("<datetime>2026-11-21T10:00:00+01:00<")
                    );
                }
                heard.extend(
                    notifications(&seen)
                        .into_iter()
                        .map(|(receipt, id)| (id, receipt)),
                );
            }
        }
        assert_eq!(heard, expected, "{wanted}");
    }
}

#[test]
fn only_who_got_a_message_tells_of_it_and_only_while_it_is_remembered() {
    let mut bench = Bench::new();
    let stanza = bench.asked("positive-delivery");
    let id = stanza.id().unwrap();
    let other = format!("{}0", id.trim_end_matches(|c| c != '-'));
    for (id, from, to) in [
        (id, "mercutio@corp.example/x", ALICE),
        (id, JULIET, "bob@partner.example"),
        (&*other, JULIET, ALICE),
        ("m1", JULIET, ALICE),
    ] {
        assert!(
            bench.stanza(told(Receipt::Delivered, id, from, to)).is_empty(),
            "{id} {from} {to}"
        );
    }
    bench.pass(86_401);
    assert!(
        bench
            .stanza(told(Receipt::Delivered, id, JULIET, ALICE))
            .is_empty()
    );
}

#[test]
fn an_error_that_comes_after_the_answer_is_told_as_a_failure_once() {
    for (wanted, heard) in [
        ("negative-delivery", vec![(Receipt::Failed, "alice-1".to_owned())]),
        ("positive-delivery", vec![]),
    ] {
        let mut bench = Bench::new();
        let stanza = bench.asked(wanted);
        let error = StanzaError::new(Condition::RecipientUnavailable);
        let mut error = stanza.error_reply(&error).unwrap();
        error.set_from(jid("nurse@corp.example"));
        let by_another = bench.handle(Input::Answer(Box::new(error.clone())));
        assert!(by_another.is_empty(), "nobody else can make it fail");
        error.set_from(jid("juliet@corp.example"));
        let seen = bench.handle(Input::Answer(Box::new(error.clone())));
        assert_eq!(notifications(&seen), heard, "{wanted}");
        assert!(bench.handle(Input::Answer(Box::new(error))).is_empty(), "once");
        let id = stanza.id().unwrap();
        let seen = bench.stanza(told(Receipt::Delivered, id, JULIET, ALICE));
        assert_eq!(seen.requests.len(), usize::from(heard.is_empty()), "not both");
    }
}

#[test]
fn who_asks_in_wrappers_is_asked_in_one_and_his_word_is_the_receipt() {
    for (marks, note, word, expected) in [
        (RECEIPTS, "delivery", "delivered", Some(Receipt::Delivered)),
        (MARKERS, "display", "displayed", Some(Receipt::Displayed)),
        (RECEIPTS, "display", "displayed", None),
    ] {
        let mut bench = Bench::new();
        bench.asked("positive-delivery");
        let name = if marks == RECEIPTS { "request" } else { "markable" };
        let text = chat(JULIET, ALICE, "m 1", "well").with_child(Element::new(name, marks));
        let mut seen = bench.stanza(text);
        let (token, request, _) = seen.requests.remove(0);
        assert!(request.headers().content_type().unwrap().is("message", "cpim"));
        let asks = receipt::Asked::of_request(&request, today()).unwrap();
        assert!(asks.includes(Receipt::Failed));
        let seen = bench.answer(token, &request, &status(200));
        assert_eq!(
            (receipts(&seen), seen.outcomes),
            (vec![], vec![Outcome::Delivered])
        );
        let (answer, seen) = bench.request(notification(asks.id(), note, word));
        assert_eq!(answer.unwrap().status().code(), 200);
        assert_eq!(
            receipts(&seen).first().cloned(),
            expected.map(|receipt| (receipt, "m 1".to_owned()))
        );
        if expected.is_some() {
            let letter = &seen.sent[0];
            assert_eq!(
                (letter.stanza.from(), letter.stanza.to()),
                (&jid(ALICE), &jid(JULIET))
            );
        }
        let (_, again) = bench.request(notification(asks.id(), note, word));
        assert!(again.is_empty(), "once");
    }
}

#[test]
fn a_failure_that_is_told_after_the_answer_becomes_an_error() {
    let mut bench = Bench::new();
    bench.asked("display");
    let text = chat(JULIET, ALICE, "m1", "well").with_child(Element::new("request", RECEIPTS));
    let (token, request, _) = bench.stanza(text).requests.remove(0);
    let name = receipt::Asked::of_request(&request, today()).unwrap();
    bench.answer(token, &request, &status(200));
    let (_, seen) = bench.request(notification(name.id(), "delivery", "failed"));
    let juliet = (
        JULIET.to_owned(),
        "m1".to_owned(),
        Condition::RecipientUnavailable,
    );
    assert_eq!(seen.errors(), [juliet]);
    // Of what was refused she knows already.
    let text = chat(JULIET, ALICE, "m2", "well").with_child(Element::new("request", RECEIPTS));
    let (token, request, _) = bench.stanza(text).requests.remove(0);
    let name = receipt::Asked::of_request(&request, today()).unwrap();
    assert_eq!(bench.answer(token, &request, &status(404)).errors().len(), 1);
    let (_, seen) = bench.request(notification(name.id(), "delivery", "failed"));
    assert!(seen.is_empty());
}

#[test]
fn a_text_without_a_request_and_one_that_would_be_too_long_go_without_a_wrapper() {
    let mut bench = Bench::new();
    bench.asked("display");
    let seen = bench.stanza(chat(JULIET, ALICE, "m1", "well"));
    assert_eq!(bodies(&seen), ["well"]);
    let long = "x".repeat(800);
    let text = chat(JULIET, ALICE, "m2", &long).with_child(Element::new("request", RECEIPTS));
    let (token, request, _) = bench.stanza(text).requests.remove(0);
    assert_eq!(request.body().as_ref(), long.as_bytes());
    let seen = bench.answer(token, &request, &status(200));
    assert_eq!(
        receipts(&seen),
        [(Receipt::Delivered, "m2".to_owned())],
        "the answer is the receipt"
    );
}

#[test]
fn in_a_session_receipts_are_asked_for_and_given_as_outside_of_one() {
    let mut bench = Bench::new();
    let accepted = bench.invited();
    let text = wrapped(
        FROM_ROMEO,
        "imdn.Message-ID: romeo-1\r\nimdn.Disposition-Notification: positive-delivery\r\n",
        "text/plain",
        "hello",
    );
    let body = String::from_utf8_lossy(text.body()).into_owned();
    let cpim = "Content-Type: message/cpim\r\n";
    let (none, seen) = bench.request(within(&accepted, "MESSAGE", 2, cpim, &body));
    assert!(none.is_none());
    assert_eq!(texts(&seen), ["hello"]);
    let id = seen.sent[0].stanza.id().unwrap().to_owned();
    let seen = bench.stanza(told(Receipt::Delivered, &id, JULIET, ROMEO));
    assert_eq!(notifications(&seen), [(Receipt::Delivered, "romeo-1".to_owned())]);
    assert_eq!(
        seen.requests[0].1.headers().call_id(),
        accepted.headers().call_id(),
        "in the session that is open"
    );
}

#[test]
fn what_is_remembered_is_bounded_and_who_asks_most_is_forgotten_first() {
    let limits = GatewayLimits {
        receipts: 8,
        ..GatewayLimits::default()
    };
    let mut bench = Bench::new();
    bench.gateway = Gateway::new(0, limits, &speaker(7, UNDELIVERABLE));
    let first = bench.asked("display");
    let second = bench.asked("display");
    let third = bench.asked("display");
    assert_eq!(bench.gateway.receipts.len(), 2, "a quarter is for one domain");
    for (stanza, heard) in [(first, 0), (second, 1), (third, 1)] {
        let seen = bench.stanza(told(Receipt::Displayed, stanza.id().unwrap(), JULIET, ALICE));
        assert_eq!(seen.requests.len(), heard);
    }
    assert_eq!(bench.gateway.receipts.len(), 0);
}

#[test]
fn who_refuses_a_wrapper_gets_the_text_without_and_his_answer_is_the_receipt() {
    for code in [406, 415, 488] {
        let mut bench = Bench::new();
        bench.asked("display");
        let text = || chat(JULIET, ALICE, "m1", "well\nthen").with_child(Element::new("request", RECEIPTS));
        let (token, wrapped, _) = bench.stanza(text()).requests.remove(0);
        let seen = bench.answer(token, &wrapped, &status(code));
        assert_eq!(bodies(&seen), ["well\r\nthen"], "{code}");
        let (token, plain, _) = seen.requests.into_iter().next().unwrap();
        assert!(plain.headers().content_type().unwrap().is("text", "plain"));
        assert_eq!(plain.headers().call_id(), wrapped.headers().call_id());
        assert_ne!(plain.headers().cseq().number(), wrapped.headers().cseq().number());
        let seen = bench.answer(token, &plain, &status(200));
        assert_eq!(receipts(&seen), [(Receipt::Delivered, "m1".to_owned())]);
        assert_eq!(
            bodies(&bench.stanza(text())),
            ["well\r\nthen"],
            "and all that follow"
        );
    }
}

#[test]
fn of_what_failed_nobody_is_told_again() {
    let mut bench = Bench::new();
    bench.asked("display");
    let text = chat(JULIET, ALICE, "m1", "well").with_child(Element::new("request", RECEIPTS));
    let (_, request, _) = bench.stanza(text).requests.remove(0);
    let name = receipt::Asked::of_request(&request, today()).unwrap();
    assert_eq!(bench.pass(31).errors().len(), 1, "nobody answered");
    let (_, seen) = bench.request(notification(name.id(), "delivery", "failed"));
    assert!(seen.is_empty());

    let (none, seen) = bench.request(asking("negative-delivery"));
    assert!(none.is_none());
    let stanza = Stanza::clone(&seen.sent[0].stanza);
    let seen = bench.pass(31);
    assert_eq!(seen.responses.len(), 1, "nobody confirmed it");
    let error = StanzaError::new(Condition::RecipientUnavailable);
    let mut error = stanza.error_reply(&error).unwrap();
    error.set_from(jid("juliet@corp.example"));
    assert!(bench.handle(Input::Answer(Box::new(error))).is_empty());
}

#[test]
fn addresses_are_told_of_as_policy_saw_them_and_long_ones_are_not_remembered() {
    let said = |from: &str| {
        let more = "Max-Forwards: 70\r\nContent-Type: message/cpim\r\n";
        let body = asking("positive-delivery").body().clone();
        let mut said = request(
            "MESSAGE",
            from,
            TO_JULIET,
            more,
            std::str::from_utf8(&body).unwrap(),
        );
        let to = sip::NameAddr::new(sip::Uri::parse("sip:ceo@corp.example").unwrap());
        said.headers_mut().set_to(to);
        said
    };
    let mut bench = Bench::new();
    let long = "x".repeat(900);
    for (from, kept) in [
        (
            "sip:alice@partner.example;transport=tcp;maddr=192.0.2.1".to_owned(),
            1,
        ),
        (format!("sip:alice{long}@partner.example"), 0),
    ] {
        let (_, seen) = bench.request(said(&from));
        let stanza = &seen.sent[0].stanza;
        assert_eq!(stanza.child("request", RECEIPTS).is_some(), kept == 1, "{from}");
        assert_eq!(bench.gateway.receipts.len(), kept, "{from}");
        let seen = bench.stanza(told(
            Receipt::Delivered,
            stanza.id().unwrap(),
            JULIET,
            &stanza.from().to_string(),
        ));
        for (_, request, _) in &seen.requests {
            assert_eq!(request.uri().to_string(), FROM_ALICE);
            assert_eq!(request.headers().from().uri().to_string(), TO_JULIET);
        }
        assert_eq!(seen.requests.len(), kept, "{from}");
    }
}
