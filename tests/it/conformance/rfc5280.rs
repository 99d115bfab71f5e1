//! RFC 5280 §6 and the policy around it: whether a certificate can be believed, and what the operator is told.

use rcgen::ExtendedKeyUsagePurpose as Purpose;
use rustls::pki_types::CertificateDer;
use vestibule::identity::{ChainError, Eku, Identities, Trust, Usage, chain};
use vestibule::refusal::Refuse;

use super::rfc9525_pki::{Authority, Leaf, now};

fn verify(shown: &[CertificateDer<'_>], trust: &Trust) -> Result<(), ChainError> {
    chain::verify(shown, trust, Usage::Server, Eku::ClientOrServer, now()).map(|_| ())
}

fn leaf() -> Leaf {
    Leaf::named("im.example").dns(&["im.example"])
}

#[test]
fn a_chain_is_followed_to_an_anchor_in_any_order_and_needs_every_link() {
    let root = Authority::root("Root");
    let first = root.intermediate("First");
    let second = first.intermediate("Second");
    let shown = second.sign(leaf());
    let trust = root.trust();
    let stray = Authority::root("Stray").der();
    assert_eq!(
        verify(&[shown.clone(), second.der(), first.der()], &trust),
        Ok(())
    );
    assert_eq!(
        verify(&[shown.clone(), first.der(), second.der()], &trust),
        Ok(())
    );
    assert_eq!(
        verify(
            &[shown.clone(), stray, second.der(), first.der(), root.der()],
            &trust
        ),
        Ok(())
    );
    let missing = verify(&[shown.clone(), second.der()], &trust).unwrap_err();
    assert_eq!(
        missing,
        ChainError::UnknownIssuer {
            issuer: "CN=First".to_owned()
        }
    );
    let missing = verify(&[shown], &trust).unwrap_err();
    assert_eq!(
        missing,
        ChainError::UnknownIssuer {
            issuer: "CN=Second".to_owned()
        }
    );
}

#[test]
fn what_is_wrong_is_said_in_plain_words() {
    let root = Authority::root("Root");
    let trust = root.trust();
    let other = Authority::root("Other CA");
    let same_name = Authority::root("Root");
    let gone = root.expired_intermediate("Gone CA");
    let cases: Vec<(Vec<CertificateDer<'static>>, &str, &str)> = vec![
        (vec![], "the peer showed no certificate", "certificate_none"),
        (
            vec![vec![0x30, 0x00].into()],
            "the certificate is malformed",
            "certificate_bad",
        ),
        (
            vec![root.sign(leaf().years(2020, 2026))],
            "the certificate of CN=im.example expired 165 days ago",
            "certificate_expired",
        ),
        (
            vec![root.sign(leaf().years(2027, 2028))],
            "the certificate of CN=im.example is not valid yet; its time begins in 200 days",
            "certificate_not_yet_valid",
        ),
        (
            vec![gone.sign(leaf()), gone.der()],
            "the certificate of CN=Gone CA expired 14 days ago",
            "certificate_expired",
        ),
        (
            vec![other.sign(leaf())],
            "unknown issuer \"CN=Other CA\": it is not among the trusted certificates, and the peer sent no way from it \
             to one",
            "certificate_unknown_issuer",
        ),
        (
            vec![leaf().self_signed()],
            "unknown issuer \"CN=im.example\": it is not among the trusted certificates, and the peer sent no way from \
             it to one",
            "certificate_unknown_issuer",
        ),
        (
            vec![root.sign(leaf().usage(Purpose::CodeSigning))],
            "wrong usage: the certificate is for code signing, and client or server is needed",
            "certificate_usage",
        ),
        (
            vec![root.sign(leaf().authority())],
            "the certificate of CN=im.example is an authority's and cannot stand for a server",
            "certificate_authority",
        ),
        (
            vec![same_name.sign(leaf())],
            "a signature of the chain of CN=im.example is wrong or weak (InvalidSignatureForPublicKey)",
            "certificate_signature",
        ),
    ];
    for (shown, text, class) in cases {
        let error = verify(&shown, &trust).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.class()), (text, class));
        assert_eq!(error.peer_text(), "The certificate is not accepted");
    }
}

#[test]
fn extended_key_usage_follows_the_policy() {
    let root = Authority::root("Root");
    let trust = root.trust();
    let of = |purposes: &[Purpose]| {
        let leaf = purposes.iter().cloned().fold(leaf(), Leaf::usage);
        [root.sign(leaf)]
    };
    let sip_domain = Purpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 20]);
    // Which of (client, server) x (strict, client or server, ignore) accept it.
    let table = [
        ("none", of(&[]), [true, true, true, true, true, true]),
        (
            "server",
            of(&[Purpose::ServerAuth]),
            [false, true, true, true, true, true],
        ),
        (
            "client",
            of(&[Purpose::ClientAuth]),
            [true, true, true, false, true, true],
        ),
        (
            "both",
            of(&[Purpose::ServerAuth, Purpose::ClientAuth]),
            [true, true, true, true, true, true],
        ),
        ("any", of(&[Purpose::Any]), [true, true, true, true, true, true]),
        (
            "sip domain",
            of(&[sip_domain]),
            [true, true, true, true, true, true],
        ),
        (
            "e-mail",
            of(&[Purpose::EmailProtection]),
            [false, false, true, false, false, true],
        ),
    ];
    for (what, shown, expected) in table {
        let mut expected = expected.into_iter();
        for usage in [Usage::Client, Usage::Server] {
            for eku in [Eku::Strict, Eku::ClientOrServer, Eku::Ignore] {
                // The same, whether by a chain or because the certificate itself is trusted.
                let itself = Trust::new(&shown, &[]).unwrap();
                let chained = chain::verify(&shown, &trust, usage, eku, now()).is_ok();
                let trusted = chain::verify(&shown, &itself, usage, eku, now()).is_ok();
                let accepted = expected.next().unwrap();
                assert_eq!(
                    (chained, trusted),
                    (accepted, accepted),
                    "{what}: {usage:?} {eku:?}"
                );
            }
        }
    }
}

#[test]
fn a_self_signed_certificate_is_trusted_for_itself_and_cannot_vouch_for_another() {
    let (own, forged) = leaf().sign_as_leaf(Leaf::named("bank.example").dns(&["bank.example"]));
    let trust = Trust::new(std::slice::from_ref(&own), &[]).unwrap();
    assert_eq!(trust.len(), 1);
    assert_eq!(verify(std::slice::from_ref(&own), &trust), Ok(()));
    let alone = verify(std::slice::from_ref(&forged), &trust).unwrap_err();
    assert!(matches!(alone, ChainError::UnknownIssuer { .. }), "{alone}");
    let with_issuer = verify(&[forged, own], &trust).unwrap_err();
    assert!(matches!(with_issuer, ChainError::Invalid { .. }), "{with_issuer}");
    // Many self-made certificates call themselves authorities: they still stand for themselves.
    let authority = leaf().authority().self_signed();
    let trust_authority = Trust::new(std::slice::from_ref(&authority), &[]).unwrap();
    assert_eq!(verify(&[authority], &trust_authority), Ok(()));
    // Its time still counts.
    let old = leaf().years(2020, 2021).self_signed();
    let trust = Trust::new(std::slice::from_ref(&old), &[]).unwrap();
    assert!(matches!(verify(&[old], &trust), Err(ChainError::Expired { .. })));
    // One of the same name with another key is somebody else.
    let twin = leaf().self_signed();
    assert!(verify(&[twin], &Trust::new(&[leaf().self_signed()], &[]).unwrap()).is_err());
}

#[test]
fn a_pin_is_a_key_and_needs_no_issuer_but_its_time() {
    let shown = [leaf().self_signed()];
    let pin = *Identities::from_der(&shown[0]).unwrap().key_fingerprint();
    assert!(chain::verify_pinned(&shown, &[[0; 32], pin], now()).is_ok());
    assert!(matches!(
        chain::verify_pinned(&shown, &[[0; 32]], now()),
        Err(ChainError::NotPinned { .. })
    ));
    assert!(matches!(
        chain::verify_pinned(&shown, &[], now()),
        Err(ChainError::NotPinned { .. })
    ));
    assert_eq!(
        chain::verify_pinned(&[], &[pin], now()).unwrap_err(),
        ChainError::None
    );
    let old = [leaf().years(2020, 2021).self_signed()];
    let pin = *Identities::from_der(&old[0]).unwrap().key_fingerprint();
    assert!(matches!(
        chain::verify_pinned(&old, &[pin], now()),
        Err(ChainError::Expired { .. })
    ));
}

#[test]
fn a_revoked_certificate_is_refused_and_one_that_no_list_speaks_of_is_not() {
    let root = Authority::root("Root");
    let other = Authority::root("Other");
    let trust = Trust::new(&[root.der(), other.der()], &[root.revoke(7)]).unwrap();
    let revoked = verify(&[root.sign(leaf().serial(7))], &trust).unwrap_err();
    assert_eq!(
        revoked.to_string(),
        "a certificate of the chain of CN=im.example is revoked"
    );
    assert_eq!(verify(&[root.sign(leaf().serial(8))], &trust), Ok(()));
    assert_eq!(verify(&[other.sign(leaf().serial(7))], &trust), Ok(()));
    // A list signed by somebody else revokes nobody.
    let forged = Trust::new(&[root.der()], &[other.revoke(7)]).unwrap();
    assert_eq!(verify(&[root.sign(leaf().serial(7))], &forged), Ok(()));
}

#[test]
fn bad_trust_is_told_by_its_number() {
    let root = Authority::root("Root");
    let error = Trust::new(&[root.der(), vec![1, 2, 3].into()], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "trusted certificate number 2: the certificate is malformed"
    );
    let error = Trust::new(&[root.der()], &[root.revoke(1), vec![1].into()]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("revocation list number 2 cannot be used"),
        "{error}"
    );
    let shown = [root.sign(leaf())];
    assert!(Trust::nobody().is_empty() && verify(&shown, &Trust::nobody()).is_err());
}

#[test]
fn very_deep_and_very_large_chains_are_refused_before_they_cost_anything() {
    let chain_of = |length: usize| {
        let root = Authority::root("Root");
        let trust = root.trust();
        let mut authority = root;
        let mut shown = Vec::new();
        for number in 1..length {
            let next = authority.intermediate(&format!("A{number}"));
            shown.insert(0, next.der());
            authority = next;
        }
        shown.insert(0, authority.sign(leaf()));
        verify(&shown, &trust)
    };
    assert_eq!(chain_of(5), Ok(()));
    assert!(matches!(chain_of(16), Err(ChainError::Invalid { .. })));
    assert!(matches!(
        chain_of(20),
        Err(ChainError::TooMuch { certificates: 20, .. })
    ));
    let trust = Trust::nobody();
    let large: CertificateDer<'static> = vec![0x30; 10_000_000].into();
    assert!(matches!(
        verify(&[large], &trust),
        Err(ChainError::TooMuch {
            octets: 10_000_000,
            ..
        })
    ));
}
