//! A long text in pieces: cut after a paragraph, else after a line, else after a word, else between two characters as
//! people see them (grapheme clusters, UAX #29), and only where one of these is too long itself, between two of Unicode's.

use icu_properties::props::{ExtendedPictographic, GraphemeClusterBreak};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The pieces of a text, none of which takes more than `room` octets when LF is written as CRLF. Only white space at
/// the cuts is left out.
pub(super) fn pieces(text: &str, room: usize) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_matches('\n');
    std::iter::from_fn(move || {
        if rest.trim().is_empty() {
            return None;
        }
        let (piece, tail) = cut(rest, room)?;
        rest = tail.trim_start_matches('\n');
        Some(piece)
    })
    .filter(|piece| !piece.trim().is_empty())
}

/// The first piece and what follows it.
fn cut(text: &str, room: usize) -> Option<(&str, &str)> {
    let end = fitting(text, room);
    if end == text.len() {
        return Some((text.trim_end_matches('\n'), ""));
    }
    let head = text.get(..end)?;
    // A cut that leaves less than half of the room would make many messages of one.
    let far = |at: usize| at >= end / 2;
    let at = [head.rfind("\n\n"), head.rfind('\n')]
        .into_iter()
        .flatten()
        .chain(head.rfind(' ').map(|at| at.saturating_add(1)))
        .find(|at| far(*at) && *at > 0);
    let at = match at {
        Some(at) => at,
        None => last_boundary(text, end),
    };
    let (piece, rest) = text.split_at_checked(at)?;
    Some((piece.trim_end_matches('\n'), rest))
}

/// The octets of a text's beginning that take no more than `room` with CRLF; at least one character.
fn fitting(text: &str, room: usize) -> usize {
    let mut taken = 0_usize;
    for (at, c) in text.char_indices() {
        taken = taken
            .saturating_add(c.len_utf8())
            .saturating_add(usize::from(c == '\n'));
        if taken > room && at > 0 {
            return at;
        }
    }
    text.len()
}

/// The last boundary between two grapheme clusters at or before `end`; `end` itself where there is none.
fn last_boundary(text: &str, end: usize) -> usize {
    let classes = CodePointMapData::<GraphemeClusterBreak>::new();
    let pictures = CodePointSetData::new::<ExtendedPictographic>();
    let mut last = 0;
    let mut before = None;
    // Regional indicators come in pairs, and a picture may be joined to the one before it.
    let mut flags = 0_usize;
    let mut picture = Picture::None;
    for (at, c) in text.char_indices() {
        if at > end {
            break;
        }
        let class = classes.get(c);
        let joined = picture == Picture::Joined && pictures.contains(c);
        if let Some(before) = before
            && !is_kept_together(before, class, joined, flags)
        {
            last = at;
        }
        flags = match class {
            GraphemeClusterBreak::RegionalIndicator => flags.saturating_add(1),
            _ => 0,
        };
        picture = match (picture, class) {
            _ if pictures.contains(c) => Picture::Seen,
            (Picture::Seen, GraphemeClusterBreak::Extend) => Picture::Seen,
            (Picture::Seen, GraphemeClusterBreak::ZWJ) => Picture::Joined,
            _ => Picture::None,
        };
        before = Some(class);
    }
    if last == 0 { end } else { last }
}

/// How far a sequence of joined pictures has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Picture {
    None,
    Seen,
    Joined,
}

/// Rules GB3 to GB13 of UAX #29.
fn is_kept_together(
    before: GraphemeClusterBreak,
    after: GraphemeClusterBreak,
    joined: bool,
    flags: usize,
) -> bool {
    type G = GraphemeClusterBreak;
    match (before, after) {
        (G::CR, G::LF) => true,
        (G::Control | G::CR | G::LF, _) | (_, G::Control | G::CR | G::LF) => false,
        (G::L, G::L | G::V | G::LV | G::LVT) | (G::LV | G::V, G::V | G::T) | (G::LVT | G::T, G::T) => true,
        (_, G::Extend | G::ZWJ | G::SpacingMark) | (G::Prepend, _) => true,
        (G::RegionalIndicator, G::RegionalIndicator) => flags % 2 == 1,
        _ => joined,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, room: usize) -> Vec<&str> {
        pieces(text, room).collect()
    }

    #[test]
    fn cuts_stand_where_people_would_cut() {
        for (text, room, expected) in [
            ("short", 10, vec!["short"]),
            ("", 10, vec![]),
            ("\n\n", 10, vec![]),
            ("one\n\ntwo\nthree", 12, vec!["one\n\ntwo", "three"]),
            ("para one\n\ntwo\nx", 14, vec!["para one", "two\nx"]),
            ("some words here", 11, vec!["some words ", "here"]),
            ("abcdefghij", 4, vec!["abcd", "efgh", "ij"]),
            // LF takes two octets
            ("ab\ncd", 5, vec!["ab", "cd"]),
            ("ab\ncd", 6, vec!["ab\ncd"]),
            // clusters: an accent, Hangul, a flag, a family
            ("aae\u{301}x", 4, vec!["aa", "e\u{301}x"]),
            (
                "a\u{1112}\u{1161}\u{11AB}b",
                8,
                vec!["a", "\u{1112}\u{1161}", "\u{11AB}b"],
            ),
            (
                "a\u{1112}\u{1161}\u{11AB}b",
                9,
                vec!["a", "\u{1112}\u{1161}\u{11AB}", "b"],
            ),
            ("🇩🇪🇫🇷", 12, vec!["🇩🇪", "🇫🇷"]),
            (
                "a👨\u{200D}👩\u{200D}👧b",
                18,
                vec!["a", "👨\u{200D}👩\u{200D}👧", "b"],
            ),
        ] {
            assert_eq!(of(text, room), expected, "{text:?} {room}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_said_twice(text in "[a-c \n\u{301}漢👩\u{200D}🇩]{0,80}", room in 4_usize..40) {
            let dense = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            let parts = of(&text, room);
            prop_assert_eq!(dense(&parts.concat()), dense(&text));
            for part in parts {
                prop_assert!(part.replace('\n', "\r\n").len() <= room, "{:?}", part);
                prop_assert!(!part.trim().is_empty());
            }
        }
    }
}
