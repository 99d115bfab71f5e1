//! Who of a pair is known to be typing, and which words of it are due (XEP-0085 §5, RFC 3994 §3).

use std::time::{Duration, Instant};

use super::takes::Word;
use crate::gateway::after;
use crate::interwork::composing;
use crate::sip::Request;
use crate::xmpp::Stanza;

/// Who of a pair is known to be typing.
#[derive(Debug, Default)]
pub(super) struct Typing {
    /// Whether the XMPP user is told.
    pub(super) support: Support,
    /// Whether the SIP user is told outside of sessions.
    pub(super) composes: Word,
    /// The SIP user, until then; and the state that his XMPP contact saw, to be taken back.
    pub(super) sip: Option<(Instant, Box<Stanza>)>,
    /// The XMPP user, until then.
    xmpp: Option<Instant>,
    /// Whether the SIP user was told so last.
    told: bool,
    /// When he was.
    told_at: Option<Instant>,
    /// A MESSAGE outside of sessions, to be filled.
    pub(super) template: Option<Box<Request>>,
}

/// Whether an XMPP user wants chat states (XEP-0085 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Support {
    /// Nobody has asked.
    #[default]
    Unasked,
    /// A text had one, and waits for a reply.
    Asked,
    /// He sends them.
    Shown,
    /// He has written without one.
    Missing,
}

impl Typing {
    pub(super) fn timeout(&self) -> Option<Instant> {
        let peer = self.sip.as_ref().map(|(until, _)| *until);
        [peer, self.xmpp, self.delayed()].into_iter().flatten().min()
    }

    /// The XMPP user has sent what was being typed: whoever reads that knows that he has stopped (RFC 3994 §3.3).
    pub(super) fn wrote(&mut self, has_state: bool) {
        self.xmpp = None;
        self.told = false;
        self.support = if has_state {
            Support::Shown
        } else {
            Support::Missing
        };
    }

    /// The SIP user has.
    pub(super) fn said(&mut self) {
        self.sip = None;
    }

    /// The XMPP user types, or does not; whether that is to be said now.
    pub(super) fn does(&mut self, now: Instant, typing: composing::Typing) -> Option<composing::Typing> {
        self.support = Support::Shown;
        match typing {
            composing::Typing::Active => {
                self.xmpp = Some(after(now, IDLE));
                let is_soon = self.told_at.is_some_and(|at| now < after(at, REPEATED));
                (!is_soon).then_some(typing)
            }
            composing::Typing::Idle => {
                self.xmpp = None;
                self.told.then_some(typing)
            }
        }
    }

    /// What has become due.
    pub(super) fn due(&mut self, now: Instant) -> Option<composing::Typing> {
        if self.xmpp.take_if(|until| *until <= now).is_some() {
            return self.told.then_some(composing::Typing::Idle);
        }
        self.delayed()
            .filter(|at| *at <= now)
            .map(|_| composing::Typing::Active)
    }

    /// It was said.
    pub(super) fn told(&mut self, now: Instant, typing: composing::Typing) {
        self.told = typing == composing::Typing::Active;
        if self.told {
            self.told_at = Some(now);
        }
    }

    /// There is no way to say it: it is dropped.
    pub(super) fn dropped(&mut self) {
        self.xmpp = None;
        self.told = false;
    }

    /// When a word may be said that came too soon after the one before.
    fn delayed(&self) -> Option<Instant> {
        let at = self.told_at.map(|at| after(at, REPEATED))?;
        (self.xmpp.is_some() && !self.told).then_some(at)
    }

    /// Whether a text for the XMPP user bears a state, and whether that asks for his.
    pub(super) fn marks(&mut self, is_wanted: bool) -> bool {
        match self.support {
            Support::Shown => true,
            Support::Unasked if is_wanted => {
                self.support = Support::Asked;
                true
            }
            Support::Unasked | Support::Asked | Support::Missing => false,
        }
    }

    /// A SIP peer has shown, or said, that it takes such words outside of sessions. What it refused it does not get again.
    pub(super) fn is_taken(&mut self) {
        if self.composes == Word::Unsaid {
            self.composes = Word::Yes;
        }
    }
}

/// A state is not said again sooner than that.
const REPEATED: Duration = Duration::from_secs(5);
/// RFC 3994 §3.2: who has typed nothing for so long is idle.
const IDLE: Duration = Duration::from_secs(15);
