//! Presence documents: whatever one says, each device of it fits into a stanza; and what we write of them is read again as the
//! same, by kinds of peers that are told everything, and as one device by the others.

use vestibule::interwork::presence::table::{self, BusyAs};
use vestibule::interwork::presence::{Presence, document, pidf, xmpp};
use vestibule::interwork::profile::PeerKind;
use vestibule::limits::XmlLimits;
use vestibule::mime::MediaType;
use vestibule::xml;
use vestibule::xmpp::{Jid, Stanza, ns};

pub fn run(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let Some((kind, subtype)) = document::TYPES.get(usize::from(*choice) % document::TYPES.len()) else {
        return;
    };
    let Ok(said) = document::read(&MediaType::plain(kind, subtype), body) else {
        return;
    };
    let Some(presence) = said.clone().onto(None) else {
        return;
    };
    // What changes once has changed.
    assert_eq!(said.onto(Some(&presence)).as_ref(), Some(&presence));
    let (from, to) = (jid("a@a.example"), jid("b@b.example/c"));
    let mut seen = Presence::new();
    for device in presence.devices() {
        for kind in KINDS {
            for busy_as in [BusyAs::DoNotDisturb, BusyAs::Away, BusyAs::Available] {
                again(&xmpp::to_stanza(device, (kind, busy_as), from.clone(), to.clone()));
            }
        }
        let shown = xmpp::to_stanza(device, (PeerKind::Simple, BusyAs::Away), from.clone(), to.clone());
        seen.set(xmpp::from_stanza(&shown).expect("a state"));
    }
    assert!(seen.devices().len() <= 1, "they are all of one address");
    for kind in KINDS {
        let written = pidf::write(&presence, &to, kind).expect("an address that SIP can name");
        let read = document::read(&MediaType::plain("application", "pidf+xml"), &written)
            .unwrap_or_else(|error| panic!("{error}: {}", written.escape_ascii()))
            .onto(None)
            .expect("all that there is");
        if kind == PeerKind::Simple {
            assert_eq!(read.devices().len(), presence.devices().len().max(1));
        } else {
            let [one] = read.devices() else { panic!("{read:?}") };
            let told = table::of_device(kind, &presence.aggregate());
            assert_eq!(one.state(), told, "{}", written.escape_ascii());
        }
    }
}

fn again(stanza: &Stanza) {
    let document = xml::write::document(stanza.element());
    let element = xml::document(&document, &XmlLimits::default())
        .unwrap_or_else(|error| panic!("{error}: {}", document.escape_ascii()));
    assert_eq!(Stanza::from_element(element, ns::STANZA).as_ref(), Ok(stanza));
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).expect("an address")
}

const KINDS: [PeerKind; 3] = [PeerKind::Simple, PeerKind::Microsoft, PeerKind::Aol];
