//! CSeq and Call-ID: what tells one request of a peer from another (RFC 3261 §8.1.1.4, §8.1.1.5).

use std::fmt;

use super::error::Flaw;
use super::lex::{self, Cursor};
use super::method::Method;

/// A sequence number below 2^31 with the method of the request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CSeq {
    number: u32,
    method: Method,
}

/// An identifier of a call or of a series of requests; compared octet by octet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(Box<str>);

impl CSeq {
    /// A sequence; the top bit of the number is cleared.
    ///
    //= rfc3261#8.1.1.5
    //# The sequence number value MUST be expressible as a 32-bit unsigned
    //# integer and MUST be less than 2**31.
    #[must_use]
    pub const fn new(number: u32, method: Method) -> Self {
        Self {
            number: number & MOST,
            method,
        }
    }

    /// Reads `1*DIGIT LWS Method`.
    ///
    /// # Errors
    /// The [`Flaw`] that was met first.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let mut cursor = Cursor::new(text);
        cursor.skip_blanks();
        let number = lex::number(cursor.take_while(|b| b.is_ascii_digit()), MOST)?;
        if !matches!(cursor.peek(), Some(b' ' | b'\t')) {
            return Err(Flaw::Number);
        }
        cursor.skip_blanks();
        let method = Method::parse(cursor.token()?)?;
        cursor.end()?;
        Ok(Self { number, method })
    }

    /// The number.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }
}

impl CallId {
    /// Reads `word [ "@" word ]`.
    ///
    /// # Errors
    /// [`Flaw::Token`].
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let mut cursor = Cursor::new(text);
        let is_word = !cursor.take_while(lex::is_word).is_empty();
        let has_host = cursor.take('@');
        let is_host = !cursor.take_while(lex::is_word).is_empty();
        if is_word && cursor.is_empty() && has_host == is_host {
            Ok(Self(text.into()))
        } else {
            Err(Flaw::Token)
        }
    }

    /// The identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const MOST: u32 = 0x7FFF_FFFF;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_read_up_to_their_last_number() {
        for (text, written) in [
            ("1 MESSAGE", "1 MESSAGE"),
            ("0009  INVITE", "9 INVITE"),
            ("0\tACK ", "0 ACK"),
            ("2147483647 BYE", "2147483647 BYE"),
        ] {
            assert_eq!(CSeq::parse(text).unwrap().to_string(), written);
        }
        for (text, flaw) in [
            ("2147483648 BYE", Flaw::Range),
            ("36893488147419103232 BYE", Flaw::Range),
            ("-1 BYE", Flaw::Number),
            ("+1 BYE", Flaw::Number),
            ("BYE", Flaw::Number),
            ("1BYE", Flaw::Number),
            ("1", Flaw::Number),
            ("1 ", Flaw::Token),
            ("1 BYE x", Flaw::Trailing),
        ] {
            assert_eq!(CSeq::parse(text), Err(flaw), "{text:?}");
        }
    }

    #[test]
    fn call_ids_are_one_or_two_words() {
        for text in ["a", "a@b", "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"] {
            assert_eq!(CallId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "@", "a@", "@b", "a@b@c", "a b", "a;b", "a,b", "a=b", "ä"] {
            assert!(CallId::parse(text).is_err(), "{text:?}");
        }
    }
}
