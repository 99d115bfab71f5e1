//! A certificate verifier that checks possession, looks whether the names are among those that may connect, captures the
//! chain, and leaves trust to `identity`.
//!
//! The signature of the handshake is checked with the library's own algorithms, so a peer can show only a certificate
//! whose key it holds. What the chain is worth is not decided here.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use crate::domain::DomainPattern;
use crate::identity::{Identities, NotAmong, subjects};
use crate::net::settings::{PeerCertificate, TlsContext};

/// Takes any certificate whose key the peer holds, and which names one of the subjects where there are any.
#[derive(Debug)]
pub(super) struct Capture {
    algorithms: WebPkiSupportedAlgorithms,
    wanted: PeerCertificate,
    subjects: Vec<DomainPattern>,
}

impl Capture {
    pub(super) fn new(provider: &Arc<CryptoProvider>, settings: &TlsContext) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
            wanted: settings.peer_certificate,
            subjects: settings.subjects.clone(),
        }
    }

    /// Whether the certificate has a name that may connect.
    fn admit(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        if self.subjects.is_empty() {
            return Ok(());
        }
        Identities::from_der(leaf)
            .map_err(|_| subjects::unreadable(&self.subjects))
            .and_then(|leaf| subjects::admit(&leaf, &self.subjects))
            .map_err(|error: NotAmong| Error::from(CertificateError::Other(OtherError(Arc::new(error)))))
    }
}

impl ClientCertVerifier for Capture {
    fn offer_client_auth(&self) -> bool {
        self.wanted != PeerCertificate::Off
    }

    fn client_auth_mandatory(&self) -> bool {
        self.wanted == PeerCertificate::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.admit(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Capture {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.admit(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
