//! An XMPP address: its written form is read as the same address, and its bare form has no resource.

use vestibule::xmpp::Jid;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(jid) = Jid::parse(text) {
        let written = jid.to_string();
        assert_eq!(Jid::parse(&written).as_ref(), Ok(&jid), "{written}");
        assert!(jid.bare().resource().is_none());
        for part in [jid.local(), jid.resource()].into_iter().flatten() {
            assert!(!part.is_empty() && part.len() <= 1_023);
        }
    }
}
