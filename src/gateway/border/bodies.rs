//! What bodies carry over the edge: session descriptions in both directions, and from inside to outside everything that
//! may name a place inside.
//!
//! What a person wrote is the person's own and is left alone, whatever it says. What a program wrote is read: an address
//! of media or of a device is replaced, and where it stands in a place that has no other word for it, the body does not
//! go outside. Neither does what cannot be read. RFC 3862, 3863, 4566, 5621.

mod document;

use std::borrow::Cow;

use crate::limits::XmlLimits;
use crate::mime::MediaType;
use crate::sip::multipart::Multipart;
use crate::sip::proxy::{Bodies, Proxy, Sessions, Terms, Way};
use crate::sip::sdp::Sdp;
use crate::sip::{Headers, Host, StatusCode, Uri};

/// What searches bodies that go between one user of ours and one foreign domain.
pub(super) struct Search<'s> {
    pub(super) proxy: &'s Proxy,
    pub(super) terms: &'s Terms,
    pub(super) xml: &'s XmlLimits,
    /// The address of our user: it stands for each of the user's devices.
    pub(super) own: &'s str,
    /// Where the body goes.
    pub(super) way: Way,
}

/// Why a body does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Withheld {
    /// Nothing is known of what its type may hold.
    #[error("{0} cannot be searched for names of the inside")]
    Opaque(String),
    /// It is not what its type says.
    #[error("{0} cannot be read, and so not be searched for names of the inside")]
    Unreadable(String),
    /// It names a place, where nothing else could stand.
    #[error("{0} names a place inside")]
    Named(String),
    /// It may hold a session of anything, where only those of messages pass.
    #[error("{0} cannot be read, and so not be searched for sessions of more than messages")]
    Session(String),
}

impl Withheld {
    /// The key of a foreign domain's entry that would let it go on, with its value.
    pub(super) const fn key(&self) -> &'static str {
        match self {
            Self::Opaque(_) | Self::Unreadable(_) | Self::Named(_) => "bodies = \"all\"",
            Self::Session(_) => "media = \"pass\"",
        }
    }
}

/// What becomes of a body: nothing, or another in its place.
type Searched = Result<Option<Vec<u8>>, Withheld>;

impl Search<'_> {
    /// The body that goes on in place of this one; `None` where it goes on as it is.
    ///
    /// # Errors
    /// [`Withheld`], where it may not go on.
    pub(super) fn search(&self, headers: &Headers, body: &[u8]) -> Searched {
        if self.way == Way::Inward && self.terms.sessions == Sessions::OfAnything {
            return Ok(None);
        }
        let kind = headers.content_type();
        if let Some(kind) = kind
            && self.way == Way::Outward
            && self.proxy.inner().is_shown_in(&kind.to_string())
        {
            self.permitted(Err(Withheld::Named(short(kind))))?;
        }
        if body.is_empty() {
            return Ok(None);
        }
        let Some(kind) = kind else {
            return self.opaque("unknown".to_owned());
        };
        let is_coded = headers
            .list("Content-Encoding")
            .any(|coding| !coding.eq_ignore_ascii_case("identity"));
        if is_coded && !is_of_people(kind) {
            return self.unread(kind, Withheld::Opaque(format!("{kind}, encoded")));
        }
        self.part(kind, body, DEPTH)
    }

    fn part(&self, kind: &MediaType, body: &[u8], depth: usize) -> Searched {
        if kind.is("application", "sdp") {
            return Ok(self.session(body));
        }
        if kind.kind() == "multipart" {
            return self.parts(kind, body, depth);
        }
        if self.way == Way::Inward || is_of_people(kind) {
            return Ok(None);
        }
        if kind.is("message", "cpim") {
            return self.enveloped(kind, body, depth);
        }
        if kind.is("message", "sipfrag") {
            return self.fragment(kind, body);
        }
        if document::is_document(kind) {
            return self.permitted(self.document(kind, body));
        }
        self.opaque(kind.to_string())
    }

    /// A session description. One that cannot be read goes as an empty one: nobody can make a session of either.
    fn session(&self, body: &[u8]) -> Option<Vec<u8>> {
        let Ok(sdp) = Sdp::parse(body) else {
            return match (self.way, self.terms.sessions) {
                (Way::Inward, Sessions::OfAnything) => None,
                (Way::Inward, Sessions::OfMessages) | (Way::Outward, _) => Some(Vec::new()),
            };
        };
        let host = self.proxy.public_host().to_string();
        let text = match (self.way, self.terms.sessions) {
            (Way::Inward, Sessions::OfAnything) => return None,
            (Way::Inward, Sessions::OfMessages) if !sdp.has_other_media() => return None,
            (Way::Inward, Sessions::OfMessages) => sdp.of_messages_only().to_string(),
            (Way::Outward, Sessions::OfMessages) => sdp.of_messages_only().hidden(&host),
            (Way::Outward, Sessions::OfAnything) => {
                sdp.hidden_but_media(&host, |value| self.proxy.inner().is_shown_in(value))
            }
        };
        Some(text.into_bytes())
    }

    fn parts(&self, kind: &MediaType, body: &[u8], depth: usize) -> Searched {
        let unreadable = || Withheld::Unreadable(short(kind));
        let read = Multipart::parse(kind, body).map_err(|_| unreadable());
        let (Ok(mut parts), Some(depth)) = (read, depth.checked_sub(1)) else {
            return self.unread(kind, unreadable());
        };
        for part in parts.parts_mut() {
            let coding = part.field("Content-Transfer-Encoding").unwrap_or("binary");
            let is_plain = ["7bit", "8bit", "binary"]
                .iter()
                .any(|plain| coding.eq_ignore_ascii_case(plain));
            if !is_plain && !is_of_people(part.kind()) {
                let why = Withheld::Opaque(format!("{} in {coding}", short(part.kind())));
                self.unread(part.kind(), why)?;
                continue;
            }
            let inner = self.proxy.inner();
            let shows = part.fields().any(|(_, value)| inner.is_shown_in(value));
            if shows && self.way == Way::Outward {
                self.permitted(Err(Withheld::Named(short(kind))))?;
            }
            if let Some(changed) = self.part(part.kind(), part.body(), depth)? {
                part.set_body(changed);
            }
        }
        // What is read here is then read in the same way wherever it goes.
        match (parts.written(), self.way) {
            (Some(written), _) => Ok(Some(written)),
            (None, Way::Inward) => self.unread(kind, unreadable()),
            (None, Way::Outward) => Err(unreadable()),
        }
    }

    /// CPIM (RFC 3862): who writes to whom, and what.
    fn enveloped(&self, kind: &MediaType, body: &[u8], depth: usize) -> Searched {
        let unreadable = || Withheld::Unreadable(short(kind));
        let parted = std::str::from_utf8(body).ok().and_then(|text| {
            let (envelope, rest) = text.split_once("\r\n\r\n")?;
            let (head, content) = rest.split_once("\r\n\r\n")?;
            Some((envelope, head, content))
        });
        let (Some((envelope, head, content)), Some(depth)) = (parted, depth.checked_sub(1)) else {
            return self.permitted(Err(unreadable()));
        };
        // The subject is the person's own.
        let shows = envelope
            .split("\r\n")
            .filter(|line| !line.to_ascii_lowercase().starts_with("subject:"))
            .chain(head.split("\r\n"))
            .any(|line| self.proxy.inner().is_shown_in(line));
        if shows {
            self.permitted(Err(Withheld::Named(short(kind))))?;
        }
        let field = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let inner = field
            .filter(|(name, _)| name.eq_ignore_ascii_case("Content-Type"))
            .map(|(_, value)| MediaType::parse(value.trim()))
            .next();
        let searched = match inner {
            Some(Ok(inner)) => self.part(&inner, content.as_bytes(), depth)?,
            Some(Err(_)) => return self.permitted(Err(unreadable())),
            None => None,
        };
        Ok(searched.map(|content| {
            let mut octets = format!("{envelope}\r\n\r\n{head}\r\n\r\n").into_bytes();
            octets.extend_from_slice(&content);
            octets
        }))
    }

    /// A piece of a SIP message (RFC 3420): of an answer its first line says all that who referred somebody needs.
    fn fragment(&self, kind: &MediaType, body: &[u8]) -> Searched {
        let text = std::str::from_utf8(body).ok();
        let line = text.and_then(|text| text.lines().next()).unwrap_or_default();
        let status = line
            .strip_prefix("SIP/2.0 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .and_then(StatusCode::new);
        match status {
            Some(status) => Ok(Some(
                format!("SIP/2.0 {status} {}\r\n", status.reason()).into_bytes(),
            )),
            None => self.opaque(short(kind)),
        }
    }

    /// What is not understood: it goes outside where the terms say so, and inside in any case.
    fn opaque(&self, kind: String) -> Searched {
        self.permitted(Err(Withheld::Opaque(kind)))
    }

    /// What cannot be read: where only sessions of messages pass, what may hold another goes neither way.
    fn unread(&self, kind: &MediaType, why: Withheld) -> Searched {
        let may_hold_sessions = kind.is("application", "sdp") || kind.kind() == "multipart";
        match self.permitted(Err(why))? {
            None if may_hold_sessions && self.terms.sessions == Sessions::OfMessages => {
                Err(Withheld::Session(short(kind)))
            }
            searched => Ok(searched),
        }
    }

    fn permitted(&self, searched: Searched) -> Searched {
        match (self.way, self.terms.bodies) {
            (Way::Inward, _) | (Way::Outward, Bodies::Any) => searched.or(Ok(None)),
            (Way::Outward, Bodies::Searched) => searched,
        }
    }

    /// The host of our user's address.
    fn own_host(&self) -> Option<Host> {
        match Uri::parse(self.own).ok()? {
            Uri::Sip(uri) => Some(uri.host().clone()),
            Uri::Other(_) => None,
        }
    }
}

/// The session descriptions of a body, also those in its parts.
///
/// # Errors
/// [`Withheld`] where the body cannot be read.
pub(super) fn sessions<'b>(kind: &MediaType, body: &'b [u8]) -> Result<Vec<Cow<'b, [u8]>>, Withheld> {
    let mut found = Vec::new();
    if kind.is("application", "sdp") {
        found.push(Cow::Borrowed(body));
    } else if kind.kind() == "multipart" {
        within(kind, body, DEPTH, &mut found)?;
    }
    Ok(found)
}

fn within(
    kind: &MediaType,
    body: &[u8],
    depth: usize,
    found: &mut Vec<Cow<'_, [u8]>>,
) -> Result<(), Withheld> {
    let unreadable = || Withheld::Unreadable(short(kind));
    let depth = depth.checked_sub(1).ok_or_else(unreadable)?;
    let parts = Multipart::parse(kind, body).map_err(|_| unreadable())?;
    for part in parts.parts() {
        if part.kind().is("application", "sdp") {
            found.push(Cow::Owned(part.body().to_vec()));
        } else if part.kind().kind() == "multipart" {
            within(part.kind(), part.body(), depth, found)?;
        }
    }
    Ok(())
}

/// What people write, draw and say: it is theirs, whatever it names.
fn is_of_people(kind: &MediaType) -> bool {
    match kind.kind() {
        "text" => TEXTS.contains(&kind.subtype()),
        "image" | "audio" | "video" => true,
        "application" => PEOPLE.contains(&kind.subtype()),
        _ => false,
    }
}

/// A type without its parameters.
fn short(kind: &MediaType) -> String {
    format!("{}/{}", kind.kind(), kind.subtype())
}

/// Text that people write or choose; other text is written by programs, and may say where these run.
const TEXTS: [&str; 14] = [
    "calendar",
    "csv",
    "directory",
    "enriched",
    "html",
    "markdown",
    "plain",
    "richtext",
    "rtf",
    "tab-separated-values",
    "vcard",
    "x-markdown",
    "x-vcalendar",
    "x-vcard",
];

/// Text and drawings under names of applications.
const PEOPLE: [&str; 3] = ["rtf", "x-ms-ink", "xhtml+xml"];

/// Parts within parts.
const DEPTH: usize = 4;

#[cfg(test)]
mod tests;
