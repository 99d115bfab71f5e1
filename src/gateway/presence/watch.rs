//! A user of XMPP sees one of SIP: the subscription that brings the state, and what he is told of it (specification: interworking §6;
//! RFC 8048 §5.2 and §6.3).
//!
//! His authorisation lasts; the subscription lapses while he is not there, and comes back with him. Before each refresh his server
//! is asked whether he is (RFC 8048 §8.1).

mod following;
mod looking;
mod showing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::act::{Lent, Word};
use super::record::Consent;
use crate::interwork::presence::Presence;
use crate::interwork::presence::document::Said;
use crate::sip::subscription::{Subscriber, SubscriberInput};
use crate::sip::{Request, Response};
use crate::xmpp::Jid;

/// What a user of XMPP sees of one of SIP.
#[derive(Debug)]
pub(in crate::gateway) struct Watch {
    consent: Consent,
    /// Whether nobody was asked for consent: then he sees, if the other lets him, until that time.
    is_adhoc: bool,
    adhoc_until: Option<Instant>,
    /// Whether his server was asked whether he is still there, before that ends.
    is_last_look: bool,
    subscriber: Option<Box<Subscriber>>,
    stage: Stage,
    /// Until when his server is waited for, which was asked whether he is there.
    guard: Option<Instant>,
    /// When what the process before has left is taken up.
    resume: Option<Instant>,
    /// The state of the user of SIP; `None` where it is not known.
    seen: Option<Arc<Presence>>,
    /// What was told of it; `None` for nothing.
    shown: Option<Arc<Presence>>,
    /// The devices of which something was told that did not arrive: what he believes of them is not known.
    unsure: BTreeSet<String>,
    /// The devices of which it was said that they are gone, until that has arrived: a process that is killed now leaves them with him.
    going: BTreeSet<String>,
    /// Before this nothing more is told.
    quiet: Option<Instant>,
    is_dirty: bool,
    /// Whether he may be told what is new, once it is his turn.
    is_ready: bool,
    /// Whether all is told, new or not: what the process before said last it may not have written down, and a device that came while nothing
    /// could be told knows nothing.
    tells_all: bool,
    untold_tries: u32,
    /// When a state that is not brought any more counts for nothing.
    stale: Option<Instant>,
    refreshed: Option<Instant>,
    /// Whether it is to lapse, because he is not there.
    is_lapsing: bool,
    /// Whether the last attempt came to nothing for want of a way, or of any answer.
    is_troubled: bool,
    /// Whether nothing is answered to him where others are answered.
    is_alone: bool,
    why: &'static str,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Stage {
    /// Asked, and nothing was notified yet.
    Neutral,
    /// The user of SIP has not decided.
    Pending,
    /// It stands.
    Active,
    /// It was lost, and another attempt follows.
    Retrying,
    /// He who would see is not there.
    Dormant,
    /// Given up by him.
    Leaving,
    /// Ended because the configuration forbids it now.
    Forbidden,
    /// Over.
    Over,
}

/// What happens to it.
#[derive(Debug)]
pub(in crate::gateway) enum WatchInput {
    /// The user of XMPP asks to see.
    Asked,
    /// He does not want to any more.
    Left,
    /// He has come, or asks for the state: by that device, where it is known.
    Wanted(Option<Jid>),
    /// His server says that he is there.
    Present,
    /// It says that he is not.
    Absent,
    /// It does not say.
    Unsure,
    /// A notification, with the state that it brings.
    Notify(u64, Box<Request>, Option<Box<Said>>),
    /// The answer to the SUBSCRIBE under way.
    Response(Box<Response>),
    /// The SUBSCRIBE under way came to nothing.
    Failed(Undone),
    /// The servers of the user of SIP can be reached again.
    Reachable,
    /// What was told of that device did not arrive.
    Untold(String),
    /// He may be told again of what did not arrive.
    Tellable,
    /// The configuration forbids it from now on.
    Forbidden,
    /// It does so no more.
    Allowed,
    /// [`Watch::timeout`] has come.
    Timer,
}

/// Why a request came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Undone {
    /// There was no way.
    Unreached,
    /// Nobody answered, nor did anybody there answer anything else.
    Silent,
    /// Nobody answered, where others are answered.
    Alone,
}

impl Watch {
    /// One that nobody has asked for yet: handle [`WatchInput::Asked`] or [`WatchInput::Wanted`].
    pub(in crate::gateway) const fn new() -> Self {
        Self {
            consent: Consent::Asked,
            is_adhoc: false,
            adhoc_until: None,
            is_last_look: false,
            subscriber: None,
            stage: Stage::Dormant,
            guard: None,
            resume: None,
            seen: None,
            shown: None,
            unsure: BTreeSet::new(),
            going: BTreeSet::new(),
            quiet: None,
            is_dirty: false,
            is_ready: false,
            tells_all: false,
            untold_tries: 0,
            stale: None,
            refreshed: None,
            is_lapsing: false,
            is_troubled: false,
            is_alone: false,
            why: "",
        }
    }

    /// One that lasts until then without anybody's consent.
    pub(in crate::gateway) const fn adhoc(until: Instant) -> Self {
        let mut this = Self::new();
        this.is_adhoc = true;
        this.adhoc_until = Some(until);
        this
    }

    /// What the process before has left: its subscription, where one stood, and what was shown. It is taken up at `resume`.
    pub(super) fn restored(
        consent: Consent,
        subscriber: Option<Subscriber>,
        shown: Presence,
        resume: Instant,
    ) -> Self {
        let stage = match (consent, &subscriber) {
            (Consent::Asked, Some(_)) => Stage::Pending,
            (Consent::Given, Some(_)) => Stage::Active,
            (Consent::Asked, None) => Stage::Retrying,
            (Consent::Given, None) => Stage::Dormant,
        };
        Self {
            consent,
            subscriber: subscriber.map(Box::new),
            stage,
            resume: Some(resume),
            shown: (!shown.devices().is_empty()).then(|| Arc::new(shown)),
            tells_all: true,
            why: "taken up from before the restart",
            ..Self::new()
        }
    }

    pub(in crate::gateway) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(in crate::gateway) const fn consent(&self) -> Consent {
        self.consent
    }

    /// Whether nothing of it is to outlive the process.
    pub(in crate::gateway) const fn is_adhoc(&self) -> bool {
        self.is_adhoc
    }

    /// Where nobody's consent is behind it, it lasts until then.
    pub(super) fn look_until(&mut self, until: Instant) {
        if self.is_adhoc && self.stage != Stage::Leaving {
            self.adhoc_until = Some(until);
            self.is_last_look = false;
        }
    }

    /// Whether there is something to tell him, in its turn.
    pub(super) const fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn subscriber(&self) -> Option<&Subscriber> {
        self.subscriber.as_deref()
    }

    pub(super) fn seen(&self) -> Option<&Presence> {
        self.seen.as_deref()
    }

    pub(super) fn shown(&self) -> Option<&Presence> {
        self.shown.as_deref()
    }

    pub(super) const fn why(&self) -> &'static str {
        self.why
    }

    /// Whether something waits for the way to the SIP side.
    pub(in crate::gateway) const fn is_troubled(&self) -> bool {
        self.is_troubled
    }

    /// When [`WatchInput::Timer`] is next of use.
    pub(super) fn timeout(&self) -> Option<Instant> {
        [
            self.subscriber.as_deref().and_then(Subscriber::timeout),
            self.guard,
            self.resume,
            self.adhoc_until,
            self.stale,
            self.quiet.filter(|_| self.is_dirty && !self.is_ready),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When something is next done about the subscription.
    pub(super) fn next(&self) -> Option<Instant> {
        let timer = self.subscriber.as_deref().and_then(Subscriber::timeout);
        self.resume.or(timer)
    }

    /// Takes what happened.
    pub(in crate::gateway) fn handle(&mut self, lent: &mut Lent<'_>, input: WatchInput) {
        if self.stage == Stage::Over {
            return;
        }
        let (mut answering, mut brought) = (0, None);
        let until = self.until();
        match input {
            WatchInput::Asked => self.asked(lent),
            WatchInput::Left => self.leave(lent),
            WatchInput::Wanted(to) => self.wanted(lent, to),
            WatchInput::Present => self.answered(lent),
            WatchInput::Unsure => self.answered(lent),
            WatchInput::Absent => self.absent(),
            WatchInput::Notify(number, request, said) => {
                (answering, brought) = (number, said);
                self.tell(lent, SubscriberInput::Notify(request));
            }
            WatchInput::Response(response) => {
                (self.is_troubled, self.is_alone) = (false, false);
                self.tell(lent, SubscriberInput::Response(response));
            }
            WatchInput::Failed(undone) => self.failed(lent, undone),
            WatchInput::Reachable => self.reachable(lent),
            WatchInput::Untold(device) => self.untold(lent, device),
            WatchInput::Tellable => self.tellable(),
            WatchInput::Forbidden => self.forbid(lent),
            WatchInput::Allowed => {
                if self.stage == Stage::Forbidden {
                    self.stage = Stage::Dormant;
                    // What is being given up is said already: what comes of it finds nobody, which ends it too (RFC 6665 §4.2.2).
                    self.subscriber = None;
                    self.resume = Some(lent.now);
                }
            }
            WatchInput::Timer => self.timer(lent),
        }
        self.follow(lent, answering, brought);
        // A process that believes that it has ended would leave it behind, and make another.
        if self.until() > until.and_then(|until| until.checked_add(LONGER)) {
            lent.keep();
        }
    }

    fn until(&self) -> Option<Instant> {
        self.subscriber.as_deref().and_then(Subscriber::until)
    }

    fn tell(&mut self, lent: &Lent<'_>, input: SubscriberInput) {
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.handle(lent.now, input);
        }
    }

    fn asked(&mut self, lent: &mut Lent<'_>) {
        if self.consent == Consent::Given && !self.is_adhoc {
            // He was let in before: nobody is asked again.
            lent.say(Word::Subscribed);
            return self.wanted(lent, None);
        }
        (self.is_adhoc, self.adhoc_until) = (false, None);
        lent.keep();
        match self.stage {
            // What he saw without anybody's consent he may see: the other lets him.
            Stage::Active => {
                self.consent = Consent::Given;
                lent.say(Word::Subscribed);
                self.show_all(lent, None);
            }
            Stage::Neutral | Stage::Pending | Stage::Over => {}
            Stage::Retrying | Stage::Dormant | Stage::Leaving | Stage::Forbidden => self.begin(lent),
        }
    }

    fn leave(&mut self, lent: &mut Lent<'_>) {
        self.stage = Stage::Leaving;
        (self.guard, self.resume, self.stale) = (None, None, None);
        (self.is_dirty, self.is_ready) = (false, false);
        lent.keep();
        if self.subscriber.is_none() {
            return self.over(lent);
        }
        self.tell(lent, SubscriberInput::Stop);
    }

    //= rfc8048#5.2.2
    //# the XMPP-to-SIP gateway SHOULD send a new SUBSCRIBE request to the SIP contact whenever the XMPP user initiates a
    //# presence session with the XMPP server
    fn wanted(&mut self, lent: &mut Lent<'_>, to: Option<Jid>) {
        self.guard = None;
        // What his other devices know already, this one does not.
        self.tells_all |= self.stage != Stage::Active || self.seen.is_none();
        match self.stage {
            Stage::Active => {
                if self.seen.is_some() {
                    self.show_all(lent, to);
                }
                if !self.is_fresh(lent) {
                    self.refresh(lent);
                }
            }
            Stage::Retrying if self.resume.is_none() && self.subscriber.is_some() => {
                self.is_lapsing = false;
                self.tell(lent, SubscriberInput::Refresh);
                // However often he comes, servers that ask for a pause get it.
                if !self.is_fresh(lent) {
                    self.refreshed = Some(lent.now);
                    self.tell(lent, SubscriberInput::Hurry);
                }
            }
            Stage::Dormant | Stage::Forbidden | Stage::Retrying => self.begin(lent),
            Stage::Neutral | Stage::Pending | Stage::Leaving | Stage::Over => {}
        }
    }

    /// Whether the SIP side was asked a short while ago.
    fn is_fresh(&self, lent: &Lent<'_>) -> bool {
        let since = self.refreshed.map(|at| lent.now.saturating_duration_since(at));
        since.is_some_and(|since| since < REFRESH_PAUSE)
    }

    fn answered(&mut self, lent: &Lent<'_>) {
        if self.guard.take().is_none() {
            return;
        }
        match self.stage {
            Stage::Dormant => self.begin(lent),
            Stage::Neutral
            | Stage::Pending
            | Stage::Active
            | Stage::Retrying
            | Stage::Leaving
            | Stage::Forbidden
            | Stage::Over => self.refresh(lent),
        }
    }

    fn absent(&mut self) {
        if self.guard.take().is_some() {
            self.is_lapsing = self.subscriber.is_some();
            self.why = "the user of XMPP is not there; it comes back with him";
        }
    }

    fn refresh(&mut self, lent: &Lent<'_>) {
        self.resume = None;
        self.is_lapsing = false;
        self.refreshed = Some(lent.now);
        self.tell(lent, SubscriberInput::Refresh);
    }

    /// Begins to subscribe, or goes on.
    fn begin(&mut self, lent: &Lent<'_>) {
        self.resume = None;
        self.is_lapsing = false;
        // What is being given up cannot be taken up again; what comes of it finds nobody, which ends it too.
        self.subscriber.take_if(|subscriber| subscriber.is_leaving());
        if self.subscriber.is_some() {
            return self.refresh(lent);
        }
        let Some(terms) = lent.terms.subscriber() else {
            self.stage = Stage::Forbidden;
            self.why = "policy or routes forbid it";
            return;
        };
        self.stage = if self.consent == Consent::Given {
            Stage::Retrying
        } else {
            Stage::Neutral
        };
        self.why = "";
        self.refreshed = Some(lent.now);
        self.subscriber = Some(Box::new(Subscriber::new(terms)));
    }

    fn forbid(&mut self, lent: &mut Lent<'_>) {
        match self.stage {
            Stage::Forbidden => return,
            // What is being given up nobody wants back when it is allowed again; who looked without consent sees nothing from now on.
            Stage::Leaving => {
                if self.is_adhoc {
                    self.unsee(lent);
                }
                return;
            }
            Stage::Neutral
            | Stage::Pending
            | Stage::Active
            | Stage::Retrying
            | Stage::Dormant
            | Stage::Over => {}
        }
        self.stage = Stage::Forbidden;
        self.why = "policy or routes forbid it";
        (self.guard, self.resume, self.stale) = (None, None, None);
        self.unsee(lent);
        self.tell(lent, SubscriberInput::Stop);
        lent.keep();
    }
}

/// A state that was lost for so long is not shown any more.
const STALE: Duration = Duration::from_secs(60);
/// What lasts longer by so much than before is remembered to last so long.
const LONGER: Duration = Duration::from_secs(60);
/// However often he comes and asks, the SIP side is asked once in so long.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);
