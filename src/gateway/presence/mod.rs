//! Presence of users across the protocols: who sees whom, and that he is told (specification: interworking §6 to §8, §12).
//!
//! What two users have between them is a `Relation` with two halves: `watch`, in which the user of XMPP sees
//! the one of SIP, and `serve`, the reverse. Each is a machine on its own; `dispatch` hands them what happens, `carrying` does
//! what they want, `returning` hears what became of it, `reaching` waits for servers that cannot be reached, `settling` for the
//! store; `keeping` is what outlives the process.
//!
//! Nothing of the configuration is remembered with a relation: each time that something is sent, `grounds` asks what may be.
//!
//! RFC 8048, RFC 3856, RFC 6665; RFC 6121 §3 and §4.

mod act;
mod carrying;
mod dispatch;
mod grounds;
mod keeping;
mod listed;
mod listing;
mod reaching;
mod record;
mod restoring;
mod returning;
mod serve;
mod settling;
mod table;
mod tally;
mod watch;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use listed::{Listed, Page, Watcher};
pub use record::{
    Change, Consent, DeviceRecord, Ends, Farewell, Record, ServeRecord, ServedRecord, WatchRecord,
};

pub use tally::{Fate, Saying, Tally};

use act::Word;
use grounds::Manners;
use keeping::Calendar;
use reaching::{Down, Heard, Way};
pub(super) use returning::Of;
use table::Table;

use super::border::Border;
use super::conversation::Pair;
use super::event::{Input, Output};
use super::hold::Hold;
use super::pending::Token;
use crate::domain::Domain;
use crate::interwork::presence::State;
use crate::limits::{GatewayLimits, PresenceLimits};
use crate::policy::rate::{Bucket, Rate};
use crate::sip::CallId;

/// The presence of a shard. `O` is where the answer to a request goes.
#[derive(Debug)]
pub(super) struct Presences<O> {
    limits: PresenceLimits,
    /// What all subscriptions have in common.
    manners: Arc<Manners>,
    border: Option<Arc<Border>>,
    /// How often it was replaced.
    generation: u32,
    /// The one before, by whose routes is said what the one now forbids.
    before: Option<Arc<Border>>,
    calendar: Option<Calendar>,
    table: Table,
    /// The requests that wait for what a machine makes of them.
    origins: HashMap<u64, O>,
    numbers: u64,
    /// What was sent and is not answered, or not known to have arrived.
    sent: HashMap<Token, Sent>,
    /// Stanzas that were written, and when they are taken to have arrived.
    arriving: VecDeque<(Instant, Token)>,
    /// Who has a change to tell, in the order of their turns.
    changes: VecDeque<Arc<Pair>>,
    turns: Bucket,
    turn_at: Option<Instant>,
    /// What the store is to be told of.
    changed: HashSet<Arc<Pair>>,
    /// Whose last states it is to be told of, and when.
    noted: VecDeque<(Instant, Arc<Pair>)>,
    /// Relations of a border before that are looked at again, a few at a time.
    review: VecDeque<Arc<Pair>>,
    review_at: Option<Instant>,
    ticket: u64,
    /// What waits for the store to have kept something.
    settling: BTreeMap<u64, Vec<Settling<O>>>,
    down: BTreeMap<Way, Down>,
    /// When the servers of each domain of SIP have answered something, where that was not long ago.
    heard: HashMap<Domain, Heard>,
    /// Until the store has given all that it has, what happens waits here.
    restoring: Option<VecDeque<Input<O>>>,
}

/// Something that was sent.
#[derive(Debug)]
struct Sent {
    pair: Arc<Pair>,
    what: What,
    /// The stream that it was written on.
    written: Option<u64>,
}

#[derive(Debug)]
enum What {
    /// The SUBSCRIBE of that attempt.
    Subscribe(CallId),
    /// A NOTIFY of the subscription with that number.
    Notify(u32),
    /// A stanza.
    Word(Word),
}

#[derive(Debug)]
enum Settling<O> {
    /// By which configuration it was to be said.
    Output(Box<Output<O>>, u32),
    Hold(#[allow(dead_code, reason = "it is kept to be dropped")] Hold),
}

impl<O> Presences<O> {
    pub(super) fn new(limits: &GatewayLimits) -> Self {
        let limits = limits.presence.clone();
        Self {
            manners: Arc::new(Manners::new(&limits)),
            table: Table::new(limits.relations),
            turns: Bucket::new(Rate::per_second(limits.changes)),
            limits,
            border: None,
            generation: 0,
            before: None,
            calendar: None,
            origins: HashMap::new(),
            numbers: 0,
            sent: HashMap::new(),
            arriving: VecDeque::new(),
            changes: VecDeque::new(),
            turn_at: None,
            changed: HashSet::new(),
            noted: VecDeque::new(),
            review: VecDeque::new(),
            review_at: None,
            ticket: 0,
            settling: BTreeMap::new(),
            down: BTreeMap::new(),
            heard: HashMap::new(),
            restoring: None,
        }
    }

    /// What a crowd took of room while it came is not kept once that is over.
    fn give_room_back(&mut self) {
        let (sent, arriving) = (&mut self.sent, &mut self.arriving);
        if sent.capacity() > ROOM && sent.len() < sent.capacity() / 8 {
            sent.shrink_to(ROOM);
        }
        if arriving.capacity() > ROOM && arriving.len() < arriving.capacity() / 8 {
            arriving.shrink_to(ROOM);
        }
    }

    /// The far side has it, as far as anybody knows; tells whether it was one of ours.
    fn arrived(&mut self, token: Token) -> bool {
        self.ended(token, Fate::Delivered)
    }

    /// Nothing more comes of something that was to be sent; tells whether it was one of ours.
    fn ended(&mut self, token: Token, fate: Fate) -> bool {
        let Some(sent) = self.sent.remove(&token) else {
            return false;
        };
        self.table.tally_mut().heard(&sent.what, fate);
        let What::Word(word) = sent.what else {
            return true;
        };
        if let Word::Device(device, None) = &word
            && device.state() == State::Offline
            && let Some(relation) = self.table.get_mut(&sent.pair)
            && let Some(watch) = &mut relation.watch
            && watch.has_gone(device.name())
        {
            self.changed.insert(Arc::clone(&sent.pair));
        }
        let is_end = word == Word::Unsubscribed;
        let is_over = self.table.said(&sent.pair, is_end);
        if is_over {
            self.table.remove(&sent.pair);
        }
        if is_over || is_end {
            self.changed.insert(sent.pair);
        }
        true
    }

    /// Whether a device of the user of SIP is known by his presence, and by no address of its own.
    pub(super) fn is_only_shown(&self, pair: &Pair, device: &str) -> bool {
        let relation = self.table.get(pair).map(|(_, relation)| relation);
        let seen = relation.and_then(|relation| relation.watch.as_deref()?.seen());
        seen.is_some_and(|seen| {
            seen.devices()
                .iter()
                .any(|known| known.name() == device && known.is_unaddressed())
        })
    }

    /// Makes room for what two users have between them; `false` where there is none.
    fn make(&mut self, pair: &Pair) -> bool {
        let outside = self.outside(pair);
        self.table.make(pair, outside)
    }

    /// Whether one more may look without anybody's consent.
    fn has_room_to_look(&self, pair: &Pair) -> bool {
        self.table.has_room_to_look(self.outside(pair), self.limits.adhoc)
    }

    /// The domain of the two that is not ours.
    fn outside<'p>(&self, pair: &'p Pair) -> &'p Domain {
        let border = self.border.as_ref();
        let is_ours = border.is_none_or(|border| border.table().local(pair.xmpp.domain()).is_some());
        let outside = if is_ours { &pair.sip } else { &pair.xmpp };
        outside.domain()
    }

    /// What waits for something, of all that is remembered for that.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        [
            self.origins.len(),
            self.sent.len(),
            self.arriving.len(),
            self.changes.len(),
            self.changed.len(),
            self.noted.len(),
            self.review.len(),
            self.settling.len(),
            self.down.len(),
        ]
        .into_iter()
        .sum()
    }

    /// When something is to be done.
    pub(super) fn next(&self) -> Option<Instant> {
        [
            self.table.next(),
            self.turn_at.filter(|_| !self.changes.is_empty()),
            self.noted.front().map(|(at, _)| *at),
            self.down.values().map(Down::at).min(),
            self.review_at.filter(|_| !self.review.is_empty()),
            // Many at a time.
            self.arriving
                .front()
                .and_then(|(at, _)| at.checked_add(Duration::from_secs(1))),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// So many things under way have room without asking for it.
const ROOM: usize = 1_024;

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;

    #[test]
    fn the_room_that_a_crowd_took_is_given_back_once_it_is_gone() {
        let mut presences = Presences::<()>::new(&GatewayLimits::default());
        let jid = |text: &str| crate::xmpp::Jid::parse(text).unwrap();
        let pair = Arc::new(Pair::new(&jid("bob@corp.example"), &jid("alice@partner.example")));
        let now = Instant::now();
        for number in 0..100_000 {
            let sent = Sent {
                pair: Arc::clone(&pair),
                what: What::Word(Word::Probe),
                written: Some(1),
            };
            presences.sent.insert(Token::new(0, number), sent);
            presences.arriving.push_back((now, Token::new(0, number)));
        }
        let full = (presences.sent.capacity(), presences.arriving.capacity());
        presences.give_room_back();
        assert_eq!((presences.sent.capacity(), presences.arriving.capacity()), full);
        while let Some((_, token)) = presences.arriving.pop_front() {
            presences.arrived(token);
        }
        presences.give_room_back();
        assert!(presences.sent.capacity() < 2 * ROOM && presences.arriving.capacity() < 2 * ROOM);
    }
}
