//! The gateways that a message went through, so that none takes it twice.
//!
//! Within SIP that is said by Via and Max-Forwards, and neither crosses XMPP (RFC 7247 §8); two gateways that each take the
//! other for the way to a domain would hand a message back and forth for ever. So the name of a gateway stays with what it has
//! translated: in an element of a stanza, and in a header field of a request. A name says no more than Via and the `by` of an
//! error do.

use crate::domain::Domain;
use crate::sip::Request;
use crate::xml::Element;
use crate::xmpp::Stanza;

/// The names, each once, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passage(Vec<Domain>);

/// It was here before, or was handed on by more gateways than any right way leads through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Circling {
    /// Its passage names us.
    #[error("a gateway has brought back what went through this one")]
    Again,
    /// It went through too many.
    #[error("the message went through more than {MOST_GATEWAYS} gateways")]
    TooFar,
}

impl Passage {
    /// What a request says of it.
    #[must_use]
    pub fn of_request(request: &Request) -> Self {
        Self::read(request.headers().list(FIELD))
    }

    /// What a stanza says of it.
    #[must_use]
    pub fn of_stanza(stanza: &Stanza) -> Self {
        let marks = stanza
            .element()
            .children()
            .filter(|child| child.name() == NAME && child.ns() == NAMESPACE);
        Self::read(marks.filter_map(|mark| mark.attribute("by")))
    }

    fn read<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        // One more than may be, so that it is seen to be too many.
        let names = names.take(MOST_GATEWAYS.saturating_add(1));
        Self(names.filter_map(|name| Domain::parse(name).ok()).collect())
    }

    /// The same after another gateway.
    ///
    /// # Errors
    /// [`Circling`] where that one may not take it.
    pub fn through(mut self, gateway: &Domain) -> Result<Self, Circling> {
        if self.0.contains(gateway) {
            return Err(Circling::Again);
        }
        if self.0.len() >= MOST_GATEWAYS {
            return Err(Circling::TooFar);
        }
        self.0.push(gateway.clone());
        Ok(self)
    }

    /// Writes it into a stanza that has none.
    pub fn mark_stanza(&self, stanza: &mut Stanza) {
        for gateway in &self.0 {
            stanza.push(Element::new(NAME, NAMESPACE).with_attribute("by", gateway.as_str()));
        }
    }

    /// Writes it into a request that has none.
    pub fn mark_request(&self, request: &mut Request) {
        let names: Vec<_> = self.0.iter().map(Domain::as_str).collect();
        if !names.is_empty() {
            // Domains hold nothing that a header field could not.
            let _ = request.headers_mut().push(FIELD, &names.join(", "));
        }
    }
}

/// The header field that has it.
pub const FIELD: &str = "Passed-Gateways";
/// The element that has one name of it, and its namespace.
const NAME: &str = "passed";
const NAMESPACE: &str = "urn:vestibule:passage:0";
/// Gateways on the longest way that makes sense: out of one organisation, through two that mediate, into another.
const MOST_GATEWAYS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SipLimits;
    use crate::sip::{Message, parse};
    use crate::xmpp::Jid;
    use crate::xmpp::stanza::{Kind, MessageType};

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn request(fields: &str) -> Request {
        let text = format!(
            "MESSAGE sip:b@two.example SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bKx\r\nFrom: <sip:a@one.example>;tag=t\r\n\
             To: <sip:b@two.example>\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\n{fields}Content-Length: 0\r\n\r\n"
        );
        match parse::message(text.as_bytes(), &SipLimits::default()) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn stanza() -> Stanza {
        let jid = |text| Jid::parse(text).unwrap();
        Stanza::new(
            Kind::Message(MessageType::Chat),
            jid("a@one.example"),
            jid("b@two.example"),
        )
    }

    #[test]
    fn names_are_kept_across_both_protocols() {
        let passage = Passage::of_request(&request(
            "Passed-Gateways: gate.one.example, GATE.two.example\r\n",
        ));
        let passage = passage.through(&domain("gate.three.example")).unwrap();
        let mut marked = stanza();
        passage.mark_stanza(&mut marked);
        assert_eq!(Passage::of_stanza(&marked), passage);
        let mut request = request("");
        passage.mark_request(&mut request);
        assert_eq!(
            request.headers().get(FIELD),
            Some("gate.one.example, gate.two.example, gate.three.example")
        );
        assert_eq!(Passage::of_request(&request), passage);
    }

    #[test]
    fn none_takes_it_twice_and_no_more_than_a_few_take_it() {
        let mut passage = Passage::default();
        for number in 0..MOST_GATEWAYS {
            let gateway = domain(&format!("gate{number}.example"));
            passage = passage.through(&gateway).unwrap();
            assert_eq!(passage.clone().through(&gateway), Err(Circling::Again));
        }
        assert_eq!(
            passage.through(&domain("one.more.example")),
            Err(Circling::TooFar)
        );
        let many =
            request("Passed-Gateways: a.example, b.example, c.example, d.example, e.example, f.example\r\n");
        assert_eq!(
            Passage::of_request(&many).through(&domain("one.more.example")),
            Err(Circling::TooFar)
        );
    }

    #[test]
    fn what_went_nowhere_says_nothing() {
        let mut plain = request("");
        Passage::of_stanza(&stanza()).mark_request(&mut plain);
        assert_eq!(plain.headers().get(FIELD), None);
    }
}
