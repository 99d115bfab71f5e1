//! What is due of a watch, and whether its user is there.

use std::time::{Duration, Instant};

use super::{Stage, Watch};
use crate::gateway::presence::act::{Lent, Word};
use crate::gateway::presence::record::Consent;
use crate::sip::subscription::SubscriberInput;

impl Watch {
    pub(super) fn timer(&mut self, lent: &mut Lent<'_>) {
        let now = lent.now;
        let is_over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.tell(lent, SubscriberInput::Timer);
        if is_over(self.guard) {
            self.guard = None;
            // Silence says something only of those who would be answered for.
            if lent.answers_probes {
                self.is_lapsing = self.subscriber.is_some();
                self.why = "nobody says that the user of XMPP is there; it comes back with him";
            } else {
                self.guard = Some(lent.now);
                self.answered(lent);
            }
        }
        if is_over(self.resume) {
            self.resume = None;
            match (&self.subscriber, self.consent) {
                (Some(_), _) | (None, Consent::Asked) => self.begin(lent),
                (None, Consent::Given) => self.look(lent),
            }
        }
        if is_over(self.adhoc_until) && !std::mem::replace(&mut self.is_last_look, true) {
            // Servers ask for him when he comes, and not again while he stays.
            if !lent.would_refuse_probes {
                self.adhoc_until = Some(lent.after(GUARD));
                lent.say(Word::Probe);
            }
        }
        if is_over(self.adhoc_until) {
            self.adhoc_until = None;
            self.stage = Stage::Leaving;
            self.tell(lent, SubscriberInput::Stop);
            if self.subscriber.is_none() {
                self.over(lent);
            }
        }
        if is_over(self.stale) {
            self.stale = None;
            self.unsee(lent);
        }
        self.is_ready |= self.is_dirty && self.quiet.is_none_or(|at| at <= lent.now);
    }

    /// Asks his server whether he is there.
    //
    //= rfc8048#8.1
    //# whenever an XMPP-to-SIP gateway seeks to refresh an XMPP user's long-lived authorization to a SIP user's presence, it
    //# first sends an XMPP <presence/> stanza of type "probe"
    pub(super) fn look(&mut self, lent: &mut Lent<'_>) {
        let until = self.until();
        let left = until.and_then(|until| until.saturating_duration_since(lent.now).checked_div(2));
        // Where it ends meanwhile it is begun anew once he is known to be there.
        self.guard = Some(lent.after(left.map_or(GUARD, |left| left.clamp(LEAST_GUARD, GUARD))));
        if lent.would_refuse_probes {
            // He has not decided, and his server would refuse in his place.
            return self.answered(lent);
        }
        lent.say(Word::Probe);
    }
}

/// How long his server may take to say whether he is there.
const GUARD: Duration = Duration::from_secs(10);
/// However little is left of the subscription, his server gets this long.
const LEAST_GUARD: Duration = Duration::from_secs(3);
