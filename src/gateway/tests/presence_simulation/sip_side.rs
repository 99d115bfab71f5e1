//! What goes to the SIP side and comes from it, and what is lost on the way.

use super::edge::is_notify;
use super::*;
use crate::interwork::presence::Presence;
use crate::interwork::profile::PeerKind;
use crate::sip::Method;

/// What a request of the SIP side was, that waits for its answer.
#[derive(Debug)]
pub(super) struct Origin {
    pair: usize,
    call: String,
    is_notify: bool,
    what: String,
    sent: u64,
    pub(super) is_delivered: bool,
}

fn users(request: &Request) -> (usize, usize) {
    let headers = request.headers();
    (
        number(&headers.from().to_string(), "sip:b"),
        number(&headers.to().to_string(), "sip:a"),
    )
}

impl World {
    /// A request of ours comes to the SIP side.
    pub(super) fn sip_reads(&mut self, request: &Request, token: Token) {
        self.check_request(request);
        let life = self.life;
        if self.sip_down {
            let (trouble, least, most) = match self.times_out {
                true => (Trouble::Timeout, 32, 33),
                false => (Trouble::Unreachable, 0, 3),
            };
            if self.times_out && *request.method() != Method::Subscribe {
                let pair = self.by_users[&users(request)];
                self.blur(pair, false);
            }
            let input = Box::new(Input::Returned { token, trouble });
            return self.soon(least * SECOND, most * SECOND, Event::Input(life, input));
        }
        let pair = self.by_users[&users(request)];
        let answer = if *request.method() == Method::Subscribe {
            Some(self.subscribed(pair, request))
        } else {
            self.notified(pair, request)
        };
        let Some((status, expires)) = answer else {
            let input = Input::Returned {
                token,
                trouble: Trouble::Timeout,
            };
            return self.at(32 * SECOND, Event::Input(life, Box::new(input)));
        };
        self.note(pair, || format!("S> {} answered {status}", line(request)));
        let last = self.pairs[pair].notifying.last();
        let tag = last.map_or_else(|| "none".to_owned(), |last| last.tag.clone());
        let mut response = request.response(StatusCode::new(status).unwrap(), "", Some(&tag));
        let contact = sip::NameAddr::parse("<sip:p.partner.example;transport=tls>").unwrap();
        response.headers_mut().set_contact(contact);
        response.headers_mut().set_expires(expires);
        if status == 200 && self.is_piggybacked(pair, request) {
            response = self.piggyback(pair, response);
        }
        let response = Box::new(response);
        self.soon(
            20,
            300,
            Event::Input(life, Box::new(Input::Response { token, response })),
        );
    }

    pub(super) fn send(&mut self, pair: usize, call: String, text: String) {
        let is_notify = is_notify(&text);
        self.count += 1;
        let origin = self.count;
        let what = text.lines().next().unwrap().to_owned();
        self.origins.insert(
            origin,
            Origin {
                pair,
                call,
                is_notify,
                what,
                sent: self.now,
                is_delivered: false,
            },
        );
        self.soon(20, 300, Event::Sip(text, origin));
    }

    /// A request of the SIP side does not arrive, which its sender finds out when it is overdue.
    pub(super) fn lost(&mut self, origin: u64) {
        if let Some(Origin { pair, is_notify, .. }) = self.origins.get(&origin) {
            let (pair, is_notify) = (*pair, *is_notify);
            self.pairs[pair].stirred = self.now + 40 * SECOND;
            if is_notify {
                self.blur(pair, true);
            }
        }
    }

    /// Nobody has answered a request of the SIP side.
    pub(super) fn overdue(&mut self, origin: u64, life: u64) {
        let Some(was) = self.origins.remove(&origin) else {
            return;
        };
        let is_lost = !was.is_delivered || life != self.life || self.gateway.is_none();
        self.must(
            is_lost,
            &format!("{} of {} was never answered", was.what, was.pair),
        );
        let pair = was.pair;
        self.stir(pair);
        self.note(pair, || format!("S< {} was lost", was.what));
        self.unpolled(pair, &was.call);
        if was.is_notify {
            self.blur(pair, true);
            // What was over is over, and of what nobody answers nobody knows that it was lost.
            let is_known = self.kind_of(self.pairs[pair].alice) != PeerKind::Microsoft;
            let is_dropped = is_known && self.chance.percent(75);
            self.pairs[pair]
                .notifying
                .retain(|at| !at.is_ending || at.call != was.call);
            if let Some(notifying) = self.pairs[pair]
                .notifying
                .iter_mut()
                .find(|at| at.call == was.call)
            {
                notifying.under_way = false;
                notifying.is_ending |= is_dropped;
                if is_dropped {
                    self.pairs[pair].notifying.retain(|at| at.call != was.call);
                }
            }
            self.count_doubles(pair);
        } else if self.pairs[pair]
            .watching
            .as_ref()
            .is_some_and(|at| at.call == was.call)
        {
            self.pairs[pair].watching = None;
            self.soon(SECOND, 30 * SECOND, Event::Watch(pair));
        }
    }

    /// The gateway has answered a request of the SIP side.
    pub(super) fn answered(&mut self, origin: u64, response: &Response) {
        let was = self.origins.remove(&origin);
        self.must(was.is_some(), "a request is answered twice");
        let (
            Some(Origin {
                pair,
                call,
                is_notify,
                what,
                sent,
                ..
            }),
            status,
        ) = (was, response.status().code())
        else {
            return;
        };
        self.stir(pair);
        self.note(pair, || format!("S< {what} answered {status}"));
        if is_notify {
            let at = self.pairs[pair].notifying.iter().position(|at| at.call == call);
            let Some(at) = at else { return };
            let between = &mut self.pairs[pair];
            let notifying = &mut between.notifying[at];
            notifying.under_way = false;
            between.blurred.0.take_if(|_| status == 200);
            let is_refused = status != 200 && !what.starts_with("BENOTIFY");
            if is_refused || notifying.is_ending || between.is_approved == Some(false) {
                between.notifying.remove(at);
                self.count_doubles(pair);
            } else if notifying.is_dirty {
                self.notify(pair, at);
            }
            return;
        }
        if !(200..300).contains(&status) {
            self.unpolled(pair, &call);
        }
        let Some(watching) = self.pairs[pair].watching.as_mut().filter(|at| at.call == call) else {
            return;
        };
        if status == 204 {
            let (has, wants) = (watching.has.is_some(), self.pairs[pair].wants);
            self.must(has, "who says nothing of what it has is told nothing");
            self.saw("known to them");
            // What was lost after she had asked is none of the answer's.
            self.pairs[pair].blurred.1.take_if(|lost| *lost < sent);
            if !wants {
                self.pairs[pair].watching = None;
                return;
            }
        }
        let Some(watching) = &mut self.pairs[pair].watching else {
            return;
        };
        if (200..300).contains(&status) {
            watching.to = response.headers().to().tag().map(str::to_owned);
            watching.target = watching
                .target
                .take()
                .or_else(|| contact_of(response.headers().contact()));
            let times = watching.times;
            if watching.said == 1 || times.1 > 0 {
                self.at(times.1 * SECOND, Event::Refresh(pair, call));
            }
            return;
        }
        self.pairs[pair].watching = None;
        let again = if status == 481 { 5 } else { 900 };
        self.at(again * SECOND, Event::Watch(pair));
    }

    /// Something was lost on the way to bob, or to alice.
    pub(super) fn blur(&mut self, pair: usize, is_of_bob: bool) {
        let blurred = &mut self.pairs[pair].blurred;
        let of = if is_of_bob { &mut blurred.0 } else { &mut blurred.1 };
        // Each loss has its time: what finds out the one before may be lost too.
        *of = Some(self.now);
    }
}

/// Where the sender of a request of ours wants to be reached.
pub(super) fn contact(request: &Request) -> String {
    contact_of(request.headers().contact()).unwrap()
}

pub(super) fn contact_of(contact: &sip::Contact) -> Option<String> {
    match contact {
        sip::Contact::Listed(listed) => listed.first().map(|address| address.uri().to_string()),
        sip::Contact::Everything => None,
    }
}

/// The devices by which somebody can be reached.
pub(super) fn open_devices(presence: &Presence) -> Devices {
    let devices = presence
        .devices()
        .iter()
        .filter(|device| device.state() != State::Offline);
    devices
        .map(|device| (device.name().to_owned(), device.state()))
        .collect()
}

pub(super) fn line(request: &Request) -> String {
    let headers = request.headers();
    let state = headers.subscription_state().map(ToString::to_string);
    let (method, number) = (request.method(), headers.cseq().number());
    let tag = headers.to().tag().unwrap_or("no tag");
    format!(
        "{method} {number} {tag} {:?} {state:?} {}",
        headers.expires(),
        request.body().len()
    )
}
