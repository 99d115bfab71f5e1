//! TLS contexts: `[tls.NAME]`, their files, and who names them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rustls_pki_types::UnixTime;

use super::findings::{Findings, key};
use crate::config::load::nearest;
use crate::config::schema::{Document, Eku, Identity, PeerCertificate as Shown, Tls, TlsVersion as Version};
use crate::net::settings::{
    CertificateFiles, CipherSuite, ExtendedKeyUsage, IdentityRule, Listener, PeerCertificate, Side,
    TlsContext, TlsName, TlsVersion, TrustSource,
};
use crate::pki::{self, Contexts, Own};
use crate::route::{Local, Protocol, Role};

/// All contexts that can be used.
pub(super) fn contexts(
    document: &Document,
    findings: &mut Findings<'_, '_>,
) -> (BTreeMap<TlsName, TlsContext>, Contexts) {
    let mut contexts = BTreeMap::new();
    let mut files = Contexts::default();
    for (name, tls) in &document.tls {
        let context = context(name, tls, findings);
        // One at a time, so that each fault can be shown with its table.
        let alone = BTreeMap::from([(TlsName::new(name), context)]);
        match Contexts::load(&alone) {
            _ if tls.certificates.is_empty() => {}
            Ok(loaded) => {
                let own = loaded.iter().flat_map(|(_, context)| context.own());
                for doubt in own.filter_map(|own| own.doubt(UnixTime::now())) {
                    findings.warning(key!["tls", name], &doubt);
                }
                files.extend(loaded);
            }
            Err(problems) => {
                for problem in problems {
                    // The place says it already.
                    let whole = problem.to_string();
                    let rest = whole.strip_prefix(&format!("[tls.{name}] "));
                    findings.error(key!["tls", name], rest.unwrap_or(&whole));
                }
            }
        }
        contexts.extend(alone);
    }
    (contexts, files)
}

/// Warns of local domains that no certificate of an outside listener names: a peer that connects looks for them.
pub(super) fn find_unnamed(
    (listeners, locals): (&[Listener], &[Local]),
    files: &Contexts,
    findings: &mut Findings<'_, '_>,
) {
    let mut said = BTreeSet::new();
    for listener in listeners.iter().filter(|listener| listener.side == Side::Outside) {
        let Some((name, context)) = listener
            .tls
            .as_ref()
            .and_then(|name| Some((name, files.get(name)?)))
        else {
            continue;
        };
        let by = listener.protocol;
        let names = |domain| context.own().iter().any(|own| own.names(domain, by));
        // From SIP only users can be reached.
        let unnamed = locals
            .iter()
            .filter(|local| by == Protocol::Xmpp || local.role == Role::User)
            .map(|local| &local.domain)
            .filter(|domain| !names(domain));
        for domain in unnamed {
            if said.insert((name, by, domain)) {
                let named: Vec<_> = context.own().iter().flat_map(Own::all_names).collect();
                findings.warning(
                    key!["tls", name],
                    &format!(
                        "no certificate names {domain} for {by}: peers that look for it turn us away; it names {}",
                        named.join(", ")
                    ),
                );
            }
        }
    }
}

/// A context that another table names. A name that is not there is an error.
pub(super) fn name(
    path: &[String],
    given: Option<&str>,
    known: &BTreeMap<TlsName, TlsContext>,
    document: &Document,
    findings: &mut Findings<'_, '_>,
) -> Option<TlsName> {
    let given = given?;
    let name = TlsName::new(given);
    if known.contains_key(&name) {
        return Some(name);
    }
    let names: Vec<&str> = document.tls.keys().map(String::as_str).collect();
    let help = match nearest(given, &names) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if names.is_empty() => "there is no [tls.NAME] table in the file".to_owned(),
        None => format!("the contexts are: {}", names.join(", ")),
    };
    findings.error_with_help(path, &format!("there is no [tls.{given}]"), &help);
    None
}

/// Warns of contexts that nothing names.
pub(super) fn find_unused(document: &Document, findings: &mut Findings<'_, '_>) {
    let named: Vec<&String> = document
        .listen
        .iter()
        .filter_map(|listen| listen.tls.as_ref())
        .chain(document.local.iter().filter_map(|local| local.tls.as_ref()))
        .chain(
            document
                .federate
                .iter()
                .filter_map(|federate| federate.tls.as_ref()),
        )
        .collect();
    for name in document.tls.keys().filter(|name| !named.contains(name)) {
        findings.warning(key!["tls", name], "no listener and no domain uses this context");
    }
}

/// Warns of pins that several domains share: whoever holds one of the keys can pass for each of them.
pub(super) fn warn_of_shared_pins(document: &Document, findings: &mut Findings<'_, '_>) {
    for (name, tls) in &document.tls {
        let sharers = document
            .federate
            .iter()
            .filter(|federate| federate.tls.as_ref() == Some(name))
            .count();
        if tls.identity == Identity::Pinned && tls.pins.len() > 1 && sharers > 1 {
            findings.warning(
                key!["tls", name, "pins"],
                &format!(
                    "{sharers} foreign domains share these pins, and the owner of each key can pass for all of them; give each a context of its own"
                ),
            );
        }
    }
}

fn context(name: &str, tls: &Tls, findings: &mut Findings<'_, '_>) -> TlsContext {
    if tls.certificates.is_empty() {
        findings.error_with_help(
            key!["tls", name],
            "there is no certificate in it",
            "add certificates = [{ chain = \"/path/chain.pem\", key = \"/path/key.pem\" }]",
        );
    }
    let is_pinned = tls.identity == Identity::Pinned;
    if tls.trust.is_empty() && tls.peer_certificate != Shown::Off && !is_pinned {
        findings.error_with_help(
            key!["tls", name, "trust"],
            "nobody is trusted, so that every peer's certificate is refused",
            "add \"system\", files or folders, or write identity = \"pinned\" with `pins`",
        );
    }
    if is_pinned && tls.pins.is_empty() {
        findings.error_with_help(
            key!["tls", name, "identity"],
            "identity is \"pinned\", and there are no `pins`",
            "add pins = [\"...\"], the SHA-256 of each peer's public key in hexadecimal digits",
        );
    }
    if !is_pinned && !tls.pins.is_empty() {
        findings.warning(
            key!["tls", name, "pins"],
            "`pins` has no effect unless identity is \"pinned\"",
        );
    }
    if !tls.peer_subjects.is_empty() && tls.peer_certificate != Shown::Required {
        findings.error_with_help(
            key!["tls", name, "peer_subjects"],
            "peers without a certificate have no name that could be looked for here",
            "write peer_certificate = \"required\", or take `peer_subjects` away",
        );
    }
    let suites = suites(name, tls, findings);
    let pins = tls.pins.iter().enumerate().filter_map(|(at, text)| {
        let pin = fingerprint(text);
        if pin.is_none() {
            findings.error(
                key!["tls", name, "pins", at],
                "a pin is the SHA-256 of a public key: 64 hexadecimal digits, with colons or without",
            );
        }
        pin
    });
    TlsContext {
        pins: pins.collect(),
        certificates: tls
            .certificates
            .iter()
            .map(|files| CertificateFiles {
                chain: PathBuf::from(&files.chain),
                key: PathBuf::from(&files.key),
            })
            .collect(),
        trust: tls
            .trust
            .iter()
            .map(|source| match source.as_str() {
                "system" => TrustSource::System,
                path => TrustSource::Path(PathBuf::from(path)),
            })
            .collect(),
        minimum: match tls.minimum {
            Version::V1_2 => TlsVersion::V1_2,
            Version::V1_3 => TlsVersion::V1_3,
        },
        suites,
        subjects: tls.peer_subjects.iter().map(|text| text.0.clone()).collect(),
        peer_certificate: match tls.peer_certificate {
            Shown::Required => PeerCertificate::Required,
            Shown::Optional => PeerCertificate::Optional,
            Shown::Off => PeerCertificate::Off,
        },
        identity: match tls.identity {
            Identity::Rfc5922 => IdentityRule::Rfc5922,
            Identity::RouteTarget => IdentityRule::RouteTarget,
            Identity::Pinned => IdentityRule::Pinned,
        },
        eku: match tls.eku {
            Eku::Strict => ExtendedKeyUsage::Strict,
            Eku::ClientOrServer => ExtendedKeyUsage::ClientOrServer,
            Eku::Ignore => ExtendedKeyUsage::Ignore,
        },
        crl: tls.crl.iter().map(PathBuf::from).collect(),
    }
}

/// The suites that are named. One that the library does not have is an error, and so is a choice that no version can use.
fn suites(name: &str, tls: &Tls, findings: &mut Findings<'_, '_>) -> Vec<CipherSuite> {
    let known = pki::known();
    let mut suites = Vec::new();
    for (at, given) in tls.cipher_suites.iter().enumerate() {
        match pki::suite(given) {
            Some(suite) => suites.push(suite),
            None => findings.error_with_help(
                key!["tls", name, "cipher_suites", at],
                &format!("there is no cipher suite {given} here"),
                &format!("the suites are: {}", known.join(", ")),
            ),
        }
    }
    if !suites.is_empty()
        && tls.minimum == Version::V1_3
        && !suites.iter().any(|suite| suite.since == TlsVersion::V1_3)
    {
        findings.error_with_help(
            key!["tls", name, "cipher_suites"],
            "no suite of TLS 1.3 is among them, and minimum is \"1.3\"",
            "add one, such as TLS_AES_128_GCM_SHA256, or write minimum = \"1.2\"",
        );
        suites.clear(); // said once
    }
    suites
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let octets: Vec<u8> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect::<Option<_>>()?;
    octets.try_into().ok()
}
