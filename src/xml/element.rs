//! A tree of elements with expanded names.
//!
//! It knows no prefixes: reading resolves them, writing chooses them. What is put in is made fit for XML at once (the
//! constructors say how), so that every tree can be written.

use std::borrow::Cow;

use super::syntax;
use super::word::Word;
use super::{XML_NAMESPACE, XMLNS_NAMESPACE};

/// An element: its expanded name, its attributes without namespace declarations, and what it holds.
///
/// Two elements are equal when their names, attributes in any order, and nodes in order are equal.
#[derive(Debug, Clone)]
pub struct Element {
    name: Word,
    ns: Word,
    attributes: Vec<Attribute>,
    nodes: Vec<Node>,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A child.
    Element(Element),
    /// Character data; never empty, and never beside other character data.
    Text(String),
}

/// An attribute with its expanded name; the namespace is empty for a name without prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    name: Word,
    ns: Word,
    value: String,
}

impl Element {
    /// About how many octets of memory it takes, with all that it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        let attributes = self.attributes.iter().fold(0_usize, |sum, attribute| {
            sum.saturating_add(size_of::<Attribute>())
                .saturating_add(attribute.value.len())
        });
        self.nodes.iter().fold(attributes, |sum, node| {
            let held = match node {
                Node::Element(element) => element.weight(),
                Node::Text(text) => text.len(),
            };
            sum.saturating_add(size_of::<Node>()).saturating_add(held)
        })
    }

    /// An empty element; `ns` may be empty for no namespace.
    ///
    /// A character that the name or the namespace cannot hold is replaced (by `_` in a name, by U+FFFD in a
    /// namespace), and the reserved namespace of declarations is taken for none: names come from our own code or
    /// from the reader, where that does not happen.
    #[must_use]
    pub fn new(name: &str, ns: &str) -> Self {
        Self::from_words(Word::new(&syntax::mangled(name)), namespace(ns))
    }

    /// Adds or replaces an attribute; see [`Element::set_attribute`].
    #[must_use]
    pub fn with_attribute(mut self, name: &str, value: impl Into<String>) -> Self {
        self.set_attribute(name, value);
        self
    }

    /// Appends a child.
    #[must_use]
    pub fn with_child(mut self, child: Self) -> Self {
        self.push(child);
        self
    }

    /// Appends character data; see [`Element::push_text`].
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        self.push_text(text);
        self
    }

    /// The local name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The namespace; empty for none.
    #[must_use]
    pub fn ns(&self) -> &str {
        self.ns.as_str()
    }

    /// Whether the element has this expanded name.
    #[must_use]
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name() == name && self.ns() == ns
    }

    /// The value of the attribute of that name in no namespace, or of `xml:lang` and its like, whose prefix is fixed.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let (ns, name) = split_fixed_prefix(name);
        self.attribute_ns(ns, name)
    }

    /// The value of the attribute of that expanded name.
    #[must_use]
    pub fn attribute_ns(&self, ns: &str, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|a| a.name() == name && a.ns() == ns)
            .map(Attribute::value)
    }

    /// All attributes, in no order that means anything.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter()
    }

    /// Adds or replaces an attribute in no namespace, or `xml:lang` and its like.
    ///
    /// Characters that XML 1.0 cannot carry become U+FFFD in the value and `_` in the name.
    pub fn set_attribute(&mut self, name: &str, value: impl Into<String>) {
        let (ns, name) = split_fixed_prefix(name);
        self.set_attribute_ns(ns, name, value);
    }

    /// Adds or replaces an attribute of that expanded name; otherwise as [`Element::set_attribute`].
    pub fn set_attribute_ns(&mut self, ns: &str, name: &str, value: impl Into<String>) {
        let value = syntax::cleaned(Cow::Owned(value.into())).into_owned();
        let ns = namespace(ns);
        // Written without prefix, it would be a declaration.
        let name = if name == "xmlns" && ns.as_str().is_empty() {
            "_xmlns"
        } else {
            name
        };
        let name = Word::new(&syntax::mangled(name));
        match self.attributes.iter_mut().find(|a| a.name == name && a.ns == ns) {
            Some(attribute) => attribute.value = value,
            None => self.attributes.push(Attribute { name, ns, value }),
        }
    }

    /// Takes an attribute in no namespace, or `xml:lang` and its like, away and returns its value.
    pub fn remove_attribute(&mut self, name: &str) -> Option<String> {
        let (ns, name) = split_fixed_prefix(name);
        let at = self
            .attributes
            .iter()
            .position(|a| a.name() == name && a.ns() == ns)?;
        Some(self.attributes.remove(at).value)
    }

    /// Children and character data in order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The children in order.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.nodes.iter().filter_map(Node::as_element)
    }

    /// The children in order, to be changed in place.
    pub fn children_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.nodes.iter_mut().filter_map(|node| match node {
            Node::Element(child) => Some(child),
            Node::Text(_) => None,
        })
    }

    /// The first child of that expanded name.
    #[must_use]
    pub fn child(&self, name: &str, ns: &str) -> Option<&Self> {
        self.children().find(|child| child.is(name, ns))
    }

    /// The children as values; the element itself is dropped.
    pub fn into_children(self) -> impl Iterator<Item = Self> {
        self.nodes.into_iter().filter_map(|node| match node {
            Node::Element(child) => Some(child),
            Node::Text(_) => None,
        })
    }

    /// The character data of the element itself, without that of its children; borrowed where it is in one piece.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let mut pieces = self.nodes.iter().filter_map(Node::as_text);
        let Some(first) = pieces.next() else {
            return Cow::Borrowed("");
        };
        let mut text = Cow::Borrowed(first);
        for piece in pieces {
            text.to_mut().push_str(piece);
        }
        text
    }

    /// Appends a child.
    pub fn push(&mut self, child: Self) {
        self.nodes.push(Node::Element(child));
    }

    /// Appends character data, joined to character data that already stands last; nothing for an empty text.
    ///
    /// Characters that XML 1.0 cannot carry become U+FFFD.
    pub fn push_text(&mut self, text: &str) {
        self.append_text(&syntax::cleaned(Cow::Borrowed(text)));
    }

    /// Keeps only the children that `keep` says yes to; character data stays.
    pub fn retain_children(&mut self, mut keep: impl FnMut(&Self) -> bool) {
        for node in std::mem::take(&mut self.nodes) {
            match node {
                Node::Element(child) if keep(&child) => self.nodes.push(Node::Element(child)),
                Node::Element(_) => {}
                Node::Text(text) => self.append_text(&text),
            }
        }
    }

    /// Puts every element of the tree that is in the namespace `from` into `to`; attributes keep theirs.
    ///
    /// For the content namespaces of XMPP, where `jabber:server` and `jabber:client` say the same (RFC 6120 §4.8.3).
    pub fn rename_namespace(&mut self, from: &str, to: &str) {
        if from != to {
            self.replace_namespace(from, &namespace(to));
        }
    }

    pub(super) const fn from_words(name: Word, ns: Word) -> Self {
        Self {
            name,
            ns,
            attributes: Vec::new(),
            nodes: Vec::new(),
        }
    }

    pub(super) fn set_namespace(&mut self, ns: Word) {
        self.ns = ns;
    }

    /// Adds an attribute that the reader has checked, at its place; false if its expanded name is there already.
    #[must_use]
    pub(super) fn insert_attribute(&mut self, place: usize, name: Word, ns: Word, value: String) -> bool {
        if self.attributes.iter().any(|a| a.name == name && a.ns == ns) {
            return false;
        }
        let place = place.min(self.attributes.len());
        self.attributes.insert(place, Attribute { name, ns, value });
        true
    }

    /// Appends character data that is known to be clean.
    pub(super) fn append_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.nodes.last_mut() {
            Some(Node::Text(last)) => last.push_str(text),
            Some(Node::Element(_)) | None => self.nodes.push(Node::Text(text.to_owned())),
        }
    }

    fn replace_namespace(&mut self, from: &str, to: &Word) {
        if self.ns() == from {
            self.ns = to.clone();
        }
        for child in self.children_mut() {
            child.replace_namespace(from, to);
        }
    }
}

impl Node {
    /// The child, if it is one.
    #[must_use]
    pub const fn as_element(&self) -> Option<&Element> {
        match self {
            Self::Element(child) => Some(child),
            Self::Text(_) => None,
        }
    }

    /// The character data, if it is that.
    #[must_use]
    pub const fn as_text(&self) -> Option<&str> {
        match self {
            Self::Element(_) => None,
            Self::Text(text) => Some(text.as_str()),
        }
    }
}

impl Attribute {
    /// The local name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The namespace; empty for a name without prefix.
    #[must_use]
    pub fn ns(&self) -> &str {
        self.ns.as_str()
    }

    /// The value, references resolved.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.ns == other.ns
            && self.attributes.len() == other.attributes.len()
            // Expanded names are unique in an element, so one direction is enough.
            && self.attributes.iter().all(|a| other.attributes.contains(a))
            && self.nodes == other.nodes
    }
}

impl Eq for Element {}

/// `xml:lang` is the attribute `lang` of the namespace that `xml` always stands for; any other name has no namespace.
fn split_fixed_prefix(name: &str) -> (&'static str, &str) {
    match name.strip_prefix("xml:") {
        Some(local) => (XML_NAMESPACE, local),
        None => ("", name),
    }
}

fn namespace(ns: &str) -> Word {
    if ns == XMLNS_NAMESPACE {
        return Word::EMPTY;
    }
    Word::new(&syntax::cleaned(Cow::Borrowed(ns)))
}
