//! What happens to presence, and which half of a relation hears of it.

use std::sync::Arc;
use std::time::Instant;

use super::keeping::Calendar;
use super::serve::{Serve, ServeInput};
use super::watch::{Stage, Watch, WatchInput};
use crate::gateway::answer::Trouble;
use crate::gateway::border::presence::Brings;
use crate::gateway::border::{BlockedEnds, Border, GivenUp};
use crate::gateway::conversation::Pair;
use crate::gateway::delivery::{Delivery, Payload, Trace};
use crate::gateway::hold::Hold;
use crate::gateway::rejection::tag;
use crate::gateway::{Gateway, after};
use crate::interwork::presence::document::Said;
use crate::interwork::presence::{Device, Presence, State, xmpp};
use crate::policy;
use crate::sip::subscription::is_unanswered;
use crate::sip::{Request, StatusCode};
use crate::xmpp::error::{Condition, ErrorType, StanzaError};
use crate::xmpp::stanza::{Kind, PresenceType};
use crate::xmpp::{Jid, Stanza, ns};

impl<O> Gateway<O> {
    /// How many users of XMPP see one of SIP whom nobody was asked about.
    #[cfg(test)]
    pub(in crate::gateway) fn looking_without_consent(&self) -> usize {
        self.presence.table.adhoc()
    }

    /// The configuration was read, or read again.
    pub(in crate::gateway) fn configured(&mut self, now: Instant, border: Arc<Border>, unix: u64) {
        let presence = &mut self.presence;
        presence.calendar = Some(Calendar::new(now, unix));
        presence.before = presence.border.replace(border);
        presence.generation = presence.generation.wrapping_add(1);
        presence.review = presence
            .table
            .after(None)
            .map(|(pair, _)| Arc::clone(pair))
            .collect();
        presence.review_at = Some(now);
        self.review_some(now);
    }

    /// A request of a subscription came from SIP.
    pub(in crate::gateway) fn subscription(&mut self, now: Instant, delivery: Delivery, origin: Option<O>) {
        let Payload::Subscription {
            request,
            brings,
            ends,
        } = delivery.payload
        else {
            return;
        };
        self.spellings.note(&ends, &request);
        match brings {
            Brings::Nothing => self.subscribed(now, &ends, request, origin, ServeInput::Request),
            Brings::State(said) => self.notified(now, &ends, request, origin, said),
        }
    }

    /// Somebody who is blocked asks for presence.
    pub(in crate::gateway) fn blocked(
        &mut self,
        now: Instant,
        ends: &BlockedEnds,
        request: Box<Request>,
        origin: Option<O>,
    ) {
        self.subscribed(now, &ends.0, request, origin, ServeInput::Blocked);
    }

    fn subscribed(
        &mut self,
        now: Instant,
        pair: &Pair,
        request: Box<Request>,
        origin: Option<O>,
        input: impl FnOnce(u64, Box<Request>) -> ServeInput,
    ) {
        let is_new = request.headers().to().tag().is_none();
        if is_new && !self.presence.make(pair) {
            return self.no_room(&request, origin);
        }
        if self.presence.table.get(pair).is_none() {
            return self.respond_none(&request, origin);
        }
        let number = self.number(origin);
        self.relate(now, pair, |relation, lent| {
            let serve = relation.serve.get_or_insert_with(|| Box::new(Serve::new()));
            serve.handle(lent, input(number, request));
        });
    }

    /// There is no room for what a request of SIP would begin.
    pub(super) fn no_room(&mut self, request: &Request, origin: Option<O>) {
        let response = self
            .answers
            .troubled_request(request, Trouble::Overload, policy::Answers::Pass);
        self.respond(origin, response);
    }

    /// There is none for what a user of XMPP asks.
    pub(super) fn no_room_to_ask(&mut self, now: Instant, stanza: &Stanza, trace: Trace, hold: Option<Hold>) {
        let error = self
            .answers
            .troubled_sender(stanza, Trouble::Overload, policy::Answers::Pass);
        if let Some(error) = error {
            self.send_back_held(now, error, trace, hold);
        }
    }

    fn notified(
        &mut self,
        now: Instant,
        pair: &Pair,
        request: Box<Request>,
        origin: Option<O>,
        said: Option<Box<Said>>,
    ) {
        let relation = self.presence.table.get(pair).map(|(_, relation)| relation);
        let watch = relation.and_then(|relation| relation.watch.as_deref());
        if watch.is_none_or(|watch| watch.subscriber().is_none()) {
            return self.respond_none(&request, origin);
        }
        let origin = if is_unanswered(request.method()) {
            // The response goes no further than to end the transaction.
            self.respond(origin, request.response(StatusCode::OK, "", None));
            None
        } else {
            origin
        };
        let number = self.number(origin);
        self.relate(now, pair, |relation, lent| {
            if let Some(watch) = &mut relation.watch {
                watch.handle(lent, WatchInput::Notify(number, request, said));
            }
        });
        self.presence.origins.remove(&number);
    }

    //= rfc6665#4.1.3
    //# if not, it MUST return a 481 (Subscription does not exist) response
    fn respond_none(&mut self, request: &Request, origin: Option<O>) {
        let status = StatusCode::CALL_DOES_NOT_EXIST;
        let response = request.response(status, "Subscription does not exist", Some(&tag(request)));
        self.respond(origin, response);
    }

    fn number(&mut self, origin: Option<O>) -> u64 {
        let presence = &mut self.presence;
        presence.numbers = presence.numbers.wrapping_add(1);
        if let Some(origin) = origin {
            presence.origins.insert(presence.numbers, origin);
        }
        presence.numbers
    }

    /// A user of XMPP says something of presence to one of SIP.
    pub(in crate::gateway) fn presence_of_xmpp(&mut self, now: Instant, delivery: Delivery) {
        let Delivery {
            payload: Payload::Presence { stanza },
            trace,
            hold,
            ..
        } = delivery
        else {
            return;
        };
        let pair = Pair::new(stanza.from(), stanza.to());
        match stanza.kind() {
            Kind::Presence(PresenceType::Subscribe) => return self.asks(now, &pair, &stanza, (trace, hold)),
            Kind::Presence(PresenceType::Unsubscribe) => self.stops_seeing(now, &pair),
            Kind::Presence(PresenceType::Subscribed) => self.relate(now, &pair, |relation, lent| {
                relation.probed = None;
                if let Some(serve) = &mut relation.serve {
                    serve.handle(lent, ServeInput::Subscribed);
                }
            }),
            Kind::Presence(PresenceType::Unsubscribed) => self.stops_being_seen(now, &pair),
            Kind::Presence(PresenceType::Probe) => self.looks(now, &pair, stanza.from()),
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable) => {
                self.changes(now, &pair, &stanza);
            }
            Kind::Presence(PresenceType::Error) => self.fails(now, &pair, &stanza),
            Kind::Message(_) | Kind::Iq(_) => {}
        }
        self.hold_until_kept(hold);
    }

    /// A user of XMPP takes something back, though policy keeps the two apart.
    pub(in crate::gateway) fn given_up(
        &mut self,
        now: Instant,
        ends: &BlockedEnds,
        what: GivenUp,
        hold: Option<Hold>,
    ) {
        match what {
            GivenUp::Seeing => self.stops_seeing(now, &ends.0),
            GivenUp::BeingSeen => self.stops_being_seen(now, &ends.0),
        }
        self.hold_until_kept(hold);
    }

    fn stops_seeing(&mut self, now: Instant, pair: &Pair) {
        self.relate(now, pair, |relation, lent| {
            if let Some(watch) = &mut relation.watch {
                watch.handle(lent, WatchInput::Left);
            }
        });
    }

    fn stops_being_seen(&mut self, now: Instant, pair: &Pair) {
        self.relate(now, pair, |relation, lent| {
            // The first no after a probe is his server's; his own comes behind that.
            let is_probes = relation.may_be_probes(lent.now);
            relation.probed = None;
            if let Some(watch) = &mut relation.watch {
                watch.handle(lent, WatchInput::Unsure);
            }
            if let Some(serve) = &mut relation.serve {
                let input = if is_probes {
                    ServeInput::Unseen
                } else {
                    ServeInput::Unsubscribed
                };
                serve.handle(lent, input);
            }
        });
    }

    /// He asks to see.
    fn asks(&mut self, now: Instant, pair: &Pair, stanza: &Stanza, (trace, hold): (Trace, Option<Hold>)) {
        if !self.presence.make(pair) {
            return self.no_room_to_ask(now, stanza, trace, hold);
        }
        self.relate(now, pair, |relation, lent| {
            let is_over = |watch: &Watch| matches!(watch.stage(), Stage::Over | Stage::Leaving);
            relation.watch.take_if(|watch| is_over(watch));
            if let Some(serve) = &mut relation.serve {
                serve.may_be_asked(lent);
            }
            let watch = relation.watch.get_or_insert_with(|| Box::new(Watch::new()));
            watch.handle(lent, WatchInput::Asked);
        });
        self.hold_until_kept(hold);
    }

    /// His server asks for the state, on behalf of a device that has come.
    fn looks(&mut self, now: Instant, pair: &Pair, from: &Jid) {
        let known = self.presence.table.get(pair).map(|(_, relation)| relation);
        let has_watch = known.is_some_and(|relation| relation.watch.is_some());
        let may_look = has_watch || self.presence.has_room_to_look(pair) && self.presence.make(pair);
        if !may_look {
            return;
        }
        let until = after(now, self.presence.limits.adhoc_time);
        self.relate(now, pair, |relation, lent| {
            let watch = relation
                .watch
                .get_or_insert_with(|| Box::new(Watch::adhoc(until)));
            watch.look_until(until);
            watch.handle(lent, WatchInput::Wanted(Some(from.clone())));
        });
    }

    /// He is there, or not.
    fn changes(&mut self, now: Instant, pair: &Pair, stanza: &Stanza) {
        let Some(device) = xmpp::from_stanza(stanza) else {
            return;
        };
        let is_whole = stanza.from().is_bare() && device.state() == State::Offline;
        let is_there = device.state() != State::Offline;
        let until = after(now, self.presence.limits.adhoc_time);
        self.relate(now, pair, |relation, lent| {
            relation.probed = None;
            let mut is_alone = is_whole;
            if let Some(serve) = &mut relation.serve {
                serve.handle(
                    lent,
                    if is_whole {
                        ServeInput::Gone
                    } else {
                        ServeInput::Device(Box::new(device))
                    },
                );
                is_alone |= !has_open(serve.known());
            }
            if let Some(watch) = &mut relation.watch {
                if is_there {
                    watch.look_until(until);
                }
                watch.handle(
                    lent,
                    match (is_there, is_alone) {
                        (true, _) if matches!(watch.stage(), Stage::Dormant | Stage::Retrying) => {
                            WatchInput::Wanted(None)
                        }
                        (true, _) => WatchInput::Present,
                        (false, true) => WatchInput::Absent,
                        // Another device of his may be there.
                        (false, false) => return,
                    },
                );
            }
        });
    }

    /// His server refuses what was said to him.
    fn fails(&mut self, now: Instant, pair: &Pair, stanza: &Stanza) {
        let error = stanza.child("error", ns::STANZA).map(StanzaError::from_element);
        let error = error.filter(|error| error.error_type() != ErrorType::Wait);
        let condition = error.map(|error| error.condition());
        let is_gone = matches!(condition, Some(Condition::ItemNotFound | Condition::Gone));
        let is_refused = matches!(
            condition,
            Some(
                Condition::JidMalformed
                    | Condition::Forbidden
                    | Condition::NotAllowed
                    | Condition::ServiceUnavailable
                    | Condition::FeatureNotImplemented
            )
        );
        self.relate(now, pair, |relation, lent| {
            relation.probed = None;
            if let Some(watch) = &mut relation.watch {
                let input = if is_gone || is_refused {
                    WatchInput::Absent
                } else {
                    WatchInput::Unsure
                };
                watch.handle(lent, input);
            }
            if let Some(serve) = &mut relation.serve {
                // Who has let see takes that back himself, or is no more.
                let is_over = is_gone || is_refused && serve.is_asking();
                let input = if is_over {
                    ServeInput::Nobody
                } else {
                    ServeInput::NotNow
                };
                serve.handle(lent, input);
            }
        });
    }
}

fn has_open(presence: &Presence) -> bool {
    presence
        .devices()
        .iter()
        .any(|device: &Device| device.state() != State::Offline)
}
