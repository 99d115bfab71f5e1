//! What the edge answers by itself: queries to its own name, and to domains of SIP that have no XMPP server.
//!
//! Ping (XEP-0199), service discovery (XEP-0030), and software version (XEP-0092) where the configuration has it shown.
//! Everything else is refused as RFC 6120 §8.4 has it. Nothing here says what is behind the edge.

use super::rejection::Refused;
use crate::xml::Element;
use crate::xmpp::stanza::{IqType, Kind};
use crate::xmpp::{Stanza, ping};

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The edge, by its own name.
    Edge,
    /// A domain that is reached by SIP.
    SipDomain,
}

/// Whether peers and users may learn what software this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// They may not: the query is refused, and not offered.
    #[default]
    Hidden,
    /// Its name and version are told; the operating system never.
    Shown,
}

/// The answer to a query; `None` for what is no query.
pub(super) fn answer(stanza: &Stanza, asked: Asked, version: Version) -> Option<Result<Stanza, Refused>> {
    let kind = match stanza.kind() {
        Kind::Iq(kind @ (IqType::Get | IqType::Set)) => kind,
        Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(_) | Kind::Presence(_) => return None,
    };
    Some(result(stanza, kind, asked, version))
}

fn result(stanza: &Stanza, kind: IqType, asked: Asked, version: Version) -> Result<Stanza, Refused> {
    //= rfc6120#8.2.3
    //# An IQ stanza of type "get" or "set" MUST contain exactly one
    //# child element, which specifies the semantics of the particular
    //# request.
    let mut children = stanza.element().children();
    let (Some(query), None) = (children.next(), children.next()) else {
        return Err(Refused::Query);
    };
    // RFC 6120 §8.4: what is not understood is service-unavailable. Nobody has an account here.
    if kind == IqType::Set || stanza.to().local().is_some() || stanza.to().resource().is_some() {
        return Err(Refused::Unserved);
    }
    if let Some(pong) = ping::answer(stanza) {
        return Ok(pong);
    }
    let payload = match (query.name(), query.ns()) {
        // XEP-0030 §3.2 and §4.2: no node is known.
        ("query", DISCO_INFO | DISCO_ITEMS) if query.attribute("node").is_some() => {
            return Err(Refused::NoSuchNode);
        }
        ("query", DISCO_INFO) => information(asked, version),
        ("query", DISCO_ITEMS) => Element::new("query", DISCO_ITEMS),
        ("query", VERSION) if version == Version::Shown => software(),
        _ => return Err(Refused::Unserved),
    };
    stanza.result_reply(Some(payload)).ok_or(Refused::Unserved)
}

fn information(asked: Asked, version: Version) -> Element {
    // As the registrar has them: https://xmpp.org/registrar/disco-categories.html
    let (category, kind) = match asked {
        Asked::Edge => ("component", "s2s"),
        Asked::SipDomain => ("gateway", "simple"),
    };
    let identity = Element::new("identity", DISCO_INFO)
        .with_attribute("category", category)
        .with_attribute("type", kind);
    let shown: &[&str] = match version {
        Version::Hidden => &[],
        Version::Shown => &[VERSION],
    };
    [DISCO_INFO, DISCO_ITEMS, crate::xmpp::ns::PING]
        .iter()
        .chain(shown)
        .fold(
            Element::new("query", DISCO_INFO).with_child(identity),
            |query, feature| {
                query.with_child(Element::new("feature", DISCO_INFO).with_attribute("var", *feature))
            },
        )
}

fn software() -> Element {
    let child = |name: &str, text: &str| Element::new(name, VERSION).with_text(text);
    Element::new("query", VERSION)
        .with_child(child("name", env!("CARGO_PKG_NAME")))
        .with_child(child("version", env!("CARGO_PKG_VERSION")))
}

const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
const VERSION: &str = "jabber:iq:version";
