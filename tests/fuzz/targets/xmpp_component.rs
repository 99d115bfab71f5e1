//! A component's stream: whatever a node sends.

use std::time::Instant;

use vestibule::choices::Choices;
use vestibule::domain::Domain;
use vestibule::limits::Limits;
use vestibule::streams::{Machine, Witness, play};
use vestibule::xmpp::stream::{Event, Input};
use vestibule::xmpp::{Component, ComponentSecret, Jid, Stanza, ns, stanza};

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    let now = Instant::now();
    let domain = Domain::parse("two.example").expect("a domain");
    let machine = Component::new(now, domain.clone(), ComponentSecret::new("s"), &Limits::default());
    let mut witness = Witness::new(Machine::Component(Box::new(machine)), now, false);
    play(&mut witness, &mut choices, ns::COMPONENT, |witness, choices| {
        let (from, to) = (Jid::from(choices.domain()), Jid::from(choices.domain()));
        let stanza = Stanza::new(stanza::Kind::Message(stanza::MessageType::Chat), from, to);
        let before = witness.written.len();
        let sent = witness.tell(Input::Send(&stanza)).is_ok();
        assert!(!sent || !witness.proven.is_empty());
        assert_eq!(witness.written.len(), before + usize::from(sent));
    });
    let proven: Vec<_> = witness
        .end()
        .into_iter()
        .filter(|event| matches!(event, Event::Authenticated { .. }))
        .collect();
    assert!(proven.len() <= 1, "{proven:?}");
}
