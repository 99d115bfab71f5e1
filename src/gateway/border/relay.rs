//! What is more to a request that goes on as a request: which methods and sessions pass, and what becomes of its
//! responses.

use std::sync::Arc;

use super::bodies::{self, Search, Withheld};
use super::sip::{Parties, way};
use super::{Admitted, Border};
use crate::domain::DomainPattern;
use crate::gateway::answer::{Answers, Trouble};
use crate::gateway::delivery::{Link, Trace};
use crate::gateway::rejection::{RETRY_AFTER, Refused, Rejected, tag};
use crate::identity::Authenticated;
use crate::interwork::passage;
use crate::limits::XmlLimits;
use crate::policy::{self, Permit};
use crate::route::{Federated, Route, Side};
use crate::sip::proxy::{Arrived, Ends, Passage, Proxy, Sessions, Way};
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
    removed: Option<Removed>,
    trace: Trace,
}

/// What brings the responses of a relayed request back to its sender.
#[derive(Debug)]
pub struct Return {
    proxy: Arc<Proxy>,
    passage: Passage,
    answers: policy::Answers,
    entry: Arc<Federated>,
    xml: XmlLimits,
}

/// What the sender of a request gets for a response.
#[derive(Debug)]
pub struct Returned {
    /// The response; `None` where nothing may be told yet.
    pub response: Option<Box<Response>>,
    /// A body that was taken out of it.
    pub removed: Option<Removed>,
}

/// A body that may not go on was taken out of what goes on without it; the text names the key that would let it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}: [[federate]] {entry}, {}, would let it pass", .why.key())]
pub struct Removed {
    why: Withheld,
    entry: DomainPattern,
}

/// Where a request goes on.
pub(super) struct Onward {
    /// What it said of its way.
    pub(super) arrived: Arrived,
    /// Its way.
    pub(super) route: Route,
    /// What carries SIP to the nodes.
    pub(super) over: Transport,
    /// The entry of the foreign domain.
    pub(super) entry: Arc<Federated>,
    /// What its sender has proven.
    pub(super) sender: Authenticated,
}

impl Border {
    /// Makes a relay of a request that has passed everything else. Its permit is asked for last: whoever is blocked
    /// politely meets every check first.
    pub(super) fn relay(
        &self,
        side: Side,
        mut request: Request,
        parties: &Parties,
        Onward {
            arrived,
            route,
            over,
            entry,
            sender,
        }: Onward,
        permit: impl FnOnce(&Request) -> Result<Permit, Rejected>,
    ) -> Result<Admitted, Rejected> {
        let Some(proxy) = &self.conduct.proxy else {
            return Err(Rejected::of(&request, &Refused::Inside));
        };
        entry
            .terms
            .check(&request)
            .map_err(|not_allowed| Rejected::of_terms(&request, &entry, &not_allowed))?;
        check_session(&request, &entry).map_err(|refused| refused.warned(304, &self.edge))?;
        let own = match side {
            Side::Outside => arrived.ends().and_then(|ends| Uri::parse(&ends.own).ok()),
            Side::Inside => Some(request.headers().from().uri().clone()),
        };
        let own = own.unwrap_or_else(|| request.uri().clone());
        let ends = Ends::new(&own, parties.foreign.domain().clone());
        let search = Search {
            proxy,
            terms: &entry.terms,
            xml: &self.limits.xml,
            own: &ends.own,
            way: way(side),
        };
        let removed = search_request(&search, &mut request, &entry)?;
        let permit = permit(&request)?;
        let answers = permit.answers();
        if answers == policy::Answers::Withhold && !matches!(request.method(), Method::Message | Method::Ack)
        {
            // A dialog without answers is none.
            return Err(Rejected::of(&request, &Refused::OneWay));
        }
        let gateways = passage::Passage::of_request(&request);
        let passage = proxy
            .forward(way(side), arrived, &mut request, &ends, &over)
            .map_err(|not| Rejected::of(&request, &Refused::NotPassed(not)))?;
        // Marks name nobody, and whoever made one has to meet it again.
        gateways.mark_request(&mut request);
        self.vouch(&mut request, &route, (&entry, &sender))
            .map_err(|flaw| Rejected::of(&request, &Refused::Internal(flaw)))?;
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
                entry,
                xml: self.limits.xml.clone(),
            }),
            removed,
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

    /// A body that was taken out of it.
    #[must_use]
    pub const fn removed(&self) -> Option<&Removed> {
        self.removed.as_ref()
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
    /// What its sender gets for a response that `request`, as it was sent, got. Where answers are withheld, nothing of it
    /// is told but that the next hop was reached, and that only at the end.
    #[must_use]
    pub fn response(&self, request: &Request, mut response: Box<Response>) -> Returned {
        let whole = |response| Returned {
            response,
            removed: None,
        };
        if self.answers == policy::Answers::Withhold {
            let is_final = response.status().is_final();
            return whole(is_final.then(|| self.ours(request, StatusCode::ACCEPTED)));
        }
        let removed = self.search(&mut response);
        match self.proxy.answer(&self.passage, &mut response) {
            Ok(()) => {}
            Err(_) => return whole(Some(self.ours(request, StatusCode::SERVER_INTERNAL_ERROR))),
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
            return whole(Some(self.ours(request, status)));
        }
        Returned {
            response: Some(response),
            removed,
        }
    }

    /// Makes the body of a response one that may go on, or takes it out.
    fn search(&self, response: &mut Response) -> Option<Removed> {
        let search = Search {
            proxy: &self.proxy,
            terms: &self.entry.terms,
            xml: &self.xml,
            own: &self.passage.ends().own,
            // Responses go against their request.
            way: match self.passage.way() {
                Way::Inward => Way::Outward,
                Way::Outward => Way::Inward,
            },
        };
        match search.search(response.headers(), response.body()) {
            Ok(None) => None,
            Ok(Some(body)) => {
                response.set_body(body);
                None
            }
            Err(why) => {
                response.remove_body();
                Some(Removed::new(why, &self.entry))
            }
        }
    }

    /// The response that its sender gets where there is none. Where answers are withheld, it is the edge's own word that
    /// nothing was delivered, and the same whatever the trouble.
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

impl Removed {
    fn new(why: Withheld, entry: &Federated) -> Self {
        let entry = entry.pattern.clone();
        Self { why, entry }
    }

    /// What the sender of a request is answered that cannot go on without it.
    pub(in crate::gateway) const fn status(&self) -> u16 {
        match self.why {
            Withheld::Opaque(_) | Withheld::Unreadable(_) | Withheld::Session(_) => 415,
            Withheld::Named(_) => 403,
        }
    }
}

/// Makes the body of a request one that may go on. Where there is none, the request is refused; what ends or acknowledges
/// a session goes on without it.
fn search_request(
    search: &Search<'_>,
    request: &mut Request,
    entry: &Federated,
) -> Result<Option<Removed>, Rejected> {
    // Whoever is referred has to be sent to a user: no name of ours stands for a place in it.
    let refers_inside = search.way == Way::Outward
        && request
            .headers()
            .all("Refer-To")
            .any(|to| search.proxy.inner().is_shown_in(to));
    if refers_inside {
        let removed = Removed::new(Withheld::Named("Refer-To".to_owned()), entry);
        return Err(Rejected::of(request, &Refused::Body(removed)));
    }
    match search.search(request.headers(), request.body()) {
        Ok(None) => Ok(None),
        Ok(Some(body)) => {
            request.set_body(body);
            Ok(None)
        }
        Err(why) => {
            let removed = Removed::new(why, entry);
            if matches!(request.method(), Method::Ack | Method::Bye | Method::Cancel) {
                request.remove_body();
                return Ok(Some(removed));
            }
            Err(Rejected::of(request, &Refused::Body(removed)))
        }
    }
}

/// A session that is offered has to be one of messages, where no other may pass. One that is offered in the answer to
/// an INVITE, or answered by ACK, is made one ([`bodies`]).
fn check_session(request: &Request, entry: &Federated) -> Result<(), Rejected> {
    let may_offer = matches!(request.method(), Method::Invite | Method::Update | Method::Prack);
    if entry.terms.sessions == Sessions::OfAnything || !may_offer || request.body().is_empty() {
        return Ok(());
    }
    let kind = request.headers().content_type();
    let offered = kind.and_then(|kind| bodies::sessions(kind, request.body()).ok());
    let begins = *request.method() == Method::Invite && request.headers().to().tag().is_none();
    let is_of_messages = |body: &[u8]| {
        Sdp::parse(body).is_ok_and(|sdp| !sdp.has_other_media() && (!begins || sdp.is_of_messages()))
    };
    let passes = offered.is_some_and(|offered| {
        !offered.is_empty() && offered.iter().all(|description| is_of_messages(description))
    });
    if passes {
        Ok(())
    } else {
        Err(Rejected::of(request, &Refused::Media(entry.pattern.clone())))
    }
}
