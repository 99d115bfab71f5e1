//! Receipts: that a message was delivered, displayed or lost, as XMPP says it (XEP-0184, XEP-0333) and as SIP says it
//! (IMDN: RFC 5438).
//!
//! Which message an identifier names on the other side, that nobody is told twice, and that what nobody asked for goes no
//! further, is the gateway's. Microsoft's documents of this kind speak of members of a conference; in a conversation of
//! two they say nothing new, and are read as nothing.

use super::composing::document;
use super::message::cpim::Cpim;
use super::message::{MessageError, stamp};
use crate::limits::FOREIGN_ID_BYTES;
use crate::mime::MediaType;
use crate::sip::{Date, Method, Request, Uri};
use crate::xml::{self, Element};
use crate::xmpp::error::{Condition, StanzaError};
use crate::xmpp::stanza::{Kind, MessageType};
use crate::xmpp::{Jid, Stanza};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Receipt {
    /// A device of the receiver has it.
    Delivered,
    /// The receiver has seen it.
    Displayed,
    /// It did not arrive.
    Failed,
}

/// What the sender of a message asks to be told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    id: String,
    receipts: Vec<Receipt>,
    sent: String,
}

impl Asked {
    /// To be told of these, by that identifier, of a message that was sent then; `None` without any, and for an identifier
    /// that is empty or longer than one is taken over.
    #[must_use]
    pub fn new(id: &str, receipts: &[Receipt], sent: Date) -> Option<Self> {
        Self::stamped(id, receipts, stamp(sent)?)
    }

    fn stamped(id: &str, receipts: &[Receipt], sent: String) -> Option<Self> {
        let id = identifier(id)?;
        let receipts: Vec<_> = [Receipt::Delivered, Receipt::Displayed, Receipt::Failed]
            .into_iter()
            .filter(|receipt| receipts.contains(receipt))
            .collect();
        (!receipts.is_empty()).then_some(Self { id, receipts, sent })
    }

    /// The identifier by which the message is named.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether this is asked for.
    #[must_use]
    pub fn includes(&self, receipt: Receipt) -> bool {
        self.receipts.contains(&receipt)
    }

    /// What a message to one user that came at `now` asks for; `None` for one that asks for nothing or cannot be named.
    //
    //= xep0184#5.4
    //# A sender MUST include an 'id' attribute on the content message when requesting a receipt
    #[must_use]
    pub fn of_stanza(stanza: &Stanza, now: Date) -> Option<Self> {
        if !is_personal(stanza) || of_stanza(stanza).is_some() {
            return None;
        }
        let mut receipts = Vec::new();
        if stanza.child("request", RECEIPTS).is_some() {
            receipts.push(Receipt::Delivered);
        }
        if stanza.child("markable", MARKERS).is_some() {
            receipts.push(Receipt::Displayed);
        }
        Self::new(stanza.id()?, &receipts, now)
    }

    /// What a MESSAGE in a CPIM wrapper that came at `now` asks for.
    #[must_use]
    pub fn of_request(request: &Request, now: Date) -> Option<Self> {
        if !is_cpim(request) {
            return None;
        }
        let cpim = Cpim::read(request.body()).ok()?;
        //= rfc5438#7.2.1
        //# An IM Sender MUST ignore a delivery notification request in an IMDN if present.
        if is_document(cpim.content.kind()) {
            return None;
        }
        let id = cpim.values(IMDN_HEADERS, "Message-ID").next()?;
        let receipts: Vec<_> = cpim
            .values(IMDN_HEADERS, "Disposition-Notification")
            .flat_map(|value| value.split(','))
            .filter_map(|value| match value.trim().to_ascii_lowercase().as_str() {
                "positive-delivery" => Some(Receipt::Delivered),
                "negative-delivery" => Some(Receipt::Failed),
                "display" => Some(Receipt::Displayed),
                // A value that is not known is ignored; "processing" is for intermediaries to say.
                _ => None,
            })
            .collect();
        //= rfc5438#7.1.1.2
        //# if the IM Sender would like an IMDN, the IM Sender
        //# MUST include the DateTime CPIM header field.
        // Whoever left it out is told when his message came.
        let sent = cpim.values("", "DateTime").next().filter(|sent| is_stamp(sent));
        Self::stamped(id, &receipts, sent.map(str::to_owned).or_else(|| stamp(now))?)
    }

    /// The octets of what it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.id.len().saturating_add(self.sent.len())
    }

    /// The same, and to be told where it fails.
    #[must_use]
    pub fn with_failure(mut self) -> Self {
        if !self.includes(Receipt::Failed) {
            self.receipts.push(Receipt::Failed);
        }
        self
    }

    /// Its sender has been told: of delivery or failure once, and of display once.
    //
    //= rfc5438#7.2.1
    //# An IM Recipient MUST NOT construct
    //# more than one IMDN per disposition type.
    pub fn told(&mut self, told: Receipt) {
        let is_display = |receipt| receipt == Receipt::Displayed;
        self.receipts
            .retain(|receipt| is_display(*receipt) != is_display(told));
    }

    /// Whether there is nothing left to tell.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.receipts.is_empty()
    }

    /// Asks for the same by a stanza, which must carry the identifier. XMPP tells of failures by errors, unasked.
    pub fn put(&self, stanza: &mut Stanza) {
        if self.includes(Receipt::Delivered) {
            stanza.push(Element::new("request", RECEIPTS));
        }
        if self.includes(Receipt::Displayed) {
            stanza.push(Element::new("markable", MARKERS));
        }
    }

    /// The same message in a CPIM wrapper that asks for the same (RFC 5438 §7.1.1), and to be told where it fails, by that
    /// identifier; `None` where it is not one that a header can carry.
    #[must_use]
    pub fn wrap(
        &self,
        id: &str,
        parties: Parties<'_>,
        (kind, body): (&MediaType, &str),
    ) -> Option<(MediaType, String)> {
        if !is_token(id) {
            return None;
        }
        let wanted: Vec<_> = self
            .receipts
            .iter()
            .filter_map(|receipt| match receipt {
                Receipt::Delivered => Some("positive-delivery"),
                Receipt::Displayed => Some("display"),
                Receipt::Failed => None,
            })
            .chain(["negative-delivery"])
            .collect();
        let Parties { from, to } = parties;
        let text = format!(
            "From: <{from}>\r\nTo: <{to}>\r\nDateTime: {}\r\nNS: imdn <{IMDN_HEADERS}>\r\nimdn.Message-ID: {id}\r\n\
             imdn.Disposition-Notification: {}\r\n\r\nContent-Type: {kind}\r\n\r\n{body}",
            self.sent,
            wanted.join(", "),
        );
        Some((MediaType::plain("message", "cpim"), text))
    }

    /// The MESSAGE body that tells it (RFC 5438 §7.2.1, §12.1.1): a document in a CPIM wrapper. `own` is the identifier of
    /// this one; `None` where either is not one that SIP can carry.
    #[must_use]
    pub fn to_body(&self, receipt: Receipt, own: &str, parties: Parties<'_>) -> Option<(MediaType, String)> {
        let (notification, status) = match receipt {
            Receipt::Delivered => ("delivery-notification", "delivered"),
            Receipt::Displayed => ("display-notification", "displayed"),
            Receipt::Failed => ("delivery-notification", "failed"),
        };
        if !is_token(&self.id) || !is_token(own) {
            return None;
        }
        let Parties { from, to } = parties;
        let of = |name, text: &str| Element::new(name, IMDN).with_text(text);
        let status = Element::new("status", IMDN).with_child(Element::new(status, IMDN));
        //= rfc5438#11.1.2
        //# The <datetime> element is mandatory and carries the date and time the
        //# IM was sent (not the IMDN).
        let root = Element::new("imdn", IMDN)
            .with_child(of("message-id", &self.id))
            .with_child(of("datetime", &self.sent))
            .with_child(of("recipient-uri", &from.to_string()))
            .with_child(Element::new(notification, IMDN).with_child(status));
        let document = String::from_utf8(xml::write::document(&root)).ok()?;
        //= rfc5438#7.2.1
        //# IM Recipients MUST insert a
        //# Content-Disposition header field set to the value "notification".
        let text = format!(
            "From: <{from}>\r\nTo: <{to}>\r\nNS: imdn <{IMDN_HEADERS}>\r\nimdn.Message-ID: {own}\r\n\r\n\
             Content-Type: message/imdn+xml\r\nContent-Disposition: notification\r\nContent-Length: {}\r\n\r\n{document}",
            document.len(),
        );
        Some((MediaType::plain("message", "cpim"), text))
    }
}

/// Who writes to whom, in the words of a CPIM wrapper.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'a> {
    /// The sender.
    pub from: &'a Uri,
    /// The receiver.
    pub to: &'a Uri,
}

/// What a stanza tells of a message, and the message's identifier. An error is no receipt here, though it says
/// [`Receipt::Failed`]: errors have their own way through the gateway.
#[must_use]
pub fn of_stanza(stanza: &Stanza) -> Option<(Receipt, String)> {
    if !is_personal(stanza) {
        return None;
    }
    let (receipt, element) = [
        (Receipt::Displayed, stanza.child("displayed", MARKERS)),
        (Receipt::Delivered, stanza.child("received", RECEIPTS)),
        (Receipt::Delivered, stanza.child("received", MARKERS)),
    ]
    .into_iter()
    .find_map(|(receipt, element)| Some((receipt, element?)))?;
    Some((receipt, identifier(element.attribute("id")?)?))
}

/// The stanza that tells it.
#[must_use]
pub fn to_stanza(receipt: Receipt, id: &str, from: Jid, to: Jid) -> Stanza {
    let told = |name, namespace| Element::new(name, namespace).with_attribute("id", id);
    let message = |kind| Stanza::new(Kind::Message(kind), from.clone(), to.clone());
    match receipt {
        Receipt::Delivered => message(MessageType::Chat).with_child(told("received", RECEIPTS)),
        Receipt::Displayed => message(MessageType::Chat).with_child(told("displayed", MARKERS)),
        Receipt::Failed => message(MessageType::Error)
            .with_id(id)
            .with_child(StanzaError::new(Condition::RecipientUnavailable).to_element()),
    }
}

/// Whether a MESSAGE carries a receipt, in a CPIM wrapper or without.
#[must_use]
pub fn is_receipt(request: &Request) -> bool {
    if *request.method() != Method::Message {
        return false;
    }
    let is = |kind: &MediaType| is_document(kind) || is_microsoft(kind);
    if request.headers().content_type().is_some_and(is) {
        return true;
    }
    is_cpim(request) && Cpim::read(request.body()).is_ok_and(|cpim| is(cpim.content.kind()))
}

/// What a MESSAGE tells of another, and that one's identifier; `None` where it tells nothing: Microsoft's documents,
/// notifications of mere processing, and those that say only that nothing will be said.
///
/// # Errors
/// [`MessageError::MediaType`] for a request without such a document, [`MessageError::Garbled`] for one that cannot be
/// read.
pub fn of_request(request: &Request) -> Result<Option<(Receipt, String)>, MessageError> {
    if *request.method() != Method::Message {
        return Err(MessageError::NotAMessage);
    }
    let kind = request.headers().content_type().ok_or(MessageError::MediaType)?;
    if kind.is("message", "cpim") {
        let content = Cpim::read(request.body())?.content;
        return read(content.kind(), &content.octets()?);
    }
    read(kind, request.body())
}

fn read(kind: &MediaType, body: &[u8]) -> Result<Option<(Receipt, String)>, MessageError> {
    if is_microsoft(kind) {
        return Ok(None);
    }
    if !is_document(kind) {
        return Err(MessageError::MediaType);
    }
    let root = document(body)?;
    let id = root.child("message-id", IMDN).ok_or(MessageError::Garbled)?;
    if root.name() != "imdn" {
        return Err(MessageError::Garbled);
    }
    let status = |notification: &str, name: &str| {
        root.child(notification, IMDN)
            .and_then(|told| told.child("status", IMDN))
            .is_some_and(|status| status.child(name, IMDN).is_some())
    };
    let receipt = if status("display-notification", "displayed") {
        Receipt::Displayed
    } else if status("delivery-notification", "delivered") {
        Receipt::Delivered
    } else if status("delivery-notification", "failed") {
        Receipt::Failed
    } else {
        return Ok(None);
    };
    let id = identifier(id.text().trim()).ok_or(MessageError::Garbled)?;
    Ok(Some((receipt, id)))
}

/// A message between two users, and no error.
const fn is_personal(stanza: &Stanza) -> bool {
    match stanza.kind() {
        Kind::Message(MessageType::Normal | MessageType::Chat) => true,
        Kind::Message(MessageType::Groupchat | MessageType::Headline | MessageType::Error)
        | Kind::Presence(_)
        | Kind::Iq(_) => false,
    }
}

fn is_cpim(request: &Request) -> bool {
    *request.method() == Method::Message
        && request
            .headers()
            .content_type()
            .is_some_and(|kind| kind.is("message", "cpim"))
}

fn is_document(kind: &MediaType) -> bool {
    kind.is("message", "imdn+xml")
}

fn is_microsoft(kind: &MediaType) -> bool {
    kind.is("application", "ms-imdn+xml")
}

fn identifier(id: &str) -> Option<String> {
    let fits = (1..=FOREIGN_ID_BYTES).contains(&id.len()) && !id.contains(super::error::breaks_lines);
    fits.then(|| id.to_owned())
}

/// RFC 3339, loosely: a word that can be said again in a document.
fn is_stamp(stamp: &str) -> bool {
    (1..=STAMP_BYTES).contains(&stamp.len())
        && stamp
            .bytes()
            .all(|b| b.is_ascii_digit() || b"-+:.TZtz".contains(&b))
}

/// RFC 5438 §7.1.1.1: an identifier in a header of a wrapper.
fn is_token(id: &str) -> bool {
    (1..=FOREIGN_ID_BYTES).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

/// Message delivery receipts (XEP-0184).
const RECEIPTS: &str = "urn:xmpp:receipts";
/// Chat markers (XEP-0333).
const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// The namespace of IMDN headers in a CPIM wrapper (RFC 5438 §6).
const IMDN_HEADERS: &str = "urn:ietf:params:imdn";
/// The namespace of IMDN documents (RFC 5438 §11).
const IMDN: &str = "urn:ietf:params:xml:ns:imdn";

/// Octets of a time with a fraction of a second and an offset, and some more.
const STAMP_BYTES: usize = 40;

#[cfg(test)]
mod tests;
