//! The initiating side of a stream, for stanzas and for the question about a dialback key.

use std::time::Instant;

use vestibule::choices::Choices;
use vestibule::domain::Domain;
use vestibule::limits::Limits;
use vestibule::streams::{Machine, Witness, certificate, play, settings};
use vestibule::xmpp::stream::{
    ClientCertificate, Dialback, Event, Initiating, Input, Purpose, Sasl, Start, Tls, TlsFacts,
};
use vestibule::xmpp::{DialbackSecret, Jid, Stanza, ns, stanza};

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (start, encrypted) = if choices.seldom(2) {
        let certificate = certificate(&mut choices);
        (Start::Tls(TlsFacts { certificate }), true)
    } else {
        (Start::Plain, false)
    };
    let local = Domain::parse("two.example").expect("a domain");
    let remote = Domain::parse("one.example").expect("a domain");
    let asks = choices.seldom(3);
    let purpose = if asks {
        Purpose::Verify {
            local: local.clone(),
            remote: remote.clone(),
            stream_id: "s1".to_owned(),
            key: "abc".to_owned(),
        }
    } else {
        Purpose::Stanzas {
            local: local.clone(),
            remote: remote.clone(),
        }
    };
    let terms = settings(&mut choices);
    let now = Instant::now();
    let secret = DialbackSecret::new(b"s");
    let machine = Initiating::new(now, start, purpose, terms, secret, &Limits::default());
    let mut witness = Witness::new(Machine::Initiating(Box::new(machine)), now, encrypted);
    witness.must_encrypt = terms.tls == Tls::Required;
    let is_dialled = terms.dialback == Dialback::On && (terms.tls, terms.sasl) != (Tls::Required, Sasl::Required);
    witness.may_be_stranger = is_dialled && terms.certificate == ClientCertificate::NotRequired;
    play(&mut witness, &mut choices, ns::SERVER, |witness, choices| {
        let (from, to) = (choices.domain(), choices.domain());
        let stanza = Stanza::new(
            stanza::Kind::Message(stanza::MessageType::Chat),
            Jid::from(from.clone()),
            Jid::from(to.clone()),
        );
        let is_proven = witness.proven.iter().any(|(ours, theirs, _)| (ours, theirs) == (&from, &to));
        let before = witness.written.len();
        let sent = witness.tell(Input::Send(&stanza)).is_ok();
        assert!(is_proven || !sent, "a stanza for somebody who is not proven");
        assert_eq!(witness.written.len(), before + usize::from(sent), "sent as one element, or not at all");
    });
    let mut verified = 0;
    for event in witness.end() {
        match event {
            Event::Authenticated { local: ours, remote: theirs, .. } => {
                assert_eq!((ours, theirs, asks), (local.clone(), remote.clone(), false));
            }
            Event::Verified(_) => verified += 1,
            _ => {}
        }
    }
    assert!(verified <= usize::from(asks), "{verified} answers");
}
