//! What is counted of presence: how many subscriptions stand in each state, and what became of what was said.

use std::collections::BTreeMap;

use super::What;
use super::act::Word;
use super::listed::Watcher;
use crate::gateway::Gateway;
use crate::sip::Response;

/// The counts of a shard. Those of states go up and down, the rest only up; what was counted once keeps its entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    states: BTreeMap<(Watcher, &'static str), i64>,
    said: BTreeMap<(Saying, Fate), u64>,
}

/// What is said, and to which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Saying {
    /// SUBSCRIBE, with its refreshes and its end.
    Subscribe,
    /// NOTIFY.
    Notify,
    /// A stanza that asks for, allows or ends a subscription.
    Subscription,
    /// A stanza with the state of a user of SIP.
    State,
    /// A stanza that asks whether a user of XMPP is there.
    Probe,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The far side has it.
    Delivered,
    /// The far side has said no.
    Refused,
    /// It was not sent, or nobody answered; what matters of it is said again.
    Failed,
}

/// The states of a relation's two halves, as an administrator is shown them.
pub(super) type States = [Option<&'static str>; 2];

impl Tally {
    /// How many subscriptions stand in each state: who sees, the word for it, the number.
    pub fn states(&self) -> impl Iterator<Item = (Watcher, &'static str, i64)> {
        self.states
            .iter()
            .map(|((watcher, state), count)| (*watcher, *state, *count))
    }

    /// How often something was said, by what became of it.
    pub fn said(&self) -> impl Iterator<Item = (Saying, Fate, u64)> {
        self.said
            .iter()
            .map(|((saying, fate), count)| (*saying, *fate, *count))
    }

    /// A relation stands otherwise than before.
    pub(super) fn moved(&mut self, was: States, is: States) {
        if was == is {
            return;
        }
        for (states, step) in [(was, -1), (is, 1)] {
            for (watcher, state) in [Watcher::Xmpp, Watcher::Sip].into_iter().zip(states) {
                if let Some(state) = state {
                    let count = self.states.entry((watcher, state)).or_default();
                    *count = count.saturating_add(step);
                }
            }
        }
    }

    pub(super) fn heard(&mut self, what: &What, fate: Fate) {
        let saying = match what {
            What::Subscribe(_) => Saying::Subscribe,
            What::Notify(_) => Saying::Notify,
            What::Word(Word::Subscribe | Word::Subscribed | Word::Unsubscribed) => Saying::Subscription,
            What::Word(Word::Device(..) | Word::Unavailable) => Saying::State,
            What::Word(Word::Probe) => Saying::Probe,
        };
        let count = self.said.entry((saying, fate)).or_default();
        *count = count.saturating_add(1);
    }
}

impl Saying {
    /// The side that it is said to, and what it is: words for metrics.
    #[must_use]
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Subscribe => ("sip", "subscription"),
            Self::Notify => ("sip", "state"),
            Self::Subscription => ("xmpp", "subscription"),
            Self::State => ("xmpp", "state"),
            Self::Probe => ("xmpp", "probe"),
        }
    }
}

impl Fate {
    /// What a final response says.
    pub(super) fn of(response: &Response) -> Self {
        if response.status().is_success() {
            Self::Delivered
        } else {
            Self::Refused
        }
    }

    /// The word for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl<O> Gateway<O> {
    /// What is counted of presence.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        self.presence.table.tally()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_counted_where_it_is_and_no_more_where_it_was() {
        let mut tally = Tally::default();
        let steps = [
            ([None, None], [Some("asked"), None]),
            ([Some("asked"), None], [Some("active"), Some("pending")]),
            ([None, None], [Some("active"), None]),
            (
                [Some("active"), Some("pending")],
                [Some("active"), Some("active")],
            ),
            ([Some("active"), None], [None, None]),
        ];
        for (was, is) in steps {
            tally.moved(was, is);
        }
        let states: Vec<_> = tally.states().collect();
        assert_eq!(
            states,
            [
                (Watcher::Xmpp, "active", 1),
                (Watcher::Xmpp, "asked", 0),
                (Watcher::Sip, "active", 1),
                (Watcher::Sip, "pending", 0),
            ]
        );
    }
}
