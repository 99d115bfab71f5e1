//! Each alice who watches.

use super::sip_side::{contact, open_devices};
use super::*;
use crate::interwork::presence::document;
use crate::mime::MediaType;

/// A subscription of alice at the gateway.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) call: String,
    pub(super) to: Option<String>,
    /// Where the edge wants to be reached.
    pub(super) target: Option<String>,
    pub(super) said: u32,
    pub(super) heard: u32,
    pub(super) state: String,
    pub(super) view: Devices,
    pub(super) has_state: bool,
    pub(super) times: (u64, u64),
    /// The tag of what was told last, and what was said to have.
    pub(super) tag: Option<String>,
    pub(super) has: Option<String>,
}

impl World {
    /// alice begins to watch, or stops, or loses her memory.
    pub(super) fn watch(&mut self, pair: usize) {
        if self.pairs[pair].watching.is_some() {
            return;
        }
        if self.is_calm && !self.pairs[pair].wants {
            return;
        }
        self.stir(pair);
        self.count += 1;
        let call = format!("w{}", self.count);
        let times = self
            .chance
            .pick(&[(3_600, 3_400), (3_600, 3_000), (7_200, 6_300), (600, 500)]);
        let between = &mut self.pairs[pair];
        between.wants = true;
        between.denied = None;
        let watching = Watching {
            call: call.clone(),
            to: None,
            target: None,
            said: 0,
            heard: 0,
            state: "pending".to_owned(),
            view: Devices::new(),
            has_state: false,
            times,
            tag: None,
            has: None,
        };
        between.watching = Some(watching);
        self.ask(pair, times.0);
    }

    /// alice refreshes, or leaves, or forgets.
    pub(super) fn refresh(&mut self, pair: usize, call: &str) {
        let Some(watching) = self.pairs[pair].watching.as_ref().filter(|at| at.call == call) else {
            return;
        };
        let times = watching.times;
        self.stir(pair);
        match self.chance.index(20) {
            0 if !self.is_calm => {
                self.saw("left");
                self.pairs[pair].wants = false;
                self.ask(pair, 0);
                self.soon(600 * SECOND, 2 * HOUR, Event::Watch(pair));
            }
            1 if !self.is_calm => {
                self.saw("forgotten");
                self.pairs[pair].watching = None;
                self.soon(SECOND, 600 * SECOND, Event::Watch(pair));
            }
            _ => self.ask(pair, times.0),
        }
    }

    pub(super) fn ask(&mut self, pair: usize, expires: u64) {
        let between = &self.pairs[pair];
        let (bob, alice, number) = (self.bob(between.bob), self.alice(between.alice), self.count);
        let says_what_it_has = self.chance.percent(50);
        let Some(watching) = &mut self.pairs[pair].watching else {
            return;
        };
        watching.said += 1;
        watching.has = watching.tag.clone().filter(|_| says_what_it_has);
        let has = watching.has.as_deref();
        let condition = has.map_or_else(String::new, |tag| format!("Suppress-If-Match: {tag}\r\n"));
        let (target, to) = match (&watching.to, &watching.target) {
            (Some(tag), Some(target)) => (target.clone(), format!("<sip:{bob}>;tag={tag}")),
            (Some(_), None) | (None, _) => (format!("sip:{bob}"), format!("<sip:{bob}>")),
        };
        let (call, said) = (watching.call.clone(), watching.said);
        let text = format!(
            "SUBSCRIBE {target} SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKa{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{alice}>;tag=w\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {said} SUBSCRIBE\r\n\
             Contact: <sip:w@10.0.0.9;transport=tls>\r\nEvent: presence\r\nExpires: {expires}\r\n{condition}Content-Length: 0\r\n\r\n"
        );
        self.send(pair, call, text);
    }

    /// A NOTIFY of ours comes to alice.
    pub(super) fn notified(&mut self, pair: usize, request: &Request) -> Option<(u16, Option<u32>)> {
        self.stir(pair);
        let headers = request.headers();
        let call = headers.call_id().to_string();
        let is_known = self.pairs[pair]
            .watching
            .as_ref()
            .is_some_and(|at| at.call == call);
        if self.polled(pair, request) {
            return Some((200, None));
        }
        if !is_known {
            return Some((481, None));
        }
        if self.chance.percent(2) && !self.is_calm {
            self.saw("lost");
            self.blur(pair, false);
            return None;
        }
        let state = headers.subscription_state().unwrap();
        let sequence = headers.cseq().number();
        let heard = self.pairs[pair].watching.as_ref().map_or(0, |at| at.heard);
        self.must(heard < sequence, "CSeq of a NOTIFY does not grow");
        let between = &mut self.pairs[pair];
        between.blurred.1 = None;
        let watching = between.watching.as_mut()?;
        watching.heard = sequence;
        watching.to = headers.from().tag().map(str::to_owned);
        watching.target = Some(contact(request));
        watching.state = state.state().to_owned();
        let tag = headers.get("SIP-ETag").map(str::to_owned);
        let is_left_out = request.body().is_empty() && tag.is_some() && tag == watching.has;
        watching.tag = tag;
        if is_left_out {
            self.saw("left out");
        } else if request.body().is_empty() {
            watching.has_state = false;
            watching.view.clear();
        } else {
            let kind = MediaType::parse("application/pidf+xml").unwrap();
            let presence = document::read(&kind, request.body()).unwrap().onto(None).unwrap();
            watching.has_state = true;
            watching.view = open_devices(&presence);
        }
        let between = &mut self.pairs[pair];
        if state.is("terminated") {
            let again = if state.reason() == Some("rejected") {
                1_800
            } else {
                10
            };
            between.watching = None;
            if between.wants {
                self.at(again * SECOND, Event::Watch(pair));
            }
        }
        Some((200, None))
    }
}
