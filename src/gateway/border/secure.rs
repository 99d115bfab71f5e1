//! `sips:` between SIP peers: it goes on over TLS alone, or not at all.
//!
//! RFC 3261 §26.2.2, RFC 5630. What becomes of it on the way to XMPP is said by the translation, which refuses it.

use super::{Border, Peer};
use crate::gateway::rejection::{Refused, Rejected};
use crate::route::Route;
use crate::sip::{Request, Scheme, Transport};

impl Border {
    /// The route of a request, and what carries SIP to the nodes, where they keep the promise of its Request-URI.
    //
    //= rfc5630#4.1
    //# If a request needs to be
    //# rejected because otherwise it would be a "downgrade", the request
    //# would be rejected with a 480 (Temporarily Unavailable) response
    pub(super) fn promised(
        &self,
        request: &Request,
        (route, over): (Route, Transport),
        peer: &dyn Peer,
    ) -> Result<(Route, Transport), Rejected> {
        let is_sips = request
            .uri()
            .sip()
            .is_some_and(|uri| uri.scheme() == Scheme::Sips);
        if !is_sips {
            return Ok((route, over));
        }
        let broken = |why| {
            let rejected = Rejected::of(request, &Refused::Sips(why));
            Err(rejected.warned(SIPS_NOT_ALLOWED, &self.edge))
        };
        if !peer.is_over_tls() {
            return broken("it came without TLS");
        }
        let has_tls = self
            .conduct
            .proxy
            .as_ref()
            .is_some_and(|proxy| proxy.is_reached_by_tls());
        if !has_tls {
            return broken(
                "nodes or peers do not reach the edge by TLS: a [[listen]] with transport = \"tls\" is missing",
            );
        }
        match route.over_tls() {
            Some(route) => Ok((route, Transport::Tls)),
            None => broken("no way to its destination goes over TLS"),
        }
    }
}

/// RFC 5630 §5.4.1.
const SIPS_NOT_ALLOWED: u16 = 380;
