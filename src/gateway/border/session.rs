//! What is more to a request that goes to an XMPP user: a message on its own, or a part of a session that ends at the
//! gateway.

use std::sync::Arc;

use super::sip::{Parties, party_of};
use super::{Admitted, Border};
use crate::gateway::conversation::Pair;
use crate::gateway::delivery::{Carries, Delivery, Link, Payload, SipPeer, Trace};
use crate::gateway::receipts::Asking;
use crate::gateway::rejection::{Refused, Rejected};
use crate::gateway::translate;
use crate::interwork::address::{AddressError, Party, Sips};
use crate::interwork::carried::{self, Carried};
use crate::interwork::embedded;
use crate::interwork::invitation;
use crate::interwork::message::MessageError;
use crate::interwork::passage::Passage;
use crate::interwork::receipt;
use crate::policy::{Answers, Permit};
use crate::refusal::Refuse;
use crate::route::{Protocol, Route, Side};
use crate::sip::inspect::{self, Supported};
use crate::sip::proxy::Face;
use crate::sip::{Date, Host, Method, Request, Transport};

/// A request that goes to XMPP, and where.
pub(super) struct ToXmpp<'p> {
    pub(super) side: Side,
    pub(super) parties: &'p Parties,
    pub(super) route: Route,
    pub(super) peer: Arc<SipPeer>,
}

impl Border {
    /// What a request to an XMPP user is there. Its permit is asked for last: whoever is blocked politely meets every check
    /// first.
    pub(super) fn to_xmpp(
        &self,
        request: Request,
        going: ToXmpp<'_>,
        now: Date,
        permit: impl FnOnce(&Request) -> Result<Permit, Rejected>,
    ) -> Result<Admitted, Rejected> {
        let ToXmpp {
            side,
            parties,
            route,
            peer,
        } = going;
        let link = Link::Xmpp {
            local: parties.from(side).domain().clone(),
            remote: parties.to(side).domain().clone(),
        };
        let passage = Passage::of_request(&request)
            .through(self.conduct.mark)
            .map_err(|circling| Rejected::of(&request, &Refused::Circling(circling)))?;
        let is_alone = *request.method() == Method::Message
            && request.headers().to().tag().is_none()
            && matches!(carried::read(&request), Ok(Carried::Text));
        let (permit, payload) = if is_alone {
            // XMPP cannot promise TLS on every hop (RFC 7247 §8), and nothing configures an exception yet.
            let mut stanza = translate::to_stanza(&request, now, Sips::Refuse).map_err(|error| {
                let rejected = Rejected::of(&request, &error);
                if error == MessageError::Address(AddressError::Sips) {
                    rejected.warned(MISCELLANEOUS, &self.edge)
                } else {
                    rejected
                }
            })?;
            passage.mark_stanza(&mut stanza);
            let permit = permit(&request)?;
            let payload = Payload::ToXmpp {
                stanza: Box::new(stanza),
                profile: peer.profile.clone(),
                asking: self.asking(&request, (side, parties), &peer, now, &permit),
                request: Box::new(request),
            };
            (permit, payload)
        } else {
            let reject = |refusal: &dyn Refuse| Rejected::of(&request, refusal);
            let to = request.headers().to();
            if to.tag().is_some() && party_of(to).as_ref() != Some(parties.to(side)) {
                // Whom To names is whom policy was asked about, or nobody.
                return Err(reject(&Refused::NoSession));
            }
            let ends = translate::ends(&request).map_err(|error| reject(&error))?;
            let pair = Pair::new(ends.1.jid(), ends.0.jid());
            let mut carries = carries(&request, ends, now)?;
            if let Carries::Text(stanza) | Carries::State(stanza, _) = &mut carries {
                passage.mark_stanza(stanza);
            }
            let asked = receipt::Asked::of_request(&request, now).map(Box::new);
            let back = self
                .table
                .lookup(parties.from(side), Protocol::Sip)
                .map_err(|error| reject(&error))?;
            let permit = permit(&request)?;
            if permit.answers() == Answers::Withhold {
                // A session without answers is none.
                return Err(reject(&Refused::OneWay));
            }
            let payload = Payload::InSession {
                request: Box::new(request),
                carries,
                asked,
                ends: Box::new(pair),
                peer,
                back: Box::new(back),
            };
            (permit, payload)
        };
        Ok(Admitted::Deliver(Box::new(Delivery {
            permit,
            route,
            link,
            payload,
            trace: Trace::default(),
            other: None,
            hold: None,
        })))
    }

    /// What the sender of a message asks to be told of it, where he may be told anything.
    fn asking(
        &self,
        request: &Request,
        (side, parties): (Side, &Parties),
        peer: &Arc<SipPeer>,
        now: Date,
        permit: &Permit,
    ) -> Option<Box<Asking>> {
        let asked = receipt::Asked::of_request(request, now)?;
        if permit.answers() == Answers::Withhold {
            return None;
        }
        let back = self.table.lookup(parties.from(side), Protocol::Sip).ok()?;
        Some(Box::new(Asking {
            asked,
            peer: Arc::clone(peer),
            back,
        }))
    }

    /// Where a side reaches us by what carries SIP there.
    pub(super) fn face(&self, side: Side, over: &Transport) -> Option<Face> {
        let of_side = || {
            self.conduct
                .faces
                .iter()
                .filter(|(of, _)| *of == side)
                .map(|(_, face)| face)
        };
        let face = of_side()
            .find(|face| face.transport() == over)
            .or_else(|| of_side().next());
        match face {
            Some(face) => Some(face.clone()),
            None => Some(Face::new(
                over.clone(),
                Host::parse(self.edge.as_str()).ok()?,
                None,
            )),
        }
    }
}

/// What the gateway does with requests of a method.
pub(super) const fn supported(method: &Method) -> Supported<'static> {
    Supported {
        role: inspect::Role::Gateway,
        methods: &[
            Method::Message,
            Method::Options,
            Method::Invite,
            Method::Bye,
            Method::Info,
            Method::Update,
            Method::Subscribe,
            Method::Notify,
        ],
        // Who invites more than one is told so (488), and not that a word is unknown (420).
        extensions: &["timer", "ms-benotify", "com.microsoft.rtc-multiparty"],
        schemes: &["im"],
        content: if matches!(method, Method::Invite | Method::Update | Method::Ack) {
            &DESCRIPTIONS
        } else if matches!(method, Method::Info) {
            &ACTIVITIES
        } else {
            &carried::TYPES
        },
        answer: if matches!(method, Method::Invite) {
            Some(("application", "sdp"))
        } else {
            None
        },
    }
}

/// A Warning for people (RFC 3261 §20.43).
const MISCELLANEOUS: u16 = 399;

/// Bodies of an invitation. Only the first is taken; the others are refused as what they are.
const DESCRIPTIONS: [(&str, &str); 6] = [
    ("application", "sdp"),
    ("multipart", "alternative"),
    ("multipart", "mixed"),
    ("application", "ms-conf-invite+xml"),
    ("text", "x-msmsgsinvite"),
    ("application", "ms-filetransfer+xml"),
];
const ACTIVITIES: [(&str, &str); 2] = [("application", "xml"), ("application", "im-iscomposing+xml")];
/// What it has for the XMPP user.
fn carries(request: &Request, ends: (Party, Party), now: Date) -> Result<Carries, Rejected> {
    let reject = |refusal: &dyn Refuse| Rejected::of(request, refusal);
    let begins = request.headers().to().tag().is_none();
    if *request.method() == Method::Invite && begins {
        invitation::judge(request).map_err(|refused| reject(&refused))?;
        // One that cannot be read is not taken: its sender sends it again, where it has an answer of its own.
        let first = embedded::first_message(request).unwrap_or_default();
        return Ok(first.map_or(Carries::Nothing, |first| {
            Carries::Text(Box::new(translate::first_of_session(request, ends, first.text())))
        }));
    }
    if !matches!(request.method(), Method::Message | Method::Info) {
        return Ok(Carries::Nothing);
    }
    match carried::read(request).map_err(|error| reject(&error))? {
        Carried::Text => {
            let stanza = translate::of_session(request, ends, now).map_err(|error| reject(&error))?;
            Ok(Carries::Text(Box::new(stanza)))
        }
        Carried::Activity(activity) => {
            let state = activity.state.to_chat_state();
            let stanza = translate::state_of_session(request, ends, state);
            Ok(Carries::State(Box::new(stanza), activity))
        }
        Carried::Receipt(receipt, id) => Ok(Carries::Receipt(receipt, id)),
        Carried::Nothing => Ok(Carries::Nothing),
    }
}
