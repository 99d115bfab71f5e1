//! HTML as plain text: what a reader would see of it, line breaks included, and nothing of its markup.
//!
//! Not an HTML parser: tags, comments and references are recognised by their form, whatever they are; text of
//! `script`, `style`, `head`, `title` and their like is left out. The result is text and is written as text, so a tag that is
//! misread can be ugly, not dangerous. One pass, linear in the input.

/// The text of an HTML document or fragment.
pub(super) fn to_text(html: &str) -> String {
    let mut out = Out::default();
    for token in Tokens::new(html) {
        match token {
            Token::Text(raw) => out.text(raw),
            Token::Open { name, .. } => match name.as_str() {
                "br" => out.line(),
                "li" => {
                    out.block();
                    out.text("- ");
                }
                name if BLOCKS.contains(&name) => out.block(),
                _ => {}
            },
            Token::Close { name } if name == "br" => out.line(),
            Token::Close { name } if BLOCKS.contains(&name.as_str()) => out.block(),
            Token::Close { .. } => {}
        }
    }
    out.text.trim().to_owned()
}

/// A piece of HTML; names are in lowercase.
pub(super) enum Token<'t> {
    /// Text with its references.
    Text(&'t str),
    /// A tag that begins an element, with what follows its name.
    Open { name: String, attributes: &'t str },
    /// A tag that ends one.
    Close { name: String },
}

/// The pieces of a document that are seen: no comments, and nothing of scripts and their like.
pub(super) struct Tokens<'t>(&'t str);

impl<'t> Tokens<'t> {
    pub(super) const fn new(html: &'t str) -> Self {
        Self(html)
    }

    /// Takes what begins with a `<`; `None` for what is not seen.
    fn tag(&mut self, tail: &'t str) -> Option<Token<'t>> {
        if let Some(comment) = tail.strip_prefix("!--") {
            self.0 = comment.split_once("-->").map_or("", |(_, rest)| rest);
            return None;
        }
        let name_end = tail
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '/' && c != '!' && c != '?')
            .unwrap_or(tail.len());
        let (name, inner) = tail.split_at_checked(name_end)?;
        if name.is_empty() {
            // A lone `<` is text to every reader.
            self.0 = tail;
            return Some(Token::Text("&lt;"));
        }
        self.0 = after_tag(tail);
        let length = inner.len().saturating_sub(self.0.len());
        let attributes = inner.split_at_checked(length).map_or("", |(inside, _)| inside);
        let attributes = attributes.strip_suffix('>').unwrap_or(attributes);
        let name = name.trim_end_matches('/').to_ascii_lowercase();
        if HIDDEN.contains(&name.as_str()) {
            self.0 = skip_hidden(self.0, &name);
            return None;
        }
        Some(match name.strip_prefix('/') {
            Some(name) => Token::Close {
                name: name.to_owned(),
            },
            None => Token::Open { name, attributes },
        })
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let html = self.0;
            match html.strip_prefix('<') {
                Some(tail) => {
                    if let Some(token) = self.tag(tail) {
                        return Some(token);
                    }
                }
                None => {
                    let end = html.find('<').unwrap_or(html.len());
                    let (text, rest) = html.split_at_checked(end)?;
                    self.0 = rest;
                    return Some(Token::Text(text));
                }
            }
        }
        None
    }
}

/// What follows the `>` that ends a tag; one inside a quoted attribute does not.
fn after_tag(tail: &str) -> &str {
    let mut quote = None;
    for (at, c) in tail.char_indices() {
        match (quote, c) {
            (None, '>') => return tail.get(at.saturating_add(1)..).unwrap_or_default(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    ""
}

/// What follows the end tag of an element whose text is not shown; nothing where it has none.
fn skip_hidden<'a>(mut rest: &'a str, name: &str) -> &'a str {
    while let Some((_, tail)) = rest.split_once("</") {
        let ends_here = tail
            .get(..name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name));
        if ends_here {
            return after_tag(tail);
        }
        rest = tail;
    }
    ""
}

/// Text with HTML's rules of white space: any run of it is one space, and none begins a line.
#[derive(Default)]
struct Out {
    text: String,
    space: bool,
}

impl Out {
    fn text(&mut self, raw: &str) {
        for c in characters(raw) {
            if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{C}') {
                self.space = !self.text.is_empty() && !self.text.ends_with('\n');
                continue;
            }
            if self.space {
                self.text.push(' ');
                self.space = false;
            }
            self.text.push(if c == '\u{A0}' { ' ' } else { c });
        }
    }

    fn line(&mut self) {
        self.space = false;
        self.text.push('\n');
    }

    /// Begins a new line unless one has just begun.
    fn block(&mut self) {
        self.space = false;
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }
}

/// The characters of a text, references resolved.
pub(super) fn characters(raw: &str) -> impl Iterator<Item = char> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (c, tail) = match reference(rest) {
            Some(found) => found,
            None => {
                let c = rest.chars().next()?;
                (c, rest.strip_prefix(c).unwrap_or_default())
            }
        };
        rest = tail;
        Some(c)
    })
}

/// A character reference at the beginning of a text, and what follows it.
fn reference(text: &str) -> Option<(char, &str)> {
    let tail = text.strip_prefix('&')?;
    // No reference that is read here is longer, so a text of many `&` stays linear.
    let end = tail.bytes().take(LONGEST_REFERENCE).position(|b| b == b';')?;
    let (name, rest) = tail.split_at_checked(end)?;
    let rest = rest.strip_prefix(';')?;
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return Some((char::from_u32(code)?, rest));
    }
    let (_, c) = NAMED.iter().find(|(known, _)| *known == name)?;
    Some((*c, rest))
}

const LONGEST_REFERENCE: usize = 10;
const NAMED: [(&str, char); 12] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{A0}'),
    ("hellip", '…'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("euro", '€'),
];
/// Elements whose text is no part of what is said.
const HIDDEN: [&str; 8] = [
    "script", "style", "head", "title", "template", "noscript", "object", "iframe",
];
/// Elements that stand on lines of their own.
const BLOCKS: [&str; 20] = [
    "p",
    "div",
    "li",
    "ul",
    "ol",
    "tr",
    "table",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "pre",
    "blockquote",
    "hr",
    "section",
    "article",
    "header",
    "footer",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markup_goes_and_what_is_said_stays() {
        for (html, text) in [
            ("", ""),
            ("plain", "plain"),
            ("<b>Bold</b> and <i>not</i>", "Bold and not"),
            ("one<br>two<br/>three<BR />four", "one\ntwo\nthree\nfour"),
            ("<p>a</p><p>b</p>", "a\nb"),
            ("<div>\n  a\n  b\n</div>", "a b"),
            ("<ul><li>x</li><li>y</li></ul>", "- x\n- y"),
            (
                "a &lt;b&gt; &amp;amp; &quot;c&quot; &#65;&#x42;&nbsp;d",
                "a <b> &amp; \"c\" AB d",
            ),
            ("<a href=\"x>y\" title='>'>link</a>", "link"),
            ("<!-- <b>hidden</b> -->seen", "seen"),
            ("<html><head><title>t</title></head><body>b</body></html>", "b"),
            ("<script>alert('</b>')</script>x<STYLE>p{}</Style>y", "xy"),
            ("1 < 2 &unknown; & 3", "1 < 2 &unknown; & 3"),
            ("a<b", "a"),
            ("<script>never closed", ""),
            ("x<!-- never closed", "x"),
            ("&#0;&#xD800;&#99999999999;", "\0&#xD800;&#99999999999;"),
        ] {
            assert_eq!(to_text(html), text, "{html:?}");
        }
    }

    #[test]
    fn work_grows_no_faster_than_the_input() {
        for piece in ["<", "&", "<script>", "</", "<!--", "<a b=\"", "<p"] {
            let html = piece.repeat(65_536 / piece.len());
            assert!(to_text(&html).len() <= html.len().saturating_mul(2));
        }
    }

    proptest! {
        #[test]
        fn text_without_markup_is_kept(words in proptest::collection::vec("[a-zä漢!?.;-]{1,8}", 0..8)) {
            let text = words.join(" ");
            prop_assert_eq!(to_text(&text), text);
        }
    }
}
