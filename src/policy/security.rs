//! How a foreign domain may be authenticated on XMPP: the table of TLS, SASL EXTERNAL and dialback.
//!
//! Of the eighteen combinations five cannot work, and some deserve a warning when the configuration is checked
//! (specification: edge §4). The machines of [`crate::xmpp`] are told the outcome; they do not ask this table.

use std::fmt;

pub use crate::xmpp::stream::{ClientCertificate, Dialback, Sasl, Tls};

/// What is configured for one domain and one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Security {
    /// TLS.
    pub tls: Tls,
    /// SASL EXTERNAL.
    pub sasl: Sasl,
    /// Dialback.
    pub dialback: Dialback,
    /// Whether the certificate of a TLS session must prove the domain, whatever proves it besides.
    pub certificate: ClientCertificate,
}

/// A way to prove a domain on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// SASL EXTERNAL with the certificate of the TLS session (XEP-0178).
    SaslOverTls,
    /// Dialback inside a TLS session (XEP-0220).
    DialbackOverTls,
    /// Dialback without encryption.
    DialbackOverTcp,
}

/// The ways that a combination leaves open, the preferred one first; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Methods {
    methods: &'static [Method],
    warning: Option<Warning>,
}

/// What the check of the configuration says about a combination that works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Warning {
    /// TLS and SASL are required, and dialback is on.
    #[error("dialback will never be used, because both TLS and SASL are required")]
    DialbackUnused,
    /// SASL with TLS that may fail.
    #[error("SASL needs TLS, and optional TLS may fail")]
    TlsMayFail,
    /// SASL without TLS.
    #[error("SASL needs TLS, which is off: only dialback can be used")]
    SaslUnused,
}

/// Why a combination cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Invalid {
    /// SASL is on, but TLS and dialback are off.
    #[error("SASL is impossible without TLS, and dialback is off: no method is left")]
    SaslWithoutTls,
    /// Neither SASL nor dialback.
    #[error("SASL or dialback must be on: no method is left")]
    NoMethod,
}

/// Looks a combination up.
///
/// # Errors
/// [`Invalid`] where no peer could ever be authenticated.
pub const fn check(tls: Tls, sasl: Sasl, dialback: Dialback) -> Result<Methods, Invalid> {
    use Method::{DialbackOverTcp, DialbackOverTls, SaslOverTls};
    let (methods, warning): (&'static [Method], _) = match (tls, sasl, dialback) {
        (Tls::Required, Sasl::Required, Dialback::On) => (&[SaslOverTls], Some(Warning::DialbackUnused)),
        (Tls::Required, Sasl::Required | Sasl::Optional, Dialback::Off) => (&[SaslOverTls], None),
        (Tls::Required, Sasl::Optional, Dialback::On) => (&[SaslOverTls, DialbackOverTls], None),
        (Tls::Required, Sasl::Off, Dialback::On) => (&[DialbackOverTls], None),
        (Tls::Optional, Sasl::Required | Sasl::Optional, Dialback::On) => (
            &[SaslOverTls, DialbackOverTls, DialbackOverTcp],
            Some(Warning::TlsMayFail),
        ),
        (Tls::Optional, Sasl::Required | Sasl::Optional, Dialback::Off) => {
            (&[SaslOverTls], Some(Warning::TlsMayFail))
        }
        (Tls::Optional, Sasl::Off, Dialback::On) => (&[DialbackOverTls, DialbackOverTcp], None),
        (Tls::Off, Sasl::Required | Sasl::Optional, Dialback::On) => {
            (&[DialbackOverTcp], Some(Warning::SaslUnused))
        }
        (Tls::Off, Sasl::Off, Dialback::On) => (&[DialbackOverTcp], None),
        (Tls::Off, Sasl::Required | Sasl::Optional, Dialback::Off) => return Err(Invalid::SaslWithoutTls),
        (Tls::Required | Tls::Optional | Tls::Off, Sasl::Off, Dialback::Off) => {
            return Err(Invalid::NoMethod);
        }
    };
    Ok(Methods { methods, warning })
}

impl Security {
    /// The default: TLS required with a certificate that proves the domain, SASL before dialback.
    pub const STANDARD: Self = Self {
        tls: Tls::Required,
        sasl: Sasl::Optional,
        dialback: Dialback::On,
        certificate: ClientCertificate::Required,
    };

    /// Looks the combination up.
    ///
    /// # Errors
    /// [`Invalid`] where no peer could ever be authenticated.
    pub const fn check(self) -> Result<Methods, Invalid> {
        check(self.tls, self.sasl, self.dialback)
    }
}

impl Default for Security {
    fn default() -> Self {
        Self::STANDARD
    }
}

impl Methods {
    /// The ways, the preferred one first.
    #[must_use]
    pub const fn as_slice(&self) -> &'static [Method] {
        self.methods
    }

    /// Whether a way is open.
    #[must_use]
    pub fn allows(&self, method: Method) -> bool {
        self.methods.contains(&method)
    }

    /// Whether dialback is among the ways.
    #[must_use]
    pub fn uses_dialback(&self) -> bool {
        self.allows(Method::DialbackOverTls) || self.allows(Method::DialbackOverTcp)
    }

    /// What to tell the administrator.
    #[must_use]
    pub const fn warning(&self) -> Option<Warning> {
        self.warning
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SaslOverTls => "SASL over TLS",
            Self::DialbackOverTls => "dialback over TLS",
            Self::DialbackOverTcp => "dialback over TCP",
        })
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.methods.iter().map(Method::to_string).collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eighteen_combinations_are_those_of_the_specification() {
        use Dialback as D;
        use Invalid::{NoMethod, SaslWithoutTls};
        use Warning::{DialbackUnused, SaslUnused, TlsMayFail};
        let all = "SASL over TLS, dialback over TLS, dialback over TCP";
        let both = "dialback over TLS, dialback over TCP";
        let works = |text: &str, warning| Ok((text.to_owned(), warning));
        let table = [
            (
                Tls::Required,
                Sasl::Required,
                D::On,
                works("SASL over TLS", Some(DialbackUnused)),
            ),
            (
                Tls::Required,
                Sasl::Required,
                D::Off,
                works("SASL over TLS", None),
            ),
            (Tls::Optional, Sasl::Required, D::On, works(all, Some(TlsMayFail))),
            (
                Tls::Optional,
                Sasl::Required,
                D::Off,
                works("SASL over TLS", Some(TlsMayFail)),
            ),
            (
                Tls::Off,
                Sasl::Required,
                D::On,
                works("dialback over TCP", Some(SaslUnused)),
            ),
            (Tls::Off, Sasl::Required, D::Off, Err(SaslWithoutTls)),
            (
                Tls::Required,
                Sasl::Optional,
                D::On,
                works("SASL over TLS, dialback over TLS", None),
            ),
            (
                Tls::Required,
                Sasl::Optional,
                D::Off,
                works("SASL over TLS", None),
            ),
            (Tls::Optional, Sasl::Optional, D::On, works(all, Some(TlsMayFail))),
            (
                Tls::Optional,
                Sasl::Optional,
                D::Off,
                works("SASL over TLS", Some(TlsMayFail)),
            ),
            (
                Tls::Off,
                Sasl::Optional,
                D::On,
                works("dialback over TCP", Some(SaslUnused)),
            ),
            (Tls::Off, Sasl::Optional, D::Off, Err(SaslWithoutTls)),
            (Tls::Required, Sasl::Off, D::On, works("dialback over TLS", None)),
            (Tls::Required, Sasl::Off, D::Off, Err(NoMethod)),
            (Tls::Optional, Sasl::Off, D::On, works(both, None)),
            (Tls::Optional, Sasl::Off, D::Off, Err(NoMethod)),
            (Tls::Off, Sasl::Off, D::On, works("dialback over TCP", None)),
            (Tls::Off, Sasl::Off, D::Off, Err(NoMethod)),
        ];
        for (tls, sasl, dialback, expected) in table {
            let found = check(tls, sasl, dialback).map(|methods| (methods.to_string(), methods.warning()));
            assert_eq!(found, expected, "{tls:?} {sasl:?} {dialback:?}");
        }
    }

    #[test]
    fn the_default_works_without_a_warning() {
        let methods = Security::default().check().unwrap();
        assert_eq!(methods.warning(), None);
        assert!(methods.allows(Method::SaslOverTls) && !methods.allows(Method::DialbackOverTcp));
    }
}
