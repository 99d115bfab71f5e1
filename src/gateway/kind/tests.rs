//! The table of docs/admin-guide.md, row by row.

use super::*;
use crate::limits::{SipLimits, XmlLimits};
use crate::{sip, xml};
use Kinds::{Both, Either, One};

fn stanza(text: &str) -> Stanza {
    let whole = text.replacen(
        ' ',
        " from='a@one.example/x' to='two.example' id='1' xmlns='jabber:server' ",
        1,
    );
    let element = xml::document(whole.as_bytes(), &XmlLimits::default()).unwrap();
    Stanza::from_element(element, ns::SERVER).unwrap()
}

fn kinds(text: &str) -> Kinds {
    kinds_of(&stanza(text), None)
}

const FILE: Kinds = One(Kind::FileTransfer);
const ROOM: Kinds = One(Kind::Groupchat);

#[test]
fn messages_are_of_the_kind_that_they_show() {
    let im = One(Kind::Im);
    for (what, text, kind) in [
        ("without type", "<message ><body>x</body></message>", im),
        ("chat", "<message type='chat'><body>x</body></message>", im),
        (
            "headline",
            "<message type='headline'><body>x</body></message>",
            im,
        ),
        (
            "a chat state (XEP-0085)",
            "<message type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
            im,
        ),
        (
            "a receipt (XEP-0184)",
            "<message ><received xmlns='urn:xmpp:receipts' id='7'/></message>",
            im,
        ),
        (
            "a marker (XEP-0333)",
            "<message ><displayed xmlns='urn:xmpp:chat-markers:0' id='7'/></message>",
            im,
        ),
        (
            "a link (XEP-0066)",
            "<message ><body>x</body><x xmlns='jabber:x:oob'><url>x</url></x></message>",
            im,
        ),
        (
            "carried along (XEP-0297): what is within is not what it is",
            "<message ><forwarded xmlns='urn:xmpp:forward:0'><x xmlns='http://jabber.org/protocol/muc#user'/></forwarded></message>",
            im,
        ),
        (
            "groupchat",
            "<message type='groupchat'><body>x</body></message>",
            ROOM,
        ),
        (
            "a room's invitation",
            "<message ><x xmlns='http://jabber.org/protocol/muc#user'><invite/></x></message>",
            ROOM,
        ),
        (
            "a private message through a room",
            "<message type='chat'><body>x</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>",
            ROOM,
        ),
        (
            "a direct invitation (XEP-0249)",
            "<message ><x xmlns='jabber:x:conference' jid='r@rooms.example'/></message>",
            ROOM,
        ),
        (
            "in-band data (XEP-0047)",
            "<message ><data xmlns='http://jabber.org/protocol/ibb' sid='1' seq='0'>AA==</data></message>",
            FILE,
        ),
        (
            "in-band data with words",
            "<message ><body>x</body><data xmlns='http://jabber.org/protocol/ibb' sid='1' seq='0'>AA==</data></message>",
            Both(Kind::FileTransfer, Kind::Im),
        ),
        (
            "the proposal of a file (XEP-0353)",
            "<message ><propose xmlns='urn:xmpp:jingle-message:0' id='1'><description xmlns='urn:xmpp:jingle:apps:file-transfer:5'/></propose></message>",
            FILE,
        ),
        (
            "the proposal of a call (XEP-0353)",
            "<message ><propose xmlns='urn:xmpp:jingle-message:0' id='1'><description xmlns='urn:xmpp:jingle:apps:rtp:1'/></propose></message>",
            One(Kind::Other),
        ),
        (
            "its end (XEP-0353)",
            "<message ><retract xmlns='urn:xmpp:jingle-message:0' id='1'/></message>",
            Either(Kind::Other, Kind::FileTransfer),
        ),
        (
            "an event (XEP-0060)",
            "<message type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>",
            One(Kind::Other),
        ),
        (
            "an error",
            "<message type='error'><error type='cancel'/></message>",
            Either(Kind::Im, Kind::Groupchat),
        ),
    ] {
        assert_eq!(kinds(text), kind, "{what}");
    }
}

#[test]
fn presence_is_of_a_room_where_it_says_so() {
    let presence = One(Kind::Presence);
    let goodbye = Either(Kind::Presence, Kind::Groupchat);
    for (what, text, kind) in [
        ("available", "<presence ><show>away</show></presence>", presence),
        ("subscribe", "<presence type='subscribe'/>", presence),
        ("subscribed", "<presence type='subscribed'/>", presence),
        ("unsubscribe", "<presence type='unsubscribe'/>", presence),
        ("unsubscribed", "<presence type='unsubscribed'/>", presence),
        ("probe", "<presence type='probe'/>", presence),
        ("unavailable", "<presence type='unavailable'/>", goodbye),
        ("error", "<presence type='error'/>", goodbye),
        (
            "capabilities (XEP-0115)",
            "<presence ><c xmlns='http://jabber.org/protocol/caps' node='x'/></presence>",
            presence,
        ),
        (
            "joining a room",
            "<presence ><x xmlns='http://jabber.org/protocol/muc'/></presence>",
            ROOM,
        ),
        (
            "of an occupant",
            "<presence type='unavailable'><x xmlns='http://jabber.org/protocol/muc#user'/></presence>",
            ROOM,
        ),
    ] {
        assert_eq!(kinds(text), kind, "{what}");
    }
}

#[test]
fn queries_are_of_the_kind_of_their_payload() {
    let other = One(Kind::Other);
    let iq = |payload: &str| format!("<iq type='set'>{payload}</iq>");
    let jingle = |contents: &str| {
        iq(&format!(
            "<jingle xmlns='urn:xmpp:jingle:1' action='x' sid='1'>{contents}</jingle>"
        ))
    };
    for (what, text, kind) in [
        ("ping", iq("<ping xmlns='urn:xmpp:ping'/>"), other),
        (
            "discovery",
            iq("<query xmlns='http://jabber.org/protocol/disco#info'/>"),
            other,
        ),
        ("a card", iq("<vCard xmlns='vcard-temp'/>"), other),
        ("nothing", "<iq type='result'/>".to_owned(), other),
        (
            "SI (XEP-0096)",
            iq("<si xmlns='http://jabber.org/protocol/si'/>"),
            FILE,
        ),
        (
            "SOCKS5 bytestreams (XEP-0065)",
            iq("<query xmlns='http://jabber.org/protocol/bytestreams'/>"),
            FILE,
        ),
        (
            "in-band bytestreams (XEP-0047)",
            iq("<open xmlns='http://jabber.org/protocol/ibb'/>"),
            FILE,
        ),
        (
            "HTTP upload (XEP-0363)",
            iq("<request xmlns='urn:xmpp:http:upload:0'/>"),
            FILE,
        ),
        (
            "HTTP upload, before its first version",
            iq("<request xmlns='urn:xmpp:http:upload'/>"),
            FILE,
        ),
        (
            "a URL to fetch (XEP-0066)",
            iq("<query xmlns='jabber:iq:oob'/>"),
            FILE,
        ),
        (
            "a Jingle file (XEP-0234)",
            jingle("<content><description xmlns='urn:xmpp:jingle:apps:file-transfer:5'/></content>"),
            FILE,
        ),
        (
            "a Jingle file of an older version",
            jingle("<content><description xmlns='urn:xmpp:jingle:apps:file-transfer:3'/></content>"),
            FILE,
        ),
        (
            "a Jingle checksum",
            jingle("<checksum xmlns='urn:xmpp:jingle:apps:file-transfer:5'/>"),
            FILE,
        ),
        (
            "a Jingle candidate for a file",
            jingle("<content><transport xmlns='urn:xmpp:jingle:transports:s5b:1'/></content>"),
            FILE,
        ),
        (
            "a Jingle call (XEP-0167)",
            jingle(
                "<content><description xmlns='urn:xmpp:jingle:apps:rtp:1'/><transport xmlns='urn:xmpp:jingle:transports:ice-udp:1'/></content>",
            ),
            other,
        ),
        (
            "a Jingle application that nobody knows",
            jingle("<content><description xmlns='urn:example'/></content>"),
            other,
        ),
        (
            "a call and a file",
            jingle(
                "<content><description xmlns='urn:xmpp:jingle:apps:rtp:1'/></content><content><description xmlns='urn:xmpp:jingle:apps:file-transfer:5'/></content>",
            ),
            Both(Kind::FileTransfer, Kind::Other),
        ),
        (
            "the end of a Jingle session",
            jingle("<reason><success/></reason>"),
            Either(Kind::Other, Kind::FileTransfer),
        ),
        (
            "a room's administration",
            iq("<query xmlns='http://jabber.org/protocol/muc#admin'/>"),
            ROOM,
        ),
        (
            "a room's configuration",
            iq("<query xmlns='http://jabber.org/protocol/muc#owner'/>"),
            ROOM,
        ),
        (
            "a room's fresh name",
            iq("<unique xmlns='http://jabber.org/protocol/muc#unique'/>"),
            ROOM,
        ),
    ] {
        assert_eq!(kinds(&text), kind, "{what}");
    }
}

#[test]
fn a_local_domain_of_rooms_or_files_decides_by_itself() {
    let file = "<iq type='set'><si xmlns='http://jabber.org/protocol/si'/></iq>";
    for (text, chat, transfer) in [
        ("<message type='chat'><body>x</body></message>", ROOM, FILE),
        ("<presence type='unavailable'/>", ROOM, FILE),
        (
            "<presence ><x xmlns='http://jabber.org/protocol/muc'/></presence>",
            ROOM,
            FILE,
        ),
        ("<iq type='result'/>", ROOM, FILE),
        (file, FILE, FILE),
    ] {
        let stanza = stanza(text);
        assert_eq!(kinds_of(&stanza, Some(Role::Chat)), chat, "{text}");
        assert_eq!(kinds_of(&stanza, Some(Role::FileTransfer)), transfer, "{text}");
        assert_eq!(kinds_of(&stanza, Some(Role::User)), kinds(text), "{text}");
    }
}

#[test]
fn requests_are_of_the_kind_of_their_method_and_their_event() {
    let request = |method: &str, event: &str| {
        let text = format!(
            "{method} sip:b@two.example SIP/2.0\r\nVia: SIP/2.0/TLS one.example;branch=z9hG4bK1\r\n\
             From: <sip:a@one.example>;tag=1\r\nTo: <sip:b@two.example>\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n\
             {event}Content-Length: 0\r\n\r\n"
        );
        match sip::parse::message(text.as_bytes(), &SipLimits::default()).unwrap() {
            sip::Message::Request(request) => request,
            sip::Message::Response(_) => panic!("{text}"),
        }
    };
    for (method, event, kind) in [
        ("MESSAGE", "", Kind::Im),
        ("SUBSCRIBE", "Event: presence\r\n", Kind::Presence),
        ("NOTIFY", "Event: presence;id=1\r\n", Kind::Presence),
        ("PUBLISH", "Event: presence\r\n", Kind::Presence),
        ("SUBSCRIBE", "Event: presence.winfo\r\n", Kind::Presence),
        ("SUBSCRIBE", "Event: conference\r\n", Kind::Groupchat),
        ("SUBSCRIBE", "Event: dialog\r\n", Kind::Other),
        ("OPTIONS", "", Kind::Other),
        ("INVITE", "", Kind::Im),
        ("BYE", "", Kind::Im),
        ("REGISTER", "", Kind::Other),
    ] {
        let request = request(method, event);
        assert_eq!(kind_of(&request, None), kind, "{method} {event}");
        assert_eq!(kind_of(&request, Some(Role::Chat)), Kind::Groupchat);
        assert_eq!(kind_of(&request, Some(Role::FileTransfer)), Kind::FileTransfer);
    }
}
