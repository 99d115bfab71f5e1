//! Figures 5 (as in RFC 6026) and 6, edge by edge.

#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use super::super::tests::{Clock, INVITE, MESSAGE, answer, received, request, words};
use super::*;
use crate::sip::Message;

const UDP: Reliability = Reliability::Unreliable;
const TCP: Reliability = Reliability::Reliable;

struct Rig {
    clock: Clock,
    request: Request,
    machine: ClientTransaction,
}

impl Rig {
    /// A machine that has just sent its request, at 0 ms.
    fn new(text: &str, reliability: Reliability) -> Self {
        let clock = Clock::new();
        let request = request(text);
        let machine = ClientTransaction::new(clock.at(0), &request, reliability, Timers::default()).unwrap();
        let mut this = Self {
            clock,
            request,
            machine,
        };
        let sent = format!("send {}", this.request.method());
        assert_eq!(this.outputs(), sent);
        this
    }

    fn outputs(&mut self) -> String {
        let outputs = std::iter::from_fn(|| self.machine.poll()).collect();
        words(outputs, |response: &Response| response.status().to_string())
    }

    fn response(&mut self, at: u64, code: u16) -> String {
        let response = Box::new(answer(&self.request, code));
        self.machine
            .handle(self.clock.at(at), ClientInput::Response(response));
        self.outputs()
    }

    fn transport_failed(&mut self, at: u64) -> String {
        self.machine
            .handle(self.clock.at(at), ClientInput::TransportFailed);
        self.outputs()
    }

    /// Fires each timer at its time up to and including `until`; gives "time: outputs" for each.
    fn pass(&mut self, until: u64) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(at) = self.machine.timeout().filter(|at| *at <= self.clock.at(until)) {
            self.machine.handle(at, ClientInput::Timer);
            seen.push(format!("{}: {}", self.clock.of(at), self.outputs()));
        }
        seen
    }

    fn over(&mut self) {
        assert_eq!(self.machine.state(), ClientState::Terminated);
        assert_eq!(self.machine.timeout(), None);
        assert!(self.machine.poll().is_none());
    }
}

#[test]
fn ack_has_no_client_transaction() {
    let ack = request(&INVITE.replace("INVITE", "ACK"));
    assert!(ClientTransaction::new(Clock::new().at(0), &ack, UDP, Timers::default()).is_none());
}

#[test]
fn invite_calling_timer_a_repeats_with_doubling_intervals_and_timer_b_gives_up() {
    let mut rig = Rig::new(INVITE, UDP);
    assert_eq!(
        rig.pass(60_000),
        [
            "500: send INVITE",
            "1500: send INVITE",
            "3500: send INVITE",
            "7500: send INVITE",
            "15500: send INVITE",
            "31500: send INVITE",
            "32000: failed timeout, terminated",
        ]
    );
    rig.over();
}

#[test]
fn invite_calling_over_a_reliable_transport_repeats_nothing() {
    let mut rig = Rig::new(INVITE, TCP);
    assert_eq!(rig.pass(60_000), ["32000: failed timeout, terminated"]);
    rig.over();
}

#[test]
fn invite_calling_transport_error_ends() {
    let mut rig = Rig::new(INVITE, UDP);
    assert_eq!(rig.transport_failed(1), "failed transport, terminated");
    rig.over();
}

#[test]
fn invite_calling_1xx_goes_to_proceeding_and_stops_repeating() {
    let mut rig = Rig::new(INVITE, UDP);
    assert_eq!(rig.response(10, 100), "deliver 100");
    assert_eq!(rig.machine.state(), ClientState::Proceeding);
    assert_eq!(rig.pass(40_000), [""; 0]);
}

#[test]
fn invite_calling_2xx_goes_to_accepted() {
    let mut rig = Rig::new(INVITE, UDP);
    assert_eq!(rig.response(10, 200), "deliver 200");
    assert_eq!(rig.machine.state(), ClientState::Accepted);
}

#[test]
fn invite_calling_refusal_goes_to_completed_with_an_ack() {
    for reliability in [UDP, TCP] {
        let mut rig = Rig::new(INVITE, reliability);
        let outputs = rig.response(10, 486);
        match reliability {
            Reliability::Unreliable => {
                assert_eq!(outputs, "send ACK, deliver 486");
                assert_eq!(rig.machine.state(), ClientState::Completed);
            }
            Reliability::Reliable => {
                assert_eq!(outputs, "send ACK, deliver 486, terminated");
                rig.over();
            }
        }
    }
}

#[test]
fn invite_proceeding_1xx_is_delivered_each_time() {
    let mut rig = Rig::new(INVITE, UDP);
    assert_eq!(rig.response(10, 180), "deliver 180");
    assert_eq!(rig.response(20, 180), "deliver 180");
    assert_eq!(rig.response(30, 183), "deliver 183");
    assert_eq!(rig.machine.state(), ClientState::Proceeding);
}

#[test]
fn invite_proceeding_2xx_goes_to_accepted() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.response(10, 180);
    assert_eq!(rig.response(20, 200), "deliver 200");
    assert_eq!(rig.machine.state(), ClientState::Accepted);
}

#[test]
fn invite_proceeding_refusal_goes_to_completed_with_an_ack() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.response(10, 180);
    assert_eq!(rig.response(20, 603), "send ACK, deliver 603");
    assert_eq!(rig.machine.state(), ClientState::Completed);
}

#[test]
fn invite_proceeding_transport_error_ends() {
    let mut rig = Rig::new(INVITE, TCP);
    rig.response(10, 180);
    assert_eq!(rig.transport_failed(20), "failed transport, terminated");
    rig.over();
}

#[test]
fn invite_proceeding_ends_by_timer_c_which_ringing_resets_and_100_does_not() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.response(0, 100);
    rig.response(100_000, 180);
    rig.response(150_000, 100);
    assert_eq!(rig.pass(900_000), ["300000: failed timeout, terminated"]);
    rig.over();
}

#[test]
fn invite_completed_refusal_again_repeats_the_ack_and_delivers_nothing() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.response(10, 486);
    assert_eq!(rig.response(500, 486), "send ACK");
    assert_eq!(rig.response(900, 487), "send ACK");
    assert_eq!(rig.response(901, 200), "");
    assert_eq!(rig.response(902, 180), "");
    assert_eq!(rig.machine.state(), ClientState::Completed);
}

#[test]
fn invite_completed_timer_d_ends_after_32_seconds_whatever_t1_is() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.response(10, 486);
    assert_eq!(rig.pass(90_000), ["32010: terminated"]);
    rig.over();

    let clock = Clock::new();
    let request = request(INVITE);
    let fast = Timers::new(
        Duration::from_millis(10),
        Duration::from_secs(4),
        Duration::from_secs(5),
    );
    let machine = ClientTransaction::new(clock.at(0), &request, UDP, fast).unwrap();
    let mut rig = Rig {
        clock,
        request,
        machine,
    };
    rig.outputs();
    rig.response(10, 486);
    assert_eq!(rig.pass(90_000), ["32010: terminated"]);
}

#[test]
fn invite_completed_transport_error_of_the_ack_ends() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.response(10, 486);
    assert_eq!(rig.transport_failed(20), "failed transport, terminated");
    rig.over();
}

#[test]
fn invite_accepted_delivers_every_2xx_and_sends_no_ack() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.response(10, 200);
    assert_eq!(rig.response(500, 200), "deliver 200");
    assert_eq!(rig.response(501, 202), "deliver 202");
    assert_eq!(rig.response(502, 486), "");
    assert_eq!(rig.response(503, 180), "");
    assert_eq!(rig.machine.state(), ClientState::Accepted);
}

#[test]
fn invite_accepted_timer_m_ends_over_any_transport() {
    for reliability in [UDP, TCP] {
        let mut rig = Rig::new(INVITE, reliability);
        rig.response(10, 200);
        assert_eq!(rig.pass(90_000), ["32010: terminated"], "{reliability:?}");
        rig.over();
    }
}

#[test]
fn invite_accepted_ends_quietly_with_its_flow() {
    let mut rig = Rig::new(INVITE, TCP);
    rig.response(10, 200);
    assert_eq!(rig.transport_failed(20), "terminated");
    rig.over();
}

#[test]
fn ack_of_a_refusal_is_made_of_the_invite_and_the_to_of_the_response() {
    let mut rig = Rig::new(INVITE, UDP);
    let response = Box::new(answer(&rig.request, 486));
    rig.machine
        .handle(rig.clock.at(10), ClientInput::Response(response));
    let Some(Output::Transmit(octets)) = rig.machine.poll() else {
        panic!("no ACK");
    };
    let Message::Request(ack) = received(&octets) else {
        panic!("not a request");
    };
    let (mine, theirs) = (ack.headers(), rig.request.headers());
    assert_eq!(*ack.method(), Method::Ack);
    assert_eq!(ack.uri(), rig.request.uri());
    assert_eq!(mine.vias().collect::<Vec<_>>(), [theirs.top_via()]);
    assert_eq!(mine.from(), theirs.from());
    assert_eq!(mine.to().tag(), Some("b1"));
    assert_eq!(mine.to().uri(), theirs.to().uri());
    assert_eq!(mine.call_id(), theirs.call_id());
    assert_eq!((mine.cseq().number(), mine.cseq().method()), (7, &Method::Ack));
    assert_eq!(mine.route(), theirs.route());
    assert_eq!(mine.max_forwards(), Some(70));
    assert!(mine.contact().addresses().is_empty());
    assert!(ack.body().is_empty());
}

#[test]
fn other_trying_timer_e_repeats_up_to_t2_and_timer_f_gives_up() {
    let mut rig = Rig::new(MESSAGE, UDP);
    assert_eq!(
        rig.pass(60_000),
        [
            "500: send MESSAGE",
            "1500: send MESSAGE",
            "3500: send MESSAGE",
            "7500: send MESSAGE",
            "11500: send MESSAGE",
            "15500: send MESSAGE",
            "19500: send MESSAGE",
            "23500: send MESSAGE",
            "27500: send MESSAGE",
            "31500: send MESSAGE",
            "32000: failed timeout, terminated",
        ]
    );
    rig.over();
}

#[test]
fn other_trying_over_a_reliable_transport_repeats_nothing() {
    let mut rig = Rig::new(MESSAGE, TCP);
    assert_eq!(rig.pass(60_000), ["32000: failed timeout, terminated"]);
    rig.over();
}

#[test]
fn other_trying_transport_error_ends() {
    let mut rig = Rig::new(MESSAGE, TCP);
    assert_eq!(rig.transport_failed(1), "failed transport, terminated");
    rig.over();
}

#[test]
fn other_trying_1xx_goes_to_proceeding_where_timer_e_is_t2() {
    let mut rig = Rig::new(MESSAGE, UDP);
    assert_eq!(rig.response(10, 100), "deliver 100");
    assert_eq!(rig.machine.state(), ClientState::Proceeding);
    assert_eq!(
        rig.pass(9_000),
        ["500: send MESSAGE", "4500: send MESSAGE", "8500: send MESSAGE"]
    );
}

#[test]
fn other_trying_final_response_goes_to_completed() {
    for code in [200, 302, 404, 503, 600] {
        let mut rig = Rig::new(MESSAGE, UDP);
        assert_eq!(rig.response(10, code), format!("deliver {code}"));
        assert_eq!(rig.machine.state(), ClientState::Completed);
    }
}

#[test]
fn other_proceeding_1xx_is_delivered_each_time() {
    let mut rig = Rig::new(MESSAGE, UDP);
    rig.response(10, 100);
    assert_eq!(rig.response(20, 100), "deliver 100");
    assert_eq!(rig.machine.state(), ClientState::Proceeding);
}

#[test]
fn other_proceeding_final_response_goes_to_completed() {
    let mut rig = Rig::new(MESSAGE, UDP);
    rig.response(10, 100);
    assert_eq!(rig.response(20, 200), "deliver 200");
    assert_eq!(rig.machine.state(), ClientState::Completed);
}

#[test]
fn other_proceeding_timer_f_gives_up() {
    let mut rig = Rig::new(MESSAGE, TCP);
    rig.response(10, 100);
    assert_eq!(rig.pass(60_000), ["32000: failed timeout, terminated"]);
    rig.over();
}

#[test]
fn other_proceeding_transport_error_ends() {
    let mut rig = Rig::new(MESSAGE, TCP);
    rig.response(10, 100);
    assert_eq!(rig.transport_failed(20), "failed transport, terminated");
    rig.over();
}

#[test]
fn other_completed_absorbs_responses_until_timer_k() {
    let mut rig = Rig::new(MESSAGE, UDP);
    rig.response(10, 200);
    assert_eq!(rig.response(20, 200), "");
    assert_eq!(rig.response(30, 404), "");
    assert_eq!(rig.response(40, 100), "");
    assert_eq!(rig.pass(60_000), ["5010: terminated"]);
    rig.over();
}

#[test]
fn other_completed_lasts_no_time_over_a_reliable_transport() {
    let mut rig = Rig::new(MESSAGE, TCP);
    assert_eq!(rig.response(10, 200), "deliver 200, terminated");
    rig.over();
}

#[test]
fn other_completed_ends_quietly_with_its_flow() {
    let mut rig = Rig::new(MESSAGE, UDP);
    rig.response(10, 200);
    assert_eq!(rig.transport_failed(20), "terminated");
    rig.over();
}

#[test]
fn terminated_says_nothing_more() {
    let mut rig = Rig::new(MESSAGE, TCP);
    rig.response(10, 200);
    assert_eq!(rig.response(20, 200), "");
    assert_eq!(rig.transport_failed(30), "");
    assert_eq!(rig.pass(900_000), [""; 0]);
    rig.over();
}

#[test]
fn an_open_transaction_over_a_reliable_transport_keeps_no_copy_of_its_request() {
    let rig = Rig::new(MESSAGE, TCP);
    assert!(rig.machine.request.is_empty());
    assert!(size_of::<ClientTransaction>() <= 512);
}
