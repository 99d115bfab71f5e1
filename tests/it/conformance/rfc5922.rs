//! RFC 5922: which SIP domain a certificate proves; and the two rules beside it.

use vestibule::identity::{Method, Mismatch, Proof, Reference, SipRule, chain, matching};

use super::rfc9525_pki::{Authority, Leaf, domain, now};

#[test]
fn section_7_1_and_7_2_identities_are_found_in_their_order_and_compared_whole() {
    let ca = Authority::root("Test CA");
    let cases: Vec<(&str, Leaf, &str, Option<Proof>)> = vec![
        (
            "sip URI",
            Leaf::named("x").uri("sip:example.com"),
            "example.com",
            Some(Proof::SipUri),
        ),
        (
            "scheme in capitals",
            Leaf::named("x").uri("SIP:Example.COM"),
            "example.com",
            Some(Proof::SipUri),
        ),
        (
            "port is not compared",
            Leaf::named("x").uri("sip:example.com:5061"),
            "example.com",
            Some(Proof::SipUri),
        ),
        (
            "parameters are not compared",
            Leaf::named("x").uri("sip:example.com;transport=tls"),
            "example.com",
            Some(Proof::SipUri),
        ),
        (
            "a user is no domain",
            Leaf::named("x").uri("sip:alice@example.com"),
            "example.com",
            None,
        ),
        (
            "a user's URI leaves the DNS names",
            Leaf::named("x").uri("sip:alice@a.example").dns(&["example.com"]),
            "example.com",
            Some(Proof::DnsId),
        ),
        (
            "sips is not sip",
            Leaf::named("x").uri("sips:example.com"),
            "example.com",
            None,
        ),
        (
            "sips leaves the DNS names",
            Leaf::named("x").uri("sips:a.example").dns(&["example.com"]),
            "example.com",
            Some(Proof::DnsId),
        ),
        (
            "https",
            Leaf::named("x").uri("https://example.com/"),
            "example.com",
            None,
        ),
        (
            "DNS",
            Leaf::named("x").dns(&["example.com"]),
            "example.com",
            Some(Proof::DnsId),
        ),
        (
            "DNS in capitals",
            Leaf::named("x").dns(&["EXAMPLE.com"]),
            "example.com",
            Some(Proof::DnsId),
        ),
        (
            "DNS does not count beside a sip URI",
            Leaf::named("x").uri("sip:a.example").dns(&["example.com"]),
            "example.com",
            None,
        ),
        (
            "nor beside one that names no domain",
            Leaf::named("x").uri("sip:192.0.2.1").dns(&["example.com"]),
            "example.com",
            None,
        ),
        (
            "nor beside one with a wildcard",
            Leaf::named("x").uri("sip:*.com").dns(&["example.com"]),
            "example.com",
            None,
        ),
        (
            "two sip URIs",
            Leaf::named("x").uri("sip:a.example").uri("sip:example.com"),
            "example.com",
            Some(Proof::SipUri),
        ),
        (
            "common name alone",
            Leaf::named("example.com"),
            "example.com",
            Some(Proof::CommonName),
        ),
        (
            "common name beside a DNS name",
            Leaf::named("example.com").dns(&["a.example"]),
            "example.com",
            None,
        ),
        (
            "common name beside an e-mail address",
            Leaf::named("example.com").email("a@a.example"),
            "example.com",
            None,
        ),
        (
            "common name of a person",
            Leaf::named("Example Com"),
            "example.com",
            None,
        ),
        (
            "wildcard",
            Leaf::named("x").dns(&["*.example.com"]),
            "a.example.com",
            None,
        ),
        (
            "wildcard in the common name",
            Leaf::named("*.example.com"),
            "a.example.com",
            None,
        ),
        (
            "suffix",
            Leaf::named("x").dns(&["example.com"]),
            "a.example.com",
            None,
        ),
        (
            "sub-domain",
            Leaf::named("x").dns(&["a.example.com"]),
            "example.com",
            None,
        ),
        (
            "leading dot",
            Leaf::named("x").dns(&[".example.com"]),
            "a.example.com",
            None,
        ),
        (
            "A-label",
            Leaf::named("x").dns(&["xn--bcher-kva.example"]),
            "bücher.example",
            Some(Proof::DnsId),
        ),
        (
            "A-label in a sip URI",
            Leaf::named("x").uri("sip:xn--bcher-kva.example"),
            "bücher.example",
            Some(Proof::SipUri),
        ),
        (
            "XmppAddr",
            Leaf::named("x").xmpp("example.com"),
            "example.com",
            None,
        ),
        (
            "SRVName",
            Leaf::named("x").srv("_xmpp-server.example.com"),
            "example.com",
            None,
        ),
        ("nothing", Leaf::default(), "example.com", None),
    ];
    for (what, leaf, claimed, expected) in cases {
        let found = matching::sip(&ca.believed(leaf), &domain(claimed), SipRule::Rfc5922);
        let proof = found.ok().map(|authenticated| authenticated.method());
        assert_eq!(proof, expected.map(Method::Certificate), "{what}");
    }
}

#[test]
fn section_7_4_an_accepting_server_gets_the_set_of_identities() {
    let ca = Authority::root("Test CA");
    let domains = |leaf| matching::sip_domains(ca.believed(leaf).identities());
    let both = Leaf::named("x").dns(&["a.example", "*.b.example", "c.example"]);
    assert_eq!(domains(both), [domain("a.example"), domain("c.example")]);
    assert_eq!(
        domains(Leaf::named("x").uri("sip:d.example").dns(&["a.example"])),
        [domain("d.example")]
    );
    assert!(domains(Leaf::default()).is_empty());
}

#[test]
fn route_target_takes_a_certificate_of_the_next_hop_for_the_domain() {
    let ca = Authority::root("Test CA");
    let tenant = domain("contoso.example");
    let hop = [
        Reference::Name(domain("sipfed.hosted.example")),
        Reference::Address("192.0.2.7".parse().unwrap()),
    ];
    let cases: Vec<(&str, Leaf, bool)> = vec![
        ("the host", Leaf::named("x").dns(&["sipfed.hosted.example"]), true),
        (
            "a wildcard over the host",
            Leaf::named("x").dns(&["*.hosted.example"]),
            true,
        ),
        (
            "a sip URI of the host",
            Leaf::named("x").uri("sip:sipfed.hosted.example"),
            true,
        ),
        (
            "the host as common name",
            Leaf::named("sipfed.hosted.example"),
            true,
        ),
        ("the address", Leaf::named("x").address("192.0.2.7"), true),
        ("another address", Leaf::named("x").address("192.0.2.8"), false),
        ("the address as a name", Leaf::named("192.0.2.7"), false),
        (
            "the domain itself, which is not the rule",
            Leaf::named("x").dns(&["contoso.example"]),
            false,
        ),
        ("another host", Leaf::named("x").dns(&["evil.example"]), false),
    ];
    for (what, leaf, accepted) in cases {
        let found = matching::sip(&ca.believed(leaf), &tenant, SipRule::RouteTarget(&hop));
        let expected = accepted.then_some(Method::Certificate(Proof::RouteTarget));
        assert_eq!(
            found.ok().map(|authenticated| authenticated.method()),
            expected,
            "{what}"
        );
    }
    let host = ca.believed(Leaf::named("x").dns(&["sipfed.hosted.example"]));
    assert!(matching::sip(&host, &tenant, SipRule::RouteTarget(&[])).is_err());
    let proven = matching::sip(&host, &tenant, SipRule::RouteTarget(&hop)).unwrap();
    assert_eq!(proven.domain(), &tenant);
}

#[test]
fn pinned_takes_the_key_whatever_the_certificate_names_and_only_by_a_pin() {
    let shown = [Leaf::named("whatever").self_signed()];
    let identities = vestibule::identity::Identities::from_der(&shown[0]).unwrap();
    let pins = [*identities.key_fingerprint()];
    let verified = chain::verify_pinned(&shown, &pins, now()).unwrap();
    let proven = matching::sip(&verified, &domain("example.com"), SipRule::Pinned).unwrap();
    assert_eq!(proven.method(), Method::Certificate(Proof::Pinned));
    assert!(matching::sip(&verified, &domain("example.com"), SipRule::Rfc5922).is_err());
    // A chain is no pin.
    let ca = Authority::root("Test CA");
    let believed = ca.believed(Leaf::named("x").dns(&["example.com"]));
    assert_eq!(
        matching::sip(&believed, &domain("example.com"), SipRule::Pinned),
        Err(Mismatch::NotPinned {
            domain: domain("example.com")
        })
    );
}
