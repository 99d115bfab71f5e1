//! Stream machines driven by hand: one against a script, or two against each other, with verdicts given by rote.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests, and what only tests use"
)]

use std::time::{Duration, Instant};

use vestibule::domain::Domain;
use vestibule::limits::Limits;
use vestibule::xmpp::stream::{
    CertificateAnswer, ClientCertificate, Dialback, DialbackAnswer, Event, HostAnswer, Initiating, Input,
    Misuse, Output, PeerCertificate, Purpose, Question, Receiving, Sasl, Start, StreamRefusal,
    StreamSettings, Tls, TlsFacts, Verdict,
};
use vestibule::xmpp::{Component, DialbackSecret};

/// What is answered to each question; `Later` leaves it open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    pub(crate) host: HostAnswer,
    pub(crate) certificate: CertificateAnswer,
    pub(crate) dialback: Option<DialbackAnswer>,
}

impl Answers {
    pub(crate) fn serving(settings: StreamSettings) -> Self {
        Self {
            host: HostAnswer::Served(settings),
            certificate: CertificateAnswer::Proven,
            dialback: Some(DialbackAnswer::Valid),
        }
    }
}

pub(crate) const SHOWN: TlsFacts = TlsFacts {
    certificate: PeerCertificate::Shown,
};

/// Any of the machines.
pub(crate) trait Machine {
    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Misuse>;
    fn poll(&mut self) -> Option<Output>;
    fn timeout(&self) -> Option<Instant>;
}

macro_rules! machine {
    ($($name:ty),*) => {$(
        impl Machine for $name {
            fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Misuse> {
                self.handle(now, input)
            }
            fn poll(&mut self) -> Option<Output> {
                self.poll()
            }
            fn timeout(&self) -> Option<Instant> {
                self.timeout()
            }
        }
    )*};
}
machine!(Receiving, Initiating, Component);

/// A machine with all that it put out, and its questions answered.
pub(crate) struct End<M> {
    pub(crate) machine: M,
    pub(crate) now: Instant,
    pub(crate) answers: Answers,
    /// Everything transmitted, as text.
    pub(crate) sent: String,
    /// What of it the other end has not been given.
    unread: Vec<u8>,
    pub(crate) events: Vec<Event>,
    pub(crate) asked: Vec<Question>,
    /// `Some` once TLS was asked for and not begun.
    awaits_tls: bool,
    pub(crate) is_closed: bool,
}

impl<M: Machine> End<M> {
    pub(crate) fn new(machine: M, now: Instant, answers: Answers) -> Self {
        let mut end = Self {
            machine,
            now,
            answers,
            sent: String::new(),
            unread: Vec::new(),
            events: Vec::new(),
            asked: Vec::new(),
            awaits_tls: false,
            is_closed: false,
        };
        end.drain();
        end
    }

    pub(crate) fn input(&mut self, input: Input<'_>) -> Result<(), Misuse> {
        let done = self.machine.handle(self.now, input);
        self.drain();
        done
    }

    /// Feeds octets, and what TLS they lead to.
    pub(crate) fn feed(&mut self, text: &str) -> &mut Self {
        self.input(Input::Bytes(text.as_bytes())).unwrap();
        self
    }

    /// Feeds octets that need not be text.
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.input(Input::Bytes(octets)).unwrap();
    }

    /// The handshake is done, if one was asked for and the stream still lives.
    pub(crate) fn tls_if_asked(&mut self) {
        if self.awaits_tls && !self.is_closed {
            self.tls(SHOWN);
        }
    }

    /// The handshake that was asked for is done.
    pub(crate) fn tls(&mut self, facts: TlsFacts) -> &mut Self {
        assert!(self.awaits_tls, "no TLS was asked for; sent: {}", self.sent);
        self.awaits_tls = false;
        self.input(Input::TlsDone(facts)).unwrap();
        self
    }

    /// Lets time pass to the next timer, and rings it.
    pub(crate) fn wait(&mut self) -> Duration {
        let due = self.machine.timeout().expect("a timer");
        let waited = due - self.now;
        self.now = due;
        self.input(Input::Timer).unwrap();
        waited
    }

    /// What was transmitted since the last call.
    pub(crate) fn said(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.unread)).unwrap()
    }

    pub(crate) fn refusal(&self) -> Option<StreamRefusal> {
        self.events.iter().find_map(|event| match event {
            Event::Refused(refusal) => Some(*refusal),
            _ => None,
        })
    }

    /// The condition of the stream error that was sent; there must be a closing tag and nothing after it.
    pub(crate) fn stream_error(&self) -> Option<&str> {
        let (_, error) = self.sent.split_once("<stream:error><")?;
        assert!(self.sent.ends_with("</stream:stream>"), "{}", self.sent);
        assert!(self.is_closed, "the connection stays open");
        assert!(self.sent.contains("<stream:stream"), "an error outside a stream");
        error.split([' ', '/', '>']).next()
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, Event::Authenticated { .. }))
    }

    pub(crate) fn stanzas(&self) -> usize {
        self.events
            .iter()
            .filter(|event| matches!(event, Event::Stanza(_)))
            .count()
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll() {
            assert!(!self.is_closed, "output after the close: {output:?}");
            match output {
                Output::Transmit(bytes) => {
                    assert!(!bytes.is_empty());
                    self.sent.push_str(std::str::from_utf8(&bytes).unwrap());
                    self.unread.extend_from_slice(&bytes);
                }
                Output::StartTls => self.awaits_tls = true,
                Output::Ask(question) => {
                    self.asked.push(question.clone());
                    if let Some(verdict) = self.answer(question) {
                        self.machine.handle(self.now, Input::Verdict(verdict)).unwrap();
                    }
                }
                Output::Event(event) => self.events.push(event),
                Output::Close => self.is_closed = true,
            }
        }
        let ends = self
            .events
            .iter()
            .filter(|event| matches!(event, Event::Refused(_) | Event::Closed(_)))
            .count();
        assert!(ends <= 1 && (ends == 1) == self.is_closed, "{:?}", self.events);
    }

    fn answer(&self, question: Question) -> Option<Verdict> {
        Some(match question {
            Question::Host { from, to } => Verdict::Host {
                from,
                to,
                answer: self.answers.host,
            },
            Question::Certificate { claimed } => Verdict::Certificate {
                claimed,
                answer: self.answers.certificate,
            },
            Question::Dialback { from, to, .. } => Verdict::Dialback {
                from,
                to,
                answer: self.answers.dialback?,
            },
        })
    }
}

/// Moves octets between two machines in portions of at most `portion` until neither says anything, with TLS when both
/// have come to it.
pub(crate) fn converse<A: Machine, B: Machine>(one: &mut End<A>, two: &mut End<B>, portion: usize) {
    loop {
        let (from_one, from_two) = (std::mem::take(&mut one.unread), std::mem::take(&mut two.unread));
        if one.awaits_tls && two.awaits_tls && from_one.is_empty() && from_two.is_empty() {
            two.tls(SHOWN);
            one.tls(SHOWN);
            continue;
        }
        if from_one.is_empty() && from_two.is_empty() {
            return;
        }
        for piece in from_one.chunks(portion) {
            two.input(Input::Bytes(piece)).unwrap();
        }
        for piece in from_two.chunks(portion) {
            one.input(Input::Bytes(piece)).unwrap();
        }
    }
}

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

pub(crate) fn secret() -> DialbackSecret {
    DialbackSecret::new(b"s3cr3tf0rd14lb4ck")
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// `here.example` listens; its ids are 1, 2 and 3.
pub(crate) fn receiving(begin: Start, answers: Answers) -> End<Receiving> {
    let now = start();
    End::new(
        Receiving::new(now, begin, [1, 2, 3], secret(), &Limits::default()),
        now,
        answers,
    )
}

/// `there.example` connects to `here.example`.
pub(crate) fn initiating(begin: Start, settings: StreamSettings, answers: Answers) -> End<Initiating> {
    let purpose = Purpose::Stanzas {
        local: domain("there.example"),
        remote: domain("here.example"),
    };
    initiating_for(purpose, begin, settings, answers)
}

pub(crate) fn initiating_for(
    purpose: Purpose,
    begin: Start,
    settings: StreamSettings,
    answers: Answers,
) -> End<Initiating> {
    let now = start();
    End::new(
        Initiating::new(now, begin, purpose, settings, secret(), &Limits::default()),
        now,
        answers,
    )
}

pub(crate) const fn settings(tls: Tls, sasl: Sasl, dialback: Dialback) -> StreamSettings {
    StreamSettings {
        tls,
        sasl,
        dialback,
        certificate: ClientCertificate::NotRequired,
    }
}

/// A header as `there.example` opens a stream to `here.example`.
pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' \
    from='there.example' to='here.example' version='1.0'>";

/// A header as `here.example` answers one.
pub(crate) const ANSWER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' \
    from='here.example' to='there.example' id='abc' version='1.0'>";

pub(crate) const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

pub(crate) const MESSAGE: &str =
    "<message from='a@there.example' to='b@here.example'><body>hi</body></message>";

pub(crate) fn auth(text: &str) -> String {
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{text}</auth>")
}
