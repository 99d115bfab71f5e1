//! The notifier: tells one subscriber the state of something of ours for as long as its subscription stands (RFC 6665
//! §4.2).
//!
//! One NOTIFY is under way at most. What changes meanwhile, or within the pause between two, is told by the next one: the
//! last state wins, and the last state is always told.

mod refused;
mod send;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entity::{Condition, EntityTag};
use super::notify::{Authorisation, Ending};
use super::{Entity, is_same_event};
use crate::clock::{Backoff, TimerKind, TimerTable};
use crate::limits::{LONGEST_SUBSCRIPTION, SUBSCRIPTION_PAUSE};
use crate::sip::dialog::{Dialog, Received};
use crate::sip::transaction::{Failure, Timers};
use crate::sip::{Event, Method, NameAddr, Request, Response, StatusCode, Via};

pub use refused::NotAccepted;

/// How a notifier serves.
#[derive(Debug, Clone)]
pub struct NotifierTerms {
    /// Our tag: a token, never used twice.
    pub tag: Box<str>,
    /// Where we want to be reached.
    pub contact: NameAddr,
    /// The event package that is served.
    pub package: Box<str>,
    /// Our hop, until whoever sends the request writes its own; it says too what carries it.
    pub via: Arc<Via>,
    /// Any number, for the jitter of pauses.
    pub random: u32,
    /// What it keeps to for as long as it lasts.
    pub manner: Arc<NotifierManner>,
}

/// What a notifier keeps to, with all others of its kind.
#[derive(Debug, Clone)]
pub struct NotifierManner {
    /// For how long where the subscriber says nothing.
    pub usual: Duration,
    /// The shortest time that is taken, where it is under an hour (§4.2.1.1).
    pub least: Duration,
    /// The longest time that is given.
    pub most: Duration,
    /// The least time between two notifications of changes.
    pub pause: Duration,
    /// The times of the transaction layer.
    pub timers: Timers,
}

/// What happens to a notifier.
#[derive(Debug)]
pub enum NotifierInput {
    /// Another request of the subscriber in the dialog.
    Request(Box<Request>),
    /// This is the state now, and who asks may see it, or not yet.
    State(Authorisation, Option<Entity>),
    /// Say the state that is known once more, whether it is new or not.
    Again,
    /// What failed a while ago works again: no pause after a failure is waited for any more.
    Hurry,
    /// End it.
    End(Ending),
    /// A response to the NOTIFY under way.
    Response(Box<Response>),
    /// The NOTIFY under way got no answer.
    Failed(Failure),
    /// [`Notifier::timeout`] has come.
    Timer,
}

/// What a notifier wants done or known, in this order.
#[derive(Debug)]
pub enum NotifierOutput {
    /// Answer the request that was handed in first of those without an answer.
    Answer(Box<Response>),
    /// Send this NOTIFY.
    Send(Box<Request>),
    /// Send this one, the last, to a subscriber who looks no more: with the state that was known, or another in its place.
    Farewell(Box<Request>),
    /// The subscriber has asked again: the state that is known has been sent, or he has it; a newer one is welcome.
    Refreshed,
    /// It is over. Nothing comes after this.
    Over(NotifierOver),
}

/// How a subscription of somebody else ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotifierOver {
    /// We ended it.
    Ended(Ending),
    /// Its subscriber gave it up.
    Left,
    /// It was not refreshed.
    Expired,
    /// Its subscriber, or somebody on the way, refuses notifications with this status.
    Refused(StatusCode),
    /// Notifications do not arrive.
    Unreachable,
}

/// One subscription of somebody else to a state of ours.
#[derive(Debug)]
pub struct Notifier {
    via: Arc<Via>,
    manner: Arc<NotifierManner>,
    random: u32,
    dialog: Dialog,
    event: Event,
    authorisation: Authorisation,
    entity: Option<Entity>,
    /// What its subscriber does not want to be told, for as long as that is so (RFC 5839).
    condition: Option<Condition>,
    /// What was told last.
    told: Option<(Authorisation, EntityTag)>,
    until: Option<Instant>,
    /// Until when the subscriber may believe that it stands, though the clock says that it is over: it may have been set while no
    /// process ran.
    doubted_until: Option<Instant>,
    /// Why it ends, once it does.
    closing: Option<(Ending, NotifierOver)>,
    is_over: bool,
    /// Whether it ever stood: who asks once has only asked.
    stood: bool,
    /// Whether there is something to tell.
    news: News,
    /// The number of the NOTIFY under way, and whether it is the last.
    under_way: Option<(u32, Last)>,
    due: TimerTable<Timer, 4>,
    backoff: Backoff,
    /// Whether the last failure was for want of a way.
    is_unreached: bool,
    /// Whether the subscriber has asked again since the last NOTIFY was sent: he is there, whatever becomes of it.
    is_there: bool,
    outputs: VecDeque<NotifierOutput>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    None,
    /// A change, which may wait for the pause.
    Change,
    /// What a SUBSCRIBE or the end asks for at once.
    Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    /// The subscription has expired, and the margin is over.
    Expiry,
    /// The pause between two notifications.
    Pause,
    /// The pause after one that failed.
    Retry,
    /// Nothing was heard of the NOTIFY under way.
    Silence,
}

impl Notifier {
    /// Takes a SUBSCRIBE that policy has let in, and answers and notifies it: poll. The state is told as `authorisation`
    /// and `entity` say.
    ///
    /// # Errors
    /// [`NotAccepted`]; [`NotAccepted::response`] says it.
    //
    //= rfc6665#4.2.1.2
    //# Upon successfully accepting or refreshing a subscription, notifiers MUST send a NOTIFY request immediately to
    //# communicate the current resource state to the subscriber.
    pub fn accept(
        now: Instant,
        request: &Request,
        terms: NotifierTerms,
        authorisation: Authorisation,
        entity: Option<Entity>,
    ) -> Result<Self, NotAccepted> {
        let event = request
            .headers()
            .event()
            .filter(|event| event.package() == &*terms.package)
            .cloned()
            .ok_or(NotAccepted::Event)?;
        let time = time(request, &terms.manner)?;
        let dialog = Dialog::of_callee(request, &terms.tag, terms.contact, terms.via.transport())?;
        let mut this = Self {
            via: terms.via,
            manner: terms.manner,
            random: terms.random,
            dialog,
            event,
            authorisation,
            entity,
            condition: None,
            told: None,
            until: None,
            doubted_until: None,
            closing: None,
            is_over: false,
            stood: false,
            news: News::None,
            under_way: None,
            due: TimerTable::new(),
            backoff: Backoff::new(SUBSCRIPTION_PAUSE.0, SUBSCRIPTION_PAUSE.1),
            is_unreached: false,
            is_there: false,
            outputs: VecDeque::new(),
        };
        this.grant(now, request, time);
        Ok(this)
    }

    /// A subscription that stood when the process before ended, for the time that is `left` to it. It says nothing by itself: a
    /// [`NotifierInput::State`] does.
    #[must_use]
    pub fn resume(
        now: Instant,
        terms: NotifierTerms,
        (dialog, event): (Dialog, Event),
        authorisation: Authorisation,
        left: Duration,
    ) -> Self {
        let mut due = TimerTable::new();
        due.set(Timer::Expiry, now, left.saturating_add(EXPIRY_MARGIN));
        Self {
            via: terms.via,
            manner: terms.manner,
            random: terms.random,
            dialog,
            event,
            authorisation,
            entity: None,
            condition: None,
            told: None,
            until: now.checked_add(left),
            doubted_until: now.checked_add(DOUBTED),
            closing: None,
            is_over: false,
            stood: true,
            news: News::None,
            under_way: None,
            due,
            backoff: Backoff::new(SUBSCRIPTION_PAUSE.0, SUBSCRIPTION_PAUSE.1),
            is_unreached: false,
            is_there: false,
            outputs: VecDeque::new(),
        }
    }

    /// The Event that it was asked by.
    #[must_use]
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// Whether a notification is under way, or is to be.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.under_way.is_some() || self.news != News::None
    }

    /// Whether all that is left is to say that it is over.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// The reason that is said then.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.closing.map(|(ending, _)| ending)
    }

    /// When it ends unless it is refreshed.
    #[must_use]
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Instant, input: NotifierInput) {
        // Before the rest: a pause that is over holds nothing back, however late its timer is looked at.
        while let Some(timer) = self.due.expired(now) {
            self.fire(now, timer);
        }
        match input {
            NotifierInput::Request(request) => self.receive(now, &request),
            NotifierInput::State(authorisation, entity) => {
                let is_new = self.authorisation != authorisation || self.entity != entity;
                if is_new && !self.is_over {
                    // A subscriber who waits to be let in is told at once that he is.
                    let news = if self.authorisation == authorisation {
                        News::Change
                    } else {
                        News::Asked
                    };
                    self.authorisation = authorisation;
                    self.entity = entity;
                    // The last notification is on its way, or waits for one to be answered and tells this state.
                    if self.closing.is_none() {
                        self.tell(now, news);
                    }
                }
            }
            NotifierInput::Again => {
                if self.closing.is_none() && !self.is_over && !self.is_quiet() {
                    self.tell(now, News::Asked);
                }
            }
            NotifierInput::Hurry => {
                if self.due.is_set(Timer::Retry) {
                    self.due.set(Timer::Retry, now, Duration::ZERO);
                }
            }
            NotifierInput::End(ending) => self.close(now, ending, NotifierOver::Ended(ending)),
            NotifierInput::Response(response) => self.answered(now, &response),
            NotifierInput::Failed(failure) => self.failed(now, failure),
            NotifierInput::Timer => {}
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<NotifierOutput> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // The machine lives for long, and has seldom anything to say.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When [`NotifierInput::Timer`] is next of use.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.due.next()
    }

    /// Its dialog.
    #[must_use]
    pub const fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    fn receive(&mut self, now: Instant, request: &Request) {
        if self.is_over {
            return self.answer(request, StatusCode::CALL_DOES_NOT_EXIST);
        }
        match self.dialog.receive(request) {
            Err(refused) => return self.answer(request, refused.status()),
            Ok(Received::Acknowledgement) => return,
            Ok(Received::Request | Received::Bye) => {}
        }
        if *request.method() != Method::Subscribe {
            return self.answer(request, StatusCode::METHOD_NOT_ALLOWED);
        }
        let event = request.headers().event();
        if event.is_none_or(|event| event.package() != self.event.package()) {
            return self.answer(request, StatusCode::BAD_EVENT);
        }
        let is_ours = event.is_some_and(|event| is_same_event(event, &self.event));
        if !is_ours || self.closing.is_some() {
            return self.answer(request, StatusCode::CALL_DOES_NOT_EXIST);
        }
        match time(request, &self.manner) {
            Ok(time) => {
                self.is_there = true;
                self.grant(now, request, time);
                if !time.is_zero() {
                    self.outputs.push_back(NotifierOutput::Refreshed);
                }
            }
            Err(refused) => {
                let response = refused.response(request, "");
                self.outputs.push_back(NotifierOutput::Answer(Box::new(response)));
            }
        }
    }

    /// Gives a subscriber its time, and tells it the state, unless it has that.
    fn grant(&mut self, now: Instant, request: &Request, time: Duration) {
        self.condition = self.condition_of(request);
        //= rfc5839#6.3
        //# Notifiers MUST NOT suppress a NOTIFY unless the corresponding SUBSCRIBE message was sent in an established
        //# dialog.
        let is_quiet = request.headers().to().tag().is_some() && self.is_quiet();
        let status = if is_quiet {
            StatusCode::NO_NOTIFICATION
        } else {
            StatusCode::OK
        };
        let mut response = self.dialog.answer(request, status, "");
        let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        response.headers_mut().set_expires(Some(seconds));
        self.outputs.push_back(NotifierOutput::Answer(Box::new(response)));
        self.until = now.checked_add(time);
        if time.is_zero() && is_quiet {
            // Its last words are that it wants none.
            self.end(NotifierOver::Left);
        } else if time.is_zero() {
            //= rfc6665#4.4.3
            //# Note that the NOTIFY requests triggered by SUBSCRIBE requests with "Expires" header fields of 0 will
            //# contain a "Subscription-State" value of "terminated" and a "reason" parameter of "timeout".
            self.close(now, Ending::Timeout, NotifierOver::Left);
        } else {
            self.stood = true;
            self.due
                .set(Timer::Expiry, now, time.saturating_add(EXPIRY_MARGIN));
            if is_quiet {
                self.told = Some((self.authorisation, self.tag()));
                self.news = News::None;
            } else {
                self.tell(now, News::Asked);
            }
        }
    }

    fn close(&mut self, now: Instant, ending: Ending, over: NotifierOver) {
        if self.closing.is_some() || self.is_over {
            return;
        }
        self.closing = Some((ending, over));
        self.due.clear(Timer::Expiry);
        self.tell(now, News::Asked);
    }

    fn fire(&mut self, now: Instant, timer: Timer) {
        match timer {
            //= rfc6665#4.2.1.4
            //# If no refresh for a notification address is received before its expiration time, the subscription is
            //# removed.
            Timer::Expiry => self.close(now, Ending::Timeout, NotifierOver::Expired),
            Timer::Pause | Timer::Retry => self.go_on(now),
            // Nobody says what became of it: there may be no way to say anything.
            Timer::Silence => {
                self.is_there = false;
                self.failed(now, Failure::Timeout);
            }
        }
    }

    fn end(&mut self, why: NotifierOver) {
        // Who wanted the end first is who ended it.
        let why = self.closing.map_or(why, |(_, over)| over);
        self.is_over = true;
        self.due.clear_all();
        self.under_way = None;
        self.entity = None;
        self.news = News::None;
        self.dialog.end();
        self.outputs.push_back(NotifierOutput::Over(why));
    }

    fn answer(&mut self, request: &Request, status: StatusCode) {
        if *request.method() == Method::Ack {
            return;
        }
        let response = self.dialog.answer(request, status, "");
        self.outputs.push_back(NotifierOutput::Answer(Box::new(response)));
    }
}

impl TimerKind for Timer {
    const ALL: &'static [Self] = &[Self::Silence, Self::Expiry, Self::Pause, Self::Retry];

    fn index(self) -> usize {
        match self {
            Self::Silence => 0,
            Self::Expiry => 1,
            Self::Pause => 2,
            Self::Retry => 3,
        }
    }
}

/// For how long a request asks, as we give it.
//
//= rfc6665#4.2.1.1
//# If and only if the expiration interval is greater than zero AND smaller than one hour AND less than a
//# notifier-configured minimum, the notifier MAY return a 423 (Interval Too Brief) error that contains a "Min-Expires"
//# header field.
fn time(request: &Request, manner: &NotifierManner) -> Result<Duration, NotAccepted> {
    let seconds = request.headers().expires();
    let asked = seconds.map_or(manner.usual, |seconds| Duration::from_secs(u64::from(seconds)));
    let least = manner.least.min(HOUR);
    if !asked.is_zero() && asked < least {
        return Err(NotAccepted::TooBrief(least.as_secs()));
    }
    Ok(asked.min(manner.most.max(least)).min(LONGEST_SUBSCRIPTION))
}

const HOUR: Duration = Duration::from_secs(3_600);

/// A refresh that was sent in time may take so long to arrive.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);
/// For so long after a restart whoever cannot be reached is told, once he can, that his subscription is over.
const DOUBTED: Duration = Duration::from_secs(3_600);
