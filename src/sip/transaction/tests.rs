//! What the tests of the machines share, and the tests of the base times.

#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use std::time::{Duration, Instant};

use super::*;
use crate::limits::SipLimits;
use crate::sip::{Message, Request, Response, StatusCode, parse};

/// A clock that stands until it is moved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    #[allow(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// The instant so many milliseconds after the start.
    pub(super) fn at(self, milliseconds: u64) -> Instant {
        self.0 + Duration::from_millis(milliseconds)
    }

    /// How many milliseconds after the start an instant is.
    pub(super) fn of(self, instant: Instant) -> u64 {
        u64::try_from(instant.duration_since(self.0).as_millis()).unwrap()
    }
}

pub(super) const INVITE: &str = "INVITE sip:ben@example.org SIP/2.0\r\n\
    Via: SIP/2.0/UDP a.example.com:5060;branch=z9hG4bKinvite1\r\n\
    Via: SIP/2.0/UDP b.example.com;branch=z9hG4bKinner\r\n\
    Max-Forwards: 70\r\n\
    Route: <sip:edge.example.org;lr>, <sip:inner.example.org;lr>\r\n\
    To: <sip:ben@example.org>\r\n\
    From: <sip:ada@example.com>;tag=a1\r\n\
    Call-ID: call-1@example.com\r\n\
    CSeq: 7 INVITE\r\n\
    Contact: <sip:ada@a.example.com>\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 5\r\n\r\nhello";

pub(super) const MESSAGE: &str = "MESSAGE sip:ben@example.org SIP/2.0\r\n\
    Via: SIP/2.0/UDP a.example.com:5060;branch=z9hG4bKmessage1\r\n\
    Max-Forwards: 70\r\n\
    To: <sip:ben@example.org>\r\n\
    From: <sip:ada@example.com>;tag=a1\r\n\
    Call-ID: message-1@example.com\r\n\
    CSeq: 1 MESSAGE\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 5\r\n\r\nhello";

pub(super) fn message(text: &str) -> Message {
    parse::message(text.as_bytes(), &SipLimits::default()).unwrap()
}

pub(super) fn request(text: &str) -> Request {
    match message(text) {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response: {text}"),
    }
}

pub(super) fn received(octets: &[u8]) -> Message {
    parse::message(octets, &SipLimits::default()).unwrap()
}

pub(super) fn answer(request: &Request, code: u16) -> Response {
    let status = StatusCode::new(code).unwrap();
    let tag = (code > 100).then_some("b1");
    request.response(status, status.reason(), tag)
}

/// One word for each output, so that a test reads as a line of the figure.
pub(super) fn words<M>(outputs: Vec<Output<M>>, word: impl Fn(&M) -> String) -> String {
    let words: Vec<String> = outputs
        .into_iter()
        .map(|output| match output {
            Output::Transmit(octets) => {
                let text = std::str::from_utf8(&octets).unwrap();
                let words: Vec<&str> = text.split(' ').collect();
                let what = if words[0] == "SIP/2.0" { words[1] } else { words[0] };
                format!("send {what}")
            }
            Output::Deliver(message) => format!("deliver {}", word(&message)),
            Output::Failed(failure) => format!("failed {failure:?}").to_lowercase(),
            Output::Terminated => "terminated".to_owned(),
        })
        .collect();
    words.join(", ")
}

#[test]
fn quiet_time_before_a_100_is_the_time_to_the_first_timer_e_of_t2() {
    let s = Duration::from_secs;
    assert_eq!(Timers::default().quiet(), Duration::from_millis(3_500));
    assert_eq!(Timers::new(s(1), s(4), s(5)).quiet(), s(3));
    assert_eq!(Timers::new(s(4), s(4), s(5)).quiet(), s(4));
    assert_eq!(Timers::default().give_up(), s(32));
}

#[test]
fn base_times_of_zero_still_let_time_pass() {
    let timers = Timers::new(Duration::ZERO, Duration::ZERO, Duration::ZERO);
    assert!(timers.next_interval(timers.t1) >= SHORTEST);
    assert!(timers.give_up() >= SHORTEST);
}
