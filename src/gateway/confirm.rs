//! How a gateway learns that an XMPP link has taken a stanza: an answered ping written behind it on the same link.
//!
//! One ping (XEP-0199) serves for every stanza handed to the link before it, and only one is under way at a time, so
//! a link under load carries one ping for each round trip and not one for each message.

use std::collections::BTreeSet;

use super::pending::Token;

/// The stanzas of one link that nobody has confirmed yet, and the ping that will confirm them.
///
/// A shard counts its tokens upwards, so their order is that in which stanzas and pings were handed to the link.
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    unconfirmed: BTreeSet<Token>,
    ping: Ping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ping {
    /// None is under way.
    #[default]
    None,
    /// This one was handed to the link, behind every stanza with a lesser token.
    UnderWay(Token),
    /// The link gave one back. It gets no other before it has written something: a link that takes nothing would be
    /// asked again and again, as fast as it refuses.
    Refused,
}

impl Confirmation {
    /// A stanza was handed to the link.
    pub(super) fn handed(&mut self, token: Token) {
        self.unconfirmed.insert(token);
    }

    /// Whether a ping would tell something that no ping under way will tell.
    pub(super) fn wants_ping(&self) -> bool {
        self.ping == Ping::None && !self.unconfirmed.is_empty()
    }

    /// A ping was handed to the link behind everything that is unconfirmed now.
    pub(super) const fn pinged(&mut self, token: Token) {
        self.ping = Ping::UnderWay(token);
    }

    /// The ping was answered: gives the stanzas that are confirmed by it, in their order; none for another's ping.
    pub(super) fn answered(&mut self, token: Token) -> BTreeSet<Token> {
        if self.ping != Ping::UnderWay(token) {
            return BTreeSet::new();
        }
        self.ping = Ping::None;
        let behind = self.unconfirmed.split_off(&token);
        std::mem::replace(&mut self.unconfirmed, behind)
    }

    /// The link has written something.
    pub(super) fn written(&mut self) {
        if self.ping == Ping::Refused {
            self.ping = Ping::None;
        }
    }

    /// The ping will never be answered: its stream is gone.
    pub(super) const fn forget_ping(&mut self) {
        self.ping = Ping::None;
    }

    /// The link gave something back; perhaps the ping.
    pub(super) fn ping_returned(&mut self, token: Token) {
        if self.ping == Ping::UnderWay(token) {
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
        if let Ping::UnderWay(ping) = self.ping
            && self.unconfirmed.first().is_none_or(|first| *first > ping)
        {
            self.ping = Ping::None;
        }
    }

    /// Whether nothing is left to confirm.
    pub(super) fn is_idle(&self) -> bool {
        self.unconfirmed.is_empty()
    }

    /// The stanzas that are not confirmed, in their order.
    pub(super) fn unconfirmed(&self) -> impl Iterator<Item = Token> {
        self.unconfirmed.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: u64) -> Token {
        Token::new(0, number)
    }

    fn tokens(numbers: &[u64]) -> BTreeSet<Token> {
        numbers.iter().copied().map(token).collect()
    }

    #[test]
    fn a_ping_confirms_what_stood_before_it_and_nothing_after() {
        let mut link = Confirmation::default();
        assert!(!link.wants_ping());
        link.handed(token(1));
        link.handed(token(2));
        assert!(link.wants_ping());
        link.pinged(token(3));
        link.handed(token(4));
        assert!(!link.wants_ping(), "one ping at a time");
        assert_eq!(link.answered(token(9)), tokens(&[]), "somebody else's ping");
        assert_eq!(link.answered(token(3)), tokens(&[1, 2]));
        assert_eq!(link.answered(token(3)), tokens(&[]), "answered once");
        assert!(link.wants_ping() && !link.is_idle(), "the last still waits");
    }

    #[test]
    fn what_left_by_itself_is_not_confirmed_again() {
        let mut link = Confirmation::default();
        link.handed(token(1));
        link.handed(token(2));
        link.pinged(token(3));
        link.left(token(1));
        assert_eq!(link.answered(token(3)), tokens(&[2]));
        assert!(link.is_idle());
    }

    #[test]
    fn a_ping_that_was_not_answered_in_time_makes_room_for_another() {
        let mut link = Confirmation::default();
        link.handed(token(1));
        link.handed(token(2));
        link.pinged(token(3));
        link.handed(token(4));
        link.expired(token(1));
        assert!(!link.wants_ping(), "it still confirms the second");
        link.expired(token(2));
        assert!(link.wants_ping());
        assert_eq!(link.answered(token(3)), tokens(&[]), "too late");
    }

    #[test]
    fn a_link_that_gave_a_ping_back_is_asked_again_when_it_writes() {
        let mut link = Confirmation::default();
        link.handed(token(1));
        link.pinged(token(2));
        link.ping_returned(token(7));
        assert_eq!(link.ping, Ping::UnderWay(token(2)), "another's");
        link.ping_returned(token(2));
        assert!(!link.wants_ping());
        link.handed(token(3));
        assert!(!link.wants_ping(), "nothing was written");
        link.written();
        assert!(link.wants_ping());
        link.pinged(token(4));
        link.forget_ping();
        assert!(link.wants_ping(), "its stream broke");
    }
}
