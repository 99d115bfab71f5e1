//! The rules of policy, from `[policy]` and from the domains that are federated by SIP.

use super::findings::{Findings, key};
use crate::config::schema::{
    Action as Word, Direction, Document, Kind as KindWord, PeerProtocol, Style as StyleWord,
};
use crate::domain::{Domain, DomainPattern};
use crate::policy::{
    Action, Block, Blocked, Directions, Exception, FederatedDomain, Kind, Kinds, Party, RuleSet, Rules,
    Source, Style,
};

/// All rules, each with the place where it stands.
pub(super) fn rules(document: &Document, findings: &mut Findings<'_, '_>) -> Rules {
    let policy = &document.policy;
    let mut exceptions = Vec::new();
    for (at, exception) in policy.exception.iter().enumerate() {
        if exception.kinds.is_empty() {
            findings.error_with_help(
                key!["policy", "exception", at, "kinds"],
                "a rule that speaks of no kind of traffic never holds",
                "name kinds, or leave `kinds` out for all of them",
            );
        }
        exceptions.push(Exception {
            pattern: exception.domain.0.clone(),
            directions: match exception.direction {
                Direction::Both => Directions::Both,
                Direction::Inbound => Directions::Inbound,
                Direction::Outbound => Directions::Outbound,
            },
            kinds: exception.kinds.iter().copied().map(kind).collect::<Kinds>(),
            action: action(exception.action),
            source: place(
                key!["policy", "exception", at, "domain"],
                "policy.exception",
                at,
                findings,
            ),
        });
    }
    find_hidden(&exceptions, findings);
    let mut blocks = Vec::new();
    for (at, block) in policy.block.iter().enumerate() {
        match blocked(&block.address) {
            Ok(whom) => blocks.push(Block {
                whom,
                style: match block.style {
                    StyleWord::Polite => Style::Polite,
                    StyleWord::Explicit => Style::Explicit,
                },
                source: place(
                    key!["policy", "block", at, "address"],
                    "policy.block",
                    at,
                    findings,
                ),
            }),
            Err(why) => findings.error_with_help(
                key!["policy", "block", at, "address"],
                &format!("\"{}\" is neither an address nor a domain: {why}", block.address),
                "write user@example.com, example.com or *.example.com",
            ),
        }
    }
    let federated = document
        .federate
        .iter()
        .enumerate()
        .filter(|(_, federate)| federate.protocol != PeerProtocol::Xmpp)
        .map(|(at, federate)| FederatedDomain {
            pattern: federate.domain.0.clone(),
            source: place(key!["federate", at, "domain"], "federate", at, findings),
        })
        .collect();
    Rules::new(RuleSet {
        default: action(policy.default),
        default_source: default_place(findings),
        exceptions,
        blocks,
        federated,
    })
}

/// An earlier line for the same domain, directions and kinds decides; a later one that says otherwise is a mistake.
fn find_hidden(exceptions: &[Exception], findings: &mut Findings<'_, '_>) {
    for (at, later) in exceptions.iter().enumerate() {
        let earlier = exceptions.iter().take(at).position(|earlier| {
            earlier.pattern == later.pattern
                && earlier.directions == later.directions
                && earlier.kinds == later.kinds
        });
        if let Some(earlier) = earlier {
            findings.warning(
                key!["policy", "exception", at, "domain"],
                &format!(
                    "it never holds: [[policy.exception]] number {} speaks of the same domain, direction and kinds",
                    earlier.saturating_add(1)
                ),
            );
        }
    }
}

/// The domain begins after the last `@`, as a user part may hold one.
fn blocked(text: &str) -> Result<Blocked, crate::domain::DomainError> {
    match text.rsplit_once('@') {
        Some((user, domain)) => Ok(Blocked::Address(Party::new(Some(user), Domain::parse(domain)?))),
        None => DomainPattern::parse(text).map(Blocked::Domain),
    }
}

fn place(path: &[String], table: &str, at: usize, findings: &Findings<'_, '_>) -> Source {
    let number = at.saturating_add(1);
    match findings.line(path) {
        Some(line) => Source::new(&format!("[[{table}]] number {number}, line {line}")),
        None => Source::new(&format!("[[{table}]] number {number}")),
    }
}

fn default_place(findings: &Findings<'_, '_>) -> Source {
    let path = key!["policy", "default"];
    if !findings.gives(path) {
        return Source::new("[policy] default, which the file does not set");
    }
    match findings.line(path) {
        Some(line) => Source::new(&format!("[policy] default, line {line}")),
        None => Source::new("[policy] default, set by the environment"),
    }
}

const fn action(word: Word) -> Action {
    match word {
        Word::Allow => Action::Allow,
        Word::Deny => Action::Deny,
    }
}

const fn kind(word: KindWord) -> Kind {
    match word {
        KindWord::Im => Kind::Im,
        KindWord::Presence => Kind::Presence,
        KindWord::Groupchat => Kind::Groupchat,
        KindWord::FileTransfer => Kind::FileTransfer,
        KindWord::Other => Kind::Other,
    }
}
