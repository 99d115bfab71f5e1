//! The subscriber: keeps one subscription to somebody else's state for as long as it is wanted (RFC 6665 §4.1).
//!
//! It asks its user before it refreshes, for a subscription that nobody looks at is to lapse. Of a SUBSCRIBE that forked
//! it keeps the first that notifies (RFC 3856 §6.9); the others get 481, and give up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Content, is_unanswered};
use crate::clock::{Backoff, TimerKind, TimerTable};
use crate::limits::{LONGEST_SUBSCRIPTION, SUBSCRIPTION_PAUSE};
use crate::mime::MediaType;
use crate::sip::dialog::Dialog;
use crate::sip::transaction::{Failure, Timers};
use crate::sip::{CallId, Event, Mandatory, Method, NameAddr, Request, Response, StatusCode, Uri, Via};

mod failure;
mod state;
mod tagged;

pub use failure::{Lapse, SubscriberOver};
use tagged::Tagged;

/// How something is subscribed to.
#[derive(Debug, Clone)]
pub struct SubscriberTerms {
    /// Our hop, until whoever sends the request writes its own; it says too what carries it.
    pub via: Arc<Via>,
    /// What it keeps to for as long as it lasts.
    pub manner: Arc<SubscriberManner>,
}

/// What a subscriber keeps to, with all others of its kind.
#[derive(Debug, Clone)]
pub struct SubscriberManner {
    /// The event package.
    pub event: Event,
    /// Media types that can be read, as in Accept; a notification of another gets 415.
    pub accept: Box<[MediaType]>,
    /// For how long; zero asks for the state once (§4.4.3).
    pub expires: Duration,
    /// The times of the transaction layer.
    pub timers: Timers,
}

/// What is to be subscribed to by one attempt, and what that is told by: never used for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The Request-URI.
    pub target: Uri,
    /// Who watches, without a tag.
    pub from: NameAddr,
    /// Who is watched.
    pub to: NameAddr,
    /// Where notifications are to go.
    pub contact: NameAddr,
    /// The Call-ID.
    pub call_id: CallId,
    /// The tag of From: a token.
    pub tag: Box<str>,
    /// Any number, for the jitter of this attempt.
    pub random: u32,
}

/// What happens to a subscriber.
#[derive(Debug)]
pub enum SubscriberInput {
    /// Make this attempt: the answer to [`SubscriberOutput::Wanted`].
    Subscribe(Box<Attempt>),
    /// The state is wanted now, or goes on to be wanted.
    Refresh,
    /// What failed a while ago works again: no pause is waited for any more.
    Hurry,
    /// What failed says nothing of how long the next pause is to be.
    Forgive,
    /// The state is wanted no more.
    Stop,
    /// A response to the SUBSCRIBE under way.
    Response(Box<Response>),
    /// The SUBSCRIBE under way got no answer.
    Failed(Failure),
    /// A NOTIFY (or BENOTIFY) with its Call-ID.
    Notify(Box<Request>),
    /// [`Subscriber::timeout`] has come.
    Timer,
}

/// What a subscriber wants done or known, in this order.
#[derive(Debug)]
pub enum SubscriberOutput {
    /// Give it a new attempt, so that it can subscribe.
    Wanted,
    /// Send this SUBSCRIBE.
    Send(Box<Request>),
    /// Answer the NOTIFY that was handed in first of those without an answer.
    Answer(Box<Response>),
    /// The subscription waits for a decision.
    Pending,
    /// The subscription stands, and this is the state; `None` where nothing is known of it.
    Active(Option<Content>),
    /// It will expire soon: [`SubscriberInput::Refresh`] keeps it, and without that it lapses.
    Due,
    /// The state is not known any more. Another attempt follows by itself, or after a lapse when it is wanted.
    Lost(Lapse),
    /// It is over. Nothing comes after this.
    Over(SubscriberOver),
}

/// One subscription of ours.
#[derive(Debug)]
pub struct Subscriber {
    terms: SubscriberTerms,
    /// What is asked for, once a notifier wanted longer.
    expires: Duration,
    state: State,
    wish: Wish,
    /// The SUBSCRIBE that will make the dialog, until it has.
    first: Option<Box<Request>>,
    /// The number of the SUBSCRIBE that made the dialog or is to.
    began: Option<u32>,
    dialog: Option<Box<Dialog>>,
    tagged: Tagged,
    /// The number of the SUBSCRIBE under way.
    under_way: Option<UnderWay>,
    /// What has to be sent behind it.
    next: Option<Ask>,
    due: TimerTable<Timer, 4>,
    backoff: Backoff,
    /// Whether the last failure was for want of a way or an answer.
    is_unreached: bool,
    random: u32,
    /// 423 in a row.
    too_brief: u32,
    since: Option<Instant>,
    until: Option<Instant>,
    outputs: VecDeque<SubscriberOutput>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing stands and nothing is under way: an attempt is awaited, or a pause, or the next wish.
    Idle,
    /// `notify_wait`: SUBSCRIBE is sent, no NOTIFY has come.
    Waiting,
    /// `pending`, `active`.
    Pending,
    Active,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Keep,
    /// Nobody has said lately that it is wanted.
    Lapse,
    Stop,
    /// It was said that it is wanted no more.
    Left,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Refresh,
    Leave,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct UnderWay {
    number: u32,
    ask: Ask,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    /// Timer N: no NOTIFY has come for what was sent.
    N,
    /// A refresh is due.
    Refresh,
    /// The subscription expires.
    Expiry,
    /// The pause before another attempt is over.
    Pause,
}

impl Subscriber {
    /// A subscriber that wants to begin: poll it.
    #[must_use]
    pub fn new(terms: SubscriberTerms) -> Self {
        let mut outputs = VecDeque::new();
        outputs.push_back(SubscriberOutput::Wanted);
        Self {
            expires: terms.manner.expires.min(LONGEST_SUBSCRIPTION),
            terms,
            state: State::Idle,
            wish: Wish::Keep,
            first: None,
            began: None,
            dialog: None,
            tagged: Tagged::default(),
            under_way: None,
            next: None,
            due: TimerTable::new(),
            backoff: Backoff::new(SUBSCRIPTION_PAUSE.0, SUBSCRIPTION_PAUSE.1),
            is_unreached: false,
            random: 0,
            too_brief: 0,
            since: None,
            until: None,
            outputs,
        }
    }

    /// A subscription that stood when the process before ended, for the time that is `left` to it. It says nothing by itself:
    /// [`SubscriberInput::Refresh`] brings its state. `random` is any number.
    #[must_use]
    pub fn resume(now: Instant, terms: SubscriberTerms, dialog: Dialog, left: Duration, random: u32) -> Self {
        let mut this = Self::new(terms);
        this.outputs.clear();
        this.state = State::Active;
        this.random = random;
        this.dialog = Some(Box::new(dialog));
        this.expire_in(now, left);
        this
    }

    /// When the subscription that stands ends, where one does.
    #[must_use]
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Instant, input: SubscriberInput) {
        if self.state == State::Over {
            if let SubscriberInput::Notify(notify) = input {
                self.answer(&notify, StatusCode::CALL_DOES_NOT_EXIST);
            }
            return;
        }
        match input {
            SubscriberInput::Subscribe(attempt) => self.subscribe(now, *attempt),
            SubscriberInput::Refresh => self.refresh(now),
            SubscriberInput::Hurry => {
                if self.due.is_set(Timer::Pause) {
                    self.due.set(Timer::Pause, now, Duration::ZERO);
                }
            }
            SubscriberInput::Forgive => self.backoff.succeeded(),
            SubscriberInput::Stop => self.stop(now),
            SubscriberInput::Response(response) => self.receive(now, &response),
            SubscriberInput::Failed(failure) => self.failed(now, failure),
            SubscriberInput::Notify(notify) => self.notified(now, &notify),
            SubscriberInput::Timer => {
                while let Some(timer) = self.due.expired(now) {
                    self.fire(now, timer);
                }
            }
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<SubscriberOutput> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            // The machine lives for long, and has seldom anything to say.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When [`SubscriberInput::Timer`] is next of use.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.due.next()
    }

    /// Its dialog, while there is one.
    #[must_use]
    pub fn dialog(&self) -> Option<&Dialog> {
        self.dialog.as_deref()
    }

    //= rfc6665#4.1.2.4
    //# To ensure that subscribers do not wait indefinitely for a subscription to be established, a subscriber starts a
    //# Timer N, set to 64*T1, when it sends a SUBSCRIBE request.
    fn subscribe(&mut self, now: Instant, attempt: Attempt) {
        if self.state != State::Idle || self.due.is_set(Timer::Pause) || self.wish != Wish::Keep {
            return;
        }
        self.random = attempt.random;
        let mandatory = Mandatory {
            via: Via::clone(&self.terms.via),
            from: attempt.from.with_tag(&attempt.tag),
            to: attempt.to,
            call_id: attempt.call_id,
            sequence: 1,
        };
        let mut request =
            Request::new(Method::Subscribe, attempt.target, mandatory).with_contact(attempt.contact);
        request.headers_mut().to_mut().remove_tag();
        self.send(now, request, Ask::Refresh);
        self.state = State::Waiting;
    }

    fn refresh(&mut self, now: Instant) {
        if self.is_leaving() {
            return;
        }
        let was_idle = self.wish == Wish::Lapse;
        self.wish = Wish::Keep;
        match self.state {
            State::Idle if was_idle && !self.due.is_set(Timer::Pause) => {
                self.outputs.push_back(SubscriberOutput::Wanted);
            }
            State::Pending | State::Active => self.ask(now, Ask::Refresh),
            State::Idle | State::Waiting | State::Over => {}
        }
    }

    fn stop(&mut self, now: Instant) {
        if self.is_leaving() {
            return;
        }
        self.wish = Wish::Stop;
        match self.state {
            State::Idle => self.end(SubscriberOver::Stopped),
            State::Pending | State::Active => self.ask(now, Ask::Leave),
            // Where the subscription stands is known when its NOTIFY comes; timer N ends the wait for it.
            State::Waiting | State::Over => {}
        }
    }

    /// Sends a SUBSCRIBE in the dialog, or behind the one that is under way.
    fn ask(&mut self, now: Instant, ask: Ask) {
        if self.under_way.is_some() {
            self.next = Some(ask);
            return;
        }
        let via = Via::clone(&self.terms.via);
        let Some(dialog) = &mut self.dialog else {
            return;
        };
        match dialog.request(Method::Subscribe, via) {
            Ok(request) => self.send(now, request, ask),
            Err(_) => self.lose(now, Lapse::Failed(None), None),
        }
    }

    fn send(&mut self, now: Instant, mut request: Request, ask: Ask) {
        let number = request.headers().cseq().number();
        let expires = match ask {
            Ask::Refresh => self.expires,
            Ask::Leave => Duration::ZERO,
        };
        let headers = request.headers_mut();
        headers.set_event(Some(self.terms.manner.event.clone()));
        headers.set_expires(Some(u32::try_from(expires.as_secs()).unwrap_or(u32::MAX)));
        let accept: Vec<_> = self.terms.manner.accept.iter().map(ToString::to_string).collect();
        if !accept.is_empty() {
            // Media types are written clean, so this cannot fail.
            let _ = headers.push("Accept", &accept.join(", "));
        }
        if ask == Ask::Leave {
            self.wish = Wish::Left;
            self.due.clear(Timer::Expiry);
        }
        if self.dialog.is_none() && self.first.is_none() {
            self.began = Some(number);
            self.first = Some(Box::new(request.clone()));
        } else {
            self.tagged.ask(request.headers_mut());
        }
        self.under_way = Some(UnderWay { number, ask });
        self.due.clear(Timer::Refresh);
        let patience = self.terms.manner.timers.give_up().saturating_add(MARGIN);
        self.due.set(Timer::N, now, patience);
        self.outputs.push_back(SubscriberOutput::Send(Box::new(request)));
    }

    fn fire(&mut self, now: Instant, timer: Timer) {
        match (timer, self.wish) {
            (Timer::Pause, Wish::Keep) => self.outputs.push_back(SubscriberOutput::Wanted),
            (Timer::Pause, Wish::Lapse | Wish::Stop | Wish::Left) => {}
            //= rfc6665#4.1.2.2
            //# If this Timer N expires prior to the receipt of a NOTIFY request, the subscriber considers the subscription
            //# terminated.
            (Timer::N, _) => {
                if self.under_way.is_none() {
                    self.tagged.said_nothing();
                }
                self.lose(now, Lapse::Failed(None), None);
            }
            (Timer::Refresh, Wish::Keep | Wish::Lapse) => {
                self.wish = Wish::Lapse;
                self.outputs.push_back(SubscriberOutput::Due);
            }
            (Timer::Refresh, Wish::Stop | Wish::Left) => {}
            (Timer::Expiry, _) => self.lose(now, Lapse::Expired, None),
        }
    }

    /// The subscription is gone: another attempt after a pause, where it is still wanted.
    fn lose(&mut self, now: Instant, why: Lapse, after: Option<Duration>) {
        let had_state = self.state != State::Idle;
        self.forget(now);
        if self.is_leaving() {
            return self.end(SubscriberOver::Stopped);
        }
        if self.expires.is_zero() {
            return self.end(SubscriberOver::Lost(why));
        }
        if had_state {
            self.outputs.push_back(SubscriberOutput::Lost(why));
        }
        let pause = self
            .backoff
            .failed(self.random)
            .max(after.unwrap_or_default().min(LONGEST_SUBSCRIPTION));
        self.due.set(Timer::Pause, now, pause);
    }

    /// The same where the notifier asks for another attempt at once; only one that stood for a while gets it.
    fn lose_for_now(&mut self, now: Instant) {
        let is_first = self.stood(now);
        self.lose(now, Lapse::Terminated, None);
        if is_first && self.due.is_set(Timer::Pause) {
            self.due.set(Timer::Pause, now, Duration::ZERO);
        }
    }

    /// Whether it is being given up, which nothing takes back.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        matches!(self.wish, Wish::Stop | Wish::Left)
    }

    /// Whether the subscription stood for longer than the first pause between attempts lasts.
    fn stood(&self, now: Instant) -> bool {
        self.since
            .is_some_and(|since| now.saturating_duration_since(since) >= STEADY)
    }

    fn forget(&mut self, now: Instant) {
        if self.stood(now) {
            self.backoff.succeeded();
        }
        self.due.clear_all();
        self.state = State::Idle;
        self.first = None;
        self.began = None;
        self.dialog = None;
        self.tagged.end();
        self.under_way = None;
        self.next = None;
        self.since = None;
        self.until = None;
    }

    fn end(&mut self, why: SubscriberOver) {
        self.due.clear_all();
        self.state = State::Over;
        self.first = None;
        self.began = None;
        self.dialog = None;
        self.tagged.end();
        self.under_way = None;
        self.next = None;
        self.outputs.push_back(SubscriberOutput::Over(why));
    }

    fn answer(&mut self, notify: &Request, status: StatusCode) {
        if is_unanswered(notify.method()) {
            return;
        }
        let mut response = match &self.dialog {
            Some(dialog) => dialog.answer(notify, status, ""),
            None => notify.response(status, "", None),
        };
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            let accept: Vec<_> = self.terms.manner.accept.iter().map(ToString::to_string).collect();
            // Media types are written clean, so this cannot fail.
            let _ = response.headers_mut().push("Accept", &accept.join(", "));
        }
        self.outputs
            .push_back(SubscriberOutput::Answer(Box::new(response)));
    }
}

impl TimerKind for Timer {
    const ALL: &'static [Self] = &[Self::N, Self::Expiry, Self::Refresh, Self::Pause];

    fn index(self) -> usize {
        match self {
            Self::N => 0,
            Self::Expiry => 1,
            Self::Refresh => 2,
            Self::Pause => 3,
        }
    }
}

/// A subscription that stood for so long was a good one: the next attempt may follow at once.
const STEADY: Duration = Duration::from_secs(60);

/// No refresh comes sooner than this after the last, however short a notifier makes the subscription.
const LEAST_REFRESH: Duration = Duration::from_secs(5);

/// Timer N waits for so much longer than the transaction does, which is to say first what became of the SUBSCRIBE.
const MARGIN: Duration = Duration::from_secs(2);
