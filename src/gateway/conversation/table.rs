//! The conversations of a shard: found by their pair, woken in the order of their times, bounded in number and in octets.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::{Conversation, Invited, Pair, Purpose, Session};
use crate::domain::Domain;
use crate::gateway::delivery::weight_of;
use crate::gateway::pending::Token;
use crate::limits::GatewayLimits;
use crate::xmpp::Jid;

/// The conversations of a shard.
#[derive(Debug)]
pub(in crate::gateway) struct Conversations {
    most: usize,
    most_octets: usize,
    /// What they hold together, about.
    octets: usize,
    pub(super) by_pair: HashMap<Pair, Conversation>,
    /// What users of each domain outside have part in.
    by_domain: HashMap<Domain, Held>,
    /// The requests of ours that belong to one, until they are answered.
    pub(super) requests: HashMap<Token, (Pair, Purpose)>,
    /// When each next needs attention.
    pub(super) times: BTreeSet<(Instant, Pair)>,
}

/// How many conversations, and about how many octets they hold.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    count: usize,
    octets: usize,
}

impl Conversations {
    /// None yet; at most so many at once.
    pub(in crate::gateway) fn new(limits: &GatewayLimits) -> Self {
        Self {
            most: limits.conversations,
            most_octets: limits.conversation_bytes,
            octets: 0,
            by_pair: HashMap::new(),
            by_domain: HashMap::new(),
            requests: HashMap::new(),
            times: BTreeSet::new(),
        }
    }

    /// How many there are.
    pub(in crate::gateway) fn len(&self) -> usize {
        self.by_pair.len()
    }

    /// Whether a pair has one.
    pub(in crate::gateway) fn is_known(&self, pair: &Pair) -> bool {
        self.by_pair.contains_key(pair)
    }

    /// How many sessions they have.
    pub(super) fn sessions(&self) -> usize {
        self.by_pair
            .values()
            .map(|conversation| conversation.sessions.len())
            .sum()
    }

    /// How many of their requests are under way.
    #[cfg(test)]
    pub(in crate::gateway) fn under_way(&self) -> usize {
        self.requests.len()
    }

    /// The device that an XMPP user answers a SIP user from.
    pub(in crate::gateway) fn device(&self, pair: &Pair) -> Option<&Jid> {
        self.by_pair.get(pair)?.device.as_ref()
    }

    /// A device has refused what was sent to it.
    pub(in crate::gateway) fn leave_device(&mut self, pair: &Pair) {
        if let Some(conversation) = self.by_pair.get_mut(pair) {
            conversation.device = None;
        }
    }

    /// When the first needs attention.
    pub(in crate::gateway) fn next(&self) -> Option<Instant> {
        self.times.first().map(|(at, _)| *at)
    }

    /// Whether a peer may begin one more: a part is left to others.
    pub(super) fn has_share(&self, pair: &Pair, outside: &Domain) -> bool {
        self.by_pair.contains_key(pair) || self.of_domain(outside).count < self.most.div_ceil(SHARE)
    }

    fn of_domain(&self, outside: &Domain) -> Held {
        self.by_domain.get(outside).copied().unwrap_or_default()
    }

    /// Makes room for one more: what is quiet and has no session is forgotten before its time.
    pub(super) fn make_room(&mut self) -> bool {
        if self.by_pair.len() < self.most && self.has_room() {
            return true;
        }
        let quiet = self.times.iter().take(LOOKED_AT).find(|(_, pair)| {
            self.by_pair
                .get(pair)
                .filter(|conversation| conversation.sessions.is_empty() && !conversation.is_busy())
                // None is forgotten for nothing.
                .is_some_and(|it| self.octets.saturating_sub(it.weighed) < self.most_octets)
        });
        let Some((_, pair)) = quiet.cloned() else {
            return false;
        };
        self.remove(&pair).is_some()
    }

    /// Whether they may hold more.
    pub(super) const fn has_room(&self) -> bool {
        self.octets < self.most_octets
    }

    /// Whether a domain outside may have them hold more: a part is left to others.
    pub(super) fn has_octets(&self, outside: &Domain) -> bool {
        self.has_room() && self.of_domain(outside).octets < self.most_octets.div_ceil(SHARE)
    }

    /// Counts one more with users of a domain.
    pub(super) fn count(&mut self, outside: &Domain) {
        let held = self.by_domain.entry(outside.clone()).or_default();
        held.count = held.count.saturating_add(1);
    }

    pub(super) fn due(&self, now: Instant) -> Option<Pair> {
        let (at, pair) = self.times.first()?;
        (*at <= now).then(|| pair.clone())
    }

    /// Puts a conversation in the table of times by what it waits for, and counts what it holds.
    pub(super) fn schedule(&mut self, pair: &Pair) {
        let Some(conversation) = self.by_pair.get_mut(pair) else {
            return;
        };
        let weight = conversation.weight();
        let before = std::mem::replace(&mut conversation.weighed, weight);
        self.octets = self.octets.saturating_sub(before).saturating_add(weight);
        if let Some(held) = self.by_domain.get_mut(&conversation.peer.outside) {
            held.octets = held.octets.saturating_sub(before).saturating_add(weight);
        }
        let at = conversation.wakes();
        if conversation.wakes_at == Some(at) {
            return;
        }
        if let Some(before) = conversation.wakes_at.replace(at) {
            self.times.remove(&(before, pair.clone()));
        }
        self.times.insert((at, pair.clone()));
    }

    pub(super) fn remove(&mut self, pair: &Pair) -> Option<Conversation> {
        let conversation = self.by_pair.remove(pair)?;
        self.octets = self.octets.saturating_sub(conversation.weighed);
        let outside = &conversation.peer.outside;
        if let Some(held) = self.by_domain.get_mut(outside) {
            held.count = held.count.saturating_sub(1);
            held.octets = held.octets.saturating_sub(conversation.weighed);
            if held.count == 0 {
                self.by_domain.remove(outside);
            }
        }
        if let Some(at) = conversation.wakes_at {
            self.times.remove(&(at, pair.clone()));
        }
        for acknowledged in &conversation.acknowledged {
            self.requests.remove(&acknowledged.token);
        }
        let answered = conversation
            .inviting
            .iter()
            .filter(|inviting| inviting.state == Invited::Accepted);
        for inviting in answered {
            self.requests.remove(&inviting.token);
        }
        Some(conversation)
    }
}

impl Conversation {
    /// About how many octets of memory it takes.
    fn weight(&self) -> usize {
        let sessions = self.sessions.iter().map(Session::octets);
        // Its dialogs hold a copy of it.
        let inviting = self
            .inviting
            .iter()
            .map(|inviting| weight_of(&inviting.request).saturating_mul(2));
        let acknowledged = self.acknowledged.iter().map(|known| weight_of(&known.ack));
        let template = self.typing.template.as_deref().map(weight_of);
        let own = size_of::<Self>()
            .saturating_add(size_of::<Pair>().saturating_mul(2))
            .saturating_add(self.queue.len().saturating_mul(size_of::<Token>()));
        sessions
            .chain(inviting)
            .chain(acknowledged)
            .chain(template)
            .fold(own, usize::saturating_add)
    }
}

impl Session {
    fn octets(&self) -> usize {
        let first = self.first.as_ref().map_or(0, |(first, _)| first.text().len());
        size_of::<Self>()
            .saturating_add(self.weight)
            .saturating_add(first)
    }
}

/// One domain may begin conversations until they are one part in so many of all.
const SHARE: usize = 4;
/// Conversations that are looked at for one to forget.
const LOOKED_AT: usize = 64;
