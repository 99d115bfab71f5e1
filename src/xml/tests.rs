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
