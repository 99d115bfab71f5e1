#![allow(clippy::arithmetic_side_effects, reason = "tests")]

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::xmpp::jid::Part;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap()
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn s2x(text: &str) -> Result<String, AddressError> {
    to_jid(&uri(text), Sips::Refuse).map(|jid| jid.to_string())
}

fn x2s(text: &str) -> Result<String, AddressError> {
    to_uri(&jid(text), Scheme::Sip).map(|uri| uri.to_string())
}

/// Written, read and written again: what another implementation sees.
fn wire(uri: &SipUri) -> SipUri {
    Uri::parse(&uri.to_string()).unwrap().sip().unwrap().clone()
}

#[test]
fn addresses_map_both_ways() {
    for (sip, xmpp) in [
        ("sip:a@sip.example", "a@sip.example"),
        ("sip:sip.example", "sip.example"),
        // the whole set of XEP-0106
        (
            "sip:a%20%22&'/%3A%3C%3E%40b@sip.example",
            r"a\20\22\26\27\2f\3a\3c\3e\40b@sip.example",
        ),
        ("sip:bjones%40usa@example.com", r"bjones\40usa@example.com"),
        (r"sip:a%5C27b@sip.example", r"a\5c27b@sip.example"),
        (r"sip:a%5Cb@sip.example", r"a\b@sip.example"),
        (r"sip:a%5C5cb@sip.example", r"a\5c5cb@sip.example"),
        (
            "sip:%23%25%5B%5D%5E%60%7B%7C%7D@sip.example",
            "#%[]^`{|}@sip.example",
        ),
        ("sip:!$()*+,-.;=?_~@sip.example", "!$()*+,-.;=?_~@sip.example"),
        ("sip:a@xn--bcher-kva.example", "a@bücher.example"),
        // a resource is percent-encoded, not escaped
        (
            "sip:a@sip.example;gr=b%20c%2Cd%3Be%3Df%3Fg%40h%5Ci%C3%BC",
            r"a@sip.example/b c,d;e=f?g@h\iü",
        ),
        (
            "sip:a@sip.example;gr=urn:uuid:f81d4fae",
            "a@sip.example/urn:uuid:f81d4fae",
        ),
        ("sip:a@sip.example;gr=x/y", "a@sip.example/x/y"),
    ] {
        assert_eq!(s2x(sip).as_deref(), Ok(xmpp));
        assert_eq!(x2s(xmpp).as_deref(), Ok(sip));
    }
}

#[test]
fn what_a_jid_cannot_carry_is_left_behind() {
    for (sip, xmpp) in [
        ("sip:a:secret@sip.example", "a@sip.example"),
        (
            "sip:a@SIP.Example.:5061;transport=tls;maddr=192.0.2.1;lr;method=INVITE?Subject=x",
            "a@sip.example",
        ),
        ("sip:a@sip.example;gr", "a@sip.example"),
        ("sip:Alice@sip.example", "alice@sip.example"),
        ("sip:%61%6c@sip.example", "al@sip.example"),
        (
            "sip:+15551234;phone-context=example.com@gw.example;user=phone",
            "+15551234@gw.example",
        ),
        // without user=phone it is a user part with a semicolon
        ("sip:a;b=c@sip.example", "a;b=c@sip.example"),
        ("im:a%26b@sip.example?subject=x", r"a\26b@sip.example"),
        ("pres:user@example.com", "user@example.com"),
    ] {
        assert_eq!(s2x(sip).as_deref(), Ok(xmpp));
    }
    let phone = uri("sip:+15551234;phone-context=example.com@gw.example;user=phone");
    assert_eq!(
        phone.sip().and_then(phone_context),
        Some("phone-context=example.com")
    );
    assert_eq!(uri("sip:a;b=c@sip.example").sip().and_then(phone_context), None);
}

#[test]
fn what_has_no_counterpart_is_refused_with_its_reason() {
    use AddressError as E;
    for (sip, error, status) in [
        ("tel:+15551234", E::Scheme, 416),
        ("urn:service:sos", E::Scheme, 416),
        ("sips:a@sip.example", E::Sips, 480),
        ("sip:a%FF@sip.example", E::NotUtf8, 400),
        ("sip:a%C3@sip.example", E::NotUtf8, 400),
        ("sip:a@sip.example;gr=%FF", E::NotUtf8, 400),
        ("sip:%20a@sip.example", E::EdgeSpace, 484),
        ("sip:a%20@sip.example", E::EdgeSpace, 484),
        ("sip:%E3%80%80a@sip.example", E::EdgeSpace, 484),
        ("sip:a@192.0.2.1", E::Host, 484),
        ("sip:a@[2001:db8::1]", E::Host, 484),
        ("im:a", E::Host, 484),
        ("im:a@b@[::1]", E::Host, 484),
        (
            "sip:a%00b@sip.example",
            E::Jid(JidError::Prohibited(Part::Local)),
            484,
        ),
        (
            "sip:a%0D%0Ab@sip.example",
            E::Jid(JidError::Prohibited(Part::Local)),
            484,
        ),
        (
            "sip:a%E2%80%AEb@sip.example",
            E::Jid(JidError::Prohibited(Part::Local)),
            484,
        ),
        (
            "sip:a@sip.example;gr=%00",
            E::Jid(JidError::Prohibited(Part::Resource)),
            484,
        ),
    ] {
        let refused = to_jid(&uri(sip), Sips::Refuse).unwrap_err();
        assert_eq!((refused, refused.sip_status()), (error, status), "{sip}");
    }
    for (xmpp, error) in [
        (r"\20a@sip.example", E::EdgeSpace),
        (r"a\20@sip.example", E::EdgeSpace),
        (r"c\3a\5cnet@sip.example", E::IdleEscape),
        (r"a\5c@sip.example", E::IdleEscape),
        ("a@example.1x", E::Host),
    ] {
        assert_eq!(x2s(xmpp), Err(error), "{xmpp}");
        assert_eq!(error.stanza_condition(), "jid-malformed");
    }
}

#[test]
fn sips_is_translated_only_where_the_policy_says_so() {
    let secure = uri("sips:a@sip.example");
    assert_eq!(to_jid(&secure, Sips::Translate), Ok(jid("a@sip.example")));
    assert_eq!(
        to_uri(&jid("a@sip.example"), Scheme::Sips).unwrap().to_string(),
        "sips:a@sip.example"
    );
}

#[test]
fn folding_makes_no_escape_that_was_not_there() {
    // backslash, 2, F: in capitals, in full width, and as the character itself
    for sip in [
        "sip:a%5C2Fb@d.example",
        "sip:a%5C%EF%BC%92%EF%BD%86b@d.example",
        "sip:a%EF%BC%BC2fb@d.example",
    ] {
        assert_eq!(s2x(sip).as_deref(), Ok(r"a\5c2fb@d.example"), "{sip}");
    }
    for sip in [
        "sip:a/b@d.example",
        "sip:a%2fb@d.example",
        "sip:a%EF%BC%8Fb@d.example",
    ] {
        assert_eq!(s2x(sip).as_deref(), Ok(r"a\2fb@d.example"), "{sip}");
    }
}

#[test]
fn a_long_resource_is_written_by_its_digest() {
    let long = "x".repeat(MOST_INSTANCE + 1);
    let digest = instance_digest(&long);
    assert_eq!(digest.len(), 17);
    assert_eq!(
        x2s(&format!("a@d.example/{long}")),
        Ok(format!("sip:a@d.example;gr={digest}"))
    );
    let fits = "x".repeat(MOST_INSTANCE);
    assert_eq!(
        x2s(&format!("a@d.example/{fits}")),
        Ok(format!("sip:a@d.example;gr={fits}"))
    );
    assert_ne!(instance_digest("a"), instance_digest("b"));
    // SHA-256 of nothing begins e3b0c44298fc1c149afb
    assert_eq!(instance_digest(""), "~4oymiquy7qobjgx3");
}

#[test]
fn a_party_keeps_the_spelling_it_was_seen_with() {
    let party = Party::from_uri(
        &uri("sip:Al%69ce:pw@Sip.Example:5070;transport=tcp;gr=x"),
        Sips::Refuse,
    )
    .unwrap();
    assert_eq!(party.jid(), &jid("alice@sip.example/x"));
    assert_eq!(party.uri().to_string(), "sip:Al%69ce@Sip.Example;gr=x");

    let party = Party::from_jid(&jid("alice@sip.example"), Scheme::Sip).unwrap();
    assert_eq!(party.uri().to_string(), "sip:alice@sip.example");
    let seen = uri("sip:ALICE@sip.example");
    let spelled = party.clone().with_spelling(seen.sip().unwrap());
    assert_eq!(spelled.uri().to_string(), "sip:ALICE@sip.example");
    let stranger = uri("sip:mallory@sip.example");
    assert_eq!(party.clone().with_spelling(stranger.sip().unwrap()), party);

    let device = spelled.with_resource(Some("phone")).unwrap();
    assert_eq!(device.uri().to_string(), "sip:ALICE@sip.example;gr=phone");
    assert_eq!(
        device.with_resource(None).unwrap().uri().to_string(),
        "sip:ALICE@sip.example"
    );
}

/// What a SIP user part may stand for: every special character of both protocols, whole escapes, letters of many kinds.
const USER: &str = r#"([ "&'/:<>@\\#%\[\]^`{|}!$()*+,.;=?_~-]|\\2[0267fF]|\\5[cC]|[a-fA-F0-9]|[äßΣςشאあ漢１ａ＼／＆'＠．Ａ]|\PC){1,16}"#;
const RESOURCE: &str = r#"([ "&'/:<>@\\#%\[\]^`{|}!$()*+,.;=?_~-]|[a-fA-F0-9]|[äßΣ漢☎]|\PC){1,16}"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_sip_uri_comes_back_in_its_canonical_form(user in USER, resource in proptest::option::of(RESOURCE)) {
        let host = Host::parse("Sip.Example").unwrap();
        let mut uri = SipUri::new(Scheme::Sip, host).with_user(&user);
        if let Some(resource) = &resource {
            uri = uri.with_param("gr", Some(resource));
        }
        let uri = wire(&uri);
        if let Ok(jid) = to_jid(&Uri::Sip(uri.clone()), Sips::Refuse) {
            // what is sent as a JID is read as the same JID
            prop_assert_eq!(Jid::parse(&jid.to_string()), Ok(jid.clone()));
            let back = wire(&to_uri(&jid, Scheme::Sip).unwrap());
            // the canonical form is stated here on its own: as PRECIS maps the text that the user part stands for
            let canonical = canonical_user(&user);
            prop_assert_eq!(back.user_text().map(Cow::into_owned), Some(canonical));
            prop_assert_eq!(back.host().to_string(), "sip.example");
            prop_assert_eq!(back.params().contains("gr"), resource.is_some());
            // and it is a fixed point
            prop_assert_eq!(to_jid(&Uri::Sip(back.clone()), Sips::Refuse), Ok(jid.clone()));
            prop_assert_eq!(&wire(&to_uri(&jid, Scheme::Sip).unwrap()), &back);
        }
    }

    #[test]
    fn a_jid_comes_back_as_itself(local in r"(\\2[0267f]|\\3[ace]|\\40|\\5c|[\\a-f0-9%#;?=]|[äßΣςشאあ]|\PC){1,16}", resource in proptest::option::of(RESOURCE)) {
        let domain = Domain::parse("xmpp.example").unwrap();
        let Ok(jid) = Jid::new(Some(&local), domain, resource.as_deref()) else { return Ok(()) };
        if let Ok(uri) = to_uri(&jid, Scheme::Sip) {
            let read = Uri::Sip(wire(&uri));
            prop_assert_eq!(to_jid(&read, Sips::Refuse), Ok(jid));
        }
    }

    #[test]
    fn two_jids_never_share_a_sip_address(a in r"(\\2f|\\5c|\\|[2f5c]){1,6}", b in r"(\\2f|\\5c|\\|[2f5c]){1,6}") {
        let uri = |local: &str| to_uri(&jid(&format!("{local}@d.example")), Scheme::Sip);
        if let (Ok(one), Ok(other)) = (uri(&a), uri(&b)) {
            prop_assert_eq!(one == other, a == b);
        }
    }
}

/// The user part as an identity: folded by the same rules as a localpart, piece by piece between the characters that a
/// localpart cannot hold.
fn canonical_user(user: &str) -> String {
    let folded = fold(user);
    let mut out = String::new();
    for piece in folded.split_inclusive([' ', '"', '&', '\'', '/', ':', '<', '>', '@']) {
        let text = piece.trim_end_matches([' ', '"', '&', '\'', '/', ':', '<', '>', '@']);
        if text.is_empty() {
            out.push_str(piece);
            continue;
        }
        // A leading letter lets a piece that begins with a digit or mark pass the rules of direction; it is taken off.
        let local = Jid::new(Some(text), Domain::parse("d.example").unwrap(), None)
            .ok()
            .and_then(|jid| jid.local().map(str::to_owned));
        out.push_str(local.as_deref().unwrap_or(text));
        out.push_str(piece.strip_prefix(text).unwrap_or_default());
    }
    out
}
