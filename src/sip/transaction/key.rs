//! What tells one transaction from another.
//!
//! RFC 3261 §17.1.3 (responses to client transactions) and §17.2.3 (requests to server transactions), with the
//! matching of RFC 2543 for requests whose branch has no magic cookie, or nothing after it.
//!
//! Invariant: two keys are equal exactly if the rules match. The parts are joined by a line feed, which no part of a
//! parsed message can hold.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::sip::{Method, Request, Response, Via};

/// The key of a transaction; a copy costs no memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key under which a client transaction for this request waits; `None` if its top Via has no branch of
    /// RFC 3261, without which no response could be told to be its own.
    #[must_use]
    pub fn of_sent(request: &Request) -> Option<Self> {
        let branch = cookie_branch(request.headers().top_via())?;
        Some(Self::client(branch, request.method()))
    }

    /// The key of the client transaction that a response belongs to; `None` if it can belong to none of ours.
    //= rfc3261#17.1.3
    //# If the response has the same value of the branch parameter in the top Via header field as the branch parameter
    //# in the top Via header field of the request that created the transaction.
    #[must_use]
    pub fn of_response(response: &Response) -> Option<Self> {
        let branch = cookie_branch(response.headers().top_via())?;
        Some(Self::client(branch, response.headers().cseq().method()))
    }

    /// The key of the server transaction that a received request belongs to, or would make.
    #[must_use]
    pub fn of_received(request: &Request) -> Self {
        // The ACK to a refusal has the branch of its INVITE, and belongs to it.
        let method = if *request.method() == Method::Ack {
            &Method::Invite
        } else {
            request.method()
        };
        Self::server(request, method)
    }

    /// Before the keys of all transactions of the request's branch, whatever their method.
    pub(super) fn before_all_methods(request: &Request) -> Self {
        Self(Self::common(request).into())
    }

    /// Whether this is the key of a transaction of that branch ([`Key::before_all_methods`]).
    pub(super) fn is_of(&self, branch: &Self) -> bool {
        self.0.starts_with(&*branch.0)
    }

    /// Whether this is the key of a CANCEL itself.
    pub(super) fn is_of_cancel(&self) -> bool {
        let mut parts = self.0.rsplit(SEPARATOR);
        let last = parts.next();
        let method = if self.0.starts_with(OLD) {
            parts.next()
        } else {
            last
        };
        method == Some(Method::Cancel.as_str())
    }

    /// The key under which an ACK in the style of RFC 2543 will look for the INVITE of `self` once a final response
    /// with this To tag is sent; `None` where the ACK is found by the branch.
    #[must_use]
    pub fn acknowledged_with(&self, to_tag: Option<&str>) -> Option<Self> {
        let mut parts = self.0.rsplitn(3, SEPARATOR);
        let (_, method, common) = (parts.next()?, parts.next()?, parts.next()?);
        (self.0.starts_with(OLD) && method == Method::Invite.as_str())
            .then(|| Self::old(common, Method::Ack.as_str(), to_tag))
    }

    /// Not after any other key.
    pub(super) fn least() -> Self {
        Self("".into())
    }

    fn client(branch: &str, method: &Method) -> Self {
        let mut text = String::with_capacity(branch.len().saturating_add(16));
        text.push_str(CLIENT);
        push_lowercase(&mut text, branch);
        text.push(SEPARATOR);
        text.push_str(method.as_str());
        Self(text.into())
    }

    fn server(request: &Request, method: &Method) -> Self {
        let mut text = Self::common(request);
        if !text.starts_with(OLD) {
            text.push_str(method.as_str());
            return Self(text.into());
        }
        // An ACK is looked for under its own name: its To tag is that of the response, not that of the INVITE.
        let method = if *request.method() == Method::Ack {
            request.method()
        } else {
            method
        };
        text.pop();
        Self::old(&text, method.as_str(), request.headers().to().tag())
    }

    /// What the keys of all methods of one branch begin with.
    //
    //= rfc3261#17.2.3
    //# the sent-by value in the top Via of the request is equal to the one in the request that created the transaction
    fn common(request: &Request) -> String {
        let headers = request.headers();
        let via = headers.top_via();
        if let Some(branch) = cookie_branch(via) {
            let mut text = String::with_capacity(branch.len().saturating_add(48));
            text.push_str(SERVER);
            push_lowercase(&mut text, branch);
            text.push(SEPARATOR);
            push_sent_by(&mut text, via);
            text.push(SEPARATOR);
            return text;
        }
        //= rfc3261#17.2.3
        //# The INVITE request matches a transaction if the Request-URI, To tag, From tag, Call-ID, CSeq, and top Via
        //# header field match those of the INVITE request which created the transaction.
        let mut common = OLD.to_owned();
        let _ = write!(
            common,
            "{}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}{}{SEPARATOR}",
            request.uri(),
            headers.from().tag().unwrap_or_default(),
            headers.call_id(),
            headers.cseq().number(),
            via,
        );
        common
    }

    fn old(common: &str, method: &str, to_tag: Option<&str>) -> Self {
        let to_tag = to_tag.unwrap_or_default();
        Self(format!("{common}{SEPARATOR}{method}{SEPARATOR}{to_tag}").into())
    }

    /// A To tag for a response that is made without a transaction, the same each time the request comes
    /// (RFC 3261 §8.2.7).
    #[must_use]
    pub fn stateless_tag(&self) -> String {
        // FNV-1a: the tag must be the same each time, not secret.
        let hash = self.0.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }
}

/// The branch, where it is one that RFC 3261 makes unique: the magic cookie and something after it.
fn cookie_branch(via: &Via) -> Option<&str> {
    let branch = via.branch()?;
    let (cookie, unique) = branch.split_at_checked(COOKIE.len())?;
    (cookie.eq_ignore_ascii_case(COOKIE) && !unique.is_empty()).then_some(branch)
}

/// Parameter values that are tokens are case-insensitive (RFC 3261 §7.3.1).
fn push_lowercase(text: &mut String, value: &str) {
    text.extend(value.chars().map(|c| c.to_ascii_lowercase()));
}

fn push_sent_by(text: &mut String, via: &Via) {
    push_lowercase(text, &via.host().to_string());
    if let Some(port) = via.port() {
        let _ = write!(text, ":{port}");
    }
}

const COOKIE: &str = "z9hG4bK";
const SEPARATOR: char = '\n';
const CLIENT: &str = "c\n";
const SERVER: &str = "s\n";
const OLD: &str = "o\n";

#[cfg(test)]
mod tests;
