//! Entity-tags: the word that a version of a state is known by, so that nobody is told again what he has (RFC 5839).

use std::fmt;

use aws_lc_rs::digest;

use super::{Authorisation, Content};
use crate::limits::ENTITY_TAG_BYTES;
use crate::sip::{Headers, Request, lex};

/// A state that is told, with its tag: made once, however many are told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    tag: [u8; TAG],
    content: Content,
}

impl Entity {
    /// The request as one that tells this.
    #[must_use]
    pub fn told_by(&self, request: Request) -> Request {
        let Content { kind, body } = self.content.clone();
        let mut request = request.with_body(kind, body);
        EntityTag::Of(self.tag).put(&mut request);
        request
    }
}

impl From<Content> for Entity {
    fn from(content: Content) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(content.kind.to_string().as_bytes());
        hash.update(b"\n");
        hash.update(&content.body);
        let mut tag = [0; TAG];
        for (octet, of) in tag.iter_mut().zip(hash.finish().as_ref()) {
            *octet = *of;
        }
        Self { tag, content }
    }
}

/// The tag of what somebody is told: it depends on that alone, and says nothing of what he may not see.
//
//= rfc5839#6.1
//# The entity-tag MUST be unique across all versions of all entities for each state of a resource as reported by a
//# given event package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntityTag {
    /// He may not see it.
    Hidden,
    /// There is nothing to be seen.
    Empty,
    Of([u8; TAG]),
}

impl EntityTag {
    pub(super) fn of(authorisation: Authorisation, entity: Option<&Entity>) -> Self {
        match (authorisation, entity) {
            (Authorisation::Pending, _) => Self::Hidden,
            (Authorisation::Active, None) => Self::Empty,
            (Authorisation::Active, Some(entity)) => Self::Of(entity.tag),
        }
    }

    pub(super) fn put(self, request: &mut Request) {
        let headers = request.headers_mut();
        headers.remove(SIP_ETAG);
        // It is a token, so this cannot fail.
        let _ = headers.push(SIP_ETAG, &self.to_string());
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden => f.write_str("0"),
            Self::Empty => f.write_str("1"),
            Self::Of(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
        }
    }
}

/// What a subscriber does not want to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// No state at all.
    Any,
    /// The state with that tag, which he has.
    Has(EntityTag),
}

impl Condition {
    /// The condition of a SUBSCRIBE, where it is met by what would be told.
    pub(super) fn met(headers: &Headers, tag: EntityTag) -> Option<Self> {
        //= rfc5839#6.3
        //# A Suppress-If-Match header field that includes an entity-tag with the value of "*" MUST always evaluate to
        //# true.
        match single(headers, SUPPRESS_IF_MATCH)? {
            "*" => Some(Self::Any),
            asked => (asked == tag.to_string()).then_some(Self::Has(tag)),
        }
    }

    /// Whether it is met by a state.
    pub(super) fn is_met(self, tag: EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::Has(known) => known == tag,
        }
    }
}

/// The tag of a notification, where it is one and no longer than any that is meant well.
pub(super) fn tag_of(headers: &Headers) -> Option<&str> {
    single(headers, SIP_ETAG)
        .filter(|tag| tag.len() <= ENTITY_TAG_BYTES && *tag != "*" && lex::is_token_text(tag))
}

/// The value of a field that stands there once.
fn single<'h>(headers: &'h Headers, name: &'h str) -> Option<&'h str> {
    let mut values = headers.all(name);
    values.next().filter(|_| values.next().is_none())
}

/// Octets of a tag of ours: nobody comes upon two documents that have one.
const TAG: usize = 12;
pub(super) const SIP_ETAG: &str = "SIP-ETag";
pub(super) const SUPPRESS_IF_MATCH: &str = "Suppress-If-Match";
