//! What hides inside addresses in names of our own: sealed text that only we can read again, and that needs no memory.
//!
//! The same text is sealed the same way each time, so that a Call-ID stays one Call-ID and a Contact one Contact; the
//! cipher is made for that (AES-GCM-SIV, RFC 8452): who sees two sealed texts learns whether they are the same, and
//! nothing else. Whoever changes one character makes it unreadable.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The key of all sealed names; one for all processes that answer to one public name.
#[derive(Clone)]
pub struct Veil(Option<Arc<LessSafeKey>>);

/// What a sealed text stands for. One kind cannot be read as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The Call-ID of a dialog that began inside.
    CallId,
    /// The Contact of an inside user.
    Contact,
    /// The route set towards an inside user.
    Route,
}

impl Veil {
    /// The veil of a secret, as it stands in its file.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), LABEL);
        let key = UnboundKey::new(&AES_256_GCM_SIV, key.as_ref()).ok();
        Self(key.map(|key| Arc::new(LessSafeKey::new(key))))
    }

    /// Seals a text: letters, digits, `-` and `_`.
    ///
    /// # Errors
    /// [`Unsealed`], for a text beyond what the cipher takes.
    pub(super) fn seal(&self, purpose: Purpose, text: &str) -> Result<String, Unsealed> {
        let key = self.0.as_ref().ok_or(Unsealed)?;
        let mut octets = text.as_bytes().to_vec();
        key.seal_in_place_append_tag(nonce(), Aad::from(purpose.tag()), &mut octets)
            .map_err(|_| Unsealed)?;
        Ok(URL_SAFE_NO_PAD.encode(octets))
    }

    /// Reads a sealed text; `None` for everything that this veil has not sealed for this purpose.
    #[must_use]
    pub(super) fn open(&self, purpose: Purpose, sealed: &str) -> Option<String> {
        let mut octets = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let key = self.0.as_ref()?;
        let text = key
            .open_in_place(nonce(), Aad::from(purpose.tag()), &mut octets)
            .ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

/// A text could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an inside address could not be hidden")]
pub struct Unsealed;

impl Purpose {
    const fn tag(self) -> [u8; 1] {
        match self {
            Self::CallId => [1],
            Self::Contact => [2],
            Self::Route => [3],
        }
    }
}

impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Veil")
    }
}

/// RFC 8452 §1: with a nonce that repeats, all that is lost is that equal texts look equal, which is what is wanted.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

const LABEL: &[u8] = b"vestibule topology hiding 1";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_is_read_again_by_the_same_secret_and_purpose_only(text in ".{0,200}", at in any::<prop::sample::Index>()) {
            let veil = Veil::new(b"one");
            let sealed = veil.seal(Purpose::Contact, &text).unwrap();
            prop_assert_eq!(veil.open(Purpose::Contact, &sealed), Some(text.clone()));
            prop_assert_eq!(veil.seal(Purpose::Contact, &text).unwrap(), sealed.clone());
            prop_assert_eq!(veil.open(Purpose::Route, &sealed), None);
            prop_assert_eq!(Veil::new(b"two").open(Purpose::Contact, &sealed), None);
            let mut changed = sealed.into_bytes();
            let at = at.index(changed.len());
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            prop_assert_eq!(veil.open(Purpose::Contact, &String::from_utf8(changed).unwrap()), None);
        }

        #[test]
        fn nothing_else_is_read(text in "\\PC{0,80}") {
            prop_assert_eq!(Veil::new(b"one").open(Purpose::CallId, &text), None);
        }
    }

    #[test]
    fn a_sealed_text_shows_nothing_of_what_it_hides() {
        let sealed = Veil::new(b"one")
            .seal(Purpose::Contact, "sip:ann@10.1.2.3")
            .unwrap();
        assert!(
            sealed
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
            "{sealed}"
        );
        assert!(!sealed.contains("ann"));
    }
}
