//! What happens to presence, and which half of a relation hears of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::act::Terms as _;
use super::grounds::Grounds;
use super::keeping::{self, Calendar};
use super::listing::pair_of_ends;
use super::record::{Consent, Record, ServeRecord, WatchRecord};
use super::serve::{Serve, ServeInput};
use super::watch::{Stage, Watch, WatchInput};
use crate::gateway::answer::Trouble;
use crate::gateway::border::presence::Brings;
use crate::gateway::border::{BlockedEnds, Border};
use crate::gateway::conversation::Pair;
use crate::gateway::delivery::{Delivery, Payload, Trace};
use crate::gateway::event::Input;
use crate::gateway::hold::Hold;
use crate::gateway::rejection::tag;
use crate::gateway::{Gateway, after};
use crate::interwork::presence::{Device, Presence, State, xmpp};
use crate::limits::{SUBSCRIPTIONS_OF_A_WATCHER, WAITING_FOR_RECORDS};
use crate::policy;
use crate::sip::dialog::Dialog;
use crate::sip::subscription::{Authorisation, Notifier, Subscriber};
use crate::sip::{Event, Method, Request, StatusCode};
use crate::xmpp::error::Condition;
use crate::xmpp::error::StanzaError;
use crate::xmpp::stanza::{Kind, PresenceType};
use crate::xmpp::{Jid, Stanza, ns};

impl<O> Gateway<O> {
    /// The same shard, which takes nothing of presence before the store has given what it has ([`Input::Restored`]).
    #[must_use]
    pub fn expecting_records(mut self) -> Self {
        self.presence.restoring = Some(std::collections::VecDeque::new());
        self
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
        self.review_some(now);
    }

    /// Holds back what is about presence while the store has not given all that it has; gives back what may be handled.
    pub(in crate::gateway) fn after_records(&mut self, input: Input<O>) -> Option<Input<O>> {
        let Some(waiting) = &mut self.presence.restoring else {
            return Some(input);
        };
        let is_presence = match &input {
            Input::Deliver { delivery, .. } => matches!(
                delivery.payload,
                Payload::Subscription { .. } | Payload::Presence { .. }
            ),
            Input::Blocked { .. } => true,
            Input::Notice { .. }
            | Input::Ping(_)
            | Input::Answer(_)
            | Input::Written { .. }
            | Input::Acknowledged { .. }
            | Input::Returned { .. }
            | Input::Broken { .. }
            | Input::Response { .. }
            | Input::CalledBack(_)
            | Input::Stop { .. }
            | Input::Restore { .. }
            | Input::Restored
            | Input::Configured { .. }
            | Input::Persisted { .. }
            | Input::Tick => false,
        };
        if !is_presence || waiting.len() >= WAITING_FOR_RECORDS {
            return Some(input);
        }
        waiting.push_back(input);
        None
    }

    /// The store has given all that it has.
    pub(in crate::gateway) fn restored(&mut self, now: Instant) {
        for input in self.presence.restoring.take().into_iter().flatten() {
            self.handle(now, input);
        }
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
            Brings::State(presence) => self.notified(now, &ends, request, origin, presence),
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
        if is_new && !self.presence.table.make(pair) {
            let response = self
                .answers
                .troubled_request(&request, Trouble::Overload, policy::Answers::Pass);
            return self.respond(origin, response);
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

    fn notified(
        &mut self,
        now: Instant,
        pair: &Pair,
        request: Box<Request>,
        origin: Option<O>,
        presence: Option<Box<Presence>>,
    ) {
        // Of one that nobody answers the transaction ends with this.
        let is_answered = *request.method() == Method::Notify;
        let relation = self.presence.table.get(pair).map(|(_, relation)| relation);
        if relation.is_none_or(|relation| relation.watch.is_none()) {
            return self.respond_none(&request, origin.filter(|_| is_answered));
        }
        let number = self.number(origin);
        self.relate(now, pair, |relation, lent| {
            if let Some(watch) = &mut relation.watch {
                watch.handle(lent, WatchInput::Notify(number, request, presence));
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
            Kind::Presence(PresenceType::Unsubscribe) => self.relate(now, &pair, |relation, lent| {
                if let Some(watch) = &mut relation.watch {
                    watch.handle(lent, WatchInput::Left);
                }
            }),
            Kind::Presence(PresenceType::Subscribed) => self.relate(now, &pair, |relation, lent| {
                if let Some(serve) = &mut relation.serve {
                    serve.handle(lent, ServeInput::Subscribed);
                }
            }),
            Kind::Presence(PresenceType::Unsubscribed) => self.relate(now, &pair, |relation, lent| {
                if let Some(watch) = &mut relation.watch {
                    watch.handle(lent, WatchInput::Unsure);
                }
                if let Some(serve) = &mut relation.serve {
                    serve.handle(lent, ServeInput::Unsubscribed);
                }
            }),
            Kind::Presence(PresenceType::Probe) => self.looks(now, &pair, stanza.from()),
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable) => {
                self.changes(now, &pair, &stanza);
            }
            Kind::Presence(PresenceType::Error) => self.fails(now, &pair, &stanza),
            Kind::Message(_) | Kind::Iq(_) => {}
        }
        self.hold_until_kept(hold);
    }

    /// He asks to see.
    fn asks(&mut self, now: Instant, pair: &Pair, stanza: &Stanza, (trace, hold): (Trace, Option<Hold>)) {
        if !self.presence.table.make(pair) {
            let error = self
                .answers
                .troubled_sender(stanza, Trouble::Overload, policy::Answers::Pass);
            if let Some(error) = error {
                self.send_back_held(now, error, trace, hold);
            }
            return;
        }
        self.relate(now, pair, |relation, lent| {
            let is_over = |watch: &Watch| matches!(watch.stage(), Stage::Over | Stage::Leaving);
            relation.watch.take_if(|watch| is_over(watch));
            let watch = relation.watch.get_or_insert_with(|| Box::new(Watch::new()));
            watch.handle(lent, WatchInput::Asked);
        });
        self.hold_until_kept(hold);
    }

    /// His server asks for the state, on behalf of a device that has come.
    fn looks(&mut self, now: Instant, pair: &Pair, from: &Jid) {
        let known = self.presence.table.get(pair).map(|(_, relation)| relation);
        let has_watch = known.is_some_and(|relation| relation.watch.is_some());
        if !has_watch {
            let has_room = self.presence.table.adhoc() < self.presence.limits.adhoc;
            if !has_room || !self.presence.table.make(pair) {
                return;
            }
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
        self.relate(now, pair, |relation, lent| {
            let is_there = device.state() != State::Offline;
            let mut is_alone = is_whole;
            if let Some(serve) = &mut relation.serve {
                serve.handle(
                    lent,
                    if is_whole {
                        ServeInput::Gone
                    } else {
                        ServeInput::Device(Box::new(device.clone()))
                    },
                );
                is_alone |= !has_open(serve.known());
            }
            if let Some(watch) = &mut relation.watch {
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
        let condition = stanza
            .child("error", ns::STANZA)
            .map(StanzaError::from_element)
            .map(|error| error.condition());
        let is_nobody = matches!(
            condition,
            Some(
                Condition::ItemNotFound
                    | Condition::Gone
                    | Condition::JidMalformed
                    | Condition::Forbidden
                    | Condition::NotAllowed
                    | Condition::ServiceUnavailable
                    | Condition::FeatureNotImplemented
            )
        );
        self.relate(now, pair, |relation, lent| {
            if let Some(watch) = &mut relation.watch {
                let input = if is_nobody {
                    WatchInput::Absent
                } else {
                    WatchInput::Unsure
                };
                watch.handle(lent, input);
            }
            if let Some(serve) = &mut relation.serve {
                let input = if is_nobody {
                    ServeInput::Nobody
                } else {
                    ServeInput::NotNow
                };
                serve.handle(lent, input);
            }
        });
    }

    /// Takes up what the process before has left.
    pub(in crate::gateway) fn restore(&mut self, now: Instant, records: Vec<Record>, unix: u64) {
        let calendar = Calendar::new(now, unix);
        for record in records {
            let Some(pair) = pair_of_ends(&record.ends) else {
                continue;
            };
            if !self.presence.table.make(&pair) {
                return;
            }
            self.restore_one(now, &pair, record, calendar);
        }
    }

    fn restore_one(&mut self, now: Instant, pair: &Pair, record: Record, calendar: Calendar) {
        // Not all at once: a restart is no storm for those around it.
        let spread = u64::from(self.names.random()) % SPREAD;
        let resume = after(now, Duration::from_millis(spread));
        let (border, limits) = (self.presence.border.clone(), Arc::clone(&self.presence.limits));
        let spelling = self.spellings.of(pair).cloned();
        let grounds = Grounds::new(border.as_deref(), pair, &limits, spelling.as_ref());
        let watch = record.watch.map(|watch| {
            let random = self.names.random();
            restored_watch(now, watch, &grounds, (calendar, resume), random)
        });
        let serve = record.serve.map(|serve| {
            let notifiers = self.restored_notifiers(now, &serve, &grounds, calendar);
            let known = keeping::presence(&serve.known);
            Serve::restored(now, serve.consent, notifiers, known, resume)
        });
        let Some(relation) = self.presence.table.get_mut(pair) else {
            return;
        };
        relation.reviewed = self.presence.generation.wrapping_sub(1);
        relation.watch = relation.watch.take().or_else(|| watch.map(Box::new));
        relation.serve = relation.serve.take().or_else(|| serve.map(Box::new));
        self.relate(now, pair, |_, _| {});
    }

    fn restored_notifiers(
        &mut self,
        now: Instant,
        serve: &ServeRecord,
        grounds: &Grounds<'_>,
        calendar: Calendar,
    ) -> Vec<Notifier> {
        let authorisation = match serve.consent {
            Consent::Given => Authorisation::Active,
            Consent::Asked => Authorisation::Pending,
        };
        let dialogs = serve.dialogs.iter().take(SUBSCRIPTIONS_OF_A_WATCHER);
        dialogs
            .filter_map(|served| {
                let dialog = Dialog::restore(&served.dialog).ok()?.skipping(SKIPPED);
                let tag = dialog.local().tag()?.to_owned();
                let terms = grounds.notifier(tag, self.names.random())?;
                let mut event = Event::new(&terms.package).ok()?;
                if let Some(id) = &served.event_id {
                    event.params_mut().set("id", Some(id)).ok()?;
                }
                let left = calendar.until(served.until);
                Some(Notifier::resume(now, terms, (dialog, event), authorisation, left))
            })
            .collect()
    }
}

fn restored_watch(
    now: Instant,
    record: WatchRecord,
    grounds: &Grounds<'_>,
    (calendar, resume): (Calendar, Instant),
    random: u32,
) -> Watch {
    let subscriber = record.dialog.and_then(|(dialog, until)| {
        let left = calendar.until(until);
        let dialog = Dialog::restore(&dialog).ok()?.skipping(SKIPPED);
        let terms = grounds.subscriber()?;
        (!left.is_zero()).then(|| Subscriber::resume(now, terms, dialog, left, random))
    });
    let shown = keeping::presence(&record.shown);
    Watch::restored(record.consent, subscriber, shown, resume)
}

fn has_open(presence: &Presence) -> bool {
    presence
        .devices()
        .iter()
        .any(|device: &Device| device.state() != State::Offline)
}

/// Within so many milliseconds what was left by the process before is taken up: soon enough to be right within ten seconds, spread
/// enough to be no storm.
const SPREAD: u64 = 4_000;
/// More than any process can have sent in a dialog after what it last wrote down of it.
const SKIPPED: u32 = 100_000;
