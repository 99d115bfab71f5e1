//! Whether a certificate can be believed: a chain to a trust anchor, a certificate that is itself trusted, or a pin.
//!
//! Names are not looked at here. A trusted certificate that is no authority (a peer's self-signed one) vouches for itself
//! and for nobody else: it is compared as a whole, and never becomes an anchor.
//!
//! RFC 5280 §6 by webpki. Extended key usage: see [`Eku`].

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage,
    OwnedCertRevocationList, RequiredEkuNotFoundContext, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::certificate::{BadCertificate, Fingerprint, Identities};
use super::doubt::{ChainError, check_time, explain, wrong_usage};
use crate::limits::{CHAIN_BYTES, CHAIN_CERTIFICATES};

/// Whom one TLS context trusts to vouch for a peer.
#[derive(Debug)]
pub struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    certificates: Vec<Fingerprint>,
    revoked: Vec<CertRevocationList<'static>>,
}

/// A certificate that can be believed. Only [`verify`] and [`verify_pinned`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Verified {
    identities: Identities,
    evidence: Evidence,
}

/// What the extended key usage of a peer's certificate has to allow. A certificate without that extension, or with
/// anyExtendedKeyUsage, always passes; id-kp-sipDomain (RFC 5924) counts as either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Eku {
    /// A client needs clientAuth, a server serverAuth.
    Strict,
    /// Either serves for both: public authorities have stopped issuing client certificates.
    #[default]
    ClientOrServer,
    /// Not looked at.
    Ignore,
}

/// Which end of the TLS session the peer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Usage {
    /// It connected to us.
    Client,
    /// We connected to it.
    Server,
}

/// Why something configured cannot be trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTrust {
    /// A certificate is bad.
    #[error("trusted certificate number {number}: {why}")]
    Certificate {
        /// Its position, from 1.
        number: usize,
        /// What is wrong.
        why: BadCertificate,
    },
    /// An authority's certificate cannot be an anchor.
    #[error("trusted certificate number {number} cannot be a trust anchor: {why}")]
    Anchor {
        /// Its position, from 1.
        number: usize,
        /// What is wrong.
        why: webpki::Error,
    },
    /// A revocation list is bad.
    #[error("revocation list number {number} cannot be used: {why}")]
    RevocationList {
        /// Its position, from 1.
        number: usize,
        /// What is wrong.
        why: webpki::Error,
    },
}

/// What made a certificate believable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evidence {
    Chain,
    TrustedItself,
    Pin,
}

impl Trust {
    /// Trust in these certificates, and revocation by these lists.
    ///
    /// Authorities become anchors; other certificates are trusted for themselves only. A list says who is revoked; that
    /// its own time is over does not make it void, and a certificate no list speaks of is not held against its owner.
    ///
    /// # Errors
    /// [`BadTrust`] with the position of the first bad one.
    pub fn new(
        certificates: &[CertificateDer<'_>],
        revocation_lists: &[CertificateRevocationListDer<'_>],
    ) -> Result<Self, BadTrust> {
        let mut anchors = Vec::new();
        let mut fingerprints = Vec::new();
        for (number, der) in (1_usize..).zip(certificates) {
            let identities =
                Identities::from_der(der).map_err(|why| BadTrust::Certificate { number, why })?;
            fingerprints.push(*identities.certificate_fingerprint());
            if identities.is_authority() {
                let anchor =
                    webpki::anchor_from_trusted_cert(der).map_err(|why| BadTrust::Anchor { number, why })?;
                anchors.push(anchor.to_owned());
            }
        }
        let mut revoked = Vec::new();
        for (number, der) in (1_usize..).zip(revocation_lists) {
            let list = OwnedCertRevocationList::from_der(der)
                .map_err(|why| BadTrust::RevocationList { number, why })?;
            revoked.push(CertRevocationList::from(list));
        }
        Ok(Self {
            anchors,
            certificates: fingerprints,
            revoked,
        })
    }

    /// Trust in nobody.
    #[must_use]
    pub const fn nobody() -> Self {
        Self {
            anchors: Vec::new(),
            certificates: Vec::new(),
            revoked: Vec::new(),
        }
    }

    /// How many certificates are trusted.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.certificates.len()
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }
}

impl Verified {
    /// The names of the certificate.
    #[must_use]
    pub const fn identities(&self) -> &Identities {
        &self.identities
    }

    pub(super) const fn evidence(&self) -> Evidence {
        self.evidence
    }
}

/// Verifies what a peer showed, the leaf first, by the trust of its context.
///
/// # Errors
/// [`ChainError`], in words for the operator.
pub fn verify(
    presented: &[CertificateDer<'_>],
    trust: &Trust,
    usage: Usage,
    eku: Eku,
    now: UnixTime,
) -> Result<Verified, ChainError> {
    let (leaf, identities) = leaf(presented, now)?;
    if trust.certificates.contains(identities.certificate_fingerprint()) {
        let allowed = allowed(usage, eku);
        if !identities.usages.allow(allowed) {
            return Err(wrong_usage(&identities, usage, eku));
        }
        return Ok(Verified {
            identities,
            evidence: Evidence::TrustedItself,
        });
    }
    let lists: Vec<_> = trust.revoked.iter().collect();
    // No list at all is no error here: there is then nothing to check against.
    let revocation = RevocationOptionsBuilder::new(&lists)
        .ok()
        .map(|builder| builder.with_status_policy(UnknownStatusPolicy::Allow).build());
    let intermediates = presented.get(1..).unwrap_or_default();
    let outcome = EndEntityCert::try_from(leaf).and_then(|certificate| {
        certificate
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &trust.anchors,
                intermediates,
                now,
                Allowed(allowed(usage, eku)),
                revocation,
                None,
            )
            .map(|_| ())
    });
    match outcome {
        Ok(()) => Ok(Verified {
            identities,
            evidence: Evidence::Chain,
        }),
        Err(error) => Err(explain(error, presented, &identities, (usage, eku), now)),
    }
}

/// Verifies what a peer showed by the pins of its context alone: the key is known, so nobody has to vouch for it, and
/// only its time is looked at besides.
///
/// # Errors
/// [`ChainError`], in words for the operator.
pub fn verify_pinned(
    presented: &[CertificateDer<'_>],
    pins: &[Fingerprint],
    now: UnixTime,
) -> Result<Verified, ChainError> {
    let (_, identities) = leaf(presented, now)?;
    if !pins.contains(identities.key_fingerprint()) {
        return Err(ChainError::NotPinned {
            subject: identities.subject().to_owned(),
        });
    }
    Ok(Verified {
        identities,
        evidence: Evidence::Pin,
    })
}

/// Reads the leaf of what is not too much, and checks its time.
fn leaf<'p>(
    presented: &'p [CertificateDer<'p>],
    now: UnixTime,
) -> Result<(&'p CertificateDer<'p>, Identities), ChainError> {
    let octets = presented
        .iter()
        .fold(0_usize, |sum, der| sum.saturating_add(der.len()));
    if presented.len() > CHAIN_CERTIFICATES || octets > CHAIN_BYTES {
        return Err(ChainError::TooMuch {
            certificates: presented.len(),
            octets,
        });
    }
    let leaf = presented.first().ok_or(ChainError::None)?;
    let identities = Identities::from_der(leaf)?;
    check_time(&identities, now)?;
    Ok((leaf, identities))
}

/// Uses that satisfy the policy; `None` is any.
fn allowed(usage: Usage, eku: Eku) -> Option<&'static [Purpose]> {
    match (usage, eku) {
        (_, Eku::Ignore) => None,
        (_, Eku::ClientOrServer) => Some(&[SERVER, CLIENT, SIP_DOMAIN, ANY]),
        (Usage::Client, Eku::Strict) => Some(&[CLIENT, SIP_DOMAIN, ANY]),
        (Usage::Server, Eku::Strict) => Some(&[SERVER, SIP_DOMAIN, ANY]),
    }
}

impl super::certificate::Usages {
    fn allow(&self, allowed: Option<&[Purpose]>) -> bool {
        match (&self.0, allowed) {
            (None, _) | (_, None) => true,
            (Some(words), Some(purposes)) => purposes
                .iter()
                .any(|purpose| words.iter().any(|word| word == purpose.word)),
        }
    }
}

struct Allowed(Option<&'static [Purpose]>);

impl ExtendedKeyUsageValidator for Allowed {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let Some(allowed) = self.0 else {
            return Ok(());
        };
        let mut restricted = false;
        for purpose in purposes {
            let purpose = purpose?;
            restricted = true;
            if allowed
                .iter()
                .any(|known| KeyPurposeId::new(known.oid) == purpose)
            {
                return Ok(());
            }
        }
        if restricted {
            return Err(webpki::Error::RequiredEkuNotFoundContext(
                RequiredEkuNotFoundContext {
                    required: KeyUsage::server_auth(),
                    present: Vec::new(),
                },
            ));
        }
        Ok(())
    }
}

struct Purpose {
    /// The content octets of its object identifier.
    oid: &'static [u8],
    /// How [`Identities`] calls it.
    word: &'static str,
}

const SERVER: Purpose = Purpose {
    oid: &[0x2b, 6, 1, 5, 5, 7, 3, 1],
    word: "server",
};
const CLIENT: Purpose = Purpose {
    oid: &[0x2b, 6, 1, 5, 5, 7, 3, 2],
    word: "client",
};
const SIP_DOMAIN: Purpose = Purpose {
    oid: &[0x2b, 6, 1, 5, 5, 7, 3, 20],
    word: "1.3.6.1.5.5.7.3.20",
};
const ANY: Purpose = Purpose {
    oid: &[0x55, 0x1d, 0x25, 0],
    word: "any",
};
