//! What tells a sender that something of his failed, kept until it has arrived.
//!
//! An error stanza goes out over a link like any letter, and that link may be full, may pause after a failure, or may
//! break while it carries the stanza. So the stanza is kept and sent again: one about a message until the far end has
//! acknowledged it or has answered a ping behind it, any other until it is written, since whoever asks a query has a
//! timer of his own. What a stream took with it when it broke may arrive twice; that is better than not at all.
//!
//! It is kept for `notice`, and not beyond what [`GatewayLimits`] has room for: what finds no room is sent once, as a
//! letter that nobody asks for. RFC 6120 §8.3.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::answer::Trouble;
use super::delivery::{Link, Trace};
use super::event::Output;
use super::hold::Hold;
use super::pending::{Pending, Token, Weighs};
use super::{Gateway, after, send};
use crate::limits::GatewayLimits;
use crate::xmpp::Stanza;
use crate::xmpp::stanza::{Kind, MessageType};

/// The error stanzas that have not arrived yet.
#[derive(Debug)]
pub(super) struct Notices {
    most_of_link: usize,
    of_link: HashMap<Link, usize>,
    pending: Pending<Notice>,
}

/// An error stanza on its way.
#[derive(Debug)]
pub(super) struct Notice {
    stanza: Box<Stanza>,
    link: Link,
    trace: Trace,
    /// After this nobody is told any more.
    until: Instant,
    /// How often it was waited for in vain.
    waits: u32,
    state: State,
    /// What the sender's side is kept by, unless its link is in trouble: then others would wait with it.
    hold: Option<Hold>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Handed to its link.
    Queued,
    /// Written on that stream of its link.
    Written { epoch: u64 },
    /// Given back; it is handed over again after a pause.
    Pausing,
}

impl Weighs for Notice {
    fn weight(&self) -> usize {
        size_of::<Self>().saturating_add(self.stanza.element().weight())
    }
}

impl Notice {
    /// Whether it is kept until it has arrived.
    fn is_about_a_message(&self) -> bool {
        self.stanza.kind() == Kind::Message(MessageType::Error)
    }

    /// The time to wait before it is sent, or asked about, again: longer each time.
    fn pause(&mut self) -> Duration {
        let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.waits).unwrap_or(u32::MAX));
        self.waits = self.waits.saturating_add(1);
        doubled.min(LONGEST_PAUSE)
    }
}

impl Notices {
    pub(super) fn new(limits: &GatewayLimits) -> Self {
        Self {
            most_of_link: limits.notices_of_link,
            of_link: HashMap::new(),
            pending: Pending::new(limits.notices, limits.notice_bytes),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.pending.next()
    }

    /// Keeps one; gives it back where there is no room.
    fn insert(&mut self, token: Token, at: Instant, notice: Notice) -> Result<(), Notice> {
        let link = notice.link.clone();
        if self
            .of_link
            .get(&link)
            .is_some_and(|count| *count >= self.most_of_link)
        {
            return Err(notice);
        }
        self.pending.insert(token, at, notice)?;
        let count = self.of_link.entry(link).or_default();
        *count = count.saturating_add(1);
        Ok(())
    }

    fn remove(&mut self, token: Token) -> Option<Notice> {
        let notice = self.pending.remove(token)?;
        if let Some(count) = self.of_link.get_mut(&notice.link) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_link.remove(&notice.link);
            }
        }
        Some(notice)
    }

    fn due(&self, now: Instant) -> Option<Token> {
        self.pending.due(now)
    }

    #[cfg(test)]
    pub(super) fn tokens(&self) -> Vec<Token> {
        self.pending.tokens()
    }
}

impl<O> Gateway<O> {
    /// Sends an error to the user whose stanza it is about, over the link that the stanza could have come by, until it
    /// has arrived.
    pub(super) fn send_back(&mut self, now: Instant, stanza: Stanza, trace: Trace) {
        self.send_back_held(now, stanza, trace, None);
    }

    /// The same, where the sender's side is kept until it has the error.
    pub(super) fn send_back_held(&mut self, now: Instant, stanza: Stanza, trace: Trace, hold: Option<Hold>) {
        let link = Link::Xmpp {
            local: stanza.from().domain().clone(),
            remote: stanza.to().domain().clone(),
        };
        let life = match stanza.kind() {
            Kind::Message(_) => self.limits.notice,
            Kind::Presence(_) | Kind::Iq(_) => self.limits.deliver,
        };
        let notice = Notice {
            stanza: Box::new(stanza),
            link,
            trace,
            until: after(now, life),
            waits: 0,
            state: State::Queued,
            hold,
        };
        self.hand_over(now, notice);
    }

    /// Gives a notice to its link, by a name of its own: a ping that was sent since the last time says nothing of it.
    fn hand_over(&mut self, now: Instant, mut notice: Notice) {
        let token = self.fresh();
        notice.state = State::Queued;
        let (until, trace) = (notice.until, Some(notice.trace));
        let (link, stanza) = (notice.link.clone(), notice.stanza.clone());
        let output = match self.notices.insert(token, until, notice) {
            Ok(()) => send(&link, stanza, Some(token), until, trace),
            Err(Notice { stanza, .. }) => {
                let until = until.min(after(now, self.limits.deliver));
                send(&link, stanza, None, until, trace)
            }
        };
        self.ready.push_back(output);
    }

    /// A link has written it.
    pub(super) fn notice_written(&mut self, now: Instant, token: Token, epoch: u64) {
        let confirm = self.limits.confirm;
        let Some(notice) = self.notices.pending.get_mut(token) else {
            return;
        };
        if !notice.is_about_a_message() {
            self.notices.remove(token);
            return;
        }
        notice.state = State::Written { epoch };
        notice.waits = 0;
        let at = notice.until.min(after(now, confirm));
        let link = self.links.entry(notice.link.clone()).or_default();
        link.handed(token, None);
        link.written();
        self.notices.pending.wait_until(token, at);
    }

    /// It has arrived.
    pub(super) fn notice_taken(&mut self, token: Token) {
        if let Some(notice) = self.notices.remove(token) {
            self.leave(&notice.link, |link| link.left(token));
        }
    }

    /// Whether it waits on that stream.
    pub(super) fn is_notice_on(&self, token: Token, epoch: u64) -> bool {
        let notice = self.notices.pending.get(token);
        notice.is_some_and(|notice| notice.state == State::Written { epoch })
    }

    /// A link gives it back, or has lost it; says whether that was a notice.
    pub(super) fn notice_returned(&mut self, now: Instant, token: Token, trouble: Trouble) -> bool {
        let Some(mut notice) = self.notices.remove(token) else {
            return false;
        };
        self.leave(&notice.link, |link| link.left(token));
        drop(notice.hold.take());
        match trouble {
            // The error says all that has to be said; what it is about may go.
            Trouble::TooLarge => {
                let before = notice.stanza.element().weight();
                notice.stanza.retain_children(|child| child.name() == "error");
                if notice.stanza.element().weight() < before {
                    self.hand_over(now, notice);
                } else {
                    self.untold(&notice);
                }
            }
            Trouble::Stopping => self.untold(&notice),
            Trouble::NotFound
            | Trouble::Unresolved
            | Trouble::Unreachable
            | Trouble::Untrusted
            | Trouble::Refused
            | Trouble::Timeout
            | Trouble::Overload
            | Trouble::Broken => {
                if notice.until <= now {
                    self.untold(&notice);
                    return true;
                }
                let at = notice.until.min(after(now, notice.pause()));
                notice.state = State::Pausing;
                if let Err(notice) = self.notices.insert(token, at, notice) {
                    self.untold(&notice);
                }
            }
        }
        true
    }

    /// The time has come to do something about notices.
    pub(super) fn tick_notices(&mut self, now: Instant) {
        while let Some(token) = self.notices.due(now) {
            let Some(mut notice) = self.notices.remove(token) else {
                return;
            };
            let is_over = notice.until <= now;
            match notice.state {
                State::Written { .. } if !is_over => {
                    if let Some(link) = self.links.get_mut(&notice.link) {
                        link.ask_again(now, self.limits.confirm);
                    }
                    let pause = notice.pause().max(self.limits.confirm);
                    let at = notice.until.min(after(now, pause));
                    // There was room for it a moment ago.
                    let _no_room = self.notices.insert(token, at, notice);
                }
                // Its stream still lives, and the far end says nothing: nobody else can be asked.
                State::Written { .. } => {
                    self.leave(&notice.link, |link| link.expired(token));
                    if !self.manners.is_mute(&notice.link) {
                        self.untold(&notice);
                    }
                }
                State::Pausing if !is_over => self.hand_over(now, notice),
                State::Pausing | State::Queued => self.untold(&notice),
            }
        }
    }

    fn untold(&mut self, notice: &Notice) {
        self.ready.push_back(Output::Untold {
            link: notice.link.clone(),
            trace: notice.trace,
        });
    }
}

/// The first pause of what a link gave back.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest: a link that carries again is found within it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
