//! Takes up what the process before has left, spread over a while.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::act::Terms as _;
use super::grounds::Grounds;
use super::keeping::{self, Calendar};
use super::listing::pair_of_ends;
use super::record::{Consent, Record, ServeRecord, WatchRecord};
use super::serve::Serve;
use super::watch::Watch;
use crate::gateway::conversation::Pair;
use crate::gateway::delivery::Payload;
use crate::gateway::event::Input;
use crate::gateway::{Gateway, after};
use crate::limits::{SUBSCRIPTIONS_OF_A_WATCHER, WAITING_FOR_RECORDS};
use crate::sip::Event;
use crate::sip::dialog::Dialog;
use crate::sip::subscription::{Authorisation, Notifier, Subscriber};

impl<O> Gateway<O> {
    /// The same shard, which takes nothing of presence before the store has given what it has ([`Input::Restored`]).
    #[must_use]
    pub fn expecting_records(mut self) -> Self {
        self.presence.restoring = Some(VecDeque::new());
        self
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
        // Not all at once: a restart is no storm for those around it.
        let spread = u64::from(self.names.random()) % SPREAD;
        let resume = after(now, Duration::from_millis(spread));
        let (border, limits) = (self.presence.border.clone(), Arc::clone(&self.presence.limits));
        if let Some(target) = record.watch.as_ref().and_then(|watch| watch.target.as_deref()) {
            self.spellings.restore(pair, target);
        }
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
        relation.is_resumed = true;
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

/// Within so many milliseconds what was left by the process before is taken up: soon enough to be right within ten seconds, spread
/// enough to be no storm.
const SPREAD: u64 = 4_000;
/// More than any process can have sent in a dialog after what it last wrote down of it.
const SKIPPED: u32 = 100_000;
