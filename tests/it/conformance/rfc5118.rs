//! RFC 5118: messages that torture a reader of IPv6 addresses. The texts are our own, with the traits of the RFC's;
//! two more hold what the RFC only tells of: a Via without brackets, and an address with a zone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a fact that is not there fails the test"
)]

use std::net::{IpAddr, SocketAddr};

use vestibule::sip::ParseError::{Malformed, RequestUri};
use vestibule::sip::{Field, Flaw, Host, Message, NameAddr, ResponseTarget, SipUri, Uri};

use super::rfc4475_reading::Answer::{Ready, Silence};
use super::rfc4475_reading::Stream::GoesOn;
use super::rfc4475_reading::Verdict::{self, Taken};
use super::rfc4475_reading::{
    Case, Facts, check, check_outcomes, datagram, names, octets, reads, refused, request,
};

/// The messages, in the order of the RFC.
const CASES: [Case; 14] = [
    reads(
        "ipv6-good",
        "4.1",
        GoesOn,
        Facts {
            start: "REGISTER sip:[2001:db8:5::10]",
            cseq: "61616 REGISTER",
            to_tag: None,
            branch: Some("z9hG4bKipv6-good"),
            call_id: "ipv6-good@loft_12",
            agent: Verdict::Refused(405),
            also: |message| {
                assert_eq!(uri(message), (host("2001:db8:5::10"), None));
                assert_eq!(contact(message), (host("2001:db8:5::1"), None));
                assert_eq!(via(message, 0), (host("2001:db8:5::9:1"), None));
            },
            ..ONE_HOP
        },
    ),
    refused("ipv6-bad", "4.2", GoesOn, RequestUri(Flaw::Port), 400, Ready),
    reads(
        "port-ambiguous",
        "4.3",
        GoesOn,
        Facts {
            start: "REGISTER sip:[2001:db8:5::10:5070]",
            cseq: "61616 REGISTER",
            to_tag: None,
            branch: Some("z9hG4bKport-ambiguous"),
            call_id: "port-ambiguous@loft_12",
            agent: Verdict::Refused(405),
            also: |message| assert_eq!(uri(message), (host("2001:db8:5::10:5070"), None)),
            ..ONE_HOP
        },
    ),
    reads(
        "port-unambiguous",
        "4.4",
        GoesOn,
        Facts {
            start: "REGISTER sip:[2001:db8:5::10]:5070",
            cseq: "61616 REGISTER",
            to_tag: None,
            branch: Some("z9hG4bKport-unambiguous"),
            call_id: "port-unambiguous@loft_12",
            agent: Verdict::Refused(405),
            also: |message| assert_eq!(uri(message), (host("2001:db8:5::10"), Some(5070))),
            ..ONE_HOP
        },
    ),
    reads(
        "via-received-param-with-delim",
        "4.5",
        GoesOn,
        Facts {
            start: "BYE sip:[2001:db8:5::10]",
            cseq: "626 BYE",
            to_tag: Some("six2"),
            branch: Some("z9hG4bKwith"),
            call_id: "with-delimiters@loft_12",
            also: |message| {
                assert_eq!(received(message), Some(address("2001:db8:5::9:255")));
                assert_eq!(
                    response_target(message),
                    Some("[2001:db8:5::9:255]:5060".parse().unwrap())
                );
            },
            ..ONE_HOP
        },
    ),
    reads(
        "via-received-param-no-delim",
        "4.5",
        GoesOn,
        Facts {
            start: "OPTIONS sip:[2001:db8:5::10]",
            cseq: "636 OPTIONS",
            to_tag: None,
            branch: Some("z9hG4bKwithout"),
            call_id: "without-delimiters@loft_12",
            also: |message| {
                assert_eq!(received(message), Some(address("2001:db8:5::9:255")));
                assert_eq!(
                    response_target(message),
                    Some("[2001:db8:5::9:255]:5060".parse().unwrap())
                );
            },
            ..ONE_HOP
        },
    ),
    refused(
        "via-without-delimiters",
        "4.5",
        GoesOn,
        Malformed(Field::Via, Flaw::Port),
        400,
        Silence,
    ),
    reads(
        "ipv6-in-sdp",
        "4.6",
        GoesOn,
        Facts {
            start: "INVITE sip:ada@[2001:db8:5::10]",
            cseq: "6464 INVITE",
            to_tag: None,
            branch: Some("z9hG4bKinsdp"),
            call_id: "in-sdp@loft_12",
            body: 211,
            also: |message| {
                assert_eq!(uri(message), (host("2001:db8:5::10"), None));
                assert_eq!(contact(message), (host("2001:db8:5::20"), None));
                assert!(
                    sdp(message).contains("c=IN IP6 2001:db8:5::20\r\n"),
                    "without brackets"
                );
            },
            ..ONE_HOP
        },
    ),
    reads(
        "mult-ip-in-header",
        "4.7",
        GoesOn,
        Facts {
            start: "BYE sip:ada@branch65.example.org",
            cseq: "65656 BYE",
            to_tag: Some("six--2"),
            vias: 3,
            branch: Some("z9hG4bKmult1"),
            call_id: "65656@loft_12",
            also: |message| {
                assert_eq!(via(message, 0), (host("2001:db8:5::9:1"), Some(6050)));
                assert_eq!(via(message, 1), (host("198.51.100.65"), None));
                assert_eq!(via(message, 2), (host("2001:db8:5::9:255"), None));
                assert_eq!(received(message), None);
                let below = message.headers().vias().nth(2).and_then(|via| via.received());
                assert_eq!(below, Some(address("198.51.100.200")));
            },
            ..ONE_HOP
        },
    ),
    reads(
        "mult-ip-in-sdp",
        "4.8",
        GoesOn,
        Facts {
            start: "INVITE sip:ada@[2001:db8:5::10]",
            cseq: "6666 INVITE",
            to_tag: None,
            branch: Some("z9hG4bKmultsdp"),
            call_id: "66@loft_12",
            body: 180,
            also: |message| {
                assert!(sdp(message).contains("c=IN IP4 198.51.100.66\r\n"));
                assert!(sdp(message).contains("c=IN IP6 2001:db8:5::1\r\n"));
            },
            ..ONE_HOP
        },
    ),
    reads(
        "ipv4-mapped-ipv6",
        "4.9",
        GoesOn,
        Facts {
            start: "INVITE sip:ada@example.org",
            cseq: "676 INVITE",
            to_tag: None,
            vias: 2,
            branch: Some("z9hG4bKmapped1"),
            call_id: "mapped@loft_12",
            body: 221,
            also: mapped,
            ..ONE_HOP
        },
    ),
    reads(
        "ipv6-bug-abnf-3-colons",
        "4.10",
        GoesOn,
        Facts {
            // The colon too many is not passed on.
            start: "OPTIONS sip:ada@[2001:db8::c633:6401]",
            cseq: "686 OPTIONS",
            to_tag: None,
            branch: Some("z9hG4bKipv6-bug-abnf-3-colons"),
            call_id: "ipv6-bug-abnf-3-colons@loft_12",
            also: |message| {
                assert_eq!(uri(message), (host("2001:db8::198.51.100.1"), None));
                assert_eq!(host_of(message.headers().to()), host("2001:db8::198.51.100.1"));
            },
            ..ONE_HOP
        },
    ),
    reads(
        "ipv6-correct-abnf-2-colons",
        "4.10",
        GoesOn,
        Facts {
            start: "OPTIONS sip:ada@[2001:db8::c633:6401]",
            cseq: "686 OPTIONS",
            to_tag: None,
            branch: Some("z9hG4bKipv6-correct-abnf-2-colons"),
            call_id: "ipv6-correct-abnf-2-colons@loft_12",
            also: |message| {
                assert_eq!(uri(message), (host("2001:db8::198.51.100.1"), None));
                assert_eq!(host_of(message.headers().to()), host("2001:db8::198.51.100.1"));
            },
            ..ONE_HOP
        },
    ),
    refused("zone-id", "4", GoesOn, RequestUri(Flaw::Host), 400, Ready),
];

/// What most of the messages share.
const ONE_HOP: Facts = Facts {
    start: "",
    cseq: "",
    from_tag: Some("six1"),
    to_tag: None,
    vias: 1,
    branch: None,
    call_id: "",
    body: 0,
    agent: Taken,
    proxy: Taken,
    also: |_| {},
};

/// A test for each name, which holds the message of that name, its underscores made hyphens, to its row.
macro_rules! messages {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let name = stringify!($name).replace('_', "-");
            let case = CASES.iter().find(|case| case.name == name);
            check("rfc5118", case.unwrap());
        })*

        const TESTS: &[&str] = &[$(stringify!($name)),*];
    };
}

messages! {
    ipv6_good ipv6_bad port_ambiguous port_unambiguous via_received_param_with_delim via_received_param_no_delim
    via_without_delimiters ipv6_in_sdp mult_ip_in_header mult_ip_in_sdp ipv4_mapped_ipv6 ipv6_bug_abnf_3_colons
    ipv6_correct_abnf_2_colons zone_id
}

#[test]
fn all_messages_have_a_file_a_row_and_a_test() {
    let rows: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    let tests: Vec<String> = TESTS.iter().map(|name| name.replace('_', "-")).collect();
    assert_eq!(rows, tests);
    let mut sorted = rows;
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted, names("rfc5118"));
}

#[test]
fn addresses_are_compared_by_what_they_are_and_not_by_how_they_are_spelled() {
    for (one, other, is_same) in [
        ("sip:a@[2001:DB8::0:1]", "sip:a@[2001:db8::1]", true),
        (
            "sip:a@[2001:db8:::192.0.2.1]",
            "sip:a@[2001:db8::192.0.2.1]",
            true,
        ),
        ("sip:a@[2001:db8::192.0.2.1]", "sip:a@[2001:db8::c000:201]", true),
        ("sip:a@[2001:db8::1]:5060", "sip:a@[2001:db8::1:5060]", false),
        ("sip:a@[::ffff:192.0.2.1]", "sip:a@192.0.2.1", false),
    ] {
        let [one, other] = [one, other].map(|text| Uri::parse(text).unwrap().sip().unwrap().clone());
        assert_eq!(one.is_equivalent(&other), is_same, "{one} and {other}");
    }
}

/// Section 4.5: what we note ourselves stands without brackets.
#[test]
fn received_is_written_without_brackets() {
    let mut message = datagram(&octets("rfc5118", "ipv6-good")).unwrap();
    message
        .headers_mut()
        .stamp_via("[2001:db8:5::aa]:6000".parse().unwrap());
    let via = message.headers().top_via().to_string();
    assert_eq!(
        via,
        "SIP/2.0/UDP [2001:db8:5::9:1];branch=z9hG4bKipv6-good;received=2001:db8:5::aa"
    );
}

fn mapped(message: &Message) {
    assert_eq!(via(message, 0), (host("::ffff:198.51.100.10"), Some(19_801)));
    assert_eq!(via(message, 1), (host("::ffff:198.51.100.2"), None));
    assert_eq!(contact(message), (host("::ffff:198.51.100.2"), None));
    assert!(sdp(message).contains("c=IN IP6 ::ffff:198.51.100.2\r\n"));
    // A socket that takes both families shows the sender as either; neither is another address.
    for source in ["198.51.100.10:19801", "[::ffff:198.51.100.10]:19801"] {
        let mut message = message.clone();
        message.headers_mut().stamp_via(source.parse().unwrap());
        assert_eq!(received(&message), None, "{source}");
    }
    let mut message = message.clone();
    message
        .headers_mut()
        .stamp_via("[::ffff:198.51.100.11]:1".parse().unwrap());
    assert_eq!(received(&message), Some(address("198.51.100.11")));
}

fn host(text: &str) -> Host {
    Host::from(address(text))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn host_and_port(uri: &SipUri) -> (Host, Option<u16>) {
    (uri.host().clone(), uri.port())
}

fn uri(message: &Message) -> (Host, Option<u16>) {
    host_and_port(request(message).uri().sip().unwrap())
}

fn contact(message: &Message) -> (Host, Option<u16>) {
    let [contact] = message.headers().contact().addresses() else {
        panic!("one Contact");
    };
    host_and_port(contact.uri().sip().unwrap())
}

fn host_of(address: &NameAddr) -> Host {
    address.uri().sip().unwrap().host().clone()
}

fn via(message: &Message, number: usize) -> (Host, Option<u16>) {
    let via = message.headers().vias().nth(number).unwrap();
    (via.host().clone(), via.port())
}

fn received(message: &Message) -> Option<IpAddr> {
    message.headers().top_via().received()
}

fn response_target(message: &Message) -> Option<SocketAddr> {
    match message.headers().top_via().response_target() {
        ResponseTarget::Address(address) => Some(address),
        ResponseTarget::Name { .. } => None,
    }
}

fn sdp(message: &Message) -> &str {
    std::str::from_utf8(message.body()).unwrap()
}

#[test]
fn the_wire_tests_expect_what_the_rows_say() {
    check_outcomes("rfc5118", &CASES);
}
