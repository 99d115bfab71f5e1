//! Stream headers: what a peer's must say, and ours.
//!
//! RFC 6120 §4.7 (attributes), §4.8 (namespaces).

use crate::domain::Domain;
use crate::xml::StreamHeader;
use crate::xmpp::stream::refusal::StreamRefusal;
use crate::xmpp::{Jid, ns};

/// A peer's header, checked as far as it can be without knowing the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::xmpp) struct Header {
    pub(in crate::xmpp) from: Option<Domain>,
    pub(in crate::xmpp) to: Option<Domain>,
    pub(in crate::xmpp) id: Option<String>,
    pub(in crate::xmpp) version: Version,
    /// Whether a prefix is declared for dialback, which is how servers older than features offer it.
    pub(in crate::xmpp) dialback: Advertised,
    pub(in crate::xmpp) language: Option<String>,
}

/// The version of a stream (RFC 6120 §4.7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::xmpp) enum Version {
    /// None, or below 1.0: no features, no TLS, no SASL.
    Old,
    /// 1.0 or above.
    One,
}

/// Whether something is advertised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::xmpp) enum Advertised {
    Yes,
    No,
}

impl Header {
    pub(in crate::xmpp) fn read(header: &StreamHeader, content: &str) -> Result<Self, StreamRefusal> {
        if header.ns() != ns::STREAM {
            return Err(StreamRefusal::Namespace);
        }
        if header.name() != "stream" {
            return Err(StreamRefusal::NotAStream);
        }
        // Without a content namespace as the default, each element names its own (RFC 6120 §4.8.2, "prefix-free").
        if !matches!(header.content_ns(), "" | ns::STREAM) && header.content_ns() != content {
            return Err(StreamRefusal::Namespace);
        }
        // The customary prefix on anything else is an error of its own in RFC 3920 §8.3, and never honest.
        if header
            .prefixes()
            .any(|(prefix, uri)| prefix == "db" && uri != ns::DIALBACK)
        {
            return Err(StreamRefusal::Namespace);
        }
        Ok(Self {
            from: domain(header.attribute("from")).map_err(|()| StreamRefusal::FromInvalid)?,
            to: domain(header.attribute("to")).map_err(|()| StreamRefusal::HostUnknown)?,
            id: header
                .attribute("id")
                .filter(|id| !id.is_empty())
                .map(str::to_owned),
            version: version(header.attribute("version"))?,
            dialback: if header.declares(ns::DIALBACK) {
                Advertised::Yes
            } else {
                Advertised::No
            },
            language: header.attribute("xml:lang").map(str::to_owned),
        })
    }
}

/// The attributes of our own header; a response has an id, and an answer to an old peer no version.
///
/// Only a response names a language (where RFC 6120 §4.7.4 says MUST): it is that of our error texts. An initial header
/// with one would give it to every stanza that comes without, and those are not ours.
pub(in crate::xmpp) fn attributes(
    from: Option<&Domain>,
    to: Option<&Domain>,
    id: Option<&str>,
    version: Version,
) -> Vec<(&'static str, String)> {
    let name = |domain: &Domain| Jid::from(domain.clone()).to_string();
    [
        ("from", from.map(name)),
        ("to", to.map(name)),
        ("id", id.map(str::to_owned)),
        ("version", (version == Version::One).then(|| "1.0".to_owned())),
        ("xml:lang", id.map(|_| "en".to_owned())),
    ]
    .into_iter()
    .filter_map(|(attribute, value)| value.map(|value| (attribute, value)))
    .collect()
}

fn domain(attribute: Option<&str>) -> Result<Option<Domain>, ()> {
    match attribute {
        None | Some("") => Ok(None),
        Some(text) => Domain::parse(text).map(Some).map_err(|_| ()),
    }
}

//= rfc6120#4.7.5
//# The major and minor numbers MUST be treated as separate integers
fn version(attribute: Option<&str>) -> Result<Version, StreamRefusal> {
    let Some(text) = attribute else {
        return Ok(Version::Old);
    };
    let number = |digits: &str| -> Option<u32> {
        let are_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        are_digits.then(|| digits.parse().ok()).flatten()
    };
    let (major, minor) = text.split_once('.').ok_or(StreamRefusal::Version)?;
    match (number(major), number(minor)) {
        (Some(0), Some(_)) => Ok(Version::Old),
        (Some(_), Some(_)) => Ok(Version::One),
        _ => Err(StreamRefusal::Version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_and_not_text() {
        for (text, expected) in [
            (None, Ok(Version::Old)),
            (Some("0.9"), Ok(Version::Old)),
            (Some("1.0"), Ok(Version::One)),
            (Some("01.0"), Ok(Version::One)),
            (Some("1.13"), Ok(Version::One)),
            (Some("12.3"), Ok(Version::One)),
            (Some("1"), Err(StreamRefusal::Version)),
            (Some(""), Err(StreamRefusal::Version)),
            (Some("1."), Err(StreamRefusal::Version)),
            (Some("+1.0"), Err(StreamRefusal::Version)),
            (Some("1.0.0"), Err(StreamRefusal::Version)),
            (Some("99999999999.0"), Err(StreamRefusal::Version)),
        ] {
            assert_eq!(version(text), expected, "{text:?}");
        }
    }
}
