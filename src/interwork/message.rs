//! Single messages: a SIP MESSAGE as a `<message/>`, a `<message/>` as a SIP MESSAGE (RFC 7572, RFC 3428).
//!
//! Both directions go over [`Im`], which belongs to neither protocol: [`from_sip`] and [`from_xmpp`] read into it,
//! [`to_sip`] and [`to_xmpp`] write from it. Sessions, composing, receipts and rooms are not here.
//!
//! Invariants of an [`Im`], which make what is written safe whatever a peer sent:
//! - A text holds only characters that XML 1.0 can carry: any other (NUL and other controls, U+FFFE, U+FFFF) is read as
//!   U+FFFD, so that its place stays visible and no message is lost over it. Lines end with LF.
//! - A subject is one line: controls and separators of lines are read as spaces.
//! - A language is a language tag; an `Im` has at least one body and not two of one language.

mod charset;
mod content;
mod html;
mod sip;
mod xmpp;

pub use self::sip::{Hop, Seed, Sending, Threading, from_sip, to_sip};
pub use self::xmpp::{from_xmpp, to_xmpp};

use super::address::{AddressError, Party};
use super::error::breaks_lines;
use crate::refusal::{Fault, Refuse};
use crate::sip::Date;

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

    fn line(text: &str, language: Option<Language>) -> Self {
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

/// Why a message does not cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A request that is no MESSAGE, or a stanza that is no message.
    #[error("this is not an instant message")]
    NotAMessage,
    /// An address without counterpart.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Max-Forwards has come to 0.
    #[error("the request has made all the hops it was allowed")]
    TooManyHops,
    /// Its time is over (Expires).
    #[error("the message had expired when it came")]
    Expired,
    /// A body of a type that we do not translate, or of none.
    #[error("the body is of a media type that is not translated")]
    MediaType,
    /// A character set that we do not read.
    #[error("the body is in a character set other than UTF-8, US-ASCII and ISO-8859-1")]
    Charset,
    /// A content encoding, which we do not undo.
    #[error("the body has a content encoding")]
    Encoding,
    /// A body that its own headers do not describe.
    #[error("the body is not what its Content-Type says")]
    Garbled,
    /// No text in the body.
    #[error("the message has no text")]
    Empty,
    /// Longer than the peer takes.
    #[error("the SIP request would have {octets} octets; the peer takes {most}")]
    TooLarge {
        /// What it would have.
        octets: usize,
        /// What the peer's profile allows.
        most: usize,
    },
    /// A value of our own that SIP cannot write: a defect of ours.
    #[error("the SIP request could not be made")]
    Unwritable,
    /// A stanza that is not translated and not answered: a headline, a groupchat message, an error, or one without
    /// text (chat states and their like).
    #[error("the stanza is of a kind that is not translated")]
    Silent,
}

impl MessageError {
    /// Whether the message is dropped without a word to its sender.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        matches!(self, Self::Silent)
    }
}

impl Refuse for MessageError {
    fn class(&self) -> &'static str {
        match self {
            Self::NotAMessage => "message_not_one",
            Self::Address(error) => error.class(),
            Self::TooManyHops => "message_too_many_hops",
            Self::Expired => "message_expired",
            Self::MediaType => "message_media_type",
            Self::Charset => "message_charset",
            Self::Encoding => "message_encoding",
            Self::Garbled => "message_garbled",
            Self::Empty => "message_empty",
            Self::TooLarge { .. } => "message_too_large",
            Self::Unwritable => "message_unwritable",
            Self::Silent => "message_not_translated",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Address(error) => error.fault(),
            Self::TooLarge { .. } => Fault::Policy,
            Self::Unwritable => Fault::Local,
            Self::NotAMessage
            | Self::TooManyHops
            | Self::Expired
            | Self::MediaType
            | Self::Charset
            | Self::Encoding
            | Self::Garbled
            | Self::Empty
            | Self::Silent => Fault::Peer,
        }
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::NotAMessage => 405,
            Self::Address(error) => error.sip_status(),
            Self::TooManyHops => 483,
            Self::Expired => 480,
            Self::MediaType | Self::Charset | Self::Encoding => 415,
            Self::Garbled | Self::Empty => 400,
            Self::TooLarge { .. } => 413,
            Self::Unwritable => 500,
            Self::Silent => 403,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::Address(error) => error.stanza_condition(),
            Self::TooLarge { .. } => "policy-violation",
            Self::Unwritable => "internal-server-error",
            Self::NotAMessage | Self::Silent => "feature-not-implemented",
            Self::TooManyHops
            | Self::Expired
            | Self::MediaType
            | Self::Charset
            | Self::Encoding
            | Self::Garbled
            | Self::Empty => "not-acceptable",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::NotAMessage => "not supported here",
            Self::Address(error) => error.peer_text(),
            Self::TooManyHops => "too many hops",
            Self::Expired => "the message had expired",
            Self::MediaType => "unsupported media type",
            Self::Charset => "unsupported character set",
            Self::Encoding => "unsupported content encoding",
            Self::Garbled => "the body does not match its type",
            Self::Empty => "the message has no text",
            Self::TooLarge { .. } => "the message is too long for this route",
            Self::Unwritable => "internal error",
            Self::Silent => "not translated",
        }
    }
}

/// The text that suits a reader best who can be given only one: that of the whole message's language, else the first.
fn preferred<'a>(texts: &'a [Text], language: Option<&Language>) -> Option<&'a Text> {
    texts
        .iter()
        .find(|text| text.language.is_none() || text.language.as_ref() == language)
        .or_else(|| texts.first())
}

fn add(texts: &mut Vec<Text>, text: Text) {
    let is_new = !texts.iter().any(|known| known.language == text.language);
    if is_new && !text.text.is_empty() && texts.len() < MOST_LANGUAGES {
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
    out
}

/// A text of one line: what ends lines or controls anything is a space, and what else XML cannot carry is U+FFFD.
fn line(text: &str) -> String {
    let clean: String = text
        .chars()
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
/// Translations of one text that a message may carry.
const MOST_LANGUAGES: usize = 16;

#[cfg(test)]
mod tests;
