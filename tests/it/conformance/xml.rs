//! XML as RFC 6120 §11 restricts it, with XML 1.0 and Namespaces in XML 1.0: what is refused, with which stream error,
//! and what a stream may be made of (RFC 6120 §4).

use vestibule::limits::XmlLimits;
use vestibule::refusal::{Fault, Refuse as _};
use vestibule::xml::{
    self, Construct, Element, Rule, STREAM_NAMESPACE, StreamItem, StreamReader, Violation, XML_NAMESPACE,
    XmlError,
};

use super::xml_oracle::read;

const HEADER: &str =
    "<?xml version='1.0'?><s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams' id='1'>";

/// What is refused inside a stanza, and why; each input stands in an open stream.
const HOSTILE: &[(&str, &str, XmlError)] = &[
    (
        "doctype",
        "<!DOCTYPE a [<!ENTITY b 'c'>]>",
        XmlError::Restricted(Construct::Doctype),
    ),
    (
        "doctype in a stanza",
        "<a><!DOCTYPE a></a>",
        XmlError::Restricted(Construct::Doctype),
    ),
    (
        "entity declaration",
        "<a><!ENTITY b 'c'></a>",
        XmlError::Restricted(Construct::Doctype),
    ),
    (
        "comment",
        "<a><!-- b --></a>",
        XmlError::Restricted(Construct::Comment),
    ),
    (
        "comment between stanzas",
        "<!-- b -->",
        XmlError::Restricted(Construct::Comment),
    ),
    (
        "processing instruction",
        "<a><?b c?></a>",
        XmlError::Restricted(Construct::ProcessingInstruction),
    ),
    (
        "late declaration",
        "<?xml version='1.0'?>",
        XmlError::Restricted(Construct::ProcessingInstruction),
    ),
    (
        "undefined entity",
        "<a>&nbsp;</a>",
        XmlError::Restricted(Construct::Entity),
    ),
    (
        "undefined entity in a value",
        "<a b='&c;'/>",
        XmlError::Restricted(Construct::Entity),
    ),
    (
        "conditional section",
        "<a><![INCLUDE[b]]></a>",
        XmlError::NotWellFormed(Rule::Markup),
    ),
    (
        "reference to nul",
        "<a>&#0;</a>",
        XmlError::NotWellFormed(Rule::Character),
    ),
    (
        "reference to a surrogate",
        "<a>&#xD800;</a>",
        XmlError::NotWellFormed(Rule::Character),
    ),
    (
        "reference to U+FFFF",
        "<a b='&#xFFFF;'/>",
        XmlError::NotWellFormed(Rule::Character),
    ),
    (
        "reference without an end",
        "<a>&amp</a>",
        XmlError::NotWellFormed(Rule::Reference),
    ),
    (
        "bare ampersand",
        "<a>b & c;</a>",
        XmlError::NotWellFormed(Rule::Reference),
    ),
    (
        "bare ampersand in a value",
        "<a b='c & d'/>",
        XmlError::NotWellFormed(Rule::Reference),
    ),
    (
        "signed reference",
        "<a>&#+65;</a>",
        XmlError::NotWellFormed(Rule::Reference),
    ),
    (
        "control character",
        "<a>\u{1}</a>",
        XmlError::NotWellFormed(Rule::Character),
    ),
    (
        "control character in a value",
        "<a b='\u{1f}'/>",
        XmlError::NotWellFormed(Rule::Character),
    ),
    (
        "control character in CDATA",
        "<a><![CDATA[\u{b}]]></a>",
        XmlError::NotWellFormed(Rule::Character),
    ),
    (
        "U+FFFE",
        "<a>\u{fffe}</a>",
        XmlError::NotWellFormed(Rule::Character),
    ),
    (
        "section end in text",
        "<a>b]]>c</a>",
        XmlError::NotWellFormed(Rule::SectionEnd),
    ),
    (
        "less-than in a value",
        "<a b='<'/>",
        XmlError::NotWellFormed(Rule::LessThan),
    ),
    (
        "name beginning with a digit",
        "<1b/>",
        XmlError::NotWellFormed(Rule::Name),
    ),
    (
        "name beginning with a colon",
        "<:b/>",
        XmlError::NotWellFormed(Rule::Name),
    ),
    (
        "name ending with a colon",
        "<s:/>",
        XmlError::NotWellFormed(Rule::Name),
    ),
    (
        "byte order mark in a name",
        "<a\u{feff}/>",
        XmlError::NotWellFormed(Rule::Name),
    ),
    ("two colons", "<s:a:b/>", XmlError::NotWellFormed(Rule::Name)),
    ("no name", "<></>", XmlError::NotWellFormed(Rule::Name)),
    (
        "space before the name",
        "< a></ a>",
        XmlError::NotWellFormed(Rule::Name),
    ),
    (
        "attribute named by a digit",
        "<a 1='b'/>",
        XmlError::NotWellFormed(Rule::Name),
    ),
    (
        "empty prefixed namespace",
        "<a xmlns:p=''/>",
        XmlError::NotWellFormed(Rule::Declaration),
    ),
    (
        "xml rebound",
        "<a xmlns:xml='urn:b'/>",
        XmlError::NotWellFormed(Rule::Declaration),
    ),
    (
        "xmlns declared",
        "<a xmlns:xmlns='urn:b'/>",
        XmlError::NotWellFormed(Rule::Declaration),
    ),
    (
        "xml's namespace under another prefix",
        "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        XmlError::NotWellFormed(Rule::Declaration),
    ),
    (
        "the namespace of declarations as the default",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        XmlError::NotWellFormed(Rule::Declaration),
    ),
    (
        "element with the prefix xmlns",
        "<xmlns:a/>",
        XmlError::NotWellFormed(Rule::Declaration),
    ),
    ("undeclared prefix", "<p:a/>", XmlError::UndeclaredPrefix),
    (
        "undeclared prefix of an attribute",
        "<a p:b='c'/>",
        XmlError::UndeclaredPrefix,
    ),
    (
        "prefix out of scope",
        "<a><b xmlns:p='urn:p'/><p:c/></a>",
        XmlError::UndeclaredPrefix,
    ),
    (
        "duplicate attribute",
        "<a b='1' b='1'/>",
        XmlError::NotWellFormed(Rule::DuplicateAttribute),
    ),
    (
        "duplicate expanded name",
        "<a xmlns:p='urn:x' xmlns:q='urn:x' p:b='1' q:b='2'/>",
        XmlError::NotWellFormed(Rule::DuplicateAttribute),
    ),
    (
        "duplicate declaration",
        "<a xmlns='urn:x' xmlns='urn:y'/>",
        XmlError::NotWellFormed(Rule::DuplicateAttribute),
    ),
    (
        "no space between attributes",
        "<a b='1'c='2'/>",
        XmlError::NotWellFormed(Rule::AttributeSyntax),
    ),
    (
        "unquoted value",
        "<a b=c/>",
        XmlError::NotWellFormed(Rule::AttributeSyntax),
    ),
    (
        "no value",
        "<a b/>",
        XmlError::NotWellFormed(Rule::AttributeSyntax),
    ),
    (
        "slash among attributes",
        "<a / b='c'></a>",
        XmlError::NotWellFormed(Rule::AttributeSyntax),
    ),
    ("mismatched end", "<a></b>", XmlError::NotWellFormed(Rule::EndTag)),
    (
        "end in another case",
        "<a></A>",
        XmlError::NotWellFormed(Rule::EndTag),
    ),
    (
        "crossed ends",
        "<a><b></a></b>",
        XmlError::NotWellFormed(Rule::EndTag),
    ),
    (
        "end with an attribute",
        "<a></a b='>'>",
        XmlError::NotWellFormed(Rule::EndTag),
    ),
    ("tag in a tag", "<a <b/>>", XmlError::NotWellFormed(Rule::Markup)),
    (
        "CDATA between stanzas",
        "<![CDATA[a]]>",
        XmlError::NotWellFormed(Rule::OutsideRoot),
    ),
    ("text between stanzas", "<a/>b", XmlError::StrayText),
    ("reference between stanzas", "&#32;", XmlError::StrayText),
    (
        "byte order mark between stanzas",
        "\u{feff}<a/>",
        XmlError::StrayText,
    ),
    (
        "stream closed under another name",
        "</stream>",
        XmlError::NotWellFormed(Rule::EndTag),
    ),
    (
        "second root",
        "</s:stream><s:stream>",
        XmlError::NotWellFormed(Rule::OutsideRoot),
    ),
    (
        "text after the end",
        "</s:stream>a",
        XmlError::NotWellFormed(Rule::OutsideRoot),
    ),
];

#[test]
fn what_the_profile_forbids_is_refused_with_its_reason() {
    for (what, input, error) in HOSTILE {
        let reading = read(format!("{HEADER}{input}").as_bytes(), []);
        assert_eq!(reading.error, Some(*error), "{what}: {input}");
    }
}

#[test]
fn hostile_documents_are_refused_too() {
    for (what, input, _) in HOSTILE {
        let whole = format!("<s:d xmlns:s='urn:d'>{input}</s:d>");
        // Text and references between children are a document's right.
        let fine = [
            "text between stanzas",
            "reference between stanzas",
            "byte order mark between stanzas",
            "CDATA between stanzas",
        ]
        .contains(what);
        assert_eq!(
            xml::document(whole.as_bytes(), &XmlLimits::default()).is_ok(),
            fine,
            "{what}: {whole}"
        );
    }
}

#[test]
fn octets_that_are_not_utf_8_are_refused() {
    let limits = XmlLimits::default();
    for (what, input) in [
        ("bad lead octet", b"<a>\xff</a>".as_slice()),
        ("overlong form", b"<a>\xc0\xbc</a>"),
        ("surrogate", b"<a>\xed\xa0\x80</a>"),
        ("cut character", b"<a>\xc3</a>"),
        ("in a value", b"<a b='\x80'/>"),
        ("in a name", b"<a\xff/>"),
        ("in an end tag", b"<a></a\xff>"),
        ("UTF-16, big-endian", b"\xfe\xff\0<\0a\0/\0>"),
        ("UTF-16, little-endian", b"\xff\xfe<\0a\0/\0>\0"),
        ("UTF-16 without a mark, big-endian", b"\0<\0a\0/\0>"),
        ("UTF-16 without a mark, little-endian", b"<\0a\0/\0>\0"),
        (
            "another encoding declared",
            b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
        ),
    ] {
        assert_eq!(xml::document(input, &limits), Err(XmlError::Encoding), "{what}");
        let reading = read(input, []);
        if !input.starts_with(b"<a>") && !input.starts_with(b"<a><") {
            assert_eq!(reading.error, Some(XmlError::Encoding), "{what}");
        }
    }
    let in_stream = [HEADER.as_bytes(), b"<a>\xff</a>"].concat();
    assert_eq!(read(&in_stream, []).error, Some(XmlError::Encoding));
}

#[test]
fn the_xml_declaration_is_read_strictly() {
    for (declaration, fine) in [
        ("<?xml version='1.0'?>", true),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", true),
        ("<?xml version='1.0' encoding='utf-8' standalone='yes' ?>", true),
        ("<?xml version = '1.0'\n?>", true),
        ("<?xml version='1.1'?>", false),
        ("<?xml version='1.0' version='1.0'?>", false),
        ("<?xml encoding='utf-8'?>", false),
        ("<?xml encoding='utf-8' version='1.0'?>", false),
        ("<?xml version='1.0' standalone='maybe'?>", false),
        ("<?xml version='1.0'encoding='utf-8'?>", false),
        ("<?xml version='1.0\"?>", false),
        ("<?xml version?>", false),
        ("<?xml ?>", false),
        ("<?xml?>", false),
        ("<?XML version='1.0'?>", false),
        (" <?xml version='1.0'?>", false),
        ("<?xml version='1.0' encoding='utf-16'?>", false),
    ] {
        let input = format!("{declaration}<a/>");
        assert_eq!(read(input.as_bytes(), []).error.is_none(), fine, "{declaration}");
    }
}

/// RFC 6120 §11.6: no byte order mark in a stream; documents may bring one.
#[test]
fn a_byte_order_mark_is_for_documents_only() {
    let input = "\u{feff}<a/>";
    assert_eq!(
        read(input.as_bytes(), []).error,
        Some(XmlError::NotWellFormed(Rule::OutsideRoot))
    );
    assert_eq!(
        xml::document(input.as_bytes(), &XmlLimits::default()),
        Ok(Element::new("a", ""))
    );
}

#[test]
fn a_body_in_utf_8_that_calls_itself_utf_16_is_read_as_what_it_is() {
    let body = "<?xml version=\"1.0\" encoding=\"utf-16\"?><presentity/>";
    assert!(xml::document(body.as_bytes(), &XmlLimits::default()).is_ok());
}

#[test]
fn documents_are_whole_and_alone() {
    let limits = XmlLimits::default();
    for (input, error) in [
        ("", Rule::CutOff),
        ("  ", Rule::CutOff),
        ("<a>", Rule::CutOff),
        ("<a", Rule::CutOff),
        ("<a b='", Rule::CutOff),
        ("<a/>b", Rule::OutsideRoot),
        ("<a/><b/>", Rule::OutsideRoot),
        ("b<a/>", Rule::OutsideRoot),
        ("</a>", Rule::EndTag),
    ] {
        assert_eq!(
            xml::document(input.as_bytes(), &limits),
            Err(XmlError::NotWellFormed(error)),
            "{input:?}"
        );
    }
    assert!(xml::document(b" \n<a> </a>\n ", &limits).is_ok());
}

/// Bounds hold before the octets are kept: the reader never holds more than the bound and what was pushed last.
#[test]
fn bounds_hold_while_the_octets_arrive() {
    let limits = XmlLimits::default();
    let attributes = (0..40).map(|n| format!(" a{n}='b'")).collect::<String>();
    let level = |n: usize| {
        let declarations = (0..20)
            .map(|m| format!(" xmlns:n{n}m{m}='urn:a'"))
            .collect::<String>();
        format!("<a{declarations}>")
    };
    let cases = [
        (
            "declarations",
            format!("{}{}", (0..5).map(level).collect::<String>(), "</a>".repeat(5)),
            XmlError::TooManyDeclarations {
                limit: limits.depth + limits.attributes,
            },
        ),
        (
            "deep",
            "<a>".repeat(100_000),
            XmlError::TooDeep { limit: limits.depth },
        ),
        (
            "one attribute",
            format!("<a b='{}'/>", "c".repeat(100_000)),
            XmlError::TagTooBig { limit: 16_384 },
        ),
        (
            "one name",
            format!("<{}/>", "a".repeat(100_000)),
            XmlError::TagTooBig { limit: 16_384 },
        ),
        (
            "space in a tag",
            format!("<a{}/>", " ".repeat(100_000)),
            XmlError::TagTooBig { limit: 16_384 },
        ),
        (
            "an end tag",
            format!("<a></a{}>", " ".repeat(100_000)),
            XmlError::TagTooBig { limit: 16_384 },
        ),
        (
            "one text",
            format!("<a>{}", "b".repeat(300_000)),
            XmlError::ElementTooBig {
                limit: limits.element_bytes,
            },
        ),
        (
            "one section",
            format!("<a><![CDATA[{}", "b".repeat(300_000)),
            XmlError::ElementTooBig {
                limit: limits.element_bytes,
            },
        ),
        (
            "many children",
            format!("<a>{}", "<b/>".repeat(100_000)),
            XmlError::ElementTooBig {
                limit: limits.element_bytes,
            },
        ),
        (
            "a name",
            format!("<{}/>", "a".repeat(257)),
            XmlError::NameTooLong {
                limit: limits.name_bytes,
            },
        ),
        (
            "attributes",
            format!("<a{attributes}/>"),
            XmlError::TooManyAttributes {
                limit: limits.attributes,
            },
        ),
    ];
    for (what, input, error) in cases {
        for portion in [1_000, 16_384, usize::MAX] {
            let mut reader = StreamReader::new(&limits);
            reader.push(HEADER.as_bytes());
            assert!(matches!(reader.next(), Ok(Some(StreamItem::Open(_)))));
            let mut found = None;
            for bytes in input.as_bytes().chunks(portion.min(input.len())) {
                reader.push(bytes);
                match reader.next() {
                    Ok(_) => assert!(reader.buffered() <= limits.element_bytes, "{what}"),
                    Err(error) => {
                        found = Some(error);
                        break;
                    }
                }
            }
            assert_eq!(found, Some(error), "{what} in portions of {portion}");
            // It keeps nothing, and takes nothing more.
            reader.push(b"<a/>");
            assert_eq!((reader.buffered(), reader.next()), (0, Err(error)), "{what}");
        }
    }
}

#[test]
fn an_element_of_exactly_the_bound_passes_and_one_octet_more_does_not() {
    let limits = XmlLimits::default();
    let room = limits.element_bytes - "<a></a>".len();
    for (octets, fine) in [(room, true), (room + 1, false)] {
        let input = format!("{HEADER}<a>{}</a>", "b".repeat(octets));
        assert_eq!(read(input.as_bytes(), []).error.is_none(), fine);
        let document = format!("<a>{}</a>", "b".repeat(octets));
        assert_eq!(xml::document(document.as_bytes(), &limits).is_ok(), fine);
    }
    for (levels, fine) in [(limits.depth, true), (limits.depth + 1, false)] {
        let input = format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
        assert_eq!(
            read(format!("{HEADER}{input}").as_bytes(), []).error.is_none(),
            fine
        );
        assert_eq!(xml::document(input.as_bytes(), &limits).is_ok(), fine);
    }
}

#[test]
fn the_opening_of_a_stream_has_a_bound_of_its_own() {
    let limits = XmlLimits::default();
    let error = XmlError::HeaderTooBig {
        limit: limits.header_bytes,
    };
    let padded = |octets: usize| {
        let header = format!("<s xmlns='{}'>", "a".repeat(octets));
        assert!(header.len() >= octets);
        header
    };
    let room = limits.header_bytes - padded(0).len();
    assert_eq!(read(padded(room).as_bytes(), []).error, None);
    for portion in [1, 100, usize::MAX] {
        for input in [
            padded(room + 1),
            " ".repeat(5_000),
            format!("<?xml {}", " ".repeat(5_000)),
        ] {
            let portions = std::iter::repeat_n(portion, 6_000);
            assert_eq!(read(input.as_bytes(), portions).error, Some(error), "{portion}");
        }
    }
}

/// RFC 6120 §4.6.1: white space between stanzas keeps a connection alive, and does not pile up.
#[test]
fn white_space_between_stanzas_is_a_keepalive() {
    let mut reader = StreamReader::new(&XmlLimits::default());
    reader.push(HEADER.as_bytes());
    assert!(matches!(reader.next(), Ok(Some(StreamItem::Open(_)))));
    for _ in 0..1_000 {
        reader.push(b" ");
        assert_eq!(reader.next(), Ok(Some(StreamItem::Whitespace)));
        assert_eq!((reader.next(), reader.buffered()), (Ok(None), 0));
    }
    reader.push(b" \r\n\t<a/>");
    assert_eq!(reader.next(), Ok(Some(StreamItem::Whitespace)));
    assert_eq!(
        reader.next(),
        Ok(Some(StreamItem::Element(Element::new("a", "jabber:server"))))
    );
}

/// RFC 6120 §4.4: the end tag ends the stream, whatever it is called; only space may follow.
#[test]
fn a_stream_ends_with_the_tag_it_began_with() {
    for (input, closed) in [
        ("<a>", false),
        ("<a></a>", true),
        ("<a></a >  \n", true),
        ("<a/>", true),
        ("<p:a xmlns:p='urn:p'></p:a>", true),
    ] {
        let reading = read(input.as_bytes(), []);
        assert_eq!((reading.error, reading.closed), (None, closed), "{input}");
    }
    for input in [
        "<p:a xmlns:p='urn:p'></a>",
        "<a xmlns='urn:p' xmlns:p='urn:p'></p:a>",
        "<a></A>",
        "<a></ a>",
        "<a></a/>",
        "<a></ab>",
        "<a></>",
    ] {
        assert_eq!(
            read(input.as_bytes(), []).error,
            Some(XmlError::NotWellFormed(Rule::EndTag)),
            "{input}"
        );
    }
}

#[test]
fn a_restart_forgets_what_came_before() {
    let mut reader = StreamReader::new(&XmlLimits::default());
    reader.push(format!("{HEADER}<a/><injected/>").as_bytes());
    assert!(matches!(reader.next(), Ok(Some(StreamItem::Open(_)))));
    assert!(matches!(reader.next(), Ok(Some(StreamItem::Element(_)))));
    assert_eq!(reader.buffered(), "<injected/>".len());
    reader.restart();
    assert_eq!((reader.buffered(), reader.next()), (0, Ok(None)));
    reader.push(HEADER.as_bytes());
    assert!(matches!(reader.next(), Ok(Some(StreamItem::Open(_)))));
}

#[test]
fn names_are_compared_by_namespace_and_not_by_prefix() {
    let input = "<x:stream xmlns:x='http://etherx.jabber.org/streams' xmlns='jabber:client' xmlns:d='jabber:server:dialback' \
        xml:lang='de' from='a'><d:result/><result xmlns='jabber:server:dialback'/><y:b xmlns:y='urn:y' y:c='1' c='2'>\
        <d xmlns=''/><e xmlns:y='urn:z' y:f='3'/></y:b>";
    let mut reader = StreamReader::new(&XmlLimits::default());
    reader.push(input.as_bytes());
    let Ok(Some(StreamItem::Open(header))) = reader.next() else {
        panic!()
    };
    assert!(header.is("stream", STREAM_NAMESPACE));
    assert_eq!(header.content_ns(), "jabber:client");
    assert_eq!(header.attribute("xml:lang"), Some("de"));
    assert_eq!(header.attribute_ns(XML_NAMESPACE, "lang"), Some("de"));
    assert_eq!(header.attribute("lang"), None);
    assert!(header.declares("jabber:server:dialback") && !header.declares("jabber:client"));
    for _ in 0..2 {
        let Ok(Some(StreamItem::Element(result))) = reader.next() else {
            panic!()
        };
        assert!(result.is("result", "jabber:server:dialback"));
    }
    let Ok(Some(StreamItem::Element(b))) = reader.next() else {
        panic!()
    };
    assert!(b.is("b", "urn:y"));
    assert_eq!(
        (b.attribute_ns("urn:y", "c"), b.attribute("c")),
        (Some("1"), Some("2"))
    );
    assert!(b.child("d", "").is_some());
    assert_eq!(
        b.child("e", "jabber:client").unwrap().attribute_ns("urn:z", "f"),
        Some("3")
    );
}

#[test]
fn character_data_arrives_resolved_and_in_one_piece() {
    let input = "<a>1 &lt;<![CDATA[ 2 & <b> ]]>&#x1F600;\r\n&#xD;<b/>]]&gt;</a>";
    let a = xml::document(input.as_bytes(), &XmlLimits::default()).unwrap();
    assert_eq!(a.text(), "1 < 2 & <b> \u{1F600}\n\r]]>");
    assert_eq!(a.nodes().len(), 3);
}

#[test]
fn every_violation_has_its_stream_error_and_its_refusal() {
    for (error, violation, condition, status) in [
        (
            XmlError::NotWellFormed(Rule::Name),
            Violation::NotWellFormed,
            "not-well-formed",
            400,
        ),
        (
            XmlError::Restricted(Construct::Comment),
            Violation::RestrictedXml,
            "restricted-xml",
            400,
        ),
        (
            XmlError::UndeclaredPrefix,
            Violation::BadNamespacePrefix,
            "bad-namespace-prefix",
            400,
        ),
        (
            XmlError::Encoding,
            Violation::UnsupportedEncoding,
            "unsupported-encoding",
            400,
        ),
        (XmlError::StrayText, Violation::InvalidXml, "invalid-xml", 400),
        (
            XmlError::TooDeep { limit: 64 },
            Violation::PolicyViolation,
            "policy-violation",
            413,
        ),
    ] {
        assert_eq!(
            (error.violation(), error.violation().as_str()),
            (violation, condition)
        );
        assert_eq!((error.sip_status(), error.fault()), (status, Fault::Peer));
    }
}
