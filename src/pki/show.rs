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
