//! What became of what was sent about presence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::act::{Lent, Word};
use super::reaching::Way;
use super::record::Consent;
use super::serve::{Serve, ServeInput};
use super::table::Relation;
use super::tally::Fate;
use super::watch::{Stage, Undone, WatchInput};
use super::{Sent, What};
use crate::gateway::answer::Trouble;
use crate::gateway::conversation::Pair;
use crate::gateway::delivery::Link;
use crate::gateway::pending::Token;
use crate::gateway::{Gateway, after};
use crate::sip::Response;
use crate::sip::transaction::Failure;

/// Whether something that came back was about presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(in crate::gateway) enum Of {
    /// There is nothing more to do.
    Presence,
    /// It is about something else.
    Other,
}

impl<O> Gateway<O> {
    /// A request about presence was answered; gives back the answer to another.
    pub(in crate::gateway) fn presence_answered(
        &mut self,
        now: Instant,
        token: Token,
        response: Box<Response>,
    ) -> Option<Box<Response>> {
        if response.status().is_provisional() {
            let is_presence = self.presence.sent.contains_key(&token);
            return (!is_presence).then_some(response);
        }
        let Some(sent) = self.presence.sent.remove(&token) else {
            return Some(response);
        };
        let tally = self.presence.table.tally_mut();
        tally.heard(&sent.what, Fate::of(&response));
        match sent.what {
            What::Subscribe(_) => self.relate(now, &sent.pair, |relation, lent| {
                if let Some(watch) = &mut relation.watch {
                    watch.handle(lent, WatchInput::Response(response));
                }
            }),
            What::Notify(number) => self.relate(now, &sent.pair, |relation, lent| {
                if let Some(serve) = &mut relation.serve {
                    serve.handle(lent, ServeInput::Response(number, response));
                }
            }),
            What::Word(_) => {}
        }
        self.heard_of(now, sent.pair.sip.domain());
        self.way_is_open(now, || Way::to_sip(&sent.pair));
        None
    }

    /// Something about presence was not sent, or nobody answered it.
    pub(in crate::gateway) fn presence_returned(
        &mut self,
        now: Instant,
        token: Token,
        trouble: Trouble,
    ) -> Of {
        let Some(sent) = self.presence.sent.remove(&token) else {
            return Of::Other;
        };
        let failure = match trouble {
            Trouble::Timeout => Failure::Timeout,
            Trouble::NotFound
            | Trouble::Unresolved
            | Trouble::Unreachable
            | Trouble::Untrusted
            | Trouble::Refused
            | Trouble::Overload
            | Trouble::TooLarge
            | Trouble::Broken
            | Trouble::Stopping => Failure::Transport,
        };
        self.undone(now, &sent.pair, sent.what, failure);
        Of::Presence
    }

    pub(super) fn undone(&mut self, now: Instant, pair: &Arc<Pair>, what: What, failure: Failure) {
        self.presence.table.tally_mut().heard(&what, Fate::Failed);
        let undone = match failure {
            Failure::Transport => Undone::Unreached,
            Failure::Timeout if self.answers_others(now, pair.sip.domain()) => Undone::Alone,
            Failure::Timeout => Undone::Silent,
        };
        self.relate(now, pair, |relation, lent| match what {
            What::Subscribe(attempt) => {
                if let Some(watch) = &mut relation.watch
                    && watch
                        .subscriber()
                        .is_some_and(|subscriber| subscriber.is_of(&attempt))
                {
                    watch.handle(lent, WatchInput::Failed(undone));
                }
            }
            What::Notify(number) => {
                if let Some(serve) = &mut relation.serve {
                    serve.handle(lent, ServeInput::Failed(number, failure));
                }
            }
            What::Word(word) => {
                relation.saying = relation.saying.saturating_sub(1);
                relation.is_unheard = true;
                unsaid(relation, lent, word);
            }
        });
    }

    /// A link has written stanzas about presence; gives back the tokens of others.
    pub(in crate::gateway) fn presence_written(&mut self, now: Instant, token: Token, epoch: u64) -> Of {
        let until = after(now, ARRIVED);
        match self.presence.sent.get_mut(&token) {
            Some(sent) => {
                sent.written = Some(epoch);
                let pair = Arc::clone(&sent.pair);
                if matches!(sent.what, What::Word(Word::Probe))
                    && let Some(relation) = self.presence.table.get_mut(&pair)
                    && let Some(probed) = &mut relation.probed
                {
                    *probed = after(now, ANSWERED);
                }
                self.presence.arriving.push_back((until, token));
                self.way_is_open(now, || Way::to_xmpp(&pair));
                Of::Presence
            }
            None => Of::Other,
        }
    }

    /// The far side has a stanza about presence.
    pub(in crate::gateway) fn presence_taken(&mut self, token: Token) -> Of {
        if self.presence.arrived(token) {
            Of::Presence
        } else {
            Of::Other
        }
    }

    /// A stream broke: what was written on it may be lost, and is said again.
    pub(in crate::gateway) fn presence_broken(&mut self, now: Instant, link: &Link, epoch: u64) {
        let Link::Xmpp { local, remote } = link else {
            return;
        };
        let is_lost = |sent: &Sent| {
            sent.written == Some(epoch)
                && sent.pair.sip.domain() == local
                && sent.pair.xmpp.domain() == remote
        };
        let mut lost: Vec<Token> = self
            .presence
            .sent
            .iter()
            .filter(|(_, sent)| is_lost(sent))
            .map(|(token, _)| *token)
            .collect();
        // In the order in which it was said.
        lost.sort_unstable();
        for token in lost {
            let _about = self.presence_returned(now, token, Trouble::Broken);
        }
    }
}

/// Something did not reach the user of XMPP: it is said again, or what it was about.
fn unsaid(relation: &mut Relation, lent: &mut Lent<'_>, word: Word) {
    match word {
        // What was for one of his devices alone, all of them may hear again.
        Word::Device(device, _) if relation.watch.is_some() => {
            if let Some(watch) = &mut relation.watch {
                watch.handle(lent, WatchInput::Untold(device.name().to_owned()));
            }
        }
        Word::Probe => {
            relation.probed = None;
            if let Some(watch) = &mut relation.watch {
                watch.handle(lent, WatchInput::Unsure);
            }
            if let Some(serve) = &mut relation.serve {
                serve.handle(lent, ServeInput::Unprobed);
            }
        }
        // It was for a device that has asked, about somebody who is seen no more.
        Word::Device(_, Some(_)) | Word::Unavailable => {}
        Word::Subscribe | Word::Subscribed | Word::Unsubscribed | Word::Device(_, None) => {
            relation.unsaid.retain(|other| *other != word);
            relation.unsaid.push(word);
            if relation.unsaid_at.is_some_and(|at| at > lent.now) {
                // That was out of turn, to see whether there is a way again.
                return;
            }
            relation.unsaid_tries = relation.unsaid_tries.saturating_add(1);
            if relation.unsaid_tries > TRIES {
                relation.unsaid.clear();
                relation.has_ended = false;
                lent.keep();
            }
            let doubled = AGAIN.saturating_mul(1_u32.checked_shl(relation.unsaid_tries.min(6)).unwrap_or(1));
            relation.unsaid_at = Some(lent.after(doubled));
        }
    }
}

/// Says what could not be said and is still so.
pub(super) fn say_unsaid(relation: &mut Relation, lent: &mut Lent<'_>) {
    for word in std::mem::take(&mut relation.unsaid) {
        if is_so(relation, &word) {
            lent.say(word);
        } else if word == Word::Unsubscribed {
            relation.has_ended = false;
        }
    }
}

/// Whether what was to be said is still so: other things may have been said and decided meanwhile.
fn is_so(relation: &Relation, word: &Word) -> bool {
    let watch = relation.watch.as_deref();
    let sees = watch.is_some_and(|watch| {
        watch.consent() == Consent::Given && !matches!(watch.stage(), Stage::Leaving | Stage::Over)
    });
    match word {
        Word::Subscribed => sees,
        Word::Unsubscribed | Word::Device(_, _) => watch.is_none_or(|watch| watch.stage() == Stage::Over),
        Word::Subscribe => relation.serve.as_deref().is_some_and(Serve::is_asking),
        Word::Probe | Word::Unavailable => true,
    }
}

/// His server answers a probe within this, if it does; he himself takes longer to say no.
const ANSWERED: Duration = Duration::from_secs(3);
/// A stanza whose stream lives for so long after it was written has arrived.
const ARRIVED: Duration = Duration::from_secs(30);
/// What could not be said is said again after twice this, and then less and less often.
const AGAIN: Duration = Duration::from_millis(2_500);
/// After so many times it is not said any more: that is some six hours.
const TRIES: u32 = 140;
