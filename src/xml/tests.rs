//! What the reader lets through and what it refuses, and that the writer's output reads back.

use super::*;
use crate::limits::XmlLimits;

fn read_all(input: &[u8], portion: usize) -> Result<Vec<StreamItem>, XmlError> {
    let mut reader = StreamReader::new(&XmlLimits::default());
    let mut items = Vec::new();
    for bytes in input.chunks(portion.max(1)) {
        reader.push(bytes);
        while let Some(item) = reader.next()? {
            if !(item == StreamItem::Whitespace && items.last() == Some(&StreamItem::Whitespace)) {
                items.push(item);
            }
        }
    }
    Ok(items)
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' to='b.example' version='1.0'>";

#[test]
fn a_stream_is_read_and_written_back() {
    let body = "<message xmlns='jabber:server' to='a@b.example'><body>1 &lt; 2 &amp; \u{e9}</body></message>\n \
        <db:result from='a' to='b'>key</db:result></stream:stream>";
    let items = read_all(format!("{HEADER}{body}").as_bytes(), 7).unwrap();
    let [
        StreamItem::Open(header),
        StreamItem::Element(message),
        StreamItem::Whitespace,
        StreamItem::Element(result),
        StreamItem::Close,
    ] = items.as_slice()
    else {
        panic!("{items:?}");
    };
    assert!(header.is("stream", STREAM_NAMESPACE));
    assert_eq!(
        (header.content_ns(), header.attribute("to")),
        ("jabber:server", Some("b.example"))
    );
    assert!(header.declares("jabber:server:dialback"));
    assert_eq!(
        message.child("body", "jabber:server").unwrap().text(),
        "1 < 2 & é"
    );
    assert!(result.is("result", "jabber:server:dialback"));

    let declared = [("db", "jabber:server:dialback")];
    let mut out = Vec::new();
    write::open_stream(
        "jabber:server",
        &declared,
        &[("to", "b.example"), ("xml:lang", "en")],
        &mut out,
    );
    write::element(message, "jabber:server", &declared, &mut out);
    write::element(result, "jabber:server", &declared, &mut out);
    out.extend_from_slice(write::CLOSE.as_bytes());
    let text = String::from_utf8(out.clone()).unwrap();
    assert_eq!(
        text,
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback' to='b.example' xml:lang='en'>\
         <message to='a@b.example'><body>1 &lt; 2 &amp; é</body></message>\
         <db:result from='a' to='b'>key</db:result></stream:stream>"
    );
    let again = read_all(&out, 1).unwrap();
    assert_eq!(again[1], items[1]);
    assert_eq!(again[2], items[3]);
}

/// What a reader makes of a stream in which elements over 1,000 octets are skipped: names, or the error; and the most
/// that it held between portions.
fn skipped(body: &str, portion: usize) -> (Vec<String>, Option<XmlError>, usize) {
    let limits = XmlLimits {
        element_bytes: 1_000,
        ..XmlLimits::default()
    };
    let mut reader = StreamReader::new(&limits);
    reader.push(HEADER.as_bytes());
    assert!(matches!(reader.next(), Ok(Some(StreamItem::Open(_)))));
    reader.skip_oversized();
    let (mut names, mut most) = (Vec::new(), 0);
    for bytes in body.as_bytes().chunks(portion) {
        reader.push(bytes);
        loop {
            match reader.next() {
                Ok(Some(StreamItem::Element(element))) => names.push(element.name().to_owned()),
                Ok(Some(StreamItem::Oversized(element))) => {
                    assert_eq!((element.ns(), element.nodes().len()), ("jabber:server", 0));
                    names.push(format!(
                        "no {} {}",
                        element.name(),
                        element.attribute("id").unwrap_or_default()
                    ));
                }
                Ok(Some(StreamItem::Whitespace | StreamItem::Open(_))) => {}
                Ok(Some(StreamItem::Close)) => names.push("close".to_owned()),
                Ok(None) => break,
                Err(error) => return (names, Some(error), most),
            }
        }
        most = most.max(reader.buffered());
    }
    (names, None, most)
}

#[test]
fn an_element_that_is_too_big_is_skipped_to_its_end_however_it_is_cut() {
    let text = "x".repeat(5_000);
    let many = "<a b='>/' c=\"/\"/><d>&lt;<e/></d >".repeat(200);
    let section = format!("<![CDATA[ </message> ]] ]>{text}]]>");
    let cases: &[(&str, String, &[&str], Option<XmlError>)] = &[
        (
            "text",
            format!("<message id='1'>{text}</message><iq/>"),
            &["no message 1", "iq"],
            None,
        ),
        (
            "elements",
            format!("<iq/><message id='1'>{many}</message><iq/>"),
            &["iq", "no message 1", "iq"],
            None,
        ),
        (
            "a section",
            format!("<message id='1'><b>{section}</b></message><iq/></stream:stream>"),
            &["no message 1", "iq", "close"],
            None,
        ),
        (
            "two",
            format!("<message id='1'>{text}</message> <message id='2'>{many}</message><iq/>"),
            &["no message 1", "no message 2", "iq"],
            None,
        ),
        (
            "the last octet",
            format!("<message id='1'>{}</message><iq/>", "x".repeat(15_990)),
            &["no message 1", "iq"],
            None,
        ),
        (
            "one octet more",
            format!("<message id='1'>{}</message><iq/>", "x".repeat(15_991)),
            &["no message 1"],
            Some(XmlError::ElementTooBig { limit: 1_000 }),
        ),
        (
            "a comment",
            format!("<message id='1'>{text}<!-- --></message><iq/>"),
            &["no message 1"],
            Some(XmlError::Restricted(Construct::Comment)),
        ),
        (
            "a long tag",
            format!("<message id='1'>{text}<a b='{}'/></message>", "x".repeat(20_000)),
            &["no message 1"],
            Some(XmlError::TagTooBig { limit: 16_384 }),
        ),
        (
            "depth",
            format!("<message id='1'>{text}{}", "<a>".repeat(100)),
            &["no message 1"],
            Some(XmlError::TooDeep { limit: 64 }),
        ),
    ];
    for (what, body, expected, error) in cases {
        for portion in [1, 7, 999, 1_000, 1_001, 4_096, 100_000] {
            let (names, failed, most) = skipped(body, portion);
            assert_eq!(
                (names.as_slice(), failed),
                (
                    expected
                        .iter()
                        .map(|name| (*name).to_owned())
                        .collect::<Vec<_>>()
                        .as_slice(),
                    *error
                ),
                "{what} in portions of {portion}"
            );
            if *what != "a long tag" {
                assert!(
                    most <= 1_000,
                    "{what} in portions of {portion}: {most} octets were held"
                );
            }
        }
    }
}
