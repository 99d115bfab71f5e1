//! What the checks make of a message that may pass, and what the network floor tells of it afterwards.

use std::sync::Arc;

use super::border::presence::Brings;
use super::conversation::Pair;
use super::hold::Hold;
use super::receipts::Asking;
use crate::domain::Domain;
use crate::interwork::composing::{Activity, ChatState};
use crate::interwork::profile::Profile;
use crate::interwork::receipt::{self, Receipt};
use crate::policy::{Kinds, Permit};
use crate::route::Route;
use crate::sip::Request;
use crate::sip::proxy::Face;
use crate::xmpp::{Jid, Stanza};

/// A message that policy permits and that has a route, in the protocol of its next hop. Made only by
/// [`super::Border`]; the links take nothing else.
#[derive(Debug)]
pub struct Delivery {
    pub(super) permit: Permit,
    pub(super) route: Route,
    pub(super) link: Link,
    pub(super) payload: Payload,
    pub(super) trace: Trace,
    /// The same message by the next plan of its route, for when this one leads to nobody.
    pub(super) other: Option<Box<Self>>,
    /// What its sender's side is kept by until the outcome is known.
    pub(super) hold: Option<Hold>,
}

/// The correlation id of a message: the same in every log line about it, whatever the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Trace(u64);

impl Trace {
    /// An id; random, so that ids of two runs do not meet in one log.
    #[must_use]
    pub const fn new(random: u64) -> Self {
        Self(random)
    }
}

impl std::fmt::Display for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What is carried, and what its sender will be answered with.
#[derive(Debug)]
pub(super) enum Payload {
    /// From SIP to XMPP: the request is answered when the outcome is known.
    ToXmpp {
        stanza: Box<Stanza>,
        request: Box<Request>,
        profile: Profile,
        /// What its sender asks to be told of it.
        asking: Option<Box<Asking>>,
    },
    /// From XMPP to SIP: `sender` is the stanza without its payload, to answer with an error. The request is one on its
    /// own; what goes in a session has its texts from it.
    ToSip {
        request: Box<Request>,
        sender: Box<Stanza>,
        /// What its sender asks to be told of it.
        asked: Option<Box<receipt::Asked>>,
        /// What its sender does beside writing.
        state: Option<ChatState>,
        peer: Arc<SipPeer>,
    },
    /// From SIP, within a session of messages that ends at the gateway, or to begin one; `back` is the way to its sender.
    InSession {
        request: Box<Request>,
        carries: Carries,
        /// What the sender of a text asks to be told of it.
        asked: Option<Box<receipt::Asked>>,
        ends: Box<Pair>,
        peer: Arc<SipPeer>,
        back: Box<Route>,
    },
    /// From XMPP to SIP: what a user does beside writing, which nobody waits for.
    /// `request` is one on its own, to be filled with that.
    State {
        stanza: Box<Stanza>,
        state: ChatState,
        request: Option<Box<Request>>,
    },
    /// From XMPP to SIP: what became of a message of SIP, which nobody waits for.
    Receipt { stanza: Box<Stanza> },
    /// From SIP: it asks for presence, or tells it.
    Subscription {
        request: Box<Request>,
        brings: Brings,
        ends: Box<Pair>,
    },
    /// From XMPP to SIP: presence of any kind.
    Presence { stanza: Box<Stanza> },
    /// From XMPP to XMPP, a message: `sender` is the stanza without its payload, to answer with an error.
    Forward {
        stanza: Box<Stanza>,
        sender: Box<Stanza>,
    },
    /// From XMPP to XMPP, what is not kept until its outcome is known: presence, queries, answers.
    /// `sender` is the stanza without its payload, where its sender waits for an answer.
    Pass {
        stanza: Box<Stanza>,
        sender: Option<Box<Stanza>>,
        part: Part,
    },
}

/// How a gateway speaks with the SIP side of a pair of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SipPeer {
    /// What kind of peer it is.
    pub(super) profile: Profile,
    /// Where it reaches us.
    pub(super) face: Face,
    /// The domain of the one of the pair who is outside.
    pub(super) outside: Domain,
}

/// What a request within a session has for the XMPP user.
#[derive(Debug)]
pub(super) enum Carries {
    /// Nothing: it is about the session itself.
    Nothing,
    /// A text.
    Text(Box<Stanza>),
    /// What its sender does beside writing, and for how long that holds.
    State(Box<Stanza>, Activity),
    /// What became of the text with that name.
    Receipt(Receipt, String),
}

/// Which part of an exchange a stanza is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It stands for itself.
    Whole,
    /// A query: its answer is to be known again.
    Query,
    /// The answer to a query of one of these kinds, or to nothing.
    Answer {
        /// The kinds that policy lets pass this way.
        to: Kinds,
    },
}

/// What goes out to the next hop.
#[derive(Debug, Clone, Copy)]
pub enum Carried<'d> {
    /// By XMPP.
    Stanza(&'d Stanza),
    /// By SIP.
    Request(&'d Request),
    /// Nothing by itself: it is about a session, which ends here.
    Nothing,
    /// Nothing by itself: it is about presence, of which the gateway says what is new.
    Presence,
}

/// The relation that a message goes over, whatever its flows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Link {
    /// XMPP towards `remote`, on which we speak for `local`: one stream or component a pair.
    Xmpp {
        /// Whom we speak for.
        local: Domain,
        /// Who is spoken to.
        remote: Domain,
    },
    /// SIP towards the servers of a domain.
    Sip {
        /// The domain.
        remote: Domain,
    },
}

/// The end of a message, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop took it.
    Delivered,
    /// It was refused before it was passed on, and its sender told.
    Refused,
    /// It could not be delivered, and its sender was told.
    Failed,
    /// Nobody waits for it, and nobody is told.
    Ignored,
}

impl Delivery {
    /// The same message under a correlation id.
    #[must_use]
    pub fn traced(mut self: Box<Self>, trace: Trace) -> Box<Self> {
        self.trace = trace;
        if let Some(other) = &mut self.other {
            other.trace = trace;
        }
        self
    }

    /// The same message, whose sender's side is kept by `hold` until its outcome is known.
    #[must_use]
    pub fn held(mut self: Box<Self>, hold: Option<Hold>) -> Box<Self> {
        self.hold = hold;
        self
    }

    /// The rule that let it pass.
    pub const fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The way to its next hop.
    pub const fn route(&self) -> &Route {
        &self.route
    }

    /// What goes out, in the protocol of its next hop.
    #[must_use]
    pub fn carried(&self) -> Carried<'_> {
        match &self.payload {
            Payload::ToXmpp { stanza, .. }
            | Payload::Forward { stanza, .. }
            | Payload::Pass { stanza, .. } => Carried::Stanza(stanza),
            Payload::ToSip { request, .. } => Carried::Request(request),
            Payload::InSession { carries, .. } => match carries {
                Carries::Text(stanza) | Carries::State(stanza, _) => Carried::Stanza(stanza),
                Carries::Nothing | Carries::Receipt(..) => Carried::Nothing,
            },
            Payload::Subscription { .. } | Payload::Presence { .. } => Carried::Presence,
            Payload::State { .. } | Payload::Receipt { .. } => Carried::Nothing,
        }
    }

    /// The relation that it will go over.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// About how many octets of memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let other = self.other.as_deref().map_or(0, Self::weight);
        let payload = match &self.payload {
            Payload::ToXmpp { stanza, request, .. } => {
                weight_of(request).saturating_add(stanza.element().weight())
            }
            Payload::ToSip { request, sender, .. } => {
                weight_of(request).saturating_add(sender.element().weight())
            }
            Payload::InSession { request, carries, .. } => {
                let carried = match carries {
                    Carries::Text(stanza) | Carries::State(stanza, _) => stanza.element().weight(),
                    Carries::Nothing | Carries::Receipt(..) => 0,
                };
                weight_of(request).saturating_add(carried)
            }
            Payload::State { stanza, request, .. } => stanza
                .element()
                .weight()
                .saturating_add(request.as_deref().map_or(0, weight_of)),
            Payload::Receipt { stanza, .. } | Payload::Presence { stanza } => stanza.element().weight(),
            Payload::Subscription { request, .. } => weight_of(request),
            Payload::Forward { stanza, sender } => stanza
                .element()
                .weight()
                .saturating_add(sender.element().weight()),
            Payload::Pass { stanza, .. } => stanza.element().weight(),
        };
        payload.saturating_add(other)
    }

    /// A number that is the same for every message between two users, in either direction: what keeps them in one
    /// shard and in order.
    #[must_use]
    pub fn pair(&self) -> u64 {
        match &self.payload {
            Payload::ToXmpp { stanza, .. }
            | Payload::Forward { stanza, .. }
            | Payload::Pass { stanza, .. } => pair_of(stanza),
            Payload::ToSip { sender, .. } => pair_of(sender),
            Payload::InSession { ends, .. } | Payload::Subscription { ends, .. } => {
                pair_of_users(&ends.xmpp, &ends.sip)
            }
            Payload::State { stanza, .. }
            | Payload::Receipt { stanza, .. }
            | Payload::Presence { stanza } => pair_of(stanza),
        }
    }
}

/// About how many octets of memory a request takes: its text, and what the parsed form adds.
#[must_use]
pub fn weight_of(request: &Request) -> usize {
    let other = request.headers().other().fold(0_usize, |sum, (_, value)| {
        sum.saturating_add(value.len()).saturating_add(64)
    });
    request
        .body()
        .len()
        .saturating_add(other)
        .saturating_add(MANDATORY)
}

/// What the fields take that every request has, about.
const MANDATORY: usize = 2_048;

/// The number of the pair of users that a stanza goes between, whichever of them sent it.
#[must_use]
pub fn pair_of(stanza: &Stanza) -> u64 {
    pair_of_users(stanza.from(), stanza.to())
}

pub(super) fn pair_of_users(one: &Jid, other: &Jid) -> u64 {
    let number = |jid: &Jid| {
        number_of(
            jid.local()
                .unwrap_or_default()
                .bytes()
                .chain([b'@'])
                .chain(jid.domain().as_str().bytes()),
        )
    };
    number(one).wrapping_add(number(other))
}

/// The same number, of two bare addresses as XMPP writes them.
pub(super) fn pair_of_addresses(one: &str, other: &str) -> u64 {
    let number = |address: &str| {
        let at = if address.contains('@') { "" } else { "@" };
        number_of(at.bytes().chain(address.bytes()))
    };
    number(one).wrapping_add(number(other))
}

/// FNV-1a over a bare address; those of two users are joined by a sum so that the direction does not matter. It spreads load; nothing
/// relies on it against an attacker, who can fill no more than the shard that he already may fill.
fn number_of(address: impl Iterator<Item = u8>) -> u64 {
    address.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_number_whether_of_addresses_or_of_what_is_sent_between_them() {
        for (one, other) in [
            ("romeo@example.com", "juliet@example.net"),
            ("romeo@example.com", "example.net"),
            ("example.com", "example.net"),
            ("j\\40d@example.com", "ju.li.et@example.net"),
        ] {
            let jid = |text: &str| Jid::parse(text).unwrap();
            let number = pair_of_addresses(one, other);
            assert_eq!(number, pair_of_addresses(other, one));
            assert_eq!(number, pair_of_users(&jid(one), &jid(other)), "{one} {other}");
            let device = jid(&format!("{one}/balcony"));
            assert_eq!(number, pair_of_users(&jid(other), &device), "{one} {other}");
        }
    }
}
