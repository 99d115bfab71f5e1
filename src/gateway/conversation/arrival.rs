//! A request of a session as it comes from the border: what it is for, and what a text in it needs to go on.

use std::sync::Arc;
use std::time::Instant;

use super::Pair;
use super::agreeing::refuse;
use crate::gateway::Gateway;
use crate::gateway::delivery::{Carries, Delivery, Link, Payload, SipPeer, Trace};
use crate::gateway::receipts::Asking;
use crate::interwork::receipt::Asked;
use crate::policy;
use crate::route::Route;
use crate::sip::dialog;
use crate::sip::{Method, Request};
use crate::xmpp::Stanza;

/// A request of a session as the border gave it.
pub(super) struct Arrival<O> {
    pub(super) request: Box<Request>,
    pub(super) carries: Carries,
    pub(super) pair: Pair,
    pub(super) peer: Arc<SipPeer>,
    pub(super) origin: Option<O>,
    /// All that a text in it needs.
    pub(super) rest: Rest,
}

pub(super) struct Rest {
    pub(super) asked: Option<Box<Asked>>,
    pub(super) back: Box<Route>,
    pub(super) permit: policy::Permit,
    pub(super) route: Route,
    pub(super) link: Link,
    pub(super) trace: Trace,
}

impl Rest {
    /// The text of a session as any other message: its fate answers its request.
    pub(super) fn delivery(
        self,
        stanza: Box<Stanza>,
        request: Box<Request>,
        peer: &Arc<SipPeer>,
    ) -> Delivery {
        let Self { asked, back, .. } = self;
        let asking = asked.map(|asked| {
            Box::new(Asking {
                asked: *asked,
                peer: Arc::clone(peer),
                back: *back,
            })
        });
        Delivery {
            permit: self.permit,
            route: self.route,
            link: self.link,
            payload: Payload::ToXmpp {
                stanza,
                request,
                profile: peer.profile.clone(),
                asking,
            },
            trace: self.trace,
            other: None,
            hold: None,
        }
    }
}

impl<O> Gateway<O> {
    /// Takes a request that belongs to a session of the gateway, or begins one.
    pub(in crate::gateway) fn in_session(&mut self, now: Instant, delivery: Delivery, origin: Option<O>) {
        let Delivery {
            permit,
            route,
            link,
            payload,
            trace,
            ..
        } = delivery;
        let Payload::InSession {
            request,
            carries,
            asked,
            ends,
            peer,
            back,
        } = payload
        else {
            return;
        };
        let arrival = Arrival {
            request,
            carries,
            pair: *ends,
            peer,
            origin,
            rest: Rest {
                asked,
                back,
                permit,
                route,
                link,
                trace,
            },
        };
        let pair = arrival.pair.clone();
        let begins = arrival.request.headers().to().tag().is_none();
        if *arrival.request.method() == Method::Ack {
            self.peer_acknowledged(now, &arrival);
        } else if !begins {
            self.within(now, arrival);
        } else if *arrival.request.method() == Method::Invite {
            self.invited(now, arrival);
        } else if *arrival.request.method() != Method::Message {
            let response = refuse(&arrival.request, &dialog::Refused::NoSuchDialog);
            self.respond(arrival.origin, response);
        } else {
            // What a single message would be, were it not about typing.
            self.respond_ok(&arrival.request, arrival.origin);
            match arrival.carries {
                Carries::State(stanza, activity) => {
                    self.types_alone(
                        now,
                        &pair,
                        (*stanza, activity),
                        (&arrival.peer, &arrival.rest.back),
                    );
                }
                Carries::Receipt(receipt, id) => {
                    self.receipt_of_sip(now, &pair, receipt, &id, arrival.rest.trace);
                }
                Carries::Text(_) | Carries::Nothing => {}
            }
        }
        self.conversations.schedule(&pair);
    }
}
