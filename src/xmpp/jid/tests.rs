use proptest::prelude::*;

use super::*;

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

#[test]
fn parts_are_mapped_to_one_spelling() {
    for (text, enforced) in [
        ("Juliet@Example.COM./Balcony", "juliet@example.com/Balcony"),
        ("\u{ff2a}uliet@example.com", "juliet@example.com"),
        ("a\u{30a}@example.com", "\u{e5}@example.com"),
        ("\u{130}x@example.com", "i\u{307}x@example.com"),
        ("\u{212b}@example.com", ""),
        ("user@b\u{fc}cher.example", "user@b\u{fc}cher.example"),
        ("user@xn--bcher-kva.example", "user@b\u{fc}cher.example"),
        ("user@example.com/a\u{a0}b", "user@example.com/a b"),
        ("user@example.com/a\u{30a}", "user@example.com/\u{e5}"),
        (
            "room@example.com/\u{1f9d1}\u{1fae0}",
            "room@example.com/\u{1f9d1}\u{1fae0}",
        ),
        ("d'\u{e9}x@example.com", ""),
        ("\u{5d0}\u{5d1}@example.com", "\u{5d0}\u{5d1}@example.com"),
        ("a\u{5d0}@example.com", ""),
        ("\u{643}\u{200c}@example.com", ""),
        ("l\u{b7}l@example.com", "l\u{b7}l@example.com"),
        ("a\u{b7}l@example.com", ""),
        ("\u{200c}@example.com", ""),
        ("user@example.com/\u{7}", ""),
        ("user@example.com/\u{fffe}", ""),
        ("user@example.com/\u{ad}x", ""),
        ("user@192.0.2.1", ""),
        ("user@[2001:db8::1]", ""),
    ] {
        let found = Jid::parse(text);
        if enforced.is_empty() {
            assert!(found.is_err(), "{text:?} read as {found:?}");
        } else {
            assert_eq!(
                found.as_ref().map(ToString::to_string),
                Ok(enforced.to_owned()),
                "{text:?}"
            );
        }
    }
}

#[test]
fn lengths_are_those_of_the_enforced_parts() {
    let long = "a".repeat(1_023);
    assert!(Jid::parse(&format!("{long}@example.com/{long}")).is_ok());
    assert_eq!(
        Jid::parse(&format!("{long}a@example.com")),
        Err(JidError::TooLong(Part::Local))
    );
    assert_eq!(
        Jid::parse(&format!("example.com/{long}a")),
        Err(JidError::TooLong(Part::Resource))
    );
    let wide = "\u{ff41}".repeat(1_023);
    assert_eq!(jid(&format!("{wide}@example.com")).local(), Some(long.as_str()));
    let flood = "\u{200c}".repeat(100_000);
    assert_eq!(
        Jid::parse(&format!("{flood}@example.com")),
        Err(JidError::TooLong(Part::Local))
    );
}

#[test]
fn parts_come_out_as_they_went_in() {
    let full = jid("a@example.com/r/s@t");
    assert_eq!(
        (full.local(), full.domain().as_str(), full.resource()),
        (Some("a"), "example.com", Some("r/s@t"))
    );
    assert_eq!(full.bare(), jid("a@example.com"));
    assert!(full.bare().is_bare() && !full.is_bare());
    assert_eq!(full.bare().with_resource("r/s@t"), Ok(full));
    assert_eq!(
        Jid::from(Domain::parse("example.com").unwrap()),
        jid("EXAMPLE.com")
    );
}

#[test]
fn a_refusal_names_the_part() {
    for (text, why) in [
        ("@example.com", JidError::Empty(Part::Local)),
        ("example.com/", JidError::Empty(Part::Resource)),
        ("a b@example.com", JidError::Prohibited(Part::Local)),
        ("a@example.com/\u{1}", JidError::Prohibited(Part::Resource)),
        ("a@", JidError::Domain(DomainError::Empty)),
        ("a@b@example.com", JidError::Domain(DomainError::Character)),
    ] {
        let found = Jid::parse(text);
        match (why, &found) {
            (JidError::Domain(_), Err(JidError::Domain(_))) => {}
            (why, found) => assert_eq!(*found, Err(why), "{text:?}"),
        }
        assert_eq!(found.unwrap_err().stanza_condition(), "jid-malformed");
    }
}

proptest! {
    /// Nothing that can stand in an attribute panics, and what is read writes and reads back as itself.
    #[test]
    fn enforcement_is_stable(text in "\\PC{0,12}@[a-z]{1,8}\\.example/\\PC{0,12}") {
        if let Ok(read) = Jid::parse(&text) {
            prop_assert_eq!(Jid::parse(&read.to_string()), Ok(read));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Ok(read) = Jid::parse(&text) {
            prop_assert_eq!(Jid::parse(&read.to_string()), Ok(read));
        }
    }

    /// Every single code point, as localpart and as resourcepart.
    #[test]
    fn every_code_point_is_stable(first in any::<char>(), second in any::<char>()) {
        for text in [format!("{first}@e.example"), format!("a{first}{second}@e.example"), format!("e.example/{first}{second}")] {
            if let Ok(read) = Jid::parse(&text) {
                prop_assert_eq!(Jid::parse(&read.to_string()), Ok(read));
            }
        }
    }

    #[test]
    fn international_domains_survive_the_wire(label in "[\\u{00df}-\\u{00f6}\\u{03b1}-\\u{03c9}\\u{0430}-\\u{044f}a-z]{1,8}") {
        if let Ok(read) = Jid::parse(&format!("a@{label}.example")) {
            prop_assert_eq!(Jid::parse(&read.to_string()), Ok(read));
        }
    }
}

#[test]
fn code_points_younger_than_the_tables_follow_the_algorithm() {
    // U+1F642 and U+1FAE0: emoji of Unicode 7 and 14. U+10D0 with its capital U+1C90 of Unicode 11. U+1E900: Adlam.
    for (text, allowed) in [
        ("e.example/\u{1f642}", true),
        ("e.example/\u{1fae0}", true),
        ("\u{1f642}@e.example", false),
        ("\u{1f94}a@e.example", true),
        ("\u{1c90}@e.example", true),
        ("e.example/\u{10ffff}", false),
        ("e.example/\u{e000}", false),
        ("e.example/\u{2fe0}", false),
    ] {
        assert_eq!(Jid::parse(text).is_ok(), allowed, "{text:?}");
    }
    assert_eq!(jid("\u{1c90}@e.example"), jid("\u{10d0}@e.example"));
}
