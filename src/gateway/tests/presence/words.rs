//! What is said and shown, in words that a test can be written in.

use super::*;

const TYPES: [(&str, PresenceType); 7] = [
    ("subscribe", PresenceType::Subscribe),
    ("subscribed", PresenceType::Subscribed),
    ("unsubscribe", PresenceType::Unsubscribe),
    ("unsubscribed", PresenceType::Unsubscribed),
    ("unavailable", PresenceType::Unavailable),
    ("probe", PresenceType::Probe),
    ("error", PresenceType::Error),
];

pub(super) fn type_of(name: &str) -> PresenceType {
    TYPES.iter().find(|(known, _)| *known == name).unwrap().1
}

/// A stanza in a word.
pub(super) fn word(stanza: &Stanza) -> String {
    assert_eq!(stanza.from().bare(), jid(ALICE));
    assert_eq!(stanza.to().bare(), jid(BOB));
    let device = |jid: &Jid| jid.resource().map_or_else(String::new, |name| format!("/{name}"));
    let Kind::Presence(kind) = stanza.kind() else {
        panic!("{stanza:?}")
    };
    let mut word = match kind {
        PresenceType::Available => format!("available{}", device(stanza.from())),
        PresenceType::Unavailable => format!("unavailable{}", device(stanza.from())),
        kind @ (PresenceType::Subscribe
        | PresenceType::Subscribed
        | PresenceType::Unsubscribe
        | PresenceType::Unsubscribed
        | PresenceType::Probe
        | PresenceType::Error) => {
            let named = TYPES.iter().find(|(_, known)| *known == kind);
            named.unwrap().0.to_owned()
        }
    };
    for name in ["show", "status"] {
        if let Some(text) = stanza.child_text(name) {
            word += &format!(" {text}");
        }
    }
    if !stanza.to().is_bare() {
        word += &format!(" to {}", device(stanza.to()));
    }
    word
}

/// The document of a notification in a word.
pub(super) fn document(notify: &Request) -> String {
    let body = String::from_utf8(notify.body().to_vec()).unwrap();
    if body.is_empty() {
        return String::new();
    }
    let open = body.matches(">open<").count();
    let shows = ["away", "dnd", "xa", "chat"]
        .into_iter()
        .filter(|show| body.contains(&format!(">{show}<")));
    match open {
        0 => " closed".to_owned(),
        open => format!(
            " open {open}{}",
            shows.map(|show| format!(" {show}")).collect::<String>()
        ),
    }
}

/// A field with a tag; none where there is no tag.
pub(super) fn tagged(field: &str, tag: &str) -> String {
    match tag {
        "" => String::new(),
        tag => format!("{field}: {tag}\r\n"),
    }
}

/// A document that says that alice is there by these devices.
pub(in crate::gateway::tests) fn open(devices: &[&str]) -> String {
    let tuples = devices
        .iter()
        .map(|device| format!("<tuple id=\"ID-{device}\"><status><basic>open</basic></status></tuple>"));
    format!(
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:{ALICE}\">{}</presence>",
        tuples.collect::<String>()
    )
}
