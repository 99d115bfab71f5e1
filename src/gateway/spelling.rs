//! How users of SIP write their addresses: a JID keeps neither case nor what stands beside a telephone number, and the user's
//! own server may need both to find him again (RFC 3261 §19.1.4: user parts are case-sensitive).
//!
//! Whoever a SIP user has written to writes back to the address that came, in its last spelling. It is never an identity: those
//! are JIDs. Only what differs from the JID's own SIP address is kept, and the oldest is forgotten for the newest: that of the
//! same domain, where it has its share.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Gateway;
use super::conversation::Pair;
use super::delivery::{Delivery, Payload};
use crate::domain::Domain;
use crate::interwork::address::{self, Party, Sips};
use crate::interwork::message;
use crate::limits::{FOREIGN_ID_BYTES, GatewayLimits};
use crate::sip::{NameAddr, Request, Scheme, SipUri, Uri};
use crate::xmpp::Jid;

/// The spellings of a shard.
#[derive(Debug)]
pub(super) struct Spellings {
    most: usize,
    seen: HashMap<Pair, SipUri>,
    /// The same, in the order in which they came.
    order: BTreeMap<u64, Pair>,
    /// The same by the domain of SIP.
    by_domain: HashMap<Domain, BTreeSet<u64>>,
    count: u64,
}

impl<O> Gateway<O> {
    /// Takes note of how a SIP user writes his address, or writes to the one who is written to as is known of him.
    pub(super) fn meet(&mut self, delivery: &mut Delivery) {
        let presence = &self.presence;
        self.spellings
            .meet(delivery, |pair, device| presence.is_only_shown(pair, device));
    }
}

impl Spellings {
    /// None yet; as many at most as conversations.
    pub(super) fn new(limits: &GatewayLimits) -> Self {
        Self {
            most: limits.conversations,
            seen: HashMap::new(),
            order: BTreeMap::new(),
            by_domain: HashMap::new(),
            count: 0,
        }
    }

    /// How the SIP user of a pair writes his address, where that was noted.
    pub(super) fn of(&self, pair: &Pair) -> Option<&SipUri> {
        self.seen.get(pair)
    }

    /// Takes note of a spelling that the process before had noted.
    pub(super) fn restore(&mut self, pair: &Pair, spelling: &str) {
        if let Ok(uri) = Uri::parse(spelling)
            && !self.seen.contains_key(pair)
            && let Some(spelling) = differing(pair, &uri)
        {
            self.insert(pair, spelling);
        }
    }

    /// Takes note of how a SIP user writes his address, or uses what was noted of the one that is written to. `is_shown` says
    /// whether a device of his is known by its presence alone: what is sent to it goes to him.
    pub(super) fn meet(&mut self, delivery: &mut Delivery, is_shown: impl Fn(&Pair, &str) -> bool) {
        match &mut delivery.payload {
            Payload::ToXmpp { stanza, request, .. } => {
                self.note(&Pair::new(stanza.to(), stanza.from()), request);
            }
            Payload::InSession { request, ends, .. } => self.note(ends, request),
            Payload::ToSip {
                request,
                sender,
                peer,
                ..
            } => {
                let pair = Pair::new(sender.from(), sender.to());
                to_user(request, &pair, sender.to(), is_shown);
                if let Some(spelling) = self.seen.get(&pair) {
                    let usual = (request.uri().clone(), request.headers().to().clone());
                    spell(request, sender.to().resource(), spelling);
                    // It was measured under the usual one.
                    if message::octets(request) > peer.profile.message_bytes() {
                        request.set_uri(usual.0);
                        request.headers_mut().set_to(usual.1);
                    }
                }
            }
            Payload::State {
                stanza,
                request: Some(request),
                ..
            } => {
                let pair = Pair::new(stanza.from(), stanza.to());
                to_user(request, &pair, stanza.to(), is_shown);
                if let Some(spelling) = self.seen.get(&pair) {
                    spell(request, stanza.to().resource(), spelling);
                }
            }
            Payload::Receipt { .. }
            | Payload::Subscription { .. }
            | Payload::Presence { .. }
            | Payload::Forward { .. }
            | Payload::Pass { .. }
            | Payload::State { request: None, .. } => {}
        }
    }

    /// Writes a request to a SIP user under the spelling that was noted of him.
    pub(super) fn apply(&self, pair: &Pair, device: Option<&str>, request: &mut Request) {
        if let Some(spelling) = self.seen.get(pair) {
            spell(request, device, spelling);
        }
    }

    pub(super) fn note(&mut self, pair: &Pair, request: &Request) {
        let from = request.headers().from().uri();
        let is_plain = from.sip().is_some_and(|uri| {
            uri.user() == pair.sip.local()
                && uri.host().to_string() == pair.sip.domain().as_str()
                && uri.params().get("user").is_none()
        });
        let spelling = if is_plain { None } else { differing(pair, from) };
        match (self.seen.get_mut(pair), spelling) {
            (Some(seen), Some(spelling)) => *seen = spelling,
            (Some(seen), None) => {
                if let Ok(usual) = address::to_uri(&pair.sip, Scheme::Sip) {
                    *seen = usual;
                }
            }
            (None, None) => {}
            (None, Some(spelling)) => self.insert(pair, spelling),
        }
    }

    fn insert(&mut self, pair: &Pair, spelling: SipUri) {
        self.make_room(pair.sip.domain());
        self.count = self.count.wrapping_add(1);
        self.seen.insert(pair.clone(), spelling);
        self.order.insert(self.count, pair.clone());
        let of_domain = self.by_domain.entry(pair.sip.domain().clone());
        of_domain.or_default().insert(self.count);
    }

    /// Whoever writes from many addresses pushes out his own first.
    fn make_room(&mut self, domain: &Domain) {
        let of_domain = self.by_domain.get(domain);
        let is_crowded = of_domain.is_some_and(|numbers| numbers.len() >= self.most.div_ceil(SHARE));
        let oldest = if is_crowded {
            of_domain.and_then(|numbers| numbers.first().copied())
        } else if self.order.len() >= self.most {
            self.order.keys().next().copied()
        } else {
            None
        };
        let Some((number, pair)) =
            oldest.and_then(|number| self.order.remove(&number).map(|pair| (number, pair)))
        else {
            return;
        };
        self.seen.remove(&pair);
        if let Some(numbers) = self.by_domain.get_mut(pair.sip.domain()) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_domain.remove(pair.sip.domain());
            }
        }
    }
}

/// The address without its device, where it is another than that of the JID.
fn differing(pair: &Pair, from: &Uri) -> Option<SipUri> {
    let party = Party::from_uri(from, Sips::Translate).ok()?;
    let party = party.with_resource(None).ok()?;
    let usual = address::to_uri(&pair.sip, Scheme::Sip).ok();
    let spelling = party.uri();
    let is_short = spelling.to_string().len() <= FOREIGN_ID_BYTES;
    (party.jid() == &pair.sip
        && Some(spelling) != usual.as_ref()
        && is_short
        && spelling.scheme() == Scheme::Sip)
        .then(|| spelling.clone())
}

/// Writes a request to a device that is known by its presence alone to its user.
fn to_user(request: &mut Request, pair: &Pair, to: &Jid, is_shown: impl Fn(&Pair, &str) -> bool) {
    let is_shown = to.resource().is_some_and(|device| is_shown(pair, device));
    if let (true, Ok(usual)) = (is_shown, address::to_uri(&pair.sip, Scheme::Sip)) {
        spell(request, None, &usual);
    }
}

/// Writes a request to the same device, where it is written to one, under another spelling.
fn spell(request: &mut Request, device: Option<&str>, spelling: &SipUri) {
    let to = request.headers().to();
    let endpoint = to.params().get("epid").map(str::to_owned);
    let names_device = request
        .uri()
        .sip()
        .is_some_and(|uri| uri.params().get("gr").is_some());
    let spelled = Party::from_uri(&Uri::Sip(spelling.clone()), Sips::Translate)
        .and_then(|party| party.with_resource(device.filter(|_| names_device)));
    // It was read once already.
    let Ok(spelled) = spelled else { return };
    let named = NameAddr::new(spelled.uri().clone());
    let to = match endpoint {
        Some(endpoint) => named.with_param("epid", Some(&endpoint)),
        None => Ok(named),
    };
    if let Ok(to) = to {
        request.set_uri(Uri::Sip(spelled.uri().clone()));
        request.headers_mut().set_to(to);
    }
}

/// The part of all that users of one domain may have is one of so many.
const SHARE: usize = 4;
