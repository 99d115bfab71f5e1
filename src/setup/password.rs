//! The administrator's password, kept as what it can be checked by (PBKDF2, RFC 8018 §5.2; NIST SP 800-132).

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A password as it was typed.
pub struct Password(String);

/// What a password is checked by: `pbkdf2-sha512$ITERATIONS$SALT$HASH`, with base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Hashed {
    iterations: NonZeroU32,
    salt: [u8; SALT],
    hash: [u8; HASH],
}

impl Password {
    /// Takes what was typed.
    #[must_use]
    pub const fn new(typed: String) -> Self {
        Self(typed)
    }

    /// Hashes it, with a salt that nobody has used before.
    #[must_use]
    pub fn hash(&self, salt: [u8; SALT]) -> Hashed {
        let mut hash = [0; HASH];
        pbkdf2::derive(ALGORITHM, ITERATIONS, &salt, self.0.as_bytes(), &mut hash);
        Hashed {
            iterations: ITERATIONS,
            salt,
            hash,
        }
    }
}

impl Hashed {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim_end().strip_prefix(SCHEME)?.split('$');
        let iterations = parts.next()?.parse().ok()?;
        let mut octets = || STANDARD_NO_PAD.decode(parts.next()?).ok();
        let found = Self {
            iterations,
            salt: octets()?.try_into().ok()?,
            hash: octets()?.try_into().ok()?,
        };
        // Whoever writes more iterations than these only makes the console stand still.
        (parts.next().is_none() && found.iterations.get() <= MOST_ITERATIONS).then_some(found)
    }

    /// Whether it is the hash of this password. The time that it takes says nothing of where they differ.
    #[must_use]
    pub fn is_of(&self, password: &Password) -> bool {
        pbkdf2::verify(
            ALGORITHM,
            self.iterations,
            &self.salt,
            password.0.as_bytes(),
            &self.hash,
        )
        .is_ok()
    }
}

impl fmt::Display for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (salt, hash) = (
            STANDARD_NO_PAD.encode(self.salt),
            STANDARD_NO_PAD.encode(self.hash),
        );
        write!(f, "{SCHEME}{}${salt}${hash}", self.iterations)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashed")
    }
}

/// Octets of a salt.
pub(super) const SALT: usize = 16;
const HASH: usize = 64;
const SCHEME: &str = "pbkdf2-sha512$";
const ALGORITHM: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA512;
/// A third of a second on a small machine.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(219_999);
const MOST_ITERATIONS: u32 = 10_000_000;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_password_and_of_no_other() {
        let hashed = Password::new("four words make one".to_owned()).hash([7; SALT]);
        let read = Hashed::parse(&format!("{hashed}\n")).unwrap();
        assert!(read == hashed);
        assert!(read.is_of(&Password::new("four words make one".to_owned())));
        assert!(!read.is_of(&Password::new("four words make two".to_owned())));
        let other = Password::new("four words make one".to_owned()).hash([8; SALT]);
        assert_ne!(other.to_string(), hashed.to_string());
    }

    #[test]
    fn what_is_no_hash_is_not_read() {
        for text in [
            "",
            "pbkdf2-sha512$",
            "pbkdf2-sha512$1$AA$AA",
            "four words make one",
            "pbkdf2-sha512$0$$",
        ] {
            assert!(Hashed::parse(text).is_none(), "{text}");
        }
        let hashed = Password::new("four words make one".to_owned())
            .hash([7; SALT])
            .to_string();
        assert!(Hashed::parse(&hashed.replace("220000", "4000000000")).is_none());
        assert!(Hashed::parse(&format!("{hashed}$")).is_none());
    }
}
