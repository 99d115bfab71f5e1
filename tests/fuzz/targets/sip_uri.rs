//! A SIP URI: what is read and written reads as the same.

use vestibule::sip::Uri;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(uri) = Uri::parse(text) {
        let written = uri.to_string();
        assert_eq!(Uri::parse(&written).as_ref(), Ok(&uri), "{written}");
    }
}
