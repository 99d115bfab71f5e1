//! RFC 3261 §17 with RFC 6026 and RFC 4320: transactions as their user and the wire see them. Each test writes down, in
//! milliseconds, what a table of transactions sends and tells.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: what cannot be read fails the test"
)]

use std::time::{Duration, Instant};

use vestibule::limits::SipLimits;
use vestibule::refusal::Refuse as _;
use vestibule::sip::transaction::{
    Event, Failure, Flow, Received, Register, Reliability, Responded, Timers, TransactionId, Transactions,
};
use vestibule::sip::{Message, Request, StatusCode, Via, parse};

const UDP: Flow = Flow {
    id: 1,
    reliability: Reliability::Unreliable,
};
const TCP: Flow = Flow {
    id: 2,
    reliability: Reliability::Reliable,
};

/// A table, and the time since it was made.
struct Table {
    start: Instant,
    transactions: Transactions,
    /// The last message sent.
    sent: Option<Message>,
    /// The last request that came up.
    asked: Option<(TransactionId, Request)>,
}

impl Table {
    #[allow(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn new() -> Self {
        Self {
            start: Instant::now(),
            transactions: Transactions::new(&SipLimits::default(), Timers::default(), Register::new()),
            sent: None,
            asked: None,
        }
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.start + Duration::from_millis(milliseconds)
    }

    fn request(&mut self, at: u64, flow: Flow, method: &str) -> String {
        let now = self.at(at);
        let Message::Request(request) = message(method) else {
            panic!("a response");
        };
        self.transactions.request(now, flow, &request).unwrap();
        self.said()
    }

    fn receive(&mut self, at: u64, flow: Flow, message: Message) -> (Received, String) {
        let received = self.transactions.receive(self.at(at), flow, message);
        (received, self.said())
    }

    /// The peer answers what was sent last.
    fn answered(&mut self, at: u64, flow: Flow, code: u16) -> String {
        let Some(Message::Request(request)) = self.sent.clone() else {
            panic!("no request was sent");
        };
        let status = StatusCode::new(code).unwrap();
        let response = request.response(status, "", Some("b1"));
        self.receive(at, flow, response.into()).1
    }

    /// The user answers the request that came up last.
    fn respond(&mut self, at: u64, code: u16) -> (Responded, String) {
        let (transaction, request) = self.asked.clone().unwrap();
        let response = request.response(StatusCode::new(code).unwrap(), "", Some("b1"));
        let responded = self.transactions.respond(self.at(at), transaction, &response);
        (responded, self.said())
    }

    /// What is sent and told by itself up to `until`.
    fn wait(&mut self, until: u64) -> String {
        let mut told = Vec::new();
        while let Some(at) = self.transactions.timeout().filter(|at| *at <= self.at(until)) {
            self.transactions.tick(at);
            let since = at.duration_since(self.start).as_millis();
            told.push(format!("{since} {}", self.said()));
        }
        told.join("; ")
    }

    fn said(&mut self) -> String {
        let mut words = Vec::new();
        while let Some(event) = self.transactions.poll() {
            words.push(match event {
                Event::Transmit { octets, .. } => {
                    let message = parse::message(&octets, &SipLimits::default()).unwrap();
                    let word = match &message {
                        Message::Request(request) => request.method().to_string(),
                        Message::Response(response) => response.status().to_string(),
                    };
                    self.sent = Some(message);
                    format!("> {word}")
                }
                Event::Request {
                    transaction, request, ..
                } => {
                    let word = format!("asked {}", request.method());
                    self.asked = Some((transaction, *request));
                    word
                }
                Event::Acknowledged { .. } => "acknowledged".to_owned(),
                Event::Response { response, .. } => format!("told {}", response.status()),
                Event::Failed { failure, .. } => format!("failed {}", failure.sip_status()),
                Event::Terminated { .. } => "end".to_owned(),
            });
        }
        words.join(", ")
    }
}

fn message(method: &str) -> Message {
    let text = format!(
        "{method} sip:ben@example.org SIP/2.0\r\n\
         Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK17\r\n\
         Via: SIP/2.0/UDP b.example.com;branch=z9hG4bKbelow\r\n\
         Max-Forwards: 69\r\n\
         Route: <sip:edge.example.org;lr>\r\n\
         From: <sip:ada@example.com>;tag=a1\r\n\
         To: <sip:ben@example.org>\r\n\
         Call-ID: section17\r\n\
         CSeq: 17 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    read(&text)
}

fn read(text: &str) -> Message {
    parse::message(text.as_bytes(), &SipLimits::default()).unwrap()
}

#[test]
fn section_17_1_1_2_an_invite_is_repeated_at_doubling_intervals_until_timer_b() {
    let mut table = Table::new();
    assert_eq!(table.request(0, UDP, "INVITE"), "> INVITE");
    assert_eq!(
        table.wait(99_000),
        "500 > INVITE; 1500 > INVITE; 3500 > INVITE; 7500 > INVITE; 15500 > INVITE; 31500 > INVITE; \
         32000 failed 408, end"
    );
    let mut table = Table::new();
    table.request(0, TCP, "INVITE");
    assert_eq!(table.wait(99_000), "32000 failed 408, end");
}

#[test]
fn section_17_1_1_2_a_provisional_response_stops_the_repetitions() {
    let mut table = Table::new();
    table.request(0, UDP, "INVITE");
    assert_eq!(table.answered(10, UDP, 180), "told 180");
    assert_eq!(table.wait(60_000), "");
}

#[test]
fn section_17_1_1_3_a_refusal_is_acknowledged_as_often_as_it_comes() {
    let mut table = Table::new();
    table.request(0, UDP, "INVITE");
    let Some(Message::Request(invite)) = table.sent.clone() else {
        panic!("the INVITE");
    };
    assert_eq!(table.answered(10, UDP, 486), "> ACK, told 486");
    let Some(Message::Request(ack)) = table.sent.clone() else {
        panic!("the ACK");
    };
    let (of_ack, of_invite) = (ack.headers(), invite.headers());
    assert_eq!(ack.uri(), invite.uri());
    assert_eq!(of_ack.vias().collect::<Vec<_>>(), [of_invite.top_via()]);
    assert_eq!(of_ack.from(), of_invite.from());
    assert_eq!(of_ack.to().tag(), Some("b1"));
    assert_eq!(of_ack.call_id(), of_invite.call_id());
    assert_eq!(of_ack.cseq().to_string(), "17 ACK");
    assert_eq!(of_ack.route(), of_invite.route());

    let again = invite.response(StatusCode::BUSY_HERE, "", Some("b1"));
    assert_eq!(
        table.receive(500, UDP, again.into()),
        (Received::Matched, "> ACK".to_owned())
    );
    assert_eq!(table.wait(99_000), "32010 end");
}

#[test]
fn section_17_1_2_2_another_request_is_repeated_up_to_t2_until_timer_f() {
    let mut table = Table::new();
    assert_eq!(table.request(0, UDP, "MESSAGE"), "> MESSAGE");
    assert_eq!(
        table.wait(16_000),
        "500 > MESSAGE; 1500 > MESSAGE; 3500 > MESSAGE; 7500 > MESSAGE; 11500 > MESSAGE; 15500 > MESSAGE"
    );
    assert_eq!(table.answered(16_001, UDP, 200), "told 200");
    assert_eq!(table.answered(16_002, UDP, 200), "", "a repetition is absorbed");
    assert_eq!(table.wait(99_000), "21001 end");
    let mut table = Table::new();
    table.request(0, TCP, "MESSAGE");
    assert_eq!(table.answered(10, TCP, 200), "told 200, end");
}

#[test]
fn section_17_1_3_a_response_matches_by_branch_and_method() {
    let mut table = Table::new();
    table.request(0, UDP, "MESSAGE");
    let response = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a.example.com;branch=z9hG4bK17\r\n\
        From: <sip:ada@example.com>;tag=a1\r\nTo: <sip:ben@example.org>;tag=b1\r\nCall-ID: section17\r\n\
        CSeq: 17 MESSAGE\r\nContent-Length: 0\r\n\r\n";
    let stray = (Received::Stray, String::new());
    for other in [
        response.replace("z9hG4bK17", "z9hG4bK18"),
        response.replace("17 MESSAGE", "17 CANCEL"),
        response.replace(";branch=z9hG4bK17", ""),
    ] {
        assert_eq!(table.receive(1, UDP, read(&other)), stray, "{other}");
    }
    assert_eq!(table.receive(2, TCP, read(response)), stray, "on another flow");
    assert_eq!(table.receive(3, UDP, read(response)).1, "told 200");
}

#[test]
fn section_17_1_4_a_broken_flow_is_told_as_503() {
    let mut table = Table::new();
    table.request(0, TCP, "MESSAGE");
    table.transactions.flow_failed(table.at(5), TCP.id);
    assert_eq!(table.said(), "failed 503, end");
    assert_eq!(Failure::Transport.sip_status(), 503);
}

#[test]
fn section_17_2_1_an_invite_is_answered_100_and_its_refusal_is_repeated_until_the_ack() {
    let mut table = Table::new();
    assert_eq!(table.receive(0, UDP, message("INVITE")).1, "asked INVITE");
    assert_eq!(table.wait(1_000), "200 > 100");
    assert_eq!(table.receive(1_000, UDP, message("INVITE")).1, "> 100");
    assert_eq!(table.respond(2_000, 486), (Responded::Sent, "> 486".to_owned()));
    assert_eq!(table.wait(6_000), "2500 > 486; 3500 > 486; 5500 > 486");
    assert_eq!(
        table.receive(6_000, UDP, message("ACK")),
        (Received::Matched, String::new())
    );
    assert_eq!(table.wait(99_000), "11000 end");
}

#[test]
fn section_17_2_1_a_refusal_that_nobody_acknowledges_is_given_up_by_timer_h() {
    let mut table = Table::new();
    let _ = table.receive(0, TCP, message("INVITE"));
    assert_eq!(table.respond(0, 486).1, "> 486");
    assert_eq!(table.wait(99_000), "32000 failed 408, end");
}

#[test]
fn section_17_2_2_a_final_response_is_repeated_for_each_repetition_until_timer_j() {
    let mut table = Table::new();
    assert_eq!(table.receive(0, UDP, message("MESSAGE")).1, "asked MESSAGE");
    assert_eq!(
        table.receive(500, UDP, message("MESSAGE")),
        (Received::Matched, String::new())
    );
    assert_eq!(table.respond(600, 200), (Responded::Sent, "> 200".to_owned()));
    assert_eq!(table.receive(1_500, UDP, message("MESSAGE")).1, "> 200");
    assert_eq!(table.respond(1_600, 404), (Responded::TooLate, String::new()));
    assert_eq!(table.wait(99_000), "32600 end");
}

#[test]
fn section_17_2_3_a_request_matches_by_branch_sent_by_and_method() {
    let mut table = Table::new();
    let _ = table.receive(0, UDP, message("INVITE"));
    assert_eq!(table.receive(1, UDP, message("CANCEL")).1, "asked CANCEL");
    let mut other = message("INVITE");
    let via = other
        .headers()
        .top_via()
        .to_string()
        .replace("a.example", "c.example");
    other.headers_mut().replace_vias(Via::parse(&via).unwrap());
    assert_eq!(
        table.receive(2, UDP, other).1,
        "asked INVITE",
        "of another sender"
    );
    assert_eq!(table.receive(3, UDP, message("INVITE")).0, Received::Matched);
}

#[test]
fn rfc_6026_section_7_1_an_accepted_invite_stays_for_64_t1_and_hands_up_its_acks() {
    let mut table = Table::new();
    let _ = table.receive(0, TCP, message("INVITE"));
    assert_eq!(table.respond(10, 200).1, "> 200");
    assert_eq!(
        table.receive(20, TCP, message("INVITE")),
        (Received::Matched, String::new())
    );
    assert_eq!(table.receive(30, TCP, message("ACK")).1, "acknowledged");
    assert_eq!(table.wait(99_000), "32010 end");
}

#[test]
fn rfc_6026_section_7_2_every_2xx_to_an_invite_is_told() {
    let mut table = Table::new();
    table.request(0, TCP, "INVITE");
    assert_eq!(table.answered(10, TCP, 200), "told 200");
    assert_eq!(
        table.answered(20, TCP, 200),
        "told 200",
        "perhaps from another branch"
    );
    assert_eq!(table.wait(99_000), "32010 end");
}

#[test]
fn rfc_4320_section_4_another_request_than_invite_gets_a_100_late_and_a_408_never() {
    let mut table = Table::new();
    let _ = table.receive(0, UDP, message("MESSAGE"));
    let withheld = (Responded::Withheld, String::new());
    for code in [100, 180] {
        assert_eq!(table.respond(100, code), withheld, "{code}");
    }
    assert_eq!(table.wait(4_000), "3500 > 100");
    assert_eq!(table.respond(5_000, 408), withheld);
}
