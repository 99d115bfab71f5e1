//! The checks of a SIP request.

use std::sync::Arc;

use super::{Admitted, Border, Peer, Translation};
use crate::domain::Domain;
use crate::gateway::delivery::{Delivery, Link, Payload, Trace};
use crate::gateway::kind::kind_of;
use crate::gateway::rejection::{Refused, Rejected, Unproven, tag};
use crate::gateway::translate;
use crate::identity::Authenticated;
use crate::interwork::address::{self, Sips};
use crate::policy::{Decision, Direction, Kind, Party, Query};
use crate::route::{Destination, Federated, Local, Protocol, Role, Route, Side};
use crate::sip::inspect::{self, Supported};
use crate::sip::{Date, Method, NameAddr, Request, Response, StatusCode, Uri};

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
        if let Err(rejection) = inspect::inspect(&request, &SUPPORTED) {
            return Err(Rejected::of_inspection(&request, &rejection));
        }
        let (Some(from), Some(to)) = (party_of(request.headers().from()), party(request.uri())) else {
            return Err(Rejected::of(&request, &Refused::Addresses));
        };
        let entry = self.check_sender(side, &request, &from, &to, peer)?;
        let permit = self.decide_sip(&request, &from, &to).permit();
        let permit = match permit {
            Err(refusal) if !refusal.is_polite() => return Err(Rejected::of(&request, &refusal)),
            // Whoever is blocked politely meets every other check first, and so learns nothing of the block.
            permit => permit,
        };
        let (route, local) = self.check_destination(&request, &to)?;
        if *request.method() == Method::Options {
            return answer_options(&request);
        }
        self.check_role(&request, &local)?;
        // XMPP cannot promise TLS on every hop (RFC 7247 §8), and nothing configures an exception yet.
        let stanza = translate::to_stanza(&request, now, Sips::Refuse)
            .map_err(|error| Rejected::of(&request, &error))?;
        let profile = self.profile(entry);
        let permit = permit.map_err(|refusal| {
            Rejected::as_offline(&request, &refusal, &profile, &self.conduct.undeliverable)
        })?;
        let link = Link::Xmpp {
            local: permit.foreign().clone(),
            remote: local.domain.clone(),
        };
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
            other: None,
        })))
    }

    /// Whether the sender is who the request says, and a peer of SIP.
    fn check_sender(
        &self,
        side: Side,
        request: &Request,
        from: &Party,
        to: &Party,
        peer: &mut dyn Peer,
    ) -> Result<&Federated, Rejected> {
        // Inside SIP nodes are served by the proxy core, which this version does not have.
        if side == Side::Inside {
            return Err(Rejected::of(request, &Refused::Inside));
        }
        if self.table.local(from.domain()).is_some() || *from.domain() == self.edge {
            return Err(Rejected::of(
                request,
                &Refused::Impersonation(from.domain().clone()),
            ));
        }
        let Some(entry) = self.table.foreign(from.domain()) else {
            return Err(self.refused(request, from, to));
        };
        if !entry.protocol.includes(Protocol::Sip) {
            return Err(self.refused(request, from, to));
        }
        let _authenticated: Authenticated = self
            .prove(from.domain(), entry, peer)
            .map_err(|unproven| Rejected::of(request, &Refused::Unproven(unproven)))?;
        Ok(entry)
    }

    /// Where the request goes: to a domain of ours, and nowhere else.
    fn check_destination(&self, request: &Request, to: &Party) -> Result<(Route, Arc<Local>), Rejected> {
        let route = self
            .table
            .lookup(to, Protocol::Sip)
            .map_err(|error| Rejected::of(request, &error))?;
        let Destination::Local(local) = route.destination() else {
            return Err(Rejected::of(request, &Refused::Relaying(to.domain().clone())));
        };
        let local = Arc::clone(local);
        Ok((route, local))
    }

    /// Whether a message can be brought there.
    fn check_role(&self, request: &Request, local: &Local) -> Result<(), Rejected> {
        let refused = match (local.protocol, local.role) {
            (Protocol::Sip, _) => Refused::Inside,
            (Protocol::Xmpp, Role::Chat | Role::FileTransfer) => Refused::Room,
            (Protocol::Xmpp, Role::User) if self.conduct.translation == Translation::Off => {
                Refused::TranslationOff
            }
            (Protocol::Xmpp, Role::User) => return Ok(()),
        };
        Err(Rejected::of(request, &refused))
    }

    /// The kind of traffic that a request from outside is.
    #[must_use]
    pub fn kind_of_request(&self, request: &Request) -> Kind {
        kind_of(request, party(request.uri()).and_then(|to| self.role_of(&to)))
    }

    fn role_of(&self, to: &Party) -> Option<Role> {
        self.table.local(to.domain()).map(|local| local.role)
    }

    fn decide_sip(&self, request: &Request, from: &Party, to: &Party) -> Decision {
        self.rules.decide(&Query {
            direction: Direction::Inbound,
            foreign: from,
            own: to,
            kind: kind_of(request, self.role_of(to)),
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
    fn refused(&self, request: &Request, from: &Party, to: &Party) -> Rejected {
        match self.decide_sip(request, from, to).permit() {
            Ok(_) => Rejected::of(request, &Refused::Protocol(from.domain().clone())),
            // Nothing is proven here, so there is nobody to be polite to.
            Err(refusal) => Rejected::of(request, &refusal),
        }
    }
}

fn answer_options(request: &Request) -> Result<Admitted, Rejected> {
    let response: Response = request.response(StatusCode::OK, StatusCode::OK.reason(), Some(&tag(request)));
    response
        .with_header("Allow", ALLOW)
        .and_then(|it| it.with_header("Accept", ACCEPT))
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

fn party_of(address: &NameAddr) -> Option<Party> {
    party(address.uri())
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
