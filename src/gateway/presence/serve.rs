//! A user of SIP sees one of XMPP: his subscriptions, and what they are told (specification: interworking §6; RFC 8048 §5.3 and
//! §6.2; RFC 6665 §4.2).
//!
//! Who is let in is decided by the user of XMPP and remembered here; who is not gets `pending` and nothing else. A subscription
//! that comes while nothing is known waits a moment for the state, so that its first notification says it.

mod arriving;
mod hearing;

use std::time::{Duration, Instant};

use super::act::{Act, Lent, Word};
use super::record::Consent;
use crate::interwork::presence::{Device, Presence, State};
use crate::sip::subscription::{
    Authorisation, Content, Ending, Notifier, NotifierInput, NotifierOutput, NotifierOver,
};
use crate::sip::transaction::Failure;
use crate::sip::{Request, Response};

/// What a user of SIP sees of one of XMPP.
#[derive(Debug)]
pub(in crate::gateway) struct Serve {
    consent: Option<Consent>,
    /// When the user of XMPP was asked last.
    asked: Option<Instant>,
    visibility: Visibility,
    served: Vec<Served>,
    /// Subscriptions that wait for the state.
    arriving: Vec<Arriving>,
    count: u32,
    known: Presence,
    /// When anything was last heard of the user of XMPP.
    heard: Option<Instant>,
    /// When what the process before has left is taken up, and when it is told whatever was heard.
    resume: Option<Instant>,
    again: Option<Instant>,
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
            visibility: Visibility::Own,
            served: Vec::new(),
            arriving: Vec::new(),
            count: 0,
            known: Presence::new(),
            heard: None,
            resume: None,
            again: None,
            is_dirty: false,
            why: "",
        }
    }

    /// What the process before has left, taken up at `resume`.
    pub(super) fn restored(
        now: Instant,
        consent: Consent,
        notifiers: Vec<Notifier>,
        known: Presence,
        resume: Instant,
    ) -> Self {
        let mut this = Self {
            consent: Some(consent),
            // He was asked in another life, and is not asked again.
            asked: Some(now),
            known,
            resume: (!notifiers.is_empty()).then_some(resume),
            why: "taken up from before the restart",
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
        self.consent.is_none() && self.served.is_empty() && self.arriving.is_empty()
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
                self.learned(lent);
            }
            ServeInput::Subscribed => self.consented(lent),
            ServeInput::Unsubscribed => self.refused(lent),
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
                if self.again.take().is_some() {
                    self.resume = Some(lent.after(SOON));
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

    /// Tells its subscriptions what has changed.
    pub(in crate::gateway) fn tell(&mut self, lent: &mut Lent<'_>) {
        self.is_dirty = false;
        self.again = None;
        let (authorisation, content) = self.view(lent);
        for served in &mut self.served {
            served
                .notifier
                .handle(lent.now, NotifierInput::State(authorisation, content.clone()));
        }
        self.follow(lent, &mut Vec::new());
    }

    fn served(&mut self, number: u32) -> Option<&mut Served> {
        self.served.iter_mut().find(|served| served.number == number)
    }

    fn push(&mut self, notifier: Notifier) {
        self.count = self.count.wrapping_add(1);
        self.served.push(Served {
            number: self.count,
            notifier,
            is_troubled: false,
        });
    }

    /// What may be seen now.
    //
    //= rfc8048#5.3.2
    //# if the SIP-to-XMPP gateway does not have meaningful information about the availability state of the XMPP user, then the
    //# NOTIFY MUST be empty as allowed by [RFC6665].
    fn view(&self, lent: &Lent<'_>) -> (Authorisation, Option<Content>) {
        match (self.visibility, self.consent) {
            (Visibility::Offline, _) => (Authorisation::Active, lent.terms.document(&Presence::new())),
            (Visibility::Own, Some(Consent::Given)) => {
                let content = self.heard.and_then(|_| lent.terms.document(&self.known));
                (Authorisation::Active, content)
            }
            (Visibility::Own | Visibility::None, _) => (Authorisation::Pending, None),
        }
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
                Some(Consent::Given) => lent.say(Word::Probe),
                // His answer may have been lost with the process. His server keeps the question from him that he has heard already (RFC 6121
                // A.3.1), and answers by itself what he has answered.
                Some(Consent::Asked) => lent.say(Word::Subscribe),
                None => {}
            }
            self.again = Some(lent.after(ANSWER));
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
        self.admit(lent, |arriving| arriving.until <= now);
    }

    /// Does what the notifiers want. `answering` says which request each of them has in hand.
    fn follow(&mut self, lent: &mut Lent<'_>, answering: &mut Vec<(u32, u64)>) {
        let mut over = Vec::new();
        for served in &mut self.served {
            while let Some(output) = served.notifier.poll() {
                match output {
                    NotifierOutput::Answer(response) => {
                        let at = answering.iter().position(|(number, _)| *number == served.number);
                        if let Some(at) = at {
                            let (_, request) = answering.remove(at);
                            lent.acts.push(Act::Answer(request, response));
                        }
                    }
                    NotifierOutput::Send(request) => {
                        lent.acts.push(Act::Notify(served.number, request));
                    }
                    NotifierOutput::Refreshed => {
                        let is_old = self
                            .heard
                            .is_none_or(|at| lent.now.saturating_duration_since(at) > FRESH);
                        let is_own = self.visibility == Visibility::Own;
                        if is_old && is_own && self.consent == Some(Consent::Given) {
                            lent.acts.push(Act::Say(Word::Probe));
                        }
                    }
                    NotifierOutput::Over(why) => over.push((served.number, why)),
                }
            }
        }
        if over.is_empty() {
            return;
        }
        self.served
            .retain(|served| over.iter().all(|(number, _)| *number != served.number));
        lent.keep();
        let has_left = over
            .iter()
            .any(|(_, why)| matches!(why, NotifierOver::Left | NotifierOver::Expired));
        //= rfc8048#5.3.3
        //# A presence-aware SIP-to-XMPP gateway is then responsible for: [...] Sending an XMPP <presence/> stanza of type
        //# "unavailable" to the XMPP contact.
        let is_own = self.visibility == Visibility::Own;
        if has_left && is_own && self.served.is_empty() && self.consent == Some(Consent::Given) {
            self.why = "the user of SIP does not look at present";
            lent.say(Word::Unavailable);
        }
    }
}

/// How long a subscription waits for the state of one whose state is not known.
const MOMENT: Duration = Duration::from_secs(1);
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
/// When a watcher may try again.
const LATER: Duration = Duration::from_secs(3_600);
