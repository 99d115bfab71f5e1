//! Whom a question is about: a domain, or a user by either spelling of his address.

use crate::domain::{Domain, DomainError};
use crate::gateway::presence::Ends;
use crate::interwork::address::{AddressError, Sips, to_jid};
use crate::sip::Uri;
use crate::xmpp::Jid;
use crate::xmpp::jid::JidError;

/// A domain or a user, as an administrator writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// All users of a domain.
    Domain(Domain),
    /// One user, by the bare JID.
    User(String),
}

/// Why a text is neither a domain nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// No domain name, and no `@` that would make it an address.
    #[error("not a domain: {0}")]
    Domain(#[from] DomainError),
    /// No URI.
    #[error("not a URI")]
    Uri,
    /// A URI that has no place in a JID.
    #[error("not an address of a user: {0}")]
    Address(#[from] AddressError),
    /// No JID.
    #[error("not a JID (a SIP address begins with sip:): {0}")]
    Jid(#[from] JidError),
}

impl Subject {
    /// Reads a domain, a JID, or the URI of a user (`sip:`, `sips:`, `im:`, `pres:`). Devices are left out of it.
    ///
    /// # Errors
    /// [`SubjectError`].
    pub fn read(text: &str) -> Result<Self, SubjectError> {
        let user = match text.split_once('@') {
            // No localpart of a JID holds a colon.
            Some((head, _)) if head.contains(':') => {
                let uri = Uri::parse(text).map_err(|_| SubjectError::Uri)?;
                to_jid(&uri, Sips::Translate)?
            }
            Some(_) => Jid::parse(text)?,
            None => return Ok(Self::Domain(Domain::parse(text)?)),
        };
        Ok(Self::User(user.bare().to_string()))
    }

    /// Whether he, or a user of it, is one of the two.
    #[must_use]
    pub fn is_of(&self, ends: &Ends) -> bool {
        let either = |is: &dyn Fn(&str) -> bool| is(&ends.xmpp) || is(&ends.sip);
        match self {
            Self::User(user) => either(&|end| end == user),
            Self::Domain(domain) => either(&|end| {
                let of_end = end.rsplit_once('@').map_or(end, |(_, of_end)| of_end);
                of_end == domain.as_str() || Domain::parse(of_end).is_ok_and(|of_end| of_end == *domain)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_every_spelling_of_his_address_and_nobody_else_is() {
        let ends = Ends {
            xmpp: "romeo@example.net".to_owned(),
            sip: "d\\27artagnan@example.com".to_owned(),
        };
        for (text, found) in [
            ("romeo@example.net", true),
            ("Romeo@EXAMPLE.net/balcony", true),
            ("sip:romeo@example.net;transport=tls", true),
            ("sip:d'artagnan@example.com", true),
            ("sips:d%27artagnan@example.com:5061", true),
            ("pres:d'artagnan@example.com", true),
            ("d\\27artagnan@example.com", true),
            ("example.com", true),
            ("EXAMPLE.net.", true),
            ("romeo@example.com", false),
            ("net", false),
            ("sub.example.net", false),
            ("omeo@example.net", false),
        ] {
            assert_eq!(Subject::read(text).unwrap().is_of(&ends), found, "{text}");
        }
    }

    #[test]
    fn what_is_neither_domain_nor_address_is_told() {
        for text in [
            "",
            "a b",
            "@example.net",
            "romeo@",
            "sip:romeo@",
            "x:romeo@example.net",
            "a@b@c",
            "[::1]",
            "sip:romeo",
        ] {
            assert!(Subject::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_domain_in_its_own_script_is_the_same_domain() {
        let ends = Ends {
            xmpp: "a@bücher.example".to_owned(),
            sip: "b@example.com".to_owned(),
        };
        for text in [
            "bücher.example",
            "xn--bcher-kva.example",
            "a@xn--bcher-kva.example",
        ] {
            assert!(Subject::read(text).unwrap().is_of(&ends), "{text}");
        }
    }
}
