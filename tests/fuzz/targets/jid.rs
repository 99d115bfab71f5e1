//! An XMPP address: its written form is read as the same address, and its bare form has no resource.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::xmpp::Jid;

fuzz_target!(|text: &str| {
    if let Ok(jid) = Jid::parse(text) {
        let written = jid.to_string();
        assert_eq!(Jid::parse(&written).as_ref(), Ok(&jid), "{written}");
        assert!(jid.bare().resource().is_none());
        for part in [jid.local(), jid.resource()].into_iter().flatten() {
            assert!(!part.is_empty() && part.len() <= 1_023);
        }
    }
});
