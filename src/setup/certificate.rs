//! The certificate that a new edge begins with, and the request that an authority can sign.

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use time::{Duration, OffsetDateTime};

/// What was made, in PEM.
pub(super) struct Made {
    /// The key, for its owner alone.
    pub(super) key: String,
    /// A certificate that the key has signed itself.
    pub(super) certificate: String,
    /// The request for the same names.
    pub(super) request: String,
}

/// A certificate cannot be made for these names.
#[derive(Debug, thiserror::Error)]
#[error("no certificate can be made for {names}: {why}")]
pub struct CertificateError {
    names: String,
    why: rcgen::Error,
}

/// A new key (ECDSA P-256), and what proves the names by it. Servers and clients both show it: each end of a federation is
/// a client of the other (RFC 5924, RFC 6120 §13.7).
pub(super) fn make(names: &[String], now: OffsetDateTime) -> Result<Made, CertificateError> {
    let failed = |why| CertificateError {
        names: names.join(", "),
        why,
    };
    let key = KeyPair::generate().map_err(failed)?;
    let mut parameters = CertificateParams::default();
    for name in names {
        let name = Ia5String::try_from(name.as_str()).map_err(failed)?;
        parameters.subject_alt_names.push(SanType::DnsName(name));
    }
    if let Some(first) = names.first() {
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters
            .distinguished_name
            .push(DnType::CommonName, first.as_str());
    }
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    // The clocks of others may be behind.
    parameters.not_before = now - Duration::DAY;
    parameters.not_after = now + LIFE;
    let request = parameters
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(failed)?;
    let certificate = parameters.self_signed(&key).map_err(failed)?.pem();
    Ok(Made {
        key: key.serialize_pem(),
        certificate,
        request,
    })
}

/// Who pins a key has it for this long.
const LIFE: Duration = Duration::days(730);
