//! One message from its bytes: start line, header fields, body (RFC 3261 §7, §18.3, §25.1).
//!
//! The whole head is read even where something in it is wrong, so that a request can be answered; the first error
//! counts. What comes out with `Ok` is clean: each typed header parsed, single ones single, no control characters but
//! escaped ones in the quoted strings of From, To and Contact.

mod answer;
mod lines;
mod start_line;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub(super) use self::answer::refuse;
use self::lines::{Line, Lines, controls_are_escaped};
use self::start_line::Start;
use super::address::{Contact, NameAddr};
use super::cseq::{CSeq, CallId};
use super::date::Date;
use super::error::{BadMessage, Flaw, ParseError};
use super::event::{self, Event, SubscriptionState};
use super::headers::{Echo, Headers, Optional};
use super::lex;
use super::message::{Message, Request, Response};
use super::name::{self, Field, Kind};
use super::route_set::RouteHop;
use super::via::Via;
use crate::limits::SipLimits;
use crate::mime::MediaType;

/// Reads a message that came alone, as in a datagram: without Content-Length the body is all that follows the head;
/// with it, what is over is left out.
///
/// # Errors
/// [`BadMessage`] with the reason and, where there can be one, the answer.
pub fn message(bytes: &[u8], limits: &SipLimits) -> Result<Message, BadMessage> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").ok_or(ParseError::HeadUnfinished)?;
    let (lines, body) = bytes
        .split_at_checked(end.saturating_add(2))
        .ok_or(ParseError::HeadUnfinished)?;
    if lines.len() > limits.head_bytes {
        return Err(ParseError::HeadTooLarge.into());
    }
    let body = body.strip_prefix(b"\r\n").unwrap_or(body);
    let Head { outcome, length } = head(lines, limits);
    let mut message = outcome?;
    //= rfc3261#18.3
    //# If there are additional bytes in the transport packet beyond the end
    //# of the body, they MUST be discarded.
    let body = match length {
        Length::Absent => Some(body),
        Length::Octets(length) => body.get(..length),
        Length::Unreadable => None,
    };
    let Some(body) = body else {
        return Err(refuse(&message, ParseError::BodyShort));
    };
    if bytes.len() > limits.message_bytes {
        return Err(refuse(&message, ParseError::MessageTooLarge));
    }
    message.put_body(Bytes::copy_from_slice(body));
    Ok(message)
}

/// What a head says: the message without its body, and how long that is.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) outcome: Result<Message, BadMessage>,
    pub(super) length: Length,
}

/// What a head says of the length of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Nothing.
    Absent,
    /// So many octets.
    Octets(usize),
    /// Something that cannot be trusted; the outcome is an error then.
    Unreadable,
}

/// Reads start line and header fields; `bytes` ends with the CRLF of the last field.
pub(super) fn head(bytes: &[u8], limits: &SipLimits) -> Head {
    let nothing = |error: ParseError| Head {
        outcome: Err(error.into()),
        length: Length::Unreadable,
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return nothing(ParseError::NotUtf8);
    };
    let mut lines = Lines::new(text);
    let start = match lines.next() {
        Some(Ok(line)) => line,
        Some(Err(error)) => return nothing(error),
        None => return nothing(ParseError::StartLine),
    };
    let (start, error) = Start::read(&start, limits.line_bytes);
    let mut draft = Draft::new(error);
    for (count, line) in lines.enumerate() {
        match line {
            Ok(line) if count < limits.header_fields => draft.field_line(&line, limits),
            Ok(_) => {
                draft.fail(ParseError::TooManyFields);
                draft.vias_are_whole = false;
                draft.length = Length::Unreadable;
                break;
            }
            Err(error) => return nothing(error),
        }
    }
    draft.finish(start)
}

/// A head while it is read.
#[derive(Debug)]
struct Draft {
    error: Option<ParseError>,
    vias: Vec<Via>,
    /// False where a Via could not be read: half of a Via list is no way back, and better no answer than one to
    /// somewhere else.
    vias_are_whole: bool,
    from: Option<NameAddr>,
    to: Option<NameAddr>,
    call_id: Option<CallId>,
    cseq: Option<CSeq>,
    length: Length,
    optional: Optional,
    /// Mandatory fields that could not be read.
    echo: Vec<Echo>,
}

impl Draft {
    fn new(error: Option<ParseError>) -> Self {
        Self {
            error,
            vias: Vec::with_capacity(2),
            vias_are_whole: true,
            from: None,
            to: None,
            call_id: None,
            cseq: None,
            length: Length::Absent,
            optional: Optional::default(),
            echo: Vec::new(),
        }
    }

    /// Notes an error; the first one counts.
    fn fail(&mut self, error: ParseError) {
        self.error.get_or_insert(error);
    }

    fn field_line(&mut self, line: &Line<'_>, limits: &SipLimits) {
        if line.text.len() > limits.line_bytes {
            self.vias_are_whole = false;
            return self.fail(ParseError::FieldTooLong);
        }
        let colon = line.text.split_once(':');
        // HCOLON has no line break before the colon.
        let Some((name, value)) = colon.filter(|(name, _)| name.len() < line.first) else {
            return self.fail(ParseError::FieldName);
        };
        let value = value.trim_matches(lex::BLANK);
        match name::classify(name.trim_end_matches(lex::BLANK)) {
            Err(_) => self.fail(ParseError::FieldName),
            Ok(Kind::Other(_)) if line.has_control => self.fail(ParseError::Control),
            Ok(Kind::Other(name)) => self.optional.other.push((name, value.to_owned())),
            Ok(Kind::Typed(field)) => {
                let is_clean = !line.has_control || (field.has_display_name() && controls_are_escaped(value));
                if !is_clean {
                    self.fail(ParseError::Control);
                    self.vias_are_whole &= field != Field::Via;
                } else if field.is_single() && self.is_seen(field) {
                    self.fail(ParseError::Repeated(field));
                    if field == Field::ContentLength {
                        self.length = Length::Unreadable;
                    }
                } else if let Err(flaw) = self.value(field, value, limits.values_of_a_kind) {
                    self.fail(ParseError::Malformed(field, flaw));
                    self.vias_are_whole &= field != Field::Via;
                    if !line.has_control {
                        let text = Some(value.to_owned());
                        self.echo.push(Echo { field, text });
                    }
                }
            }
        }
    }

    /// Whether a value of a single field has been read; one that was malformed is an error already.
    fn is_seen(&self, field: Field) -> bool {
        let optional = &self.optional;
        match field {
            Field::From => self.from.is_some(),
            Field::To => self.to.is_some(),
            Field::CallId => self.call_id.is_some(),
            Field::CSeq => self.cseq.is_some(),
            Field::ContentLength => self.length != Length::Absent,
            Field::MaxForwards => optional.max_forwards.is_some(),
            Field::ContentType => optional.content_type.is_some(),
            Field::Expires => optional.expires.is_some(),
            Field::Date => optional.date.is_some(),
            Field::Event => optional.event.is_some(),
            Field::SubscriptionState => optional.subscription_state.is_some(),
            Field::Via | Field::Contact | Field::Route | Field::RecordRoute => false,
        }
    }

    fn value(&mut self, field: Field, value: &str, most: usize) -> Result<(), Flaw> {
        let optional = &mut self.optional;
        match field {
            Field::Via => lex::list(value, Via::read, |via| keep(&mut self.vias, via, most))?,
            Field::From => self.from = Some(NameAddr::parse(value)?),
            Field::To => self.to = Some(NameAddr::parse(value)?),
            Field::CallId => self.call_id = Some(CallId::parse(value)?),
            Field::CSeq => self.cseq = Some(CSeq::parse(value)?),
            Field::MaxForwards => {
                let hops = lex::number(value, u32::from(u8::MAX))?;
                optional.max_forwards = Some(u8::try_from(hops).map_err(|_| Flaw::Range)?);
            }
            Field::Contact => contact(&mut optional.contact, value, most)?,
            Field::Route => {
                let hops = optional.route.hops_mut();
                lex::list(value, RouteHop::read, |hop| keep(hops, hop, most))?;
            }
            Field::RecordRoute => {
                let hops = optional.record_route.hops_mut();
                lex::list(value, RouteHop::read, |hop| keep(hops, hop, most))?;
            }
            Field::ContentType => {
                optional.content_type = Some(MediaType::parse(value).map_err(|_| Flaw::MediaType)?);
            }
            Field::ContentLength => {
                self.length = Length::Unreadable;
                let octets = lex::number(value, u32::MAX)?;
                self.length = Length::Octets(usize::try_from(octets).map_err(|_| Flaw::Range)?);
            }
            Field::Expires => optional.expires = Some(event::seconds(value)?),
            Field::Date => optional.date = Some(Date::parse(value)?),
            Field::Event => optional.event = Some(Event::parse(value)?),
            Field::SubscriptionState => {
                optional.subscription_state = Some(SubscriptionState::parse(value)?);
            }
        }
        Ok(())
    }

    fn finish(mut self, start: Start) -> Head {
        for (field, is_there) in [
            (Field::Via, !self.vias.is_empty()),
            (Field::From, self.from.is_some()),
            (Field::To, self.to.is_some()),
            (Field::CallId, self.call_id.is_some()),
            (Field::CSeq, self.cseq.is_some()),
        ] {
            if !is_there {
                self.fail(ParseError::Missing(field));
            }
        }
        if let (Start::Request(method, _), Some(cseq)) = (&start, &self.cseq)
            && method != cseq.method()
        {
            self.fail(if method.is_known() {
                ParseError::MethodMismatch
            } else {
                ParseError::UnknownMethodMismatch
            });
        }
        let length = self.length;
        let outcome = match (self.error, start) {
            (None, Start::Request(method, uri)) => self
                .headers()
                .map(|headers| Request::assemble(method, uri, headers).into()),
            (None, Start::Response(status, reason)) => self
                .headers()
                .map(|headers| Response::received(status, reason, headers).into()),
            (error, start) => Err(BadMessage {
                error: error.unwrap_or(ParseError::StartLine),
                reply: error.and_then(|error| self.answer(&start, error)),
            }),
        };
        Head { outcome, length }
    }

    /// The header fields of a message in which nothing is wrong.
    fn headers(self) -> Result<Headers, BadMessage> {
        let missing = |field| BadMessage::from(ParseError::Missing(field));
        let mut vias = self.vias.into_iter();
        let top = vias.next().ok_or_else(|| missing(Field::Via))?;
        Ok(Headers::assemble(
            (top, vias.collect()),
            self.from.ok_or_else(|| missing(Field::From))?,
            self.to.ok_or_else(|| missing(Field::To))?,
            self.call_id.ok_or_else(|| missing(Field::CallId))?,
            self.cseq.ok_or_else(|| missing(Field::CSeq))?,
            self.optional,
        ))
    }
}

fn keep<T>(values: &mut Vec<T>, value: T, most: usize) -> Result<(), Flaw> {
    if values.len() >= most {
        return Err(Flaw::TooMany);
    }
    values.push(value);
    Ok(())
}

/// Reads a Contact line: `*`, which stands alone, or a list.
fn contact(contact: &mut Contact, value: &str, most: usize) -> Result<(), Flaw> {
    match contact {
        Contact::Everything => Err(Flaw::Trailing),
        Contact::Listed(addresses) if value == "*" => {
            if !addresses.is_empty() {
                return Err(Flaw::Trailing);
            }
            *contact = Contact::Everything;
            Ok(())
        }
        Contact::Listed(addresses) => {
            lex::list(value, NameAddr::read, |address| keep(addresses, address, most))
        }
    }
}
