//! The proxy core: what a request becomes that goes on from one side of the edge to the other, and what its responses
//! become on the way back (RFC 3261 §16).
//!
//! The two sides are not alike. Outside, the edge is all that is seen of the inside: its name stands in Via,
//! Record-Route and Contact, the Call-ID names no host of ours, and what has to be found again later is sealed in names
//! of ours ([`Veil`]), so that a dialog needs no memory and outlives a restart. Inside, the edge records itself as any
//! proxy does, with a hop for each side (RFC 5658), and leaves the outside's route set as it came, octet for octet.
//!
//! Not here: who may (policy), where to (routes), transactions, bodies (which the border searches), and the Via of the next hop, which whoever sends it knows.

mod hygiene;
mod inward;
mod outward;
mod terms;
#[cfg(test)]
mod tests;
mod veil;

pub use hygiene::Inner;
pub use terms::{Bodies, NotAllowed, Sessions, Terms};
pub use veil::{Unsealed, Veil};

use std::sync::Arc;

use super::{
    CallId, Contact, Flaw, Host, Method, NameAddr, Request, Response, RouteHop, RouteSet, Scheme, SipUri,
    Transport, Uri, Via,
};
use crate::domain::Domain;
use veil::Purpose;

/// A proxy between two sides.
#[derive(Debug, Clone)]
pub struct Proxy {
    veil: Veil,
    outside: Face,
    inside: Vec<Face>,
    inner: Inner,
}

/// Where one side reaches us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    port: Option<u16>,
    /// Transport and host, as what is kept for long shares them.
    via: Arc<Via>,
}

/// The two ends of what passes: one of our users, and the foreign domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// The address of our user, or of one of our domains, as a URI.
    pub own: Box<str>,
    /// The domain at the other end.
    pub foreign: Domain,
}

/// Which way a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From outside to a node of ours.
    Inward,
    /// From a node of ours to a peer.
    Outward,
}

/// What a request said of its way before its own hops were taken from it.
#[derive(Debug, Clone, Default)]
pub struct Arrived {
    /// Whom a name of ours stood for that the request was sent to.
    ends: Option<Ends>,
    /// The rest of its way inside.
    route: RouteSet,
    /// Where its dialog began, if it belongs to one that we recorded ourselves in.
    began: Option<Way>,
    /// Whether its Request-URI was a name of ours.
    is_opened: bool,
}

/// What is kept of a request until its responses have passed.
#[derive(Debug, Clone)]
pub struct Passage {
    way: Way,
    vias: Vec<Via>,
    call_id: CallId,
    /// Outward: who had recorded himself inside, and our hop that stands for him where a dialog may begin.
    recorded: RouteSet,
    hop: Option<RouteHop>,
    /// The face that the inside sees.
    face: Face,
    /// That of our hops: `sips` where that is what the request was sent to.
    scheme: Scheme,
    ends: Ends,
}

/// Why a request or a response cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPassed {
    /// An inside address cannot be hidden.
    #[error(transparent)]
    Unsealed(#[from] Unsealed),
    /// What would have to be written is no SIP.
    #[error("a name of ours cannot be written: {0}")]
    Unwritable(#[from] Flaw),
}

impl Face {
    /// The host is what peers or nodes find us by; no port is the default one of the transport.
    #[must_use]
    pub fn new(transport: Transport, host: Host, port: Option<u16>) -> Self {
        Self {
            port,
            via: Arc::new(Via::unsent(transport, host)),
        }
    }

    /// What carries SIP there.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        self.via.transport()
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        self.via.host()
    }

    /// Our hop in a request that goes out there ([`Via::unsent`]).
    #[must_use]
    pub const fn via(&self) -> &Arc<Via> {
        &self.via
    }

    /// The address of a user here; `user` is escaped already.
    ///
    /// # Errors
    /// [`Flaw`], where it is not.
    pub fn uri(&self, user: &str) -> Result<SipUri, Flaw> {
        self.address(Scheme::Sip, user)
    }

    fn address(&self, scheme: Scheme, user: &str) -> Result<SipUri, Flaw> {
        let uri = SipUri::new(scheme, self.host().clone())
            .with_escaped_user(user)?
            .with_port(self.port.unwrap_or_default());
        //= rfc3261#26.2.2
        //# The use of "transport=tls" has consequently been deprecated
        Ok(match self.transport() {
            Transport::Tls if scheme == Scheme::Sips => uri,
            Transport::Tls => uri.with_param("transport", Some("tls")),
            Transport::Tcp => uri.with_param("transport", Some("tcp")),
            Transport::Udp | Transport::Sctp | Transport::Ws | Transport::Wss | Transport::Other(_) => uri,
        })
    }

    fn hop(&self, scheme: Scheme, user: &str) -> Result<RouteHop, Flaw> {
        Ok(RouteHop::new(self.address(scheme, user)?.with_param("lr", None)))
    }

    /// Whether a URI leads here. The port is not looked at: whoever writes our name means us.
    fn is(&self, uri: &Uri) -> bool {
        uri.sip().is_some_and(|uri| uri.host() == self.host())
    }
}

impl Ends {
    /// The ends that a request or response has, from the address of our user.
    #[must_use]
    pub fn new(own: &Uri, foreign: Domain) -> Self {
        let own = match own {
            // Parameters say how he is reached, not who he is.
            Uri::Sip(uri) => {
                let bare = SipUri::new(uri.scheme(), uri.host().clone());
                let user = uri
                    .user()
                    .and_then(|user| bare.clone().with_escaped_user(user).ok());
                user.unwrap_or(bare).to_string()
            }
            Uri::Other(_) => own.to_string(),
        };
        Self {
            own: own.into(),
            foreign,
        }
    }
}

impl Arrived {
    /// Whom a name of ours stood for that the request was sent to; `None` for a request that names its user itself.
    #[must_use]
    pub const fn ends(&self) -> Option<&Ends> {
        self.ends.as_ref()
    }

    /// Whether it belongs to a dialog that we recorded ourselves in.
    #[must_use]
    pub const fn is_in_dialog(&self) -> bool {
        self.began.is_some() || self.ends.is_some()
    }
}

impl Passage {
    /// Which way the request went; its responses go the other.
    #[must_use]
    pub const fn way(&self) -> Way {
        self.way
    }

    /// Whom it went between.
    #[must_use]
    pub const fn ends(&self) -> &Ends {
        &self.ends
    }
}

impl Proxy {
    /// A proxy that outside is reached at `outside`; `inside` has a face for each transport that nodes reach us by.
    #[must_use]
    pub const fn new(veil: Veil, outside: Face, inside: Vec<Face>, inner: Inner) -> Self {
        Self {
            veil,
            outside,
            inside,
            inner,
        }
    }

    /// Takes out of a request what is ours: the hops that we recorded, and a name of ours for somebody else.
    pub fn receive(&self, way: Way, request: &mut Request) -> Arrived {
        match way {
            Way::Inward => self.receive_inward(request),
            Way::Outward => self.receive_outward(request),
        }
    }

    /// Makes of a request that may pass what goes on, all but the Via of the next hop. `over` is what carries SIP to the
    /// nodes, where there is a choice.
    ///
    /// # Errors
    /// [`NotPassed`]; then nothing of it may be sent.
    pub fn forward(
        &self,
        way: Way,
        arrived: Arrived,
        request: &mut Request,
        ends: &Ends,
        over: &Transport,
    ) -> Result<Passage, NotPassed> {
        let face = self.face(over).clone();
        count_hop(request);
        hygiene::answered(request.headers_mut())?;
        let passage = Passage {
            way,
            vias: request.headers().vias().cloned().collect(),
            call_id: request.headers().call_id().clone(),
            recorded: RouteSet::default(),
            hop: None,
            face,
            scheme: scheme_of(request.uri()),
            ends: ends.clone(),
        };
        match way {
            Way::Inward => self.forward_inward(arrived, request, passage),
            Way::Outward => self.forward_outward(&arrived, request, ends, passage),
        }
    }

    /// Makes of a response what goes back to whoever sent the request.
    ///
    /// # Errors
    /// [`NotPassed`]; then nothing of it may be sent.
    pub fn answer(&self, passage: &Passage, response: &mut Response) -> Result<(), NotPassed> {
        self.restore(passage, response);
        match passage.way {
            Way::Inward => self.answer_outside(passage, response),
            Way::Outward => self.answer_inside(passage, response),
        }
    }

    /// Addresses a response to whoever sent the request: all that a response of our own needs.
    pub fn restore(&self, passage: &Passage, response: &mut Response) {
        let headers = response.headers_mut();
        headers.set_vias(passage.vias.iter().cloned());
        headers.set_call_id(passage.call_id.clone());
    }

    /// The host that outside stands for all that is inside.
    #[must_use]
    pub fn public_host(&self) -> &Host {
        self.outside.host()
    }

    /// Whether both sides have a face that is reached by TLS.
    #[must_use]
    pub fn is_reached_by_tls(&self) -> bool {
        *self.outside.transport() == Transport::Tls
            && self.inside.iter().any(|face| *face.transport() == Transport::Tls)
    }

    /// What may not be named outside.
    #[must_use]
    pub const fn inner(&self) -> &Inner {
        &self.inner
    }

    fn face(&self, over: &Transport) -> &Face {
        self.inside
            .iter()
            .find(|face| face.transport() == over)
            .or_else(|| self.inside.first())
            .unwrap_or(&self.outside)
    }

    fn is_ours(&self, uri: &Uri) -> bool {
        self.outside.is(uri) || self.inside.iter().any(|face| face.is(uri))
    }

    /// Names each Contact of an inside user by a name of ours.
    fn hide_contacts(&self, contact: &Contact, ends: &Ends) -> Result<Contact, NotPassed> {
        let Contact::Listed(addresses) = contact else {
            return Ok(contact.clone());
        };
        let hidden: Result<Vec<_>, NotPassed> = addresses
            .iter()
            .map(|address| {
                let text = format!("{}\n{}\n{}", ends.own, ends.foreign, address.uri());
                let sealed = self.veil.seal(Purpose::Contact, &text)?;
                let mut hidden = NameAddr::new(self.outside.address(scheme_of(address.uri()), &sealed)?);
                for (name, value) in address.params().iter() {
                    if CONTACT_PARAMS
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(name))
                    {
                        hidden.params_mut().put(name, value);
                    }
                }
                Ok(hidden)
            })
            .collect();
        Ok(Contact::Listed(hidden?))
    }

    /// A hop of ours that stands for the way to an inside user.
    fn hide_route(&self, route: &RouteSet, scheme: Scheme, ends: &Ends) -> Result<RouteHop, NotPassed> {
        let mut text = format!("{}\n{}", ends.own, ends.foreign);
        for hop in route.iter() {
            text.push('\n');
            text.push_str(&hop.to_string());
        }
        let sealed = self.veil.seal(Purpose::Route, &text)?;
        Ok(self.outside.hop(scheme, &sealed)?)
    }
}

//= rfc3261#16.6
//# If the copy does not contain a Max-Forwards header field, the proxy MUST add one with a field value, which SHOULD be 70.
fn count_hop(request: &mut Request) {
    let hops = request
        .headers()
        .max_forwards()
        .unwrap_or(MOST_HOPS)
        .min(MOST_HOPS);
    request
        .headers_mut()
        .set_max_forwards(Some(hops.saturating_sub(1)));
}

//= rfc3261#16.6
//# If the Request-URI contains a SIPS URI, or the topmost Route header field value (after the post processing of bullet 6)
//# contains a SIPS URI, the URI placed into the Record-Route header field MUST be a SIPS URI.
fn scheme_of(uri: &Uri) -> Scheme {
    uri.sip().map_or(Scheme::Sip, SipUri::scheme)
}

/// Whether a request of this method can make a dialog, or refresh its target.
const fn has_dialog(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Subscribe | Method::Notify | Method::Refer | Method::Update
    )
}

/// What stands before the `@` of our inside hop: where the dialog began.
const BEGAN_OUTSIDE: &str = "o";
const BEGAN_INSIDE: &str = "i";

/// What a Contact may say outside of its user's device; others name places, such as the globally routable addresses of
/// RFC 5627.
const CONTACT_PARAMS: [&str; 4] = ["+sip.instance", "expires", "methods", "q"];

/// RFC 3261 §8.1.1.6; a greater number is clamped to it.
const MOST_HOPS: u8 = 70;
