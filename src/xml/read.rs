//! From the octets of one piece to a tree, with every check that quick-xml leaves to its caller.
//!
//! quick-xml tells the events apart and matches end tags; names, namespaces, attributes, references and characters
//! are decided here. Namespaces in XML 1.0, XML 1.0 §2.2, §2.11, §3.1, §4.1.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::element::Element;
use super::error::{Construct, Rule, XmlError};
use super::split::{Kind, Splitter, Subject};
use super::syntax;
use super::word::Word;
use super::{XML_NAMESPACE, XMLNS_NAMESPACE};
use crate::limits::XmlLimits;

/// Reads a whole document: a payload in a SIP body, or any other XML that does not come in a stream.
///
/// A byte order mark in UTF-8 is passed over. Bodies in UTF-8 that declare themselves UTF-16 exist, and are read as
/// what they are.
///
/// # Errors
/// [`XmlError`]; a document over `element_bytes` is refused unread.
pub fn document(bytes: &[u8], limits: &XmlLimits) -> Result<Element, XmlError> {
    let mut rest = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if rest.len() > limits.element_bytes {
        return Err(XmlError::ElementTooBig {
            limit: limits.element_bytes,
        });
    }
    let mut splitter = Splitter::new(Subject::Document, limits);
    let mut root = None;
    while let Some(piece) = splitter.next(rest)? {
        let (octets, tail) = rest.split_at_checked(piece.len).unwrap_or((rest, &[]));
        rest = tail;
        match piece.kind {
            Kind::Declaration => declaration(octets, Subject::Document)?,
            Kind::Element => root = Some(tree(octets, &Scopes::default(), limits)?),
            Kind::Space => {}
            // Pieces of streams.
            Kind::Opening(_) | Kind::Closing | Kind::Start | Kind::Skipped => {
                return Err(XmlError::NotWellFormed(Rule::Markup));
            }
        }
    }
    root.filter(|_| rest.is_empty())
        .ok_or(XmlError::NotWellFormed(Rule::CutOff))
}

/// The namespace declarations in scope, innermost last; the prefix is empty for the default namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scopes(Vec<(Word, Word)>);

impl Scopes {
    pub(super) fn find(&self, prefix: &str) -> Option<&Word> {
        self.0
            .iter()
            .rev()
            .find(|(p, _)| p.as_str() == prefix)
            .map(|(_, ns)| ns)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(prefix, ns)| (prefix.as_str(), ns.as_str()))
    }
}

/// The declarations of the present piece, inside those of the stream.
struct Inner<'s> {
    outer: &'s Scopes,
    own: Scopes,
}

impl<'s> Inner<'s> {
    const fn new(outer: &'s Scopes) -> Self {
        Self {
            outer,
            own: Scopes(Vec::new()),
        }
    }

    fn find(&self, prefix: &str) -> Option<&Word> {
        self.own.find(prefix).or_else(|| self.outer.find(prefix))
    }

    /// The declarations so far, to go [`back`](Self::back) to at the end of the element that adds to them.
    fn len(&self) -> usize {
        self.own.0.len()
    }

    fn back(&mut self, len: usize) {
        self.own.0.truncate(len);
    }
}

/// The element that fills `bytes`, a piece of kind `Element`.
pub(super) fn tree(bytes: &[u8], seed: &Scopes, limits: &XmlLimits) -> Result<Element, XmlError> {
    let mut scopes = Inner::new(seed);
    let mut reader = Reader::from_reader(bytes);
    // Each open element with the number of declarations outside it.
    let mut open: Vec<(Element, usize)> = Vec::with_capacity(4);
    loop {
        let done = match reader.read_event().map_err(|e| refusal(&e))? {
            Event::Start(tag) => {
                let outside = scopes.len();
                open.push((element(&tag, &mut scopes, limits)?, outside));
                None
            }
            Event::Empty(tag) => {
                let outside = scopes.len();
                let element = element(&tag, &mut scopes, limits)?;
                scopes.back(outside);
                Some(element)
            }
            Event::End(_) => {
                let (element, outside) = open.pop().ok_or(XmlError::NotWellFormed(Rule::EndTag))?;
                scopes.back(outside);
                Some(element)
            }
            Event::Text(text) => {
                if !syntax::is_clean(&text) {
                    return Err(XmlError::NotWellFormed(Rule::Character));
                }
                // Few texts hold a bracket, and finding one octet is cheaper than finding three.
                if memchr::memchr(b']', text.as_bytes()).is_some() && text.contains("]]>") {
                    return Err(XmlError::NotWellFormed(Rule::SectionEnd));
                }
                append(&mut open, &syntax::text_value(&text))?;
                None
            }
            Event::CData(text) => {
                if !syntax::is_clean(&text) {
                    return Err(XmlError::NotWellFormed(Rule::Character));
                }
                append(&mut open, &syntax::text_value(&text))?;
                None
            }
            Event::GeneralRef(reference) => {
                let c = syntax::resolve(&reference)?;
                append(&mut open, c.encode_utf8(&mut [0; 4]))?;
                None
            }
            Event::Eof => return Err(XmlError::NotWellFormed(Rule::CutOff)),
            Event::Comment(_) => return Err(XmlError::Restricted(Construct::Comment)),
            Event::PI(_) | Event::Decl(_) => {
                return Err(XmlError::Restricted(Construct::ProcessingInstruction));
            }
            Event::DocType(_) => return Err(XmlError::Restricted(Construct::Doctype)),
        };
        if let Some(element) = done {
            match open.last_mut() {
                Some((parent, _)) => parent.push(element),
                // The splitter ended the piece here, and must agree that nothing follows.
                None => {
                    return match reader.read_event() {
                        Ok(Event::Eof) => Ok(element),
                        _ => Err(XmlError::NotWellFormed(Rule::Markup)),
                    };
                }
            }
        }
    }
}

/// The element of an opening tag alone, and its declarations.
pub(super) fn opening(bytes: &[u8], limits: &XmlLimits) -> Result<(Element, Scopes, String), XmlError> {
    let mut reader = Reader::from_reader(bytes);
    let tag = match reader.read_event().map_err(|e| refusal(&e))? {
        Event::Start(tag) | Event::Empty(tag) => tag,
        Event::End(_)
        | Event::Text(_)
        | Event::CData(_)
        | Event::Comment(_)
        | Event::Decl(_)
        | Event::PI(_)
        | Event::DocType(_)
        | Event::GeneralRef(_)
        | Event::Eof => return Err(XmlError::NotWellFormed(Rule::Markup)),
    };
    let outer = Scopes::default();
    let mut scopes = Inner::new(&outer);
    let element = element(&tag, &mut scopes, limits)?;
    let name = tag.name().as_ref().to_owned();
    Ok((element, scopes.own, name))
}

/// Checks `<?xml version='1.0' encoding='...' standalone='...'?>`.
pub(super) fn declaration(bytes: &[u8], subject: Subject) -> Result<(), XmlError> {
    const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
    const BAD: XmlError = XmlError::NotWellFormed(Rule::XmlDeclaration);
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Encoding)?;
    let mut rest = text
        .strip_prefix("<?xml")
        .and_then(|t| t.strip_suffix("?>"))
        .ok_or(BAD)?;
    // The three may leave each other out, but not change places; the version must be there.
    let mut expected = ["version", "encoding", "standalone"].as_slice();
    loop {
        let trimmed = rest.trim_start_matches(SPACE);
        if trimmed.is_empty() {
            break;
        }
        if trimmed.len() == rest.len() {
            return Err(BAD);
        }
        let (name, tail) = trimmed.split_once('=').ok_or(BAD)?;
        let name = name.trim_end_matches(SPACE);
        let tail = tail.trim_start_matches(SPACE);
        let quote = tail
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''))
            .ok_or(BAD)?;
        let (value, tail) = tail
            .strip_prefix(quote)
            .and_then(|t| t.split_once(quote))
            .ok_or(BAD)?;
        rest = tail;
        let at = expected.iter().position(|e| *e == name).ok_or(BAD)?;
        let first = expected.len() == 3;
        if first && at != 0 {
            return Err(BAD);
        }
        expected = expected.get(at.saturating_add(1)..).unwrap_or(&[]);
        match name {
            "version" if value != "1.0" => return Err(BAD),
            "standalone" if !matches!(value, "yes" | "no") => return Err(BAD),
            "encoding" => encoding(value, subject)?,
            _ => {}
        }
    }
    if expected.len() == 3 { Err(BAD) } else { Ok(()) }
}

fn encoding(name: &str, subject: Subject) -> Result<(), XmlError> {
    let known = match subject {
        Subject::Stream => name.eq_ignore_ascii_case("utf-8"),
        // The octets have the last word: they are UTF-8 or refused.
        Subject::Document => ["utf-8", "us-ascii", "utf-16"]
            .iter()
            .any(|k| name.eq_ignore_ascii_case(k)),
    };
    if known { Ok(()) } else { Err(XmlError::Encoding) }
}

/// An element from its tag; its declarations are added to the scopes.
fn element(tag: &BytesStart<'_>, scopes: &mut Inner<'_>, limits: &XmlLimits) -> Result<Element, XmlError> {
    let name = tag.name();
    let (own_prefix, own_name) = qualified(name.0, limits)?;
    let mut element = Element::from_words(Word::new(own_name), Word::EMPTY);
    // Those with a prefix wait until all declarations are known; each with its place.
    let mut prefixed: Vec<(usize, &str, &str, String)> = Vec::new();
    let outside = scopes.len();
    let mut left = limits.attributes;
    // Its own search for duplicates goes by spelling only; ours, by expanded name, finds those too.
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| XmlError::NotWellFormed(Rule::AttributeSyntax))?;
        left = left.checked_sub(1).ok_or(XmlError::TooManyAttributes {
            limit: limits.attributes,
        })?;
        let Cow::Borrowed(raw) = attribute.value else {
            return Err(XmlError::NotWellFormed(Rule::AttributeSyntax));
        };
        let (prefix, local) = qualified(attribute.key.0, limits)?;
        let value = syntax::attribute_value(raw)?;
        match prefix {
            None if local == "xmlns" => declare(scopes, outside, "", &value, limits)?,
            None => {
                if !element.insert_attribute(usize::MAX, Word::new(local), Word::EMPTY, value.into_owned()) {
                    return Err(XmlError::NotWellFormed(Rule::DuplicateAttribute));
                }
            }
            Some("xmlns") => declare(scopes, outside, local, &value, limits)?,
            Some(prefix) => {
                let place = element.attributes().count().saturating_add(prefixed.len());
                prefixed.push((place, prefix, local, value.into_owned()));
            }
        }
    }
    for (place, prefix, local, value) in prefixed {
        let ns = resolve(scopes, prefix)?;
        if !element.insert_attribute(place, Word::new(local), ns, value) {
            return Err(XmlError::NotWellFormed(Rule::DuplicateAttribute));
        }
    }
    element.set_namespace(match own_prefix {
        None => scopes.find("").cloned().unwrap_or(Word::EMPTY),
        Some(prefix) => resolve(scopes, prefix)?,
    });
    Ok(element)
}

/// The two parts of a name; both are NCNames.
fn qualified<'n>(name: &'n str, limits: &XmlLimits) -> Result<(Option<&'n str>, &'n str), XmlError> {
    if name.len() > limits.name_bytes {
        return Err(XmlError::NameTooLong {
            limit: limits.name_bytes,
        });
    }
    let (prefix, local) = match name
        .bytes()
        .position(|b| b == b':')
        .and_then(|at| name.split_at_checked(at))
    {
        Some((prefix, local)) => (Some(prefix), local.strip_prefix(':').unwrap_or(local)),
        None => (None, name),
    };
    if !syntax::is_ncname(local) || !prefix.is_none_or(syntax::is_ncname) {
        return Err(XmlError::NotWellFormed(Rule::Name));
    }
    Ok((prefix, local))
}

/// Adds a declaration; Namespaces in XML 1.0 §2.2, §3, §5.
fn declare(
    scopes: &mut Inner<'_>,
    outside: usize,
    prefix: &str,
    ns: &str,
    limits: &XmlLimits,
) -> Result<(), XmlError> {
    let forbidden = match prefix {
        "xmlns" => true,
        "xml" => ns != XML_NAMESPACE,
        "" => matches!(ns, XML_NAMESPACE | XMLNS_NAMESPACE),
        _ => matches!(ns, XML_NAMESPACE | XMLNS_NAMESPACE | ""),
    };
    if forbidden {
        return Err(XmlError::NotWellFormed(Rule::Declaration));
    }
    if scopes
        .own
        .0
        .iter()
        .skip(outside)
        .any(|(p, _)| p.as_str() == prefix)
    {
        return Err(XmlError::NotWellFormed(Rule::DuplicateAttribute));
    }
    // Every name is looked up among them, so their number bounds the cost of a name.
    let limit = limits.depth.saturating_add(limits.attributes);
    if scopes.len() >= limit {
        return Err(XmlError::TooManyDeclarations { limit });
    }
    scopes.own.0.push((Word::new(prefix), Word::new(ns)));
    Ok(())
}

fn resolve(scopes: &Inner<'_>, prefix: &str) -> Result<Word, XmlError> {
    match prefix {
        "xml" => Ok(Word::new(XML_NAMESPACE)),
        "xmlns" => Err(XmlError::NotWellFormed(Rule::Declaration)),
        prefix => scopes.find(prefix).cloned().ok_or(XmlError::UndeclaredPrefix),
    }
}

fn append(open: &mut [(Element, usize)], text: &str) -> Result<(), XmlError> {
    let (element, _) = open
        .last_mut()
        .ok_or(XmlError::NotWellFormed(Rule::OutsideRoot))?;
    element.append_text(text);
    Ok(())
}

/// quick-xml's refusals in our words.
fn refusal(error: &quick_xml::Error) -> XmlError {
    use quick_xml::Error;
    use quick_xml::errors::IllFormedError;
    XmlError::NotWellFormed(match error {
        Error::Encoding(_) => return XmlError::Encoding,
        Error::IllFormed(IllFormedError::MismatchedEndTag { .. } | IllFormedError::UnmatchedEndTag(_)) => {
            Rule::EndTag
        }
        Error::IllFormed(IllFormedError::UnclosedReference) => Rule::Reference,
        Error::InvalidAttr(_) => Rule::AttributeSyntax,
        Error::Escape(_) => Rule::Reference,
        Error::Io(_) | Error::Syntax(_) | Error::IllFormed(_) | Error::Namespace(_) => Rule::Markup,
    })
}
