//! Finds where the pieces of a stream or of a document end, before anything is parsed.
//!
//! A state machine over the octets that remembers where it stopped, so that no octet is looked at twice and a piece
//! may arrive in any portions. It bounds the size of pieces and tags and the depth, and refuses the markup that
//! RFC 6120 §11.1 forbids as soon as it begins. It reads no names and no values: `read` does.

mod skip;
mod stray;

use memchr::{memchr, memchr2, memmem};

use super::error::{Construct, Rule, XmlError};
use super::syntax::is_space;
use crate::limits::XmlLimits;
use skip::Excess;

/// A whole piece at the start of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `<?xml ... ?>`.
    Declaration,
    /// White space outside elements.
    Space,
    /// The opening tag of a stream.
    Opening(Ending),
    /// An element with all it holds: a stanza, or the root of a document.
    Element,
    /// The end tag of a stream.
    Closing,
    /// The start tag of an element that is too big, and will be skipped.
    Start,
    /// A part of an element that is skipped.
    Skipped,
}

/// How an opening tag ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// `>`: content and an end tag follow.
    Open,
    /// `/>`.
    Empty,
}

/// Whether the root is opened and its children are pieces, or is itself a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Stream,
    Document,
}

#[derive(Debug)]
pub(super) struct Splitter {
    subject: Subject,
    element_bytes: usize,
    header_bytes: usize,
    depth_limit: usize,
    tag_bytes: usize,
    phase: Phase,
    state: State,
    /// Octets of the present piece that have been looked at.
    seen: usize,
    /// Where the present tag began, counted from the start of the piece.
    tag: usize,
    /// Elements that are open in the present piece.
    depth: usize,
    /// Octets of the start tag of the present element; 0 before its end.
    head: usize,
    /// Octets of the prolog that are already consumed.
    prolog: usize,
    excess: Excess,
    /// Octets of the present element that were passed over, while it is skipped.
    skipped: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has been read: an XML declaration may come.
    Start,
    /// White space may come, and then the root.
    Prolog,
    /// The stream is open.
    Content,
    /// The root is closed: only white space may come.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between pieces, or in character data.
    Text,
    /// After `<`.
    Opened,
    /// In `<?xml`.
    Declaration,
    /// In a start tag, outside values.
    Start,
    /// In a value.
    Quoted(u8),
    /// After a value.
    Unquoted,
    /// In an end tag.
    End,
    /// After `<!`.
    Bang,
    /// In a CDATA section.
    Section,
}

impl Splitter {
    pub(super) const fn new(subject: Subject, limits: &XmlLimits) -> Self {
        Self {
            subject,
            element_bytes: limits.element_bytes,
            header_bytes: limits.header_bytes,
            depth_limit: limits.depth,
            tag_bytes: limits.tag_bytes,
            phase: Phase::Start,
            state: State::Text,
            seen: 0,
            tag: 0,
            depth: 0,
            head: 0,
            prolog: 0,
            excess: Excess::Refused,
            skipped: None,
        }
    }

    /// The next whole piece of `buffer`, or `None` if more octets are needed.
    ///
    /// The caller takes the piece away from the front of the buffer before it calls again, and otherwise only
    /// appends.
    pub(super) fn next(&mut self, buffer: &[u8]) -> Result<Option<Piece>, XmlError> {
        let (limit, over) = self.bound();
        if let Some(already) = self.skipped {
            return self.skip_on(buffer, already, over);
        }
        // The machine never sees more than the bound, so that it stops at the same octet however the input is cut.
        let within = buffer.get(..limit).unwrap_or(buffer);
        let piece = self.advance(within)?;
        match piece {
            Some(piece) => self.finish(piece),
            // What fills the bound and is not whole will not be whole within it.
            None if buffer.len() >= limit => return self.overflow(over),
            None => {}
        }
        Ok(piece)
    }

    /// How long the present piece may be, and the error if it is longer.
    fn bound(&self) -> (usize, XmlError) {
        let limit = self.element_bytes;
        match (self.phase, self.subject) {
            (Phase::Start | Phase::Prolog, Subject::Stream) => {
                let limit = self.header_bytes;
                (
                    limit.saturating_sub(self.prolog),
                    XmlError::HeaderTooBig { limit },
                )
            }
            (Phase::Start | Phase::Prolog, Subject::Document) => (
                limit.saturating_sub(self.prolog),
                XmlError::ElementTooBig { limit },
            ),
            (Phase::Content | Phase::Done, _) => (limit, XmlError::ElementTooBig { limit }),
        }
    }

    fn finish(&mut self, piece: Piece) {
        self.state = State::Text;
        self.seen = 0;
        self.tag = 0;
        self.depth = 0;
        self.head = 0;
        self.phase = match piece.kind {
            Kind::Declaration => Phase::Prolog,
            Kind::Opening(Ending::Open) => Phase::Content,
            Kind::Opening(Ending::Empty) | Kind::Closing => Phase::Done,
            Kind::Element if self.subject == Subject::Document => Phase::Done,
            Kind::Element | Kind::Start | Kind::Skipped => Phase::Content,
            Kind::Space if self.phase == Phase::Start => Phase::Prolog,
            Kind::Space => self.phase,
        };
        if matches!(self.phase, Phase::Start | Phase::Prolog) {
            self.prolog = self.prolog.saturating_add(piece.len);
        }
    }

    fn advance(&mut self, bytes: &[u8]) -> Result<Option<Piece>, XmlError> {
        loop {
            let rest = bytes.get(self.seen..).unwrap_or(&[]);
            let Some((&first, after)) = rest.split_first() else {
                return Ok(None);
            };
            match self.state {
                State::Text if self.depth == 0 => {
                    if is_space(first) {
                        let len = rest.iter().position(|b| !is_space(*b)).unwrap_or(rest.len());
                        return Ok(Some(Piece {
                            kind: Kind::Space,
                            len,
                        }));
                    }
                    if first != b'<' {
                        return self.stray(first, rest);
                    }
                    if self.phase == Phase::Done {
                        return Err(XmlError::NotWellFormed(Rule::OutsideRoot));
                    }
                    self.open_tag();
                }
                State::Text => match memchr(b'<', rest) {
                    Some(at) => {
                        self.skip(at);
                        self.open_tag();
                    }
                    None => self.skip(rest.len()),
                },
                State::Opened => {
                    if !self.enter(first, rest)? {
                        return Ok(None);
                    }
                }
                State::Declaration => match memmem::find(rest, b"?>") {
                    Some(at) => {
                        let len = self.seen.saturating_add(at).saturating_add(2);
                        return Ok(Some(Piece {
                            kind: Kind::Declaration,
                            len,
                        }));
                    }
                    None => {
                        // The question mark may be there already.
                        self.skip(after.len());
                        return Ok(None);
                    }
                },
                State::Start => {
                    let window = self.within_tag(rest)?;
                    match window
                        .iter()
                        .position(|b| matches!(b, b'>' | b'"' | b'\'' | b'<'))
                    {
                        None => self.skip(window.len()),
                        Some(at) => {
                            let found = window.get(at).copied().unwrap_or_default();
                            let slash = self
                                .seen
                                .saturating_add(at)
                                .checked_sub(1)
                                .and_then(|i| bytes.get(i));
                            let ending = if slash == Some(&b'/') {
                                Ending::Empty
                            } else {
                                Ending::Open
                            };
                            self.skip(at.saturating_add(1));
                            match found {
                                b'>' => {
                                    if let Some(piece) = self.started(ending) {
                                        return Ok(Some(piece));
                                    }
                                }
                                b'<' => return Err(XmlError::NotWellFormed(Rule::Markup)),
                                quote => self.state = State::Quoted(quote),
                            }
                        }
                    }
                }
                State::Quoted(quote) => {
                    let window = self.within_tag(rest)?;
                    match memchr2(quote, b'<', window) {
                        None => self.skip(window.len()),
                        Some(at) if window.get(at) == Some(&b'<') => {
                            return Err(XmlError::NotWellFormed(Rule::LessThan));
                        }
                        Some(at) => {
                            self.skip(at.saturating_add(1));
                            self.state = State::Unquoted;
                        }
                    }
                }
                State::Unquoted => {
                    if !is_space(first) && !matches!(first, b'/' | b'>') {
                        return Err(XmlError::NotWellFormed(Rule::AttributeSyntax));
                    }
                    self.state = State::Start;
                }
                State::End => {
                    let window = self.within_tag(rest)?;
                    match window
                        .iter()
                        .position(|b| matches!(b, b'>' | b'"' | b'\'' | b'<'))
                    {
                        None => self.skip(window.len()),
                        Some(at) if window.get(at) == Some(&b'>') => {
                            self.skip(at.saturating_add(1));
                            if let Some(piece) = self.ended() {
                                return Ok(Some(piece));
                            }
                        }
                        Some(_) => return Err(XmlError::NotWellFormed(Rule::EndTag)),
                    }
                }
                State::Bang => {
                    if let Some(wrong) = rest.iter().zip(SECTION).position(|(a, b)| a != b) {
                        return Err(refused_declaration(wrong, first));
                    }
                    if rest.len() < SECTION.len() {
                        return Ok(None);
                    }
                    if self.depth == 0 {
                        return Err(XmlError::NotWellFormed(Rule::OutsideRoot));
                    }
                    self.skip(SECTION.len());
                    self.state = State::Section;
                }
                State::Section => match memmem::find(rest, b"]]>") {
                    Some(at) => {
                        self.skip(at.saturating_add(3));
                        self.state = State::Text;
                    }
                    None => {
                        // The brackets may be there already.
                        self.skip(rest.len().saturating_sub(2));
                        return Ok(None);
                    }
                },
            }
        }
    }

    /// After `<`: which markup it is; false if more octets are needed to know.
    fn enter(&mut self, first: u8, rest: &[u8]) -> Result<bool, XmlError> {
        match first {
            b'?' => {
                if self.phase != Phase::Start || self.depth > 0 {
                    return Err(XmlError::Restricted(Construct::ProcessingInstruction));
                }
                let same = rest.iter().zip(DECLARATION).all(|(a, b)| a == b);
                match rest.get(DECLARATION.len()) {
                    Some(next) if same && is_space(*next) => self.state = State::Declaration,
                    None if same => return Ok(false),
                    Some(_) | None => return Err(XmlError::Restricted(Construct::ProcessingInstruction)),
                }
            }
            b'!' => {
                self.skip(1);
                self.state = State::Bang;
            }
            b'/' => {
                if self.depth == 0 && self.phase != Phase::Content {
                    return Err(XmlError::NotWellFormed(Rule::EndTag));
                }
                self.skip(1);
                self.state = State::End;
            }
            // `<` in an encoding of two octets.
            0 => return Err(XmlError::Encoding),
            _ => {
                if self.depth >= self.depth_limit {
                    return Err(XmlError::TooDeep {
                        limit: self.depth_limit,
                    });
                }
                self.state = State::Start;
            }
        }
        Ok(true)
    }

    /// A start tag is complete.
    fn started(&mut self, ending: Ending) -> Option<Piece> {
        self.state = State::Text;
        let len = self.seen;
        if self.depth == 0 && self.subject == Subject::Stream && self.phase != Phase::Content {
            return Some(Piece {
                kind: Kind::Opening(ending),
                len,
            });
        }
        if ending == Ending::Open {
            if self.depth == 0 {
                self.head = len;
            }
            self.depth = self.depth.saturating_add(1);
        }
        (self.depth == 0).then_some(Piece {
            kind: Kind::Element,
            len,
        })
    }

    /// An end tag is complete.
    fn ended(&mut self) -> Option<Piece> {
        self.state = State::Text;
        let len = self.seen;
        if self.depth == 0 {
            return Some(Piece {
                kind: Kind::Closing,
                len,
            });
        }
        self.depth = self.depth.saturating_sub(1);
        (self.depth == 0).then_some(Piece {
            kind: Kind::Element,
            len,
        })
    }

    fn open_tag(&mut self) {
        self.tag = self.seen;
        self.skip(1);
        self.state = State::Opened;
    }

    fn skip(&mut self, octets: usize) {
        self.seen = self.seen.saturating_add(octets);
    }

    /// The part of `rest` that the present tag may still fill.
    fn within_tag<'b>(&self, rest: &'b [u8]) -> Result<&'b [u8], XmlError> {
        let left = self.tag_bytes.saturating_sub(self.seen.saturating_sub(self.tag));
        if left == 0 {
            return Err(XmlError::TagTooBig {
                limit: self.tag_bytes,
            });
        }
        Ok(rest.get(..left).unwrap_or(rest))
    }

    /// The error for an octet outside elements that is neither space nor `<`.
    /// What stands where no text may stand; more octets are needed to tell where a character or `]]>` is cut.
    fn stray(&self, first: u8, rest: &[u8]) -> Result<Option<Piece>, XmlError> {
        match self.phase {
            // The first octet of both byte order marks of UTF-16, and of `<` in its big-endian form.
            Phase::Start if matches!(first, 0 | 0xFE | 0xFF) => Err(XmlError::Encoding),
            Phase::Start | Phase::Prolog | Phase::Done => Err(XmlError::NotWellFormed(Rule::OutsideRoot)),
            Phase::Content => stray::fault(rest).map_or(Ok(None), Err),
        }
    }
}

/// What a `<!` is that does not go on as `[CDATA[`; `wrong` is the first octet that differs.
const fn refused_declaration(wrong: usize, first: u8) -> XmlError {
    match (wrong, first) {
        (0, b'-') => XmlError::Restricted(Construct::Comment),
        (0, b'D' | b'E' | b'A' | b'N' | b'd') => XmlError::Restricted(Construct::Doctype),
        _ => XmlError::NotWellFormed(Rule::Markup),
    }
}

const SECTION: &[u8] = b"[CDATA[";
const DECLARATION: &[u8] = b"?xml";
