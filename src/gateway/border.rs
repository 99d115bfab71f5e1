//! The checks at the border, in their order: who sends, may they, where does it go, what is it there.
//!
//! Each step consumes what the one before has found, and [`Delivery`] is made nowhere else, so that no message can be
//! passed on unchecked. The same functions serve `vestibule explain`.

use std::sync::Arc;

use super::delivery::{Delivery, Link, Payload, Trace};
use super::kind::{kind_of, kind_of_stanza};
use super::rejection::{Refused, Rejected, RejectedStanza, Unproven, tag};
use super::translate;
use crate::domain::Domain;
use crate::identity::Authenticated;
use crate::interwork::address::{self, Sips};
use crate::interwork::profile::{PeerKind, Profile};
use crate::limits::Limits;
use crate::policy::{Direction, Party, Permit, Query, Rules};
use crate::route::{self, Destination, Federated, Local, Protocol, Role, Route, Side, Table};
use crate::sip::inspect::{self, Supported};
use crate::sip::{Date, Method, NameAddr, Request, Response, StatusCode, Uri};
use crate::xmpp::stanza::{IqType, MessageType, PresenceType};
use crate::xmpp::{Jid, Stanza, ping, stanza};

/// The rules and tables that a message is checked against; replaced as a whole on reload.
#[derive(Debug, Clone)]
pub struct Border {
    edge: Domain,
    rules: Rules,
    table: Table,
    limits: Limits,
    translation: Translation,
}

/// Whether messages are translated between SIP and XMPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Translation {
    /// SIP and XMPP users reach each other.
    On,
    /// Only what needs no translation is forwarded.
    Off,
}

/// The far end of the flow that a request came on.
pub trait Peer {
    /// Whether it has proven a domain, by the rules of that domain's entry.
    ///
    /// # Errors
    /// [`Unproven`].
    fn proves(&mut self, domain: &Domain, entry: &Federated) -> Result<Authenticated, Unproven>;
}

/// A request that passed.
#[derive(Debug)]
pub enum Admitted {
    /// The edge answers it by itself.
    Answer(Box<Response>),
    /// It is to be delivered.
    Deliver(Box<Delivery>),
}

/// A stanza that passed.
#[derive(Debug)]
pub enum AdmittedStanza {
    /// The edge answers it by itself.
    Answer(Box<Stanza>),
    /// It is to be delivered.
    Deliver(Box<Delivery>),
    /// Nobody waits for it, and nothing is lost with it.
    Ignore,
}

/// What a request of the outside was found to be about.
struct Checked {
    permit: Permit,
    route: Route,
    local: Arc<Local>,
    profile: Profile,
}

impl Border {
    /// Joins rules and tables.
    #[must_use]
    pub const fn new(
        edge: Domain,
        rules: Rules,
        table: Table,
        limits: Limits,
        translation: Translation,
    ) -> Self {
        Self {
            edge,
            rules,
            table,
            limits,
            translation,
        }
    }

    /// Our public name.
    #[must_use]
    pub const fn edge(&self) -> &Domain {
        &self.edge
    }

    /// Who may exchange what with whom.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where everything goes.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// Takes a SIP request that came from `side` through the checks.
    ///
    /// # Errors
    /// [`Rejected`] with the response that says it.
    pub fn admit_sip(
        &self,
        side: Side,
        request: Request,
        peer: &mut dyn Peer,
        now: Date,
    ) -> Result<Admitted, Rejected> {
        if let Err(rejection) = inspect::inspect(&request, &SUPPORTED) {
            return Err(Rejected::of_inspection(&request, &rejection));
        }
        let checked = self.check_sip(side, &request, peer)?;
        if *request.method() == Method::Options {
            let response = request.response(StatusCode::OK, StatusCode::OK.reason(), Some(&tag(&request)));
            let response = response
                .with_header("Allow", ALLOW)
                .and_then(|it| it.with_header("Accept", ACCEPT));
            return response
                .map(|it| Admitted::Answer(Box::new(it)))
                .map_err(|flaw| Rejected::of(&request, &Refused::Internal(flaw)));
        }
        // XMPP cannot promise TLS on every hop (RFC 7247 §8), and nothing configures an exception yet.
        let stanza = translate::to_stanza(&request, now, Sips::Refuse)
            .map_err(|error| Rejected::of(&request, &error))?;
        let link = Link::Xmpp {
            local: checked.permit.foreign().clone(),
            remote: checked.local.domain.clone(),
        };
        let Checked {
            permit,
            route,
            profile,
            ..
        } = checked;
        let payload = Payload::ToXmpp {
            stanza: Box::new(stanza),
            request: Box::new(request),
            profile,
        };
        Ok(Admitted::Deliver(Box::new(Delivery {
            permit,
            route,
            link,
            payload,
            trace: Trace::default(),
        })))
    }

    /// Identity, policy and route of a request.
    fn check_sip(&self, side: Side, request: &Request, peer: &mut dyn Peer) -> Result<Checked, Rejected> {
        let (Some(from), Some(to)) = (party_of(request.headers().from()), party(request.uri())) else {
            return Err(Rejected::of(request, &Refused::Addresses));
        };
        // Inside SIP nodes are served by the proxy core, which this version does not have.
        if side == Side::Inside {
            return Err(Rejected::of(request, &Refused::Inside));
        }
        if self.table.local(from.domain()).is_some() {
            return Err(Rejected::of(
                request,
                &Refused::Impersonation(from.domain().clone()),
            ));
        }
        let Some(entry) = self.table.foreign(from.domain()) else {
            return Err(self.refused(request, &from, &to));
        };
        if !entry.protocol.includes(Protocol::Sip) {
            return Err(self.refused(request, &from, &to));
        }
        let _authenticated: Authenticated = self
            .prove(from.domain(), entry, peer)
            .map_err(|unproven| Rejected::of(request, &Refused::Unproven(unproven)))?;
        let permit = self
            .rules
            .decide(&Query {
                direction: Direction::Inbound,
                foreign: &from,
                own: &to,
                kind: kind_of(request),
            })
            .permit()
            .map_err(|refusal| Rejected::of(request, &refusal))?;
        let route = self
            .table
            .lookup(&to, Protocol::Sip)
            .map_err(|error| Rejected::of(request, &error))?;
        let Destination::Local(local) = route.destination() else {
            return Err(Rejected::of(request, &Refused::Relaying(to.domain().clone())));
        };
        let local = Arc::clone(local);
        let options = *request.method() == Method::Options;
        match (local.protocol, local.role) {
            _ if options => {}
            (Protocol::Sip, _) => return Err(Rejected::of(request, &Refused::Inside)),
            (Protocol::Xmpp, Role::Chat | Role::FileTransfer) => {
                return Err(Rejected::of(request, &Refused::Room));
            }
            (Protocol::Xmpp, Role::User) if self.translation == Translation::Off => {
                return Err(Rejected::of(request, &Refused::TranslationOff));
            }
            (Protocol::Xmpp, Role::User) => {}
        }
        let profile = self.profile(entry);
        Ok(Checked {
            permit,
            route,
            local,
            profile,
        })
    }

    /// Takes a stanza of a proven pair that came from `side` through the checks.
    ///
    /// # Errors
    /// [`RejectedStanza`] with the error stanza that says it, where there may be one.
    pub fn admit_stanza(
        &self,
        side: Side,
        stanza: Stanza,
        random: &[u8; 32],
    ) -> Result<AdmittedStanza, RejectedStanza> {
        let direction = side.way();
        let (from, to) = (jid_party(stanza.from()), jid_party(stanza.to()));
        let (foreign, own) = match direction {
            Direction::Inbound => (&from, &to),
            Direction::Outbound => (&to, &from),
        };
        if self.table.local(from.domain()).is_some() != (direction == Direction::Outbound) {
            return Err(RejectedStanza::untold(&Refused::Impersonation(
                from.domain().clone(),
            )));
        }
        let permit = self
            .rules
            .decide(&Query {
                direction,
                foreign,
                own,
                kind: kind_of_stanza(&stanza),
            })
            .permit()
            .map_err(|refusal| RejectedStanza::of(&stanza, &refusal, &self.edge))?;
        let route = self
            .table
            .lookup(&to, Protocol::Xmpp)
            .map_err(|error| RejectedStanza::of(&stanza, &error, &self.edge))?;
        let inward = matches!(route.destination(), Destination::Local(_));
        if inward != (direction == Direction::Inbound) {
            return Err(RejectedStanza::of(
                &stanza,
                &Refused::Relaying(to.domain().clone()),
                &self.edge,
            ));
        }
        let speaks = route
            .plans()
            .first()
            .map_or(Protocol::Xmpp, route::Plan::protocol);
        match speaks {
            Protocol::Xmpp => Ok(AdmittedStanza::Deliver(Box::new(forward(stanza, permit, route)))),
            Protocol::Sip => self.to_sip(stanza, permit, route, random),
        }
    }

    fn to_sip(
        &self,
        stanza: Stanza,
        permit: Permit,
        route: Route,
        random: &[u8; 32],
    ) -> Result<AdmittedStanza, RejectedStanza> {
        if self.translation == Translation::Off {
            return Err(RejectedStanza::of(&stanza, &Refused::TranslationOff, &self.edge));
        }
        match stanza.kind() {
            stanza::Kind::Message(MessageType::Normal | MessageType::Chat) => {}
            // What SIP could not say is dropped where nobody waits for it (specification: interworking §4).
            stanza::Kind::Message(MessageType::Error | MessageType::Headline)
            | stanza::Kind::Iq(IqType::Result | IqType::Error)
            | stanza::Kind::Presence(
                PresenceType::Available
                | PresenceType::Unavailable
                | PresenceType::Error
                | PresenceType::Probe
                | PresenceType::Subscribed
                | PresenceType::Unsubscribed
                | PresenceType::Unsubscribe,
            ) => return Ok(AdmittedStanza::Ignore),
            stanza::Kind::Iq(IqType::Get) if stanza.to().local().is_none() => {
                return match ping::answer(&stanza) {
                    Some(pong) => Ok(AdmittedStanza::Answer(Box::new(pong))),
                    None => Err(RejectedStanza::of(&stanza, &Refused::Unsupported, &self.edge)),
                };
            }
            stanza::Kind::Message(MessageType::Groupchat)
            | stanza::Kind::Iq(IqType::Get | IqType::Set)
            | stanza::Kind::Presence(PresenceType::Subscribe) => {
                return Err(RejectedStanza::of(&stanza, &Refused::Unsupported, &self.edge));
            }
        }
        let Destination::Foreign(entry) = route.destination() else {
            return Err(RejectedStanza::of(&stanza, &Refused::Unsupported, &self.edge));
        };
        let profile = self.profile(entry);
        let request = match translate::to_request(&stanza, &profile, &self.edge, random) {
            Ok(Some(request)) => request,
            // A message without a text: a chat state, a receipt.
            Ok(None) => return Ok(AdmittedStanza::Ignore),
            Err(error) => return Err(RejectedStanza::of(&stanza, &error, &self.edge)),
        };
        let link = Link::Sip {
            remote: stanza.to().domain().clone(),
        };
        let payload = Payload::ToSip {
            request: Box::new(request),
            sender: Box::new(without_payload(stanza)),
        };
        Ok(AdmittedStanza::Deliver(Box::new(Delivery {
            permit,
            route,
            link,
            payload,
            trace: Trace::default(),
        })))
    }

    fn prove(
        &self,
        domain: &Domain,
        entry: &Federated,
        peer: &mut dyn Peer,
    ) -> Result<Authenticated, Unproven> {
        let direct = peer.proves(domain, entry);
        let (Err(unproven), Some(house)) = (&direct, &entry.via) else {
            return direct;
        };
        let behind = self
            .table
            .may_speak_for(house, domain)
            .then(|| self.table.foreign(house))
            .flatten();
        match behind {
            Some(house_entry) => peer.proves(house, house_entry),
            None => Err(unproven.clone()),
        }
    }

    /// The policy's refusal of a domain that no entry for SIP speaks of, or where policy has nothing against it, ours.
    fn refused(&self, request: &Request, from: &Party, to: &Party) -> Rejected {
        let query = Query {
            direction: Direction::Inbound,
            foreign: from,
            own: to,
            kind: kind_of(request),
        };
        match self.rules.decide(&query).permit() {
            Ok(_) => Rejected::of(request, &Refused::Protocol(from.domain().clone())),
            Err(refusal) => Rejected::of(request, &refusal),
        }
    }

    fn profile(&self, entry: &Federated) -> Profile {
        let kind = match entry.profile {
            route::Profile::Simple | route::Profile::Xmpp => PeerKind::Simple,
            route::Profile::Microsoft => PeerKind::Microsoft,
            route::Profile::Aol => PeerKind::Aol,
        };
        Profile::new(kind, &self.limits.gateway)
    }
}

/// Forwarding within XMPP: a message is kept until its outcome is known, the rest is passed on.
fn forward(stanza: Stanza, permit: Permit, route: Route) -> Delivery {
    let link = Link::Xmpp {
        local: stanza.from().domain().clone(),
        remote: stanza.to().domain().clone(),
    };
    let kept = matches!(
        stanza.kind(),
        stanza::Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::Groupchat)
    );
    let payload = if kept {
        let sender = Box::new(without_payload(stanza.clone()));
        Payload::Forward {
            stanza: Box::new(stanza),
            sender,
        }
    } else {
        let awaited = matches!(
            stanza.kind(),
            stanza::Kind::Iq(IqType::Get | IqType::Set) | stanza::Kind::Presence(PresenceType::Subscribe)
        );
        let sender = awaited.then(|| Box::new(without_payload(stanza.clone())));
        Payload::Pass {
            stanza: Box::new(stanza),
            sender,
        }
    };
    Delivery {
        permit,
        route,
        link,
        payload,
        trace: Trace::default(),
    }
}

/// What an error about a stanza needs of it.
fn without_payload(mut stanza: Stanza) -> Stanza {
    stanza.retain_children(|child| child.name() == "thread");
    stanza
}

fn party(uri: &Uri) -> Option<Party> {
    match uri {
        Uri::Sip(uri) => Some(Party::from_sip(uri.user(), uri.host().domain()?)),
        // im: names a user of a domain as sip: does; what cannot be translated is no address here.
        Uri::Other(_) => address::to_jid(uri, Sips::Translate).ok().as_ref().map(jid_party),
    }
}

fn party_of(address: &NameAddr) -> Option<Party> {
    party(address.uri())
}

fn jid_party(jid: &Jid) -> Party {
    Party::from_jid(jid.local(), jid.domain().clone())
}

/// What the gateway does with requests.
const SUPPORTED: Supported<'static> = Supported {
    role: inspect::Role::Gateway,
    methods: &[Method::Message, Method::Options],
    extensions: &[],
    schemes: &["im"],
    content: &[("text", "plain"), ("text", "html"), ("message", "cpim")],
    answer: None,
};
const ALLOW: &str = "MESSAGE, OPTIONS";
const ACCEPT: &str = "text/plain";
