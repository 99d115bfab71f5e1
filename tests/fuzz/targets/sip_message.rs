//! A SIP message alone: no input may panic, and what is read and written reads as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::limits::SipLimits;
use vestibule::sip::{parse, write};

fuzz_target!(|data: &[u8]| {
    let limits = SipLimits::default();
    match parse::message(data, &limits) {
        Ok(message) => {
            let mut once = Vec::new();
            write::message(&message, &mut once);
            let again = parse::message(&once, &limits).expect("what we write we can read");
            let mut twice = Vec::new();
            write::message(&again, &mut twice);
            assert_eq!(once.escape_ascii().to_string(), twice.escape_ascii().to_string());
        }
        Err(bad) => {
            if let Some(reply) = bad.reply {
                let mut out = Vec::new();
                write::response(&reply, &mut out);
                parse::message(&out, &limits).expect("a reply can be read");
            }
        }
    }
});
