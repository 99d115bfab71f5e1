//! Server dialback: the keys that need no memory, and the elements that carry them.
//!
//! A key is a function of our secret, the two domains and the stream id, so that any process with the secret can check
//! any key. Who is asked, and what a verdict allows, is the stream machines' business.
//!
//! XEP-0220 §2 (elements), XEP-0185 §2 (keys).

use aws_lc_rs::{constant_time, digest, hmac};

use crate::domain::Domain;
use crate::xml::Element;
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::{Jid, ns};

/// The secret from which all our keys come; one for all processes that answer for our domains.
#[derive(Clone)]
pub struct DialbackSecret(hmac::Key);

impl DialbackSecret {
    /// The secret as it stands in its file. An empty one is taken too: who reads the file refuses that.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let hashed = hex(digest::digest(&digest::SHA256, secret).as_ref());
        Self(hmac::Key::new(hmac::HMAC_SHA256, hashed.as_bytes()))
    }

    /// The key for stanzas from `originating` to `receiving` over the stream that `receiving` named `stream_id`.
    #[must_use]
    pub fn key(&self, receiving: &Domain, originating: &Domain, stream_id: &str) -> String {
        hex(self.tag(receiving, originating, stream_id).as_ref())
    }

    /// Whether `key` is the one that [`key`](Self::key) makes, compared in constant time.
    #[must_use]
    pub fn verifies(&self, key: &str, receiving: &Domain, originating: &Domain, stream_id: &str) -> bool {
        let expected = self.key(receiving, originating, stream_id);
        constant_time::verify_slices_are_equal(key.as_bytes(), expected.as_bytes()).is_ok()
    }

    fn tag(&self, receiving: &Domain, originating: &Domain, stream_id: &str) -> hmac::Tag {
        // Neither domain can hold a space, so the three cannot be cut otherwise.
        let text = format!("{receiving} {originating} {stream_id}");
        hmac::sign(&self.0, text.as_bytes())
    }
}

impl std::fmt::Debug for DialbackSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DialbackSecret")
    }
}

/// What a dialback element says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Saying {
    /// A request: the key.
    Key(String),
    /// An answer: the key is right.
    Valid,
    /// An answer: the key is wrong.
    Invalid,
    /// An answer: the key could not be checked.
    Error(StanzaError),
}

/// A `<db:result/>` or `<db:verify/>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialback {
    pub(super) from: Domain,
    pub(super) to: Domain,
    pub(super) saying: Saying,
}

/// Why a dialback element cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadDialback {
    NotAddressed,
    InvalidFrom,
    InvalidTo,
    /// Neither a key nor a type that XEP-0220 defines.
    Meaningless,
}

impl Dialback {
    pub(super) fn read(element: &Element) -> Result<Self, BadDialback> {
        let (Some(from), Some(to)) = (element.attribute("from"), element.attribute("to")) else {
            return Err(BadDialback::NotAddressed);
        };
        let saying = match element.attribute("type") {
            None => Saying::Key(element.text().trim().to_owned()),
            Some("valid") => Saying::Valid,
            Some("invalid") => Saying::Invalid,
            Some("error") => Saying::Error(
                element
                    .children()
                    .find(|child| child.name() == "error")
                    .map_or_else(
                        || StanzaError::new(Condition::UndefinedCondition),
                        StanzaError::from_element,
                    ),
            ),
            Some(_) => return Err(BadDialback::Meaningless),
        };
        if saying == Saying::Key(String::new()) {
            return Err(BadDialback::Meaningless);
        }
        Ok(Self {
            from: Domain::parse(from).map_err(|_| BadDialback::InvalidFrom)?,
            to: Domain::parse(to).map_err(|_| BadDialback::InvalidTo)?,
            saying,
        })
    }

    /// The `<db:result/>` that says it.
    pub(super) fn result(&self) -> Element {
        self.element("result")
    }

    /// The `<db:verify/>` that says it of the stream of that id.
    pub(super) fn verify(&self, stream_id: &str) -> Element {
        self.element("verify").with_attribute("id", stream_id)
    }

    fn element(&self, name: &str) -> Element {
        let element = Element::new(name, ns::DIALBACK)
            .with_attribute("from", Jid::from(self.from.clone()).to_string())
            .with_attribute("to", Jid::from(self.to.clone()).to_string());
        match &self.saying {
            Saying::Key(key) => element.with_text(key),
            Saying::Valid => element.with_attribute("type", "valid"),
            Saying::Invalid => element.with_attribute("type", "invalid"),
            Saying::Error(error) => element
                .with_attribute("type", "error")
                .with_child(error.to_element()),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        for half in [byte >> 4, byte & 0x0f] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[test]
    fn a_key_verifies_for_its_own_triple_only() {
        let secret = DialbackSecret::new(b"s3cr3tf0rd14lb4ck");
        let (two, one) = (domain("xmpp.example.com"), domain("example.org"));
        let key = secret.key(&two, &one, "D60000229F");
        assert!(secret.verifies(&key, &two, &one, "D60000229F"));
        assert!(!secret.verifies(&key, &one, &two, "D60000229F"));
        assert!(!secret.verifies(&key, &two, &one, "D60000229E"));
        assert!(!secret.verifies(&key.to_uppercase(), &two, &one, "D60000229F"));
        assert!(!secret.verifies("", &two, &one, "D60000229F"));
        assert!(!DialbackSecret::new(b"other").verifies(&key, &two, &one, "D60000229F"));
        assert_eq!(format!("{secret:?}"), "DialbackSecret");
    }

    #[test]
    fn elements_read_as_they_were_made() {
        for saying in [
            Saying::Key("abc".to_owned()),
            Saying::Valid,
            Saying::Invalid,
            Saying::Error(StanzaError::new(Condition::ItemNotFound)),
        ] {
            let made = Dialback {
                from: domain("b\u{fc}cher.example"),
                to: domain("two.example"),
                saying,
            };
            assert_eq!(Dialback::read(&made.result()), Ok(made.clone()));
            let verify = made.verify("id1");
            assert_eq!(verify.attribute("id"), Some("id1"));
            assert_eq!(Dialback::read(&verify), Ok(made));
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let element = |attributes: &[(&str, &str)]| {
            attributes
                .iter()
                .fold(Element::new("result", ns::DIALBACK), |e, (n, v)| {
                    e.with_attribute(n, *v)
                })
        };
        for (attributes, why) in [
            (vec![("from", "a.example")], BadDialback::NotAddressed),
            (
                vec![("from", "a@b"), ("to", "b.example"), ("type", "valid")],
                BadDialback::InvalidFrom,
            ),
            (
                vec![("from", "a.example"), ("to", "10.0.0.1"), ("type", "valid")],
                BadDialback::InvalidTo,
            ),
            (
                vec![("from", "a.example"), ("to", "b.example"), ("type", "odd")],
                BadDialback::Meaningless,
            ),
            (
                vec![("from", "a.example"), ("to", "b.example")],
                BadDialback::Meaningless,
            ),
        ] {
            assert_eq!(Dialback::read(&element(&attributes)), Err(why), "{attributes:?}");
        }
    }
}
