//! The client side of a transaction: sends a request until an answer comes, and acknowledges a refused INVITE.
//!
//! There is none for ACK: an ACK to a 2xx goes to the transport at once (RFC 3261 §17.1).
//! RFC 3261 §17.1 (figures 5 and 6), figure 5 as in RFC 6026.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Failure, Kind, Outbox, Output, Reliability, Timers};
use crate::clock::{TimerKind, TimerTable};
use crate::sip::{Mandatory, Method, NameAddr, Request, Response, write};

/// A client transaction.
///
/// `poll` gives outputs until `None`; poll again after each `handle`, and after [`ClientTransaction::new`], whose
/// first output is the request itself.
#[derive(Debug)]
pub struct ClientTransaction {
    state: ClientState,
    request: Bytes,
    acknowledgement: Acknowledgement,
    reliability: Reliability,
    timers: Timers,
    due: TimerTable<Timer, 8>,
    interval: Duration,
    outputs: Outbox<Response>,
}

/// What happens to a client transaction.
#[derive(Debug)]
pub enum ClientInput {
    /// A response that matches it ([`super::Key`]).
    Response(Box<Response>),
    /// Something it sent could not be sent, or its flow broke.
    TransportFailed,
    /// [`ClientTransaction::timeout`] has come.
    Timer,
}

/// The states of figures 5 and 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    /// INVITE sent, nothing heard.
    Calling,
    /// Another request sent, nothing heard.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came (for INVITE: 300 to 699); its repetitions are absorbed.
    Completed,
    /// A 2xx to INVITE came; further 2xx of the same INVITE are handed up (RFC 6026).
    Accepted,
    /// Over.
    Terminated,
}

impl ClientTransaction {
    /// Starts a transaction for a request whose top Via and route are those that go out. For a request with method
    /// ACK there is no transaction: `None`.
    #[must_use]
    pub fn new(now: Instant, request: &Request, reliability: Reliability, timers: Timers) -> Option<Self> {
        let (state, acknowledgement) = match Kind::of(request.method())? {
            Kind::Invite => (
                ClientState::Calling,
                Acknowledgement::Prepared(octets(&acknowledgement(request))),
            ),
            Kind::Other => (ClientState::Trying, Acknowledgement::None),
        };
        let octets = octets(request);
        let mut this = Self {
            state,
            request: Bytes::new(),
            acknowledgement,
            reliability,
            timers,
            due: TimerTable::new(),
            interval: timers.t1,
            outputs: Outbox::new(),
        };
        let (again, give_up) = this.sending_timers();
        //= rfc3261#17.1.1.2
        //# If an unreliable transport is being used, the client transaction MUST start timer A with a value of T1.
        if reliability == Reliability::Unreliable {
            this.request = octets.clone();
            this.due.set(again, now, timers.t1);
        }
        //= rfc3261#17.1.1.2
        //# For any transport, the client transaction MUST start timer B with a value of 64*T1 seconds
        this.due.set(give_up, now, timers.give_up());
        this.outputs.push(Output::Transmit(octets));
        Some(this)
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Instant, input: ClientInput) {
        match input {
            ClientInput::Response(response) => self.receive(now, response),
            ClientInput::TransportFailed => self.transport_failed(),
            ClientInput::Timer => {
                while let Some(timer) = self.due.expired(now) {
                    self.fire(now, timer);
                }
            }
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output<Response>> {
        self.outputs.pop()
    }

    /// When [`ClientInput::Timer`] is next of use.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.due.next()
    }

    /// Where in figure 5 or 6 it stands.
    #[must_use]
    pub const fn state(&self) -> ClientState {
        self.state
    }

    fn receive(&mut self, now: Instant, response: Box<Response>) {
        let class = Class::of(&response);
        match (self.state, class) {
            (ClientState::Calling | ClientState::Trying | ClientState::Proceeding, Class::Provisional) => {
                self.proceed(now, &response);
                self.outputs.push(Output::Deliver(response));
            }
            (ClientState::Calling | ClientState::Trying | ClientState::Proceeding, _) => {
                self.finish(now, class, response);
            }
            //= rfc6026#8.4
            //# Any 2xx responses that match this client transaction and that are received while in the "Accepted"
            //# state MUST be passed up to the TU.
            (ClientState::Accepted, Class::Success) => self.outputs.push(Output::Deliver(response)),
            //= rfc3261#17.1.1.2
            //# Any retransmissions of the final response that are received while in the "Completed" state MUST cause
            //# the ACK to be re-passed to the transport layer for retransmission
            (ClientState::Completed, Class::Refusal) => {
                if let Acknowledgement::Sent(octets) = &self.acknowledgement {
                    self.outputs.push(Output::Transmit(octets.clone()));
                }
            }
            (ClientState::Completed | ClientState::Accepted | ClientState::Terminated, _) => {}
        }
    }

    fn proceed(&mut self, now: Instant, response: &Response) {
        if self.is_invite() {
            // Timer C is a proxy's; without it a callee that rings for ever would hold the transaction for ever.
            if self.state == ClientState::Calling || response.status().code() > 100 {
                self.due.set(Timer::C, now, self.timers.c);
            }
            self.due.clear(Timer::A);
            self.due.clear(Timer::B);
            self.request = Bytes::new();
        }
        self.state = ClientState::Proceeding;
    }

    fn finish(&mut self, now: Instant, class: Class, response: Box<Response>) {
        self.due.clear_all();
        self.request = Bytes::new();
        if !self.is_invite() {
            self.state = ClientState::Completed;
            self.outputs.push(Output::Deliver(response));
            self.linger(now, Timer::K, self.timers.t4);
            return;
        }
        match class {
            //= rfc6026#8.4
            //# the client transaction MUST transition to the "Accepted" state, and Timer M MUST be started with a
            //# value of 64*T1.
            Class::Provisional | Class::Success => {
                self.state = ClientState::Accepted;
                self.acknowledgement = Acknowledgement::NotOurs;
                self.due.set(Timer::M, now, self.timers.give_up());
                self.outputs.push(Output::Deliver(response));
            }
            //= rfc3261#17.1.1.2
            //# the client transaction MUST generate an ACK request, even if the transport is reliable
            Class::Refusal => {
                self.state = ClientState::Completed;
                self.acknowledge(&response);
                self.outputs.push(Output::Deliver(response));
                self.linger(now, Timer::D, TIMER_D);
            }
        }
    }

    /// Builds the ACK of RFC 3261 §17.1.1.3 from what was kept of the INVITE and the To of the response.
    fn acknowledge(&mut self, response: &Response) {
        if let Acknowledgement::Prepared(prepared) = &self.acknowledgement {
            //= rfc3261#17.1.1.3
            //# The To header field in the ACK MUST equal the To header field in the response being acknowledged
            let octets = with_to(prepared, response.headers().to());
            self.outputs.push(Output::Transmit(octets.clone()));
            self.acknowledgement = Acknowledgement::Sent(octets);
        }
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
            Timer::A => {
                self.outputs.push(Output::Transmit(self.request.clone()));
                self.interval = self.interval.saturating_mul(2);
                self.due.set(Timer::A, now, self.interval);
            }
            Timer::E => {
                self.outputs.push(Output::Transmit(self.request.clone()));
                //= rfc3261#17.1.2.2
                //# If Timer E fires while in the "Proceeding" state, the request MUST be passed to the transport
                //# layer for retransmission, and Timer E MUST be reset with a value of T2 seconds.
                self.interval = if self.state == ClientState::Proceeding {
                    self.timers.t2
                } else {
                    self.timers.next_interval(self.interval)
                };
                self.due.set(Timer::E, now, self.interval);
            }
            Timer::B | Timer::C | Timer::F => self.fail(Failure::Timeout),
            Timer::D | Timer::K | Timer::M => self.terminate(),
        }
    }

    fn transport_failed(&mut self) {
        match self.state {
            ClientState::Calling | ClientState::Trying | ClientState::Proceeding => {
                self.fail(Failure::Transport);
            }
            ClientState::Completed if self.is_invite() => self.fail(Failure::Transport),
            // The final response is delivered, and nothing is left to send.
            ClientState::Completed | ClientState::Accepted => self.terminate(),
            ClientState::Terminated => {}
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.outputs.push(Output::Failed(failure));
        self.terminate();
    }

    fn terminate(&mut self) {
        self.state = ClientState::Terminated;
        self.due.clear_all();
        self.request = Bytes::new();
        self.outputs.push(Output::Terminated);
    }

    const fn is_invite(&self) -> bool {
        !matches!(self.acknowledgement, Acknowledgement::None)
    }

    const fn sending_timers(&self) -> (Timer, Timer) {
        if self.is_invite() {
            (Timer::A, Timer::B)
        } else {
            (Timer::E, Timer::F)
        }
    }
}

/// The ACK of an INVITE transaction, through its life.
#[derive(Debug)]
enum Acknowledgement {
    /// Not an INVITE.
    None,
    /// What RFC 3261 §17.1.1.3 takes from the INVITE, as it is written, which takes a third of the memory; To comes with
    /// the response.
    Prepared(Bytes),
    /// What was sent, and is sent again for each repetition of the response.
    Sent(Bytes),
    /// The INVITE was accepted: its ACK is the user's.
    NotOurs,
}

//= rfc3261#17.1.1.3
//# The ACK request constructed by the client transaction MUST contain values for the Call-ID, From, and Request-URI that
//# are equal to the values of those header fields in the request passed to the transport by the client transaction
//= rfc3261#17.1.1.3
//# The ACK MUST contain a single Via header field, and this MUST be equal to the top Via header field of the original
//# request.
fn acknowledgement(invite: &Request) -> Request {
    let headers = invite.headers();
    let mandatory = Mandatory {
        via: headers.top_via().clone(),
        from: headers.from().clone(),
        to: headers.to().clone(),
        call_id: headers.call_id().clone(),
        sequence: headers.cseq().number(),
    };
    Request::new(Method::Ack, invite.uri().clone(), mandatory).with_route(headers.route().clone())
}

/// A request of ours with another To: its line is the one that begins so, as no value holds a line break.
fn with_to(request: &Bytes, to: &NameAddr) -> Bytes {
    let mut octets = Vec::with_capacity(request.len().saturating_add(64));
    for line in request.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(TO) {
            octets.extend_from_slice(TO);
            octets.extend_from_slice(to.to_string().as_bytes());
            octets.extend_from_slice(b"\r\n");
        } else {
            octets.extend_from_slice(line);
        }
    }
    Bytes::from(octets)
}

fn octets(request: &Request) -> Bytes {
    let mut octets = Vec::new();
    write::request(request, &mut octets);
    // A transaction may be open for long: no more than it needs.
    octets.shrink_to_fit();
    Bytes::from(octets)
}

/// What the status of a response means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Provisional,
    Success,
    Refusal,
}

impl Class {
    fn of(response: &Response) -> Self {
        match response.status().code() {
            ..200 => Self::Provisional,
            200..300 => Self::Success,
            300.. => Self::Refusal,
        }
    }
}

/// The timers of table 4 that a client has, and timer C as the bound of Proceeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    A,
    B,
    C,
    D,
    E,
    F,
    K,
    M,
}

impl TimerKind for Timer {
    const ALL: &'static [Self] = &[
        Self::A,
        Self::B,
        Self::C,
        Self::D,
        Self::E,
        Self::F,
        Self::K,
        Self::M,
    ];

    fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
            Self::C => 2,
            Self::D => 3,
            Self::E => 4,
            Self::F => 5,
            Self::K => 6,
            Self::M => 7,
        }
    }
}

/// As the writer begins it.
const TO: &[u8] = b"To: ";

/// At least 32 s, not counted from our T1: it is the server's T1 that says how long it repeats a response.
const TIMER_D: Duration = Duration::from_secs(32);

#[cfg(test)]
mod tests;
