//! What became of what was sent about presence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::act::{Lent, Word};
use super::serve::ServeInput;
use super::table::Relation;
use super::tally::Fate;
use super::watch::WatchInput;
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
    /// A request about presence was answered.
    pub(in crate::gateway) fn presence_answered(
        &mut self,
        now: Instant,
        token: Token,
        response: &Response,
    ) -> Of {
        if response.status().is_provisional() {
            return match self.presence.sent.contains_key(&token) {
                true => Of::Presence,
                false => Of::Other,
            };
        }
        let Some(sent) = self.presence.sent.remove(&token) else {
            return Of::Other;
        };
        let tally = self.presence.table.tally_mut();
        tally.heard(&sent.what, Fate::of(response));
        let response = Box::new(response.clone());
        match sent.what {
            What::Subscribe => self.relate(now, &sent.pair, |relation, lent| {
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
        self.way_is_open(now, sent.pair.sip.domain());
        Of::Presence
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
        self.relate(now, pair, |relation, lent| match what {
            What::Subscribe => {
                if let Some(watch) = &mut relation.watch {
                    watch.handle(lent, WatchInput::Failed(failure));
                }
            }
            What::Notify(number) => {
                if let Some(serve) = &mut relation.serve {
                    serve.handle(lent, ServeInput::Failed(number, failure));
                }
            }
            What::Word(word) => unsaid(relation, lent, word),
        });
    }

    /// A link has written stanzas about presence; gives back the tokens of others.
    pub(in crate::gateway) fn presence_written(&mut self, now: Instant, token: Token, epoch: u64) -> Of {
        let until = after(now, ARRIVED);
        match self.presence.sent.get_mut(&token) {
            Some(sent) => {
                sent.written = Some((epoch, until));
                self.presence.arriving.push_back((until, token));
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
            sent.written.is_some_and(|(on, _)| on == epoch)
                && sent.pair.sip.domain() == local
                && sent.pair.xmpp.domain() == remote
        };
        let lost: Vec<Token> = self
            .presence
            .sent
            .iter()
            .filter(|(_, sent)| is_lost(sent))
            .map(|(token, _)| *token)
            .collect();
        for token in lost {
            let _about = self.presence_returned(now, token, Trouble::Broken);
        }
    }
}

/// Something did not reach the user of XMPP: it is said again, or what it was about.
fn unsaid(relation: &mut Relation, lent: &mut Lent<'_>, word: Word) {
    match word {
        Word::Device(_, None) => {
            if let Some(watch) = &mut relation.watch {
                watch.handle(lent, WatchInput::Untold);
            }
        }
        Word::Probe => {
            if let Some(watch) = &mut relation.watch {
                watch.handle(lent, WatchInput::Unsure);
            }
        }
        // It was for a device that has asked, and asks again when it comes back.
        Word::Device(_, Some(_)) | Word::Unavailable => {}
        Word::Subscribe | Word::Subscribed | Word::Unsubscribed => {
            relation.unsaid.retain(|other| *other != word);
            relation.unsaid.push(word);
            relation.unsaid_at = Some(lent.after(AGAIN));
        }
    }
}

/// A stanza whose stream lives for so long after it was written has arrived.
const ARRIVED: Duration = Duration::from_secs(30);
/// What could not be said is said again after this.
const AGAIN: Duration = Duration::from_secs(5);
