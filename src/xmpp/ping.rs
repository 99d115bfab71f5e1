//! Ping (XEP-0199): asking whether the other end still answers, and knowing when we are asked.

use crate::xml::Element;
use crate::xmpp::stanza::{IqType, Kind};
use crate::xmpp::{Jid, Stanza, ns};

/// A ping; any answer to it, an error too, shows that the other end lives (XEP-0199 §4.2).
#[must_use]
pub fn request(from: Jid, to: Jid, id: &str) -> Stanza {
    Stanza::new(Kind::Iq(IqType::Get), from, to)
        .with_id(id)
        .with_child(Element::new("ping", ns::PING))
}

/// The answer, if the stanza is a ping.
#[must_use]
pub fn answer(stanza: &Stanza) -> Option<Stanza> {
    match stanza.kind() {
        Kind::Iq(IqType::Get) => {
            stanza.child("ping", ns::PING)?;
            stanza.result_reply(None)
        }
        Kind::Iq(IqType::Set | IqType::Result | IqType::Error) | Kind::Message(_) | Kind::Presence(_) => None,
    }
}
