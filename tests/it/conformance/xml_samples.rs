//! Trees and streams to try the XML rooms with: fine ones, ones with something changed, and plain soup.

use proptest::collection::vec;
use proptest::prelude::*;
use vestibule::xml::{Element, XML_NAMESPACE, write};

/// A tree of any shape that fits the bounds.
pub(crate) fn any_tree() -> impl Strategy<Value = Element> {
    any_leaf().prop_recursive(5, 40, 5, |inner| {
        let node = prop_oneof![inner.prop_map(Ok), any_text().prop_map(Err)];
        (any_leaf(), vec(node, 0..5)).prop_map(|(element, nodes)| {
            nodes.into_iter().fold(element, |element, node| match node {
                Ok(child) => element.with_child(child),
                Err(text) => element.with_text(&text),
            })
        })
    })
}

fn any_leaf() -> impl Strategy<Value = Element> {
    let attributes = vec((any_attribute_namespace(), any_name(), any::<String>()), 0..4);
    (any_name(), any_namespace(), attributes).prop_map(|(name, ns, attributes)| {
        attributes
            .into_iter()
            .fold(Element::new(&name, ns), |mut element, (ns, name, value)| {
                element.set_attribute_ns(ns, &name, value);
                element
            })
    })
}

/// The octets of a stream: well-formed, spoilt in a few places, or made of pieces of markup in any order.
pub(crate) fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        well_formed(),
        (well_formed(), vec(any_change(), 1..4)).prop_map(|(mut stream, changes)| {
            for (place, change) in changes {
                let at = place.index(stream.len() + 1);
                match change {
                    Change::Insert(piece) => drop(stream.splice(at..at, piece)),
                    Change::Delete(octets) => drop(stream.drain(at..(at + octets).min(stream.len()))),
                    Change::Repeat(octets) => {
                        let copy = stream.iter().skip(at).take(octets).copied().collect::<Vec<_>>();
                        drop(stream.splice(at..at, copy));
                    }
                }
            }
            stream
        }),
        vec(any_piece(), 0..30).prop_map(|pieces| pieces.concat()),
        vec(any_piece(), 0..30)
            .prop_map(|pieces| [b"<a xmlns:p='urn:a'>".to_vec(), pieces.concat()].concat()),
    ]
}

fn well_formed() -> impl Strategy<Value = Vec<u8>> {
    (
        any_namespace(),
        vec((any_tree(), "[ \n]{0,2}"), 0..4),
        any::<bool>(),
    )
        .prop_map(|(content, stanzas, closes)| {
            let declared = [("db", "jabber:server:dialback"), ("p", "urn:a")];
            let mut out = Vec::new();
            write::open_stream(content, &declared, &[("to", "b.example")], &mut out);
            for (stanza, space) in &stanzas {
                write::element(stanza, content, &declared, &mut out);
                out.extend_from_slice(space.as_bytes());
            }
            if closes {
                out.extend_from_slice(write::CLOSE.as_bytes());
            }
            out
        })
}

#[derive(Debug, Clone)]
enum Change {
    Insert(Vec<u8>),
    Delete(usize),
    Repeat(usize),
}

fn any_change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let change = prop_oneof![
        any_piece().prop_map(Change::Insert),
        (1_usize..8).prop_map(Change::Delete),
        (1_usize..30).prop_map(Change::Repeat),
    ];
    (any::<prop::sample::Index>(), change)
}

fn any_piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        9 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..3),
    ]
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,3}",
        "[A-Za-z_\u{e9}\u{3b1}][-.0-9a-z\u{b7}]{0,3}",
        Just("body".to_owned()),
        Just("xmlns".to_owned())
    ]
}

fn any_namespace() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "",
            "jabber:server",
            "jabber:client",
            "jabber:component:accept",
            "urn:a",
            "urn:b",
            "urn:d'<&\"\n",
            XML_NAMESPACE,
        ][..],
    )
}

fn any_attribute_namespace() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => any_namespace()]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[]><&'\"\r\n\t a]{0,8}"]
}

const PIECES: &[&str] = &[
    "<a>",
    "</a>",
    "<a/>",
    "<b ",
    "<p:a>",
    "</p:a>",
    "<p:a/>",
    "<:a/>",
    "<a:/>",
    "<q:b/>",
    "</",
    "<",
    ">",
    "/>",
    "/",
    "=",
    "'",
    "\"",
    " ",
    "\n",
    "\r",
    "\t",
    "a",
    "b='c'",
    " b='c'",
    " p:b='c'",
    " a='1' ",
    " xmlns='urn:a'",
    " xmlns=''",
    " xmlns:p='urn:b'",
    " xmlns:q='urn:a'",
    " xmlns:p=''",
    " xmlns:xml='urn:a'",
    " xmlns:xmlns='urn:a'",
    " xml:lang='en'",
    " p:b='1' q:b='2'",
    "&amp;",
    "&lt;",
    "&#65;",
    "&#x1F600;",
    "&#xD;",
    "&#0;",
    "&nbsp;",
    "&",
    ";",
    "&#",
    "]]>",
    "]]",
    "<![CDATA[",
    "<![CDATA[<&]]>",
    "<!--",
    "-->",
    "<!DOCTYPE a>",
    "<?a?>",
    "<?xml version='1.0'?>",
    "<?xml version='1.0' encoding='utf-8'?>",
    "?>",
    "\u{1}",
    "\u{fffe}",
    "\u{feff}",
    "\u{e9}",
    "\u{1F600}",
    "\u{3b1}",
    "-",
    ".",
    "1",
    ":",
    "xmlns",
    "xml:",
    "</a >",
    "<a >",
    "<a\n>",
    "<a b=''>",
    "<a b=\"'\"/>",
    "<a b='>'/>",
    "<xml:a/>",
    "<xmlns:a/>",
    "</stream:stream>",
    "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>",
];
