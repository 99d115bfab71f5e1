//! The answer to a request that is refused, by the rules for a UAS without state (RFC 3261 §8.2.7).

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Draft;
use super::start_line::Start;
use crate::sip::address::NameAddr;
use crate::sip::cseq::{CSeq, CallId};
use crate::sip::error::{BadMessage, ParseError};
use crate::sip::headers::{Echo, Headers, Optional};
use crate::sip::message::{Message, Response};
use crate::sip::method::Method;
use crate::sip::name::Field;
use crate::sip::status::StatusCode;
use crate::sip::uri::Uri;

/// Refuses a message that could be read but not be taken.
pub(in crate::sip) fn refuse(message: &Message, error: ParseError) -> BadMessage {
    let reply = match message {
        Message::Request(request) if *request.method() != Method::Ack => {
            reply(request.headers().for_response(), error)
        }
        Message::Request(_) | Message::Response(_) => None,
    };
    BadMessage { error, reply }
}

impl Draft {
    /// The answer to a request that could not be read, where the way back is known. A mandatory field that could not
    /// be read goes back as it came; one that is missing stays so.
    pub(super) fn answer(self, start: &Start, error: ParseError) -> Option<Box<Response>> {
        if !start.can_be_answered() || !self.vias_are_whole {
            return None;
        }
        let mut vias = self.vias.into_iter();
        let top = vias.next()?;
        let mut malformed = self.echo;
        let mut echo = Vec::new();
        let mut put_back = |field: Field| {
            let at = malformed.iter().position(|echo| echo.field == field);
            let text = at.and_then(|at| malformed.swap_remove(at).text);
            echo.push(Echo { field, text });
        };
        let invalid = NameAddr::new(Uri::parse("sip:invalid").ok()?);
        let from = self.from.unwrap_or_else(|| {
            put_back(Field::From);
            invalid.clone()
        });
        let to = self.to.unwrap_or_else(|| {
            put_back(Field::To);
            invalid
        });
        let call_id = match self.call_id {
            Some(call_id) => call_id,
            None => {
                put_back(Field::CallId);
                CallId::parse("invalid").ok()?
            }
        };
        let cseq = self.cseq.unwrap_or_else(|| {
            put_back(Field::CSeq);
            CSeq::new(0, start.method().cloned().unwrap_or(Method::Options))
        });
        let vias = (top, vias.collect());
        let headers = Headers::assemble(vias, from, to, call_id, cseq, Optional::default());
        reply(headers.with_echo(echo), error)
    }
}

//= rfc3261#8.2.7
//# To header tags MUST be generated for responses in a stateless manner - in
//# a manner that will generate the same tag for the same request consistently.
fn reply(mut headers: Headers, error: ParseError) -> Option<Box<Response>> {
    let status = StatusCode::new(error.status())?;
    if headers.to().tag().is_none() {
        let mut hasher = DefaultHasher::new();
        headers.call_id().hash(&mut hasher);
        headers.cseq().number().hash(&mut hasher);
        headers.from().tag().hash(&mut hasher);
        headers.top_via().branch().hash(&mut hasher);
        let tag = format!("{:016x}", hasher.finish());
        headers.to_mut().set_tag(&tag);
    }
    Some(Box::new(Response::assemble(status, "", headers)))
}
