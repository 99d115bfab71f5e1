//! When to ping a quiet flow that we opened, and what the peer's silence means (RFC 5626 §3.5.1, §4.4.1).
//!
//! A peer need not know of pings: only one that has answered before is taken for dead when it does not. Not the
//! framing: [`super::frame`] tells pings and pongs from messages.

use std::time::{Duration, Instant};

/// The keepalive of one flow.
#[derive(Debug, Clone)]
pub struct Keepalive {
    interval: Duration,
    state: State,
    peer: Peer,
    /// How things stood before the last pong, which may turn out to be the first half of a ping.
    before: Option<(State, Peer)>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Due {
    /// Send a ping: a double CRLF.
    Ping,
    /// A peer that has answered pings before no longer does: the flow is dead.
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is asked; a ping is due at that time.
    Quiet(Option<Instant>),
    /// A ping was sent; its pong is due by that time.
    Asked(Option<Instant>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// Never known to answer pings.
    Silent,
    /// Has answered one.
    Answers,
}

impl Keepalive {
    /// A keepalive for a flow that was opened just now. `random` is uniform over all its values.
    //
    //= rfc5626#4.4.1
    //# the UA MUST send its keep-alives so that the interval between each request is randomly distributed between 80%
    //# and 100% of the maximum
    #[must_use]
    pub fn new(now: Instant, longest: Duration, random: u32) -> Self {
        let fifth = longest.checked_div(5).unwrap_or_default();
        let less = fifth.mul_f64(f64::from(random) / f64::from(u32::MAX));
        let interval = longest.saturating_sub(less);
        Self {
            interval,
            state: State::Quiet(now.checked_add(interval)),
            peer: Peer::Silent,
            before: None,
        }
    }

    /// A message went either way, or the peer pinged: the flow is not quiet.
    pub fn used(&mut self, now: Instant) {
        if let State::Quiet(_) = self.state {
            self.state = State::Quiet(now.checked_add(self.interval));
        }
    }

    /// The peer sent something other than a keepalive: it lives.
    pub fn heard(&mut self, now: Instant) {
        self.before = None;
        self.state = State::Quiet(now.checked_add(self.interval));
    }

    /// A single CRLF came.
    pub fn pong(&mut self, now: Instant) {
        self.before = None;
        if let State::Asked(_) = self.state {
            self.before = Some((self.state, self.peer));
            self.peer = Peer::Answers;
            self.state = State::Quiet(now.checked_add(self.interval));
        }
    }

    /// A double CRLF came: the single one that it began with was no pong.
    pub fn pinged(&mut self, now: Instant) {
        if let Some((state, peer)) = self.before.take() {
            (self.state, self.peer) = (state, peer);
        }
        self.used(now);
    }

    /// What is due at `now`; ask when [`Keepalive::timeout`] has come.
    pub fn tick(&mut self, now: Instant) -> Option<Due> {
        match (self.state, self.peer) {
            (State::Quiet(Some(at)), _) if at <= now => {
                self.before = None;
                self.state = State::Asked(now.checked_add(PATIENCE));
                Some(Due::Ping)
            }
            //= rfc5626#4.4.1
            //# If the client does not receive a "pong" in response to its "ping" within 10 seconds, then the flow is
            //# considered failed.
            (State::Asked(Some(by)), Peer::Answers) if by <= now => {
                self.state = State::Asked(None);
                Some(Due::Dead)
            }
            (State::Asked(Some(by)), Peer::Silent) if by <= now => {
                self.state = State::Quiet(now.checked_add(self.interval));
                None
            }
            (State::Quiet(_) | State::Asked(_), _) => None,
        }
    }

    /// When to [`Keepalive::tick`].
    #[must_use]
    pub const fn timeout(&self) -> Option<Instant> {
        match self.state {
            State::Quiet(at) | State::Asked(at) => at,
        }
    }
}

/// How long a peer may take to answer a ping.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    #![allow(
        clippy::arithmetic_side_effects,
        clippy::disallowed_methods,
        reason = "tests count from some instant"
    )]
    use super::*;

    const LONGEST: Duration = Duration::from_secs(100);

    /// A flow that is opened at second 0, whose interval is 100 s.
    fn opened() -> (impl Fn(u64) -> Instant, Keepalive) {
        let start = Instant::now();
        (
            move |seconds| start + Duration::from_secs(seconds),
            Keepalive::new(start, LONGEST, 0),
        )
    }

    #[test]
    fn a_quiet_flow_is_pinged_and_a_busy_one_is_not() {
        let (at, mut alive) = opened();
        assert_eq!((alive.tick(at(99)), alive.timeout()), (None, Some(at(100))));
        alive.used(at(99));
        assert_eq!(alive.tick(at(100)), None);
        assert_eq!(alive.tick(at(199)), Some(Due::Ping));
        assert_eq!(alive.tick(at(200)), None, "one ping is enough");
    }

    #[test]
    fn only_a_peer_that_has_answered_before_is_dead_when_it_is_silent() {
        let (at, mut alive) = opened();
        assert_eq!(alive.tick(at(100)), Some(Due::Ping));
        assert_eq!(alive.tick(at(110)), None, "it may not know of pings");
        assert_eq!(alive.tick(at(210)), Some(Due::Ping));
        alive.pong(at(211));
        assert_eq!(alive.tick(at(311)), Some(Due::Ping));
        alive.used(at(315));
        assert_eq!(alive.tick(at(320)), None);
        assert_eq!(
            alive.tick(at(321)),
            Some(Due::Dead),
            "what we say ourselves is no answer"
        );
        assert_eq!(alive.timeout(), None);
    }

    #[test]
    fn a_message_answers_a_ping_as_well() {
        let (at, mut alive) = opened();
        assert_eq!(alive.tick(at(100)), Some(Due::Ping));
        alive.pong(at(101));
        assert_eq!(alive.tick(at(201)), Some(Due::Ping));
        alive.heard(at(202));
        assert_eq!(alive.tick(at(211)), None);
        assert_eq!(alive.timeout(), Some(at(302)));
    }

    #[test]
    fn the_ping_of_a_peer_is_not_taken_for_its_answer() {
        let (at, mut alive) = opened();
        assert_eq!(alive.tick(at(100)), Some(Due::Ping));
        // A double CRLF is given as a pong and a ping.
        alive.pong(at(105));
        alive.pinged(at(105));
        assert_eq!(alive.tick(at(110)), None, "it has still answered nothing");
        assert_eq!(alive.tick(at(210)), Some(Due::Ping));
        assert_eq!(alive.tick(at(220)), None);
        // And a ping right behind an answer is what it is.
        assert_eq!(alive.tick(at(320)), Some(Due::Ping));
        alive.pong(at(321));
        alive.pong(at(321));
        alive.pinged(at(321));
        assert_eq!(alive.tick(at(421)), Some(Due::Ping));
        assert_eq!(alive.tick(at(431)), Some(Due::Dead));
    }

    #[test]
    fn intervals_of_many_flows_do_not_meet() {
        let now = Instant::now();
        let due = |random| Keepalive::new(now, LONGEST, random).timeout().unwrap() - now;
        assert_eq!(due(u32::MAX).as_secs(), 80);
        assert_eq!(due(u32::MAX / 2).as_secs(), 90);
        assert_eq!(due(0), LONGEST);
    }
}
