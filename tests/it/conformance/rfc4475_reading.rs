//! How a message of RFC 4475 or RFC 5118 is put to the reader, and what is asked of the result.
//!
//! Each message is read as a datagram, and from a stream that goes on behind it, whole and octet by octet. What can be
//! read is written and read again, and is then put to the checks of an element that acts on it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: what cannot be read fails the test"
)]

use std::path::PathBuf;

use vestibule::limits::SipLimits;
use vestibule::refusal::Refuse as _;
use vestibule::sip::frame::{Frame, FrameError, StreamFramer};
use vestibule::sip::inspect::{Rejection, Role, Supported, inspect};
use vestibule::sip::{BadMessage, Message, Method, ParseError, Request, Response, parse, write};

/// A message and what becomes of it.
pub(super) struct Case {
    /// The name in the RFC, and of the file.
    pub(super) name: &'static str,
    /// The section of the RFC.
    pub(super) section: &'static str,
    /// What the reader makes of it.
    pub(super) outcome: Outcome,
    /// What becomes of a stream that it came on.
    pub(super) stream: Stream,
}

pub(super) enum Outcome {
    /// It is read, with these facts.
    Reads(Facts),
    /// It is refused.
    Refused {
        /// Why.
        error: ParseError,
        /// The status code that says it.
        status: u16,
        /// Whether that is said.
        answer: Answer,
    },
}

/// What everything above the reader relies on.
pub(super) struct Facts {
    /// Method and Request-URI, or status code and reason phrase.
    pub(super) start: &'static str,
    pub(super) cseq: &'static str,
    pub(super) from_tag: Option<&'static str>,
    pub(super) to_tag: Option<&'static str>,
    pub(super) vias: usize,
    pub(super) branch: Option<&'static str>,
    pub(super) call_id: &'static str,
    /// Octets of the body.
    pub(super) body: usize,
    /// What a user agent with [`supported`] makes of it.
    pub(super) agent: Verdict,
    /// What a proxy makes of it.
    pub(super) proxy: Verdict,
    /// What this message is about.
    pub(super) also: fn(&Message),
}

/// A row of a message that is read.
pub(super) const fn reads(name: &'static str, section: &'static str, stream: Stream, facts: Facts) -> Case {
    Case {
        name,
        section,
        outcome: Outcome::Reads(facts),
        stream,
    }
}

/// A row of a message that is refused.
pub(super) const fn refused(
    name: &'static str,
    section: &'static str,
    stream: Stream,
    error: ParseError,
    status: u16,
    answer: Answer,
) -> Case {
    Case {
        name,
        section,
        outcome: Outcome::Refused {
            error,
            status,
            answer,
        },
        stream,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// A response is ready to be sent.
    Ready,
    /// None is made: it is a response itself, or a part that each response must echo cannot be read.
    Silence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    Refused(u16),
    /// It is a response.
    NotAsked,
}

pub(super) enum Stream {
    /// The message, or its refusal, comes out, and then what is behind it.
    GoesOn,
    /// The same, with another message in its file.
    HoldsTwo,
    /// Its end is not sure: nothing behind it is read.
    Closes(ParseError),
    /// It has not come whole, and nothing comes out.
    Waits,
}

/// Holds the file that the wire tests read to the rows: what becomes of the stream, and what a proxy answers.
pub(super) fn check_outcomes(folder: &str, cases: &[Case]) {
    let rows: Vec<String> = cases.iter().map(|case| row(folder, case)).collect();
    let file = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/sip/outcomes.txt"
    ))
    .unwrap();
    let lines: Vec<&str> = file.lines().filter(|line| line.starts_with(folder)).collect();
    assert_eq!(
        lines,
        rows,
        "tests/data/sip/outcomes.txt should say:\n{}\n",
        rows.join("\n")
    );
}

fn row(folder: &str, case: &Case) -> String {
    let stream = match &case.stream {
        Stream::GoesOn => "goes_on",
        Stream::HoldsTwo => "holds_two",
        Stream::Closes(_) => "closes",
        Stream::Waits => "waits",
    };
    let status = match (&case.stream, &case.outcome) {
        (Stream::Waits, _) => None,
        (Stream::Closes(error), _) => Some(error.sip_status()),
        (Stream::GoesOn | Stream::HoldsTwo, Outcome::Refused { answer, status, .. }) => {
            (*answer == Answer::Ready).then_some(*status)
        }
        (Stream::GoesOn | Stream::HoldsTwo, Outcome::Reads(facts)) => match facts.proxy {
            Verdict::Taken => return format!("{folder}/{} {stream} taken", case.name),
            Verdict::Refused(status) => Some(status),
            Verdict::NotAsked => None,
        },
    };
    let answer = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    format!("{folder}/{} {stream} {answer}", case.name)
}

/// Holds a message to its row.
pub(super) fn check(folder: &str, case: &Case) {
    let octets = octets(folder, case.name);
    let read = datagram(&octets);
    match (&case.outcome, &read) {
        (Outcome::Reads(facts), Ok(message)) => {
            check_facts(message, facts);
            check_written(message);
            check_verdicts(message, facts);
            (facts.also)(message);
        }
        (
            Outcome::Refused {
                error,
                status,
                answer,
            },
            Err(bad),
        ) => {
            assert_eq!(bad.error, *error);
            assert_eq!(bad.sip_status(), *status);
            let reply = bad.reply.as_deref();
            assert_eq!(reply.is_some(), *answer == Answer::Ready, "an answer is ready");
            if let Some(reply) = reply {
                check_answer(reply, *status, &octets);
            }
        }
        (Outcome::Reads(_), Err(bad)) => panic!("refused: {}", bad.error),
        (Outcome::Refused { error, .. }, Ok(message)) => panic!("read, where {error}: {message:?}"),
    }
    check_stream(&octets, &case.stream, read);
}

/// The octets of a message.
pub(super) fn octets(folder: &str, name: &str) -> Vec<u8> {
    std::fs::read(path(folder).join(format!("{name}.sip"))).unwrap()
}

/// The names of all messages in a folder, in their order.
pub(super) fn names(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".sip").unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Reads a message that came alone.
pub(super) fn datagram(octets: &[u8]) -> Result<Message, BadMessage> {
    parse::message(octets, &SipLimits::default())
}

/// The message as a request.
pub(super) fn request(message: &Message) -> &Request {
    match message {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

/// What an element that supports little says to a request.
pub(super) fn rejection(message: &Message, role: Role) -> Option<Rejection> {
    inspect(request(message), &supported(role)).err()
}

const fn supported(role: Role) -> Supported<'static> {
    Supported {
        role,
        methods: &[Method::Invite, Method::Bye, Method::Message, Method::Options],
        extensions: &[],
        schemes: &[],
        content: &[("application", "sdp"), ("text", "plain")],
        answer: Some(("application", "sdp")),
    }
}

fn path(folder: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data/sip", folder]
        .iter()
        .collect()
}

fn check_facts(message: &Message, facts: &Facts) {
    let start = match message {
        Message::Request(request) => format!("{} {}", request.method(), request.uri()),
        Message::Response(response) => format!("{} {}", response.status(), response.reason()),
    };
    let headers = message.headers();
    assert_eq!(start, facts.start);
    assert_eq!(headers.cseq().to_string(), facts.cseq);
    assert_eq!(headers.from().tag(), facts.from_tag, "tag of From");
    assert_eq!(headers.to().tag(), facts.to_tag, "tag of To");
    assert_eq!(headers.vias().count(), facts.vias, "Via values");
    assert_eq!(headers.top_via().branch(), facts.branch, "branch of the top Via");
    assert_eq!(headers.call_id().as_str(), facts.call_id);
    assert_eq!(message.body().len(), facts.body, "octets of the body");
}

/// What is read and written means the same when it is read again, and is written the same.
fn check_written(message: &Message) {
    let mut written = Vec::new();
    write::message(message, &mut written);
    let again = datagram(&written);
    assert_eq!(again.as_ref(), Ok(message), "{}", written.escape_ascii());
    let mut twice = Vec::new();
    write::message(message, &mut twice);
    assert_eq!(twice, written);
    assert!(
        !written
            .windows(3)
            .any(|three| three == b"\r\n " || three == b"\r\n\t")
            || message.body().windows(2).any(|two| two == b"\r\n"),
        "a line is folded"
    );
}

fn check_verdicts(message: &Message, facts: &Facts) {
    let verdict = |role| match message {
        Message::Response(_) => Verdict::NotAsked,
        Message::Request(_) => match rejection(message, role) {
            Some(rejection) => Verdict::Refused(rejection.status.code()),
            None => Verdict::Taken,
        },
    };
    assert_eq!(verdict(Role::UserAgent), facts.agent, "user agent");
    assert_eq!(verdict(Role::Proxy), facts.proxy, "proxy");
}

/// An answer goes back the way that the request came, with what it must echo of it, and says nothing else.
fn check_answer(reply: &Response, status: u16, request: &[u8]) {
    let mut written = Vec::new();
    write::response(reply, &mut written);
    let written = String::from_utf8(written).unwrap();
    let request = String::from_utf8(request.to_owned()).unwrap();
    let mut lines = written.trim_end().split("\r\n");
    let start = format!("SIP/2.0 {status} {}", reply.status().reason());
    assert_eq!(lines.next(), Some(start.as_str()));

    let mut names = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let echoed = match name {
            "Via" => value.split_once(' ').unwrap().1,
            "From" => value.split_once(";tag=").unwrap().1,
            "To" => match value.split_once(";tag=") {
                Some((address, _)) => address.rsplit('<').next().unwrap().trim_end_matches('>'),
                None => value,
            },
            _ => value,
        };
        assert!(request.contains(echoed) || line == "Content-Length: 0", "{line}");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let has = |long: &str, short: &str| {
        request.lines().any(|line| {
            let name = line.split(':').next().unwrap().trim_end();
            name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(short)
        })
    };
    let mut expected = vec!["Via"];
    expected.extend(has("From", "f").then_some("From"));
    expected.extend(has("To", "t").then_some("To"));
    expected.extend(has("Call-ID", "i").then_some("Call-ID"));
    expected.extend(["CSeq", "Content-Length"]);
    assert_eq!(names, expected);
}

/// What stands behind the message on the stream.
const BEHIND: &str = "OPTIONS sip:behind@example.com SIP/2.0\r\n\
    Via: SIP/2.0/TCP behind.example.com;branch=z9hG4bKbehind\r\n\
    From: <sip:behind@example.com>;tag=behind\r\n\
    To: <sip:example.com>\r\n\
    Call-ID: behind\r\n\
    CSeq: 1 OPTIONS\r\n\
    Content-Length: 0\r\n\r\n";

fn check_stream(octets: &[u8], stream: &Stream, read: Result<Message, BadMessage>) {
    let behind = if matches!(stream, Stream::Waits) {
        &[]
    } else {
        BEHIND.as_bytes()
    };
    let whole = [octets, behind].concat();
    let (frames, ended) = frames(&whole, whole.len());
    assert_eq!(frames_by_octet(&whole), (frames.clone(), ended.clone()));

    let first = match read {
        Ok(message) => Frame::Message(message),
        Err(bad) => Frame::Bad(bad),
    };
    let last = Frame::Message(datagram(BEHIND.as_bytes()).unwrap());
    match stream {
        Stream::GoesOn => {
            assert_eq!(ended, None);
            assert_eq!(frames, [first, last]);
        }
        Stream::HoldsTwo => {
            assert_eq!(ended, None);
            assert_eq!(frames.len(), 3);
            assert_eq!((frames.first(), frames.last()), (Some(&first), Some(&last)));
        }
        Stream::Closes(error) => {
            assert_eq!(frames, []);
            assert_eq!(ended.map(|ended| ended.error), Some(*error));
        }
        Stream::Waits => {
            assert_eq!(ended, None);
            assert_eq!(frames, []);
        }
    }
}

fn frames_by_octet(stream: &[u8]) -> (Vec<Frame>, Option<FrameError>) {
    frames(stream, 1)
}

/// All frames of a stream that comes in pieces, and the error that ends it.
pub(super) fn frames(stream: &[u8], piece: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut framer = StreamFramer::new(&SipLimits::default());
    let mut frames = Vec::new();
    for piece in stream.chunks(piece) {
        framer.push(piece);
        loop {
            match framer.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}
