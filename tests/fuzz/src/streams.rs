//! Machines of XMPP streams under inputs in any order, and what must hold of them whatever comes.
//!
//! A script chooses what the peer sends (whole elements as peers send them, with addresses and texts of the script's
//! choice, or its bare octets), when questions are answered and how, when time passes, and when the connection is cut.
//! [`Witness`] sees all outputs, keeps what was proven, and reads what was transmitted as a peer would.

use std::time::{Duration, Instant};

use crate::choices::Choices;
use crate::domain::Domain;
use crate::limits::{Limits, XmlLimits};
use crate::xml::{Element, StreamItem, StreamReader};
use crate::xmpp::component::Component;
use crate::xmpp::error::{Condition, StreamCondition, StreamError};
use crate::xmpp::ns;
use crate::xmpp::stream::{
    CertificateAnswer, ClientCertificate, Dialback, DialbackAnswer, Event, HostAnswer, Initiating, Input, Method,
    Misuse, Output, PeerCertificate, Question, Receiving, Sasl, StreamSettings, Tls, TlsFacts, Verdict,
};

/// One of the machines.
pub enum Machine {
    Receiving(Box<Receiving>),
    Initiating(Box<Initiating>),
    Component(Box<Component>),
}

/// What the world knows of one machine.
pub struct Witness {
    pub machine: Machine,
    pub now: Instant,
    /// Questions that nobody has answered yet.
    pub questions: Vec<Question>,
    pub encrypted: bool,
    /// Whether the machine waits for the end of a handshake.
    pub handshake: bool,
    /// Whether the terms allow nothing but negotiation before TLS.
    pub must_encrypt: bool,
    /// Whether the terms have dialback in the place of the peer's certificate, whichever way we prove ourselves.
    pub may_be_stranger: bool,
    /// Domains that a certificate proved within TLS.
    pub certified: Vec<Domain>,
    /// Pairs, peer first, whose dialback key was confirmed.
    pub confirmed: Vec<(Domain, Domain)>,
    /// Pairs, ours first, that the machine says are proven.
    pub proven: Vec<(Domain, Domain, Method)>,
    pub events: Vec<Event>,
    /// What the machine wrote, element by element, since its last header.
    pub written: Vec<Element>,
    /// Whether [`Output::Close`] came.
    pub closed: bool,
    reader: StreamReader,
    ended: bool,
    fed: usize,
    sent: usize,
    ticks: usize,
}

impl Machine {
    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Misuse> {
        match self {
            Self::Receiving(machine) => machine.handle(now, input),
            Self::Initiating(machine) => machine.handle(now, input),
            Self::Component(machine) => machine.handle(now, input),
        }
    }

    fn poll(&mut self) -> Option<Output> {
        match self {
            Self::Receiving(machine) => machine.poll(),
            Self::Initiating(machine) => machine.poll(),
            Self::Component(machine) => machine.poll(),
        }
    }

    fn timeout(&self) -> Option<Instant> {
        match self {
            Self::Receiving(machine) => machine.timeout(),
            Self::Initiating(machine) => machine.timeout(),
            Self::Component(machine) => machine.timeout(),
        }
    }
}

impl Witness {
    /// Watches a machine that was just made; `encrypted` where it began within TLS.
    pub fn new(machine: Machine, now: Instant, encrypted: bool) -> Self {
        let mut witness = Self {
            machine,
            now,
            questions: Vec::new(),
            encrypted,
            handshake: false,
            must_encrypt: false,
            may_be_stranger: false,
            certified: Vec::new(),
            confirmed: Vec::new(),
            proven: Vec::new(),
            events: Vec::new(),
            written: Vec::new(),
            closed: false,
            reader: reader(),
            ended: false,
            fed: 0,
            sent: 0,
            ticks: 0,
        };
        witness.absorb();
        witness
    }

    pub fn tell(&mut self, input: Input<'_>) -> Result<(), Misuse> {
        if let Input::Bytes(octets) = &input {
            self.fed += octets.len();
        }
        let told = self.machine.handle(self.now, input);
        self.absorb();
        told
    }

    pub fn feed(&mut self, octets: &[u8]) {
        self.tell(Input::Bytes(octets)).expect("octets are never misuse");
    }

    fn absorb(&mut self) {
        while let Some(output) = self.machine.poll() {
            assert!(!self.closed, "{output:?} after the close");
            match output {
                Output::Transmit(octets) => self.read(&octets),
                Output::StartTls => {
                    assert!(!self.encrypted && !self.handshake, "TLS within TLS");
                    self.handshake = true;
                }
                Output::Ask(question) => {
                    self.questions.push(question);
                    let most = Limits::default().xmpp.pending_dialback + 1;
                    assert!(self.questions.len() <= most, "too many questions");
                }
                Output::Event(event) => self.see(event),
                Output::Close => self.closed = true,
            }
        }
        assert_eq!(self.closed, self.ended, "the end is told, and the connection closed");
        assert_eq!(
            self.machine.timeout().is_none(),
            self.ended,
            "a machine waits for something until it ends: {:?}",
            self.events
        );
        assert!(
            self.sent <= 4_096 + 30 * self.fed + 16 * self.ticks,
            "{} octets for {} of the peer's",
            self.sent,
            self.fed
        );
    }

    /// Reads what was written as the peer does.
    fn read(&mut self, octets: &[u8]) {
        self.sent += octets.len();
        let mut rest = octets;
        while !rest.is_empty() {
            // A declaration begins a new stream; it cannot stand anywhere else in what is well-formed.
            let next = rest
                .windows(DECLARATION.len())
                .skip(1)
                .position(|window| window == DECLARATION)
                .map_or(rest.len(), |position| position + 1);
            let (now, later) = rest.split_at(next);
            rest = later;
            if now.starts_with(DECLARATION) {
                self.reader = reader();
                self.written.clear();
            }
            self.reader.push(now);
            loop {
                match self.reader.next() {
                    Ok(Some(StreamItem::Element(element))) => self.judge(element),
                    Ok(Some(StreamItem::Open(_) | StreamItem::Whitespace | StreamItem::Close)) => {}
                    Ok(None) => break,
                    Ok(Some(StreamItem::Oversized(start))) => panic!("as large as this: {start:?}"),
                    Err(error) => panic!("{error}: {}", octets.escape_ascii()),
                }
            }
            assert_eq!(self.reader.buffered(), 0, "half an element");
        }
    }

    /// What may be said before TLS that is required: its negotiation, the end, and the refusal of a dialback key, as
    /// the terms of a further pair can ask for more than those of the stream that it comes on.
    fn judge(&mut self, element: Element) {
        if self.must_encrypt && !self.encrypted {
            let is_negotiation = matches!(
                (element.name(), element.ns()),
                ("features" | "error", ns::STREAM) | ("starttls" | "proceed" | "failure", ns::TLS)
            );
            let is_refusal = (element.name(), element.ns()) == ("result", ns::DIALBACK)
                && element.attribute("type") == Some("error");
            assert!(is_negotiation || is_refusal, "{element:?} in the clear");
        }
        self.written.push(element);
    }

    fn see(&mut self, event: Event) {
        assert!(!self.ended, "{event:?} after {:?}", self.events);
        match &event {
            Event::Authenticated { local, remote, method } => {
                match method {
                    Method::External => assert!(
                        self.encrypted && (self.may_be_stranger || !self.certified.is_empty()),
                        "no certificate"
                    ),
                    Method::Dialback | Method::Handshake => {}
                }
                if let Machine::Receiving(_) = self.machine {
                    match method {
                        Method::External => assert!(self.certified.contains(remote), "{remote} has no certificate"),
                        Method::Dialback => {
                            let pair = (remote.clone(), local.clone());
                            assert!(self.confirmed.contains(&pair), "nobody confirmed {pair:?}");
                        }
                        Method::Handshake => panic!("no component connects to us"),
                    }
                }
                assert!(!self.must_encrypt || self.encrypted, "authenticated in the clear");
                self.proven.push((local.clone(), remote.clone(), *method));
            }
            Event::Stanza(stanza) => {
                let is_proven = self.proven.iter().any(|(local, remote, method)| {
                    *method == Method::Handshake || (stanza.to().domain() == local && stanza.from().domain() == remote)
                });
                assert!(is_proven, "{stanza:?} of a pair that is not proven");
                assert_eq!(stanza.element().ns(), ns::STANZA);
            }
            Event::Answer(stanza) => {
                let to = stanza.to().domain();
                let is_proven = self
                    .proven
                    .iter()
                    .any(|(_, remote, method)| *method == Method::Handshake || remote == to);
                assert!(is_proven, "{stanza:?} to somebody who is not proven");
                assert!(stanza.kind().is_error());
            }
            Event::Refused(_) | Event::Closed(_) => self.ended = true,
            _ => {}
        }
        if !matches!(event, Event::Stanza(_)) {
            self.events.push(event);
        }
    }

    /// Answers the oldest question.
    pub fn answer(&mut self, choices: &mut Choices<'_>) {
        if self.questions.is_empty() {
            return;
        }
        let which = usize::from(choices.next()) % self.questions.len();
        let verdict = match self.questions.remove(which) {
            Question::Host { from, to } => {
                let answer = match choices.next() % 8 {
                    0 => HostAnswer::Unknown,
                    1 => HostAnswer::Forbidden,
                    _ => {
                        let terms = settings(choices);
                        // Terms of one pair may differ from those of the stream, which decide what is offered.
                        self.must_encrypt = terms.tls == Tls::Required && self.proven.is_empty() && !self.encrypted;
                        HostAnswer::Served(terms)
                    }
                };
                Verdict::Host { from, to, answer }
            }
            Question::Certificate { claimed } => {
                let answer = if choices.seldom(3) {
                    CertificateAnswer::Unproven
                } else {
                    assert!(self.encrypted, "asks for a certificate without TLS");
                    self.certified.push(claimed.clone());
                    CertificateAnswer::Proven
                };
                Verdict::Certificate { claimed, answer }
            }
            Question::Dialback { from, to, .. } => {
                let answer = match choices.next() % 4 {
                    0 => DialbackAnswer::Invalid,
                    1 => DialbackAnswer::Failed(Condition::RemoteServerTimeout),
                    _ => {
                        self.confirmed.push((from.clone(), to.clone()));
                        DialbackAnswer::Valid
                    }
                };
                Verdict::Dialback { from, to, answer }
            }
        };
        let _ended_meanwhile = self.tell(Input::Verdict(verdict));
    }

    /// An answer that nobody asked for.
    pub fn lie(&mut self, choices: &mut Choices<'_>) {
        let (from, to) = (choices.domain(), choices.domain());
        let asked = self.questions.iter().any(|question| match question {
            Question::Host { .. } => true,
            Question::Certificate { claimed } => *claimed == from,
            Question::Dialback { from: asked, to: at, .. } => (asked, at) == (&from, &to),
        });
        if asked {
            return;
        }
        let verdict = if choices.seldom(2) {
            Verdict::Certificate {
                claimed: from,
                answer: CertificateAnswer::Proven,
            }
        } else {
            Verdict::Dialback {
                from,
                to,
                answer: DialbackAnswer::Valid,
            }
        };
        assert!(self.tell(Input::Verdict(verdict)).is_err(), "takes what it did not ask for");
    }

    pub fn secure(&mut self, choices: &mut Choices<'_>) {
        let facts = TlsFacts {
            certificate: certificate(choices),
        };
        let awaited = self.handshake && !self.closed;
        if awaited {
            self.handshake = false;
            self.encrypted = true;
        }
        assert_eq!(self.tell(Input::TlsDone(facts)).is_ok(), awaited);
    }

    pub fn pass(&mut self, choices: &mut Choices<'_>) {
        self.ticks += 1;
        let seconds = Duration::from_secs(choices.pick(&[0, 1, 4, 30, 61, 301, 601]));
        self.now += seconds;
        if choices.seldom(2)
            && let Some(timeout) = self.machine.timeout()
        {
            self.now = self.now.max(timeout);
        }
        self.tell(Input::Timer).expect("time is never misuse");
    }

    pub fn close(&mut self, choices: &mut Choices<'_>) {
        let error = choices
            .seldom(2)
            .then(|| StreamError::new(StreamCondition::SystemShutdown));
        self.tell(Input::Close(error)).expect("closing is never misuse");
    }

    pub fn cut(&mut self) {
        self.tell(Input::Eof).expect("an end is never misuse");
        assert!(self.closed);
    }

    /// Lets time pass until the machine has ended by itself.
    pub fn end(mut self) -> Vec<Event> {
        for count in 0.. {
            let Some(timeout) = self.machine.timeout() else { break };
            assert!(count < 16, "silence does not end the stream: {:?}", self.events);
            self.now = self.now.max(timeout);
            self.ticks += 1;
            self.tell(Input::Timer).expect("time is never misuse");
        }
        assert!(self.closed);
        let ends = self
            .events
            .iter()
            .filter(|event| matches!(event, Event::Refused(_) | Event::Closed(_)));
        assert_eq!(ends.count(), 1, "{:?}", self.events);
        self.events
    }
}

/// Terms, any that can be written down.
pub fn settings(choices: &mut Choices<'_>) -> StreamSettings {
    StreamSettings {
        tls: choices.pick(&[Tls::Optional, Tls::Required, Tls::Off]),
        sasl: choices.pick(&[Sasl::Optional, Sasl::Required, Sasl::Off]),
        dialback: choices.pick(&[Dialback::On, Dialback::Off]),
        certificate: choices.pick(&[ClientCertificate::NotRequired, ClientCertificate::Required]),
    }
}

pub fn certificate(choices: &mut Choices<'_>) -> PeerCertificate {
    choices.pick(&[PeerCertificate::Shown, PeerCertificate::Absent])
}

/// Something that a peer could send, from the `content` namespace; `id` is what it takes for the stream's id.
pub fn peer_says(choices: &mut Choices<'_>, content: &str) -> Vec<u8> {
    let name = |choices: &mut Choices<'_>| choices.domain().to_unicode();
    let text = match choices.next() % 18 {
        0 | 1 => {
            let attributes: String = ["from", "to", "id", "version", "xml:lang"]
                .into_iter()
                .filter_map(|attribute| {
                    let value = match (choices.next() % 8, attribute) {
                        (0, _) => return None,
                        (1, _) => escape(&choices.text()),
                        (_, "from") => "one.example".to_owned(),
                        (_, "to") => "two.example".to_owned(),
                        (2, "version") => "0.9".to_owned(),
                        (_, "version") => "1.0".to_owned(),
                        (_, "id") => "s1".to_owned(),
                        (_, _) => "en".to_owned(),
                    };
                    Some(format!(" {attribute}='{value}'"))
                })
                .collect();
            let dialback = choices.pick(&[" xmlns:db='jabber:server:dialback'", ""]);
            format!(
                "<?xml version='1.0'?><stream:stream xmlns='{content}' \
                 xmlns:stream='http://etherx.jabber.org/streams'{dialback}{attributes}>"
            )
        }
        2 => "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned(),
        3 => choices
            .pick(&[
                "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            ])
            .to_owned(),
        4 => {
            let starttls = choices.pick(&[
                "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
                "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>",
                "",
            ]);
            let sasl = choices.pick(&[
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>",
                "",
            ]);
            let dialback = choices.pick(&["<dialback xmlns='urn:xmpp:features:dialback'/>", ""]);
            format!("<stream:features>{starttls}{sasl}{dialback}</stream:features>")
        }
        5 => {
            let response = match choices.next() % 4 {
                0 => "=".to_owned(),
                1 => "b25lLmV4YW1wbGU=".to_owned(),
                2 => String::new(),
                _ => escape(&choices.text()),
            };
            let element = choices.pick(&["auth", "response"]);
            format!("<{element} xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{response}</{element}>")
        }
        6 => choices
            .pick(&[
                "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
                "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            ])
            .to_owned(),
        7 | 8 => {
            let (from, to) = (name(choices), name(choices));
            format!("<db:result xmlns:db='jabber:server:dialback' from='{from}' to='{to}'>abc</db:result>")
        }
        9 => {
            let (from, to) = (name(choices), name(choices));
            let kind = choices.pick(&["valid", "invalid", "error", "other"]);
            format!("<db:result xmlns:db='jabber:server:dialback' from='{from}' to='{to}' type='{kind}'/>")
        }
        10 => {
            let (from, to) = (name(choices), name(choices));
            let kind = choices.pick(&["", " type='valid'", " type='invalid'", " type='error'"]);
            let id = choices.pick(&["s1", "", "00000000000000000000000000000001"]);
            format!("<db:verify xmlns:db='jabber:server:dialback' from='{from}' to='{to}' id='{id}'{kind}>abc</db:verify>")
        }
        11..=13 => {
            let (from, to) = (name(choices), name(choices));
            let kind = choices.pick(&["message", "presence", "iq"]);
            let sort = choices.pick(&["", " type='chat'", " type='error'", " type='get'", " type='result'"]);
            let at = choices.pick(&["u@", "", "@"]);
            format!("<{kind} from='u@{from}/r' to='{at}{to}' id='i'{sort}><body>x</body></{kind}>")
        }
        14 => "</stream:stream>".to_owned(),
        15 => "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>".to_owned(),
        16 => choices.pick(&[" ", "\n", "<x/>", "<handshake/>"]).to_owned(),
        _ => return choices.octets().to_vec(),
    };
    text.into_bytes()
}

/// Lets the rest of a script happen to a machine; `own` does what only machines of its sort can do.
pub fn play(witness: &mut Witness, choices: &mut Choices<'_>, content: &str, mut own: impl FnMut(&mut Witness, &mut Choices<'_>)) {
    let mut held = Vec::new();
    while !choices.is_done() {
        match choices.next() % 16 {
            0..=6 => {
                let said = peer_says(choices, content);
                witness.feed(&said);
            }
            // In pieces: half now, the rest with whatever is said next.
            7 => {
                held.append(&mut peer_says(choices, content));
                let first = usize::from(choices.next()) % held.len().max(1);
                let now: Vec<u8> = held.drain(..first).collect();
                witness.feed(&now);
            }
            8 => witness.feed(&std::mem::take(&mut held)),
            9 | 10 => witness.answer(choices),
            11 => witness.secure(choices),
            12 => witness.pass(choices),
            13 => witness.lie(choices),
            14 if choices.seldom(8) => witness.cut(),
            14 if choices.seldom(4) => witness.close(choices),
            _ => own(witness, choices),
        }
    }
}

fn reader() -> StreamReader {
    // What we write of what we read may be longer than what we read.
    StreamReader::new(&XmlLimits {
        element_bytes: 1 << 30,
        header_bytes: 1 << 30,
        tag_bytes: 1 << 30,
        ..XmlLimits::default()
    })
}

fn escape(text: &str) -> String {
    let allowed = |character: &char| !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}');
    text.chars()
        .filter(allowed)
        .map(|character| match character {
            '<' => "&lt;".to_owned(),
            '&' => "&amp;".to_owned(),
            '\'' => "&apos;".to_owned(),
            '>' => "&gt;".to_owned(),
            other => other.to_string(),
        })
        .collect()
}

const DECLARATION: &[u8] = b"<?xml";
