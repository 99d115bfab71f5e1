//! Addresses: a SIP URI as a JID, a JID as a SIP URI (RFC 7247 §6, XEP-0106, RFC 7622, RFC 5627).
//!
//! Pure functions. What they cannot know is the gateway's: which resource a [`instance_digest`] stands for, the phone
//! context that [`phone_context`] found, whether a parted `sips:` promise is tolerable, and which spelling of an
//! address its owner used last ([`Party`] carries one).
//!
//! Invariants, both held to by tests:
//! - `to_uri(to_jid(u)) == canonical(u)`: user case-folded and normalised, escapes only where needed, host in lowercase,
//!   nothing left but user, host and `gr`;
//! - `to_jid(to_uri(j)) == j` for every JID that `to_uri` takes. It refuses a localpart with an idle `\5c`
//!   (XEP-0106 spells one text in two ways there): two accounts would share a SIP address, and could pass for each other.
//!
//! The order of steps matters: width and case are folded before escaping, or `%5C2F` would become the sequence `\2f`
//! when PRECIS folds it, and a user could borrow the address of another.

use aws_lc_rs::digest;

use super::escape;
use super::percent;
use crate::domain::Domain;
use crate::refusal::{Fault, Refuse};
use crate::sip::{Host, HostName, OpaqueUri, Scheme, SipUri, Uri};
use crate::xmpp::Jid;
use crate::xmpp::jid::JidError;

/// An address in both spellings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    jid: Jid,
    uri: SipUri,
}

/// What to do with `sips:`, which asks for TLS on every hop: nothing on the XMPP side can promise that
/// (RFC 7247 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sips {
    /// Refuse to translate it.
    Refuse,
    /// Translate it, because the XMPP peer's configuration requires TLS of it and the operators have agreed on the rest.
    Translate,
}

impl Party {
    /// A party known by a SIP URI; the spelling of user and host is kept.
    ///
    /// # Errors
    /// As [`to_jid`].
    pub fn from_uri(uri: &Uri, sips: Sips) -> Result<Self, AddressError> {
        let jid = to_jid(uri, sips)?;
        let uri = match uri {
            Uri::Sip(uri) => observed(uri)?,
            Uri::Other(_) => to_uri(&jid, Scheme::Sip)?,
        };
        Ok(Self { jid, uri })
    }

    /// A party known by a JID.
    ///
    /// # Errors
    /// As [`to_uri`].
    pub fn from_jid(jid: &Jid, scheme: Scheme) -> Result<Self, AddressError> {
        Ok(Self {
            jid: jid.clone(),
            uri: to_uri(jid, scheme)?,
        })
    }

    /// The same party with the SIP spelling that its owner was last seen to use; kept only if it is the same address.
    #[must_use]
    pub fn with_spelling(self, spelling: &SipUri) -> Self {
        let same = to_jid(&Uri::Sip(spelling.clone()), Sips::Translate).is_ok_and(|jid| jid == self.jid);
        match observed(spelling) {
            Ok(uri) if same => Self { uri, ..self },
            Ok(_) | Err(_) => self,
        }
    }

    /// The same party with another device, or none.
    ///
    /// # Errors
    /// [`AddressError::Jid`] of the resource.
    pub fn with_resource(self, resource: Option<&str>) -> Result<Self, AddressError> {
        let jid = match resource {
            Some(resource) => self.jid.with_resource(resource)?,
            None => self.jid.bare(),
        };
        let mut uri = self.uri;
        set_instance(&mut uri, &jid);
        Ok(Self { jid, uri })
    }

    /// The JID: the identity that is compared.
    #[must_use]
    pub const fn jid(&self) -> &Jid {
        &self.jid
    }

    /// The SIP URI: user, host, and `gr` where the JID has a resource.
    #[must_use]
    pub const fn uri(&self) -> &SipUri {
        &self.uri
    }
}

/// The JID of a SIP URI, or of an `im:` or `pres:` URI (RFC 7247 §6.4).
///
/// Password, port, header fields and all parameters but `gr` are left behind; with `user=phone` also what follows the
/// number's first `;`.
///
/// # Errors
/// [`AddressError`] names the part that has no place in a JID.
pub fn to_jid(uri: &Uri, sips: Sips) -> Result<Jid, AddressError> {
    match uri {
        Uri::Sip(uri) => {
            //= rfc7247#8
            //# if the To header or Request-URI of a SIP message is a SIPS URI then the SIP-to-
            //# XMPP gateway MUST NOT translate the SIP message into an XMPP stanza
            if uri.scheme() == Scheme::Sips && sips == Sips::Refuse {
                return Err(AddressError::Sips);
            }
            let user = uri.user().map(|user| number_of(uri, user));
            let domain = uri.host().domain().ok_or(AddressError::Host)?;
            let bare = bare_jid(user, domain)?;
            match uri.params().get("gr") {
                // A temporary GRUU has `gr` without a value: RFC 7247 §6.3 maps none of those.
                None => Ok(bare),
                Some(instance) => {
                    let resource = percent::decode(instance).ok_or(AddressError::NotUtf8)?;
                    Ok(bare.with_resource(&resource)?)
                }
            }
        }
        Uri::Other(uri) => opaque_to_jid(uri),
    }
}

/// The SIP URI of a JID (RFC 7247 §6.5); the resource becomes `gr`.
///
/// # Errors
/// [`AddressError::EdgeSpace`] and [`AddressError::IdleEscape`] for localparts that no address may have or that share
/// theirs with another; [`AddressError::Host`] for a domain that is no SIP host name.
pub fn to_uri(jid: &Jid, scheme: Scheme) -> Result<SipUri, AddressError> {
    let host = HostName::parse(jid.domain().as_str()).map_err(|_| AddressError::Host)?;
    let mut uri = SipUri::new(scheme, Host::Name(host));
    if let Some(local) = jid.local() {
        if !escape::has_inner_spaces_only(local) {
            return Err(AddressError::EdgeSpace);
        }
        if !escape::is_canonical(local) {
            return Err(AddressError::IdleEscape);
        }
        //= rfc7247#6.2
        //# each reserved character MUST be percent-encoded to "%hexhex"
        uri = uri.with_user(&escape::unescape(local));
    }
    set_instance(&mut uri, jid);
    Ok(uri)
}

/// The `xmpp:` URI of a JID (RFC 5122 §2): what may not stand in a URI is percent-encoded.
#[must_use]
pub fn xmpp_uri(jid: &Jid) -> String {
    let mut uri = String::from("xmpp:");
    if let Some(local) = jid.local() {
        percent::encode(local, &mut uri);
        uri.push('@');
    }
    uri.push_str(jid.domain().as_str());
    if let Some(resource) = jid.resource() {
        uri.push('/');
        percent::encode(resource, &mut uri);
    }
    uri
}

/// The short name of a resource that is too long to stand in a URI: `~` and 80 bits of its SHA-256 in base32.
///
/// [`to_uri`] writes it for resources over [`MOST_INSTANCE`] octets. It cannot be reversed: whoever wants to find the
/// resource again keeps a table by bare JID and this name, and takes a name it does not find for the resource itself.
#[must_use]
pub fn instance_digest(resource: &str) -> String {
    let sum = digest::digest(&digest::SHA256, resource.as_bytes());
    let mut name = String::from("~");
    // Five octets are eight digits of five bits.
    for block in sum.as_ref().chunks_exact(5).take(2) {
        let bits = block.iter().fold(0_u64, |bits, b| (bits << 8) | u64::from(*b));
        for digit in (0..8_u32).rev() {
            let five = (bits >> digit.saturating_mul(5)) & 0x1F;
            name.push(
                usize::try_from(five)
                    .ok()
                    .and_then(|at| BASE32.get(at))
                    .map_or('a', |b| char::from(*b)),
            );
        }
    }
    name
}

/// The parameters of a telephone number, as written after its first `;`, which a JID does not carry
/// (`phone-context` and its like, RFC 3261 §19.1.6).
#[must_use]
pub fn phone_context(uri: &SipUri) -> Option<&str> {
    let (_, parameters) = uri.user()?.split_once(';')?;
    is_phone(uri).then_some(parameters)
}

/// Why an address has no counterpart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// `tel:` or another scheme that RFC 7247 does not map.
    #[error(
        "the URI's scheme has no counterpart in XMPP, as it names no domain; a number is written sip:+4930123456@example.com"
    )]
    Scheme,
    /// `sips:`, and the policy is to refuse it.
    #[error("a sips: URI asks for TLS on every hop, which XMPP cannot promise (sips_over_xmpp = reject)")]
    Sips,
    /// Escapes that are not UTF-8.
    #[error("the escapes of the SIP URI do not make UTF-8 text")]
    NotUtf8,
    /// A host that is no domain name: an IP address, or a name that only one of the two protocols can write.
    #[error("the host of the address is not a domain name that both SIP and XMPP can use")]
    Host,
    /// A space first or last.
    #[error("the user part begins or ends with a space, which XEP-0106 forbids")]
    EdgeSpace,
    /// An escaped backslash that protects nothing.
    #[error(
        "the localpart escapes a backslash that needs no escape, so it shares its SIP address with another JID"
    )]
    IdleEscape,
    /// The text is no JID.
    #[error(transparent)]
    Jid(#[from] JidError),
}

impl Refuse for AddressError {
    fn class(&self) -> &'static str {
        match self {
            Self::Scheme => "address_scheme",
            Self::Sips => "address_sips",
            Self::NotUtf8 => "address_not_utf8",
            Self::Host => "address_host",
            Self::EdgeSpace => "address_edge_space",
            Self::IdleEscape => "address_idle_escape",
            Self::Jid(_) => "address_not_a_jid",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Sips => Fault::Policy,
            Self::Scheme | Self::NotUtf8 | Self::Host | Self::EdgeSpace | Self::IdleEscape | Self::Jid(_) => {
                Fault::Peer
            }
        }
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::Scheme => 416,
            Self::Sips => 480,
            Self::NotUtf8 => 400,
            Self::Host | Self::EdgeSpace | Self::IdleEscape => 484,
            Self::Jid(error) => error.sip_status(),
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::Sips => "policy-violation",
            Self::Scheme | Self::NotUtf8 | Self::Host | Self::EdgeSpace | Self::IdleEscape | Self::Jid(_) => {
                "jid-malformed"
            }
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::Scheme => "the URI scheme is not supported",
            Self::Sips => "sips is not available on this route",
            Self::NotUtf8 | Self::Host | Self::EdgeSpace | Self::IdleEscape | Self::Jid(_) => {
                "the address cannot be used on this route"
            }
        }
    }
}

/// `im:` and `pres:` are mailboxes: a local part, `@`, a domain, perhaps `?` and header fields (RFC 3859, RFC 3860).
fn opaque_to_jid(uri: &OpaqueUri) -> Result<Jid, AddressError> {
    if !matches!(uri.scheme(), "im" | "pres") {
        return Err(AddressError::Scheme);
    }
    let mailbox = uri.rest().split('?').next().unwrap_or_default();
    let (local, domain) = mailbox.rsplit_once('@').ok_or(AddressError::Host)?;
    let domain = HostName::parse(domain)
        .ok()
        .and_then(|name| Domain::parse(name.as_str()).ok())
        .ok_or(AddressError::Host)?;
    bare_jid(Some(local), domain)
}

fn bare_jid(user: Option<&str>, domain: Domain) -> Result<Jid, AddressError> {
    let Some(user) = user else {
        return Ok(Jid::from(domain));
    };
    let text = percent::decode(user).ok_or(AddressError::NotUtf8)?;
    let local = escape::escape(&fold(&text));
    if !escape::has_inner_spaces_only(&local) {
        return Err(AddressError::EdgeSpace);
    }
    let jid = Jid::new(Some(&local), domain, None)?;
    // The rules of the localpart must not have made another text of it.
    if jid.local().is_some_and(escape::is_canonical) {
        Ok(jid)
    } else {
        Err(AddressError::IdleEscape)
    }
}

/// User, host and `gr` as they were written.
fn observed(uri: &SipUri) -> Result<SipUri, AddressError> {
    let mut kept = SipUri::new(uri.scheme(), uri.host().clone());
    if let Some(user) = uri.user() {
        kept = kept.with_escaped_user(user).map_err(|_| AddressError::NotUtf8)?;
    }
    if is_phone(uri) {
        kept = kept.with_param("user", Some("phone"));
    }
    if let Some(instance) = uri.params().get("gr") {
        let resource = percent::decode(instance).ok_or(AddressError::NotUtf8)?;
        kept = kept.with_param("gr", Some(&resource));
    }
    Ok(kept)
}

fn set_instance(uri: &mut SipUri, jid: &Jid) {
    match jid.resource() {
        None => uri.params_mut().remove("gr"),
        Some(resource) if resource.len() > MOST_INSTANCE => {
            uri.params_mut().set("gr", Some(&instance_digest(resource)));
        }
        Some(resource) => uri.params_mut().set("gr", Some(resource)),
    }
}

/// The number before its parameters, where the user part is a telephone number.
fn number_of<'a>(uri: &SipUri, user: &'a str) -> &'a str {
    if is_phone(uri) {
        user.split_once(';').map_or(user, |(number, _)| number)
    } else {
        user
    }
}

fn is_phone(uri: &SipUri) -> bool {
    uri.params()
        .get("user")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("phone"))
}

/// Folds what PRECIS would fold into the characters of an escape: full width and ASCII case. PRECIS does the rest.
fn fold(text: &str) -> String {
    text.chars()
        .map(|c| match u32::from(c) {
            IDEOGRAPHIC_SPACE => ' ',
            FULL_WIDTH_FIRST..=FULL_WIDTH_LAST => u32::from(c)
                .checked_sub(FULL_WIDTH_OFFSET)
                .and_then(char::from_u32)
                .unwrap_or(c),
            _ => c,
        })
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Octets of a resource that [`to_uri`] writes out in full.
pub const MOST_INSTANCE: usize = 128;

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const IDEOGRAPHIC_SPACE: u32 = 0x3000;
const FULL_WIDTH_FIRST: u32 = 0xFF01;
const FULL_WIDTH_LAST: u32 = 0xFF5E;
const FULL_WIDTH_OFFSET: u32 = 0xFEE0;

#[cfg(test)]
mod tests;
