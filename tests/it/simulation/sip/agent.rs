//! A user agent: writes and calls, answers or refuses, acknowledges, hangs up.

use std::collections::BTreeMap;
use std::time::Instant;

use vestibule::limits::SipLimits;
use vestibule::mime::MediaType;
use vestibule::sip::dialog::{Dialog, DialogId, Fork, ForkInput, Forks, Phase, Received};
use vestibule::sip::transaction::{Event, Failure, Register, Timers, TransactionId, Transactions};
use vestibule::sip::{CallId, Mandatory, Method, NameAddr, Request, Response, StatusCode, Transport, Uri};

use super::wire::End;
use super::world::{Happening, INSIDE, Leg, SECOND, Told, World};

/// What a user agent does by itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Write(u32),
    Call(u32),
    /// The caller gives up.
    Cancel(u32),
    /// The callee picks up, or declines.
    Answer(u32),
    /// The callee's 2xx again, after so long, until so long after the first (RFC 3261 §13.3.1.4).
    Repeat {
        id: u32,
        after: u64,
        left: u64,
    },
    HangUp(u32),
}

#[derive(Debug)]
pub(super) struct Agent {
    leg: Leg,
    pub(super) transactions: Transactions,
    /// Requests of its own that are under way.
    asked: BTreeMap<TransactionId, Asked>,
    calls: BTreeMap<u32, Call>,
    rings: BTreeMap<u32, Ring>,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    Message(u32),
    Invite(u32),
    /// BYE and CANCEL: nothing follows from their answers.
    Other,
}

/// A call of its own.
#[derive(Debug)]
struct Call {
    invite: Request,
    forks: Forks,
    dialog: Option<Dialog>,
    ack: Option<Request>,
    is_proceeding: bool,
    is_cancelled: bool,
    is_told: bool,
}

/// A call of the other's.
#[derive(Debug)]
struct Ring {
    invite: Request,
    transaction: TransactionId,
    dialog: Dialog,
    accepted: Option<Response>,
    is_acknowledged: bool,
}

impl Agent {
    pub(super) fn new(leg: Leg) -> Self {
        Self {
            leg,
            transactions: Transactions::new(&SipLimits::default(), Timers::default(), Register::new()),
            asked: BTreeMap::new(),
            calls: BTreeMap::new(),
            rings: BTreeMap::new(),
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let forks = self.calls.values().filter_map(|call| call.forks.timeout());
        forks.chain(self.transactions.timeout()).min()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !self.asked.is_empty() {
            return Err(format!("{:?} waits for {:?}", self.leg, self.asked));
        }
        for (id, call) in &self.calls {
            let is_left = call
                .dialog
                .as_ref()
                .is_some_and(|dialog| dialog.phase() != Phase::Ended);
            if is_left || !call.forks.is_over() || !call.is_told {
                return Err(format!("call {id} is left to its caller: {call:?}"));
            }
        }
        for (id, ring) in &self.rings {
            if ring.dialog.phase() != Phase::Ended {
                return Err(format!("call {id} is left to its callee: {ring:?}"));
            }
        }
        Ok(())
    }

    fn contact(&self) -> NameAddr {
        address(match self.leg {
            Leg::Outside => "<sip:bob@ua.out.example>",
            Leg::Inside => "<sip:ann@10.77.66.55:5070>",
        })
    }
}

impl World {
    fn agent(&mut self, leg: Leg) -> &mut Agent {
        &mut self.agents[leg.index()]
    }

    pub(super) fn act(&mut self, leg: Leg, act: Act) {
        match act {
            Act::Write(id) => {
                let request = self.request(leg, Method::Message, id);
                let request = request.with_body(MediaType::parse("text/plain").unwrap(), "hello");
                self.sent(id);
                self.ask(leg, &request, Asked::Message(id));
            }
            Act::Call(id) => self.call(leg, id),
            Act::Cancel(id) => {
                let call = self.agent(leg).calls.get_mut(&id).unwrap();
                call.is_cancelled = true;
                if call.is_proceeding && !call.is_told {
                    let cancel = call.invite.cancel();
                    self.ask(leg, &cancel, Asked::Other);
                }
            }
            Act::Answer(id) => self.answer(leg, id),
            Act::Repeat { id, after, left } => self.repeat(leg, id, after, left),
            Act::HangUp(id) => {
                // RFC 3261 §15: a callee waits for the ACK, or for the end of the wait for it.
                let ring = self.agent(leg).rings.get(&id);
                if ring.is_some_and(|ring| !ring.is_acknowledged && ring.dialog.phase() != Phase::Ended) {
                    return self.after(SECOND, Happening::Act(leg, act));
                }
                self.hang_up(leg, id);
            }
        }
    }

    fn request(&mut self, leg: Leg, method: Method, id: u32) -> Request {
        let (from, to, host) = match leg {
            Leg::Outside => ("sip:bob@out.example", "sip:ann@in.example", "ua.out.example"),
            Leg::Inside => ("sip:ann@in.example", "sip:bob@out.example", INSIDE),
        };
        let mandatory = Mandatory {
            via: self.via(leg, End::Agent),
            from: address(&format!("<{from}>;tag=f{id}")),
            to: address(&format!("<{to}>")),
            call_id: CallId::parse(&format!("c{id}@{host}")).unwrap(),
            sequence: id,
        };
        Request::new(method, Uri::parse(to).unwrap(), mandatory)
    }

    fn ask(&mut self, leg: Leg, request: &Request, asked: Asked) {
        let flow = self.wires[leg.index()].flow(&mut self.chance);
        let now = self.now();
        let sent = self.agent(leg).transactions.request(now, flow, request).unwrap();
        self.agent(leg).asked.insert(sent, asked);
        self.settle_agent(leg);
    }

    fn call(&mut self, leg: Leg, id: u32) {
        let contact = self.agent(leg).contact();
        let invite = self.request(leg, Method::Invite, id).with_contact(contact);
        let call = Call {
            forks: Forks::new(invite.clone(), Transport::Udp, Timers::default()),
            invite: invite.clone(),
            dialog: None,
            ack: None,
            is_proceeding: false,
            is_cancelled: false,
            is_told: false,
        };
        self.agent(leg).calls.insert(id, call);
        self.sent(id);
        self.totals.calls += 1;
        if self.chance.percent(30) {
            let time = self.chance.between(0, 20 * SECOND);
            self.after(time, Happening::Act(leg, Act::Cancel(id)));
        }
        self.ask(leg, &invite, Asked::Invite(id));
    }

    fn answer(&mut self, leg: Leg, id: u32) {
        let accepts = self.chance.percent(70);
        let ring = self.agent(leg).rings.get_mut(&id).unwrap();
        if ring.dialog.phase() == Phase::Ended {
            return;
        }
        let transaction = ring.transaction;
        if !accepts {
            ring.dialog.end();
            let busy = ring
                .invite
                .response(StatusCode::BUSY_HERE, "", ring.dialog.local().tag());
            return self.respond(leg, transaction, &busy);
        }
        let response = ring.dialog.answer(&ring.invite, StatusCode::OK, "");
        ring.dialog.confirm();
        ring.accepted = Some(response.clone());
        self.accepted(id);
        let (after, left) = (SECOND / 2, 32 * SECOND);
        self.after(after, Happening::Act(leg, Act::Repeat { id, after, left }));
        let time = self.chance.between(0, 100 * SECOND);
        self.after(time, Happening::Act(leg, Act::HangUp(id)));
        self.respond(leg, transaction, &response);
    }

    fn repeat(&mut self, leg: Leg, id: u32, after: u64, left: u64) {
        let ring = self.agent(leg).rings.get_mut(&id).unwrap();
        if ring.is_acknowledged || ring.dialog.phase() == Phase::Ended {
            return;
        }
        let Some(left) = left.checked_sub(after) else {
            return self.hang_up(leg, id);
        };
        let (transaction, response) = (ring.transaction, ring.accepted.clone().unwrap());
        self.respond(leg, transaction, &response);
        let after = (after * 2).min(4 * SECOND);
        self.after(after, Happening::Act(leg, Act::Repeat { id, after, left }));
    }

    /// Ends a call from whichever end this is.
    fn hang_up(&mut self, leg: Leg, id: u32) {
        let via = self.via(leg, End::Agent);
        let agent = self.agent(leg);
        let dialog = match (agent.calls.get_mut(&id), agent.rings.get_mut(&id)) {
            (Some(call), _) => call.dialog.as_mut(),
            (None, Some(ring)) => Some(&mut ring.dialog),
            (None, None) => None,
        };
        let Some(dialog) = dialog.filter(|dialog| dialog.phase() != Phase::Ended) else {
            return;
        };
        let bye = dialog.request(Method::Bye, via).unwrap();
        dialog.end();
        self.ask(leg, &bye, Asked::Other);
    }

    fn respond(&mut self, leg: Leg, transaction: TransactionId, response: &Response) {
        let now = self.now();
        let _responded = self.agent(leg).transactions.respond(now, transaction, response);
        self.settle_agent(leg);
    }

    pub(super) fn settle_agent(&mut self, leg: Leg) {
        while let Some(event) = self.agent(leg).transactions.poll() {
            match event {
                Event::Transmit { flow, octets, .. } => self.send(leg, flow, End::Edge, &octets),
                Event::Request {
                    transaction,
                    request,
                    cancels,
                    ..
                } => self.requested(leg, transaction, *request, cancels),
                Event::Acknowledged { request, .. } => {
                    let id = DialogId::of_request(&request);
                    for ring in self.agent(leg).rings.values_mut() {
                        ring.is_acknowledged |= ring.dialog.id() == id;
                    }
                }
                Event::Response {
                    transaction,
                    response,
                } => self.responded(leg, transaction, response),
                Event::Failed { transaction, failure } => self.unanswered(leg, transaction, failure),
                Event::Terminated { transaction } => {
                    // A call's later 2xx have come until now.
                    let asked = self.agent(leg).asked.remove(&transaction);
                    assert!(
                        matches!(asked, None | Some(Asked::Invite(_))),
                        "{asked:?} has no outcome"
                    );
                }
            }
        }
    }

    fn requested(
        &mut self,
        leg: Leg,
        transaction: TransactionId,
        request: Request,
        cancels: Option<TransactionId>,
    ) {
        let id = request.headers().cseq().number();
        match request.method() {
            Method::Message => {
                self.arrived(id);
                let status = if self.chance.percent(70) {
                    self.accepted(id);
                    StatusCode::OK
                } else {
                    StatusCode::NOT_FOUND
                };
                let response = request.response(status, "", Some("m"));
                self.respond(leg, transaction, &response);
            }
            Method::Invite => self.rung(leg, id, transaction, request),
            Method::Cancel => {
                let status = if cancels.is_some() {
                    StatusCode::OK
                } else {
                    StatusCode::CALL_DOES_NOT_EXIST
                };
                let response = request.response(status, "", Some("c"));
                self.respond(leg, transaction, &response);
                let ring = self.agent(leg).rings.get_mut(&id);
                if let Some(ring) =
                    ring.filter(|ring| cancels.is_some() && ring.dialog.phase() == Phase::Early)
                {
                    ring.dialog.end();
                    let ended =
                        ring.invite
                            .response(StatusCode::REQUEST_TERMINATED, "", ring.dialog.local().tag());
                    let transaction = ring.transaction;
                    self.respond(leg, transaction, &ended);
                }
            }
            _ => {
                let agent = self.agent(leg);
                let calls = agent.calls.values_mut().filter_map(|call| call.dialog.as_mut());
                let mut dialogs = calls.chain(agent.rings.values_mut().map(|ring| &mut ring.dialog));
                let of = DialogId::of_request(&request);
                let status = match dialogs
                    .find(|dialog| dialog.id() == of)
                    .map(|dialog| dialog.receive(&request))
                {
                    Some(Ok(received)) => {
                        assert_eq!(received, Received::Bye);
                        StatusCode::OK
                    }
                    Some(Err(refused)) => refused.status(),
                    None => StatusCode::CALL_DOES_NOT_EXIST,
                };
                let response = request.response(status, "", None);
                self.respond(leg, transaction, &response);
            }
        }
    }

    fn rung(&mut self, leg: Leg, id: u32, transaction: TransactionId, invite: Request) {
        self.arrived(id);
        let contact = self.agent(leg).contact();
        let dialog = Dialog::of_callee(&invite, &format!("t{id}"), contact, &Transport::Udp).unwrap();
        let ringing = dialog.answer(&invite, StatusCode::RINGING, "");
        let ring = Ring {
            invite,
            transaction,
            dialog,
            accepted: None,
            is_acknowledged: false,
        };
        self.agent(leg).rings.insert(id, ring);
        let time = self.chance.pick(&[0, SECOND / 10, 3 * SECOND, 40 * SECOND]);
        self.after(time, Happening::Act(leg, Act::Answer(id)));
        if self.chance.percent(70) {
            self.respond(leg, transaction, &ringing);
        }
    }

    fn responded(&mut self, leg: Leg, transaction: TransactionId, response: Box<Response>) {
        let status = response.status();
        let Some(asked) = self.agent(leg).asked.get(&transaction).copied() else {
            panic!("an answer to nothing: {response:?}");
        };
        if let Asked::Invite(id) = asked {
            return self.call_answered(leg, id, response);
        }
        if status.is_provisional() {
            return;
        }
        self.agent(leg).asked.remove(&transaction);
        if let Asked::Message(id) = asked {
            self.told(id, told(status));
        }
    }

    fn call_answered(&mut self, leg: Leg, id: u32, response: Box<Response>) {
        let (now, status) = (self.now(), response.status());
        let call = self.agent(leg).calls.get_mut(&id).unwrap();
        call.forks.handle(now, ForkInput::Response(response));
        let is_first = status.is_final() && !call.is_told;
        call.is_told |= is_first;
        let cancel = call.invite.cancel();
        let may_cancel = !std::mem::replace(&mut call.is_proceeding, true) && call.is_cancelled;
        if is_first {
            self.told(id, told(status));
        } else if may_cancel && status.is_provisional() {
            self.ask(leg, &cancel, Asked::Other);
        }
        self.settle_forks(leg, id);
    }

    fn settle_forks(&mut self, leg: Leg, id: u32) {
        while let Some(fork) = self.agent(leg).calls.get_mut(&id).unwrap().forks.poll() {
            match fork {
                Fork::Early(_) | Fork::Ended(_) => {}
                Fork::Confirmed(dialog) => {
                    let ack = dialog.acknowledgement(id, self.via(leg, End::Agent));
                    let call = self.agent(leg).calls.get_mut(&id).unwrap();
                    assert!(call.dialog.is_none(), "nobody forks");
                    call.dialog = Some(*dialog);
                    call.ack = Some(ack.clone());
                    let is_cancelled = call.is_cancelled;
                    self.send_alone(leg, End::Edge, &ack);
                    let most = if is_cancelled { 0 } else { 100 * SECOND };
                    let time = self.chance.between(0, most);
                    self.after(time, Happening::Act(leg, Act::HangUp(id)));
                }
                Fork::Again(_) => {
                    let ack = self.agent(leg).calls[&id].ack.clone().unwrap();
                    self.send_alone(leg, End::Edge, &ack);
                }
                Fork::Excess(_) | Fork::Unusable(..) => panic!("{fork:?}"),
            }
        }
    }

    pub(super) fn tick_forks(&mut self, leg: Leg) {
        let now = self.now();
        let ids: Vec<u32> = self.agent(leg).calls.keys().copied().collect();
        for id in ids {
            let call = self.agent(leg).calls.get_mut(&id).unwrap();
            call.forks.handle(now, ForkInput::Timer);
            self.settle_forks(leg, id);
        }
    }

    fn unanswered(&mut self, leg: Leg, transaction: TransactionId, failure: Failure) {
        let now = self.now();
        match self.agent(leg).asked.remove(&transaction) {
            Some(Asked::Message(id)) => self.told(id, Told::Failed),
            Some(Asked::Invite(id)) => {
                let call = self.agent(leg).calls.get_mut(&id).unwrap();
                call.forks.handle(now, ForkInput::Failed);
                if !std::mem::replace(&mut call.is_told, true) {
                    self.note(|| format!("call {id}: {failure:?}"));
                    self.told(id, Told::Failed);
                }
                self.settle_forks(leg, id);
            }
            // A transaction of the other's, or nothing follows.
            Some(Asked::Other) | None => {}
        }
    }
}

fn told(status: StatusCode) -> Told {
    match status.code() {
        200..300 => Told::Accepted,
        408 | 500.. => Told::Failed,
        _ => Told::Refused,
    }
}

fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).unwrap()
}
