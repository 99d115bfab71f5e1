//! Dialogs, by a script of what both ends do: numbers only rise, what is late is refused, what has ended says nothing,
//! the way is that of the first messages, a stored dialog is the same; and of the dialogs that forks make none gets lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use vestibule::choices::Choices;
use vestibule::sip::dialog::{Damage, Dialog, DialogId, Fork, ForkInput, Forks, NotSent, Phase, Received, Refused, Role, Usage};
use vestibule::sip::transaction::Timers;
use vestibule::sip::{
    CallId, Contact, Mandatory, Method, NameAddr, Request, Response, RouteHop, RouteSet, StatusCode, Transport, Uri, Via,
};

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let way = way(&mut choices);
    let mut first = request(choices.pick(&[Method::Invite, Method::Subscribe]), choices.number());
    first.headers_mut().set_from(address("<sip:ann@a.example>;tag=a1;epid=0f"));
    if choices.seldom(2) {
        *first.headers_mut().record_route_mut() = way.clone();
        let callee = Dialog::of_callee(&first, "b1", address(OURS), &Transport::Tls);
        let callee = callee.expect("such a request makes a dialog");
        assert_eq!(texts(callee.route()), texts(&way));
        Script::new(callee, way, &mut choices).run();
    } else if choices.seldom(3) {
        forks(&first, &mut choices);
    } else {
        let code = choices.pick(&[200, 180, 202]);
        let answer = answer(&first, code, "b1", Some(THEIRS)).with_record_route(way.reversed());
        let caller = Dialog::of_caller(&first, &answer, &Transport::Tls).expect("such a response makes a dialog");
        assert_eq!(texts(caller.route()), texts(&way));
        Script::new(caller, way, &mut choices).run();
    }
}

struct Script<'c, 'd> {
    dialog: Dialog,
    way: RouteSet,
    target: Uri,
    sent: Option<u32>,
    heard: Option<u32>,
    choices: &'c mut Choices<'d>,
}

impl<'c, 'd> Script<'c, 'd> {
    fn new(dialog: Dialog, way: RouteSet, choices: &'c mut Choices<'d>) -> Self {
        let record = dialog.record();
        Self {
            way,
            target: dialog.target().clone(),
            sent: record.local_sequence,
            heard: record.remote_sequence,
            dialog,
            choices,
        }
    }

    fn run(mut self) {
        while !self.choices.is_done() {
            match self.choices.next() % 8 {
                0 | 1 => self.send(),
                2..=4 => self.receive(),
                5 => self.answered(),
                6 => {
                    let stored = Dialog::restore(&self.dialog.record());
                    assert_eq!(stored.as_ref(), Ok(&self.dialog));
                    self.dialog = stored.expect("it was stored");
                }
                _ => match self.choices.next() % 8 {
                    0 => self.dialog.end(),
                    1..=4 => self.dialog.confirm(),
                    _ => self.confirmed(),
                },
            }
            assert_eq!(self.dialog.target(), &self.target);
            // Hops are equal where their texts are, octet for octet.
            assert_eq!(self.dialog.route(), &self.way);
        }
    }

    fn send(&mut self) {
        let method = self.choices.pick(&METHODS);
        let phase = self.dialog.phase();
        let sent = self.dialog.request(method.clone(), via());
        let request = match sent {
            Ok(request) => request,
            Err(NotSent::Ended) => return assert_eq!(phase, Phase::Ended),
            Err(NotSent::Early) => {
                let is_callee = self.dialog.role() == Role::Callee;
                return assert!(is_callee && phase == Phase::Early && method == Method::Bye);
            }
            Err(NotSent::Exhausted) => return assert_eq!(self.sent, Some(MOST)),
        };
        assert_ne!(phase, Phase::Ended);
        let number = request.headers().cseq().number();
        assert_eq!(number, self.sent.map_or(1, |last| last + 1));
        self.sent = Some(number);
        let headers = request.headers();
        assert_eq!((headers.from(), headers.to()), (self.dialog.local(), self.dialog.remote()));
        self.leads_there(&request);
        self.leads_there(&self.dialog.acknowledgement(number, via()));
    }

    /// The whole way, however it is written: loosely, or its first hop in place of the target.
    fn leads_there(&self, request: &Request) {
        let route = texts(request.headers().route());
        let way = texts(&self.way);
        match self.way.first() {
            Some(first) if !first.is_loose_router() => {
                assert_eq!(route.split_last().map(|(_, route)| route), Some(&way[1..]));
                let last = request.headers().route().last().map(RouteHop::uri);
                assert_eq!(last, Some(&self.target));
            }
            Some(_) | None => assert_eq!((request.uri(), route), (&self.target, way)),
        }
    }

    fn receive(&mut self) {
        let method = self.choices.pick(&METHODS);
        let number = match (self.choices.next() % 8, self.heard) {
            (0, _) | (_, None) => self.choices.number(),
            (1, Some(last)) => last,
            (2, Some(last)) => last.saturating_sub(u32::from(self.choices.next())),
            (_, Some(last)) => last.saturating_add(1).min(MOST),
        };
        let mut request = request(method.clone(), number);
        let is_other = self.choices.seldom(8);
        let headers = request.headers_mut();
        headers.set_from(self.dialog.remote().clone());
        headers.set_to(self.dialog.local().clone());
        if is_other {
            headers.to_mut().set_tag("another");
        }
        let moved = self.choices.pick(&[None, Some(THEIRS), Some("<sip:moved@b.example;x=y>"), Some("<tel:+1>")]);
        headers.set_contact(moved.map_or_else(Contact::default, |moved| address(moved).into()));
        let before = self.dialog.phase();
        let received = self.dialog.receive(&request);
        let is_new = self.heard.is_none_or(|last| number > last);
        let counts = !matches!(method, Method::Ack | Method::Cancel);
        if before == Phase::Ended || is_other {
            return assert_eq!(received, Err(Refused::NoSuchDialog));
        }
        if counts && !is_new {
            assert_eq!(received, Err(Refused::OutOfOrder));
            return assert_eq!(Refused::OutOfOrder.status().code(), 500);
        }
        if counts {
            self.heard = Some(number);
        }
        match received {
            Ok(Received::Bye) => {
                assert_eq!((method, self.dialog.phase()), (Method::Bye, Phase::Ended));
            }
            Ok(Received::Acknowledgement) => assert_eq!(method, Method::Ack),
            Ok(Received::Request) => {
                let refreshes = matches!(method, Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer);
                if let Some(moved) = moved.filter(|_| refreshes) {
                    self.target = address(moved).uri().clone();
                }
                let answer = self.dialog.answer(&request, StatusCode::OK, "");
                assert_eq!(answer.headers().to().tag(), self.dialog.local().tag());
            }
            Err(Refused::Contact) => assert_eq!(moved, Some("<tel:+1>")),
            Err(Refused::NoSuchDialog) => {
                let of_session = matches!(method, Method::Invite | Method::Bye | Method::Prack | Method::Update);
                assert_eq!(of_session, self.dialog.usage() == Usage::Subscription, "{method}");
            }
            Err(Refused::OutOfOrder) => panic!("{number} after {:?}", self.heard),
        }
    }

    fn answered(&mut self) {
        let mut asked = request(self.choices.pick(&METHODS), self.sent.unwrap_or(1));
        asked.headers_mut().set_from(self.dialog.local().clone());
        asked.headers_mut().set_to(self.dialog.remote().clone());
        let code = self.choices.pick(&[200, 100, 180, 408, 481, 486, 500, 405, 404]);
        let before = self.dialog.phase();
        let damage = self.dialog.receive_response(&answer(&asked, code, "b1", None));
        match damage {
            Damage::Transaction => assert_eq!(self.dialog.phase(), before),
            Damage::Usage | Damage::Dialog => {
                assert!(code >= 400);
                assert_eq!(self.dialog.phase(), Phase::Ended);
            }
        }
    }

    /// A 2xx brings its own way, but to an early dialog only.
    fn confirmed(&mut self) {
        let is_early = self.dialog.phase() == Phase::Early;
        let way = way(self.choices);
        let asked = request(Method::Invite, 1);
        let accepted = answer(&asked, 200, "b1", Some("<sip:moved@b.example>"));
        self.dialog.confirm_by(&accepted.with_record_route(way.reversed()));
        if is_early {
            assert_eq!(self.dialog.phase(), Phase::Confirmed);
            self.way = way;
            self.target = address("<sip:moved@b.example>").uri().clone();
        }
    }
}

fn forks(first: &Request, choices: &mut Choices<'_>) {
    let mut invite = request(Method::Invite, 1);
    invite.headers_mut().set_from(first.headers().from().clone());
    let mut forks = Forks::new(invite.clone(), Transport::Tls, Timers::default());
    let mut now = Instant::now();
    let (mut early, mut confirmed): (BTreeSet<DialogId>, BTreeSet<DialogId>) = Default::default();
    let mut accepted: Option<Instant> = None;
    while !choices.is_done() {
        let was_over = forks.is_over();
        let mut told = 0;
        let mut is_accepted = false;
        match choices.next() % 16 {
            0 => forks.handle(now, ForkInput::Failed),
            1 | 2 => {
                now += Duration::from_secs(u64::from(choices.next() % 40));
                forks.handle(now, ForkInput::Timer);
            }
            3 => {
                let ended = early.iter().nth(usize::from(choices.next() % 4)).cloned();
                if let Some(dialog) = ended.and_then(|id| forks.early(&id)) {
                    dialog.end();
                }
            }
            _ => {
                let code = choices.pick(&[180, 200, 183, 200, 100, 486]);
                let tag = format!("t{}", choices.next() % 24);
                let contact = choices.pick(&[Some(THEIRS), Some(THEIRS), None, Some("<tel:+1>")]);
                is_accepted = code == 200;
                let response = answer(&invite, code, &tag, contact);
                forks.handle(now, ForkInput::Response(Box::new(response)));
                if is_accepted && !was_over {
                    accepted.get_or_insert(now);
                }
            }
        }
        while let Some(fork) = forks.poll() {
            match fork {
                Fork::Early(id) => assert!(!was_over && early.insert(id)),
                Fork::Ended(id) => assert!(early.remove(&id), "{id} is told twice"),
                Fork::Confirmed(dialog) => {
                    told += 1;
                    assert_eq!(dialog.phase(), Phase::Confirmed);
                    early.remove(&dialog.id());
                    assert!(confirmed.insert(dialog.id()), "{} is confirmed twice", dialog.id());
                }
                Fork::Excess(mut dialog) => {
                    told += 1;
                    early.remove(&dialog.id());
                    assert!(dialog.request(Method::Bye, via()).is_ok_and(|bye| bye.headers().cseq().number() > 1));
                }
                Fork::Again(_) | Fork::Unusable(..) => told += 1,
            }
            assert!(early.len() <= 16 && confirmed.len() <= 16);
        }
        assert_eq!(told, u32::from(is_accepted && !was_over), "each 2xx is told, and once");
        if forks.is_over() {
            assert!(early.is_empty() && forks.timeout().is_none(), "{early:?} are forgotten");
        } else if let Some(accepted) = accepted {
            assert_eq!(forks.timeout(), Some(accepted + Timers::default().give_up()));
        }
    }
}

/// Hops as peers write them, which read the same and are not.
fn way(choices: &mut Choices<'_>) -> RouteSet {
    let hops: Vec<RouteHop> = (0..choices.next() % 4)
        .map(|_| {
            let hop = choices.pick(&[
                "<sip:p1.example;lr>",
                "<sip:p2.example;LR;ms-route-sig=bb>;tag=T2",
                "\"A  b\" <sips:P3.example:5061;lr;x=%41>;q=\"a,b\"",
                "<sip:strict.example>",
                "<sip:p1.example;lr=on>",
            ]);
            RouteHop::parse(hop).expect("a hop")
        })
        .collect();
    RouteSet::from(hops)
}

fn texts(route: &RouteSet) -> Vec<String> {
    route.iter().map(ToString::to_string).collect()
}

fn request(method: Method, sequence: u32) -> Request {
    let mandatory = Mandatory {
        via: via(),
        from: address("<sip:ann@a.example>;tag=a1"),
        to: address("<sip:bob@b.example>"),
        call_id: CallId::parse("c1").expect("a Call-ID"),
        sequence,
    };
    let target = Uri::parse("sip:bob@b.example").expect("a URI");
    Request::new(method, target, mandatory).with_contact(address(OURS))
}

fn answer(request: &Request, code: u16, tag: &str, contact: Option<&str>) -> Response {
    let status = StatusCode::new(code).expect("a status");
    let response = request.response(status, "", Some(tag));
    match contact {
        Some(contact) => response.with_contact(address(contact)),
        None => response,
    }
}

fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).expect("an address")
}

fn via() -> Via {
    Via::parse("SIP/2.0/TLS edge.example;branch=z9hG4bK1").expect("a Via")
}

const OURS: &str = "<sip:edge.example;transport=tls>";
const THEIRS: &str = "<sip:bob@ua.b.example;gruu;opaque=x>";
/// RFC 3261 §8.1.1.5.
const MOST: u32 = 0x7FFF_FFFF;
const METHODS: [Method; 12] = [
    Method::Invite,
    Method::Bye,
    Method::Ack,
    Method::Cancel,
    Method::Info,
    Method::Message,
    Method::Update,
    Method::Subscribe,
    Method::Notify,
    Method::Refer,
    Method::Prack,
    Method::Options,
];
