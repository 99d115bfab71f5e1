//! Cuts a stream into messages and keepalives (RFC 3261 §7.5, §18.3, RFC 5626 §3.5.1).
//!
//! It can be fed at any byte and gives the same frames however the bytes were cut. Each octet is looked at once for
//! the end of the head and once by the parser. On a stream Content-Length alone says where a message ends: where it
//! is missing, doubled or malformed nothing after it can be trusted, and the flow must be closed.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::error::{BadMessage, ParseError};
use super::message::{Message, Response};
use super::name::Field;
use super::parse::{self, Head, Length};
use crate::limits::SipLimits;
use crate::refusal::{Fault, Refuse};

/// The framer of one stream's incoming half.
///
/// Call [`StreamFramer::next`] until it gives `None` after each [`StreamFramer::push`]; a push of up to `message_bytes`
/// octets is then always taken.
#[derive(Debug)]
pub struct StreamFramer {
    limits: SipLimits,
    buffer: Vec<u8>,
    /// Where the first octet lies that no frame has used.
    start: usize,
    state: State,
    has_overrun: bool,
}

/// What stands in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a frame is moved once and rarely anything but a message"
)]
pub enum Frame {
    /// A message.
    Message(Message),
    /// A message that is refused, but whose end is known: the stream goes on.
    Bad(BadMessage),
    /// A double CRLF between messages, to be answered with a single one. The single one that it begins with has
    /// been given as a [`Frame::Pong`] already, for it could have been all.
    Ping,
    /// A single CRLF between messages: the answer to a ping, or nothing.
    Pong,
}

/// The stream can no longer be cut into messages: send the reply, if there is one, and close the flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct FrameError {
    /// Why.
    pub error: ParseError,
    /// A response that is ready to send; its top Via is not stamped yet.
    pub reply: Option<Box<Response>>,
}

#[derive(Debug)]
enum State {
    /// Between messages; whether a CRLF was the last thing, which another one makes a ping.
    Between { after_break: bool },
    /// Within a head: where the current line begins, and up to where there is no line break.
    Head { line: usize, scanned: usize },
    /// Within a body.
    Body(Box<Result<Message, BadMessage>>, usize),
    /// After an error.
    Closed(ParseError),
}

impl StreamFramer {
    /// A framer at the beginning of a stream.
    #[must_use]
    pub fn new(limits: &SipLimits) -> Self {
        Self {
            limits: limits.clone(),
            buffer: Vec::new(),
            start: 0,
            state: State::Between { after_break: false },
            has_overrun: false,
        }
    }

    /// Takes octets from the stream. What is over twice `message_bytes` is not held, and ends the stream with
    /// [`ParseError::Overrun`].
    pub fn push(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Closed(_)) || self.has_overrun {
            return;
        }
        self.compact();
        let most = self.limits.message_bytes.saturating_mul(2);
        if bytes.len() > most.saturating_sub(self.buffer.len()) {
            self.has_overrun = true;
            return;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Gives the next frame; `None` where more octets are needed.
    ///
    /// # Errors
    /// [`FrameError`], from then on always.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator that ends may not go on, and this one does"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let frame = self.advance();
        match frame {
            Err(error) => {
                self.state = State::Closed(error.error);
                self.buffer = Vec::new();
                self.start = 0;
                Err(error)
            }
            Ok(None) if self.has_overrun => {
                self.has_overrun = false;
                self.state = State::Closed(ParseError::Overrun);
                self.buffer = Vec::new();
                self.start = 0;
                Err(ParseError::Overrun.into())
            }
            Ok(frame) => Ok(frame),
        }
    }

    /// Octets that are held and belong to no frame yet.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }

    /// Whether the stream stands between messages, so that it may end here.
    #[must_use]
    pub const fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Between { .. }) && self.buffered() == 0
    }

    fn advance(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match &mut self.state {
                State::Closed(error) => return Err((*error).into()),
                State::Between { after_break } => {
                    let after_break = *after_break;
                    match self.buffer.get(self.start..).unwrap_or_default() {
                        [] | [b'\r'] => return Ok(None),
                        [b'\r', b'\n', ..] => {
                            self.start = self.start.saturating_add(2);
                            self.state = State::Between {
                                after_break: !after_break,
                            };
                            return Ok(Some(if after_break { Frame::Ping } else { Frame::Pong }));
                        }
                        [b'\r' | b'\n', ..] => return Err(ParseError::BareLineBreak.into()),
                        _ => {
                            self.state = State::Head {
                                line: self.start,
                                scanned: self.start,
                            };
                        }
                    }
                }
                State::Head { line, scanned } => {
                    let Some(end) = find_end(&self.buffer, self.start, line, scanned, &self.limits)? else {
                        return Ok(None);
                    };
                    self.read_head(end)?;
                }
                State::Body(outcome, length) => {
                    let end = self.start.saturating_add(*length);
                    let Some(body) = self.buffer.get(self.start..end) else {
                        return Ok(None);
                    };
                    let frame = match std::mem::replace(&mut **outcome, Err(ParseError::StartLine.into())) {
                        Ok(mut message) => {
                            message.put_body(Bytes::copy_from_slice(body));
                            Frame::Message(message)
                        }
                        Err(bad) => Frame::Bad(bad),
                    };
                    self.start = end;
                    self.state = State::Between { after_break: false };
                    return Ok(Some(frame));
                }
            }
        }
    }

    /// Reads the head whose last CRLF ends before `end`, and goes on to its body.
    ///
    //= rfc3261#20.14
    //# If a stream-based protocol (such as TCP) is used as transport, then the
    //# header field MUST be used.
    fn read_head(&mut self, end: usize) -> Result<(), FrameError> {
        let text = self.buffer.get(self.start..end).unwrap_or_default();
        let Head { outcome, length } = parse::head(text, &self.limits);
        let total = |length: usize| length.saturating_add(text.len()).saturating_add(2);
        let fatal = match length {
            Length::Octets(octets) if total(octets) <= self.limits.message_bytes => {
                self.start = end.saturating_add(2);
                self.state = State::Body(Box::new(outcome), octets);
                return Ok(());
            }
            Length::Octets(_) => ParseError::MessageTooLarge,
            Length::Absent => ParseError::Missing(Field::ContentLength),
            Length::Unreadable => ParseError::HeadUnfinished,
        };
        Err(match outcome {
            Ok(message) => parse::refuse(&message, fatal).into(),
            Err(bad) => bad.into(),
        })
    }

    /// Frees what frames have used.
    fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        self.buffer.drain(..self.start.min(self.buffer.len()));
        if let State::Head { line, scanned } = &mut self.state {
            *line = line.saturating_sub(self.start);
            *scanned = scanned.saturating_sub(self.start);
        }
        self.start = 0;
        if self.buffer.len() < KEPT && self.buffer.capacity() > KEPT {
            self.buffer.shrink_to(KEPT);
        }
    }
}

impl Refuse for FrameError {
    fn class(&self) -> &'static str {
        self.error.class()
    }

    fn fault(&self) -> Fault {
        self.error.fault()
    }

    fn sip_status(&self) -> u16 {
        self.error.status()
    }

    fn stanza_condition(&self) -> &'static str {
        self.error.stanza_condition()
    }

    fn peer_text(&self) -> &'static str {
        self.error.peer_text()
    }
}

impl From<BadMessage> for FrameError {
    fn from(BadMessage { error, reply }: BadMessage) -> Self {
        Self { error, reply }
    }
}

impl From<ParseError> for FrameError {
    fn from(error: ParseError) -> Self {
        Self { error, reply: None }
    }
}

/// Looks for the empty line that ends a head, and gives where it begins.
fn find_end(
    buffer: &[u8],
    start: usize,
    line: &mut usize,
    scanned: &mut usize,
    limits: &SipLimits,
) -> Result<Option<usize>, ParseError> {
    loop {
        let rest = buffer.get(*scanned..).unwrap_or_default();
        let found = memchr::memchr(b'\n', rest);
        let stop = scanned.saturating_add(found.unwrap_or(rest.len()));
        // The bound that lies first counts, so that the error does not depend on how the octets came.
        let head_end = start.saturating_add(limits.head_bytes);
        let line_end = line.saturating_add(limits.line_bytes).saturating_add(1);
        if stop > head_end.min(line_end) {
            return Err(match (head_end <= line_end, *line == start) {
                (true, _) => ParseError::HeadTooLarge,
                (false, true) => ParseError::StartLineTooLong,
                (false, false) => ParseError::FieldTooLong,
            });
        }
        *scanned = stop;
        if found.is_none() {
            return Ok(None);
        }
        match buffer.get(*line..stop) {
            Some([b'\r']) => return Ok(Some(*line)),
            Some([.., b'\r']) => {}
            _ => return Err(ParseError::BareLineBreak),
        }
        *scanned = stop.saturating_add(1);
        *line = *scanned;
    }
}

/// What an idle stream may hold on to.
const KEPT: usize = 4_096;
