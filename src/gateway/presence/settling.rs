//! What waits until the store has kept something, and what the store is given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::keeping;
use super::record::Change;
use super::{Fate, Settling, What};
use crate::gateway::conversation::Pair;
use crate::gateway::event::Output;
use crate::gateway::hold::Hold;
use crate::gateway::{Gateway, after};
use crate::sip::transaction::Failure;
use crate::xmpp::stanza::{Kind, PresenceType};

impl<O> Gateway<O> {
    /// What keeps the sender of something answerable until it is kept.
    pub(super) fn hold_until_kept(&mut self, hold: Option<Hold>) {
        if let Some(hold) = hold
            && !self.presence.changed.is_empty()
        {
            let ticket = self.presence.ticket.saturating_add(1);
            let held = self.presence.settling.entry(ticket).or_default();
            held.push(Settling::Hold(hold));
        }
    }

    /// A last state has changed: it is written with whatever else changes of its kind within a while.
    pub(super) fn note(&mut self, now: Instant, pair: &Arc<Pair>) {
        let presence = &mut self.presence;
        if self.stopping.is_some() {
            presence.changed.insert(Arc::clone(pair));
        } else if let Some(relation) = presence.table.get_mut(pair)
            && !relation.is_noted
        {
            relation.is_noted = true;
            presence.noted.push_back((after(now, NOTED), Arc::clone(pair)));
        }
    }

    /// Has those last states kept whose time has come; all of them where there is no later.
    pub(in crate::gateway) fn keep_noted(&mut self, now: Instant) {
        let presence = &mut self.presence;
        let is_last = self.stopping.is_some();
        while let Some((_, pair)) = presence.noted.pop_front_if(|(at, _)| is_last || *at <= now) {
            if let Some(relation) = presence.table.get_mut(&pair) {
                relation.is_noted = false;
                presence.changed.insert(pair);
            }
        }
    }

    /// Gives the store what has changed.
    pub(in crate::gateway) fn keep_presence(&mut self, now: Instant) {
        let (presence, spellings) = (&mut self.presence, &self.spellings);
        if presence.changed.is_empty() {
            return;
        }
        presence.ticket = presence.ticket.saturating_add(1);
        let Some(calendar) = presence.calendar else {
            // Nobody keeps anything.
            presence.changed.clear();
            return self.kept(now, u64::MAX);
        };
        let table = &presence.table;
        let changes = presence.changed.drain().map(|pair| {
            let relation = table.get(&pair).map(|(_, relation)| relation);
            match relation
                .and_then(|relation| keeping::record(&pair, relation, calendar, spellings.of(&pair)))
            {
                Some(record) => Change::Put(Box::new(record)),
                None => Change::Forget(keeping::ends(&pair)),
            }
        });
        let changes = changes.collect();
        self.ready.push_back(Output::Persist {
            ticket: presence.ticket,
            changes,
        });
    }

    /// Says what has waited for the store, unless the configuration has changed meanwhile and keeps him out who asks or is shown.
    fn say_what_waited(&mut self, now: Instant, output: Output<O>, generation: u32) {
        if generation != self.presence.generation
            && let Output::Request { token, .. } = &output
            && let Some(sent) = self.presence.sent.get(token)
            && matches!(sent.what, What::Notify(_))
            && let Some(border) = &self.presence.border
            && border.footing(&sent.pair).is_err()
            && let Some(sent) = self.presence.sent.remove(token)
        {
            // What it says was so before: it is told anew what he may know.
            return self.undone(now, &sent.pair, sent.what, Failure::Transport);
        }
        if let Output::Send {
            stanza,
            token: Some(token),
            ..
        } = &output
            && matches!(
                stanza.kind(),
                Kind::Presence(PresenceType::Subscribe | PresenceType::Available)
            )
        {
            let pair = Pair::new(stanza.to(), stanza.from());
            let border = self.presence.border.as_ref();
            if border.is_some_and(|border| border.footing(&pair).is_err()) {
                self.presence.ended(*token, Fate::Failed);
                return;
            }
        }
        self.ready.push_back(output);
    }

    /// The store has kept everything up to that ticket.
    pub(in crate::gateway) fn kept(&mut self, now: Instant, ticket: u64) {
        while let Some(entry) = self.presence.settling.first_entry() {
            if *entry.key() > ticket {
                return;
            }
            for settled in entry.remove() {
                match settled {
                    Settling::Output(output, generation) => {
                        self.say_what_waited(now, *output, generation);
                    }
                    Settling::Hold(hold) => drop(hold),
                }
            }
        }
    }
}

/// A last state is kept so long after it changed, with all that it has become by then.
const NOTED: Duration = Duration::from_secs(30);
