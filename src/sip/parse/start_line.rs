//! Request lines and status lines (RFC 3261 §7.1, §7.2).

use super::lines::Line;
use crate::sip::error::{Flaw, ParseError};
use crate::sip::lex;
use crate::sip::method::Method;
use crate::sip::status::StatusCode;
use crate::sip::uri::Uri;

/// What a start line says; of a malformed one, what can be told.
pub(super) enum Start {
    Request(Method, Uri),
    Response(StatusCode, String),
    /// Of a request that is refused: its method, where it can be told.
    BadRequest(Option<Method>),
    /// Of a response that is refused.
    BadResponse,
}

impl Start {
    /// Reads a start line; the error stands beside what can be told of it all the same.
    pub(super) fn read(line: &Line<'_>, most: usize) -> (Self, Option<ParseError>) {
        let text: &str = &line.text;
        let is_response = text
            .get(..4)
            .is_some_and(|text| text.eq_ignore_ascii_case("SIP/"));
        let read = if text.len() > most {
            Err(ParseError::StartLineTooLong)
        } else if line.has_control || line.first != text.len() {
            Err(ParseError::StartLine)
        } else if is_response {
            status_line(text)
        } else {
            request_line(text)
        };
        match read {
            Ok(start) => (start, None),
            Err(error) if is_response => (Self::BadResponse, Some(error)),
            Err(error) => {
                let word = text.split_once(' ').map(|(word, _)| word);
                let method = word.and_then(|word| Method::parse(word).ok());
                (Self::BadRequest(method), Some(error))
            }
        }
    }

    /// The method of a request, where it can be told.
    pub(super) const fn method(&self) -> Option<&Method> {
        match self {
            Self::Request(method, _) | Self::BadRequest(Some(method)) => Some(method),
            Self::BadRequest(None) | Self::Response(..) | Self::BadResponse => None,
        }
    }

    /// Whether this begins a request that takes an answer: any but ACK.
    pub(super) fn can_be_answered(&self) -> bool {
        self.method().is_some_and(|method| *method != Method::Ack)
    }
}

/// Reads `Method SP Request-URI SP SIP-Version`.
fn request_line(text: &str) -> Result<Start, ParseError> {
    let mut parts = text.split(' ');
    let (Some(method), Some(uri), Some(protocol), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ParseError::StartLine);
    };
    let method = Method::parse(method).map_err(|_| ParseError::StartLine)?;
    version(protocol)?;
    let uri = Uri::parse(uri).map_err(ParseError::RequestUri)?;
    if uri.sip().is_some_and(|uri| uri.headers().is_some()) {
        return Err(ParseError::RequestUri(Flaw::UriHeaders));
    }
    Ok(Start::Request(method, uri))
}

/// Reads `SIP-Version SP Status-Code SP Reason-Phrase`.
fn status_line(text: &str) -> Result<Start, ParseError> {
    let mut parts = text.splitn(3, ' ');
    let (Some(protocol), Some(code), Some(reason)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(ParseError::StartLine);
    };
    version(protocol)?;
    let code = (code.len() == 3)
        .then(|| lex::number(code, 699))
        .and_then(Result::ok)
        .and_then(|code| u16::try_from(code).ok())
        .and_then(StatusCode::new)
        .ok_or(ParseError::Status)?;
    Ok(Start::Response(code, reason.to_owned()))
}

//= rfc3261#7.1
//# The SIP-Version string is case-insensitive, but implementations MUST send upper-case.
fn version(text: &str) -> Result<(), ParseError> {
    if text.eq_ignore_ascii_case("SIP/2.0") {
        return Ok(());
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('/') {
        Some((name, number))
            if name.eq_ignore_ascii_case("SIP")
                && number
                    .split_once('.')
                    .is_some_and(|(major, minor)| digits(major) && digits(minor)) =>
        {
            Err(ParseError::Version)
        }
        _ => Err(ParseError::StartLine),
    }
}
