//! On what terms a stream may be negotiated, for one pair and direction.
//!
//! Which combinations make sense is the policy floor's to check; here each field means what it says.

/// TLS, SASL and dialback of one direction towards one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamSettings {
    /// Whether the stream is encrypted.
    pub tls: Tls,
    /// Whether a certificate proves the peer, by SASL EXTERNAL.
    pub sasl: Sasl,
    /// Whether dialback may prove the peer.
    pub dialback: Dialback,
    /// Whether an encrypted peer must show a good certificate for its domain even where dialback proves it.
    pub certificate: ClientCertificate,
}

/// Use of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tls {
    /// Nothing but negotiation before it.
    Required,
    /// If both can.
    Optional,
    /// Never.
    Off,
}

/// Use of SASL EXTERNAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sasl {
    /// Over required TLS nothing else will do; where TLS is optional, dialback may still take its place.
    Required,
    /// If the certificate is good.
    Optional,
    /// Never.
    Off,
}

/// Use of dialback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialback {
    /// Where TLS and SASL leave room for it.
    On,
    /// Never.
    Off,
}

/// Whether the certificate of a TLS peer must verify for its domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientCertificate {
    /// It must, or the stream is refused.
    Required,
    /// Encryption without identity will do where dialback is in use, which takes DNS's word for the domain; without dialback it must
    /// all the same.
    NotRequired,
}

impl StreamSettings {
    /// Whether dialback may prove a pair on a stream with or without TLS.
    pub(super) const fn allow_dialback(self, encrypted: Encrypted) -> bool {
        let covered = matches!(
            (self.tls, encrypted),
            (Tls::Optional, _) | (Tls::Off, Encrypted::No) | (Tls::Required, Encrypted::Yes)
        );
        // SASL over TLS always works where both are required, so dialback would only weaken it.
        let needless = matches!((self.tls, self.sasl), (Tls::Required, Sasl::Required));
        matches!(self.dialback, Dialback::On) && covered && !needless
    }

    /// Whether EXTERNAL may prove a pair.
    pub(super) const fn allow_external(self) -> bool {
        !matches!(self.sasl, Sasl::Off)
    }
}

impl Default for StreamSettings {
    /// TLS required, EXTERNAL preferred, dialback after it, certificate required.
    fn default() -> Self {
        Self {
            tls: Tls::Required,
            sasl: Sasl::Optional,
            dialback: Dialback::On,
            certificate: ClientCertificate::Required,
        }
    }
}

/// Whether TLS is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encrypted {
    Yes,
    No,
}
