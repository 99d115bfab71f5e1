//! The machine of a link on a made-up clock: what it wants done, step by step.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "tests count from some instant"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::xml::Element;
use crate::xmpp::{Stanza, ns};

/// A link with its clock.
struct Bench {
    link: XmppLink,
    now: Instant,
    limits: XmppLimits,
}

fn stanza() -> Box<Stanza> {
    let element = Element::new("message", ns::STANZA)
        .with_attribute("from", "a@here.example")
        .with_attribute("to", "b@there.example");
    Box::new(Stanza::from_element(element, ns::STANZA).unwrap())
}

fn token(number: u64) -> Token {
    Token::new(0, number)
}

fn tokens(numbers: &[u64]) -> Vec<Token> {
    numbers.iter().copied().map(token).collect()
}

/// An output in few words.
fn word(output: &Output) -> String {
    let numbers = |tokens: &[Token]| {
        let numbers: Vec<_> = tokens.iter().map(|it| (it.get() >> 8).to_string()).collect();
        numbers.join(",")
    };
    match output {
        Output::Open => "open".to_owned(),
        Output::Write(_) => "write".to_owned(),
        Output::Tell(Fate::Written { tokens, epoch }) => format!("written {} on {epoch}", numbers(tokens)),
        Output::Tell(Fate::Acknowledged { tokens, epoch }) => {
            format!("acknowledged {} on {epoch}", numbers(tokens))
        }
        Output::Tell(Fate::Returned { token, trouble }) => {
            format!("returned {} {trouble:?}", numbers(&[*token]))
        }
        Output::Tell(Fate::Broken { epoch }) => format!("broken {epoch}"),
        Output::Close(why) => format!("close {why:?}"),
        Output::Retire => "retire".to_owned(),
        Output::Done => "done".to_owned(),
    }
}

impl Bench {
    fn new(far: Far) -> Self {
        let limits = XmppLimits {
            unacknowledged: 3,
            ..XmppLimits::default()
        };
        let now = Instant::now();
        Self {
            link: XmppLink::new(now, &limits, far),
            now,
            limits,
        }
    }

    fn up(evidence: Evidence) -> Self {
        let mut bench = Self::new(Far::Peer);
        assert_eq!(bench.letter(1), ["open"]);
        assert_eq!(bench.tell(Input::Opened(evidence)), ["write"]);
        assert!(bench.tell(Input::Wrote(10)).is_empty());
        bench
    }

    fn tell(&mut self, input: Input) -> Vec<String> {
        self.link.handle(self.now, input);
        std::iter::from_fn(|| self.link.poll())
            .map(|output| word(&output))
            .collect()
    }

    fn letter(&mut self, number: u64) -> Vec<String> {
        let letter = Letter {
            stanza: stanza(),
            token: Some(token(number)),
            until: self.now + Duration::from_secs(30),
        };
        self.tell(Input::Letter(letter))
    }

    fn wait(&mut self) -> Vec<String> {
        self.now = self.link.timeout().unwrap();
        self.tell(Input::Timer)
    }
}

#[test]
fn new_limits_cut_the_pause_that_has_begun_and_those_to_come() {
    let mut bench = Bench::new(Far::Node);
    for _ in 0..20 {
        bench.letter(1);
        bench.tell(Input::Failed {
            trouble: Trouble::Refused,
            random: u32::MAX,
        });
        if bench.link.timeout() == Some(bench.now + Duration::from_secs(10)) {
            break;
        }
        bench.wait();
    }
    let ahead = |bench: &Bench| bench.link.timeout().unwrap() - bench.now;
    assert_eq!(ahead(&bench), Duration::from_secs(10));
    let second = Duration::from_secs(1);
    bench.tell(Input::Limits(Box::new(XmppLimits {
        longest_pause_of_node: second,
        ..bench.limits.clone()
    })));
    assert_eq!(ahead(&bench), second);
    bench.wait();
    assert_eq!(bench.letter(2), ["open"]);
    let failed = Input::Failed {
        trouble: Trouble::Refused,
        random: u32::MAX,
    };
    bench.tell(failed);
    assert_eq!(ahead(&bench), second);
    bench.tell(Input::Limits(Box::new(bench.limits.clone())));
    assert_eq!(ahead(&bench), second, "a pause never becomes longer");
}

#[test]
fn a_letter_opens_a_stream_and_is_written_on_it() {
    let mut bench = Bench::up(Evidence::Taken);
    assert!(
        bench.tell(Input::Taken(9)).is_empty(),
        "its last octet is not out"
    );
    assert_eq!(bench.letter(2), ["write"]);
    bench.tell(Input::Wrote(20));
    assert_eq!(bench.tell(Input::Taken(25)), ["written 1,2 on 1"]);
    assert!(bench.tell(Input::Taken(25)).is_empty(), "told once");
}

#[test]
fn what_was_on_its_way_is_told_as_written_and_then_as_broken_with_its_stream() {
    let mut bench = Bench::up(Evidence::Taken);
    assert_eq!(
        bench.tell(Input::Ended { random: 0 }),
        ["written 1 on 1", "broken 1"]
    );
    assert!(
        !bench.link.takes_letters(),
        "letters wait for the end of the pause"
    );
    assert!(bench.wait().is_empty());
    assert_eq!(bench.letter(2), ["open"]);
    assert_eq!(bench.tell(Input::Opened(Evidence::Taken)), ["write"]);
    bench.tell(Input::Wrote(7));
    assert_eq!(bench.tell(Input::Taken(7)), ["written 2 on 2"]);
}

#[test]
fn letters_that_come_within_the_pause_after_a_failure_are_given_back_with_its_reason() {
    let mut bench = Bench::new(Far::Peer);
    bench.letter(1);
    let failed = Input::Failed {
        trouble: Trouble::NotFound,
        random: 0,
    };
    assert_eq!(bench.tell(failed), ["returned 1 NotFound"]);
    assert_eq!(bench.letter(2), ["returned 2 NotFound"]);
    assert!(bench.wait().is_empty(), "nothing is opened for nobody");
    assert_eq!(bench.letter(3), ["open"]);
}

#[test]
fn pauses_grow_to_their_ceiling_and_begin_anew_after_a_stream_that_was_well() {
    for (far, longest) in [(Far::Peer, 300), (Far::Node, 10)] {
        let mut bench = Bench::new(far);
        let fail = |bench: &mut Bench| {
            bench.letter(1);
            bench.tell(Input::Failed {
                trouble: Trouble::Unreachable,
                random: u32::MAX,
            });
            let pause = bench.link.timeout().unwrap() - bench.now;
            bench.wait();
            pause
        };
        assert_eq!(fail(&mut bench), bench.limits.first_pause);
        assert_eq!(fail(&mut bench), bench.limits.first_pause * 2);
        for _ in 0..12 {
            fail(&mut bench);
        }
        assert_eq!(fail(&mut bench), Duration::from_secs(longest));
        bench.letter(1);
        bench.tell(Input::Opened(Evidence::Taken));
        bench.now += well(far);
        bench.tell(Input::Ended { random: u32::MAX });
        assert_eq!(
            bench.link.timeout().unwrap() - bench.now,
            bench.limits.first_pause
        );
    }
}

#[test]
fn letters_wait_for_the_next_node_however_many_have_died_within_seconds() {
    let mut bench = Bench::new(Far::Node);
    for number in 0..10 {
        assert_eq!(bench.letter(number), ["open"]);
        bench.tell(Input::Opened(Evidence::Taken));
        bench.now += Duration::from_secs(1);
        bench.tell(Input::Ended { random: u32::MAX });
        assert!(!bench.link.takes_letters(), "given back after {number} streams");
        let pause = bench.link.timeout().unwrap() - bench.now;
        assert_eq!(pause, bench.limits.first_pause);
        bench.wait();
    }
}

#[test]
fn a_far_end_that_ends_each_stream_at_once_is_no_reason_to_wait_for_ever() {
    let mut bench = Bench::new(Far::Peer);
    for number in 1..=u64::from(PATIENCE) {
        assert_eq!(bench.letter(number), ["open"]);
        bench.tell(Input::Opened(Evidence::Taken));
        bench.tell(Input::Wrote(1));
        bench.tell(Input::Ended { random: 0 });
        assert!(!bench.link.takes_letters());
        bench.wait();
    }
    bench.letter(9);
    bench.tell(Input::Opened(Evidence::Taken));
    bench.tell(Input::Ended { random: 0 });
    assert_eq!(bench.letter(10), ["returned 10 Refused"]);
}

#[test]
fn acknowledged_stanzas_are_told_and_the_others_come_back_when_the_stream_ends() {
    let mut bench = Bench::up(Evidence::Acknowledged);
    assert!(
        bench.tell(Input::Taken(1_000)).is_empty(),
        "written is not acknowledged"
    );
    let unasked = Letter {
        stanza: stanza(),
        token: None,
        until: bench.now + Duration::from_secs(1),
    };
    assert_eq!(bench.tell(Input::Letter(unasked)), ["write"]);
    bench.tell(Input::Wrote(20));
    bench.letter(3);
    bench.tell(Input::Wrote(30));
    assert!(
        !bench.link.takes_letters(),
        "three wait for their acknowledgement"
    );
    assert_eq!(bench.tell(Input::Acknowledged(1)), ["acknowledged 1 on 1"]);
    assert!(bench.link.takes_letters());
    assert!(
        bench.tell(Input::Acknowledged(1)).is_empty(),
        "nobody asks for it"
    );
    assert_eq!(
        bench.tell(Input::Ended { random: 0 }),
        ["returned 3 Broken", "broken 1"]
    );
}

#[test]
fn a_letter_that_came_too_late_or_cannot_be_written_is_given_back() {
    let mut bench = Bench::up(Evidence::Taken);
    let late = Letter {
        stanza: stanza(),
        token: Some(token(2)),
        until: bench.now,
    };
    assert_eq!(bench.tell(Input::Letter(late)), ["returned 2 Timeout"]);
    assert_eq!(bench.letter(3), ["write"]);
    assert_eq!(
        bench.tell(Input::Unwritable(Trouble::Broken)),
        ["returned 3 Broken"]
    );
    assert_eq!(bench.tell(Input::Taken(50)), ["written 1 on 1"]);
}

#[test]
fn an_idle_link_may_end_unless_a_letter_has_come() {
    let mut bench = Bench::new(Far::Peer);
    assert_eq!(bench.link.timeout(), Some(bench.now + bench.limits.idle));
    assert_eq!(bench.wait(), ["retire"]);
    assert_eq!(bench.letter(1), ["open"]);
    let mut bench = Bench::new(Far::Peer);
    assert_eq!(bench.wait(), ["retire"]);
    assert_eq!(bench.wait(), ["retire"], "asked again");
}

#[test]
fn a_link_that_is_kept_up_opens_by_itself_and_again() {
    let mut bench = Bench::new(Far::Node);
    assert_eq!(bench.tell(Input::Keep(Keep::Always)), ["open"]);
    assert!(bench.tell(Input::Opened(Evidence::Taken)).is_empty());
    assert_eq!(bench.link.timeout(), None);
    assert_eq!(bench.tell(Input::Ended { random: 0 }), ["broken 1"]);
    assert_eq!(bench.wait(), ["open"]);
    let failed = Input::Failed {
        trouble: Trouble::Refused,
        random: 0,
    };
    assert!(bench.tell(failed).is_empty());
    bench.tell(Input::Keep(Keep::WhileUsed));
    assert!(bench.wait().is_empty());
}

#[test]
fn a_stop_ends_every_state_and_gives_back_what_waits() {
    let mut idle = Bench::new(Far::Peer);
    assert_eq!(idle.tell(Input::Stop), ["done"]);
    assert_eq!(idle.letter(1), ["returned 1 Stopping"]);
    let mut opening = Bench::new(Far::Peer);
    opening.letter(1);
    assert_eq!(opening.tell(Input::Stop), ["returned 1 Stopping", "done"]);
    let mut up = Bench::up(Evidence::Taken);
    assert_eq!(up.tell(Input::Stop), ["close Stopping"]);
    assert!(!up.link.takes_letters());
    assert_eq!(
        up.tell(Input::Ended { random: 0 }),
        ["written 1 on 1", "broken 1", "done"]
    );
}

#[test]
fn a_stream_of_other_terms_is_closed_and_another_is_opened() {
    let mut bench = Bench::up(Evidence::Taken);
    assert_eq!(bench.tell(Input::Changed), ["close Changed"]);
    assert!(bench.tell(Input::Changed).is_empty(), "closed once");
    bench.tell(Input::Ended { random: 0 });
    bench.wait();
    assert_eq!(bench.letter(2), ["open"]);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Letter,
    Opened(Evidence),
    Failed,
    Taken(u64),
    Acknowledged(u64),
    Ending,
    Changed,
    Ended,
    Timer,
}

fn step() -> impl Strategy<Value = Step> {
    let evidence = prop_oneof![Just(Evidence::Taken), Just(Evidence::Acknowledged)];
    prop_oneof![
        6 => Just(Step::Letter),
        3 => evidence.prop_map(Step::Opened),
        1 => Just(Step::Failed),
        2 => (0_u64..200).prop_map(Step::Taken),
        2 => (0_u64..4).prop_map(Step::Acknowledged),
        1 => Just(Step::Ending),
        1 => Just(Step::Changed),
        1 => Just(Step::Ended),
        2 => Just(Step::Timer),
    ]
}

proptest! {
    #[test]
    fn every_letter_is_told_of_once_and_in_order_of_its_stream(
        steps in proptest::collection::vec(step(), 1..200),
        unwritable in proptest::collection::vec(any::<bool>(), 200),
    ) {
        let mut bench = Bench::new(Far::Peer);
        let mut told: BTreeMap<Token, u32> = BTreeMap::new();
        let (mut handed, mut position, mut broken) = (0_u64, 0_u64, 0_u64);
        let mut unwritable = unwritable.into_iter().cycle();
        let ends = [Step::Ended, Step::Timer, Step::Failed];
        for step in steps.into_iter().chain(ends) {
            let input = match step {
                Step::Letter if !bench.link.takes_letters() => continue,
                Step::Letter => {
                    handed += 1;
                    Input::Letter(Letter {
                        stanza: stanza(),
                        token: Some(token(handed)),
                        until: bench.now + Duration::from_secs(3),
                    })
                }
                Step::Opened(evidence) => { position = 0; Input::Opened(evidence) }
                Step::Failed => Input::Failed { trouble: Trouble::Unreachable, random: 7 },
                Step::Taken(octets) => Input::Taken(octets),
                Step::Acknowledged(count) => Input::Acknowledged(count),
                Step::Ending => Input::Ending,
                Step::Changed => Input::Changed,
                Step::Ended => Input::Ended { random: 7 },
                Step::Timer => {
                    bench.now = bench.link.timeout().unwrap_or(bench.now + Duration::from_secs(1));
                    Input::Timer
                }
            };
            bench.link.handle(bench.now, input);
            while let Some(output) = bench.link.poll() {
                match output {
                    Output::Write(_) => {
                        position += 10;
                        let answer = if unwritable.next() == Some(true) {
                            Input::Unwritable(Trouble::Broken)
                        } else {
                            Input::Wrote(position)
                        };
                        bench.link.handle(bench.now, answer);
                    }
                    Output::Tell(Fate::Written { tokens, epoch } | Fate::Acknowledged { tokens, epoch }) => {
                        prop_assert!(epoch > broken, "told before its stream is told as broken");
                        prop_assert!(tokens.is_sorted(), "in their order");
                        tokens.into_iter().for_each(|it| *told.entry(it).or_default() += 1);
                    }
                    Output::Tell(Fate::Returned { token, .. }) => *told.entry(token).or_default() += 1,
                    Output::Tell(Fate::Broken { epoch }) => {
                        prop_assert_eq!(epoch, broken + 1);
                        broken = epoch;
                    }
                    Output::Open | Output::Close(_) | Output::Retire | Output::Done => {}
                }
            }
        }
        let all: Vec<u64> = (1..=handed).collect();
        prop_assert_eq!(told.keys().copied().collect::<Vec<_>>(), tokens(&all));
        prop_assert!(told.values().all(|count| *count == 1));
    }
}
