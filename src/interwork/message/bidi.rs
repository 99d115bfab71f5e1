//! Characters that change the direction of text (U+202A to U+202E, U+2066 to U+2069): in a line they could make a name or
//! a subject read as another, so there they go; in a text of many lines they have their use, so there each line ends what
//! it began and ends nothing else, and nothing around the text turns.
//!
//! The marks U+200E, U+200F and U+061C turn nothing, and stay.

use crate::limits::DIRECTION_DEPTH;

/// Whether a character begins or ends an embedding, an override or an isolate.
pub(in crate::interwork) const fn is_control(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The same text, each line of which ends what it begins (UAX #9, rules BD9, BD11 and P1). Doing it twice changes nothing.
pub(super) fn balanced(text: String) -> String {
    if !text.contains(is_control) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '\u{202A}' | '\u{202B}' | '\u{202D}' | '\u{202E}' => {
                begin(c, POP_DIRECTIONAL, &mut open, &mut out);
            }
            '\u{2066}'..='\u{2068}' => begin(c, POP_ISOLATE, &mut open, &mut out),
            POP_DIRECTIONAL if open.last() == Some(&POP_DIRECTIONAL) => {
                open.pop();
                out.push(c);
            }
            // The end of an isolate ends the embeddings in it.
            POP_ISOLATE if open.contains(&POP_ISOLATE) => {
                while let Some(end) = open.pop() {
                    out.push(end);
                    if end == POP_ISOLATE {
                        break;
                    }
                }
            }
            POP_DIRECTIONAL | POP_ISOLATE => {}
            '\n' | '\u{85}' | '\u{2029}' => {
                out.extend(open.drain(..).rev());
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.extend(open.drain(..).rev());
    out
}

fn begin(c: char, end: char, open: &mut Vec<char>, out: &mut String) {
    if open.len() < DIRECTION_DEPTH {
        open.push(end);
        out.push(c);
    }
}

const POP_DIRECTIONAL: char = '\u{202C}';
const POP_ISOLATE: char = '\u{2069}';

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_line_ends_what_it_begins_and_nothing_else() {
        for (text, kept) in [
            ("plain ü", "plain ü"),
            ("a\u{200F}b", "a\u{200F}b"),
            ("a\u{202E}b", "a\u{202E}b\u{202C}"),
            ("a\u{202E}b\u{202C}c", "a\u{202E}b\u{202C}c"),
            ("\u{2067}a\nb", "\u{2067}a\u{2069}\nb"),
            ("\u{202C}\u{2069}a", "a"),
            ("\u{2066}\u{202B}a\u{2069}b", "\u{2066}\u{202B}a\u{202C}\u{2069}b"),
            ("\u{2066}\u{202B}a\u{202C}b", "\u{2066}\u{202B}a\u{202C}b\u{2069}"),
            ("\u{202B}\u{2066}a\u{202C}b", "\u{202B}\u{2066}ab\u{2069}\u{202C}"),
            ("\u{202B}a\u{2069}b", "\u{202B}ab\u{202C}"),
        ] {
            assert_eq!(balanced(text.to_owned()), kept, "{text:?}");
        }
        let deep = balanced("\u{202E}".repeat(10_000));
        assert_eq!(deep.chars().count(), 2 * DIRECTION_DEPTH);
    }

    proptest! {
        #[test]
        fn what_is_balanced_stays_as_it_is(text in "[a\n\u{202A}-\u{202E}\u{2066}-\u{2069}]{0,20}") {
            let once = balanced(text);
            prop_assert_eq!(balanced(once.clone()), once);
        }
    }
}
