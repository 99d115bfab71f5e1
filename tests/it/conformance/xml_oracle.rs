//! A second opinion: whatever our reader lets through, rxml must let through as the same items.
//!
//! Used by the differential test and, by its path, by the fuzz targets. Input that we refuse is not judged: being
//! stricter is no fault.

use rxml::error::EndOrError;
use rxml::{Event, Parse as _, Parser, WithOptions as _};
use vestibule::limits::XmlLimits;
use vestibule::xml::{self, Element, StreamItem, StreamReader, XmlError};

/// What a reader makes of a stream: its items without white space, the header as an element, and the error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The opening (an element without content) and the stanzas.
    pub(crate) elements: Vec<Element>,
    /// Whether the stream was closed.
    pub(crate) closed: bool,
    /// Why reading stopped, if it did.
    pub(crate) error: Option<XmlError>,
    /// Octets that belong to the items.
    pub(crate) consumed: usize,
}

/// Reads a stream that arrives in the given portions, and the rest at once.
pub(crate) fn read(input: &[u8], portions: impl IntoIterator<Item = usize>) -> Reading {
    let mut reader = StreamReader::new(&XmlLimits::default());
    let mut reading = Reading {
        elements: Vec::new(),
        closed: false,
        error: None,
        consumed: 0,
    };
    let mut rest = input;
    for portion in portions.into_iter().chain([usize::MAX]) {
        let (now, later) = rest.split_at(portion.min(rest.len()));
        rest = later;
        reader.push(now);
        loop {
            match reader.next() {
                Ok(Some(StreamItem::Open(header))) => {
                    let mut root = Element::new(header.name(), header.ns());
                    for a in header.attributes() {
                        root.set_attribute_ns(a.ns(), a.name(), a.value());
                    }
                    reading.elements.push(root);
                }
                Ok(Some(StreamItem::Element(element))) => reading.elements.push(element),
                // Nobody asked for it here: it would be a difference.
                Ok(Some(StreamItem::Oversized(element))) => reading.elements.push(element),
                // How much of a run of white space has come says nothing about the stream.
                Ok(Some(StreamItem::Whitespace)) => continue,
                Ok(Some(StreamItem::Close)) => reading.closed = true,
                Ok(None) => break,
                Err(error) => {
                    reading.error = Some(error);
                    return reading;
                }
            }
            reading.consumed = input.len() - rest.len() - reader.buffered();
        }
    }
    reading
}

/// Compares the readings of a stream; the error says how they differ.
pub(crate) fn agree_on_stream(input: &[u8]) -> Result<Reading, String> {
    let ours = read(input, []);
    let (consumed, _) = input.split_at(ours.consumed);
    let difference = match second_opinion(consumed, false) {
        Ok(theirs) if theirs.elements == ours.elements && theirs.closed == ours.closed => return Ok(ours),
        Ok(theirs) => format!("we read {ours:?}, rxml {theirs:?}"),
        Err(error) => format!("we read {:?}, rxml says {error}", ours.elements),
    };
    if is_beyond_the_oracle(consumed) {
        Ok(ours)
    } else {
        Err(difference)
    }
}

/// Compares the readings of a document; the error says how they differ.
pub(crate) fn agree_on_document(input: &[u8]) -> Result<Option<Element>, String> {
    let Ok(ours) = xml::document(input, &XmlLimits::default()) else {
        return Ok(None);
    };
    let text = input.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input);
    let difference = match second_opinion(text, true) {
        Ok(theirs) if theirs.whole.as_ref() == Some(&ours) => return Ok(Some(ours)),
        Ok(theirs) => format!("we read {ours:?}, rxml {:?}", theirs.whole),
        // Our tolerance for bodies that misname their encoding is ours alone.
        Err(_) if text.starts_with(b"<?xml") => return Ok(Some(ours)),
        Err(error) => format!("we read {ours:?}, rxml says {error}"),
    };
    if is_beyond_the_oracle(text) {
        Ok(Some(ours))
    } else {
        Err(difference)
    }
}

/// XML 1.0 §3.3.3 makes a space of a carriage return in a value; rxml refuses it, or drops it at the end of the value.
fn is_beyond_the_oracle(input: &[u8]) -> bool {
    input.contains(&b'\r')
}

#[derive(Debug)]
struct Opinion {
    elements: Vec<Element>,
    closed: bool,
    /// The root with all it holds, once it is closed.
    whole: Option<Element>,
}

fn second_opinion(input: &[u8], is_whole: bool) -> Result<Opinion, String> {
    // Space before the root is no matter between us.
    let mut input = input.trim_ascii_start();
    let mut parser = Parser::with_options(rxml::Options {
        max_token_length: 1 << 20,
        ..rxml::Options::default()
    });
    let mut opinion = Opinion {
        elements: Vec::new(),
        closed: false,
        whole: None,
    };
    let mut open: Vec<Element> = Vec::new();
    loop {
        match parser.parse(&mut input, is_whole) {
            Ok(Some(Event::XmlDeclaration(..))) => {}
            Ok(Some(Event::StartElement(_, (ns, name), attributes))) => {
                let mut element = Element::new(name.as_str(), ns.as_str());
                for ((ns, name), value) in &attributes {
                    element.set_attribute_ns(ns.as_str(), name.as_str(), value.as_str());
                }
                if open.is_empty() {
                    opinion.elements.push(element.clone());
                }
                open.push(element);
            }
            Ok(Some(Event::Text(_, text))) => {
                if let Some(element) = open.last_mut() {
                    element.push_text(&text);
                }
            }
            Ok(Some(Event::EndElement(_))) => {
                let element = open.pop().ok_or("an end without a start")?;
                let is_stanza = open.len() == 1 && !is_whole;
                match open.last_mut() {
                    None => {
                        opinion.closed = true;
                        opinion.whole = Some(element);
                    }
                    Some(parent) => {
                        if is_stanza {
                            opinion.elements.push(element);
                        } else {
                            parent.push(element);
                        }
                    }
                }
            }
            Ok(None) | Err(EndOrError::NeedMoreData) => return Ok(opinion),
            Err(EndOrError::Error(error)) => return Err(format!("{error:?}")),
        }
    }
}
