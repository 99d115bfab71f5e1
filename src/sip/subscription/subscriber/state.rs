//! What responses and notifications do to a subscriber.

use std::time::{Duration, Instant};

use super::failure::{Reason, Verdict, verdict};
use super::{
    Ask, LEAST_REFRESH, Lapse, State, Subscriber, SubscriberOutput, SubscriberOver, Timer, UnderWay, Wish,
};
use crate::limits::{LONGEST_SUBSCRIPTION, SUBSCRIBE_TRIES};
use crate::sip::dialog::{Damage, Dialog, damage};
use crate::sip::subscription::{Content, content, is_same_event, retry_after, seconds_of};
use crate::sip::transaction::Failure;
use crate::sip::{CallId, Headers, Mandatory, Method, Request, Response, StatusCode, SubscriptionState, Via};

/// What a notification says of the state.
enum News {
    /// It is this.
    State(Option<Content>),
    /// It is what is known.
    None,
}

impl Subscriber {
    pub(super) fn receive(&mut self, now: Instant, response: &Response) {
        let headers = response.headers();
        if !self.is_of(headers.call_id()) {
            return;
        }
        let Some(under_way) = self.under_way.filter(|under_way| {
            headers.cseq().number() == under_way.number && *headers.cseq().method() == Method::Subscribe
        }) else {
            return;
        };
        let status = response.status();
        if status.is_provisional() {
            return;
        }
        self.under_way = None;
        if std::mem::take(&mut self.is_unreached) {
            // That there was no way, or no answer, says nothing of how long who answers now wants to be left alone.
            self.backoff.succeeded();
        }
        if status.is_success() {
            self.accepted(now, under_way, response);
        } else {
            self.refused(now, under_way, response);
        }
    }

    fn accepted(&mut self, now: Instant, under_way: UnderWay, response: &Response) {
        self.too_brief = 0;
        // What a first notification said goes before it: it came later, whichever was read first.
        let is_told = self.is_first(under_way) && self.until.is_some();
        let time = response.headers().expires().map_or(self.expires, whole);
        if under_way.ask == Ask::Refresh && !is_told && !time.is_zero() {
            self.expire_in(now, time);
        }
        if let Some(dialog) = &mut self.dialog {
            dialog.receive_response(response);
        }
        //= rfc6665#4.1.2.2
        //# If the subscriber receives a success response to the SUBSCRIBE request that indicates that no NOTIFY request
        //# will be generated -- such as the 204 response defined for use with the optional extension described in
        //# [RFC5839] -- then it MUST cancel Timer N.
        if response.status() == StatusCode::NO_NOTIFICATION
            && matches!(self.state, State::Pending | State::Active)
        {
            if under_way.ask == Ask::Leave {
                return self.end_lost(SubscriberOver::Stopped);
            }
            self.due.clear(Timer::N);
            if self.stood(now) {
                self.backoff.succeeded();
            }
            if self.tagged.is_overtaken() {
                self.tagged.forget();
                self.next.get_or_insert(Ask::Refresh);
            }
        }
        self.piggybacked(now, response);
        self.go_on(now);
    }

    /// A first notification within the response (`ms-piggyback-first-notify`): what asked for none gets one all the same.
    fn piggybacked(&mut self, now: Instant, response: &Response) {
        let Some(content) = content(response.headers().content_type(), response.body()) else {
            return;
        };
        // The answer to our leave: that the subscription is over is still to come, or timer N says it.
        if !self.is_readable(&content) || self.wish == Wish::Left {
            return;
        }
        if self.dialog.is_none() {
            let Some(first) = &self.first else {
                return;
            };
            let Ok(dialog) = Dialog::of_caller(first, response, self.terms.via.transport()) else {
                return;
            };
            self.first = None;
            self.dialog = Some(Box::new(dialog));
        }
        self.due.clear(Timer::N);
        if let (Some(dialog), Some(sequence)) = (&mut self.dialog, seconds_of(response, "ms-piggyback-cseq"))
            && !dialog.heard(sequence)
        {
            // A notification that was sent later has overtaken it.
            return;
        }
        if let Ok(state) = SubscriptionState::new("active") {
            self.tagged.forget();
            self.stands(now, &state, News::State(Some(content)));
        }
    }

    fn refused(&mut self, now: Instant, under_way: UnderWay, response: &Response) {
        let status = response.status();
        // Another branch of a request that forked has already notified.
        if self.is_first(under_way) && self.state != State::Waiting {
            return self.go_on(now);
        }
        if under_way.ask == Ask::Leave {
            return self.lose(now, Lapse::Failed(Some(status)), None);
        }
        self.due.clear(Timer::N);
        // What is refused with a condition is perhaps not without.
        self.tagged.forget();
        let verdict = verdict(status);
        if verdict == Verdict::TooBrief {
            return self.ask_for_longer(now, response);
        }
        let after = crate::sip::retry_after(response);
        match self.state {
            State::Pending | State::Active => match (damage(&Method::Subscribe, status), verdict) {
                (_, Verdict::Over(why @ SubscriberOver::Rejected)) => self.end_lost(why),
                (Damage::Usage | Damage::Dialog, Verdict::Over(why)) => self.end_lost(why),
                (Damage::Usage | Damage::Dialog, Verdict::Later | Verdict::TooBrief) => {
                    self.lose(now, Lapse::Failed(Some(status)), after);
                }
                //= rfc6665#4.1.2.2
                //# If a SUBSCRIBE request to refresh a subscription fails with any error code other than those listed
                //# above, the original subscription is still considered valid for the duration of the most recently known
                //# "Expires" value
                (Damage::Transaction, _) => self.refresh_later(now, after),
            },
            State::Idle | State::Waiting | State::Over => match verdict {
                Verdict::Over(why) => self.end_lost(why),
                Verdict::Later | Verdict::TooBrief => {
                    self.lose(now, Lapse::Failed(Some(status)), after);
                }
            },
        }
    }

    /// Asks again with the Min-Expires of a 423, where that is not beyond all reason.
    fn ask_for_longer(&mut self, now: Instant, response: &Response) {
        let least = seconds_of(response, "Min-Expires").map(whole);
        self.too_brief = self.too_brief.saturating_add(1);
        match least {
            Some(least)
                if least > self.expires
                    && least <= LONGEST_SUBSCRIPTION
                    && self.too_brief <= SUBSCRIBE_TRIES
                    && !self.is_leaving() =>
            {
                self.expires = least;
                match (self.state, self.first.take()) {
                    (State::Waiting, Some(first)) => {
                        self.send(now, again(&first, &self.terms.via), Ask::Refresh);
                    }
                    (_, first) => {
                        self.first = first;
                        self.ask(now, Ask::Refresh);
                    }
                }
            }
            _ if matches!(self.state, State::Pending | State::Active) => self.refresh_later(now, None),
            _ => self.end_lost(SubscriberOver::Refused(response.status())),
        }
    }

    /// Whether the attempt under way, or the dialog that stands, has that Call-ID: one that was given up may still be answered.
    #[must_use]
    pub fn is_of(&self, call_id: &CallId) -> bool {
        match (&self.dialog, &self.first) {
            (Some(dialog), _) => dialog.call_id() == call_id,
            (None, Some(first)) => first.headers().call_id() == call_id,
            (None, None) => false,
        }
    }

    fn is_first(&self, under_way: UnderWay) -> bool {
        self.began == Some(under_way.number)
    }

    pub(super) fn failed(&mut self, now: Instant, failure: Failure) {
        let Some(under_way) = self.under_way.take() else {
            return;
        };
        self.is_unreached = true;
        match (self.state, failure, under_way.ask) {
            // What the flow lost was perhaps only the answer; the subscription stands until it expires.
            (State::Pending | State::Active, Failure::Transport, Ask::Refresh) => {
                self.due.clear(Timer::N);
                self.refresh_later(now, None);
            }
            (State::Idle | State::Over, ..) => {}
            (State::Waiting | State::Pending | State::Active, ..) => {
                self.lose(now, Lapse::Failed(None), None);
            }
        }
    }

    pub(super) fn notified(&mut self, now: Instant, notify: &Request) {
        match self.check(notify) {
            Ok((state, content)) => {
                self.answer(notify, StatusCode::OK);
                self.apply(now, &state, content, notify.headers());
            }
            Err(status) => {
                if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
                    self.tagged.forget();
                }
                self.answer(notify, status);
            }
        }
    }

    /// Whether a notification is of this subscription; then its dialog is there.
    //
    //= rfc6665#4.1.3
    //# Upon receiving a NOTIFY request, the subscriber should check that it matches at least one of its outstanding
    //# subscriptions; if not, it MUST return a 481 (Subscription does not exist) response
    fn check(&mut self, notify: &Request) -> Result<(SubscriptionState, Option<Content>), StatusCode> {
        let headers = notify.headers();
        let is_ours = match (&self.dialog, &self.first) {
            (Some(dialog), _) => {
                headers.call_id() == dialog.call_id() && headers.to().tag() == dialog.local().tag()
            }
            (None, Some(first)) => {
                let asked = first.headers();
                headers.call_id() == asked.call_id() && headers.to().tag() == asked.from().tag()
            }
            (None, None) => false,
        };
        if !is_ours || self.state == State::Idle {
            return Err(StatusCode::CALL_DOES_NOT_EXIST);
        }
        let event = headers.event().ok_or(StatusCode::BAD_EVENT)?;
        if event.package() != self.terms.manner.event.package() {
            return Err(StatusCode::BAD_EVENT);
        }
        if !is_same_event(event, &self.terms.manner.event) {
            return Err(StatusCode::CALL_DOES_NOT_EXIST);
        }
        let state = headers.subscription_state().ok_or(StatusCode::BAD_REQUEST)?;
        match &mut self.dialog {
            Some(dialog) => {
                dialog.receive(notify).map_err(|refused| refused.status())?;
            }
            None => {
                let first = self.first.as_ref().ok_or(StatusCode::CALL_DOES_NOT_EXIST)?;
                let dialog = Dialog::of_subscriber(first, notify, self.terms.via.transport())
                    .map_err(|_| StatusCode::BAD_REQUEST)?;
                self.first = None;
                self.dialog = Some(Box::new(dialog));
            }
        }
        let content = content(headers.content_type(), notify.body());
        if content.as_ref().is_some_and(|content| !self.is_readable(content)) && !state.is("terminated") {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        Ok((state.clone(), content))
    }

    fn is_readable(&self, content: &Content) -> bool {
        let (accept, kind) = (&self.terms.manner.accept, &content.kind);
        accept.is_empty() || accept.iter().any(|known| known.is(kind.kind(), kind.subtype()))
    }

    fn apply(
        &mut self,
        now: Instant,
        state: &SubscriptionState,
        content: Option<Content>,
        headers: &Headers,
    ) {
        if state.is("terminated") {
            return self.terminated(now, state, content);
        }
        // One that crossed our leave; the last one is still to come.
        if self.wish == Wish::Left {
            return;
        }
        self.due.clear(Timer::N);
        let is_known = content.is_none() && self.tagged.is_of_the_known(headers);
        let news = if is_known && !state.is("pending") {
            News::None
        } else {
            News::State(content)
        };
        if state.is("pending") {
            // Who may see gets another state, whatever its tag is.
            self.tagged.forget();
        } else {
            self.tagged.learn(headers);
        }
        self.stands(now, state, news);
        if self.expires.is_zero() {
            return self.end_lost(SubscriberOver::Fetched);
        }
        self.go_on(now);
    }

    /// The subscription is pending or active; an unknown state counts as active.
    fn stands(&mut self, now: Instant, state: &SubscriptionState, news: News) {
        self.since.get_or_insert(now);
        //= rfc6665#4.1.3
        //# If the header field also contains an "expires" parameter, the subscriber SHOULD take it as the authoritative
        //# subscription duration and adjust accordingly.
        let expires = match state.expires() {
            Some(seconds) => Some(whole(seconds)),
            None if self.until.is_none() => Some(self.expires),
            None => None,
        };
        if let Some(expires) = expires {
            self.expire_in(now, expires);
        }
        if state.is("pending") {
            self.state = State::Pending;
            self.outputs.push_back(SubscriberOutput::Pending);
        } else {
            self.state = State::Active;
            if let News::State(content) = news {
                self.outputs.push_back(SubscriberOutput::Active(content));
            }
        }
        if self.stood(now) {
            self.backoff.succeeded();
        }
    }

    fn terminated(&mut self, now: Instant, state: &SubscriptionState, content: Option<Content>) {
        let content = content.filter(|content| self.is_readable(content));
        let is_fetch = self.expires.is_zero();
        if self.is_leaving() {
            return self.end_lost(SubscriberOver::Stopped);
        }
        let reason = Reason::of(state);
        if is_fetch && matches!(reason, Reason::Expired | Reason::Later) {
            self.outputs.push_back(SubscriberOutput::Active(content));
            return self.end_lost(SubscriberOver::Fetched);
        }
        if content.is_some() && !matches!(reason, Reason::Over(SubscriberOver::Rejected)) {
            self.outputs.push_back(SubscriberOutput::Active(content));
        }
        match reason {
            Reason::Over(why) => self.end_lost(why),
            //= rfc6665#4.1.3
            //# deactivated: The subscription has been terminated, but the subscriber SHOULD retry immediately with a new
            //# subscription.
            Reason::Again => self.lose_for_now(now),
            Reason::Expired => self.lose_for_now(now),
            Reason::Later => {
                self.lose(now, Lapse::Terminated, retry_after(state).map(whole));
            }
        }
    }

    /// What waited behind the SUBSCRIBE that is done, or the wish to leave that came before there was a dialog.
    fn go_on(&mut self, now: Instant) {
        if !matches!(self.state, State::Pending | State::Active) || self.under_way.is_some() {
            return;
        }
        let next = self.next.take();
        match (self.wish, next) {
            (Wish::Stop, _) => self.ask(now, Ask::Leave),
            (Wish::Keep | Wish::Lapse, Some(ask)) => self.ask(now, ask),
            (Wish::Keep | Wish::Lapse, None) | (Wish::Left, _) => {}
        }
    }

    /// Another refresh, while there is time.
    fn refresh_later(&mut self, now: Instant, after: Option<Duration>) {
        if self.is_leaving() {
            return self.go_on(now);
        }
        let pause = self.backoff.failed(self.random).max(after.unwrap_or_default());
        self.due.set(Timer::Refresh, now, pause.max(AFTER_FAILURE));
    }

    /// Sets the expiry, and the refresh well before it: at 80 to 90 percent, and a transaction's time ahead if there is
    /// room for it.
    pub(super) fn expire_in(&mut self, now: Instant, time: Duration) {
        // Who extends it by itself (`com.microsoft.autoextend`) may, but not for ever.
        let time = time.min(LONGEST_SUBSCRIPTION);
        if self.expires.is_zero() || self.wish == Wish::Left {
            return;
        }
        self.until = now.checked_add(time);
        self.due.set(Timer::Expiry, now, time);
        if self.wish == Wish::Stop || time.is_zero() {
            return;
        }
        let jitter = f64::from(self.random) / f64::from(u32::MAX);
        let share = time.mul_f64(jitter.mul_add(0.1, 0.8));
        let ahead = time.saturating_sub(self.terms.manner.timers.give_up());
        let at = if ahead > time.mul_f64(0.5) {
            share.min(ahead)
        } else {
            time.mul_f64(0.5)
        };
        self.due.set(Timer::Refresh, now, at.max(LEAST_REFRESH));
    }

    fn end_lost(&mut self, why: SubscriberOver) {
        let why = if self.is_leaving() {
            SubscriberOver::Stopped
        } else {
            why
        };
        self.end(why);
    }
}

/// The same SUBSCRIBE once more, as a new request with the next number.
fn again(first: &Request, via: &Via) -> Request {
    let headers = first.headers();
    let mandatory = Mandatory {
        via: via.clone(),
        from: headers.from().clone(),
        to: headers.to().clone(),
        call_id: headers.call_id().clone(),
        sequence: headers.cseq().number().saturating_add(1),
    };
    Request::new(Method::Subscribe, first.uri().clone(), mandatory).with_contact(headers.contact().clone())
}

fn whole(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

/// A refresh that failed is not tried again sooner than this.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
