//! An edge, made of the machines that the network floor drives: the border, gateways, links, and streams on both sides.
//! What joins them here does what that floor does, step by step, without its sockets and tasks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use vestibule::domain::{Domain, DomainPattern};
use vestibule::gateway::link::{self, Evidence, Far, Farewell, Fate, XmppLink};
use vestibule::gateway::{
    AdmittedStanza, AnswerIds, Border, Conduct, Gateway, Input, Link, Outcome, Output, Speaker, Token, Trace,
    Translation, Trouble, pair_of,
};
use vestibule::interwork::passage::Mark;
use vestibule::limits::Limits;
use vestibule::policy::{Action, RuleSet, Rules, Source};
use vestibule::route::{self, Federated, Local, Node, Nodes, Role, Side, Table};
use vestibule::sip::Date;
use vestibule::xmpp::Stanza;
use vestibule::xmpp::stanza::{IqType, Kind, MessageType};
use vestibule::xmpp::stream::{Event, Input as StreamInput, Purpose};

use super::chance::Chance;
use super::domain;
use super::network::{Host, LinkName, Owner, Place};
use super::plan::Plan;
use super::world::{Coming, Work, World};

#[derive(Debug)]
pub(super) struct Edge {
    pub(super) is_up: bool,
    pub(super) life: u64,
    border: Border,
    ids: AnswerIds,
    shards: Vec<Shard>,
    pub(super) links: BTreeMap<LinkName, EdgeLink>,
    limits: Limits,
    /// By its trace, which message it is.
    traces: BTreeMap<u64, String>,
}

#[derive(Debug)]
struct Shard {
    gateway: Gateway<()>,
    inbox: VecDeque<Input<()>>,
    is_awake: bool,
}

#[derive(Debug)]
pub(super) struct EdgeLink {
    machine: XmppLink,
    queue: VecDeque<link::Letter>,
    pub(super) stream: Option<Place>,
    is_open: bool,
}

impl Edge {
    pub(super) fn new(number: usize, plan: &Plan, chance: &mut Chance) -> Self {
        let mut limits = Limits::default();
        limits.xmpp.queued_stanzas = plan.queue;
        let ids = AnswerIds::new(chance.next());
        let name = Domain::parse("edge.example").unwrap();
        let speaker = Speaker::new(ids.clone(), name.clone(), "", [7; 32]);
        let shards = (0..plan.shards)
            .map(|shard| Shard {
                gateway: Gateway::new(shard, limits.gateway.clone(), &speaker),
                inbox: VecDeque::new(),
                is_awake: false,
            })
            .collect();
        Self {
            is_up: true,
            life: 0,
            border: border(name, number, &limits),
            ids,
            shards,
            links: BTreeMap::new(),
            limits,
            traces: BTreeMap::new(),
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let gateways = self.shards.iter().filter_map(|shard| shard.gateway.timeout());
        let links = self.links.values().filter_map(|link| link.machine.timeout());
        gateways.chain(links).min()
    }

    pub(super) fn rests(&self) -> Result<(), String> {
        for shard in &self.shards {
            if shard.gateway.waiting() + shard.gateway.telling() > 0 || !shard.inbox.is_empty() {
                return Err(format!("a gateway still waits: {:?}", shard.gateway));
            }
        }
        match self.links.iter().find(|(_, link)| !link.queue.is_empty()) {
            Some((name, link)) => Err(format!(
                "the link {name:?} still holds {} letters",
                link.queue.len()
            )),
            None => Ok(()),
        }
    }
}

impl World {
    pub(super) fn tick_edge(&mut self, number: usize) {
        let now = self.now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        for shard in 0..self.edges[number].shards.len() {
            if is_due(self.edges[number].shards[shard].gateway.timeout()) {
                self.edges[number].shards[shard].gateway.handle(now, Input::Tick);
                self.drain(number, shard);
            }
        }
        let names: Vec<_> = self.edges[number].links.keys().cloned().collect();
        for name in names {
            let link = self.edges[number].links.get_mut(&name).unwrap();
            if is_due(link.machine.timeout()) {
                link.machine.handle(now, link::Input::Timer);
                self.act(number, &name);
            }
        }
    }

    /// A stanza of a proven pair.
    pub(super) fn take(&mut self, number: usize, outside: bool, stanza: Stanza) {
        let edge = &mut self.edges[number];
        let is_answer = matches!(
            stanza.kind(),
            Kind::Message(MessageType::Error) | Kind::Iq(IqType::Result | IqType::Error)
        );
        if let Some(token) = stanza.id().and_then(|id| edge.ids.token(id))
            && is_answer
        {
            return self.tell(number, token, Input::Answer(Box::new(stanza)));
        }
        let id = stanza.id().unwrap_or_default().to_owned();
        if let Kind::Message(MessageType::Chat) = stanza.kind() {
            self.ledger.accepted(&id, number);
        }
        let side = if outside { Side::Outside } else { Side::Inside };
        let octets = self.chance.octets();
        match self.edges[number].border.admit_stanza(
            side,
            stanza,
            Date::from_unix_seconds(1_700_000_000).unwrap(),
            &octets,
        ) {
            Ok(AdmittedStanza::Deliver(delivery)) => {
                let edge = &mut self.edges[number];
                let trace = u64::try_from(edge.traces.len()).unwrap();
                edge.traces.insert(trace, id);
                let shards = u64::try_from(edge.shards.len()).unwrap();
                let shard = usize::try_from(delivery.pair() % shards).unwrap();
                let delivery = delivery.traced(Trace::new(trace));
                self.enqueue(
                    number,
                    shard,
                    Input::Deliver {
                        delivery,
                        origin: None,
                    },
                );
            }
            Ok(AdmittedStanza::Answer(answer) | AdmittedStanza::Pong(answer)) => {
                self.post_answer(number, *answer);
            }
            Ok(AdmittedStanza::Ignore | AdmittedStanza::GivenUp { .. }) => {}
            Err(rejected) => {
                if let Some(reply) = rejected.into_reply() {
                    self.post_answer(number, *reply);
                }
            }
        }
    }

    fn tell(&mut self, number: usize, token: Token, input: Input<()>) {
        self.enqueue(number, usize::from(token.shard()), input);
    }

    fn enqueue(&mut self, number: usize, shard: usize, input: Input<()>) {
        let edge = &mut self.edges[number];
        let life = edge.life;
        let Some(it) = edge.shards.get_mut(shard) else {
            return;
        };
        it.inbox.push_back(input);
        if !std::mem::replace(&mut it.is_awake, true) {
            // Gateways are tasks of their own.
            let after = self.chance.between(0, 300);
            self.later(
                after,
                Coming::Shard {
                    edge: number,
                    shard,
                    life,
                },
            );
        }
    }

    pub(super) fn run_shard(&mut self, number: usize, shard: usize, life: u64) {
        if !self.edges[number].is_up || self.edges[number].life != life {
            return;
        }
        let now = self.now();
        let it = &mut self.edges[number].shards[shard];
        it.is_awake = false;
        let inputs = std::mem::take(&mut it.inbox);
        for input in inputs {
            it.gateway.handle(now, input);
        }
        self.drain(number, shard);
    }

    /// Does what a gateway wants done.
    fn drain(&mut self, number: usize, shard: usize) {
        let now = self.now();
        while let Some(output) = self.edges[number].shards[shard].gateway.poll(now) {
            match output {
                Output::Send {
                    link: Link::Xmpp { local, remote },
                    stanza,
                    token,
                    until,
                    ..
                } => {
                    let letter = link::Letter { stanza, token, until };
                    if let Err(letter) = self.post(number, (local, remote), letter)
                        && let Some(token) = letter.token
                    {
                        let trouble = Trouble::Overload;
                        let gateway = &mut self.edges[number].shards[shard].gateway;
                        gateway.handle(now, Input::Returned { token, trouble });
                    }
                }
                Output::Observe(seen) => self.observed(number, seen.trace, seen.outcome),
                Output::Untold { trace, .. } => {
                    let id = self.message_of(number, trace).unwrap_or_default();
                    // Who asks a query has a timer of his own.
                    if self.ledger.messages.contains_key(&id) {
                        let fault = format!("edge {number} gives up telling what became of {id}");
                        self.ledger.faults.push(fault);
                    }
                }
                other @ (Output::Send { .. }
                | Output::Request { .. }
                | Output::Recall { .. }
                | Output::Persist { .. }
                | Output::Pong(_)
                | Output::Respond { .. }) => {
                    self.ledger
                        .faults
                        .push(format!("nobody speaks SIP here: {other:?}"));
                }
            }
        }
    }

    /// The id of the stanza that a trace names.
    fn message_of(&self, number: usize, trace: Trace) -> Option<String> {
        let trace = u64::from_str_radix(&trace.to_string(), 16).ok()?;
        self.edges[number].traces.get(&trace).cloned()
    }

    /// A gateway says what became of a message.
    fn observed(&mut self, number: usize, trace: Trace, outcome: Outcome) {
        let Some(id) = self.message_of(number, trace) else {
            return;
        };
        self.note(|| format!("edge {number} says of {id}: {outcome:?}"));
        let Some(message) = self.ledger.messages.get(&id) else {
            return;
        };
        // Its next hop is the other edge where it came from our server, and our server where it came from there.
        let comes_from_inside = message.from.ends_with(&format!("@{}", domain(number)));
        let is_taken = if comes_from_inside {
            message.accepted.contains(&(1 - number))
        } else {
            message.delivered > 0
        };
        if outcome == Outcome::Delivered && !is_taken {
            self.ledger.faults.push(format!(
                "edge {number} takes {id} for delivered, which nobody has taken"
            ));
        }
    }

    /// Hands a letter to its link; gives it back where the link's queue is full.
    fn post(&mut self, number: usize, name: LinkName, letter: link::Letter) -> Result<(), link::Letter> {
        let now = self.now();
        let edge = &mut self.edges[number];
        let far = if name.1.as_str() == domain(number) {
            Far::Node
        } else {
            Far::Peer
        };
        let limits = &edge.limits.xmpp;
        let it = edge.links.entry(name.clone()).or_insert_with(|| EdgeLink {
            machine: XmppLink::new(now, limits, far),
            queue: VecDeque::new(),
            stream: None,
            is_open: false,
        });
        if it.queue.len() >= edge.limits.xmpp.queued_stanzas {
            return Err(letter);
        }
        it.queue.push_back(letter);
        self.todo.push_back(Work::Link(number, name));
        Ok(())
    }

    /// An answer of the edge itself; an error is kept by a gateway.
    pub(super) fn post_answer(&mut self, number: usize, stanza: Stanza) {
        if stanza.kind().is_error() {
            let edge = &mut self.edges[number];
            let trace = u64::try_from(edge.traces.len()).unwrap();
            edge.traces
                .insert(trace, stanza.id().unwrap_or_default().to_owned());
            let shards = u64::try_from(edge.shards.len()).unwrap();
            let shard = usize::try_from(pair_of(&stanza) % shards).unwrap();
            let (stanza, trace) = (Box::new(stanza), Trace::new(trace));
            return self.enqueue(
                number,
                shard,
                Input::Notice {
                    stanza,
                    trace,
                    hold: None,
                },
            );
        }
        let name = (stanza.from().domain().clone(), stanza.to().domain().clone());
        let until = self.now() + self.edges[number].limits.gateway.deliver;
        let stanza = Box::new(stanza);
        let _overload = self.post(
            number,
            name,
            link::Letter {
                stanza,
                token: None,
                until,
            },
        );
    }

    fn has_room(&self, number: usize, name: &LinkName) -> bool {
        let link = &self.edges[number].links[name];
        match link.stream {
            Some(place) if link.is_open => self.end(place).waiting() < ROOM && !self.end(place).is_closing,
            Some(_) | None => true,
        }
    }

    /// Does what a link wants, and hands it letters while it takes any.
    pub(super) fn act(&mut self, number: usize, name: &LinkName) {
        loop {
            let now = self.now();
            let Some(link) = self.edges[number].links.get_mut(name) else {
                return;
            };
            if let Some(place) = link.stream.filter(|_| link.is_open) {
                let taken = self.connections[place.0].ends[place.1].taken;
                link.machine.handle(now, link::Input::Taken(taken));
            }
            while let Some(output) = self.edges[number]
                .links
                .get_mut(name)
                .and_then(|link| link.machine.poll())
            {
                self.carry_out(number, name, output);
            }
            if !self.edges[number].links.contains_key(name) || !self.has_room(number, name) {
                return;
            }
            let link = self.edges[number].links.get_mut(name).unwrap();
            if !link.machine.takes_letters() {
                return;
            }
            let Some(letter) = link.queue.pop_front() else {
                return;
            };
            link.machine.handle(now, link::Input::Letter(letter));
        }
    }

    fn carry_out(&mut self, number: usize, name: &LinkName, output: link::Output) {
        let now = self.now();
        match output {
            link::Output::Open => {
                let purpose = Purpose::Stanzas {
                    local: name.0.clone(),
                    remote: name.1.clone(),
                };
                let owner = Owner::EdgeLink {
                    edge: number,
                    link: name.clone(),
                };
                let (to, outside) = if name.1.as_str() == domain(number) {
                    (Host::Server(number), false)
                } else {
                    (Host::Edge(1 - number), true)
                };
                let life = self.edges[number].life;
                self.dial(owner, to, outside, purpose, life);
            }
            link::Output::Write(stanza) => {
                let link = &self.edges[number].links[name];
                let answer = match link.stream.filter(|_| link.is_open) {
                    Some(place) => {
                        let sent = self
                            .end_mut(place)
                            .machine
                            .handle(now, StreamInput::Send(&stanza));
                        self.absorb(place);
                        match sent {
                            Ok(()) => link::Input::Wrote(self.end(place).sent),
                            Err(_) => link::Input::Unwritable(Trouble::Broken),
                        }
                    }
                    None => link::Input::Unwritable(Trouble::Broken),
                };
                let link = self.edges[number].links.get_mut(name).unwrap();
                link.machine.handle(now, answer);
            }
            link::Output::Tell(fate) => self.tell_fate(number, name, fate),
            link::Output::Close(Farewell::Changed | Farewell::Stopping) => {
                if let Some(place) = self.edges[number].links[name].stream {
                    self.feed(place, StreamInput::Close(None));
                }
            }
            link::Output::Retire => {
                if self.edges[number].links[name].queue.is_empty() {
                    self.edges[number].links.remove(name);
                }
            }
            link::Output::Done => {}
        }
    }

    fn tell_fate(&mut self, number: usize, name: &LinkName, fate: Fate) {
        self.note(|| format!("edge {number} {} to {}: {fate:?}", name.0, name.1));
        match fate {
            Fate::Written { tokens, epoch } => {
                for token in tokens {
                    let tokens = vec![token];
                    self.tell(number, token, Input::Written { tokens, epoch });
                }
            }
            Fate::Acknowledged { tokens, epoch } => {
                for token in tokens {
                    let tokens = vec![token];
                    self.tell(number, token, Input::Acknowledged { tokens, epoch });
                }
            }
            Fate::Returned { token, trouble } => self.tell(number, token, Input::Returned { token, trouble }),
            Fate::Broken { epoch } => {
                for shard in 0..self.edges[number].shards.len() {
                    let link = Link::Xmpp {
                        local: name.0.clone(),
                        remote: name.1.clone(),
                    };
                    self.enqueue(number, shard, Input::Broken { link, epoch });
                }
            }
        }
    }

    pub(super) fn link_event(&mut self, number: usize, name: &LinkName, place: Place, event: Event) {
        let now = self.now();
        let acknowledged = self.plan.acknowledged && self.end(place).machine.is_acknowledged();
        let Some(link) = self.edges[number].links.get_mut(name) else {
            return;
        };
        match event {
            Event::Authenticated { .. } if !link.is_open => {
                link.is_open = true;
                self.ledger.totals.acknowledged += usize::from(acknowledged);
                let evidence = if acknowledged {
                    Evidence::Acknowledged
                } else {
                    Evidence::Taken
                };
                link.machine.handle(now, link::Input::Opened(evidence));
            }
            Event::Acknowledged(count) if acknowledged => {
                link.machine.handle(now, link::Input::Acknowledged(count.into()));
            }
            Event::Ending | Event::Refused(_) | Event::Closed(_) if link.is_open => {
                link.machine.handle(now, link::Input::Ending);
            }
            Event::Stanza(stanza) => return self.take(number, name.1.as_str() != domain(number), stanza),
            Event::Answer(stanza) => return self.post_answer(number, stanza),
            _ => return,
        }
        self.todo.push_back(Work::Link(number, name.clone()));
    }

    pub(super) fn link_ended(&mut self, number: usize, name: &LinkName, place: Place) {
        let now = self.now();
        let random = u32::try_from(self.chance.between(0, u32::MAX.into())).unwrap();
        let Some(link) = self.edges[number]
            .links
            .get_mut(name)
            .filter(|link| link.stream == Some(place))
        else {
            return;
        };
        link.stream = None;
        if !std::mem::replace(&mut link.is_open, false) {
            return self.link_failed(number, name, Trouble::Refused);
        }
        link.machine.handle(now, link::Input::Ended { random });
        self.todo.push_back(Work::Link(number, name.clone()));
    }

    /// No stream came of it.
    pub(super) fn link_failed(&mut self, number: usize, name: &LinkName, trouble: Trouble) {
        let now = self.now();
        let random = u32::try_from(self.chance.between(0, u32::MAX.into())).unwrap();
        let Some(link) = self.edges[number].links.get_mut(name) else {
            return;
        };
        link.machine.handle(now, link::Input::Failed { trouble, random });
        self.todo.push_back(Work::Link(number, name.clone()));
    }
}

/// Serves its own domain, reaches the other, and lets everything pass.
fn border(name: Domain, number: usize, limits: &Limits) -> Border {
    let local = Local {
        domain: Domain::parse(domain(number)).unwrap(),
        protocol: route::Protocol::Xmpp,
        role: Role::User,
        nodes: Nodes::List(vec![Node {
            host: route::Host::parse("node.example").unwrap(),
            port: None,
            transport: route::Transport::Tcp,
            priority: 1,
            weight: 1,
        }]),
        tls: None,
        link: route::Link::S2s,
        profile: route::Profile::Xmpp,
    };
    let foreign = Federated::unlisted(DomainPattern::parse(domain(1 - number)).unwrap());
    let rules = Rules::new(RuleSet {
        default: Action::Allow,
        default_source: Source::new("policy.default"),
        exceptions: Vec::new(),
        blocks: Vec::new(),
        federated: Vec::new(),
    });
    let table = Table::new(vec![local], vec![foreign], None).unwrap();
    let mark = Mark::new(b"secret", &name);
    Border::new(
        name,
        rules,
        table,
        limits.clone(),
        Conduct::new(Translation::Off, "", mark),
    )
}

/// Octets that may wait in a stream before no more is written on it.
const ROOM: u64 = 4_000;
