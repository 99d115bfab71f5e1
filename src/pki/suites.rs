//! Cipher suites by their names in the IANA registry.

use std::sync::Arc;

use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;

use crate::net::settings::{CipherSuite, TlsVersion};

/// The names of all suites that the library has, the best first.
#[must_use]
pub fn known() -> Vec<String> {
    ALL_CIPHER_SUITES.iter().map(name).collect()
}

/// The suite of a name; `None` for one that the library does not have.
#[must_use]
pub fn suite(given: &str) -> Option<CipherSuite> {
    ALL_CIPHER_SUITES
        .iter()
        .find(|has| name(has).eq_ignore_ascii_case(given))
        .map(of)
}

/// The same with these suites and no others; with all where none is named.
pub(super) fn provider(provider: &Arc<CryptoProvider>, suites: &[CipherSuite]) -> Arc<CryptoProvider> {
    if suites.is_empty() {
        return Arc::clone(provider);
    }
    let mut narrowed = CryptoProvider::clone(provider);
    narrowed.cipher_suites.retain(|has| suites.contains(&of(has)));
    Arc::new(narrowed)
}

fn of(has: &SupportedCipherSuite) -> CipherSuite {
    let since = match has {
        SupportedCipherSuite::Tls12(_) => TlsVersion::V1_2,
        SupportedCipherSuite::Tls13(_) => TlsVersion::V1_3,
    };
    CipherSuite {
        number: has.suite().into(),
        since,
    }
}

/// The library writes those of TLS 1.3 in a way of its own.
fn name(has: &SupportedCipherSuite) -> String {
    has.suite()
        .as_str()
        .map(|name| name.replacen("TLS13_", "TLS_", 1))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_the_names_of_the_registry() {
        for given in [
            "TLS_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "tls_ecdhe_ecdsa_with_chacha20_poly1305_sha256",
        ] {
            assert!(suite(given).is_some(), "{given}");
        }
        for given in [
            "",
            "AES",
            "TLS13_AES_256_GCM_SHA384",
            "TLS_RSA_WITH_AES_128_CBC_SHA",
        ] {
            assert!(suite(given).is_none(), "{given}");
        }
        assert!(
            known()
                .iter()
                .all(|name| suite(name).is_some() && !name.contains("TLS13"))
        );
    }
}
