//! The receiving side of a stream between servers: they connected to us, and stanzas come one way only, to us.
//!
//! The phases are values that the next one consumes. Only a phase within TLS has a place for what a certificate
//! proved; dialback gives a pair only to a phase that knows neither STARTTLS nor SASL any more.
//!
//! RFC 6120 §4.3 to §4.9, §5.4, §6.4; XEP-0178 §3; XEP-0220 §2.2.

use std::time::Instant;

use crate::domain::Domain;
use crate::limits::Limits;
use crate::xml::{StreamHeader, StreamItem};
use crate::xmpp::dialback::DialbackSecret;
use crate::xmpp::ns;
use crate::xmpp::stream::features::{Features, Offer, PeerLimits};
use crate::xmpp::stream::header::{Advertised, Header, Version};
use crate::xmpp::stream::pairs::Open;
use crate::xmpp::stream::settings::Encrypted;
use crate::xmpp::stream::unproven::{Next, Offered, Unproven};
use crate::xmpp::stream::{
    CertificateAnswer, ClientCertificate, Closed, HostAnswer, Input, Method, Misuse, Output, PeerCertificate,
    Question, Start, StreamRefusal, StreamSettings, Tls, TlsFacts, Verdict, Wire,
};

/// The machine for a connection that a peer made to us.
#[derive(Debug)]
pub struct Receiving {
    wire: Wire,
    phase: Phase,
    secret: DialbackSecret,
    ids: std::array::IntoIter<u128, 3>,
    /// What we take, as the peer is told.
    limits: PeerLimits,
    /// What the header that we have not answered yet says: an error must come within a stream (RFC 6120 §4.9.1.2).
    unanswered: Option<(Option<Domain>, Option<Domain>)>,
}

/// Where the negotiation stands.
#[derive(Debug)]
enum Phase {
    /// A stream header is awaited.
    Hello(Channel),
    /// A header came; who serves it is asked.
    AwaitHost(Channel, Greeting),
    /// Within TLS; whether the certificate proves `from` is asked.
    AwaitCertificate(Greeting, Domain, StreamSettings),
    /// Features are sent and nothing is proven.
    Unproven(Unproven),
    /// TLS is being negotiated.
    Handshake,
    /// Pairs are proven, or on the way to be.
    Open(Open),
    /// Nothing more is read.
    Done,
}

/// What a stream begins on.
#[derive(Debug)]
enum Channel {
    Plain,
    Tls(TlsFacts),
    /// Within TLS, after SASL.
    Proven(Domain),
}

/// A header with the domain that it must have.
#[derive(Debug)]
struct Greeting {
    header: Header,
    to: Domain,
}

impl Receiving {
    /// A connection accepted at `now`. `ids` are random and name our side of the stream at its start, after TLS and
    /// after SASL; they must be unpredictable (RFC 6120 §4.7.3).
    #[must_use]
    pub fn new(now: Instant, start: Start, ids: [u128; 3], secret: DialbackSecret, limits: &Limits) -> Self {
        Self {
            wire: Wire::new(now, ns::SERVER, limits),
            phase: Phase::Hello(match start {
                Start::Plain => Channel::Plain,
                Start::Tls(facts) => Channel::Tls(facts),
            }),
            secret,
            ids: ids.into_iter(),
            limits: PeerLimits {
                octets: Some(limits.xml.element_bytes),
                idle: Some(limits.xmpp.idle),
            },
            unanswered: None,
        }
    }

    /// The same, where what comes is acknowledged only once [`Input::Settled`] says so.
    #[must_use]
    pub const fn settle_later(mut self) -> Self {
        self.wire.settle_later();
        self
    }

    /// How many stanzas in all have to be settled before the peer's oldest request for acknowledgement can be answered;
    /// `None` where it waits for nothing.
    #[must_use]
    pub fn owes(&self) -> Option<u64> {
        self.wire.owes()
    }

    /// Takes an input; poll afterwards.
    ///
    /// # Errors
    /// [`Misuse`] if our own side asks for what cannot be done; nothing has changed then.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Misuse> {
        match input {
            Input::Bytes(_) | Input::Timer | Input::Eof | Input::Close(_) | Input::Settled(_)
                if self.wire.has_ended() => {}
            Input::Settled(total) => self.wire.has_settled(total),
            Input::Send(_) => return Err(Misuse::OneWay),
            Input::TlsDone(_) | Input::Verdict(_) if self.wire.has_ended() => return Err(Misuse::Ended),
            Input::Bytes(bytes) => self.read(now, bytes),
            Input::TlsDone(facts) => match self.phase {
                Phase::Handshake => self.phase = Phase::Hello(Channel::Tls(facts)),
                Phase::Hello(_)
                | Phase::AwaitHost(..)
                | Phase::AwaitCertificate(..)
                | Phase::Unproven(_)
                | Phase::Open(_)
                | Phase::Done => return Err(Misuse::Unasked),
            },
            Input::Verdict(verdict) => {
                self.judge(now, verdict)?;
                self.pump(now);
            }
            Input::Timer => {
                if let Err(refusal) = self.wire.on_timer(now) {
                    self.refuse(refusal);
                }
            }
            Input::Eof => self.wire.cut(),
            Input::Close(error) => {
                // An error must come within a stream (RFC 6120 §4.9.1.2).
                if error.is_some() {
                    self.answer_late();
                }
                self.wire.close(now, Closed::ByUs, error.as_ref());
            }
        }
        Ok(())
    }

    /// The next thing to do; to be called until it gives `None` after every [`handle`](Self::handle).
    pub fn poll(&mut self) -> Option<Output> {
        self.wire.poll()
    }

    /// The earliest instant at which [`Input::Timer`] does something.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.wire.timeout()
    }

    fn read(&mut self, now: Instant, bytes: &[u8]) {
        //= rfc6120#5.4.3.3
        //# The receiving entity MUST discard any information transmitted in
        //# layers above TCP that it obtained from the initiating entity in
        //# an insecure manner before TLS took effect
        if matches!(self.phase, Phase::Handshake) {
            return;
        }
        match self.wire.feed(bytes) {
            Ok(()) => self.pump(now),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Reads on while nothing is being waited for.
    fn pump(&mut self, now: Instant) {
        while !self.wire.has_ended() {
            match self.phase {
                Phase::Hello(_) | Phase::Unproven(_) | Phase::Open(_) => {}
                Phase::AwaitHost(..) | Phase::AwaitCertificate(..) | Phase::Handshake | Phase::Done => return,
            }
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
            // Our side is closed: what still comes is read to its end, but nothing more is negotiated.
            (phase @ (Phase::Hello(_) | Phase::Unproven(_)), _) if !self.wire.is_writable() => Ok(phase),
            (Phase::Hello(channel), StreamItem::Open(header)) => self.greet(channel, &header),
            (Phase::Unproven(unproven), StreamItem::Element(element)) => unproven
                .element(&mut self.wire, now, &self.secret, element)
                .map(|next| self.follow(next)),
            (Phase::Open(mut open), StreamItem::Element(element)) => open
                .element(&mut self.wire, now, &self.secret, element)
                .map(|()| Phase::Open(open)),
            (Phase::Open(open), StreamItem::Oversized(element)) => open
                .oversized(&mut self.wire, now, element)
                .map(|()| Phase::Open(open)),
            (
                Phase::Hello(_)
                | Phase::AwaitHost(..)
                | Phase::AwaitCertificate(..)
                | Phase::Unproven(_)
                | Phase::Handshake
                | Phase::Open(_)
                | Phase::Done,
                _,
            ) => Err(StreamRefusal::UnexpectedElement),
        };
        self.enter(next);
    }

    fn follow(&mut self, next: Next) -> Phase {
        match next {
            Next::Unproven(unproven) => Phase::Unproven(unproven),
            Next::Open(open) => Phase::Open(open),
            Next::Handshake => {
                self.unanswered = None;
                Phase::Handshake
            }
            Next::Restart(proven) => {
                self.unanswered = None;
                Phase::Hello(Channel::Proven(proven))
            }
        }
    }

    fn enter(&mut self, next: Result<Phase, StreamRefusal>) {
        match next {
            Ok(phase) => self.phase = phase,
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&mut self, refusal: StreamRefusal) {
        self.answer_late();
        self.wire.refuse(refusal);
        self.phase = Phase::Done;
    }

    /// Opens our side, if it is not open, so that an error can be said on it.
    fn answer_late(&mut self) {
        // In the middle of a handshake nothing can be said.
        if !self.wire.has_opened() && !matches!(self.phase, Phase::Handshake) {
            let (from, to) = self.unanswered.take().unwrap_or_default();
            let id = self.ids.next().map(stream_id);
            self.wire
                .open(to.as_ref(), from.as_ref(), id.as_deref(), Version::One);
        }
    }

    fn greet(&mut self, channel: Channel, header: &StreamHeader) -> Result<Phase, StreamRefusal> {
        let mut header = Header::read(header, ns::SERVER)?;
        self.unanswered = Some((header.from.clone(), header.to.clone()));
        let to = header.to.clone().ok_or(StreamRefusal::ToMissing)?;
        if let Channel::Proven(proven) = &channel {
            // A server may leave its name out after SASL, but not change it.
            if header.from.get_or_insert_with(|| proven.clone()) != proven {
                return Err(StreamRefusal::FromInvalid);
            }
        }
        self.wire.ask(Question::Host {
            from: header.from.clone(),
            to: to.clone(),
        });
        Ok(Phase::AwaitHost(channel, Greeting { header, to }))
    }

    fn judge(&mut self, now: Instant, verdict: Verdict) -> Result<(), Misuse> {
        let next = match (std::mem::replace(&mut self.phase, Phase::Done), verdict) {
            (Phase::AwaitHost(channel, greeting), Verdict::Host { from, to, answer })
                if from == greeting.header.from && to == greeting.to =>
            {
                match answer {
                    HostAnswer::Served(settings) => self.welcome(now, channel, greeting, settings),
                    HostAnswer::Unknown => Err(StreamRefusal::HostUnknown),
                    HostAnswer::Forbidden => Err(StreamRefusal::Forbidden),
                }
            }
            (
                Phase::AwaitCertificate(greeting, asked, settings),
                Verdict::Certificate { claimed, answer },
            ) if claimed == asked => {
                let certificate = match answer {
                    CertificateAnswer::Proven => Some(asked),
                    CertificateAnswer::Unproven => None,
                };
                self.offer_within_tls(greeting, settings, certificate)
            }
            (Phase::Open(mut open), verdict) => {
                let judged = open.judge(&mut self.wire, now, verdict);
                match judged {
                    Err(misuse) => {
                        self.phase = Phase::Open(open);
                        return Err(misuse);
                    }
                    Ok(judged) => judged.map(|()| Phase::Open(open)),
                }
            }
            (phase, _) => {
                self.phase = phase;
                return Err(Misuse::Unasked);
            }
        };
        self.enter(next);
        Ok(())
    }

    /// The domain is served: answers the header and offers what there is to offer.
    fn welcome(
        &mut self,
        now: Instant,
        channel: Channel,
        greeting: Greeting,
        settings: StreamSettings,
    ) -> Result<Phase, StreamRefusal> {
        match channel {
            Channel::Plain => {
                let dialback = advertised(settings.allow_dialback(Encrypted::No));
                let starttls = match (greeting.header.version, settings.tls) {
                    (Version::Old, _) | (Version::One, Tls::Off) => Offer::No,
                    (Version::One, Tls::Optional) => Offer::Yes,
                    (Version::One, Tls::Required) => Offer::Required,
                };
                check_method(&greeting, starttls != Offer::No, dialback)?;
                let features = Features {
                    starttls,
                    external: Advertised::No,
                    dialback,
                    management: Advertised::No,
                    limits: self.limits,
                };
                self.offer(greeting, settings, features, Offered::Plain { starttls })
            }
            Channel::Tls(_) if settings.tls == Tls::Off => Err(StreamRefusal::TlsForbidden),
            Channel::Tls(facts) => match (&greeting.header.from, facts.certificate) {
                (Some(from), PeerCertificate::Shown)
                    if settings.allow_external() || settings.certificate == ClientCertificate::Required =>
                {
                    let from = from.clone();
                    self.wire.ask(Question::Certificate {
                        claimed: from.clone(),
                    });
                    Ok(Phase::AwaitCertificate(greeting, from, settings))
                }
                (Some(_) | None, _) => self.offer_within_tls(greeting, settings, None),
            },
            Channel::Proven(remote) => {
                let features = Features {
                    starttls: Offer::No,
                    external: Advertised::No,
                    dialback: advertised(settings.allow_dialback(Encrypted::Yes)),
                    management: Advertised::Yes,
                    limits: self.limits,
                };
                let id = self.answer(&greeting, features)?;
                let Greeting { header, to } = greeting;
                let mut open = Open::new(header, to.clone(), id, settings, Encrypted::Yes);
                open.prove(&mut self.wire, now, remote, to, Method::External);
                Ok(Phase::Open(open))
            }
        }
    }

    fn offer_within_tls(
        &mut self,
        greeting: Greeting,
        settings: StreamSettings,
        certificate: Option<Domain>,
    ) -> Result<Phase, StreamRefusal> {
        // Without a name there is nothing to check yet; each pair that dialback brings is checked for itself.
        let is_named = greeting.header.from.is_some();
        if is_named && certificate.is_none() && settings.certificate == ClientCertificate::Required {
            return Err(StreamRefusal::CertificateUnproven);
        }
        //= rfc6120#6.3.4
        //# The receiving entity SHOULD offer the SASL EXTERNAL mechanism if both
        //# of the following conditions hold
        let can_external =
            certificate.is_some() && settings.allow_external() && greeting.header.version == Version::One;
        let dialback = advertised(settings.allow_dialback(Encrypted::Yes));
        if !can_external && dialback == Advertised::No && settings.allow_external() && certificate.is_none() {
            return Err(StreamRefusal::CertificateUnproven);
        }
        check_method(&greeting, can_external, dialback)?;
        let features = Features {
            starttls: Offer::No,
            external: advertised(can_external),
            dialback,
            management: Advertised::No,
            limits: self.limits,
        };
        let offered = Offered::within_tls(certificate.filter(|_| can_external));
        self.offer(greeting, settings, features, offered)
    }

    fn offer(
        &mut self,
        greeting: Greeting,
        settings: StreamSettings,
        features: Features,
        offered: Offered,
    ) -> Result<Phase, StreamRefusal> {
        let id = self.answer(&greeting, features)?;
        let Greeting { header, to } = greeting;
        Ok(Phase::Unproven(Unproven::new(header, to, id, settings, offered)))
    }

    /// Sends our header, and features to a peer that knows them; gives the id of the stream.
    fn answer(&mut self, greeting: &Greeting, features: Features) -> Result<String, StreamRefusal> {
        let id = self
            .ids
            .next()
            .map(stream_id)
            .ok_or(StreamRefusal::UnexpectedElement)?;
        let header = &greeting.header;
        self.wire.open(
            Some(&greeting.to),
            header.from.as_ref(),
            Some(&id),
            header.version,
        );
        if header.version == Version::One {
            self.wire.send(&features.element());
        }
        Ok(id)
    }
}

/// An old peer can only do dialback; any peer needs something.
fn check_method(greeting: &Greeting, other: bool, dialback: Advertised) -> Result<(), StreamRefusal> {
    match (greeting.header.version, dialback) {
        (_, Advertised::Yes) => Ok(()),
        (Version::Old, Advertised::No) => Err(StreamRefusal::Version),
        (Version::One, Advertised::No) if other => Ok(()),
        (Version::One, Advertised::No) => Err(StreamRefusal::NoMethod),
    }
}

const fn advertised(is_offered: bool) -> Advertised {
    if is_offered {
        Advertised::Yes
    } else {
        Advertised::No
    }
}

fn stream_id(random: u128) -> String {
    format!("{random:032x}")
}
