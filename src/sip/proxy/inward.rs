//! From outside to a node of ours, and the node's responses back.

use super::hygiene;
use super::veil::Purpose;
use super::{Arrived, BEGAN_OUTSIDE, Ends, NotPassed, Passage, Proxy, has_dialog};
use crate::domain::Domain;
use crate::sip::{CallId, Request, Response, RouteHop, RouteSet, Uri};

impl Proxy {
    pub(super) fn receive_inward(&self, request: &mut Request) -> Arrived {
        let mut arrived = Arrived::default();
        self.undo_strict_routing(request);
        //= rfc3261#16.4
        //# If the first value in the Route header field indicates this proxy, the proxy MUST remove that value from the
        //# request.
        while let Some(hop) = request.headers().route().first() {
            if !self.is_ours(hop.uri()) {
                break;
            }
            if let Some((ends, route)) = self.open_route(hop) {
                (arrived.ends, arrived.route) = (Some(ends), route);
            }
            request.headers_mut().route_mut().pop_first();
        }
        // Where a request goes inside is our business: a hop that the outside asks for is none.
        *request.headers_mut().route_mut() = RouteSet::default();
        let (by_route, route) = (arrived.ends.take(), std::mem::take(&mut arrived.route));
        // A way alone leads nowhere: with a target of the outside's choice it would reach whom it was not made for, and
        // hosts that nobody meant to show. Such a request is what it says, for the user that it names.
        if let Some((ends, uri)) = self.open_contact(request.uri()) {
            if by_route.is_some_and(|by_route| by_route.foreign == ends.foreign) {
                arrived.route = route;
            }
            arrived.ends = Some(ends);
            arrived.is_opened = true;
            request.set_uri(uri);
        }
        arrived
    }

    pub(super) fn forward_inward(
        &self,
        arrived: Arrived,
        request: &mut Request,
        passage: Passage,
    ) -> Result<Passage, NotPassed> {
        let mut uri = request.uri().clone();
        if !arrived.is_opened
            && let Uri::Sip(uri) = &mut uri
        {
            // A node would obey it, and go where the outside says.
            uri.params_mut().remove("maddr");
        }
        request.set_uri(uri);
        let is_dialog = has_dialog(request.method());
        let headers = request.headers_mut();
        *headers.route_mut() = arrived.route;
        if let Some(call_id) = self.open_call_id(headers.call_id()) {
            headers.set_call_id(call_id);
        }
        if is_dialog && headers.to().tag().is_none() {
            //= rfc3261#16.6
            //# If this proxy wishes to remain on the path of future requests in a dialog created by this request (assuming
            //# the request creates a dialog), it MUST insert a Record-Route header field value
            let record = headers.record_route_mut();
            record.push_first(self.outside.hop(passage.scheme, BEGAN_OUTSIDE)?);
            record.push_first(passage.face.hop(passage.scheme, BEGAN_OUTSIDE)?);
        }
        hygiene::from_outside(headers);
        Ok(passage)
    }

    /// A response of a node, on its way to the outside.
    pub(super) fn answer_outside(&self, passage: &Passage, response: &mut Response) -> Result<(), NotPassed> {
        // Whom policy judged: To is what the peer wrote there.
        let ends = &passage.ends;
        let contact = self.hide_contacts(response.headers().contact(), ends)?;
        let record = self.hide_recorded(response.headers().record_route(), passage)?;
        let headers = response.headers_mut();
        headers.set_contact(contact);
        *headers.record_route_mut() = record;
        hygiene::to_outside(headers, &self.inner);
        if self.inner.is_named_in(response.reason()) {
            response.set_usual_reason();
        }
        Ok(())
    }

    /// What nodes have recorded before us goes into our hop; what stands after it came from outside.
    fn hide_recorded(&self, recorded: &RouteSet, passage: &Passage) -> Result<RouteSet, NotPassed> {
        let mut hops = recorded.iter();
        let nodes: Vec<RouteHop> = hops
            .by_ref()
            .take_while(|hop| !self.is_ours(hop.uri()))
            .cloned()
            .collect();
        // Ours are two; where there is none, the node has recorded nothing that anybody may see.
        let outside: Vec<RouteHop> = hops.filter(|hop| !self.is_ours(hop.uri())).cloned().collect();
        if nodes.len() == recorded.len() {
            return Ok(RouteSet::default());
        }
        // A caller's route set is what is recorded, in reverse (RFC 3261 §12.1.2): so are the hops inside.
        let route = RouteSet::from(nodes).reversed();
        let mut all = RouteSet::from(outside);
        all.push_first(self.hide_route(&route, passage.scheme, &passage.ends)?);
        Ok(all)
    }

    //= rfc3261#16.4
    //# If the Request-URI of the request contains a value this proxy previously placed into a Record-Route header field
    //# [...], the proxy MUST replace the Request-URI in the request with the last value from the Route header field
    fn undo_strict_routing(&self, request: &mut Request) {
        let is_hop = match request.uri() {
            Uri::Sip(uri) => {
                self.is_ours(request.uri())
                    && uri.user().is_some_and(|user| {
                        user == BEGAN_OUTSIDE || self.veil.open(Purpose::Route, user).is_some()
                    })
            }
            Uri::Other(_) => false,
        };
        if !is_hop {
            return;
        }
        let hop = RouteHop::new(match request.uri() {
            Uri::Sip(uri) => uri.clone(),
            Uri::Other(_) => return,
        });
        if let Some(last) = request.headers_mut().route_mut().pop_last() {
            request.set_uri(last.uri().clone());
            request.headers_mut().route_mut().push_first(hop);
        }
    }

    fn open_route(&self, hop: &RouteHop) -> Option<(Ends, RouteSet)> {
        let text = self.veil.open(Purpose::Route, hop.uri().sip()?.user()?)?;
        let mut lines = text.split('\n');
        let ends = read_ends(&mut lines)?;
        let hops: Option<Vec<_>> = lines.map(|line| RouteHop::parse(line).ok()).collect();
        Some((ends, RouteSet::from(hops?)))
    }

    fn open_contact(&self, uri: &Uri) -> Option<(Ends, Uri)> {
        if !self.is_ours(uri) {
            return None;
        }
        let text = self.veil.open(Purpose::Contact, uri.sip()?.user()?)?;
        let mut lines = text.split('\n');
        let ends = read_ends(&mut lines)?;
        let uri = Uri::parse(lines.next()?).ok()?;
        Some((ends, uri))
    }

    fn open_call_id(&self, call_id: &CallId) -> Option<CallId> {
        let (sealed, host) = call_id.as_str().split_once('@')?;
        let ours = self.outside.host().to_string();
        if !host.eq_ignore_ascii_case(&ours) {
            return None;
        }
        CallId::parse(&self.veil.open(Purpose::CallId, sealed)?).ok()
    }
}

fn read_ends<'t>(lines: &mut impl Iterator<Item = &'t str>) -> Option<Ends> {
    let own = lines.next()?.into();
    let foreign = Domain::parse(lines.next()?).ok()?;
    Some(Ends { own, foreign })
}
