//! The checks of a SIP request.

use std::sync::Arc;

use super::presence;
use super::relay::Onward;
use super::session::{ToXmpp, supported};
use super::{Admitted, Border, Peer, Translation};
use crate::domain::Domain;
use crate::gateway::delivery::SipPeer;
use crate::gateway::kind::kind_of;
use crate::gateway::rejection::{Has, Refused, Rejected, Unproven, tag};
use crate::identity::Authenticated;
use crate::interwork::address::{self, Sips};
use crate::interwork::carried;
use crate::interwork::profile::Profile;
use crate::policy::{Decision, Kind, Party, Query, Refusal};
use crate::route::{Destination, Federated, Local, Nodes, Protocol, Role, Route, Side, Transport};
use crate::sip::inspect::{self, Supported};
use crate::sip::proxy::{Arrived, Way};
use crate::sip::subscription::is_unanswered;
use crate::sip::{self, Date, Host, Method, NameAddr, Request, Response, StatusCode, Uri};

impl Border {
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
        let has = Has::of_request(&request);
        self.check(side, request, peer, now)
            .map_err(|rejected| rejected.read(has, &self.conduct.undeliverable))
    }

    fn check(
        &self,
        side: Side,
        mut request: Request,
        peer: &mut dyn Peer,
        now: Date,
    ) -> Result<Admitted, Rejected> {
        if let Err(rejection) = inspect::inspect(&request, &PASSING) {
            return Err(Rejected::of_inspection(&request, &rejection));
        }
        let arrived = self.receive(side, &mut request);
        let Some(parties) = self.parties(side, &request, &arrived) else {
            return Err(Rejected::of(&request, &Refused::Addresses));
        };
        let (entry, sender) = self.check_sender(side, &request, &parties, peer)?;
        let permit = self.decide_sip(side, &request, &parties).permit();
        let permit = match permit {
            Err(refusal) if !refusal.is_polite() => return Err(Rejected::of(&request, &refusal)),
            // Whoever is blocked politely meets every other check first, and so learns nothing of the block.
            permit => permit,
        };
        let route = self.check_destination(side, &request, &parties)?;
        // Who speaks SIP here are the servers that it came from.
        let local = self.table.local(parties.own.domain());
        let profile = match (side, local) {
            (Side::Inside, Some(local)) => self.profile_by(local.profile, &entry.terms),
            (Side::Inside | Side::Outside, _) => self.profile(&entry),
        };
        if let Some(over) = self.goes_on(side, &request, &parties, &route) {
            if !arrived.is_in_dialog() && self.is_of_session(&request) {
                // To is what its sender wrote there: it leads to no node.
                return Err(Rejected::of(&request, &Refused::NoSession));
            }
            let (route, over) = self.promised(&request, (route, over), peer)?;
            let onward = Onward {
                arrived,
                route,
                over,
                entry,
                sender,
            };
            return self.relay(side, request, &parties, onward, |request| {
                permit.map_err(|refusal| Rejected::as_unavailable(request, &refusal))
            });
        }
        let supported = supported(request.method());
        let mut methods: Vec<Method> = supported
            .methods
            .iter()
            .filter(|method| entry.terms.allows(method))
            .cloned()
            .collect();
        let is_of_subscription = presence::is_of_subscription(request.method());
        if entry.terms.allows(&Method::Notify) && is_unanswered(request.method()) {
            methods.push(request.method().clone());
        }
        let supported = if is_of_subscription {
            presence::supported(request.method(), &methods)
        } else {
            Supported {
                methods: &methods,
                ..supported
            }
        };
        if let Err(rejection) = inspect::inspect(&request, &supported) {
            return Err(Rejected::of_inspection(&request, &rejection).within(&entry));
        }
        if *request.method() == Method::Options {
            let is_sip = self
                .table
                .local(parties.own.domain())
                .is_some_and(|local| local.protocol == Protocol::Sip);
            let passing = TRANSLATED.iter().filter(|method| entry.terms.allows(method));
            let names: Vec<&str> = passing.map(Method::as_str).collect();
            let allow = if is_sip {
                entry.terms.allow()
            } else {
                names.join(", ")
            };
            return answer_options(&request, &allow);
        }
        self.check_role(&request, &route)?;
        let over = request.headers().top_via().transport().clone();
        let Some(face) = self.face(side, &over) else {
            return Err(Rejected::of(&request, &Refused::Addresses));
        };
        let peer = Arc::new(SipPeer {
            profile: profile.clone(),
            face,
            outside: parties.foreign.domain().clone(),
        });
        let going = ToXmpp {
            side,
            parties: &parties,
            route,
            peer,
        };
        if is_of_subscription {
            return self.to_presence(request, going, &entry.terms, permit);
        }
        self.to_xmpp(request, going, now, |request| {
            permit.map_err(|refusal| self.as_offline(request, &refusal, &profile))
        })
    }

    /// The foreign domain that a request from outside is of, once that is proven, with its entry: for what is counted
    /// before anything else is looked at. Nobody can use up what is another's.
    pub fn sender(&self, request: &Request, peer: &mut dyn Peer) -> Option<(Domain, Arc<Federated>)> {
        let from = party_of(request.headers().from())?;
        let entry = self.table.foreign(from.domain())?;
        if entry.rate.is_none() && entry.dialogs.is_none() {
            return None;
        }
        let _authenticated: Authenticated = self.prove(from.domain(), entry, peer).ok()?;
        Some((from.domain().clone(), Arc::clone(entry)))
    }

    /// Whom a request is from and for. Within a dialog it is sent to a place, and who is meant is said by the name of ours
    /// that stood for the place, or by To.
    fn parties(&self, side: Side, request: &Request, arrived: &Arrived) -> Option<Parties> {
        let from = party_of(request.headers().from())?;
        Some(match side {
            Side::Outside => {
                let own = match arrived.ends() {
                    // A name of ours that was given to another domain is worth nothing to this one.
                    Some(ends) if ends.foreign != *from.domain() => return None,
                    Some(ends) => party(&Uri::parse(&ends.own).ok()?)?,
                    None if self.is_of_session(request) => party_of(request.headers().to())?,
                    None => party(request.uri())?,
                };
                Parties { foreign: from, own }
            }
            Side::Inside => {
                let foreign = if arrived.is_in_dialog() || self.is_of_session(request) {
                    party_of(request.headers().to())?
                } else {
                    party(request.uri())?
                };
                Parties { foreign, own: from }
            }
        })
    }

    /// Whether a request says that it belongs to a session that ends here: it is sent to the edge, as our Contact says.
    fn is_of_session(&self, request: &Request) -> bool {
        let is_here = |host: &Host| {
            host.domain() == Some(self.edge.clone())
                || self.conduct.faces.iter().any(|(_, face)| face.host() == host)
        };
        request.headers().to().tag().is_some() && request.uri().sip().is_some_and(|uri| is_here(uri.host()))
    }

    /// Takes what is ours out of a request.
    fn receive(&self, side: Side, request: &mut Request) -> Arrived {
        match &self.conduct.proxy {
            Some(proxy) => proxy.receive(way(side), request),
            None => Arrived::default(),
        }
    }

    fn as_offline(&self, request: &Request, refusal: &Refusal, profile: &Profile) -> Rejected {
        Rejected::as_offline(request, refusal, profile, &self.conduct.undeliverable)
    }

    /// Whether the sender is who the request says: a peer of SIP, or a node of ours.
    fn check_sender(
        &self,
        side: Side,
        request: &Request,
        parties: &Parties,
        peer: &mut dyn Peer,
    ) -> Result<(Arc<Federated>, Authenticated), Rejected> {
        let from = parties.from(side);
        let local = self.table.local(from.domain());
        if side == Side::Inside {
            let Some(local) = local else {
                return Err(Rejected::of(request, &Refused::NotOurs(from.domain().clone())));
            };
            let authenticated = peer
                .is_node_of(local)
                .map_err(|unproven| Rejected::of(request, &Refused::Unproven(unproven)))?;
            return match self.table.foreign(parties.foreign.domain()) {
                Some(entry) => Ok((Arc::clone(entry), authenticated)),
                None => Err(self.refused(side, request, parties)),
            };
        }
        if local.is_some() || *from.domain() == self.edge {
            return Err(Rejected::of(
                request,
                &Refused::Impersonation(from.domain().clone()),
            ));
        }
        let Some(entry) = self.table.foreign(from.domain()) else {
            return Err(self.refused(side, request, parties));
        };
        if !entry.protocol.includes(Protocol::Sip) {
            return Err(self.refused(side, request, parties));
        }
        let authenticated = self
            .prove(from.domain(), entry, peer)
            .map_err(|unproven| Rejected::of(request, &Refused::Unproven(unproven)))?;
        Ok((Arc::clone(entry), authenticated))
    }

    /// Where the request goes: from outside to a domain of ours, and from inside to a foreign one.
    fn check_destination(&self, side: Side, request: &Request, parties: &Parties) -> Result<Route, Rejected> {
        let to = parties.to(side);
        let route = self
            .table
            .lookup(to, Protocol::Sip)
            .map_err(|error| Rejected::of(request, &error))?;
        match (side, route.destination()) {
            (Side::Outside, Destination::Local(_)) | (Side::Inside, Destination::Foreign(_)) => Ok(route),
            (Side::Outside, Destination::Foreign(_)) | (Side::Inside, Destination::Local(_)) => {
                Err(Rejected::of(request, &Refused::Relaying(to.domain().clone())))
            }
        }
    }

    /// What carries SIP to the nodes, where a request goes on as one.
    fn goes_on(
        &self,
        side: Side,
        request: &Request,
        parties: &Parties,
        route: &Route,
    ) -> Option<sip::Transport> {
        let is_sip = route
            .plans()
            .first()
            .is_some_and(|plan| plan.protocol() == Protocol::Sip);
        // What a domain can do is asked of the edge; what a user's device can, of the device.
        let asks_edge = *request.method() == Method::Options && parties.to(side).user().is_none();
        if !is_sip || asks_edge {
            return None;
        }
        let local = self.table.local(parties.own.domain());
        Some(local.map_or(sip::Transport::Tls, |local| over(local)))
    }

    /// Whether a message can be brought there as a stanza.
    fn check_role(&self, request: &Request, route: &Route) -> Result<(), Rejected> {
        let is_room = match route.destination() {
            Destination::Local(local) => matches!(local.role, Role::Chat | Role::FileTransfer),
            Destination::Foreign(_) => false,
        };
        let refused = match self.conduct.translation {
            _ if is_room => Refused::Room,
            Translation::Off => Refused::TranslationOff,
            Translation::On => return Ok(()),
        };
        Err(Rejected::of(request, &refused))
    }

    /// The kind of traffic that a request is.
    #[must_use]
    pub fn kind_of_request(&self, request: &Request) -> Kind {
        kind_of(request, party(request.uri()).and_then(|to| self.role_of(&to)))
    }

    fn role_of(&self, to: &Party) -> Option<Role> {
        self.table.local(to.domain()).map(|local| local.role)
    }

    fn decide_sip(&self, side: Side, request: &Request, parties: &Parties) -> Decision {
        self.rules.decide(&Query {
            direction: side.way(),
            foreign: &parties.foreign,
            own: &parties.own,
            kind: kind_of(request, self.role_of(&parties.own)),
        })
    }

    /// Whether the far end of a flow may speak for a foreign domain on SIP, by that domain's entry.
    ///
    /// # Errors
    /// [`Unproven`].
    pub fn prove(
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
    fn refused(&self, side: Side, request: &Request, parties: &Parties) -> Rejected {
        match self.decide_sip(side, request, parties).permit() {
            Ok(_) => Rejected::of(request, &Refused::Protocol(parties.foreign.domain().clone())),
            // Nothing is proven here, so there is nobody to be polite to.
            Err(refusal) => Rejected::of(request, &refusal),
        }
    }
}

/// Who a request is between.
pub(super) struct Parties {
    pub(super) foreign: Party,
    pub(super) own: Party,
}

impl Parties {
    pub(super) const fn from(&self, side: Side) -> &Party {
        match side {
            Side::Outside => &self.foreign,
            Side::Inside => &self.own,
        }
    }

    pub(super) const fn to(&self, side: Side) -> &Party {
        match side {
            Side::Outside => &self.own,
            Side::Inside => &self.foreign,
        }
    }
}

pub(super) const fn way(side: Side) -> Way {
    match side {
        Side::Outside => Way::Inward,
        Side::Inside => Way::Outward,
    }
}

/// What carries SIP to the nodes of a domain.
pub(super) fn over(local: &Local) -> sip::Transport {
    let transport = match &local.nodes {
        Nodes::List(nodes) => nodes.first().map_or(Transport::Tls, |node| node.transport),
        Nodes::Srv { transport, .. } => *transport,
    };
    match transport {
        Transport::Tls => sip::Transport::Tls,
        Transport::Tcp => sip::Transport::Tcp,
        Transport::Udp => sip::Transport::Udp,
    }
}

fn answer_options(request: &Request, allow: &str) -> Result<Admitted, Rejected> {
    let response: Response = request.response(StatusCode::OK, StatusCode::OK.reason(), Some(&tag(request)));
    response
        .with_header("Allow", allow)
        .and_then(|it| it.with_header("Accept", &carried::accept()))
        .map(|it| Admitted::Answer(Box::new(it)))
        .map_err(|flaw| Rejected::of(request, &Refused::Internal(flaw)))
}

fn party(uri: &Uri) -> Option<Party> {
    match uri {
        Uri::Sip(uri) => Some(Party::from_sip(uri.user(), uri.host().domain()?)),
        // im: names a user of a domain as sip: does; what cannot be translated is no address here.
        Uri::Other(_) => {
            let jid = address::to_jid(uri, Sips::Translate).ok()?;
            Some(Party::from_jid(jid.local(), jid.domain().clone()))
        }
    }
}

pub(super) fn party_of(address: &NameAddr) -> Option<Party> {
    party(address.uri())
}

/// What is asked of every request before it is known where it goes.
const PASSING: Supported<'static> = Supported {
    role: inspect::Role::Proxy,
    methods: &[],
    // What Microsoft clients ask of each proxy (MS-SIPRE): to let notifications without an answer pass. It is not handed on, so
    // that whoever notifies sends those that are answered.
    extensions: &["ms-benotify"],
    schemes: &["im"],
    content: &[],
    answer: None,
};

/// What of SIP becomes XMPP, as Allow lists it.
const TRANSLATED: [Method; 10] = [
    Method::Message,
    Method::Options,
    Method::Invite,
    Method::Ack,
    Method::Bye,
    Method::Cancel,
    Method::Info,
    Method::Update,
    Method::Subscribe,
    Method::Notify,
];
