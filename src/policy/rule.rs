//! The rules as they are configured: exceptions, blocks, federated domains and the default.
//!
//! Values only; [`super::decide`] applies them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Party;
use super::pattern_map::PatternMap;
use crate::domain::DomainPattern;

/// Everything that decides, as read from the configuration; make [`Rules`] from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// What holds where no line speaks.
    pub default: Action,
    /// Where the default stands.
    pub default_source: Source,
    /// The exceptions, in the order of their lines.
    pub exceptions: Vec<Exception>,
    /// The block list, in the order of its lines.
    pub blocks: Vec<Block>,
    /// Domains that are allowed by being configured: the SIP-federated ones (specification: edge §3).
    pub federated: Vec<FederatedDomain>,
}

/// The rules in the form that [`Rules::decide`] works on.
#[derive(Debug, Clone)]
pub struct Rules {
    pub(super) set: Arc<RuleSet>,
    pub(super) index: Arc<Index>,
}

/// Where each line is found by what it speaks of.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) domains: PatternMap<Entry>,
    pub(super) blocked_addresses: HashMap<Party, usize>,
    pub(super) blocked_domains: PatternMap<usize>,
}

/// What the index keeps under a pattern: a position in one of the lists.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    Exception(usize),
    Federated(usize),
}

/// One `[[policy.exception]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// The foreign domains that it speaks of.
    pub pattern: DomainPattern,
    /// The directions that it speaks of.
    pub directions: Directions,
    /// The kinds of traffic that it speaks of.
    pub kinds: Kinds,
    /// What it says.
    pub action: Action,
    /// Where it stands.
    pub source: Source,
}

/// One `[[policy.block]]`; it comes before every exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Who is blocked.
    pub whom: Blocked,
    /// How the blocked party is told.
    pub style: Style,
    /// Where it stands.
    pub source: Source,
}

/// Whom a block names. It holds for both directions and at either end of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    /// One user.
    Address(Party),
    /// Everybody at a domain.
    Domain(DomainPattern),
}

/// A domain that is allowed because the configuration federates with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederatedDomain {
    /// The domains of the entry.
    pub pattern: DomainPattern,
    /// Where it stands.
    pub source: Source,
}

/// Where in the configuration something stands, in words for the operator: `policy.exception[0], line 41`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source(Arc<str>);

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Let it pass.
    Allow,
    /// Refuse it.
    Deny,
}

/// How a blocked party is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// As if the user they write to were offline, so that the block itself does not show.
    Polite,
    /// As forbidden.
    Explicit,
}

/// Which way one message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From a foreign domain to one of ours.
    Inbound,
    /// From one of our domains to a foreign one.
    Outbound,
}

/// Which ways a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Directions {
    /// Both ways.
    Both,
    /// What comes in. An allowing rule of this kind also says that nothing goes out, not even answers.
    Inbound,
    /// What goes out. An allowing rule of this kind also says that nothing comes in, not even answers.
    Outbound,
}

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Messages between two people, their chat states and receipts.
    Im,
    /// Presence and subscriptions to it.
    Presence,
    /// Rooms.
    Groupchat,
    /// Files and their negotiation.
    FileTransfer,
    /// Whatever else: queries, calls.
    Other,
}

/// A set of kinds of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Rules {
    /// Indexes the rules.
    #[must_use]
    pub fn new(set: RuleSet) -> Self {
        let mut index = Index {
            domains: PatternMap::new(),
            blocked_addresses: HashMap::new(),
            blocked_domains: PatternMap::new(),
        };
        for (position, exception) in set.exceptions.iter().enumerate() {
            index
                .domains
                .insert(&exception.pattern, Entry::Exception(position));
        }
        for (position, domain) in set.federated.iter().enumerate() {
            index.domains.insert(&domain.pattern, Entry::Federated(position));
        }
        for (position, block) in set.blocks.iter().enumerate() {
            match &block.whom {
                Blocked::Address(party) => {
                    index.blocked_addresses.entry(party.clone()).or_insert(position);
                }
                Blocked::Domain(pattern) => index.blocked_domains.insert(pattern, position),
            }
        }
        Self {
            set: Arc::new(set),
            index: Arc::new(index),
        }
    }

    /// The rules as they were configured.
    #[must_use]
    pub fn set(&self) -> &RuleSet {
        &self.set
    }
}

impl Directions {
    /// Whether a rule of these directions speaks of a message that goes `direction`.
    #[must_use]
    pub const fn covers(self, direction: Direction) -> bool {
        match (self, direction) {
            (Self::Both, _) | (Self::Inbound, Direction::Inbound) | (Self::Outbound, Direction::Outbound) => {
                true
            }
            (Self::Inbound, Direction::Outbound) | (Self::Outbound, Direction::Inbound) => false,
        }
    }

    pub(super) const fn count(self) -> u32 {
        match self {
            Self::Both => 2,
            Self::Inbound | Self::Outbound => 1,
        }
    }
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Inbound => Self::Outbound,
            Self::Outbound => Self::Inbound,
        }
    }

    /// The word for logs and the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Im,
        Self::Presence,
        Self::Groupchat,
        Self::FileTransfer,
        Self::Other,
    ];

    /// The word of the configuration, also used in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Im => "im",
            Self::Presence => "presence",
            Self::Groupchat => "groupchat",
            Self::FileTransfer => "file-transfer",
            Self::Other => "other",
        }
    }

    /// Reads the word of the configuration.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Im => 1,
            Self::Presence => 1 << 1,
            Self::Groupchat => 1 << 2,
            Self::FileTransfer => 1 << 3,
            Self::Other => 1 << 4,
        }
    }
}

impl Kinds {
    /// Every kind: what a line without `kinds` means.
    pub const ALL: Self = Self(0b1_1111);

    /// Whether `kind` is in the set.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    pub(super) const fn count(self) -> u32 {
        self.0.count_ones()
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | kind.bit()))
    }
}

impl Source {
    /// A place in the configuration, in words.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Directions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Both => "both directions",
            Self::Inbound => "inbound only",
            Self::Outbound => "outbound only",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("all kinds");
        }
        let words: Vec<_> = Kind::ALL
            .into_iter()
            .filter(|kind| self.contains(*kind))
            .map(Kind::as_str)
            .collect();
        f.write_str(&words.join(", "))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Polite => "polite",
            Self::Explicit => "explicit",
        })
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(party) => write!(f, "{party}"),
            Self::Domain(pattern) => write!(f, "{pattern}"),
        }
    }
}
