//! The stanza reader: what it lets through it reads again as the same, in every content namespace, and its answers are
//! stanzas to the sender.

use vestibule::limits::XmlLimits;
use vestibule::xml::{self, write};
use vestibule::xmpp::error::{Condition, StanzaError};
use vestibule::xmpp::stanza::{BadStanza, Kind};
use vestibule::xmpp::{Jid, Stanza, ns};

pub fn run(data: &[u8]) {
    let limits = XmlLimits::default();
    let Ok(element) = xml::document(data, &limits) else {
        return;
    };
    for content in [ns::STANZA, ns::SERVER, ns::COMPONENT] {
        let stanza = match Stanza::from_element(element.clone(), content) {
            Ok(stanza) => stanza,
            Err(BadStanza::Refused(refused)) => {
                let host = Jid::parse("two.example").expect("an address");
                if let Some(reply) = refused.error_reply(&host) {
                    assert_eq!(reply.to(), refused.from());
                    // An iq without id has an answer without one, which is no stanza that could be read.
                    if reply.id().is_some_and(|id| !id.is_empty()) || !matches!(reply.kind(), Kind::Iq(_)) {
                        again(&reply);
                    }
                }
                continue;
            }
            Err(BadStanza::NotAStanza | BadStanza::NotAddressed | BadStanza::InvalidFrom) => continue,
        };
        again(&stanza);
        let error = StanzaError::new(Condition::ServiceUnavailable);
        assert_eq!(stanza.error_reply(&error).is_some(), stanza.kind().may_be_answered());
        if let Some(reply) = stanza.error_reply(&error) {
            assert!(reply.kind().is_error() && !reply.kind().may_be_answered());
            assert_eq!((reply.from(), reply.to(), reply.id()), (stanza.to(), stanza.from(), stanza.id()));
            assert_eq!(reply.error().map(|error| error.condition()), Some(Condition::ServiceUnavailable));
            again(&reply);
        }
        if let Some(result) = stanza.result_reply(None) {
            again(&result);
        }
    }
}

/// Writes a stanza and reads it.
fn again(stanza: &Stanza) {
    assert_eq!(stanza.element().ns(), ns::STANZA);
    let limits = XmlLimits {
        tag_bytes: 1 << 30,
        ..XmlLimits::default()
    };
    let document = write::document(stanza.element());
    let element = xml::document(&document, &limits)
        .unwrap_or_else(|error| panic!("{error}: {}", document.escape_ascii()));
    assert_eq!(Stanza::from_element(element, ns::STANZA).as_ref(), Ok(stanza));
}
