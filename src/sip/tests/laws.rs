//! Laws of the reader, the framer and the writer over generated and mutilated messages.

#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::limits::SipLimits;
use crate::sip::frame::{Frame, FrameError, StreamFramer};
use crate::sip::{Message, parse, write};

/// Blanks where the grammar lets some stand, mostly none.
fn blanks() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "", "", " ", "\t", "  ", "\r\n ", " \r\n\t"])
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z][a-z0-9]{0,5}(\\.[a-z][a-z0-9]{0,3}){0,2}",
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
    ]
}

fn port() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => (1_u16..).prop_map(|port| format!(":{port}"))]
}

fn uri() -> BoxedStrategy<String> {
    let user = "([a-zA-Z0-9_.!~*'()&=+$,;?/-]|%[0-9A-Fa-f]{2}){1,8}@";
    let params = vec(
        "([a-z0-9/:&+$!-]|%[0-9A-F]{2}){1,4}(=[a-z0-9/:&+$\\[\\]]{1,4})?",
        0..3,
    );
    prop_oneof![
        6 => (select(vec!["sip", "sips", "SIP"]), prop_oneof![Just(String::new()), user], host(), port(), params)
            .prop_map(|(scheme, user, host, port, params)| {
                let params: String = params.iter().enumerate().map(|(n, p)| format!(";p{n}{p}")).collect();
                format!("{scheme}:{user}{host}{port}{params}")
            }),
        1 => "[a-z][a-z0-9+.-]{0,5}:[a-z0-9:@/;?,=%4a-]{1,8}".prop_filter("escapes", |uri| {
            !uri.contains('%') && !uri.starts_with("sip:") && !uri.starts_with("sips:")
        }),
    ]
    .boxed()
}

fn params() -> BoxedStrategy<String> {
    let value = prop_oneof![
        Just(String::new()),
        "=[a-zA-Z0-9.!%*_+`'~-]{1,6}".prop_map(String::from),
        "=\"([ !#-\\[\\]-~äß]|\\\\[ -~])*\"".prop_map(String::from),
        any::<std::net::Ipv6Addr>().prop_map(|ip| format!("=[{ip}]")),
    ];
    vec((blanks(), value), 0..4)
        .prop_map(|params| {
            let params = params.iter().enumerate();
            params
                .map(|(n, (blank, value))| format!("{blank};{blank}x{n}{value}"))
                .collect()
        })
        .boxed()
}

fn address() -> BoxedStrategy<String> {
    let display = prop_oneof![
        Just(String::new()),
        "[a-zA-Z0-9.!%*_+`'~-]{1,6}( [a-z]{1,4}){0,2}",
        "\"([ !#-\\[\\]-~äß]|\\\\[\0-\x09\x0b\x0c\x0e-\x7f]){0,8}\"",
    ];
    (display, blanks(), uri(), params())
        .prop_map(|(display, blank, uri, params)| format!("{display}{blank}<{uri}>{params}"))
        .boxed()
}

fn via() -> BoxedStrategy<String> {
    (
        select(vec!["UDP", "tcp", "TLS", "NEW"]),
        blanks(),
        host(),
        port(),
        params(),
    )
        .prop_map(|(transport, blank, host, port, params)| {
            format!("SIP{blank}/2.0/{blank}{transport} {host}{port};branch=z9hG4bK1{params}")
        })
        .boxed()
}

/// A header field: names to choose from, and its value.
fn field(
    names: &'static [&'static str],
    value: impl Strategy<Value = String> + 'static,
) -> BoxedStrategy<String> {
    (select(names), "[ \t]{0,2}", blanks(), value)
        .prop_map(|(name, blank, fold, value)| format!("{name}{blank}:{fold}{value}{fold}\r\n"))
        .boxed()
}

/// A message with Content-Length, valid in all its parts.
fn message() -> BoxedStrategy<Vec<u8>> {
    let method = select(vec!["MESSAGE", "INVITE", "NEW-1"]);
    let start = prop_oneof![
        3 => uri().prop_map(|uri| format!("%M {uri} SIP/2.0\r\n")),
        1 => (100_u16..700, "[ -~äß]{0,8}").prop_map(|(code, reason)| format!("SIP/2.0 {code} {reason}\r\n")),
    ];
    let fixed = (
        field(&["Via", "v", "VIA"], via()),
        field(&["From", "f"], address()),
        field(&["To", "t"], address()),
        field(&["Call-ID", "i"], "[a-z0-9.()<>:/?{}-]{1,8}(@[a-z]{1,3})?"),
        field(&["CSeq"], "0{0,3}[0-9]{1,9} ".prop_map(|number| number + "%M")),
    );
    let optional = vec(
        prop_oneof![
            field(
                &["Via", "v"],
                (via(), via()).prop_map(|(a, b)| format!("{a},{b}"))
            ),
            field(
                &["Contact", "m"],
                (address(), address()).prop_map(|(a, b)| format!("{a} , {b}"))
            ),
            field(
                &["Route", "Record-Route"],
                (uri(), params()).prop_map(|(uri, params)| format!("<{uri}>{params}"))
            ),
            field(&["Subject", "s", "X-New", "Warning"], "[ -~äß]{0,12}"),
        ],
        0..5,
    );
    let body = vec(any::<u8>(), 0..40);
    (method, start, fixed, optional, body)
        .prop_flat_map(|(method, start, (a, b, c, d, e), optional, body)| {
            let mut fields = vec![a, b, c, d, e, format!("l: {}\r\n", body.len())];
            fields.extend(optional);
            (Just(method), Just(start), Just(fields).prop_shuffle(), Just(body))
        })
        .prop_map(|(method, start, fields, body)| {
            let head = format!("{start}{}\r\n", fields.concat()).replace("%M", method);
            [head.into_bytes(), body].concat()
        })
        .boxed()
}

/// A few octets changed, taken out, doubled or put in.
fn mutilated(message: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    let octet = prop_oneof![any::<u8>(), select(b"\r\n \t\";,<>@:%[]\\\0=0".to_vec())];
    (message, vec((0_u8..4, any::<Index>(), octet), 1..5))
        .prop_map(|(mut bytes, changes)| {
            for (kind, at, octet) in changes {
                let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
                match kind {
                    _ if bytes.is_empty() => bytes.push(octet),
                    0 => bytes[at] = octet,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, bytes[at]),
                    _ => bytes.insert(at, octet),
                }
            }
            bytes
        })
        .boxed()
}

fn limits() -> SipLimits {
    SipLimits::default()
}

fn written(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    write::message(message, &mut out);
    out
}

/// All frames of a stream that comes in pieces of these sizes.
fn frames(stream: &[u8], cuts: &[Index], limits: &SipLimits) -> (Vec<Frame>, Option<FrameError>) {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    let mut framer = StreamFramer::new(limits);
    let (mut found, mut start) = (Vec::new(), 0);
    for end in ends {
        framer.push(&stream[start..end]);
        start = end;
        loop {
            match framer.next() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

proptest! {
    #[test]
    fn what_the_grammar_allows_is_read_and_written_to_the_same(bytes in message()) {
        let message = parse::message(&bytes, &limits());
        prop_assert!(message.is_ok(), "{:?}\n{}", message, bytes.escape_ascii());
        let message = message.unwrap();
        let again = written(&message);
        prop_assert_eq!(parse::message(&again, &limits()), Ok(message.clone()), "{}", again.escape_ascii());
        prop_assert_eq!(written(&message), again);
    }

    #[test]
    fn what_is_accepted_is_clean_whatever_came(bytes in mutilated(message())) {
        match parse::message(&bytes, &limits()) {
            Ok(message) => {
                let again = written(&message);
                prop_assert_eq!(parse::message(&again, &limits()), Ok(message), "{}", again.escape_ascii());
            }
            Err(bad) => {
                if let Some(reply) = bad.reply.filter(|reply| !reply.headers().has_echo()) {
                    let again = written(&(*reply).clone().into());
                    prop_assert_eq!(parse::message(&again, &limits()), Ok((*reply).into()));
                }
            }
        }
    }

    #[test]
    fn frames_are_the_same_however_a_stream_is_cut(
        messages in vec(prop_oneof![
            3 => message(),
            1 => mutilated(message()),
            1 => Just(b"\r\n".to_vec()),
        ], 0..4),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let stream = messages.concat();
        prop_assert_eq!(frames(&stream, &cuts, &limits()), frames(&stream, &[], &limits()));
        let small = SipLimits { message_bytes: 600, head_bytes: 400, line_bytes: 120, ..limits() };
        let whole: Vec<_> = stream.iter().take(1_200).copied().collect();
        prop_assert_eq!(frames(&whole, &cuts, &small), frames(&whole, &[], &small));
    }

    #[test]
    fn a_stream_and_a_datagram_read_a_message_alike(bytes in message()) {
        let (found, error) = frames(&bytes, &[], &limits());
        prop_assert_eq!(error, None);
        prop_assert_eq!(found, vec![Frame::Message(parse::message(&bytes, &limits()).unwrap())]);
    }
}
