//! What one certificate says of its holder: names, uses, validity and fingerprints.
//!
//! It is read, not believed: [`super::chain`] says whether it can be. Names that can identify nobody here (a bad DNS name,
//! an e-mail address) are left out; names that are no text at all make the whole certificate bad, because two readers
//! could see different names in them.
//!
//! RFC 5280 §4.2.1.6 (subjectAltName), §4.2.1.12 (extended key usage); RFC 6120 §13.7.1.4 (XmppAddr); RFC 4985 §2.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aws_lc_rs::digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::{Any, Class, FromDer, Tag};
use x509_parser::extensions::GeneralName;

use crate::domain::Domain;
use crate::sip;

/// The SHA-256 of something.
pub type Fingerprint = [u8; 32];

/// What one certificate says of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identities {
    pub(super) dns: Vec<NamePattern>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) srv: Vec<SrvId>,
    pub(super) xmpp: Vec<Domain>,
    pub(super) sip: Vec<Domain>,
    pub(super) sip_uri: Presence,
    pub(super) alternative_names: Presence,
    pub(super) common_names: Vec<Domain>,
    pub(super) usages: Usages,
    authority: Presence,
    subject: String,
    issuer: String,
    not_before: i64,
    not_after: i64,
    key: Fingerprint,
    certificate: Fingerprint,
}

/// Why a certificate is refused before it is looked at closely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// It is not DER of a certificate, or something follows it.
    #[error("the certificate is malformed")]
    Malformed,
    /// An extension is malformed, or stands twice.
    #[error("an extension of the certificate is malformed or stands twice")]
    Extension,
    /// A name holds NUL, a control character, or octets that are not its type's characters.
    #[error("a {0} of the certificate holds characters that no name has")]
    Name(&'static str),
}

/// A DNS name of a certificate, which may have a wildcard for its left-most label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NamePattern {
    Exact(Domain),
    /// One label, and then this.
    OneLabelAnd(Domain),
}

/// An SRVName: a service and a domain, as `_xmpp-server.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SrvId {
    /// Lower case, with its underscore.
    pub(super) service: String,
    pub(super) name: NamePattern,
}

/// Whether something stands in the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Present,
    Absent,
}

/// The extended key usages, in words; `None` where the certificate does not restrict itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Usages(pub(super) Option<Vec<String>>);

impl Identities {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`BadCertificate`].
    pub fn from_der(der: &[u8]) -> Result<Self, BadCertificate> {
        let (rest, parsed) =
            x509_parser::parse_x509_certificate(der).map_err(|_| BadCertificate::Malformed)?;
        if !rest.is_empty() {
            return Err(BadCertificate::Malformed);
        }
        let mut identities = Self {
            dns: Vec::new(),
            addresses: Vec::new(),
            srv: Vec::new(),
            xmpp: Vec::new(),
            sip: Vec::new(),
            sip_uri: Presence::Absent,
            alternative_names: Presence::Absent,
            common_names: common_names(&parsed)?,
            usages: usages(&parsed)?,
            authority: authority(&parsed)?,
            subject: printable(&parsed.subject().to_string()),
            issuer: printable(&parsed.issuer().to_string()),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            key: sha256(parsed.public_key().raw),
            certificate: sha256(der),
        };
        let alternative = parsed
            .subject_alternative_name()
            .map_err(|_| BadCertificate::Extension)?;
        if let Some(extension) = alternative {
            identities.alternative_names = Presence::Present;
            for name in &extension.value.general_names {
                identities.add(name)?;
            }
        }
        Ok(identities)
    }

    /// The subject, for people.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer, for people.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The first second of its validity, since 1970.
    #[must_use]
    pub const fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The last second of its validity, since 1970.
    #[must_use]
    pub const fn not_after(&self) -> i64 {
        self.not_after
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER): what is pinned.
    #[must_use]
    pub const fn key_fingerprint(&self) -> &Fingerprint {
        &self.key
    }

    /// SHA-256 of the certificate.
    #[must_use]
    pub const fn certificate_fingerprint(&self) -> &Fingerprint {
        &self.certificate
    }

    /// Whether it says that it may sign others (basicConstraints CA).
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.authority == Presence::Present
    }

    /// All names that could identify its holder, for people.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.xmpp.iter().map(|name| format!("xmpp:{name}")).collect();
        names.extend(self.srv.iter().map(|id| format!("{}.{}", id.service, id.name)));
        names.extend(self.sip.iter().map(|name| format!("sip:{name}")));
        names.extend(self.dns.iter().map(NamePattern::to_string));
        names.extend(self.addresses.iter().map(IpAddr::to_string));
        if self.alternative_names == Presence::Absent {
            names.extend(self.common_names.iter().map(|name| format!("CN={name}")));
        }
        names
    }

    fn add(&mut self, name: &GeneralName<'_>) -> Result<(), BadCertificate> {
        match name {
            GeneralName::DNSName(text) => self.dns.extend(NamePattern::parse(clean(text, "DNS name")?)),
            GeneralName::URI(text) => self.add_uri(clean(text, "URI")?),
            GeneralName::IPAddress(octets) => {
                let v4 = <[u8; 4]>::try_from(*octets).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
                let v6 = <[u8; 16]>::try_from(*octets).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
                self.addresses
                    .push(v4.or(v6).map_err(|_| BadCertificate::Name("IP address"))?);
            }
            GeneralName::OtherName(kind, value) => match kind.to_id_string().as_str() {
                XMPP_ADDR => self.add_xmpp(value)?,
                SRV_NAME => self.add_srv(value)?,
                _ => {}
            },
            GeneralName::RFC822Name(text) => {
                clean(text, "e-mail address")?;
            }
            GeneralName::Invalid(..) => return Err(BadCertificate::Extension),
            GeneralName::DirectoryName(_)
            | GeneralName::X400Address(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::RegisteredID(_) => {}
        }
        Ok(())
    }

    //= rfc5922#7.1
    //# If the scheme of the URI value is "sip", and there is no userinfo component in the URI (there is no '@'), then
    //# the implementation MUST accept the hostpart as a SIP domain identity.
    fn add_uri(&mut self, text: &str) {
        let is_sip = text
            .split_once(':')
            .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("sip"));
        if !is_sip || text.contains('@') {
            return;
        }
        // One that names no domain still is a SIP identity: it keeps the DNS names from being taken for one.
        self.sip_uri = Presence::Present;
        if let Ok(sip::Uri::Sip(uri)) = sip::Uri::parse(text)
            && let sip::Host::Name(host) = uri.host()
        {
            self.sip.extend(Domain::parse(host.as_str()));
        }
    }

    fn add_xmpp(&mut self, value: &[u8]) -> Result<(), BadCertificate> {
        let text = tagged_text(value, &[Tag::Utf8String]).ok_or(BadCertificate::Name("XmppAddr"))?;
        if text.chars().any(char::is_control) {
            return Err(BadCertificate::Name("XmppAddr"));
        }
        // One with a user or a resource is no server's.
        self.xmpp.extend(Domain::parse(text));
        Ok(())
    }

    fn add_srv(&mut self, value: &[u8]) -> Result<(), BadCertificate> {
        // RFC 4985 says IA5String; some authorities write UTF8String.
        let text = tagged_text(value, &[Tag::Ia5String, Tag::Utf8String])
            .ok_or(BadCertificate::Name("SRVName"))
            .and_then(|text| clean(text, "SRVName"))?;
        if let Some((service, name)) = text.split_once('.')
            && service.starts_with('_')
        {
            self.srv.extend(NamePattern::parse(name).map(|name| SrvId {
                service: service.to_ascii_lowercase(),
                name,
            }));
        }
        Ok(())
    }
}

impl NamePattern {
    //= rfc9525#6.3
    //# The wildcard character appears only as the complete content of the left-most label.
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(base) => Domain::parse(base).ok().map(Self::OneLabelAnd),
            None => Domain::parse(text).ok().map(Self::Exact),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => write!(f, "{name}"),
            Self::OneLabelAnd(base) => write!(f, "*.{base}"),
        }
    }
}

fn common_names(certificate: &X509Certificate<'_>) -> Result<Vec<Domain>, BadCertificate> {
    let mut names = Vec::new();
    for attribute in certificate.subject().iter_common_name() {
        let octets = attribute.as_slice();
        if octets.iter().any(|octet| *octet < b' ' || *octet == 0x7f)
            && is_octet_string(attribute.attr_value())
        {
            return Err(BadCertificate::Name("common name"));
        }
        // An address or a person's name is no domain; neither is anything outside ASCII.
        if let Ok(text) = attribute.as_str()
            && text.is_ascii()
        {
            names.extend(Domain::parse(text));
        }
    }
    Ok(names)
}

/// BMPString and UniversalString have NUL octets of their own; they are never taken for a domain.
fn is_octet_string(value: &Any<'_>) -> bool {
    !matches!(value.tag(), Tag::BmpString | Tag::UniversalString)
}

fn usages(certificate: &X509Certificate<'_>) -> Result<Usages, BadCertificate> {
    let extension = certificate
        .extended_key_usage()
        .map_err(|_| BadCertificate::Extension)?;
    let words = extension.map(|extension| {
        let usage = extension.value;
        let mut words: Vec<_> = [
            (usage.any, "any"),
            (usage.server_auth, "server"),
            (usage.client_auth, "client"),
            (usage.code_signing, "code signing"),
            (usage.email_protection, "e-mail"),
            (usage.time_stamping, "time stamping"),
            (usage.ocsp_signing, "OCSP signing"),
        ]
        .into_iter()
        .filter(|(stands, _)| *stands)
        .map(|(_, word)| word.to_owned())
        .collect();
        words.extend(usage.other.iter().map(|kind| kind.to_id_string()));
        words
    });
    Ok(Usages(words))
}

fn authority(certificate: &X509Certificate<'_>) -> Result<Presence, BadCertificate> {
    let constraints = certificate
        .basic_constraints()
        .map_err(|_| BadCertificate::Extension)?;
    Ok(match constraints {
        Some(extension) if extension.value.ca => Presence::Present,
        Some(_) | None => Presence::Absent,
    })
}

/// The text of a type that has only visible ASCII: all but otherName.
fn clean<'t>(text: &'t str, kind: &'static str) -> Result<&'t str, BadCertificate> {
    if text.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
        Ok(text)
    } else {
        Err(BadCertificate::Name(kind))
    }
}

/// The string in the `[0] EXPLICIT` of an otherName, where it is of one of these types and nothing follows it.
fn tagged_text<'d>(value: &'d [u8], allowed: &[Tag]) -> Option<&'d str> {
    let (rest, outer) = Any::from_der(value).ok()?;
    let is_explicit = outer.class() == Class::ContextSpecific && outer.tag().0 == 0;
    if !rest.is_empty() || !is_explicit {
        return None;
    }
    let (rest, inner) = Any::from_der(outer.data).ok()?;
    let is_string = inner.class() == Class::Universal && allowed.contains(&inner.tag());
    if !rest.is_empty() || !is_string {
        return None;
    }
    std::str::from_utf8(inner.data).ok()
}

/// A distinguished name as it may stand in a log: no control characters, and not endless.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_SHOWN)
        .collect()
}

fn sha256(octets: &[u8]) -> Fingerprint {
    let mut fingerprint = [0; 32];
    for (to, from) in fingerprint
        .iter_mut()
        .zip(digest::digest(&digest::SHA256, octets).as_ref())
    {
        *to = *from;
    }
    fingerprint
}

/// id-on-xmppAddr (RFC 6120 §13.7.1.4).
const XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";
/// id-on-dnsSRV (RFC 4985 §2).
const SRV_NAME: &str = "1.3.6.1.5.5.7.8.7";
/// Characters of a distinguished name that are shown.
const MAX_SHOWN: usize = 256;
