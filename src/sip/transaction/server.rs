//! The server side of a transaction: hands a request up once, and repeats its last response when it is asked again.
//!
//! RFC 3261 §17.2 (figures 7 and 8), figure 7 as in RFC 6026, figure 8 as bounded by RFC 4320.
//!
//! The request that makes a transaction is not kept: its maker holds it. Kept are a prepared 100 and the last
//! response, as octets.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Failure, Kind, Outbox, Output, Reliability, Timers};
use crate::clock::{TimerKind, TimerTable};
use crate::sip::{Request, Response, StatusCode, write};

/// A server transaction.
///
/// `poll` gives outputs until `None`; poll again after each `handle` and each `respond`.
#[derive(Debug)]
pub struct ServerTransaction {
    kind: Kind,
    state: ServerState,
    trying: Bytes,
    last: Bytes,
    reliability: Reliability,
    timers: Timers,
    due: TimerTable<Timer, 7>,
    interval: Duration,
    outputs: Outbox<Request>,
}

/// What happens to a server transaction, but for what its user asks ([`ServerTransaction::respond`]).
#[derive(Debug)]
pub enum ServerInput {
    /// The request came again.
    Repeated,
    /// An ACK came that matches it.
    Ack(Box<Request>),
    /// A response could not be sent, or the flow broke.
    TransportFailed,
    /// [`ServerTransaction::timeout`] has come.
    Timer,
}

/// The states of figures 7 and 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// A request that is not INVITE is with its user; nothing is sent.
    Trying,
    /// An INVITE is with its user, or a provisional response was sent.
    Proceeding,
    /// A final response was sent (to INVITE: 300 to 699).
    Completed,
    /// The ACK came; its repetitions are absorbed.
    Confirmed,
    /// A 2xx to INVITE was sent; repetitions of the INVITE are absorbed (RFC 6026).
    Accepted,
    /// Over.
    Terminated,
}

/// What became of a response that the user gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Responded {
    /// It is to be transmitted.
    Sent,
    /// RFC 4320 forbids to send it: a provisional response to a non-INVITE request that does not help, or a 408.
    Withheld,
    /// A final response was given before, or the transaction is over.
    TooLate,
}

impl ServerTransaction {
    /// A transaction for a request that matches none and is now handed to the user. There is none for ACK: `None`.
    #[must_use]
    pub fn new(now: Instant, request: &Request, reliability: Reliability, timers: Timers) -> Option<Self> {
        let kind = Kind::of(request.method())?;
        let state = match kind {
            Kind::Invite => ServerState::Proceeding,
            Kind::Other => ServerState::Trying,
        };
        let mut due = TimerTable::new();
        match kind {
            //= rfc3261#17.2.1
            //# The server transaction MUST generate a 100 (Trying) response unless it knows that the TU will generate
            //# a provisional or final response within 200 ms
            Kind::Invite => {
                due.set(Timer::Trying, now, INVITE_TRYING);
                due.set(Timer::Patience, now, timers.patience());
            }
            //= rfc4320#4.1
            //# Without regard to transport, an SIP element MUST respond to a non-INVITE request with a Status-Code of
            //# 100 if it has not otherwise responded after the amount of time it takes a client transaction's Timer E
            //# to be reset to T2.
            Kind::Other => {
                due.set(Timer::Trying, now, timers.quiet());
                due.set(Timer::Patience, now, timers.give_up());
            }
        }
        Some(Self {
            kind,
            state,
            trying: octets(&request.response(StatusCode::TRYING, "Trying", None)),
            last: Bytes::new(),
            reliability,
            timers,
            due,
            interval: timers.t1,
            outputs: Outbox::new(),
        })
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Instant, input: ServerInput) {
        match input {
            ServerInput::Repeated => self.repeated(now),
            ServerInput::Ack(request) => self.acknowledged(now, request),
            ServerInput::TransportFailed => self.transport_failed(),
            ServerInput::Timer => {
                while let Some(timer) = self.due.expired(now) {
                    self.fire(now, timer);
                }
            }
        }
    }

    /// Ends it without a response: its request is of a method that nobody answers.
    pub fn abandon(&mut self) {
        if self.state != ServerState::Terminated {
            self.terminate();
        }
    }

    /// Takes a response from the user.
    pub fn respond(&mut self, now: Instant, response: &Response) -> Responded {
        let code = response.status().code();
        match (self.kind, self.state) {
            (Kind::Invite, ServerState::Proceeding) => {
                self.send(response);
                self.due.clear_all();
                match code {
                    ..200 => self.due.set(Timer::Patience, now, self.timers.patience()),
                    //= rfc6026#8.7
                    //# When the INVITE server transaction enters the "Accepted" state, Timer L MUST be set to fire in
                    //# 64*T1 for all transports.
                    200..300 => {
                        self.state = ServerState::Accepted;
                        // Its user repeats it; the machine must not.
                        self.last = Bytes::new();
                        self.due.set(Timer::L, now, self.timers.give_up());
                    }
                    300.. => self.complete_invite(now),
                }
                Responded::Sent
            }
            (Kind::Invite, ServerState::Accepted) if (200..300).contains(&code) => {
                self.outputs.push(Output::Transmit(octets(response)));
                Responded::Sent
            }
            (Kind::Other, ServerState::Trying | ServerState::Proceeding) => match code {
                100 => self.respond_trying(response),
                //= rfc4320#4.1
                //# An SIP element MUST NOT send any provisional response with a Status-Code other than 100 to a
                //# non-INVITE request.
                ..200 => Responded::Withheld,
                //= rfc4320#4.2
                //# A transaction-stateful SIP element MUST NOT send a response with Status-Code of 408 to a
                //# non-INVITE request.
                408 => {
                    self.complete_other(now);
                    Responded::Withheld
                }
                200.. => {
                    self.send(response);
                    self.complete_other(now);
                    Responded::Sent
                }
            },
            (
                _,
                ServerState::Trying
                | ServerState::Completed
                | ServerState::Confirmed
                | ServerState::Accepted
                | ServerState::Terminated,
            ) => Responded::TooLate,
        }
    }

    /// Takes a response of a user agent's own: a 2xx to INVITE is repeated until its ACK comes.
    //
    //= rfc3261#13.3.1.4
    //# the response is passed to the transport with an interval that starts at T1 seconds and doubles for each
    //# retransmission until it reaches T2 seconds
    pub fn answer(&mut self, now: Instant, response: &Response) -> Responded {
        let accepts = self.kind == Kind::Invite
            && self.state == ServerState::Proceeding
            && response.status().is_success();
        let responded = self.respond(now, response);
        if accepts {
            self.last = octets(response);
            self.due.set(Timer::G, now, self.interval);
        }
        responded
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output<Request>> {
        self.outputs.pop()
    }

    /// When [`ServerInput::Timer`] is next of use.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.due.next()
    }

    /// Where in figure 7 or 8 it stands.
    #[must_use]
    pub const fn state(&self) -> ServerState {
        self.state
    }

    fn repeated(&mut self, now: Instant) {
        match (self.kind, self.state) {
            // The repetition says that the 100 is wanted before its time.
            (Kind::Invite, ServerState::Proceeding) if self.last.is_empty() => self.send_trying(now),
            (_, ServerState::Proceeding | ServerState::Completed) => self.transmit_last(),
            (
                _,
                ServerState::Trying
                | ServerState::Confirmed
                | ServerState::Accepted
                | ServerState::Terminated,
            ) => {}
        }
    }

    fn acknowledged(&mut self, now: Instant, request: Box<Request>) {
        match self.state {
            //= rfc3261#17.2.1
            //# If an ACK is received while the server transaction is in the "Completed" state, the server transaction
            //# MUST transition to the "Confirmed" state.
            ServerState::Completed if self.kind == Kind::Invite => {
                self.state = ServerState::Confirmed;
                self.due.clear_all();
                self.last = Bytes::new();
                self.linger(now, Timer::I, self.timers.t4);
            }
            //= rfc6026#7.1
            //# Any ACKs received from the network while in the "Accepted" state MUST be passed directly to the TU and
            //# not absorbed.
            ServerState::Accepted => {
                self.due.clear(Timer::G);
                self.last = Bytes::new();
                self.outputs.push(Output::Deliver(request));
            }
            ServerState::Trying
            | ServerState::Proceeding
            | ServerState::Completed
            | ServerState::Confirmed
            | ServerState::Terminated => {}
        }
    }

    fn respond_trying(&mut self, response: &Response) -> Responded {
        //= rfc4320#4.1
        //# An SIP element MUST NOT respond to a non-INVITE request with a Status-Code of 100 over any unreliable
        //# transport, such as UDP, before the amount of time it takes a client transaction's Timer E to be reset to T2.
        if self.reliability == Reliability::Unreliable && self.due.is_set(Timer::Trying) {
            return Responded::Withheld;
        }
        self.due.clear(Timer::Trying);
        self.state = ServerState::Proceeding;
        self.send(response);
        Responded::Sent
    }

    fn send_trying(&mut self, now: Instant) {
        self.due.clear(Timer::Trying);
        self.state = ServerState::Proceeding;
        self.last = std::mem::take(&mut self.trying);
        self.transmit_last();
        if self.kind == Kind::Invite {
            self.due.set(Timer::Patience, now, self.timers.patience());
        }
    }

    fn send(&mut self, response: &Response) {
        self.trying = Bytes::new();
        self.last = octets(response);
        self.transmit_last();
    }

    fn transmit_last(&mut self) {
        if !self.last.is_empty() {
            self.outputs.push(Output::Transmit(self.last.clone()));
        }
    }

    fn complete_invite(&mut self, now: Instant) {
        self.state = ServerState::Completed;
        self.due.set(Timer::H, now, self.timers.give_up());
        if self.reliability == Reliability::Unreliable {
            self.due.set(Timer::G, now, self.interval);
        }
    }

    fn complete_other(&mut self, now: Instant) {
        self.state = ServerState::Completed;
        self.trying = Bytes::new();
        self.due.clear_all();
        self.linger(now, Timer::J, self.timers.give_up());
    }

    /// Waits for repetitions where the transport makes them; where it does not, the wait is zero seconds.
    fn linger(&mut self, now: Instant, timer: Timer, time: Duration) {
        match self.reliability {
            Reliability::Reliable => self.terminate(),
            Reliability::Unreliable => self.due.set(timer, now, time),
        }
    }

    fn fire(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Trying => self.send_trying(now),
            Timer::G => {
                self.transmit_last();
                self.interval = self.timers.next_interval(self.interval);
                self.due.set(Timer::G, now, self.interval);
            }
            Timer::H | Timer::Patience => self.fail(Failure::Timeout),
            Timer::I | Timer::J | Timer::L => self.terminate(),
        }
    }

    fn transport_failed(&mut self) {
        match (self.kind, self.state) {
            //= rfc6026#7.1
            //# A server transaction MUST NOT discard transaction state based only on encountering a non-recoverable
            //# transport error when sending a response.
            (Kind::Invite, ServerState::Proceeding | ServerState::Completed | ServerState::Accepted) => {
                self.outputs.push(Output::Failed(Failure::Transport));
            }
            (Kind::Other, ServerState::Trying | ServerState::Proceeding | ServerState::Completed) => {
                self.fail(Failure::Transport);
            }
            (
                _,
                ServerState::Trying
                | ServerState::Confirmed
                | ServerState::Accepted
                | ServerState::Terminated,
            ) => {}
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.outputs.push(Output::Failed(failure));
        self.terminate();
    }

    fn terminate(&mut self) {
        self.state = ServerState::Terminated;
        self.due.clear_all();
        self.last = Bytes::new();
        self.trying = Bytes::new();
        self.outputs.push(Output::Terminated);
    }
}

/// The timers of table 4 that a server has, the wait before a 100, and the bound on a user that never answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    Trying,
    Patience,
    G,
    H,
    I,
    J,
    L,
}

impl TimerKind for Timer {
    const ALL: &'static [Self] = &[
        Self::Trying,
        Self::Patience,
        Self::G,
        Self::H,
        Self::I,
        Self::J,
        Self::L,
    ];

    fn index(self) -> usize {
        match self {
            Self::Trying => 0,
            Self::Patience => 1,
            Self::G => 2,
            Self::H => 3,
            Self::I => 4,
            Self::J => 5,
            Self::L => 6,
        }
    }
}

/// How long an INVITE waits for its user before a 100 stops its repetitions.
const INVITE_TRYING: Duration = Duration::from_millis(200);

fn octets(response: &Response) -> Bytes {
    let mut octets = Vec::new();
    write::response(response, &mut octets);
    // It may be kept for long: no more than it needs.
    octets.shrink_to_fit();
    Bytes::from(octets)
}

#[cfg(test)]
mod tests;
