//! Certificates, keys and trust stores: read from files, held as TLS contexts, read again on reload.
//!
//! A [`Context`] is everything that one `[tls.NAME]` table means. A handshake made with it captures the peer's chain
//! and checks that the peer holds the key; whether the chain is trusted and whom it names is decided afterwards by
//! `identity`, when the peer has said who it wants to be (facts: rustls two-step identity).

mod load;
mod own;
mod show;
mod suites;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig};

use crate::domain::Domain;
use crate::identity::{BadCertificate, BadTrust, Trust};
use crate::net::settings::{IdentityRule, PeerCertificate, TlsContext, TlsName};

pub use load::files_of;
pub use own::Own;
pub use suites::{known, suite};

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
    own: Vec<Own>,
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
                Err(found) => problems.extend(found),
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

    /// Takes in the contexts of another set.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Every context with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&TlsName, &Arc<Context>)> {
        self.0.iter()
    }
}

impl Context {
    fn load(
        name: &TlsName,
        settings: &TlsContext,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Vec<PkiError>> {
        // Every file is read before the first fault is reported.
        let mut faults = Vec::new();
        let mut keys = Vec::new();
        let mut own = Vec::new();
        for files in &settings.certificates {
            match load::certified_key(files, provider) {
                Ok((key, certificate)) => {
                    keys.push(Arc::new(key));
                    own.push(certificate);
                }
                Err(fault) => faults.push(fault),
            }
        }
        let anchors = load::anchors(&settings.trust).map_err(|fault| faults.push(fault));
        let revoked = load::revocation_lists(&settings.crl).map_err(|fault| faults.push(fault));
        let (Ok(anchors), Ok(revoked), true) = (anchors, revoked, faults.is_empty()) else {
            return Err(faults);
        };
        let needs_trust = settings.peer_certificate != PeerCertificate::Off
            && settings.identity != IdentityRule::Pinned
            && !settings.trust.is_empty();
        if needs_trust && anchors.is_empty() {
            return Err(vec![PkiError::NobodyTrusted(name.clone())]);
        }
        Self::of(name, settings, provider, (keys, own), (&anchors, &revoked)).map_err(|fault| vec![fault])
    }

    fn of(
        name: &TlsName,
        settings: &TlsContext,
        provider: &Arc<CryptoProvider>,
        (keys, own): (Vec<Arc<CertifiedKey>>, Vec<Own>),
        (anchors, revoked): (&[CertificateDer<'_>], &[CertificateRevocationListDer<'_>]),
    ) -> Result<Self, PkiError> {
        let trust = Trust::new(anchors, revoked).map_err(|error| PkiError::Trust {
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
        let provider = &suites::provider(provider, &settings.suites);
        let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .map_err(tls_error)?
            .with_client_cert_verifier(Arc::new(verify::Capture::new(provider, settings)))
            .with_cert_resolver(shown.clone());
        server.max_early_data_size = 0;
        let client = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .map_err(tls_error)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verify::Capture::new(provider, settings)))
            .with_client_cert_resolver(shown.clone());
        Ok(Self {
            settings: settings.clone(),
            server: Arc::new(server),
            client: Arc::new(client),
            trust,
            shown,
            own,
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
        let meant = meant.filter(|_| self.own.len() > 1);
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
        let own = own.filter(|_| self.own.len() > 1);
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

    /// Our own certificates, in the order of the table.
    #[must_use]
    pub fn own(&self) -> &[Own] {
        &self.own
    }
}

/// Why a TLS context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read.
    #[error(
        "{path}: the {what} cannot be read: {why}; check the path, and that the proxy's user may read it"
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// The cause.
        why: String,
    },
    /// A file holds nothing of what it should.
    #[error(
        "{path}: there is no {what} in PEM form in this file (lines between -----BEGIN ...----- and -----END ...-----)"
    )]
    Empty {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A certificate of ours is none.
    #[error("{path}: certificate number {number} of the chain cannot be used: {why}")]
    Certificate {
        /// The chain's file.
        path: PathBuf,
        /// Its position, from 1.
        number: usize,
        /// What is wrong.
        why: BadCertificate,
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
    #[error(
        "{path}: the private key cannot be used: {error}; it has to be RSA of 2048 bits or more, ECDSA on P-256, P-384 \
         or P-521, or Ed25519"
    )]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What the TLS library says.
        error: rustls::Error,
    },
    /// The key is under a pass phrase.
    #[error(
        "{path}: the private key is protected by a pass phrase, and nobody is there to type it; write one without: \
         openssl pkey -in {path} -out NEW, and chmod 0600 NEW"
    )]
    KeyEncrypted {
        /// The key's file.
        path: PathBuf,
    },
    /// Others may read the key.
    #[error(
        "{path}: the private key can be read by other users (mode {mode:04o}); run: chmod 0600 {path}, and make the \
         proxy's user its owner"
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
    /// Nobody could ever be believed.
    #[error(
        "[tls.{0}] trust: there is no certificate in all that it names, so that every peer's certificate is refused; put \
         the certificates of the peers' authorities there (.pem or .crt in a folder)"
    )]
    NobodyTrusted(TlsName),
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
