//! Percent-coding of URIs (RFC 3986 §2.1), to text and from it.

use std::borrow::Cow;

/// Decodes `%HH`; `None` where an escape is broken or the result is not UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        out.push(u8::try_from((high << 4) | low).ok()?);
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// Encodes all but `unreserved` of RFC 3986.
pub fn encode(text: &str, out: &mut String) {
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            let digit = |n: u8| {
                char::from_digit(u32::from(n), 16)
                    .unwrap_or('0')
                    .to_ascii_uppercase()
            };
            out.extend(['%', digit(b >> 4), digit(b & 0xF)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_text_or_nothing() {
        for (text, decoded) in [
            ("", Some("")),
            ("a%20b%C3%bc", Some("a bü")),
            ("%00", Some("\0")),
            ("%2541", Some("%41")),
            ("%", None),
            ("%4", None),
            ("%G0", None),
            ("%+1", None),
            ("%FF", None),
        ] {
            assert_eq!(decode(text).as_deref(), decoded, "{text}");
        }
    }

    #[test]
    fn all_but_the_unreserved_is_encoded() {
        let mut out = String::new();
        encode("aZ9-._~/ %ü", &mut out);
        assert_eq!(out, "aZ9-._~%2F%20%25%C3%BC");
        assert_eq!(decode(&out).as_deref(), Some("aZ9-._~/ %ü"));
    }
}
