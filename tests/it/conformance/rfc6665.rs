//! RFC 6665: subscribers and notifiers, second by second as their users and the wire see them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests: what cannot be read fails the test"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use vestibule::limits::SipLimits;
use vestibule::mime::MediaType;
use vestibule::sip::subscription::{
    Attempt, Authorisation, Content, Ending, Entity, NotAccepted, Notifier, NotifierInput, NotifierManner,
    NotifierOutput, NotifierTerms, Subscriber, SubscriberInput, SubscriberManner, SubscriberOutput,
    SubscriberTerms,
};
use vestibule::sip::transaction::{Failure, Timers};
use vestibule::sip::{
    CallId, Event, Message, NameAddr, Request, Response, StatusCode, Uri, Via, parse, write,
};

fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).unwrap()
}

fn via() -> Via {
    Via::parse("SIP/2.0/TLS edge.example;branch=z9hG4bK0").unwrap()
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
pub(super) fn start() -> Instant {
    Instant::now()
}

fn state_of(request: &Request) -> String {
    request.headers().subscription_state().unwrap().to_string()
}

fn again(request: &Request) -> Request {
    let mut octets = Vec::new();
    write::request(request, &mut octets);
    match parse::message(&octets, &SipLimits::default()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

// ---- the subscriber

pub(super) struct Watcher {
    start: Instant,
    pub(super) subscriber: Subscriber,
    /// How many identifiers were given.
    given: u32,
    /// The last SUBSCRIBE.
    pub(super) sent: Option<Request>,
    answers: Vec<Response>,
    notified: u32,
    /// Whether it goes on to be wanted when a refresh is due.
    is_wanted: bool,
    /// The SIP-ETag of notifications; nothing for none.
    pub(super) etag: String,
}

impl Watcher {
    fn new(expires: u64) -> Self {
        Self {
            start: start(),
            subscriber: Subscriber::new(Self::terms(expires)),
            given: 0,
            sent: None,
            answers: Vec::new(),
            notified: 1,
            is_wanted: true,
            etag: String::new(),
        }
    }

    pub(super) fn terms(expires: u64) -> SubscriberTerms {
        SubscriberTerms {
            via: Arc::new(via()),
            manner: Arc::new(SubscriberManner {
                event: Event::presence(),
                accept: [MediaType::parse("application/pidf+xml").unwrap()].into(),
                expires: Duration::from_secs(expires),
                timers: Timers::default(),
            }),
        }
    }

    pub(super) fn moment(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    pub(super) fn at(&mut self, seconds: u64, input: SubscriberInput) -> String {
        let now = self.moment(seconds);
        self.subscriber.handle(now, input);
        self.said(now)
    }

    fn said(&mut self, now: Instant) -> String {
        let mut words = Vec::new();
        while let Some(output) = self.subscriber.poll() {
            words.push(match output {
                SubscriberOutput::Wanted => {
                    self.given += 1;
                    self.notified = 1;
                    let attempt = Attempt {
                        target: Uri::parse("sip:bob@b.example").unwrap(),
                        from: address("<sip:ann@a.example>"),
                        to: address("<sip:bob@b.example>"),
                        contact: address("<sip:edge.example;transport=tls>"),
                        call_id: CallId::parse(&format!("c{}", self.given)).unwrap(),
                        tag: format!("t{}", self.given).into(),
                        random: 0,
                    };
                    self.subscriber
                        .handle(now, SubscriberInput::Subscribe(Box::new(attempt)));
                    continue;
                }
                SubscriberOutput::Send(request) => {
                    let request = again(&request);
                    let headers = request.headers();
                    let condition = headers.get("Suppress-If-Match");
                    let word = format!(
                        "> {} {} {}{}",
                        headers.call_id(),
                        headers.cseq().number(),
                        headers.expires().unwrap(),
                        condition.map_or_else(String::new, |tag| format!(" unless {tag}"))
                    );
                    self.sent = Some(request);
                    word
                }
                SubscriberOutput::Answer(response) => {
                    let word = response.status().to_string();
                    self.answers.push(*response);
                    word
                }
                SubscriberOutput::Pending => "pending".to_owned(),
                SubscriberOutput::Active(None) => "active".to_owned(),
                SubscriberOutput::Active(Some(content)) => {
                    format!("active {}", std::str::from_utf8(&content.body).unwrap())
                }
                SubscriberOutput::Due if self.is_wanted => {
                    self.subscriber.handle(now, SubscriberInput::Refresh);
                    "due".to_owned()
                }
                SubscriberOutput::Due => "due".to_owned(),
                SubscriberOutput::Lost(why) => format!("lost {why:?}"),
                SubscriberOutput::Over(why) => format!("over {why:?}"),
            });
        }
        words.join(", ")
    }

    /// What happens by itself up to then, with its seconds.
    pub(super) fn wait(&mut self, until: u64) -> String {
        let mut told = Vec::new();
        while let Some(at) = self.subscriber.timeout().filter(|at| *at <= self.moment(until)) {
            self.subscriber.handle(at, SubscriberInput::Timer);
            let said = self.said(at);
            if !said.is_empty() {
                told.push(format!("{} {said}", at.duration_since(self.start).as_secs()));
            }
        }
        told.join("; ")
    }

    pub(super) fn response(&self, code: u16, fields: &str) -> Response {
        let sent = self.sent.as_ref().unwrap();
        let mut response = sent
            .response(StatusCode::new(code).unwrap(), "", Some("b1"))
            .with_contact(address("<sip:bob@ua.b.example>"));
        for field in fields.split('|').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once(": ").unwrap();
            if name == "Expires" {
                response.headers_mut().set_expires(Some(value.parse().unwrap()));
            } else {
                response.headers_mut().push(name, value).unwrap();
            }
        }
        response
    }

    pub(super) fn answered(&mut self, seconds: u64, code: u16, fields: &str) -> String {
        let response = self.response(code, fields);
        self.at(seconds, SubscriberInput::Response(Box::new(response)))
    }

    pub(super) fn notify(&mut self, state: &str, body: &str) -> Request {
        self.notified += 1;
        let sent = self.sent.as_ref().unwrap().headers();
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/pidf+xml\r\n"
        };
        let etag = match &*self.etag {
            "" => String::new(),
            etag => format!("SIP-ETag: {etag}\r\n"),
        };
        let text = format!(
            "NOTIFY sip:edge.example SIP/2.0\r\nVia: SIP/2.0/TLS b.example;branch=z9hG4bK{n}\r\n\
             Record-Route: <sip:p.b.example;lr>\r\nFrom: <sip:bob@b.example>;tag=b1\r\nTo: {to}\r\nCall-ID: {id}\r\n\
             CSeq: {n} NOTIFY\r\nContact: <sip:bob@ua.b.example>\r\nEvent: presence\r\n\
             Subscription-State: {state}\r\n{etag}{kind}Content-Length: {length}\r\n\r\n{body}",
            n = self.notified,
            to = sent.from(),
            id = sent.call_id(),
            length = body.len(),
        );
        match parse::message(text.as_bytes(), &SipLimits::default()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        }
    }

    pub(super) fn notified(&mut self, seconds: u64, state: &str, body: &str) -> String {
        let notify = self.notify(state, body);
        self.at(seconds, SubscriberInput::Notify(Box::new(notify)))
    }

    /// One that stands since second 1.
    pub(super) fn active(expires: u64) -> Self {
        let mut this = Self::new(expires);
        assert_eq!(this.said(this.start), format!("> c1 1 {expires}"));
        assert_eq!(this.answered(0, 200, &format!("Expires: {expires}")), "");
        let state = format!("active;expires={expires}");
        assert_eq!(this.notified(1, &state, "open"), "200, active open");
        this
    }
}

#[test]
fn section_4_1_2_4_nothing_is_known_until_a_notification_comes() {
    let mut watcher = Watcher::new(3_600);
    assert_eq!(watcher.said(watcher.start), "> c1 1 3600");
    assert_eq!(watcher.answered(0, 100, ""), "");
    assert_eq!(watcher.answered(0, 202, "Expires: 600"), "");
    assert_eq!(watcher.notified(1, "pending;expires=600", ""), "200, pending");
    assert_eq!(
        watcher.notified(9, "active;expires=592", "open"),
        "200, active open"
    );
    // 80 percent of 592 s after second 9.
    assert_eq!(watcher.wait(481), "");
    assert_eq!(watcher.wait(483), "482 due, > c1 2 3600");
    assert_eq!(watcher.answered(483, 200, "Expires: 600"), "");
    assert_eq!(watcher.notified(483, "active", "open"), "200, active open");
    assert_eq!(
        watcher.sent.as_ref().unwrap().headers().route().len(),
        1,
        "of the NOTIFY"
    );
}

#[test]
fn section_4_1_2_4_a_notification_may_come_before_the_response() {
    let mut watcher = Watcher::new(3_600);
    let _ = watcher.said(watcher.start);
    assert_eq!(
        watcher.notified(1, "active;expires=100", "open"),
        "200, active open"
    );
    assert_eq!(watcher.answered(2, 200, "Expires: 3600"), "");
    assert_eq!(
        watcher.wait(80),
        "69 due, > c1 2 3600",
        "by what the notification said"
    );
}

#[test]
fn section_4_1_2_4_timer_n_ends_an_attempt_without_notification() {
    let mut watcher = Watcher::new(3_600);
    let _ = watcher.said(watcher.start);
    assert_eq!(watcher.answered(0, 200, "Expires: 3600"), "");
    assert_eq!(watcher.wait(40), "34 lost Failed(None); 35 > c2 1 3600");
    let mut late = watcher.notify("active", "open");
    assert_eq!(
        watcher.at(41, SubscriberInput::Notify(Box::new(late.clone()))),
        "200, active open"
    );
    late.headers_mut().to_mut().set_tag("t1");
    assert_eq!(
        watcher.at(41, SubscriberInput::Notify(Box::new(late))),
        "481",
        "of the first attempt"
    );
}

#[test]
fn section_4_1_2_2_a_subscription_that_nobody_wants_lapses_until_it_is_wanted() {
    let mut watcher = Watcher::active(600);
    watcher.is_wanted = false;
    assert_eq!(watcher.wait(10_000), "481 due; 601 lost Expired");
    assert_eq!(watcher.at(20_000, SubscriberInput::Refresh), "> c2 1 600");
}

#[test]
fn section_4_1_2_2_what_a_refused_refresh_means() {
    for (code, fields, expected) in [
        (403, "", "over Rejected"),
        (603, "", "over Rejected"),
        (410, "", "over NoResource"),
        (489, "", "over Refused(StatusCode(489))"),
        (404, "", "over Refused(StatusCode(404))"),
        (405, "", "over Refused(StatusCode(405))"),
        (501, "", "over Refused(StatusCode(501))"),
        (481, "", "lost Failed(Some(StatusCode(481)))"),
        (480, "", "lost Failed(Some(StatusCode(480)))"),
        (500, "", ""),
        (503, "Retry-After: 60", ""),
        (408, "", ""),
        (400, "", ""),
        (423, "Min-Expires: 7200", "> c1 3 7200"),
        (423, "Min-Expires: 10", ""),
        (423, "Min-Expires: 99999999", ""),
        (423, "", ""),
    ] {
        let mut watcher = Watcher::active(3_600);
        assert_eq!(watcher.at(600, SubscriberInput::Refresh), "> c1 2 3600");
        assert_eq!(watcher.answered(601, code, fields), expected, "{code} {fields}");
        if expected.is_empty() {
            let waited = watcher.wait(700);
            let at = if fields.starts_with("Retry") { 661 } else { 631 };
            assert_eq!(waited.split(", ").next(), Some(&*format!("{at} due")), "{code}");
        }
    }
}

#[test]
fn section_4_1_2_1_what_a_refused_subscription_means() {
    for (code, fields, expected, later) in [
        (403, "", "over Rejected", ""),
        (401, "", "over Refused(StatusCode(401))", ""),
        (410, "", "over NoResource", ""),
        (404, "", "over Refused(StatusCode(404))", ""),
        (489, "", "over Refused(StatusCode(489))", ""),
        (302, "", "over Refused(StatusCode(302))", ""),
        (
            423,
            "Min-Expires: 7200",
            "> c1 2 7200",
            "34 lost Failed(None); 35 > c2 1 7200; 69 lost Failed(None)",
        ),
        (423, "", "over Refused(StatusCode(423))", ""),
        (
            480,
            "",
            "lost Failed(Some(StatusCode(480)))",
            "1 > c2 1 3600; 35 lost Failed(None); 37 > c3 1 3600",
        ),
        (
            481,
            "",
            "lost Failed(Some(StatusCode(481)))",
            "1 > c2 1 3600; 35 lost Failed(None); 37 > c3 1 3600",
        ),
        (
            500,
            "",
            "lost Failed(Some(StatusCode(500)))",
            "1 > c2 1 3600; 35 lost Failed(None); 37 > c3 1 3600",
        ),
        (
            503,
            "Retry-After: 50",
            "lost Failed(Some(StatusCode(503)))",
            "50 > c2 1 3600",
        ),
    ] {
        let mut watcher = Watcher::new(3_600);
        let _ = watcher.said(watcher.start);
        assert_eq!(watcher.answered(0, code, fields), expected, "{code}");
        assert_eq!(watcher.wait(70), later, "{code}");
    }
}

#[test]
fn section_4_1_3_what_each_reason_of_a_termination_means() {
    for (state, expected) in [
        (
            "terminated;reason=deactivated",
            "lost Terminated; 101 > c2 1 3600",
        ),
        ("terminated;reason=timeout", "lost Terminated; 101 > c2 1 3600"),
        ("terminated;reason=probation", "lost Terminated; 102 > c2 1 3600"),
        (
            "terminated;reason=probation;retry-after=30",
            "lost Terminated; 131 > c2 1 3600",
        ),
        (
            "terminated;reason=giveup;retry-after=30",
            "lost Terminated; 131 > c2 1 3600",
        ),
        ("terminated;reason=giveup", "lost Terminated; 102 > c2 1 3600"),
        (
            "terminated;reason=other;retry-after=20",
            "lost Terminated; 121 > c2 1 3600",
        ),
        ("terminated", "lost Terminated; 102 > c2 1 3600"),
        ("Terminated;Reason=Rejected", "over Rejected; "),
        ("terminated;reason=noresource;retry-after=5", "over NoResource; "),
        ("terminated;reason=invariant;retry-after=5", "over Invariant; "),
    ] {
        let mut watcher = Watcher::active(3_600);
        let told = watcher.notified(101, state, "");
        let later = watcher.wait(132);
        assert_eq!(format!("{told}; {later}"), format!("200, {expected}"), "{state}");
    }
}

#[test]
fn a_notifier_that_ends_every_subscription_at_once_is_asked_ever_less_often() {
    let mut watcher = Watcher::new(3_600);
    let _ = watcher.said(watcher.start);
    let mut asked = 0;
    for second in 0..3_600 {
        if watcher.wait(second).contains("> ") || second == 0 {
            asked += 1;
            assert!(
                watcher
                    .notified(second, "terminated;reason=deactivated", "")
                    .contains("lost")
            );
        }
    }
    assert!((8..20).contains(&asked), "{asked}");
}

#[test]
fn section_4_1_2_3_leaving_is_over_with_the_last_notification_or_without() {
    let mut watcher = Watcher::active(3_600);
    assert_eq!(watcher.at(10, SubscriberInput::Stop), "> c1 2 0");
    assert_eq!(watcher.at(10, SubscriberInput::Stop), "");
    assert_eq!(
        watcher.notified(11, "active;expires=900", "x"),
        "200",
        "it crossed"
    );
    assert_eq!(watcher.answered(11, 200, "Expires: 0"), "");
    assert_eq!(
        watcher.notified(12, "terminated;reason=timeout", ""),
        "200, over Stopped"
    );
    assert_eq!(watcher.notified(13, "active", "x"), "481");
    for answer in [Some(200), Some(481), None] {
        let mut watcher = Watcher::active(3_600);
        let _ = watcher.at(10, SubscriberInput::Stop);
        let told = match answer {
            Some(code) => watcher.answered(11, code, ""),
            None => watcher.at(11, SubscriberInput::Failed(Failure::Timeout)),
        };
        assert_eq!(
            told + &watcher.wait(44).replace("44 ", ""),
            "over Stopped",
            "{answer:?}"
        );
    }
    // Before anything has come.
    let mut watcher = Watcher::new(3_600);
    let _ = watcher.said(watcher.start);
    assert_eq!(watcher.at(1, SubscriberInput::Stop), "");
    assert_eq!(watcher.notified(2, "active", ""), "200, active");
    assert_eq!(watcher.answered(2, 200, ""), "> c1 2 0");
}

#[test]
fn section_4_4_3_a_state_is_asked_for_once() {
    for state in ["terminated;reason=timeout", "active;expires=0"] {
        let mut watcher = Watcher::new(0);
        assert_eq!(watcher.said(watcher.start), "> c1 1 0");
        assert_eq!(watcher.answered(0, 200, "Expires: 0"), "");
        assert_eq!(
            watcher.notified(1, state, "open"),
            "200, active open, over Fetched"
        );
    }
    let mut watcher = Watcher::new(0);
    let _ = watcher.said(watcher.start);
    assert_eq!(watcher.wait(99), "34 over Lost(Failed(None))");
}

#[test]
fn section_4_1_3_notifications_of_others_are_refused() {
    let mut watcher = Watcher::active(3_600);
    let mut fork = watcher.notify("active", "evil");
    fork.headers_mut().set_from(address("<sip:bob@b.example>;tag=b2"));
    assert_eq!(
        watcher.at(2, SubscriberInput::Notify(Box::new(fork))),
        "481",
        "section 4.1.4"
    );
    let mut other = watcher.notify("active", "evil");
    other.headers_mut().set_event(Some(Event::new("dialog").unwrap()));
    assert_eq!(
        watcher.at(2, SubscriberInput::Notify(Box::new(other.clone()))),
        "489"
    );
    other
        .headers_mut()
        .set_event(Some(Event::parse("presence;id=2").unwrap()));
    assert_eq!(
        watcher.at(2, SubscriberInput::Notify(Box::new(other.clone()))),
        "481"
    );
    other
        .headers_mut()
        .set_event(Some(Event::new("presence").unwrap()));
    other.headers_mut().set_subscription_state(None);
    assert_eq!(watcher.at(2, SubscriberInput::Notify(Box::new(other))), "400");
    let late = watcher.notify("active", "new");
    assert_eq!(watcher.notified(3, "active", "newer"), "200, active newer");
    assert_eq!(
        watcher.at(3, SubscriberInput::Notify(Box::new(late))),
        "500",
        "out of order"
    );
    let picture = watcher
        .notify("active", "")
        .with_body(MediaType::parse("image/png").unwrap(), "x");
    assert_eq!(watcher.at(4, SubscriberInput::Notify(Box::new(picture))), "415");
    let accept = watcher
        .answers
        .last()
        .unwrap()
        .headers()
        .get("Accept")
        .map(str::to_owned);
    assert_eq!(accept.as_deref(), Some("application/pidf+xml"));
}

#[test]
fn microsoft_servers_put_the_first_notification_into_the_response() {
    let mut watcher = Watcher::new(3_600);
    let _ = watcher.said(watcher.start);
    let response = watcher
        .response(200, "Expires: 600|ms-piggyback-cseq: 5")
        .with_body(MediaType::parse("application/pidf+xml").unwrap(), "open");
    assert_eq!(
        watcher.at(1, SubscriberInput::Response(Box::new(response))),
        "active open"
    );
    watcher.notified = 4;
    assert_eq!(
        watcher.notified(2, "active", "old"),
        "500",
        "5 was in the response"
    );
    assert_eq!(
        watcher.notified(2, "active;expires=3600", "new"),
        "200, active new"
    );
    assert_eq!(
        watcher.wait(2_882),
        "2882 due, > c1 2 3600",
        "extended by the server"
    );
    watcher.notified = 7;
    assert_eq!(
        watcher.notified(2_883, "active;expires=3600", "newest"),
        "200, active newest"
    );
    let response = watcher
        .response(200, "Expires: 600|ms-piggyback-cseq: 7")
        .with_body(MediaType::parse("application/pidf+xml").unwrap(), "older");
    assert_eq!(
        watcher.at(2_884, SubscriberInput::Response(Box::new(response))),
        "",
        "what was notified overtook it"
    );
}

#[test]
fn what_a_response_to_the_leave_carries_is_no_state_and_the_leave_ends() {
    let mut watcher = Watcher::active(3_600);
    assert_eq!(watcher.at(10, SubscriberInput::Stop), "> c1 2 0");
    let response = watcher
        .response(200, "Expires: 0")
        .with_body(MediaType::parse("application/pidf+xml").unwrap(), "open");
    assert_eq!(watcher.at(11, SubscriberInput::Response(Box::new(response))), "");
    assert_eq!(watcher.wait(100), "44 over Stopped", "timer N runs on");
}

/// MS-SIP: a NOTIFY that nobody answers.
#[test]
fn microsoft_servers_notify_without_an_answer() {
    let benotify = |watcher: &mut Watcher, state: &str, body: &str| {
        let notify = watcher.notify(state, body);
        let mut octets = Vec::new();
        write::request(&notify, &mut octets);
        let text = String::from_utf8(octets).unwrap().replace("NOTIFY", "BENOTIFY");
        match parse::message(text.as_bytes(), &SipLimits::default()).unwrap() {
            Message::Request(request) => SubscriberInput::Notify(Box::new(request)),
            Message::Response(_) => panic!("a response"),
        }
    };
    let mut watcher = Watcher::new(3_600);
    let _ = watcher.said(watcher.start);
    let first = benotify(&mut watcher, "active;expires=600", "open");
    assert_eq!(watcher.at(1, first), "active open", "it makes the dialog too");
    assert_eq!(watcher.answered(2, 200, "Expires: 600"), "");
    let next = benotify(&mut watcher, "active", "busy");
    assert_eq!(watcher.at(3, next), "active busy");
    watcher.notified -= 1;
    let late = benotify(&mut watcher, "active", "late");
    assert_eq!(
        watcher.at(4, late),
        "",
        "out of order, and nobody waits for a word"
    );
    assert_eq!(watcher.notified(5, "active", "both"), "200, active both");
    let mut other = watcher.notify("active", "x");
    other.headers_mut().to_mut().set_tag("another");
    assert_eq!(watcher.at(6, SubscriberInput::Notify(Box::new(other))), "481");
    let last = benotify(&mut watcher, "terminated;reason=rejected", "");
    assert_eq!(watcher.at(7, last), "over Rejected");
    let after = benotify(&mut watcher, "active", "x");
    assert_eq!(watcher.at(8, after), "");
}

// ---- the notifier

pub(super) struct Watched {
    start: Instant,
    pub(super) notifier: Notifier,
    pub(super) sent: Option<Request>,
    number: u32,
}

pub(super) fn terms() -> NotifierTerms {
    NotifierTerms {
        tag: "n1".into(),
        contact: address("<sip:edge.example;transport=tls>"),
        package: "presence".into(),
        via: Arc::new(via()),
        random: 0,
        manner: Arc::new(NotifierManner {
            usual: Duration::from_secs(3_600),
            least: Duration::from_secs(60),
            most: Duration::from_secs(7_200),
            pause: Duration::from_secs(5),
            timers: Timers::default(),
        }),
    }
}

pub(super) fn subscribe(number: u32, fields: &str) -> Request {
    let tag = if number == 1 { "" } else { ";tag=n1" };
    let text = format!(
        "SUBSCRIBE sip:ann@a.example SIP/2.0\nVia: SIP/2.0/TLS b.example;branch=z9hG4bK{number}\n\
         From: <sip:bob@b.example>;tag=w1\nTo: <sip:ann@a.example>{tag}\nCall-ID: c1\nCSeq: {number} SUBSCRIBE\n\
         Contact: <sip:bob@ua.b.example>\nRecord-Route: <sip:p.b.example;lr>\n{fields}Content-Length: 0\n\n"
    );
    match parse::message(text.replace('\n', "\r\n").as_bytes(), &SipLimits::default()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

pub(super) fn note(text: &str) -> NotifierInput {
    NotifierInput::State(Authorisation::Active, Some(body(text)))
}

pub(super) fn body(text: &str) -> Entity {
    let content = Content {
        kind: MediaType::parse("application/pidf+xml").unwrap(),
        body: text.to_owned().into(),
    };
    content.into()
}

impl Watched {
    fn new(fields: &str) -> Result<Self, NotAccepted> {
        Self::with(fields, Authorisation::Pending, Some(body("secret")))
    }

    pub(super) fn with(
        fields: &str,
        authorisation: Authorisation,
        entity: Option<Entity>,
    ) -> Result<Self, NotAccepted> {
        let (start, first) = (start(), subscribe(1, fields));
        let notifier = Notifier::accept(start, &first, terms(), authorisation, entity)?;
        Ok(Self {
            start,
            notifier,
            sent: None,
            number: 1,
        })
    }

    /// One whose first NOTIFY was answered.
    pub(super) fn active() -> Self {
        let mut this = Self::new("Event: presence\n").unwrap();
        assert_eq!(this.said(), "200 3600, > pending;expires=3600 -");
        assert_eq!(this.answered(0, 200, ""), "");
        this
    }

    pub(super) fn said(&mut self) -> String {
        let mut words = Vec::new();
        while let Some(output) = self.notifier.poll() {
            words.push(match output {
                NotifierOutput::Answer(response) => {
                    let expires = response.headers().expires();
                    let least = response
                        .headers()
                        .get("Min-Expires")
                        .map(|text| format!(" least {text}"));
                    let expires = expires.map(|seconds| format!(" {seconds}"));
                    format!("{}{}", response.status(), expires.or(least).unwrap_or_default())
                }
                NotifierOutput::Send(request) | NotifierOutput::Farewell(request) => {
                    let request = again(&request);
                    let body = std::str::from_utf8(request.body()).unwrap();
                    let body = if body.is_empty() { "-" } else { body };
                    let word = format!("> {} {body}", state_of(&request));
                    self.sent = Some(request);
                    word
                }
                NotifierOutput::Refreshed => "refreshed".to_owned(),
                NotifierOutput::Over(why) => format!("over {why:?}"),
            });
        }
        words.join(", ")
    }

    pub(super) fn at(&mut self, seconds: u64, input: NotifierInput) -> String {
        self.notifier
            .handle(self.start + Duration::from_secs(seconds), input);
        self.said()
    }

    pub(super) fn answered(&mut self, seconds: u64, code: u16, fields: &str) -> String {
        let mut response = self
            .sent
            .as_ref()
            .unwrap()
            .response(StatusCode::new(code).unwrap(), "", None);
        if let Some((name, value)) = fields.split_once(": ") {
            response.headers_mut().push(name, value).unwrap();
        }
        self.at(seconds, NotifierInput::Response(Box::new(response)))
    }

    pub(super) fn moment(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// The tag of the last NOTIFY.
    pub(super) fn tag(&self) -> String {
        let sent = self.sent.as_ref().unwrap();
        sent.headers().get("SIP-ETag").unwrap().to_owned()
    }

    pub(super) fn asked(&mut self, seconds: u64, fields: &str) -> String {
        self.number += 1;
        self.at(
            seconds,
            NotifierInput::Request(Box::new(subscribe(self.number, fields))),
        )
    }

    pub(super) fn wait(&mut self, until: u64) -> String {
        let mut told = Vec::new();
        while let Some(at) = self.notifier.timeout() {
            let seconds = at.duration_since(self.start).as_secs();
            if seconds > until {
                break;
            }
            self.notifier.handle(at, NotifierInput::Timer);
            let said = self.said();
            if !said.is_empty() {
                told.push(format!("{seconds} {said}"));
            }
        }
        told.join("; ")
    }
}

#[test]
fn section_4_2_1_what_is_accepted_and_for_how_long() {
    for (fields, expected) in [
        ("Event: presence\n", "200 3600"),
        ("Event: presence\nExpires: 60\n", "200 60"),
        ("Event: presence\nExpires: 9999999\n", "200 7200"),
        ("Event: presence;id=7\nExpires: 600\n", "200 600"),
    ] {
        let mut watched = Watched::new(fields).unwrap();
        let said = watched.said();
        assert_eq!(said.split(", ").next(), Some(expected), "{fields}");
        let sent = watched.sent.unwrap();
        assert_eq!(sent.headers().route().len(), 1);
        assert_eq!(sent.uri().to_string(), "sip:bob@ua.b.example");
        let asked = subscribe(1, fields);
        assert_eq!(sent.headers().event(), asked.headers().event());
    }
    for (fields, code, least) in [
        ("", 489, None),
        ("Event: Presence\n", 489, None),
        ("Event: presence.winfo\n", 489, None),
        ("Event: presence\nExpires: 59\n", 423, Some("60")),
    ] {
        let refused = Watched::new(fields)
            .err()
            .unwrap()
            .response(&subscribe(1, fields), "n1");
        assert_eq!(refused.status().code(), code, "{fields}");
        assert_eq!(refused.headers().get("Min-Expires"), least);
    }
    let refused = Notifier::accept(
        start(),
        &subscribe(2, "Event: presence\n"),
        terms(),
        Authorisation::Active,
        None,
    );
    assert_eq!(
        refused
            .err()
            .unwrap()
            .response(&subscribe(2, ""), "x")
            .status()
            .code(),
        481
    );
}

#[test]
fn section_4_2_2_a_state_is_shown_only_to_who_may_see_it() {
    let mut watched = Watched::active();
    let pending = NotifierInput::State(Authorisation::Pending, Some(body("a secret")));
    assert_eq!(watched.at(10, pending), "> pending;expires=3590 -");
    assert_eq!(watched.answered(10, 200, ""), "");
    assert_eq!(watched.at(20, note("open")), "> active;expires=3580 open");
    assert_eq!(watched.answered(20, 200, ""), "");
    assert_eq!(
        watched.at(30, NotifierInput::End(Ending::Rejected)),
        "> terminated;reason=rejected -"
    );
    assert_eq!(watched.answered(30, 200, ""), "over Ended(Rejected)");
}

#[test]
fn notifications_go_one_by_one_and_the_last_state_wins() {
    let mut watched = Watched::active();
    assert_eq!(watched.at(10, note("1")), "> active;expires=3590 1");
    assert_eq!(watched.at(10, note("2")), "");
    assert_eq!(watched.at(11, note("3")), "");
    assert_eq!(watched.answered(12, 200, ""), "", "not before the pause is over");
    assert_eq!(watched.at(13, note("4")), "");
    assert_eq!(watched.wait(20), "15 > active;expires=3585 4");
    assert_eq!(watched.at(30, note("5")), "", "under way");
    assert_eq!(watched.answered(31, 100, ""), "");
    assert_eq!(watched.answered(31, 200, ""), "> active;expires=3569 5");
    assert_eq!(watched.answered(31, 200, ""), "");
    assert_eq!(watched.at(60, note("5")), "", "no news");
}

#[test]
fn section_4_2_1_4_a_refresh_gets_the_state_at_once() {
    let mut watched = Watched::active();
    let _ = watched.at(10, note("1"));
    let _ = watched.answered(10, 200, "");
    assert_eq!(
        watched.asked(11, "Event: presence\nExpires: 600\n"),
        "200 600, > active;expires=600 1, refreshed"
    );
    assert_eq!(watched.asked(12, "Event: presence\nExpires: 5\n"), "423 least 60");
    assert_eq!(watched.asked(12, "Event: dialog\n"), "489");
    assert_eq!(watched.asked(12, "Event: presence;id=1\n"), "481");
    watched.number = 1;
    assert_eq!(watched.asked(12, "Event: presence\n"), "500");
    // The first of both is still under way when it expires, 10 s late.
    assert_eq!(watched.answered(13, 200, ""), "");
    assert_eq!(
        watched.wait(1_000),
        "621 > terminated;reason=timeout 1; 685 over Expired"
    );
}

#[test]
fn section_4_2_1_4_who_leaves_gets_the_last_notification() {
    let mut watched = Watched::active();
    let _ = watched.at(10, note("1"));
    assert_eq!(watched.asked(11, "Event: presence\nExpires: 0\n"), "200 0");
    assert_eq!(watched.at(11, note("2")), "");
    assert_eq!(watched.answered(12, 200, ""), "> terminated;reason=timeout 2");
    assert_eq!(watched.asked(13, "Event: presence\n"), "481");
    assert_eq!(watched.answered(13, 481, ""), "over Left");
    assert_eq!(watched.asked(14, "Event: presence\n"), "481");
    assert_eq!(watched.notifier.timeout(), None);
}

#[test]
fn section_4_4_3_a_fetch_is_over_with_its_only_notification() {
    let mut watched = Watched::new("Event: presence\nExpires: 0\n").unwrap();
    assert_eq!(watched.said(), "200 0, > terminated;reason=timeout -");
    assert_eq!(watched.answered(1, 200, ""), "over Left");
}

#[test]
fn section_4_2_2_what_a_refused_notification_means() {
    for code in [
        404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604, 408,
    ] {
        let mut watched = Watched::active();
        let _ = watched.at(10, note("1"));
        let told = watched.answered(11, code, "");
        assert_eq!(told, format!("over Refused(StatusCode({code}))"));
        assert_eq!(watched.notifier.timeout(), None);
    }
    for (code, fields, later) in [
        (500, "", "12 > active;expires=3588 2"),
        (401, "", "12 > active;expires=3588 2"),
        (503, "Retry-After: 30", "41 > active;expires=3559 2"),
    ] {
        let mut watched = Watched::active();
        let _ = watched.at(10, note("1"));
        assert_eq!(watched.answered(11, code, fields), "");
        assert_eq!(watched.at(11, note("2")), "", "left alone");
        assert_eq!(watched.wait(50), later, "{code}");
        for round in 0..4 {
            assert_eq!(watched.answered(50 + round * 20, 500, ""), "");
            assert!(watched.wait(70 + round * 20).contains("> active"));
        }
        assert_eq!(
            watched.answered(130, 500, ""),
            "over Refused(StatusCode(500))",
            "not for ever"
        );
    }
    let mut watched = Watched::active();
    let _ = watched.at(10, note("1"));
    assert_eq!(
        watched.at(42, NotifierInput::Failed(Failure::Timeout)),
        "over Unreachable"
    );
    // Who has refreshed meanwhile has not crashed.
    let mut watched = Watched::active();
    let _ = watched.at(10, note("1"));
    assert!(
        watched
            .asked(20, "Event: presence\nExpires: 3600\n")
            .starts_with("200")
    );
    assert_eq!(watched.at(42, NotifierInput::Failed(Failure::Timeout)), "");
    assert_eq!(watched.wait(50), "43 > active;expires=3577 1");
    assert_eq!(
        watched.at(75, NotifierInput::Failed(Failure::Timeout)),
        "over Unreachable"
    );
    // However often there was no way to him before.
    let mut watched = Watched::active();
    let _ = watched.at(10, note("1"));
    let mut now = 10;
    for _ in 0..8 {
        assert_eq!(watched.at(now, NotifierInput::Failed(Failure::Transport)), "");
        let told = (now..now + 4_000).find(|now| watched.wait(*now).contains("> active"));
        now = told.unwrap();
    }
    let _ = watched.asked(now + 1, "Event: presence\nExpires: 3600\n");
    assert_eq!(watched.at(now + 32, NotifierInput::Failed(Failure::Timeout)), "");
    assert!(watched.wait(now + 40).contains("> active"));
    let mut watched = Watched::active();
    let _ = watched.at(10, note("1"));
    assert_eq!(watched.at(10, NotifierInput::Failed(Failure::Transport)), "");
    assert_eq!(watched.wait(11), "11 > active;expires=3589 1");
    assert_eq!(
        watched.wait(99),
        "75 over Unreachable",
        "nobody says what became of it"
    );
}

// ---- laws

#[derive(Debug, Clone)]
enum Step {
    Wait(u16),
    Answer(u16),
    Fail(bool),
    State(u8, bool),
    Ask(u32, &'static str),
    End,
    Notify(&'static str, &'static str),
    Refresh,
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let codes = prop::sample::select(vec![
        100_u16, 200, 202, 204, 302, 401, 403, 404, 408, 423, 480, 481, 489, 500, 503, 603,
    ]);
    let states = prop::sample::select(vec![
        "active",
        "active;expires=1",
        "active;expires=4294967295",
        "pending",
        "pending;expires=60",
        "odd",
        "terminated",
        "terminated;reason=deactivated",
        "terminated;reason=timeout",
        "terminated;reason=probation;retry-after=99999999",
        "terminated;reason=rejected",
    ]);
    let asked = prop::sample::select(vec![0_u32, 1, 60, 600, u32::MAX]);
    prop_oneof![
        8 => any::<u16>().prop_map(Step::Wait),
        8 => codes.prop_map(Step::Answer),
        2 => any::<bool>().prop_map(Step::Fail),
        4 => (0..3_u8, any::<bool>()).prop_map(|(state, may)| Step::State(state, may)),
        3 => (asked, prop::sample::select(vec!["", "", "*", "known"])).prop_map(|(time, tag)| Step::Ask(time, tag)),
        1 => Just(Step::End),
        6 => (states, prop::sample::select(vec!["", "a", "b", "a b"])).prop_map(|(state, etag)| Step::Notify(state, etag)),
        2 => Just(Step::Refresh),
        1 => Just(Step::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever comes in any order: no two NOTIFYs are under way, the last state is told, `Over` comes once and last, and
    /// without more input the notifier ends by itself.
    #[test]
    fn a_notifier_keeps_its_word(steps in prop::collection::vec(step(), 0..60)) {
        let mut watched = Watched::new("Event: presence\n").unwrap();
        let (mut now, mut busy, mut over) = (0_u64, false, false);
        let mut told = watched.said();
        let check = |told: &str, busy: &mut bool, over: &mut bool| {
            let sent = told.matches("> ").count();
            assert!(sent <= 1 && !(sent == 1 && *busy), "{told}");
            assert!(!(*over && (sent > 0 || told.contains("over"))), "{told}");
            *busy |= sent == 1;
            *over |= told.contains("over ");
        };
        check(&told, &mut busy, &mut over);
        for step in steps {
            told = match step {
                Step::Wait(seconds) => {
                    let until = now + u64::from(seconds);
                    while let Some(at) = watched.notifier.timeout() {
                        let at = at.duration_since(watched.start).as_secs().max(now);
                        if at > until { break; }
                        now = at;
                        // The transaction layer has given up by the time that the silence is over.
                        watched.notifier.handle(watched.start + Duration::from_secs(at), NotifierInput::Failed(Failure::Timeout));
                        busy = false;
                        watched.notifier.handle(watched.start + Duration::from_secs(at + 1), NotifierInput::Timer);
                        let told = watched.said();
                        check(&told, &mut busy, &mut over);
                    }
                    now = until;
                    String::new()
                }
                Step::Answer(code) => {
                    if busy && code >= 200 { busy = false; }
                    watched.answered(now, code, "")
                }
                Step::Fail(timeout) => {
                    busy = false;
                    watched.at(now, NotifierInput::Failed(if timeout { Failure::Timeout } else { Failure::Transport }))
                }
                Step::State(state, may) => {
                    let may = if may { Authorisation::Active } else { Authorisation::Pending };
                    watched.at(now, NotifierInput::State(may, Some(body(&state.to_string()))))
                }
                Step::Ask(expires, tag) => {
                    let tag = if tag == "known" { watched.tag() } else { tag.to_owned() };
                    let condition = if tag.is_empty() { String::new() } else { format!("Suppress-If-Match: {tag}\n") };
                    watched.asked(now, &format!("Event: presence\nExpires: {expires}\n{condition}"))
                }
                Step::End => watched.at(now, NotifierInput::End(Ending::NoResource)),
                Step::Notify(..) | Step::Refresh | Step::Stop => String::new(),
            };
            check(&told, &mut busy, &mut over);
        }
        for _ in 0..32 {
            let Some(at) = watched.notifier.timeout() else { break };
            watched.notifier.handle(at, NotifierInput::Timer);
            over |= watched.said().contains("over ");
        }
        prop_assert!(over, "it ends by itself");
        prop_assert_eq!(watched.notifier.timeout(), None);
    }

    /// Whatever comes in any order: one SUBSCRIBE at most is under way, `Over` comes once and last, a dialog is kept only
    /// while a subscription may stand, and who stopped ends by itself.
    #[test]
    fn a_subscriber_keeps_its_word(expires in prop::sample::select(vec![0_u64, 60, 3_600]), steps in prop::collection::vec(step(), 0..60)) {
        let mut watcher = Watcher::new(expires);
        let mut now = 0;
        let mut over = watcher.said(watcher.start).contains("over ");
        let mut told = Vec::new();
        for step in steps {
            told.push(match step {
                Step::Wait(seconds) => {
                    now += u64::from(seconds);
                    watcher.wait(now)
                }
                Step::Answer(code) => watcher.answered(now, code, "Expires: 600|Min-Expires: 700|Retry-After: 5"),
                Step::Fail(true) => watcher.at(now, SubscriberInput::Failed(Failure::Timeout)),
                Step::Fail(false) => watcher.at(now, SubscriberInput::Failed(Failure::Transport)),
                Step::Notify(state, etag) => {
                    etag.clone_into(&mut watcher.etag);
                    watcher.notified(now, state, if etag == "b" { "" } else { "x" })
                }
                Step::Refresh => watcher.at(now, SubscriberInput::Refresh),
                Step::Stop => watcher.at(now, SubscriberInput::Stop),
                Step::State(..) | Step::Ask(..) | Step::End => String::new(),
            });
            let last = told.last().unwrap();
            prop_assert!(!(over && !last.is_empty() && last != "481"), "{}", last);
            over |= last.contains("over ");
            prop_assert!(!(over && watcher.subscriber.dialog().is_some()));
        }
        let said = watcher.at(now, SubscriberInput::Stop) + &watcher.wait(now + 100_000);
        prop_assert_eq!(over, !said.contains("over "), "{}", said);
        prop_assert_eq!(watcher.subscriber.timeout(), None);
        prop_assert!(watcher.subscriber.dialog().is_none());
    }
}
