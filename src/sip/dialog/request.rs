//! What we send within a dialog: requests, the ACK of a 2xx, and responses.

use super::{Dialog, MOST_SEQUENCE, NotSent, Phase, Role, refreshes_target};
use crate::sip::{Mandatory, Method, NameAddr, Request, Response, RouteHop, RouteSet, StatusCode, Uri, Via};

impl Dialog {
    /// The next request of ours. Its body and further fields are the caller's; whoever sends it writes its own Via in
    /// place of `via`.
    ///
    /// # Errors
    /// [`NotSent`] where nothing may be sent.
    //
    //= rfc3261#12.2.1.1
    //# Requests within a dialog MUST contain strictly monotonically increasing and contiguous CSeq sequence numbers
    //# (increasing-by-one) in each direction
    pub fn request(&mut self, method: Method, via: Via) -> Result<Request, NotSent> {
        if self.phase == Phase::Ended {
            return Err(NotSent::Ended);
        }
        //= rfc3261#15
        //# the callee's UA MAY send a BYE on confirmed dialogs, but MUST NOT send a BYE on early dialogs.
        if method == Method::Bye && self.role == Role::Callee && self.phase == Phase::Early {
            return Err(NotSent::Early);
        }
        let number = match self.local_sequence {
            None => 1,
            Some(last) => last
                .checked_add(1)
                .filter(|next| *next <= MOST_SEQUENCE)
                .ok_or(NotSent::Exhausted)?,
        };
        self.local_sequence = Some(number);
        Ok(self.build(method, number, via))
    }

    /// The ACK of a 2xx to an INVITE of ours, whose number is `invite`.
    //
    //= rfc3261#13.2.2.4
    //# The sequence number of the CSeq header field MUST be the same as the INVITE being acknowledged, but the CSeq
    //# method MUST be ACK.
    #[must_use]
    pub fn acknowledgement(&self, invite: u32, via: Via) -> Request {
        self.build(Method::Ack, invite, via)
    }

    /// Our response to a request of the other end, with what a dialog puts into it.
    //
    //= rfc3261#12.1.1
    //# When a UAS responds to a request with a response that establishes a dialog (such as a 2xx to INVITE), the UAS MUST
    //# copy all Record-Route header field values from the request into the response
    #[must_use]
    pub fn answer(&self, request: &Request, status: StatusCode, reason: &str) -> Response {
        let response = request.response(status, reason, self.local.tag());
        if status == StatusCode::TRYING || status.code() >= 300 || !refreshes_target(request.method()) {
            return response;
        }
        let response = response.with_contact(self.contact.clone());
        if request.headers().to().tag().is_some() {
            return response;
        }
        response.with_record_route(request.headers().record_route().clone())
    }

    fn build(&self, method: Method, number: u32, via: Via) -> Request {
        let mandatory = Mandatory {
            via,
            from: self.local.clone(),
            to: self.remote.clone(),
            call_id: self.call_id.clone(),
            sequence: number,
        };
        let (uri, route) = self.way();
        let has_contact = refreshes_target(&method);
        let request = Request::new(method, uri, mandatory).with_route(route);
        if has_contact {
            request.with_contact(self.contact.clone())
        } else {
            request
        }
    }

    /// Request-URI and Route of what we send.
    fn way(&self) -> (Uri, RouteSet) {
        let Some(first) = self.route.first() else {
            return (self.target.clone(), RouteSet::default());
        };
        //= rfc3261#12.2.1.1
        //# If the route set is not empty, and the first URI in the route set contains the lr parameter (see Section
        //# 19.1.1), the UAC MUST place the remote target URI into the Request-URI and MUST include a Route header field
        //# containing the route set values in order, including all parameters.
        if first.is_loose_router() {
            return (self.target.clone(), self.route.clone());
        }
        //= rfc3261#12.2.1.1
        //# If the route set is not empty, and its first URI does not contain the lr parameter, the UAC MUST place the
        //# first URI from the route set into the Request-URI, stripping any parameters that are not allowed in a
        //# Request-URI.
        let mut route = self.route.clone();
        route.pop_first();
        if let Some(last) = hop(&self.target) {
            route.push_last(last);
        }
        (allowed(first.uri().clone()), route)
    }
}

/// The target as the last hop of a route.
fn hop(target: &Uri) -> Option<RouteHop> {
    match target {
        Uri::Sip(uri) => Some(RouteHop::new(uri.clone())),
        Uri::Other(_) => RouteHop::parse(&NameAddr::new(target.clone()).to_string()).ok(),
    }
}

/// A URI without what may not stand in a Request-URI (RFC 3261 §19.1.1, table 1).
fn allowed(uri: Uri) -> Uri {
    match uri.without_headers() {
        Uri::Sip(mut uri) => {
            uri.params_mut().remove("method");
            Uri::Sip(uri)
        }
        other @ Uri::Other(_) => other,
    }
}
