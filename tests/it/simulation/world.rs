//! The whole of it: hosts, connections, faults, and one queue of what is to come.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use vestibule::xmpp::error::StanzaError;
use vestibule::xmpp::stanza::{Kind, MessageType};
use vestibule::xmpp::stream::Event;
use vestibule::xmpp::{Jid, Stanza, ns};

use super::chance::Chance;
use super::edge::Edge;
use super::ledger::Ledger;
use super::network::{Connection, Host, LinkName, Owner, Place, Segment};
use super::plan::{Faults, Happening, Plan, SECOND};
use super::server::Server;

pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) plan: Plan,
    start: Instant,
    /// Microseconds since the start.
    pub(super) time: u64,
    coming: BTreeMap<(u64, u64), Coming>,
    number: u64,
    /// What is to be done at this very time.
    pub(super) todo: VecDeque<Work>,
    pub(super) connections: Vec<Connection>,
    pub(super) edges: Vec<Edge>,
    pub(super) servers: Vec<Server>,
    pub(super) ledger: Ledger,
    /// Whether connections still break.
    pub(super) is_hostile: bool,
    trace: Option<Vec<String>>,
}

/// What comes at its time.
#[derive(Debug)]
pub(super) enum Coming {
    /// A portion of what one end wrote arrives at the other.
    Arrival(Place),
    /// A connection is made or refused.
    Dialed(Dial),
    /// A gateway takes what waits for it.
    Shard {
        edge: usize,
        shard: usize,
        life: u64,
    },
    Happens(Happening),
    Back(Host),
    /// A server that waited after a failure goes on.
    ServerGoesOn(usize),
    /// What a closing end could not write by now is not written.
    Farewell(Place),
}

/// Something to be done at once, after what is being done.
#[derive(Debug)]
pub(super) enum Work {
    Event(Place, Event),
    /// The stream is over for its owner.
    Ended(Place),
    /// A link looks at what it can do.
    Link(usize, LinkName),
    Server(usize),
}

/// A connection that is to be made.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) owner: Owner,
    pub(super) to: Host,
    /// The listener, where it is an edge's.
    pub(super) outside: bool,
    pub(super) purpose: vestibule::xmpp::stream::Purpose,
    /// The life of the host that dials.
    pub(super) life: u64,
}

impl World {
    pub(super) fn new(faults: Faults, seed: u64, start: Instant, traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::new(faults, &mut chance);
        let edges = (0..2)
            .map(|number| Edge::new(number, &plan, &mut chance))
            .collect();
        let servers = (0..2).map(Server::new).collect();
        Self {
            chance,
            plan,
            start,
            time: 0,
            coming: BTreeMap::new(),
            number: 0,
            todo: VecDeque::new(),
            connections: Vec::new(),
            edges,
            servers,
            ledger: Ledger::default(),
            is_hostile: true,
            trace: traced.then(Vec::new),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.time)
    }

    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!(
                "{:>12.6} {}",
                Duration::from_micros(self.time).as_secs_f64(),
                text()
            ));
        }
    }

    pub(super) fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    pub(super) fn later(&mut self, after: u64, coming: Coming) {
        self.number += 1;
        self.coming.insert((self.time + after, self.number), coming);
    }

    /// Lets everything happen, and then nothing any more.
    pub(super) fn run(&mut self) -> Result<(), String> {
        for (at, happening) in std::mem::take(&mut self.plan.schedule) {
            self.later(at, Coming::Happens(happening));
        }
        self.run_until(self.plan.busy_until)?;
        self.is_hostile = false;
        for connection in &mut self.connections {
            connection.reset_after = None;
        }
        // Down times, stalls, pauses, and the time that a message may wait.
        self.run_until(self.time + 200 * SECOND)?;
        self.rests()?;
        self.ledger.settle();
        if let Some(fault) = self.ledger.faults.first() {
            return Err(fault.clone());
        }
        self.run_until(self.time + 2_000 * SECOND)?;
        self.is_silent()
    }

    fn run_until(&mut self, end: u64) -> Result<(), String> {
        for steps in 0_u64.. {
            self.work();
            if let Some(fault) = self.ledger.faults.first() {
                return Err(fault.clone());
            }
            if steps > 400_000 {
                return Err("it never comes to rest".to_owned());
            }
            let timer = self.timeout();
            let next = self.coming.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = [timer, next].into_iter().flatten().min().filter(|at| *at <= end) else {
                break;
            };
            self.time = self.time.max(at);
            if next == Some(at)
                && let Some((_, coming)) = self.coming.pop_first()
            {
                self.come(coming);
            } else {
                self.tick();
            }
        }
        self.time = end;
        Ok(())
    }

    fn work(&mut self) {
        while let Some(work) = self.todo.pop_front() {
            match work {
                Work::Event(place, event) => self.happened(place, event),
                Work::Ended(place) => self.ended(place),
                Work::Link(edge, link) => self.act(edge, &link),
                Work::Server(server) => self.serve(server),
            }
        }
    }

    fn come(&mut self, coming: Coming) {
        match coming {
            Coming::Arrival(place) => self.arrive(place),
            Coming::Dialed(dial) => self.connect(dial),
            Coming::Shard { edge, shard, life } => self.run_shard(edge, shard, life),
            Coming::Happens(happening) => self.happen(happening),
            Coming::Back(host) => self.back(host),
            Coming::ServerGoesOn(server) => {
                self.servers[server].paused = false;
                self.todo.push_back(Work::Server(server));
            }
            Coming::Farewell(place) => {
                if !self.end(place).has_ended {
                    self.reset(place.0);
                }
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Message { server, from, to } => self.say(server, &from, &to),
            Happening::Kill { host, down } => self.kill(host, down),
            Happening::Reset => {
                if let Some(connection) = self.any_connection() {
                    self.note(|| format!("connection {connection} is reset"));
                    self.reset(connection);
                }
            }
            Happening::Stall { time } => {
                if let Some(connection) = self.any_connection() {
                    self.note(|| format!("connection {connection} stalls for {time}"));
                    self.connections[connection].stalled_until = self.time + time;
                }
            }
        }
    }

    fn any_connection(&mut self) -> Option<usize> {
        let alive: Vec<_> = (0..self.connections.len())
            .filter(|number| !self.connections[*number].is_dead)
            .collect();
        (!alive.is_empty()).then(|| self.chance.pick(&alive))
    }

    fn say(&mut self, server: usize, from: &str, to: &str) {
        if !self.servers[server].is_up {
            return;
        }
        let id = format!("m{}", self.ledger.messages.len());
        let from = Jid::parse(&format!("{from}@{}", super::domain(server))).unwrap();
        let to = Jid::parse(&format!("{to}@{}", super::domain(1 - server))).unwrap();
        self.ledger.sent(&id, &from.to_string(), &to.to_string());
        self.note(|| format!("{id} from {from} to {to}"));
        let body = vestibule::xml::Element::new("body", ns::STANZA).with_text(&id);
        let stanza = Stanza::new(Kind::Message(MessageType::Chat), from, to)
            .with_id(&id)
            .with_child(body);
        self.servers[server].queue.push_back(stanza);
        self.todo.push_back(Work::Server(server));
    }

    /// A host stops at once, and its connections with it.
    fn kill(&mut self, host: Host, down: u64) {
        let is_up = match host {
            Host::Edge(edge) => self.edges[edge].is_up,
            Host::Server(server) => self.servers[server].is_up,
        };
        if !is_up {
            return;
        }
        self.note(|| format!("{host:?} is killed for {down}"));
        self.ledger.totals.kills += 1;
        match host {
            Host::Edge(edge) => {
                self.ledger.killed(edge);
                self.edges[edge].is_up = false;
            }
            Host::Server(server) => {
                self.servers[server].is_up = false;
                // What its users had not sent yet is the server's own to answer for.
                self.servers[server].queue.clear();
            }
        }
        for number in 0..self.connections.len() {
            if self.connections[number].ends.iter().any(|end| end.host() == host) {
                self.reset(number);
            }
        }
        self.later(down, Coming::Back(host));
    }

    fn back(&mut self, host: Host) {
        self.note(|| format!("{host:?} is back"));
        // Whatever happened to its connections was news for the one before.
        self.work();
        match host {
            Host::Edge(number) => {
                let life = self.edges[number].life + 1;
                self.edges[number] = Edge::new(number, &self.plan, &mut self.chance);
                self.edges[number].life = life;
            }
            Host::Server(number) => {
                let life = self.servers[number].life + 1;
                self.servers[number] = Server::new(number);
                self.servers[number].life = life;
            }
        }
    }

    pub(super) fn is_alive(&self, host: Host) -> bool {
        match host {
            Host::Edge(edge) => self.edges[edge].is_up,
            Host::Server(server) => self.servers[server].is_up,
        }
    }

    fn timeout(&self) -> Option<u64> {
        let ends = self
            .connections
            .iter()
            .filter(|connection| !connection.is_dead)
            .flat_map(|connection| &connection.ends)
            .filter_map(|end| end.machine.timeout());
        let edges = self
            .edges
            .iter()
            .filter(|edge| edge.is_up)
            .filter_map(Edge::timeout);
        let next = ends.chain(edges).min()?;
        let micros = next
            .saturating_duration_since(self.start)
            .as_nanos()
            .div_ceil(1_000);
        u64::try_from(micros).ok()
    }

    /// Tells the time to whom it concerns.
    fn tick(&mut self) {
        let now = self.now();
        for number in 0..self.connections.len() {
            for end in 0..2 {
                let due = |it: &Connection| it.ends[end].machine.timeout().is_some_and(|at| at <= now);
                if !self.connections[number].is_dead && due(&self.connections[number]) {
                    self.feed((number, end), vestibule::xmpp::stream::Input::Timer);
                }
            }
        }
        for edge in 0..self.edges.len() {
            if self.edges[edge].is_up {
                self.tick_edge(edge);
            }
        }
    }

    /// After a while without faults nothing is under way any more.
    fn rests(&self) -> Result<(), String> {
        for edge in &self.edges {
            edge.rests()?;
        }
        for server in &self.servers {
            if !server.queue.is_empty() {
                return Err(format!("server {} still holds {:?}", server.number, server.queue));
            }
        }
        for (number, connection) in self.connections.iter().enumerate() {
            let holds = |end: &super::network::End| {
                end.out
                    .iter()
                    .chain(&end.wire)
                    .any(|it| matches!(it, Segment::Octets(_)))
            };
            if !connection.is_dead && connection.ends.iter().any(holds) {
                let ends = connection
                    .ends
                    .each_ref()
                    .map(|end| (&end.out, &end.wire, end.is_closing));
                return Err(format!("something is still on connection {number}: {ends:?}"));
            }
            let stuck =
                |end: &super::network::End| !end.is_authenticated && !end.has_ended && !end.is_closing;
            if !connection.is_dead && connection.ends.iter().any(stuck) {
                return Err(format!(
                    "connection {number} is neither authenticated nor given up"
                ));
            }
        }
        Ok(())
    }

    /// After a long while without traffic streams are closed and links have ended.
    fn is_silent(&self) -> Result<(), String> {
        let alive: Vec<_> = self
            .connections
            .iter()
            .filter(|connection| !connection.is_dead)
            .map(|connection| &connection.ends[0].owner)
            .collect();
        if !alive.is_empty() {
            return Err(format!("idle connections stay open: {alive:?}"));
        }
        match self.edges.iter().find(|edge| !edge.links.is_empty()) {
            Some(edge) => Err(format!("idle links stay: {:?}", edge.links.keys())),
            None => Ok(()),
        }
    }
}

pub(super) fn error_about(stanza: &Stanza) -> Option<Stanza> {
    stanza.error_reply(&StanzaError::new(
        vestibule::xmpp::error::Condition::ServiceUnavailable,
    ))
}
