//! What a decision becomes: a permit, without which nothing is delivered, or a refusal that can be said to the sender.

use super::decide::{Answers, Decision, RuleRef, Verdict};
use super::{Direction, Kind, Style};
use crate::domain::Domain;
use crate::refusal::{Fault, Refuse};

/// Evidence that policy lets a message pass. Only [`Decision::permit`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    rule: RuleRef,
    answers: Answers,
    direction: Direction,
    kind: Kind,
    foreign: Domain,
    own: Domain,
}

/// Evidence that policy forbids a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {direction} between {foreign} and {own} is refused: {because}")]
pub struct Refusal {
    style: Style,
    rule: RuleRef,
    direction: Direction,
    kind: Kind,
    foreign: Domain,
    own: Domain,
    because: String,
}

impl Decision {
    /// Turns the decision into its evidence.
    ///
    /// # Errors
    /// [`Refusal`], ready to be said to the sender.
    pub fn permit(self) -> Result<Permit, Refusal> {
        let style = match self.verdict {
            Verdict::Allow => {
                return Ok(Permit {
                    rule: self.rule,
                    answers: self.answers,
                    direction: self.direction,
                    kind: self.kind,
                    foreign: self.foreign,
                    own: self.own,
                });
            }
            Verdict::Deny => Style::Explicit,
            Verdict::Block(style) => style,
        };
        let because = self.because();
        Err(Refusal {
            style,
            rule: self.rule,
            direction: self.direction,
            kind: self.kind,
            foreign: self.foreign,
            own: self.own,
            because,
        })
    }
}

impl Permit {
    /// The line that allowed it.
    #[must_use]
    pub const fn rule(&self) -> &RuleRef {
        &self.rule
    }

    /// Whether answers may travel back.
    #[must_use]
    pub const fn answers(&self) -> Answers {
        self.answers
    }

    /// Which way the message goes.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// What was permitted.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The foreign domain it was permitted for.
    #[must_use]
    pub const fn foreign(&self) -> &Domain {
        &self.foreign
    }

    /// Our domain it was permitted for.
    #[must_use]
    pub const fn own(&self) -> &Domain {
        &self.own
    }
}

impl Refusal {
    /// How it is told: a politely refused watcher is shown the user as offline.
    #[must_use]
    pub const fn style(&self) -> Style {
        self.style
    }

    /// Whether it must look as if the user were offline, so that the block itself does not show.
    #[must_use]
    pub fn is_polite(&self) -> bool {
        self.style == Style::Polite
    }

    /// The line that refused it.
    #[must_use]
    pub const fn rule(&self) -> &RuleRef {
        &self.rule
    }
}

/// Polite refusals look like those of an offline user in the peer's own protocol: 480 of RFC 3261 §21.4.18, and
/// `service-unavailable` of RFC 6121 §8.5.2.2.
impl Refuse for Refusal {
    fn class(&self) -> &'static str {
        match (&self.rule, self.style) {
            (RuleRef::Block(_), Style::Polite) => "blocked_polite",
            (RuleRef::Block(_), Style::Explicit) => "blocked",
            (RuleRef::Exception { .. }, _) => "policy_exception",
            (RuleRef::OneWay { .. }, _) => "policy_one_way",
            (RuleRef::Federated { .. } | RuleRef::Default(_), _) => "policy_default",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Policy
    }

    fn sip_status(&self) -> u16 {
        match self.style {
            Style::Polite => 480,
            Style::Explicit => 403,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self.style {
            Style::Polite => "service-unavailable",
            Style::Explicit => "policy-violation",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self.style {
            Style::Polite => "Temporarily Unavailable",
            Style::Explicit => "Forbidden by policy",
        }
    }
}

pub(super) fn because(verdict: Verdict, rule: &RuleRef, direction: Direction) -> String {
    match (rule, verdict) {
        (RuleRef::Block(source), Verdict::Block(style)) => format!("blocked ({style}) by {source}"),
        (RuleRef::Block(source), Verdict::Allow | Verdict::Deny) => format!("blocked by {source}"),
        (RuleRef::Exception { pattern, source }, Verdict::Allow) => {
            format!("allowed by the exception for {pattern} ({source})")
        }
        (RuleRef::Exception { pattern, source }, Verdict::Deny | Verdict::Block(_)) => {
            format!("denied by the exception for {pattern} ({source})")
        }
        (RuleRef::OneWay { pattern, source }, _) => format!(
            "the exception for {pattern} ({source}) allows {} traffic only, so nothing passes {direction}, not even \
             answers",
            direction.opposite()
        ),
        (RuleRef::Federated { pattern, source }, _) => {
            format!("allowed because {pattern} is configured as a federated SIP domain ({source})")
        }
        (RuleRef::Default(source), Verdict::Allow) => format!("allowed by default ({source})"),
        (RuleRef::Default(source), Verdict::Deny | Verdict::Block(_)) => {
            format!("no exception covers it, and the default is deny ({source})")
        }
    }
}
