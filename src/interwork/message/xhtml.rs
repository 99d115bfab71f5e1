//! HTML as XHTML-IM (XEP-0071): reduced to a short list of elements with no attribute but an address of a link.
//!
//! It goes beside the plain text, never in its place: styles, pictures and scripts do not cross, and a link that names
//! one place and leads to another is no link. What is not well formed becomes well formed here, as the result is a tree.

use super::html::{Token, Tokens, characters};
use super::{bidi, lines};
use crate::limits::{LINK_BYTES, RICH_DEPTH, RICH_ELEMENTS};
use crate::xml::Element;

/// What a client is given: `<html><body>`; `None` where nothing of the markup is left, and plain text says as much.
pub(super) fn reduce(html: &str) -> Option<Element> {
    let mut tree = Tree {
        open: vec![Open {
            source: String::new(),
            element: Element::new("body", XHTML),
        }],
        elements: 0,
        space: false,
    };
    for token in Tokens::new(html) {
        match token {
            Token::Text(raw) => tree.text(raw),
            Token::Open { name, attributes } => tree.open(&name, attributes),
            Token::Close { name } => tree.close(&name),
        }
    }
    let body = tree.finish()?;
    // A body of nothing but text says what the plain text says.
    body.children().next()?;
    Some(Element::new("html", XHTML_IM).with_child(body))
}

struct Tree {
    /// From the body inwards, each with the name of the HTML element that it stands for.
    open: Vec<Open>,
    elements: usize,
    /// Whether white space is still to be written.
    space: bool,
}

struct Open {
    source: String,
    element: Element,
}

impl Tree {
    fn text(&mut self, raw: &str) {
        let mut text = String::new();
        for c in characters(raw) {
            if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{C}') {
                self.space = true;
                continue;
            }
            if std::mem::take(&mut self.space) {
                text.push(' ');
            }
            text.push(if c == '\u{A0}' { ' ' } else { c });
        }
        if let Some(last) = self.open.last_mut() {
            last.element.push_text(&bidi::balanced(lines(&text)));
        }
    }

    fn open(&mut self, source: &str, attributes: &str) {
        let Some((_, name)) = ELEMENTS.iter().find(|(known, _)| *known == source) else {
            return;
        };
        // A paragraph and an item end when the next one begins.
        if matches!(source, "p" | "li") && self.open.last().is_some_and(|last| last.source == source) {
            self.close(source);
        }
        if self.elements >= RICH_ELEMENTS || self.open.len() >= RICH_DEPTH {
            return;
        }
        let mut element = Element::new(name, XHTML);
        if *name == "a" {
            let Some(address) = address(attributes) else {
                return;
            };
            element.set_attribute("href", address);
        }
        self.elements = self.elements.saturating_add(1);
        self.flush_space();
        if *name == "br" {
            if let Some(last) = self.open.last_mut() {
                last.element.push(element);
            }
            return;
        }
        self.open.push(Open {
            source: source.to_owned(),
            element,
        });
    }

    fn close(&mut self, source: &str) {
        let inner = self
            .open
            .iter()
            .skip(1)
            .rev()
            .position(|open| open.source == source);
        for _ in 0..inner.map_or(0, |inner| inner.saturating_add(1)) {
            self.fold();
        }
    }

    /// Puts the innermost element into the one around it.
    fn fold(&mut self) {
        if self.open.len() < 2 {
            return;
        }
        let (Some(inner), Some(outer)) = (self.open.pop(), self.open.last_mut()) else {
            return;
        };
        if inner.element.name() == "a" && misleads(&inner.element) {
            outer.element.push_text(&all_text(&inner.element));
        } else {
            outer.element.push(inner.element);
        }
    }

    fn flush_space(&mut self) {
        if std::mem::take(&mut self.space)
            && let Some(last) = self.open.last_mut()
        {
            last.element.push_text(" ");
        }
    }

    fn finish(mut self) -> Option<Element> {
        while self.open.len() > 1 {
            self.fold();
        }
        self.open.pop().map(|open| open.element)
    }
}

/// The address in the attributes of a link, where it is of a kind that clients may be given.
fn address(attributes: &str) -> Option<String> {
    let value = attribute(attributes, "href")?;
    let address: String = characters(value.trim()).collect();
    let (scheme, rest) = address.split_once(':')?;
    let is_known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let is_clean = !address
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || bidi::is_control(c));
    (is_known && is_clean && !rest.is_empty() && address.len() <= LINK_BYTES).then_some(address)
}

/// The value of an attribute, quoted or not.
fn attribute<'t>(attributes: &'t str, wanted: &str) -> Option<&'t str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '/'))?;
        let (name, tail) = rest.split_at_checked(end)?;
        rest = tail.trim_start();
        let Some(tail) = rest.strip_prefix('=') else {
            if name.is_empty() {
                return None;
            }
            continue;
        };
        let tail = tail.trim_start();
        let (value, after) = match tail.chars().next()? {
            quote @ ('"' | '\'') => tail.strip_prefix(quote)?.split_once(quote)?,
            _ => tail.split_once(char::is_whitespace).unwrap_or((tail, "")),
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// Whether the words of a link look like an address other than its own.
fn misleads(link: &Element) -> bool {
    let words = all_text(link);
    let words = words.trim();
    let address = link.attribute("href").unwrap_or_default();
    let looks = words.contains("://") || words.to_ascii_lowercase().starts_with("www.");
    looks && bare(words) != bare(address)
}

/// An address without what people leave out.
fn bare(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.trim_end_matches('/')
}

fn all_text(element: &Element) -> String {
    let mut text = element.text().into_owned();
    for child in element.children() {
        text.push_str(&all_text(child));
    }
    text
}

/// What stays, and what it is called in XHTML-IM (XEP-0071 §7, without pictures and styles).
const ELEMENTS: [(&str, &str); 15] = [
    ("a", "a"),
    ("b", "strong"),
    ("blockquote", "blockquote"),
    ("br", "br"),
    ("cite", "cite"),
    ("div", "p"),
    ("em", "em"),
    ("i", "em"),
    ("li", "li"),
    ("ol", "ol"),
    ("p", "p"),
    ("pre", "p"),
    ("strong", "strong"),
    ("tr", "p"),
    ("ul", "ul"),
];
/// Where a link may lead.
const SCHEMES: [&str; 6] = ["http", "https", "mailto", "sip", "tel", "xmpp"];
/// XEP-0071 §6.
const XHTML_IM: &str = "http://jabber.org/protocol/xhtml-im";
const XHTML: &str = "http://www.w3.org/1999/xhtml";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::xml;

    fn reduced(html: &str) -> String {
        let Some(element) = reduce(html) else {
            return String::new();
        };
        let mut octets = Vec::new();
        xml::write::element(element.child("body", XHTML).unwrap(), XHTML, &[], &mut octets);
        let text = String::from_utf8(octets).unwrap();
        text.trim_start_matches("<body>")
            .trim_end_matches("</body>")
            .to_owned()
    }

    #[test]
    fn only_what_is_on_the_list_crosses() {
        for (html, xhtml) in [
            ("plain", ""),
            ("<span style='color:red'>plain</span>", ""),
            (
                "<b>bold</b> and <i>not</i>",
                "<strong>bold</strong> and <em>not</em>",
            ),
            ("<B CLASS=x onclick='evil()'>bold</B>", "<strong>bold</strong>"),
            ("<p>a<p>b", "<p>a</p><p>b</p>"),
            ("<div>a<br>b</div>", "<p>a<br/>b</p>"),
            ("<ul><li>x<li>y</ul>", "<ul><li>x</li><li>y</li></ul>"),
            ("<b><i>x</b>y</i>", "<strong><em>x</em></strong>y"),
            ("<b>x", "<strong>x</strong>"),
            ("</b>x</i>", ""),
            ("a\n\n  b &lt;c&gt; <em>d</em>", "a b &lt;c&gt; <em>d</em>"),
            (
                "<script>evil()</script><b>x</b><style>y</style>",
                "<strong>x</strong>",
            ),
            (
                "<img src='http://tracker.example/x.gif'><b>x</b>",
                "<strong>x</strong>",
            ),
            (
                "<a href='https://a.example/?b=1&amp;c'>here</a>",
                "<a href='https://a.example/?b=1&amp;c'>here</a>",
            ),
            (
                "<a class=x HREF=mailto:a@b.example>x</a>",
                "<a href='mailto:a@b.example'>x</a>",
            ),
            (
                "<a title='href=\"x\"' href = \"tel:1\" >x</a>",
                "<a href='tel:1'>x</a>",
            ),
            ("<a href='javascript:evil()'>x</a>", ""),
            ("<a href='java&#115;cript:evil()'>x</a>", ""),
            ("<a href='data:text/html,x'>x</a>", ""),
            ("<a href='/relative'>x</a>", ""),
            ("<a href='http:'>x</a>", ""),
            ("<a href='http://a b'>x</a>", ""),
            ("<a href='http://a\u{202E}b'>x</a>", ""),
            ("<a>x</a>", ""),
            // words that name another place than the link
            (
                "<a href='http://evil.example/'><b>http://bank.example</b></a>",
                "",
            ),
            ("<a href='http://evil.example/'>WWW.bank.example</a>", ""),
            (
                "<a href='https://bank.example/'>bank.example</a>",
                "<a href='https://bank.example/'>bank.example</a>",
            ),
            (
                "<a href='https://bank.example/'>http://bank.example</a>",
                "<a href='https://bank.example/'>http://bank.example</a>",
            ),
            ("<b>a\u{202E}b</b>c", "<strong>a\u{202E}b\u{202C}</strong>c"),
            ("<b>a\0b&#0;</b>", "<strong>a\u{FFFD}b\u{FFFD}</strong>"),
        ] {
            assert_eq!(reduced(html), xhtml, "{html}");
        }
        let link = format!("<a href='http://{}'>x</a>", "x".repeat(LINK_BYTES));
        assert_eq!(reduced(&link), "");
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let deep = reduced(&"<b>".repeat(10_000));
        assert_eq!(
            deep.matches("<strong>").count() + deep.matches("<strong/>").count(),
            RICH_DEPTH - 1
        );
        let many = reduced(&"<b>x</b>".repeat(10_000));
        assert_eq!(many.matches("<strong>").count(), RICH_ELEMENTS);
        assert_eq!(many.matches('x').count(), 10_000);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_result_is_a_document_of_the_list(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("<b>"), Just("</b>"), Just("<p"), Just(">"), Just("<a href='http://x'>"), Just("</a>"), Just("<li>"),
                    Just("\""), Just("'"), Just("<!--"), Just("-->"), Just("&"), Just("&#x"), Just(";"), Just("<br/>"), Just("]]>"),
                    Just("\u{202E}"), Just("\0"), Just("<script>"), Just("</script"), Just("x "), Just("="), Just("\r\n"),
                ],
                0..24,
            )
        ) {
            let html = pieces.concat();
            if let Some(element) = reduce(&html) {
                let octets = xml::write::document(&element);
                let read = xml::document(&octets, &crate::limits::XmlLimits::default()).unwrap();
                prop_assert_eq!(&read, &element);
                let mut inside: Vec<_> = read.child("body", XHTML).unwrap().children().collect();
                while let Some(child) = inside.pop() {
                    prop_assert!(ELEMENTS.iter().any(|(_, name)| child.is(name, XHTML)));
                    prop_assert!(child.attributes().all(|attribute| child.name() == "a" && attribute.name() == "href"));
                    inside.extend(child.children());
                }
            }
        }
    }
}
