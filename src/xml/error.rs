//! Why XML from a peer is refused, and which XMPP stream error says it (RFC 6120 §4.9.3).

use crate::refusal::{Fault, Refuse};

/// What a peer's XML breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// It is not well-formed, or not namespace-well-formed.
    #[error("the XML is not well-formed: {0}")]
    NotWellFormed(Rule),
    /// It uses a part of XML that XMPP forbids.
    #[error("the XML holds {0}, which is not allowed here")]
    Restricted(Construct),
    /// A prefix is used that nothing in scope declares.
    #[error("the XML uses a prefix that is not declared")]
    UndeclaredPrefix,
    /// It is not UTF-8, or says that it is in another encoding.
    #[error("the XML is not UTF-8")]
    Encoding,
    /// Characters other than white space stand between stanzas.
    #[error("text stands between the stanzas of the stream")]
    StrayText,
    /// The opening tag of the stream is longer than `xml.header_bytes`.
    #[error("the opening of the stream is longer than {limit} octets")]
    HeaderTooBig {
        /// The bound in octets.
        limit: usize,
    },
    /// A stanza or a document is longer than `xml.element_bytes`.
    #[error("an element is longer than {limit} octets")]
    ElementTooBig {
        /// The bound in octets.
        limit: usize,
    },
    /// A single tag is longer than any honest one.
    #[error("a tag is longer than {limit} octets")]
    TagTooBig {
        /// The bound in octets.
        limit: usize,
    },
    /// Elements are nested deeper than `xml.depth`.
    #[error("elements are nested deeper than {limit}")]
    TooDeep {
        /// The bound in levels.
        limit: usize,
    },
    /// An element has more attributes and declarations than `xml.attributes`.
    #[error("an element has more than {limit} attributes")]
    TooManyAttributes {
        /// The bound, declarations included.
        limit: usize,
    },
    /// More namespace declarations are in scope at once than nesting and attributes of honest XML need.
    #[error("more than {limit} namespace declarations are in scope")]
    TooManyDeclarations {
        /// The bound: `xml.depth` and `xml.attributes` together.
        limit: usize,
    },
    /// A name is longer than `xml.name_bytes`.
    #[error("a name is longer than {limit} octets")]
    NameTooLong {
        /// The bound in octets, the prefix included.
        limit: usize,
    },
}

impl XmlError {
    /// The stream error to send before the stream is closed.
    #[must_use]
    pub const fn violation(self) -> Violation {
        match self {
            Self::NotWellFormed(_) => Violation::NotWellFormed,
            Self::Restricted(_) => Violation::RestrictedXml,
            Self::UndeclaredPrefix => Violation::BadNamespacePrefix,
            Self::Encoding => Violation::UnsupportedEncoding,
            Self::StrayText => Violation::InvalidXml,
            Self::HeaderTooBig { .. }
            | Self::ElementTooBig { .. }
            | Self::TagTooBig { .. }
            | Self::TooDeep { .. }
            | Self::TooManyAttributes { .. }
            | Self::TooManyDeclarations { .. }
            | Self::NameTooLong { .. } => Violation::PolicyViolation,
        }
    }
}

/// The rule of XML 1.0 or of Namespaces in XML 1.0 that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// Markup that is cut off, misplaced or misspelt.
    #[error("bad markup")]
    Markup,
    /// An end tag that does not match its start tag.
    #[error("an end tag does not match")]
    EndTag,
    /// An attribute without `=`, without quotes, or without a space before it.
    #[error("a malformed attribute")]
    AttributeSyntax,
    /// `<` inside an attribute value.
    #[error("'<' in an attribute value")]
    LessThan,
    /// Two attributes with one expanded name.
    #[error("an attribute is given twice")]
    DuplicateAttribute,
    /// A name or prefix that is no NCName.
    #[error("a malformed name")]
    Name,
    /// A character that XML 1.0 does not allow, written out or as a reference.
    #[error("a forbidden character")]
    Character,
    /// `]]>` in character data.
    #[error("']]>' in character data")]
    SectionEnd,
    /// `&` that begins no reference.
    #[error("a malformed reference")]
    Reference,
    /// A prefix declared with an empty namespace, or a reserved prefix or namespace declared.
    #[error("a forbidden namespace declaration")]
    Declaration,
    /// A malformed `<?xml ...?>`, or a version other than 1.0.
    #[error("a malformed XML declaration")]
    XmlDeclaration,
    /// Something other than white space outside the root element.
    #[error("data outside the root element")]
    OutsideRoot,
    /// The document ends before its root element does.
    #[error("the document is cut off")]
    CutOff,
}

/// A part of XML that RFC 6120 §11.1 forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Construct {
    /// `<!-- -->`.
    #[error("a comment")]
    Comment,
    /// `<?target ?>`.
    #[error("a processing instruction")]
    ProcessingInstruction,
    /// `<!DOCTYPE`, or another declaration of a DTD.
    #[error("a document type declaration")]
    Doctype,
    /// A reference to an entity other than the five predefined ones.
    #[error("a reference to an entity")]
    Entity,
}

/// The stream error conditions that a reader can cause (RFC 6120 §4.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// §4.9.3.13: not well-formed, or not namespace-well-formed.
    NotWellFormed,
    /// §4.9.3.18: comment, processing instruction, DTD or entity reference.
    RestrictedXml,
    /// §4.9.3.9: what the schema of a stream has no place for.
    InvalidXml,
    /// §4.9.3.14: over a bound.
    PolicyViolation,
    /// §4.9.3.22: not UTF-8.
    UnsupportedEncoding,
    /// §4.9.3.2: a prefix that is not declared.
    BadNamespacePrefix,
}

impl Violation {
    /// The name of the condition's element.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotWellFormed => "not-well-formed",
            Self::RestrictedXml => "restricted-xml",
            Self::InvalidXml => "invalid-xml",
            Self::PolicyViolation => "policy-violation",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::BadNamespacePrefix => "bad-namespace-prefix",
        }
    }
}

impl Refuse for XmlError {
    fn class(&self) -> &'static str {
        match self.violation() {
            Violation::NotWellFormed => "xml_not_well_formed",
            Violation::RestrictedXml => "xml_restricted",
            Violation::InvalidXml => "xml_invalid",
            Violation::PolicyViolation => "xml_limit",
            Violation::UnsupportedEncoding => "xml_encoding",
            Violation::BadNamespacePrefix => "xml_prefix",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn sip_status(&self) -> u16 {
        match self.violation() {
            Violation::PolicyViolation => 413,
            Violation::NotWellFormed
            | Violation::RestrictedXml
            | Violation::InvalidXml
            | Violation::UnsupportedEncoding
            | Violation::BadNamespacePrefix => 400,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self.violation() {
            Violation::PolicyViolation => "policy-violation",
            Violation::NotWellFormed
            | Violation::RestrictedXml
            | Violation::InvalidXml
            | Violation::UnsupportedEncoding
            | Violation::BadNamespacePrefix => "bad-request",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self.violation() {
            Violation::NotWellFormed => "The XML is not well-formed",
            Violation::RestrictedXml => "The XML uses a feature that is not allowed",
            Violation::InvalidXml => "Text is not allowed between stanzas",
            Violation::PolicyViolation => "The XML is too large",
            Violation::UnsupportedEncoding => "The XML is not UTF-8",
            Violation::BadNamespacePrefix => "The XML uses an undeclared prefix",
        }
    }
}
