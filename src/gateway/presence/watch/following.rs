//! What the subscription of a watch brings, and how it ends.

use std::sync::Arc;

use super::{STALE, Stage, Undone, Watch};
use crate::gateway::presence::act::{Act, Lent, Word};
use crate::gateway::presence::record::Consent;
use crate::interwork::presence::Presence;
use crate::interwork::presence::document::{self, Said};
use crate::sip::StatusCode;
use crate::sip::subscription::{Content, Lapse, SubscriberInput, SubscriberOutput, SubscriberOver};
use crate::sip::transaction::Failure;

impl Watch {
    /// Does what the subscriber wants.
    pub(super) fn follow(&mut self, lent: &mut Lent<'_>, answering: u64, mut brought: Option<Box<Said>>) {
        while let Some(output) = self.subscriber.as_mut().and_then(|subscriber| subscriber.poll()) {
            match output {
                SubscriberOutput::Wanted => {
                    let Ok(call_id) = lent.names.call_id() else {
                        continue;
                    };
                    let (tag, random) = (lent.names.tag(), lent.names.random());
                    if let Some(attempt) = lent.terms.attempt(call_id, tag, random) {
                        self.tell(lent, SubscriberInput::Subscribe(Box::new(attempt)));
                    }
                }
                SubscriberOutput::Send(request) => lent.acts.push(Act::Subscribe(request)),
                SubscriberOutput::Answer(response) => {
                    lent.acts.push(Act::Answer(answering, response));
                }
                SubscriberOutput::Pending => {
                    //= rfc8048#5.2.1
                    //# it MUST respond to them on the SIP side but refrain from sending any presence stanzas from the SIP
                    //# contact to the XMPP user.
                    if self.stage != Stage::Pending {
                        lent.keep();
                    }
                    self.stage = Stage::Pending;
                    self.why = "the user of SIP has not decided";
                    self.doubt(lent);
                }
                SubscriberOutput::Active(content) => self.active(lent, content, brought.take()),
                SubscriberOutput::Due => self.look(lent),
                SubscriberOutput::Lost(lapse) => self.lost(lent, lapse),
                SubscriberOutput::Over(why) => self.ended(lent, why),
            }
        }
    }

    pub(super) fn failed(&mut self, lent: &Lent<'_>, undone: Undone) {
        let failure = match undone {
            Undone::Unreached => Failure::Transport,
            Undone::Silent | Undone::Alone => Failure::Timeout,
        };
        self.tell(lent, SubscriberInput::Failed(failure));
        match undone {
            Undone::Unreached | Undone::Silent => (self.is_troubled, self.is_alone) = (true, false),
            // It was lost, perhaps while all were silent. Where that is so again, it is about him, and his own pauses are kept.
            Undone::Alone => {
                if !std::mem::replace(&mut self.is_alone, true) {
                    self.tell(lent, SubscriberInput::Forgive);
                    self.tell(lent, SubscriberInput::Hurry);
                    self.tell(lent, SubscriberInput::Timer);
                }
            }
        }
    }

    pub(super) fn reachable(&mut self, lent: &Lent<'_>) {
        if !std::mem::take(&mut self.is_troubled) {
            return;
        }
        match self.stage {
            Stage::Active | Stage::Pending => self.refresh(lent),
            Stage::Neutral | Stage::Retrying => self.tell(lent, SubscriberInput::Hurry),
            Stage::Dormant | Stage::Leaving | Stage::Forbidden | Stage::Over => {}
        }
        self.tell(lent, SubscriberInput::Timer);
    }

    pub(super) fn active(
        &mut self,
        lent: &mut Lent<'_>,
        content: Option<Content>,
        brought: Option<Box<Said>>,
    ) {
        if matches!(self.stage, Stage::Leaving | Stage::Forbidden) {
            return;
        }
        if self.stage != Stage::Active {
            lent.keep();
        }
        self.stage = Stage::Active;
        self.stale = None;
        self.untold_tries = 0;
        self.why = "";
        //= rfc8048#5.2.1
        //# The XMPP-to-SIP gateway also generates a <presence/> stanza of type "subscribed"
        if self.consent == Consent::Asked && !self.is_adhoc {
            lent.say(Word::Subscribed);
        }
        self.consent = Consent::Given;
        //= rfc8048#5.2.1
        //# if the NOTIFY does not contain a body, then the gateway would interpret it as unknown or "closed"
        let said = match (brought, content) {
            (Some(brought), _) => *brought,
            (None, Some(content)) => match document::read(&content.kind, &content.body) {
                Ok(said) => said,
                // The first notification within an answer, which there is nobody to refuse to.
                Err(_) => return,
            },
            (None, None) => Said::Whole(Presence::new()),
        };
        let Some(state) = said.onto(self.seen.as_deref()) else {
            // It changes what is not known: the state itself is still to come.
            return;
        };
        if self.seen.as_deref() != Some(&state) {
            self.seen = Some(Arc::new(state));
        }
        self.is_dirty = true;
        self.is_ready = self.quiet.is_none_or(|at| at <= lent.now);
        // A first state is none of the changes that wait their turn, nor is what a restart has to tell, which has its own pace.
        if self.shown.is_none() || self.tells_all {
            self.tell_new(lent);
        }
    }

    pub(super) fn lost(&mut self, lent: &mut Lent<'_>, lapse: Lapse) {
        lent.keep();
        if matches!(self.stage, Stage::Leaving | Stage::Forbidden) {
            return;
        }
        if self.is_lapsing {
            // Nobody looks at it: what is not known any more is said when he looks again.
            self.stage = Stage::Dormant;
            self.is_lapsing = false;
            self.subscriber = None;
            self.unsee(lent);
            return;
        }
        self.why = match lapse {
            Lapse::Expired => "it expired, and is asked for again",
            Lapse::Terminated => "the SIP side ended it for now, and is asked again",
            Lapse::Failed(None) => "the SIP side did not answer, and is asked again",
            Lapse::Failed(Some(_)) => "the SIP side refused for now, and is asked again",
        };
        self.stage = if self.consent == Consent::Given {
            Stage::Retrying
        } else {
            Stage::Neutral
        };
        self.doubt(lent);
    }

    /// What he sees is not brought any more.
    fn doubt(&mut self, lent: &Lent<'_>) {
        if self.shown.is_some() || self.is_dirty {
            self.stale.get_or_insert_with(|| lent.after(STALE));
        }
    }

    //= rfc8048#5.2.2
    //# an XMPP-to-SIP gateway MUST consider the XMPP presence authorization to be permanently cancelled (and so inform the XMPP
    //# user) if it receives a SIP response of 403, 489, or 603.
    pub(super) fn ended(&mut self, lent: &mut Lent<'_>, why: SubscriberOver) {
        self.subscriber = None;
        match (self.stage, why) {
            (Stage::Forbidden, _) => lent.keep(),
            (Stage::Leaving, _) => self.over(lent),
            (_, SubscriberOver::Stopped | SubscriberOver::Fetched | SubscriberOver::Lost(_)) => {
                self.stage = Stage::Dormant;
                lent.keep();
            }
            // A refusal of such a request is none of him whom he may see.
            (_, SubscriberOver::Refused(status))
                if self.consent == Consent::Given && status != StatusCode::BAD_EVENT =>
            {
                self.stage = Stage::Dormant;
                self.why = "the SIP side refuses such requests; it is asked again when he comes";
                self.unsee(lent);
                lent.keep();
            }
            (
                _,
                SubscriberOver::Rejected
                | SubscriberOver::NoResource
                | SubscriberOver::Invariant
                | SubscriberOver::Refused(_),
            ) => self.over(lent),
        }
    }

    /// It is over for good: he who saw is told.
    pub(super) fn over(&mut self, lent: &mut Lent<'_>) {
        self.unsee(lent);
        if !self.is_adhoc {
            lent.say(Word::Unsubscribed);
        }
        self.stage = Stage::Over;
        lent.keep();
    }
}
