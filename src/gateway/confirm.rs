//! How a gateway learns that an XMPP link has taken a stanza: an answered ping written behind it on the same link.
//!
//! One ping (XEP-0199) serves for every stanza handed to the link before it, and only one is under way at a time, so
//! a link under load carries one ping for each round trip and not one for each message. A ping that is not answered in
//! time makes room for another, and its late answer still counts. Where nobody waits for the outcome, a few messages are
//! gathered before they are asked about.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::delivery::Link;
use super::pending::Token;

/// The stanzas of one link that nobody has confirmed yet, and the ping that will confirm them.
///
/// A shard counts its tokens upwards, so their order is that in which stanzas and pings were handed to the link.
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    unconfirmed: BTreeSet<Token>,
    ping: Ping,
    /// How many stanzas were handed to the link since the last ping.
    gathered: usize,
    /// Until then they may wait for more of them; `None` where one of them may not.
    until: Option<Instant>,
    /// Pings of the same stream that were not answered in time.
    late: VecDeque<Token>,
    /// Whether the far end has sent something while it was waited for.
    heard: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ping {
    /// None is under way.
    #[default]
    None,
    /// This one was handed to the link at that time, behind every stanza with a lesser token.
    UnderWay(Token, Instant),
    /// The link gave one back. It gets no other before it has written something: a link that takes nothing would be
    /// asked again and again, as fast as it refuses.
    Refused,
}

impl Confirmation {
    /// A stanza was handed to the link, whose ping may wait for more until then.
    pub(super) fn handed(&mut self, token: Token, until: Option<Instant>) {
        self.unconfirmed.insert(token);
        self.gathered = self.gathered.saturating_add(1);
        if self.gathered == 1 {
            self.until = until;
        } else if until.is_none() || self.gathered >= GATHERED {
            self.until = None;
        }
    }

    /// Whether a ping would tell something that no ping under way will tell, and when it is to go out where that is later
    /// than at once.
    pub(super) fn wants_ping(&self) -> Option<Option<Instant>> {
        (self.ping == Ping::None && !self.unconfirmed.is_empty()).then_some(self.until)
    }

    /// A ping was handed to the link behind everything that is unconfirmed now.
    pub(super) const fn pinged(&mut self, token: Token, now: Instant) {
        self.ping = Ping::UnderWay(token, now);
        self.gathered = 0;
        self.until = None;
    }

    /// A ping was answered: gives the stanzas that are confirmed by it, in their order; none for another's ping.
    pub(super) fn answered(&mut self, token: Token) -> BTreeSet<Token> {
        if self.is_under_way(token) {
            self.ping = Ping::None;
            self.late.clear();
        } else if let Some(place) = self.late.iter().position(|late| *late == token) {
            self.late.drain(..=place);
        } else {
            return BTreeSet::new();
        }
        let behind = self.unconfirmed.split_off(&token);
        std::mem::replace(&mut self.unconfirmed, behind)
    }

    /// The link has written something.
    pub(super) fn written(&mut self) {
        if self.ping == Ping::Refused {
            self.ping = Ping::None;
        }
    }

    /// Something has waited for so long that the far end is asked once more, unless that was done `within` this time.
    pub(super) fn ask_again(&mut self, now: Instant, within: Duration) {
        match self.ping {
            Ping::UnderWay(_, at) if now.saturating_duration_since(at) < within => {}
            Ping::UnderWay(token, _) => {
                if self.late.len() >= MOST_LATE {
                    self.late.pop_front();
                }
                self.late.push_back(token);
                self.ask_at_once();
            }
            Ping::Refused | Ping::None => self.ask_at_once(),
        }
    }

    /// No ping will be answered any more: their stream is gone.
    pub(super) fn broke(&mut self) {
        self.ask_at_once();
        self.late.clear();
    }

    /// The link gave something back; perhaps the ping.
    pub(super) fn ping_returned(&mut self, token: Token) {
        if self.is_under_way(token) {
            self.ask_at_once();
            self.ping = Ping::Refused;
        }
    }

    /// The outcome of a stanza is known. A ping under way stays the one that is waited for.
    pub(super) fn left(&mut self, token: Token) {
        self.unconfirmed.remove(&token);
    }

    /// The time of a stanza is over. A ping that has nothing left to confirm was not answered in time; what stands
    /// behind it gets one of its own.
    pub(super) fn expired(&mut self, token: Token) {
        self.left(token);
        if let Ping::UnderWay(ping, _) = self.ping
            && self.unconfirmed.first().is_none_or(|first| *first > ping)
        {
            self.ping = Ping::None;
        }
    }

    /// The far end has sent something.
    pub(super) const fn hear(&mut self) {
        self.heard = true;
    }

    /// Whether it has since the last time.
    pub(super) const fn was_heard(&mut self) -> bool {
        std::mem::replace(&mut self.heard, false)
    }

    /// Whether nothing is left to confirm.
    pub(super) fn is_idle(&self) -> bool {
        self.unconfirmed.is_empty()
    }

    /// The stanzas that are not confirmed, in their order.
    pub(super) fn unconfirmed(&self) -> impl Iterator<Item = Token> {
        self.unconfirmed.iter().copied()
    }

    /// Nothing that is unconfirmed now waits for more.
    fn ask_at_once(&mut self) {
        self.ping = Ping::None;
        self.gathered = self.gathered.max(1);
        self.until = None;
    }

    fn is_under_way(&self, token: Token) -> bool {
        matches!(self.ping, Ping::UnderWay(ping, _) if ping == token)
    }
}

/// What is known of the far ends of links: whether their silence means anything.
#[derive(Debug)]
pub(super) struct Manners {
    most: usize,
    by_link: HashMap<Link, Manner>,
}

#[derive(Debug, Clone, Copy)]
enum Manner {
    /// It has answered a ping.
    Answers,
    /// It never has, and was silent so often, while it sent other things.
    Silent { times: u32, last: Instant },
}

impl Manners {
    /// Knows at most so many links.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            by_link: HashMap::new(),
        }
    }

    /// Whether it has ever answered a ping: its silence is no consent.
    pub(super) fn answers(&self, link: &Link) -> bool {
        matches!(self.by_link.get(link), Some(Manner::Answers))
    }

    /// Whether it lives and answers no pings, against RFC 6120 §8.2.3: nothing better than its silence will come.
    pub(super) fn is_mute(&self, link: &Link) -> bool {
        matches!(self.by_link.get(link), Some(Manner::Silent { times, .. }) if *times >= PATIENCE)
    }

    /// It has answered a ping.
    pub(super) fn answered(&mut self, link: Link) {
        self.learn(link, Manner::Answers);
    }

    /// It did not answer for as long as a message may wait, and sent other things meanwhile.
    pub(super) fn silent(&mut self, now: Instant, link: &Link, wait: Duration) {
        let times = match self.by_link.get(link) {
            Some(Manner::Answers) => return,
            // Several messages may have waited through the same silence.
            Some(Manner::Silent { last, .. }) if now.saturating_duration_since(*last) < wait => return,
            Some(Manner::Silent { times, .. }) => times.saturating_add(1),
            None => 1,
        };
        self.learn(link.clone(), Manner::Silent { times, last: now });
    }

    fn learn(&mut self, link: Link, manner: Manner) {
        if self.by_link.len() < self.most || self.by_link.contains_key(&link) {
            self.by_link.insert(link, manner);
        }
    }
}

/// So many stanzas are not kept waiting for more.
const GATHERED: usize = 64;
/// Pings that were not answered in time and are still known: all that one message waits for, and more.
const MOST_LATE: usize = 16;
/// After so many silences a far end that lives is taken for one that answers no pings.
const PATIENCE: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u64) -> Token {
        Token::new(0, number)
    }

    fn tokens(numbers: &[u64]) -> BTreeSet<Token> {
        numbers.iter().copied().map(token).collect()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a test needs some instant to count from"
    )]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_ping_confirms_what_stood_before_it_and_nothing_after() {
        let mut link = Confirmation::default();
        assert!(link.wants_ping().is_none());
        link.handed(token(1), None);
        link.handed(token(2), None);
        assert!(link.wants_ping().is_some());
        link.pinged(token(3), now());
        link.handed(token(4), None);
        assert!(link.wants_ping().is_none(), "one ping at a time");
        assert_eq!(link.answered(token(9)), tokens(&[]), "somebody else's ping");
        assert_eq!(link.answered(token(3)), tokens(&[1, 2]));
        assert_eq!(link.answered(token(3)), tokens(&[]), "answered once");
        assert!(
            link.wants_ping().is_some() && !link.is_idle(),
            "the last still waits"
        );
    }

    #[test]
    fn what_left_by_itself_is_not_confirmed_again() {
        let mut link = Confirmation::default();
        link.handed(token(1), None);
        link.handed(token(2), None);
        link.pinged(token(3), now());
        link.left(token(1));
        assert_eq!(link.answered(token(3)), tokens(&[2]));
        assert!(link.is_idle());
    }

    #[test]
    fn a_ping_that_was_not_answered_in_time_makes_room_for_another() {
        let mut link = Confirmation::default();
        link.handed(token(1), None);
        link.handed(token(2), None);
        link.pinged(token(3), now());
        link.handed(token(4), None);
        link.expired(token(1));
        assert!(link.wants_ping().is_none(), "it still confirms the second");
        link.expired(token(2));
        assert!(link.wants_ping().is_some());
        assert_eq!(link.answered(token(3)), tokens(&[]), "too late");
    }

    #[test]
    fn a_link_that_gave_a_ping_back_is_asked_again_when_it_writes() {
        let mut link = Confirmation::default();
        link.handed(token(1), None);
        link.pinged(token(2), now());
        link.ping_returned(token(7));
        assert!(link.is_under_way(token(2)), "another's");
        link.ping_returned(token(2));
        assert!(link.wants_ping().is_none());
        link.handed(token(3), None);
        assert!(link.wants_ping().is_none(), "nothing was written");
        link.written();
        assert!(link.wants_ping().is_some());
        link.pinged(token(4), now());
        link.broke();
        assert!(link.wants_ping().is_some(), "its stream broke");
    }

    #[test]
    fn a_far_end_is_asked_again_in_due_time_and_a_late_answer_counts() {
        let (start, within) = (now(), Duration::from_secs(3));
        let mut link = Confirmation::default();
        link.handed(token(1), None);
        link.pinged(token(2), start);
        link.handed(token(3), None);
        link.ask_again(start + Duration::from_secs(2), within);
        assert!(link.wants_ping().is_none(), "too soon");
        link.ask_again(start + within, within);
        assert!(link.wants_ping().is_some());
        link.pinged(token(4), start + within);
        assert_eq!(link.answered(token(2)), tokens(&[1]), "late");
        assert_eq!(link.answered(token(2)), tokens(&[]), "once");
        assert_eq!(link.answered(token(4)), tokens(&[3]));
        link.handed(token(5), None);
        link.pinged(token(6), start);
        link.ask_again(start + within, within);
        link.broke();
        assert_eq!(link.answered(token(6)), tokens(&[]), "of a stream that is gone");
    }

    #[test]
    fn silence_counts_once_a_wait_and_never_from_who_has_answered() {
        let (start, wait) = (now(), Duration::from_secs(30));
        let domain = |text| crate::domain::Domain::parse(text).unwrap();
        let link = |remote| Link::Xmpp {
            local: domain("one.example"),
            remote: domain(remote),
        };
        let (mute, polite) = (link("mute.example"), link("polite.example"));
        let mut manners = Manners::new(2);
        manners.answered(polite.clone());
        for round in 0..3 {
            assert!(!manners.is_mute(&mute), "{round}");
            for second in 0..5 {
                let now = start + wait * round + Duration::from_secs(second);
                manners.silent(now, &mute, wait);
                manners.silent(now, &polite, wait);
            }
        }
        assert!(manners.is_mute(&mute) && !manners.is_mute(&polite));
        manners.answered(mute.clone());
        assert!(manners.answers(&mute) && !manners.is_mute(&mute));
        manners.answered(link("more.example"));
        assert!(!manners.answers(&link("more.example")), "so many and no more");
    }

    #[test]
    fn what_nobody_waits_for_is_gathered_until_somebody_does_or_it_is_much() {
        let (first, later) = (Some(now()), now().checked_add(Duration::from_secs(1)));
        let mut link = Confirmation::default();
        link.handed(token(1), first);
        link.handed(token(2), later);
        assert_eq!(link.wants_ping(), Some(first), "by the first");
        link.handed(token(3), None);
        link.handed(token(4), later);
        assert_eq!(link.wants_ping(), Some(None), "somebody waits");
        link.pinged(token(5), now());
        link.handed(token(6), later);
        assert_eq!(link.answered(token(5)), tokens(&[1, 2, 3, 4]));
        assert_eq!(link.wants_ping(), Some(later));
        for number in 7..70 {
            link.handed(token(number), later);
        }
        assert_eq!(link.wants_ping(), Some(None), "much");
        link.pinged(token(71), now());
        link.broke();
        link.handed(token(72), later);
        assert_eq!(link.wants_ping(), Some(None), "its stream broke");
    }
}
