//! Certificate names: DER of any sort, and certificates whose names a script chooses. What is matched is what was
//! written there and nothing else, and a name with a control character spoils the whole certificate.

use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;

use vestibule::choices::{Choices, DOMAINS};
use vestibule::der;
use vestibule::domain::Domain;
use vestibule::identity::matching::{SipRule, sip, xmpp};
use vestibule::identity::{Eku, Identities, Trust, Usage, chain};

/// A name as it was put into the certificate.
enum Name {
    Dns(Vec<u8>),
    Uri(Vec<u8>),
    XmppAddr(u8, Vec<u8>),
    Srv(u8, Vec<u8>),
}

pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    if choices.seldom(4) {
        read(choices.rest());
        return;
    }
    let mut names = Vec::new();
    while !choices.is_done() && names.len() < 8 {
        let text = text(&mut choices);
        names.push(match choices.next() % 4 {
            0 => Name::Dns(text),
            1 => Name::Uri([b"sip:".as_slice(), &text].concat()),
            2 => Name::XmppAddr(choices.pick(&[0x0c, 0x16, 0x13]), text),
            _ => {
                let service = choices.pick(&["_xmpp-server.", "_XMPP-Server.", "_xmpps-server.", "_sip.", ""]);
                Name::Srv(choices.pick(&[0x16, 0x0c, 0x13]), [service.as_bytes(), &text].concat())
            }
        });
    }
    let alternative: Vec<Vec<u8>> = names
        .iter()
        .map(|name| match name {
            Name::Dns(text) => der::value(0x82, text),
            Name::Uri(text) => der::value(0x86, text),
            Name::XmppAddr(string, text) => der::other_name(der::XMPP_ADDR, *string, text),
            Name::Srv(string, text) => der::other_name(der::SRV_NAME, *string, text),
        })
        .collect();
    let common_name = text(&mut choices);
    let mut extensions = Vec::new();
    if !alternative.is_empty() {
        extensions.push(der::extension(der::SUBJECT_ALTERNATIVE_NAME, &der::sequence(&alternative)));
    }
    let certificate = der::certificate(Some((0x0c, &common_name)), &extensions);
    let identities = read(&certificate);
    let clean = names.iter().all(Name::is_clean);
    let Some(identities) = identities else {
        return;
    };
    assert!(clean, "{:?}", identities.names());
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    let shown = [CertificateDer::from(certificate)];
    // Whoever is trusted himself needs nobody's signature.
    let trust = Trust::new(&shown, &[]).expect("it can be read");
    let verified = chain::verify(&shown, &trust, Usage::Client, Eku::Ignore, now).expect("it is trusted");
    for domain in DOMAINS {
        let domain = Domain::parse(domain).expect("a domain");
        let proves = names.iter().any(|name| name.proves_xmpp(&domain));
        assert_eq!(xmpp(&verified, &domain).is_ok(), proves, "{domain} by {:?}", identities.names());
        if sip(&verified, &domain, SipRule::Rfc5922).is_ok() {
            let named = names.iter().any(|name| name.could_prove_sip(&domain));
            let common = names.is_empty() && domain_of(&common_name).as_ref() == Some(&domain);
            assert!(named || common, "{domain} by {:?}", identities.names());
        }
    }
}

fn read(der: &[u8]) -> Option<Identities> {
    let identities = Identities::from_der(der).ok()?;
    let shown = identities.names().join(" ") + identities.subject() + identities.issuer();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    Some(identities)
}

/// The text of a name: a domain, perhaps with a wildcard, or whatever the script has.
fn text(choices: &mut Choices<'_>) -> Vec<u8> {
    let before: &[u8] = choices.pick(&[b"".as_slice(), b"*.", b"sub.", b"a*.", b"*", b"u@", b"*.*."]);
    match choices.next() % 3 {
        0 => choices.octets().to_vec(),
        1 => [before, choices.domain().as_str().as_bytes()].concat(),
        _ => {
            let mut text = [before, choices.domain().as_str().as_bytes()].concat();
            let at = usize::from(choices.next()) % text.len();
            text[at] = choices.next();
            text
        }
    }
}

fn domain_of(text: &[u8]) -> Option<Domain> {
    std::str::from_utf8(text).ok().and_then(|text| Domain::parse(text).ok())
}

impl Name {
    fn is_clean(&self) -> bool {
        let is_visible = |text: &[u8]| text.iter().all(|octet| (0x20..0x7f).contains(octet));
        match self {
            Self::Dns(text) | Self::Uri(text) => is_visible(text),
            Self::Srv(string, text) => is_visible(text) && matches!(string, 0x16 | 0x0c),
            Self::XmppAddr(string, text) => {
                *string == 0x0c && std::str::from_utf8(text).is_ok_and(|text| !text.chars().any(char::is_control))
            }
        }
    }

    fn proves_xmpp(&self, domain: &Domain) -> bool {
        match self {
            Self::Dns(text) => matches_pattern(text, domain),
            Self::Uri(_) => false,
            Self::XmppAddr(_, text) => domain_of(text).as_ref() == Some(domain),
            Self::Srv(_, text) => {
                let text = String::from_utf8_lossy(text).into_owned();
                ["_xmpp-server.", "_xmpps-server."].iter().any(|service| {
                    text.get(..service.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(service))
                        && matches_pattern(&text.as_bytes()[service.len()..], domain)
                })
            }
        }
    }

    /// RFC 5922 takes no wildcard, and URIs before DNS names; here only what it may take at most.
    fn could_prove_sip(&self, domain: &Domain) -> bool {
        match self {
            Self::Dns(text) => domain_of(text).as_ref() == Some(domain),
            Self::Uri(text) => {
                let text = String::from_utf8_lossy(text).to_lowercase();
                !text.contains('@') && text.contains(domain.as_str())
            }
            Self::XmppAddr(..) | Self::Srv(..) => false,
        }
    }
}

fn matches_pattern(text: &[u8], domain: &Domain) -> bool {
    match text.strip_prefix(b"*.") {
        Some(base) => {
            let rest = domain.as_str().split_once('.').and_then(|(_, rest)| Domain::parse(rest).ok());
            rest.is_some() && domain_of(base) == rest
        }
        None => domain_of(text).as_ref() == Some(domain),
    }
}
