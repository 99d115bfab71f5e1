//! A made-up message of one kind, taken through the border of the running proxy.
//!
//! The far end proves whatever it claims: explained is what becomes of a message whose sender is who it says.

use crate::cli::map::Address;
use crate::config::Settings;
use crate::domain::Domain;
use crate::gateway::{Admitted, AdmittedStanza, Border, Carried, Delivery, Peer, RejectedStanza, Unproven};
use crate::identity::Authenticated;
use crate::net::settings::Protocol;
use crate::net::world;
use crate::policy::Kind;
use crate::route::{Federated, Local, Route, Side};
use crate::sip::{self, Message, Request};
use crate::xml::Element;
use crate::xmpp::stanza::{self, IqType, MessageType, PresenceType};
use crate::xmpp::{Stanza, ns};

/// What was tried, and what became of it.
#[derive(Debug)]
pub(super) struct Trial {
    /// What the made-up message is, in words.
    pub(super) sample: &'static str,
    /// Which kind of traffic the border takes it for.
    pub(super) kind: Kind,
    pub(super) fate: Fate,
}

#[derive(Debug)]
pub(super) enum Fate {
    /// It goes out by this route; the line says in which spelling.
    Delivered { route: Box<Route>, translation: String },
    /// The edge answers it by itself.
    Answered,
    /// It is dropped, and nobody waits for it.
    Dropped,
    /// It is refused; why, for the operator, and what the sender is told.
    Refused { why: String, told: String },
}

/// A far end that proves whatever it claims.
struct Claims;

impl Peer for Claims {
    fn proves(&mut self, domain: &Domain, _entry: &Federated) -> Result<Authenticated, Unproven> {
        Ok(Authenticated::by_route_address(domain.clone()))
    }

    fn is_node_of(&mut self, local: &Local) -> Result<Authenticated, Unproven> {
        Ok(Authenticated::by_node_address(local.domain.clone()))
    }

    fn is_over_tls(&self) -> bool {
        true
    }
}

/// Tries a message that arrives by `origin` on `side`.
///
/// # Errors
/// Why there can be no such message: an address has no spelling in its protocol.
pub(super) fn of(
    settings: &Settings,
    (from, to): (&Address, &Address),
    kind: Kind,
    (origin, side): (Protocol, Side),
) -> Result<Trial, String> {
    let border = Border::new(
        settings.edge.name.clone(),
        settings.rules.clone(),
        settings.table.clone(),
        settings.limits.clone(),
        settings.conduct(b"explain"),
    );
    match origin {
        Protocol::Sip => by_sip(settings, &border, (from, to), kind, side),
        Protocol::Xmpp => by_xmpp(&border, (from, to), kind, side),
    }
}

fn by_xmpp(
    border: &Border,
    (from, to): (&Address, &Address),
    kind: Kind,
    side: Side,
) -> Result<Trial, String> {
    let from = from
        .to_jid()
        .map_err(|why| format!("the sender has no xmpp address: {why}"))?;
    let to = to
        .to_jid()
        .map_err(|why| format!("the addressee has no xmpp address: {why}"))?;
    let (sample, sent, child) = match kind {
        Kind::Im => (
            "a message of type chat",
            stanza::Kind::Message(MessageType::Chat),
            Some(Element::new("body", ns::STANZA).with_text("hello")),
        ),
        Kind::Presence => (
            "a request for a subscription",
            stanza::Kind::Presence(PresenceType::Subscribe),
            None,
        ),
        Kind::Groupchat => (
            "a message of type groupchat",
            stanza::Kind::Message(MessageType::Groupchat),
            Some(Element::new("body", ns::STANZA).with_text("hello")),
        ),
        Kind::FileTransfer => (
            "a query that offers a file (XEP-0096)",
            stanza::Kind::Iq(IqType::Set),
            Some(Element::new("si", "http://jabber.org/protocol/si")),
        ),
        Kind::Other => (
            "a query about features (XEP-0030)",
            stanza::Kind::Iq(IqType::Get),
            Some(Element::new("query", "http://jabber.org/protocol/disco#info")),
        ),
    };
    let sent = Stanza::new(sent, from, to).with_id("1");
    let sent = child.into_iter().fold(sent, Stanza::with_child);
    let kind = border.kind_of_stanza(side, &sent);
    let fate = match border.admit_stanza(side, sent, world::today(), &[0; 32]) {
        Ok(AdmittedStanza::Deliver(delivery)) => delivered(&delivery, Protocol::Xmpp),
        Ok(AdmittedStanza::Answer(_) | AdmittedStanza::Pong(_)) => Fate::Answered,
        Ok(AdmittedStanza::Ignore | AdmittedStanza::GivenUp { refused: None, .. }) => Fate::Dropped,
        Ok(AdmittedStanza::GivenUp {
            refused: Some(rejected),
            ..
        }) => refused(*rejected),
        Err(rejected) => refused(rejected),
    };
    Ok(Trial { sample, kind, fate })
}

fn refused(rejected: RejectedStanza) -> Fate {
    Fate::Refused {
        why: rejected.to_string(),
        told: rejected
            .into_reply()
            .map_or_else(|| "nothing".to_owned(), |reply| said(&reply)),
    }
}

/// What a stanza says to the sender of another.
fn said(reply: &Stanza) -> String {
    match reply.error() {
        Some(error) => {
            let text = error.text().map(|text| format!(" ({text})")).unwrap_or_default();
            format!("{}{text}", error.condition().as_str())
        }
        None => "that the user is offline".to_owned(),
    }
}

fn by_sip(
    settings: &Settings,
    border: &Border,
    (from, to): (&Address, &Address),
    kind: Kind,
    side: Side,
) -> Result<Trial, String> {
    let from = uri(from).map_err(|why| format!("the sender has no sip address: {why}"))?;
    let to = uri(to).map_err(|why| format!("the addressee has no sip address: {why}"))?;
    let (sample, method, more) = match kind {
        Kind::Im | Kind::Groupchat => ("MESSAGE", "MESSAGE", "Content-Type: text/plain\r\n"),
        Kind::Presence => (
            "SUBSCRIBE to presence",
            "SUBSCRIBE",
            "Event: presence\r\nContact: <sip:sender.invalid>\r\n",
        ),
        Kind::FileTransfer => (
            "INVITE",
            "INVITE",
            "Contact: <sip:sender.invalid>\r\nContent-Type: application/ms-filetransfer+xml\r\n",
        ),
        Kind::Other => ("OPTIONS", "OPTIONS", ""),
    };
    let body = match method {
        "MESSAGE" => "hello",
        "INVITE" => "<request/>",
        _ => "",
    };
    let text = format!(
        "{method} {to} SIP/2.0\r\nVia: SIP/2.0/TLS sender.invalid;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <{from}>;tag=1\r\nTo: <{to}>\r\nCall-ID: 1\r\nCSeq: 1 {method}\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let request = match sip::parse::message(text.as_bytes(), &settings.limits.sip) {
        Ok(Message::Request(request)) => request,
        Ok(Message::Response(_)) => return Err("the addresses make no request".to_owned()),
        Err(why) => return Err(format!("the addresses make no request: {}", why.error)),
    };
    let kind = border.kind_of_request(&request);
    let fate = fate_of_request(border, request, side);
    Ok(Trial { sample, kind, fate })
}

fn fate_of_request(border: &Border, request: Request, side: Side) -> Fate {
    match border.admit_sip(side, request, &mut Claims, world::today()) {
        Ok(Admitted::Deliver(delivery)) => delivered(&delivery, Protocol::Sip),
        Ok(Admitted::Relay(relay)) => Fate::Delivered {
            route: Box::new(relay.route().clone()),
            translation: "sip: none needed".to_owned(),
        },
        Ok(Admitted::Answer(_) | Admitted::Blocked { .. }) => Fate::Answered,
        Err(rejected) => Fate::Refused {
            told: format!(
                "{} {}",
                rejected.response().status(),
                rejected.response().reason()
            ),
            why: rejected.to_string(),
        },
    }
}

fn uri(address: &Address) -> Result<String, String> {
    match address {
        Address::Sip(uri) => Ok(uri.to_string()),
        Address::Xmpp(_) => address.to_uri().map(|uri| uri.to_string()),
    }
}

fn delivered(delivery: &Delivery, origin: Protocol) -> Fate {
    let translation = match (delivery.carried(), origin) {
        (Carried::Stanza(stanza), Protocol::Sip) => {
            format!("sip to xmpp: from {}, to {}", stanza.from(), stanza.to())
        }
        (Carried::Request(request), Protocol::Xmpp) => format!(
            "xmpp to sip: from {}, to {}",
            request.headers().from().uri(),
            request.uri()
        ),
        (Carried::Presence, _) => {
            format!("{origin}: presence, of which the gateway says what is new to whom it is for")
        }
        (Carried::Nothing, _) => format!("{origin}: a session, which ends at the edge"),
        (Carried::Stanza(_), Protocol::Xmpp) | (Carried::Request(_), Protocol::Sip) => {
            format!("{origin}: none needed")
        }
    };
    Fate::Delivered {
        route: Box::new(delivery.route().clone()),
        translation,
    }
}
