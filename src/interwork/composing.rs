//! Composing: that somebody is typing, as a chat state, as an isComposing document, or as a Microsoft KeyboardActivity
//! (XEP-0085, RFC 3994, RFC 7573 §6).
//!
//! Reading and writing only: when to say it again, when an activity is over, and that nothing of this ever opens a
//! session, is the gateway's.
//!
//! | SIP | chat state | | chat state | SIP |
//! |--|--|--|--|--|
//! | active, type | composing | | composing | active |
//! | idle, any other | active | | active, paused, inactive | idle |
//! | | | | gone | nothing: the session ends |

use std::time::Duration;

use super::message::MessageError;
use super::message::cpim::Cpim;
use crate::limits::{DOCUMENT_BYTES, DOCUMENT_DEPTH, LONGEST_REFRESH, XmlLimits};
use crate::mime::MediaType;
use crate::sip::{Method, Request};
use crate::xml::{self, Element};
use crate::xmpp::stanza::{Kind, MessageType};
use crate::xmpp::{Jid, Stanza, ns};

/// What a chat partner does (XEP-0085 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChatState {
    /// Takes part.
    Active,
    /// Writes.
    Composing,
    /// Wrote, and stopped.
    Paused,
    /// Has not looked for a while.
    Inactive,
    /// Has left the conversation.
    Gone,
}

/// Whether somebody composes a message (RFC 3994 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Typing {
    /// Does.
    Active,
    /// Does not.
    Idle,
}

/// What a SIP peer says of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Whether the user composes.
    pub state: Typing,
    /// The time within which the peer says so again; `None` where it does not promise to.
    pub refresh: Option<Duration>,
}

impl ChatState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Active,
        Self::Composing,
        Self::Paused,
        Self::Inactive,
        Self::Gone,
    ];

    /// What it is called in XMPP.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Composing => "composing",
            Self::Paused => "paused",
            Self::Inactive => "inactive",
            Self::Gone => "gone",
        }
    }

    /// What SIP says for it (RFC 7573 §6, table 4); `None` for [`ChatState::Gone`], which ends the session instead.
    #[must_use]
    pub const fn to_typing(self) -> Option<Typing> {
        match self {
            Self::Composing => Some(Typing::Active),
            Self::Active | Self::Paused | Self::Inactive => Some(Typing::Idle),
            Self::Gone => None,
        }
    }
}

impl Typing {
    /// What XMPP says for it (RFC 7573 §6, table 3).
    #[must_use]
    pub const fn to_chat_state(self) -> ChatState {
        match self {
            Self::Active => ChatState::Composing,
            Self::Idle => ChatState::Active,
        }
    }
}

impl Activity {
    /// How long it holds unless it is said again: for an active one what the peer promised, or 120 s.
    ///
    //= rfc3994#3.3
    //# If the most recent "active"
    //# status message contained a <refresh> value, the refresh time-out is
    //# set to that value; otherwise, it is 120 seconds.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.refresh.unwrap_or(SILENCE)
    }
}

/// The chat state in a message to one user, alone or beside a body; `None` where there is none, or more than one, which
/// XEP-0085 §5.1 forbids.
#[must_use]
pub fn of_stanza(stanza: &Stanza) -> Option<ChatState> {
    match stanza.kind() {
        Kind::Message(MessageType::Normal | MessageType::Chat) => {}
        Kind::Message(MessageType::Groupchat | MessageType::Headline | MessageType::Error)
        | Kind::Presence(_)
        | Kind::Iq(_) => return None,
    }
    let mut states = stanza
        .element()
        .children()
        .filter(|child| child.ns() == CHAT_STATES)
        .filter_map(|child| {
            ChatState::ALL
                .into_iter()
                .find(|state| state.as_str() == child.name())
        });
    let state = states.next()?;
    states.next().is_none().then_some(state)
}

/// The message that says a state and nothing else. Servers are asked not to keep it (XEP-0334): who reads it later
/// learns nothing.
#[must_use]
pub fn to_stanza(state: ChatState, from: Jid, to: Jid, thread: Option<&str>) -> Stanza {
    let mut stanza = Stanza::new(Kind::Message(MessageType::Chat), from, to);
    if let Some(thread) = thread {
        stanza.push(Element::new("thread", ns::STANZA).with_text(thread));
    }
    stanza
        .with_child(Element::new(state.as_str(), CHAT_STATES))
        .with_child(Element::new("no-store", HINTS))
}

/// Whether a body of that type may say that somebody is typing; the type of Microsoft's is also that of others, so only
/// [`of_request`] is sure.
#[must_use]
pub fn is_activity(kind: &MediaType) -> bool {
    is_document(kind) || kind.is("application", "xml")
}

/// Reads an INFO with a KeyboardActivity, or a MESSAGE (or INFO) with an isComposing document, in a CPIM wrapper or
/// without.
///
/// # Errors
/// [`MessageError::MediaType`] for another body, [`MessageError::Garbled`] for one that is not what it says.
pub fn of_request(request: &Request) -> Result<Activity, MessageError> {
    let is_info = *request.method() == Method::Info;
    if !is_info && *request.method() != Method::Message {
        return Err(MessageError::NotAMessage);
    }
    let kind = request.headers().content_type().ok_or(MessageError::MediaType)?;
    if is_info && kind.is("application", "xml") {
        read_keyboard(&document(request.body())?)
    } else if is_document(kind) {
        read_composing(&document(request.body())?)
    } else if kind.is("message", "cpim") {
        let content = Cpim::read(request.body())?.content;
        if !is_document(content.kind()) {
            return Err(MessageError::MediaType);
        }
        read_composing(&document(&content.octets()?)?)
    } else {
        Err(MessageError::MediaType)
    }
}

/// Whether a MESSAGE carries an isComposing document, and so no words.
pub(super) fn is_composing_request(request: &Request) -> bool {
    let Some(kind) = request.headers().content_type() else {
        return false;
    };
    *request.method() == Method::Message
        && (is_document(kind)
            || kind.is("message", "cpim")
                && Cpim::read(request.body()).is_ok_and(|cpim| is_document(cpim.content.kind())))
}

/// Whether a media type or range, as a session description or Accept lists it, covers the document.
#[must_use]
pub fn covers_document(range: &str) -> bool {
    let name = range.split(';').next().unwrap_or_default().trim();
    ["*", "*/*", "application/*", "application/im-iscomposing+xml"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// Puts the state into a text that is said by whoever takes part (XEP-0085 §5.1).
pub fn mark_active(text: &mut Stanza) {
    text.push(Element::new(ChatState::Active.as_str(), CHAT_STATES));
}

fn is_document(kind: &MediaType) -> bool {
    kind.is("application", "im-iscomposing+xml")
}

/// The body of Microsoft's INFO.
#[must_use]
pub fn keyboard_activity(typing: Typing) -> (MediaType, String) {
    let status = match typing {
        Typing::Active => "type",
        Typing::Idle => "idle",
    };
    let body =
        format!("<?xml version=\"1.0\"?><KeyboardActivity><status status=\"{status}\"/></KeyboardActivity>");
    (MediaType::plain("application", "xml"), body)
}

/// An isComposing document (RFC 3994 §6). `refresh` is when it will be said again; less than a minute is not asked of
/// anybody (§3.2), and an idle state has none.
#[must_use]
pub fn is_composing(typing: Typing, refresh: Option<Duration>) -> (MediaType, String) {
    let (state, refresh) = match typing {
        Typing::Active => ("active", refresh),
        Typing::Idle => ("idle", None),
    };
    let refresh = refresh
        .map(|time| format!("<refresh>{}</refresh>", time.as_secs().max(LEAST_REFRESH)))
        .unwrap_or_default();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><isComposing xmlns=\"{IS_COMPOSING}\"><state>{state}</state>\
         <contenttype>text/plain</contenttype>{refresh}</isComposing>"
    );
    (MediaType::plain("application", "im-iscomposing+xml"), body)
}

/// A small XML document in a SIP body, by our one reader.
pub(super) fn document(body: &[u8]) -> Result<Element, MessageError> {
    let limits = XmlLimits {
        element_bytes: DOCUMENT_BYTES,
        depth: DOCUMENT_DEPTH,
        ..XmlLimits::default()
    };
    xml::document(body, &limits).map_err(|_| MessageError::Garbled)
}

fn read_keyboard(root: &Element) -> Result<Activity, MessageError> {
    if root.name() != "KeyboardActivity" {
        return Err(MessageError::MediaType);
    }
    let status = root
        .children()
        .find(|child| child.name() == "status")
        .and_then(|child| child.attribute("status"))
        .ok_or(MessageError::Garbled)?;
    let state = if status.trim().eq_ignore_ascii_case("type") {
        Typing::Active
    } else {
        Typing::Idle
    };
    Ok(Activity { state, refresh: None })
}

fn read_composing(root: &Element) -> Result<Activity, MessageError> {
    if !root.is("isComposing", IS_COMPOSING) {
        return Err(MessageError::Garbled);
    }
    let state = root.child("state", IS_COMPOSING).ok_or(MessageError::Garbled)?;
    //= rfc3994#3.5
    //# Recipients of status messages implementing this specification without
    //# extensions MUST treat state tokens other than "idle" and "active" as
    //# "idle".
    let state = match state.text().trim() {
        "active" => Typing::Active,
        _ => Typing::Idle,
    };
    // What is no positive number promises nothing.
    let refresh = root
        .child("refresh", IS_COMPOSING)
        .and_then(|refresh| refresh.text().trim().parse::<u64>().ok())
        .filter(|seconds| *seconds > 0 && state == Typing::Active)
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_REFRESH));
    Ok(Activity { state, refresh })
}

/// Chat states (XEP-0085).
const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Message processing hints (XEP-0334).
const HINTS: &str = "urn:xmpp:hints";
/// RFC 3994 §6.
const IS_COMPOSING: &str = "urn:ietf:params:xml:ns:im-iscomposing";
/// RFC 3994 §3.2: seconds of the shortest interval at which a state is said again.
const LEAST_REFRESH: u64 = 60;
/// RFC 3994 §3.3.
const SILENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
