//! Route and Record-Route: hops in their order, each echoed as its author wrote it (RFC 3261 §16.4, §16.12, §20.30,
//! §20.34).
//!
//! Some nodes sign what they record and refuse a route whose spelling has changed, so a hop keeps its text beside its
//! meaning. That text has gone through the whole reader and holds neither line breaks nor control characters.

use std::fmt;

use super::address::NameAddr;
use super::error::Flaw;
use super::lex::Cursor;
use super::uri::{SipUri, Uri};

/// The hops of one header field, first hop first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteSet(Vec<RouteHop>);

/// One hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteHop {
    text: Box<str>,
    address: NameAddr,
}

impl RouteSet {
    /// Whether there is no hop.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many hops there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The first hop.
    #[must_use]
    pub fn first(&self) -> Option<&RouteHop> {
        self.0.first()
    }

    /// The last hop.
    #[must_use]
    pub fn last(&self) -> Option<&RouteHop> {
        self.0.last()
    }

    /// The hops in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RouteHop> + ExactSizeIterator {
        self.0.iter()
    }

    /// Removes the first hop and gives it.
    pub fn pop_first(&mut self) -> Option<RouteHop> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// Removes the last hop and gives it (RFC 3261 §16.4, after a strict router).
    pub fn pop_last(&mut self) -> Option<RouteHop> {
        self.0.pop()
    }

    /// Puts a hop before all others.
    pub fn push_first(&mut self, hop: RouteHop) {
        self.0.insert(0, hop);
    }

    /// Puts a hop after all others.
    pub fn push_last(&mut self, hop: RouteHop) {
        self.0.push(hop);
    }

    pub(super) const fn hops_mut(&mut self) -> &mut Vec<RouteHop> {
        &mut self.0
    }

    /// The hops in reverse order: the route set of a UAC from the Record-Route of a response (RFC 3261 §12.1.2).
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self(self.0.iter().rev().cloned().collect())
    }
}

impl RouteHop {
    /// A hop of our own.
    #[must_use]
    pub fn new(uri: SipUri) -> Self {
        let address = NameAddr::new(uri);
        Self {
            text: address.to_string().into(),
            address,
        }
    }

    /// Reads one hop: `[display-name] <URI> *(;parameter)`.
    ///
    /// # Errors
    /// The [`Flaw`] that was met first.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let mut cursor = Cursor::new(text);
        let hop = Self::read(&mut cursor)?;
        cursor.end()?;
        if hop.text.bytes().any(super::lex::is_control) {
            return Err(Flaw::Control);
        }
        Ok(hop)
    }

    /// What the hop means.
    #[must_use]
    pub const fn address(&self) -> &NameAddr {
        &self.address
    }

    /// The hop's URI.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        self.address.uri()
    }

    /// Whether the hop is a loose router (RFC 3261 §16.12).
    #[must_use]
    pub fn is_loose_router(&self) -> bool {
        self.uri().sip().is_some_and(SipUri::is_loose_router)
    }

    /// Reads one hop up to the comma or the end that follows it.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, Flaw> {
        cursor.skip_blanks();
        let start = cursor.rest();
        let address = NameAddr::read(cursor)?;
        let length = start.len().saturating_sub(cursor.rest().len());
        let text = start.split_at_checked(length).map_or(start, |(text, _)| text);
        // route-param = name-addr: without brackets it is no route
        if !text.contains('<') {
            return Err(Flaw::Bracket);
        }
        Ok(Self {
            text: text.trim_matches(super::lex::BLANK).into(),
            address,
        })
    }
}

impl From<Vec<RouteHop>> for RouteSet {
    fn from(mut hops: Vec<RouteHop>) -> Self {
        // Mostly there is one, and a dialog holds it for long.
        hops.shrink_to_fit();
        Self(hops)
    }
}

impl fmt::Display for RouteHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
