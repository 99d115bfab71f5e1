//! Which kind of traffic a message is, for policy.

use crate::policy::Kind;
use crate::sip::{Method, Request};
use crate::xmpp::Stanza;
use crate::xmpp::stanza::{self, MessageType};

/// The kind of a request.
pub(super) fn kind_of(request: &Request) -> Kind {
    if *request.method() == Method::Message {
        Kind::Im
    } else {
        Kind::Other
    }
}

/// The kind of a stanza.
pub(super) fn kind_of_stanza(stanza: &Stanza) -> Kind {
    match stanza.kind() {
        stanza::Kind::Message(MessageType::Groupchat) => Kind::Groupchat,
        stanza::Kind::Message(
            MessageType::Normal | MessageType::Chat | MessageType::Headline | MessageType::Error,
        ) => Kind::Im,
        stanza::Kind::Presence(_) => Kind::Presence,
        stanza::Kind::Iq(_) => Kind::Other,
    }
}
