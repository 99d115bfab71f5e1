//! TLS for sources and sinks: our certificate both as client and as server, peers checked against one authority.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Arguments;

/// Accepts peers whose certificate the authority has signed.
pub(crate) fn acceptor(arguments: &Arguments) -> TlsAcceptor {
    let (chain, key, roots) = material(arguments);
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Shows our certificate and expects the server's to be for `name`.
pub(crate) async fn connect(arguments: &Arguments, tcp: TcpStream, name: &str) -> TlsStream<TcpStream> {
    try_connect(arguments, tcp, name).await.expect("TLS handshake")
}

/// The same, where it may fail.
pub(crate) async fn try_connect(
    arguments: &Arguments,
    tcp: TcpStream,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let (chain, key, roots) = material(arguments);
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

fn material(
    arguments: &Arguments,
) -> (
    Vec<CertificateDer<'static>>,
    PrivateKeyDer<'static>,
    RootCertStore,
) {
    let chain = CertificateDer::pem_file_iter(arguments.get("chain"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(arguments.get("key")).unwrap();
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(arguments.get("ca")).unwrap() {
        roots.add(authority.unwrap()).unwrap();
    }
    (chain, key, roots)
}
