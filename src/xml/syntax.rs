//! Character classes of XML 1.0 (fifth edition) and of Namespaces in XML 1.0, and references.
//!
//! Productions: S \[3\], Char \[2\], NCName \[4\], CharRef \[66\], and the normalisation of line ends and attribute
//! values (§2.11, §3.3.3).

use std::borrow::Cow;

use super::error::{Construct, Rule, XmlError};

/// White space as XML counts it.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// A character that XML 1.0 can carry.
pub(super) const fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

/// Whether every character is one that XML 1.0 can carry.
pub(super) fn is_clean(text: &str) -> bool {
    let mut control = false;
    let mut wide = false;
    // No early exit, so that the compiler can take many octets at a time.
    for byte in text.bytes() {
        control |= byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
        // Only U+FFFE and U+FFFF are left to find, and both begin with 0xEF.
        wide |= byte == 0xEF;
    }
    !control && (!wide || text.chars().all(is_char))
}

/// The text with U+FFFD in the place of every character that XML 1.0 cannot carry.
pub(super) fn cleaned(text: Cow<'_, str>) -> Cow<'_, str> {
    if is_clean(&text) {
        return text;
    }
    Cow::Owned(
        text.chars()
            .map(|c| {
                if is_char(c) {
                    c
                } else {
                    char::REPLACEMENT_CHARACTER
                }
            })
            .collect(),
    )
}

/// A name without a colon.
pub(super) fn is_ncname(name: &str) -> bool {
    let mut bytes = name.bytes();
    let Some(first) = bytes.next() else { return false };
    if matches!(first, b'a'..=b'z' | b'A'..=b'Z' | b'_')
        && bytes.all(|b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' | b'-' | b'.'))
    {
        return true;
    }
    let mut chars = name.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

/// A name with `_` in the place of every character that a name cannot hold.
pub(super) fn mangled(name: &str) -> Cow<'_, str> {
    if is_ncname(name) {
        return Cow::Borrowed(name);
    }
    let mut clean = String::with_capacity(name.len().saturating_add(1));
    for c in name.chars() {
        if clean.is_empty() && !is_name_start(c) {
            clean.push('_');
            if !is_name_char(c) {
                continue;
            }
        }
        clean.push(if is_name_char(c) { c } else { '_' });
    }
    if clean.is_empty() {
        clean.push('_');
    }
    Cow::Owned(clean)
}

/// What stands between `&` and `;`: one of the five predefined entities, or a character reference.
pub(super) fn resolve(reference: &str) -> Result<char, XmlError> {
    match reference {
        "amp" => return Ok('&'),
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => {}
    }
    let Some(number) = reference.strip_prefix('#') else {
        return Err(if is_ncname(reference) {
            XmlError::Restricted(Construct::Entity)
        } else {
            XmlError::NotWellFormed(Rule::Reference)
        });
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // `from_str_radix` would take a sign.
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(XmlError::NotWellFormed(Rule::Reference));
    }
    u32::from_str_radix(digits, radix)
        .ok()
        .and_then(char::from_u32)
        .filter(|c| is_char(*c))
        .ok_or(XmlError::NotWellFormed(Rule::Character))
}

/// The value of an attribute: references resolved, line ends and white space normalised to spaces (XML 1.0 §3.3.3).
pub(super) fn attribute_value(raw: &str) -> Result<Cow<'_, str>, XmlError> {
    if !is_clean(raw) {
        return Err(XmlError::NotWellFormed(Rule::Character));
    }
    // Of the control characters only these three are left.
    if !raw
        .bytes()
        .fold(false, |found, b| found | (b < b' ') | (b == b'&'))
    {
        return Ok(Cow::Borrowed(raw));
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        value.push_str(plain);
        rest = if let Some(tail) = tail.strip_prefix('&') {
            let (reference, tail) = tail
                .split_once(';')
                .ok_or(XmlError::NotWellFormed(Rule::Reference))?;
            value.push(resolve(reference)?);
            tail
        } else {
            value.push(' ');
            // A carriage return and the line feed after it are one line end.
            tail.strip_prefix("\r\n")
                .or_else(|| tail.strip_prefix(['\t', '\n', '\r']))
                .unwrap_or("")
        };
    }
    value.push_str(rest);
    Ok(Cow::Owned(value))
}

/// Character data with its line ends normalised (XML 1.0 §2.11).
pub(super) fn text_value(raw: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\r', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n"))
}

/// NameStartChar without U+FDF0 to U+FFFD: compatibility forms and the byte order mark, which would let two names look
/// alike; rxml refuses them too.
const fn is_name_start(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
        | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{10000}'..='\u{EFFFF}')
}

const fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_xml_can_carry_is_clean() {
        for (text, clean) in [
            ("", true),
            ("a\tb\r\nc é 😀 \u{FFFD} \u{7F} \u{85}", true),
            ("\u{0}", false),
            ("a\u{1B}b", false),
            ("\u{FFFE}", false),
            ("\u{FFFF}", false),
            ("\u{EFFF}", true),
        ] {
            assert_eq!(is_clean(text), clean, "{text:?}");
            assert!(is_clean(&cleaned(Cow::Borrowed(text))), "{text:?}");
        }
    }

    #[test]
    fn names_follow_the_production() {
        for (name, fine) in [
            ("a", true),
            ("_a-b.c9", true),
            ("é·", true),
            ("", false),
            ("1a", false),
            ("-a", false),
            (".a", false),
            ("a:b", false),
            (":a", false),
            ("a b", false),
            ("a/b", false),
            ("·a", false),
            ("a\u{FFFE}", false),
            ("a\u{FEFF}", false),
            ("a\u{FF42}", false),
        ] {
            assert_eq!(is_ncname(name), fine, "{name:?}");
            assert!(is_ncname(&mangled(name)), "{name:?}");
        }
    }

    #[test]
    fn references_resolve_or_say_why_not() {
        let bad = Err(XmlError::NotWellFormed(Rule::Reference));
        let forbidden = Err(XmlError::NotWellFormed(Rule::Character));
        for (reference, result) in [
            ("amp", Ok('&')),
            ("#65", Ok('A')),
            ("#x41", Ok('A')),
            ("#x1F600", Ok('😀')),
            ("#00000000000000000065", Ok('A')),
            ("nbsp", Err(XmlError::Restricted(Construct::Entity))),
            ("AMP", Err(XmlError::Restricted(Construct::Entity))),
            ("", bad),
            ("#", bad),
            ("#x", bad),
            ("#X41", bad),
            ("#+65", bad),
            ("#6_5", bad),
            ("#0", forbidden),
            ("#xD800", forbidden),
            ("#xFFFE", forbidden),
            ("#x110000", forbidden),
            ("#99999999999999999999", forbidden),
        ] {
            assert_eq!(resolve(reference), result, "{reference:?}");
        }
    }

    #[test]
    fn white_space_is_normalised_as_xml_says() {
        assert_eq!(
            attribute_value("a\r\nb\tc\rd\ne&#10;f").as_deref(),
            Ok("a b c d e\nf")
        );
        assert_eq!(text_value("a\r\nb\rc\n"), "a\nb\nc\n");
    }
}
