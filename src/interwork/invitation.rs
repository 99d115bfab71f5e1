//! Invitations: what an INVITE asks for, and the session descriptions of conversations whose messages go in the dialog
//! itself, as Microsoft's servers have them.
//!
//! Only conversations of two are taken. What is refused is refused with a text that a user can read; nothing here knows
//! who invites whom.

use super::message::multipart;
use crate::limits::SESSION_STREAMS;
use crate::mime::MediaType;
use crate::refusal::{Fault, Refuse};
use crate::sip::sdp::{Media, Sdp};
use crate::sip::{Host, Method, Request, Uri};

/// What an INVITE asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitation {
    /// A conversation, with these streams.
    Messages(Streams),
    /// It says nothing: we are to offer in the 2xx (RFC 3261 §13.2.1).
    Offerless,
}

/// The streams of a session description: one that carries messages, and others, all of which are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams(Vec<Stream>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stream {
    Messages(MessageMedia),
    /// The medium and what would carry it.
    Refused(String, String),
}

/// What the stream of messages is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageMedia {
    /// `message`.
    Message,
    /// `x-ms-message`, of the first of these clients.
    Legacy,
}

impl MessageMedia {
    /// The name in the `m=` line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Legacy => "x-ms-message",
        }
    }
}

impl Streams {
    /// One stream of messages and nothing else.
    #[must_use]
    pub fn of(media: MessageMedia) -> Self {
        Self(vec![Stream::Messages(media)])
    }

    /// What the stream of messages is called.
    #[must_use]
    pub fn media(&self) -> MessageMedia {
        self.0
            .iter()
            .find_map(|stream| match stream {
                Stream::Messages(media) => Some(*media),
                Stream::Refused(..) => None,
            })
            .unwrap_or(MessageMedia::Message)
    }

    /// The first stream of messages that is open is taken; `None` where there is none, or any other that is open.
    fn read(sdp: &Sdp<'_>) -> Option<Self> {
        let mut streams = Vec::new();
        let mut found = false;
        if sdp.media().count() > SESSION_STREAMS {
            return None;
        }
        for media in sdp.media() {
            match message_media(media) {
                Some(name) if !found && media.port != 0 => {
                    found = true;
                    streams.push(Stream::Messages(name));
                }
                None if media.port != 0 => return None,
                Some(_) | None => {
                    streams.push(Stream::Refused(media.kind.to_owned(), media.protocol.to_owned()));
                }
            }
        }
        found.then_some(Self(streams))
    }
}

/// Why an invitation is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvitationRefused {
    /// The request is no INVITE.
    #[error("the request is no INVITE")]
    NotAnInvitation,
    /// A conversation of more than two.
    #[error(
        "the invitation is to a conversation of more than two, and only conversations of two are translated"
    )]
    Multiparty,
    /// A meeting.
    #[error("the invitation is to a conference, which is not translated")]
    Conference,
    /// A file.
    #[error("the invitation is to a file transfer, which is not translated")]
    FileTransfer,
    /// Voice or video.
    #[error("the invitation is to a call with voice or video, which is not translated")]
    Call,
    /// Messages, but over MSRP.
    #[error("the invitation is to a session of messages over MSRP, which is not translated")]
    Msrp,
    /// A shared screen, a whiteboard, or anything else.
    #[error("the invitation is to something other than messages, which is not translated")]
    OtherMedia,
    /// The session description cannot be read.
    #[error("the session description of the invitation cannot be read")]
    Description,
    /// A body that is no session description.
    #[error("the body of the invitation is of a media type that is not translated")]
    MediaType,
}

impl Refuse for InvitationRefused {
    fn class(&self) -> &'static str {
        match self {
            Self::NotAnInvitation => "invitation_not_one",
            Self::Multiparty => "invitation_multiparty",
            Self::Conference => "invitation_conference",
            Self::FileTransfer => "invitation_file_transfer",
            Self::Call => "invitation_call",
            Self::Msrp => "invitation_msrp",
            Self::OtherMedia => "invitation_other_media",
            Self::Description => "invitation_description",
            Self::MediaType => "invitation_media_type",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::NotAnInvitation | Self::Description | Self::MediaType => Fault::Peer,
            Self::Multiparty
            | Self::Conference
            | Self::FileTransfer
            | Self::Call
            | Self::Msrp
            | Self::OtherMedia => Fault::Policy,
        }
    }

    fn sip_status(&self) -> u16 {
        match self {
            Self::NotAnInvitation => 405,
            Self::Multiparty | Self::Conference | Self::Call | Self::Msrp | Self::OtherMedia => 488,
            // 606 would be shown as content that a filter caught.
            Self::FileTransfer => 603,
            Self::Description => 400,
            Self::MediaType => 415,
        }
    }

    fn stanza_condition(&self) -> &'static str {
        match self {
            Self::NotAnInvitation => "feature-not-implemented",
            Self::Multiparty
            | Self::Conference
            | Self::FileTransfer
            | Self::Call
            | Self::Msrp
            | Self::OtherMedia
            | Self::Description
            | Self::MediaType => "not-acceptable",
        }
    }

    fn peer_text(&self) -> &'static str {
        match self {
            Self::NotAnInvitation => "not supported here",
            Self::Multiparty => "only conversations of two people are possible with this contact",
            Self::Conference => "meetings are not possible with this contact",
            Self::FileTransfer => "files cannot be sent to this contact",
            Self::Call => "calls are not possible with this contact",
            Self::Msrp => "sessions over MSRP are not possible with this contact",
            Self::OtherMedia => "only messages are possible with this contact",
            Self::Description => "the session description cannot be read",
            Self::MediaType => "unsupported media type",
        }
    }
}

/// Says what an INVITE asks for.
///
/// # Errors
/// [`InvitationRefused`]: the answer that refuses it.
pub fn judge(request: &Request) -> Result<Invitation, InvitationRefused> {
    if !matches!(request.method(), Method::Invite | Method::Update) {
        return Err(InvitationRefused::NotAnInvitation);
    }
    if is_multiparty(request) {
        return Err(InvitationRefused::Multiparty);
    }
    if request.body().is_empty() {
        return Ok(Invitation::Offerless);
    }
    let kind = request
        .headers()
        .content_type()
        .ok_or(InvitationRefused::MediaType)?;
    let encoded = request
        .headers()
        .list("Content-Encoding")
        .any(|coding| !coding.eq_ignore_ascii_case("identity"));
    if encoded {
        return Err(InvitationRefused::MediaType);
    }
    if kind.is_of("multipart") {
        return judge_parts(kind, request.body());
    }
    judge_body(kind, request.body())
}

/// Our own session description for a conversation (RFC 3264 §5): the port means nothing, the messages go in the dialog.
#[must_use]
pub fn offer(host: &Host, media: MessageMedia) -> String {
    describe(host, &Streams::of(media), "null")
}

/// Our answer to an offer (RFC 3264 §6): as many streams as there were offered, all but one refused. `uri` is what
/// these servers write there, the address of the caller.
#[must_use]
pub fn answer(host: &Host, streams: &Streams, uri: &Uri) -> String {
    describe(host, streams, &uri.to_string())
}

fn describe(host: &Host, streams: &Streams, uri: &str) -> String {
    let family = match host {
        Host::V6(_) => "IP6",
        Host::V4(_) | Host::Name(_) => "IP4",
    };
    // In a session description an IPv6 address has no brackets.
    let host = host.to_string();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut text =
        format!("v=0\r\no=- 0 0 IN {family} {host}\r\ns=session\r\nc=IN {family} {host}\r\nt=0 0\r\n");
    for stream in &streams.0 {
        match stream {
            Stream::Messages(media) => {
                text.push_str("m=");
                text.push_str(media.as_str());
                text.push_str(" 5060 sip ");
                text.push_str(uri);
                text.push_str("\r\na=accept-types:");
                text.push_str(ACCEPT_TYPES);
                text.push_str("\r\n");
            }
            Stream::Refused(kind, protocol) => {
                text.push_str("m=");
                text.push_str(kind);
                text.push_str(" 0 ");
                text.push_str(protocol);
                text.push_str(" 0\r\n");
            }
        }
    }
    text
}

/// Microsoft's marks of a conversation of more than two.
fn is_multiparty(request: &Request) -> bool {
    let headers = request.headers();
    headers
        .list("Require")
        .any(|tag| tag.eq_ignore_ascii_case("com.microsoft.rtc-multiparty"))
        || headers
            .all("TriggeredInvite")
            .any(|value| value.trim().eq_ignore_ascii_case("TRUE"))
        || headers.list("EndPoints").count() > 2
}

fn judge_body(kind: &MediaType, body: &[u8]) -> Result<Invitation, InvitationRefused> {
    if kind.is("application", "ms-conf-invite+xml") {
        return Err(InvitationRefused::Conference);
    }
    if is_file_transfer(kind) {
        return Err(InvitationRefused::FileTransfer);
    }
    if !kind.is("application", "sdp") {
        return Err(InvitationRefused::MediaType);
    }
    let sdp = Sdp::parse(body).map_err(|_| InvitationRefused::Description)?;
    match Streams::read(&sdp) {
        Some(streams) => Ok(Invitation::Messages(streams)),
        None => Err(refused_media(&sdp)),
    }
}

/// The first part that asks for a conversation decides, unless any part is about a file or a meeting.
fn judge_parts(kind: &MediaType, body: &[u8]) -> Result<Invitation, InvitationRefused> {
    let parts = multipart::parts(kind, body).map_err(|_| InvitationRefused::Description)?;
    let mut found = None;
    let mut refused = InvitationRefused::MediaType;
    for part in &parts {
        match judge_body(part.kind(), part.body()) {
            Ok(invitation) => found = found.or(Some(invitation)),
            Err(error @ (InvitationRefused::FileTransfer | InvitationRefused::Conference)) => {
                return Err(error);
            }
            Err(InvitationRefused::MediaType) => {}
            Err(error) => refused = error,
        }
    }
    found.ok_or(refused)
}

fn is_file_transfer(kind: &MediaType) -> bool {
    kind.is("text", "x-msmsgsinvite") || kind.is("application", "ms-filetransfer+xml")
}

fn message_media(media: Media<'_>) -> Option<MessageMedia> {
    if !media.protocol.eq_ignore_ascii_case("sip") {
        return None;
    }
    [MessageMedia::Message, MessageMedia::Legacy]
        .into_iter()
        .find(|name| name.as_str().eq_ignore_ascii_case(media.kind))
}

/// What a description without a conversation is about.
fn refused_media(sdp: &Sdp<'_>) -> InvitationRefused {
    let open = || sdp.media().filter(|media| media.port != 0);
    let is =
        |names: &[&str]| open().any(|media| names.iter().any(|name| media.kind.eq_ignore_ascii_case(name)));
    if is(&["audio", "video"]) {
        InvitationRefused::Call
    } else if open().any(|media| {
        media.kind.eq_ignore_ascii_case("message") && media.protocol.to_ascii_uppercase().ends_with("/MSRP")
    }) {
        InvitationRefused::Msrp
    } else {
        InvitationRefused::OtherMedia
    }
}

/// What [`super::message`] and [`super::composing`] read in a dialog.
const ACCEPT_TYPES: &str = "text/plain text/html text/rtf multipart/alternative message/cpim application/im-iscomposing+xml message/imdn+xml \
    application/ms-imdn+xml";

#[cfg(test)]
mod tests;
