//! Tables of decisions.

#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::domain::{Domain, DomainPattern};
use crate::refusal::{Fault, Refuse};

fn pattern(text: &str) -> DomainPattern {
    DomainPattern::parse(text).unwrap()
}

fn party(text: &str) -> Party {
    match text.rsplit_once('@') {
        Some((user, domain)) => Party::new(Some(user), Domain::parse(domain).unwrap()),
        None => Party::new(None, Domain::parse(text).unwrap()),
    }
}

fn exception(
    number: usize,
    domain: &str,
    directions: Directions,
    kinds: &[Kind],
    action: Action,
) -> Exception {
    Exception {
        pattern: pattern(domain),
        directions,
        kinds: if kinds.is_empty() {
            Kinds::ALL
        } else {
            kinds.iter().copied().collect()
        },
        action,
        source: Source::new(&format!("policy.exception[{number}], line {}", number + 40)),
    }
}

fn block(number: usize, whom: &str, style: Style) -> Block {
    Block {
        whom: if whom.contains('@') {
            Blocked::Address(party(whom))
        } else {
            Blocked::Domain(pattern(whom))
        },
        style,
        source: Source::new(&format!("policy.block[{number}]")),
    }
}

fn set(default: Action) -> RuleSet {
    RuleSet {
        default,
        default_source: Source::new("policy.default, line 38"),
        exceptions: Vec::new(),
        blocks: Vec::new(),
        federated: Vec::new(),
    }
}

/// Rules of numbered exceptions, `allow *.a.example inbound im,presence` each.
fn rules(default: Action, lines: &[&str]) -> Rules {
    let exceptions = lines
        .iter()
        .enumerate()
        .map(|(number, line)| {
            let mut words = line.split(' ');
            let action = match words.next() {
                Some("allow") => Action::Allow,
                _ => Action::Deny,
            };
            let domain = words.next().unwrap();
            let directions = match words.next() {
                Some("inbound") => Directions::Inbound,
                Some("outbound") => Directions::Outbound,
                _ => Directions::Both,
            };
            let kinds = words.next().unwrap_or_default().split(',');
            let kinds: Vec<_> = kinds.filter_map(Kind::from_word).collect();
            exception(number, domain, directions, &kinds, action)
        })
        .collect();
    Rules::new(RuleSet {
        exceptions,
        ..set(default)
    })
}

fn decide(rules: &Rules, direction: Direction, foreign: &str, kind: Kind) -> Decision {
    rules.decide(&Query {
        direction,
        foreign: &party(foreign),
        own: &party("bob@own.example"),
        kind,
    })
}

/// Verdicts as `in/out` of an IM.
fn both_ways(rules: &Rules, foreign: &str) -> (Verdict, Verdict) {
    let ask = |direction| decide(rules, direction, foreign, Kind::Im).verdict();
    (ask(Direction::Inbound), ask(Direction::Outbound))
}

#[test]
fn the_default_holds_where_no_line_speaks() {
    for (default, verdict) in [(Action::Allow, Verdict::Allow), (Action::Deny, Verdict::Deny)] {
        assert_eq!(both_ways(&rules(default, &[]), "a@x.example"), (verdict, verdict));
    }
    let decision = decide(
        &rules(Action::Deny, &[]),
        Direction::Inbound,
        "a@x.example",
        Kind::Im,
    );
    assert_eq!(
        decision.because(),
        "no exception covers it, and the default is deny (policy.default, line 38)"
    );
}

#[test]
fn the_most_specific_line_wins_and_of_equals_the_earlier() {
    use Verdict::{Allow, Deny};
    let cases: &[(&[&str], &str, Verdict)] = &[
        (&["allow x.example"], "a@x.example", Allow),
        (&["allow x.example"], "a@sub.x.example", Deny),
        (&["allow x.example"], "a@badx.example", Deny),
        (&["allow *.x.example"], "a@x.example", Allow),
        (&["allow *.x.example"], "a@deep.sub.x.example", Allow),
        // Longest first, whatever the order of the lines.
        (
            &["allow *.x.example", "deny sub.x.example"],
            "a@sub.x.example",
            Deny,
        ),
        (
            &["deny sub.x.example", "allow *.x.example"],
            "a@sub.x.example",
            Deny,
        ),
        (
            &["deny *.sub.x.example", "allow *.x.example"],
            "a@y.sub.x.example",
            Deny,
        ),
        (
            &["deny *.x.example", "allow *.sub.x.example"],
            "a@y.sub.x.example",
            Allow,
        ),
        // The exact name before the pattern of the same name.
        (&["deny *.x.example", "allow x.example"], "a@x.example", Allow),
        (&["allow *.x.example", "deny x.example"], "a@x.example", Deny),
        // Ties.
        (&["allow x.example", "deny x.example"], "a@x.example", Allow),
        (&["deny x.example", "allow x.example"], "a@x.example", Deny),
        // A line that names fewer cases is the more specific.
        (
            &["allow x.example", "deny x.example both im"],
            "a@x.example",
            Deny,
        ),
        (
            &["deny x.example both im,presence", "allow x.example both im"],
            "a@x.example",
            Allow,
        ),
        (
            &["allow x.example", "deny x.example inbound"],
            "a@x.example",
            Deny,
        ),
        // A line for other kinds does not speak, and leaves it to the less specific.
        (
            &["deny x.example both presence", "allow *.x.example"],
            "a@x.example",
            Allow,
        ),
        (&["allow x.example both presence"], "a@x.example", Deny),
        (
            &["deny x.example outbound", "allow *.x.example"],
            "a@x.example",
            Allow,
        ),
    ];
    for (lines, foreign, expected) in cases {
        let decision = decide(&rules(Action::Deny, lines), Direction::Inbound, foreign, Kind::Im);
        assert_eq!(
            decision.verdict(),
            *expected,
            "{lines:?} {foreign}: {}",
            decision.because()
        );
    }
}

#[test]
fn one_way_only_means_that_nothing_goes_the_other_way_whatever_less_specific_lines_say() {
    use Verdict::{Allow, Deny};
    let cases: &[(Action, &[&str], (Verdict, Verdict))] = &[
        (Action::Deny, &["allow x.example inbound"], (Allow, Deny)),
        (Action::Deny, &["allow x.example outbound"], (Deny, Allow)),
        (Action::Allow, &["allow x.example inbound"], (Allow, Deny)),
        (Action::Allow, &["allow x.example outbound"], (Deny, Allow)),
        (
            Action::Deny,
            &["allow *.example", "allow x.example inbound"],
            (Allow, Deny),
        ),
        // Another line for the same domain may speak of the other direction itself, before or after.
        (
            Action::Deny,
            &["allow x.example inbound", "allow x.example outbound"],
            (Allow, Allow),
        ),
        (
            Action::Deny,
            &["allow x.example", "allow x.example inbound"],
            (Allow, Allow),
        ),
        // Only of its kinds.
        (
            Action::Allow,
            &["allow x.example inbound presence"],
            (Allow, Allow),
        ),
        // To deny one direction says nothing of the other.
        (Action::Allow, &["deny x.example inbound"], (Deny, Allow)),
        (Action::Deny, &["deny x.example inbound"], (Deny, Deny)),
    ];
    for (default, lines, expected) in cases {
        assert_eq!(
            both_ways(&rules(*default, lines), "a@x.example"),
            *expected,
            "{default} {lines:?}"
        );
    }
}

#[test]
fn a_permit_says_whether_answers_may_travel_back() {
    let answers = |lines: &[&str], direction| {
        let rules = rules(Action::Deny, lines);
        let permit = decide(&rules, direction, "a@x.example", Kind::Im)
            .permit()
            .unwrap();
        assert_eq!((permit.direction(), permit.kind()), (direction, Kind::Im));
        assert_eq!(
            (permit.foreign().as_str(), permit.own().as_str()),
            ("x.example", "own.example")
        );
        permit.answers()
    };
    assert_eq!(answers(&["allow x.example"], Direction::Inbound), Answers::Pass);
    assert_eq!(
        answers(&["allow x.example inbound"], Direction::Inbound),
        Answers::Withhold
    );
    assert_eq!(
        answers(&["allow x.example outbound"], Direction::Outbound),
        Answers::Withhold
    );
    assert_eq!(
        answers(
            &["allow x.example", "deny x.example outbound im"],
            Direction::Inbound
        ),
        Answers::Withhold
    );
    // The answer itself, asked about as a message of its own, is refused with its reason.
    let rules = rules(Action::Deny, &["allow x.example inbound"]);
    let refusal = decide(&rules, Direction::Outbound, "a@x.example", Kind::Im)
        .permit()
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "im outbound between x.example and own.example is refused: the exception for x.example (policy.exception[0], \
         line 40) allows inbound traffic only, so nothing passes outbound, not even answers"
    );
    assert_eq!(refusal.class(), "policy_one_way");
}

#[test]
fn a_federated_sip_domain_is_allowed_by_being_configured_and_then_policy_applies() {
    use Verdict::{Allow, Deny};
    let with = |lines: &[&str], federated: &[&str]| {
        let base = rules(Action::Deny, lines).set().clone();
        let federated = federated.iter().map(|text| FederatedDomain {
            pattern: pattern(text),
            source: Source::new("federate[0], line 12"),
        });
        Rules::new(RuleSet {
            federated: federated.collect(),
            ..base
        })
    };
    type Case<'c> = (&'c [&'c str], &'c [&'c str], (Verdict, Verdict));
    let cases: &[Case<'_>] = &[
        (&[], &["x.example"], (Allow, Allow)),
        (&[], &["y.example"], (Deny, Deny)),
        (&["deny x.example"], &["x.example"], (Deny, Deny)),
        (&["allow x.example inbound"], &["x.example"], (Allow, Deny)),
        (&["deny x.example inbound"], &["x.example"], (Deny, Allow)),
        (&["deny *.example"], &["x.example"], (Allow, Allow)),
        (&["deny x.example"], &["*.example"], (Deny, Deny)),
    ];
    for (lines, federated, expected) in cases {
        assert_eq!(
            both_ways(&with(lines, federated), "a@x.example"),
            *expected,
            "{lines:?} {federated:?}"
        );
    }
    let rules = with(&[], &["x.example"]);
    let because = decide(&rules, Direction::Inbound, "a@x.example", Kind::Im).because();
    assert!(
        because.contains("configured as a federated SIP domain (federate[0], line 12)"),
        "{because}"
    );
}

#[test]
fn a_block_comes_before_everything_and_names_either_end() {
    let blocks = vec![
        block(0, "*.spam.example", Style::Explicit),
        block(1, "spammer@x.example", Style::Polite),
        block(2, "spammer@x.example", Style::Explicit),
        block(3, "good.spam.example", Style::Polite),
        block(4, "quiet@own.example", Style::Explicit),
    ];
    let rules = Rules::new(RuleSet {
        blocks,
        ..rules(Action::Allow, &["allow x.example", "allow *.spam.example"])
            .set()
            .clone()
    });
    let ask = |foreign: &str, own: &str| {
        let (foreign, own) = (party(foreign), party(own));
        let query = |direction| Query {
            direction,
            foreign: &foreign,
            own: &own,
            kind: Kind::Presence,
        };
        let inbound = rules.decide(&query(Direction::Inbound));
        assert_eq!(
            inbound.verdict(),
            rules.decide(&query(Direction::Outbound)).verdict()
        );
        inbound.verdict()
    };
    let blocked = Verdict::Block;
    assert_eq!(
        ask("spammer@x.example", "bob@own.example"),
        blocked(Style::Polite)
    );
    assert_eq!(
        ask("SPAMMER@x.example", "bob@own.example"),
        blocked(Style::Polite)
    );
    assert_eq!(ask("other@x.example", "bob@own.example"), Verdict::Allow);
    assert_eq!(ask("x.example", "bob@own.example"), Verdict::Allow);
    assert_eq!(
        ask("a@deep.spam.example", "bob@own.example"),
        blocked(Style::Explicit)
    );
    assert_eq!(
        ask("a@good.spam.example", "bob@own.example"),
        blocked(Style::Polite)
    );
    assert_eq!(
        ask("other@x.example", "quiet@own.example"),
        blocked(Style::Explicit)
    );
}

#[test]
fn refusals_say_the_same_to_every_peer_and_polite_ones_look_like_an_offline_user() {
    let rules = Rules::new(RuleSet {
        blocks: vec![
            block(0, "polite@x.example", Style::Polite),
            block(1, "explicit@x.example", Style::Explicit),
        ],
        ..set(Action::Deny)
    });
    let said = |foreign: &str| {
        let refusal = decide(&rules, Direction::Inbound, foreign, Kind::Im)
            .permit()
            .unwrap_err();
        assert_eq!(refusal.fault(), Fault::Policy);
        let text = refusal.peer_text();
        assert!(!text.contains("block") && !text.contains("example"), "{text}");
        (refusal.sip_status(), refusal.stanza_condition(), refusal.class())
    };
    assert_eq!(
        said("polite@x.example"),
        (480, "service-unavailable", "blocked_polite")
    );
    assert_eq!(said("explicit@x.example"), (403, "policy-violation", "blocked"));
    assert_eq!(
        said("nobody@x.example"),
        (403, "policy-violation", "policy_default")
    );
}

#[test]
fn a_stream_is_admitted_where_anything_could_pass_on_it() {
    let own = Domain::parse("own.example").unwrap();
    let admits = |rules: &Rules, direction, foreign: &str| {
        rules
            .admit(direction, &Domain::parse(foreign).unwrap(), &own)
            .is_ok()
    };
    let some = rules(Action::Deny, &["allow x.example inbound presence"]);
    assert!(admits(&some, Direction::Inbound, "x.example"));
    assert!(!admits(&some, Direction::Outbound, "x.example"));
    assert!(!admits(&some, Direction::Inbound, "y.example"));
    let blocked = Rules::new(RuleSet {
        blocks: vec![
            block(0, "polite.example", Style::Polite),
            block(1, "explicit.example", Style::Explicit),
            block(2, "one@x.example", Style::Explicit),
        ],
        ..set(Action::Allow)
    });
    assert!(admits(&blocked, Direction::Inbound, "polite.example"));
    assert!(!admits(&blocked, Direction::Inbound, "explicit.example"));
    assert!(admits(&blocked, Direction::Inbound, "x.example"));
}

#[test]
fn explain_tells_the_chain_and_ends_with_the_decision_of_the_proxy() {
    let lines = [
        "allow *.partner.example inbound im,presence",
        "deny partner.example both im",
    ];
    let rules = Rules::new(RuleSet {
        blocks: vec![block(0, "spammer@x.example", Style::Polite)],
        ..rules(Action::Deny, &lines).set().clone()
    });
    let foreign = party("alice@partner.example");
    let own = party("bob@own.example");
    let query = |kind| Query {
        direction: Direction::Inbound,
        foreign: &foreign,
        own: &own,
        kind,
    };
    assert_eq!(
        explain::chain(&rules, &query(Kind::Im)),
        [
            "im inbound from alice@partner.example to bob@own.example",
            "block list: none of 1 lines names it",
            "exception: partner.example says deny, both directions, im (policy.exception[1], line 41)",
            "exception: *.partner.example says allow, inbound only, im, presence (policy.exception[0], line 40)",
            "default: deny (policy.default, line 38)",
            "decision: deny, denied by the exception for partner.example (policy.exception[1], line 41)",
        ]
    );
    let presence = explain::chain(&rules, &query(Kind::Presence));
    assert_eq!(
        presence.iter().rev().take(2).collect::<Vec<_>>(),
        [
            "answers: withheld, the other direction is not allowed",
            "decision: allow, allowed by the exception for *.partner.example (policy.exception[0], line 40)",
        ]
    );
    let spammer = party("spammer@x.example");
    let blocked = explain::chain(
        &rules,
        &Query {
            foreign: &spammer,
            ..query(Kind::Im)
        },
    );
    assert!(blocked.contains(&"block list: spammer@x.example (policy.block[0]) names it".to_owned()));
}

#[test]
fn words_of_kinds_are_read_as_they_are_written() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_word(kind.as_str()), Some(kind));
        assert!(Kinds::ALL.contains(kind));
        assert_eq!(Kinds::from_iter([kind]).to_string(), kind.as_str());
    }
    assert_eq!(Kind::from_word("IM"), None);
    assert_eq!(Kinds::ALL.to_string(), "all kinds");
}

fn any_line() -> impl Strategy<Value = String> {
    let action = prop_oneof!["allow", "deny"];
    let directions = prop_oneof!["both", "inbound", "outbound"];
    let kinds = prop_oneof![
        "im",
        "presence",
        "im,presence",
        "im,presence,groupchat,file-transfer,other"
    ];
    (action, "(\\*\\.)?[ab](\\.[ab]){0,2}", directions, kinds)
        .prop_map(|(action, domain, directions, kinds)| format!("{action} {domain} {directions} {kinds}"))
}

proptest! {
    /// The index gives what the specification says of a plain list: the most specific line that speaks, the earlier of
    /// equals, and the one-way lines as denials where none speaks.
    #[test]
    fn decisions_are_those_of_a_scan_of_all_lines(
        lines in proptest::collection::vec(any_line(), 0..8),
        name in "[ab](\\.[ab]){0,3}", inbound in any::<bool>(),
    ) {
        let texts: Vec<_> = lines.iter().map(String::as_str).collect();
        let rules = rules(Action::Deny, &texts);
        let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
        let domain = Domain::parse(&name).unwrap();
        let cases = |exception: &Exception| exception.directions.count() * exception.kinds.count();
        let expected = rules
            .set()
            .exceptions
            .iter()
            .enumerate()
            .filter(|(_, exception)| exception.pattern.matches(&domain) && exception.kinds.contains(Kind::Im))
            .filter(|(_, exception)| exception.directions.covers(direction) || exception.action == Action::Allow)
            .max_by_key(|(number, exception)| {
                let speaks = exception.directions.covers(direction);
                let cases = std::cmp::Reverse(cases(exception));
                (exception.pattern.specificity(), speaks, cases, std::cmp::Reverse(*number))
            })
            .map_or(Verdict::Deny, |(_, exception)| {
                if exception.directions.covers(direction) { Verdict::from(exception.action) } else { Verdict::Deny }
            });
        prop_assert_eq!(decide(&rules, direction, &format!("u@{name}"), Kind::Im).verdict(), expected);
    }
}
