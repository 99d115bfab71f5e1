//! What users asked to be told of their messages, until they are told: XEP-0184 and XEP-0333 on one side, IMDN (RFC 5438) on
//! the other.
//!
//! A message bears a name of ours on its other side, which nobody can guess, so that only who got it can say anything of
//! it. Each is told of once in each way (RFC 5438 §7.2.1), and nobody who did not ask is told anything. What nobody answers
//! is forgotten after [`GatewayLimits::receipt`], or before that where there are too many.
//!
//! SIP users who ask by a CPIM wrapper are taken to understand one, and texts to them ask in the same way; of texts to others
//! the answer 200 is the receipt.

use std::collections::{BTreeSet, HashMap};
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
use crate::route::Route;
use crate::sip::{Request, Uri};
use crate::xmpp::{Jid, Stanza};

/// What was asked for and not told yet, by the name that the message bears on its other side.
#[derive(Debug)]
pub(super) struct Receipts {
    most: usize,
    keep: Duration,
    promises: Pending<Promise>,
    /// What users of each domain of SIP have part in, the oldest first.
    by_domain: HashMap<Domain, BTreeSet<Token>>,
}

/// That somebody is to be told of a message.
#[derive(Debug)]
pub(super) struct Promise {
    pair: Pair,
    asked: Asked,
    who: Who,
}

/// Who asked.
#[derive(Debug)]
enum Who {
    /// A user of SIP.
    Sip(Box<Asking>),
    /// A user of XMPP; he hears it from the address that he wrote to.
    Xmpp { device: Jid, from: Jid },
}

/// How a user of SIP who asks is reached.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) asked: Asked,
    pub(super) peer: std::sync::Arc<SipPeer>,
    pub(super) back: Route,
    /// He, and whom he wrote to.
    pub(super) parties: (Uri, Uri),
}

impl Asking {
    /// What a request asks for.
    pub(super) fn new(asked: Asked, request: &Request, peer: &std::sync::Arc<SipPeer>, back: Route) -> Self {
        let headers = request.headers();
        Self {
            asked,
            peer: std::sync::Arc::clone(peer),
            back,
            parties: (headers.from().uri().clone(), headers.to().uri().clone()),
        }
    }
}

impl Weighs for Promise {
    fn weight(&self) -> usize {
        size_of::<Self>().saturating_add(match self.who {
            Who::Sip(_) => size_of::<Asking>().saturating_add(ADDRESSES),
            Who::Xmpp { .. } => ADDRESSES,
        })
    }
}

impl Receipts {
    pub(super) fn new(limits: &GatewayLimits) -> Self {
        Self {
            most: limits.receipts,
            keep: limits.receipt,
            promises: Pending::new(limits.receipts, usize::MAX),
            by_domain: HashMap::new(),
        }
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.promises.len()
    }

    fn promise(&mut self, now: Instant, token: Token, promise: Promise) {
        self.expire(now);
        let domain = promise.pair.sip.domain().clone();
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
        if self
            .promises
            .insert(token, after(now, self.keep), promise)
            .is_ok()
        {
            self.by_domain.entry(domain).or_default().insert(token);
        }
    }

    /// Whatever becomes of that message is told in another way.
    pub(super) fn forget(&mut self, token: Token) {
        let Some(promise) = self.promises.remove(token) else {
            return;
        };
        let domain = promise.pair.sip.domain();
        if let Some(tokens) = self.by_domain.get_mut(domain) {
            tokens.remove(&token);
            if tokens.is_empty() {
                self.by_domain.remove(domain);
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
    /// A SIP user asks to be told of a message that goes out under that name: so does the stanza.
    pub(super) fn asked_by_sip(
        &mut self,
        now: Instant,
        token: Token,
        asking: Box<Asking>,
        stanza: &mut Stanza,
    ) {
        let pair = Pair::new(stanza.to(), stanza.from());
        asking.asked.put(stanza);
        self.learn_wrapper(now, &pair, &asking);
        let promise = Promise {
            pair,
            asked: asking.asked.clone(),
            who: Who::Sip(asking),
        };
        self.receipts.promise(now, token, promise);
    }

    /// An XMPP user asks to be told of a text that goes out under that name to a SIP user who knows how: so does the request.
    /// Gives back what is still to be told by the answer.
    pub(super) fn asked_by_xmpp(
        &mut self,
        now: Instant,
        token: Token,
        asked: Box<Asked>,
        (sender, request): (&Stanza, &mut Request),
    ) -> Option<Box<Asked>> {
        let pair = Pair::new(sender.from(), sender.to());
        let Some(most) = self.takes_wrapper(&pair) else {
            return Some(asked);
        };
        let Some(wrapped) = wrapped(&asked, &self.answers.id(token), request) else {
            return Some(asked);
        };
        if message::octets(&wrapped) > most {
            return Some(asked);
        }
        *request = wrapped;
        let promise = Promise {
            pair,
            asked: asked.with_failure(),
            who: Who::Xmpp {
                device: sender.from().clone(),
                from: sender.to().clone(),
            },
        };
        self.receipts.promise(now, token, promise);
        None
    }

    /// An XMPP user tells of a message of SIP.
    pub(super) fn receipt_of_xmpp(&mut self, now: Instant, delivery: Delivery) {
        let Delivery { payload, trace, .. } = delivery;
        let Payload::Receipt { stanza, receipt, id } = payload else {
            return;
        };
        if let Some(token) = self.answers.token(&id) {
            let pair = Pair::new(stanza.from(), stanza.to());
            self.tell_sip(now, token, &pair, receipt, trace);
        }
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
            self.tell_sip(now, token, &pair, Receipt::Failed, Trace::default());
        }
    }

    fn tell_sip(&mut self, now: Instant, token: Token, pair: &Pair, receipt: Receipt, trace: Trace) {
        let Some(Promise {
            asked,
            who: Who::Sip(asking),
            ..
        }) = self.receipts.take(token, pair, receipt)
        else {
            return;
        };
        let Asking {
            peer,
            back,
            parties: (him, us),
            ..
        } = &**asking;
        let own = self.names.tag();
        let body = asked.to_body(receipt, &own, Parties { from: us, to: him });
        let request = self.names.message(&peer.face, us, him);
        let route = back.clone();
        self.receipts.settle(token);
        let (Some(body), Ok(request)) = (body, request) else {
            return;
        };
        let Err((kind, body)) = self.say_beside(now, pair, body) else {
            return;
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

/// One domain may have one part in so many of all.
const SHARE: usize = 4;
/// What addresses and identifiers take, about.
const ADDRESSES: usize = 512;
