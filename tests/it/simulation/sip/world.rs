//! The clock, what is under way, and the book of what was sent and what became of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use vestibule::limits::SipLimits;
use vestibule::sip::transaction::Reliability;
use vestibule::sip::{Host, Message, Request, Transport, Via, parse, write};

use super::super::chance::Chance;
use super::agent::{Act, Agent};
use super::edge::Edge;
use super::wire::{End, Parcel, Wire};

/// What fails in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Faults {
    None,
    /// Datagrams are lost and repeated.
    Datagrams,
    /// Connections are reset.
    Connections,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leg {
    Outside,
    Inside,
}

#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    /// Accepted by its receiver, and told as failed.
    pub(super) both: u64,
    pub(super) calls: u64,
    pub(super) lost: u64,
    pub(super) resets: u64,
}

/// What became of a message or call.
#[derive(Debug, Default)]
struct Entry {
    arrived: u32,
    is_accepted: bool,
    told: Option<Told>,
    /// A message about it was lost, or a connection broke meanwhile.
    is_hurt: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Accepted,
    Refused,
    /// Nothing came back, or the edge said that nothing did.
    Failed,
}

#[derive(Debug)]
pub(super) enum Happening {
    Parcel(Leg, Parcel),
    Act(Leg, Act),
}

#[derive(Debug)]
pub(super) struct World {
    start: Instant,
    pub(super) time: u64,
    pub(super) chance: Chance,
    due: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    number: u64,
    pub(super) wires: [Wire; 2],
    pub(super) agents: [Agent; 2],
    pub(super) edge: Edge,
    book: BTreeMap<u32, Entry>,
    /// The final answers that were seen on a leg, by who gave them and to what.
    answers: BTreeMap<(Leg, End, String), (u64, Vec<u8>)>,
    pub(super) totals: Totals,
    is_traced: bool,
    pub(super) trace: Vec<String>,
}

impl Leg {
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Outside => 0,
            Self::Inside => 1,
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::Outside => Self::Inside,
            Self::Inside => Self::Outside,
        }
    }
}

impl Totals {
    pub(super) const fn add(&mut self, more: &Self) {
        self.accepted += more.accepted;
        self.refused += more.refused;
        self.failed += more.failed;
        self.both += more.both;
        self.calls += more.calls;
        self.lost += more.lost;
        self.resets += more.resets;
    }
}

impl World {
    pub(super) fn new(faults: Faults, seed: u64, start: Instant, is_traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let wires = [Wire::new(faults, &mut chance), Wire::new(faults, &mut chance)];
        let mut this = Self {
            start,
            time: 0,
            due: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            number: 0,
            wires,
            agents: [Agent::new(Leg::Outside), Agent::new(Leg::Inside)],
            edge: Edge::new(),
            book: BTreeMap::new(),
            answers: BTreeMap::new(),
            totals: Totals::default(),
            is_traced,
            trace: Vec::new(),
            chance,
        };
        let busy = this.chance.pick(&[1, 10, 60]) * SECOND;
        for id in 1..=u32::try_from(this.chance.between(1, 12)).unwrap() {
            let leg = this.chance.pick(&[Leg::Outside, Leg::Inside]);
            let act = if this.chance.percent(50) {
                Act::Write(id)
            } else {
                Act::Call(id)
            };
            let at = this.chance.between(0, busy);
            this.after(at, Happening::Act(leg, act));
        }
        this
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        for _ in 0..MOST_STEPS {
            let heap = self.due.peek().map(|Reverse((at, _))| *at);
            let Some(next) = heap.into_iter().chain(self.timeout()).min() else {
                return self.check();
            };
            self.time = next.max(self.time);
            if heap == Some(next) {
                let Some(Reverse((_, number))) = self.due.pop() else {
                    continue;
                };
                let happening = self.happenings.remove(&number).unwrap();
                self.happen(happening);
            } else {
                self.tick();
            }
        }
        Err("it never comes to rest".to_owned())
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Act(leg, act) => self.act(leg, act),
            Happening::Parcel(leg, Parcel::Octets { flow, to, octets }) => {
                let now = self.now();
                for message in self.wires[leg.index()].receive(flow, to, &octets) {
                    let flow = self.wires[leg.index()].flow_of(flow);
                    let _received = self.table(leg, to).receive(now, flow, message);
                    self.settle(leg, to);
                }
            }
            Happening::Parcel(leg, Parcel::Reset { flow }) => {
                if !self.wires[leg.index()].reset(flow) {
                    return;
                }
                self.totals.resets += 1;
                self.note(|| format!("reset of {leg:?} {flow}"));
                for entry in self.book.values_mut().filter(|entry| entry.told.is_none()) {
                    entry.is_hurt = true;
                }
                let now = self.now();
                for end in [End::Agent, End::Edge] {
                    self.table(leg, end).flow_failed(now, flow);
                    self.settle(leg, end);
                }
            }
        }
    }

    fn table(&mut self, leg: Leg, end: End) -> &mut vestibule::sip::transaction::Transactions {
        match end {
            End::Agent => &mut self.agents[leg.index()].transactions,
            End::Edge => &mut self.edge.transactions[leg.index()],
        }
    }

    fn settle(&mut self, leg: Leg, end: End) {
        match end {
            End::Agent => self.settle_agent(leg),
            End::Edge => self.settle_edge(leg),
        }
    }

    fn timeout(&self) -> Option<u64> {
        let agents = self.agents.iter().filter_map(Agent::timeout);
        let edge = self.edge.transactions.iter().filter_map(|table| table.timeout());
        agents
            .chain(edge)
            .min()
            .map(|at| micros(at.duration_since(self.start)))
    }

    fn tick(&mut self) {
        let now = self.now();
        for leg in [Leg::Outside, Leg::Inside] {
            for end in [End::Agent, End::Edge] {
                self.table(leg, end).tick(now);
                self.settle(leg, end);
            }
            self.tick_forks(leg);
        }
    }

    /// What is due within the same microsecond is due.
    pub(super) fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.time + 1)
    }

    pub(super) fn after(&mut self, time: u64, happening: Happening) {
        self.number += 1;
        self.due.push(Reverse((self.time + time, self.number)));
        self.happenings.insert(self.number, happening);
    }

    pub(super) fn via(&mut self, leg: Leg, end: End) -> Via {
        self.number += 1;
        let host = match (leg, end) {
            (Leg::Outside, End::Agent) => "ua.out.example",
            (Leg::Inside, End::Agent) => INSIDE,
            (Leg::Outside, End::Edge) => "edge.example",
            (Leg::Inside, End::Edge) => "10.0.0.1",
        };
        let transport = match self.wires[leg.index()].reliability() {
            Reliability::Unreliable => Transport::Udp,
            Reliability::Reliable => Transport::Tcp,
        };
        Via::new(
            transport,
            Host::parse(host).unwrap(),
            None,
            &format!("z9hG4bK{}", self.number),
        )
        .unwrap()
    }

    /// Sends a request that has no transaction: the ACK of a 2xx.
    pub(super) fn send_alone(&mut self, leg: Leg, to: End, request: &Request) {
        let flow = self.wires[leg.index()].flow(&mut self.chance);
        let mut octets = Vec::new();
        write::request(request, &mut octets);
        self.send(leg, flow.id, to, &octets);
    }

    pub(super) fn send(&mut self, leg: Leg, flow: u64, to: End, octets: &[u8]) {
        let message = parse::message(octets, &SipLimits::default()).unwrap();
        if leg == Leg::Outside {
            let text = std::str::from_utf8(octets).unwrap();
            assert!(
                !text.contains(INSIDE) && !text.contains("10.0.0.1"),
                "the outside sees {text}"
            );
        }
        if let Message::Response(response) = &message {
            let (headers, status) = (response.headers(), response.status());
            if status.is_final() {
                let name = format!("{} {}", headers.top_via(), headers.cseq());
                // A CANCEL may be sent again when nobody remembers the first.
                let is_new = |(at, _): &(u64, Vec<u8>)| self.time > at + 32 * SECOND;
                let key = (leg, to, name);
                if self.answers.get(&key).is_none_or(is_new) {
                    self.answers.insert(key, (self.time, octets.to_vec()));
                } else {
                    let before = self.answers[&key].1.escape_ascii().to_string();
                    assert_eq!(before, octets.escape_ascii().to_string(), "two answers");
                }
            }
        }
        let cseq = message.headers().cseq().clone();
        self.note(|| {
            let first = octets.split(|octet| *octet == b'\r').next().unwrap_or_default();
            format!("{leg:?} {flow} to {to:?}: {} ({cseq})", first.escape_ascii())
        });
        let sent = self.wires[leg.index()].send(&mut self.chance, self.time, flow, to, octets);
        for (at, parcel) in sent {
            match parcel {
                Some(parcel) => self.after(at - self.time, Happening::Parcel(leg, parcel)),
                None => {
                    self.totals.lost += 1;
                    self.note(|| "  lost".to_owned());
                    if let Some(entry) = self.book.get_mut(&cseq.number()) {
                        entry.is_hurt = true;
                    }
                }
            }
        }
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.is_traced {
            self.trace.push(format!("{:>12} {}", self.time, line()));
        }
    }

    pub(super) fn sent(&mut self, id: u32) {
        self.book.insert(id, Entry::default());
    }

    pub(super) fn arrived(&mut self, id: u32) {
        let entry = self.book.get_mut(&id).unwrap();
        entry.arrived += 1;
        assert_eq!(entry.arrived, 1, "{id} arrives twice");
    }

    pub(super) fn accepted(&mut self, id: u32) {
        self.book.get_mut(&id).unwrap().is_accepted = true;
    }

    pub(super) fn told(&mut self, id: u32, told: Told) {
        self.note(|| format!("{id} is told {told:?}"));
        let entry = self.book.get_mut(&id).unwrap();
        assert_eq!(entry.told.replace(told), None, "{id} is told twice");
        match told {
            Told::Accepted => self.totals.accepted += 1,
            Told::Refused => self.totals.refused += 1,
            Told::Failed => self.totals.failed += 1,
        }
        assert!(
            told != Told::Accepted || entry.is_accepted,
            "{id} was accepted by nobody"
        );
    }

    fn check(&mut self) -> Result<(), String> {
        for (id, entry) in &self.book {
            let Some(told) = entry.told else {
                return Err(format!("nobody is told what became of {id}"));
            };
            if told == Told::Failed && !entry.is_hurt {
                return Err(format!("{id} failed, and nothing of it was lost"));
            }
            if entry.is_accepted && told != Told::Accepted {
                self.totals.both += 1;
                if !entry.is_hurt {
                    return Err(format!("{id} was accepted and is told {told:?}"));
                }
            }
        }
        for table in self
            .edge
            .transactions
            .iter()
            .chain(self.agents.iter().map(|agent| &agent.transactions))
        {
            if !table.is_empty() || table.timeout().is_some() {
                return Err(format!("transactions are left: {table:?}"));
            }
        }
        if self.edge.register.alive() != 0 || !self.edge.errands.is_empty() || !self.edge.relayed.is_empty() {
            return Err(format!("the edge keeps {:?}", self.edge.errands));
        }
        self.agents.iter().try_for_each(Agent::check)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

pub(super) const SECOND: u64 = 1_000_000;
pub(super) const INSIDE: &str = "10.77.66.55";
const MOST_STEPS: usize = 200_000;
