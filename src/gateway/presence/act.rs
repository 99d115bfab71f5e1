//! What the two machines of a relation want done, and what they are lent for that.

use std::time::{Duration, Instant};

use crate::gateway::conversation::Names;
use crate::interwork::presence::{Device, Presence};
use crate::sip::subscription::{Attempt, Entity, NotifierTerms, SubscriberTerms};
use crate::sip::{CallId, Request, Response};
use crate::xmpp::Jid;

/// Something to be done.
#[derive(Debug)]
pub(in crate::gateway) enum Act {
    /// Send this SUBSCRIBE.
    Subscribe(Box<Request>),
    /// Send this NOTIFY of the subscription with that number.
    Notify(u32, Box<Request>),
    /// Answer the request that came under that number.
    Answer(u64, Box<Response>),
    /// Say something to the user of XMPP in the name of the one of SIP.
    Say(Word),
    /// What outlives the process has changed.
    Keep,
    /// A last state has changed, and nothing else that outlives the process.
    Note,
    /// Whoever is meant has to hear of it before the process may forget it: the acts behind this wait until it is kept.
    Settle,
}

/// Presence that a user of SIP says to one of XMPP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) enum Word {
    /// He wants to see.
    Subscribe,
    /// He lets see.
    Subscribed,
    /// He does not let see, or not any more.
    Unsubscribed,
    /// How is he?
    Probe,
    /// He does not look any more.
    Unavailable,
    /// One of his devices, as it is now; to that device of the other user alone, where one is named.
    Device(Box<Device>, Option<Box<Jid>>),
}

/// What a machine is lent while it handles something.
pub(in crate::gateway) struct Lent<'l> {
    pub(in crate::gateway) now: Instant,
    pub(in crate::gateway) names: &'l mut Names,
    pub(in crate::gateway) acts: &'l mut Vec<Act>,
    /// The terms of the configuration; `None` where it forbids everything between the two.
    pub(in crate::gateway) terms: &'l dyn Terms,
    /// The least time between two changes that one watcher is told.
    pub(in crate::gateway) pause: Duration,
    /// Whether the other user lets this one see him, so that his server answers probes.
    pub(in crate::gateway) answers_probes: bool,
    /// Whether the other user was asked for that and has not said: to a probe his server says that he does not.
    pub(in crate::gateway) would_refuse_probes: bool,
}

/// What the configuration has to say of a relation.
pub(in crate::gateway) trait Terms {
    /// How to subscribe to the user of SIP.
    fn subscriber(&self) -> Option<SubscriberTerms>;
    /// One attempt to do so, under that Call-ID and tag.
    fn attempt(&self, call_id: CallId, tag: String, random: u32) -> Option<Attempt>;
    /// How to notify him, under that tag.
    fn notifier(&self, tag: String, random: u32) -> Option<NotifierTerms>;
    /// The document that tells him of the user of XMPP.
    fn document(&self, presence: &Presence) -> Option<Entity>;
}

impl Lent<'_> {
    pub(super) fn say(&mut self, word: Word) {
        self.acts.push(Act::Say(word));
    }

    pub(super) fn keep(&mut self) {
        self.acts.push(Act::Keep);
    }

    /// Has a last state kept before long. One that is lost with the process is told anew after it.
    pub(super) fn note(&mut self) {
        self.acts.push(Act::Note);
    }

    /// A while from now.
    pub(super) fn after(&self, time: Duration) -> Instant {
        self.now.checked_add(time).unwrap_or(self.now)
    }
}
