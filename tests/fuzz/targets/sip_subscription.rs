//! Subscriptions, by a script of what users, the other end and the network do, in any order: each has a next step or is
//! over, says so once and nothing after it, and has one request under way at most; a notifier tells the last state last,
//! unless its subscriber has it and says so, and nothing after the end; a subscriber knows a state only while it asks for
//! it, says that it has one only where that was told, and answers each NOTIFY once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vestibule::choices::Choices;
use vestibule::mime::MediaType;
use vestibule::sip::subscription::{
    Attempt, Authorisation, Content, Ending, Entity, Notifier, NotifierInput, NotifierManner, NotifierOutput, NotifierOver, NotifierTerms, Subscriber, SubscriberInput,
    SubscriberManner, SubscriberOutput, SubscriberTerms,
};
use vestibule::sip::transaction::{Failure, Timers};
use vestibule::sip::{
    CallId, Event, Mandatory, Method, NameAddr, Request, Response, StatusCode, SubscriptionState, Uri, Via,
};

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    if choices.seldom(2) {
        Watching::new(&mut choices).run(choices);
    } else if let Some(told) = Telling::new(&mut choices) {
        told.run(choices);
    }
}

struct Watching {
    subscriber: Subscriber,
    now: Instant,
    /// How many attempts there were.
    attempts: u32,
    /// The last SUBSCRIBE, and whether nobody has answered it.
    sent: Option<Request>,
    is_open: bool,
    /// The number of the last NOTIFY of this attempt.
    notified: u32,
    /// The tags that came within this attempt.
    tags: Vec<&'static str>,
    /// Whether a state may be told: something was asked for, and not lost since.
    asks: bool,
    is_over: bool,
    answers: u32,
}

impl Watching {
    fn new(choices: &mut Choices<'_>) -> Self {
        let terms = SubscriberTerms {
            via: Arc::new(via()),
            manner: Arc::new(SubscriberManner {
                event: Event::presence(),
                accept: [pidf()].into(),
                expires: Duration::from_secs(choices.pick(&[3_600, 600, 60, 0, 1, 90_000])),
                timers: Timers::default(),
            }),
        };
        Self {
            subscriber: Subscriber::new(terms),
            now: Instant::now(),
            attempts: 0,
            sent: None,
            is_open: false,
            notified: 1,
            tags: Vec::new(),
            asks: false,
            is_over: false,
            answers: 0,
        }
    }

    fn run(mut self, mut choices: Choices<'_>) {
        self.listen();
        while !choices.is_done() {
            self.step(&mut choices);
            if !self.is_over && self.subscriber.timeout().is_none() {
                // It sleeps until it is wanted; then it begins again.
                let before = self.attempts;
                self.handle(SubscriberInput::Refresh);
                assert!(self.attempts > before || self.subscriber.timeout().is_some(), "it sleeps for ever: {:?}", self.subscriber);
            }
        }
        self.handle(SubscriberInput::Stop);
        for _ in 0..8 {
            self.fire();
        }
        assert!(self.is_over, "it does not stop: {:?}", self.subscriber);
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.next() % 16 {
            0..=4 => self.notify(choices),
            5..=7 => self.respond(choices),
            8 => {
                self.handle(SubscriberInput::Timer);
                self.is_open = false;
                self.handle(SubscriberInput::Failed(choices.pick(&[Failure::Timeout, Failure::Transport])));
            }
            9 | 10 => self.fire(),
            11 => {
                self.now += Duration::from_secs(u64::from(choices.wide()));
                self.handle(SubscriberInput::Timer);
            }
            12 | 13 => self.handle(SubscriberInput::Refresh),
            14 => self.now += Duration::from_secs(u64::from(choices.next())),
            _ if choices.seldom(4) => self.handle(SubscriberInput::Stop),
            _ => {}
        }
    }

    fn fire(&mut self) {
        if let Some(at) = self.subscriber.timeout() {
            self.now = self.now.max(at);
            self.handle(SubscriberInput::Timer);
        }
    }

    fn respond(&mut self, choices: &mut Choices<'_>) {
        let Some(sent) = &self.sent else { return };
        let code = choices.pick(&[200, 200, 202, 204, 100, 423, 481, 408, 500, 503, 489, 403, 404, 405]);
        let mut response = answer(sent, code, choices.pick(&["b1", "b2"]));
        match choices.next() % 8 {
            0 => response.headers_mut().set_expires(Some(0)),
            1 => response.headers_mut().set_expires(Some(u32::MAX)),
            2 => response.headers_mut().set_expires(Some(u32::from(choices.wide()))),
            3 => push(&mut response, "Min-Expires", &choices.wide().to_string()),
            4 => push(&mut response, "Retry-After", &choices.wide().to_string()),
            5 => response = response.with_body(pidf(), "<piggyback/>"),
            _ => {}
        }
        if code >= 200 {
            self.is_open = false;
        }
        self.handle(SubscriberInput::Response(Box::new(response)));
    }

    fn notify(&mut self, choices: &mut Choices<'_>) {
        let Some(sent) = &self.sent else { return };
        let method = match choices.next() % 4 {
            0 => Method::parse("BENOTIFY").expect("a method"),
            _ => Method::Notify,
        };
        let is_answered = method == Method::Notify;
        self.notified = match choices.next() % 8 {
            0 => self.notified.saturating_sub(1),
            1 => self.notified,
            _ => self.notified + 1,
        };
        let mandatory = Mandatory {
            via: via(),
            from: address("<sip:bob@b.example>").with_tag(choices.pick(&["b1", "b1", "b1", "b2"])),
            to: sent.headers().from().clone(),
            call_id: sent.headers().call_id().clone(),
            sequence: self.notified,
        };
        let target = Uri::parse("sip:edge.example").expect("a URI");
        let mut notify = Request::new(method, target, mandatory).with_contact(address("<sip:bob@ua.b.example>"));
        let state = choices.pick(&[
            "active", "pending", "terminated;reason=timeout", "terminated;reason=deactivated", "terminated;reason=rejected",
            "terminated;reason=giveup;retry-after=9", "terminated", "active;expires=0", "active;expires=99999999", "odd",
            "active;expires=60", "active;expires=600", "terminated;reason=noresource", "terminated;reason=probation",
        ]);
        let event = choices.pick(&["presence", "presence", "presence", "presence", "presence;id=1", "dialog"]);
        notify.headers_mut().set_event(Some(Event::parse(event).expect("an event")));
        notify
            .headers_mut()
            .set_subscription_state(Some(SubscriptionState::parse(state).expect("a state")));
        match choices.next() % 4 {
            0 => notify = notify.with_body(MediaType::parse("text/plain").expect("a type"), "hello"),
            1 => {}
            _ => notify = notify.with_body(pidf(), "<presence/>"),
        }
        let tag = choices.pick(&["", "a", "b", "*", "a b"]);
        if !tag.is_empty() {
            notify.headers_mut().push("SIP-ETag", tag).expect("a clean value");
            self.tags.push(tag);
        }
        let before = self.answers;
        self.handle(SubscriberInput::Notify(Box::new(notify)));
        assert_eq!(self.answers - before, u32::from(is_answered));
    }

    fn handle(&mut self, input: SubscriberInput) {
        self.subscriber.handle(self.now, input);
        self.listen();
    }

    fn listen(&mut self) {
        while let Some(output) = self.subscriber.poll() {
            assert!(!self.is_over || matches!(output, SubscriberOutput::Answer(_)), "after its end: {output:?}");
            match output {
                SubscriberOutput::Wanted => {
                    assert!(!self.asks, "it asks twice");
                    self.attempts += 1;
                    self.tags.clear();
                    self.notified = 1;
                    let attempt = Attempt {
                        target: Uri::parse("sip:bob@b.example").expect("a URI"),
                        from: address("<sip:ann@a.example>"),
                        to: address("<sip:bob@b.example>"),
                        contact: address("<sip:edge.example;transport=tls>"),
                        call_id: CallId::parse(&format!("c{}", self.attempts)).expect("a Call-ID"),
                        tag: format!("t{}", self.attempts).into(),
                        random: self.attempts.wrapping_mul(0x9E37_79B9),
                    };
                    self.subscriber.handle(self.now, SubscriberInput::Subscribe(Box::new(attempt)));
                }
                SubscriberOutput::Send(request) => {
                    let headers = request.headers();
                    let last = self.sent.as_ref().map(|last| last.headers());
                    match last.filter(|last| last.call_id() == headers.call_id()) {
                        Some(last) => {
                            assert!(!self.is_open, "two are under way");
                            assert_eq!(headers.cseq().number(), last.cseq().number() + 1);
                        }
                        None => assert_eq!(headers.cseq().number(), 1),
                    }
                    assert!(headers.event().is_some() && headers.expires().is_some());
                    if let Some(tag) = headers.get("Suppress-If-Match") {
                        assert!(headers.to().tag().is_some() && self.tags.contains(&tag) && tag.len() == 1 && tag != "*", "{tag}");
                    }
                    (self.is_open, self.asks) = (true, true);
                    self.sent = Some(*request);
                }
                SubscriberOutput::Answer(response) => {
                    self.answers += 1;
                    let status = response.status();
                    assert!(status.is_final() && (!self.is_over || status == StatusCode::CALL_DOES_NOT_EXIST));
                }
                SubscriberOutput::Pending | SubscriberOutput::Active(_) | SubscriberOutput::Due => {
                    assert!(self.asks, "a state of nothing");
                }
                SubscriberOutput::Lost(_) => {
                    assert!(self.asks, "lost twice");
                    self.asks = false;
                }
                SubscriberOutput::Over(_) => self.is_over = true,
            }
        }
        if self.is_over {
            assert!(self.subscriber.timeout().is_none() && self.subscriber.dialog().is_none());
        }
    }
}

struct Telling {
    notifier: Notifier,
    now: Instant,
    subscribe: Request,
    state: (Authorisation, Option<Content>),
    /// What is known by the NOTIFYs, each state with its tag, and the NOTIFY that nobody has answered.
    known: bytes::Bytes,
    tags: HashMap<String, bytes::Bytes>,
    tag: String,
    /// What the last SUBSCRIBE said that it has, and what the last did that was accepted.
    asked: Option<String>,
    condition: Option<String>,
    open: Option<Request>,
    last_number: u32,
    last_request: u32,
    is_terminated: bool,
    is_over: bool,
    /// Whether all NOTIFY were taken.
    is_heard: bool,
}

impl Telling {
    fn new(choices: &mut Choices<'_>) -> Option<Self> {
        let now = Instant::now();
        let terms = NotifierTerms {
            tag: "b1".into(),
            contact: address("<sip:edge.example;transport=tls>"),
            package: "presence".into(),
            via: Arc::new(via()),
            random: u32::from(choices.wide()),
            manner: Arc::new(NotifierManner {
                usual: Duration::from_secs(3_600),
                least: Duration::from_secs(60),
                most: Duration::from_secs(7_200),
                pause: Duration::from_secs(5),
                timers: Timers::default(),
            }),
        };
        let mandatory = Mandatory {
            via: via(),
            from: address("<sip:ann@a.example>;tag=a1"),
            to: address("<sip:bob@b.example>"),
            call_id: CallId::parse("c1").expect("a Call-ID"),
            sequence: 1,
        };
        let target = Uri::parse("sip:bob@b.example").expect("a URI");
        let mut subscribe = Request::new(Method::Subscribe, target, mandatory).with_contact(address("<sip:ann@ua.a.example>"));
        let event = choices.pick(&["presence", "presence;id=7", "dialog"]);
        subscribe.headers_mut().set_event(Some(Event::parse(event).expect("an event")));
        subscribe.headers_mut().set_expires(choices.pick(&EXPIRES));
        let state = state(choices);
        let notifier = Notifier::accept(now, &subscribe, terms, state.0, state.1.clone().map(Entity::from)).ok()?;
        Some(Self {
            notifier,
            now,
            subscribe,
            state,
            known: bytes::Bytes::new(),
            tags: HashMap::new(),
            tag: String::new(),
            asked: None,
            condition: None,
            open: None,
            last_number: 0,
            last_request: 1,
            is_terminated: false,
            is_over: false,
            is_heard: true,
        })
    }

    fn run(mut self, mut choices: Choices<'_>) {
        self.listen();
        let mut is_ended = false;
        while !choices.is_done() {
            // What has run out is over before anything else happens, so that what comes is of what is left.
            self.handle(NotifierInput::Timer);
            match choices.next() % 16 {
                0..=3 => {
                    let state = state(&mut choices);
                    if !is_ended && !self.is_terminated && !self.is_over {
                        self.state = state.clone();
                    }
                    self.handle(NotifierInput::State(state.0, state.1.map(Entity::from)));
                }
                4..=6 => self.respond(choices.pick(&[200, 200, 200, 100, 481, 500, 503, 408, 404])),
                7 => {
                    self.is_heard = false;
                    let failure = choices.pick(&[Failure::Timeout, Failure::Transport]);
                    if self.open.take().is_some() && failure == Failure::Transport {
                        // Who could not be reached is told again, also that it is over.
                        self.is_terminated = false;
                    }
                    self.handle(NotifierInput::Failed(failure));
                }
                8..=10 => self.refresh(&mut choices),
                11 | 12 => self.fire(),
                13 => {
                    self.now += Duration::from_secs(u64::from(choices.wide()));
                    self.handle(NotifierInput::Timer);
                }
                14 => self.now += Duration::from_secs(u64::from(choices.next())),
                _ if choices.seldom(4) => {
                    let some = Duration::from_secs(60);
                    let ending = choices.pick(&[
                        Ending::Deactivated,
                        Ending::Probation(some),
                        Ending::Rejected,
                        Ending::Timeout,
                        Ending::GiveUp(some),
                        Ending::NoResource,
                    ]);
                    is_ended |= !matches!(ending, Ending::Timeout);
                    self.handle(NotifierInput::End(ending));
                }
                _ => {}
            }
            assert!(self.is_over || self.notifier.timeout().is_some(), "it waits for ever");
        }
        // Left alone, with a peer that takes everything, it tells the last state and ends.
        self.handle(NotifierInput::Timer);
        for _ in 0..16 {
            self.respond(200);
            self.fire();
        }
        assert!(self.is_over, "it does not end: {:?}", self.notifier);
        if self.is_heard && !is_ended {
            assert_eq!(self.known, self.visible(), "the last state is not told");
        }
    }

    /// What its subscriber may see of the state.
    fn visible(&self) -> bytes::Bytes {
        match &self.state {
            (Authorisation::Active, Some(content)) => content.body.clone(),
            (Authorisation::Active | Authorisation::Pending, _) => bytes::Bytes::new(),
        }
    }

    fn fire(&mut self) {
        if let Some(at) = self.notifier.timeout() {
            self.now = self.now.max(at);
            self.handle(NotifierInput::Timer);
        }
    }

    fn respond(&mut self, code: u16) {
        let Some(open) = &self.open else { return };
        let response = answer(open, code, "a1");
        if code >= 200 {
            self.open = None;
        }
        self.is_heard &= code <= 200;
        self.handle(NotifierInput::Response(Box::new(response)));
    }

    fn refresh(&mut self, choices: &mut Choices<'_>) {
        let number = self.last_request + u32::from(!choices.seldom(8));
        let mandatory = Mandatory {
            via: via(),
            from: self.subscribe.headers().from().clone(),
            to: self.notifier.dialog().local().clone(),
            call_id: self.subscribe.headers().call_id().clone(),
            sequence: number,
        };
        let method = choices.pick(&[Method::Subscribe, Method::Subscribe, Method::Subscribe, Method::Bye, Method::Options]);
        let target = Uri::parse("sip:edge.example").expect("a URI");
        let mut request = Request::new(method, target, mandatory).with_contact(address("<sip:ann@ua.a.example>"));
        let event = match choices.next() % 8 {
            0 => Some(Event::parse("presence;id=9").expect("an event")),
            1 => None,
            _ => self.subscribe.headers().event().cloned(),
        };
        request.headers_mut().set_event(event);
        request.headers_mut().set_expires(choices.pick(&EXPIRES));
        let condition = choices.pick(&[None, Some(self.tag.clone()), Some("*".to_owned()), Some("other".to_owned())]);
        if let Some(condition) = condition.filter(|condition| !condition.is_empty()) {
            request.headers_mut().push("Suppress-If-Match", &condition).expect("a clean value");
            // Who wants no state knows none.
            self.is_heard &= condition != "*";
            self.asked = Some(condition);
        } else {
            self.asked = None;
        }
        self.last_request = number;
        self.handle(NotifierInput::Request(Box::new(request)));
    }

    fn handle(&mut self, input: NotifierInput) {
        let asks = matches!(input, NotifierInput::Request(_));
        self.notifier.handle(self.now, input);
        assert_eq!(self.listen(), u32::from(asks), "each request is answered once");
    }

    fn listen(&mut self) -> u32 {
        let mut answers = 0;
        while let Some(output) = self.notifier.poll() {
            assert!(!self.is_over || matches!(output, NotifierOutput::Answer(_)), "after its end: {output:?}");
            match output {
                NotifierOutput::Answer(response) => {
                    answers += 1;
                    let status = response.status();
                    assert!(status.is_final());
                    let is_quiet = status == StatusCode::NO_NOTIFICATION;
                    if status.is_success() {
                        // With 200 it holds no more, unless it is that of who wants no state.
                        self.condition = self.asked.take().filter(|asked| is_quiet || asked == "*");
                    }
                    if is_quiet {
                        let condition = self.condition.as_deref().expect("a condition");
                        assert!(condition == "*" || self.known == self.visible(), "he has another state");
                    }
                }
                NotifierOutput::Send(notify) | NotifierOutput::Farewell(notify) => self.sent(*notify),
                NotifierOutput::Refreshed => {}
                NotifierOutput::Over(why) => {
                    // Who leaves one unanswered until the subscription ends has not heard the next.
                    self.is_heard &= self.open.is_none();
                    self.is_heard &= !matches!(why, NotifierOver::Unreachable | NotifierOver::Refused(_));
                    self.is_over = true;
                }
            }
        }
        if self.is_over {
            assert_eq!(self.notifier.timeout(), None);
        }
        answers
    }

    fn sent(&mut self, notify: Request) {
        let headers = notify.headers();
        assert!(self.open.is_none(), "two are under way");
        assert!(!self.is_terminated, "after the last: {}", headers.cseq());
        assert_eq!(headers.cseq().number(), self.last_number + 1);
        self.last_number += 1;
        let state = headers.subscription_state().expect("a state");
        assert_eq!(state.expires().is_some(), !state.is("terminated"));
        assert!(state.expires().is_none_or(|seconds| seconds <= 7_200));
        self.is_terminated = state.is("terminated");
        assert!(!state.is("pending") || notify.body().is_empty(), "it shows what is not decided");
        let tag = headers.get("SIP-ETag").expect("a tag");
        let body = notify.body().clone();
        let is_met = self.condition.as_deref().is_some_and(|condition| ["*", tag].contains(&condition));
        if !is_met {
            let before = self.tags.insert(tag.to_owned(), body.clone());
            assert!(before.is_none_or(|before| before == body), "one tag of two states");
            self.known = body;
            self.condition = None;
        } else {
            assert!(body.is_empty(), "he does not want it");
        }
        // Of who wants no state the document was left out, which he does not have.
        let has_it = !is_met || self.condition.as_deref() == Some(tag);
        self.tag = if has_it { tag.to_owned() } else { String::new() };
        self.open = Some(notify);
    }
}

fn state(choices: &mut Choices<'_>) -> (Authorisation, Option<Content>) {
    let authorisation = choices.pick(&[Authorisation::Active, Authorisation::Active, Authorisation::Pending]);
    let content = choices.pick(&[Some("<one/>"), Some("<two/>"), None]).map(|body| Content {
        kind: pidf(),
        body: body.into(),
    });
    (authorisation, content)
}

fn answer(request: &Request, code: u16, tag: &str) -> Response {
    let status = StatusCode::new(code).expect("a status");
    let response = request.response(status, "", Some(tag));
    response.with_contact(address("<sip:bob@ua.b.example>"))
}

fn push(response: &mut Response, name: &str, value: &str) {
    response.headers_mut().push(name, value).expect("a clean value");
}

fn pidf() -> MediaType {
    MediaType::parse("application/pidf+xml").expect("a type")
}

fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).expect("an address")
}

fn via() -> Via {
    Via::parse("SIP/2.0/TLS edge.example;branch=z9hG4bK1").expect("a Via")
}

const EXPIRES: [Option<u32>; 6] = [Some(3_600), None, Some(0), Some(30), Some(u32::MAX), Some(60)];
