//! Subscriptions that come: some wait a moment for the state, and the user of XMPP is asked once whether he lets see.

use std::time::Duration;

use super::{ASK_AGAIN, Arriving, FRESH, LATER, MOMENT, POLL, Serve, Visibility};
use crate::gateway::presence::act::{Act, Lent, Word};
use crate::gateway::presence::record::Consent;
use crate::limits::SUBSCRIPTIONS_OF_A_WATCHER;
use crate::sip::dialog::DialogId;
use crate::sip::subscription::{Authorisation, Ending, NotAccepted, Notifier, NotifierInput};
use crate::sip::transaction::Key;
use crate::sip::{Request, Response, StatusCode};

impl Serve {
    pub(super) fn request(
        &mut self,
        lent: &mut Lent<'_>,
        number: u64,
        request: Box<Request>,
        answering: &mut Vec<(u32, u64)>,
    ) {
        if request.headers().to().tag().is_some() {
            let id = DialogId::of_request(&request);
            let found = self
                .served
                .iter_mut()
                .find(|served| served.notifier.dialog().id() == id);
            let Some(served) = found else {
                return refuse(lent, number, &request, StatusCode::CALL_DOES_NOT_EXIST);
            };
            answering.push((served.number, number));
            served.notifier.handle(lent.now, NotifierInput::Request(request));
            lent.keep();
            // A process that does not know of it would take it for expired, and tell nothing to a watcher who waits for long.
            lent.acts.push(Act::Settle);
            return;
        }
        let is_poll = is_poll(&request);
        let is_hidden = self.visibility == Visibility::Offline;
        if self.turns_away(&request) {
            return refuse(lent, number, &request, StatusCode::FORBIDDEN);
        }
        let is_stale = self
            .heard
            .is_none_or(|at| self.served.is_empty() && lent.now.saturating_duration_since(at) > FRESH)
            || self.is_partial;
        // Who was asked whether he lets see, and has not said, would be made to refuse by a probe.
        let may_probe = self.consent == Some(Consent::Given) || (is_poll && self.consent.is_none());
        let wait = if may_probe && is_stale && !is_hidden {
            self.probe(lent);
            if is_poll { POLL } else { MOMENT }
        } else {
            Duration::ZERO
        };
        self.arriving.push(Arriving {
            number,
            request,
            until: lent.after(wait),
        });
        if wait.is_zero() {
            self.admit(lent, |_| true);
        }
    }

    /// Takes the subscriptions that have waited long enough.
    pub(super) fn admit(&mut self, lent: &mut Lent<'_>, is_due: impl Fn(&Arriving) -> bool) {
        let (due, waiting) = std::mem::take(&mut self.arriving)
            .into_iter()
            .partition(|arriving| is_due(arriving));
        self.arriving = waiting;
        for Arriving { number, request, .. } in due {
            self.accept(lent, number, &request);
        }
    }

    /// Whether the other has said no to him, and would be asked again.
    fn turns_away(&self, request: &Request) -> bool {
        self.refused_until.is_some() && !is_poll(request) && self.visibility != Visibility::Offline
    }

    pub(super) fn accept(&mut self, lent: &mut Lent<'_>, number: u64, request: &Request) {
        let is_poll = is_poll(request);
        // The no may have come while it waited.
        if self.turns_away(request) {
            return refuse(lent, number, request, StatusCode::FORBIDDEN);
        }
        let (mut authorisation, mut entity) = self.view(lent);
        // The answer to a probe is for who was asked about, whoever else may see: his server has judged.
        if is_poll && self.consent.is_none() && self.heard.is_some() && self.visibility == Visibility::Own {
            authorisation = Authorisation::Active;
            entity = lent.terms.document(&self.known);
        }
        let tag = lent.names.tag();
        let Some(terms) = lent.terms.notifier(tag, lent.names.random()) else {
            return refuse(lent, number, request, StatusCode::FORBIDDEN);
        };
        match Notifier::accept(lent.now, request, terms, authorisation, entity) {
            Ok(notifier) => {
                self.make_room(lent);
                self.push(notifier);
                let served = self.count;
                if !is_poll {
                    lent.keep();
                    // The watcher is told that he is subscribed once that outlives us.
                    lent.acts.push(Act::Settle);
                    if self.visibility == Visibility::Own {
                        self.ask(lent);
                    }
                }
                self.follow(lent, &mut vec![(served, number)]);
            }
            Err(refused) => {
                let response = not_accepted(&refused, request);
                lent.acts.push(Act::Answer(number, Box::new(response)));
            }
        }
    }

    /// Asks the user of XMPP whether he lets see, where he was not asked.
    pub(super) fn ask(&mut self, lent: &mut Lent<'_>) {
        match self.consent {
            Some(Consent::Given) => return,
            Some(Consent::Asked) => {
                let is_recent = self
                    .asked
                    .is_some_and(|at| lent.now.saturating_duration_since(at) < ASK_AGAIN);
                if is_recent {
                    return;
                }
            }
            None => {}
        }
        self.consent = Some(Consent::Asked);
        self.asked = Some(lent.now);
        self.why = "the user of XMPP has not decided";
        lent.keep();
        lent.say(Word::Subscribe);
    }

    /// The oldest makes room for the newest: a watcher who begins one after the other has forgotten those before.
    pub(super) fn make_room(&mut self, lent: &mut Lent<'_>) {
        if self.served.len() >= SUBSCRIPTIONS_OF_A_WATCHER
            && let Some(oldest) = self.served.first_mut()
        {
            let number = oldest.number;
            oldest
                .notifier
                .handle(lent.now, NotifierInput::End(Ending::Probation(LATER)));
            self.follow(lent, &mut Vec::new());
            // Whether he hears of it or not: who answers nothing would keep every place.
            self.served.retain(|served| served.number != number);
            lent.keep();
        }
    }
}

/// Whether the state is wanted once, and no subscription.
fn is_poll(request: &Request) -> bool {
    request.headers().expires() == Some(0)
}

/// Answers that request with no.
fn refuse(lent: &mut Lent<'_>, number: u64, request: &Request, status: StatusCode) {
    let tag = Key::of_received(request).stateless_tag();
    let response = request.response(status, status.reason(), Some(&tag));
    lent.acts.push(Act::Answer(number, Box::new(response)));
}

fn not_accepted(refused: &NotAccepted, request: &Request) -> Response {
    refused.response(request, &Key::of_received(request).stateless_tag())
}
