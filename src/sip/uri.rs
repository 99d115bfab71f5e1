//! URIs: SIP and SIPS in parts, all others opaque (RFC 3261 §19.1, §25.1).
//!
//! Escapes are checked and kept as written, never decoded in place: `%40` in a user part is not an `@`, whoever reads
//! it next. The user part ends at the only unescaped `@`; a second one is refused, so that no two readers can disagree
//! about the host.

mod equivalence;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use super::error::Flaw;
use super::host::Host;
use super::lex;
use super::params::{UriParams, escape};

/// A URI as it stands in a Request-URI or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `sip:` or `sips:`.
    Sip(SipUri),
    /// Any other scheme: `tel:`, `im:`, `pres:`, `urn:` and what else there may be.
    Other(OpaqueUri),
}

/// Which of the two SIP schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`, TLS on every hop (RFC 3261 §26.2.2).
    Sips,
}

/// A SIP or SIPS URI in its parts. Equality is of the written parts; [`SipUri::is_equivalent`] is that of the RFC.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SipUri {
    scheme: Scheme,
    user: Option<Box<str>>,
    host: Host,
    port: Option<u16>,
    params: UriParams,
    rare: Option<Box<Rare>>,
}

/// What hardly any URI has: there are many of them, and some are kept for long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Rare {
    password: Option<Box<str>>,
    headers: Option<Box<str>>,
}

/// A URI of another scheme: its scheme in lowercase, and the rest as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OpaqueUri {
    scheme: String,
    rest: String,
}

impl Uri {
    /// Reads a URI.
    ///
    /// # Errors
    /// The [`Flaw`] that was met first.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let (scheme, rest) = text.split_once(':').ok_or(Flaw::Scheme)?;
        if scheme.eq_ignore_ascii_case("sip") {
            return SipUri::read(Scheme::Sip, rest).map(Self::Sip);
        }
        if scheme.eq_ignore_ascii_case("sips") {
            return SipUri::read(Scheme::Sips, rest).map(Self::Sip);
        }
        let clean = scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !clean || !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || rest.is_empty() {
            return Err(Flaw::Scheme);
        }
        lex::is_escaped_text(rest, is_uric)?;
        Ok(Self::Other(OpaqueUri {
            scheme: scheme.to_ascii_lowercase(),
            rest: rest.to_owned(),
        }))
    }

    /// The scheme in lowercase.
    #[must_use]
    pub fn scheme(&self) -> &str {
        match self {
            Self::Sip(uri) => uri.scheme.as_str(),
            Self::Other(uri) => &uri.scheme,
        }
    }

    /// The same without header fields, which have no place in a Request-URI (RFC 3261 §19.1.1).
    #[must_use]
    pub fn without_headers(self) -> Self {
        match self {
            Self::Sip(uri) => Self::Sip(uri.without_headers()),
            Self::Other(uri) => Self::Other(uri),
        }
    }

    /// The SIP or SIPS URI, where it is one.
    #[must_use]
    pub const fn sip(&self) -> Option<&SipUri> {
        match self {
            Self::Sip(uri) => Some(uri),
            Self::Other(_) => None,
        }
    }
}

impl Scheme {
    /// The scheme without its colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
        }
    }
}

impl SipUri {
    /// A URI of a host alone.
    #[must_use]
    pub fn new(scheme: Scheme, host: Host) -> Self {
        Self {
            scheme,
            user: None,
            host,
            port: None,
            params: UriParams::default(),
            rare: None,
        }
    }

    /// The same with a user part, given as the text it stands for; what may not stand in a user part is escaped. An
    /// empty text means none.
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        self.user = (!user.is_empty()).then(|| escape(user, is_user).into());
        self
    }

    /// The same with a user part in its escaped form.
    ///
    /// # Errors
    /// The [`Flaw`] of a text that may not stand there.
    pub fn with_escaped_user(mut self, user: &str) -> Result<Self, Flaw> {
        if user.is_empty() {
            return Err(Flaw::User);
        }
        lex::is_escaped_text(user, is_user)?;
        self.user = Some(user.into());
        Ok(self)
    }

    /// The same with a port; 0 means none.
    #[must_use]
    pub const fn with_port(mut self, port: u16) -> Self {
        self.port = if port == 0 { None } else { Some(port) };
        self
    }

    /// The same with a parameter set (see [`UriParams::set`]).
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Self {
        self.params.set(name, value);
        self
    }

    /// The same without its header fields.
    #[must_use]
    pub fn without_headers(mut self) -> Self {
        if let Some(rare) = &mut self.rare {
            rare.headers = None;
        }
        self.rare.take_if(|rare| **rare == Rare::default());
        self
    }

    /// `sip` or `sips`.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The user part as written, escapes not decoded.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The text that the user part stands for; `None` where there is none, or where its escapes are not UTF-8.
    #[must_use]
    pub fn user_text(&self) -> Option<Cow<'_, str>> {
        decode(self.user.as_deref()?)
    }

    /// The password as written; nothing good comes of one, but it is part of the URI's identity.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.rare.as_deref()?.password.as_deref()
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, where one is written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The parameters.
    #[must_use]
    pub const fn params(&self) -> &UriParams {
        &self.params
    }

    /// The parameters, to change.
    pub const fn params_mut(&mut self) -> &mut UriParams {
        &mut self.params
    }

    /// What follows `?`, as written.
    #[must_use]
    pub fn headers(&self) -> Option<&str> {
        self.rare.as_deref()?.headers.as_deref()
    }

    /// Whether the URI names a loose router (RFC 3261 §19.1.1 `lr`).
    #[must_use]
    pub fn is_loose_router(&self) -> bool {
        self.params.contains("lr")
    }

    /// Reads what follows the scheme and its colon.
    fn read(scheme: Scheme, text: &str) -> Result<Self, Flaw> {
        let (userinfo, rest) = match text.rsplit_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, text),
        };
        let (user, password) = match userinfo {
            None => (None, None),
            Some(userinfo) => {
                let (user, password) = match userinfo.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (userinfo, None),
                };
                if user.is_empty() {
                    return Err(Flaw::User);
                }
                lex::is_escaped_text(user, is_user)?;
                lex::is_escaped_text(password.unwrap_or_default(), is_password)?;
                (Some(user.into()), password.map(Into::into))
            }
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        if let Some(headers) = headers {
            check_headers(headers)?;
        }
        let end = rest.find(';').unwrap_or(rest.len());
        let (hostport, params) = rest.split_at_checked(end).ok_or(Flaw::Host)?;
        let (host, port) = host_port(hostport)?;
        let headers = headers.map(Into::into);
        let rare = Rare { password, headers };
        Ok(Self {
            scheme,
            user,
            host,
            port,
            params: UriParams::parse(params)?,
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
        })
    }
}

impl OpaqueUri {
    /// The scheme in lowercase.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What follows the colon, as written.
    #[must_use]
    pub fn rest(&self) -> &str {
        &self.rest
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(uri) => uri.fmt(f),
            Self::Other(OpaqueUri { scheme, rest }) => write!(f, "{scheme}:{rest}"),
        }
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme.as_str())?;
        f.write_str(":")?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = self.password() {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)?;
        if let Some(headers) = self.headers() {
            write!(f, "?{headers}")?;
        }
        Ok(())
    }
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Self {
        Self::Sip(uri)
    }
}

/// Reads `host [":" port]`, without blanks.
pub(super) fn host_port(text: &str) -> Result<(Host, Option<u16>), Flaw> {
    // A colon inside brackets belongs to the address.
    let start = text.find(']').unwrap_or(0);
    let colon = text
        .bytes()
        .enumerate()
        .skip(start)
        .find_map(|(at, b)| (b == b':').then_some(at));
    let Some((host, port)) = colon.and_then(|at| text.split_at_checked(at)) else {
        return Ok((Host::parse(text)?, None));
    };
    let port = lex::port(port.strip_prefix(':').unwrap_or(port))?;
    Ok((Host::parse(host)?, Some(port)))
}

/// Decodes `%HH`; `None` where the result is not UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let mut digit = || {
            char::from(bytes.next()?)
                .to_digit(16)
                .and_then(|n| u8::try_from(n).ok())
        };
        let (high, low) = (digit()?, digit()?);
        out.push(high.checked_shl(4)? | low);
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// `headers` of RFC 3261 §25.1: `name=value` joined by `&`, names not empty.
fn check_headers(text: &str) -> Result<(), Flaw> {
    for header in text.split('&') {
        let (name, value) = header.split_once('=').ok_or(Flaw::Parameter)?;
        if name.is_empty() {
            return Err(Flaw::Parameter);
        }
        lex::is_escaped_text(name, is_header_char)?;
        lex::is_escaped_text(value, is_header_char)?;
    }
    Ok(())
}

const fn is_user(b: u8) -> bool {
    lex::is_unreserved(b) || matches!(b, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
}

const fn is_password(b: u8) -> bool {
    lex::is_unreserved(b) || matches!(b, b'&' | b'=' | b'+' | b'$' | b',')
}

/// `hnv-unreserved` and `unreserved`.
const fn is_header_char(b: u8) -> bool {
    lex::is_unreserved(b) || matches!(b, b'[' | b']' | b'/' | b'?' | b':' | b'+' | b'$')
}

/// `uric`, with the brackets that IPv6 added (RFC 2732).
const fn is_uric(b: u8) -> bool {
    is_user(b) || matches!(b, b':' | b'@' | b'[' | b']')
}
