//! Static routes: where to send before DNS is asked, by domain and by user.
//!
//! Specification: edge §2. Routes are grouped by pattern. The groups that match an address are used from the most
//! specific to the least; within a group priority and weight decide. A group that says so ends the list.

use std::fmt;
use std::num::NonZeroU16;

use super::select::Weighted;
use super::srv::SrvName;
use super::{Host, Transport};
use crate::domain::DomainPattern;
use crate::policy::Party;

/// One static route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticRoute {
    /// Which addresses it is for.
    pub pattern: RoutePattern,
    /// Where to send.
    pub next_hop: NextHop,
    /// What carries it.
    pub transport: Transport,
    /// Lower first; 1 to 65535.
    pub priority: NonZeroU16,
    /// Share among routes of equal priority; 1 to 65535.
    pub weight: NonZeroU16,
    /// Whether it is used.
    pub state: RouteState,
    /// What follows when its pattern's routes have all failed.
    pub less_specific: LessSpecific,
}

/// The addresses that a route is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePattern {
    /// The users; `None` for all, and for messages to the domain itself.
    pub user: Option<UserPattern>,
    /// The domains.
    pub domain: DomainPattern,
}

/// A pattern on the user part: `.` is any one character, a final `*` is the rest, all else is itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPattern {
    text: String,
    fixed: Vec<Option<char>>,
    open: Tail,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// Name or address; of an SRV name the domain.
    pub host: Host,
    /// Where on that host.
    pub found: Found,
}

/// How a next hop is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// At this port.
    Port(NonZeroU16),
    /// By the SRV records that the host has for the transport; without any, at the default port.
    Service,
    /// By the SRV records of this name, and by nothing else.
    Records(SrvName),
}

/// Whether a route is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteState {
    /// Yes.
    InService,
    /// No: as if it were not there.
    OutOfService,
    /// No, and where no other route of the same pattern is in service its addresses are refused.
    Blocked,
}

/// What follows when the routes of a pattern have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LessSpecific {
    /// The less specific patterns, and then DNS.
    Allowed,
    /// Nothing.
    Forbidden,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Ends,
    Goes,
}

/// Why a text is not a user pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserPatternError {
    /// Nothing.
    #[error("the user pattern is empty")]
    Empty,
    /// A `*` before the end.
    #[error("a * in a user pattern stands for the rest and can only be its last character")]
    InnerStar,
}

/// The greater is the more specific: characters that are named, then characters that are counted, then an end.
type UserSpecificity = (usize, usize, bool);

/// What the matching routes of an entry come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection<'r> {
    /// The groups to use, the most specific first, and whether DNS may follow.
    Groups(Vec<Vec<&'r StaticRoute>>, LessSpecific),
    /// The most specific group that decides is blocked.
    Blocked(&'r RoutePattern),
}

impl UserPattern {
    /// Reads a pattern; letters match in any case.
    ///
    /// # Errors
    /// [`UserPatternError`].
    pub fn parse(text: &str) -> Result<Self, UserPatternError> {
        let lower = text.to_lowercase();
        let (head, open) = match lower.strip_suffix('*') {
            Some(head) => (head, Tail::Goes),
            None => (lower.as_str(), Tail::Ends),
        };
        if text.is_empty() {
            return Err(UserPatternError::Empty);
        }
        if head.contains('*') {
            return Err(UserPatternError::InnerStar);
        }
        let fixed = head
            .chars()
            .map(|character| (character != '.').then_some(character))
            .collect();
        Ok(Self {
            text: text.to_owned(),
            fixed,
            open,
        })
    }

    /// Whether a user in the form of [`Party::user`] is meant.
    #[must_use]
    pub fn matches(&self, user: &str) -> bool {
        let mut characters = user.chars();
        let head = self.fixed.iter().all(|fixed| match (fixed, characters.next()) {
            (Some(expected), Some(found)) => *expected == found,
            (None, found) => found.is_some(),
            (Some(_), None) => false,
        });
        head && (self.open == Tail::Goes || characters.next().is_none())
    }

    fn specificity(&self) -> UserSpecificity {
        let named = self.fixed.iter().flatten().count();
        (named, self.fixed.len(), self.open == Tail::Ends)
    }
}

impl RoutePattern {
    /// All users of these domains.
    #[must_use]
    pub const fn domain(domain: DomainPattern) -> Self {
        Self { user: None, domain }
    }

    /// Whether the address is meant.
    #[must_use]
    pub fn matches(&self, to: &Party) -> bool {
        self.domain.matches(to.domain())
            && match (&self.user, to.user()) {
                (None, _) => true,
                (Some(pattern), Some(user)) => pattern.matches(user),
                (Some(_), None) => false,
            }
    }

    /// The greater is the more specific: the domain first, then the user.
    fn specificity(&self) -> ((usize, bool), Option<UserSpecificity>) {
        (
            self.domain.specificity(),
            self.user.as_ref().map(UserPattern::specificity),
        )
    }
}

impl Weighted for StaticRoute {
    fn priority(&self) -> u16 {
        self.priority.get()
    }

    fn weight(&self) -> u16 {
        self.weight.get()
    }
}

impl fmt::Display for UserPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user}@{}", self.domain),
            None => write!(f, "{}", self.domain),
        }
    }
}

/// Chooses among the routes of an entry.
pub(super) fn choose<'r>(routes: &'r [StaticRoute], to: &Party) -> Selection<'r> {
    let mut matching: Vec<_> = routes.iter().filter(|route| route.pattern.matches(to)).collect();
    // A stable sort: routes of one pattern keep the order of their lines.
    matching.sort_by_key(|route| std::cmp::Reverse(route.pattern.specificity()));
    let mut groups = Vec::new();
    let mut after = LessSpecific::Allowed;
    for group in matching.chunk_by(|left, right| left.pattern.specificity() == right.pattern.specificity()) {
        let usable: Vec<_> = group
            .iter()
            .copied()
            .filter(|route| route.state == RouteState::InService)
            .collect();
        let blocked = group.iter().find(|route| route.state == RouteState::Blocked);
        if let (Some(route), true) = (blocked, usable.is_empty()) {
            if groups.is_empty() {
                return Selection::Blocked(&route.pattern);
            }
            // What comes before may be tried; a block is no way round it.
            after = LessSpecific::Forbidden;
            break;
        }
        if usable.is_empty() {
            continue;
        }
        let ends = usable
            .iter()
            .any(|route| route.less_specific == LessSpecific::Forbidden);
        groups.push(usable);
        if ends {
            after = LessSpecific::Forbidden;
            break;
        }
    }
    Selection::Groups(groups, after)
}
