//! A world of senders, links and peers around one gateway, on a virtual clock and in any order of events.
//!
//! What the links do is what `net` does: they write in order, give back at once what they do not write, tell late what
//! they wrote, and tell all that before they open another stream; what their queue has no room for they refuse. Answers
//! of the XMPP side come by another stream, so they may overtake what is told late. The world knows what really happened; the gateway knows only
//! what it is told. Laws are checked whenever the gateway says something, and once all timers ran out.

use std::collections::{BTreeMap, HashMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::limits::GatewayLimits;

/// Something that happens. Numbers choose among what there is, by their remainder.
#[derive(Debug, Clone)]
enum Event {
    /// A SIP user sends a message.
    Sip { user: u8, domain: u8 },
    /// An inside user writes to a SIP user.
    Xmpp { user: u8, domain: u8 },
    /// An inside user writes to an XMPP user outside, or one outside to one inside.
    Forward { inward: bool, domain: u8 },
    /// A link opens its stream.
    Open { link: u8 },
    /// A link writes so many letters.
    Write { link: u8, letters: u8 },
    /// A link tells the gateway so much of what it did.
    Tell { link: u8, reports: u8 },
    /// A link cannot open a stream and gives back all that waits.
    Fail { link: u8, trouble: u8 },
    /// The stream of a link breaks. What the peer has not read is lost.
    Break { link: u8 },
    /// The peer reads so many stanzas, and answers each.
    Read { link: u8, stanzas: u8, refuses: bool },
    /// The peer reads a stanza and does not answer it, not even a ping.
    Swallow { link: u8 },
    /// An answer of the XMPP side comes in.
    Answer { which: u8 },
    /// Somebody answers what is still under way, in the place of whom it is for.
    Forge { which: u8, by: u8 },
    /// A SIP request of ours is answered.
    Final { which: u8, status: u16 },
    /// A SIP request of ours fails.
    Lost { which: u8, trouble: u8 },
    /// An inside user types, or stops, or leaves.
    Types { user: u8, domain: u8, state: u8 },
    /// A SIP user shows that he types.
    Shows { user: u8, types: bool },
    /// An orderly stop begins.
    Stop { seconds: u8 },
    /// Time passes.
    Wait { milliseconds: u16 },
}

/// One link and the peer behind it.
#[derive(Debug, Default)]
struct VirtualLink {
    queue: VecDeque<Letter>,
    epoch: u64,
    open: bool,
    /// What the link has to tell, in order.
    reports: VecDeque<Report>,
    /// Written on the stream and not yet read by the peer.
    wire: VecDeque<Letter>,
}

#[derive(Debug)]
enum Report {
    Written(Token, u64),
    Broken(u64),
}

/// A message, and all that the world knows of it.
#[derive(Debug)]
struct Message {
    protocols: (Protocol, Protocol),
    taken: Instant,
    /// When and on which stream of its link it was written.
    written: Option<(Instant, u64)>,
    link: Option<Link>,
    /// The peer read it.
    read: bool,
    /// It is lost, and the gateway was told.
    known_lost: bool,
    statuses: Vec<u16>,
    /// How often the peer read that it failed.
    errors: usize,
    /// When its sender was first to be told that, and whether that was given up.
    telling: Option<Instant>,
    untold: bool,
    outcomes: Vec<Outcome>,
    /// A final response that came while the message was waiting.
    answered: Option<u16>,
}

struct World {
    border: Border,
    gateway: Gateway<u32>,
    limits: GatewayLimits,
    now: Instant,
    room: usize,
    links: BTreeMap<String, (Link, VirtualLink)>,
    messages: Vec<Message>,
    tokens: HashMap<Token, usize>,
    /// The errors about messages, by the names of their letters.
    notices: HashMap<Token, usize>,
    /// Whether a link gave something back because it stops.
    has_stopped: bool,
    traces: HashMap<Trace, usize>,
    /// Answers of the XMPP side that are on their way.
    answers: Vec<Stanza>,
    /// Requests that the SIP side has not answered.
    requests: Vec<(Token, Box<Request>)>,
    pings: usize,
}

const TROUBLES: [Trouble; 8] = [
    Trouble::NotFound,
    Trouble::Unreachable,
    Trouble::Untrusted,
    Trouble::Refused,
    Trouble::Timeout,
    Trouble::Overload,
    Trouble::Broken,
    Trouble::Stopping,
];

const FORGERS: [&str; 4] = [
    "eve@corp.example",
    "evil.example",
    "eve@d1.example/x",
    "eve@d0.example",
];

fn pick<T>(of: &[T], number: impl Into<usize>) -> Option<&T> {
    of.get(number.into().checked_rem(of.len())?)
}

impl World {
    fn new(pending_messages: usize, room: usize) -> Self {
        let limits = GatewayLimits {
            pending_messages,
            ..GatewayLimits::default()
        };
        Self {
            border: Setting::open().border(),
            gateway: Gateway::new(0, limits.clone(), &speaker(5, "")),
            limits,
            now: Instant::now(),
            room,
            links: BTreeMap::new(),
            messages: Vec::new(),
            tokens: HashMap::new(),
            notices: HashMap::new(),
            has_stopped: false,
            traces: HashMap::new(),
            answers: Vec::new(),
            requests: Vec::new(),
            pings: 0,
        }
    }

    fn handle(&mut self, input: Input<u32>) {
        self.gateway.handle(self.now, input);
        self.carry_out();
    }

    /// Does what the gateway wants done, as a shard does it, and checks each thing.
    fn carry_out(&mut self) {
        for count in 0.. {
            assert!(count < 1_000, "the gateway never comes to rest");
            let Some(output) = self.gateway.poll(self.now) else {
                break;
            };
            match output {
                Output::Send {
                    link,
                    stanza,
                    token,
                    until,
                    trace,
                } => {
                    let letter = Letter {
                        link,
                        stanza: *stanza,
                        token,
                        until,
                    };
                    self.post(letter, trace);
                }
                Output::Request {
                    request,
                    token,
                    trace,
                    ..
                } => {
                    let is_typing = request
                        .headers()
                        .content_type()
                        .is_some_and(|kind| kind.is("application", "im-iscomposing+xml"));
                    if *request.method() == sip::Method::Message && !is_typing {
                        self.tokens.insert(token, self.traces[&trace]);
                    }
                    if *request.method() != sip::Method::Ack {
                        self.requests.push((token, request));
                    }
                }
                // Too late: the answer is on its way.
                Output::Recall { .. } | Output::Pong(_) | Output::Persist { .. } => {}
                Output::Respond { origin, response } => self.responded(origin, response.status().code()),
                Output::Untold { trace, .. } => {
                    let message = &mut self.messages[self.traces[&trace]];
                    let late = message.telling.unwrap() + self.limits.notice;
                    assert!(self.has_stopped || self.now >= late, "given up too soon");
                    message.untold = true;
                }
                Output::Observe(seen) => {
                    let message = &mut self.messages[self.traces[&seen.trace]];
                    assert_eq!((seen.from, seen.to), message.protocols);
                    if message.protocols == (Protocol::Xmpp, Protocol::Xmpp)
                        && seen.outcome == Outcome::Delivered
                    {
                        let is_mute = message
                            .link
                            .as_ref()
                            .is_some_and(|link| self.gateway.manners.is_mute(link));
                        assert!(message.read || is_mute, "nobody has read it");
                    }
                    message.outcomes.push(seen.outcome);
                }
            }
        }
        self.holds_no_more_than_waits();
    }

    fn post(&mut self, letter: Letter, trace: Option<Trace>) {
        let number = trace.map(|trace| self.traces[&trace]);
        if number.is_none() && letter.token.is_none() {
            // A chat state, which nobody waits for.
            assert!(letter.stanza.child("body", ns::STANZA).is_none());
            return;
        }
        if letter.stanza.kind().is_error() {
            let number = number.unwrap();
            self.notices.insert(letter.token(), number);
            self.messages[number].telling.get_or_insert(self.now);
        } else if letter.stanza.child("ping", ns::PING).is_some() {
            self.pings += 1;
        } else {
            let number = number.unwrap();
            self.tokens.insert(letter.token(), number);
            self.messages[number].link = Some(letter.link.clone());
        }
        let (_, link) = self
            .links
            .entry(format!("{:?}", letter.link))
            .or_insert_with(|| (letter.link.clone(), VirtualLink::default()));
        if link.queue.len() < self.room {
            link.queue.push_back(letter);
        } else {
            let input = Input::Returned {
                token: letter.token(),
                trouble: Trouble::Overload,
            };
            self.gateway.handle(self.now, input);
        }
    }

    fn responded(&mut self, number: u32, status: u16) {
        let message = &mut self.messages[usize::try_from(number).unwrap()];
        assert_eq!(message.protocols.0, Protocol::Sip);
        assert_ne!(status, 408, "RFC 4320");
        assert!(
            self.now <= message.taken + self.limits.deliver,
            "told after the sender's own timer"
        );
        if status == 200 {
            assert!(!message.known_lost, "200 for what is known to be lost");
            let (written, _) = message.written.expect("200 for what was never written");
            let silent = self.now.duration_since(written);
            assert!(
                message.read || silent >= self.limits.confirm,
                "200 for what nobody read, after {silent:?}"
            );
        }
        message.statuses.push(status);
    }

    /// What is kept by link is about something that waits: memory is bounded by the messages under way.
    fn holds_no_more_than_waits(&self) {
        let held: usize = self
            .gateway
            .links
            .values()
            .map(|link| link.unconfirmed().count())
            .sum();
        assert!(held <= self.gateway.waiting() + self.gateway.telling());
        assert!(self.gateway.links.values().all(|link| !link.is_idle()));
        assert!(self.gateway.waiting() <= self.limits.pending_messages);
        let at_rest = self.gateway.waiting() + self.gateway.telling() + self.gateway.conversations().0 == 0;
        assert_eq!(self.gateway.timeout().is_none(), at_rest);
    }

    fn take(&mut self, delivery: Box<Delivery>, origin: Option<u32>, protocols: (Protocol, Protocol)) {
        let number = self.messages.len();
        let trace = Trace::new(u64::try_from(number).unwrap());
        self.traces.insert(trace, number);
        self.messages.push(Message {
            protocols,
            taken: self.now,
            written: None,
            link: None,
            read: false,
            known_lost: false,
            statuses: Vec::new(),
            errors: 0,
            telling: None,
            untold: false,
            outcomes: Vec::new(),
            answered: None,
        });
        self.handle(Input::Deliver {
            delivery: delivery.traced(trace),
            origin,
        });
    }

    fn say(&mut self, side: Side, from: &str, to: &str, protocols: (Protocol, Protocol)) {
        let id = format!("m{}", self.messages.len());
        match self
            .border
            .admit_stanza(side, chat(from, to, &id, "hi"), today(), &[7; 32])
        {
            Ok(AdmittedStanza::Deliver(delivery)) => self.take(delivery, None, protocols),
            other @ (Ok(
                AdmittedStanza::Answer(_)
                | AdmittedStanza::Pong(_)
                | AdmittedStanza::Ignore
                | AdmittedStanza::GivenUp { .. },
            )
            | Err(_)) => {
                panic!("{other:?}")
            }
        }
    }

    fn link(&mut self, number: u8) -> Option<&mut (Link, VirtualLink)> {
        let keys: Vec<_> = self.links.keys().cloned().collect();
        pick(&keys, number).and_then(|key| self.links.get_mut(key))
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Sip { user, domain } => {
                let from = ["partner.example", "ms.example"][usize::from(domain) % 2];
                let request = message(
                    &format!("sip:u{}@{from}", user % 3),
                    "sip:bob@corp.example",
                    "hello",
                );
                match self
                    .border
                    .admit_sip(Side::Outside, request, &mut Proven(&[from]), today())
                {
                    Ok(Admitted::Deliver(delivery)) => {
                        let origin = u32::try_from(self.messages.len()).ok();
                        self.take(delivery, origin, (Protocol::Sip, Protocol::Xmpp));
                    }
                    other @ (Ok(Admitted::Answer(_) | Admitted::Relay(_) | Admitted::Blocked { .. })
                    | Err(_)) => panic!("{other:?}"),
                }
            }
            Event::Xmpp { user, domain } => {
                let to = ["romeo@partner.example", "romeo@ms.example"][usize::from(domain) % 2];
                let from = format!("j{}@corp.example/x", user % 3);
                self.say(Side::Inside, &from, to, (Protocol::Xmpp, Protocol::Sip));
            }
            Event::Forward { inward, domain } => {
                let peer = format!("romeo@d{}.example", domain % 3);
                let both = (Protocol::Xmpp, Protocol::Xmpp);
                if inward {
                    self.say(Side::Outside, &peer, "juliet@corp.example", both);
                } else {
                    self.say(Side::Inside, "juliet@corp.example/x", &peer, both);
                }
            }
            Event::Open { link } => {
                if self.link(link).is_some_and(|(_, link)| !link.open) {
                    self.tell_all(link);
                    if let Some((_, link)) = self.link(link) {
                        link.open = true;
                        link.epoch += 1;
                    }
                }
            }
            Event::Write { link, letters } => self.write(link, letters),
            Event::Tell { link, reports } => {
                for _ in 0..reports {
                    self.tell(link);
                }
            }
            Event::Fail { link, trouble } => {
                let trouble = *pick(&TROUBLES, trouble).unwrap();
                let returned = match self.link(link) {
                    Some((_, link)) if !link.open => std::mem::take(&mut link.queue),
                    Some(_) | None => VecDeque::new(),
                };
                self.has_stopped |= trouble == Trouble::Stopping;
                for letter in returned {
                    let token = letter.token();
                    self.handle(Input::Returned { token, trouble });
                }
            }
            Event::Break { link } => {
                if let Some((_, link)) = self.link(link)
                    && link.open
                {
                    link.open = false;
                    link.wire.clear();
                    link.reports.push_back(Report::Broken(link.epoch));
                }
            }
            Event::Read {
                link,
                stanzas,
                refuses,
            } => {
                for _ in 0..stanzas {
                    self.read(link, refuses);
                }
            }
            Event::Swallow { link } => {
                let swallowed = self.link(link).and_then(|(_, link)| link.wire.pop_front());
                let Some(token) = swallowed.map(|letter| letter.token()) else {
                    return;
                };
                if let Some(number) = self.tokens.get(&token) {
                    self.messages[*number].read = true;
                } else if let Some(number) = self.notices.get(&token) {
                    self.messages[*number].errors += 1;
                }
            }
            Event::Answer { which } => {
                if !self.answers.is_empty() {
                    let which = usize::from(which) % self.answers.len();
                    let answer = Box::new(self.answers.remove(which));
                    self.handle(Input::Answer(answer));
                }
            }
            Event::Forge { which, by } => {
                let under_way = self
                    .links
                    .values()
                    .flat_map(|(_, link)| link.queue.iter().chain(&link.wire));
                let error = StanzaError::new(Condition::Gone);
                let answers: Vec<_> = under_way
                    .filter_map(|letter| letter.stanza.error_reply(&error))
                    .collect();
                if let Some(mut answer) = pick(&answers, which).cloned() {
                    answer.set_from(jid(pick(&FORGERS, by).unwrap()));
                    self.handle(Input::Answer(Box::new(answer)));
                }
            }
            Event::Final { which, status } => {
                if let Some((token, request)) = self.take_request(which) {
                    let mut response = request.response(StatusCode::new(status).unwrap(), "", Some("9"));
                    if *request.method() == sip::Method::Invite {
                        response = response.with_contact(request.headers().contact().clone());
                    }
                    let response = Box::new(response);
                    let was_open = self.is_open(token);
                    self.handle(Input::Response { token, response });
                    self.note((token, &request), status, was_open);
                }
            }
            Event::Lost { which, trouble } => {
                let trouble = *pick(&TROUBLES, trouble).unwrap();
                if let Some((token, _)) = self.take_request(which) {
                    self.handle(Input::Returned { token, trouble });
                }
            }
            Event::Types { user, domain, state } => {
                let to = ["romeo@partner.example", "u1@partner.example", "romeo@ms.example"];
                let state = *pick(&["composing", "paused", "active", "gone"], state).unwrap();
                let stanza = stanza(
                    Kind::Message(MessageType::Chat),
                    &format!("j{}@corp.example/x", user % 3),
                    to[usize::from(domain) % 3],
                )
                .with_child(Element::new(state, "http://jabber.org/protocol/chatstates"));
                match self.border.admit_stanza(Side::Inside, stanza, today(), &[7; 32]) {
                    Ok(AdmittedStanza::Deliver(delivery)) => self.handle(Input::Deliver {
                        delivery,
                        origin: None,
                    }),
                    other => panic!("{other:?}"),
                }
            }
            Event::Shows { user, types } => {
                let state = if types { "active" } else { "idle" };
                let body = format!(
                    "<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>{state}</state></isComposing>"
                );
                let more = "Max-Forwards: 70\r\nContent-Type: application/im-iscomposing+xml\r\n";
                let to = format!("sip:j{}@corp.example", user % 3);
                let request = request("MESSAGE", "sip:romeo@partner.example", &to, more, &body);
                let mut peer = Proven(&["partner.example"]);
                match self.border.admit_sip(Side::Outside, request, &mut peer, today()) {
                    // Its answer is no message's, so it has no origin here.
                    Ok(Admitted::Deliver(delivery)) => self.handle(Input::Deliver {
                        delivery,
                        origin: None,
                    }),
                    other => panic!("{other:?}"),
                }
            }
            Event::Stop { seconds } => {
                let by = self.now + Duration::from_secs(u64::from(seconds));
                self.handle(Input::Stop { by });
            }
            Event::Wait { milliseconds } => self.wait(Duration::from_millis(milliseconds.into())),
        }
    }

    fn take_request(&mut self, which: u8) -> Option<(Token, Box<Request>)> {
        let number = usize::from(which).checked_rem(self.requests.len())?;
        Some(self.requests.swap_remove(number))
    }

    fn is_open(&self, token: Token) -> bool {
        self.tokens
            .get(&token)
            .is_some_and(|number| self.messages[*number].outcomes.is_empty())
    }

    /// Keeps the first final response that came in time. One that asks for another way to send the message, or that
    /// says that its session is lost, may be no answer yet.
    fn note(&mut self, (token, request): (Token, &Request), status: u16, was_open: bool) {
        if *request.method() != sip::Method::Message || !was_open {
            return;
        }
        if !self.is_open(token) {
            let number = self.tokens[&token];
            self.messages[number].answered = Some(status);
        } else {
            let may_wait = [405, 415, 488, 501, 408, 480, 481];
            assert!(may_wait.contains(&status), "{status} is an answer");
        }
    }

    fn write(&mut self, link: u8, letters: u8) {
        for _ in 0..letters {
            let now = self.now;
            let Some((_, link)) = self.link(link).filter(|(_, link)| link.open) else {
                return;
            };
            let Some(letter) = link.queue.pop_front() else {
                return;
            };
            let (token, epoch) = (letter.token(), link.epoch);
            if letter.until <= now {
                let trouble = Trouble::Timeout;
                self.handle(Input::Returned { token, trouble });
                continue;
            }
            link.reports.push_back(Report::Written(token, epoch));
            link.wire.push_back(letter);
            if let Some(number) = self.tokens.get(&token) {
                let before = self.messages[*number].written.replace((now, epoch));
                assert_eq!(before, None, "never twice");
            }
        }
    }

    fn tell_all(&mut self, link: u8) {
        while self.link(link).is_some_and(|(_, link)| !link.reports.is_empty()) {
            self.tell(link);
        }
    }

    fn tell(&mut self, link: u8) {
        let Some((name, link)) = self.link(link) else {
            return;
        };
        let name = name.clone();
        let Some(report) = link.reports.pop_front() else {
            return;
        };
        match report {
            Report::Written(token, epoch) => self.handle(Input::Written {
                tokens: vec![token],
                epoch,
            }),
            Report::Broken(epoch) => {
                for message in &mut self.messages {
                    let on_it = message.link.as_ref() == Some(&name)
                        && message.written.is_some_and(|(_, written)| written == epoch);
                    // What the peer read before the stream broke may have been confirmed, or may still be.
                    message.known_lost |= on_it;
                }
                self.handle(Input::Broken { link: name, epoch });
            }
        }
    }

    fn read(&mut self, link: u8, refuses: bool) {
        let Some((_, link)) = self.link(link) else { return };
        let Some(letter) = link.wire.pop_front() else {
            return;
        };
        if let Some(number) = self.tokens.get(&letter.token()) {
            if refuses {
                let error = StanzaError::new(Condition::ServiceUnavailable);
                self.answers.extend(letter.stanza.error_reply(&error));
            }
            self.messages[*number].read = true;
        } else if let Some(number) = self.notices.get(&letter.token()) {
            self.messages[*number].errors += 1;
        } else if refuses {
            let error = StanzaError::new(Condition::FeatureNotImplemented);
            self.answers.extend(letter.stanza.error_reply(&error));
        } else {
            self.answers.extend(letter.stanza.result_reply(None));
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(timeout) = self.gateway.timeout().filter(|timeout| *timeout <= end) {
            self.now = self.now.max(timeout);
            self.handle(Input::Tick);
            assert!(
                self.gateway.timeout().is_none_or(|next| next > self.now),
                "a tick leaves nothing that is due"
            );
        }
        self.now = end;
    }

    fn answer_all(&mut self) {
        while !self.requests.is_empty() {
            self.happen(&Event::Final {
                which: 0,
                status: 500,
            });
        }
    }

    /// Lets all timers run out, and checks what was promised.
    fn end(mut self) {
        self.wait(self.limits.deliver + self.limits.silence);
        assert_eq!(self.gateway.waiting(), 0);
        for link in 0..u8::try_from(self.links.len()).unwrap() {
            self.tell_all(link);
        }
        while !self.answers.is_empty() {
            self.happen(&Event::Answer { which: 0 });
        }
        self.answer_all();
        self.wait(self.limits.deliver + self.limits.silence);
        assert_eq!(self.gateway.waiting(), 0);
        self.carry_all();
        assert_eq!((self.gateway.waiting(), self.gateway.telling()), (0, 0));
        // Sessions end when nobody says anything, and nothing is left of their conversations.
        self.wait(self.limits.invite + self.limits.conversation * 2);
        self.answer_all();
        self.wait(self.limits.conversation);
        assert_eq!(self.gateway.conversations(), (0, 0));
        assert_eq!(self.gateway.conversations.under_way(), 0);
        assert!(self.gateway.links.is_empty(), "{:?}", self.gateway.links);
        for (number, message) in self.messages.iter().enumerate() {
            let what = format!("message {number}: {message:?}");
            let [outcome] = message.outcomes[..] else {
                panic!("not one outcome: {what}");
            };
            let failed = outcome == Outcome::Failed;
            if message.protocols.0 == Protocol::Sip {
                let [status] = message.statuses[..] else {
                    panic!("not one answer: {what}");
                };
                assert_eq!(failed, status != 200, "{what}");
                assert_eq!(message.errors, 0, "{what}");
            } else {
                assert!(message.statuses.is_empty(), "{what}");
                assert_eq!(message.telling.is_some(), failed, "{what}");
                assert_eq!(message.errors > 0 || message.untold, failed, "{what}");
                // What a stream took with it is told again.
                assert!(message.errors <= 1 + self.told_breaks(), "{what}");
                if let Some(status) = message.answered {
                    assert_eq!(failed, !(200..300).contains(&status), "{what}");
                }
            }
        }
        // Behind each message, and again after 3 s, 9 s, 21 s and 45 s; behind an error for longer, and less often.
        let errors = self.notices.len();
        assert!(
            self.pings <= 5 * self.messages.len() + 27 * errors + self.told_breaks(),
            "{} pings for {} messages",
            self.pings,
            self.messages.len()
        );
    }

    /// All links carry, and their peers answer, until nothing is left to be told.
    fn carry_all(&mut self) {
        for _ in 0..40 {
            for link in 0..u8::try_from(self.links.len()).unwrap() {
                self.happen(&Event::Open { link });
                self.write(link, u8::MAX);
                self.tell_all(link);
                for _ in 0..u8::MAX {
                    self.read(link, false);
                }
            }
            while !self.answers.is_empty() {
                self.happen(&Event::Answer { which: 0 });
            }
            if self.gateway.telling() == 0 {
                return;
            }
            self.wait(self.limits.deliver);
        }
    }

    /// Each stream that broke may have cost one more ping.
    fn told_breaks(&self) -> usize {
        let streams: u64 = self.links.values().map(|(_, link)| link.epoch).sum();
        usize::try_from(streams).unwrap()
    }
}

fn event() -> impl Strategy<Value = Event> {
    let n = any::<u8>;
    prop_oneof![
        4 => (n(), n()).prop_map(|(user, domain)| Event::Sip { user, domain }),
        2 => (n(), n()).prop_map(|(user, domain)| Event::Xmpp { user, domain }),
        2 => (any::<bool>(), n()).prop_map(|(inward, domain)| Event::Forward { inward, domain }),
        3 => n().prop_map(|link| Event::Open { link }),
        4 => (n(), 1..6_u8).prop_map(|(link, letters)| Event::Write { link, letters }),
        4 => (n(), 1..6_u8).prop_map(|(link, reports)| Event::Tell { link, reports }),
        1 => (n(), n()).prop_map(|(link, trouble)| Event::Fail { link, trouble }),
        1 => n().prop_map(|link| Event::Break { link }),
        4 => (n(), 1..6_u8, prop::bool::weighted(0.3))
            .prop_map(|(link, stanzas, refuses)| Event::Read { link, stanzas, refuses }),
        1 => n().prop_map(|link| Event::Swallow { link }),
        4 => n().prop_map(|which| Event::Answer { which }),
        1 => (n(), n()).prop_map(|(which, by)| Event::Forge { which, by }),
        1 => (n(), prop::sample::select(vec![200_u16, 202, 302, 404, 408, 480, 500, 603]))
            .prop_map(|(which, status)| Event::Final { which, status }),
        1 => (n(), n()).prop_map(|(which, trouble)| Event::Lost { which, trouble }),
        2 => (n(), n(), n()).prop_map(|(user, domain, state)| Event::Types { user, domain, state }),
        1 => (n(), any::<bool>()).prop_map(|(user, types)| Event::Shows { user, types }),
        1 => (1..20_u8).prop_map(|seconds| Event::Stop { seconds }),
        2 => prop_oneof![0..500_u16, 2_000..4_000_u16, 20_000..40_000_u16]
            .prop_map(|milliseconds| Event::Wait { milliseconds }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_sender_is_told_once_and_the_truth(
        pending in prop_oneof![Just(3_usize), Just(1_000)],
        room in prop_oneof![Just(2_usize), Just(100)],
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(pending, room);
        for event in &events {
            world.happen(event);
        }
        world.end();
    }
}

/// A peer that reads and answers at once, and one that never does: memory and pings stay in proportion.
#[test]
fn a_long_time_with_many_domains_leaves_nothing_behind() {
    let mut world = World::new(1_000, 1_000);
    for round in 0..600_u16 {
        let to = format!("romeo@n{round}.example");
        world.say(
            Side::Inside,
            "juliet@corp.example/x",
            &to,
            (Protocol::Xmpp, Protocol::Xmpp),
        );
        world.wait(world.limits.gather);
        let last = u8::try_from(world.links.len() - 1).unwrap();
        world.happen(&Event::Open { link: last });
        world.happen(&Event::Write {
            link: last,
            letters: 9,
        });
        if round % 2 == 0 {
            world.happen(&Event::Tell {
                link: last,
                reports: 9,
            });
        }
        world.happen(&Event::Read {
            link: last,
            stanzas: 9,
            refuses: false,
        });
        world.happen(&Event::Answer { which: 0 });
        assert!(world.gateway.links.is_empty(), "round {round}");
        assert_eq!(world.gateway.waiting(), 0);
        // The world forgets what the gateway must not remember.
        world.links.clear();
    }
    assert_eq!(world.pings, 600);
    world.end();
}
