//! Conversations: what two users have said to each other a short while ago, so that what they say next goes the same way.
//!
//! XMPP has no sessions, and some SIP peers take messages in nothing else: the gateway makes them, accepts them, and ends
//! them when nobody writes any more. A conversation also remembers which of his devices an XMPP user answers from
//! (specification: interworking §13), and which way of sending a SIP peer takes.
//!
//! Texts for SIP wait in one queue a conversation and go one at a time, so that their order is kept whatever becomes of the
//! session; each waits among the other messages of the shard too, which bounds them and tells their senders.
//!
//! [`table`] holds them; [`caller`] sends texts, [`inviting`] begins sessions for them, [`keeping`] keeps and ends those, [`callee`] takes what a SIP
//! peer sends, [`states`] carries chat states, [`leaving`] ends what is called back or stopped.
//! RFC 3261 §12 to §15, RFC 4028, RFC 7573 §5 and §6; Microsoft's sessions of messages.

mod agreeing;
mod arrival;
mod callee;
mod caller;
mod hearing;
mod inviting;
mod keeping;
mod leaving;
mod names;
mod states;
mod table;
mod takes;
mod typing;
mod wrapper;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use caller::Way;
use caller::accepts_typing;
pub(super) use hearing::Heard;
pub use leaving::Call;
pub(super) use names::{Names, contact};
pub(super) use table::Conversations;
use takes::{Takes, Word};
use typing::Typing;

use super::Gateway;
use super::delivery::{Link, SipPeer};
use super::pending::Token;
use super::receipts::Asking;
use crate::interwork::composing;
use crate::interwork::embedded::Embedded;
use crate::interwork::profile::Sessions;
use crate::route::Route;
use crate::sip::dialog::{Dialog, DialogId, Forks};
use crate::sip::session_timer::SessionTimer;
use crate::sip::{CallId, Method, Request};
use crate::xmpp::{Jid, Stanza};

/// A user of XMPP and one of SIP, by their bare addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pair {
    /// The user of XMPP.
    pub(super) xmpp: Jid,
    /// The user of SIP, as XMPP names him.
    pub(super) sip: Jid,
}

/// What two users have between them.
#[derive(Debug)]
pub(super) struct Conversation {
    link: Link,
    route: Route,
    peer: Arc<SipPeer>,
    /// The device that the XMPP user last wrote from.
    device: Option<Jid>,
    /// The name that its last session of ours took from the XMPP side.
    named: Option<CallId>,
    mode: Mode,
    sessions: Vec<Session>,
    /// INVITEs of ours: one that waits for its answer, and those that others may still answer.
    inviting: Vec<Inviting>,
    /// Texts for the SIP user that were not sent yet.
    queue: VecDeque<Token>,
    /// The one that was sent and not answered, and the session that it went in.
    sent: Option<(Token, DialogId)>,
    /// ACKs of ours that may be wanted again.
    acknowledged: Vec<Acknowledged>,
    typing: Typing,
    /// Whether the SIP user's messages ask for receipts in a wrapper, so that he can read one.
    wraps: bool,
    /// When it is forgotten unless something is said before.
    quiet_at: Instant,
    /// When it stands in the table of times.
    wakes_at: Option<Instant>,
    /// As how heavy it was counted.
    weighed: usize,
}

/// How a SIP user takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// As his profile says: nothing else was seen.
    Unknown(Sessions),
    /// Each on its own.
    Page,
    /// In sessions.
    Session,
}

/// A session of messages.
#[derive(Debug)]
struct Session {
    dialog: Dialog,
    /// Octets that the dialog takes, about.
    weight: usize,
    timer: SessionTimer,
    phase: Phase,
    /// What its other end takes.
    takes: Takes,
    /// A re-INVITE of ours that waits for its answer.
    offer: Option<Token>,
    /// What came with the INVITE, where its sender might send it once more, and until when.
    first: Option<(Embedded, Instant)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The peer's INVITE waits for what becomes of the text in it.
    Offered {
        /// The text, once it is on its way.
        text: Option<Token>,
    },
    /// We accepted; no ACK came yet.
    Accepted { until: Instant },
    /// Both ends know of it.
    Open,
}

/// An INVITE of ours that may still make a session.
#[derive(Debug)]
struct Inviting {
    token: Token,
    request: Box<Request>,
    forks: Forks,
    timer: SessionTimer,
    state: Invited,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Invited {
    /// Nobody has answered.
    Waiting,
    /// A session came of it, others may come late.
    Accepted,
    /// It was called back.
    Recalled,
}

/// What a request of ours is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    /// It begins a session.
    Invite,
    /// It carries a text.
    Text,
    /// It keeps a session alive.
    Refresh(DialogId),
    /// The same by a re-INVITE, each 2xx to which is acknowledged.
    Offer(DialogId),
    /// It says in a session that somebody types.
    Typing(DialogId),
    /// It says so outside of sessions.
    TypingAlone,
    /// Nothing depends on its answer.
    Other(DialogId),
}

/// An ACK of a 2xx, which is sent again with each repetition of that.
#[derive(Debug)]
struct Acknowledged {
    /// The INVITE.
    token: Token,
    dialog: DialogId,
    ack: Box<Request>,
    until: Instant,
}

impl Pair {
    /// The pair of two addresses.
    pub(super) fn new(xmpp: &Jid, sip: &Jid) -> Self {
        Self {
            xmpp: xmpp.bare(),
            sip: sip.bare(),
        }
    }
}

impl Conversation {
    fn new(link: Link, route: Route, peer: Arc<SipPeer>, quiet_at: Instant) -> Self {
        let mode = Mode::Unknown(peer.profile.sessions());
        Self {
            link,
            route,
            peer,
            device: None,
            named: None,
            mode,
            sessions: Vec::new(),
            inviting: Vec::new(),
            queue: VecDeque::new(),
            sent: None,
            acknowledged: Vec::new(),
            typing: Typing::default(),
            wraps: false,
            quiet_at,
            wakes_at: None,
            weighed: 0,
        }
    }

    /// When it needs attention.
    fn wakes(&self) -> Instant {
        let sessions = self.sessions.iter().flat_map(|session| {
            let accepted = match session.phase {
                Phase::Accepted { until } => Some(until),
                Phase::Offered { .. } | Phase::Open => None,
            };
            let first = session.first.as_ref().map(|(_, until)| *until);
            [session.timer.timeout(), accepted, first].into_iter().flatten()
        });
        let inviting = self.inviting.iter().flat_map(|inviting| {
            let until = (inviting.state == Invited::Waiting).then_some(inviting.until);
            [until, inviting.forks.timeout()].into_iter().flatten()
        });
        sessions
            .chain(inviting)
            .chain(self.typing.timeout())
            .chain(self.acknowledged.iter().map(|acknowledged| acknowledged.until))
            .min()
            .unwrap_or(self.quiet_at)
            .min(self.quiet_at)
    }

    /// The session that texts go in.
    fn speaking(&mut self) -> Option<&mut Session> {
        // The newest: a user who changed devices may never have ended the one before.
        self.sessions
            .iter_mut()
            .rev()
            .find(|session| session.phase == Phase::Open)
    }

    /// The session that an INVITE has begun and that was not accepted yet.
    fn offered(&mut self, request: &Request) -> Option<&mut Session> {
        if *request.method() != Method::Invite {
            return None;
        }
        let id = DialogId::of_request(request);
        self.sessions
            .iter_mut()
            .find(|session| matches!(session.phase, Phase::Offered { .. }) && session.is_of(&id))
    }

    fn session(&mut self, id: &DialogId) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .find(|session| session.dialog.id() == *id)
    }

    fn take_session(&mut self, id: &DialogId) -> Option<Session> {
        let at = self
            .sessions
            .iter()
            .position(|session| session.dialog.id() == *id)?;
        Some(self.sessions.remove(at))
    }

    fn inviting(&mut self, token: Token) -> Option<&mut Inviting> {
        self.inviting.iter_mut().find(|inviting| inviting.token == token)
    }

    fn take_inviting(&mut self, token: Token) -> Option<Inviting> {
        let at = self
            .inviting
            .iter()
            .position(|inviting| inviting.token == token)?;
        Some(self.inviting.remove(at))
    }

    /// Whether an INVITE of ours waits for its answer.
    fn is_inviting(&self) -> bool {
        self.inviting
            .iter()
            .any(|inviting| inviting.state == Invited::Waiting)
    }

    /// Whether something of it is still under way.
    fn is_busy(&self) -> bool {
        !self.queue.is_empty()
            || self.sent.is_some()
            || !self.inviting.is_empty()
            || !self.acknowledged.is_empty()
    }
}

impl Session {
    /// Whether an INVITE of the peer has begun it.
    fn is_of(&self, invite: &DialogId) -> bool {
        let id = self.dialog.id();
        id.call_id() == invite.call_id() && id.remote_tag() == invite.remote_tag()
    }
}

impl<O> Gateway<O> {
    /// How many conversations are remembered, and how many sessions they have.
    #[must_use]
    pub fn conversations(&self) -> (usize, usize) {
        (self.conversations.len(), self.conversations.sessions())
    }

    /// A SIP user says something: it is for the device that he was last answered from, where that is known.
    /// `request` is what he says it by.
    pub(super) fn says(&mut self, now: Instant, stanza: &mut Stanza, (request, token): (&Request, Token)) {
        let quiet_at = self.quiet_from(now);
        let pair = Pair::new(stanza.to(), stanza.from());
        let Some(conversation) = self.conversations.by_pair.get_mut(&pair) else {
            return;
        };
        conversation.typing.said();
        conversation.quiet_at = quiet_at;
        if accepts_typing(request.headers()) {
            conversation.typing.is_taken();
        }
        let has_states = !conversation.sessions.is_empty() || conversation.typing.composes == Word::Yes;
        if conversation.typing.marks(has_states) {
            composing::mark_active(stanza);
        }
        if let Some(session) = conversation.offered(request) {
            session.phase = Phase::Offered { text: Some(token) };
        }
        if stanza.to().is_bare()
            && let Some(device) = &conversation.device
        {
            stanza.set_to(device.clone());
        }
    }

    /// A SIP user asks for receipts: that he knows of them is remembered, where there is room.
    pub(super) fn learn_wrapper(&mut self, now: Instant, pair: &Pair, asking: &Asking) {
        if !self.conversations.has_share(pair, &asking.peer.outside) {
            return;
        }
        let link = Link::Sip {
            remote: pair.sip.domain().clone(),
        };
        if let Some(conversation) = self.converse(now, pair, &link, &asking.back, &asking.peer) {
            conversation.wraps = true;
            self.conversations.schedule(pair);
        }
    }

    /// The octets that a request to a SIP user may have who can read a wrapper.
    pub(super) fn takes_wrapper(&self, pair: &Pair) -> Option<usize> {
        let conversation = self.conversations.by_pair.get(pair)?;
        conversation
            .wraps
            .then(|| conversation.peer.profile.message_bytes())
    }

    /// The conversation of a pair, made where there is none and there is room.
    fn converse(
        &mut self,
        now: Instant,
        pair: &Pair,
        link: &Link,
        route: &Route,
        peer: &Arc<SipPeer>,
    ) -> Option<&mut Conversation> {
        let quiet_at = self.quiet_from(now);
        let conversations = &mut self.conversations;
        if !conversations.by_pair.contains_key(pair) {
            if !conversations.make_room() {
                return None;
            }
            conversations.count(&peer.outside);
        }
        let conversation = conversations
            .by_pair
            .entry(pair.clone())
            .or_insert_with(|| Conversation::new(link.clone(), route.clone(), Arc::clone(peer), quiet_at));
        conversation.quiet_at = quiet_at;
        if conversation.peer != *peer {
            conversation.peer = Arc::clone(peer);
        }
        if conversation.route != *route {
            conversation.route = route.clone();
        }
        Some(conversation)
    }

    /// Looks after every conversation whose time has come.
    pub(super) fn tick_conversations(&mut self, now: Instant) {
        while let Some(pair) = self.conversations.due(now) {
            self.attend(now, &pair);
            let Some(conversation) = self.conversations.by_pair.get(&pair) else {
                continue;
            };
            if conversation.quiet_at <= now {
                if self.retire(now, &pair) {
                    continue;
                }
                let quiet_at = self.quiet_from(now);
                if let Some(conversation) = self.conversations.by_pair.get_mut(&pair) {
                    conversation.quiet_at = quiet_at;
                }
            }
            // What has been looked after does not wait for the same instant again.
            let stale = self
                .conversations
                .by_pair
                .get(&pair)
                .is_some_and(|conversation| conversation.wakes() <= now);
            self.conversations.schedule(&pair);
            if stale {
                self.postpone(now, &pair);
            }
        }
    }

    /// A safeguard: whatever is due and stays so is looked at again a little later, and not at once for ever.
    fn postpone(&mut self, now: Instant, pair: &Pair) {
        let at = super::after(now, AGAIN);
        if let Some(conversation) = self.conversations.by_pair.get_mut(pair) {
            if let Some(before) = conversation.wakes_at.replace(at) {
                self.conversations.times.remove(&(before, pair.clone()));
            }
            self.conversations.times.insert((at, pair.clone()));
        }
    }
}

/// See [`Gateway::postpone`].
const AGAIN: Duration = Duration::from_secs(1);
/// Sessions of one pair at once: more than one where both began at the same time, or a peer's device was changed.
const SESSIONS: usize = 4;
