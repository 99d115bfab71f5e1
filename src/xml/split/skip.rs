//! Passing over an element that is too big, to its end: nothing of it is kept but its start tag.
//!
//! The same machine looks at every octet, so what is refused within an element is refused within one that is skipped;
//! names and values are not read.

use super::{Kind, Phase, Piece, Splitter, State};
use crate::limits::SKIPPED_ELEMENTS;
use crate::xml::error::XmlError;

/// What becomes of a first-level element that is over its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::xml) enum Excess {
    /// It ends the stream.
    Refused,
    /// Its start tag is a piece, and the rest is passed over, up to a bound.
    Skipped,
}

impl Splitter {
    /// From now on an element that is too big does not end the stream.
    pub(in crate::xml) const fn skip_excess(&mut self) {
        self.excess = Excess::Skipped;
    }

    /// The present piece has filled its bound: gives its start tag, if there is one and it may be skipped.
    pub(super) fn overflow(&mut self, over: XmlError) -> Result<Option<Piece>, XmlError> {
        if self.excess == Excess::Refused || self.phase != Phase::Content || self.head == 0 {
            return Err(over);
        }
        let len = self.head;
        self.skipped = Some(0);
        self.pass(len);
        Ok(Some(Piece {
            kind: Kind::Start,
            len,
        }))
    }

    /// Goes on within an element that is skipped: a part of it, or its end.
    pub(super) fn skip_on(
        &mut self,
        buffer: &[u8],
        already: usize,
        over: XmlError,
    ) -> Result<Option<Piece>, XmlError> {
        let piece = self.advance(buffer)?;
        let len = match piece {
            Some(piece) => piece.len,
            None => match self.state {
                State::Text | State::Section => self.seen,
                // How a tag ends, and how long it is, is known from its beginning.
                State::Opened
                | State::Declaration
                | State::Start
                | State::Quoted(_)
                | State::Unquoted
                | State::End
                | State::Bang => self.tag,
            },
        };
        let skipped = already.saturating_add(len);
        if skipped > self.element_bytes.saturating_mul(SKIPPED_ELEMENTS) {
            return Err(over);
        }
        match piece {
            Some(piece) => {
                self.finish(piece);
                self.skipped = None;
            }
            None => {
                self.skipped = Some(skipped);
                self.pass(len);
            }
        }
        Ok((len > 0).then_some(Piece {
            kind: Kind::Skipped,
            len,
        }))
    }

    /// The caller takes away this many octets in the middle of a piece.
    const fn pass(&mut self, len: usize) {
        self.seen = self.seen.saturating_sub(len);
        self.tag = self.tag.saturating_sub(len);
    }
}
