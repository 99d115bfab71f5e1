//! Reading PEM files: certificates with their keys, trust anchors, revocation lists.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{Own, PkiError};
use crate::net::settings::{CertificateFiles, TlsVersion, TrustSource};

/// Reads a chain and its key, and checks that they are a pair.
pub(super) fn certified_key(
    files: &CertificateFiles,
    provider: &Arc<CryptoProvider>,
) -> Result<(CertifiedKey, Own), PkiError> {
    let chain = objects::<CertificateDer<'static>>(&files.chain, "certificate")?;
    if chain.is_empty() {
        return Err(PkiError::Empty {
            path: files.chain.clone(),
            what: "certificate",
        });
    }
    // Before the key, so that a bad certificate is not taken for a bad key.
    let own = Own::read(&files.chain, &chain)?;
    let mode = fs::metadata(&files.key)
        .map_err(|error| unreadable(&files.key, "private key", &error))?
        .permissions()
        .mode()
        & 0o777;
    if mode & OTHERS != 0 {
        return Err(PkiError::KeyMode {
            path: files.key.clone(),
            mode,
        });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        if is_encrypted(&files.key) {
            PkiError::KeyEncrypted {
                path: files.key.clone(),
            }
        } else if matches!(error, pem::Error::NoItemsFound) {
            PkiError::Empty {
                path: files.key.clone(),
                what: "private key",
            }
        } else {
            unreadable(&files.key, "private key", &error)
        }
    })?;
    let pair = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            PkiError::Mismatch {
                chain: files.chain.clone(),
                key: files.key.clone(),
            }
        } else {
            PkiError::Key {
                path: files.key.clone(),
                error,
            }
        }
    })?;
    Ok((pair, own))
}

/// Whether a key file says of itself that it is under a pass phrase, in either of the two ways that OpenSSL writes.
fn is_encrypted(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| {
        text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
    })
}

/// Reads every trust anchor of every source.
pub(super) fn anchors(sources: &[TrustSource]) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let mut anchors = Vec::new();
    for source in sources {
        match source {
            TrustSource::System => {
                let found = rustls_native_certs::load_native_certs();
                for error in &found.errors {
                    tracing::warn!(%error, "part of the system's trust store cannot be read");
                }
                anchors.extend(found.certs);
            }
            TrustSource::Path(path) => {
                for file in files_of(path, "trusted certificate")? {
                    let found = objects(&file, "trusted certificate")?;
                    if found.is_empty() {
                        return Err(PkiError::Empty {
                            path: file,
                            what: "trusted certificate",
                        });
                    }
                    anchors.extend(found);
                }
            }
        }
    }
    Ok(anchors)
}

/// Reads every revocation list of every path.
pub(super) fn revocation_lists(
    paths: &[PathBuf],
) -> Result<Vec<CertificateRevocationListDer<'static>>, PkiError> {
    let mut lists = Vec::new();
    for path in paths {
        for file in files_of(path, "revocation list")? {
            lists.extend(objects(&file, "revocation list")?);
        }
    }
    Ok(lists)
}

/// The protocol versions from the lowest allowed on.
pub(super) fn versions(minimum: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match minimum {
        TlsVersion::V1_2 => &FROM_1_2,
        TlsVersion::V1_3 => &FROM_1_3,
    }
}

/// The file itself, or the PEM files of a folder in the order of their names.
///
/// # Errors
/// [`PkiError`] where a folder cannot be read.
pub fn files_of(path: &Path, what: &'static str) -> Result<Vec<PathBuf>, PkiError> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, what, &error))? {
        let file = entry.map_err(|error| unreadable(path, what, &error))?.path();
        let is_pem = file
            .extension()
            .is_some_and(|end| end == "pem" || end == "crt" || end == "crl");
        if is_pem && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn objects<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, PkiError> {
    T::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            // The operating system's words are enough.
            if let pem::Error::Io(error) = &error {
                unreadable(path, what, error)
            } else {
                unreadable(path, what, &error)
            }
        })
}

fn unreadable(path: &Path, what: &'static str, error: &dyn std::fmt::Display) -> PkiError {
    PkiError::File {
        path: path.to_path_buf(),
        what,
        why: error.to_string(),
    }
}

static FROM_1_2: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
static FROM_1_3: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

/// Permission bits that let others read, write or run.
const OTHERS: u32 = 0o007;
