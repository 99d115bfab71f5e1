//! A model of a server behind an edge: it sends its users' messages in order over one stream, answers pings, and tells
//! its users what fails. It acknowledges nothing, as servers without XEP-0198.

use std::collections::VecDeque;

use vestibule::domain::Domain;
use vestibule::xmpp::stanza::{Kind, MessageType};
use vestibule::xmpp::stream::{Input, Purpose};
use vestibule::xmpp::{Stanza, ping};

use super::domain;
use super::network::{Host, Owner, Place};
use super::plan::{NOBODY, SECOND};
use super::world::{Coming, Work, World, error_about};

#[derive(Debug)]
pub(super) struct Server {
    pub(super) number: usize,
    pub(super) is_up: bool,
    pub(super) life: u64,
    /// What its users wrote and no stream has taken.
    pub(super) queue: VecDeque<Stanza>,
    /// The stream to the edge, from the first octet on.
    pub(super) stream: Option<Place>,
    pub(super) is_dialing: bool,
    pub(super) is_open: bool,
    pub(super) paused: bool,
}

impl Server {
    pub(super) const fn new(number: usize) -> Self {
        Self {
            number,
            is_up: true,
            life: 0,
            queue: VecDeque::new(),
            stream: None,
            is_dialing: false,
            is_open: false,
            paused: false,
        }
    }
}

impl World {
    /// Sends what waits, over a stream that is opened for it.
    pub(super) fn serve(&mut self, number: usize) {
        let server = &mut self.servers[number];
        if !server.is_up || server.paused || server.queue.is_empty() {
            return;
        }
        let Some(place) = server.stream else {
            if !std::mem::replace(&mut server.is_dialing, true) {
                let purpose = Purpose::Stanzas {
                    local: Domain::parse(domain(number)).unwrap(),
                    remote: Domain::parse(domain(1 - number)).unwrap(),
                };
                let life = server.life;
                self.dial(
                    Owner::ServerOut { server: number },
                    Host::Edge(number),
                    false,
                    purpose,
                    life,
                );
            }
            return;
        };
        while self.servers[number].is_open && self.end(place).waiting() < ROOM {
            let Some(stanza) = self.servers[number].queue.pop_front() else {
                break;
            };
            let now = self.now();
            let sent = self.end_mut(place).machine.handle(now, Input::Send(&stanza));
            self.absorb(place);
            if sent.is_err() {
                self.servers[number].queue.push_front(stanza);
                self.servers[number].is_open = false;
            }
        }
    }

    /// A stanza came from the edge.
    pub(super) fn server_takes(&mut self, number: usize, stanza: &Stanza) {
        let id = stanza.id().unwrap_or_default().to_owned();
        match stanza.kind() {
            Kind::Message(MessageType::Error) => self.ledger.told(&id),
            Kind::Message(_) => {
                self.ledger.delivered(&id);
                if stanza.to().local() == Some(NOBODY) {
                    self.servers[number].queue.extend(error_about(stanza));
                }
            }
            Kind::Iq(_) => self.servers[number].queue.extend(ping::answer(stanza)),
            Kind::Presence(_) => {}
        }
        self.todo.push_back(Work::Server(number));
    }

    /// No stream: the users are told, and it waits before it tries again.
    pub(super) fn server_failed(&mut self, number: usize) {
        let server = &mut self.servers[number];
        server.is_dialing = false;
        server.stream = None;
        server.is_open = false;
        server.paused = true;
        // That is its own to answer for.
        server.queue.clear();
        self.later(SECOND, Coming::ServerGoesOn(number));
    }

    /// The stream is over; what it did not take waits for the next.
    pub(super) fn server_ended(&mut self, number: usize, place: Place) {
        let server = &mut self.servers[number];
        if server.stream != Some(place) {
            return;
        }
        if !self.end(place).is_authenticated {
            return self.server_failed(number);
        }
        let server = &mut self.servers[number];
        server.is_dialing = false;
        server.stream = None;
        server.is_open = false;
        server.paused = true;
        self.later(SECOND / 10, Coming::ServerGoesOn(number));
    }
}

/// Octets that may wait before no more is written.
const ROOM: u64 = 2_000;
