//! Dialogs: what two user agents remember of each other, so that what they send later finds its way and its order.
//!
//! Not the usage: what an INVITE or a SUBSCRIBE means is decided above ([`super::subscription`], sessions). Not the
//! transaction either: a repetition never comes here. One dialog has one usage; sharing was given up by RFC 6665 §4.5.
//! RFC 3261 §12 and §13.2.2.4, RFC 6665 §4.4.1, RFC 5057 for what a failure ends.
//!
//! Invariants: the route set is that of the messages that made the dialog, octet for octet; the number of each of our
//! requests is greater than that of the one before; a dialog that has ended takes nothing and says nothing any more.

mod failure;
mod forks;
mod record;
mod request;

use std::fmt;

pub use failure::{Damage, NoDialog, NotSent, Refused, damage};
pub use forks::{Fork, ForkInput, Forks};
pub use record::{BadRecord, Record};

use super::{CallId, Headers, Method, NameAddr, Request, Response, RouteSet, Scheme, Transport, Uri};

/// What one end of a dialog knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    role: Role,
    usage: Usage,
    phase: Phase,
    security: Security,
    call_id: CallId,
    /// Our address, with our tag.
    local: NameAddr,
    /// The other end's address, with its tag where it has one.
    remote: NameAddr,
    /// Our Contact.
    contact: NameAddr,
    local_sequence: Option<u32>,
    remote_sequence: Option<u32>,
    target: Uri,
    route: RouteSet,
}

/// What tells one dialog from all others, as we see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DialogId {
    call_id: CallId,
    local: Box<str>,
    remote: Box<str>,
}

/// Which end of the dialog we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We sent the request that made it.
    Caller,
    /// We answered it.
    Callee,
}

/// What the dialog is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// A session, made by INVITE and ended by BYE.
    Session,
    /// A subscription, made by SUBSCRIBE or REFER.
    Subscription,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Only provisional responses so far.
    Early,
    /// A 2xx, or for a subscription its NOTIFY.
    Confirmed,
    /// Over.
    Ended,
}

/// Whether every hop of the dialog has to be protected (RFC 3261 §12.1.1, the `secure` flag).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// It began with a `sips` URI over TLS: its targets have to be `sips` too.
    Sips,
    /// Nothing was asked for end to end.
    Open,
}

/// What a request of the other end is to the dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// One that its user has to answer.
    Request,
    /// An ACK, which nobody answers.
    Acknowledgement,
    /// A BYE, to be answered 200: the dialog has ended.
    Bye,
}

impl Dialog {
    /// The caller's dialog, from the request and a response to it that came `over` a transport.
    ///
    /// # Errors
    /// [`NoDialog`] where this response makes none.
    //
    //= rfc3261#12.1.2
    //# The route set MUST be set to the list of URIs in the Record-Route header field from the response, taken in
    //# reverse order and preserving all URI parameters.
    pub fn of_caller(request: &Request, response: &Response, over: &Transport) -> Result<Self, NoDialog> {
        let usage = Usage::of(request.method()).ok_or(NoDialog::Method)?;
        let status = response.status();
        let phase = match status.code() {
            101..=199 => Phase::Early,
            200..=299 => Phase::Confirmed,
            _ => return Err(NoDialog::Status),
        };
        let (asked, answered) = (request.headers(), response.headers());
        let is_answer = asked.call_id() == answered.call_id()
            && asked.from().tag() == answered.from().tag()
            && asked.cseq() == answered.cseq();
        if !is_answer || asked.to().tag().is_some() {
            return Err(NoDialog::OtherRequest);
        }
        // A provisional response of RFC 2543 has no tag, and makes no dialog; its 2xx may have none either.
        if phase == Phase::Early && answered.to().tag().is_none() {
            return Err(NoDialog::Tag);
        }
        let security = Security::of(request, over);
        Ok(Self {
            role: Role::Caller,
            usage,
            phase,
            security,
            call_id: asked.call_id().clone(),
            local: asked.from().clone(),
            remote: answered.to().clone(),
            contact: only(asked).cloned().ok_or(NoDialog::Contact)?,
            local_sequence: Some(asked.cseq().number()),
            remote_sequence: None,
            target: target(answered, security).ok_or(NoDialog::Contact)?,
            route: answered.record_route().reversed(),
        })
    }

    /// The subscriber's dialog, from its SUBSCRIBE and a NOTIFY that came `over` a transport, perhaps before any response.
    ///
    /// # Errors
    /// [`NoDialog`] where this NOTIFY makes none.
    //
    //= rfc6665#4.4.1
    //# Because the dialog usage is established by the NOTIFY request, the route set at the subscriber is taken from the
    //# NOTIFY request itself, as opposed to the route set present in the 200-class response to the SUBSCRIBE request.
    pub fn of_subscriber(subscribe: &Request, notify: &Request, over: &Transport) -> Result<Self, NoDialog> {
        if Usage::of(subscribe.method()) != Some(Usage::Subscription) {
            return Err(NoDialog::Method);
        }
        let (asked, told) = (subscribe.headers(), notify.headers());
        let is_answer = asked.call_id() == told.call_id() && asked.from().tag() == told.to().tag();
        if !is_answer || asked.to().tag().is_some() {
            return Err(NoDialog::OtherRequest);
        }
        let security = Security::of(subscribe, over);
        Ok(Self {
            role: Role::Caller,
            usage: Usage::Subscription,
            phase: Phase::Confirmed,
            security,
            call_id: asked.call_id().clone(),
            local: asked.from().clone(),
            remote: told.from().clone(),
            contact: only(asked).cloned().ok_or(NoDialog::Contact)?,
            local_sequence: Some(asked.cseq().number()),
            remote_sequence: Some(told.cseq().number()),
            target: target(told, security).ok_or(NoDialog::Contact)?,
            route: told.record_route().clone(),
        })
    }

    /// The callee's dialog, from a request that came `over` a transport; `tag` is ours, `contact` where we want to be
    /// reached. [`Dialog::answer`] then makes the response.
    ///
    /// # Errors
    /// [`NoDialog`] where this request makes none.
    //
    //= rfc3261#12.1.1
    //# The route set MUST be set to the list of URIs in the Record-Route header field from the request, taken in order
    //# and preserving all URI parameters.
    pub fn of_callee(
        request: &Request,
        tag: &str,
        contact: NameAddr,
        over: &Transport,
    ) -> Result<Self, NoDialog> {
        let usage = Usage::of(request.method()).ok_or(NoDialog::Method)?;
        let headers = request.headers();
        if headers.to().tag().is_some() {
            return Err(NoDialog::OtherRequest);
        }
        let local = headers.to().clone().with_tag(tag);
        if local.tag().is_none() {
            return Err(NoDialog::Tag);
        }
        let security = Security::of(request, over);
        let phase = match usage {
            Usage::Session => Phase::Early,
            Usage::Subscription => Phase::Confirmed,
        };
        Ok(Self {
            role: Role::Callee,
            usage,
            phase,
            security,
            call_id: headers.call_id().clone(),
            local,
            remote: headers.from().clone(),
            contact,
            local_sequence: None,
            remote_sequence: Some(headers.cseq().number()),
            target: target(headers, security).ok_or(NoDialog::Contact)?,
            route: headers.record_route().clone(),
        })
    }

    /// What tells it from others.
    #[must_use]
    pub fn id(&self) -> DialogId {
        DialogId::new(&self.call_id, &self.local, &self.remote)
    }

    /// Which end we are.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// About how many octets of memory it takes beside itself.
    #[must_use]
    pub fn weight(&self) -> usize {
        let addresses = [&self.local, &self.remote, &self.contact];
        let addresses = addresses.map(|address| address.to_string().len());
        let route = self
            .route
            .iter()
            .map(|hop| hop.to_string().len().saturating_mul(2));
        let target = self.target.to_string().len();
        addresses.into_iter().chain(route).fold(
            target.saturating_add(self.call_id.as_str().len()),
            usize::saturating_add,
        )
    }

    /// What it is for.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// How far it has come.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether every hop has to be protected.
    #[must_use]
    pub const fn security(&self) -> Security {
        self.security
    }

    /// Our address, with our tag.
    #[must_use]
    pub const fn local(&self) -> &NameAddr {
        &self.local
    }

    /// The other end's address.
    #[must_use]
    pub const fn remote(&self) -> &NameAddr {
        &self.remote
    }

    /// Where the other end wants to be reached.
    #[must_use]
    pub const fn target(&self) -> &Uri {
        &self.target
    }

    /// The way there, first hop first.
    #[must_use]
    pub const fn route(&self) -> &RouteSet {
        &self.route
    }

    /// Ends it, whatever its phase: what comes later finds none.
    pub const fn end(&mut self) {
        self.phase = Phase::Ended;
    }

    /// Notes that we have answered with a 2xx.
    pub const fn confirm(&mut self) {
        if matches!(self.phase, Phase::Early) {
            self.phase = Phase::Confirmed;
        }
    }

    /// Its Call-ID.
    #[must_use]
    pub const fn call_id(&self) -> &CallId {
        &self.call_id
    }

    /// Leaves out so many numbers of ours: some were used by a process that could not write down which.
    #[must_use]
    pub fn skipping(mut self, numbers: u32) -> Self {
        let number = self.local_sequence.unwrap_or_default().saturating_add(numbers);
        self.local_sequence = Some(number.min(MOST_SEQUENCE));
        self
    }

    /// What comes from the other end is later than `sequence`: for a notification that came within a response. Tells whether it is
    /// later itself than what came before.
    pub fn heard(&mut self, sequence: u32) -> bool {
        let heard = Some(sequence.min(MOST_SEQUENCE));
        let is_new = self.remote_sequence < heard;
        self.remote_sequence = self.remote_sequence.max(heard);
        is_new
    }

    /// Takes a request of the other end. What is refused here goes no further.
    ///
    /// # Errors
    /// [`Refused`], with its status; for an ACK nothing is answered.
    //
    //= rfc3261#12.2.2
    //# If the remote sequence number was not empty, but the sequence number of the request is lower than the remote
    //# sequence number, the request is out of order and MUST be rejected with a 500 (Server Internal Error) response.
    pub fn receive(&mut self, request: &Request) -> Result<Received, Refused> {
        let headers = request.headers();
        if self.phase == Phase::Ended || DialogId::of_request(request) != self.id() {
            return Err(Refused::NoSuchDialog);
        }
        if *request.method() == Method::Ack {
            return Ok(Received::Acknowledgement);
        }
        // It belongs to the transaction that it cancels.
        if *request.method() == Method::Cancel {
            return Ok(Received::Request);
        }
        // A transaction absorbs what is repeated, so an equal number is one used for two requests.
        let number = headers.cseq().number();
        if self.remote_sequence.is_some_and(|last| number <= last) {
            return Err(Refused::OutOfOrder);
        }
        self.remote_sequence = Some(number);
        if !self.usage.has(request.method()) {
            return Err(Refused::NoSuchDialog);
        }
        //= rfc3261#12.2.2
        //# When a UAS receives a target refresh request, it MUST replace the dialog's remote target URI with the URI from
        //# the Contact header field in that request, if present.
        if refreshes_target(request.method()) && !headers.contact().addresses().is_empty() {
            self.target = target(headers, self.security).ok_or(Refused::Contact)?;
        }
        if *request.method() == Method::Bye {
            self.end();
            return Ok(Received::Bye);
        }
        Ok(Received::Request)
    }

    /// Takes a response to a request of ours within the dialog, and says what it has done to it: anything more than
    /// [`Damage::Transaction`] has ended it.
    //
    //= rfc3261#12.2.1.2
    //# When a UAC receives a 2xx response to a target refresh request, it MUST replace the dialog's remote target URI
    //# with the URI from the Contact header field in that response, if present.
    pub fn receive_response(&mut self, response: &Response) -> Damage {
        let headers = response.headers();
        let method = headers.cseq().method();
        if response.status().is_success() {
            if refreshes_target(method)
                && let Some(target) = target(headers, self.security)
            {
                self.target = target;
            }
            return Damage::Transaction;
        }
        let damage = damage(method, response.status());
        if damage != Damage::Transaction {
            self.end();
        }
        damage
    }

    /// Confirms the caller's early dialog by the 2xx to its INVITE. A 2xx to a later request is for
    /// [`Dialog::receive_response`].
    //
    //= rfc3261#13.2.2.4
    //# If the dialog identifier in the 2xx response matches the dialog identifier of an existing dialog, the dialog MUST
    //# be transitioned to the "confirmed" state, and the route set for the dialog MUST be recomputed based on the 2xx
    //# response
    pub fn confirm_by(&mut self, response: &Response) {
        let headers = response.headers();
        if self.phase == Phase::Early && response.status().is_success() {
            self.phase = Phase::Confirmed;
            self.route = headers.record_route().reversed();
            if let Some(target) = target(headers, self.security) {
                self.target = target;
            }
        }
    }
}

impl DialogId {
    fn new(call_id: &CallId, local: &NameAddr, remote: &NameAddr) -> Self {
        Self {
            call_id: call_id.clone(),
            local: local.tag().unwrap_or_default().into(),
            remote: remote.tag().unwrap_or_default().into(),
        }
    }

    /// The dialog of a request that came to us.
    #[must_use]
    pub fn of_request(request: &Request) -> Self {
        let headers = request.headers();
        Self::new(headers.call_id(), headers.to(), headers.from())
    }

    /// The dialog of a response that came to us.
    #[must_use]
    pub fn of_response(response: &Response) -> Self {
        let headers = response.headers();
        Self::new(headers.call_id(), headers.from(), headers.to())
    }

    /// Its Call-ID.
    #[must_use]
    pub const fn call_id(&self) -> &CallId {
        &self.call_id
    }

    /// Our tag; empty for a request outside of any dialog.
    #[must_use]
    pub fn local_tag(&self) -> &str {
        &self.local
    }

    /// The other end's tag; empty for one that has none.
    #[must_use]
    pub fn remote_tag(&self) -> &str {
        &self.remote
    }
}

impl Usage {
    /// `None` for a method that makes no dialog.
    fn of(method: &Method) -> Option<Self> {
        match method {
            Method::Invite => Some(Self::Session),
            Method::Subscribe | Method::Refer => Some(Self::Subscription),
            Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Options
            | Method::Register
            | Method::Message
            | Method::Notify
            | Method::Publish
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Extension(_) => None,
        }
    }

    /// Whether a request of this method can belong to it.
    fn has(self, method: &Method) -> bool {
        match self {
            Self::Session => !matches!(method, Method::Subscribe | Method::Notify),
            Self::Subscription => !matches!(
                method,
                Method::Invite | Method::Bye | Method::Prack | Method::Update
            ),
        }
    }
}

impl Security {
    //= rfc3261#12.1.1
    //# If the request arrived over TLS, and the Request-URI contained a SIPS URI, the "secure" flag is set to TRUE.
    fn of(request: &Request, over: &Transport) -> Self {
        let is_sips = request
            .uri()
            .sip()
            .is_some_and(|uri| uri.scheme() == Scheme::Sips);
        if is_sips && matches!(over, Transport::Tls | Transport::Wss) {
            Self::Sips
        } else {
            Self::Open
        }
    }
}

impl fmt::Display for DialogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{};{}", self.call_id, self.local, self.remote)
    }
}

/// The one Contact of a message that takes part in a dialog (RFC 3261 §8.1.1.8); several are none.
fn only(headers: &Headers) -> Option<&NameAddr> {
    match headers.contact().addresses() {
        [address] => Some(address),
        _ => None,
    }
}

/// Where a message says that its sender is reached.
fn target(headers: &Headers, security: Security) -> Option<Uri> {
    let uri = only(headers)?.uri();
    let scheme = uri.sip()?.scheme();
    if security == Security::Sips && scheme != Scheme::Sips {
        return None;
    }
    Some(uri.clone().without_headers())
}

/// RFC 3261 §12.2, RFC 3311 §5, RFC 6665 §3.1 and §3.2, RFC 5057 §5.
const fn refreshes_target(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
    )
}

/// RFC 3261 §8.1.1.5.
const MOST_SEQUENCE: u32 = 0x7FFF_FFFF;
