//! What the other end of a session has said that it takes: methods by Allow, media types by its session description.

use crate::gateway::delivery::SipPeer;
use crate::interwork::composing;
use crate::interwork::invitation::MessageMedia;
use crate::interwork::profile::PeerKind;
use crate::sip::sdp::Sdp;
use crate::sip::{Headers, Method};

/// What is known of one end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Takes {
    update: Word,
    info: Word,
    composing: Word,
    /// What its stream of messages is called.
    media: MessageMedia,
}

/// Whether something is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Word {
    /// It was not said.
    #[default]
    Unsaid,
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// How the other end is told that somebody types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypingBy {
    /// Microsoft's INFO.
    Info,
    /// A MESSAGE with an isComposing document (RFC 3994).
    Document,
}

impl Takes {
    /// Nothing is known yet.
    pub(super) const fn new() -> Self {
        Self {
            update: Word::Unsaid,
            info: Word::Unsaid,
            composing: Word::Unsaid,
            media: MessageMedia::Message,
        }
    }

    /// What an INVITE or UPDATE says of its sender, or a response to one.
    pub(super) fn hear(mut self, headers: &Headers, body: &[u8]) -> Self {
        if headers.get("Allow").is_some() {
            let is_listed = |method: &Method| headers.list("Allow").any(|name| name == method.as_str());
            self.update = Word::of(is_listed(&Method::Update));
            self.info = Word::of(is_listed(&Method::Info));
        }
        if let Ok(sdp) = Sdp::parse(body) {
            if let Some(types) = sdp.accept_types() {
                let mut types = types.split_ascii_whitespace();
                self.composing = Word::of(types.any(composing::covers_document));
            }
            let is_legacy = sdp.media().any(|media| {
                media.port != 0 && media.kind.eq_ignore_ascii_case(MessageMedia::Legacy.as_str())
            });
            self.media = if is_legacy {
                MessageMedia::Legacy
            } else {
                MessageMedia::Message
            };
        }
        self
    }

    /// It has said itself that its user types, in a request of that method.
    pub(super) fn typed_by(&mut self, method: &Method) {
        *self.typing_by(method) = Word::Yes;
    }

    /// It has refused to be told so.
    pub(super) fn refused_typing(&mut self, method: &Method) {
        *self.typing_by(method) = Word::No;
    }

    fn typing_by(&mut self, method: &Method) -> &mut Word {
        if *method == Method::Info {
            &mut self.info
        } else {
            &mut self.composing
        }
    }

    /// It has refused an UPDATE for its method.
    pub(super) fn refused_update(&mut self) {
        self.update = Word::No;
    }

    /// How it is told that somebody types; `None` where it takes no such thing.
    pub(super) fn typing(&self, peer: &SipPeer) -> Option<TypingBy> {
        let is_microsoft = peer.profile.kind() == PeerKind::Microsoft;
        if is_microsoft && peer.profile.takes(&Method::Info) && self.info != Word::No {
            return Some(TypingBy::Info);
        }
        let may_be = match self.composing {
            Word::Yes => true,
            Word::Unsaid => !is_microsoft,
            Word::No => false,
        };
        may_be.then_some(TypingBy::Document)
    }

    /// What refreshes the session: UPDATE where it is known to be taken, and a re-INVITE anywhere.
    //
    //= rfc4028#7.4
    //# It is RECOMMENDED that the session refresh request sent be an UPDATE request, but a re-INVITE is sent if the
    //# recipient is not known to support the UPDATE method
    pub(super) fn refresh(&self, peer: &SipPeer) -> Method {
        if self.update == Word::Yes && peer.profile.takes(&Method::Update) {
            Method::Update
        } else {
            Method::Invite
        }
    }

    /// What its stream of messages is called.
    pub(super) const fn media(&self) -> MessageMedia {
        self.media
    }
}

impl Word {
    const fn of(is_taken: bool) -> Self {
        if is_taken { Self::Yes } else { Self::No }
    }
}
