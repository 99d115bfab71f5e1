//! SIP transactions as pure machines: one request, its responses, and their retransmissions over links that may lose
//! or repeat them.
//!
//! Not the transaction user: what a request means, which response it gets and where a request goes is decided above.
//! Not the transport: a machine says `Transmit`, the caller owns the flow.
//!
//! RFC 3261 §17 (all of it), as amended by RFC 6026 (states Accepted, timers L and M) and RFC 4320 (non-INVITE: no
//! late 408, 100 only when it helps). What RFC 3581 asks of a server is in [`super::Via::stamp`].
//!
//! Invariants: every machine ends by itself, whatever its user and its peer do or leave undone; a machine in
//! `Terminated` has no timer set; the last output of a machine is [`Output::Terminated`], and it comes once.

mod client;
mod event;
mod key;
mod register;
mod server;
mod table;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

pub use client::{ClientInput, ClientState, ClientTransaction};
pub use event::{Event, Flow, NotStarted, Received, TransactionId};
pub use key::Key;
pub use register::{Merged, Register, UnderWay};
pub use server::{Responded, ServerInput, ServerState, ServerTransaction};
pub use table::Transactions;

use crate::refusal::{Fault, Refuse};
use crate::sip::Method;

/// Whether the transport repeats lost octets by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// TCP, TLS, SCTP: nothing is retransmitted here, and the waiting states last no time.
    Reliable,
    /// UDP.
    Unreliable,
}

/// The base times of all timers (RFC 3261 table 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    t1: Duration,
    t2: Duration,
    t4: Duration,
    c: Duration,
}

/// What a machine wants done, in this order. `M` is what it delivers to its user.
#[derive(Debug)]
pub enum Output<M> {
    /// Send these octets to where the request went, or came from.
    Transmit(Bytes),
    /// Hand this to the transaction user.
    Deliver(Box<M>),
    /// Tell the transaction user that the transaction did not end well.
    Failed(Failure),
    /// The transaction is over; forget it. Nothing comes after this.
    Terminated,
}

/// Why a transaction did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// Nothing, or not enough, came back in time: timers B, C, F, H, or a user that never answered.
    #[error("no answer came within the time that RFC 3261 section 17 gives a transaction")]
    Timeout,
    /// The flow broke.
    #[error("the flow of the transaction broke before it was over")]
    Transport,
}

/// Which of the two kinds of machine a method has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Invite,
    Other,
}

/// The outputs that wait for `poll`; takes no memory while empty.
#[derive(Debug)]
struct Outbox<M>(VecDeque<Output<M>>);

impl Timers {
    /// Timers counted from these base times, each at least a millisecond, so that every interval is longer than none.
    #[must_use]
    pub fn new(t1: Duration, t2: Duration, t4: Duration) -> Self {
        let t1 = t1.max(SHORTEST);
        Self {
            t1,
            t2: t2.max(t1),
            t4: t4.max(SHORTEST),
            c: TIMER_C,
        }
    }

    /// 64*T1: timers B, F, H, J, L and M.
    #[must_use]
    pub const fn give_up(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// How long an INVITE may stay without a word from its user: longer than timer C of the client side, so that a
    /// forwarded INVITE that nobody answers is ended by what its user makes of timer C.
    const fn patience(&self) -> Duration {
        self.c.saturating_add(self.give_up())
    }

    /// The interval after `interval` where intervals double up to T2: timers E and G.
    fn next_interval(&self, interval: Duration) -> Duration {
        interval.saturating_mul(2).min(self.t2)
    }

    /// The time until a client's timer E is first reset to T2 (3.5 s by default): before it, a 100 to a non-INVITE
    /// request over UDP would slow down the recovery from a lost final response (RFC 4320 §4.1).
    fn quiet(&self) -> Duration {
        let mut elapsed = Duration::ZERO;
        let mut interval = self.t1;
        // Doubling reaches any T2 in fewer steps than a u128 of nanoseconds has bits.
        for _ in 0..128 {
            elapsed = elapsed.saturating_add(interval);
            interval = self.next_interval(interval);
            if interval >= self.t2 {
                break;
            }
        }
        elapsed
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::new(
            Duration::from_millis(500),
            Duration::from_secs(4),
            Duration::from_secs(5),
        )
    }
}

impl Kind {
    /// `None` for ACK: it belongs to the transaction of its INVITE, or to none.
    fn of(method: &Method) -> Option<Self> {
        if *method == Method::Ack {
            None
        } else if *method == Method::Invite {
            Some(Self::Invite)
        } else {
            Some(Self::Other)
        }
    }
}

impl<M> Outbox<M> {
    const fn new() -> Self {
        Self(VecDeque::new())
    }

    fn push(&mut self, output: Output<M>) {
        self.0.push_back(output);
    }

    fn pop(&mut self) -> Option<Output<M>> {
        let output = self.0.pop_front();
        if self.0.is_empty() {
            // An open transaction waits long and says little: hold no memory for it.
            self.0 = VecDeque::new();
        }
        output
    }
}

impl Refuse for Failure {
    fn class(&self) -> &'static str {
        match self {
            Self::Timeout => "transaction_timeout",
            Self::Transport => "transaction_transport",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Route
    }

    //= rfc3261#8.1.3.1
    //# When a timeout error is received from the transaction layer, it MUST be treated as if a 408 (Request Timeout)
    //# status code has been received.
    fn sip_status(&self) -> u16 {
        match self {
            Self::Timeout => 408,
            Self::Transport => 503,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        "remote-server-timeout"
    }

    fn peer_text(&self) -> &'static str {
        "the next server did not answer"
    }
}

/// The shortest base time: keeps a mistaken setting of 0 from making a timer that fires for ever.
const SHORTEST: Duration = Duration::from_millis(1);

/// Timer C must be longer than three minutes (RFC 3261 §16.6); it bounds the wait after a provisional response.
const TIMER_C: Duration = Duration::from_secs(200);

#[cfg(test)]
mod tests;
