//! The reader of an XMPP stream: octets in, opening, stanzas, white space and closing out.
//!
//! It knows the shape of a stream (RFC 6120 §4) and nothing of its rules: who may send what when is `xmpp`'s.

use super::element::{Attribute, Element};
use super::error::{Rule, XmlError};
use super::read::{self, Scopes};
use super::split::{Ending, Kind, Splitter, Subject};
use crate::limits::XmlLimits;

/// Reads one stream, however its octets are cut into portions.
///
/// Holds at most one unfinished piece: `element_bytes`, or `header_bytes` before the stream is open, and what the last
/// [`push`](Self::push) brought. After an error it takes no more, and gives the same error for ever.
#[derive(Debug)]
pub struct StreamReader {
    limits: XmlLimits,
    splitter: Splitter,
    buffer: Vec<u8>,
    /// Octets at the front of the buffer that are done with.
    consumed: usize,
    opening: Opening,
    failed: Option<XmlError>,
}

/// What a stream is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    /// The opening tag of the stream; always first.
    Open(StreamHeader),
    /// A first-level element: a stanza, or an element of negotiation.
    Element(Element),
    /// The start tag of a first-level element that was too big, as an empty element; what it held is lost. Only after
    /// [`skip_oversized`](StreamReader::skip_oversized).
    Oversized(Element),
    /// White space between elements: a keepalive (RFC 6120 §4.6.1). A run of it may come in more than one item.
    Whitespace,
    /// The end of the stream; always last.
    Close,
}

/// The opening tag of a stream (RFC 6120 §4.7, §4.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHeader {
    element: Element,
    scopes: Scopes,
}

impl StreamReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(limits: &XmlLimits) -> Self {
        Self {
            splitter: Splitter::new(Subject::Stream, limits),
            limits: limits.clone(),
            buffer: Vec::new(),
            consumed: 0,
            opening: Opening::Awaited,
            failed: None,
        }
    }

    /// Adds octets from the connection; call [`next`](Self::next) until it gives `None` before adding more.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed.min(self.buffer.len()));
            self.consumed = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next item, or `None` until more octets are pushed.
    ///
    /// # Errors
    /// [`XmlError`] with the stream error to send; the stream cannot go on.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator that gives None is at its end; this is not"
    )]
    pub fn next(&mut self) -> Result<Option<StreamItem>, XmlError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let item = self.read();
        if let Err(error) = item {
            self.failed = Some(error);
            self.buffer = Vec::new();
            self.consumed = 0;
        }
        item
    }

    /// Forgets everything and awaits the opening of a new stream, as after STARTTLS and SASL (RFC 6120 §4.3.3).
    ///
    /// Octets that are buffered are dropped too: nothing sent before the restart may count after it. Where their mere
    /// presence is an offence, ask [`buffered`](Self::buffered) first.
    pub fn restart(&mut self) {
        *self = Self::new(&self.limits);
    }

    /// From now on, and until a restart, an element that is too big is skipped and told of, and does not end the stream
    /// unless it is [many times](crate::limits::SKIPPED_ELEMENTS) too big.
    pub const fn skip_oversized(&mut self) {
        self.splitter.skip_excess();
    }

    /// Octets pushed that are not part of an item given yet.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len().saturating_sub(self.consumed)
    }

    fn read(&mut self) -> Result<Option<StreamItem>, XmlError> {
        loop {
            if matches!(self.opening, Opening::Empty) {
                self.opening = Opening::Closed;
                return Ok(Some(StreamItem::Close));
            }
            let rest = self.buffer.get(self.consumed..).unwrap_or(&[]);
            let Some(piece) = self.splitter.next(rest)? else {
                // Most streams are idle most of the time, and then hold nothing.
                if rest.is_empty() {
                    self.buffer = Vec::new();
                    self.consumed = 0;
                }
                return Ok(None);
            };
            let octets = rest.get(..piece.len).unwrap_or(rest);
            let item = match piece.kind {
                Kind::Declaration => {
                    read::declaration(octets, Subject::Stream)?;
                    None
                }
                Kind::Space => matches!(self.opening, Opening::Seen { .. }).then_some(StreamItem::Whitespace),
                Kind::Opening(ending) => {
                    let (element, scopes, tag) = read::opening(octets, &self.limits)?;
                    self.opening = match ending {
                        Ending::Open => Opening::Seen {
                            tag,
                            scopes: scopes.clone(),
                        },
                        Ending::Empty => Opening::Empty,
                    };
                    Some(StreamItem::Open(StreamHeader { element, scopes }))
                }
                Kind::Element => Some(StreamItem::Element(self.opening.tree(octets, &self.limits)?)),
                Kind::Start => {
                    let tag = octets.strip_suffix(b">").unwrap_or(octets);
                    let empty = [tag, b"/>"].concat();
                    Some(StreamItem::Oversized(self.opening.tree(&empty, &self.limits)?))
                }
                Kind::Skipped => None,
                Kind::Closing => {
                    if !self.opening.is_closed_by(octets) {
                        return Err(XmlError::NotWellFormed(Rule::EndTag));
                    }
                    self.opening = Opening::Closed;
                    Some(StreamItem::Close)
                }
            };
            self.consumed = self.consumed.saturating_add(piece.len);
            if item.is_some() {
                return Ok(item);
            }
        }
    }
}

impl StreamHeader {
    /// The local name of the root, `stream` if the peer speaks XMPP.
    #[must_use]
    pub fn name(&self) -> &str {
        self.element.name()
    }

    /// The namespace of the root.
    #[must_use]
    pub fn ns(&self) -> &str {
        self.element.ns()
    }

    /// Whether the root has this expanded name.
    #[must_use]
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.element.is(name, ns)
    }

    /// The default namespace that the root declares: the content namespace of the stream; empty if it declares none.
    #[must_use]
    pub fn content_ns(&self) -> &str {
        self.scopes.find("").map_or("", super::word::Word::as_str)
    }

    /// The value of an attribute in no namespace, or of `xml:lang`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.element.attribute(name)
    }

    /// The value of the attribute of that expanded name.
    #[must_use]
    pub fn attribute_ns(&self, ns: &str, name: &str) -> Option<&str> {
        self.element.attribute_ns(ns, name)
    }

    /// All attributes but the declarations.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.element.attributes()
    }

    /// The prefixes that the root declares, each with its namespace; the default namespace is not among them.
    pub fn prefixes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.scopes.iter().filter(|(prefix, _)| !prefix.is_empty())
    }

    /// Whether the root declares a prefix for `ns`.
    #[must_use]
    pub fn declares(&self, ns: &str) -> bool {
        self.prefixes().any(|(_, declared)| declared == ns)
    }
}

#[derive(Debug)]
enum Opening {
    Awaited,
    Seen {
        tag: String,
        scopes: Scopes,
    },
    /// The root was `<stream/>`: the closing follows at once.
    Empty,
    Closed,
}

impl Opening {
    /// Reads a first-level element within the scopes of the root.
    fn tree(&self, octets: &[u8], limits: &XmlLimits) -> Result<Element, XmlError> {
        let none = Scopes::default();
        let scopes = match self {
            Self::Seen { scopes, .. } => scopes,
            Self::Awaited | Self::Empty | Self::Closed => &none,
        };
        read::tree(octets, scopes, limits)
    }

    /// Whether `octets`, an end tag, names what the opening tag named, byte for byte.
    fn is_closed_by(&self, octets: &[u8]) -> bool {
        let Self::Seen { tag, .. } = self else {
            return false;
        };
        octets
            .strip_prefix(b"</")
            .and_then(|rest| rest.strip_prefix(tag.as_bytes()))
            .and_then(|rest| rest.strip_suffix(b">"))
            .is_some_and(|space| space.iter().all(|b| super::syntax::is_space(*b)))
    }
}
