//! What waits until the store has kept something, and what the store is given.

use super::Settling;
use super::keeping;
use super::record::Change;
use crate::gateway::Gateway;
use crate::gateway::event::Output;
use crate::gateway::hold::Hold;

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

    /// Gives the store what has changed.
    pub(in crate::gateway) fn keep_presence(&mut self) {
        let (presence, spellings) = (&mut self.presence, &self.spellings);
        if presence.changed.is_empty() {
            return;
        }
        presence.ticket = presence.ticket.saturating_add(1);
        let Some(calendar) = presence.calendar else {
            // Nobody keeps anything.
            presence.changed.clear();
            return self.kept(u64::MAX);
        };
        let changed = std::mem::take(&mut presence.changed);
        let changes = changed.iter().map(|pair| {
            let relation = presence.table.get(pair).map(|(_, relation)| relation);
            match relation.and_then(|relation| keeping::record(pair, relation, calendar, spellings.of(pair)))
            {
                Some(record) => Change::Put(Box::new(record)),
                None => Change::Forget(keeping::ends(pair)),
            }
        });
        let changes = changes.collect();
        self.ready.push_back(Output::Persist {
            ticket: presence.ticket,
            changes,
        });
    }

    /// The store has kept everything up to that ticket.
    pub(in crate::gateway) fn kept(&mut self, ticket: u64) {
        while let Some(entry) = self.presence.settling.first_entry() {
            if *entry.key() > ticket {
                return;
            }
            for settled in entry.remove() {
                match settled {
                    Settling::Output(output) => self.ready.push_back(*output),
                    Settling::Hold(hold) => drop(hold),
                }
            }
        }
    }
}
