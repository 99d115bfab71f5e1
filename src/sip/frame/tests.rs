#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use super::*;
use crate::sip::Flaw;

const HEAD: &str = "Via: SIP/2.0/TCP a.example.org;branch=z9hG4bK1\r\n\
    From: <sip:a@example.org>;tag=f\r\nTo: <sip:b@example.com>\r\nCall-ID: c\r\n";

fn request(method: &str, fields: &str, body: &str) -> String {
    format!("{method} sip:b@example.com SIP/2.0\r\n{HEAD}CSeq: 1 {method}\r\n{fields}\r\n{body}")
}

fn framer() -> StreamFramer {
    StreamFramer::new(&SipLimits::default())
}

/// What frames a stream gives, told in words.
fn frames(stream: &str) -> Vec<String> {
    let mut framer = framer();
    framer.push(stream.as_bytes());
    let mut told = Vec::new();
    loop {
        told.push(match framer.next() {
            Ok(None) => return told,
            Ok(Some(Frame::Ping)) => "ping".to_owned(),
            Ok(Some(Frame::Pong)) => "pong".to_owned(),
            Ok(Some(Frame::Message(Message::Request(request)))) => {
                format!("{} {}", request.method(), request.body().escape_ascii())
            }
            Ok(Some(Frame::Message(Message::Response(response)))) => response.status().to_string(),
            Ok(Some(Frame::Bad(bad))) => format!("bad {} {}", bad.error.status(), bad.reply.is_some()),
            Err(error) => {
                told.push(format!(
                    "closed {} {}",
                    error.error.status(),
                    error.reply.is_some()
                ));
                assert!(framer.next().is_err(), "an error is for good");
                return told;
            }
        });
    }
}

#[test]
fn messages_follow_each_other_by_their_content_length() {
    let two = request("MESSAGE", "Content-Length : 2\r\n", "hi") + &request("BYE", "l: 0\r\n", "");
    assert_eq!(frames(&two), ["MESSAGE hi", "BYE "]);
    let inner = request("OPTIONS", "l: 0\r\n", "");
    let length = format!("l: {}\r\n", inner.len());
    let smuggled = request("MESSAGE", &length, &inner) + &request("BYE", "l: 0\r\n", "");
    assert_eq!(
        frames(&smuggled),
        [format!("MESSAGE {}", inner.escape_default()), "BYE ".to_owned()]
    );
}

#[test]
fn line_breaks_between_messages_are_keepalives() {
    let message = request("BYE", "l: 0\r\n", "");
    assert_eq!(frames("\r\n"), ["pong"]);
    assert_eq!(frames("\r\n\r\n"), ["pong", "ping"]);
    assert_eq!(frames("\r\n\r\n\r\n"), ["pong", "ping", "pong"]);
    assert_eq!(
        frames(&format!("\r\n{message}\r\n\r\n{message}")),
        ["pong", "BYE ", "pong", "ping", "BYE "]
    );
    assert_eq!(frames("\r"), [""; 0]);
    assert_eq!(frames("\n"), ["closed 400 false"]);
    assert_eq!(frames("\rX"), ["closed 400 false"]);
}

#[test]
fn a_bad_message_whose_end_is_known_does_not_end_the_stream() {
    let good = request("BYE", "l: 0\r\n", "");
    for fields in ["Expires: x\r\nl: 3\r\n", "l: 3\r\nMax-Forwards: 300\r\n"] {
        assert_eq!(
            frames(&(request("MESSAGE", fields, "abc") + &good)),
            ["bad 400 true", "BYE "]
        );
    }
    let no_answer = request("ACK", "Expires: x\r\nl: 3\r\n", "abc");
    assert_eq!(frames(&(no_answer + &good)), ["bad 400 false", "BYE "]);
}

#[test]
fn a_message_whose_end_is_not_sure_ends_the_stream_after_its_answer() {
    let limit = SipLimits::default().message_bytes;
    for (fields, told) in [
        ("", "closed 400 true"),
        ("l: 3\r\nContent-Length: 3\r\n", "closed 400 true"),
        ("Content-Length: 0\r\nContent-Length: 3\r\n", "closed 400 true"),
        ("Content-Length: -3\r\n", "closed 400 true"),
        ("Content-Length: +3\r\n", "closed 400 true"),
        ("Content-Length: 3,3\r\n", "closed 400 true"),
        ("Content-Length: 3 \x0b\r\n", "closed 400 true"),
        ("Content-Length: 4294967299\r\n", "closed 400 true"),
        ("Content-Length: 18446744073709551619\r\n", "closed 400 true"),
        ("Content-Length: x\r\nl: 3\r\n", "closed 400 true"),
        (&format!("l: {limit}\r\n"), "closed 413 true"),
        ("Subject: a\nb\r\nl: 3\r\n", "closed 400 false"),
        ("Subject: a\rb\r\nl: 3\r\n", "closed 400 false"),
    ] {
        assert_eq!(frames(&request("MESSAGE", fields, "abc")), [told], "{fields:?}");
    }
    assert_eq!(frames(&request("ACK", "", "")), ["closed 400 false"]);
    assert_eq!(
        frames(&format!("SIP/2.0 200 OK\r\n{HEAD}CSeq: 1 BYE\r\n\r\n")),
        ["closed 400 false"]
    );
}

#[test]
fn heads_are_refused_before_they_fill_the_memory() {
    let limits = SipLimits {
        message_bytes: 1_000,
        head_bytes: 500,
        line_bytes: 200,
        ..SipLimits::default()
    };
    let feed = |bytes: &[u8]| {
        let mut framer = StreamFramer::new(&limits);
        for (count, byte) in bytes.iter().enumerate() {
            framer.push(std::slice::from_ref(byte));
            match framer.next() {
                Ok(None) => {}
                Ok(Some(frame)) => panic!("{frame:?}"),
                Err(error) => return (error.error, count),
            }
        }
        panic!("no end")
    };
    assert_eq!(feed(&[b'x'; 1_000]), (ParseError::StartLineTooLong, 201));
    let (error, count) = feed(&[b"A\r\n", &[b'x'; 1_000][..]].concat());
    assert_eq!((error, count), (ParseError::FieldTooLong, 204));
    let (error, count) = feed(&b"A: b\r\n".repeat(1_000));
    assert_eq!(error, ParseError::HeadTooLarge);
    assert!((500..510).contains(&count));
}

#[test]
fn what_is_pushed_over_the_bound_ends_the_stream_after_what_came_before() {
    let limits = SipLimits {
        message_bytes: 400,
        ..SipLimits::default()
    };
    let mut framer = StreamFramer::new(&limits);
    framer.push(request("BYE", "l: 0\r\n", "").as_bytes());
    framer.push(&[b'x'; 801]);
    framer.push(b"\r\n");
    assert!(matches!(framer.next(), Ok(Some(Frame::Message(_)))));
    assert_eq!(framer.next(), Err(ParseError::Overrun.into()));
    framer.push(b"\r\n\r\n");
    assert_eq!(framer.buffered(), 0);
    assert_eq!(framer.next(), Err(ParseError::Overrun.into()));
}

#[test]
fn a_stream_may_end_between_messages_only() {
    let text = request("BYE", "l: 1\r\n", "x");
    let mut framer = framer();
    assert!(framer.is_between_messages());
    for byte in text.bytes() {
        framer.push(&[byte]);
        assert!(!framer.is_between_messages());
        if framer.next() != Ok(None) {
            break;
        }
    }
    assert!(framer.is_between_messages());
}

#[test]
fn the_error_names_its_field() {
    let mut framer = framer();
    framer.push(request("BYE", "l: -1\r\n", "").as_bytes());
    let error = framer.next().unwrap_err();
    assert_eq!(
        error.error,
        ParseError::Malformed(Field::ContentLength, Flaw::Number)
    );
    assert_eq!(
        error.to_string(),
        "Content-Length is malformed: a decimal number is malformed"
    );
    assert_eq!((error.class(), error.sip_status()), ("sip_field_malformed", 400));
}
