//! What stands between stanzas and is no white space: each kind of it has the stream error that names it.

use crate::xml::error::{Rule, XmlError};
use crate::xml::syntax::is_char;

/// The fault of text between stanzas, by what it begins with; `None` where it is cut off before that can be told.
//= rfc6120#4.9.3.22
//# has otherwise improperly encoded the stream (e.g., by violating the rules of the [UTF-8] encoding)
//= rfc6120#4.9.3.13
//# has sent XML that violates the well-formedness rules
pub(super) fn fault(rest: &[u8]) -> Option<XmlError> {
    if rest.starts_with(SECTION_END) {
        return Some(XmlError::NotWellFormed(Rule::SectionEnd));
    }
    if SECTION_END.starts_with(rest) {
        return None;
    }
    let begin = rest.get(..LONGEST_CHARACTER).unwrap_or(rest);
    let first = match str::from_utf8(begin) {
        Ok(text) => text.chars().next(),
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => return None,
        Err(error) => {
            let valid = begin.get(..error.valid_up_to()).unwrap_or_default();
            str::from_utf8(valid).unwrap_or_default().chars().next()
        }
    };
    Some(match first {
        Some(character) if is_char(character) => XmlError::StrayText,
        Some(_) => XmlError::NotWellFormed(Rule::Character),
        None => XmlError::Encoding,
    })
}

const SECTION_END: &[u8] = b"]]>";
/// Octets of the longest character of UTF-8.
const LONGEST_CHARACTER: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stray_text_is_named_by_what_it_begins_with_however_it_is_cut() {
        for (text, fault_of_it) in [
            (&b"text"[..], XmlError::StrayText),
            (b"]", XmlError::StrayText),
            (b"]]a", XmlError::StrayText),
            ("\u{e9}".as_bytes(), XmlError::StrayText),
            ("\u{1f600}".as_bytes(), XmlError::StrayText),
            (b"a\xff", XmlError::StrayText),
            (b"]]>", XmlError::NotWellFormed(Rule::SectionEnd)),
            (b"\0", XmlError::NotWellFormed(Rule::Character)),
            (b"\x1b", XmlError::NotWellFormed(Rule::Character)),
            ("\u{ffff}".as_bytes(), XmlError::NotWellFormed(Rule::Character)),
            (b"\xc3\x28", XmlError::Encoding),
            (b"\xff", XmlError::Encoding),
            (b"\x80", XmlError::Encoding),
            (b"\xc0\xaf", XmlError::Encoding),
            (b"\xed\xa0\x80", XmlError::Encoding),
            (b"\xf0\x9f\x98a", XmlError::Encoding),
        ] {
            let whole = [text, b"<a/>"].concat();
            assert_eq!(fault(&whole), Some(fault_of_it), "{text:?}");
            for cut in 1..whole.len() {
                let begin = fault(&whole[..cut]);
                assert!(
                    begin.is_none() || begin == Some(fault_of_it),
                    "{text:?} cut at {cut}"
                );
            }
        }
    }
}
