//! What moves on connections: dialling, octets, TLS, questions of the stream machines, and the ends of streams.

use vestibule::limits::Limits;
use vestibule::xmpp::error::Condition;
use vestibule::xmpp::stream::{
    CertificateAnswer, DialbackAnswer, Event, HostAnswer, Initiating, Input, Output, PeerCertificate,
    Purpose, Question, Receiving, Start, TlsFacts, Verdict,
};

use super::network::{Connection, End, Host, Machine, Owner, Place, Segment};
use super::plan::SECOND;
use super::world::{Coming, Dial, Work, World};
use super::{domain, secret};

impl World {
    pub(super) fn end(&self, (connection, end): Place) -> &End {
        &self.connections[connection].ends[end]
    }

    pub(super) fn end_mut(&mut self, (connection, end): Place) -> &mut End {
        &mut self.connections[connection].ends[end]
    }

    pub(super) fn dial(&mut self, owner: Owner, to: Host, outside: bool, purpose: Purpose, life: u64) {
        let after = self.chance.between(self.plan.delay.0, self.plan.delay.1);
        let dial = Dial {
            owner,
            to,
            outside,
            purpose,
            life,
        };
        self.later(after, Coming::Dialed(dial));
    }

    fn life(&self, host: Host) -> u64 {
        match host {
            Host::Edge(edge) => self.edges[edge].life,
            Host::Server(server) => self.servers[server].life,
        }
    }

    pub(super) fn connect(&mut self, dial: Dial) {
        let Dial {
            owner,
            to,
            outside,
            purpose,
            life,
        } = dial;
        let (now, limits) = (self.now(), Limits::default());
        let start = if self.plan.direct_tls {
            Start::Tls(SHOWN)
        } else {
            Start::Plain
        };
        let from = match &owner {
            Owner::EdgeLink { edge, .. } | Owner::EdgeIn { edge, .. } => Host::Edge(*edge),
            Owner::ServerOut { server } | Owner::ServerIn { server } => Host::Server(*server),
            Owner::Verify { host, .. } => *host,
        };
        if !self.is_alive(from) || self.life(from) != life {
            return;
        }
        if !self.is_alive(to) {
            self.note(|| format!("{owner:?} finds nobody"));
            return self.unreachable(owner);
        }
        let initiating = Initiating::new(now, start, purpose, self.plan.terms, secret(from), &limits);
        let ids = [(); 3].map(|()| u128::from(self.chance.next()));
        let receiving = Receiving::new(now, start, ids, secret(to), &limits);
        let accepted = match to {
            Host::Edge(edge) => Owner::EdgeIn { edge, outside },
            Host::Server(server) => Owner::ServerIn { server },
        };
        let number = self.connections.len();
        self.note(|| format!("connection {number}: {owner:?} to {accepted:?}"));
        self.ledger.totals.streams += 1;
        let breaks = self.is_hostile && self.chance.percent(self.plan.resets);
        let reset_after = breaks.then(|| (self.chance.index(2), self.chance.between(0, 4_000)));
        if let Owner::EdgeLink { edge, link } = &owner
            && let Some(link) = self.edges[*edge].links.get_mut(link)
        {
            link.stream = Some((number, 0));
        }
        if let Owner::ServerOut { server } = owner {
            self.servers[server].stream = Some((number, 0));
        }
        self.connections.push(Connection {
            ends: [
                End::new(owner, Machine::Initiating(Box::new(initiating))),
                End::new(accepted, Machine::Receiving(Box::new(receiving))),
            ],
            is_dead: false,
            reset_after,
            delay: self.plan.delay,
            window: self.plan.window,
            stalled_until: 0,
        });
        self.absorb((number, 0));
        self.absorb((number, 1));
    }

    /// Gives a machine an input, and does what it wants done.
    pub(super) fn feed(&mut self, place: Place, input: Input<'_>) {
        let now = self.now();
        // A machine takes nothing after its end; that is no news then.
        let _ended = self.end_mut(place).machine.handle(now, input);
        self.absorb(place);
    }

    pub(super) fn absorb(&mut self, place: Place) {
        while let Some(output) = self.end_mut(place).machine.poll() {
            match output {
                Output::Transmit(octets) => self.end_mut(place).write(&octets),
                Output::StartTls => {
                    self.end_mut(place).tls.0 = true;
                    self.end_mut(place).out.push_back(Segment::Handshake);
                }
                Output::Ask(question) => self.answer(place, question),
                Output::Event(event) => {
                    self.note(|| format!("{place:?} {}", in_short(&event)));
                    if let Event::Authenticated { .. } = event {
                        self.end_mut(place).is_authenticated = true;
                    }
                    self.todo.push_back(Work::Event(place, event));
                }
                Output::Close => {
                    self.end_mut(place).is_closing = true;
                    self.end_mut(place).out.push_back(Segment::End);
                    self.later(2 * SECOND, Coming::Farewell(place));
                }
            }
        }
        self.secure(place);
        self.pump(place);
    }

    /// Both ends are ready: the handshake is done here.
    fn secure(&mut self, place: Place) {
        if self.end(place).tls == (true, true) {
            self.end_mut(place).tls = (false, false);
            self.feed(place, Input::TlsDone(SHOWN));
        }
    }

    pub(super) fn pump(&mut self, place: Place) {
        let connection = &mut self.connections[place.0];
        if connection.is_dead {
            return;
        }
        let (window, delay, stalled) = (connection.window, connection.delay, connection.stalled_until);
        let end = &mut connection.ends[place.1];
        let moved = end.take(window);
        if !end.wire.is_empty() && !end.delivering {
            end.delivering = true;
            let after = self.chance.between(delay.0, delay.1);
            let after = after.max(stalled.saturating_sub(self.time));
            self.later(after, Coming::Arrival(place));
        }
        let end = self.end_mut(place);
        if end.is_closing && end.out.is_empty() && !end.has_ended {
            end.has_ended = true;
            self.todo.push_back(Work::Ended(place));
        }
        if moved {
            match self.end(place).owner.clone() {
                Owner::EdgeLink { edge, link } => self.todo.push_back(Work::Link(edge, link)),
                Owner::ServerOut { server } => self.todo.push_back(Work::Server(server)),
                Owner::EdgeIn { .. } | Owner::ServerIn { .. } | Owner::Verify { .. } => {}
            }
        }
    }

    /// A portion of what one end wrote is read at the other.
    pub(super) fn arrive(&mut self, place: Place) {
        let (number, from) = place;
        let to = (number, 1 - from);
        let connection = &mut self.connections[number];
        if connection.is_dead {
            return;
        }
        let stalled = connection.stalled_until.saturating_sub(self.time);
        let end = &mut connection.ends[from];
        end.delivering = false;
        if stalled > 0 {
            return self.pump(place);
        }
        let Some(segment) = end.wire.pop_front() else {
            return;
        };
        match segment {
            Segment::Octets(mut octets) => {
                let most = octets.len();
                let mut portion = if self.chance.percent(50) {
                    most
                } else {
                    1 + self.chance.index(most)
                };
                let connection = &mut self.connections[number];
                let mut breaks = false;
                if let Some((side, after)) = connection.reset_after
                    && side == from
                {
                    let left = usize::try_from(after.saturating_sub(connection.ends[from].read)).unwrap();
                    breaks = left <= portion;
                    portion = portion.min(left);
                }
                let end = &mut connection.ends[from];
                let rest = octets.split_off(portion);
                if !rest.is_empty() {
                    end.wire.push_front(Segment::Octets(rest));
                }
                end.read += u64::try_from(portion).unwrap();
                if !octets.is_empty() {
                    self.feed(to, Input::Bytes(&octets));
                }
                if breaks {
                    self.note(|| format!("connection {number} breaks"));
                    return self.reset(number);
                }
            }
            Segment::Handshake => {
                self.end_mut(to).tls.1 = true;
                self.secure(to);
            }
            Segment::End => self.feed(to, Input::Eof),
        }
        self.pump(place);
        self.bury(number);
    }

    /// A connection that both ends have left is gone.
    fn bury(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let is_left = |end: &End| end.has_ended && end.wire.is_empty();
        if connection.ends.iter().all(is_left) {
            connection.is_dead = true;
        }
    }

    /// What is under way is lost, and both ends learn that it is over.
    pub(super) fn reset(&mut self, number: usize) {
        if self.connections[number].is_dead {
            return;
        }
        self.ledger.totals.resets += 1;
        for end in 0..2 {
            let end = self.end_mut((number, end));
            end.out.clear();
            end.wire.clear();
        }
        for end in 0..2 {
            self.feed((number, end), Input::Eof);
            let end = self.end_mut((number, end));
            end.out.clear();
            end.wire.clear();
        }
        for end in 0..2 {
            if !std::mem::replace(&mut self.end_mut((number, end)).has_ended, true) {
                self.todo.push_back(Work::Ended((number, end)));
            }
        }
        self.connections[number].is_dead = true;
    }

    fn answer(&mut self, place: Place, question: Question) {
        let verdict = match question {
            Question::Host { from, to } => {
                let answer = if self.serves(place, from.as_ref().map(ToString::to_string), to.as_str()) {
                    HostAnswer::Served(self.plan.terms)
                } else {
                    HostAnswer::Unknown
                };
                Verdict::Host { from, to, answer }
            }
            Question::Certificate { claimed } => Verdict::Certificate {
                claimed,
                answer: CertificateAnswer::Proven,
            },
            Question::Dialback {
                from,
                to,
                stream_id,
                key,
            } => {
                let host = self.end(place).host();
                let (server, outside) = self.authority(place, from.as_str());
                let owner = Owner::Verify {
                    host,
                    asker: place,
                    from: from.clone(),
                    to: to.clone(),
                };
                let purpose = Purpose::Verify {
                    local: to,
                    remote: from,
                    stream_id,
                    key,
                };
                let life = self.life(host);
                return self.dial(owner, server, outside, purpose, life);
            }
        };
        let now = self.now();
        let _ended = self.end_mut(place).machine.handle(now, Input::Verdict(verdict));
    }

    /// Whether the host at that end takes streams of that pair.
    fn serves(&self, place: Place, from: Option<String>, to: &str) -> bool {
        let (ours, theirs) = match &self.end(place).owner {
            Owner::EdgeIn { edge, outside: true } => (domain(*edge), domain(1 - edge)),
            Owner::EdgeIn { edge, outside: false } => (domain(1 - edge), domain(*edge)),
            Owner::ServerIn { server } => (domain(*server), domain(1 - server)),
            Owner::EdgeLink { .. } | Owner::ServerOut { .. } | Owner::Verify { .. } => return false,
        };
        to == ours && from.is_none_or(|from| from == theirs)
    }

    /// Whom to ask about a domain's keys, and at which listener.
    fn authority(&self, place: Place, from: &str) -> (Host, bool) {
        match &self.end(place).owner {
            // The other edge speaks for its domain outside, and this one for the other's inside.
            Owner::EdgeIn { edge, outside: true } => (Host::Edge(1 - edge), true),
            Owner::EdgeIn { edge, outside: false } => (Host::Server(*edge), false),
            Owner::ServerIn { server } => {
                assert_eq!(from, domain(1 - server));
                (Host::Edge(*server), false)
            }
            Owner::EdgeLink { .. } | Owner::ServerOut { .. } | Owner::Verify { .. } => {
                unreachable!("nobody proves a pair on a stream of ours")
            }
        }
    }

    pub(super) fn verified(&mut self, owner: &Owner, answer: DialbackAnswer) {
        if let Owner::Verify { asker, from, to, .. } = owner
            && !self.connections[asker.0].is_dead
        {
            let verdict = Verdict::Dialback {
                from: from.clone(),
                to: to.clone(),
                answer,
            };
            self.feed(*asker, Input::Verdict(verdict));
        }
    }

    fn unreachable(&mut self, owner: Owner) {
        match owner {
            Owner::EdgeLink { edge, link } => {
                self.link_failed(edge, &link, vestibule::gateway::Trouble::Unreachable);
            }
            Owner::ServerOut { server } => self.server_failed(server),
            Owner::Verify { .. } => {
                self.verified(&owner, DialbackAnswer::Failed(Condition::RemoteServerTimeout));
            }
            Owner::EdgeIn { .. } | Owner::ServerIn { .. } => {}
        }
    }

    pub(super) fn happened(&mut self, place: Place, event: Event) {
        let owner = self.end(place).owner.clone();
        if !self.is_alive(self.end(place).host()) {
            return;
        }
        match owner {
            Owner::EdgeIn { edge, outside } => match event {
                Event::Stanza(stanza) => self.take(edge, outside, stanza),
                Event::Answer(stanza) => self.post_answer(edge, stanza),
                _ => {}
            },
            Owner::EdgeLink { edge, link } => self.link_event(edge, &link, place, event),
            Owner::ServerIn { server } => {
                if let Event::Stanza(stanza) = event {
                    self.server_takes(server, &stanza);
                }
            }
            Owner::ServerOut { server } => {
                if let Event::Authenticated { .. } = event {
                    self.servers[server].is_open = true;
                    self.todo.push_back(Work::Server(server));
                }
                if let Event::Ending = event {
                    self.servers[server].is_open = false;
                }
            }
            Owner::Verify { .. } => {
                if let Event::Verified(answer) = event {
                    self.verified(&owner, answer);
                }
            }
        }
    }

    pub(super) fn ended(&mut self, place: Place) {
        let end = self.end(place);
        let owner = end.owner.clone();
        self.bury(place.0);
        if !self.is_alive(self.end(place).host()) {
            return;
        }
        match owner {
            Owner::EdgeLink { edge, link } => self.link_ended(edge, &link, place),
            Owner::ServerOut { server } => self.server_ended(server, place),
            // Where it was answered already, this answer is not taken.
            Owner::Verify { .. } => {
                self.verified(&owner, DialbackAnswer::Failed(Condition::RemoteServerTimeout));
            }
            Owner::EdgeIn { .. } | Owner::ServerIn { .. } => {}
        }
    }
}

/// An event for the trace.
fn in_short(event: &Event) -> String {
    match event {
        Event::Stanza(stanza) | Event::Answer(stanza) => {
            let id = stanza.id().unwrap_or_default();
            format!("{:?} {id} {} to {}", stanza.kind(), stanza.from(), stanza.to())
        }
        other => format!("{other:?}"),
    }
}

const SHOWN: TlsFacts = TlsFacts {
    certificate: PeerCertificate::Shown,
};
