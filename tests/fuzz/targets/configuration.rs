//! The configuration: any text is either refused with reasons or gives settings that can be asked, and both are the same
//! each time.

use std::collections::BTreeMap;
use std::path::Path;

use vestibule::config;
use vestibule::domain::Domain;
use vestibule::policy::Party;
use vestibule::route::Protocol;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // A fuzzer that opens files finds what is on the machine.
    let text = text.replace("file:", "env:");
    let environment = BTreeMap::from([
        ("SECRET".to_owned(), "secret".to_owned()),
        ("VESTIBULE_LOG_LEVEL".to_owned(), "debug".to_owned()),
    ]);
    let read = || config::read(Path::new("vestibule.toml"), &text, &environment);
    match (read(), read()) {
        (Ok(loaded), Ok(again)) => {
            assert_eq!(loaded.warnings.len(), again.warnings.len());
            let to = Party::new(Some("a"), Domain::parse("one.example").expect("a domain"));
            for protocol in [Protocol::Sip, Protocol::Xmpp] {
                let _route = loaded.settings.table.lookup(&to, protocol);
            }
        }
        (Err(report), Err(again)) => {
            assert!(!report.errors.is_empty(), "refused without a reason");
            assert_eq!(report.to_string(), again.to_string());
        }
        (first, second) => panic!("{first:?}, and then {second:?}"),
    }
}
