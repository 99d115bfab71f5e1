//! Users of SIP who ask once (RFC 8048 §7).

use super::sip_side::open_devices;
use super::*;
use crate::interwork::presence::document;
use crate::mime::MediaType;

/// A question of alice that waits for its answer.
#[derive(Debug)]
pub(super) struct Poll {
    call: String,
    /// What was to be seen when she asked, where anything was promised then.
    truth: Option<Devices>,
}

impl World {
    /// alice asks how bob is.
    pub(super) fn poll(&mut self, pair: usize) {
        self.soon(600 * SECOND, 4 * HOUR, Event::Poll(pair));
        if self.is_calm || self.pairs[pair].poll.is_some() {
            return;
        }
        let truth = self.is_promised(pair).then(|| self.seen_by_poll(pair));
        self.count += 1;
        let (count, between) = (self.count, &self.pairs[pair]);
        let (bob, alice) = (self.bob(between.bob), self.alice(between.alice));
        let call = format!("p{count}");
        let text = format!(
            "SUBSCRIBE sip:{bob} SIP/2.0\r\nVia: SIP/2.0/TLS p.partner.example;branch=z9hG4bKp{count}\r\nMax-Forwards: 70\r\n\
             From: <sip:{alice}>;tag=p\r\nTo: <sip:{bob}>\r\nCall-ID: {call}\r\nCSeq: 1 SUBSCRIBE\r\n\
             Contact: <sip:p@10.0.0.9;transport=tls>\r\nEvent: presence\r\nExpires: 0\r\nContent-Length: 0\r\n\r\n"
        );
        self.pairs[pair].poll = Some(Poll {
            call: call.clone(),
            truth,
        });
        self.stir(pair);
        self.send(pair, call, text);
    }

    fn seen_by_poll(&self, pair: usize) -> Devices {
        if self.pairs[pair].from && self.regime_of(pair) == Regime::Open {
            self.shown_to_alice(pair)
        } else {
            Devices::new()
        }
    }

    /// The question came to nothing.
    pub(super) fn unpolled(&mut self, pair: usize, call: &str) {
        self.pairs[pair].poll.take_if(|poll| poll.call == call);
    }

    /// Whether a notification answers the question.
    pub(super) fn polled(&mut self, pair: usize, request: &Request) -> bool {
        let call = request.headers().call_id().to_string();
        let Some(poll) = self.pairs[pair].poll.take_if(|poll| poll.call == call) else {
            return false;
        };
        let state = request.headers().subscription_state().unwrap();
        self.must_of(pair, state.is("terminated"), || {
            format!("who asked once is subscribed: {state}")
        });
        let view = if request.body().is_empty() {
            Devices::new()
        } else {
            let kind = MediaType::parse("application/pidf+xml").unwrap();
            open_devices(&document::read(&kind, request.body()).unwrap().onto(None).unwrap())
        };
        // What has changed since she asked may have been seen or not.
        let truth = poll.truth.filter(|truth| *truth == self.seen_by_poll(pair));
        if let Some(truth) = truth.filter(|_| self.now >= self.disturbed) {
            self.must_of(pair, view == truth, || {
                format!("alice asks and is told {view:?}, and bob is {truth:?}")
            });
            self.saw("seen once");
        }
        true
    }
}
