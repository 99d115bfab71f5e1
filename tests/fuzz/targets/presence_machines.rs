//! Presence across the protocols, as the gateway with its border has it: users, servers, links and the store by a script, in any
//! order and with anything wrong, over reloads, jumps of the clock and restarts through what was stored. Whatever comes: each turn
//! ends and no timer stands still, what is held is bounded and counted right, each request is answered once, the numbers of a
//! dialog grow, and nobody is shown a state whom its user never let in or whom policy keeps out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use vestibule::choices::Choices;
use vestibule::domain::{Domain, DomainPattern};
use vestibule::gateway::presence::{Change, Ends, Record, Watcher};
use vestibule::gateway::{
    Admitted, AdmittedStanza, AnswerIds, Border, Conduct, Gateway, Input, Link, Output, Peer, Speaker, Token,
    Translation, Trouble, Unproven,
};
use vestibule::identity::Authenticated;
use vestibule::interwork::passage::Mark;
use vestibule::limits::{GatewayLimits, Limits, SipLimits};
use vestibule::policy::{
    Action, Block, Blocked, Directions, Exception, FederatedDomain, Kind as PolicyKind, Party, RuleSet, Rules, Source,
    Style,
};
use vestibule::route::{self, Federated, Local, Node, Nodes, Protocol, Role, Side, Speaks, Table};
use vestibule::sip::{self, Date, Message, Method, Request, StatusCode};
use vestibule::xml::Element;
use vestibule::xmpp::stanza::{Kind, PresenceType};
use vestibule::xmpp::{Jid, Stanza, ns};

pub fn run(data: &[u8]) {
    World::new().run(Choices::new(data));
}

const BOBS: [&str; 2] = ["b0@corp.example", "b1@corp.example"];
const ALICES: [&str; 3] = ["a0@partner.example", "a1@partner.example", "m0@ms.example"];
/// Fewer than there are pairs, so that some find no room.
const RELATIONS: usize = 5;
const DIALOGS: usize = 16;

type Pair = (String, String);

/// What was sent and waits for what becomes of it.
struct Sent {
    token: Token,
    request: Request,
}

struct World {
    gateway: Gateway<u32>,
    border: usize,
    now: Instant,
    unix: u64,
    life: u64,
    epoch: u64,
    numbers: u32,
    store: BTreeMap<Ends, Record>,
    /// What the store was given and has not kept.
    unkept: Vec<(u64, Vec<Change>)>,
    sent: Vec<Sent>,
    words: Vec<Token>,
    written: Vec<Token>,
    /// Requests that nobody has answered.
    open: HashSet<u32>,
    /// The last SUBSCRIBE and the last NOTIFY of ours between two, and all of their Call-IDs.
    subscribes: HashMap<Pair, Request>,
    notifies: HashMap<Pair, Request>,
    notified: u32,
    /// The last number that we used in a dialog.
    sequences: HashMap<(String, String), u32>,
    /// Who has ever let whom see.
    let_in: HashSet<Pair>,
    /// Between whom the SIP side has ever notified anything.
    told: HashSet<Pair>,
    /// The Call-IDs of those who only ask once.
    polls: HashSet<String>,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let mut this = Self {
            gateway: gateway(1),
            border: 0,
            now,
            unix: 1_800_000_000,
            life: 1,
            epoch: 1,
            numbers: 0,
            store: BTreeMap::new(),
            unkept: Vec::new(),
            sent: Vec::new(),
            words: Vec::new(),
            written: Vec::new(),
            open: HashSet::new(),
            subscribes: HashMap::new(),
            notifies: HashMap::new(),
            notified: 0,
            sequences: HashMap::new(),
            let_in: HashSet::new(),
            told: HashSet::new(),
            polls: HashSet::new(),
        };
        this.configure(0);
        this.tell(Input::Restored);
        this
    }

    fn run(mut self, mut choices: Choices<'_>) {
        while !choices.is_done() {
            self.step(&mut choices);
            self.tick();
        }
        self.leave_alone();
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.next() % 32 {
            0..=6 => self.stanza(choices),
            7..=11 => self.subscribe(choices),
            12..=16 => self.notify(choices),
            17..=20 => self.respond(choices),
            21 => self.fail(choices),
            22 => self.write(),
            23 => self.lose_words(choices),
            24 => self.keep(),
            25 | 26 => self.wait(),
            27 => self.pass(Duration::from_millis(u64::from(choices.next()) * 100)),
            28 => self.pass(Duration::from_secs(u64::from(choices.wide()))),
            29 => {
                self.unix = self.unix.saturating_add_signed(choices.pick(&[-90_000, -60, 60, 90_000, -1_800_000_000]));
                let border = usize::from(choices.next()) % borders().len();
                self.configure(border);
            }
            30 => self.restart(choices),
            _ => self.keep(),
        }
    }

    fn pair(choices: &mut Choices<'_>) -> Pair {
        let chosen = choices.next();
        let of = |names: &[&str], number: u8| names[usize::from(number) % names.len()].to_owned();
        (of(&BOBS, chosen), of(&ALICES, chosen >> 4))
    }

    /// A user of XMPP, or his server, says something.
    fn stanza(&mut self, choices: &mut Choices<'_>) {
        let pair = Self::pair(choices);
        let kind = choices.pick(&[
            PresenceType::Subscribe,
            PresenceType::Subscribed,
            PresenceType::Available,
            PresenceType::Probe,
            PresenceType::Unavailable,
            PresenceType::Unsubscribed,
            PresenceType::Unsubscribe,
            PresenceType::Error,
        ]);
        let device = choices.next() % 40;
        let from = match device {
            0 => pair.0.clone(),
            device => format!("{}/d{device}", pair.0),
        };
        let mut stanza = Stanza::new(Kind::Presence(kind), jid(&from), jid(&pair.1));
        if kind == PresenceType::Error {
            let condition = choices.pick(&[
                "item-not-found", "service-unavailable", "remote-server-timeout", "gone", "forbidden", "jid-malformed",
            ]);
            let error = Element::new("error", ns::STANZA)
                .with_attribute("type", choices.pick(&["cancel", "wait", "auth"]))
                .with_child(Element::new(condition, "urn:ietf:params:xml:ns:xmpp-stanzas"));
            stanza = stanza.with_child(error);
        } else if choices.seldom(2) {
            stanza = stanza
                .with_child(Element::new("show", ns::STANZA).with_text(choices.pick(&["away", "dnd", "odd", ""])))
                .with_child(Element::new("status", ns::STANZA).with_text(&choices.text()))
                .with_child(Element::new("priority", ns::STANZA).with_text(choices.pick(&["-1", "127", "999"])));
        }
        if kind == PresenceType::Subscribed {
            self.let_in.insert(pair);
        }
        match borders()[self.border].admit_stanza(Side::Inside, stanza, today(), &[7; 32]) {
            Ok(AdmittedStanza::Deliver(delivery)) => self.tell(Input::Deliver { delivery, origin: None }),
            Ok(AdmittedStanza::GivenUp { ends, what, .. }) => self.tell(Input::GivenUp { ends, what, hold: None }),
            Ok(AdmittedStanza::Ignore) | Err(_) => {}
            Ok(other) => panic!("{other:?}"),
        }
    }

    /// A user of SIP subscribes, in a dialog or out of one.
    fn subscribe(&mut self, choices: &mut Choices<'_>) {
        let (bob, alice) = Self::pair(choices);
        self.numbers += 1;
        let number = self.numbers;
        let shape = choices.next();
        let notify = self.notifies.get(&(bob.clone(), alice.clone())).filter(|_| shape % 4 != 0);
        let (to, call) = match notify {
            Some(notify) => (notify.headers().from().to_string(), notify.headers().call_id().to_string()),
            None if shape & 0x70 == 0x70 => (format!("<sip:{bob}>;tag=made-up"), format!("ask{number}")),
            None => (format!("<sip:{bob}>"), format!("ask{number}")),
        };
        let expires = choices.pick(&["3600", "", "0", "1", "60", "4294967295", "99999999999999999999", "-1"]);
        if expires == "0" {
            self.polls.insert(call.clone());
        }
        let event = choices.pick(&["presence", "presence", "presence", "presence;id=1", "dialog", ""]);
        let sequence = choices.pick(&[number, number, number, number.saturating_sub(2), 1, 0x7fff_ffff]);
        let tag = notify.and_then(|notify| notify.headers().get("SIP-ETag")).unwrap_or_default();
        let has = ["", tag, "*", "other"][usize::from(shape / 4 % 4)].to_owned();
        let fields = [("Expires", expires), ("Event", event), ("Suppress-If-Match", &has)];
        let head = lines(&fields);
        let text = format!(
            "SUBSCRIBE sip:{bob} SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKa{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{alice}>;tag=w1\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {sequence} SUBSCRIBE\r\n\
             Contact: <sip:a@10.0.0.9;transport=tls>\r\n{head}Content-Length: 0\r\n\r\n"
        );
        self.request(&text, number);
    }

    /// A server of SIP notifies, of what was asked for or of something else.
    fn notify(&mut self, choices: &mut Choices<'_>) {
        let (bob, alice) = Self::pair(choices);
        self.numbers += 1;
        let number = self.numbers;
        let shape = choices.next();
        let subscribe = self.subscribes.get(&(bob.clone(), alice.clone()));
        let (to, call) = match subscribe {
            Some(asked) if shape % 8 != 0 => (asked.headers().from().to_string(), asked.headers().call_id().to_string()),
            Some(asked) if shape % 16 == 0 => (format!("<sip:{bob}>;tag=x"), asked.headers().call_id().to_string()),
            Some(_) | None => (format!("<sip:{bob}>;tag=x"), "of-nothing".to_owned()),
        };
        self.notified = match choices.next() % 8 {
            0 => self.notified.saturating_sub(1),
            1 => self.notified,
            _ => self.notified.saturating_add(1),
        };
        let state = choices.pick(&[
            "active", "active;expires=3600", "pending", "active;expires=4294967295", "terminated;reason=rejected",
            "terminated;reason=deactivated", "terminated;reason=timeout", "terminated;reason=giveup;retry-after=4294967295",
            "terminated;reason=noresource", "odd", "active;expires=0", "", "pending;expires=1",
        ]);
        let (kind, body) = self.document(choices, &alice);
        let event = choices.pick(&["presence", "presence", "presence", "presence", "presence;id=1", "winfo", ""]);
        let method = choices.pick(&["NOTIFY", "NOTIFY", "NOTIFY", "BENOTIFY"]);
        let tag = choices.pick(&["s1", "s1", "s1", "s2"]);
        let etag = ["", "t1", "t2", "*"][usize::from(shape / 32 % 4)];
        let fields = [("Event", event), ("Subscription-State", state), ("Content-Type", kind), ("SIP-ETag", etag)];
        let head = lines(&fields);
        let (said, length) = (self.notified, body.len());
        let text = format!(
            "{method} sip:{bob} SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKn{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{alice}>;tag={tag}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {said} {method}\r\n\
             Contact: <sip:p.partner.example;transport=tls>\r\n{head}Content-Length: {length}\r\n\r\n{body}"
        );
        if !state.starts_with("pending") && call != "of-nothing" {
            self.told.insert((bob, alice));
        }
        self.request(&text, number);
    }

    fn document(&self, choices: &mut Choices<'_>, alice: &str) -> (&'static str, String) {
        let pidf = "application/pidf+xml";
        match choices.next() % 8 {
            0 => ("", String::new()),
            1 => (pidf, "<!DOCTYPE x [<!ENTITY e 'e'>]><presence xmlns='urn:ietf:params:xml:ns:pidf'>&e;</presence>".to_owned()),
            2 => (pidf, "x".repeat(80_000)),
            3 => (pidf, choices.text()),
            4 => ("application/unheard+xml", "<x/>".to_owned()),
            _ => {
                let tuple = |number: u8| {
                    let basic = if number % 4 == 0 { "closed" } else { "open" };
                    format!("<tuple id='t{number}'><status><basic>{basic}</basic></status><note>{number}</note></tuple>")
                };
                let tuples: String = (0..choices.next() % 40).map(tuple).collect();
                let head = format!("<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:{alice}'>");
                (pidf, format!("{head}{tuples}</presence>"))
            }
        }
    }

    fn request(&mut self, text: &str, number: u32) {
        let Ok(Message::Request(request)) = sip::parse::message(text.as_bytes(), &SipLimits::default()) else {
            return;
        };
        let origin = Some(number);
        match borders()[self.border].admit_sip(Side::Outside, request, &mut Everybody, today()) {
            Ok(Admitted::Deliver(delivery)) => {
                self.open.insert(number);
                self.tell(Input::Deliver { delivery, origin });
            }
            Ok(Admitted::Blocked { request, ends }) => {
                self.open.insert(number);
                self.tell(Input::Blocked { request, ends, origin });
            }
            Ok(Admitted::Answer(_)) | Err(_) => {}
            Ok(other) => panic!("{other:?}"),
        }
    }

    /// The SIP side answers something of ours.
    fn respond(&mut self, choices: &mut Choices<'_>) {
        let chosen = choices.next();
        if self.sent.is_empty() {
            return;
        }
        let at = usize::from(chosen) % self.sent.len();
        let code = choices.pick(&[
            200, 200, 200, 202, 204, 100, 423, 481, 408, 500, 503, 489, 403, 603, 404, 301, 699,
        ]);
        let status = StatusCode::new(code).expect("a status");
        let Sent { token, request } = &self.sent[at];
        let token = *token;
        let mut response = request.response(status, "", Some(choices.pick(&["s1", "s1", "s2"])));
        response.headers_mut().set_expires(choices.pick(&[Some(3_600), None, Some(0), Some(u32::MAX), Some(1)]));
        let field = choices.pick(&[("", ""), ("Min-Expires", "7200"), ("Min-Expires", "4294967295"), ("Retry-After", "4294967295")]);
        if !field.0.is_empty() {
            response.headers_mut().push(field.0, field.1).expect("a clean value");
        }
        if choices.seldom(4) {
            let pair = pair_of(request);
            let body = format!("<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='pres:{}'/>", pair.1);
            self.told.insert(pair);
            let kind = vestibule::mime::MediaType::parse("application/pidf+xml").expect("a type");
            response = response.with_body(kind, body);
        }
        if code >= 200 {
            self.sent.swap_remove(at);
        }
        self.tell(Input::Response { token, response: Box::new(response) });
    }

    fn fail(&mut self, choices: &mut Choices<'_>) {
        let (chosen, trouble) = (usize::from(choices.next()), choices.pick(&TROUBLES));
        if !self.sent.is_empty() {
            let token = self.sent.swap_remove(chosen % self.sent.len()).token;
            self.tell(Input::Returned { token, trouble });
        }
    }

    fn write(&mut self) {
        let (tokens, epoch) = (std::mem::take(&mut self.words), self.epoch);
        self.written.extend(&tokens);
        self.tell(Input::Written { tokens, epoch });
    }

    fn lose_words(&mut self, choices: &mut Choices<'_>) {
        match choices.next() % 3 {
            0 => {
                for token in std::mem::take(&mut self.words) {
                    let trouble = Trouble::Unreachable;
                    self.tell(Input::Returned { token, trouble });
                }
            }
            1 => {
                let (tokens, epoch) = (std::mem::take(&mut self.written), self.epoch);
                self.tell(Input::Acknowledged { tokens, epoch });
            }
            _ => {
                let epoch = self.epoch;
                self.epoch += 1;
                self.written.clear();
                for local in ["partner.example", "ms.example"] {
                    let (local, remote) = (domain(local), domain("corp.example"));
                    self.tell(Input::Broken { link: Link::Xmpp { local, remote }, epoch });
                }
            }
        }
    }

    fn keep(&mut self) {
        for (ticket, changes) in std::mem::take(&mut self.unkept) {
            self.put(changes);
            self.tell(Input::Persisted { ticket });
        }
    }

    fn put(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(record) => drop(self.store.insert(record.ends.clone(), *record)),
                Change::Forget(ends) => drop(self.store.remove(&ends)),
            }
        }
        assert!(self.store.len() <= BOBS.len() * ALICES.len());
    }

    fn configure(&mut self, border: usize) {
        self.border = border;
        let (border, unix) = (Arc::clone(&borders()[border]), self.unix);
        self.tell(Input::Configured { border, unix });
    }

    /// The process is killed, with or without what it had just given to the store, and another takes it up.
    fn restart(&mut self, choices: &mut Choices<'_>) {
        for (_, changes) in std::mem::take(&mut self.unkept) {
            if choices.seldom(2) {
                // Dialogs go on from what is written.
                self.sequences.clear();
            } else {
                self.put(changes);
            }
        }
        self.life += 1;
        self.gateway = gateway(self.life);
        (self.sent, self.words, self.written) = Default::default();
        self.open.clear();
        self.pass_silently(Duration::from_secs(u64::from(choices.wide()) * 2));
        self.configure(usize::from(choices.next()) % borders().len());
        let records: Vec<Record> = self.store.values().cloned().collect();
        for record in records {
            if choices.seldom(4) {
                self.stanza(choices);
                self.subscribe(choices);
            }
            let unix = self.unix;
            self.tell(Input::Restore { records: vec![record], unix });
        }
        self.tell(Input::Restored);
    }

    fn pass_silently(&mut self, time: Duration) {
        self.now += time;
        self.unix = self.unix.saturating_add(time.as_secs());
    }

    fn pass(&mut self, time: Duration) {
        self.pass_silently(time);
        self.tell(Input::Tick);
    }

    fn wait(&mut self) {
        if let Some(at) = self.gateway.timeout() {
            self.pass(at.saturating_duration_since(self.now));
        }
    }

    /// What is due is done, and then nothing is due.
    fn tick(&mut self) {
        for _ in 0..50 {
            if self.gateway.timeout().is_none_or(|at| at > self.now) {
                return;
            }
            self.tell(Input::Tick);
        }
        panic!("its timer stands still");
    }

    /// Nothing comes any more, and everything is answered: nobody is left waiting, and it comes to rest.
    fn leave_alone(mut self) {
        let until = self.now + Duration::from_secs(120);
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 5_000, "it never rests");
            self.keep();
            self.write();
            for Sent { token, request } in std::mem::take(&mut self.sent) {
                let mut response = Box::new(request.response(StatusCode::OK, "", Some("s1")));
                response.headers_mut().set_expires(request.headers().expires());
                self.tell(Input::Response { token, response });
            }
            self.tick();
            match self.gateway.timeout() {
                Some(at) if at <= until => self.wait(),
                _ => break,
            }
        }
        assert!(self.open.is_empty(), "nobody has answered {:?}", self.open);
    }

    fn tell(&mut self, input: Input<u32>) {
        self.gateway.handle(self.now, input);
        let mut outputs = 0;
        while let Some(output) = self.gateway.poll(self.now) {
            outputs += 1;
            assert!(outputs < 10_000, "it never ends");
            self.carry_out(output);
        }
        self.check_bounds();
    }

    fn carry_out(&mut self, output: Output<u32>) {
        match output {
            Output::Send { stanza, token, .. } => {
                self.words.extend(token);
                self.check_word(&stanza);
            }
            Output::Request { request, token, .. } => {
                self.check_request(&request);
                let pair = pair_of(&request);
                if *request.method() == Method::Subscribe {
                    self.subscribes.insert(pair, (*request).clone());
                } else {
                    self.notifies.insert(pair, (*request).clone());
                }
                self.sent.push(Sent { token, request: *request });
            }
            Output::Respond { origin, .. } => {
                assert!(self.open.remove(&origin), "answered twice, or never asked");
            }
            Output::Persist { ticket, changes } => self.unkept.push((ticket, changes)),
            // Of an error to who finds no room here.
            Output::Observe(_) | Output::Untold { .. } => {}
            Output::Pong(_) | Output::Recall { .. } => panic!("{output:?}"),
        }
    }

    fn check_word(&mut self, stanza: &Stanza) {
        let pair = (stanza.to().bare().to_string(), stanza.from().bare().to_string());
        match stanza.kind() {
            Kind::Presence(PresenceType::Available) => {
                assert!(self.told.contains(&pair), "a state that nobody has told: {stanza:?}");
                assert!(self.may_see(&pair), "a state is shown that policy forbids: {stanza:?}");
            }
            Kind::Presence(PresenceType::Subscribed) => {
                assert!(self.told.contains(&pair), "nobody has let him see: {stanza:?}");
            }
            Kind::Presence(PresenceType::Subscribe | PresenceType::Probe) => {
                assert!(self.may_see(&pair), "somebody is brought before a user whom policy keeps out");
            }
            Kind::Presence(_) => {}
            other => panic!("{other:?}"),
        }
    }

    /// Whether the configuration lets the two see each other.
    fn may_see(&self, (_, sip): &Pair) -> bool {
        match BORDERS[self.border] {
            Way::Open => true,
            Way::Denied => !sip.ends_with("@partner.example"),
            Way::Blocked => sip != ALICES[0],
        }
    }

    fn check_request(&mut self, request: &Request) {
        let mut octets = Vec::new();
        sip::write::request(request, &mut octets);
        let read = sip::parse::message(&octets, &SipLimits::default());
        assert!(matches!(read, Ok(Message::Request(_))), "what we send cannot be read");
        let headers = request.headers();
        let pair = pair_of(request);
        let call = headers.call_id().to_string();
        let tag = headers.from().tag().unwrap_or_default().to_owned();
        let number = headers.cseq().number();
        let before = self.sequences.insert((call.clone(), tag), number);
        assert!(before.is_none_or(|before| before < number), "CSeq does not grow");
        if *request.method() == Method::Notify && String::from_utf8_lossy(request.body()).contains(">open<") {
            let is_answer = self.polls.contains(&call) && headers.subscription_state().is_some_and(|state| state.is("terminated"));
            assert!(is_answer || self.let_in.contains(&pair), "shown to who was never let in");
            assert!(self.may_see(&pair), "shown to whom policy keeps out");
        }
    }

    fn check_bounds(&self) {
        let page = self.gateway.subscriptions(self.now, None, 1_000);
        assert!(page.next.is_none() && page.listed.len() <= 2 * RELATIONS);
        let mut counted: BTreeMap<(Watcher, &str), i64> = BTreeMap::new();
        for listed in &page.listed {
            assert!(listed.dialogs <= DIALOGS, "{listed:?}");
            *counted.entry((listed.watcher, listed.state)).or_default() += 1;
        }
        for (watcher, state, count) in self.gateway.tally().states() {
            let listed = counted.remove(&(watcher, state)).unwrap_or_default();
            assert_eq!(count, listed, "{watcher:?} {state}: counted, and listed");
        }
        assert!(counted.is_empty(), "listed and not counted: {counted:?}");
    }
}

fn gateway(life: u64) -> Gateway<u32> {
    let mut limits = GatewayLimits::default();
    (limits.presence.relations, limits.presence.adhoc) = (RELATIONS, 2);
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&life.to_le_bytes());
    let speaker = Speaker::new(AnswerIds::new(life), domain("edge.corp.example"), "", secret);
    Gateway::new(3, limits, &speaker).expecting_records()
}

/// What a configuration says of presence.
#[derive(Clone, Copy)]
enum Way {
    Open,
    Denied,
    /// The first of SIP is blocked politely.
    Blocked,
}

const BORDERS: [Way; 4] = [Way::Open, Way::Denied, Way::Blocked, Way::Open];

fn borders() -> &'static [Arc<Border>] {
    static BORDER: OnceLock<Vec<Arc<Border>>> = OnceLock::new();
    BORDER.get_or_init(|| BORDERS.iter().map(|way| Arc::new(border(*way))).collect())
}

fn border(way: Way) -> Border {
    let source = || Source::new("a line");
    let local = Local {
        domain: domain("corp.example"),
        protocol: Protocol::Xmpp,
        role: Role::User,
        nodes: Nodes::List(vec![Node {
            host: route::Host::parse("imp1.corp.example").expect("a host"),
            port: None,
            transport: route::Transport::Tcp,
            priority: 1,
            weight: 1,
        }]),
        tls: None,
        link: route::Link::S2s,
        profile: route::Profile::Simple,
    };
    let foreign = [("partner.example", route::Profile::Simple), ("ms.example", route::Profile::Microsoft)];
    let entry = |(name, profile): &(&str, route::Profile)| Federated {
        protocol: Speaks::Only(Protocol::Sip),
        profile: *profile,
        ..Federated::unlisted(pattern(name))
    };
    let rules = Rules::new(RuleSet {
        default: Action::Deny,
        default_source: source(),
        exceptions: match way {
            Way::Denied => vec![Exception {
                pattern: pattern("partner.example"),
                directions: Directions::Both,
                kinds: [PolicyKind::Presence].into_iter().collect(),
                action: Action::Deny,
                source: source(),
            }],
            Way::Open | Way::Blocked => Vec::new(),
        },
        blocks: match way {
            Way::Blocked => vec![Block {
                whom: Blocked::Address(Party::new(Some("a0"), domain("partner.example"))),
                style: Style::Polite,
                source: source(),
            }],
            Way::Open | Way::Denied => Vec::new(),
        },
        federated: foreign
            .iter()
            .map(|(name, _)| FederatedDomain { pattern: pattern(name), source: source() })
            .collect(),
    });
    let table = Table::new(vec![local], foreign.iter().map(entry).collect(), None).expect("a table");
    let mark = Mark::new(b"secret", &domain("edge.corp.example"));
    let conduct = Conduct::new(Translation::On, "", mark);
    Border::new(domain("edge.corp.example"), rules, table, Limits::default(), conduct)
}

/// A far end that proves whatever it claims.
struct Everybody;

impl Peer for Everybody {
    fn proves(&mut self, domain: &Domain, _: &Federated) -> Result<Authenticated, Unproven> {
        Ok(Authenticated::by_route_address(domain.clone()))
    }

    fn is_node_of(&mut self, local: &Local) -> Result<Authenticated, Unproven> {
        Ok(Authenticated::by_node_address(local.domain.clone()))
    }

    fn is_over_tls(&self) -> bool {
        true
    }
}

/// Between whom a request of ours goes: the user of XMPP first.
fn pair_of(request: &Request) -> Pair {
    let user = |address: String| {
        let start = address.find("sip:").map_or(0, |at| at + 4);
        address[start..].split(['>', ';']).next().unwrap_or_default().to_owned()
    };
    let headers = request.headers();
    (user(headers.from().to_string()), user(headers.to().to_string()))
}

/// The fields that have a value, as lines.
fn lines(fields: &[(&str, &str)]) -> String {
    let given = fields.iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

fn pattern(text: &str) -> DomainPattern {
    DomainPattern::parse(text).expect("a pattern")
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).expect("an address")
}

fn today() -> Date {
    Date::from_unix_seconds(1_800_000_000).expect("a date")
}

const TROUBLES: [Trouble; 4] = [Trouble::Timeout, Trouble::Unreachable, Trouble::Overload, Trouble::Broken];
