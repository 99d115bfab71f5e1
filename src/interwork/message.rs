//! Single messages: a SIP MESSAGE as a `<message/>`, a `<message/>` as a SIP MESSAGE (RFC 7572, RFC 3428).
//!
//! Both directions go over [`Im`], which belongs to neither protocol: [`from_sip`] and [`from_xmpp`] read into it,
//! [`to_sip`] and [`to_xmpp`] write from it. Sessions, composing, receipts and rooms are not here.
//!
//! Invariants of an [`Im`], which make what is written safe whatever a peer sent:
//! - A text holds only characters that XML 1.0 can carry: any other (NUL and other controls, U+FFFE, U+FFFF) is read as
//!   U+FFFD, so that its place stays visible and no message is lost over it. Lines end with LF, and with them what turns
//!   the direction of text.
//! - A subject is one line: controls and separators of lines are read as spaces, and nothing turns its direction.
//! - A language is a language tag; an `Im` has at least one body and not two of one language.

mod bidi;
mod charset;
mod content;
pub(super) mod cpim;
mod error;
mod html;
pub(super) mod multipart;
mod part;
mod rtf;
mod sip;
mod split;
mod xhtml;
mod xmpp;

pub(super) use self::bidi::is_control as is_direction_control;
pub use self::error::MessageError;
pub use self::sip::{
    Hop, Seed, Sending, Threading, addressee, fitting, from_session, from_sip, octets, parties,
    parties_within, say, to_sip, to_sip_in_parts, unwrapped, uri_of,
};
pub use self::xmpp::{from_xmpp, to_xmpp};
pub(super) use self::xmpp::{read_stamp, stamp};

use super::address::Party;
use super::error::breaks_lines;
use crate::limits::LANGUAGES_OF_A_TEXT;
use crate::mime::MediaType;
use crate::sip::{Date, Request};
use crate::xml::Element;

/// One instant message between two parties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Im {
    from: Party,
    to: Party,
    id: Option<String>,
    thread: Option<String>,
    kind: ImKind,
    language: Option<Language>,
    subjects: Vec<Text>,
    bodies: Vec<Text>,
    sent: Option<Date>,
    rich: Option<Element>,
}

/// Whether a message belongs to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImKind {
    /// On its own: what a SIP MESSAGE outside a session is.
    Single,
    /// In a one-to-one chat.
    Chat,
}

/// A text, perhaps with a language of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    language: Option<Language>,
    text: String,
}

/// A language tag (RFC 5646 §2.1, by its form only).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Language(String);

impl Im {
    /// A message with one body, which may be empty here only.
    #[must_use]
    pub fn new(from: Party, to: Party, body: &str) -> Self {
        Self {
            from,
            to,
            id: None,
            thread: None,
            kind: ImKind::Single,
            language: None,
            subjects: Vec::new(),
            bodies: vec![Text::new(body, None)],
            sent: None,
            rich: None,
        }
    }

    /// The same with the identifier that an answer repeats.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(line(id)).filter(|id| !id.is_empty());
        self
    }

    /// The same in a conversation of that name.
    #[must_use]
    pub fn with_thread(mut self, thread: &str) -> Self {
        self.thread = Some(line(thread)).filter(|thread| !thread.is_empty());
        self
    }

    /// The same of another kind.
    #[must_use]
    pub const fn with_kind(mut self, kind: ImKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same in a language, for those texts that have none of their own.
    #[must_use]
    pub fn with_language(mut self, language: Option<Language>) -> Self {
        self.language = language;
        self
    }

    /// The same with a subject.
    #[must_use]
    pub fn with_subject(mut self, subject: &str) -> Self {
        add(&mut self.subjects, Text::line(subject, None));
        self
    }

    /// The same with one more body; one of a language that is there already is left out.
    #[must_use]
    pub fn with_body(mut self, body: Text) -> Self {
        add(&mut self.bodies, body);
        self
    }

    /// The same with the time at which it was sent, where that is not just now.
    #[must_use]
    pub const fn with_sent(mut self, sent: Option<Date>) -> Self {
        self.sent = sent;
        self
    }

    /// The same with its body as XHTML-IM too, as [`from_sip`] reduces it.
    #[must_use]
    fn with_rich(mut self, rich: Option<Element>) -> Self {
        self.rich = rich;
        self
    }

    /// The same saying only this.
    fn saying(&self, text: &str, language: Option<Language>) -> Self {
        Self {
            bodies: vec![Text::new(text, language)],
            rich: None,
            ..self.clone()
        }
    }

    /// The same from another party: another device of the sender, or another spelling.
    #[must_use]
    pub fn with_from(mut self, from: Party) -> Self {
        self.from = from;
        self
    }

    /// The same for another party: the device that a conversation is locked to, or another spelling.
    #[must_use]
    pub fn with_to(mut self, to: Party) -> Self {
        self.to = to;
        self
    }

    /// Who sent it.
    #[must_use]
    pub const fn from(&self) -> &Party {
        &self.from
    }

    /// Whom it is for.
    #[must_use]
    pub const fn to(&self) -> &Party {
        &self.to
    }

    /// The identifier: a stanza's id, or the branch of a SIP transaction.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The conversation: an XMPP thread, or a Call-ID.
    #[must_use]
    pub fn thread(&self) -> Option<&str> {
        self.thread.as_deref()
    }

    /// Whether it belongs to a conversation.
    #[must_use]
    pub const fn kind(&self) -> ImKind {
        self.kind
    }

    /// The language of those texts that have none of their own.
    #[must_use]
    pub const fn language(&self) -> Option<&Language> {
        self.language.as_ref()
    }

    /// The subjects, at most one a language.
    #[must_use]
    pub fn subjects(&self) -> &[Text] {
        &self.subjects
    }

    /// The bodies, at most one a language.
    #[must_use]
    pub fn bodies(&self) -> &[Text] {
        &self.bodies
    }

    /// The body as XHTML-IM, where it has markup (XEP-0071): the element `html`.
    #[must_use]
    pub const fn rich(&self) -> Option<&Element> {
        self.rich.as_ref()
    }

    /// When it was sent, where that is not just now.
    #[must_use]
    pub const fn sent(&self) -> Option<Date> {
        self.sent
    }
}

impl Text {
    /// A text of many lines.
    #[must_use]
    pub fn new(text: &str, language: Option<Language>) -> Self {
        Self {
            language,
            text: lines(text),
        }
    }

    pub(super) fn line(text: &str, language: Option<Language>) -> Self {
        Self {
            language,
            text: line(text),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its own language.
    #[must_use]
    pub const fn language(&self) -> Option<&Language> {
        self.language.as_ref()
    }
}

impl Language {
    /// Reads a tag; `None` for what is none.
    #[must_use]
    pub fn parse(tag: &str) -> Option<Self> {
        let tag = tag.trim_matches([' ', '\t']);
        let mut subtags = tag.split('-');
        let starts_well = subtags
            .next()
            .is_some_and(|first| !first.is_empty() && first.bytes().all(|b| b.is_ascii_alphabetic()));
        let fits = |subtag: &str| {
            (1..=MOST_SUBTAG).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        (starts_well && tag.len() <= MOST_TAG && tag.split('-').all(fits)).then(|| Self(tag.to_owned()))
    }

    /// The tag as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text of a request's body, as a text of many lines.
pub(super) fn text_of(request: &Request) -> Result<String, MessageError> {
    content::read(request).map(|content| lines(&content.text))
}

/// The text of octets of that type, as a text of many lines.
pub(super) fn text_of_octets(kind: &MediaType, octets: &[u8]) -> Result<String, MessageError> {
    content::read_octets(kind, octets).map(|content| lines(&content.text))
}

/// The text that suits a reader best who can be given only one: that of the whole message's language, else the first.
fn preferred<'a>(texts: &'a [Text], language: Option<&Language>) -> Option<&'a Text> {
    texts
        .iter()
        .find(|text| text.language.is_none() || text.language.as_ref() == language)
        .or_else(|| texts.first())
}

pub(super) fn add(texts: &mut Vec<Text>, text: Text) {
    let is_new = !texts.iter().any(|known| known.language == text.language);
    if is_new && !text.text.is_empty() && texts.len() < LANGUAGES_OF_A_TEXT {
        // Most have one, and some are kept for long.
        texts.reserve_exact(1);
        texts.push(text);
    }
}

/// A text of many lines: LF ends them, and what XML cannot carry is U+FFFD.
fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            c if fits_xml(c) => out.push(c),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
    bidi::balanced(out)
}

/// A text of one line: what ends lines or controls anything is a space, and what else XML cannot carry is U+FFFD.
fn line(text: &str) -> String {
    let clean: String = text
        .chars()
        .filter(|c| !bidi::is_control(*c))
        .map(|c| match c {
            c if breaks_lines(c) => ' ',
            c if fits_xml(c) => c,
            _ => char::REPLACEMENT_CHARACTER,
        })
        .collect();
    clean.trim_matches(' ').to_owned()
}

/// XML 1.0 production 2.
const fn fits_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

/// RFC 5646 §2.1: a subtag has at most eight characters; a tag longer than this is no language anybody reads.
const MOST_SUBTAG: usize = 8;
const MOST_TAG: usize = 64;

#[cfg(test)]
mod tests;
