//! The checks of a stanza.

use std::sync::Arc;

use super::sip::over;
use super::{AdmittedStanza, Border, Translation, Unasked};
use crate::gateway::delivery::{Delivery, Link, Part, Payload, SipPeer, Trace};
use crate::gateway::kind::{self, kinds_of};
use crate::gateway::rejection::{Refused, RejectedStanza};
use crate::gateway::service::{self, Asked};
use crate::gateway::translate;
use crate::interwork::passage::Passage;
use crate::interwork::{composing, receipt};
use crate::policy::{Answers, Direction, Kind, Kinds, Party, Permit, Query, Refusal};
use crate::route::{self, Destination, Protocol, Route, Side};
use crate::sip::{Date, Method, Transport};
use crate::xmpp::stanza::{self, IqType, MessageType, PresenceType};
use crate::xmpp::{Jid, Stanza, ping};

/// Both ends of a stanza, as policy asks about them.
#[derive(Debug, Clone, Copy)]
struct Ends<'e> {
    direction: Direction,
    foreign: &'e Party,
    own: &'e Party,
}

impl Border {
    /// Takes a stanza of a proven pair that came from `side` at `now` through the checks.
    ///
    /// # Errors
    /// [`RejectedStanza`] with the error stanza that says it, where there may be one.
    pub fn admit_stanza(
        &self,
        side: Side,
        mut stanza: Stanza,
        now: Date,
        random: &[u8; 32],
    ) -> Result<AdmittedStanza, RejectedStanza> {
        let direction = side.way();
        let (from, to) = (jid_party(stanza.from()), jid_party(stanza.to()));
        let (foreign, own) = match direction {
            Direction::Inbound => (&from, &to),
            Direction::Outbound => (&to, &from),
        };
        // What comes back to where it came from, by this protocol or another, ends here: nothing can go in circles.
        let is_ours = self.table.local(from.domain()).is_some();
        if is_ours != (direction == Direction::Outbound) || self.is_edge(from.domain()) {
            return Err(RejectedStanza::untold(&Refused::Impersonation(
                from.domain().clone(),
            )));
        }
        let ends = Ends {
            direction,
            foreign,
            own,
        };
        if self.is_edge(to.domain()) {
            return self.serve(&stanza, ends);
        }
        let permit = match self.judge(&stanza, ends) {
            Err(refusal) if !refusal.is_polite() => {
                let refused = RejectedStanza::of(&stanza, &refusal, self);
                return self.given_up(&stanza, Some(refused));
            }
            // Whoever is blocked politely meets every other check first, and so learns nothing of the block.
            permit => permit,
        };
        let route = self
            .table
            .lookup(&to, Protocol::Xmpp)
            .map_err(|error| RejectedStanza::of(&stanza, &error, self))?;
        let inward = matches!(route.destination(), Destination::Local(_));
        if inward != (direction == Direction::Inbound) {
            return Err(RejectedStanza::of(
                &stanza,
                &Refused::Relaying(to.domain().clone()),
                self,
            ));
        }
        let passage = Passage::of_stanza(&stanza);
        // An error may repeat what it is about.
        if matches!(stanza.kind(), stanza::Kind::Message(kind) if kind != MessageType::Error) {
            passage
                .clone()
                .through(self.conduct.mark)
                .map_err(|circling| RejectedStanza::of(&stanza, &Refused::Circling(circling), self))?;
        }
        passage.mark_stanza(&mut stanza);
        let permit = match permit {
            Ok(permit) => permit,
            Err(refusal) => {
                let refused = RejectedStanza::as_offline(&stanza, &refusal);
                return self.given_up(&stanza, Some(refused));
            }
        };
        let speaks = route
            .plans()
            .first()
            .map_or(Protocol::Xmpp, route::Plan::protocol);
        // Only a text can be said in either protocol.
        let is_text = matches!(
            stanza.kind(),
            stanza::Kind::Message(MessageType::Normal | MessageType::Chat)
        );
        let other =
            (is_text && route.plans().len() > 1).then(|| (stanza.clone(), permit.clone(), route.clone()));
        match speaks {
            Protocol::Xmpp => {
                let part = self.part(&stanza, ends, &permit);
                let mut delivery = forward(stanza, permit, route, part);
                if let Some((stanza, permit, route)) = other
                    && let Ok(AdmittedStanza::Deliver(other)) =
                        self.to_sip(stanza, permit, route, (now, random))
                {
                    delivery.other = Some(other);
                }
                Ok(AdmittedStanza::Deliver(Box::new(delivery)))
            }
            Protocol::Sip => {
                let other = other.map(|(stanza, permit, route)| forward(stanza, permit, route, Part::Whole));
                match (self.to_sip(stanza, permit, route, (now, random)), other) {
                    (Ok(AdmittedStanza::Deliver(mut delivery)), Some(other)) => {
                        delivery.other = Some(Box::new(other));
                        Ok(AdmittedStanza::Deliver(delivery))
                    }
                    // What SIP has no word for, the other protocol has.
                    (Ok(AdmittedStanza::Ignore), Some(other)) => Ok(AdmittedStanza::Deliver(Box::new(other))),
                    (admitted, _) => admitted,
                }
            }
        }
    }

    /// The kind of traffic that a stanza from `side` is; the first, where it is of two.
    #[must_use]
    pub fn kind_of_stanza(&self, side: Side, stanza: &Stanza) -> Kind {
        let own = match side.way() {
            Direction::Inbound => stanza.to(),
            Direction::Outbound => stanza.from(),
        };
        let role = self.table.local(own.domain()).map(|local| local.role);
        let (kind::Kinds::One(kind) | kind::Kinds::Either(kind, _) | kind::Kinds::Both(kind, _)) =
            kinds_of(stanza, role);
        kind
    }

    /// What policy says, by the kinds that the stanza is of.
    fn judge(&self, stanza: &Stanza, ends: Ends<'_>) -> Result<Permit, Refusal> {
        let role = self.table.local(ends.own.domain()).map(|local| local.role);
        let ask = |kind| self.rules.decide(&ends.query(kind)).permit();
        let judged = match kinds_of(stanza, role) {
            kind::Kinds::One(kind) => ask(kind),
            kind::Kinds::Either(first, second) => {
                ask(first).or_else(|refusal| ask(second).map_err(|_| refusal))
            }
            kind::Kinds::Both(first, second) => ask(second).and_then(|_| ask(first)),
        };
        if !is_answer(stanza) || self.conduct.unasked == Unasked::Judged {
            return judged;
        }
        // An answer is of the kind of its query, which only the gateway knows: any that passes will do here.
        judged.or_else(|refusal| {
            Kind::ALL
                .into_iter()
                .find_map(|kind| ask(kind).ok())
                .ok_or(refusal)
        })
    }

    /// What the gateway has to remember, or to know again.
    fn part(&self, stanza: &Stanza, ends: Ends<'_>, permit: &Permit) -> Part {
        match stanza.kind() {
            stanza::Kind::Iq(IqType::Get | IqType::Set) => Part::Query,
            stanza::Kind::Iq(IqType::Result | IqType::Error) if self.conduct.unasked == Unasked::Dropped => {
                let passes = |kind: &Kind| {
                    *kind == permit.kind() || self.rules.decide(&ends.query(*kind)).permit().is_ok()
                };
                Part::Answer {
                    to: Kind::ALL.into_iter().filter(passes).collect::<Kinds>(),
                }
            }
            stanza::Kind::Iq(IqType::Result | IqType::Error)
            | stanza::Kind::Message(_)
            | stanza::Kind::Presence(_) => Part::Whole,
        }
    }

    /// What is said to the edge itself, by its own name.
    fn serve(&self, stanza: &Stanza, ends: Ends<'_>) -> Result<AdmittedStanza, RejectedStanza> {
        let reject = |refusal: &Refused| RejectedStanza::of(stanza, refusal, self);
        // Our own nodes may always ask. A block names users, and the edge is none.
        if ends.direction == Direction::Inbound
            && let Err(refusal) = self.judge(stanza, ends)
            && !refusal.is_polite()
        {
            return Err(RejectedStanza::of(stanza, &refusal, self));
        }
        match stanza.kind() {
            stanza::Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::Groupchat) => {
                Err(reject(&Refused::Unserved))
            }
            stanza::Kind::Iq(_) | stanza::Kind::Message(_) | stanza::Kind::Presence(_) => {
                match service::answer(stanza, Asked::Edge, self.conduct.version) {
                    Some(Ok(answer)) => Ok(AdmittedStanza::Answer(Box::new(answer))),
                    Some(Err(refusal)) => Err(reject(&refusal)),
                    None => Ok(AdmittedStanza::Ignore),
                }
            }
        }
    }

    fn to_sip(
        &self,
        stanza: Stanza,
        permit: Permit,
        route: Route,
        (now, random): (Date, &[u8; 32]),
    ) -> Result<AdmittedStanza, RejectedStanza> {
        let reject = |refusal: &Refused| Err(RejectedStanza::of(&stanza, refusal, self));
        if self.conduct.translation == Translation::Off {
            return reject(&Refused::TranslationOff);
        }
        match stanza.kind() {
            stanza::Kind::Message(MessageType::Normal | MessageType::Chat) => {}
            stanza::Kind::Presence(_) => return self.presence_to_sip(stanza, permit, route),
            // What SIP could not say is dropped where nobody waits for it (specification: interworking §4).
            stanza::Kind::Message(MessageType::Error | MessageType::Headline)
            | stanza::Kind::Iq(IqType::Result | IqType::Error) => return Ok(AdmittedStanza::Ignore),
            stanza::Kind::Iq(IqType::Get | IqType::Set) => {
                return match service::answer(&stanza, Asked::SipDomain, self.conduct.version) {
                    // Where nothing is told of a text, the time of an answer is not to tell of it either.
                    Some(Ok(answer))
                        if ping::answer(&stanza).is_some() && permit.answers() == Answers::Pass =>
                    {
                        Ok(AdmittedStanza::Pong(Box::new(answer)))
                    }
                    Some(Ok(answer)) => Ok(AdmittedStanza::Answer(Box::new(answer))),
                    Some(Err(refusal)) => reject(&refusal),
                    None => Ok(AdmittedStanza::Ignore),
                };
            }
            stanza::Kind::Message(MessageType::Groupchat) => return reject(&Refused::Unsupported),
        }
        let outside = match route.destination() {
            Destination::Foreign(_) => stanza.to().domain().clone(),
            Destination::Local(_) => stanza.from().domain().clone(),
        };
        let (profile, side, over) = match route.destination() {
            Destination::Foreign(entry) => (self.profile(entry), Side::Outside, Transport::Tls),
            Destination::Local(local) => (self.profile_of_nodes(local), Side::Inside, over(local)),
        };
        let Some(face) = self.face(side, &over) else {
            return reject(&Refused::Inside);
        };
        if let Destination::Foreign(entry) = route.destination()
            && !entry.terms.allows(&Method::Message)
        {
            return reject(&Refused::NoMessages(entry.pattern.clone()));
        }
        let request = match translate::to_request(&stanza, &profile, &self.edge, random) {
            Ok(request) => request,
            Err(error) => return Err(RejectedStanza::of(&stanza, &error, self)),
        };
        let link = Link::Sip {
            remote: stanza.to().domain().clone(),
        };
        let asked = receipt::Asked::of_stanza(&stanza, now).map(Box::new);
        let told = receipt::of_stanza(&stanza);
        let payload = match (request, told, composing::of_stanza(&stanza)) {
            (Some(request), _, state) => Payload::ToSip {
                state,
                request: Box::new(request),
                sender: Box::new(without_payload(stanza)),
                asked,
                peer: Arc::new(SipPeer {
                    profile,
                    face,
                    outside,
                }),
            },
            // A message without a text.
            (None, Some(_), _) => Payload::Receipt {
                stanza: Box::new(stanza),
            },
            (None, None, Some(state)) => Payload::State {
                request: translate::to_template(&stanza, &profile, &self.edge, random).map(Box::new),
                stanza: Box::new(stanza),
                state,
            },
            (None, None, None) if is_invitation(&stanza) && route.plans().len() < 2 => {
                return reject(&Refused::Unsupported);
            }
            (None, None, None) => return Ok(AdmittedStanza::Ignore),
        };
        Ok(AdmittedStanza::Deliver(Box::new(Delivery {
            permit,
            route,
            link,
            payload,
            trace: Trace::default(),
            other: None,
            hold: None,
        })))
    }
}

impl Ends<'_> {
    const fn query(&self, kind: Kind) -> Query<'_> {
        Query {
            direction: self.direction,
            foreign: self.foreign,
            own: self.own,
            kind,
        }
    }
}

/// Forwarding within XMPP: a message is kept until its outcome is known, the rest is passed on.
fn forward(stanza: Stanza, permit: Permit, route: Route, part: Part) -> Delivery {
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
            part,
        }
    };
    Delivery {
        permit,
        route,
        link,
        payload,
        trace: Trace::default(),
        other: None,
        hold: None,
    }
}

/// Whether it asks a user into a room (XEP-0045 §7.8.2, XEP-0249), and says nothing else.
fn is_invitation(stanza: &Stanza) -> bool {
    let of_room = stanza.child("x", "http://jabber.org/protocol/muc#user");
    let is_mediated = of_room.is_some_and(|x| x.children().any(|child| child.name() == "invite"));
    is_mediated || stanza.child("x", "jabber:x:conference").is_some()
}

/// Whether it answers a query.
const fn is_answer(stanza: &Stanza) -> bool {
    matches!(stanza.kind(), stanza::Kind::Iq(IqType::Result | IqType::Error))
}

/// What an error about a stanza needs of it.
fn without_payload(mut stanza: Stanza) -> Stanza {
    stanza.retain_children(|child| child.name() == "thread");
    stanza
}

fn jid_party(jid: &Jid) -> Party {
    Party::from_jid(jid.local(), jid.domain().clone())
}
