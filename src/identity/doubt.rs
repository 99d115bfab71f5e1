//! Why a certificate cannot be believed, in words for the operator.

use rustls_pki_types::{CertificateDer, UnixTime};

use super::certificate::{BadCertificate, Identities};
use super::chain::{Eku, Usage};
use crate::refusal::{Fault, Refuse};

/// Why a certificate cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The peer showed none.
    #[error("the peer showed no certificate")]
    None,
    /// The peer showed more than anybody needs.
    #[error("the peer showed {certificates} certificates of {octets} octets in all, which is too much")]
    TooMuch {
        /// How many.
        certificates: usize,
        /// Octets of all.
        octets: usize,
    },
    /// A certificate is bad.
    #[error(transparent)]
    Bad(#[from] BadCertificate),
    /// A certificate's time is over.
    #[error("the certificate of {subject} expired {}", days(*.seconds, "ago"))]
    Expired {
        /// Whose.
        subject: String,
        /// For how long it has been over.
        seconds: u64,
    },
    /// A certificate's time has not come.
    #[error("the certificate of {subject} is not valid yet; its time begins in {}", days(*.seconds, ""))]
    NotYetValid {
        /// Whose.
        subject: String,
        /// How long until then.
        seconds: u64,
    },
    /// The chain ends at nobody we trust.
    #[error(
        "unknown issuer \"{issuer}\": it is not among the trusted certificates, and the peer sent no way from it to one"
    )]
    UnknownIssuer {
        /// The issuer that is missing.
        issuer: String,
    },
    /// The certificate is for another use.
    #[error("wrong usage: the certificate is for {has}, and {needs} is needed")]
    WrongUsage {
        /// What it is for.
        has: String,
        /// What is needed.
        needs: &'static str,
    },
    /// The certificate is revoked.
    #[error("a certificate of the chain of {subject} is revoked")]
    Revoked {
        /// Whose chain.
        subject: String,
    },
    /// The key is none of the pinned.
    #[error("the key of {subject} is none of the pinned keys")]
    NotPinned {
        /// Whose.
        subject: String,
    },
    /// An authority's certificate where a server's is needed.
    #[error("the certificate of {subject} is an authority's and cannot stand for a server")]
    Authority {
        /// Whose.
        subject: String,
    },
    /// A signature of the chain is wrong, or of a kind that we do not take.
    #[error("a signature of the chain of {subject} is wrong or weak ({why})")]
    Signature {
        /// Whose chain.
        subject: String,
        /// In the library's words.
        why: webpki::Error,
    },
    /// Anything else.
    #[error("the chain of {subject} is not valid ({why})")]
    Invalid {
        /// Whose chain.
        subject: String,
        /// In the library's words.
        why: webpki::Error,
    },
}

impl Refuse for ChainError {
    fn class(&self) -> &'static str {
        match self {
            Self::None => "certificate_none",
            Self::TooMuch { .. } => "certificate_too_much",
            Self::Bad(_) => "certificate_bad",
            Self::Expired { .. } => "certificate_expired",
            Self::NotYetValid { .. } => "certificate_not_yet_valid",
            Self::UnknownIssuer { .. } => "certificate_unknown_issuer",
            Self::WrongUsage { .. } => "certificate_usage",
            Self::Revoked { .. } => "certificate_revoked",
            Self::NotPinned { .. } => "certificate_not_pinned",
            Self::Authority { .. } => "certificate_authority",
            Self::Signature { .. } => "certificate_signature",
            Self::Invalid { .. } => "certificate_invalid",
        }
    }

    fn fault(&self) -> Fault {
        Fault::Peer
    }

    fn sip_status(&self) -> u16 {
        403
    }

    fn stanza_condition(&self) -> &'static str {
        "policy-violation"
    }

    fn peer_text(&self) -> &'static str {
        "The certificate is not accepted"
    }
}

pub(super) fn check_time(identities: &Identities, now: UnixTime) -> Result<(), ChainError> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let subject = || identities.subject().to_owned();
    if now > identities.not_after() {
        return Err(ChainError::Expired {
            subject: subject(),
            seconds: now.abs_diff(identities.not_after()),
        });
    }
    if now < identities.not_before() {
        return Err(ChainError::NotYetValid {
            subject: subject(),
            seconds: identities.not_before().abs_diff(now),
        });
    }
    Ok(())
}

/// Says in plain words what the library says in its own.
pub(super) fn explain(
    error: webpki::Error,
    presented: &[CertificateDer<'_>],
    identities: &Identities,
    (usage, eku): (Usage, Eku),
    now: UnixTime,
) -> ChainError {
    use webpki::Error as E;
    let subject = identities.subject().to_owned();
    // The rest of the chain is only read to name what is wrong with it.
    let others = || {
        presented
            .iter()
            .skip(1)
            .filter_map(|der| Identities::from_der(der).ok())
    };
    if matches!(error, E::CertExpired { .. } | E::CertNotValidYet { .. }) {
        let late = others().find_map(|other| check_time(&other, now).err());
        return late.unwrap_or(ChainError::Invalid { subject, why: error });
    }
    if matches!(error, E::UnknownIssuer) {
        let mut issuer = identities.issuer().to_owned();
        for _ in presented {
            match others().find(|other| other.subject() == issuer && other.issuer() != issuer) {
                Some(next) => next.issuer().clone_into(&mut issuer),
                None => break,
            }
        }
        return ChainError::UnknownIssuer { issuer };
    }
    if matches!(error, E::RequiredEkuNotFoundContext(_)) {
        return wrong_usage(identities, usage, eku);
    }
    if matches!(error, E::CertRevoked) {
        return ChainError::Revoked { subject };
    }
    if matches!(error, E::CaUsedAsEndEntity) {
        return ChainError::Authority { subject };
    }
    let is_signature = matches!(
        error,
        E::InvalidSignatureForPublicKey
            | E::SignatureAlgorithmMismatch
            | E::UnsupportedSignatureAlgorithmContext(_)
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
    );
    if is_signature {
        return ChainError::Signature { subject, why: error };
    }
    ChainError::Invalid { subject, why: error }
}

pub(super) fn wrong_usage(identities: &Identities, usage: Usage, eku: Eku) -> ChainError {
    let has = match &identities.usages.0 {
        Some(words) => words.join(", "),
        // The leaf allows everything: an authority above it does not.
        None => "something else, by the word of its issuer".to_owned(),
    };
    let needs = match (usage, eku) {
        (Usage::Client, Eku::Strict) => "client",
        (Usage::Server, Eku::Strict) => "server",
        (Usage::Client | Usage::Server, Eku::ClientOrServer | Eku::Ignore) => "client or server",
    };
    ChainError::WrongUsage { has, needs }
}

/// A number of days in words.
fn days(seconds: u64, after: &str) -> String {
    let count = seconds.checked_div(86_400).unwrap_or(0);
    let words = match count {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        _ => format!("{count} days"),
    };
    if after.is_empty() {
        words
    } else {
        format!("{words} {after}")
    }
}
