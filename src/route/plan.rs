//! What is tried for a destination, in order: addresses that are known, and names that DNS has to be asked about.
//!
//! A plan is made without randomness or knowledge of health; [`Plan::steps`] takes both and gives the order.

use std::fmt;

use super::leg::by_transport;
use super::select::{self, Health, Random, Weighted};
use super::srv::SrvName;
use super::{Host, Protocol, Target, Transport};
use crate::domain::Domain;

/// How a destination is reached in one protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    protocol: Protocol,
    stages: Vec<Vec<Candidate>>,
}

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Connect there.
    Address(Target),
    /// Ask DNS, and connect to what it answers.
    Discover(Discovery),
}

/// How a name becomes targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The questions, in order. The first that has an answer decides: its targets, or that the service is not offered
    /// ([`super::srv::Answer`]). A failed question (SERVFAIL, time-out) ends the discovery with a failure.
    pub lookups: Vec<Lookup>,
    /// What each target is made from: the answer's host, port and transport take the place of its own.
    pub template: Target,
    /// The transports that may come out of [`Lookup::Naptr`].
    pub transports: Vec<Transport>,
    /// Where to connect when no question has an answer.
    pub fallback: Option<Target>,
}

/// One question, or several whose answers are one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// SRV records of all these names, mixed ([`super::srv::targets`]).
    Srv(Vec<SrvName>),
    /// NAPTR records, which lead to SRV names ([`super::naptr::select`]).
    Naptr(Domain),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) step: Step,
}

impl Plan {
    pub(super) fn new(protocol: Protocol, stages: Vec<Vec<Candidate>>) -> Self {
        let stages = stages.into_iter().filter(|stage| !stage.is_empty()).collect();
        Self { protocol, stages }
    }

    /// A plan with nothing but one target.
    #[must_use]
    pub fn to(target: Target) -> Self {
        let stage = vec![Candidate::only(Step::Address(target.clone()))];
        Self::new(target.protocol, vec![stage])
    }

    /// A plan for the host of a target, by the SRV records of its transport or, where it has none, as the target says.
    #[must_use]
    pub fn by_service(target: Target) -> Self {
        let protocol = target.protocol;
        let stage = vec![Candidate::only(Step::Discover(by_transport(target)))];
        Self::new(protocol, vec![stage])
    }

    /// The protocol of all its steps.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether there is nothing to try.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// What of it goes over TLS.
    pub(super) fn over_tls(mut self) -> Self {
        for stage in &mut self.stages {
            stage.retain(|candidate| match &candidate.step {
                Step::Address(target) => target.transport == Transport::Tls,
                Step::Discover(discovery) => {
                    discovery.template.transport == Transport::Tls
                        && discovery
                            .transports
                            .iter()
                            .all(|transport| *transport == Transport::Tls)
                }
            });
        }
        Self::new(self.protocol, self.stages)
    }

    /// Everything to try, in order; the next step is taken when the former has failed in all its targets.
    ///
    /// Within a stage priority and weight decide. Known targets that are down come after everything else.
    #[must_use]
    pub fn steps(&self, health: impl Fn(&Target) -> Health, random: Random<'_>) -> Vec<Step> {
        let health = |step: &Step| match step {
            Step::Address(target) => health(target),
            Step::Discover(_) => Health::Up,
        };
        let mut steps = Vec::new();
        for stage in &self.stages {
            let ordered = select::order(
                stage.iter().collect(),
                |candidate| health(&candidate.step),
                random,
            );
            steps.extend(ordered.into_iter().map(|candidate| candidate.step.clone()));
        }
        steps.sort_by_key(health);
        steps
    }

    /// What it would try, in words for the operator, in the order of the configuration.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        self.stages
            .iter()
            .flatten()
            .map(|candidate| match &candidate.step {
                Step::Address(target) => format!(
                    "{target} (priority {}, weight {})",
                    candidate.priority, candidate.weight
                ),
                Step::Discover(discovery) => discovery.to_string(),
            })
            .collect()
    }
}

impl Candidate {
    /// The only one of its stage.
    pub(super) const fn only(step: Step) -> Self {
        Self {
            priority: 1,
            weight: 1,
            step,
        }
    }
}

impl Weighted for &Candidate {
    fn priority(&self) -> u16 {
        self.priority
    }

    fn weight(&self) -> u16 {
        self.weight
    }
}

impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by DNS:", self.template.protocol)?;
        for (position, lookup) in self.lookups.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", then" };
            write!(f, "{comma} {lookup}")?;
        }
        if let Some(target) = &self.fallback {
            write!(f, ", or where there is none {}:{}", target.host, target.port)?;
        }
        Ok(())
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Srv(names) => {
                let names: Vec<_> = names.iter().map(SrvName::to_string).collect();
                write!(f, "SRV {}", names.join(" with "))
            }
            Self::Naptr(domain) => write!(f, "NAPTR {domain}"),
        }
    }
}

impl Discovery {
    /// Whether the name of the template is one that can be asked about.
    pub(super) fn name(&self) -> Option<&Domain> {
        match &self.template.host {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        }
    }
}
