//! The two machines of the specification (interworking §6), row by row, as both sides see them: what is said to the user of XMPP
//! (`X`), what is asked and answered on the SIP side (`S`), and what a restart makes of it.

mod conditional;
mod memory;
mod restart;
mod serve;
mod trouble;
mod watch;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::*;
use crate::gateway::presence::{Change, Ends, Record};
use crate::sip::Method;
use crate::xmpp::stanza::PresenceType;
pub(super) use words::open;
use words::{document, tagged, type_of, word};

pub(super) const BOB: &str = "bob@corp.example";
pub(super) const ALICE: &str = "alice@partner.example";

/// A gateway between a server of XMPP and one of SIP that do as they are told, with a store.
pub(super) struct World {
    gateway: Gateway<u32>,
    border: Arc<Border>,
    now: Instant,
    unix: u64,
    life: u64,
    pub(super) store: BTreeMap<Ends, Record>,
    /// The SUBSCRIBE that waits for its answer, and the last that was sent.
    asked: VecDeque<(Token, Request)>,
    subscribe: Option<Request>,
    /// The NOTIFYs that wait for theirs.
    notified: VecDeque<(Token, Request)>,
    /// The last NOTIFY of ours, in whose dialog our watcher goes on.
    notify: Option<Request>,
    numbers: u32,
    /// The tags of what the SIP side tells, and of what it has; nothing for none.
    pub(super) etag: &'static str,
    pub(super) has: String,
    /// The stanzas that wait to be written.
    words: VecDeque<Token>,
    said: Vec<String>,
    /// Whether NOTIFYs are answered 200 and stanzas written by themselves.
    is_well: bool,
    /// Whether the store takes its time, and what it has still to say that it has kept.
    is_slow: bool,
    unkept: Vec<u64>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Setting::default())
    }

    pub(super) fn with(setting: Setting) -> Self {
        Self::bounded(setting, GatewayLimits::default())
    }

    pub(super) fn bounded(setting: Setting, limits: GatewayLimits) -> Self {
        let mut this = Self {
            gateway: Gateway::new(3, limits, &speaker(77, "")),
            border: Arc::new(setting.border()),
            now: Instant::now(),
            unix: 1_800_000_000,
            life: 1,
            store: BTreeMap::new(),
            asked: VecDeque::new(),
            subscribe: None,
            notified: VecDeque::new(),
            notify: None,
            numbers: 0,
            etag: "",
            has: String::new(),
            words: VecDeque::new(),
            said: Vec::new(),
            is_well: true,
            is_slow: false,
            unkept: Vec::new(),
        };
        this.configure();
        this
    }

    fn configure(&mut self) {
        let (border, unix) = (Arc::clone(&self.border), self.unix);
        self.gateway.handle(self.now, Input::Configured { border, unix });
    }

    /// Another configuration is in force.
    pub(super) fn reload(&mut self, setting: Setting) -> String {
        self.border = Arc::new(setting.border());
        self.configure();
        self.done()
    }

    /// The process is killed and another begins after a while.
    pub(super) fn restart(&mut self, down: u64) -> String {
        self.begin_anew(down);
        self.read_records()
    }

    /// Another process begins, and its store has not said anything.
    pub(super) fn begin_anew(&mut self, down: u64) {
        self.life += 1;
        self.now += Duration::from_secs(down);
        self.unix += down;
        let speaker = Speaker::new(
            AnswerIds::new(77 + self.life),
            Domain::parse("edge.corp.example").unwrap(),
            "",
            [u8::try_from(self.life).unwrap(); 32],
        );
        self.gateway = Gateway::new(3, GatewayLimits::default(), &speaker).expecting_records();
        (self.asked, self.notified, self.words) = Default::default();
        self.configure();
    }

    /// The store has kept everything.
    pub(super) fn kept(&mut self) -> String {
        for ticket in std::mem::take(&mut self.unkept) {
            self.gateway.handle(self.now, Input::Persisted { ticket });
        }
        self.done()
    }

    /// The store gives what it has.
    pub(super) fn read_records(&mut self) -> String {
        let (records, unix) = (self.store.values().cloned().collect(), self.unix);
        self.gateway.handle(self.now, Input::Restore { records, unix });
        self.gateway.handle(self.now, Input::Restored);
        self.done()
    }

    /// It is asked to stop.
    pub(super) fn stop(&mut self) -> String {
        let by = self.now + Duration::from_secs(30);
        self.gateway.handle(self.now, Input::Stop { by });
        self.done()
    }

    /// Time passes, second by second.
    pub(super) fn pass(&mut self, seconds: u64) -> String {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.unix += 1;
            self.gateway.handle(self.now, Input::Tick);
            self.act();
        }
        self.done()
    }

    /// Time passes until the server of bob is asked whether he is there, before the subscription that stands for an hour is refreshed.
    pub(super) fn until_probed(&mut self) {
        let is_probed = (0..3_600).any(|_| self.pass(1) == "X: probe");
        assert!(is_probed, "nobody asks before it ends");
    }

    /// The server of bob says presence to alice: a type, or nothing for available.
    pub(super) fn x(&mut self, kind: &str) -> String {
        self.x_at("desk", kind, &[])
    }

    pub(super) fn x_at(&mut self, device: &str, kind: &str, children: &[(&str, &str)]) -> String {
        let kind = match kind {
            "" => PresenceType::Available,
            kind => type_of(kind),
        };
        let from = match kind {
            PresenceType::Available | PresenceType::Unavailable | PresenceType::Probe
                if !device.is_empty() =>
            {
                format!("{BOB}/{device}")
            }
            PresenceType::Available
            | PresenceType::Unavailable
            | PresenceType::Probe
            | PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed
            | PresenceType::Error => BOB.to_owned(),
        };
        let stanza = children.iter().fold(
            Stanza::new(Kind::Presence(kind), jid(&from), jid(ALICE)),
            |stanza, (name, text)| stanza.with_child(Element::new(name, ns::STANZA).with_text(text)),
        );
        self.stanza(stanza)
    }

    /// His server answers with an error.
    pub(super) fn x_error(&mut self, condition: &str) -> String {
        let error = Element::new("error", ns::STANZA)
            .with_attribute("type", "cancel")
            .with_child(Element::new(condition, "urn:ietf:params:xml:ns:xmpp-stanzas"));
        let stanza = Stanza::new(Kind::Presence(PresenceType::Error), jid(BOB), jid(ALICE));
        self.stanza(stanza.with_child(error))
    }

    fn stanza(&mut self, stanza: Stanza) -> String {
        match self.border.admit_stanza(Side::Inside, stanza, today(), &[7; 32]) {
            Ok(AdmittedStanza::Deliver(delivery)) => {
                let origin = None;
                self.gateway.handle(self.now, Input::Deliver { delivery, origin });
            }
            Ok(AdmittedStanza::Ignore) => self.said.push("ignored".to_owned()),
            Ok(AdmittedStanza::GivenUp { ends, what, refused }) => {
                let hold = None;
                self.gateway.handle(self.now, Input::GivenUp { ends, what, hold });
                if let Some(refused) = refused {
                    self.said.push(format!("refused: {}", refused.class()));
                }
            }
            Ok(other) => panic!("{other:?}"),
            Err(rejected) => self.said.push(format!("refused: {}", rejected.class())),
        }
        self.done()
    }

    /// The SIP side answers the SUBSCRIBE that waits.
    pub(super) fn answer(&mut self, status: u16, field: &str) -> String {
        let (token, request) = self.asked.pop_front().expect("a SUBSCRIBE waits");
        let status = StatusCode::new(status).unwrap();
        let mut response = request.response(status, "", Some("s1"));
        if let Some((name, value)) = field.split_once(": ") {
            match name {
                "Expires" => response.headers_mut().set_expires(value.parse().ok()),
                name => response.headers_mut().push(name, value).unwrap(),
            }
        }
        let response = Box::new(response);
        self.gateway.handle(self.now, Input::Response { token, response });
        self.done()
    }

    /// It does not answer.
    pub(super) fn fail(&mut self, trouble: Trouble) -> String {
        let (token, _) = self.asked.pop_front().expect("a SUBSCRIBE waits");
        self.gateway.handle(self.now, Input::Returned { token, trouble });
        self.done()
    }

    /// It notifies in the subscription that was asked for last.
    pub(super) fn told(&mut self, state: &str, body: &str) -> String {
        let asked = self.subscribe.clone().expect("a SUBSCRIBE was sent");
        let headers = asked.headers();
        self.numbers += 1;
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/pidf+xml\r\n"
        };
        let text = format!(
            "NOTIFY {} SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKn{}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@partner.example>;tag=s1\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} NOTIFY\r\n\
             Contact: <sip:p.partner.example;transport=tls>\r\nEvent: presence\r\nSubscription-State: {state}\r\n{}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            "sip:bob@edge.corp.example;transport=tls",
            self.numbers,
            headers.from(),
            headers.call_id(),
            self.numbers,
            tagged("SIP-ETag", self.etag),
            body.len(),
        );
        self.request(&text)
    }

    /// alice subscribes; in the dialog of the last notification where she has a tag of ours.
    pub(super) fn ask(&mut self, expires: u32, is_new: bool) -> String {
        self.numbers += 1;
        let number = self.numbers;
        let (to, target, call_id) = match self.notify.as_ref().filter(|_| !is_new) {
            Some(notify) => (
                notify.headers().from().to_string(),
                "sip:bob@edge.corp.example;transport=tls".to_owned(),
                notify.headers().call_id().to_string(),
            ),
            None => (
                format!("<sip:{BOB}>"),
                format!("sip:{BOB}"),
                format!("ask{number}"),
            ),
        };
        let text = format!(
            "SUBSCRIBE {target} SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKa{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@partner.example>;tag=w1\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {number} SUBSCRIBE\r\n\
             Contact: <sip:alice@10.0.0.9;transport=tls>\r\nEvent: presence\r\nExpires: {expires}\r\n{}Content-Length: 0\r\n\r\n",
            tagged("Suppress-If-Match", &self.has),
        );
        self.request(&text)
    }

    pub(super) fn request(&mut self, text: &str) -> String {
        let request = match sip::parse::message(text.as_bytes(), &SipLimits::default()) {
            Ok(Message::Request(request)) => request,
            other => panic!("{text}\nis no request: {other:?}"),
        };
        let origin = Some(self.numbers);
        match self
            .border
            .admit_sip(Side::Outside, request, &mut Proven(&["partner.example"]), today())
        {
            Ok(Admitted::Deliver(delivery)) => {
                self.gateway.handle(self.now, Input::Deliver { delivery, origin });
            }
            Ok(Admitted::Blocked { request, ends }) => {
                let input = Input::Blocked {
                    request,
                    ends,
                    origin,
                };
                self.gateway.handle(self.now, input);
            }
            Ok(other) => panic!("{other:?}"),
            Err(rejected) => self
                .said
                .push(format!("S< {}", rejected.response().status().code())),
        }
        self.done()
    }

    fn act(&mut self) {
        loop {
            while let Some(output) = self.gateway.poll(self.now) {
                self.carry_out(output);
            }
            if !self.is_well {
                return;
            }
            let written: Vec<Token> = self.words.drain(..).collect();
            let epoch = 1;
            if !written.is_empty() {
                self.gateway.handle(
                    self.now,
                    Input::Written {
                        tokens: written,
                        epoch,
                    },
                );
            }
            let Some((token, notify)) = self.notified.pop_front() else {
                return;
            };
            let response = Box::new(notify.response(StatusCode::OK, "", None));
            self.gateway.handle(self.now, Input::Response { token, response });
        }
    }

    fn carry_out(&mut self, output: Output<u32>) {
        match output {
            Output::Send { stanza, token, .. } => {
                self.words.extend(token);
                self.said.push(format!("X: {}", word(&stanza)));
            }
            Output::Request { request, token, .. } => {
                if *request.method() == Method::Subscribe {
                    let expires = request.headers().expires().unwrap_or_default();
                    let place = if request.headers().to().tag().is_some() {
                        " in its dialog"
                    } else {
                        ""
                    };
                    let condition = request.headers().get("Suppress-If-Match");
                    let condition = condition.map_or_else(String::new, |tag| format!(" unless {tag}"));
                    self.said
                        .push(format!("S> SUBSCRIBE {expires}{place}{condition}"));
                    self.subscribe = Some(*request.clone());
                    self.asked.push_back((token, *request));
                } else if *request.method() == Method::Message {
                    self.said.push(format!("S> MESSAGE {}", request.uri()));
                } else {
                    let state = request.headers().subscription_state().unwrap();
                    let reason = state
                        .reason()
                        .map_or_else(String::new, |reason| format!(";{reason}"));
                    let body = document(&request);
                    self.said
                        .push(format!("S> NOTIFY {}{reason}{body}", state.state()));
                    self.notify = Some(*request.clone());
                    self.notified.push_back((token, *request));
                }
            }
            Output::Respond { response, .. } => {
                self.said.push(format!("S< {}", response.status().code()));
            }
            Output::Persist { ticket, changes } => {
                for change in changes {
                    match change {
                        Change::Put(record) => drop(self.store.insert(record.ends.clone(), *record)),
                        Change::Forget(ends) => drop(self.store.remove(&ends)),
                    }
                }
                if self.is_slow {
                    self.unkept.push(ticket);
                } else {
                    self.gateway.handle(self.now, Input::Persisted { ticket });
                }
            }
            other
            @ (Output::Pong(_) | Output::Recall { .. } | Output::Observe(_) | Output::Untold { .. }) => {
                panic!("{other:?}")
            }
        }
    }

    fn done(&mut self) -> String {
        self.act();
        std::mem::take(&mut self.said).join(", ")
    }

    /// How the subscriptions stand, as an administrator is shown them.
    pub(super) fn listed(&self) -> String {
        let page = self.gateway.subscriptions(self.now, None, 100);
        let words = page
            .listed
            .iter()
            .map(|listed| format!("{:?} {} {}", listed.watcher, listed.state, listed.dialogs));
        words.collect::<Vec<_>>().join(", ")
    }
}
