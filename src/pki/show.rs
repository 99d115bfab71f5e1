//! Which of our certificates a peer is shown: by the name it asks for, and by the signatures it can check.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::domain::Domain;

/// Our certificates where it is known already which domain of ours is meant.
#[derive(Debug)]
pub(super) struct Meaning {
    certificates: Arc<Certificates>,
    name: Domain,
}

/// Our certificates in the order of the configuration; never empty.
#[derive(Debug)]
pub(super) struct Certificates {
    keys: Vec<Arc<CertifiedKey>>,
}

impl Certificates {
    pub(super) fn new(keys: Vec<Arc<CertifiedKey>>) -> Option<Self> {
        if keys.is_empty() {
            None
        } else {
            Some(Self { keys })
        }
    }

    /// The same, for a handshake in which that domain of ours is meant.
    pub(super) fn meaning(self: &Arc<Self>, name: &Domain) -> Arc<Meaning> {
        Arc::new(Meaning {
            certificates: Arc::clone(self),
            name: name.clone(),
        })
    }

    /// The first that suits name and signatures, else the first that suits the signatures: a peer that asks for no
    /// name, or for one we have no certificate of, sees what it can check and decides for itself.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let suits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let named = |key: &&Arc<CertifiedKey>| name.is_some_and(|name| covers(key, name));
        let mut fitting = self.keys.iter().filter(suits);
        fitting.clone().find(named).or_else(|| fitting.next()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

impl ResolvesClientCert for Certificates {
    fn resolve(&self, _issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.choose(None, schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Meaning {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or(self.name.as_str());
        self.certificates.choose(Some(name), hello.signature_schemes())
    }
}

impl ResolvesClientCert for Meaning {
    fn resolve(&self, _issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certificates.choose(Some(self.name.as_str()), schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn covers(key: &CertifiedKey, name: &str) -> bool {
    let Ok(name) = rustls::pki_types::ServerName::try_from(name) else {
        return false;
    };
    key.end_entity_cert()
        .ok()
        .and_then(|cert| webpki::EndEntityCert::try_from(cert).ok())
        .is_some_and(|cert| cert.verify_is_valid_for_subject_name(&name).is_ok())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm};
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    const MODERN: &[SignatureScheme] = &[
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::RSA_PSS_SHA256,
    ];
    const OLD: &[SignatureScheme] = &[SignatureScheme::RSA_PKCS1_SHA256];

    fn certificate(names: &[&str], algorithm: &'static SignatureAlgorithm) -> Arc<CertifiedKey> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let own = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(CertifiedKey::from_der(vec![own.der().clone()], key, &default_provider()).unwrap())
    }

    fn position(ours: &Certificates, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<usize> {
        let chosen = ours.choose(name, schemes)?;
        ours.keys.iter().position(|key| Arc::ptr_eq(key, &chosen))
    }

    #[test]
    fn the_certificate_fits_the_name_and_what_the_peer_can_check() {
        let ours = Certificates::new(vec![
            certificate(&["a.example"], &PKCS_ECDSA_P256_SHA256),
            certificate(&["a.example"], &PKCS_RSA_SHA256),
            certificate(&["b.example", "*.b.example"], &PKCS_ECDSA_P256_SHA256),
            certificate(&["b.example"], &PKCS_RSA_SHA256),
        ])
        .unwrap();
        for (name, schemes, expected) in [
            (Some("a.example"), MODERN, Some(0)),
            (Some("a.example"), OLD, Some(1)),
            (Some("b.example"), MODERN, Some(2)),
            (Some("B.Example"), MODERN, Some(2)),
            (Some("chat.b.example"), MODERN, Some(2)),
            (Some("b.example"), OLD, Some(3)),
            (Some("chat.b.example"), OLD, Some(1)),
            (Some("unknown.example"), MODERN, Some(0)),
            (Some("not a name"), MODERN, Some(0)),
            (None, MODERN, Some(0)),
            (None, OLD, Some(1)),
            (Some("a.example"), &[SignatureScheme::ED25519], None),
        ] {
            assert_eq!(position(&ours, name, schemes), expected, "{name:?} {schemes:?}");
        }
        assert!(Certificates::new(Vec::new()).is_none());
    }

    #[test]
    fn a_client_shows_the_certificate_of_the_domain_that_it_speaks_for() {
        let ours = Arc::new(
            Certificates::new(vec![
                certificate(&["a.example"], &PKCS_ECDSA_P256_SHA256),
                certificate(&["b.example"], &PKCS_ECDSA_P256_SHA256),
            ])
            .unwrap(),
        );
        for (name, expected) in [("a.example", 0), ("b.example", 1), ("c.example", 0)] {
            let meaning = ours.meaning(&Domain::parse(name).unwrap());
            let shown = ResolvesClientCert::resolve(&*meaning, &[], MODERN).unwrap();
            assert!(Arc::ptr_eq(&shown, &ours.keys[expected]), "{name}");
        }
    }
}
