//! What each kind of certificate proves, for XMPP and for SIP side by side: RFC 9525, RFC 6120 §13.7, RFC 5922, RFC 5280.

#![allow(
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests, and what only tests use"
)]

use std::collections::HashSet;

use rcgen::ExtendedKeyUsagePurpose as Purpose;
use rustls::pki_types::CertificateDer;
use vestibule::identity::Proof::{self, CommonName, DnsId, SipUri, SrvName, XmppAddr};
use vestibule::identity::{Authenticated, Eku, Method, SipRule, Trust, Usage, Verified, chain, matching};
use vestibule::refusal::Refuse;

use super::rfc9525_pki::{Authority, Leaf, domain, now};

/// What a certificate is worth for a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Proves(Proof),
    /// By the class of the refusal.
    Refused(&'static str),
}
use Verdict::{Proves, Refused};

/// Good, but for somebody else.
const NAME: Verdict = Refused("certificate_name");

type Case = (&'static str, Leaf, &'static str, Verdict, Verdict);

/// What is shown, the domain that is claimed, and what becomes of it on XMPP and on SIP.
fn leaves() -> Vec<Case> {
    let leaf = Leaf::named;
    vec![
        (
            "the common name alone",
            leaf("im.example"),
            "im.example",
            NAME,
            Proves(CommonName),
        ),
        (
            "a common name in capitals",
            leaf("IM.Example"),
            "im.example",
            NAME,
            Proves(CommonName),
        ),
        (
            "a common name beside a DNS name of another",
            leaf("im.example").dns(&["other.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a common name beside an e-mail address",
            leaf("im.example").email("a@im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a wildcard as the common name",
            leaf("*.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a common name with a path",
            leaf("im.example/evil.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a common name with a user",
            leaf("alice@im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a DNS name",
            leaf("x").dns(&["im.example"]),
            "im.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "a DNS name in capitals",
            leaf("x").dns(&["IM.EXAMPLE"]),
            "im.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "the last of many DNS names",
            leaf("x").dns(&["a.example", "b.example", "im.example"]),
            "im.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "another DNS name",
            leaf("x").dns(&["other.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a DNS name that ends like the domain",
            leaf("x").dns(&["evilim.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a DNS name that goes on after the domain",
            leaf("x").dns(&["im.example.evil.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "the parent of the domain",
            leaf("x").dns(&["example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a child of the domain",
            leaf("x").dns(&["a.im.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a DNS name with a leading dot",
            leaf("x").dns(&[".im.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an empty DNS name",
            leaf("x").dns(&[""]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a DNS name with a space",
            leaf("x").dns(&["im.example "]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a DNS name with an underscore",
            leaf("x").dns(&["_im.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a wildcard for the label",
            leaf("x").dns(&["*.example"]),
            "im.example",
            Proves(DnsId),
            NAME,
        ),
        (
            "a wildcard for two labels",
            leaf("x").dns(&["*.example"]),
            "a.im.example",
            NAME,
            NAME,
        ),
        (
            "a wildcard for no label",
            leaf("x").dns(&["*.im.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a wildcard within a label",
            leaf("x").dns(&["i*.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a wildcard at the end of a label",
            leaf("x").dns(&["*m.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a wildcard that is not the left-most label",
            leaf("x").dns(&["im.*"]),
            "im.example",
            NAME,
            NAME,
        ),
        ("two wildcards", leaf("x").dns(&["*.*"]), "im.example", NAME, NAME),
        (
            "nothing but a wildcard",
            leaf("x").dns(&["*"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a wildcard over an A-label",
            leaf("x").dns(&["*.example"]),
            "bücher.example",
            Proves(DnsId),
            NAME,
        ),
        (
            "an A-label",
            leaf("x").dns(&["xn--bcher-kva.example"]),
            "bücher.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "an A-label in capitals",
            leaf("x").dns(&["XN--BCHER-KVA.example"]),
            "bücher.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "the A-label of a look-alike",
            leaf("x").dns(&["xn--m-ftb.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a false A-label",
            leaf("x").dns(&["xn--im.example"]),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a sip: URI",
            leaf("x").uri("sip:im.example"),
            "im.example",
            NAME,
            Proves(SipUri),
        ),
        (
            "a sip: URI in capitals",
            leaf("x").uri("SIP:IM.Example"),
            "im.example",
            NAME,
            Proves(SipUri),
        ),
        (
            "a sip: URI with a user",
            leaf("x").uri("sip:alice@im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a sip: URI of another beside a DNS name",
            leaf("x").uri("sip:other.example").dns(&["im.example"]),
            "im.example",
            Proves(DnsId),
            NAME,
        ),
        (
            "a sip: URI with a user beside a DNS name",
            leaf("x").uri("sip:alice@im.example").dns(&["im.example"]),
            "im.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "a sips: URI",
            leaf("x").uri("sips:im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an xmpp: URI",
            leaf("x").uri("xmpp:im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an https: URI",
            leaf("x").uri("https://im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a sip: URI of an address",
            leaf("x").uri("sip:192.0.2.1"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "a sip: URI with a wildcard",
            leaf("x").uri("sip:*.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an SRVName of XMPP servers",
            leaf("x").srv("_xmpp-server.im.example"),
            "im.example",
            Proves(SrvName),
            NAME,
        ),
        (
            "an SRVName as IA5String",
            leaf("x").srv_ia5("_xmpp-server.im.example"),
            "im.example",
            Proves(SrvName),
            NAME,
        ),
        (
            "an SRVName of direct TLS",
            leaf("x").srv("_xmpps-server.im.example"),
            "im.example",
            Proves(SrvName),
            NAME,
        ),
        (
            "an SRVName of XMPP clients",
            leaf("x").srv("_xmpp-client.im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an SRVName of SIP",
            leaf("x").srv("_sips.im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an SRVName without its underscore",
            leaf("x").srv("xmpp-server.im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an SRVName with a protocol",
            leaf("x").srv("_xmpp-server._tcp.im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an SRVName of another",
            leaf("x").srv("_xmpp-server.other.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an XmppAddr",
            leaf("x").xmpp("im.example"),
            "im.example",
            Proves(XmppAddr),
            NAME,
        ),
        (
            "an XmppAddr in capitals",
            leaf("x").xmpp("IM.Example"),
            "im.example",
            Proves(XmppAddr),
            NAME,
        ),
        (
            "an XmppAddr of an IDN",
            leaf("x").xmpp("bücher.example"),
            "bücher.example",
            Proves(XmppAddr),
            NAME,
        ),
        (
            "an XmppAddr with a user",
            leaf("x").xmpp("alice@im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an XmppAddr with a resource",
            leaf("x").xmpp("im.example/edge"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an XmppAddr with a wildcard",
            leaf("x").xmpp("*.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "another kind of other name",
            leaf("x").other_name(&[1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an address",
            leaf("x").address("192.0.2.1"),
            "im.example",
            NAME,
            NAME,
        ),
        (
            "an e-mail address",
            leaf("x").email("alice@im.example"),
            "im.example",
            NAME,
            NAME,
        ),
        ("no name at all", Leaf::default(), "im.example", NAME, NAME),
        (
            "every kind of name",
            leaf("x")
                .dns(&["im.example"])
                .uri("sip:im.example")
                .srv("_xmpp-server.im.example")
                .xmpp("im.example"),
            "im.example",
            Proves(XmppAddr),
            Proves(SipUri),
        ),
        (
            "NUL in a DNS name",
            leaf("x").dns(&["im.example\0.evil.example"]),
            "im.example",
            Refused("certificate_bad"),
            Refused("certificate_bad"),
        ),
        (
            "NUL in a sip: URI",
            leaf("x").uri("sip:im.example\0.evil.example"),
            "im.example",
            Refused("certificate_bad"),
            Refused("certificate_bad"),
        ),
        (
            "NUL in an XmppAddr",
            leaf("x").xmpp("im.example\0.evil.example"),
            "im.example",
            Refused("certificate_bad"),
            Refused("certificate_bad"),
        ),
        (
            "NUL in an SRVName",
            leaf("x").srv("_xmpp-server.im.example\0"),
            "im.example",
            Refused("certificate_bad"),
            Refused("certificate_bad"),
        ),
        (
            "NUL in the common name",
            leaf("im.example\0.evil.example"),
            "im.example",
            Refused("certificate_bad"),
            Refused("certificate_bad"),
        ),
        (
            "a line feed in a DNS name",
            leaf("x").dns(&["im.example\n"]),
            "im.example",
            Refused("certificate_bad"),
            Refused("certificate_bad"),
        ),
        (
            "expired",
            leaf("x").dns(&["im.example"]).years(2020, 2026),
            "im.example",
            Refused("certificate_expired"),
            Refused("certificate_expired"),
        ),
        (
            "not yet valid",
            leaf("x").dns(&["im.example"]).years(2027, 2030),
            "im.example",
            Refused("certificate_not_yet_valid"),
            Refused("certificate_not_yet_valid"),
        ),
        (
            "a certificate for signing code",
            leaf("x").dns(&["im.example"]).usage(Purpose::CodeSigning),
            "im.example",
            Refused("certificate_usage"),
            Refused("certificate_usage"),
        ),
        (
            "a certificate for e-mail",
            leaf("x").dns(&["im.example"]).usage(Purpose::EmailProtection),
            "im.example",
            Refused("certificate_usage"),
            Refused("certificate_usage"),
        ),
        (
            "an authority's own certificate",
            leaf("x").dns(&["im.example"]).authority(),
            "im.example",
            Refused("certificate_authority"),
            Refused("certificate_authority"),
        ),
        (
            "revoked",
            leaf("x").dns(&["im.example"]).serial(7),
            "im.example",
            Refused("certificate_revoked"),
            Refused("certificate_revoked"),
        ),
        (
            "another serial number than the revoked",
            leaf("x").dns(&["im.example"]).serial(8),
            "im.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "for servers",
            leaf("x").dns(&["im.example"]).usage(Purpose::ServerAuth),
            "im.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "for clients",
            leaf("x").dns(&["im.example"]).usage(Purpose::ClientAuth),
            "im.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "for SIP domains",
            leaf("x")
                .dns(&["im.example"])
                .usage(Purpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 20])),
            "im.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
        (
            "for any use",
            leaf("x").dns(&["im.example"]).usage(Purpose::Any),
            "im.example",
            Proves(DnsId),
            Proves(DnsId),
        ),
    ]
}

fn verdicts(shown: &[CertificateDer<'_>], trust: &Trust, claimed: &str, usage: Usage) -> (Verdict, Verdict) {
    let verdict = |judge: &dyn Fn(&Verified) -> Result<Authenticated, matching::Mismatch>| {
        let verified = match chain::verify(shown, trust, usage, Eku::ClientOrServer, now()) {
            Ok(verified) => verified,
            Err(error) => return Refused(error.class()),
        };
        match judge(&verified) {
            Ok(authenticated) => {
                assert_eq!(authenticated.domain(), &domain(claimed));
                match authenticated.method() {
                    Method::Certificate(proof) => Proves(proof),
                    other => panic!("a certificate proved by {other}"),
                }
            }
            Err(mismatch) => Refused(mismatch.class()),
        }
    };
    (
        verdict(&|verified| matching::xmpp(verified, &domain(claimed))),
        verdict(&|verified| matching::sip(verified, &domain(claimed), SipRule::Rfc5922)),
    )
}

#[test]
fn every_kind_of_leaf_has_its_verdict_on_xmpp_and_on_sip_as_client_and_as_server() {
    let root = Authority::root("Root");
    let trust = Trust::new(&[root.der()], &[root.revoke(7)]).unwrap();
    let cases = leaves();
    assert!(cases.len() >= 60, "{}", cases.len());
    let names: HashSet<_> = cases.iter().map(|case| case.0).collect();
    assert_eq!(names.len(), cases.len(), "each case is another");
    for (what, leaf, claimed, xmpp, sip) in cases {
        let shown = [root.sign(leaf)];
        for usage in [Usage::Client, Usage::Server] {
            assert_eq!(
                verdicts(&shown, &trust, claimed, usage),
                (xmpp, sip),
                "{what}, {usage:?}"
            );
        }
    }
}

#[test]
fn every_kind_of_chain_has_its_verdict_on_xmpp_and_on_sip() {
    let good = || Leaf::named("x").dns(&["im.example"]);
    let root = Authority::root("Root");
    let trust = root.trust();
    let middle = root.intermediate("Middle");
    let gone = root.expired_intermediate("Gone");
    let other = Authority::root("Other");
    let same_name = Authority::root("Root");
    let own = good().self_signed();
    let (leaf_as_authority, signed_by_leaf) = good().sign_as_leaf(good());
    let deep = |length: usize| {
        let mut authorities = vec![root.intermediate("0")];
        for number in 1..length {
            let next = authorities.last().unwrap().intermediate(&number.to_string());
            authorities.push(next);
        }
        let mut shown = vec![authorities.last().unwrap().sign(good())];
        shown.extend(authorities.iter().rev().map(Authority::der));
        shown
    };
    let many: Vec<_> = (0..2_000).map(|number| format!("n{number}.example")).collect();
    let names: Vec<_> = many.iter().map(String::as_str).chain(["im.example"]).collect();
    let huge: CertificateDer<'_> = vec![0x30; 10_000_000].into();
    let trusted = Trust::new(std::slice::from_ref(&own), &[]).unwrap();
    let nobody = Trust::nobody();
    let dns = Proves(DnsId);
    let unknown = Refused("certificate_unknown_issuer");
    let cases: Vec<(&str, Vec<CertificateDer<'_>>, &Trust, Verdict)> = vec![
        ("nothing", vec![], &trust, Refused("certificate_none")),
        (
            "octets",
            vec![vec![1, 2, 3].into()],
            &trust,
            Refused("certificate_bad"),
        ),
        (
            "an intermediate",
            vec![middle.sign(good()), middle.der()],
            &trust,
            dns,
        ),
        (
            "a missing intermediate",
            vec![middle.sign(good())],
            &trust,
            unknown,
        ),
        (
            "another authority",
            vec![other.sign(good()), other.der()],
            &trust,
            unknown,
        ),
        ("nobody trusted", vec![root.sign(good())], &nobody, unknown),
        (
            "an authority of the same name",
            vec![same_name.sign(good())],
            &trust,
            Refused("certificate_signature"),
        ),
        (
            "an expired intermediate",
            vec![gone.sign(good()), gone.der()],
            &trust,
            Refused("certificate_expired"),
        ),
        ("self-signed and a stranger", vec![own.clone()], &trust, unknown),
        ("self-signed and trusted", vec![own.clone()], &trusted, dns),
        (
            "signed by a leaf",
            vec![signed_by_leaf, leaf_as_authority],
            &trust,
            Refused("certificate_invalid"),
        ),
        ("five deep", deep(5), &trust, dns),
        ("twenty deep", deep(20), &trust, Refused("certificate_too_much")),
        (
            "two thousand names",
            vec![root.sign(Leaf::named("x").dns(&names))],
            &trust,
            dns,
        ),
        (
            "ten megabytes",
            vec![huge.clone()],
            &trust,
            Refused("certificate_too_much"),
        ),
        (
            "ten megabytes behind a good leaf",
            vec![root.sign(good()), huge],
            &trust,
            Refused("certificate_too_much"),
        ),
    ];
    for (what, shown, trust, expected) in cases {
        assert_eq!(
            verdicts(&shown, trust, "im.example", Usage::Server),
            (expected, expected),
            "{what}"
        );
    }
}
