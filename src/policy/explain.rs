//! The chain of a decision in words, for `vestibule explain`.
//!
//! It asks the same [`Rules`] the running proxy asks; it decides nothing itself.

use std::fmt::Write as _;

use super::rule::Entry;
use super::{Answers, Query, Rules, Verdict};

/// What was looked at, in order, and what came of it: one sentence a line.
#[must_use]
pub fn chain(rules: &Rules, query: &Query<'_>) -> Vec<String> {
    let (from, to) = match query.direction {
        super::Direction::Inbound => (query.foreign, query.own),
        super::Direction::Outbound => (query.own, query.foreign),
    };
    let mut lines = vec![format!("{} {} from {from} to {to}", query.kind, query.direction)];
    lines.push(match rules.block(query.foreign, query.own) {
        Some(block) => format!("block list: {} ({}) names it", block.whom, block.source),
        None => format!("block list: none of {} lines names it", rules.set.blocks.len()),
    });
    for entry in rules.index.domains.covering(query.foreign.domain()).flatten() {
        lines.push(candidate(rules, *entry));
    }
    lines.push(format!(
        "default: {} ({})",
        rules.set.default, rules.set.default_source
    ));
    let decision = rules.decide(query);
    let mut outcome = match decision.verdict() {
        Verdict::Allow => "decision: allow".to_owned(),
        Verdict::Deny => "decision: deny".to_owned(),
        Verdict::Block(style) => format!("decision: block ({style})"),
    };
    // Writing to a String cannot fail.
    let _ = write!(outcome, ", {}", decision.because());
    lines.push(outcome);
    if let Ok(permit) = decision.permit() {
        match permit.answers() {
            Answers::Pass => {}
            Answers::Withhold => {
                lines.push("answers: withheld, the other direction is not allowed".to_owned());
            }
        }
    }
    lines
}

fn candidate(rules: &Rules, entry: Entry) -> String {
    match entry {
        Entry::Exception(position) => match rules.set.exceptions.get(position) {
            Some(exception) => format!(
                "exception: {} says {}, {}, {} ({})",
                exception.pattern, exception.action, exception.directions, exception.kinds, exception.source
            ),
            None => String::new(),
        },
        Entry::Federated(position) => match rules.set.federated.get(position) {
            Some(domain) => format!(
                "federated: {} is allowed by being configured ({})",
                domain.pattern, domain.source
            ),
            None => String::new(),
        },
    }
}
