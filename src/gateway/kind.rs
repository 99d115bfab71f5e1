//! Which kind of traffic a message is, for policy: one table of marks, and what goes without a mark.
//!
//! A mark is a child element of the stanza. Files go before rooms, because a file in a room is a file; a room's mark goes
//! before the stanza's own name. A local domain that is a chat node or a file-transfer node decides by itself. Nothing is
//! remembered here: what answers a query is judged by the kind of the query, which the gateway remembers.
//!
//! The table stands in docs/admin-guide.md for people. XEP-0045, 0047, 0060, 0065, 0066, 0095, 0166, 0234, 0249, 0353, 0363.

use super::border::presence::is_of_subscription;
use crate::policy::Kind;
use crate::route::Role;

use crate::sip::{Event, Method, Request};
use crate::xml::Element;
use crate::xmpp::stanza::{self, IqType, MessageType, PresenceType};
use crate::xmpp::{Stanza, ns};

/// What kinds a stanza is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinds {
    /// One.
    One(Kind),
    /// The first, or the second where only that may pass: it does not show which.
    Either(Kind, Kind),
    /// Both at once, so that both have to be allowed.
    Both(Kind, Kind),
}

/// The kind of a request to a local domain of that role.
pub(super) fn kind_of(request: &Request, role: Option<Role>) -> Kind {
    match (role, request.method()) {
        (Some(Role::Chat), _) => Kind::Groupchat,
        (Some(Role::FileTransfer), _) => Kind::FileTransfer,
        // A session of messages, and whatever is sent in one: other sessions do not pass.
        (
            Some(Role::User) | None,
            Method::Message
            | Method::Invite
            | Method::Ack
            | Method::Prack
            | Method::Update
            | Method::Info
            | Method::Bye
            | Method::Cancel,
        ) => Kind::Im,
        (Some(Role::User) | None, Method::Subscribe | Method::Notify | Method::Publish) => {
            match request.headers().event().map(Event::package) {
                Some("presence" | "presence.winfo") => Kind::Presence,
                Some("conference") => Kind::Groupchat,
                Some(_) | None => Kind::Other,
            }
        }
        (Some(Role::User) | None, method) if is_of_subscription(method) => Kind::Presence,
        (Some(Role::User) | None, _) => Kind::Other,
    }
}

/// The kinds of a stanza whose local end is at a domain of that role.
pub(super) fn kinds_of(stanza: &Stanza, role: Option<Role>) -> Kinds {
    let mark = stanza.element().children().filter_map(mark).min();
    let has_body = || stanza.child("body", ns::STANZA).is_some();
    match (mark, role) {
        (Some(Mark::File), _) => match stanza.kind() {
            // Words beside a file are words.
            stanza::Kind::Message(_) if has_body() => Kinds::Both(Kind::FileTransfer, Kind::Im),
            stanza::Kind::Message(_) | stanza::Kind::Presence(_) | stanza::Kind::Iq(_) => {
                Kinds::One(Kind::FileTransfer)
            }
        },
        (_, Some(Role::FileTransfer)) => Kinds::One(Kind::FileTransfer),
        (Some(Mark::Room), _) | (_, Some(Role::Chat)) => Kinds::One(Kind::Groupchat),
        (Some(Mark::FileAndCall), _) => Kinds::Both(Kind::FileTransfer, Kind::Other),
        (Some(Mark::FileOrCall), _) => Kinds::Either(Kind::Other, Kind::FileTransfer),
        (Some(Mark::Other), _) => Kinds::One(Kind::Other),
        (None, Some(Role::User) | None) => unmarked(stanza.kind()),
    }
}

/// What the name and the type say.
const fn unmarked(kind: stanza::Kind) -> Kinds {
    match kind {
        stanza::Kind::Message(MessageType::Groupchat) => Kinds::One(Kind::Groupchat),
        stanza::Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::Headline) => {
            Kinds::One(Kind::Im)
        }
        stanza::Kind::Presence(
            PresenceType::Available
            | PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed
            | PresenceType::Probe,
        ) => Kinds::One(Kind::Presence),
        // Who leaves a room says no more than who goes offline, and a room's error no more than a person's.
        stanza::Kind::Message(MessageType::Error) => Kinds::Either(Kind::Im, Kind::Groupchat),
        stanza::Kind::Presence(PresenceType::Unavailable | PresenceType::Error) => {
            Kinds::Either(Kind::Presence, Kind::Groupchat)
        }
        stanza::Kind::Iq(IqType::Get | IqType::Set | IqType::Result | IqType::Error) => {
            Kinds::One(Kind::Other)
        }
    }
}

/// What a child element shows; the lesser decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    File,
    Room,
    /// A session about both.
    FileAndCall,
    /// A step of a session that does not say what the session is about.
    FileOrCall,
    Other,
}

fn mark(child: &Element) -> Option<Mark> {
    match child.ns() {
        JINGLE => Some(session(child.children().flat_map(in_content))),
        JINGLE_MESSAGE => Some(session(child.children())),
        namespace => MARKS
            .iter()
            .find(|(known, _)| *known == namespace)
            .map(|(_, mark)| *mark),
    }
}

/// A content of a Jingle session stands for what it holds; anything else for itself.
fn in_content(child: &Element) -> Vec<&Element> {
    if child.is("content", JINGLE) {
        child.children().collect()
    } else {
        vec![child]
    }
}

/// What a session is about, by its applications and, where it names none, by how its octets go.
fn session<'e>(parts: impl Iterator<Item = &'e Element>) -> Mark {
    let (mut file, mut call) = (None, None);
    for part in parts {
        let namespace = part.ns();
        if namespace.starts_with(JINGLE_FILES) || FILE_TRANSPORTS.contains(&namespace) {
            file = Some(part);
        } else if namespace.starts_with(JINGLE_APPLICATIONS) || part.name() == "description" {
            call = Some(part);
        }
    }
    match (file, call) {
        (Some(_), None) => Mark::File,
        (Some(_), Some(_)) => Mark::FileAndCall,
        (None, Some(_)) => Mark::Other,
        (None, None) => Mark::FileOrCall,
    }
}

const JINGLE: &str = "urn:xmpp:jingle:1";
const JINGLE_MESSAGE: &str = "urn:xmpp:jingle-message:0";
const JINGLE_APPLICATIONS: &str = "urn:xmpp:jingle:apps:";
const JINGLE_FILES: &str = "urn:xmpp:jingle:apps:file-transfer:";
/// SOCKS5 bytestreams (XEP-0260) and in-band bytestreams (XEP-0261).
const FILE_TRANSPORTS: [&str; 2] = [
    "urn:xmpp:jingle:transports:s5b:1",
    "urn:xmpp:jingle:transports:ibb:1",
];

/// The namespaces of children that tell a kind by themselves.
const MARKS: [(&str, Mark); 13] = [
    // Stream initiation (XEP-0095, with the file transfer of XEP-0096).
    ("http://jabber.org/protocol/si", Mark::File),
    // SOCKS5 bytestreams (XEP-0065).
    ("http://jabber.org/protocol/bytestreams", Mark::File),
    // In-band bytestreams (XEP-0047), in iq and in message.
    ("http://jabber.org/protocol/ibb", Mark::File),
    // HTTP file upload (XEP-0363), and the namespace before its first version.
    ("urn:xmpp:http:upload:0", Mark::File),
    ("urn:xmpp:http:upload", Mark::File),
    // A file to be fetched from a URL (XEP-0066 §2); `jabber:x:oob` in a message is a link, and text.
    ("jabber:iq:oob", Mark::File),
    // Rooms (XEP-0045): joining, what a room says, and its administration.
    ("http://jabber.org/protocol/muc", Mark::Room),
    ("http://jabber.org/protocol/muc#user", Mark::Room),
    ("http://jabber.org/protocol/muc#admin", Mark::Room),
    ("http://jabber.org/protocol/muc#owner", Mark::Room),
    ("http://jabber.org/protocol/muc#unique", Mark::Room),
    // An invitation (XEP-0249).
    ("jabber:x:conference", Mark::Room),
    // What a node of PubSub or PEP tells (XEP-0060).
    ("http://jabber.org/protocol/pubsub#event", Mark::Other),
];

#[cfg(test)]
mod tests;
