//! RFC 7247: the addresses of §6.4 and §6.5, and the examples of XEP-0106 that §6.2 builds on.

#![allow(clippy::unwrap_used, reason = "tests, and what only tests use")]

use vestibule::interwork::address::{AddressError, Sips, to_jid, to_uri};
use vestibule::interwork::escape::{escape, unescape};
use vestibule::sip::{Scheme, Uri};
use vestibule::xmpp::Jid;

fn s2x(text: &str) -> Result<String, AddressError> {
    to_jid(&Uri::parse(text).unwrap(), Sips::Refuse).map(|jid| jid.to_string())
}

fn x2s(text: &str) -> Result<String, AddressError> {
    to_uri(&Jid::parse(text).unwrap(), Scheme::Sip).map(|uri| uri.to_string())
}

#[test]
fn section_6_4_sip_to_xmpp() {
    for (sip, xmpp) in [
        ("sip:f%C3%BC@sip.example", "f\u{fc}@sip.example"),
        ("sip:o'malley@sip.example", r"o\27malley@sip.example"),
        ("sip:foo@sip.example;gr=bar", "foo@sip.example/bar"),
    ] {
        assert_eq!(s2x(sip).as_deref(), Ok(xmpp));
        assert_eq!(x2s(xmpp).as_deref(), Ok(sip), "and back");
    }
}

#[test]
fn section_6_5_xmpp_to_sip() {
    for (xmpp, sip) in [
        (r"m\26m@xmpp.example", "sip:m&m@xmpp.example"),
        ("tsch\u{fc}ss@xmpp.example", "sip:tsch%C3%BCss@xmpp.example"),
        ("baz@xmpp.example/qux", "sip:baz@xmpp.example;gr=qux"),
    ] {
        assert_eq!(x2s(xmpp).as_deref(), Ok(sip));
        assert_eq!(s2x(sip).as_deref(), Ok(xmpp), "and back");
    }
}

/// §6.2, table 1: each character that a SIP user part takes as it is, and each that it must escape.
#[test]
fn section_6_2_table_1() {
    let in_sip = |c: char| "!$&'()*+,-./;=?_~".contains(c);
    let in_jid = |c: char| "!#$%()*+,-.;=?[\\]^_`{|}~".contains(c);
    for c in (b'!'..=b'~')
        .map(char::from)
        .filter(|c| !c.is_ascii_alphanumeric())
    {
        let code = u32::from(c);
        let user = if in_sip(c) {
            c.to_string()
        } else {
            format!("%{code:02X}")
        };
        let local = if in_jid(c) {
            c.to_string()
        } else {
            format!("\\{code:02x}")
        };
        let (sip, xmpp) = (format!("sip:a{user}z@d.example"), format!("a{local}z@d.example"));
        assert_eq!(s2x(&sip).as_deref(), Ok(xmpp.as_str()));
        assert_eq!(x2s(&xmpp).as_deref(), Ok(sip.as_str()));
    }
}

#[test]
fn section_6_3_temporary_gruus_are_not_mapped() {
    assert_eq!(
        s2x("sip:asd887f9dfkk76690@example.com;gr").as_deref(),
        Ok("asd887f9dfkk76690@example.com")
    );
}

#[test]
fn section_8_sips_is_not_translated() {
    assert_eq!(s2x("sips:juliet@example.com"), Err(AddressError::Sips));
}

/// XEP-0106 §5.1: user input and escaped localpart. Its examples 9 to 11 escape a backslash that starts no sequence,
/// against its own rule; they are read like the others, but escaping follows the rule.
#[test]
fn xep_0106_section_5_1_jid_examples() {
    for (input, escaped) in [
        ("space cadet", r"space\20cadet"),
        ("call me \"ishmael\"", r"call\20me\20\22ishmael\22"),
        ("at&t guy", r"at\26t\20guy"),
        ("d'artagnan", r"d\27artagnan"),
        ("/.fanboy", r"\2f.fanboy"),
        ("::foo::", r"\3a\3afoo\3a\3a"),
        ("<foo>", r"\3cfoo\3e"),
        ("user@host", r"user\40host"),
        (r"c:\5commas", r"c\3a\5c5commas"),
    ] {
        assert_eq!(escape(input), escaped);
        assert_eq!(unescape(escaped), input);
    }
    for (input, escaped) in [
        (r"c:\net", r"c\3a\5cnet"),
        (r"c:\cool stuff", r"c\3a\5ccool\20stuff"),
    ] {
        assert_eq!(unescape(escaped), input);
        assert_eq!(unescape(&escape(input)), input);
    }
}

/// XEP-0106 §5.3 and §5.4: the same mailbox in four schemes.
#[test]
fn xep_0106_section_5_3_uris() {
    let jid = r"here\27s_a_wild_\26_\2fcr%zy\2f_address@example.com";
    for scheme in ["sip", "im", "pres"] {
        let uri = format!("{scheme}:here%27s_a_wild_%26_%2Fcr%25zy%2F_address@example.com");
        assert_eq!(s2x(&uri).as_deref(), Ok(jid));
    }
    // We escape only what SIP needs escaped; the two spellings are one URI.
    assert_eq!(
        x2s(jid).as_deref(),
        Ok("sip:here's_a_wild_&_/cr%25zy/_address@example.com")
    );
}
