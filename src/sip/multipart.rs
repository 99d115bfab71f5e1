//! Bodies of several parts (RFC 2046 §5.1, RFC 5621), read strictly: what two readers could part differently is refused.
//!
//! They are written anew from what was read, without preamble, epilogue and fields that say nothing of the content.

use std::borrow::Cow;

use memchr::memmem;

use super::lex;
use crate::mime::MediaType;

/// A body of several parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipart<'t> {
    boundary: &'t str,
    parts: Vec<Part<'t>>,
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'t> {
    kind: MediaType,
    head: Vec<(&'t str, &'t str)>,
    body: Cow<'t, [u8]>,
}

/// Why a body is no sequence of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the parts of the body cannot be told apart")]
pub struct NoParts;

impl<'t> Multipart<'t> {
    /// Reads a body by the boundary of its media type.
    ///
    /// # Errors
    /// [`NoParts`].
    pub fn parse(kind: &'t MediaType, body: &'t [u8]) -> Result<Self, NoParts> {
        let boundary = kind.parameter("boundary").ok_or(NoParts)?;
        if boundary.is_empty()
            || boundary.len() > LONGEST_BOUNDARY
            || boundary.ends_with(' ')
            || !boundary.bytes().all(is_of_boundary)
        {
            return Err(NoParts);
        }
        let delimiter = format!("--{boundary}");
        let mut parts = Vec::new();
        // Where the part begins whose delimiter was read last.
        let mut open: Option<usize> = None;
        for at in memmem::find_iter(body, delimiter.as_bytes()) {
            let before = body.get(..at).ok_or(NoParts)?;
            if !before.is_empty() && !before.ends_with(b"\n") {
                continue;
            }
            let content_end = match (before.is_empty(), before.strip_suffix(b"\r\n")) {
                (true, _) => 0,
                (false, Some(content)) => content.len(),
                // A line that ends otherwise is one to some readers only.
                (false, None) => return Err(NoParts),
            };
            if let Some(start) = open {
                if parts.len() >= PARTS {
                    return Err(NoParts);
                }
                parts.push(Part::parse(body.get(start..content_end).ok_or(NoParts)?)?);
            }
            let after = at.saturating_add(delimiter.len());
            let rest = body.get(after..).ok_or(NoParts)?;
            if let Some(rest) = rest.strip_prefix(b"--") {
                let end = after_blanks(rest);
                // Who takes such a line for another reads on, and finds parts that were not seen here.
                let is_end = end.is_empty() || end.starts_with(b"\r\n");
                return match is_end && !parts.is_empty() {
                    true => Ok(Self { boundary, parts }),
                    false => Err(NoParts),
                };
            }
            let part = after_blanks(rest).strip_prefix(b"\r\n").ok_or(NoParts)?;
            open = Some(body.len().saturating_sub(part.len()));
        }
        Err(NoParts)
    }

    /// The parts in their order.
    #[must_use]
    pub fn parts(&self) -> &[Part<'t>] {
        &self.parts
    }

    /// The parts, to change.
    pub fn parts_mut(&mut self) -> &mut [Part<'t>] {
        &mut self.parts
    }

    /// The body; `None` where a part has come to hold the boundary.
    #[must_use]
    pub fn written(&self) -> Option<Vec<u8>> {
        let delimiter = format!("--{}", self.boundary);
        let mut octets = Vec::new();
        for part in &self.parts {
            if memmem::find(&part.body, delimiter.as_bytes()).is_some() {
                return None;
            }
            octets.extend_from_slice(format!("{delimiter}\r\n").as_bytes());
            for (name, value) in &part.head {
                octets.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            octets.extend_from_slice(b"\r\n");
            octets.extend_from_slice(&part.body);
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(format!("{delimiter}--\r\n").as_bytes());
        Some(octets)
    }
}

impl<'t> Part<'t> {
    fn parse(octets: &'t [u8]) -> Result<Self, NoParts> {
        let (head, body) = if let Some(body) = octets.strip_prefix(b"\r\n") {
            (&b""[..], body)
        } else {
            let end = memmem::find(octets, b"\r\n\r\n").ok_or(NoParts)?;
            let (head, rest) = octets.split_at_checked(end).ok_or(NoParts)?;
            (head, rest.strip_prefix(b"\r\n\r\n").ok_or(NoParts)?)
        };
        let head = std::str::from_utf8(head).map_err(|_| NoParts)?;
        let mut known = Vec::new();
        for line in head.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(NoParts)?;
            let value = value.trim_matches(lex::BLANK);
            if !lex::is_token_text(name) || value.bytes().any(lex::is_control) {
                return Err(NoParts);
            }
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if known.iter().any(|(other, _): &(&str, &str)| is(other)) {
                return Err(NoParts);
            }
            if FIELDS.iter().any(|field| is(field)) {
                known.push((name, value));
            }
        }
        let field = |wanted: &str| known.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let kind = match field("Content-Type") {
            Some((_, value)) => MediaType::parse(value).map_err(|_| NoParts)?,
            None => MediaType::plain("text", "plain"),
        };
        Ok(Self {
            kind,
            head: known,
            body: Cow::Borrowed(body),
        })
    }

    /// What it says it is.
    #[must_use]
    pub const fn kind(&self) -> &MediaType {
        &self.kind
    }

    /// The fields of its head that are kept.
    pub fn fields(&self) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.head.iter().copied()
    }

    /// The value of a field of its head.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'t str> {
        let mut fields = self.head.iter();
        fields
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Its content.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Puts another content of the same media type in place of this one.
    pub fn set_body(&mut self, body: Vec<u8>) {
        self.body = Cow::Owned(body);
    }
}

fn after_blanks(octets: &[u8]) -> &[u8] {
    let blanks = octets
        .iter()
        .take_while(|b| lex::BLANK.contains(&char::from(**b)))
        .count();
    octets.get(blanks..).unwrap_or_default()
}

/// RFC 2046 §5.1.1 (`bchars`): others are quoted, and not by all readers alike.
fn is_of_boundary(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&octet)
}

/// RFC 2046 §5.1.1.
const LONGEST_BOUNDARY: usize = 70;

/// Honest bodies have a few.
const PARTS: usize = 32;

/// What of a part's head speaks of its content.
const FIELDS: [&str; 5] = [
    "Content-Type",
    "Content-Disposition",
    "Content-ID",
    "Content-Language",
    "Content-Transfer-Encoding",
];

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "preamble\r\n--b\r\nContent-Type: text/plain\r\nX-Place: 10.0.0.9\r\n\r\nhello\r\n--b \r\n\r\nsecond\r\nline\r\n--b--\r\nepilogue";

    fn kind() -> MediaType {
        MediaType::parse("multipart/mixed;boundary=b").unwrap()
    }

    #[test]
    fn parts_are_read_and_written_anew() {
        let kind = kind();
        let mut parts = Multipart::parse(&kind, TWO.as_bytes()).unwrap();
        let seen: Vec<_> = parts
            .parts()
            .iter()
            .map(|part| (part.kind().to_string(), part.body()))
            .collect();
        assert_eq!(
            seen,
            [
                ("text/plain".to_owned(), &b"hello"[..]),
                ("text/plain".to_owned(), b"second\r\nline")
            ]
        );
        let written =
            "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n\r\nsecond\r\nline\r\n--b--\r\n";
        assert_eq!(parts.written().unwrap(), written.as_bytes());
        assert_eq!(
            Multipart::parse(&kind, written.as_bytes()).unwrap(),
            parts,
            "and read again"
        );
        parts.parts_mut()[0].set_body(b"x--b".to_vec());
        assert_eq!(parts.written(), None, "no part can come to end another");
    }

    #[test]
    fn what_two_readers_could_part_differently_is_no_sequence_of_parts() {
        for body in [
            "",
            "hello",
            "--b--\r\n",
            "--b\r\n\r\nhello",
            "--b\r\n\r\nhello\n--b--\r\n",
            "--b\r\n\r\nhello\r\n--bb\r\n\r\nx\r\n--b--",
            "--b\n\nhello\r\n--b--",
            "--b\r\n\r\nhello\r\n--b--junk\r\n\r\nother\r\n--b--\r\n",
            "--b\r\n\r\nhello\r\n--b--\nother",
            "--b\r\n\r\nhello\r\n--b-- \t-",
            "--b\r\nno field\r\n\r\nhello\r\n--b--",
            "--b\r\nContent-Type: text/plain\r\ncontent-type: text/html\r\n\r\nhello\r\n--b--",
            "--b\r\nContent-Type: text\r\n\r\nhello\r\n--b--",
            "--b\r\nContent-Type: text/plain\r\n folded=1\r\n\r\nhello\r\n--b--",
            "--b\r\nContent-ID: a\0b\r\n\r\nhello\r\n--b--",
            "--b\r\nContent-ID: a\r\n--b--",
        ] {
            assert_eq!(
                Multipart::parse(&kind(), body.as_bytes()),
                Err(NoParts),
                "{body:?}"
            );
        }
        let many = "--b\r\n\r\nx\r\n".repeat(33) + "--b--";
        assert_eq!(Multipart::parse(&kind(), many.as_bytes()), Err(NoParts));
        for other in ["multipart/mixed", r#"multipart/mixed;boundary="b\"""#] {
            let other = MediaType::parse(other).unwrap();
            let body = TWO.replace("--b", "--b\"");
            assert_eq!(Multipart::parse(&other, body.as_bytes()), Err(NoParts), "{other}");
        }
        assert!(Multipart::parse(&kind(), b"--b\r\n\r\nhello\r\n--b-- \t\r\nother").is_ok());
    }
}
