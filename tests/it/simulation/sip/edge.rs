//! The edge: what came on one leg goes on by the other, and its answers go back.

use std::collections::BTreeMap;

use vestibule::domain::Domain;
use vestibule::limits::SipLimits;
use vestibule::sip::proxy::{Ends, Face, Inner, Passage, Proxy, Veil, Way};
use vestibule::sip::transaction::{Event, Failure, Register, Timers, TransactionId, Transactions};
use vestibule::sip::{Host, Method, Request, Response, StatusCode, Transport};

use super::wire::End;
use super::world::{INSIDE, Leg, World};

#[derive(Debug)]
pub(super) struct Edge {
    proxy: Proxy,
    pub(super) register: Register,
    /// Those of each leg.
    pub(super) transactions: [Transactions; 2],
    /// What went on, by the leg that it went out on.
    pub(super) errands: BTreeMap<(Leg, TransactionId), Errand>,
    /// INVITEs that went on, by the leg that they came on.
    pub(super) relayed: BTreeMap<(Leg, TransactionId), TransactionId>,
}

#[derive(Debug)]
pub(super) struct Errand {
    back: TransactionId,
    request: Request,
    passage: Passage,
    invite: Invited,
    is_answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Invited {
    Silent,
    Recalled,
    Proceeding,
}

impl Edge {
    pub(super) fn new() -> Self {
        let outside = Face::new(Transport::Tls, Host::parse("edge.example").unwrap(), None);
        let inside = Face::new(Transport::Tcp, Host::parse("10.0.0.1").unwrap(), Some(5060));
        let inner = Inner::new([INSIDE.to_owned()]);
        let register = Register::new();
        let table = || Transactions::new(&SipLimits::default(), Timers::default(), register.clone());
        Self {
            proxy: Proxy::new(Veil::new(b"secret"), outside, vec![inside], inner),
            transactions: [table(), table()],
            register,
            errands: BTreeMap::new(),
            relayed: BTreeMap::new(),
        }
    }

    fn forward(&self, leg: Leg, request: &mut Request) -> Passage {
        let way = match leg {
            Leg::Outside => Way::Inward,
            Leg::Inside => Way::Outward,
        };
        let arrived = self.proxy.receive(way, request);
        let foreign = Domain::parse("out.example").unwrap();
        let ends = arrived.ends().cloned().unwrap_or_else(|| match way {
            Way::Inward => Ends::new(request.uri(), foreign),
            Way::Outward => Ends::new(request.headers().from().uri(), foreign),
        });
        let passage = self.proxy.forward(way, arrived, request, &ends, &Transport::Tcp);
        passage.unwrap()
    }
}

impl World {
    pub(super) fn settle_edge(&mut self, leg: Leg) {
        while let Some(event) = self.edge.transactions[leg.index()].poll() {
            match event {
                Event::Transmit { flow, octets, .. } => self.send(leg, flow, End::Agent, &octets),
                Event::Request {
                    transaction,
                    request,
                    cancels,
                    ..
                } if *request.method() == Method::Cancel => {
                    self.cancelled(leg, transaction, &request, cancels);
                }
                Event::Request {
                    transaction, request, ..
                } => self.relay(leg, transaction, *request),
                Event::Acknowledged { mut request, .. } => {
                    let other = leg.other();
                    self.edge.forward(leg, &mut request);
                    request.headers_mut().replace_vias(self.via(other, End::Edge));
                    self.send_alone(other, End::Agent, &request);
                }
                Event::Response {
                    transaction,
                    response,
                } => self.answered(leg, transaction, *response),
                Event::Failed { transaction, failure } => self.failed(leg, transaction, failure),
                Event::Terminated { transaction } => {
                    self.edge.errands.remove(&(leg, transaction));
                    self.edge.relayed.remove(&(leg, transaction));
                }
            }
        }
    }

    fn relay(&mut self, leg: Leg, back: TransactionId, mut request: Request) {
        let passage = self.edge.forward(leg, &mut request);
        let other = leg.other();
        request.headers_mut().replace_vias(self.via(other, End::Edge));
        let flow = self.wires[other.index()].flow(&mut self.chance);
        let now = self.now();
        let sent = self.edge.transactions[other.index()].request(now, flow, &request);
        let sent = sent.unwrap();
        if *request.method() == Method::Invite {
            self.edge.relayed.insert((leg, back), sent);
        }
        let errand = Errand {
            back,
            request,
            passage,
            invite: Invited::Silent,
            is_answered: false,
        };
        self.edge.errands.insert((other, sent), errand);
        self.settle_edge(other);
    }

    fn cancelled(
        &mut self,
        leg: Leg,
        transaction: TransactionId,
        request: &Request,
        cancels: Option<TransactionId>,
    ) {
        let status = if cancels.is_some() {
            StatusCode::OK
        } else {
            StatusCode::CALL_DOES_NOT_EXIST
        };
        let tag = self.edge.transactions[leg.index()].to_tag(cancels.unwrap_or(transaction));
        let response = request.response(status, "", tag.as_deref());
        self.respond_edge(leg, transaction, &response);
        let Some(sent) = cancels.and_then(|cancels| self.edge.relayed.get(&(leg, cancels)).copied()) else {
            return;
        };
        if let Some(errand) = self.edge.errands.get_mut(&(leg.other(), sent)) {
            match errand.invite {
                Invited::Silent => errand.invite = Invited::Recalled,
                Invited::Proceeding => {
                    let invite = errand.request.clone();
                    self.recall(leg.other(), sent, &invite);
                }
                Invited::Recalled => {}
            }
        }
    }

    fn recall(&mut self, leg: Leg, _sent: TransactionId, invite: &Request) {
        let flow = self.wires[leg.index()].flow(&mut self.chance);
        let now = self.now();
        // It may be under way already.
        let _twice = self.edge.transactions[leg.index()].request(now, flow, &invite.cancel());
        self.settle_edge(leg);
    }

    fn answered(&mut self, leg: Leg, sent: TransactionId, mut response: Response) {
        let Some(errand) = self.edge.errands.get_mut(&(leg, sent)) else {
            return;
        };
        let status = response.status();
        let is_invite = *errand.request.method() == Method::Invite;
        if status.is_provisional() {
            if std::mem::replace(&mut errand.invite, Invited::Proceeding) == Invited::Recalled {
                let invite = errand.request.clone();
                self.recall(leg, sent, &invite);
            }
            if status == StatusCode::TRYING {
                return;
            }
        }
        let Some(errand) = self.edge.errands.get_mut(&(leg, sent)) else {
            return;
        };
        errand.is_answered |= status.is_final();
        self.edge.proxy.answer(&errand.passage, &mut response).unwrap();
        let back = errand.back;
        if status.is_final() && !(is_invite && status.is_success()) {
            self.edge.errands.remove(&(leg, sent));
        }
        self.respond_edge(leg.other(), back, &response);
    }

    fn failed(&mut self, leg: Leg, sent: TransactionId, failure: Failure) {
        let Some(errand) = self.edge.errands.remove(&(leg, sent)) else {
            return;
        };
        let is_invite = *errand.request.method() == Method::Invite;
        if failure == Failure::Timeout && errand.invite == Invited::Proceeding && is_invite {
            self.recall(leg, sent, &errand.request);
        }
        if errand.is_answered {
            return;
        }
        let status = match failure {
            Failure::Timeout if is_invite => StatusCode::REQUEST_TIMEOUT,
            Failure::Timeout => StatusCode::SERVER_TIMEOUT,
            Failure::Transport => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = errand.request.response(status, "", Some("edge"));
        self.edge.proxy.restore(&errand.passage, &mut response);
        self.respond_edge(leg.other(), errand.back, &response);
    }

    fn respond_edge(&mut self, leg: Leg, transaction: TransactionId, response: &Response) {
        let now = self.now();
        let _responded = self.edge.transactions[leg.index()].respond(now, transaction, response);
        self.settle_edge(leg);
    }
}
