//! JID escaping (XEP-0106): the ten characters that a localpart cannot hold, and their spelling as `\` and two digits.
//!
//! Only localparts are escaped, never domainparts or resourceparts. A backslash is itself escaped exactly where it
//! would otherwise read as the start of a sequence; so [`unescape`] of [`escape`] is the text one began with, whatever
//! it holds. The other way round that is only true of localparts in the [canonical](is_canonical) form: a foreign
//! `\5c` that protects nothing (`\5cnet`) reads as the same text as `\net`.

/// Escapes a text for use as a localpart.
///
/// The text must be case-folded already: a `\2F` in it is no sequence and is kept, but would become one if it were
/// folded afterwards.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let sequence = SEQUENCES.iter().find(|(raw, _)| *raw == c);
        match sequence {
            Some((BACKSLASH, _)) if !starts_with_code(chars.as_str()) => out.push(c),
            Some((_, code)) => {
                out.push(BACKSLASH);
                out.push_str(code);
            }
            None => out.push(c),
        }
    }
    out
}

/// Reads the ten sequences of an escaped localpart; anything else that begins with a backslash stays as it is.
#[must_use]
pub fn unescape(local: &str) -> String {
    let mut out = String::with_capacity(local.len());
    let mut chars = local.chars();
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        let found = SEQUENCES
            .iter()
            .filter(|_| c == BACKSLASH)
            .find_map(|(raw, code)| rest.strip_prefix(code).map(|rest| (*raw, rest)));
        match found {
            Some((raw, rest)) => {
                out.push(raw);
                chars = rest.chars();
            }
            None => out.push(c),
        }
    }
    out
}

/// Whether escaping what the localpart stands for gives the same localpart again.
#[must_use]
pub fn is_canonical(local: &str) -> bool {
    escape(&unescape(local)) == local
}

/// Whether the localpart keeps the rule that an escaped space is neither first nor last.
#[must_use]
pub fn has_inner_spaces_only(local: &str) -> bool {
    !local.starts_with(SPACE) && !local.ends_with(SPACE)
}

fn starts_with_code(text: &str) -> bool {
    SEQUENCES.iter().any(|(_, code)| text.starts_with(code))
}

const BACKSLASH: char = '\\';
const SPACE: &str = "\\20";
/// Case is significant: the digits are lowercase, as case folding leaves them.
const SEQUENCES: [(char, &str); 10] = [
    (' ', "20"),
    ('"', "22"),
    ('&', "26"),
    ('\'', "27"),
    ('/', "2f"),
    (':', "3a"),
    ('<', "3c"),
    ('>', "3e"),
    ('@', "40"),
    (BACKSLASH, "5c"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_sequence_is_written_and_read() {
        for (raw, code) in SEQUENCES {
            let expected = if raw == BACKSLASH {
                // alone it starts no sequence
                "a\\b".to_owned()
            } else {
                format!("a\\{code}b")
            };
            assert_eq!(escape(&format!("a{raw}b")), expected);
            assert_eq!(unescape(&format!("a\\{code}b")), format!("a{raw}b"));
        }
    }

    #[test]
    fn what_is_no_sequence_stays() {
        for text in [
            r"\2plus\2is\4",
            r"foo\bar",
            r"foob\41r",
            r"\",
            r"\2",
            r"a\2F",
            r"\3D",
        ] {
            assert_eq!(escape(text), text);
            assert_eq!(unescape(text), text);
        }
    }

    #[test]
    fn a_backslash_is_protected_where_it_would_start_a_sequence() {
        for (text, escaped) in [
            (r"\3and\2is\5cool", r"\5c3and\2is\5c5cool"),
            (r"c:\5commas", r"c\3a\5c5commas"),
            (r"\\27", r"\\5c27"),
            (r"\/", r"\\2f"),
            (r"\5c27", r"\5c5c27"),
            (r"\5c5c", r"\5c5c5c"),
        ] {
            assert_eq!(escape(text), escaped);
            assert_eq!(unescape(escaped), text);
        }
    }

    #[test]
    fn an_idle_escape_of_a_backslash_is_not_canonical() {
        for (local, canonical) in [
            (r"c\3a\5cnet", false),
            (r"c\3a\net", true),
            (r"\5c27", true),
            (r"\5c", false),
            ("plain", true),
        ] {
            assert_eq!(is_canonical(local), canonical, "{local}");
        }
    }

    #[test]
    fn an_escaped_space_stands_inside_only() {
        assert!(has_inner_spaces_only(r"a\20b"));
        assert!(!has_inner_spaces_only(r"\20b"));
        assert!(!has_inner_spaces_only(r"a\20"));
        // a protected backslash before "20" is no space
        assert!(has_inner_spaces_only(r"a\5c20"));
    }

    proptest! {
        #[test]
        fn unescaping_undoes_escaping(text in r#"([ "&'/:<>@\\]|20|22|26|27|2f|3a|3c|3e|40|5c|[a-g2-5]|.){0,20}"#) {
            let escaped = escape(&text);
            prop_assert_eq!(unescape(&escaped), text);
            prop_assert!(is_canonical(&escaped));
            prop_assert!(!escaped.contains([' ', '"', '&', '\'', '/', ':', '<', '>', '@']));
        }
    }
}
