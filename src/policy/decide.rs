//! The decision for one message, and the evidence that it was made.
//!
//! Order (specification: edge §3): the block list; then, from the most specific domain pattern to the least, the
//! exceptions and the federated domains; then the default. Under one pattern a line that names fewer directions and
//! kinds is the more specific, and of equals the earlier line wins; a federated domain yields to every exception.
//!
//! **One way only.** An exception that *allows* one direction says of the other, for its kinds: nothing, not even
//! answers. It refuses it under its pattern unless another line under that pattern speaks of that direction itself.
//! "Answers" are whatever travels between the two parties the other way: messages, presence, results and errors of
//! queries, receipts, NOTIFY. They are asked about as messages of their own and refused. What the edge itself has to
//! say for the transport to end (a SIP response of the edge to the request, stream negotiation) is no answer of a party;
//! [`Permit::answers`](super::Permit::answers) tells the gateway that it has to give the final response itself.

use super::permit::{Refusal, because};
use super::rule::{Entry, Exception};
use super::{Action, Block, Direction, Kind, Kinds, Party, Rules, Source, Style};
use crate::domain::{Domain, DomainPattern};

/// What is asked: may this message pass?
#[derive(Debug, Clone, Copy)]
pub struct Query<'q> {
    /// Which way it goes.
    pub direction: Direction,
    /// The end at a foreign domain: the sender of an inbound message, the addressee of an outbound one. Proven, where
    /// it is the sender.
    pub foreign: &'q Party,
    /// The end at one of our domains.
    pub own: &'q Party,
    /// What it is.
    pub kind: Kind,
}

/// The answer, with the line that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    pub(super) verdict: Verdict,
    pub(super) rule: RuleRef,
    pub(super) answers: Answers,
    pub(super) direction: Direction,
    pub(super) kind: Kind,
    pub(super) foreign: Domain,
    pub(super) own: Domain,
}

/// What is to happen to the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It is refused.
    Deny,
    /// It is refused because of the block list, in this style.
    Block(Style),
}

/// The line of the configuration that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleRef {
    /// A line of the block list.
    Block(Source),
    /// An exception that speaks of the message's direction.
    Exception {
        /// The domains of the exception.
        pattern: DomainPattern,
        /// Where it stands.
        source: Source,
    },
    /// An exception that allows the other direction only.
    OneWay {
        /// The domains of the exception.
        pattern: DomainPattern,
        /// Where it stands.
        source: Source,
    },
    /// A domain that is allowed by being configured.
    Federated {
        /// The domains of the entry.
        pattern: DomainPattern,
        /// Where it stands.
        source: Source,
    },
    /// The default.
    Default(Source),
}

/// Whether the other party's answers may travel back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answers {
    /// The same kind may go the other way.
    Pass,
    /// Nothing of this kind goes the other way: the edge ends the transaction itself and waits for no answer.
    Withhold,
}

impl Rules {
    /// Decides about one message.
    pub fn decide(&self, query: &Query<'_>) -> Decision {
        let (verdict, rule) = self.verdict(query.direction, query.foreign, query.own, query.kind);
        let answers = match verdict {
            Verdict::Allow => self.answers(query),
            Verdict::Deny | Verdict::Block(_) => Answers::Withhold,
        };
        Decision {
            verdict,
            rule,
            answers,
            direction: query.direction,
            kind: query.kind,
            foreign: query.foreign.domain().clone(),
            own: query.own.domain().clone(),
        }
    }

    /// Whether a stream or connection between two domains is worth opening or keeping in one direction: whether any kind
    /// of traffic could pass on it.
    ///
    /// A politely blocked domain gets its stream, because refusing it would show the block; its messages are refused.
    ///
    /// # Errors
    /// [`Refusal`] of the last kind asked, where all kinds are refused.
    pub fn admit(&self, direction: Direction, foreign: &Domain, own: &Domain) -> Result<(), Refusal> {
        let foreign = Party::new(None, foreign.clone());
        let own = Party::new(None, own.clone());
        let mut last = Ok(());
        for kind in Kind::ALL {
            let query = Query {
                direction,
                foreign: &foreign,
                own: &own,
                kind,
            };
            match self.decide(&query).permit() {
                Ok(_) => return Ok(()),
                Err(refusal) => last = Err(refusal),
            }
        }
        match last {
            Err(refusal)
                if matches!(refusal.rule(), RuleRef::Block(_)) && refusal.style() == Style::Polite =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// The block that names either end: a user before a domain, the foreign end before ours.
    pub(super) fn block(&self, foreign: &Party, own: &Party) -> Option<&Block> {
        let address = |party: &Party| self.index.blocked_addresses.get(party).copied();
        let domain = |party: &Party| {
            self.index
                .blocked_domains
                .covering(party.domain())
                .flatten()
                .next()
                .copied()
        };
        let position = address(foreign)
            .or_else(|| address(own))
            .or_else(|| domain(foreign))
            .or_else(|| domain(own))?;
        self.set.blocks.get(position)
    }

    fn answers(&self, query: &Query<'_>) -> Answers {
        let back = query.direction.opposite();
        match self.verdict(back, query.foreign, query.own, query.kind).0 {
            Verdict::Allow => Answers::Pass,
            Verdict::Deny | Verdict::Block(_) => Answers::Withhold,
        }
    }

    fn verdict(&self, direction: Direction, foreign: &Party, own: &Party, kind: Kind) -> (Verdict, RuleRef) {
        if let Some(block) = self.block(foreign, own) {
            return (Verdict::Block(block.style), RuleRef::Block(block.source.clone()));
        }
        for group in self.index.domains.covering(foreign.domain()) {
            if let Some(line) = self.strongest(group, direction, kind) {
                return (Verdict::from(line.action(direction)), line.reference(direction));
            }
        }
        (
            Verdict::from(self.set.default),
            RuleRef::Default(self.set.default_source.clone()),
        )
    }

    /// Of the lines under one pattern, the one that decides.
    fn strongest(&self, group: &[Entry], direction: Direction, kind: Kind) -> Option<Line<'_>> {
        group
            .iter()
            .filter_map(|entry| self.line(*entry))
            .filter_map(|line| Some((line.rank(direction, kind)?, line)))
            // The first of equal minima: the earlier line.
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, line)| line)
    }

    pub(super) fn line(&self, entry: Entry) -> Option<Line<'_>> {
        match entry {
            Entry::Exception(position) => self.set.exceptions.get(position).map(Line::Exception),
            Entry::Federated(position) => self
                .set
                .federated
                .get(position)
                .map(|entry| Line::Federated(&entry.pattern, &entry.source)),
        }
    }
}

/// A line that the index found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line<'r> {
    Exception(&'r Exception),
    Federated(&'r DomainPattern, &'r Source),
}

/// The lesser decides: what a line is to the message, then how many cases it names.
type Rank = (Concern, u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Concern {
    Speaks,
    OneWay,
    Federated,
}

impl Line<'_> {
    fn rank(&self, direction: Direction, kind: Kind) -> Option<Rank> {
        match self {
            Self::Exception(exception) => {
                if !exception.kinds.contains(kind) {
                    return None;
                }
                let cases = exception
                    .directions
                    .count()
                    .saturating_mul(exception.kinds.count());
                match (exception.directions.covers(direction), exception.action) {
                    (true, _) => Some((Concern::Speaks, cases)),
                    (false, Action::Allow) => Some((Concern::OneWay, cases)),
                    (false, Action::Deny) => None,
                }
            }
            Self::Federated(..) => Some((Concern::Federated, Kinds::ALL.count())),
        }
    }

    fn action(&self, direction: Direction) -> Action {
        match self {
            Self::Exception(exception) if exception.directions.covers(direction) => exception.action,
            Self::Exception(_) => Action::Deny,
            Self::Federated(..) => Action::Allow,
        }
    }

    pub(super) fn reference(&self, direction: Direction) -> RuleRef {
        match self {
            Self::Exception(exception) => {
                let pattern = exception.pattern.clone();
                let source = exception.source.clone();
                if exception.directions.covers(direction) {
                    RuleRef::Exception { pattern, source }
                } else {
                    RuleRef::OneWay { pattern, source }
                }
            }
            Self::Federated(pattern, source) => RuleRef::Federated {
                pattern: (*pattern).clone(),
                source: (*source).clone(),
            },
        }
    }
}

impl Decision {
    /// What is to happen.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The line that decided.
    #[must_use]
    pub const fn rule(&self) -> &RuleRef {
        &self.rule
    }

    /// Why, in words for the operator.
    #[must_use]
    pub fn because(&self) -> String {
        because(self.verdict, &self.rule, self.direction)
    }
}

impl From<Action> for Verdict {
    fn from(action: Action) -> Self {
        match action {
            Action::Allow => Self::Allow,
            Action::Deny => Self::Deny,
        }
    }
}
