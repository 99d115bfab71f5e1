use super::*;
use crate::sip::NameAddr;

fn sip(text: &str) -> SipUri {
    match Uri::parse(text) {
        Ok(Uri::Sip(uri)) => uri,
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn sip_uris_come_apart_at_their_only_unescaped_at_sign() {
    for (text, user, host, port) in [
        ("sip:example.com", None, "example.com", None),
        ("SIPS:a@Example.com:5061", Some("a"), "Example.com", Some(5061)),
        (
            "sip:sips%3Auser%40example.com@example.net",
            Some("sips%3Auser%40example.com"),
            "example.net",
            None,
        ),
        (
            "sip:user;par=u%40example.net@example.com",
            Some("user;par=u%40example.net"),
            "example.com",
            None,
        ),
        ("sip:a?b@h", Some("a?b"), "h", None),
        ("sip:null-%00-null@h", Some("null-%00-null"), "h", None),
        ("sip:a:b:5@h", None, "", None),
        (
            "sip:+1-212-555-1212:1234@h;user=phone",
            Some("+1-212-555-1212"),
            "h",
            None,
        ),
        (
            "sip:a@[2001:db8::10]:5070",
            Some("a"),
            "[2001:db8::10]",
            Some(5070),
        ),
        ("sip:[2001:db8::10:5070]", None, "[2001:db8::10:5070]", None),
    ] {
        if host.is_empty() {
            assert_eq!(Uri::parse(text), Err(Flaw::UriCharacter), "{text:?}");
            continue;
        }
        let uri = sip(text);
        assert_eq!((uri.user(), uri.port()), (user, port), "{text:?}");
        assert_eq!(uri.host().to_string(), host, "{text:?}");
    }
    let weird =
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@h";
    let uri = sip(weird);
    assert_eq!(
        uri.user(),
        Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    );
    assert_eq!(uri.to_string(), weird);
}

#[test]
fn what_another_reader_could_take_apart_elsewhere_is_refused() {
    for (text, flaw) in [
        ("", Flaw::Scheme),
        ("a@h", Flaw::Scheme),
        (":a", Flaw::Scheme),
        ("1a:b", Flaw::Scheme),
        ("tel:", Flaw::Scheme),
        ("sip:", Flaw::Host),
        ("sip:@h", Flaw::User),
        ("sip::p@h", Flaw::User),
        ("sip:a@b@h", Flaw::UriCharacter),
        ("sip:<sip:a@h", Flaw::UriCharacter),
        ("sip:a%4@h", Flaw::Escape),
        ("sip:a%@h", Flaw::Escape),
        ("sip:a%zz@h", Flaw::Escape),
        ("sip:a\"b@h", Flaw::UriCharacter),
        ("sip:a b@h", Flaw::UriCharacter),
        ("sip:ä@h", Flaw::UriCharacter),
        ("sip:a@h:", Flaw::Port),
        ("sip:a@h:+5", Flaw::Port),
        ("sip:a@h:0", Flaw::Port),
        ("sip:a@h:99999", Flaw::Port),
        ("sip:2001:db8::10", Flaw::Port),
        ("sip:a@[2001:db8::10", Flaw::Port),
        ("sip:a@h%2ex", Flaw::Host),
        ("sip:a@h;", Flaw::Parameter),
        ("sip:a@h;;lr", Flaw::Parameter),
        ("sip:a@h;x=", Flaw::Parameter),
        ("sip:a@h;=x", Flaw::Parameter),
        ("sip:a@h;lr;LR", Flaw::ParameterTwice),
        ("sip:a@h;x=\"y\"", Flaw::UriCharacter),
        ("sip:a@h;x=y=z", Flaw::UriCharacter),
        ("sip:a@h?", Flaw::Parameter),
        ("sip:a@h?x", Flaw::Parameter),
        ("sip:a@h?=x", Flaw::Parameter),
        ("sip:a@h?x=1&", Flaw::Parameter),
        ("http://a/<b>", Flaw::UriCharacter),
        ("http://a/b#c", Flaw::UriCharacter),
        ("urn:a%4", Flaw::Escape),
    ] {
        assert_eq!(Uri::parse(text), Err(flaw), "{text:?}");
    }
}

#[test]
fn other_schemes_stay_as_they_are() {
    for text in [
        "tel:+1-201;phone-context=x",
        "im:a@example.com",
        "soap.beep://192.0.2.1:3002",
        "isbn:2983792873",
    ] {
        let uri = Uri::parse(text).unwrap();
        assert_eq!(uri.to_string(), text);
        assert!(uri.sip().is_none());
    }
    assert_eq!(Uri::parse("IM:a@b").unwrap().scheme(), "im");
}

#[test]
fn parts_are_escaped_when_they_are_put_in() {
    let host = Host::parse("example.com").unwrap();
    let uri = SipUri::new(Scheme::Sip, host)
        .with_user("a b@c:d\"é%")
        .with_port(5060)
        .with_param("x;y", Some("1=2\r\n"))
        .with_param("lr", None)
        .with_param("lr", Some("on"));
    let text = "sip:a%20b%40c%3Ad%22%C3%A9%25@example.com:5060;x%3By=1%3D2%0D%0A;lr=on";
    assert_eq!(uri.to_string(), text);
    assert_eq!(sip(text), uri);
    assert_eq!(uri.user_text().as_deref(), Some("a b@c:d\"é%"));
    assert_eq!(sip("sip:%FF@h").user_text(), None);
    assert_eq!(sip("sip:%41b@h").user_text().as_deref(), Some("Ab"));
    assert!(uri.clone().with_escaped_user("a@b").is_err());
    assert!(uri.is_loose_router());
    let mut uri = uri;
    uri.params_mut().remove("LR");
    assert_eq!(uri.params().to_string(), ";x%3By=1%3D2%0D%0A");
}

#[test]
fn equivalence_is_that_of_the_rfc() {
    for (a, b, same) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtlanTa.CoM;Transport=tcp",
            true,
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true),
        (
            "sip:carol@chicago.com;newparam=5",
            "sip:carol@chicago.com;security=on",
            true,
        ),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            true,
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            true,
        ),
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
            false,
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
            false,
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
            false,
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
            false,
        ),
        ("sip:a@h", "sips:a@h", false),
        ("sip:a%40@h", "sip:a%41@h", false),
        ("sip:a%2F@h", "sip:a/@h", false),
    ] {
        assert_eq!(sip(a).is_equivalent(&sip(b)), same, "{a} {b}");
        assert_eq!(sip(b).is_equivalent(&sip(a)), same, "{b} {a}");
    }
}

#[test]
fn a_parameter_is_found_under_its_name_however_that_is_escaped() {
    let mut uri = sip("sip:h;%6Cr;M%61DDR=other.example;x=%6Cr");
    assert!(uri.is_loose_router());
    assert_eq!(uri.params().get("maddr"), Some("other.example"));
    assert_eq!(uri.params().get("x"), Some("%6Cr"));
    assert_eq!(uri.params().get("%78"), Some("%6Cr"));
    assert!(!uri.params().contains("l") && !uri.params().contains("lr2"));
    uri.params_mut().set("lr", Some("on"));
    uri.params_mut().remove("maddr");
    assert_eq!(uri.to_string(), "sip:h;%6Cr=on;x=%6Cr");
    for text in [
        "sip:h;lr;%6Cr",
        "sip:h;%6Cr;%6cR",
        "sip:h;transport=tls;tr%41nsport=udp",
    ] {
        assert_eq!(Uri::parse(text), Err(Flaw::ParameterTwice), "{text}");
    }
    // Where `%` is no escape, it is a character like any other.
    let address = NameAddr::parse("<sip:h>;lr;%6Cr").unwrap();
    assert_eq!(address.params().iter().count(), 2);
}
