//! XMPP addresses: `localpart@domainpart/resourcepart`, held in their enforced form.
//!
//! A [`Jid`] has passed every rule of RFC 7622, so two of them are one address if and only if they are equal. It is
//! not a URI (RFC 5122), knows no escaping (XEP-0106 is the interworking floor's), and takes no IP address as its
//! domainpart: nothing that federates by name can use one.
//!
//! RFC 7622 §3 (parts, lengths, order of splitting), RFC 8265 §3.3 and §4.2 (UsernameCaseMapped, OpaqueString),
//! RFC 8264 §7 (rules applied until nothing changes).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::domain::{Domain, DomainError};
use crate::refusal::{Fault, Refuse};

mod profile;

/// An XMPP address in its enforced form; each part is at most 1,023 octets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jid {
    domain: Domain,
    local: Option<Arc<str>>,
    resource: Option<Arc<str>>,
}

impl Jid {
    /// Reads an address as it stands in an attribute, mapping what the rules let it map (case, width, normal form).
    ///
    /// # Errors
    /// [`JidError`] names the part and the rule.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        //= rfc7622#3.2
        //# Remove any portion from the first '/' character to the end of the string
        let (head, resource) = match text.split_once('/') {
            Some((head, resource)) => (head, Some(resource)),
            None => (text, None),
        };
        let (local, domain) = match head.split_once('@') {
            Some((local, domain)) => (Some(local), domain),
            None => (None, head),
        };
        Self::new(local, Domain::parse(domain)?, resource)
    }

    /// Builds an address from its parts, enforcing the rules of each.
    ///
    /// # Errors
    /// [`JidError`] names the part and the rule.
    pub fn new(local: Option<&str>, domain: Domain, resource: Option<&str>) -> Result<Self, JidError> {
        Ok(Self {
            domain,
            local: local.map(enforce_local).transpose()?,
            resource: resource.map(enforce_resource).transpose()?,
        })
    }

    /// The localpart, if there is one.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        self.local.as_deref()
    }

    /// The domainpart.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The resourcepart, if there is one.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.resource.as_deref()
    }

    /// The same address without its resourcepart.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self {
            domain: self.domain.clone(),
            local: self.local.clone(),
            resource: None,
        }
    }

    /// Whether there is no resourcepart.
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        self.resource.is_none()
    }

    /// The same address with another resourcepart.
    ///
    /// # Errors
    /// [`JidError`] of the resourcepart.
    pub fn with_resource(&self, resource: &str) -> Result<Self, JidError> {
        Ok(Self {
            resource: Some(enforce_resource(resource)?),
            ..self.clone()
        })
    }
}

/// Why a text is not an XMPP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JidError {
    /// The domainpart is missing, an IP address, or no domain name.
    #[error("the domainpart of the JID is not usable: {0}")]
    Domain(#[from] DomainError),
    /// A localpart or resourcepart of no octets.
    #[error("the {0} of the JID is empty")]
    Empty(Part),
    /// A part over 1,023 octets once enforced.
    #[error("the {0} of the JID is longer than 1023 octets")]
    TooLong(Part),
    /// A character that the part's PRECIS profile or RFC 7622 §3.3.1 disallows.
    #[error("the {0} of the JID holds a character, or an order of characters, that RFC 7622 disallows")]
    Prohibited(Part),
}

/// A part of an address that has a PRECIS profile of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Before the `@`.
    Local,
    /// After the `/`.
    Resource,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "localpart",
            Self::Resource => "resourcepart",
        })
    }
}

impl From<Domain> for Jid {
    fn from(domain: Domain) -> Self {
        Self {
            domain,
            local: None,
            resource: None,
        }
    }
}

impl FromStr for Jid {
    type Err = JidError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Jid {
    /// The form for the wire: the domainpart in U-labels (RFC 7622 §3.2.1), or in A-labels where its U-labels would
    /// not read back as the same name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(local) = &self.local {
            write!(f, "{local}@")?;
        }
        // Most names have nothing to show in U-labels, and are written for every stanza.
        let international = self
            .domain
            .is_international()
            .then(|| self.domain.to_unicode())
            .filter(|unicode| Domain::parse(unicode).as_ref() == Ok(&self.domain));
        f.write_str(international.as_deref().unwrap_or(self.domain.as_str()))?;
        match &self.resource {
            Some(resource) => write!(f, "/{resource}"),
            None => Ok(()),
        }
    }
}

impl From<&Jid> for String {
    /// The form for the wire, in one allocation.
    fn from(jid: &Jid) -> Self {
        let parts = [
            jid.local.as_deref(),
            Some(jid.domain.as_str()),
            jid.resource.as_deref(),
        ];
        let octets = parts
            .into_iter()
            .flatten()
            .fold(2_usize, |sum, part| sum.saturating_add(part.len()));
        let mut text = Self::with_capacity(octets);
        // Writing to a string does not fail.
        let _written = fmt::Write::write_fmt(&mut text, format_args!("{jid}"));
        text
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Refuse for JidError {
    fn class(&self) -> &'static str {
        "jid_malformed"
    }
    fn fault(&self) -> Fault {
        Fault::Peer
    }
    fn sip_status(&self) -> u16 {
        484
    }
    fn stanza_condition(&self) -> &'static str {
        "jid-malformed"
    }
    fn peer_text(&self) -> &'static str {
        "the address is malformed"
    }
}

fn enforce_local(text: &str) -> Result<Arc<str>, JidError> {
    let part = Part::Local;
    check_raw(text, part)?;
    let is_plain = text
        .bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'));
    let text = if is_plain {
        text.into()
    } else {
        enforce(text, part, profile::username)?
    };
    if text.contains(EXCLUDED) {
        return Err(JidError::Prohibited(part));
    }
    check_length(text, part)
}

fn enforce_resource(text: &str) -> Result<Arc<str>, JidError> {
    let part = Part::Resource;
    check_raw(text, part)?;
    let is_plain = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    let text = if is_plain {
        text.into()
    } else {
        enforce(text, part, profile::opaque)?
    };
    check_length(text, part)
}

/// Applies a profile until its output no longer changes, so that equal addresses are equal octets.
fn enforce(text: &str, part: Part, profile: impl Fn(&str) -> Option<String>) -> Result<Arc<str>, JidError> {
    let mut text = profile(text).ok_or(JidError::Prohibited(part))?;
    for _ in 0..ROUNDS {
        let again = profile(&text).ok_or(JidError::Prohibited(part))?;
        if again == text {
            return Ok(text.into());
        }
        text = again;
    }
    Err(JidError::Prohibited(part))
}

/// Bounds the work before it is done: no mapping of the profiles shortens a text to less than a third.
const fn check_raw(text: &str, part: Part) -> Result<(), JidError> {
    if text.is_empty() {
        return Err(JidError::Empty(part));
    }
    if text.len() > MAX_RAW {
        return Err(JidError::TooLong(part));
    }
    Ok(())
}

fn check_length(text: Arc<str>, part: Part) -> Result<Arc<str>, JidError> {
    if text.is_empty() {
        return Err(JidError::Empty(part));
    }
    if text.len() > MAX_PART {
        return Err(JidError::TooLong(part));
    }
    Ok(text)
}

/// RFC 7622 §3.3.1.
const EXCLUDED: [char; 8] = ['"', '&', '\'', '/', ':', '<', '>', '@'];
/// Octets of each part (RFC 7622 §3.1).
const MAX_PART: usize = 1_023;
const MAX_RAW: usize = 3 * MAX_PART;
/// RFC 8264 §7 asks for at least three applications before a string that still changes is refused.
const ROUNDS: usize = 3;

#[cfg(test)]
mod tests;
