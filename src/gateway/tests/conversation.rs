//! Sessions of messages, begun by either side, and what a conversation remembers.

mod leaving;
mod receipts;
mod refreshing;
mod typing;

use super::*;
use crate::limits::GatewayLimits;

const JULIET: &str = "juliet@corp.example/balcony";
const ROMEO: &str = "romeo@ms.example";
const STATES: &str = "http://jabber.org/protocol/chatstates";
const SDP: &str = "v=0\r\no=- 0 0 IN IP4 192.0.2.9\r\ns=session\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
    m=message 5060 sip null\r\na=accept-types:text/plain\r\n";

/// A gateway with its border and its clock.
struct Bench {
    border: Border,
    gateway: Gateway<u32>,
    now: Instant,
    requests: u32,
}

/// What the SIP side answers.
struct Answer {
    status: u16,
    tag: &'static str,
    more: &'static str,
    body: &'static str,
}

const OK: Answer = Answer {
    status: 200,
    tag: "b1",
    more: "Contact: <sip:romeo@192.0.2.9;transport=tls>\r\nRecord-Route: <sip:edge.ms.example;lr;ms-fe=x>;tag=q\r\n\
           Content-Type: application/sdp\r\n",
    body: SDP,
};

const fn status(status: u16) -> Answer {
    Answer {
        status,
        tag: "b1",
        more: "",
        body: "",
    }
}

impl Bench {
    fn new() -> Self {
        Self {
            border: Setting::open().border(),
            gateway: Gateway::new(0, GatewayLimits::default(), &speaker(7, UNDELIVERABLE)),
            now: Instant::now(),
            requests: 0,
        }
    }

    fn handle(&mut self, input: Input<u32>) -> Seen {
        self.gateway.handle(self.now, input);
        drain(&mut self.gateway, self.now)
    }

    fn pass(&mut self, seconds: u64) -> Seen {
        self.now += Duration::from_secs(seconds);
        self.handle(Input::Tick)
    }

    /// A stanza of the XMPP user.
    fn stanza(&mut self, stanza: Stanza) -> Seen {
        match self
            .border
            .admit_stanza(Side::Inside, stanza, today(), &[7; 32])
            .unwrap()
        {
            AdmittedStanza::Deliver(delivery) => self.handle(Input::Deliver {
                delivery,
                origin: None,
            }),
            AdmittedStanza::Ignore => Seen::default(),
            other
            @ (AdmittedStanza::Answer(_) | AdmittedStanza::Pong(_) | AdmittedStanza::GivenUp { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    fn write(&mut self, id: &str, body: &str) -> Seen {
        self.stanza(chat(JULIET, ROMEO, id, body).with_child(Element::new("active", STATES)))
    }

    /// A request of the SIP user; gives what it was answered at once with, if at all, and what else is done.
    fn request(&mut self, request: Request) -> (Option<Box<Response>>, Seen) {
        let mut peer = Proven(&["partner.example", "ms.example"]);
        self.requests += 1;
        let is_ack = *request.method() == sip::Method::Ack;
        match self.border.admit_sip(Side::Outside, request, &mut peer, today()) {
            Ok(Admitted::Deliver(delivery)) => {
                let origin = (!is_ack).then_some(self.requests);
                let mut seen = self.handle(Input::Deliver { delivery, origin });
                let answer = seen
                    .responses
                    .iter()
                    .position(|(number, _)| *number == self.requests);
                (answer.map(|at| seen.responses.remove(at).1), seen)
            }
            Ok(other) => panic!("{other:?}"),
            Err(rejected) => (Some(Box::new(rejected.response().clone())), Seen::default()),
        }
    }

    fn answer(&mut self, token: Token, request: &Request, answer: &Answer) -> Seen {
        let mut head = String::from("SIP/2.0 ");
        head.push_str(&format!("{} x\r\n", answer.status));
        let mut written = Vec::new();
        sip::write::request(request, &mut written);
        let written = String::from_utf8(written).unwrap();
        for line in written.lines().take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap_or_default();
            match name {
                "Via" | "From" | "Call-ID" | "CSeq" => head.push_str(&format!("{line}\r\n")),
                "To" if line.contains(";tag=") => head.push_str(&format!("{line}\r\n")),
                "To" => head.push_str(&format!("{line};tag={}\r\n", answer.tag)),
                _ => {}
            }
        }
        let Answer { more, body, .. } = answer;
        let text = format!("{head}{more}Content-Length: {}\r\n\r\n{body}", body.len());
        let response = match sip::parse::message(text.as_bytes(), &SipLimits::default()) {
            Ok(Message::Response(response)) => response,
            other => panic!("{text}\nis no response: {other:?}"),
        };
        self.handle(Input::Response {
            token,
            response: Box::new(response),
        })
    }

    /// Juliet's first text has begun a session: gives the text that was sent in it.
    fn session(&mut self) -> (Token, Box<Request>) {
        let mut seen = self.write("m1", "hello");
        let (token, invite, _) = seen.requests.remove(0);
        let mut seen = self.answer(token, &invite, &OK);
        assert_eq!(methods(&seen), ["ACK", "MESSAGE"]);
        let (token, message, _) = seen.requests.remove(1);
        (token, message)
    }
}

fn methods(seen: &Seen) -> Vec<&str> {
    seen.requests
        .iter()
        .map(|(_, request, _)| request.method().as_str())
        .collect()
}

fn bodies(seen: &Seen) -> Vec<String> {
    seen.requests
        .iter()
        .filter(|(_, request, _)| *request.method() == sip::Method::Message)
        .map(|(_, request, _)| String::from_utf8_lossy(request.body()).into_owned())
        .collect()
}

fn texts(seen: &Seen) -> Vec<String> {
    seen.sent
        .iter()
        .filter_map(|letter| letter.stanza.child_text("body"))
        .collect()
}

#[test]
fn the_first_text_invites_and_the_others_follow_in_their_order_one_at_a_time() {
    let mut bench = Bench::new();
    let mut seen = bench.write("m1", "one");
    assert_eq!(methods(&seen), ["INVITE"]);
    let (token, invite, _) = seen.requests.remove(0);
    assert!(sip::sdp::Sdp::parse(invite.body()).unwrap().is_of_messages());
    assert!(bench.write("m2", "two").is_empty() && bench.write("m3", "three").is_empty());
    let mut seen = bench.answer(token, &invite, &OK);
    assert_eq!(methods(&seen), ["ACK", "MESSAGE"]);
    assert_eq!(bodies(&seen), ["one"]);
    let ack = &seen.requests[0].1;
    assert_eq!(ack.headers().cseq().number(), invite.headers().cseq().number());
    for (body, next) in [("one", Some("two")), ("two", Some("three")), ("three", None)] {
        let (token, message, _) = seen.requests.pop().unwrap();
        assert_eq!(message.body().as_ref(), body.as_bytes());
        assert_eq!(
            message.headers().route().first().unwrap().to_string(),
            "<sip:edge.ms.example;lr;ms-fe=x>;tag=q",
            "the route set, octet for octet"
        );
        seen = bench.answer(token, &message, &status(200));
        assert_eq!(bodies(&seen), next.into_iter().collect::<Vec<_>>());
        assert_eq!(seen.outcomes, [Outcome::Delivered]);
    }
    assert_eq!(
        (bench.gateway.waiting(), bench.gateway.conversations()),
        (0, (1, 1))
    );
}

#[test]
fn who_refuses_the_session_refuses_every_text_behind_it() {
    let mut bench = Bench::new();
    let mut seen = bench.write("m1", "one");
    bench.write("m2", "two");
    let (token, invite, _) = seen.requests.remove(0);
    let seen = bench.answer(token, &invite, &status(486));
    let to = JULIET.to_owned();
    assert_eq!(
        seen.errors(),
        [
            (to.clone(), "m1".to_owned(), Condition::RecipientUnavailable),
            (to, "m2".to_owned(), Condition::RecipientUnavailable),
        ]
    );
    assert_eq!(bench.gateway.waiting(), 0);
}

#[test]
fn who_takes_no_sessions_gets_single_messages_and_the_reverse() {
    for code in [405, 415, 488, 501] {
        let mut bench = Bench::new();
        let mut seen = bench.write("m1", "one");
        bench.write("m2", "two");
        let (token, invite, _) = seen.requests.remove(0);
        let mut seen = bench.answer(token, &invite, &status(code));
        assert_eq!(bodies(&seen), ["one", "two"], "{code}");
        let (token, two, _) = seen.requests.pop().unwrap();
        let (other, one, _) = seen.requests.pop().unwrap();
        assert!(two.headers().to().tag().is_none(), "outside of any dialog");
        assert_eq!(
            bench.answer(other, &one, &status(200)).outcomes,
            [Outcome::Delivered]
        );
        assert_eq!(
            bench.answer(token, &two, &status(488)).errors().len(),
            1,
            "it does not change again"
        );
        assert_eq!(
            methods(&bench.write("m3", "three")),
            ["MESSAGE"],
            "it is remembered"
        );
    }
    let mut bench = Bench::new();
    let alone = |id, body| chat(JULIET, "alice@partner.example", id, body);
    let mut seen = bench.stanza(alone("m1", "one"));
    assert_eq!(methods(&seen), ["MESSAGE"]);
    let (token, message, _) = seen.requests.remove(0);
    let mut seen = bench.answer(token, &message, &status(405));
    assert_eq!(methods(&seen), ["INVITE"]);
    let (token, invite, _) = seen.requests.remove(0);
    let seen = bench.answer(token, &invite, &OK);
    assert_eq!(bodies(&seen), ["one"]);
}

#[test]
fn a_session_that_the_other_end_has_lost_is_begun_again_with_what_waits_in_order() {
    for code in [408, 480, 481] {
        let mut bench = Bench::new();
        let (token, message) = bench.session();
        bench.write("m2", "two");
        let mut seen = bench.answer(token, &message, &status(code));
        assert_eq!(methods(&seen), ["INVITE"], "{code}");
        let (token, invite, _) = seen.requests.remove(0);
        assert_ne!(invite.headers().call_id(), message.headers().call_id());
        let mut seen = bench.answer(token, &invite, &OK);
        assert_eq!(bodies(&seen), ["hello"]);
        let (token, again, _) = seen.requests.remove(1);
        let seen = bench.answer(token, &again, &status(200));
        assert_eq!(
            (bodies(&seen), seen.outcomes),
            (vec!["two".to_owned()], vec![Outcome::Delivered])
        );
    }
    let mut bench = Bench::new();
    let (token, message) = bench.session();
    let (token, invite, _) = bench.answer(token, &message, &status(481)).requests.remove(0);
    let (_, again, _) = {
        let mut seen = bench.answer(token, &invite, &OK);
        let last = seen.requests.remove(1);
        let errors = bench.answer(last.0, &last.1, &status(481)).errors();
        assert_eq!(errors.len(), 1, "not for ever");
        last
    };
    assert_eq!(again.body().as_ref(), b"hello");
}

#[test]
fn an_invitation_that_nobody_answers_is_called_back_and_its_texts_are_told() {
    let mut bench = Bench::new();
    let mut seen = bench.write("m1", "one");
    let (token, invite, _) = seen.requests.remove(0);
    assert!(bench.pass(60).is_empty(), "a user may be asked first");
    let seen = bench.pass(31);
    assert_eq!(seen.recalled, [token]);
    assert_eq!(seen.errors().len(), 1);
    let seen = bench.answer(token, &invite, &OK);
    assert_eq!(methods(&seen), ["ACK", "BYE"], "too late");
    assert_eq!(bench.gateway.conversations().1, 0);
}

#[test]
fn of_several_devices_that_accept_the_first_is_kept() {
    let mut bench = Bench::new();
    let (token, invite, _) = bench.write("m1", "one").requests.remove(0);
    bench.answer(token, &invite, &OK);
    let other = Answer { tag: "b2", ..OK };
    let seen = bench.answer(token, &invite, &other);
    assert_eq!(methods(&seen), ["ACK", "BYE"]);
    assert_eq!(seen.requests[1].1.headers().to().tag(), Some("b2"));
    assert_eq!(bench.gateway.conversations(), (1, 1));
}

#[test]
fn a_receipt_is_given_for_a_text_that_was_taken_and_for_none_that_is_kept_or_refused() {
    for (code, receipts) in [(200, 1), (202, 0), (486, 0)] {
        let mut bench = Bench::new();
        let asking =
            chat(JULIET, ROMEO, "m1", "hello").with_child(Element::new("request", "urn:xmpp:receipts"));
        let (token, invite, _) = bench.stanza(asking).requests.remove(0);
        let (token, message, _) = bench.answer(token, &invite, &OK).requests.remove(1);
        let seen = bench.answer(token, &message, &status(code));
        let told: Vec<_> = seen
            .sent
            .iter()
            .filter_map(|letter| letter.stanza.child("received", "urn:xmpp:receipts"))
            .map(|received| received.attribute("id").unwrap_or_default())
            .collect();
        assert_eq!(told, vec!["m1"; receipts], "{code}");
        if let Some(letter) = seen.sent.first().filter(|_| receipts > 0) {
            assert_eq!(
                (letter.stanza.from(), letter.stanza.to()),
                (&jid(ROMEO), &jid(JULIET))
            );
        }
    }
}

const FROM_ROMEO: &str = "sip:romeo@ms.example";
const TO_JULIET: &str = "sip:juliet@corp.example";
const CONTACT: &str = "Contact: <sip:romeo@192.0.2.9;transport=tls>\r\nMax-Forwards: 70\r\n";

fn invite(more: &str) -> Request {
    let more = format!("{CONTACT}{more}Content-Type: application/sdp\r\n");
    request("INVITE", FROM_ROMEO, TO_JULIET, &more, SDP)
}

/// A request of Romeo's in the session that `accepted` made.
fn within(accepted: &Response, method: &str, number: u32, more: &str, body: &str) -> Request {
    let headers = accepted.headers();
    let target = headers.contact().addresses()[0].uri().to_string();
    let text = format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.9;branch=z9hG4bK{method}{number}\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        headers.from(),
        headers.to(),
        headers.call_id().as_str(),
        body.len()
    );
    match sip::parse::message(text.as_bytes(), &SipLimits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{text}\nis no request: {other:?}"),
    }
}

const PLAIN: &str = "Content-Type: text/plain\r\n";

impl Bench {
    /// Romeo has begun a session: gives what it was accepted with.
    fn invited(&mut self) -> Box<Response> {
        let (accepted, _) = self.request(invite(""));
        let accepted = accepted.unwrap();
        assert_eq!(accepted.status().code(), 200, "{}", octets(&accepted));
        let (none, seen) = self.request(within(&accepted, "ACK", 1, "", ""));
        assert!(none.is_none() && seen.is_empty());
        accepted
    }
}

#[test]
fn a_session_is_accepted_for_the_xmpp_user_and_carries_both_ways() {
    let mut bench = Bench::new();
    let accepted = bench.invited();
    assert!(sip::sdp::Sdp::parse(accepted.body()).unwrap().is_of_messages());
    assert_eq!(
        accepted.headers().contact().addresses()[0].uri().to_string(),
        "sip:juliet@edge.corp.example;transport=tls"
    );
    let (none, seen) = bench.request(within(&accepted, "MESSAGE", 2, PLAIN, "hello"));
    assert!(none.is_none(), "it waits for what becomes of it");
    assert_eq!(texts(&seen), ["hello"]);
    let stanza = &seen.sent[0].stanza;
    assert_eq!(stanza.kind(), Kind::Message(MessageType::Chat));
    assert_eq!(
        (stanza.from(), stanza.to()),
        (&jid(ROMEO), &jid("juliet@corp.example"))
    );
    let pong = seen.pings[0].stanza.result_reply(None).unwrap();
    let seen = bench.handle(Input::Answer(Box::new(pong)));
    assert_eq!(seen.statuses(), [(3, 200)]);

    let seen = bench.write("m1", "and you");
    assert_eq!(methods(&seen), ["MESSAGE"], "in the session that is there");
    assert_eq!(
        seen.requests[0].1.headers().call_id(),
        accepted.headers().call_id()
    );

    let (_, seen) = bench.request(within(&accepted, "MESSAGE", 3, PLAIN, "well"));
    assert_eq!(
        seen.sent[0].stanza.to(),
        &jid(JULIET),
        "to the device that she answered from"
    );
    let (bye, seen) = bench.request(within(&accepted, "BYE", 4, "", ""));
    assert_eq!(bye.unwrap().status().code(), 200);
    assert!(
        seen.sent[0]
            .stanza
            .child("gone", "http://jabber.org/protocol/chatstates")
            .is_some()
    );
    let (late, _) = bench.request(within(&accepted, "MESSAGE", 5, PLAIN, "more"));
    assert_eq!(late.unwrap().status().code(), 481);
}

#[test]
fn a_text_in_the_invitation_is_delivered_once_and_its_fate_is_the_answer() {
    let first = "ms-text-format: text/plain; charset=UTF-8;ms-body=aGVsbG8=\r\n";
    let mut bench = Bench::new();
    let (none, seen) = bench.request(invite(first));
    assert!(none.is_none());
    assert_eq!(texts(&seen), ["hello"]);
    let pong = seen.pings[0].stanza.result_reply(None).unwrap();
    let mut seen = bench.handle(Input::Answer(Box::new(pong)));
    let (_, accepted) = seen.responses.remove(0);
    assert_eq!(accepted.status().code(), 200);
    assert!(
        accepted
            .headers()
            .list("Supported")
            .any(|tag| tag == "ms-text-format")
    );
    bench.request(within(&accepted, "ACK", 1, "", ""));
    let (again, seen) = bench.request(within(&accepted, "MESSAGE", 2, PLAIN, "hello"));
    assert_eq!(again.unwrap().status().code(), 200);
    assert!(seen.sent.is_empty(), "it was delivered already");
    let (_, seen) = bench.request(within(&accepted, "MESSAGE", 3, PLAIN, "hello"));
    assert_eq!(texts(&seen), ["hello"], "but may be said again");

    let mut bench = Bench::new();
    let (_, seen) = bench.request(invite(first));
    let mut error = seen.sent[0]
        .stanza
        .error_reply(&StanzaError::new(Condition::ItemNotFound))
        .unwrap();
    error.set_from(jid("juliet@corp.example"));
    let seen = bench.handle(Input::Answer(Box::new(error)));
    assert_eq!(seen.statuses(), [(1, 604)]);
    assert_eq!(bench.gateway.conversations().1, 0);
}

#[test]
fn what_is_no_conversation_of_two_is_refused_with_a_reason() {
    let audio = SDP.replace("m=message 5060 sip null", "m=audio 4000 RTP/AVP 0");
    let more = format!("{CONTACT}Content-Type: application/sdp\r\n");
    let call = request("INVITE", FROM_ROMEO, TO_JULIET, &more, &audio);
    let of = |kind: &str| {
        let more = format!("{CONTACT}Content-Type: {kind}\r\n");
        request("INVITE", FROM_ROMEO, TO_JULIET, &more, "x")
    };
    for (request, code) in [
        (call, 488),
        (invite("EndPoints: <sip:a@x>, <sip:b@x>, <sip:c@x>\r\n"), 488),
        (invite("TriggeredInvite: TRUE\r\n"), 488),
        (invite("Require: com.microsoft.rtc-multiparty\r\n"), 488),
        (of("application/ms-conf-invite+xml"), 488),
        (of("text/x-msmsgsinvite"), 603),
        (of("application/ms-filetransfer+xml"), 603),
    ] {
        let mut bench = Bench::new();
        let (response, seen) = bench.request(request);
        let response = response.unwrap();
        assert_eq!(response.status().code(), code, "{}", octets(&response));
        assert!(
            response.reason().contains("with this contact") || response.reason().contains("to this contact")
        );
        assert!(seen.is_empty() && bench.gateway.conversations() == (0, 0));
    }
}

#[test]
fn a_session_that_nobody_acknowledges_or_uses_ends() {
    let mut bench = Bench::new();
    let (accepted, _) = bench.request(invite(""));
    assert!(accepted.is_some());
    assert!(bench.pass(31).is_empty());
    assert_eq!(methods(&bench.pass(1)), ["BYE"]);

    let mut bench = Bench::new();
    bench.invited();
    let active = stanza(Kind::Message(MessageType::Chat), JULIET, ROMEO);
    bench.stanza(active.with_child(Element::new("active", STATES)));
    assert!(bench.pass(599).is_empty());
    let seen = bench.pass(2);
    assert_eq!(methods(&seen), ["BYE"]);
    assert!(
        seen.sent[0]
            .stanza
            .child("gone", "http://jabber.org/protocol/chatstates")
            .is_some()
    );
    assert_eq!(bench.gateway.conversations(), (0, 0));
    assert_eq!(bench.gateway.timeout(), None);
}

#[test]
fn typing_is_told_while_there_is_a_session_and_never_begins_one() {
    let state = |name: &str| {
        stanza(Kind::Message(MessageType::Chat), JULIET, ROMEO)
            .with_child(Element::new(name, "http://jabber.org/protocol/chatstates"))
    };
    let mut bench = Bench::new();
    assert!(bench.stanza(state("composing")).is_empty());
    let accepted = bench.invited();
    let seen = bench.stanza(state("composing"));
    assert_eq!(methods(&seen), ["INFO"]);
    assert!(String::from_utf8_lossy(seen.requests[0].1.body()).contains("status=\"type\""));
    assert!(bench.stanza(state("composing")).is_empty(), "not again so soon");
    let seen = bench.stanza(state("paused"));
    assert!(String::from_utf8_lossy(seen.requests[0].1.body()).contains("status=\"idle\""));

    let typing = |number, status: &str| {
        let body = format!("<KeyboardActivity><status status=\"{status}\"/></KeyboardActivity>");
        within(
            &accepted,
            "INFO",
            number,
            "Content-Type: application/xml\r\n",
            &body,
        )
    };
    let (ok, seen) = bench.request(typing(2, "type"));
    assert_eq!(ok.unwrap().status().code(), 200);
    let shown = |seen: &Seen, name: &str| {
        seen.sent.iter().any(|letter| {
            letter
                .stanza
                .child(name, "http://jabber.org/protocol/chatstates")
                .is_some()
        })
    };
    assert!(shown(&seen, "composing"));
    let (_, seen) = bench.request(typing(3, "type"));
    assert!(seen.is_empty(), "it is known");
    let seen = bench.pass(121);
    assert!(shown(&seen, "active"), "who says nothing more has stopped");
    let seen = bench.stanza(state("gone"));
    assert_eq!(methods(&seen), ["BYE"]);
}

#[test]
fn what_to_says_of_a_session_opens_no_way_around_policy() {
    let mut bench = Bench::new();
    let accepted = bench.invited();
    let mut elsewhere = within(&accepted, "MESSAGE", 2, PLAIN, "hello");
    elsewhere.set_uri(sip::Uri::parse("sip:other@corp.example").unwrap());
    let (refused, seen) = bench.request(elsewhere);
    assert_eq!(refused.unwrap().status().code(), 481);
    assert!(seen.is_empty(), "policy was asked about another");
}

#[test]
fn an_offer_of_ours_is_answered_in_the_ack_and_a_session_may_be_offered_again() {
    let mut bench = Bench::new();
    let offerless = request("INVITE", FROM_ROMEO, TO_JULIET, CONTACT, "");
    let (accepted, _) = bench.request(offerless);
    let accepted = accepted.unwrap();
    assert!(sip::sdp::Sdp::parse(accepted.body()).unwrap().is_of_messages());
    let described = "Content-Type: application/sdp\r\n";
    let (none, _) = bench.request(within(&accepted, "ACK", 1, described, SDP));
    assert!(none.is_none());
    assert_eq!(methods(&bench.write("m1", "hello")), ["MESSAGE"], "it is open");
    let update = within(&accepted, "UPDATE", 2, &format!("{CONTACT_ONLY}{described}"), SDP);
    let (answered, _) = bench.request(update);
    let answered = answered.unwrap();
    assert_eq!(answered.status().code(), 200, "{}", octets(&answered));
    assert!(sip::sdp::Sdp::parse(answered.body()).unwrap().is_of_messages());
}

const CONTACT_ONLY: &str = "Contact: <sip:romeo@192.0.2.9;transport=tls>\r\n";

#[test]
fn a_session_in_which_nothing_is_answered_is_given_up() {
    let mut bench = Bench::new();
    let (token, _) = bench.session();
    bench.write("m2", "two");
    let trouble = Trouble::Timeout;
    let seen = bench.handle(Input::Returned { token, trouble });
    assert_eq!(seen.errors().len(), 1, "nobody knows whether it arrived");
    assert_eq!(methods(&seen), ["BYE", "INVITE"], "the next begins another");
}

#[test]
fn only_the_first_text_may_be_that_of_the_invitation() {
    let first = "ms-text-format: text/plain; charset=UTF-8;ms-body=aGVsbG8=\r\n";
    let mut bench = Bench::new();
    let (_, seen) = bench.request(invite(first));
    let pong = seen.pings[0].stanza.result_reply(None).unwrap();
    let (_, accepted) = bench.handle(Input::Answer(Box::new(pong))).responses.remove(0);
    bench.request(within(&accepted, "ACK", 1, "", ""));
    let (_, seen) = bench.request(within(&accepted, "MESSAGE", 2, PLAIN, "and you?"));
    assert_eq!(texts(&seen), ["and you?"]);
    let (_, seen) = bench.request(within(&accepted, "MESSAGE", 3, PLAIN, "hello"));
    assert_eq!(texts(&seen), ["hello"]);
}

#[test]
fn texts_that_were_refused_together_for_how_they_came_go_in_a_session_in_their_order() {
    let mut bench = Bench::new();
    let alone = |id, body| chat(JULIET, "alice@partner.example", id, body);
    let (first, one, _) = bench.stanza(alone("m1", "one")).requests.remove(0);
    let (second, two, _) = bench.stanza(alone("m2", "two")).requests.remove(0);
    let mut seen = bench.answer(first, &one, &status(405));
    let (token, invite, _) = seen.requests.remove(0);
    assert!(bench.stanza(alone("m3", "three")).is_empty());
    assert!(bench.answer(second, &two, &status(405)).is_empty());
    let mut seen = bench.answer(token, &invite, &OK);
    for body in ["one", "two", "three"] {
        let (token, message, _) = seen.requests.pop().unwrap();
        assert_eq!(message.body().as_ref(), body.as_bytes());
        seen = bench.answer(token, &message, &status(200));
    }
}

#[test]
fn what_waits_for_a_session_that_nobody_acknowledged_begins_another() {
    let mut bench = Bench::new();
    let (accepted, _) = bench.request(invite(""));
    assert!(accepted.is_some());
    assert!(bench.write("m1", "hello").is_empty(), "it waits for the ACK");
    assert_eq!(methods(&bench.pass(32)), ["BYE", "INVITE"]);
}

#[test]
fn who_leaves_while_the_other_begins_misses_nothing() {
    let first = "ms-text-format: text/plain; charset=UTF-8;ms-body=aGVsbG8=\r\n";
    let mut bench = Bench::new();
    let (_, seen) = bench.request(invite(first));
    let gone = stanza(Kind::Message(MessageType::Chat), JULIET, ROMEO)
        .with_child(Element::new("gone", "http://jabber.org/protocol/chatstates"));
    assert!(bench.stanza(gone).is_empty());
    let pong = seen.pings[0].stanza.result_reply(None).unwrap();
    let seen = bench.handle(Input::Answer(Box::new(pong)));
    assert_eq!(seen.statuses(), [(1, 200)]);
}

#[test]
fn one_domain_takes_no_more_than_its_share_of_what_is_remembered() {
    let limits = GatewayLimits {
        conversations: 8,
        ..GatewayLimits::default()
    };
    let mut bench = Bench::new();
    bench.gateway = Gateway::new(0, limits, &speaker(7, UNDELIVERABLE));
    let from = |domain: &str, number: u32| {
        let more = format!("{CONTACT}Content-Type: application/sdp\r\n");
        request(
            "INVITE",
            &format!("sip:u{number}@{domain}"),
            TO_JULIET,
            &more,
            SDP,
        )
    };
    let mut statuses = Vec::new();
    for number in 0..6 {
        statuses.push(
            bench
                .request(from("ms.example", number))
                .0
                .unwrap()
                .status()
                .code(),
        );
    }
    assert_eq!(statuses, [200, 200, 503, 503, 503, 503]);
    assert_eq!(
        bench
            .request(from("partner.example", 1))
            .0
            .unwrap()
            .status()
            .code(),
        200
    );
    // Of those that nobody uses the one that was quiet for longest makes room.
    for number in 0..8 {
        let user = format!("{number}@partner.example");
        assert_eq!(methods(&bench.stanza(chat(JULIET, &user, "m1", "x"))).len(), 1);
    }
    assert_eq!(bench.gateway.conversations().0, 8);
}

#[test]
fn who_has_written_is_answered_under_the_spelling_of_his_own_address_until_he_writes_another() {
    let mut bench = Bench::new();
    let alone = |from: &str| message(from, "sip:juliet@corp.example", "hello");
    for (from, device, expected) in [
        ("sip:Romeo.M@partner.example", "", "sip:Romeo.M@partner.example"),
        (
            "sip:Romeo.M@partner.example",
            "/b c",
            "sip:Romeo.M@partner.example;gr=b%20c",
        ),
        (
            "sip:ROMEO.M:pw@Partner.Example:5070;transport=tcp;gr=x",
            "",
            "sip:ROMEO.M@Partner.Example",
        ),
        ("sip:romeo.m@partner.example", "", "sip:romeo.m@partner.example"),
        (
            "sip:romeo%2Em@partner.example",
            "",
            "sip:romeo%2Em@partner.example",
        ),
    ] {
        let (_, seen) = bench.request(alone(from));
        assert_eq!(seen.sent.len(), 1, "{from}");
        let to = format!("romeo.m@partner.example{device}");
        let seen = bench.stanza(chat(JULIET, &to, "m1", "hello"));
        let (_, request, _) = &seen.requests[0];
        assert_eq!(request.uri().to_string(), expected);
        assert_eq!(request.headers().to().uri(), request.uri());
        // It is between these two.
        let seen = bench.stanza(chat("nurse@corp.example/x", &to, "m2", "hello"));
        assert_ne!(
            seen.requests[0].1.uri().to_string(),
            "sip:Romeo.M@partner.example"
        );
    }
    let phone = "sip:+4930123;phone-context=example.com@partner.example;user=phone";
    bench.request(alone(phone));
    let seen = bench.stanza(chat(JULIET, "+4930123@partner.example", "m3", "hello"));
    assert_eq!(seen.requests[0].1.uri().to_string(), phone);
}

#[test]
fn whoever_writes_from_many_addresses_pushes_out_no_other_domains_spelling() {
    let limits = GatewayLimits {
        conversations: 8,
        ..GatewayLimits::default()
    };
    let mut bench = Bench {
        gateway: Gateway::new(0, limits, &speaker(7, UNDELIVERABLE)),
        ..Bench::new()
    };
    let hears = |bench: &mut Bench, from: &str| {
        let (_, seen) = bench.request(message(from, "sip:juliet@corp.example", "hello"));
        assert_eq!(seen.sent.len(), 1, "{from}");
    };
    let spelled = |bench: &mut Bench, to: &str| {
        let seen = bench.stanza(chat(JULIET, to, "m1", "hello"));
        seen.requests[0].1.uri().to_string()
    };
    hears(&mut bench, "sip:Romeo@ms.example");
    for number in 0..20 {
        hears(&mut bench, &format!("sip:U{number}@partner.example"));
    }
    assert_eq!(spelled(&mut bench, "romeo@ms.example"), "sip:Romeo@ms.example");
    for (number, expected) in [(19, "sip:U19@"), (18, "sip:U18@"), (17, "sip:u17@")] {
        let user = format!("u{number}@partner.example");
        let uri = spelled(&mut bench, &user);
        assert!(uri.starts_with(expected), "{uri}");
    }
}

#[test]
fn a_text_that_fits_the_usual_address_only_goes_to_that() {
    let partner = "+4930123@partner.example";
    let phone = "sip:+4930123;phone-context=example.com@partner.example;user=phone";
    let mut bench = Bench::new();
    let longest = (0..1_300)
        .rev()
        .map(|length| "x".repeat(length))
        .find(|text| {
            let stanza = chat(JULIET, partner, "m1", text);
            let admitted = bench.border.admit_stanza(Side::Inside, stanza, today(), &[7; 32]);
            admitted.is_ok()
        })
        .unwrap();
    bench.request(message(phone, "sip:juliet@corp.example", "hello"));
    for (text, is_spelled) in [(&*longest, false), ("short", true)] {
        let seen = bench.stanza(chat(JULIET, partner, "m1", text));
        let request = &seen.requests[0].1;
        assert_eq!(request.uri().to_string() == phone, is_spelled);
        assert_eq!(request.headers().to().uri(), request.uri());
        assert!(crate::interwork::message::octets(request) <= 1_300);
    }
}

#[test]
fn a_conversation_is_not_over_while_either_writes() {
    let mut bench = Bench::new();
    let partner = "romeo@partner.example";
    let addressee = |bench: &mut Bench| {
        let said = message(&format!("sip:{partner}"), "sip:juliet@corp.example", "hello");
        let (_, seen) = bench.request(said);
        seen.sent[0].stanza.to().to_string()
    };
    bench.stanza(chat(JULIET, partner, "m1", "hello"));
    for _ in 0..3 {
        bench.pass(400);
        assert_eq!(addressee(&mut bench), JULIET);
    }
    bench.pass(601);
    assert_eq!(addressee(&mut bench), "juliet@corp.example");
}

#[test]
fn what_conversations_hold_is_bounded_by_its_octets_too() {
    let limits = GatewayLimits {
        // A quarter is for one domain.
        conversation_bytes: 400_000,
        ..GatewayLimits::default()
    };
    let mut bench = Bench::new();
    bench.gateway = Gateway::new(0, limits, &speaker(7, UNDELIVERABLE));
    let long = "x".repeat(10_000);
    let from = |number: u32| {
        let more = format!(
            "{CONTACT}Record-Route: <sip:edge.ms.example;lr;x={long}>\r\nContent-Type: application/sdp\r\n"
        );
        let user = format!("sip:u{number}@ms.example");
        request("INVITE", &user, TO_JULIET, &more, SDP)
    };
    let mut statuses = Vec::new();
    let mut first = None;
    for number in 0..8 {
        let (response, _) = bench.request(from(number));
        let response = response.unwrap();
        statuses.push(response.status().code());
        first.get_or_insert(response);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 503, 503, 503]);
    let seen = bench.stanza(chat(JULIET, "u0@ms.example", "m1", "hello"));
    assert!(seen.is_empty(), "in the session that waits for its ACK: {seen:?}");
    // Our own users have what others leave.
    assert_eq!(methods(&bench.write("m2", "hello")), ["INVITE"]);
    // Others are not held to account for it.
    let more = format!("{CONTACT}Content-Type: application/sdp\r\n");
    let other = request("INVITE", "sip:alice@partner.example", TO_JULIET, &more, SDP);
    assert_eq!(bench.request(other).0.unwrap().status().code(), 200);
    // What ends leaves room.
    let first = first.unwrap();
    bench.request(within(&first, "ACK", 1, "", ""));
    let (bye, _) = bench.request(within(&first, "BYE", 2, "", ""));
    assert_eq!(bye.unwrap().status().code(), 200);
    assert_eq!(bench.request(from(9)).0.unwrap().status().code(), 200);
}

#[test]
fn invitations_that_cross_are_one_conversation_in_which_each_text_goes_once() {
    let mut bench = Bench::new();
    let (token, ours, _) = bench.write("m1", "hello").requests.remove(0);
    let (accepted, seen) = bench.request(invite(""));
    assert_eq!(accepted.as_ref().unwrap().status().code(), 200);
    assert!(seen.is_empty());
    let accepted = accepted.unwrap();
    let (_, mut seen) = bench.request(within(&accepted, "ACK", 1, "", ""));
    assert_eq!(bodies(&seen), ["hello"], "in the session that is there first");
    let (text, hello, _) = seen.requests.remove(0);
    let seen = bench.answer(token, &ours, &OK);
    assert_eq!(methods(&seen), ["ACK"], "and not again");
    assert_eq!(bench.gateway.conversations(), (1, 2));
    assert_eq!(
        bench.answer(text, &hello, &status(200)).outcomes,
        [Outcome::Delivered]
    );
    let (_, seen) = bench.request(within(&accepted, "MESSAGE", 2, PLAIN, "and you"));
    assert_eq!(texts(&seen), ["and you"]);
    assert_eq!(seen.sent[0].stanza.to(), &jid(JULIET));
    // One of them may end without the other.
    let (bye, seen) = bench.request(within(&accepted, "BYE", 3, "", ""));
    assert_eq!((bye.unwrap().status().code(), seen.sent.len()), (200, 0));
    assert_eq!(bodies(&bench.write("m2", "still here")), ["still here"]);
}

#[test]
fn without_room_for_a_session_texts_go_alone_or_are_told() {
    let limits = GatewayLimits {
        conversation_bytes: 1,
        ..GatewayLimits::default()
    };
    let mut bench = Bench::new();
    bench.gateway = Gateway::new(0, limits, &speaker(7, UNDELIVERABLE));
    assert_eq!(
        bench.write("m1", "hello").errors().len(),
        1,
        "what it waited for cannot begin"
    );
    let seen = bench.stanza(chat(JULIET, "u1@ms.example", "m2", "hello"));
    assert_eq!(methods(&seen), ["MESSAGE"]);
}
