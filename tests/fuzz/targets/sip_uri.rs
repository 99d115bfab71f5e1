//! A SIP URI: what is read and written reads as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::sip::Uri;

fuzz_target!(|text: &str| {
    if let Ok(uri) = Uri::parse(text) {
        let written = uri.to_string();
        assert_eq!(Uri::parse(&written).as_ref(), Ok(&uri), "{written}");
    }
});
