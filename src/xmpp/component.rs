//! A component's side of XEP-0114: we connect to a node's component port and speak for a domain there.
//!
//! The node is ours and is trusted to route: whatever it sends comes out as a stanza, and which of its addresses may
//! be used is the gateway's to say. There is no TLS and no SASL in this protocol, only a shared secret.
//!
//! XEP-0114 §3 (protocol flow).

use std::time::Instant;

use aws_lc_rs::digest;

use crate::domain::Domain;
use crate::limits::Limits;
use crate::xml::{Element, StreamItem};
use crate::xmpp::error::{StreamCondition, StreamError};
use crate::xmpp::stanza::BadStanza;
use crate::xmpp::stream::header::{Header, Version};
use crate::xmpp::stream::{Closed, Event, Input, Method, Misuse, Output, StreamRefusal, Wire};
use crate::xmpp::{Jid, Stanza, dialback, ns};

/// The secret that a node and its component share.
#[derive(Clone)]
pub struct ComponentSecret(String);

/// The machine for a connection that we made to a node's component port.
#[derive(Debug)]
pub struct Component {
    wire: Wire,
    phase: Phase,
    domain: Domain,
    secret: ComponentSecret,
    /// The language that the node's stream has.
    language: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    AwaitHeader,
    AwaitHandshake,
    Open,
}

impl ComponentSecret {
    /// The secret as it stands in its file.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(secret.to_owned())
    }

    /// What proves, for the stream of that id, that we know the secret.
    fn handshake(&self, stream_id: &str) -> String {
        let text = format!("{stream_id}{}", self.0);
        dialback::hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref())
    }
}

impl std::fmt::Debug for ComponentSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ComponentSecret")
    }
}

impl Component {
    /// A connection made at `now`, to speak for `domain`.
    #[must_use]
    pub fn new(now: Instant, domain: Domain, secret: ComponentSecret, limits: &Limits) -> Self {
        let mut wire = Wire::new(now, ns::COMPONENT, limits);
        wire.open(None, Some(&domain), None, Version::Old);
        Self {
            wire,
            phase: Phase::AwaitHeader,
            domain,
            secret,
            language: None,
        }
    }

    /// Takes an input; poll afterwards.
    ///
    /// # Errors
    /// [`Misuse`] if our own side asks for what cannot be done; nothing has changed then.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Misuse> {
        match input {
            Input::Send(stanza) => return self.send(now, stanza),
            Input::TlsDone(_) | Input::Verdict(_) => return Err(Misuse::Unasked),
            Input::Bytes(_) | Input::Timer | Input::Eof | Input::Close(_) if self.wire.has_ended() => {}
            Input::Bytes(bytes) => match self.wire.feed(bytes) {
                Ok(()) => self.pump(now),
                Err(refusal) => self.wire.refuse(refusal),
            },
            // What comes on it counts as handled at once.
            Input::Settled(_) => return Err(Misuse::Unasked),
            Input::Timer => {
                if let Err(refusal) = self.wire.on_timer(now) {
                    self.wire.refuse(refusal);
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

    fn send(&mut self, now: Instant, stanza: &Stanza) -> Result<(), Misuse> {
        if !self.wire.is_writable() {
            return Err(Misuse::Ended);
        }
        if self.phase != Phase::Open {
            return Err(Misuse::NotAuthenticated);
        }
        self.wire.send_stanza(now, stanza)
    }

    fn pump(&mut self, now: Instant) {
        while !self.wire.has_ended() {
            let stepped = match self.wire.next() {
                Ok(None) => return,
                Ok(Some(item)) => self.step(now, item),
                Err(refusal) => Err(refusal),
            };
            if let Err(refusal) = stepped {
                self.wire.refuse(refusal);
            }
        }
    }

    fn step(&mut self, now: Instant, item: StreamItem) -> Result<(), StreamRefusal> {
        match (self.phase, item) {
            (_, StreamItem::Whitespace) => {}
            (_, StreamItem::Close) => self.wire.peer_closed(),
            (_, StreamItem::Element(element)) if element.is("error", ns::STREAM) => self.fail(&element),
            // Our side is closed: nothing more is negotiated.
            (Phase::AwaitHeader | Phase::AwaitHandshake, _) if !self.wire.is_writable() => {}
            (Phase::AwaitHeader, StreamItem::Open(header)) => {
                let header = Header::read(&header, ns::COMPONENT)?;
                let id = header.id.ok_or(StreamRefusal::IdMissing)?;
                self.language = header.language;
                let handshake =
                    Element::new("handshake", ns::COMPONENT).with_text(&self.secret.handshake(&id));
                self.wire.send(&handshake);
                self.phase = Phase::AwaitHandshake;
            }
            (Phase::AwaitHandshake, StreamItem::Element(element))
                if element.is("handshake", ns::COMPONENT) =>
            {
                self.phase = Phase::Open;
                self.wire.has_authenticated(now);
                // The stream is the domain's own: both ends of the pair are it.
                self.wire.event(Event::Authenticated {
                    local: self.domain.clone(),
                    remote: self.domain.clone(),
                    method: Method::Handshake,
                });
            }
            (Phase::Open, StreamItem::Element(element)) => {
                self.wire.has_moved(now);
                self.receive(Stanza::from_element(element, ns::COMPONENT))?;
            }
            (Phase::Open, StreamItem::Oversized(element)) => {
                self.wire.has_moved(now);
                self.receive(Stanza::from_oversized(element, ns::COMPONENT))?;
            }
            (Phase::AwaitHeader | Phase::AwaitHandshake | Phase::Open, _) => {
                return Err(StreamRefusal::UnexpectedElement);
            }
        }
        Ok(())
    }

    fn receive(&mut self, read: Result<Stanza, BadStanza>) -> Result<(), StreamRefusal> {
        match read {
            // XEP-0114 §1 addresses a component as itself and as nobody else, but ejabberd sends what is for one name of a
            // listener to any of the components that have connected there. Who may write to whom is asked of every stanza
            // by its own addresses, whichever component's stream it came on.
            Ok(mut stanza) => {
                if let Some(language) = &self.language {
                    stanza.default_language(language);
                }
                self.wire.event(Event::Stanza(stanza));
            }
            Err(BadStanza::NotAStanza) => return Err(StreamRefusal::UnexpectedElement),
            Err(BadStanza::NotAddressed) => return Err(StreamRefusal::NotAddressed),
            Err(BadStanza::InvalidFrom) => return Err(StreamRefusal::FromUnproven),
            Err(BadStanza::Refused(refused)) => {
                if let Some(answer) = refused.error_reply(&Jid::from(self.domain.clone())) {
                    self.wire.event(Event::Answer(answer));
                }
            }
        }
        Ok(())
    }

    /// Says what the node's error means before the handshake, where it is about our configuration.
    fn fail(&mut self, element: &Element) {
        let refusal = match (self.phase, StreamError::from_element(element).condition()) {
            (Phase::AwaitHeader | Phase::AwaitHandshake, StreamCondition::HostUnknown) => {
                Some(StreamRefusal::ComponentUnknown)
            }
            (Phase::AwaitHeader | Phase::AwaitHandshake, StreamCondition::Conflict) => {
                Some(StreamRefusal::ComponentConflict)
            }
            (Phase::AwaitHandshake, StreamCondition::NotAuthorized) => Some(StreamRefusal::ComponentSecret),
            _ => None,
        };
        match refusal {
            Some(refusal) => self.wire.peer_refused(refusal),
            None => self.wire.peer_error(element),
        }
    }
}
