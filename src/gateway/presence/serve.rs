//! A user of SIP sees one of XMPP: his subscriptions, and what they are told (specification: interworking §6; RFC 8048 §5.3 and
//! §6.2; RFC 6665 §4.2).
//!
//! Who is let in is decided by the user of XMPP and remembered here; who is not gets `pending` and nothing else. A subscription
//! that comes while nothing is known waits a moment for the state, so that its first notification says it.

mod arriving;
mod hearing;
mod telling;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::act::{Lent, Word};
use super::record::Consent;
use crate::interwork::presence::{Device, Presence, State};
use crate::sip::subscription::{Ending, Notifier, NotifierInput};
use crate::sip::transaction::Failure;
use crate::sip::{Request, Response};

/// What a user of SIP sees of one of XMPP.
#[derive(Debug)]
pub(in crate::gateway) struct Serve {
    consent: Option<Consent>,
    /// When the user of XMPP was asked last.
    asked: Option<Instant>,
    /// Until when he is not asked again, because he has said no.
    refused_until: Option<Instant>,
    visibility: Visibility,
    served: Vec<Served>,
    /// Subscriptions that wait for the state.
    arriving: Vec<Arriving>,
    count: u32,
    known: Presence,
    /// Whether some of his devices may have spoken while nothing came in, so that the next who looks has his server asked.
    is_partial: bool,
    /// When anything was last heard of the user of XMPP.
    heard: Option<Instant>,
    /// When what the process before has left is taken up, and when it is told whatever was heard.
    resume: Option<Instant>,
    again: Option<Instant>,
    /// The devices that were known when his server was asked, and have not been heard since; and for how long they may be.
    doubtful: BTreeSet<String>,
    doubt: Option<Instant>,
    /// Whether one of them has said since that it is there.
    is_answered: bool,
    /// When his server is asked how he is, if it says that he lets see and no more, or could not be asked.
    unheard: Option<Instant>,
    is_dirty: bool,
    why: &'static str,
}

/// What may be seen, whatever the user of XMPP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visibility {
    /// What he lets see.
    Own,
    /// He is always offline: the watcher is blocked, and is not to know.
    Offline,
    /// Nothing: the configuration forbids it.
    None,
}

#[derive(Debug)]
struct Served {
    number: u32,
    notifier: Notifier,
    is_troubled: bool,
}

#[derive(Debug)]
struct Arriving {
    number: u64,
    request: Box<Request>,
    until: Instant,
}

/// What happens to it.
#[derive(Debug)]
pub(in crate::gateway) enum ServeInput {
    /// A SUBSCRIBE, under that number.
    Request(u64, Box<Request>),
    /// The same from one who is blocked.
    Blocked(u64, Box<Request>),
    /// A device of the user of XMPP is in this state.
    Device(Box<Device>),
    /// He cannot be reached by any.
    Gone,
    /// He lets see.
    Subscribed,
    /// He does not let see.
    Unsubscribed,
    /// To a probe his server says that he does not; he was asked nothing.
    Unseen,
    /// His server says that there is nobody.
    Nobody,
    /// His server cannot be asked now.
    NotNow,
    /// The answer to the notification of the subscription with that number.
    Response(u32, Box<Response>),
    /// That notification came to nothing.
    Failed(u32, Failure),
    /// His server could not be asked how he is.
    Unprobed,
    /// The servers of the user of SIP can be reached again.
    Reachable,
    /// The configuration forbids it from now on.
    Forbidden,
    /// It blocks the watcher from now on, who is not to know.
    Hidden,
    /// It does so no more.
    Visible,
    /// [`Serve::timeout`] has come.
    Timer,
}

impl Serve {
    pub(in crate::gateway) const fn new() -> Self {
        Self {
            consent: None,
            asked: None,
            refused_until: None,
            visibility: Visibility::Own,
            served: Vec::new(),
            arriving: Vec::new(),
            count: 0,
            known: Presence::new(),
            is_partial: false,
            heard: None,
            resume: None,
            again: None,
            doubtful: BTreeSet::new(),
            doubt: None,
            is_answered: false,
            unheard: None,
            is_dirty: false,
            why: "",
        }
    }

    /// What the process before has left, taken up at `resume`. For `refused` from now on the user of XMPP is not asked.
    pub(super) fn restored(
        now: Instant,
        consent: Option<Consent>,
        refused: Duration,
        notifiers: Vec<Notifier>,
        known: Presence,
        resume: Instant,
    ) -> Self {
        let is_live = notifiers.iter().any(|notifier| !notifier.is_closing());
        // Nobody was asked about a watcher who is blocked.
        let is_blocked = consent.is_none() && is_live;
        let mut this = Self {
            consent,
            // He was asked in another life, and is not asked again.
            asked: consent.map(|_| now),
            // The clock may have been set meanwhile.
            refused_until: now.checked_add(refused.min(REFUSED)).filter(|at| *at > now),
            visibility: if is_blocked {
                Visibility::Offline
            } else {
                Visibility::Own
            },
            is_partial: !is_live,
            // Who looks later is told what is true then.
            known: if is_live { known } else { Presence::new() },
            resume: is_live.then_some(resume),
            why: if refused.is_zero() {
                "taken up from before the restart"
            } else {
                HAS_SAID_NO
            },
            ..Self::new()
        };
        for notifier in notifiers {
            this.push(notifier);
        }
        this
    }

    /// Whether the user of XMPP has consented.
    pub(in crate::gateway) const fn consent(&self) -> Option<Consent> {
        self.consent
    }

    /// Whether nothing is left of it that has to be remembered.
    pub(in crate::gateway) fn is_over(&self) -> bool {
        self.consent.is_none()
            && self.served.is_empty()
            && self.arriving.is_empty()
            && self.refused_until.is_none()
    }

    /// Until when the user of XMPP is not asked, because he has said no.
    pub(super) const fn refused_until(&self) -> Option<Instant> {
        self.refused_until
    }

    pub(super) fn notifiers(&self) -> impl Iterator<Item = &Notifier> {
        self.served.iter().map(|served| &served.notifier)
    }

    pub(super) const fn known(&self) -> &Presence {
        &self.known
    }

    pub(super) const fn heard(&self) -> Option<Instant> {
        self.heard
    }

    pub(super) const fn why(&self) -> &'static str {
        self.why
    }

    /// Whether the user of XMPP is asked and has not said.
    pub(super) fn is_asking(&self) -> bool {
        self.consent == Some(Consent::Asked) && self.visibility == Visibility::Own
    }

    /// A constant word for how it stands.
    pub(super) fn state(&self) -> &'static str {
        match (self.visibility, self.consent, self.served.is_empty()) {
            (Visibility::Offline, ..) => "blocked",
            (Visibility::None, ..) => "forbidden",
            (Visibility::Own, Some(Consent::Given), false) => "active",
            (Visibility::Own, Some(Consent::Given), true) => "dormant",
            (Visibility::Own, Some(Consent::Asked), _) => "pending",
            (Visibility::Own, None, true) if self.refused_until.is_some() => "refused",
            (Visibility::Own, None, _) => "polling",
        }
    }

    /// Whether something waits for the way to the SIP side.
    pub(in crate::gateway) fn is_troubled(&self) -> bool {
        self.served.iter().any(|served| served.is_troubled)
    }

    /// Whether a change waits to be told.
    pub(in crate::gateway) const fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// When [`ServeInput::Timer`] is next of use.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let notifiers = self.notifiers().filter_map(Notifier::timeout);
        let arriving = self.arriving.iter().map(|arriving| arriving.until);
        notifiers
            .chain(arriving)
            .chain(self.resume)
            .chain(self.again)
            .chain(self.forgotten_at())
            .chain(self.refused_until)
            .chain(self.doubt)
            .chain(self.unheard)
            .min()
    }

    /// When it is forgotten that somebody asked, who looks no more and was never answered.
    fn forgotten_at(&self) -> Option<Instant> {
        let is_idle = self.consent == Some(Consent::Asked) && self.served.is_empty();
        self.asked.filter(|_| is_idle)?.checked_add(ASK_AGAIN)
    }

    /// When the first of its subscriptions ends.
    pub(super) fn next(&self) -> Option<Instant> {
        self.notifiers().filter_map(Notifier::until).min()
    }

    /// Takes what happened.
    pub(in crate::gateway) fn handle(&mut self, lent: &mut Lent<'_>, input: ServeInput) {
        let mut answering = Vec::new();
        match input {
            ServeInput::Request(number, request) => {
                if self.visibility != Visibility::Own {
                    self.appear(lent);
                }
                self.request(lent, number, request, &mut answering);
            }
            ServeInput::Blocked(number, request) => {
                self.hide(lent);
                self.request(lent, number, request, &mut answering);
            }
            ServeInput::Device(device) => self.device(lent, *device),
            ServeInput::Gone => {
                // That he is not there may be known already, with what he said last.
                let is_there = |device: &Device| device.state() != State::Offline;
                if self.known.devices().iter().any(is_there) || self.heard.is_none() {
                    self.known = Presence::new();
                }
                self.doubtful.clear();
                self.learned(lent);
            }
            ServeInput::Subscribed => self.consented(lent),
            ServeInput::Unsubscribed => self.refused(lent),
            ServeInput::Unseen => self.unseen(lent),
            ServeInput::Nobody => self.nobody(lent),
            ServeInput::NotNow => {
                if self.consent == Some(Consent::Asked) {
                    self.asked = None;
                    self.consent = None;
                    lent.keep();
                    self.end_all(lent, Ending::GiveUp(LATER));
                }
                self.admit(lent, |_| true);
            }
            ServeInput::Response(number, response) => {
                if let Some(served) = self.served(number) {
                    served.is_troubled = false;
                    served
                        .notifier
                        .handle(lent.now, NotifierInput::Response(response));
                }
            }
            ServeInput::Failed(number, failure) => {
                if let Some(served) = self.served(number) {
                    served.is_troubled |= failure == Failure::Transport;
                    served.notifier.handle(lent.now, NotifierInput::Failed(failure));
                }
            }
            ServeInput::Unprobed => {
                self.is_partial = true;
                if self.again.take().is_some() {
                    self.resume = Some(lent.after(SOON));
                } else if !self.served.is_empty() || !self.arriving.is_empty() {
                    self.unheard = Some(lent.after(SOON));
                }
            }
            ServeInput::Reachable => {
                for served in self.served.iter_mut().filter(|served| served.is_troubled) {
                    served.is_troubled = false;
                    served.notifier.handle(lent.now, NotifierInput::Hurry);
                    served.notifier.handle(lent.now, NotifierInput::Timer);
                }
            }
            ServeInput::Forbidden => {
                if self.visibility != Visibility::None {
                    self.visibility = Visibility::None;
                    self.why = "policy or routes forbid it";
                    self.end_all(lent, Ending::Rejected);
                    lent.keep();
                }
            }
            ServeInput::Hidden => self.hide(lent),
            ServeInput::Visible => self.appear(lent),
            ServeInput::Timer => self.timer(lent),
        }
        self.follow(lent, &mut answering);
    }

    fn served(&mut self, number: u32) -> Option<&mut Served> {
        self.served.iter_mut().find(|served| served.number == number)
    }

    fn push(&mut self, notifier: Notifier) {
        self.count = self.count.wrapping_add(1);
        // Mostly it is the only one, and a large one.
        self.served.reserve_exact(1);
        self.served.push(Served {
            number: self.count,
            notifier,
            is_troubled: false,
        });
    }

    fn timer(&mut self, lent: &mut Lent<'_>) {
        let now = lent.now;
        for served in &mut self.served {
            if served.notifier.timeout().is_some_and(|at| at <= now) {
                served.notifier.handle(now, NotifierInput::Timer);
            }
        }
        if self.resume.take_if(|at| *at <= now).is_some() {
            let is_own = self.visibility == Visibility::Own;
            match self.consent.filter(|_| is_own) {
                Some(Consent::Given) => self.probe(lent),
                // His answer may have been lost with the process. His server keeps the question from him that he has heard already (RFC 6121
                // A.3.1), and answers by itself what he has answered.
                Some(Consent::Asked) => lent.say(Word::Subscribe),
                None => {}
            }
            self.again = Some(lent.after(ANSWER));
        }
        if self.doubt.take_if(|at| *at <= now).is_some() {
            self.forget_doubtful(lent);
        }
        if self.unheard.take_if(|at| *at <= now).is_some()
            && (self.heard.is_none() || self.is_partial)
            && self.consent == Some(Consent::Given)
            && self.visibility == Visibility::Own
        {
            self.probe(lent);
        }
        if self.again.take_if(|at| *at <= now).is_some() {
            if self.consent == Some(Consent::Given)
                && self.heard.is_none()
                && self.visibility == Visibility::Own
            {
                // Nobody says how he is, and what was known may not be so any more: his server is asked until it does.
                self.resume = Some(lent.after(ASK_SERVER));
            } else {
                self.tell(lent);
                // Who heard nothing new hears what he knows, so that he sees that we are there.
                for served in self
                    .served
                    .iter_mut()
                    .filter(|served| !served.notifier.is_telling())
                {
                    served.notifier.handle(now, NotifierInput::Again);
                }
            }
        }
        if self.forgotten_at().is_some_and(|at| at <= now) {
            self.consent = None;
            lent.keep();
        }
        self.refused_until.take_if(|at| *at <= now);
        self.admit(lent, |arriving| arriving.until <= now);
    }
}

/// How long a subscription waits for the state of one whose state is not known.
const MOMENT: Duration = Duration::from_secs(1);
/// His devices answer his server's probe one by one: what none of them said for so long is not there.
const ROUND: Duration = Duration::from_secs(1);
/// The same for a question that is asked once.
const POLL: Duration = Duration::from_secs(3);
/// How long the other devices of a user have to say something as well.
const GATHER: Duration = Duration::from_millis(50);
/// How long a server has to say how a user is, after a restart.
const ANSWER: Duration = Duration::from_secs(5);
/// One that cannot be reached is asked again after this.
const SOON: Duration = Duration::from_secs(3);
/// A server that says nothing is asked again after this.
const ASK_SERVER: Duration = Duration::from_secs(60);
/// What was heard so long ago is asked for again.
const FRESH: Duration = Duration::from_secs(600);
/// A user who has not decided is asked once in so long, however often his watcher subscribes.
const ASK_AGAIN: Duration = Duration::from_secs(86_400);
/// Who has said no to a watcher is not asked again by him for so long.
const REFUSED: Duration = Duration::from_secs(3_600);
const HAS_SAID_NO: &str = "the user of XMPP has said no, and is not asked again within an hour";
/// When a watcher may try again.
const LATER: Duration = Duration::from_secs(3_600);
