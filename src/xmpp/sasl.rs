//! SASL EXTERNAL between servers: the one mechanism, its authorization identity, and the elements of the exchange.
//!
//! No other mechanism is offered or used: between servers a certificate or dialback proves a domain, never a password.
//!
//! RFC 6120 §6 (exchange, errors), RFC 4422 appendix A (EXTERNAL), XEP-0178 §3 (authorization identity).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::Domain;
use crate::xml::Element;
use crate::xmpp::{Jid, ns};

/// Why an attempt fails (RFC 6120 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Failure {
    Aborted,
    EncryptionRequired,
    IncorrectEncoding,
    InvalidAuthzid,
    InvalidMechanism,
    MalformedRequest,
}

impl Failure {
    pub(super) fn element(self) -> Element {
        let name = match self {
            Self::Aborted => "aborted",
            Self::EncryptionRequired => "encryption-required",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
        };
        Element::new("failure", ns::SASL).with_child(Element::new(name, ns::SASL))
    }
}

/// What the peer asks to act as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Response {
    /// Nothing was sent: the initial response is missing and must be asked for.
    Missing,
    /// As whoever its certificate says: `=`.
    Own,
    /// As that domain.
    As(Domain),
}

/// Reads the content of `<auth/>` or `<response/>`.
pub(super) fn read_response(element: &Element) -> Result<Response, Failure> {
    let text = element.text();
    // RFC 6120 §6.4.2: "=" is the empty response; no text at all is no response.
    match text.as_ref() {
        "" => return Ok(Response::Missing),
        "=" => return Ok(Response::Own),
        _ => {}
    }
    let octets = STANDARD
        .decode(text.as_bytes())
        .map_err(|_| Failure::IncorrectEncoding)?;
    let identity = std::str::from_utf8(&octets).map_err(|_| Failure::InvalidAuthzid)?;
    Domain::parse(identity)
        .map(Response::As)
        .map_err(|_| Failure::InvalidAuthzid)
}

/// `<auth/>` for EXTERNAL, as that domain.
///
/// RFC 6120 §6.3.8 would leave out the name that the header gives already; XEP-0178 §3 wants it, and servers exist that
/// accept nothing else.
pub(super) fn auth(domain: &Domain) -> Element {
    let identity = Jid::from(domain.clone()).to_string();
    Element::new("auth", ns::SASL)
        .with_attribute("mechanism", EXTERNAL)
        .with_text(&STANDARD.encode(identity))
}

/// The feature that offers EXTERNAL.
pub(super) fn mechanisms() -> Element {
    Element::new("mechanisms", ns::SASL).with_child(Element::new("mechanism", ns::SASL).with_text(EXTERNAL))
}

/// Whether a `<mechanisms/>` feature offers EXTERNAL.
pub(super) fn offers_external(mechanisms: &Element) -> bool {
    mechanisms
        .children()
        .any(|child| child.is("mechanism", ns::SASL) && child.text() == EXTERNAL)
}

/// The mechanism's name.
pub(super) const EXTERNAL: &str = "EXTERNAL";

#[cfg(test)]
mod tests {
    use super::*;

    fn response(text: &str) -> Result<Response, Failure> {
        read_response(&Element::new("auth", ns::SASL).with_text(text))
    }

    #[test]
    fn every_way_to_write_an_identity_is_read_or_refused() {
        let domain = Domain::parse("conference.example.org").unwrap();
        assert_eq!(response(""), Ok(Response::Missing));
        assert_eq!(response("="), Ok(Response::Own));
        assert_eq!(
            response("Y29uZmVyZW5jZS5leGFtcGxlLm9yZw=="),
            Ok(Response::As(domain.clone()))
        );
        assert_eq!(read_response(&auth(&domain)), Ok(Response::As(domain)));
        for (text, why) in [
            ("Y29u*", Failure::IncorrectEncoding),
            ("Y29uZg=", Failure::IncorrectEncoding),
            ("Y29uZg", Failure::IncorrectEncoding),
            (" Y29uZg==", Failure::IncorrectEncoding),
            ("//79", Failure::InvalidAuthzid),
            ("YUBiLmV4YW1wbGU=", Failure::InvalidAuthzid),
            ("YS5leGFtcGxlAGIuZXhhbXBsZQ==", Failure::InvalidAuthzid),
            // XEP-0178's own example ends in a line feed.
            ("Y29uZmVyZW5jZS5leGFtcGxlLm9yZwo=", Failure::InvalidAuthzid),
        ] {
            assert_eq!(response(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn external_is_found_among_mechanisms() {
        assert!(offers_external(&mechanisms()));
        let plain = Element::new("mechanisms", ns::SASL)
            .with_child(Element::new("mechanism", ns::SASL).with_text("PLAIN"))
            .with_child(Element::new("mechanism", "urn:other").with_text("EXTERNAL"));
        assert!(!offers_external(&plain));
    }
}
