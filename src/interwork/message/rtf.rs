//! RTF as plain text: what Microsoft's clients send beside or in place of plain text.
//!
//! Strict where it matters: a document has one group, whose ends all stand, nested at most [`RTF_DEPTH`] deep. What is
//! not text (fonts, colours, pictures, objects, field codes, whatever says that it may be passed over) is passed over. One
//! pass, and never more text than there was document.

use std::iter::Peekable;
use std::str::Chars;

use super::MessageError;
use crate::limits::RTF_DEPTH;

/// The text of a document.
///
/// # Errors
/// [`MessageError::Garbled`] for what is no document, or not all of one.
pub(super) fn to_text(document: &str) -> Result<String, MessageError> {
    let body = document
        .trim_start_matches(['\u{FEFF}', ' ', '\t', '\r', '\n'])
        .strip_prefix('{')
        .filter(|body| body.starts_with("\\rtf"))
        .ok_or(MessageError::Garbled)?;
    let mut reader = Reader {
        rest: body.chars().peekable(),
        groups: vec![Group {
            skipped: false,
            fallback: 1,
        }],
        out: String::new(),
        high: None,
        unread: 0,
        page: Page::Windows1252,
    };
    reader.read()?;
    Ok(reader.out.trim_matches(['\n', ' ']).to_owned())
}

/// What holds until a group ends.
#[derive(Clone, Copy)]
struct Group {
    /// Whether what it says is no text.
    skipped: bool,
    /// Characters that stand in for one of Unicode's, for readers that know no Unicode (`\uc`).
    fallback: usize,
}

/// What octets over 127 stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    Windows1252,
    Unknown,
}

struct Reader<'t> {
    rest: Peekable<Chars<'t>>,
    groups: Vec<Group>,
    out: String,
    /// The first half of a character over U+FFFF.
    high: Option<u32>,
    /// How many characters of a fallback are still to come.
    unread: usize,
    page: Page,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), MessageError> {
        while let Some(c) = self.rest.next() {
            match c {
                '{' => self.open()?,
                '}' => {
                    self.unread = 0;
                    self.groups.pop();
                    if self.groups.is_empty() {
                        return Ok(());
                    }
                }
                '\\' => self.control()?,
                '\r' | '\n' | '\0' => {}
                c => self.character(c),
            }
        }
        // It ends before its last group does.
        Err(MessageError::Garbled)
    }

    fn open(&mut self) -> Result<(), MessageError> {
        self.unread = 0;
        let group = self.groups.last().copied().ok_or(MessageError::Garbled)?;
        if self.groups.len() >= RTF_DEPTH {
            return Err(MessageError::Garbled);
        }
        self.groups.push(group);
        Ok(())
    }

    /// What follows a backslash.
    fn control(&mut self) -> Result<(), MessageError> {
        let Some(c) = self.rest.next() else {
            return Err(MessageError::Garbled);
        };
        match c {
            'a'..='z' | 'A'..='Z' => self.word(c),
            '\'' => self.octet(),
            '\\' | '{' | '}' => {
                self.character(c);
                Ok(())
            }
            '~' => {
                self.character(' ');
                Ok(())
            }
            '_' => {
                self.character('-');
                Ok(())
            }
            '\r' | '\n' => {
                self.character('\n');
                Ok(())
            }
            '*' => {
                self.skip();
                Ok(())
            }
            // Optional hyphens and other symbols are no text.
            _ => Ok(()),
        }
    }

    /// `\name`, `\name-123`; one blank after it belongs to it.
    fn word(&mut self, first: char) -> Result<(), MessageError> {
        let mut name = String::from(first);
        while let Some(c) = self.rest.next_if(char::is_ascii_alphabetic) {
            if name.len() == LONGEST_WORD {
                return Err(MessageError::Garbled);
            }
            name.push(c);
        }
        let mut digits = String::new();
        if let Some(sign) = self.rest.next_if_eq(&'-') {
            digits.push(sign);
        }
        while let Some(c) = self.rest.next_if(char::is_ascii_digit) {
            if digits.len() == LONGEST_NUMBER {
                return Err(MessageError::Garbled);
            }
            digits.push(c);
        }
        let number: Option<i32> = digits.parse().ok();
        self.rest.next_if_eq(&' ');
        self.obey(&name, number)
    }

    fn obey(&mut self, name: &str, number: Option<i32>) -> Result<(), MessageError> {
        match name {
            "u" => return self.unicode(number),
            "uc" => {
                if let (Some(group), Some(number)) = (self.groups.last_mut(), number) {
                    group.fallback = usize::try_from(number).unwrap_or(0).min(LONGEST_FALLBACK);
                }
            }
            "bin" => {
                let octets = number
                    .and_then(|number| usize::try_from(number).ok())
                    .unwrap_or(0);
                for _ in 0..octets {
                    self.rest.next().ok_or(MessageError::Garbled)?;
                }
            }
            "ansicpg" if number != Some(1_252) => self.page = Page::Unknown,
            "mac" | "pc" | "pca" => self.page = Page::Unknown,
            "par" | "line" | "sect" | "page" | "row" => self.character('\n'),
            "tab" | "cell" => self.character('\t'),
            name if DESTINATIONS.contains(&name) => self.skip(),
            name => {
                if let Some((_, c)) = SYMBOLS.iter().find(|(known, _)| *known == name) {
                    self.character(*c);
                }
            }
        }
        Ok(())
    }

    /// A character by its number, which is written as 16 bits with a sign; halves come in pairs.
    fn unicode(&mut self, number: Option<i32>) -> Result<(), MessageError> {
        let number = number.ok_or(MessageError::Garbled)?;
        let unit = match number {
            0.. => number,
            _ => number.saturating_add(0x1_0000),
        };
        let unit = u32::try_from(unit).map_err(|_| MessageError::Garbled)?;
        let fallback = self.groups.last().map_or(0, |group| group.fallback);
        self.unread = 0;
        match (self.high.take(), unit) {
            (None, 0xD800..=0xDBFF) => self.high = Some(unit),
            (Some(high), 0xDC00..=0xDFFF) => {
                let upper = (high & 0x3FF) << 10;
                let code = (upper | (unit & 0x3FF)).saturating_add(0x1_0000);
                self.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (_, unit) => self.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
        self.unread = fallback;
        Ok(())
    }

    /// `\'hh`.
    fn octet(&mut self) -> Result<(), MessageError> {
        let mut digit = || {
            self.rest
                .next()
                .and_then(|c| c.to_digit(16))
                .ok_or(MessageError::Garbled)
        };
        let code = (digit()? << 4) | digit()?;
        let c = match (u8::try_from(code).map_err(|_| MessageError::Garbled)?, self.page) {
            (octet @ ..=0x7F, _) => char::from(octet),
            (octet @ 0x80..=0x9F, Page::Windows1252) => WINDOWS_1252
                .get(usize::from(octet & 0x1F))
                .copied()
                .unwrap_or(char::REPLACEMENT_CHARACTER),
            (octet, Page::Windows1252) => char::from(octet),
            (_, Page::Unknown) => char::REPLACEMENT_CHARACTER,
        };
        self.character(c);
        Ok(())
    }

    /// A character of the text, or of what stands in for one.
    fn character(&mut self, c: char) {
        match self.unread.checked_sub(1) {
            Some(fewer) => self.unread = fewer,
            None => self.push(c),
        }
    }

    fn push(&mut self, c: char) {
        if self.groups.last().is_some_and(|group| !group.skipped) {
            self.out.push(c);
        }
    }

    /// The rest of the present group is no text; the outermost one always is.
    fn skip(&mut self) {
        if self.groups.len() > 1
            && let Some(group) = self.groups.last_mut()
        {
            group.skipped = true;
        }
    }
}

/// No control word is longer.
const LONGEST_WORD: usize = 32;
/// Digits of a number with its sign; none is longer.
const LONGEST_NUMBER: usize = 11;
/// More characters than this stand in for none.
const LONGEST_FALLBACK: usize = 8;

/// Groups that are no text.
const DESTINATIONS: [&str; 22] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "listtable",
    "listoverridetable",
    "revtbl",
    "rsidtbl",
    "info",
    "pict",
    "object",
    "objdata",
    "fldinst",
    "header",
    "headerl",
    "headerr",
    "footer",
    "footerl",
    "footerr",
    "footnote",
    "annotation",
    "filetbl",
    "themedata",
];

const SYMBOLS: [(&str, char); 10] = [
    ("emdash", '—'),
    ("endash", '–'),
    ("lquote", '‘'),
    ("rquote", '’'),
    ("ldblquote", '“'),
    ("rdblquote", '”'),
    ("bullet", '•'),
    ("emspace", ' '),
    ("enspace", ' '),
    ("qmspace", ' '),
];

/// Octets 128 to 159 of Windows-1252; five have no character.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{FFFD}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{FFFD}', 'Ž', '\u{FFFD}',
    '\u{FFFD}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{FFFD}', 'ž', 'Ÿ',
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_goes_and_what_is_said_stays() {
        for (rtf, text) in [
            (r"{\rtf1 hello}", "hello"),
            // as Lync writes it
            (
                "{\\rtf1\\fbidis\\ansi\\ansicpg1252\\deff0\\nouicompat\\deflang1033{\\fonttbl{\\f0\\fnil\\fcharset0 Segoe UI;}}\r\n\
                 {\\colortbl ;\\red0\\green0\\blue0;}\r\n{\\*\\generator Riched20 15.0.4420}{\\*\\mmathPr\\mnaryLim0 }\\viewkind4\\uc1 \r\n\
                 \\pard\\cf1\\embo\\f0\\fs20 hello \\b there\\b0\\par\r\n{\\*\\lyncflags rtf=1}}",
                "hello there",
            ),
            (
                r"{\rtf1 one\par two\line three\tab four}",
                "one\ntwo\nthree\tfour",
            ),
            ("{\\rtf1 one\\\r\ntwo}", "one\n\ntwo".replace("\n\n", "\n").leak()),
            ("{\\rtf1 on\r\ne}", "one"),
            (r"{\rtf1 \{a\} \\ b\~c\_d\-e}", r"{a} \ b c-de"),
            (r"{\rtf1 gr\'fc\'dfe \'80}", "grüße €"),
            (r"{\rtf1\ansicpg1251 \'e0}", "\u{FFFD}"),
            (r"{\rtf1\mac \'e0}", "\u{FFFD}"),
            (r"{\rtf1 \u252?\u223?}", "üß"),
            (r"{\rtf1\uc0 \u252\u223 x}", "üßx"),
            (r"{\rtf1\uc2 \u8364\'80\'80x}", "€x"),
            (r"{\rtf1{\uc0 \u252}\u223?}", "üß"),
            (r"{\rtf1 \u-10179?\u-8704?}", "😀"),
            (r"{\rtf1 \u-10179?x}", "x"),
            (r"{\rtf1 \u-8704?}", "\u{FFFD}"),
            (
                r"{\rtf1 a{\*\unknown hidden {more}}b{\pict 00ff}c{\info{\author me}}d}",
                "abcd",
            ),
            (r"{\rtf1 a\bin4 {{{{b}", "ab"),
            (
                r"{\rtf1{\field{\*\fldinst{HYPERLINK x}}{\fldrslt{link}}}}",
                "link",
            ),
            (r"{\rtf1 \ldblquote q\rdblquote\emdash\bullet}", "“q”—•"),
            (r"{\rtf1 a} trailing", "a"),
            (r"{\rtf1 ü漢}", "ü漢"),
            (r"{\rtf1}", ""),
        ] {
            assert_eq!(to_text(rtf).as_deref(), Ok(text), "{rtf}");
        }
    }

    #[test]
    fn what_is_no_whole_document_is_refused() {
        let deep = format!("{{\\rtf1 {}{}}}", "{".repeat(RTF_DEPTH), "}".repeat(RTF_DEPTH));
        let fits = format!(
            "{{\\rtf1 {}x{}}}",
            "{".repeat(RTF_DEPTH - 1),
            "}".repeat(RTF_DEPTH - 1)
        );
        assert_eq!(to_text(&fits).as_deref(), Ok("x"));
        for rtf in [
            "",
            "hello",
            "{hello}",
            r"\rtf1 hello",
            r"{\rtf1 hello",
            r"{\rtf1 {hello}",
            r"{\rtf1 hello\",
            r"{\rtf1 \'g0}",
            r"{\rtf1 \'e}",
            r"{\rtf1 \u}",
            r"{\rtf1 \u99999999999?}",
            r"{\rtf1 \u-99999?}",
            r"{\rtf1 \bin99 x}",
            &format!(r"{{\rtf1 \{}}}", "a".repeat(33)),
            &format!(r"{{\rtf1 \fs{}}}", "1".repeat(40)),
            &deep,
        ] {
            assert_eq!(to_text(rtf), Err(MessageError::Garbled), "{rtf}");
        }
    }

    proptest! {
        #[test]
        fn text_is_never_longer_than_its_document(inner in r"[ -~\r\né]{0,80}") {
            let rtf = format!("{{\\rtf1 {inner}}}");
            if let Ok(text) = to_text(&rtf) {
                prop_assert!(text.len() <= rtf.len());
            }
        }
    }
}
