//! How notifications go out one by one, and what becomes of each.

use std::time::{Duration, Instant};

use super::{Authorisation, Ending, Last, News, Notifier, NotifierOutput, NotifierOver, Timer};
use crate::limits::NOTIFY_TRIES;
use crate::sip::dialog::{Damage, damage};
use crate::sip::transaction::Failure;
use crate::sip::{Flaw, Method, Request, Response};

impl Notifier {
    /// There is something to tell: now, or when what holds it back is over.
    pub(super) fn tell(&mut self, now: Instant, news: News) {
        if news == News::Asked {
            // What is asked for waits for no pause, but a peer in trouble is still left alone.
            self.news = News::Asked;
        } else if self.news == News::None {
            self.news = news;
        }
        self.go_on(now);
    }

    pub(super) fn go_on(&mut self, now: Instant) {
        let may = match self.news {
            News::None => false,
            News::Change => !self.due.is_set(Timer::Pause),
            News::Asked => true,
        };
        if !may || self.is_over || self.under_way.is_some() || self.due.is_set(Timer::Retry) {
            return;
        }
        let via = self.terms.via.clone();
        let Ok(request) = self.dialog.request(Method::Notify, via) else {
            return self.end(NotifierOver::Unreachable);
        };
        let number = request.headers().cseq().number();
        let last = if self.closing.is_some() {
            Last::Yes
        } else {
            Last::No
        };
        match self.filled(now, request) {
            Ok(request) => {
                self.news = News::None;
                self.under_way = Some((number, last));
                self.due.set(Timer::Silence, now, self.patience());
                // What says no state yet holds back none.
                if !request.body().is_empty() {
                    self.due.set(Timer::Pause, now, self.terms.pause);
                }
                self.outputs.push_back(NotifierOutput::Send(Box::new(request)));
            }
            // The words are our own and tokens, so this cannot be.
            Err(_) => self.end(NotifierOver::Unreachable),
        }
    }

    fn filled(&self, now: Instant, mut request: Request) -> Result<Request, Flaw> {
        let left = self
            .until
            .map_or_else(Default::default, |until| until.saturating_duration_since(now));
        let (state, may_see) = match self.closing {
            Some((ending, _)) => (ending.state()?, ending == Ending::Timeout),
            None => (self.authorisation.state(left)?, true),
        };
        request.headers_mut().set_event(Some(self.event.clone()));
        request.headers_mut().set_subscription_state(Some(state));
        let is_active = self.authorisation == Authorisation::Active;
        let is_farewell = self.stood
            && matches!(
                self.closing,
                Some((_, NotifierOver::Left | NotifierOver::Expired))
            );
        let told = self.terms.farewell.as_ref().filter(|_| is_farewell);
        Ok(match told.or(self.content.as_ref()) {
            Some(content) if may_see && is_active => {
                request.with_body(content.kind.clone(), content.body.clone())
            }
            Some(_) | None => request,
        })
    }

    /// Longer than a transaction lives, so that this fires only where nobody tells us of its end.
    fn patience(&self) -> Duration {
        self.terms.timers.give_up().saturating_mul(2)
    }

    pub(super) fn answered(&mut self, now: Instant, response: &Response) {
        let headers = response.headers();
        let Some((_, last)) = self.under_way.filter(|(number, _)| {
            headers.cseq().number() == *number && *headers.cseq().method() == Method::Notify
        }) else {
            return;
        };
        let status = response.status();
        if status.is_provisional() {
            return;
        }
        self.done();
        if status.is_success() {
            self.backoff.succeeded();
            self.dialog.receive_response(response);
            if last == Last::Yes {
                return self.end(NotifierOver::Unreachable);
            }
            return self.go_on(now);
        }
        //= rfc6665#4.2.2
        //# If the NOTIFY transaction fails due to the receipt of a 404, 405, 410, 416, 480-485, 489, 501, or 604 response
        //# to the NOTIFY request, the notifier MUST remove the corresponding subscription.
        if last == Last::Yes || damage(&Method::Notify, status) != Damage::Transaction {
            return self.end(NotifierOver::Refused(status));
        }
        self.again(
            now,
            NotifierOver::Refused(status),
            crate::sip::retry_after(response),
        );
    }

    //= rfc6665#4.2.2
    //# If the NOTIFY request fails due to expiration of SIP Timer F (transaction timeout), the notifier SHOULD remove the
    //# subscription.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure) {
        let Some((_, last)) = self.under_way else {
            return;
        };
        self.done();
        match (failure, last) {
            (Failure::Timeout, _) | (_, Last::Yes) => self.end(NotifierOver::Unreachable),
            // Who cannot be reached for a while has not given up his subscription: it ends when its time is over.
            (Failure::Transport, Last::No) => self.later(now, None),
        }
    }

    fn done(&mut self) {
        self.under_way = None;
        self.due.clear(Timer::Silence);
    }

    /// The state as it is then, after a pause; but not for ever.
    fn again(&mut self, now: Instant, why: NotifierOver, after: Option<Duration>) {
        if self.backoff.failures() >= NOTIFY_TRIES {
            return self.end(why);
        }
        self.later(now, after);
    }

    fn later(&mut self, now: Instant, after: Option<Duration>) {
        let pause = self.backoff.failed(self.terms.random);
        let longest = self
            .until
            .map_or_else(Default::default, |until| until.saturating_duration_since(now));
        let pause = pause.max(after.unwrap_or_default()).min(longest.max(pause));
        if self.news == News::None {
            self.news = News::Asked;
        }
        self.due.set(Timer::Retry, now, pause);
    }
}
