//! Names of header fields: which have a type of their own, which have a compact form (RFC 3261 §7.3.1, §7.3.3, §20).

use std::fmt;

use super::error::Flaw;
use super::lex;

/// The header fields that are parsed into types of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the header fields themselves")]
pub enum Field {
    Via,
    From,
    To,
    CallId,
    CSeq,
    MaxForwards,
    Contact,
    Route,
    RecordRoute,
    ContentType,
    ContentLength,
    Expires,
    Date,
    Event,
    SubscriptionState,
}

/// The name of any other header field; compared without regard to case.
///
/// A name that the RFCs know is kept in their spelling, whatever the peer's and also where it came in its compact form.
#[derive(Debug, Clone)]
pub struct HeaderName(Spelling);

#[derive(Debug, Clone)]
enum Spelling {
    Registered(&'static str),
    Extension(Box<str>),
}

/// What a name on the wire stands for.
#[derive(Debug)]
pub(super) enum Kind {
    Typed(Field),
    Other(HeaderName),
}

impl Field {
    /// The name in its long form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Via => "Via",
            Self::From => "From",
            Self::To => "To",
            Self::CallId => "Call-ID",
            Self::CSeq => "CSeq",
            Self::MaxForwards => "Max-Forwards",
            Self::Contact => "Contact",
            Self::Route => "Route",
            Self::RecordRoute => "Record-Route",
            Self::ContentType => "Content-Type",
            Self::ContentLength => "Content-Length",
            Self::Expires => "Expires",
            Self::Date => "Date",
            Self::Event => "Event",
            Self::SubscriptionState => "Subscription-State",
        }
    }

    /// Whether the values have display names, where the grammar lets control characters stand escaped.
    pub(super) const fn has_display_name(self) -> bool {
        match self {
            Self::From | Self::To | Self::Contact => true,
            Self::Via
            | Self::Route
            | Self::RecordRoute
            | Self::CallId
            | Self::CSeq
            | Self::MaxForwards
            | Self::ContentType
            | Self::ContentLength
            | Self::Expires
            | Self::Date
            | Self::Event
            | Self::SubscriptionState => false,
        }
    }

    /// Whether the field may stand only once.
    pub(super) const fn is_single(self) -> bool {
        match self {
            Self::From
            | Self::To
            | Self::CallId
            | Self::CSeq
            | Self::MaxForwards
            | Self::ContentType
            | Self::ContentLength
            | Self::Expires
            | Self::Date
            | Self::Event
            | Self::SubscriptionState => true,
            Self::Via | Self::Contact | Self::Route | Self::RecordRoute => false,
        }
    }
}

impl HeaderName {
    /// Reads a name, long or compact.
    ///
    /// # Errors
    /// [`Flaw::Token`] where it is no token; [`Flaw::TypedField`] where the field has a type of its own.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        match classify(text)? {
            Kind::Typed(_) => Err(Flaw::TypedField),
            Kind::Other(name) => Ok(name),
        }
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Spelling::Registered(name) => name,
            Spelling::Extension(name) => name,
        }
    }

    /// Whether this is `name`, in long form and any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.as_str().eq_ignore_ascii_case(name)
    }
}

/// Says what a name stands for.
pub(super) fn classify(text: &str) -> Result<Kind, Flaw> {
    if let [letter] = text.as_bytes() {
        return compact(letter.to_ascii_lowercase(), text);
    }
    if let Some(field) = TYPED
        .iter()
        .find(|field| field.as_str().eq_ignore_ascii_case(text))
    {
        return Ok(Kind::Typed(*field));
    }
    let spelling = match REGISTERED.iter().find(|name| name.eq_ignore_ascii_case(text)) {
        Some(name) => Spelling::Registered(name),
        None if lex::is_token_text(text) => Spelling::Extension(text.into()),
        None => return Err(Flaw::Token),
    };
    Ok(Kind::Other(HeaderName(spelling)))
}

/// The compact forms of RFC 3261 §7.3.3 and of the RFCs that added more.
fn compact(letter: u8, text: &str) -> Result<Kind, Flaw> {
    let name = match letter {
        b'c' => return Ok(Kind::Typed(Field::ContentType)),
        b'f' => return Ok(Kind::Typed(Field::From)),
        b'i' => return Ok(Kind::Typed(Field::CallId)),
        b'l' => return Ok(Kind::Typed(Field::ContentLength)),
        b'm' => return Ok(Kind::Typed(Field::Contact)),
        b'o' => return Ok(Kind::Typed(Field::Event)),
        b't' => return Ok(Kind::Typed(Field::To)),
        b'v' => return Ok(Kind::Typed(Field::Via)),
        b'a' => "Accept-Contact",
        b'b' => "Referred-By",
        b'd' => "Request-Disposition",
        b'e' => "Content-Encoding",
        b'j' => "Reject-Contact",
        b'k' => "Supported",
        b'n' => "Identity-Info",
        b'r' => "Refer-To",
        b's' => "Subject",
        b'u' => "Allow-Events",
        b'x' => "Session-Expires",
        b'y' => "Identity",
        _ if lex::is_token_text(text) => {
            return Ok(Kind::Other(HeaderName(Spelling::Extension(text.into()))));
        }
        _ => return Err(Flaw::Token),
    };
    Ok(Kind::Other(HeaderName(Spelling::Registered(name))))
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.as_str())
    }
}

impl Eq for HeaderName {}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// In the order of how often they come.
const TYPED: [Field; 15] = [
    Field::Via,
    Field::From,
    Field::To,
    Field::CallId,
    Field::CSeq,
    Field::ContentLength,
    Field::MaxForwards,
    Field::Contact,
    Field::ContentType,
    Field::RecordRoute,
    Field::Route,
    Field::Expires,
    Field::Event,
    Field::SubscriptionState,
    Field::Date,
];

const REGISTERED: [&str; 54] = [
    "User-Agent",
    "Server",
    "Allow",
    "Supported",
    "Require",
    "Proxy-Require",
    "Unsupported",
    "Subject",
    "Accept",
    "Allow-Events",
    "Retry-After",
    "Warning",
    "Reason",
    "Session-Expires",
    "Min-SE",
    "Min-Expires",
    "SIP-ETag",
    "SIP-If-Match",
    "Suppress-If-Match",
    "Accept-Encoding",
    "Accept-Language",
    "Accept-Contact",
    "Reject-Contact",
    "Request-Disposition",
    "Alert-Info",
    "Authentication-Info",
    "Authorization",
    "Call-Info",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Error-Info",
    "History-Info",
    "Identity",
    "Identity-Info",
    "In-Reply-To",
    "Join",
    "Max-Breadth",
    "MIME-Version",
    "Organization",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Path",
    "Priority",
    "Privacy",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "Reply-To",
    "Service-Route",
    "Timestamp",
    "WWW-Authenticate",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_and_long_names_in_any_case_mean_the_same() {
        for (text, name) in [
            ("s", "Subject"),
            ("K", "Supported"),
            ("sUBJECT", "Subject"),
            ("e", "Content-Encoding"),
            ("q", "q"),
            ("X-My-Own", "X-My-Own"),
            ("!", "!"),
        ] {
            assert_eq!(HeaderName::parse(text).unwrap().as_str(), name, "{text:?}");
        }
        for (text, field) in [
            ("v", Field::Via),
            ("VIA", Field::Via),
            ("F", Field::From),
            ("t", Field::To),
            ("i", Field::CallId),
            ("m", Field::Contact),
            ("c", Field::ContentType),
            ("l", Field::ContentLength),
            ("o", Field::Event),
            ("call-id", Field::CallId),
        ] {
            assert!(
                matches!(classify(text), Ok(Kind::Typed(found)) if found == field),
                "{text:?}"
            );
            assert_eq!(HeaderName::parse(text), Err(Flaw::TypedField));
        }
        for text in ["", "a b", "a:", "ä", ":"] {
            assert_eq!(HeaderName::parse(text), Err(Flaw::Token), "{text:?}");
        }
    }

    #[test]
    fn every_typed_field_is_found_by_its_own_name() {
        for field in TYPED {
            assert!(matches!(classify(field.as_str()), Ok(Kind::Typed(found)) if found == field));
        }
    }
}
