//! Names and namespaces without an allocation for each: the usual ones point into the program, others are shared.

use std::fmt;
use std::sync::Arc;

/// A name or a namespace; cheap to clone, compared by its text.
#[derive(Clone)]
pub(super) enum Word {
    /// One of the words that the program knows.
    Known(&'static str),
    /// Any other.
    Shared(Arc<str>),
}

impl Word {
    /// No namespace.
    pub(super) const EMPTY: Self = Self::Known("");

    pub(super) fn new(text: &str) -> Self {
        match known(text) {
            Some(word) => Self::Known(word),
            None => Self::Shared(text.into()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Known(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Word {}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Looks the text up among the words of its length: a handful of comparisons, no hashing.
fn known(text: &str) -> Option<&'static str> {
    let candidates: &[&'static str] = match text.len() {
        0 => &[""],
        1 => &["a", "r", "x"],
        2 => &["id", "to", "db", "iq"],
        3 => &["jid", "sid", "var", "xml"],
        4 => &[
            "body", "from", "lang", "type", "auth", "code", "gone", "html", "name", "node", "ping", "show",
            "text",
        ],
        5 => &["delay", "error", "label", "query", "stamp"],
        6 => &[
            "stream", "thread", "active", "origin", "paused", "result", "status", "verify",
        ],
        7 => &[
            "message", "failure", "feature", "proceed", "request", "subject", "success", "version",
        ],
        8 => &[
            "features", "inactive", "markable", "presence", "priority", "received", "response", "starttls",
        ],
        9 => &["challenge", "composing", "mechanism", "origin-id", "stanza-id"],
        10 => &["conference", "mechanisms"],
        13 => &[
            "jabber:server",
            "jabber:client",
            "urn:xmpp:bidi",
            "urn:xmpp:ping",
            "urn:xmpp:sm:3",
        ],
        14 => &["urn:xmpp:delay", "urn:xmpp:hints", "urn:xmpp:sid:0"],
        17 => &["jabber:iq:version", "urn:xmpp:receipts"],
        18 => &["urn:xmpp:carbons:2"],
        22 => &["jabber:server:dialback"],
        23 => &["urn:xmpp:chat-markers:0"],
        26 => &["urn:xmpp:features:dialback", "urn:xmpp:message-correct:0"],
        31 => &["urn:ietf:params:xml:ns:xmpp-tls"],
        32 => &[
            "http://etherx.jabber.org/streams",
            "urn:ietf:params:xml:ns:xmpp-sasl",
        ],
        35 => &[
            "urn:ietf:params:xml:ns:xmpp-stanzas",
            "urn:ietf:params:xml:ns:xmpp-streams",
        ],
        36 => &["http://www.w3.org/XML/1998/namespace"],
        37 => &[
            "http://jabber.org/protocol/chatstates",
            "http://jabber.org/protocol/disco#info",
        ],
        38 => &["http://jabber.org/protocol/disco#items"],
        _ => return None,
    };
    candidates.iter().copied().find(|word| *word == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_word_costs_no_allocation_and_equals_its_shared_spelling() {
        for word in [
            "",
            "body",
            "jabber:server",
            "urn:ietf:params:xml:ns:xmpp-stanzas",
            "urn:xmpp:delay",
            "gone",
        ] {
            assert!(matches!(Word::new(word), Word::Known(_)), "{word}");
            assert_eq!(Word::new(word), Word::Shared(word.into()));
        }
        assert!(matches!(Word::new("urn:example:unheard-of"), Word::Shared(_)));
    }
}
