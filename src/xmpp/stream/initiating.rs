//! The initiating side of a stream between servers: we connect, and stanzas go one way only, from us.
//!
//! Each phase is a value that the next one consumes. The machine sends nothing for anybody before its pair is proven;
//! the queue of stanzas that wait is the net floor's.
//!
//! RFC 6120 §4.3 to §4.9, §5.4, §6.4; XEP-0178 §3; XEP-0220 §2.1.

mod verify;

use std::time::Instant;

use crate::limits::Limits;
use crate::xml::{Element, StreamHeader, StreamItem};
use crate::xmpp::dialback::{Dialback, DialbackSecret, Saying};
use crate::xmpp::management::{self, Word};
use crate::xmpp::stream::features::{Features, Offer};
use crate::xmpp::stream::header::{Advertised, Header, Version};
use crate::xmpp::stream::pairs::answer_verify;
use crate::xmpp::stream::settings::Encrypted;
use crate::xmpp::stream::{
    CertificateAnswer, ClientCertificate, Closed, Event, Input, Method, Misuse, Output, PeerCertificate,
    Purpose, Question, Start, StreamRefusal, StreamSettings, Tls, TlsFacts, Verdict, Wire,
};
use crate::xmpp::{Stanza, ns, sasl};

/// The machine for a connection that we made to a peer.
#[derive(Debug)]
pub struct Initiating {
    wire: Wire,
    phase: Phase,
    purpose: Purpose,
    settings: StreamSettings,
    secret: DialbackSecret,
}

#[derive(Debug)]
enum Phase {
    /// Our header is sent.
    AwaitHeader(Channel),
    /// The peer's header came.
    AwaitFeatures(Channel, Peer),
    /// `<starttls/>` is sent.
    AwaitProceed,
    /// TLS is being negotiated.
    Handshake,
    /// Whether the server's certificate proves the peer is asked.
    AwaitCertificate,
    /// `<auth/>` is sent.
    AwaitSuccess(Peer),
    /// Our dialback key is sent.
    AwaitResult,
    /// A peer's dialback key is sent to its authoritative server.
    AwaitVerify,
    /// Stream management is asked for; our pair is proven.
    AwaitManagement,
    /// Stanzas may be sent.
    Open,
    /// Nothing more is read.
    Done,
}

#[derive(Debug, Clone, Copy)]
enum Channel {
    Plain,
    Tls,
    /// Within TLS, after SASL.
    Proven,
}

/// What the peer's header says that is needed later.
#[derive(Debug)]
struct Peer {
    id: Option<String>,
    dialback: Advertised,
}

impl Initiating {
    /// A connection made at `now`. With [`Start::Tls`], the handshake is done.
    #[must_use]
    pub fn new(
        now: Instant,
        start: Start,
        purpose: Purpose,
        settings: StreamSettings,
        secret: DialbackSecret,
        limits: &Limits,
    ) -> Self {
        let mut machine = Self {
            wire: Wire::new(now, ns::SERVER, limits),
            phase: Phase::Done,
            purpose,
            settings,
            secret,
        };
        match start {
            Start::Plain => machine.open(Channel::Plain),
            Start::Tls(facts) => machine.secure(facts),
        }
        machine
    }

    /// Takes an input; poll afterwards.
    ///
    /// # Errors
    /// [`Misuse`] if our own side asks for what cannot be done; nothing has changed then.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Misuse> {
        match input {
            Input::Bytes(_) | Input::Timer | Input::Eof | Input::Close(_) if self.wire.has_ended() => {}
            Input::Send(stanza) => return self.send(now, stanza),
            Input::TlsDone(_) | Input::Verdict(_) if self.wire.has_ended() => return Err(Misuse::Ended),
            Input::Bytes(bytes) => self.read(now, bytes),
            Input::TlsDone(facts) => {
                if !matches!(self.phase, Phase::Handshake) {
                    return Err(Misuse::Unasked);
                }
                self.secure(facts);
            }
            Input::Verdict(Verdict::Certificate { claimed, answer })
                if matches!(self.phase, Phase::AwaitCertificate) && claimed == *self.purpose.remote() =>
            {
                self.judge(answer);
                self.pump(now);
            }
            Input::Verdict(_) => return Err(Misuse::Unasked),
            // What comes on it counts as handled at once.
            Input::Settled(_) => return Err(Misuse::Unasked),
            Input::Timer => {
                if let Err(refusal) = self.wire.on_timer(now) {
                    self.refuse(refusal);
                }
            }
            Input::Eof => self.wire.cut(),
            Input::Close(error) => self.wire.close(now, Closed::ByUs, error.as_ref()),
        }
        Ok(())
    }

    /// The next thing to do; to be called until it gives `None` after [`new`](Self::new) and every
    /// [`handle`](Self::handle).
    pub fn poll(&mut self) -> Option<Output> {
        self.wire.poll()
    }

    /// The earliest instant at which [`Input::Timer`] does something.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.wire.timeout()
    }

    /// Whether the peer acknowledges what it takes ([`Event::Acknowledged`]).
    #[must_use]
    pub const fn is_acknowledged(&self) -> bool {
        self.wire.is_acknowledged()
    }

    fn send(&mut self, now: Instant, stanza: &Stanza) -> Result<(), Misuse> {
        if !self.wire.is_writable() {
            return Err(Misuse::Ended);
        }
        let is_our_pair = matches!(&self.purpose, Purpose::Stanzas { local, remote }
            if stanza.from().domain() == local && stanza.to().domain() == remote);
        if !is_our_pair || !matches!(self.phase, Phase::Open) {
            return Err(Misuse::NotAuthenticated);
        }
        self.wire.send_stanza(now, stanza)
    }

    fn read(&mut self, now: Instant, bytes: &[u8]) {
        // What comes here was sent in the clear, before the handshake that is under way.
        if matches!(self.phase, Phase::Handshake) {
            return;
        }
        match self.wire.feed(bytes) {
            Ok(()) => self.pump(now),
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn pump(&mut self, now: Instant) {
        while !self.wire.has_ended() && !matches!(self.phase, Phase::Handshake | Phase::AwaitCertificate) {
            match self.wire.next() {
                Ok(None) => return,
                Ok(Some(item)) => self.step(now, item),
                Err(refusal) => self.refuse(refusal),
            }
        }
    }

    fn step(&mut self, now: Instant, item: StreamItem) {
        let next = match (std::mem::replace(&mut self.phase, Phase::Done), item) {
            (phase, StreamItem::Whitespace) => Ok(phase),
            (_, StreamItem::Close) => {
                self.wire.peer_closed();
                Ok(Phase::Done)
            }
            (_, StreamItem::Element(element)) if element.is("error", ns::STREAM) => {
                self.wire.peer_error(&element);
                Ok(Phase::Done)
            }
            // What the peer still took before we closed is not lost.
            (Phase::Open, StreamItem::Element(element))
                if !self.wire.is_writable() && matches!(Word::read(&element), Some(Word::Answer(_))) =>
            {
                self.converse(now, Phase::Open, &element)
            }
            (phase, _) if !self.wire.is_writable() => Ok(phase),
            (Phase::AwaitHeader(channel), StreamItem::Open(header)) => self.meet(channel, &header),
            (Phase::AwaitFeatures(channel, peer), StreamItem::Element(element))
                if element.is("features", ns::STREAM) =>
            {
                self.choose(now, channel, peer, Features::read(&element))
            }
            (Phase::AwaitProceed, StreamItem::Element(element)) => match (element.name(), element.ns()) {
                ("proceed", ns::TLS) => {
                    self.wire.start_tls();
                    Ok(Phase::Handshake)
                }
                ("failure", ns::TLS) => Err(StreamRefusal::TlsUnavailable),
                _ => Err(StreamRefusal::UnexpectedElement),
            },
            (Phase::AwaitSuccess(peer), StreamItem::Element(element)) => self.conclude_sasl(peer, &element),
            (
                phase @ (Phase::AwaitResult | Phase::AwaitVerify | Phase::AwaitManagement | Phase::Open),
                StreamItem::Element(element),
            ) => self.converse(now, phase, &element),
            (
                Phase::AwaitHeader(_)
                | Phase::AwaitFeatures(..)
                | Phase::AwaitProceed
                | Phase::Handshake
                | Phase::AwaitCertificate
                | Phase::AwaitSuccess(_)
                | Phase::AwaitResult
                | Phase::AwaitVerify
                | Phase::AwaitManagement
                | Phase::Open
                | Phase::Done,
                _,
            ) => Err(StreamRefusal::UnexpectedElement),
        };
        match next {
            Ok(phase) => self.phase = phase,
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&mut self, refusal: StreamRefusal) {
        self.wire.refuse(refusal);
        self.phase = Phase::Done;
    }

    fn open(&mut self, channel: Channel) {
        self.wire.open(
            Some(self.purpose.local()),
            Some(self.purpose.remote()),
            None,
            Version::One,
        );
        self.phase = Phase::AwaitHeader(channel);
    }

    /// TLS is up: whose certificate is it?
    fn secure(&mut self, facts: TlsFacts) {
        if self.settings.tls == Tls::Off {
            return self.refuse(StreamRefusal::TlsForbidden);
        }
        match facts.certificate {
            PeerCertificate::Shown => {
                self.wire.ask(Question::Certificate {
                    claimed: self.purpose.remote().clone(),
                });
                self.phase = Phase::AwaitCertificate;
            }
            PeerCertificate::Absent => self.judge(CertificateAnswer::Unproven),
        }
    }

    fn judge(&mut self, answer: CertificateAnswer) {
        match answer {
            CertificateAnswer::Unproven if self.needs_certificate() => {
                self.refuse(StreamRefusal::CertificateUnproven);
            }
            CertificateAnswer::Proven | CertificateAnswer::Unproven => self.open(Channel::Tls),
        }
    }

    /// Whether nothing but the certificate can say whose server it is. Where dialback is in use, and no certificate is asked for,
    /// its operator takes the word of DNS for that, however we prove ourselves to it.
    fn needs_certificate(&self) -> bool {
        let is_dialled = match &self.purpose {
            Purpose::Stanzas { .. } => self.settings.allow_dialback(Encrypted::Yes),
            // Asking about a key is dialback, and nothing else is said.
            Purpose::Verify { .. } => true,
        };
        self.settings.certificate == ClientCertificate::Required || !is_dialled
    }

    /// The peer's header.
    fn meet(&mut self, channel: Channel, header: &StreamHeader) -> Result<Phase, StreamRefusal> {
        let header = Header::read(header, ns::SERVER)?;
        let peer = Peer {
            id: header.id,
            dialback: header.dialback,
        };
        match (header.version, channel) {
            (Version::One, _) => Ok(Phase::AwaitFeatures(channel, peer)),
            (Version::Old, Channel::Plain) if self.settings.tls == Tls::Required => {
                Err(StreamRefusal::TlsUnavailable)
            }
            // No features will come.
            (Version::Old, Channel::Plain) => self.prove(Encrypted::No, peer, Advertised::No),
            (Version::Old, Channel::Tls) => self.prove(Encrypted::Yes, peer, Advertised::No),
            (Version::Old, Channel::Proven) => Err(StreamRefusal::Version),
        }
    }

    fn choose(
        &mut self,
        now: Instant,
        channel: Channel,
        mut peer: Peer,
        features: Features,
    ) -> Result<Phase, StreamRefusal> {
        if features.dialback == Advertised::Yes {
            peer.dialback = Advertised::Yes;
        }
        self.wire.obey(features.limits);
        match channel {
            Channel::Plain => match (features.starttls, self.settings.tls) {
                (Offer::No, Tls::Required) => Err(StreamRefusal::TlsUnavailable),
                (Offer::Required, Tls::Off) => Err(StreamRefusal::TlsForbidden),
                (Offer::Yes | Offer::Required, Tls::Required | Tls::Optional) => {
                    self.wire.send(&Element::new("starttls", ns::TLS));
                    Ok(Phase::AwaitProceed)
                }
                (Offer::No, Tls::Optional) | (Offer::No | Offer::Yes, Tls::Off) => {
                    self.prove(Encrypted::No, peer, Advertised::No)
                }
            },
            Channel::Tls => self.prove(Encrypted::Yes, peer, features.external),
            Channel::Proven if features.management == Advertised::Yes => {
                self.wire.send(&management::enable());
                Ok(Phase::AwaitManagement)
            }
            Channel::Proven => Ok(self.begin(now, Method::External)),
        }
    }

    /// Proves our domain, or asks about the peer's.
    fn prove(
        &mut self,
        encrypted: Encrypted,
        peer: Peer,
        external: Advertised,
    ) -> Result<Phase, StreamRefusal> {
        match &self.purpose {
            Purpose::Verify {
                local,
                remote,
                stream_id,
                key,
            } => {
                let question = Dialback {
                    from: local.clone(),
                    to: remote.clone(),
                    saying: Saying::Key(key.clone()),
                };
                self.wire.send(&question.verify(stream_id));
                Ok(Phase::AwaitVerify)
            }
            Purpose::Stanzas { local, .. } => {
                if external == Advertised::Yes && self.settings.allow_external() {
                    self.wire.send(&sasl::auth(local));
                    Ok(Phase::AwaitSuccess(peer))
                } else {
                    self.dial_back(encrypted, peer)
                        .map_err(|()| StreamRefusal::NoMethod)?
                }
            }
        }
    }

    /// Sends our key, if the peer and the settings have it so.
    fn dial_back(&mut self, encrypted: Encrypted, peer: Peer) -> Result<Result<Phase, StreamRefusal>, ()> {
        if peer.dialback == Advertised::No || !self.settings.allow_dialback(encrypted) {
            return Err(());
        }
        let Some(id) = peer.id else {
            return Ok(Err(StreamRefusal::IdMissing));
        };
        let (local, remote) = (self.purpose.local().clone(), self.purpose.remote().clone());
        let key = self.secret.key(&remote, &local, &id);
        let request = Dialback {
            from: local,
            to: remote,
            saying: Saying::Key(key),
        };
        self.wire.send(&request.result());
        Ok(Ok(Phase::AwaitResult))
    }

    fn conclude_sasl(&mut self, peer: Peer, element: &Element) -> Result<Phase, StreamRefusal> {
        match (element.name(), element.ns()) {
            ("success", ns::SASL) => {
                self.wire.restart();
                self.open(Channel::Proven);
                Ok(Phase::AwaitHeader(Channel::Proven))
            }
            ("failure", ns::SASL) => self
                .dial_back(Encrypted::Yes, peer)
                .map_err(|()| StreamRefusal::SaslRefused)?,
            _ => Err(StreamRefusal::UnexpectedElement),
        }
    }

    /// What may come once something of dialback was sent, or the stream is open.
    fn converse(&mut self, now: Instant, phase: Phase, element: &Element) -> Result<Phase, StreamRefusal> {
        if let Some(word) = Word::read(element) {
            return match (phase, word) {
                (Phase::AwaitManagement, Word::Enabled) => {
                    self.wire.manage_sent();
                    Ok(self.begin(now, Method::External))
                }
                (Phase::AwaitManagement, Word::Failed) => Ok(self.begin(now, Method::External)),
                (phase, word) => self.wire.acknowledgement(now, word).map(|()| phase),
            };
        }
        match (element.name(), element.ns()) {
            ("result", ns::DIALBACK) => {
                let answer = Dialback::read(element)?;
                if !matches!(phase, Phase::AwaitResult) || !self.is_from_peer(&answer) {
                    return Err(StreamRefusal::UnsolicitedDialback);
                }
                match answer.saying {
                    Saying::Valid => Ok(self.begin(now, Method::Dialback)),
                    Saying::Invalid => Err(StreamRefusal::DialbackRefused),
                    Saying::Error(error) => Err(StreamRefusal::DialbackUnchecked(error.condition())),
                    // The peer would prove itself on our stream, which goes the other way.
                    Saying::Key(_) => Err(StreamRefusal::UnexpectedElement),
                }
            }
            ("verify", ns::DIALBACK) if element.attribute("type").is_some() => {
                let answer = Dialback::read(element)?;
                self.verified(now, &phase, &answer, element.attribute("id"))?;
                Ok(Phase::Done)
            }
            ("verify", ns::DIALBACK) => {
                answer_verify(&mut self.wire, &self.secret, self.purpose.local(), element)?;
                Ok(phase)
            }
            ("message" | "presence" | "iq", ns::SERVER) => Err(StreamRefusal::OneWay),
            _ => Err(StreamRefusal::UnexpectedElement),
        }
    }

    fn begin(&mut self, now: Instant, method: Method) -> Phase {
        self.wire.has_authenticated(now);
        self.wire.event(Event::Authenticated {
            local: self.purpose.local().clone(),
            remote: self.purpose.remote().clone(),
            method,
        });
        Phase::Open
    }
}
