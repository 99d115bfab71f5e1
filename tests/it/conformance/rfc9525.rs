//! RFC 9525 (and RFC 6120 §13.7): which XMPP domain a certificate proves.

use rcgen::DnValue;
use vestibule::identity::{BadCertificate, Identities, Method, Mismatch, Proof, matching};

use super::rfc9525_pki::{Authority, Leaf, der, domain, other_name};

#[test]
fn section_6_a_domain_is_proven_by_the_names_of_the_certificate_and_by_nothing_else() {
    let ca = Authority::root("Test CA");
    let cases: Vec<(&str, Leaf, &str, Option<Proof>)> = vec![
        (
            "DNS",
            Leaf::named("x").dns(&["im.example"]),
            "im.example",
            Some(Proof::DnsId),
        ),
        (
            "DNS in capitals",
            Leaf::named("x").dns(&["IM.Example"]),
            "im.example",
            Some(Proof::DnsId),
        ),
        (
            "second DNS",
            Leaf::named("x").dns(&["a.example", "im.example"]),
            "im.example",
            Some(Proof::DnsId),
        ),
        (
            "another DNS",
            Leaf::named("x").dns(&["other.example"]),
            "im.example",
            None,
        ),
        ("suffix", Leaf::named("x").dns(&["example"]), "im.example", None),
        (
            "prefix",
            Leaf::named("x").dns(&["im.example.evil.example"]),
            "im.example",
            None,
        ),
        (
            "parent of a sub-domain",
            Leaf::named("x").dns(&["a.im.example"]),
            "im.example",
            None,
        ),
        // §6.3, wildcards
        (
            "wildcard",
            Leaf::named("x").dns(&["*.example.com"]),
            "a.example.com",
            Some(Proof::DnsId),
        ),
        (
            "wildcard, none",
            Leaf::named("x").dns(&["*.example.com"]),
            "example.com",
            None,
        ),
        (
            "wildcard, two labels",
            Leaf::named("x").dns(&["*.example.com"]),
            "a.b.example.com",
            None,
        ),
        (
            "part of a label",
            Leaf::named("x").dns(&["c*.example.com"]),
            "conf.example.com",
            None,
        ),
        (
            "inner wildcard",
            Leaf::named("x").dns(&["a.*.com"]),
            "a.example.com",
            None,
        ),
        (
            "two wildcards",
            Leaf::named("x").dns(&["*.*.com"]),
            "a.example.com",
            None,
        ),
        ("only a wildcard", Leaf::named("x").dns(&["*"]), "example", None),
        (
            "leading dot",
            Leaf::named("x").dns(&[".example.com"]),
            "a.example.com",
            None,
        ),
        // IDN
        (
            "A-label",
            Leaf::named("x").dns(&["xn--bcher-kva.example"]),
            "bücher.example",
            Some(Proof::DnsId),
        ),
        (
            "wildcard over an A-label",
            Leaf::named("x").dns(&["*.example"]),
            "bücher.example",
            Some(Proof::DnsId),
        ),
        // SRV-ID, §6.5
        (
            "SRVName",
            Leaf::named("x").srv("_xmpp-server.im.example"),
            "im.example",
            Some(Proof::SrvName),
        ),
        (
            "SRVName, IA5",
            Leaf::named("x").srv_ia5("_xmpp-server.im.example"),
            "im.example",
            Some(Proof::SrvName),
        ),
        (
            "SRVName, case",
            Leaf::named("x").srv("_XMPP-Server.IM.example"),
            "im.example",
            Some(Proof::SrvName),
        ),
        (
            "SRVName, direct TLS",
            Leaf::named("x").srv("_xmpps-server.im.example"),
            "im.example",
            Some(Proof::SrvName),
        ),
        (
            "SRVName of clients",
            Leaf::named("x").srv("_xmpp-client.im.example"),
            "im.example",
            None,
        ),
        (
            "SRVName of SIP",
            Leaf::named("x").srv("_sips.im.example"),
            "im.example",
            None,
        ),
        (
            "SRVName, no underscore",
            Leaf::named("x").srv("xmpp-server.im.example"),
            "im.example",
            None,
        ),
        (
            "SRVName of another",
            Leaf::named("x").srv("_xmpp-server.other.example"),
            "im.example",
            None,
        ),
        (
            "service of one name with the domain of another",
            Leaf::named("x")
                .srv("_xmpp-server.other.example")
                .srv("_xmpp-client.im.example"),
            "im.example",
            None,
        ),
        // XmppAddr, RFC 6120 §13.7.1.4
        (
            "XmppAddr",
            Leaf::named("x").xmpp("im.example"),
            "im.example",
            Some(Proof::XmppAddr),
        ),
        (
            "XmppAddr, U-label",
            Leaf::named("x").xmpp("bücher.example"),
            "bücher.example",
            Some(Proof::XmppAddr),
        ),
        (
            "XmppAddr with a user",
            Leaf::named("x").xmpp("juliet@im.example"),
            "im.example",
            None,
        ),
        (
            "XmppAddr with a resource",
            Leaf::named("x").xmpp("im.example/x"),
            "im.example",
            None,
        ),
        (
            "XmppAddr, wildcard",
            Leaf::named("x").xmpp("*.example"),
            "im.example",
            None,
        ),
        (
            "XmppAddr before DNS",
            Leaf::named("x").dns(&["im.example"]).xmpp("im.example"),
            "im.example",
            Some(Proof::XmppAddr),
        ),
        // What proves nothing here
        ("common name only", Leaf::named("im.example"), "im.example", None),
        (
            "common name and DNS",
            Leaf::named("im.example").dns(&["other.example"]),
            "im.example",
            None,
        ),
        (
            "sip URI",
            Leaf::named("x").uri("sip:im.example"),
            "im.example",
            None,
        ),
        (
            "xmpp URI",
            Leaf::named("x").uri("xmpp:im.example"),
            "im.example",
            None,
        ),
        (
            "e-mail",
            Leaf::named("x").email("a@im.example"),
            "im.example",
            None,
        ),
        (
            "address",
            Leaf::named("x").address("192.0.2.1"),
            "im.example",
            None,
        ),
        ("nothing", Leaf::default(), "im.example", None),
        (
            "other otherName",
            Leaf::named("x").other_name(&[1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "im.example"),
            "im.example",
            None,
        ),
    ];
    for (what, leaf, claimed, expected) in cases {
        let found = matching::xmpp(&ca.believed(leaf), &domain(claimed));
        let proof = found.as_ref().ok().map(|authenticated| authenticated.method());
        assert_eq!(proof, expected.map(Method::Certificate), "{what}");
        if let Ok(authenticated) = found {
            assert_eq!(authenticated.domain(), &domain(claimed), "{what}");
        }
    }
}

#[test]
fn section_6_6_a_mismatch_tells_the_operator_which_names_there_are() {
    let ca = Authority::root("Test CA");
    let leaf = Leaf::named("x")
        .dns(&["a.example", "*.b.example"])
        .xmpp("c.example");
    let error = matching::xmpp(&ca.believed(leaf), &domain("im.example")).unwrap_err();
    let expected = "the certificate does not prove im.example: wanted is im.example as an XmppAddr, SRVName or DNS name, and it \
                    names xmpp:c.example, a.example, *.b.example; ";
    assert!(error.to_string().starts_with(expected), "{error}");
    let many: Vec<_> = (0..12).map(|number| format!("n{number}.example")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let error = matching::xmpp(&ca.believed(Leaf::named("x").dns(&many)), &domain("im.example")).unwrap_err();
    assert!(error.to_string().contains("n7.example and 4 more;"), "{error}");
    let error = matching::xmpp(&ca.believed(Leaf::default()), &domain("im.example")).unwrap_err();
    assert!(
        matches!(&error, Mismatch::Names { names, .. } if names == "nobody"),
        "{error}"
    );
}

#[test]
fn names_that_two_readers_could_read_differently_make_the_certificate_bad() {
    let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
    let san = |name: &[u8]| der(0x30, name);
    let cases: Vec<(&str, Leaf, BadCertificate)> = vec![
        (
            "NUL in DNS",
            Leaf::named("x").dns(&["im.example\0.evil.example"]),
            BadCertificate::Name("DNS name"),
        ),
        (
            "NUL at the end",
            Leaf::named("x").dns(&["im.example\0"]),
            BadCertificate::Name("DNS name"),
        ),
        (
            "newline in DNS",
            Leaf::named("x").dns(&["im.example\n"]),
            BadCertificate::Name("DNS name"),
        ),
        (
            "NUL in URI",
            Leaf::named("x").uri("sip:im.example\0.evil.example"),
            BadCertificate::Name("URI"),
        ),
        (
            "NUL in XmppAddr",
            Leaf::named("x").xmpp("im.example\0.evil.example"),
            BadCertificate::Name("XmppAddr"),
        ),
        (
            "NUL in SRVName",
            Leaf::named("x").srv("_xmpp-server.im.example\0.e"),
            BadCertificate::Name("SRVName"),
        ),
        (
            "8-bit SRVName",
            Leaf::named("x").srv("_xmpp-server.bücher.example"),
            BadCertificate::Name("SRVName"),
        ),
        (
            "NUL in the common name",
            Leaf::default().common_name_as(utf8("im.example\0.evil.example")),
            BadCertificate::Name("common name"),
        ),
        (
            "8-bit DNS",
            Leaf::named("x").raw_san(&san(&der(0x82, "bücher.example".as_bytes()))),
            BadCertificate::Name("DNS name"),
        ),
        (
            "bad UTF-8 in DNS",
            Leaf::named("x").raw_san(&san(&der(0x82, b"im\xff.example"))),
            BadCertificate::Extension,
        ),
        (
            "address of five octets",
            Leaf::named("x").raw_san(&san(&der(0x87, &[1, 2, 3, 4, 5]))),
            BadCertificate::Name("IP address"),
        ),
        (
            "SRVName of another string type",
            Leaf::named("x").raw_san(&san(&other_name(0x1e, b"_xmpp-server.im.example"))),
            BadCertificate::Name("SRVName"),
        ),
        (
            "alternative names twice",
            Leaf::named("x")
                .dns(&["a.example"])
                .raw_san(&san(&der(0x82, b"b.example"))),
            BadCertificate::Extension,
        ),
        (
            "length beyond the extension",
            Leaf::named("x").raw_san(&[0x30, 0x20, 0x82, 0x05, b'a']),
            BadCertificate::Extension,
        ),
    ];
    for (what, leaf, expected) in cases {
        assert_eq!(
            Identities::from_der(&leaf.self_signed()).err(),
            Some(expected),
            "{what}"
        );
    }
}

#[test]
fn a_certificate_cut_anywhere_or_followed_by_anything_is_refused() {
    let whole = Leaf::named("im.example").dns(&["im.example"]).self_signed();
    for end in 0..whole.len() {
        assert!(Identities::from_der(&whole[..end]).is_err(), "cut at {end}");
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(Identities::from_der(&longer), Err(BadCertificate::Malformed));
    // Flipped bits anywhere give an answer, never a panic.
    for position in 0..whole.len() {
        let mut changed = whole.to_vec();
        changed[position] ^= 0x55;
        let _ = Identities::from_der(&changed);
    }
}
