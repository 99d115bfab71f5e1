//! Certificates, keys and trust stores: read from files, held as TLS contexts, read again on reload.
//!
//! A [`Context`] is everything that one `[tls.NAME]` table means. A handshake made with it captures the peer's chain
//! and checks that the peer holds the key; whether the chain is trusted and whom it names is decided afterwards by
//! `identity`, when the peer has said who it wants to be (facts: rustls two-step identity).

mod load;
mod show;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};

use crate::domain::Domain;
use crate::identity::{BadTrust, Trust};
use crate::net::settings::{TlsContext, TlsName};

/// All TLS contexts by name; replaced as a whole on reload.
#[derive(Debug, Clone, Default)]
pub struct Contexts(BTreeMap<TlsName, Arc<Context>>);

/// One `[tls.NAME]` table, ready for use.
#[derive(Debug)]
pub struct Context {
    settings: TlsContext,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    trust: Trust,
    shown: Arc<show::Certificates>,
    leaves: Vec<CertificateDer<'static>>,
}

/// Which protocol a handshake is made for: decides what ALPN says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// Nothing offered: SIP peers of all ages.
    None,
    /// `xmpp-server` (XEP-0368), for direct TLS only.
    XmppServer,
}

impl Alpn {
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::None => Vec::new(),
            Self::XmppServer => vec![XMPP_SERVER.to_vec()],
        }
    }
}

impl Contexts {
    /// Reads all files of all contexts.
    ///
    /// # Errors
    /// Every problem found, so that an administrator can put all right at once.
    pub fn load(settings: &BTreeMap<TlsName, TlsContext>) -> Result<Self, Vec<PkiError>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut contexts = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, context) in settings {
            match Context::load(name, context, &provider) {
                Ok(context) => {
                    contexts.insert(name.clone(), Arc::new(context));
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(Self(contexts))
        } else {
            Err(problems)
        }
    }

    /// The context of a name.
    #[must_use]
    pub fn get(&self, name: &TlsName) -> Option<&Arc<Context>> {
        self.0.get(name)
    }

    /// Every context with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&TlsName, &Arc<Context>)> {
        self.0.iter()
    }
}

impl Context {
    fn load(name: &TlsName, settings: &TlsContext, provider: &Arc<CryptoProvider>) -> Result<Self, PkiError> {
        let mut keys = Vec::new();
        let mut leaves = Vec::new();
        for files in &settings.certificates {
            let key = load::certified_key(files, provider)?;
            leaves.extend(key.cert.first().cloned());
            keys.push(Arc::new(key));
        }
        let trust = Trust::new(
            &load::anchors(&settings.trust)?,
            &load::revocation_lists(&settings.crl)?,
        )
        .map_err(|error| PkiError::Trust {
            context: name.clone(),
            error,
        })?;
        let shown =
            Arc::new(show::Certificates::new(keys).ok_or_else(|| PkiError::NoCertificate(name.clone()))?);
        let tls_error = |error| PkiError::Tls {
            context: name.clone(),
            error,
        };
        let versions = load::versions(settings.minimum);
        let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .map_err(tls_error)?
            .with_client_cert_verifier(Arc::new(verify::Capture::new(
                provider,
                settings.peer_certificate,
            )))
            .with_cert_resolver(shown.clone());
        server.max_early_data_size = 0;
        let client = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .map_err(tls_error)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verify::Capture::new(
                provider,
                settings.peer_certificate,
            )))
            .with_client_cert_resolver(shown.clone());
        Ok(Self {
            settings: settings.clone(),
            server: Arc::new(server),
            client: Arc::new(client),
            trust,
            shown,
            leaves,
        })
    }

    /// What the table says.
    #[must_use]
    pub const fn settings(&self) -> &TlsContext {
        &self.settings
    }

    /// How we answer a handshake. `meant` is the domain of ours that the peer wants, for a peer that does not say it by
    /// SNI.
    #[must_use]
    pub fn server(&self, alpn: Alpn, meant: Option<&Domain>) -> Arc<ServerConfig> {
        let meant = meant.filter(|_| self.leaves.len() > 1);
        if alpn == Alpn::None && meant.is_none() {
            return Arc::clone(&self.server);
        }
        let mut config = ServerConfig::clone(&self.server);
        config.alpn_protocols = alpn.protocols();
        if let Some(name) = meant {
            config.cert_resolver = self.shown.meaning(name);
        }
        Arc::new(config)
    }

    /// How we begin a handshake. `own` is the domain of ours that we speak for: its certificate is shown.
    #[must_use]
    pub fn client(&self, alpn: Alpn, own: Option<&Domain>) -> Arc<ClientConfig> {
        let own = own.filter(|_| self.leaves.len() > 1);
        if alpn == Alpn::None && own.is_none() {
            return Arc::clone(&self.client);
        }
        let mut config = ClientConfig::clone(&self.client);
        config.alpn_protocols = alpn.protocols();
        if let Some(name) = own {
            config.client_auth_cert_resolver = self.shown.meaning(name);
            // A resumed session would go on under the certificate of whichever domain began it.
            config.resumption = Resumption::disabled();
        }
        Arc::new(config)
    }

    /// Who vouches for peers.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Our own certificates, leaves only.
    #[must_use]
    pub fn leaves(&self) -> &[CertificateDer<'static>] {
        &self.leaves
    }
}

/// Why a TLS context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read.
    #[error("{path}: {what} cannot be read: {why}. Check the path, and that the proxy's user may read it")]
    File {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// The cause.
        why: String,
    },
    /// A file holds nothing of what it should.
    #[error("{path}: no {what} in PEM form is in this file")]
    Empty {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Certificate and key are not a pair.
    #[error(
        "{chain} and {key}: the private key does not belong to the first certificate of the chain; name the pair that was issued together"
    )]
    Mismatch {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The key is of a kind that cannot be used.
    #[error("{path}: the private key cannot be used: {error}")]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What the TLS library says.
        error: rustls::Error,
    },
    /// Others may read the key.
    #[error(
        "{path}: the private key can be read by other users (mode {mode:o}); make it 0600, owned by the proxy's user"
    )]
    KeyMode {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A context without a certificate.
    #[error("[tls.{0}]: there is no certificate in it")]
    NoCertificate(TlsName),
    /// Something trusted cannot be.
    #[error("[tls.{context}] trust: {error}")]
    Trust {
        /// Which context.
        context: TlsName,
        /// What is wrong.
        error: BadTrust,
    },
    /// The TLS library refuses the settings.
    #[error("[tls.{context}]: the TLS library refuses these settings: {error}")]
    Tls {
        /// Which context.
        context: TlsName,
        /// What the TLS library says.
        error: rustls::Error,
    },
}

/// The ALPN protocol name of XMPP between servers (XEP-0368 §3).
const XMPP_SERVER: &[u8] = b"xmpp-server";
