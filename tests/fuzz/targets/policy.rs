//! Policy decisions: the index finds what reading all lines one after the other finds, and a permit exists where the
//! verdict is to allow, and nowhere else.

use vestibule::choices::Choices;
use vestibule::domain::DomainPattern;
use vestibule::policy::{
    Action, Answers, Block, Blocked, Direction, Directions, Exception, FederatedDomain, Kind, Kinds, Party, Query,
    RuleSet, Rules, Source, Style, Verdict,
};

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let source = || Source::new("a line");
    let mut set = RuleSet {
        default: choices.pick(&[Action::Deny, Action::Allow]),
        default_source: source(),
        exceptions: Vec::new(),
        blocks: Vec::new(),
        federated: Vec::new(),
    };
    for _ in 0..choices.next() % 16 {
        match choices.next() % 4 {
            0 => set.blocks.push(Block {
                whom: if choices.seldom(2) {
                    Blocked::Address(party(&mut choices))
                } else {
                    Blocked::Domain(pattern(&mut choices))
                },
                style: choices.pick(&[Style::Polite, Style::Explicit]),
                source: source(),
            }),
            1 => set.federated.push(FederatedDomain {
                pattern: pattern(&mut choices),
                source: source(),
            }),
            _ => {
                let chosen = choices.next();
                let kinds = Kind::ALL
                    .into_iter()
                    .enumerate()
                    .filter(|(bit, _)| chosen & (1 << bit) != 0)
                    .map(|(_, kind)| kind);
                set.exceptions.push(Exception {
                    kinds: if chosen & 0x1f == 0 { Kinds::ALL } else { kinds.collect() },
                    pattern: pattern(&mut choices),
                    directions: choices.pick(&[Directions::Both, Directions::Inbound, Directions::Outbound]),
                    action: choices.pick(&[Action::Allow, Action::Deny]),
                    source: source(),
                });
            }
        }
    }
    let rules = Rules::new(set.clone());
    for _ in 0..8 {
        let (foreign, own) = (party(&mut choices), party(&mut choices));
        let kind = choices.pick(&Kind::ALL);
        let expected = |direction| verdict(&set, direction, &foreign, &own, kind);
        for direction in [Direction::Inbound, Direction::Outbound] {
            let query = Query {
                direction,
                foreign: &foreign,
                own: &own,
                kind,
            };
            let decision = rules.decide(&query);
            assert_eq!(decision.verdict(), expected(direction), "{query:?} of {set:?}");
            assert!(!decision.because().is_empty());
            let back = expected(direction.opposite()) == Verdict::Allow;
            match decision.permit() {
                Ok(permit) => {
                    assert_eq!(expected(direction), Verdict::Allow);
                    assert_eq!(permit.answers() == Answers::Pass, back);
                    assert_eq!((permit.direction(), permit.kind()), (direction, kind));
                    assert_eq!((permit.foreign(), permit.own()), (foreign.domain(), own.domain()));
                }
                Err(_) => assert_ne!(expected(direction), Verdict::Allow),
            }
        }
    }
}

/// What edge §3 says, line by line: a block first, then the most specific domain, then the line that names the fewest
/// cases, then the earlier.
fn verdict(set: &RuleSet, direction: Direction, foreign: &Party, own: &Party, kind: Kind) -> Verdict {
    let by_address = |party: &Party| {
        set.blocks
            .iter()
            .find(|block| matches!(&block.whom, Blocked::Address(whom) if whom == party))
    };
    let by_domain = |party: &Party| {
        let matching = set.blocks.iter().rev().filter_map(|block| match &block.whom {
            Blocked::Domain(pattern) if pattern.matches(party.domain()) => Some((pattern.specificity(), block)),
            Blocked::Domain(_) | Blocked::Address(_) => None,
        });
        matching.max_by_key(|(specificity, _)| *specificity).map(|(_, block)| block)
    };
    let block = by_address(foreign)
        .or_else(|| by_address(own))
        .or_else(|| by_domain(foreign))
        .or_else(|| by_domain(own));
    if let Some(block) = block {
        return Verdict::Block(block.style);
    }
    let exceptions = set.exceptions.iter().filter_map(|line| {
        let cases = kinds(line.kinds) * if line.directions == Directions::Both { 2 } else { 1 };
        let speaks = line.pattern.matches(foreign.domain()) && line.kinds.contains(kind);
        let covers = line.directions.covers(direction);
        // An exception that allows one way only denies the other, unless a line speaks of that one.
        let (concern, action) = match (covers, line.action) {
            (true, action) => (0, action),
            (false, Action::Allow) => (1, Action::Deny),
            (false, Action::Deny) => return None,
        };
        speaks.then_some((line.pattern.specificity(), (concern, cases), action))
    });
    let federated = set
        .federated
        .iter()
        .filter(|entry| entry.pattern.matches(foreign.domain()))
        .map(|entry| (entry.pattern.specificity(), (2, 0), Action::Allow));
    let mut best: Option<((usize, bool), (u8, usize), Action)> = None;
    for line in exceptions.chain(federated) {
        let is_better = best
            .as_ref()
            .is_none_or(|best| line.0 > best.0 || (line.0 == best.0 && line.1 < best.1));
        if is_better {
            best = Some(line);
        }
    }
    match best.map_or(set.default, |(_, _, action)| action) {
        Action::Allow => Verdict::Allow,
        Action::Deny => Verdict::Deny,
    }
}

fn kinds(kinds: Kinds) -> usize {
    Kind::ALL.into_iter().filter(|kind| kinds.contains(*kind)).count()
}

fn party(choices: &mut Choices<'_>) -> Party {
    let user = choices.pick(&[Some("a"), Some("b"), None]);
    Party::new(user, choices.domain())
}

fn pattern(choices: &mut Choices<'_>) -> DomainPattern {
    let wildcard = choices.pick(&["", "*."]);
    DomainPattern::parse(&format!("{wildcard}{}", choices.domain())).expect("a pattern")
}
