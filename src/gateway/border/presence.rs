//! What is more to presence: what SIP subscribes to and notifies, what XMPP says of it, and on what footing two users stand.

use std::sync::Arc;

use super::session::ToXmpp;
use super::sip::party_of;
use super::{Admitted, AdmittedStanza, BlockedEnds, Border, GivenUp, Translation};
use crate::gateway::conversation::Pair;
use crate::gateway::delivery::{Delivery, Link, Payload, SipPeer, Trace};
use crate::gateway::rejection::{Refused, Rejected, RejectedStanza};
use crate::gateway::translate;
use crate::interwork::address;
use crate::interwork::message::Language;
use crate::interwork::presence::document::{self, Said};
use crate::interwork::presence::table::BusyAs;
use crate::interwork::profile::{PeerKind, Profile};
use crate::policy::{Answers, Direction, Kind, Party, Permit, Query, Refusal};
use crate::refusal::Refuse;
use crate::route::{Destination, Plan, Protocol, Route, Side};
use crate::sip::inspect::Supported;
use crate::sip::proxy::{Face, Terms};
use crate::sip::subscription::is_unanswered;
use crate::sip::{Event, Method, Request, Scheme, StatusCode, Transport, inspect};
use crate::xmpp::stanza::{self, PresenceType};
use crate::xmpp::{Jid, Stanza};

/// On what footing a user of SIP and one of XMPP know of each other's presence, as the configuration has it now.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Footing {
    /// How to speak with the SIP side.
    pub(in crate::gateway) peer: Arc<SipPeer>,
    /// The way to it.
    pub(in crate::gateway) route: Route,
    /// How somebody busy is shown to users of XMPP.
    pub(in crate::gateway) busy_as: BusyAs,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Unfounded {
    /// One of them is blocked, which is not to show.
    Blocked,
    /// Policy, or the want of a route, forbids it.
    Forbidden,
}

/// What a request of a subscription has for the XMPP side.
#[derive(Debug)]
pub(in crate::gateway) enum Brings {
    /// Nothing: it asks.
    Nothing,
    /// The state of its sender; `None` where it says nothing of that.
    State(Option<Box<Said>>),
}

impl Border {
    /// On what footing two users stand: policy lets presence pass both ways, and there is a route to the SIP side.
    pub(in crate::gateway) fn footing(&self, pair: &Pair) -> Result<Footing, Unfounded> {
        if self.conduct.translation == Translation::Off {
            return Err(Unfounded::Forbidden);
        }
        let (xmpp, sip) = (party(&pair.xmpp), party(&pair.sip));
        let is_ours = self.table.local(xmpp.domain()).is_some();
        let (own, foreign) = if is_ours { (&xmpp, &sip) } else { (&sip, &xmpp) };
        for direction in [Direction::Inbound, Direction::Outbound] {
            let query = Query {
                direction,
                foreign,
                own,
                kind: Kind::Presence,
            };
            if let Err(refusal) = self.rules.decide(&query).permit() {
                return Err(if refusal.is_polite() {
                    Unfounded::Blocked
                } else {
                    Unfounded::Forbidden
                });
            }
        }
        let route = self
            .table
            .lookup(&sip, Protocol::Sip)
            .map_err(|_| Unfounded::Forbidden)?;
        let speaks_sip = route.plans().iter().any(|plan| plan.protocol() == Protocol::Sip);
        let inward = matches!(route.destination(), Destination::Local(_));
        // Two users of ours, or two of peers, are not for us.
        if !speaks_sip || inward == is_ours {
            return Err(Unfounded::Forbidden);
        }
        let (profile, face, busy_as) = self
            .towards(&route)
            .filter(|(entry, ..)| entry.is_none_or(passes))
            .map(|(_, profile, face, busy_as)| (profile, face, busy_as))
            .ok_or(Unfounded::Forbidden)?;
        Ok(Footing {
            peer: Arc::new(SipPeer {
                profile,
                face,
                outside: foreign.domain().clone(),
            }),
            route,
            busy_as,
        })
    }

    /// The way to a user of SIP, whatever policy says of him.
    pub(in crate::gateway) fn way(&self, sip: &Jid) -> Option<Route> {
        self.table.lookup(&party(sip), Protocol::Sip).ok()
    }

    /// Where the servers of a user of SIP reach us, whatever policy says of him.
    pub(in crate::gateway) fn face_towards(&self, sip: &Jid) -> Option<Face> {
        let route = self.way(sip)?;
        self.towards(&route).map(|(_, _, face, _)| face)
    }

    /// What kind of peer the servers of a user of SIP are, whatever policy says of him.
    pub(in crate::gateway) fn kind_of(&self, sip: &Jid) -> Option<PeerKind> {
        let route = self.way(sip)?;
        self.towards(&route).map(|(_, profile, ..)| profile.kind())
    }

    /// How a route's far end is spoken with.
    fn towards<'r>(&self, route: &'r Route) -> Option<(Option<&'r Terms>, Profile, Face, BusyAs)> {
        let (terms, profile, side, over) = match route.destination() {
            Destination::Foreign(entry) => (
                Some(&entry.terms),
                self.profile(entry),
                Side::Outside,
                Transport::Tls,
            ),
            Destination::Local(local) => (
                None,
                self.profile_of_nodes(local),
                Side::Inside,
                super::sip::over(local),
            ),
        };
        let busy_as = self.conduct.busy_as.unwrap_or_else(|| BusyAs::of(profile.kind()));
        Some((terms, profile, self.face(side, &over)?, busy_as))
    }

    /// A stanza that is refused, or dropped. What it takes back towards a user of SIP is taken back all the same: that only ever takes
    /// away, and what is not heard now would come back once policy allows it.
    pub(super) fn given_up(
        &self,
        stanza: &Stanza,
        refused: Option<RejectedStanza>,
    ) -> Result<AdmittedStanza, RejectedStanza> {
        let what = match stanza.kind() {
            stanza::Kind::Presence(PresenceType::Unsubscribe) => Some(GivenUp::Seeing),
            stanza::Kind::Presence(PresenceType::Unsubscribed) => Some(GivenUp::BeingSeen),
            stanza::Kind::Presence(
                PresenceType::Available
                | PresenceType::Unavailable
                | PresenceType::Subscribe
                | PresenceType::Subscribed
                | PresenceType::Probe
                | PresenceType::Error,
            )
            | stanza::Kind::Message(_)
            | stanza::Kind::Iq(_) => None,
        };
        let route = self.table.lookup(&party(stanza.to()), Protocol::Xmpp).ok();
        let speaks_sip = route
            .and_then(|route| route.plans().first().map(Plan::protocol))
            .is_some_and(|protocol| protocol == Protocol::Sip);
        match (what.filter(|_| speaks_sip), refused) {
            (Some(what), refused) => Ok(AdmittedStanza::GivenUp {
                ends: BlockedEnds(Pair::new(stanza.from(), stanza.to())),
                what,
                refused: refused.map(Box::new),
            }),
            (None, Some(refused)) => Err(refused),
            (None, None) => Ok(AdmittedStanza::Ignore),
        }
    }

    /// Presence of an XMPP user towards one of SIP: what becomes of it depends on what they have between them.
    pub(super) fn presence_to_sip(
        &self,
        stanza: Stanza,
        permit: Permit,
        route: Route,
    ) -> Result<AdmittedStanza, RejectedStanza> {
        let asks = matches!(
            stanza.kind(),
            stanza::Kind::Presence(PresenceType::Subscribe | PresenceType::Probe)
        );
        // Nobody waits for the rest of it.
        let refuse = |refusal: &dyn Refuse| {
            if asks {
                Err(RejectedStanza::of(&stanza, refusal, self))
            } else {
                self.given_up(&stanza, None)
            }
        };
        if self.conduct.translation == Translation::Off {
            return refuse(&Refused::TranslationOff);
        }
        // Who joins a room, or leaves one.
        if permit.kind() != Kind::Presence {
            return refuse(&Refused::Unsupported);
        }
        if permit.answers() == Answers::Withhold {
            return refuse(&Refused::OneWay);
        }
        if let Err(error) = address::to_uri(&stanza.to().bare(), Scheme::Sip) {
            return refuse(&error);
        }
        if let Err(error) = address::to_uri(&stanza.from().bare(), Scheme::Sip) {
            return refuse(&error);
        }
        if let Destination::Foreign(entry) = route.destination()
            && !passes(&entry.terms)
        {
            return refuse(&Refused::NoPresence(entry.pattern.clone()));
        }
        let link = Link::Sip {
            remote: stanza.to().domain().clone(),
        };
        Ok(AdmittedStanza::Deliver(Box::new(Delivery {
            permit,
            route,
            link,
            payload: Payload::Presence {
                stanza: Box::new(stanza),
            },
            trace: Trace::default(),
            other: None,
            hold: None,
        })))
    }

    /// What a request of a subscription is: it asks for the state of an XMPP user, or tells one that of its sender.
    pub(super) fn to_presence(
        &self,
        request: Request,
        going: ToXmpp<'_>,
        terms: &Terms,
        permit: Result<Permit, Refusal>,
    ) -> Result<Admitted, Rejected> {
        let ToXmpp {
            side,
            parties,
            route,
            peer: _,
        } = going;
        let reject = |refusal: &dyn Refuse| Rejected::of(&request, refusal);
        let package = request.headers().event().map_or("", Event::package);
        if package != PACKAGE || !terms.takes_event(PACKAGE) {
            return Err(Rejected::of_inspection(&request, &bad_event()));
        }
        let to = request.headers().to();
        if to.tag().is_some() && party_of(to).as_ref() != Some(parties.to(side)) {
            // Whom To names is whom policy was asked about, or nobody.
            return Err(reject(&Refused::NoSession));
        }
        if *request.method() == Method::Subscribe && !takes_documents(&request) {
            return Err(Rejected::of_inspection(&request, &not_acceptable()));
        }
        // It would be answered for one of them, and nobody would ask for the others any more.
        if *request.method() == Method::Subscribe && document::asked_for(request.body()) > 1 {
            return Err(reject(&Refused::List));
        }
        let ends = translate::ends(&request).map_err(|error| reject(&error))?;
        let pair = Pair::new(ends.1.jid(), ends.0.jid());
        let brings = brings(&request)?;
        let permit = match permit {
            Ok(permit) if permit.answers() == Answers::Withhold => return Err(reject(&Refused::OneWay)),
            Ok(permit) => permit,
            // To a watcher who is blocked its user is offline; what others say to one who is blocked goes nowhere.
            Err(_) if *request.method() == Method::Subscribe => {
                return Ok(Admitted::Blocked {
                    request: Box::new(request),
                    ends: BlockedEnds(pair),
                });
            }
            Err(refusal) => return Err(Rejected::as_unavailable(&request, &refusal)),
        };
        let link = Link::Xmpp {
            local: parties.from(side).domain().clone(),
            remote: parties.to(side).domain().clone(),
        };
        Ok(Admitted::Deliver(Box::new(Delivery {
            permit,
            route,
            link,
            payload: Payload::Subscription {
                request: Box::new(request),
                brings,
                ends: Box::new(pair),
            },
            trace: Trace::default(),
            other: None,
            hold: None,
        })))
    }
}

/// Whether a method is one of a subscription, in the form of Microsoft servers that nobody answers too.
pub(in crate::gateway) fn is_of_subscription(method: &Method) -> bool {
    matches!(method, Method::Subscribe | Method::Notify) || is_unanswered(method)
}

/// What the gateway does with requests of a subscription.
pub(super) const fn supported<'m>(method: &Method, methods: &'m [Method]) -> Supported<'m> {
    Supported {
        role: inspect::Role::Gateway,
        methods,
        // A list of one's own making names the user in the Request-URI too; one of several is refused.
        extensions: &["ms-benotify", "adhoclist", "categoryList", "eventlist"],
        schemes: &["im", "pres"],
        content: if matches!(method, Method::Subscribe) {
            &ASKED
        } else {
            &document::TYPES
        },
        answer: None,
    }
}

fn brings(request: &Request) -> Result<Brings, Rejected> {
    if *request.method() == Method::Subscribe {
        return Ok(Brings::Nothing);
    }
    let (kind, body) = (request.headers().content_type(), request.body());
    let Some(kind) = kind.filter(|_| !body.is_empty()) else {
        return Ok(Brings::State(None));
    };
    match document::read(kind, body) {
        Ok(said) => {
            let language = request
                .headers()
                .get("Content-Language")
                .and_then(Language::parse);
            let said = match language {
                Some(language) => said.in_language(&language),
                None => said,
            };
            Ok(Brings::State(Some(Box::new(said))))
        }
        Err(error) => Err(Rejected::of(request, &error)),
    }
}

fn passes(terms: &Terms) -> bool {
    terms.allows(&Method::Subscribe) && terms.allows(&Method::Notify) && terms.takes_event(PACKAGE)
}

//= rfc6665#4.2.1.1
//# If the event package is not supported, the notifier MUST return a 489 (Bad Event) response.
fn bad_event() -> inspect::Rejection {
    inspect::Rejection {
        status: StatusCode::BAD_EVENT,
        headers: vec![("Allow-Events", PACKAGE.to_owned())],
    }
}

/// Whether a watcher can read what we write; who says nothing can (RFC 3856 §6.7).
fn takes_documents(request: &Request) -> bool {
    let mut accepted = request.headers().all("Accept").flat_map(|value| value.split(','));
    let is_taken = |value: &str| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        ["application/pidf+xml", "application/*", "*/*"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(kind))
    };
    request.headers().get("Accept").is_none() || accepted.any(is_taken)
}

//= rfc3261#21.4.7
//# The resource identified by the request is only capable of generating response entities that have content
//# characteristics not acceptable according to the Accept header field sent in the request.
fn not_acceptable() -> inspect::Rejection {
    inspect::Rejection {
        status: StatusCode::NOT_ACCEPTABLE,
        headers: vec![("Accept", "application/pidf+xml".to_owned())],
    }
}

fn party(jid: &Jid) -> Party {
    Party::from_jid(jid.local(), jid.domain().clone())
}

/// The event package of presence (RFC 3856 §6.1).
pub(in crate::gateway) const PACKAGE: &str = "presence";
/// Bodies of a SUBSCRIBE, none of which changes what is told: lists of what a Microsoft client wants to know.
const ASKED: [(&str, &str); 1] = [("application", "msrtc-adrl-categorylist+xml")];
