//! RFC 4475: messages that torture a SIP reader. The texts are our own, with the traits of the RFC's.
//!
//! A row for each of the 49: what the reader makes of it, or which status refuses it and whether that is said; what a
//! user agent and a proxy make of what is read; and what becomes of a stream that carried it.

use vestibule::sip::ParseError::{
    self, BodyShort, Malformed, MethodMismatch, Missing, Repeated, RequestUri, StartLine, Status,
    UnknownMethodMismatch, Version,
};
use vestibule::sip::{Field, Flaw};

use super::rfc4475_facts as facts;
use super::rfc4475_reading::Answer::{Ready, Silence};
use super::rfc4475_reading::Stream::{Closes, GoesOn, HoldsTwo, Waits};
use super::rfc4475_reading::Verdict::{self, NotAsked, Taken};
use super::rfc4475_reading::{Case, Facts, check, check_outcomes, names, reads, refused};

/// The messages, in the order of the RFC.
const CASES: [Case; 49] = [
    reads(
        "wsinv",
        "3.1.1.1",
        GoesOn,
        Facts {
            start: "INVITE sip:greta@rooms.example.com;floor",
            cseq: "42 INVITE",
            from_tag: Some("h88-3"),
            to_tag: Some("g1726x"),
            vias: 3,
            branch: Some("k17plain"),
            call_id: "wsinv.9f0e1d@198.51.100.7",
            body: 165,
            agent: Taken,
            proxy: Taken,
            also: facts::wsinv,
        },
    ),
    reads(
        "intmeth",
        "3.1.1.2",
        GoesOn,
        Facts {
            start: "+Odd.method~0123456789_*!`%'-verb sip:9_odd.User~(or-not!really)&won't+it$/strange?,/;;*:&pw+has=2,odd!*se$cre~t_bits.(isn't-it)@example.net",
            cseq: "271828182 +Odd.method~0123456789_*!`%'-verb",
            from_tag: Some("~_mark`2'+*%.!-"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bK_.!%41*-+`'~"),
            call_id: "intmeth.part%QX!-.*_+'@other`~)(><:\\/\"][?}{",
            body: 0,
            agent: Verdict::Refused(501),
            proxy: Taken,
            also: facts::intmeth,
        },
    ),
    reads(
        "esc01",
        "3.1.1.3",
        GoesOn,
        Facts {
            start: "INVITE sip:sips%3Ainner%40example.org@example.com",
            cseq: "31337 INVITE",
            from_tag: Some("esc-7"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKescape1"),
            call_id: "esc01.55aa-0f0f-escape",
            body: 167,
            agent: Taken,
            proxy: Taken,
            also: facts::esc01,
        },
    ),
    reads(
        "escnull",
        "3.1.1.4",
        GoesOn,
        Facts {
            start: "REGISTER sip:example.org",
            cseq: "700700 REGISTER",
            from_tag: Some("n0n0"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKzeroes"),
            call_id: "escnull.777-zeroes",
            body: 0,
            agent: Verdict::Refused(405),
            proxy: Taken,
            also: facts::escnull,
        },
    ),
    reads(
        "esc02",
        "3.1.1.5",
        GoesOn,
        Facts {
            start: "ME%53SAG%45 sip:office.example.com",
            cseq: "5151 ME%53SAG%45",
            from_tag: Some("pc02"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bK77%qdesk"),
            call_id: "esc02.percent-is-not-an-escape",
            body: 0,
            agent: Verdict::Refused(501),
            proxy: Taken,
            also: facts::esc02,
        },
    ),
    reads(
        "lwsdisp",
        "3.1.1.6",
        GoesOn,
        Facts {
            start: "OPTIONS sip:desk@example.com",
            cseq: "12 OPTIONS",
            from_tag: Some("tight"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKlobby1"),
            call_id: "lwsdisp.no-gap@lobby.example.com",
            body: 0,
            agent: Taken,
            proxy: Taken,
            also: facts::lwsdisp,
        },
    ),
    reads(
        "longreq",
        "3.1.1.7",
        GoesOn,
        Facts {
            start: "INVITE sip:desk@example.com",
            cseq: "4404404 INVITE",
            from_tag: Some(
                "7731431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431431400",
            ),
            to_tag: None,
            vias: 34,
            branch: Some("z9hG4bKhop33"),
            call_id: "longreq.atrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulytrulyextendedcallid",
            body: 167,
            agent: Taken,
            proxy: Taken,
            also: facts::longreq,
        },
    ),
    reads(
        "dblreq",
        "3.1.1.8",
        HoldsTwo,
        Facts {
            start: "REGISTER sip:example.org",
            cseq: "9 REGISTER",
            from_tag: Some("first1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKfirst"),
            call_id: "dblreq.first-one",
            body: 0,
            agent: Verdict::Refused(405),
            proxy: Taken,
            also: facts::dblreq,
        },
    ),
    reads(
        "semiuri",
        "3.1.1.9",
        GoesOn,
        Facts {
            start: "OPTIONS sip:ada;via=b%40example.net@example.com",
            cseq: "4 OPTIONS",
            from_tag: Some("semi4"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKsemi"),
            call_id: "semiuri.semicolons-in-the-user-part",
            body: 0,
            agent: Taken,
            proxy: Taken,
            also: facts::semiuri,
        },
    ),
    reads(
        "transports",
        "3.1.1.10",
        GoesOn,
        Facts {
            start: "OPTIONS sip:desk@example.com",
            cseq: "55 OPTIONS",
            from_tag: Some("five5"),
            to_tag: None,
            vias: 5,
            branch: Some("z9hG4bKkind1"),
            call_id: "transports.five-kinds",
            body: 0,
            agent: Taken,
            proxy: Taken,
            also: facts::transports,
        },
    ),
    reads(
        "mpart01",
        "3.1.1.11",
        GoesOn,
        Facts {
            start: "MESSAGE sip:kiyo@example.org",
            cseq: "1 MESSAGE",
            from_tag: Some("b3n-tag"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bK-two-parts-1---3"),
            call_id: "77e1f2a3@YmVuLWxhcHRvcA..",
            body: 672,
            agent: Verdict::Refused(415),
            proxy: Taken,
            also: facts::mpart01,
        },
    ),
    reads(
        "unreason",
        "3.1.1.12",
        GoesOn,
        Facts {
            start: "200 = 3**2 * 7 είναι εξήντα τρία",
            cseq: "63 INVITE",
            from_tag: Some("u631"),
            to_tag: Some("u632"),
            vias: 1,
            branch: Some("z9hG4bKwords9"),
            call_id: "unreason.sixty-three",
            body: 169,
            agent: NotAsked,
            proxy: NotAsked,
            also: facts::unreason,
        },
    ),
    reads(
        "noreason",
        "3.1.1.13",
        GoesOn,
        Facts {
            start: "100 ",
            cseq: "63 INVITE",
            from_tag: Some("s1"),
            to_tag: Some("s2"),
            vias: 1,
            branch: Some("z9hG4bKsilent"),
            call_id: "noreason.nothing-said",
            body: 0,
            agent: NotAsked,
            proxy: NotAsked,
            also: facts::noreason,
        },
    ),
    refused(
        "badinv01",
        "3.1.2.1",
        GoesOn,
        Malformed(Field::Via, Flaw::Parameter),
        400,
        Silence,
    ),
    refused("clerr", "3.1.2.2", Waits, BodyShort, 400, Ready),
    refused("ncl", "3.1.2.3", Closes(MINUS), MINUS, 400, Ready),
    refused(
        "scalar02",
        "3.1.2.4",
        GoesOn,
        Malformed(Field::CSeq, Flaw::Range),
        400,
        Ready,
    ),
    refused(
        "scalarlg",
        "3.1.2.5",
        GoesOn,
        Malformed(Field::CSeq, Flaw::Range),
        400,
        Silence,
    ),
    refused(
        "quotbal",
        "3.1.2.6",
        GoesOn,
        Malformed(Field::To, Flaw::Quote),
        400,
        Ready,
    ),
    refused(
        "ltgtruri",
        "3.1.2.7",
        GoesOn,
        RequestUri(Flaw::Scheme),
        400,
        Ready,
    ),
    refused("lwsruri", "3.1.2.8", GoesOn, StartLine, 400, Ready),
    refused("lwsstart", "3.1.2.9", GoesOn, StartLine, 400, Ready),
    refused("trws", "3.1.2.10", GoesOn, StartLine, 400, Ready),
    refused(
        "escruri",
        "3.1.2.11",
        GoesOn,
        RequestUri(Flaw::UriHeaders),
        400,
        Ready,
    ),
    refused(
        "baddate",
        "3.1.2.12",
        GoesOn,
        Malformed(Field::Date, Flaw::Date),
        400,
        Ready,
    ),
    refused(
        "regbadct",
        "3.1.2.13",
        GoesOn,
        Malformed(Field::Contact, Flaw::Unbracketed),
        400,
        Ready,
    ),
    refused(
        "badaspec",
        "3.1.2.14",
        GoesOn,
        Malformed(Field::To, Flaw::Scheme),
        400,
        Ready,
    ),
    refused(
        "baddn",
        "3.1.2.15",
        GoesOn,
        Malformed(Field::From, Flaw::Scheme),
        400,
        Ready,
    ),
    refused("badvers", "3.1.2.16", GoesOn, Version, 505, Ready),
    refused("mismatch01", "3.1.2.17", GoesOn, MethodMismatch, 400, Ready),
    refused(
        "mismatch02",
        "3.1.2.18",
        GoesOn,
        UnknownMethodMismatch,
        501,
        Ready,
    ),
    refused("bigcode", "3.1.2.19", GoesOn, Status, 400, Silence),
    reads(
        "badbranch",
        "3.2.1",
        GoesOn,
        Facts {
            start: "OPTIONS sip:desk@example.com",
            cseq: "20 OPTIONS",
            from_tag: Some("cookie1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bK"),
            call_id: "badbranch.cookie-and-nothing-more",
            body: 0,
            agent: Taken,
            proxy: Taken,
            also: facts::badbranch,
        },
    ),
    refused("insuf", "3.3.1", GoesOn, Missing(Field::From), 400, Ready),
    reads(
        "unkscm",
        "3.3.2",
        GoesOn,
        Facts {
            start: "OPTIONS schemeofnobodys:whatever-it-may-mean",
            cseq: "222222 OPTIONS",
            from_tag: Some("sch1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKscheme1"),
            call_id: "unkscm.a-scheme-nobody-has",
            body: 0,
            agent: Verdict::Refused(416),
            proxy: Verdict::Refused(416),
            also: facts::unkscm,
        },
    ),
    reads(
        "novelsc",
        "3.3.3",
        GoesOn,
        Facts {
            start: "OPTIONS soap.beep://198.51.100.103:3100",
            cseq: "232323 OPTIONS",
            from_tag: Some("sch2"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKscheme2"),
            call_id: "novelsc.a-scheme-of-others",
            body: 0,
            agent: Verdict::Refused(416),
            proxy: Verdict::Refused(416),
            also: facts::novelsc,
        },
    ),
    reads(
        "unksm2",
        "3.3.4",
        GoesOn,
        Facts {
            start: "REGISTER sip:example.org",
            cseq: "242424 REGISTER",
            from_tag: Some("sch3"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKscheme3"),
            call_id: "unksm2.schemes@double-barrel.example.org",
            body: 0,
            agent: Verdict::Refused(405),
            proxy: Taken,
            also: facts::unksm2,
        },
    ),
    reads(
        "bext01",
        "3.3.5",
        GoesOn,
        Facts {
            start: "OPTIONS sip:desk@example.com",
            cseq: "25 OPTIONS",
            from_tag: Some("ext1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKextend"),
            call_id: "bext01.unheard-of-extensions",
            body: 0,
            agent: Verdict::Refused(420),
            proxy: Verdict::Refused(420),
            also: facts::bext01,
        },
    ),
    reads(
        "invut",
        "3.3.6",
        GoesOn,
        Facts {
            start: "INVITE sip:desk@example.com",
            cseq: "262626 INVITE",
            from_tag: Some("type1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKtype"),
            call_id: "invut.a-type-nobody-reads",
            body: 41,
            agent: Verdict::Refused(415),
            proxy: Taken,
            also: facts::invut,
        },
    ),
    reads(
        "regaut01",
        "3.3.7",
        GoesOn,
        Facts {
            start: "REGISTER sip:example.org",
            cseq: "2727 REGISTER",
            from_tag: Some("auth1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKauth"),
            call_id: "regaut01.credentials-of-no-known-kind",
            body: 0,
            agent: Verdict::Refused(405),
            proxy: Taken,
            also: facts::regaut01,
        },
    ),
    refused("multi01", "3.3.8", GoesOn, Repeated(Field::CSeq), 400, Ready),
    refused("mcl01", "3.3.9", Closes(TWO_LENGTHS), TWO_LENGTHS, 400, Ready),
    reads(
        "bcast",
        "3.3.10",
        GoesOn,
        Facts {
            start: "200 OK",
            cseq: "31 INVITE",
            from_tag: Some("all1"),
            to_tag: Some("all2"),
            vias: 2,
            branch: Some("z9hG4bKnotours"),
            call_id: "bcast.to-everybody",
            body: 169,
            agent: NotAsked,
            proxy: NotAsked,
            also: facts::bcast,
        },
    ),
    reads(
        "zeromf",
        "3.3.11",
        GoesOn,
        Facts {
            start: "OPTIONS sip:desk@example.com",
            cseq: "323232 OPTIONS",
            from_tag: Some("zero1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKnohops"),
            call_id: "zeromf.no-hop-left",
            body: 0,
            agent: Taken,
            proxy: Verdict::Refused(483),
            also: facts::zeromf,
        },
    ),
    reads(
        "cparam01",
        "3.3.12",
        GoesOn,
        Facts {
            start: "REGISTER sip:example.org",
            cseq: "2 REGISTER",
            from_tag: Some("cp1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKcparam1"),
            call_id: "cparam01.33@uranus.example.org",
            body: 0,
            agent: Verdict::Refused(405),
            proxy: Taken,
            also: facts::cparam01,
        },
    ),
    reads(
        "cparam02",
        "3.3.13",
        GoesOn,
        Facts {
            start: "REGISTER sip:example.org",
            cseq: "3 REGISTER",
            from_tag: Some("cp2"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKcparam2"),
            call_id: "cparam02.34@uranus.example.org",
            body: 0,
            agent: Verdict::Refused(405),
            proxy: Taken,
            also: facts::cparam02,
        },
    ),
    reads(
        "regescrt",
        "3.3.14",
        GoesOn,
        Facts {
            start: "REGISTER sip:example.org",
            cseq: "353535 REGISTER",
            from_tag: Some("er1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKescroute"),
            call_id: "regescrt.route-in-contact@198.51.100.35",
            body: 0,
            agent: Verdict::Refused(405),
            proxy: Taken,
            also: facts::regescrt,
        },
    ),
    reads(
        "sdp01",
        "3.3.15",
        GoesOn,
        Facts {
            start: "INVITE sip:desk@example.com",
            cseq: "36 INVITE",
            from_tag: Some("acc1"),
            to_tag: None,
            vias: 1,
            branch: Some("z9hG4bKaccept"),
            call_id: "sdp01.only-the-unknown-accepted",
            body: 167,
            agent: Verdict::Refused(406),
            proxy: Taken,
            also: facts::sdp01,
        },
    ),
    reads(
        "inv2543",
        "3.4.1",
        Closes(Missing(Field::ContentLength)),
        Facts {
            start: "INVITE sip:Elder@example.com",
            cseq: "37 INVITE",
            from_tag: None,
            to_tag: None,
            vias: 1,
            branch: None,
            call_id: "inv2543.37@oldclient.example.com",
            body: 118,
            agent: Taken,
            proxy: Taken,
            also: facts::inv2543,
        },
    ),
];

const MINUS: ParseError = Malformed(Field::ContentLength, Flaw::Number);
const TWO_LENGTHS: ParseError = Repeated(Field::ContentLength);

/// A test for each name, which holds the message of that name to its row.
macro_rules! messages {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let case = CASES.iter().find(|case| case.name == stringify!($name));
            check("rfc4475", case.unwrap());
        })*

        const TESTS: &[&str] = &[$(stringify!($name)),*];
    };
}

messages! {
    wsinv intmeth esc01 escnull esc02 lwsdisp longreq dblreq semiuri transports mpart01 unreason
    noreason badinv01 clerr ncl scalar02 scalarlg quotbal ltgtruri lwsruri lwsstart trws escruri
    baddate regbadct badaspec baddn badvers mismatch01 mismatch02 bigcode badbranch insuf unkscm
    novelsc unksm2 bext01 invut regaut01 multi01 mcl01 bcast zeromf cparam01 cparam02 regescrt sdp01
    inv2543
}

#[test]
fn all_forty_nine_messages_have_a_file_a_row_and_a_test() {
    let rows: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(rows.len(), 49);
    assert_eq!(rows, TESTS);
    let mut sorted = rows;
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted, names("rfc4475"));
}

#[test]
fn every_section_with_a_message_has_a_row() {
    let sections: Vec<String> = [("3.1.1", 13), ("3.1.2", 19), ("3.2", 1), ("3.3", 15), ("3.4", 1)]
        .into_iter()
        .flat_map(|(section, messages)| (1..=messages).map(move |number| format!("{section}.{number}")))
        .collect();
    let rows: Vec<&str> = CASES.iter().map(|case| case.section).collect();
    assert_eq!(rows, sections);
}

#[test]
fn the_wire_tests_expect_what_the_rows_say() {
    check_outcomes("rfc4475", &CASES);
}
