//! Retry-After: for how long a server asks to be left alone (RFC 3261 §20.33).

use std::time::Duration;

use super::Response;

/// The time that a response asks to be left alone for; `None` where it says nothing that can be read.
#[must_use]
pub fn retry_after(response: &Response) -> Option<Duration> {
    // delta-seconds, then perhaps a comment and parameters (`duration` says how long it will then be well: not asked).
    let value = response.headers().get("Retry-After")?.trim_start();
    let digits = value
        .find(|c: char| !c.is_ascii_digit())
        .map_or(value, |end| value.get(..end).unwrap_or_default());
    let rest = value.get(digits.len()..)?.trim_start();
    if !(rest.is_empty() || rest.starts_with(['(', ';'])) {
        return None;
    }
    digits.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SipLimits;
    use crate::sip::{Message, parse};

    fn response(code: u16) -> Response {
        let text = format!(
            "SIP/2.0 {code} No\r\nVia: SIP/2.0/TLS a.example;branch=z9hG4bK1\r\nTo: <sip:b@b.example>;tag=1\r\n\
             From: <sip:a@a.example>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
        );
        match parse::message(text.as_bytes(), &SipLimits::default()).unwrap() {
            Message::Response(response) => response,
            Message::Request(_) => panic!("a request: {text}"),
        }
    }

    #[test]
    fn seconds_are_read_whatever_follows_them() {
        for (value, seconds) in [
            ("120", Some(120)),
            ("18000;duration=3600", Some(18_000)),
            ("120 (I'm in a meeting)", Some(120)),
            ("0", Some(0)),
            ("Mon, 21 Jul 1997 18:48:34 GMT", None),
            ("12x", None),
            ("-5", None),
            ("99999999999999999999999", None),
        ] {
            let response = response(503).with_header("Retry-After", value).unwrap();
            assert_eq!(
                retry_after(&response),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(retry_after(&response(503)), None);
    }
}
