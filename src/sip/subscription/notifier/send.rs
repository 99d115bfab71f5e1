//! How notifications go out one by one, and what becomes of each.

use std::time::{Duration, Instant};

use super::{Authorisation, Ending, Last, News, Notifier, NotifierOutput, NotifierOver, Timer};
use crate::limits::NOTIFY_TRIES;
use crate::sip::dialog::{Damage, damage};
use crate::sip::subscription::entity::{Condition, EntityTag};
use crate::sip::transaction::Failure;
use crate::sip::{Flaw, Method, Request, Response, Via};

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
        if self.news == News::Change && self.is_quiet() {
            self.news = News::None;
            return;
        }
        let via = Via::clone(&self.via);
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
                let tag = self.tag();
                self.told = Some((self.authorisation, tag));
                self.condition.take_if(|condition| !condition.is_met(tag));
                self.news = News::None;
                (self.under_way, self.is_there) = (Some((number, last)), false);
                self.due.set(Timer::Silence, now, self.patience());
                // What says no state yet holds back none.
                if !request.body().is_empty() {
                    self.due.set(Timer::Pause, now, self.manner.pause);
                }
                let request = Box::new(request);
                self.outputs.push_back(if self.is_farewell() {
                    NotifierOutput::Farewell(request)
                } else {
                    NotifierOutput::Send(request)
                });
            }
            // The words are our own and tokens, so this cannot be.
            Err(_) => self.end(NotifierOver::Unreachable),
        }
    }

    /// The condition of a SUBSCRIBE, where it is met.
    pub(super) fn condition_of(&self, request: &Request) -> Option<Condition> {
        let tag = self.tag();
        match Condition::met(request.headers(), tag)? {
            Condition::Any => Some(Condition::Any),
            // What was told since he said that he has this he may believe longer than us.
            Condition::Has(_) if self.told.is_some_and(|(_, told)| told != tag) => None,
            condition @ Condition::Has(_) => Some(condition),
        }
    }

    /// Whether there is nothing to say to its subscriber: he wants no state, or not this, and the rest he knows.
    //
    //= rfc5839#6.3
    //# As long as the condition remains true, and there are no reportable changes in the NOTIFY header, all subsequent
    //# NOTIFY requests MUST also be suppressed.
    pub(super) fn is_quiet(&self) -> bool {
        match self.condition {
            _ if self.closing.is_some() => false,
            Some(Condition::Any) => self.told.is_some_and(|(told, _)| told == self.authorisation),
            Some(condition @ Condition::Has(_)) => condition.is_met(self.tag()),
            None => false,
        }
    }

    fn may_see(&self) -> bool {
        let is_open = self.closing.is_none_or(|(ending, _)| ending == Ending::Timeout);
        is_open && self.authorisation == Authorisation::Active
    }

    /// The tag of what would be told now.
    pub(super) fn tag(&self) -> EntityTag {
        let authorisation = if self.may_see() {
            Authorisation::Active
        } else {
            Authorisation::Pending
        };
        EntityTag::of(authorisation, self.entity.as_ref())
    }

    fn filled(&self, now: Instant, mut request: Request) -> Result<Request, Flaw> {
        let left = self
            .until
            .map_or_else(Default::default, |until| until.saturating_duration_since(now));
        let state = match self.closing {
            Some((ending, _)) => ending.state()?,
            None => self.authorisation.state(left)?,
        };
        request.headers_mut().set_event(Some(self.event.clone()));
        request.headers_mut().set_subscription_state(Some(state));
        let tag = self.tag();
        match &self.entity {
            Some(entity) if self.may_see() && !self.is_left_out(tag) => Ok(entity.told_by(request)),
            //= rfc5839#6.2
            //# Hence, the NOTIFY MUST contain a SIP-ETag header field that contains the unchanged entity-tag of the
            //# resource state.
            Some(_) | None => {
                tag.put(&mut request);
                Ok(request)
            }
        }
    }

    /// Whether its subscriber does not want the document with that tag.
    //
    //= rfc5839#6.2
    //# when a condition in a SUBSCRIBE request for suppressing notifications is true and the SUBSCRIBE message is not
    //# sent within an established dialog, the notifier MUST send a NOTIFY request with a suppressed entity body.
    fn is_left_out(&self, tag: EntityTag) -> bool {
        self.condition.is_some_and(|condition| condition.is_met(tag))
    }

    /// Whether it ends because its subscriber, who may see the state, looks no more.
    fn is_farewell(&self) -> bool {
        let looks_no_more = matches!(
            self.closing,
            Some((_, NotifierOver::Left | NotifierOver::Expired))
        );
        let is_active = self.authorisation == Authorisation::Active;
        self.stood && looks_no_more && is_active && !self.is_left_out(self.tag())
    }

    /// Longer than a transaction lives, so that this fires only where nobody tells us of its end.
    fn patience(&self) -> Duration {
        self.manner.timers.give_up().saturating_mul(2)
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
        if std::mem::take(&mut self.is_unreached) {
            // That there was no way says nothing of who answers now.
            self.backoff.succeeded();
        }
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
    // It does so to be rid of subscribers who have crashed: one who has refreshed it meanwhile has not.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure) {
        let Some((_, last)) = self.under_way else {
            return;
        };
        self.done();
        let was_unreached = std::mem::replace(&mut self.is_unreached, failure == Failure::Transport);
        if was_unreached && !self.is_unreached {
            // That there was no way says nothing of who is silent now.
            self.backoff.succeeded();
        }
        match (failure, last) {
            (Failure::Timeout, Last::No) if self.is_there => self.again(now, NotifierOver::Unreachable, None),
            (Failure::Timeout, Last::Yes | Last::No) => self.end(NotifierOver::Unreachable),
            // Who is told no more has to hear that, too, for as long as he believes that he is.
            (Failure::Transport, Last::Yes)
                if self
                    .until
                    .max(self.doubted_until)
                    .is_none_or(|until| until <= now) =>
            {
                self.end(NotifierOver::Unreachable);
            }
            // Who cannot be reached for a while has not given up his subscription: it ends when its time is over.
            (Failure::Transport, Last::Yes | Last::No) => self.later(now, None),
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
        let pause = self.backoff.failed(self.random);
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
