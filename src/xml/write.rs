//! From a tree to octets: always well-formed, always the same octets for the same tree and surroundings.
//!
//! Prefixes are chosen here. An element without a prefix in scope for its namespace declares it as the default; an
//! attribute in a namespace takes a prefix in scope or declares `ns1`, `ns2` and so on; `xml:` is always there. No
//! prefix ever hides another, so that a lookup by namespace is enough.

use std::borrow::Cow;

use super::element::{Attribute, Element, Node};
use super::syntax;
use super::{STREAM_NAMESPACE, XML_NAMESPACE, XMLNS_NAMESPACE};

/// The end of a stream that [`open_stream`] began.
pub const CLOSE: &str = "</stream:stream>";

/// Writes the declaration and the opening tag of a stream, `<stream:stream ...>` (RFC 6120 §4.7, §4.8.5).
///
/// `content_ns` becomes the default namespace; `declared` are further prefixes with their namespaces (`stream` is
/// declared anyway); an attribute may be `xml:lang`. Pass the same `content_ns` and `declared` to [`element()`] for
/// everything that follows. What cannot be declared (a prefix that is no name, is reserved, or comes twice; a reserved
/// namespace) is left out here and there.
pub fn open_stream(
    content_ns: &str,
    declared: &[(&str, &str)],
    attributes: &[(&str, &str)],
    out: &mut Vec<u8>,
) {
    let root = attributes
        .iter()
        .fold(Element::new("stream", STREAM_NAMESPACE), |root, (name, value)| {
            root.with_attribute(name, *value)
        });
    let mut scope = Scope::new(content_ns, declared);
    out.extend_from_slice(b"<?xml version='1.0'?><stream:stream");
    if !scope.default.is_empty() {
        write_declaration("", scope.default, out);
    }
    write_declaration("stream", STREAM_NAMESPACE, out);
    for (prefix, ns) in scope.prefixes.iter().filter(|(prefix, _)| prefix != "stream") {
        write_declaration(prefix, ns, out);
    }
    for attribute in root.attributes() {
        write_attribute(attribute, &mut scope, out);
    }
    out.push(b'>');
}

/// Writes an element where `content_ns` is the default namespace and the prefixes `declared` are in scope.
pub fn element(element: &Element, content_ns: &str, declared: &[(&str, &str)], out: &mut Vec<u8>) {
    write_element(element, &mut Scope::new(content_ns, declared), out);
}

/// Writes an element of the namespace `own` as if that were `content_ns`, and with it what it holds of that namespace,
/// but nothing that stands within elements of another one (RFC 6120 §4.8.3).
pub fn element_of(
    element: &Element,
    own: &str,
    content_ns: &str,
    declared: &[(&str, &str)],
    out: &mut Vec<u8>,
) {
    let mut scope = Scope::new(content_ns, declared);
    scope.own = Some(own);
    write_element(element, &mut scope, out);
}

/// The octets of a document of its own, with an XML declaration.
#[must_use]
pub fn document(root: &Element) -> Vec<u8> {
    let mut out = begin_document();
    element(root, "", &[], &mut out);
    out
}

/// The same with prefixes that its root declares, for readers that look for an element by its prefix.
#[must_use]
pub fn document_with(root: &Element, declared: &[(&str, &str)]) -> Vec<u8> {
    let mut out = begin_document();
    let mut scope = Scope::new("", declared);
    scope.undeclared = scope.prefixes.len();
    write_element(root, &mut scope, &mut out);
    out
}

fn begin_document() -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL);
    out.extend_from_slice(b"<?xml version='1.0' encoding='UTF-8'?>");
    out
}

/// What is declared where an element is to be written.
struct Scope<'a> {
    default: &'a str,
    /// How many of the first prefixes the next element has to declare.
    undeclared: usize,
    /// The namespace whose elements are written as those of `default`.
    own: Option<&'a str>,
    prefixes: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Scope<'a> {
    fn new(content_ns: &'a str, declared: &[(&'a str, &'a str)]) -> Self {
        let mut scope = Self {
            default: if is_declarable(content_ns) { content_ns } else { "" },
            undeclared: 0,
            own: None,
            prefixes: Vec::with_capacity(declared.len()),
        };
        for (prefix, ns) in declared {
            let fits = syntax::is_ncname(prefix)
                && !matches!(*prefix, "xml" | "xmlns")
                && (*prefix != "stream" || *ns == STREAM_NAMESPACE)
                && !ns.is_empty()
                && is_declarable(ns);
            if fits && !scope.has_prefix(prefix) {
                scope.prefixes.push((Cow::Borrowed(*prefix), *ns));
            }
        }
        scope
    }

    fn prefix_of(&self, ns: &str) -> Option<&str> {
        if ns == XML_NAMESPACE {
            return Some("xml");
        }
        self.prefixes
            .iter()
            .find(|(_, declared)| *declared == ns)
            .map(|(prefix, _)| prefix.as_ref())
    }

    fn has_prefix(&self, prefix: &str) -> bool {
        self.prefixes.iter().any(|(p, _)| p == prefix)
    }

    /// A prefix that nothing in scope uses.
    fn fresh_prefix(&self) -> String {
        (1_u32..)
            .map(|n| format!("ns{n}"))
            .find(|p| !self.has_prefix(p))
            .unwrap_or_default()
    }
}

fn write_element<'a>(element: &'a Element, scope: &mut Scope<'a>, out: &mut Vec<u8>) {
    let (outer_default, outer_own) = (scope.default, scope.own);
    let is_own = scope.own == Some(element.ns());
    if !is_own {
        scope.own = None;
    }
    let outer_prefixes = scope.prefixes.len();
    let start = out.len();
    out.push(b'<');
    let mut declare = false;
    if !is_own && element.ns() != scope.default {
        match scope.prefix_of(element.ns()) {
            Some(prefix) => {
                out.extend_from_slice(prefix.as_bytes());
                out.push(b':');
            }
            None => declare = true,
        }
    }
    out.extend_from_slice(element.name().as_bytes());
    let end = out.len();
    if declare {
        scope.default = element.ns();
        write_declaration("", element.ns(), out);
    }
    let undeclared = std::mem::take(&mut scope.undeclared);
    for (prefix, ns) in scope.prefixes.iter().take(undeclared) {
        write_declaration(prefix, ns, out);
    }
    for attribute in element.attributes() {
        write_attribute(attribute, scope, out);
    }
    if element.nodes().is_empty() {
        out.extend_from_slice(b"/>");
    } else {
        out.push(b'>');
        for node in element.nodes() {
            match node {
                Node::Element(child) => write_element(child, scope, out),
                Node::Text(text) => escape(text, Place::Text, out),
            }
        }
        out.extend_from_slice(b"</");
        out.extend_from_within(start.saturating_add(1)..end);
        out.push(b'>');
    }
    (scope.default, scope.own) = (outer_default, outer_own);
    scope.prefixes.truncate(outer_prefixes);
}

fn write_attribute<'a>(attribute: &'a Attribute, scope: &mut Scope<'a>, out: &mut Vec<u8>) {
    if !attribute.ns().is_empty() && scope.prefix_of(attribute.ns()).is_none() {
        let prefix = scope.fresh_prefix();
        write_declaration(&prefix, attribute.ns(), out);
        scope.prefixes.push((Cow::Owned(prefix), attribute.ns()));
    }
    out.push(b' ');
    if !attribute.ns().is_empty()
        && let Some(prefix) = scope.prefix_of(attribute.ns())
    {
        out.extend_from_slice(prefix.as_bytes());
        out.push(b':');
    }
    out.extend_from_slice(attribute.name().as_bytes());
    write_value(attribute.value(), out);
}

/// ` xmlns='ns'`, or ` xmlns:prefix='ns'`.
fn write_declaration(prefix: &str, ns: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b" xmlns");
    if !prefix.is_empty() {
        out.push(b':');
        out.extend_from_slice(prefix.as_bytes());
    }
    write_value(ns, out);
}

fn write_value(value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"='");
    escape(value, Place::Attribute, out);
    out.push(b'\'');
}

/// Whether a namespace can be declared at all, as the default or with a prefix.
fn is_declarable(ns: &str) -> bool {
    !matches!(ns, XML_NAMESPACE | XMLNS_NAMESPACE) && syntax::is_clean(ns)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Attribute,
}

/// Writes `text` so that a reader gets the same characters back, white space and line ends included.
fn escape(text: &str, place: Place, out: &mut Vec<u8>) {
    let mut plain = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let reference: &[u8] = match byte {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            // `]]>` may not stand in text; in a value it does no harm.
            b'>' => b"&gt;",
            // A reader would take it for a line end.
            b'\r' => b"&#xD;",
            b'"' if place == Place::Attribute => b"&quot;",
            b'\'' if place == Place::Attribute => b"&apos;",
            // A reader would take them for spaces.
            b'\n' if place == Place::Attribute => b"&#xA;",
            b'\t' if place == Place::Attribute => b"&#x9;",
            _ => continue,
        };
        out.extend_from_slice(bytes.get(plain..at).unwrap_or(&[]));
        out.extend_from_slice(reference);
        plain = at.saturating_add(1);
    }
    out.extend_from_slice(bytes.get(plain..).unwrap_or(&[]));
}

/// Octets that most documents have room in.
const USUAL: usize = 1_000;
