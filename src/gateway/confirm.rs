//! How a gateway learns that an XMPP link has taken a stanza: an answered ping written behind it on the same link.
//!
//! One ping (XEP-0199) serves for every stanza handed to the link before it, and only one is under way at a time, so
//! a link under load carries one ping for each round trip and not one for each message.

use std::collections::VecDeque;

use super::pending::Token;

/// The stanzas of one link that nobody has confirmed yet, and the ping that will confirm them.
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    /// In the order in which they were handed to the link.
    unconfirmed: VecDeque<Token>,
    ping: Option<Ping>,
}

#[derive(Debug, Clone, Copy)]
struct Ping {
    token: Token,
    /// How many of the unconfirmed, from the first on, were handed to the link before the ping.
    covers: usize,
}

impl Confirmation {
    /// A stanza was handed to the link.
    pub(super) fn handed(&mut self, token: Token) {
        self.unconfirmed.push_back(token);
    }

    /// Whether a ping would tell something that no ping under way will tell.
    pub(super) fn wants_ping(&self) -> bool {
        self.ping.is_none() && !self.unconfirmed.is_empty()
    }

    /// A ping was handed to the link behind everything that is unconfirmed now.
    pub(super) fn pinged(&mut self, token: Token) {
        self.ping = Some(Ping {
            token,
            covers: self.unconfirmed.len(),
        });
    }

    /// The ping was answered: gives the stanzas that are confirmed by it, in their order; none for another's ping.
    pub(super) fn answered(&mut self, token: Token) -> Vec<Token> {
        match self.ping {
            Some(ping) if ping.token == token => {
                self.ping = None;
                self.unconfirmed
                    .drain(..ping.covers.min(self.unconfirmed.len()))
                    .collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The ping will never be answered: its stream is gone, or it was never written.
    pub(super) fn forget_ping(&mut self) {
        self.ping = None;
    }

    /// The same, where it is that ping.
    pub(super) fn forget_ping_of(&mut self, token: Token) {
        if self.ping.is_some_and(|ping| ping.token == token) {
            self.ping = None;
        }
    }

    /// Drops every stanza that `keep` does not hold any more, and gives whether nothing is left to confirm.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Token) -> bool) -> bool {
        let mut covers = 0_usize;
        let mut position = 0_usize;
        let covered = self.ping.map_or(0, |ping| ping.covers);
        self.unconfirmed.retain(|token| {
            let kept = keep(*token);
            covers = covers.saturating_add(usize::from(kept && position < covered));
            position = position.saturating_add(1);
            kept
        });
        // A ping that has nothing left to confirm was not answered in time; the next stanza gets one of its own.
        self.ping = self
            .ping
            .filter(|_| covers > 0)
            .map(|ping| Ping { covers, ..ping });
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

    #[test]
    fn a_ping_confirms_what_stood_before_it_and_nothing_after() {
        let mut link = Confirmation::default();
        assert!(!link.wants_ping());
        link.handed(token(1));
        link.handed(token(2));
        assert!(link.wants_ping());
        link.pinged(token(100));
        link.handed(token(3));
        assert!(!link.wants_ping(), "one ping at a time");
        assert_eq!(link.answered(token(99)), [], "somebody else's ping");
        assert_eq!(link.answered(token(100)), [token(1), token(2)]);
        assert!(link.wants_ping(), "the third still waits");
    }

    #[test]
    fn a_ping_covers_no_more_after_stanzas_left_by_themselves() {
        let mut link = Confirmation::default();
        link.handed(token(1));
        link.handed(token(2));
        link.pinged(token(100));
        link.handed(token(3));
        assert!(!link.retain(|t| t != token(1)));
        assert_eq!(link.answered(token(100)), [token(2)]);
        assert_eq!(link.unconfirmed().collect::<Vec<_>>(), [token(3)]);
    }
}
