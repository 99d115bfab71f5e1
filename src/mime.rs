//! Media types (RFC 2045 §5.1, RFC 3261 §20.15): what a body says it is.

use std::borrow::Cow;
use std::fmt;

/// A media type with its parameters; type, subtype and parameter names are lowercase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    kind: Cow<'static, str>,
    subtype: Cow<'static, str>,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads `type/subtype;name=value`, with quoted values and blanks around `/`, `;` and `=`.
    ///
    /// # Errors
    /// [`MediaTypeError`] where the text is anything else.
    pub fn parse(text: &str) -> Result<Self, MediaTypeError> {
        let mut rest = text;
        let kind = token(&mut rest)?.to_ascii_lowercase();
        expect(&mut rest, '/')?;
        let subtype = token(&mut rest)?.to_ascii_lowercase();
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches(BLANK);
            if rest.is_empty() {
                return Ok(Self {
                    kind: Cow::Owned(kind),
                    subtype: Cow::Owned(subtype),
                    parameters,
                });
            }
            expect(&mut rest, ';')?;
            let name = token(&mut rest)?.to_ascii_lowercase();
            expect(&mut rest, '=')?;
            let value = match rest.trim_start_matches(BLANK).strip_prefix('"') {
                Some(inner) => {
                    rest = inner;
                    quoted(&mut rest)?
                }
                None => word(&mut rest, is_bare)?.to_owned(),
            };
            if parameters.iter().any(|(known, _)| *known == name) {
                return Err(MediaTypeError);
            }
            parameters.push((name, value));
        }
    }

    /// A type without parameters, from text that is known to be right.
    #[must_use]
    pub const fn plain(kind: &'static str, subtype: &'static str) -> Self {
        Self {
            kind: Cow::Borrowed(kind),
            subtype: Cow::Borrowed(subtype),
            parameters: Vec::new(),
        }
    }

    /// The same type with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether this is `kind/subtype`, whatever its parameters; both are given in lowercase.
    #[must_use]
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype == subtype
    }

    /// Whether this is `kind/` anything; it is given in lowercase.
    #[must_use]
    pub fn is_of(&self, kind: &str) -> bool {
        self.kind == kind
    }

    /// The type, in lowercase: `text`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The subtype, in lowercase: `plain`.
    #[must_use]
    pub fn subtype(&self) -> &str {
        &self.subtype
    }

    /// The value of a parameter, by its lowercase name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype)?;
        for (name, value) in &self.parameters {
            if !value.is_empty() && value.bytes().all(is_token) {
                write!(f, ";{name}={value}")?;
            } else {
                write!(
                    f,
                    ";{name}=\"{}\"",
                    value.replace('\\', "\\\\").replace('"', "\\\"")
                )?;
            }
        }
        Ok(())
    }
}

/// The text is not a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not a media type (type/subtype;name=value)")]
pub struct MediaTypeError;

fn token<'a>(rest: &mut &'a str) -> Result<&'a str, MediaTypeError> {
    word(rest, is_token)
}

fn word<'a>(rest: &mut &'a str, is_part: fn(u8) -> bool) -> Result<&'a str, MediaTypeError> {
    let text = rest.trim_start_matches(BLANK);
    let end = text.bytes().position(|b| !is_part(b)).unwrap_or(text.len());
    let (token, tail) = text.split_at_checked(end).ok_or(MediaTypeError)?;
    if token.is_empty() {
        return Err(MediaTypeError);
    }
    *rest = tail;
    Ok(token)
}

fn expect(rest: &mut &str, wanted: char) -> Result<(), MediaTypeError> {
    *rest = rest
        .trim_start_matches(BLANK)
        .strip_prefix(wanted)
        .ok_or(MediaTypeError)?;
    Ok(())
}

/// Reads to the closing quote; the opening one is already taken.
fn quoted(rest: &mut &str) -> Result<String, MediaTypeError> {
    let mut value = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next().ok_or(MediaTypeError)? {
            '"' => break,
            '\\' => value.push(chars.next().ok_or(MediaTypeError)?),
            c if c.is_control() && c != '\t' => return Err(MediaTypeError),
            c => value.push(c),
        }
    }
    *rest = chars.as_str();
    Ok(value)
}

/// RFC 3261 §25.1 `token`.
const fn is_token(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// What stands in values without quotes although it should have them: base64, as Microsoft's clients write their fonts.
const fn is_bare(b: u8) -> bool {
    is_token(b) || matches!(b, b'/' | b'=')
}

const BLANK: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_whatever_their_case_and_blanks() {
        let read = MediaType::parse("Text / Plain ; charset=\"UTF-8\" ;x=y").unwrap();
        assert!(read.is("text", "plain") && read.is_of("text") && !read.is_of("plain"));
        assert_eq!(read.parameter("charset"), Some("UTF-8"));
        assert_eq!(read.to_string(), "text/plain;charset=UTF-8;x=y");
        let bare = MediaType::parse("text/plain;msgr=WA/t+A==;x=1").unwrap();
        assert_eq!(bare.parameter("msgr"), Some("WA/t+A=="));
        assert_eq!(bare.to_string(), "text/plain;msgr=\"WA/t+A==\";x=1");
        let quoted = MediaType::parse(r#"multipart/mixed;boundary="a \"b""#).unwrap();
        assert_eq!(quoted.parameter("boundary"), Some("a \"b"));
        assert_eq!(MediaType::parse(&quoted.to_string()), Ok(quoted));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "text",
            "text/",
            "/plain",
            "text/plain;",
            "text/plain;x",
            "text/plain;x=",
            "a/b;x=\"y",
            "a/b c",
            "a/b;x=1;x=2",
        ] {
            assert_eq!(MediaType::parse(text), Err(MediaTypeError), "{text:?}");
        }
    }
}
