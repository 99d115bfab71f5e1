//! What the subscriptions of a user of SIP are told, and what comes of it.

use super::{FRESH, Serve, Visibility};
use crate::gateway::presence::act::{Act, Lent, Word};
use crate::gateway::presence::record::Consent;
use crate::interwork::presence::Presence;
use crate::sip::subscription::{Authorisation, Entity, NotifierInput, NotifierOutput, NotifierOver};

impl Serve {
    /// Tells its subscriptions what has changed.
    pub(in crate::gateway) fn tell(&mut self, lent: &mut Lent<'_>) {
        self.is_dirty = false;
        self.again = None;
        let (authorisation, entity) = self.view(lent);
        for served in &mut self.served {
            served
                .notifier
                .handle(lent.now, NotifierInput::State(authorisation, entity.clone()));
        }
        self.follow(lent, &mut Vec::new());
    }

    /// What may be seen now.
    //
    //= rfc8048#5.3.2
    //# if the SIP-to-XMPP gateway does not have meaningful information about the availability state of the XMPP user, then the
    //# NOTIFY MUST be empty as allowed by [RFC6665].
    pub(super) fn view(&self, lent: &Lent<'_>) -> (Authorisation, Option<Entity>) {
        match (self.visibility, self.consent) {
            (Visibility::Offline, _) => (Authorisation::Active, lent.terms.document(&Presence::new())),
            (Visibility::Own, Some(Consent::Given)) => {
                let entity = self.heard.and_then(|_| lent.terms.document(&self.known));
                (Authorisation::Active, entity)
            }
            (Visibility::Own | Visibility::None, _) => (Authorisation::Pending, None),
        }
    }

    /// Does what the notifiers want. `answering` says which request each of them has in hand.
    pub(super) fn follow(&mut self, lent: &mut Lent<'_>, answering: &mut Vec<(u32, u64)>) {
        let (mut over, mut probes) = (Vec::new(), false);
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
                    NotifierOutput::Farewell(request) => {
                        // Who is not looked at any more looks like one who is not there.
                        let gone = lent.terms.document(&Presence::new());
                        let request = match gone {
                            Some(gone) => Box::new(gone.told_by(*request)),
                            None => request,
                        };
                        lent.acts.push(Act::Notify(served.number, request));
                    }
                    NotifierOutput::Refreshed => {
                        let is_old = self
                            .heard
                            .is_none_or(|at| lent.now.saturating_duration_since(at) > FRESH);
                        let is_own = self.visibility == Visibility::Own;
                        probes |= is_old && is_own && self.consent == Some(Consent::Given);
                    }
                    NotifierOutput::Over(why) => over.push((served.number, why)),
                }
            }
        }
        if probes {
            self.probe(lent);
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
