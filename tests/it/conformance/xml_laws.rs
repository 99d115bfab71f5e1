//! Laws of the XML rooms: cutting the input changes nothing, and what is written reads back.

use proptest::collection::vec;
use proptest::prelude::*;
use vestibule::limits::XmlLimits;
use vestibule::xml::{self, Element, StreamItem, StreamReader, write};

use super::xml_oracle::read;
use super::xml_samples::{any_stream, any_tree};

/// Whole streams whose every cut is tried.
const STREAMS: &[&str] = &[
    "<?xml version='1.0' encoding='utf-8'?>\n<s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams'>\
     <message to='a@b'><body>x &amp; \u{1F600}<![CDATA[<>]]]]></body></message> \n<a b=\"'\" c='/>'/></s:stream > ",
    "<a><b><c/></b><d></d>\u{1F600}",
    "<a> <!-- -->",
    "<a><b><!DOCTYPE",
    "<a><b><![CDAT]",
    "<a><?xml ?>",
    "<?xmlish ?><a>",
    "<a><b c='1'd='2'/>",
    "<a><b>&#0;</b>",
    "<a></b>",
    "<a></a>x",
    "\0<\0a",
];

#[test]
fn cutting_a_stream_anywhere_changes_nothing() {
    for stream in STREAMS {
        let whole = read(stream.as_bytes(), []);
        assert_eq!(
            read(stream.as_bytes(), vec![1; stream.len()]),
            whole,
            "octet by octet: {stream}"
        );
        for first in 0..stream.len() {
            assert_eq!(
                read(stream.as_bytes(), [first]),
                whole,
                "cut at {first}: {stream}"
            );
            for second in [1, 2, 3] {
                assert_eq!(
                    read(stream.as_bytes(), [first, second]),
                    whole,
                    "cut at {first} and {second} on: {stream}"
                );
            }
        }
    }
}

fn is_in(tree: &Element, ns: &str) -> bool {
    tree.ns() == ns || tree.children().any(|child| is_in(child, ns))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn portions_do_not_matter(stream in any_stream(), portions in vec(0_usize..40, 0..40)) {
        prop_assert_eq!(read(&stream, portions), read(&stream, []));
    }

    #[test]
    fn a_written_tree_reads_back(tree in any_tree(), content in "|jabber:(client|server)|urn:(a|b|\u{0})") {
        let declared = [("db", "jabber:server:dialback"), ("p", "urn:a"), ("ns1", "urn:d"), ("xml", "urn:c"), ("p", "urn:b")];
        let mut out = Vec::new();
        write::open_stream(&content, &declared, &[("to", "a'\"&<\n"), ("xml:lang", "en")], &mut out);
        write::element(&tree, &content, &declared, &mut out);
        out.extend_from_slice(write::CLOSE.as_bytes());
        let mut reader = StreamReader::new(&XmlLimits::default());
        reader.push(&out);
        let Ok(Some(StreamItem::Open(header))) = reader.next() else {
            panic!("{}", out.escape_ascii());
        };
        prop_assert_eq!(header.attribute("to"), Some("a'\"&<\n"));
        prop_assert_eq!(reader.next(), Ok(Some(StreamItem::Element(tree.clone()))), "{}", out.escape_ascii());
        prop_assert_eq!(reader.next(), Ok(Some(StreamItem::Close)));

        let document = write::document(&tree);
        prop_assert_eq!(xml::document(&document, &XmlLimits::default()), Ok(tree));
    }

    /// What is not XML's to carry is replaced when it is put into a tree, and nothing else is.
    #[test]
    fn any_text_can_be_put_into_a_tree(name in ".{0,4}", ns in ".{0,4}", key in ".{0,6}", value in any::<String>(), text in any::<String>()) {
        let mut tree = Element::new(&name, &ns).with_attribute("a", value.clone()).with_text(&text);
        tree.set_attribute_ns(&ns, &key, value);
        let document = write::document(&tree);
        prop_assert_eq!(xml::document(&document, &XmlLimits::default()), Ok(tree), "{}", document.escape_ascii());
    }

    #[test]
    fn writing_is_deterministic_and_stable(tree in any_tree()) {
        let once = write::document(&tree);
        let again = write::document(&xml::document(&once, &XmlLimits::default()).unwrap());
        prop_assert_eq!(once, again);
    }

    #[test]
    fn a_namespace_renamed_and_renamed_back_is_the_same(tree in any_tree()) {
        let mut renamed = tree.clone();
        renamed.rename_namespace("jabber:server", "urn:elsewhere");
        let left = is_in(&renamed, "jabber:server");
        renamed.rename_namespace("urn:elsewhere", "jabber:server");
        prop_assert!(!left);
        prop_assert_eq!(renamed, tree);
    }
}
