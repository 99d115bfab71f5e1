//! RFC 7622: the addresses of §3.5, table 1 (legal) and table 2 (not addresses).

use vestibule::xmpp::Jid;

/// §3.5, table 1; the third column is the form that is compared.
const LEGAL: [(u8, &str, &str); 15] = [
    (1, "juliet@example.com", "juliet@example.com"),
    (2, "juliet@example.com/foo", "juliet@example.com/foo"),
    (3, "juliet@example.com/foo bar", "juliet@example.com/foo bar"),
    (4, "juliet@example.com/foo@bar", "juliet@example.com/foo@bar"),
    (5, r"foo\20bar@example.com", r"foo\20bar@example.com"),
    (6, "fussball@example.com", "fussball@example.com"),
    (7, "fu\u{df}ball@example.com", "fu\u{df}ball@example.com"),
    (8, "\u{3c0}@example.com", "\u{3c0}@example.com"),
    (9, "\u{3a3}@example.com/foo", "\u{3c3}@example.com/foo"),
    (10, "\u{3c3}@example.com/foo", "\u{3c3}@example.com/foo"),
    (11, "\u{3c2}@example.com/foo", "\u{3c2}@example.com/foo"),
    (12, "king@example.com/\u{265a}", "king@example.com/\u{265a}"),
    (13, "example.com", "example.com"),
    (14, "example.com/foobar", "example.com/foobar"),
    (15, "a.example.com/b@example.net", "a.example.com/b@example.net"),
];

/// §3.5, table 2, without its number 18 (a resourcepart that begins with a space): the OpaqueString profile allows
/// it, and erratum 4560 takes the line back.
const NOT_ADDRESSES: [(u8, &str); 7] = [
    (16, "\"juliet\"@example.com"),
    (17, "foo bar@example.com"),
    (19, "@example.com/"),
    (20, "henry\u{2163}@example.com"),
    (21, "\u{265a}@example.com"),
    (22, "juliet@"),
    (23, "/foobar"),
];

#[test]
fn section_3_5_table_1_is_read() {
    for (number, text, compared) in LEGAL {
        let read = Jid::parse(text);
        assert_eq!(
            read.map(|jid| jid.to_string()),
            Ok(compared.to_owned()),
            "example {number}"
        );
    }
}

#[test]
fn section_3_5_table_1_equality_is_as_its_notes_say() {
    let jid = |n: usize| Jid::parse(LEGAL[n - 1].1).unwrap();
    assert_ne!(jid(6), jid(7));
    assert_eq!(jid(9), jid(10));
    assert_ne!(jid(9), jid(11));
    assert_eq!(jid(15).domain().as_str(), "a.example.com");
}

#[test]
fn section_3_5_table_2_is_refused() {
    for (number, text) in NOT_ADDRESSES {
        assert!(Jid::parse(text).is_err(), "example {number}");
    }
    assert!(Jid::parse("juliet@example.com/ foo").is_ok(), "erratum 4560");
}

#[test]
fn section_3_3_1_excluded_characters_are_refused_in_a_localpart_only() {
    for excluded in ['"', '&', '\'', ':', '<', '>'] {
        assert!(
            Jid::parse(&format!("a{excluded}b@example.com")).is_err(),
            "{excluded}"
        );
        assert!(
            Jid::parse(&format!("a@example.com/{excluded}")).is_ok(),
            "{excluded}"
        );
    }
    // Width mapping may not smuggle an excluded character in.
    assert!(Jid::parse("a\u{ff02}b@example.com").is_err());
    assert!(Jid::parse("a\u{ff20}b@example.com").is_err());
}
