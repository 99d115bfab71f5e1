//! What is more to a request that goes on as a request: which methods and sessions pass, and what becomes of its
//! responses.

use std::sync::Arc;

use super::sip::{Parties, way};
use super::{Admitted, Border};
use crate::gateway::answer::{Answers, Trouble};
use crate::gateway::delivery::{Link, Trace};
use crate::gateway::rejection::{RETRY_AFTER, Refused, Rejected, tag};
use crate::policy::{self, Permit};
use crate::route::{Route, Side};
use crate::sip::proxy::{Arrived, Ends, Passage, Proxy};
use crate::sip::sdp::Sdp;
use crate::sip::{Method, Request, Response, StatusCode, Transport, Uri};

/// A request that policy permits and that has a route, ready for its next hop but for our Via. Made only by
/// [`super::Border`].
#[derive(Debug)]
pub struct Relay {
    permit: Permit,
    route: Route,
    link: Link,
    request: Box<Request>,
    back: Box<Return>,
    trace: Trace,
}

/// What brings the responses of a relayed request back to its sender.
#[derive(Debug)]
pub struct Return {
    proxy: Arc<Proxy>,
    passage: Passage,
    answers: policy::Answers,
}

/// Where a request goes on.
pub(super) struct Onward {
    /// What it said of its way.
    pub(super) arrived: Arrived,
    /// Its way.
    pub(super) route: Route,
    /// What carries SIP to the nodes.
    pub(super) over: Transport,
}

impl Border {
    /// Makes a relay of a request that has passed everything else. Its permit is asked for last: whoever is blocked
    /// politely meets every check first.
    pub(super) fn relay(
        &self,
        side: Side,
        mut request: Request,
        parties: &Parties,
        Onward { arrived, route, over }: Onward,
        permit: impl FnOnce(&Request) -> Result<Permit, Rejected>,
    ) -> Result<Admitted, Rejected> {
        let Some(proxy) = &self.conduct.proxy else {
            return Err(Rejected::of(&request, &Refused::Inside));
        };
        check_method(&request)?;
        check_session(&request)?;
        let permit = permit(&request)?;
        let answers = permit.answers();
        if answers == policy::Answers::Withhold && !matches!(request.method(), Method::Message | Method::Ack)
        {
            // A dialog without answers is none.
            return Err(Rejected::of(&request, &Refused::OneWay));
        }
        let own = match side {
            Side::Outside => arrived.ends().and_then(|ends| Uri::parse(&ends.own).ok()),
            Side::Inside => Some(request.headers().from().uri().clone()),
        };
        let own = own.unwrap_or_else(|| request.uri().clone());
        let ends = Ends::new(&own, parties.foreign.domain().clone());
        let passage = proxy
            .forward(way(side), arrived, &mut request, &ends, &over)
            .map_err(|not| Rejected::of(&request, &Refused::NotPassed(not)))?;
        let remote = match side {
            Side::Outside => &parties.own,
            Side::Inside => &parties.foreign,
        };
        Ok(Admitted::Relay(Box::new(Relay {
            permit,
            route,
            link: Link::Sip {
                remote: remote.domain().clone(),
            },
            request: Box::new(request),
            back: Box::new(Return {
                proxy: Arc::clone(proxy),
                passage,
                answers,
            }),
            trace: Trace::default(),
        })))
    }
}

impl Relay {
    /// The rule that let it pass.
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The way to its next hop.
    pub const fn route(&self) -> &Route {
        &self.route
    }

    /// The relation that it will go over.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// What goes out.
    #[must_use]
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// The correlation id.
    #[must_use]
    pub const fn trace(&self) -> Trace {
        self.trace
    }

    /// The same under a correlation id.
    #[must_use]
    pub const fn traced(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    /// What is sent, where to, and what brings its responses back.
    pub fn into_parts(self) -> (Link, Box<Request>, Route, Box<Return>) {
        (self.link, self.request, self.route, self.back)
    }
}

impl Return {
    /// The response that its sender gets for one that `request`, as it was sent, got.
    #[must_use]
    pub fn response(&self, request: &Request, mut response: Box<Response>) -> Box<Response> {
        if self.answers == policy::Answers::Withhold && response.status().is_final() {
            return self.ours(request, StatusCode::ACCEPTED);
        }
        match self.proxy.answer(&self.passage, &mut response) {
            Ok(()) => {}
            Err(_) => return self.ours(request, StatusCode::SERVER_INTERNAL_ERROR),
        }
        let is_invite = *request.method() == Method::Invite;
        let status = match response.status() {
            //= rfc3261#16.7
            //# a proxy SHOULD NOT forward a 503 (Service Unavailable) response upstream unless it can determine that any
            //# subsequent requests it might proxy will also generate a 503.
            StatusCode::SERVICE_UNAVAILABLE => StatusCode::SERVER_INTERNAL_ERROR,
            //= rfc4320#4.2
            //# A transaction-stateful SIP element MUST NOT send a response with a Status-Code of 408 to a non-INVITE
            //# request.
            StatusCode::REQUEST_TIMEOUT if !is_invite => StatusCode::SERVER_TIMEOUT,
            // Credentials end at the edge, so that a challenge could never be met.
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => StatusCode::FORBIDDEN,
            status => status,
        };
        if status != response.status() {
            return self.ours(request, status);
        }
        response
    }

    /// The response that its sender gets where there is none.
    #[must_use]
    pub fn trouble(&self, request: &Request, trouble: Trouble) -> Box<Response> {
        if self.answers == policy::Answers::Withhold {
            return self.ours(request, StatusCode::TEMPORARILY_UNAVAILABLE);
        }
        if matches!(trouble, Trouble::Overload | Trouble::Stopping) {
            let mut response = self.ours(request, StatusCode::SERVICE_UNAVAILABLE);
            // The value is ours and clean, so this cannot fail.
            let _ = response.headers_mut().push("Retry-After", RETRY_AFTER);
            return response;
        }
        let mut response = Box::new(Answers::response(request, &trouble.failure().sip_error("")));
        self.proxy.restore(&self.passage, &mut response);
        response
    }

    /// A response of our own.
    #[must_use]
    pub fn ours(&self, request: &Request, status: StatusCode) -> Box<Response> {
        let mut response = Box::new(request.response(status, status.reason(), Some(&tag(request))));
        self.proxy.restore(&self.passage, &mut response);
        response
    }
}

/// Methods that are for one server and its own users do not pass from one organisation to another.
fn check_method(request: &Request) -> Result<(), Rejected> {
    match request.method() {
        Method::Invite
        | Method::Ack
        | Method::Bye
        | Method::Cancel
        | Method::Options
        | Method::Message
        | Method::Subscribe
        | Method::Notify
        | Method::Info
        | Method::Update
        | Method::Prack => Ok(()),
        Method::Register | Method::Publish | Method::Refer | Method::Extension(_) => {
            Err(Rejected::of_method(request, PASSING))
        }
    }
}

/// A session that is offered has to be one of messages.
fn check_session(request: &Request) -> Result<(), Rejected> {
    // A refresh of a session offers nothing new, and an ACK answers what has passed already.
    let begins = *request.method() == Method::Invite && request.headers().to().tag().is_none();
    let may_offer = matches!(request.method(), Method::Invite | Method::Update | Method::Prack);
    if !begins && (!may_offer || request.body().is_empty()) {
        return Ok(());
    }
    let is_session = request
        .headers()
        .content_type()
        .is_some_and(|kind| kind.is("application", "sdp"));
    let is_of_messages = is_session && Sdp::parse(request.body()).is_ok_and(|sdp| sdp.is_of_messages());
    if is_of_messages {
        Ok(())
    } else {
        Err(Rejected::of(request, &Refused::Media))
    }
}

const PASSING: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, SUBSCRIBE, NOTIFY, INFO, UPDATE, PRACK";
