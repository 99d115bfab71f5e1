//! Requests and responses: what the reader gives and the writer takes.
//!
//! A value of these types can be written as it stands: every part went through a constructor that refuses what the
//! grammar forbids. RFC 3261 §7, §8.1.1, §8.2.6.

use bytes::Bytes;

use super::address::{Contact, NameAddr};
use super::cseq::{CSeq, CallId};
use super::error::Flaw;
use super::headers::Headers;
use super::lex;
use super::method::Method;
use super::route_set::RouteSet;
use super::status::StatusCode;
use super::uri::Uri;
use super::via::Via;
use crate::mime::MediaType;

/// A SIP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: Method,
    uri: Uri,
    headers: Headers,
    body: Bytes,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: StatusCode,
    reason: String,
    headers: Headers,
    body: Bytes,
}

/// What no request can be without (RFC 3261 §8.1.1).
#[derive(Debug, Clone)]
pub struct Mandatory {
    /// Our own hop.
    pub via: Via,
    /// The sender, with a tag.
    pub from: NameAddr,
    /// The receiver, with a tag within a dialog.
    pub to: NameAddr,
    /// The Call-ID.
    pub call_id: CallId,
    /// The number of CSeq; its method is that of the request.
    pub sequence: u32,
}

impl Message {
    /// The header fields.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The header fields, to change.
    pub const fn headers_mut(&mut self) -> &mut Headers {
        match self {
            Self::Request(request) => &mut request.headers,
            Self::Response(response) => &mut response.headers,
        }
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        match self {
            Self::Request(request) => &request.body,
            Self::Response(response) => &response.body,
        }
    }

    pub(super) fn put_body(&mut self, body: Bytes) {
        match self {
            Self::Request(request) => request.body = body,
            Self::Response(response) => response.body = body,
        }
    }
}

impl Request {
    /// A request with Max-Forwards 70 and no body (RFC 3261 §8.1.1.6). Header fields in `uri` are left out.
    #[must_use]
    pub fn new(method: Method, uri: impl Into<Uri>, mandatory: Mandatory) -> Self {
        let Mandatory {
            via,
            from,
            to,
            call_id,
            sequence,
        } = mandatory;
        let cseq = CSeq::new(sequence, method.clone());
        let mut headers = Headers::new(via, from, to, call_id, cseq);
        headers.set_max_forwards(Some(HOPS));
        Self {
            method,
            uri: uri.into().without_headers(),
            headers,
            body: Bytes::new(),
        }
    }

    pub(super) const fn assemble(method: Method, uri: Uri, headers: Headers) -> Self {
        Self {
            method,
            uri,
            headers,
            body: Bytes::new(),
        }
    }

    /// The same with a Contact.
    #[must_use]
    pub fn with_contact(mut self, contact: impl Into<Contact>) -> Self {
        self.headers.set_contact(contact);
        self
    }

    /// The same with a route in place of the old one.
    #[must_use]
    pub fn with_route(mut self, route: RouteSet) -> Self {
        *self.headers.route_mut() = route;
        self
    }

    /// The same with one more header field (see [`Headers::push`]).
    ///
    /// # Errors
    /// As [`Headers::push`].
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, Flaw> {
        self.headers.push(name, value)?;
        Ok(self)
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, kind: MediaType, body: impl Into<Bytes>) -> Self {
        self.headers.set_content_type(Some(kind));
        self.body = body.into();
        self
    }

    /// The CANCEL of this request.
    //
    //= rfc3261#9.1
    //# The Request-URI, Call-ID, To, the numeric part of CSeq, and From header fields in the CANCEL request MUST be
    //# identical to those in the request being cancelled, including tags.
    #[must_use]
    pub fn cancel(&self) -> Self {
        let headers = &self.headers;
        let mandatory = Mandatory {
            via: headers.top_via().clone(),
            from: headers.from().clone(),
            to: headers.to().clone(),
            call_id: headers.call_id().clone(),
            sequence: headers.cseq().number(),
        };
        Self::new(Method::Cancel, self.uri.clone(), mandatory).with_route(headers.route().clone())
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The Request-URI.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Sets the Request-URI. Header fields in it are left out.
    pub fn set_uri(&mut self, uri: Uri) {
        self.uri = uri.without_headers();
    }

    /// The header fields.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The header fields, to change.
    pub const fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Puts another body of the same media type in place of this one.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.body = body.into();
    }

    /// Takes the body out, with all that is said of it.
    pub fn remove_body(&mut self) {
        self.body = Bytes::new();
        self.headers.forget_body();
    }

    /// A response to this request: Via, From, To, Call-ID and CSeq are copied, and Timestamp into a 100.
    ///
    /// `reason` may be empty for the usual phrase. `to_tag` is used where the request's To has none and the response
    /// is not a 100.
    ///
    //= rfc3261#8.2.6.2
    //# The From field of the response MUST equal the From header field of
    //# the request. The Call-ID header field of the response MUST equal the
    //# Call-ID header field of the request.
    #[must_use]
    pub fn response(&self, status: StatusCode, reason: &str, to_tag: Option<&str>) -> Response {
        let mut headers = self.headers.for_response();
        if let Some(tag) = to_tag
            && status != StatusCode::TRYING
            && headers.to().tag().is_none()
        {
            headers.to_mut().set_tag(tag);
        }
        if status == StatusCode::TRYING
            && let Some(timestamp) = self.headers.get("Timestamp")
        {
            // A value that was read is clean, so this cannot fail.
            let _ = headers.push("Timestamp", timestamp);
        }
        Response::assemble(status, reason, headers)
    }
}

impl Response {
    pub(super) fn assemble(status: StatusCode, reason: &str, headers: Headers) -> Self {
        Self {
            status,
            reason: phrase(status, reason),
            headers,
            body: Bytes::new(),
        }
    }

    pub(super) const fn received(status: StatusCode, reason: String, headers: Headers) -> Self {
        Self {
            status,
            reason,
            headers,
            body: Bytes::new(),
        }
    }

    /// The same with a Contact.
    #[must_use]
    pub fn with_contact(mut self, contact: impl Into<Contact>) -> Self {
        self.headers.set_contact(contact);
        self
    }

    /// The same with the Record-Route of the request, for a response that makes a dialog (RFC 3261 §12.1.1).
    #[must_use]
    pub fn with_record_route(mut self, route: RouteSet) -> Self {
        *self.headers.record_route_mut() = route;
        self
    }

    /// The same with one more header field (see [`Headers::push`]).
    ///
    /// # Errors
    /// As [`Headers::push`].
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, Flaw> {
        self.headers.push(name, value)?;
        Ok(self)
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, kind: MediaType, body: impl Into<Bytes>) -> Self {
        self.headers.set_content_type(Some(kind));
        self.body = body.into();
        self
    }

    /// Puts another body of the same media type in place of this one.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.body = body.into();
    }

    /// Takes the body out, with all that is said of it.
    pub fn remove_body(&mut self) {
        self.body = Bytes::new();
        self.headers.forget_body();
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The reason phrase, which may be empty and may be in any language.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Puts another phrase in place of this one; the usual one where it is empty.
    pub fn set_reason(&mut self, reason: &str) {
        self.reason = phrase(self.status, reason);
    }

    /// Puts the usual phrase in place of this one.
    pub(super) fn set_usual_reason(&mut self) {
        self.reason = self.status.reason().to_owned();
    }

    /// The header fields.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The header fields, to change.
    pub const fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

/// The phrase to write: the usual one for an empty text, and no control characters in any.
fn phrase(status: StatusCode, reason: &str) -> String {
    if reason.is_empty() {
        return status.reason().to_owned();
    }
    reason.replace(|c: char| u8::try_from(c).is_ok_and(lex::is_control), " ")
}

/// RFC 3261 §8.1.1.6.
const HOPS: u8 = 70;
