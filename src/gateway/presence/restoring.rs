//! Takes up what the process before has left, spread over a while.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::act::{Terms as _, Word};
use super::grounds::Grounds;
use super::keeping::{self, Calendar};
use super::listing::pair_of_ends;
use super::record::{Consent, Farewell, Record, ServeRecord, WatchRecord};
use super::serve::{Serve, ServeInput};
use super::watch::Watch;
use crate::gateway::conversation::Pair;
use crate::gateway::delivery::Payload;
use crate::gateway::event::Input;
use crate::gateway::{Gateway, after};
use crate::limits::{SUBSCRIPTIONS_OF_A_WATCHER, WAITING_FOR_RECORDS};
use crate::sip::Event;
use crate::sip::dialog::Dialog;
use crate::sip::subscription::{Authorisation, Ending, Notifier, NotifierInput, Subscriber};
use crate::xmpp::stanza::{Kind, PresenceType};

impl<O> Gateway<O> {
    /// The same shard, which takes nothing of presence before the store has given what it has ([`Input::Restored`]).
    #[must_use]
    pub fn expecting_records(mut self) -> Self {
        self.presence.restoring = Some(VecDeque::new());
        self
    }

    /// Holds back what is about presence while the store has not given all that it has; gives back what may be handled.
    pub(in crate::gateway) fn after_records(&mut self, now: Instant, input: Input<O>) -> Option<Input<O>> {
        let Some(waiting) = &mut self.presence.restoring else {
            return Some(input);
        };
        let is_presence = match &input {
            Input::Deliver { delivery, .. } => matches!(
                delivery.payload,
                Payload::Subscription { .. } | Payload::Presence { .. }
            ),
            Input::Blocked { .. } | Input::GivenUp { .. } => true,
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
        if !is_presence {
            return Some(input);
        }
        // What a user has decided finds room when nothing else does.
        let room = if matches!(input, Input::GivenUp { .. }) {
            // Whom policy keeps out takes no room from others.
            WAITING_FOR_RECORDS / 2
        } else if is_a_decision(&input) {
            WAITING_FOR_RECORDS.saturating_mul(2)
        } else {
            WAITING_FOR_RECORDS
        };
        if waiting.len() < room {
            waiting.push_back(input);
        } else {
            self.turn_away(now, input);
        }
        None
    }

    /// Too much waits: who has asked is told so, and what servers say of their users they are asked for once the records are read.
    fn turn_away(&mut self, now: Instant, input: Input<O>) {
        if let Input::Blocked { request, origin, .. } = input {
            return self.no_room(&request, origin);
        }
        let Input::Deliver { delivery, origin } = input else {
            return;
        };
        if let Payload::Subscription { request, .. } = &delivery.payload {
            self.no_room(request, origin);
        } else if let Payload::Presence { stanza } = &delivery.payload
            && stanza.kind() == Kind::Presence(PresenceType::Subscribe)
        {
            self.no_room_to_ask(now, stanza, delivery.trace, delivery.hold);
        }
    }

    /// The store has given all that it has.
    pub(in crate::gateway) fn restored(&mut self, now: Instant) {
        for input in self.presence.restoring.take().into_iter().flatten() {
            self.handle(now, input);
        }
    }

    /// Takes up what the process before has left.
    pub(in crate::gateway) fn restore(&mut self, now: Instant, records: Vec<Record>, unix: u64) {
        let calendar = Calendar::new(now, unix);
        for record in records {
            let Some(pair) = pair_of_ends(&record.ends) else {
                continue;
            };
            // One domain that has too many keeps out nobody else's.
            if !self.presence.make(&pair) {
                continue;
            }
            self.restore_one(now, &pair, record, calendar);
        }
    }

    fn restore_one(&mut self, now: Instant, pair: &Pair, record: Record, calendar: Calendar) {
        let turn = turn(self.presence.table.len(), self.names.random());
        let resume = after(now, turn);
        let (border, manners) = (self.presence.border.clone(), Arc::clone(&self.presence.manners));
        if let Some(target) = record.watch.as_ref().and_then(|watch| watch.target.as_deref()) {
            self.spellings.restore(pair, target);
        }
        let spelling = self.spellings.of(pair).cloned();
        let grounds = Grounds::new(border.as_deref(), pair, &manners, spelling.as_ref());
        let has_ended = record.watch.as_ref().is_some_and(|watch| watch.has_ended);
        let watch = record.watch.filter(|_| !has_ended).map(|watch| {
            let random = self.names.random();
            restored_watch(now, watch, &grounds, (calendar, resume), random)
        });
        let serve = record.serve.map(|serve| {
            let notifiers = self.restored_notifiers(now, &serve, &grounds, calendar);
            let known = keeping::presence(&serve.known);
            let refused = serve
                .refused_until
                .map_or(Duration::ZERO, |until| calendar.until(until));
            Serve::restored(now, serve.consent, refused, notifiers, known, resume)
        });
        let Some(relation) = self.presence.table.get_mut(pair) else {
            return;
        };
        relation.reviewed = self.presence.generation.wrapping_sub(1);
        relation.is_resumed = true;
        relation.watch = relation.watch.take().or_else(|| watch.map(Box::new));
        relation.serve = relation.serve.take().or_else(|| serve.map(Box::new));
        if has_ended && !relation.has_ended {
            relation.has_ended = true;
            relation.unsaid.push(Word::Unsubscribed);
            relation.unsaid_at = Some(resume);
        }
        self.relate(now, pair, |relation, lent| {
            // Who has still to hear that it is over hears it at once.
            if let Some(serve) = &mut relation.serve
                && serve.notifiers().any(Notifier::is_closing)
            {
                serve.handle(lent, ServeInput::Timer);
            }
        });
    }

    fn restored_notifiers(
        &mut self,
        now: Instant,
        serve: &ServeRecord,
        grounds: &Grounds<'_>,
        calendar: Calendar,
    ) -> Vec<Notifier> {
        let authorisation = match serve.consent {
            Some(Consent::Given) | None => Authorisation::Active,
            Some(Consent::Asked) => Authorisation::Pending,
        };
        let dialogs = serve.dialogs.iter().take(SUBSCRIPTIONS_OF_A_WATCHER);
        dialogs
            .filter_map(|served| {
                let dialog = Dialog::restore(&served.dialog).ok()?.skipping(SKIPPED);
                let tag = dialog.local().tag()?.to_owned();
                let random = self.names.random();
                // What the configuration forbids meanwhile is over, and nobody has said so.
                let (terms, farewell) = match grounds.notifier(tag.clone(), random) {
                    Some(terms) => (terms, served.farewell),
                    None => (grounds.parting(tag, random)?, Some(Farewell::Rejected)),
                };
                let mut event = Event::new(&terms.package).ok()?;
                if let Some(id) = &served.event_id {
                    event.params_mut().set("id", Some(id)).ok()?;
                }
                let left = calendar.until(served.until);
                if farewell.is_some() && left.is_zero() {
                    return None;
                }
                let mut notifier = Notifier::resume(now, terms, (dialog, event), authorisation, left);
                if let Some(farewell) = farewell {
                    let ending = match farewell {
                        Farewell::Rejected => Ending::Rejected,
                        Farewell::Nobody => Ending::NoResource,
                    };
                    notifier.handle(now, NotifierInput::End(ending));
                }
                Some(notifier)
            })
            .collect()
    }
}

/// Whether a user has decided something, which he is not asked again.
fn is_a_decision<O>(input: &Input<O>) -> bool {
    let Input::Deliver { delivery, .. } = input else {
        return false;
    };
    let Payload::Presence { stanza } = &delivery.payload else {
        return false;
    };
    match stanza.kind() {
        Kind::Presence(PresenceType::Subscribed | PresenceType::Unsubscribed | PresenceType::Unsubscribe) => {
            true
        }
        Kind::Presence(
            PresenceType::Available
            | PresenceType::Unavailable
            | PresenceType::Subscribe
            | PresenceType::Probe
            | PresenceType::Error,
        )
        | Kind::Message(_)
        | Kind::Iq(_) => false,
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

/// When a relation that the process before has left is taken up, which is the last of so many. Not all at once: a restart is no storm to
/// those around it.
fn turn(count: usize, random: u32) -> Duration {
    let spread = Duration::from_millis(u64::from(random) % SPREAD);
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    spread.max(Duration::from_millis(count.saturating_mul(1_000) / PER_SECOND))
}

/// Within so many milliseconds those are taken up that are not many: soon enough to be right within ten seconds.
const SPREAD: u64 = 4_000;
/// Of many, no more are taken up in a second than so: of 10,000 still all within eight seconds, though one shard has them all.
const PER_SECOND: u64 = 1_250;
/// More than any process can have sent in a dialog after what it last wrote down of it.
const SKIPPED: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_taken_up_within_seconds_and_of_many_so_many_in_a_second() {
        for (count, random, milliseconds) in [
            (1, 0, 0),
            (1, 3_999, 3_999),
            (10, 4_000, 8),
            (4_000, 17, 3_200),
            (10_000, 3_999, 8_000),
            (100_000, 3_999, 80_000),
        ] {
            assert_eq!(
                turn(count, random),
                Duration::from_millis(milliseconds),
                "{count} {random}"
            );
        }
    }
}
