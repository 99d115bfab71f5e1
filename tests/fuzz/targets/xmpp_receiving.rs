//! The receiving side of a stream: whatever a peer sends, in whatever order questions are answered.

use std::time::Instant;

use vestibule::limits::Limits;
use vestibule::streams::{Machine, Witness, certificate, play};
use vestibule::xmpp::stream::{Input, Receiving, Start, TlsFacts};
use vestibule::xmpp::{DialbackSecret, Jid, Stanza, ns, stanza};
use vestibule::choices::Choices;

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (start, encrypted) = if choices.seldom(2) {
        let certificate = certificate(&mut choices);
        (Start::Tls(TlsFacts { certificate }), true)
    } else {
        (Start::Plain, false)
    };
    let now = Instant::now();
    let machine = Receiving::new(now, start, [1, 2, 3], DialbackSecret::new(b"s"), &Limits::default());
    let mut witness = Witness::new(Machine::Receiving(Box::new(machine)), now, encrypted);
    play(&mut witness, &mut choices, ns::SERVER, |witness, choices| {
        // Stanzas go one way.
        let (from, to) = (Jid::from(choices.domain()), Jid::from(choices.domain()));
        let stanza = Stanza::new(stanza::Kind::Message(stanza::MessageType::Chat), from, to);
        let before = witness.written.len();
        assert!(witness.tell(Input::Send(&stanza)).is_err());
        assert_eq!(witness.written.len(), before);
    });
    witness.end();
}
