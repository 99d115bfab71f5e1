//! Figures 7 (as in RFC 6026) and 8 (as bounded by RFC 4320), edge by edge.

#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use super::super::tests::{Clock, INVITE, MESSAGE, answer, request, words};
use super::*;

const UDP: Reliability = Reliability::Unreliable;
const TCP: Reliability = Reliability::Reliable;

struct Rig {
    clock: Clock,
    request: Request,
    machine: ServerTransaction,
}

impl Rig {
    /// A machine whose request is with its user since 0 ms.
    fn new(text: &str, reliability: Reliability) -> Self {
        let clock = Clock::new();
        let request = request(text);
        let machine = ServerTransaction::new(clock.at(0), &request, reliability, Timers::default()).unwrap();
        Self {
            clock,
            request,
            machine,
        }
    }

    fn outputs(&mut self) -> String {
        let outputs = std::iter::from_fn(|| self.machine.poll()).collect();
        words(outputs, |request: &Request| request.method().to_string())
    }

    fn respond(&mut self, at: u64, code: u16) -> (Responded, String) {
        let response = answer(&self.request, code);
        let responded = self.machine.respond(self.clock.at(at), &response);
        (responded, self.outputs())
    }

    /// A response that is sent.
    fn send(&mut self, at: u64, code: u16) -> String {
        let (responded, outputs) = self.respond(at, code);
        assert_eq!(responded, Responded::Sent);
        outputs
    }

    fn handle(&mut self, at: u64, input: ServerInput) -> String {
        self.machine.handle(self.clock.at(at), input);
        self.outputs()
    }

    fn repeated(&mut self, at: u64) -> String {
        self.handle(at, ServerInput::Repeated)
    }

    fn ack(&mut self, at: u64) -> String {
        let ack = request(&INVITE.replace("INVITE", "ACK"));
        self.handle(at, ServerInput::Ack(Box::new(ack)))
    }

    fn transport_failed(&mut self, at: u64) -> String {
        self.handle(at, ServerInput::TransportFailed)
    }

    fn pass(&mut self, until: u64) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(at) = self.machine.timeout().filter(|at| *at <= self.clock.at(until)) {
            self.machine.handle(at, ServerInput::Timer);
            seen.push(format!("{}: {}", self.clock.of(at), self.outputs()));
        }
        seen
    }

    fn over(&mut self) {
        assert_eq!(self.machine.state(), ServerState::Terminated);
        assert_eq!(self.machine.timeout(), None);
        assert!(self.machine.poll().is_none());
    }
}

#[test]
fn ack_has_no_server_transaction() {
    let ack = request(&INVITE.replace("INVITE", "ACK"));
    assert!(ServerTransaction::new(Clock::new().at(0), &ack, UDP, Timers::default()).is_none());
}

#[test]
fn invite_proceeding_sends_100_after_200_ms_unless_its_user_answers() {
    let mut rig = Rig::new(INVITE, TCP);
    assert_eq!(rig.pass(10_000), ["200: send 100"]);

    let mut rig = Rig::new(INVITE, TCP);
    assert_eq!(rig.send(100, 180), "send 180");
    assert_eq!(rig.pass(10_000), [""; 0]);
}

#[test]
fn invite_proceeding_request_again_sends_the_last_provisional_response() {
    let mut rig = Rig::new(INVITE, UDP);
    assert_eq!(rig.repeated(50), "send 100");
    assert_eq!(rig.pass(10_000), [""; 0]);
    rig.send(10_001, 180);
    rig.send(10_002, 183);
    assert_eq!(rig.repeated(10_003), "send 183");
    assert_eq!(rig.machine.state(), ServerState::Proceeding);
}

#[test]
fn invite_proceeding_1xx_is_sent_each_time() {
    let mut rig = Rig::new(INVITE, UDP);
    for at in 0..3 {
        assert_eq!(rig.send(at, 180), "send 180");
    }
    assert_eq!(rig.machine.state(), ServerState::Proceeding);
}

#[test]
fn invite_proceeding_2xx_goes_to_accepted() {
    let mut rig = Rig::new(INVITE, UDP);
    assert_eq!(rig.send(10, 200), "send 200");
    assert_eq!(rig.machine.state(), ServerState::Accepted);
}

#[test]
fn invite_proceeding_refusal_goes_to_completed() {
    for code in [302, 486, 503, 603] {
        let mut rig = Rig::new(INVITE, UDP);
        assert_eq!(rig.send(10, code), format!("send {code}"));
        assert_eq!(rig.machine.state(), ServerState::Completed);
    }
}

#[test]
fn invite_proceeding_transport_error_is_told_and_changes_nothing() {
    let mut rig = Rig::new(INVITE, UDP);
    assert_eq!(rig.transport_failed(10), "failed transport");
    assert_eq!(rig.machine.state(), ServerState::Proceeding);
    assert_eq!(rig.repeated(20), "send 100");
}

#[test]
fn invite_proceeding_ack_means_nothing() {
    let mut rig = Rig::new(INVITE, UDP);
    assert_eq!(rig.ack(10), "");
    assert_eq!(rig.machine.state(), ServerState::Proceeding);
}

#[test]
fn invite_proceeding_ends_where_its_user_never_answers() {
    let mut rig = Rig::new(INVITE, UDP);
    let seen = rig.pass(900_000);
    assert_eq!(seen, ["200: send 100", "232200: failed timeout, terminated"]);
    rig.over();
}

#[test]
fn invite_completed_timer_g_repeats_up_to_t2_and_timer_h_gives_up() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(0, 486);
    assert_eq!(
        rig.pass(60_000),
        [
            "500: send 486",
            "1500: send 486",
            "3500: send 486",
            "7500: send 486",
            "11500: send 486",
            "15500: send 486",
            "19500: send 486",
            "23500: send 486",
            "27500: send 486",
            "31500: send 486",
            "32000: failed timeout, terminated",
        ]
    );
    rig.over();
}

#[test]
fn invite_completed_over_a_reliable_transport_repeats_nothing_and_waits_for_the_ack() {
    let mut rig = Rig::new(INVITE, TCP);
    rig.send(0, 486);
    assert_eq!(rig.pass(60_000), ["32000: failed timeout, terminated"]);
    rig.over();
}

#[test]
fn invite_completed_request_again_sends_the_response_again() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(10, 486);
    assert_eq!(rig.repeated(20), "send 486");
    assert_eq!(rig.machine.state(), ServerState::Completed);
}

#[test]
fn invite_completed_takes_no_other_response() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(10, 486);
    for code in [180, 200, 486, 603] {
        assert_eq!(rig.respond(20, code), (Responded::TooLate, String::new()));
    }
}

#[test]
fn invite_completed_transport_error_is_told_and_changes_nothing() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(10, 486);
    assert_eq!(rig.transport_failed(20), "failed transport");
    assert_eq!(rig.machine.state(), ServerState::Completed);
}

#[test]
fn invite_completed_ack_goes_to_confirmed() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(10, 486);
    assert_eq!(rig.ack(20), "");
    assert_eq!(rig.machine.state(), ServerState::Confirmed);
}

#[test]
fn invite_confirmed_absorbs_everything_until_timer_i() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(10, 486);
    rig.ack(20);
    assert_eq!(rig.ack(30), "");
    assert_eq!(rig.repeated(40), "");
    assert_eq!(rig.transport_failed(50), "");
    assert_eq!(rig.pass(60_000), ["5020: terminated"]);
    rig.over();
}

#[test]
fn invite_confirmed_lasts_no_time_over_a_reliable_transport() {
    let mut rig = Rig::new(INVITE, TCP);
    rig.send(10, 486);
    assert_eq!(rig.ack(20), "terminated");
    rig.over();
}

#[test]
fn invite_accepted_absorbs_the_request_again() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(10, 200);
    assert_eq!(rig.repeated(20), "");
    assert_eq!(rig.machine.state(), ServerState::Accepted);
}

#[test]
fn invite_accepted_hands_up_every_ack() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(10, 200);
    assert_eq!(rig.ack(20), "deliver ACK");
    assert_eq!(rig.ack(30), "deliver ACK");
    assert_eq!(rig.machine.state(), ServerState::Accepted);
}

#[test]
fn invite_accepted_sends_each_2xx_of_its_user_and_none_of_its_own() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(10, 200);
    assert_eq!(rig.pass(30_000), [""; 0]);
    assert_eq!(rig.send(30_001, 200), "send 200");
    assert_eq!(rig.respond(30_002, 486), (Responded::TooLate, String::new()));
    assert_eq!(rig.respond(30_003, 180), (Responded::TooLate, String::new()));
}

#[test]
fn invite_accepted_transport_error_is_told_and_changes_nothing() {
    let mut rig = Rig::new(INVITE, UDP);
    rig.send(10, 200);
    assert_eq!(rig.transport_failed(20), "failed transport");
    assert_eq!(rig.machine.state(), ServerState::Accepted);
}

#[test]
fn invite_accepted_timer_l_ends_over_any_transport() {
    for reliability in [UDP, TCP] {
        let mut rig = Rig::new(INVITE, reliability);
        rig.send(10, 200);
        assert_eq!(rig.pass(60_000), ["32010: terminated"], "{reliability:?}");
        rig.over();
    }
}

#[test]
fn other_trying_absorbs_the_request_again() {
    let mut rig = Rig::new(MESSAGE, UDP);
    assert_eq!(rig.repeated(10), "");
    assert_eq!(rig.machine.state(), ServerState::Trying);
}

#[test]
fn other_trying_sends_100_when_a_client_has_come_to_t2() {
    for reliability in [UDP, TCP] {
        let mut rig = Rig::new(MESSAGE, reliability);
        assert_eq!(rig.pass(4_000), ["3500: send 100"], "{reliability:?}");
        assert_eq!(rig.machine.state(), ServerState::Proceeding);
    }
}

#[test]
fn other_trying_100_of_its_user_is_withheld_over_udp_until_then_and_sent_over_tcp() {
    let mut rig = Rig::new(MESSAGE, UDP);
    assert_eq!(rig.respond(10, 100), (Responded::Withheld, String::new()));
    assert_eq!(rig.machine.state(), ServerState::Trying);
    assert_eq!(rig.pass(4_000), ["3500: send 100"]);

    let mut rig = Rig::new(MESSAGE, TCP);
    assert_eq!(rig.send(10, 100), "send 100");
    assert_eq!(rig.machine.state(), ServerState::Proceeding);
    assert_eq!(rig.pass(4_000), [""; 0]);
}

#[test]
fn other_trying_no_provisional_response_but_100_is_sent() {
    let mut rig = Rig::new(MESSAGE, TCP);
    for code in [101, 180, 183, 199] {
        assert_eq!(rig.respond(10, code), (Responded::Withheld, String::new()));
    }
    assert_eq!(rig.machine.state(), ServerState::Trying);
}

#[test]
fn other_trying_final_response_goes_to_completed() {
    for code in [200, 302, 404, 503, 600] {
        let mut rig = Rig::new(MESSAGE, UDP);
        assert_eq!(rig.send(10, code), format!("send {code}"));
        assert_eq!(rig.machine.state(), ServerState::Completed);
    }
}

#[test]
fn other_trying_transport_error_ends() {
    let mut rig = Rig::new(MESSAGE, TCP);
    assert_eq!(rig.transport_failed(10), "failed transport, terminated");
    rig.over();
}

#[test]
fn other_ends_where_its_user_never_answers_and_sends_no_408() {
    let mut rig = Rig::new(MESSAGE, UDP);
    let seen = rig.pass(900_000);
    assert_eq!(seen, ["3500: send 100", "32000: failed timeout, terminated"]);
    rig.over();
}

#[test]
fn other_408_of_its_user_is_never_sent_and_repetitions_stay_absorbed() {
    let mut rig = Rig::new(MESSAGE, UDP);
    assert_eq!(rig.respond(31_000, 408), (Responded::Withheld, String::new()));
    assert_eq!(rig.machine.state(), ServerState::Completed);
    assert_eq!(rig.repeated(31_500), "");
    assert_eq!(rig.pass(900_000), ["63000: terminated"]);
    rig.over();
}

#[test]
fn other_proceeding_request_again_sends_the_100_again() {
    let mut rig = Rig::new(MESSAGE, UDP);
    rig.pass(3_500);
    assert_eq!(rig.repeated(3_600), "send 100");
    assert_eq!(rig.machine.state(), ServerState::Proceeding);
}

#[test]
fn other_proceeding_100_is_sent_each_time() {
    let mut rig = Rig::new(MESSAGE, TCP);
    rig.send(10, 100);
    assert_eq!(rig.send(20, 100), "send 100");
}

#[test]
fn other_proceeding_final_response_goes_to_completed() {
    let mut rig = Rig::new(MESSAGE, UDP);
    rig.pass(3_500);
    assert_eq!(rig.send(3_600, 200), "send 200");
    assert_eq!(rig.machine.state(), ServerState::Completed);
}

#[test]
fn other_proceeding_transport_error_ends() {
    let mut rig = Rig::new(MESSAGE, TCP);
    rig.send(10, 100);
    assert_eq!(rig.transport_failed(20), "failed transport, terminated");
    rig.over();
}

#[test]
fn other_completed_request_again_sends_the_response_again_until_timer_j() {
    let mut rig = Rig::new(MESSAGE, UDP);
    rig.send(10, 200);
    assert_eq!(rig.repeated(20), "send 200");
    assert_eq!(rig.respond(30, 404), (Responded::TooLate, String::new()));
    assert_eq!(rig.repeated(40), "send 200");
    assert_eq!(rig.pass(60_000), ["32010: terminated"]);
    rig.over();
}

#[test]
fn other_completed_lasts_no_time_over_a_reliable_transport() {
    let mut rig = Rig::new(MESSAGE, TCP);
    assert_eq!(rig.send(10, 200), "send 200, terminated");
    rig.over();
}

#[test]
fn other_completed_transport_error_ends() {
    let mut rig = Rig::new(MESSAGE, UDP);
    rig.send(10, 200);
    assert_eq!(rig.transport_failed(20), "failed transport, terminated");
    rig.over();
}

#[test]
fn terminated_says_nothing_more() {
    let mut rig = Rig::new(MESSAGE, TCP);
    rig.send(10, 200);
    assert_eq!(rig.repeated(20), "");
    assert_eq!(rig.respond(30, 200), (Responded::TooLate, String::new()));
    assert_eq!(rig.transport_failed(40), "");
    assert_eq!(rig.pass(900_000), [""; 0]);
    rig.over();
}

#[test]
fn an_open_transaction_is_small() {
    let rig = Rig::new(MESSAGE, UDP);
    let held = size_of::<ServerTransaction>() + rig.machine.trying.len() + rig.machine.last.len();
    assert!(held <= 1_024, "{held}");
}

#[test]
fn invite_accepted_by_ourselves_is_said_again_until_the_ack_on_any_transport() {
    for reliability in [UDP, TCP] {
        let mut rig = Rig::new(INVITE, reliability);
        let response = answer(&rig.request, 200);
        assert_eq!(rig.machine.answer(rig.clock.at(0), &response), Responded::Sent);
        assert_eq!(rig.outputs(), "send 200");
        assert_eq!(
            rig.pass(3_600),
            ["500: send 200", "1500: send 200", "3500: send 200"]
        );
        assert_eq!(rig.ack(3_700), "deliver ACK");
        assert_eq!(rig.pass(31_999), [""; 0]);
        assert_eq!(rig.pass(32_000), ["32000: terminated"]);
        rig.over();
    }
    let mut rig = Rig::new(INVITE, TCP);
    let response = answer(&rig.request, 200);
    let _ = rig.machine.answer(rig.clock.at(0), &response);
    assert_eq!(rig.pass(32_000).len(), 11, "and never longer than 64*T1");
    rig.over();
}
