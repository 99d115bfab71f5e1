//! The gateways that a message went through, so that none takes it twice.
//!
//! Within SIP that is said by Via and Max-Forwards, and neither crosses XMPP (RFC 7247 §8); two gateways that each take the
//! other for the way to a domain would hand a message back and forth for ever. So each gateway puts its [`Mark`] on what it
//! translates: in an element of a stanza, and in a header field of a request. A mark is nobody's name: only who made it knows
//! it again, so that it may go where no name of the inside may. What is not of its form is not carried on.

use std::fmt;

use aws_lc_rs::hmac;

use crate::domain::Domain;
use crate::sip::Request;
use crate::xml::Element;
use crate::xmpp::Stanza;

/// What stands for one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// The mark of a gateway: the same for all its processes that share a secret.
    #[must_use]
    pub fn new(secret: &[u8], gateway: &Domain) -> Self {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
        context.update(LABEL);
        context.update(gateway.as_str().as_bytes());
        let tag = context.sign();
        let fold = |number: u64, octet: &u8| (number << 8) | u64::from(*octet);
        Self(tag.as_ref().iter().take(OCTETS).fold(0, fold))
    }

    fn parse(text: &str) -> Option<Self> {
        let mark = u64::from_str_radix(text, 16).ok().map(Self)?;
        // Written in one way only: what else could be read would carry something along.
        (mark.to_string() == text).then_some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The marks, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passage(Vec<Mark>);

/// It was here before, or was handed on by more gateways than any right way leads through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Circling {
    /// It bears our mark.
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
        let marks = stanza.element().children().filter(|child| is_mark(child));
        Self::read(marks.filter_map(|mark| mark.attribute("by")))
    }

    fn read<'a>(marks: impl Iterator<Item = &'a str>) -> Self {
        // One more than may be, so that it is seen to be too many.
        let most = MOST_GATEWAYS.saturating_add(1);
        Self(marks.filter_map(Mark::parse).take(most).collect())
    }

    /// The same after another gateway.
    ///
    /// # Errors
    /// [`Circling`] where that one may not take it.
    pub fn through(mut self, gateway: Mark) -> Result<Self, Circling> {
        if self.0.contains(&gateway) {
            return Err(Circling::Again);
        }
        if self.0.len() >= MOST_GATEWAYS {
            return Err(Circling::TooFar);
        }
        self.0.push(gateway);
        Ok(self)
    }

    /// Writes it into a stanza, and nothing else of the kind.
    pub fn mark_stanza(&self, stanza: &mut Stanza) {
        stanza.retain_children(|child| !is_mark(child));
        for mark in &self.0 {
            stanza.push(Element::new(NAME, NAMESPACE).with_attribute("by", &*mark.to_string()));
        }
    }

    /// Writes it into a request, and nothing else of the kind.
    pub fn mark_request(&self, request: &mut Request) {
        request.headers_mut().remove(FIELD);
        let marks: Vec<_> = self.0.iter().map(Mark::to_string).collect();
        if !marks.is_empty() {
            // They hold nothing that a header field could not.
            let _ = request.headers_mut().push(FIELD, &marks.join(", "));
        }
    }
}

fn is_mark(element: &Element) -> bool {
    element.name() == NAME && element.ns() == NAMESPACE
}

/// The header field that has it.
pub const FIELD: &str = "Passed-Gateways";
/// The element that has one mark of it, and its namespace.
const NAME: &str = "passed";
const NAMESPACE: &str = "urn:vestibule:passage:0";
/// Gateways on the longest way that makes sense: out of one organisation, through two that mediate, into another.
const MOST_GATEWAYS: usize = 4;
/// Octets of a mark: few, since they count against those of a MESSAGE, and too many to be met by chance.
const OCTETS: usize = 8;
const LABEL: &[u8] = b"vestibule passage 1 ";

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

    fn mark(gateway: &str) -> Mark {
        Mark::new(b"secret", &domain(gateway))
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
    fn marks_are_kept_across_both_protocols_and_name_nobody() {
        let (one, two, three) = (
            mark("gate.one.example"),
            mark("gate.two.example"),
            mark("gate.three.example"),
        );
        let passage = Passage::of_request(&request(&format!("Passed-Gateways: {one}, {two}\r\n")));
        let passage = passage.through(three).unwrap();
        let mut marked = stanza();
        passage.mark_stanza(&mut marked);
        assert_eq!(Passage::of_stanza(&marked), passage);
        let mut request = request("");
        passage.mark_request(&mut request);
        let written = format!("{one}, {two}, {three}");
        assert_eq!(request.headers().get(FIELD), Some(&*written));
        assert!(!written.contains("gate"));
        assert_eq!(Passage::of_request(&request), passage);
    }

    #[test]
    fn what_is_not_of_the_form_of_a_mark_is_not_carried_on() {
        let foreign = [
            "gw2.corp.lan",
            "+0000000000000ab",
            "00000000000000AB",
            "ab",
            "00000000000000abc",
            "",
        ];
        let own = mark("gate.one.example");
        let mut marked = stanza();
        for text in foreign {
            marked.push(Element::new(NAME, NAMESPACE).with_attribute("by", text));
        }
        marked.push(Element::new(NAME, NAMESPACE).with_attribute("by", &*own.to_string()));
        let passage = Passage::of_stanza(&marked);
        assert_eq!(passage, Passage(vec![own]));
        passage.mark_stanza(&mut marked);
        assert_eq!(marked.element().children().count(), 1);
        let mut asked = request(&format!("Passed-Gateways: {own}, {}\r\n", foreign.join(", ")));
        Passage::of_request(&asked).mark_request(&mut asked);
        assert_eq!(asked.headers().get(FIELD), Some(&*own.to_string()));
    }

    #[test]
    fn a_mark_is_of_one_gateway_and_one_secret() {
        let own = mark("gate.one.example");
        assert_eq!(own, mark("GATE.one.example"));
        assert_ne!(own, mark("gate.two.example"));
        assert_ne!(own, Mark::new(b"another", &domain("gate.one.example")));
    }

    #[test]
    fn none_takes_it_twice_and_no_more_than_a_few_take_it() {
        let mut passage = Passage::default();
        for number in 0..MOST_GATEWAYS {
            let gateway = mark(&format!("gate{number}.example"));
            passage = passage.through(gateway).unwrap();
            assert_eq!(passage.clone().through(gateway), Err(Circling::Again));
        }
        let one_more = mark("one.more.example");
        assert_eq!(passage.clone().through(one_more), Err(Circling::TooFar));
        passage.0.extend([Mark(1), Mark(2)]);
        let mut many = request("");
        passage.mark_request(&mut many);
        assert_eq!(
            Passage::of_request(&many).through(one_more),
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
