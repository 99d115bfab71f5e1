//! RFC 4028: session timers, in both roles.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: what cannot be read fails the test"
)]

use std::time::{Duration, Instant};

use vestibule::limits::SipLimits;
use vestibule::sip::session_timer::{Failed, Party, SessionExpires, SessionTimer, SessionTimerOutput};
use vestibule::sip::{Message, Request, Response, StatusCode, parse};

#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
fn start() -> Instant {
    Instant::now()
}

fn request(fields: &str) -> Request {
    let text = format!(
        "INVITE sip:b@b.example SIP/2.0\nVia: SIP/2.0/TLS a.example;branch=z9hG4bK1\nFrom: <sip:a@a.example>;tag=1\n\
         To: <sip:b@b.example>\nCall-ID: 1\nCSeq: 1 INVITE\n{fields}Content-Length: 0\n\n"
    );
    match parse::message(text.replace('\n', "\r\n").as_bytes(), &SipLimits::default()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

fn response(code: u16, fields: &[(&str, &str)]) -> Response {
    let mut response = request("").response(StatusCode::new(code).unwrap(), "", Some("2"));
    for (name, value) in fields {
        response.headers_mut().push(name, value).unwrap();
    }
    response
}

fn timer() -> SessionTimer {
    SessionTimer::new(Duration::from_secs(1_800), Duration::from_secs(120))
}

/// What is due, with its seconds.
fn course(timer: &mut SessionTimer, start: Instant) -> Vec<(u64, SessionTimerOutput)> {
    let mut told = Vec::new();
    while let Some(at) = timer.timeout() {
        timer.handle(at);
        while let Some(output) = timer.poll() {
            told.push((at.duration_since(start).as_secs(), output));
        }
    }
    told
}

#[test]
fn section_4_values_are_read() {
    for (text, written) in [
        ("1800", Some("1800")),
        (" 90 ; refresher=UAC", Some("90;refresher=uac")),
        ("4000;x=y;refresher=uas", Some("4000;refresher=uas")),
        ("4000;refresher=me", Some("4000")),
        ("99999999999", Some("4294967295")),
        ("", None),
        ("-1", None),
        ("90x", None),
        ("90;refresher=uac;refresher=uas", None),
    ] {
        let read = SessionExpires::parse(text).ok().map(|value| value.to_string());
        assert_eq!(read.as_deref(), written, "{text:?}");
    }
}

#[test]
fn section_9_table_2_the_answer_names_the_refresher() {
    for (fields, session_expires, require, party) in [
        (
            "Session-Expires: 600\n",
            Some("600;refresher=uas"),
            None,
            Some(Party::Us),
        ),
        (
            "k: timer\nx: 600\n",
            Some("600;refresher=uac"),
            Some("timer"),
            Some(Party::Them),
        ),
        (
            "Supported: timer, histinfo\nSession-Expires: 600;refresher=uac\n",
            Some("600;refresher=uac"),
            Some("timer"),
            Some(Party::Them),
        ),
        (
            "Supported: timer\nSession-Expires: 600;refresher=uas\n",
            Some("600;refresher=uas"),
            Some("timer"),
            Some(Party::Us),
        ),
        (
            "Supported: timer\n",
            Some("1800;refresher=uac"),
            Some("timer"),
            Some(Party::Them),
        ),
        (
            "Supported: timer\nMin-SE: 4000\n",
            Some("4000;refresher=uac"),
            Some("timer"),
            Some(Party::Them),
        ),
        ("", None, None, None),
        ("Session-Expires: 10\n", None, None, None),
    ] {
        let (mut timer, mut answer) = (timer(), response(200, &[]));
        timer.answer(start(), &request(fields), &mut answer).unwrap();
        assert_eq!(
            answer.headers().get("Session-Expires"),
            session_expires,
            "{fields}"
        );
        assert_eq!(answer.headers().get("Require"), require, "{fields}");
        assert_eq!(timer.running().map(|(party, _)| party), party, "{fields}");
    }
}

#[test]
fn section_9_an_interval_that_is_too_small_is_refused() {
    for (fields, code) in [
        ("Supported: timer\nSession-Expires: 119\n", Some(422)),
        ("Supported: timer\nSession-Expires: 120\n", None),
        ("Session-Expires: 119\n", None),
        ("Supported: timer\n", None),
    ] {
        let asked = request(fields);
        let refused = timer()
            .check(&asked)
            .err()
            .map(|small| small.response(&asked, "2"));
        assert_eq!(
            refused.as_ref().map(|response| response.status().code()),
            code,
            "{fields}"
        );
        if let Some(refused) = refused {
            assert_eq!(refused.headers().get("Min-SE"), Some("120"));
        }
    }
}

#[test]
fn section_7_2_who_refreshes_does_so_at_half() {
    use SessionTimerOutput::{Expired, Refresh};
    for (value, expected) in [
        ("600;refresher=uac", vec![(300, Refresh), (568, Expired)]),
        ("600", vec![(300, Refresh), (568, Expired)]),
        ("600;refresher=uas", vec![(568, Expired)]),
        ("90;refresher=uas", vec![(60, Expired)]),
        ("1;refresher=uac", vec![(45, Refresh), (60, Expired)]),
    ] {
        let (mut timer, start) = (timer(), start());
        timer.accepted(start, &response(200, &[("Session-Expires", value)]));
        assert_eq!(course(&mut timer, start), expected, "{value}");
    }
    let (mut timer, start) = (timer(), start());
    timer.accepted(start, &response(200, &[("Session-Expires", "600")]));
    timer.accepted(start, &response(200, &[]));
    assert_eq!(course(&mut timer, start), [], "turned off");
}

#[test]
fn section_7_4_a_refresh_keeps_roles_and_interval() {
    for (refresher, expected) in [("uac", "600;refresher=uac"), ("uas", "600;refresher=uas")] {
        let mut timer = timer();
        let mut first = request("Supported: timer\n");
        timer.ask(&mut first).unwrap();
        assert_eq!(first.headers().get("Session-Expires"), Some("1800"));
        assert_eq!(first.headers().all("Supported").count(), 1);
        assert_eq!(first.headers().get("Min-SE"), None);
        let value = format!("600;refresher={refresher}");
        timer.accepted(start(), &response(200, &[("Session-Expires", &value)]));
        timer.ask(&mut first).unwrap();
        assert_eq!(
            first.headers().all("Session-Expires").collect::<Vec<_>>(),
            [expected]
        );
    }
}

#[test]
fn section_7_3_a_422_is_followed_as_far_as_it_goes_up() {
    let mut timer = timer();
    let small = |least| response(422, &[("Min-SE", least)]);
    assert_eq!(timer.refused(start(), Some(&small("3600"))), Failed::Again);
    let mut asked = request("");
    timer.ask(&mut asked).unwrap();
    assert_eq!(asked.headers().get("Session-Expires"), Some("3600"));
    assert_eq!(asked.headers().get("Min-SE"), Some("3600"));
    for least in ["3600", "90", "999999", "x"] {
        assert_eq!(
            timer.refused(start(), Some(&small(least))),
            Failed::Later,
            "{least}"
        );
    }
}

#[test]
fn section_10_what_a_failed_refresh_means() {
    use SessionTimerOutput::{Expired, Refresh};
    for code in [None, Some(408), Some(481)] {
        let (mut timer, start) = (timer(), start());
        timer.accepted(start, &response(200, &[("Session-Expires", "600")]));
        let answer = code.map(|code| response(code, &[]));
        assert_eq!(timer.refused(start, answer.as_ref()), Failed::Over, "{code:?}");
        assert_eq!(course(&mut timer, start), []);
    }
    let (mut timer, start) = (timer(), start());
    timer.accepted(start, &response(200, &[("Session-Expires", "600")]));
    let mut told = Vec::new();
    while let Some(at) = timer.timeout() {
        timer.handle(at);
        while let Some(output) = timer.poll() {
            told.push((at.duration_since(start).as_secs(), output));
            assert_eq!(timer.refused(at, Some(&response(491, &[]))), Failed::Later);
        }
    }
    let expected = [
        (300, Refresh),
        (450, Refresh),
        (525, Refresh),
        (562, Refresh),
        (568, Expired),
    ];
    assert_eq!(told, expected, "the session is not extended by what was refused");
}
