//! What all stream machines share: the reader, the outputs in order, the timers, and the ways to end.
//!
//! It knows no phase of negotiation. RFC 6120 §4.4 (closing), §4.6 (silence), §4.9.1 (stream errors end the stream).

mod acknowledge;

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::clock::{TimerKind, TimerTable};
use crate::domain::Domain;
use crate::limits::{Limits, XmppLimits};
use crate::refusal::Refuse as _;
use crate::xml::{self, Element, StreamItem, StreamReader};
use crate::xmpp::error::StreamError;
use crate::xmpp::management::{Handled, Sent};
use crate::xmpp::stream::features::PeerLimits;
use crate::xmpp::stream::header::{self, Version};
use crate::xmpp::stream::{Closed, Event, Misuse, Output, Question, StreamRefusal};
use crate::xmpp::{Stanza, ns};

/// One connection as a machine sees it.
#[derive(Debug)]
pub(in crate::xmpp) struct Wire {
    content: &'static str,
    reader: StreamReader,
    outputs: VecDeque<Output>,
    /// Octets to transmit after `outputs`.
    pending: Vec<u8>,
    timers: TimerTable<Timer, 6>,
    limits: XmppLimits,
    /// Octets that may still come before authentication; `None` after it.
    allowance: Option<usize>,
    header: OwnHeader,
    life: Life,
    /// Where the peer acknowledges our stanzas.
    sent: Option<Sent>,
    /// Where we acknowledge the peer's.
    handled: Option<Handled>,
    /// Stanzas that the peer sent, each of which was told by one event.
    given: u64,
    /// How many of them our owner has done with, where it says so; else each is handled once it is given out.
    settled: Option<u64>,
    peer: PeerLimits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnHeader {
    Unsent,
    Sent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    Alive,
    /// Our closing tag is sent, the peer's awaited; then this is what happened.
    Closing(Closed),
    Ended,
}

#[derive(Debug, Clone, Copy)]
enum Timer {
    /// The peer's first header.
    Header,
    Establish,
    Idle,
    Keepalive,
    /// The answer to a request for acknowledgement.
    Acknowledgement,
    Closing,
}

impl TimerKind for Timer {
    const ALL: &'static [Self] = &[
        Self::Header,
        Self::Establish,
        Self::Idle,
        Self::Keepalive,
        Self::Closing,
        Self::Acknowledgement,
    ];

    fn index(self) -> usize {
        match self {
            Self::Establish => 0,
            Self::Idle => 1,
            Self::Keepalive => 2,
            Self::Closing => 3,
            Self::Header => 4,
            Self::Acknowledgement => 5,
        }
    }
}

impl Wire {
    pub(in crate::xmpp) fn new(now: Instant, content: &'static str, limits: &Limits) -> Self {
        let mut timers = TimerTable::new();
        timers.set(Timer::Establish, now, limits.xmpp.establish);
        timers.set(Timer::Header, now, limits.net.first_message);
        Self {
            content,
            reader: StreamReader::new(&limits.xml),
            outputs: VecDeque::new(),
            pending: Vec::new(),
            timers,
            allowance: Some(limits.xmpp.unauthenticated_bytes),
            limits: limits.xmpp.clone(),
            header: OwnHeader::Unsent,
            life: Life::Alive,
            sent: None,
            handled: None,
            given: 0,
            settled: None,
            peer: PeerLimits::default(),
        }
    }

    pub(in crate::xmpp) const fn limits(&self) -> &XmppLimits {
        &self.limits
    }

    pub(in crate::xmpp) fn poll(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.flush();
        }
        let output = self.outputs.pop_front();
        if output.is_none() {
            // A stream that waits keeps no room for what it may have to say.
            self.outputs = VecDeque::new();
        }
        output
    }

    pub(in crate::xmpp) fn timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(in crate::xmpp) fn has_ended(&self) -> bool {
        self.life == Life::Ended
    }

    /// Whether our side may still be written to.
    pub(in crate::xmpp) fn is_writable(&self) -> bool {
        self.life == Life::Alive
    }

    pub(in crate::xmpp) fn has_opened(&self) -> bool {
        self.header == OwnHeader::Sent
    }

    /// Takes octets, within what may come before authentication.
    pub(in crate::xmpp) fn feed(&mut self, bytes: &[u8]) -> Result<(), StreamRefusal> {
        if let Some(allowance) = &mut self.allowance {
            *allowance = allowance
                .checked_sub(bytes.len())
                .ok_or(StreamRefusal::TooMuchUnauthenticated)?;
        }
        self.reader.push(bytes);
        Ok(())
    }

    pub(in crate::xmpp) fn next(&mut self) -> Result<Option<StreamItem>, StreamRefusal> {
        let item = self.reader.next()?;
        if let Some(StreamItem::Open(_)) = item {
            self.timers.clear(Timer::Header);
        }
        Ok(item)
    }

    /// Opens our side of the stream.
    pub(in crate::xmpp) fn open(
        &mut self,
        from: Option<&Domain>,
        to: Option<&Domain>,
        id: Option<&str>,
        version: Version,
    ) {
        let attributes = header::attributes(from, to, id, version);
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        xml::write::open_stream(self.content, self.declared(), &attributes, &mut self.pending);
        self.header = OwnHeader::Sent;
    }

    pub(in crate::xmpp) fn send(&mut self, element: &Element) {
        xml::write::element(element, self.content, self.declared(), &mut self.pending);
    }

    /// Sends a stanza, unless it is larger than the peer takes.
    pub(in crate::xmpp) fn send_stanza(&mut self, now: Instant, stanza: &Stanza) -> Result<(), Misuse> {
        let before = self.pending.len();
        self.pending.reserve(ROOM);
        xml::write::element_of(
            stanza.element(),
            ns::STANZA,
            self.content,
            self.declared(),
            &mut self.pending,
        );
        let octets = self.pending.len().saturating_sub(before);
        if self.peer.octets.is_some_and(|most| octets > most) {
            self.pending.truncate(before);
            return Err(Misuse::TooLarge);
        }
        self.has_moved(now);
        self.has_sent(now);
        Ok(())
    }

    pub(in crate::xmpp) fn ask(&mut self, question: Question) {
        self.push(Output::Ask(question));
    }

    pub(in crate::xmpp) fn event(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    /// Asks for TLS and forgets all that came before it.
    pub(in crate::xmpp) fn start_tls(&mut self) {
        self.push(Output::StartTls);
        self.restart();
    }

    /// Awaits a new stream on the same connection (RFC 6120 §4.3.3).
    pub(in crate::xmpp) fn restart(&mut self) {
        self.reader.restart();
        self.header = OwnHeader::Unsent;
    }

    /// The first pair is proven: the limits on strangers end, those on silence begin. A stanza that is too big is the
    /// sender's affair from now on, and not that of all who share the stream.
    pub(in crate::xmpp) fn has_authenticated(&mut self, now: Instant) {
        if self.allowance.take().is_some() {
            self.reader.skip_oversized();
            self.timers.clear(Timer::Establish);
            self.timers.set(Timer::Idle, now, self.limits.idle);
            self.timers.set(Timer::Keepalive, now, self.silence());
        }
    }

    /// An element went or came on an authenticated stream.
    pub(in crate::xmpp) fn has_moved(&mut self, now: Instant) {
        if self.allowance.is_none() && self.life == Life::Alive {
            self.timers.set(Timer::Idle, now, self.limits.idle);
            self.timers.set(Timer::Keepalive, now, self.silence());
        }
    }

    pub(in crate::xmpp) fn on_timer(&mut self, now: Instant) -> Result<(), StreamRefusal> {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Header => return Err(StreamRefusal::HeaderTimeout),
                Timer::Establish => return Err(StreamRefusal::EstablishTimeout),
                Timer::Idle => self.close(now, Closed::Idle, None),
                Timer::Keepalive => self.keep_alive(now),
                Timer::Acknowledgement => return Err(StreamRefusal::Unacknowledged),
                Timer::Closing => self.end(None),
            }
        }
        Ok(())
    }

    /// Closes in good order: our tag now, the connection when the peer's has come or does not come.
    pub(in crate::xmpp) fn close(&mut self, now: Instant, why: Closed, error: Option<&StreamError>) {
        if self.life != Life::Alive {
            return;
        }
        if self.header == OwnHeader::Unsent {
            self.end(Some(Event::Closed(why)));
            return;
        }
        self.acknowledge_last();
        if let Some(error) = error {
            self.send(&error.to_element());
        }
        self.pending.extend_from_slice(xml::write::CLOSE.as_bytes());
        self.life = Life::Closing(why);
        self.event(Event::Ending);
        self.timers.clear_all();
        self.timers.set(Timer::Closing, now, self.limits.closing);
    }

    /// Ends the stream with the refusal's stream error. Our header must be sent before.
    pub(in crate::xmpp) fn refuse(&mut self, refusal: StreamRefusal) {
        //= rfc6120#4.9.1.1
        //# the entity that detects the error MUST
        //# send an <error/> element with an appropriate child element specifying
        //# the error condition and then immediately close the stream
        if self.life == Life::Alive && self.header == OwnHeader::Sent {
            if let Some(condition) = refusal.stream_condition() {
                let error = StreamError::new(condition).with_text(refusal.peer_text());
                self.send(&error.to_element());
            }
            self.pending.extend_from_slice(xml::write::CLOSE.as_bytes());
        }
        self.end(Some(Event::Refused(refusal)));
    }

    /// The peer's closing tag has come.
    pub(in crate::xmpp) fn peer_closed(&mut self) {
        self.answer_close();
        self.end(Some(Event::Closed(Closed::ByPeer)));
    }

    /// The peer ended the stream with an error.
    pub(in crate::xmpp) fn peer_error(&mut self, error: &Element) {
        self.answer_close();
        let error = StreamError::from_element(error);
        self.end(Some(Event::Closed(Closed::PeerError(error))));
    }

    /// The peer ended the stream for a reason that has a name of its own.
    pub(in crate::xmpp) fn peer_refused(&mut self, refusal: StreamRefusal) {
        self.answer_close();
        self.end(Some(Event::Refused(refusal)));
    }

    /// The connection is gone.
    pub(in crate::xmpp) fn cut(&mut self) {
        self.pending.clear();
        self.end(Some(Event::Closed(Closed::Cut)));
    }

    fn answer_close(&mut self) {
        if self.life == Life::Alive && self.header == OwnHeader::Sent {
            self.acknowledge_last();
            self.pending.extend_from_slice(xml::write::CLOSE.as_bytes());
        }
    }

    /// Nothing follows; a close that was under way keeps its own reason unless the peer was refused.
    fn end(&mut self, event: Option<Event>) {
        let event = match (std::mem::replace(&mut self.life, Life::Ended), event) {
            (Life::Ended, _) => return,
            (Life::Closing(_), Some(Event::Refused(refusal))) => Some(Event::Refused(refusal)),
            (Life::Closing(why), _) => Some(Event::Closed(why)),
            (Life::Alive, event) => event,
        };
        self.timers.clear_all();
        if let Some(event) = event {
            self.event(event);
        }
        self.push(Output::Close);
    }

    fn push(&mut self, output: Output) {
        self.flush();
        self.outputs.push_back(output);
    }

    fn flush(&mut self) {
        if !self.pending.is_empty() {
            let octets = Bytes::from(std::mem::take(&mut self.pending));
            self.outputs.push_back(Output::Transmit(octets));
        }
    }

    fn declared(&self) -> &'static [(&'static str, &'static str)] {
        if self.content == ns::SERVER {
            &[("stream", ns::STREAM), ("db", ns::DIALBACK)]
        } else {
            &[("stream", ns::STREAM)]
        }
    }
}

/// Octets that most stanzas take on the wire.
const ROOM: usize = 512;
