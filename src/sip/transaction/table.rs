//! All transactions of a flow, or of many: one object that owns the machines, finds the one a message belongs to, and
//! knows when the next of them wants to be called.
//!
//! It opens nothing and sends nothing. RFC 3261 §17.1.3, §17.2.3, §18.1.2, §18.2.1; RFC 6026 §8.9 (a response that
//! matches nothing is dropped).
//!
//! Invariants: at most [`SipLimits::transactions`] machines are alive in all tables of one [`Register`]; a message can reach only transactions of the flow
//! it came on, so no peer can answer, repeat or acknowledge what belongs to another; each machine is in `due` exactly
//! once if it has a timer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::event::{Event, Flow, NotStarted, Received, TransactionId};
use super::register::Place;
use super::{
    ClientInput, ClientTransaction, Key, Output, Register, Responded, ServerInput, ServerTransaction, Timers,
};
use crate::limits::SipLimits;
use crate::sip::{Message, Method, Request, Response, StatusCode, write};

/// The transactions.
///
/// After each call, `poll` until `None`; after `timeout` has come, call `tick`.
#[derive(Debug)]
pub struct Transactions {
    limit: usize,
    register: Register,
    timers: Timers,
    last_id: u64,
    alive: BTreeMap<TransactionId, Box<Entry>>,
    index: BTreeMap<(u64, Key), TransactionId>,
    due: BTreeSet<(Instant, TransactionId)>,
    events: VecDeque<Event>,
}

impl Transactions {
    /// An empty table, which shares the limit of transactions with all others of the register.
    #[must_use]
    pub const fn new(limits: &SipLimits, timers: Timers, register: Register) -> Self {
        Self {
            limit: limits.transactions,
            register,
            timers,
            last_id: 0,
            alive: BTreeMap::new(),
            index: BTreeMap::new(),
            due: BTreeSet::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes a message that came on a flow.
    pub fn receive(&mut self, now: Instant, flow: Flow, message: Message) -> Received {
        match message {
            Message::Request(request) => self.receive_request(now, flow, Box::new(request)),
            Message::Response(response) => self.receive_response(now, flow, Box::new(response)),
        }
    }

    /// Sends a request, whose top Via is ours, on a flow.
    ///
    /// # Errors
    /// [`NotStarted`]; then nothing is sent.
    pub fn request(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Request,
    ) -> Result<TransactionId, NotStarted> {
        if *request.method() == Method::Ack {
            return Err(NotStarted::Ack);
        }
        let key = Key::of_sent(request).ok_or(NotStarted::NoBranch)?;
        if self.index.contains_key(&(flow.id, key.clone())) {
            return Err(NotStarted::Duplicate);
        }
        let place = self.register.take(self.alive.len(), self.limit);
        let place = place.ok_or(NotStarted::Full(self.limit))?;
        let machine =
            ClientTransaction::new(now, request, flow.reliability, self.timers).ok_or(NotStarted::Ack)?;
        Ok(self.insert(flow, key, Machine::Client(machine), place))
    }

    /// Answers a request that came as [`Event::Request`].
    pub fn respond(&mut self, now: Instant, transaction: TransactionId, response: &Response) -> Responded {
        self.respond_as(transaction, response, |machine| machine.respond(now, response))
    }

    /// Forgets a request that came as [`Event::Request`] and that nobody answers.
    pub fn abandon(&mut self, transaction: TransactionId) {
        let machine = self.alive.get_mut(&transaction).map(|entry| &mut entry.machine);
        if let Some(Machine::Server(machine)) = machine {
            machine.abandon();
        }
        self.settle(transaction);
    }

    /// The same as a user agent, whose 2xx to INVITE is repeated until its ACK comes ([`ServerTransaction::answer`]).
    pub fn answer(&mut self, now: Instant, transaction: TransactionId, response: &Response) -> Responded {
        self.respond_as(transaction, response, |machine| machine.answer(now, response))
    }

    fn respond_as(
        &mut self,
        transaction: TransactionId,
        response: &Response,
        give: impl FnOnce(&mut ServerTransaction) -> Responded,
    ) -> Responded {
        let Some(entry) = self.alive.get_mut(&transaction) else {
            return Responded::TooLate;
        };
        let Machine::Server(machine) = &mut entry.machine else {
            return Responded::TooLate;
        };
        let responded = give(machine);
        if responded == Responded::Sent
            && response.status().is_final()
            && entry.alias.is_none()
            && let Some(alias) = entry.key.acknowledged_with(response.headers().to().tag())
        {
            self.index.insert((entry.flow, alias.clone()), transaction);
            entry.alias = Some(alias);
        }
        self.settle(transaction);
        responded
    }

    /// Tells every transaction on a flow that the flow is gone.
    pub fn flow_failed(&mut self, now: Instant, flow: u64) {
        let from = (flow, Key::least());
        let told: BTreeSet<TransactionId> = self
            .index
            .range(from..)
            .take_while(|((on, _), _)| *on == flow)
            .map(|(_, transaction)| *transaction)
            .collect();
        for transaction in told {
            self.send_failed(now, transaction);
        }
    }

    /// Tells one transaction that what it sent last could not be sent.
    pub fn send_failed(&mut self, now: Instant, transaction: TransactionId) {
        if let Some(entry) = self.alive.get_mut(&transaction) {
            match &mut entry.machine {
                Machine::Client(machine) => machine.handle(now, ClientInput::TransportFailed),
                Machine::Server(machine) => machine.handle(now, ServerInput::TransportFailed),
            }
            self.settle(transaction);
        }
    }

    /// Fires the timers that are due at `now`.
    pub fn tick(&mut self, now: Instant) {
        while let Some((_, transaction)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            let Some(entry) = self.alive.get_mut(&transaction) else {
                self.due.pop_first();
                continue;
            };
            match &mut entry.machine {
                Machine::Client(machine) => machine.handle(now, ClientInput::Timer),
                Machine::Server(machine) => machine.handle(now, ServerInput::Timer),
            }
            self.settle(transaction);
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Transactions::tick`] is next of use.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many transactions are alive.
    #[must_use]
    pub fn len(&self) -> usize {
        self.alive.len()
    }

    /// Whether none is alive.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    fn receive_request(&mut self, now: Instant, flow: Flow, request: Box<Request>) -> Received {
        let key = Key::of_received(&request);
        let found = self.index.get(&(flow.id, key.clone())).copied();
        if let Some(transaction) = found
            && let Some(entry) = self.alive.get_mut(&transaction)
            && let Machine::Server(machine) = &mut entry.machine
        {
            let input = if *request.method() == Method::Ack {
                ServerInput::Ack(request)
            } else {
                ServerInput::Repeated
            };
            machine.handle(now, input);
            self.settle(transaction);
            return Received::Matched;
        }
        if *request.method() == Method::Ack {
            self.events.push_back(Event::Acknowledged {
                transaction: None,
                flow: flow.id,
                request,
            });
            return Received::New;
        }
        let Some(place) = self.register.take(self.alive.len(), self.limit) else {
            self.refuse(flow, &key, &request);
            return Received::Refused;
        };
        let Some(machine) = ServerTransaction::new(now, &request, flow.reliability, self.timers) else {
            return Received::Stray;
        };
        let cancels = (*request.method() == Method::Cancel)
            .then(|| self.cancelled(flow, &request))
            .flatten();
        let transaction = self.insert(flow, key, Machine::Server(machine), place);
        self.events.push_back(Event::Request {
            transaction,
            flow: flow.id,
            request,
            cancels,
        });
        Received::New
    }

    fn receive_response(&mut self, now: Instant, flow: Flow, response: Box<Response>) -> Received {
        let found = Key::of_response(&response).and_then(|key| self.index.get(&(flow.id, key)).copied());
        if let Some(transaction) = found
            && let Some(entry) = self.alive.get_mut(&transaction)
            && let Machine::Client(machine) = &mut entry.machine
        {
            machine.handle(now, ClientInput::Response(response));
            self.settle(transaction);
            return Received::Matched;
        }
        //= rfc6026#8.9
        //# Otherwise, any element other than a stateless proxy MUST silently discard the response.
        Received::Stray
    }

    /// The transaction that a CANCEL is about, whatever its method.
    //
    //= rfc3261#9.2
    //# The TU of the server identifies the transaction it is to cancel by applying the procedures of Section 17.2.3
    //# assuming the request method is anything but CANCEL or ACK, and using the transport.
    fn cancelled(&self, flow: Flow, request: &Request) -> Option<TransactionId> {
        let from = Key::before_all_methods(request);
        let others = self.index.range((flow.id, from.clone())..);
        others
            .take_while(|((on, key), _)| *on == flow.id && key.is_of(&from))
            .find(|((_, key), _)| !key.is_of_cancel())
            .map(|(_, transaction)| *transaction)
    }

    /// The To tag of the answers that are given to a request here, so that all about it have the same.
    #[must_use]
    pub fn to_tag(&self, transaction: TransactionId) -> Option<String> {
        self.alive
            .get(&transaction)
            .map(|entry| entry.key.stateless_tag())
    }

    /// Answers 503 without a transaction: a repetition of the request gets the same answer (RFC 3261 §8.2.7).
    fn refuse(&mut self, flow: Flow, key: &Key, request: &Request) {
        let mut response = request.response(
            StatusCode::SERVICE_UNAVAILABLE,
            "Service Unavailable",
            Some(&key.stateless_tag()),
        );
        // Digits are a clean value, so this cannot fail.
        let _ = response
            .headers_mut()
            .push("Retry-After", &RETRY_AFTER.as_secs().to_string());
        let mut octets = Vec::new();
        write::response(&response, &mut octets);
        self.events.push_back(Event::Transmit {
            flow: flow.id,
            transaction: None,
            octets: Bytes::from(octets),
        });
    }

    fn insert(&mut self, flow: Flow, key: Key, machine: Machine, place: Place) -> TransactionId {
        self.last_id = self.last_id.saturating_add(1);
        let transaction = TransactionId::new(self.last_id);
        self.index.insert((flow.id, key.clone()), transaction);
        let entry = Entry {
            flow: flow.id,
            key,
            alias: None,
            due: None,
            machine,
            _place: place,
        };
        self.alive.insert(transaction, Box::new(entry));
        self.settle(transaction);
        transaction
    }

    /// Takes what a machine has to say, forgets it if it is over, and notes when it wants to be called next.
    fn settle(&mut self, transaction: TransactionId) {
        let Some(entry) = self.alive.get_mut(&transaction) else {
            return;
        };
        let over = entry.drain(transaction, &mut self.events);
        let due = if over { None } else { entry.machine.timeout() };
        if entry.due != due {
            if let Some(at) = entry.due {
                self.due.remove(&(at, transaction));
            }
            if let Some(at) = due {
                self.due.insert((at, transaction));
            }
            entry.due = due;
        }
        if over && let Some(entry) = self.alive.remove(&transaction) {
            self.index.remove(&(entry.flow, entry.key));
            if let Some(alias) = entry.alias {
                self.index.remove(&(entry.flow, alias));
            }
        }
    }
}

/// How long a peer is asked to stay away when all transactions are taken: about as long as a lost one holds its place.
const RETRY_AFTER: Duration = Duration::from_secs(32);

#[derive(Debug)]
struct Entry {
    flow: u64,
    key: Key,
    alias: Option<Key>,
    due: Option<Instant>,
    machine: Machine,
    _place: Place,
}

#[derive(Debug)]
enum Machine {
    Client(ClientTransaction),
    Server(ServerTransaction),
}

impl Machine {
    fn timeout(&self) -> Option<Instant> {
        match self {
            Self::Client(machine) => machine.timeout(),
            Self::Server(machine) => machine.timeout(),
        }
    }
}

impl Entry {
    /// Moves the machine's outputs to the events; says whether the machine is over.
    fn drain(&mut self, transaction: TransactionId, events: &mut VecDeque<Event>) -> bool {
        let flow = self.flow;
        let mut over = false;
        loop {
            let event = match &mut self.machine {
                Machine::Client(machine) => machine.poll().map(|output| {
                    event(flow, transaction, output, |response| Event::Response {
                        transaction,
                        response,
                    })
                }),
                Machine::Server(machine) => machine.poll().map(|output| {
                    event(flow, transaction, output, |request| Event::Acknowledged {
                        transaction: Some(transaction),
                        flow,
                        request,
                    })
                }),
            };
            let Some(event) = event else {
                return over;
            };
            over |= matches!(event, Event::Terminated { .. });
            events.push_back(event);
        }
    }
}

fn event<M>(
    flow: u64,
    transaction: TransactionId,
    output: Output<M>,
    deliver: impl FnOnce(Box<M>) -> Event,
) -> Event {
    match output {
        Output::Transmit(octets) => Event::Transmit {
            flow,
            transaction: Some(transaction),
            octets,
        },
        Output::Deliver(message) => deliver(message),
        Output::Failed(failure) => Event::Failed { transaction, failure },
        Output::Terminated => Event::Terminated { transaction },
    }
}

#[cfg(test)]
mod tests;
