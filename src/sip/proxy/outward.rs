//! From a node of ours to a peer, and the peer's responses back.

use super::hygiene;
use super::veil::Purpose;
use super::{Arrived, BEGAN_INSIDE, BEGAN_OUTSIDE, Ends, NotPassed, Passage, Proxy, Way, has_dialog};
use crate::sip::{CallId, Contact, Request, Response, RouteSet};

impl Proxy {
    pub(super) fn receive_outward(&self, request: &mut Request) -> Arrived {
        let mut arrived = Arrived::default();
        while let Some(hop) = request.headers().route().first() {
            if !self.is_ours(hop.uri()) {
                break;
            }
            let began = match hop.uri().sip().and_then(|uri| uri.user()) {
                Some(BEGAN_OUTSIDE) => Some(Way::Inward),
                Some(BEGAN_INSIDE) => Some(Way::Outward),
                Some(_) | None => None,
            };
            arrived.began = arrived.began.or(began);
            request.headers_mut().route_mut().pop_first();
        }
        arrived
    }

    pub(super) fn forward_outward(
        &self,
        arrived: &Arrived,
        request: &mut Request,
        ends: &Ends,
        mut passage: Passage,
    ) -> Result<Passage, NotPassed> {
        passage.recorded = std::mem::take(request.headers_mut().record_route_mut());
        if arrived.began != Some(Way::Inward) {
            let call_id = self.hide_call_id(request.headers().call_id())?;
            request.headers_mut().set_call_id(call_id);
        }
        let contact = self.hide_contacts(request.headers().contact(), ends)?;
        request.headers_mut().set_contact(contact);
        if has_dialog(request.method()) && request.headers().to().tag().is_none() {
            let hop = self.hide_route(&passage.recorded, passage.scheme, ends)?;
            *request.headers_mut().record_route_mut() = RouteSet::from(vec![hop.clone()]);
            passage.hop = Some(hop);
        }
        hygiene::to_outside(request.headers_mut(), &self.inner);
        Ok(passage)
    }

    /// A response of a peer, on its way to the node that sent the request.
    pub(super) fn answer_inside(&self, passage: &Passage, response: &mut Response) -> Result<(), NotPassed> {
        let is_redirection = (300..400).contains(&response.status().code());
        let headers = response.headers_mut();
        let theirs = std::mem::take(headers.record_route_mut());
        // Whatever the peer says of the way, it leads through us: a node would go where the outside wishes.
        if let Some(ours) = &passage.hop {
            let recorded = headers.record_route_mut();
            for hop in theirs.iter().filter(|hop| !self.is_ours(hop.uri())) {
                recorded.push_last(hop.clone());
            }
            recorded.push_last(ours.clone());
            recorded.push_last(passage.face.hop(passage.scheme, BEGAN_INSIDE)?);
            for hop in passage.recorded.iter() {
                recorded.push_last(hop.clone());
            }
        }
        if is_redirection {
            headers.set_contact(Contact::default());
        }
        hygiene::from_outside(headers);
        Ok(())
    }

    fn hide_call_id(&self, call_id: &CallId) -> Result<CallId, NotPassed> {
        let sealed = self.veil.seal(Purpose::CallId, call_id.as_str())?;
        Ok(CallId::parse(&format!("{sealed}@{}", self.outside.host()))?)
    }
}
