//! What users asked to be told of their messages, until they are told: XEP-0184 and XEP-0333 on one side, IMDN (RFC 5438) on
//! the other.
//!
//! A message bears a name of ours on its other side; who tells of it is believed where he is the one to whom it went. Each is
//! told of once in each way (RFC 5438 §7.2.1), and nobody who did not ask is told anything, nor who was told already that his
//! message failed. What nobody answers is forgotten after [`GatewayLimits::receipt`], or before that where there are too many.
//!
//! SIP users who ask by a CPIM wrapper are taken to understand one, and texts to them ask in the same way; who refuses one gets
//! it without, and of texts without the answer 200 is the receipt.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conversation::Pair;
use super::delivery::{Delivery, Link, Payload, SipPeer, Trace};
use super::event::Output;
use super::pending::{Pending, Token, Weighs};
use super::{Gateway, after, send};
use crate::domain::Domain;
use crate::interwork::message;
use crate::interwork::receipt::{self, Asked, Parties, Receipt};
use crate::limits::GatewayLimits;
use crate::policy::Direction;
use crate::route::Route;
use crate::sip::Request;
use crate::xmpp::{Jid, Stanza, ns};

/// What was asked for and not told yet, by the name that the message bears on its other side.
#[derive(Debug)]
pub(super) struct Receipts {
    most: usize,
    keep: Duration,
    promises: Pending<Promise>,
    /// What users of each domain outside have part in, the oldest first.
    by_domain: HashMap<Domain, BTreeSet<Token>>,
}

/// That somebody is to be told of a message.
#[derive(Debug)]
struct Promise {
    pair: Pair,
    /// Whose user is outside.
    domain: Domain,
    asked: Asked,
    who: Who,
}

/// Who asked.
#[derive(Debug)]
enum Who {
    /// A user of SIP, from that device.
    Sip { asking: Box<Asking>, device: Jid },
    /// A user of XMPP; he hears it from the address that he wrote to.
    Xmpp { device: Jid, from: Jid },
}

/// What a user of SIP asks, and how he is reached.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) asked: Asked,
    pub(super) peer: Arc<SipPeer>,
    pub(super) back: Route,
}

impl Weighs for Promise {
    fn weight(&self) -> usize {
        let octets = |jid: &Jid| jid.to_string().len();
        let addresses = match &self.who {
            Who::Sip { device, .. } => octets(device),
            Who::Xmpp { device, from } => octets(device).saturating_add(octets(from)),
        };
        octets(&self.pair.xmpp)
            .saturating_add(octets(&self.pair.sip))
            .saturating_add(addresses)
            .saturating_add(self.asked.weight())
    }
}

impl Receipts {
    pub(super) fn new(limits: &GatewayLimits) -> Self {
        Self {
            most: limits.receipts,
            keep: limits.receipt,
            promises: Pending::new(limits.receipts, limits.receipts.saturating_mul(PROMISE_BYTES)),
            by_domain: HashMap::new(),
        }
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.promises.len()
    }

    /// Remembers a promise; `false` where it takes more memory than one may.
    fn promise(&mut self, now: Instant, token: Token, promise: Promise) -> bool {
        if promise.weight() > PROMISE_BYTES {
            return false;
        }
        self.expire(now);
        let domain = promise.domain.clone();
        // Who asks for much pushes out his own first.
        let of_domain = self.by_domain.get(&domain);
        let crowded = of_domain.is_some_and(|tokens| tokens.len() >= self.most.div_ceil(SHARE));
        let oldest = if crowded {
            of_domain.and_then(|tokens| tokens.first().copied())
        } else if self.promises.len() >= self.most {
            self.promises.first()
        } else {
            None
        };
        if let Some(oldest) = oldest {
            self.forget(oldest);
        }
        let is_kept = self
            .promises
            .insert(token, after(now, self.keep), promise)
            .is_ok();
        if is_kept {
            self.by_domain.entry(domain).or_default().insert(token);
        }
        is_kept
    }

    /// Whether one of them is for that message.
    pub(super) fn holds(&self, token: Token) -> bool {
        self.promises.get(token).is_some()
    }

    /// Takes back what was promised of a text that asked in a wrapper: it is told of in another way.
    pub(super) fn withdraw(&mut self, token: Token) -> Option<Asked> {
        let Promise {
            asked,
            who: Who::Xmpp { .. },
            ..
        } = self.promises.get(token)?
        else {
            return None;
        };
        let asked = asked.clone();
        self.forget(token);
        Some(asked)
    }

    /// Whatever becomes of that message is told in another way.
    pub(super) fn forget(&mut self, token: Token) {
        let Some(promise) = self.promises.remove(token) else {
            return;
        };
        if let Some(tokens) = self.by_domain.get_mut(&promise.domain) {
            tokens.remove(&token);
            if tokens.is_empty() {
                self.by_domain.remove(&promise.domain);
            }
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(token) = self.promises.due(now) {
            self.forget(token);
        }
    }

    /// The promise to somebody of a pair who asked for this, which is kept now.
    fn take(&mut self, token: Token, pair: &Pair, receipt: Receipt) -> Option<&Promise> {
        self.promises
            .get_mut(token)
            .filter(|promise| promise.pair == *pair)
            .filter(|promise| promise.asked.includes(receipt))?
            .asked
            .told(receipt);
        self.promises.get(token)
    }

    /// Forgets a promise of which nothing is left.
    fn settle(&mut self, token: Token) {
        if self
            .promises
            .get(token)
            .is_some_and(|promise| promise.asked.is_told())
        {
            self.forget(token);
        }
    }
}

impl<O> Gateway<O> {
    /// A SIP user asks to be told of a message that goes `way` under that name: so does the stanza.
    pub(super) fn asked_by_sip(
        &mut self,
        now: Instant,
        token: Token,
        (asking, way): (Box<Asking>, Direction),
        stanza: &mut Stanza,
    ) {
        let pair = Pair::new(stanza.to(), stanza.from());
        self.learn_wrapper(now, &pair, &asking);
        let asked = asking.asked.clone();
        let device = stanza.from().clone();
        let promise = Promise {
            pair,
            domain: outside(way, stanza),
            asked: asked.clone(),
            who: Who::Sip { asking, device },
        };
        if self.receipts.promise(now, token, promise) {
            asked.put(stanza);
        }
    }

    /// An XMPP user asks to be told of a text that goes `way` under that name to a SIP user who knows how: so does the request.
    /// Gives back what is still to be told by the answer.
    pub(super) fn asked_by_xmpp(
        &mut self,
        now: Instant,
        token: Token,
        (asked, way): (Box<Asked>, Direction),
        (sender, request): (&Stanza, &mut Request),
    ) -> Option<Box<Asked>> {
        let pair = Pair::new(sender.from(), sender.to());
        let Some(most) = self.takes_wrapper(&pair) else {
            return Some(asked);
        };
        let Some(wrapped) = wrapped(&asked, &self.answers.id(token), request)
            .filter(|wrapped| message::octets(wrapped) <= most)
        else {
            return Some(asked);
        };
        let promise = Promise {
            pair,
            domain: outside(way, sender),
            asked: asked.clone().with_failure(),
            who: Who::Xmpp {
                device: sender.from().clone(),
                from: sender.to().clone(),
            },
        };
        if !self.receipts.promise(now, token, promise) {
            return Some(asked);
        }
        *request = wrapped;
        None
    }

    /// Takes what an XMPP user tells of a message of SIP; gives back what is about another message, and what says more.
    pub(super) fn receipt_of_xmpp(&mut self, now: Instant, delivery: Delivery) -> Option<Delivery> {
        let (Payload::Receipt { stanza } | Payload::Forward { stanza, .. }) = &delivery.payload else {
            return Some(delivery);
        };
        let told = receipt::of_stanza(stanza)
            .and_then(|(receipt, id)| Some((receipt, self.answers.token(&id)?)))
            .filter(|(_, token)| self.receipts.holds(*token));
        let Some((receipt, token)) = told else {
            return Some(delivery);
        };
        let has_words = stanza.child("body", ns::STANZA).is_some();
        let pair = Pair::new(stanza.from(), stanza.to());
        let (trace, fresh) = (delivery.trace, &delivery.route);
        let route = matches!(delivery.payload, Payload::Receipt { .. }).then(|| fresh.clone());
        let is_told = self.tell_sip(now, token, &pair, (receipt, route), trace);
        (has_words || !is_told).then_some(delivery)
    }

    /// A message of SIP that was taken to have arrived did not.
    pub(super) fn failed_late(&mut self, now: Instant, token: Token, stanza: &Stanza) {
        let by = stanza.from();
        let Some(promise) = self.receipts.promises.get(token) else {
            return;
        };
        let pair = promise.pair.clone();
        let is_his = by.bare() == pair.xmpp || by.bare() == Jid::from(pair.xmpp.domain().clone());
        if is_his && stanza.to().bare() == pair.sip {
            self.tell_sip(now, token, &pair, (Receipt::Failed, None), Trace::default());
        }
    }

    /// Tells who asked, by that route where it is newer than what was known when he did; `false` where nobody asked for it.
    fn tell_sip(
        &mut self,
        now: Instant,
        token: Token,
        pair: &Pair,
        (receipt, route): (Receipt, Option<Route>),
        trace: Trace,
    ) -> bool {
        let Some(Promise {
            asked,
            who: Who::Sip { asking, device },
            ..
        }) = self.receipts.take(token, pair, receipt)
        else {
            return false;
        };
        let own = self.names.tag();
        let (us, him) = (message::uri_of(&pair.xmpp), message::addressee(device));
        let made = us.zip(him).and_then(|(from, to)| {
            let parties = Parties {
                from: &from,
                to: to.uri(),
            };
            let body = asked.to_body(receipt, &own, parties)?;
            let mut request = self.names.message(&asking.peer.face, &from, &to).ok()?;
            self.spellings.apply(pair, device.resource(), &mut request);
            Some((request, body))
        });
        let route = route.unwrap_or_else(|| asking.back.clone());
        self.receipts.settle(token);
        let Some((request, body)) = made else {
            return true;
        };
        let Err((kind, body)) = self.say_beside(now, pair, body) else {
            return true;
        };
        // Nobody is told what becomes of it (RFC 5438 §7.2.1), and so nobody waits for its answer.
        let output = Output::Request {
            link: Link::Sip {
                remote: pair.sip.domain().clone(),
            },
            route,
            request: Box::new(request.with_body(kind, body)),
            token: self.fresh(),
            until: after(now, self.limits.deliver),
            trace,
        };
        self.ready.push_back(output);
        true
    }

    /// A SIP user tells of a text of XMPP.
    pub(super) fn receipt_of_sip(
        &mut self,
        now: Instant,
        pair: &Pair,
        receipt: Receipt,
        id: &str,
        trace: Trace,
    ) {
        let Some(token) = self.answers.token(id) else {
            return;
        };
        let Some(Promise {
            asked,
            who: Who::Xmpp { device, from },
            ..
        }) = self.receipts.take(token, pair, receipt)
        else {
            return;
        };
        let stanza = receipt::to_stanza(receipt, asked.id(), from.clone(), device.clone());
        self.receipts.settle(token);
        if receipt == Receipt::Failed {
            return self.send_back(now, stanza, trace);
        }
        self.tell_receipt(now, stanza);
    }

    /// Tells the sender of a text what became of it.
    pub(super) fn tell_receipt(&mut self, now: Instant, stanza: Stanza) {
        let link = Link::Xmpp {
            local: stanza.from().domain().clone(),
            remote: stanza.to().domain().clone(),
        };
        let until = after(now, self.limits.deliver);
        self.ready
            .push_back(send(&link, Box::new(stanza), None, until, None));
    }
}

fn wrapped(asked: &Asked, id: &str, request: &Request) -> Option<Request> {
    let headers = request.headers();
    let parties = Parties {
        from: headers.from().uri(),
        to: headers.to().uri(),
    };
    let text = std::str::from_utf8(request.body()).ok()?;
    let (kind, body) = asked.wrap(id, parties, (headers.content_type()?, text))?;
    Some(request.clone().with_body(kind, body))
}

/// The domain of the user outside, of the two that a stanza goes between.
fn outside(way: Direction, stanza: &Stanza) -> Domain {
    match way {
        Direction::Inbound => stanza.from().domain().clone(),
        Direction::Outbound => stanza.to().domain().clone(),
    }
}

/// One domain may have one part in so many of all.
const SHARE: usize = 4;
/// Octets of addresses and names that are remembered for one message; of one with longer ones nobody is told.
const PROMISE_BYTES: usize = 1_024;
