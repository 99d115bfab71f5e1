//! Both translations: a stanza becomes one SIP request and a request one stanza, whatever they say, and a strict reader
//! finds in each what was meant and nothing else.

use vestibule::domain::Domain;
use vestibule::interwork::address::Sips;
use vestibule::interwork::message::{self, Hop, Seed, Sending, Threading};
use vestibule::interwork::profile::{PeerKind, Profile};
use vestibule::limits::{GatewayLimits, SipLimits, XmlLimits};
use vestibule::sip::frame::{Frame, StreamFramer};
use vestibule::sip::{Date, Host, Message, Request, Scheme, Transport, parse, write};
use vestibule::xml;
use vestibule::xmpp::{Stanza, ns};

pub fn run(data: &[u8]) {
    if let Ok(element) = xml::document(data, &XmlLimits::default())
        && let Ok(stanza) = Stanza::from_element(element, ns::STANZA)
        && let Some(request) = to_request(&stanza)
    {
        let octets = written(&request);
        let mut framer = StreamFramer::new(&SipLimits::default());
        framer.push(&octets);
        let Ok(Some(Frame::Message(_))) = framer.next() else {
            panic!("no message: {}", octets.escape_ascii());
        };
        assert_eq!((framer.next(), framer.buffered()), (Ok(None), 0), "more than one message");
        let Ok(Message::Request(read)) = parse::message(&octets, &SipLimits::default()) else {
            panic!("no request: {}", octets.escape_ascii());
        };
        assert_eq!(written(&read).escape_ascii().to_string(), octets.escape_ascii().to_string());
        to_stanza(&read);
    }
    if let Ok(Message::Request(request)) = parse::message(data, &SipLimits::default()) {
        to_stanza(&request);
    }
}

fn to_request(stanza: &Stanza) -> Option<Request> {
    let im = message::from_xmpp(stanza, Scheme::Sip).ok()?;
    let edge = Domain::parse("edge.example").expect("a domain");
    let hop = Hop::new(Transport::Tls, Host::parse(edge.as_str()).expect("a host"), None);
    let seed = Seed::new(&[7; 32]);
    let profile = Profile::new(PeerKind::Simple, &GatewayLimits::default());
    let sending = Sending {
        hop: &hop,
        seed: &seed,
        threading: Threading::Keep,
        profile: &profile,
    };
    message::to_sip(&im, &sending).ok()
}

fn to_stanza(request: &Request) {
    let now = Date::from_unix_seconds(1_800_000_000).expect("a date");
    let Ok(im) = message::from_sip(request, now, Sips::Refuse) else {
        return;
    };
    let stanza = message::to_xmpp(&im);
    let document = xml::write::document(stanza.element());
    let element = xml::document(&document, &XmlLimits::default())
        .unwrap_or_else(|error| panic!("{error}: {}", document.escape_ascii()));
    assert_eq!(Stanza::from_element(element, ns::STANZA).as_ref(), Ok(&stanza));
    for child in stanza.element().children() {
        let known = matches!(child.name(), "body" | "subject" | "thread" | "delay");
        let flat = known && child.children().count() == 0;
        // Markup, which has laws of its own.
        assert!(flat || child.is("html", "http://jabber.org/protocol/xhtml-im"), "{child:?}");
    }
}

fn written(request: &Request) -> Vec<u8> {
    let mut octets = Vec::new();
    write::message(&Message::Request(request.clone()), &mut octets);
    octets
}
