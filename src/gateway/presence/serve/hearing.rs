//! What is heard of the user of XMPP, of his consent, and of the configuration.

use super::{ANSWER, GATHER, HAS_SAID_NO, MOMENT, REFUSED, ROUND, Serve, Visibility};
use crate::gateway::presence::act::{Act, Lent, Word};
use crate::gateway::presence::record::Consent;
use crate::interwork::presence::{Device, Presence, State};
use crate::sip::subscription::{Ending, NotifierInput};

impl Serve {
    /// Asks his server how he is. What it does not name is gone, though nobody said so: that was perhaps lost.
    pub(super) fn probe(&mut self, lent: &mut Lent<'_>) {
        let devices = self.known.devices().iter();
        self.doubtful = devices.map(|device| device.name().to_owned()).collect();
        self.doubt = Some(lent.after(ANSWER));
        (self.unheard, self.is_partial, self.is_answered) = (None, false, false);
        lent.say(Word::Probe);
    }

    /// The devices of which nobody spoke when his server was asked are not there.
    pub(super) fn forget_doubtful(&mut self, lent: &mut Lent<'_>) {
        let doubtful = std::mem::take(&mut self.doubtful);
        if !self.is_answered || doubtful.is_empty() {
            return;
        }
        for name in doubtful {
            self.known.remove(&name);
        }
        self.is_dirty |= self.consent == Some(Consent::Given);
        lent.note();
    }

    pub(super) fn device(&mut self, lent: &mut Lent<'_>, device: Device) {
        self.doubtful.remove(device.name());
        if let Some(doubt) = &mut self.doubt {
            *doubt = (*doubt).min(lent.after(ROUND));
        }
        if device.state() == State::Offline {
            let is_last = self
                .known
                .devices()
                .iter()
                .all(|other| other.name() == device.name() || other.state() == State::Offline);
            if is_last {
                // What he said last stays.
                self.known = Presence::new().with(device);
            } else {
                self.known.remove(device.name());
            }
        } else {
            self.is_answered = true;
            let stale: Vec<String> = self
                .known
                .devices()
                .iter()
                .filter(|other| other.state() == State::Offline)
                .map(|other| other.name().to_owned())
                .collect();
            for name in stale {
                self.known.remove(&name);
            }
            self.known.set(device);
        }
        self.learned(lent);
    }

    pub(super) fn learned(&mut self, lent: &mut Lent<'_>) {
        self.heard = Some(lent.now);
        // What one device says does not say how the others are.
        self.unheard.take_if(|_| !self.is_partial);
        if self.consent == Some(Consent::Given) {
            self.is_dirty = true;
            lent.note();
        }
        // Other devices of his may say something too.
        let soon = lent.after(GATHER);
        for arriving in &mut self.arriving {
            arriving.until = arriving.until.min(soon);
        }
        if let Some(again) = &mut self.again {
            *again = (*again).min(soon);
        }
    }

    /// The user of XMPP has changed his mind, or wants to see the other: he may be asked.
    pub(in crate::gateway) fn may_be_asked(&mut self, lent: &mut Lent<'_>) {
        if self.refused_until.take().is_some() {
            lent.keep();
        }
    }

    pub(super) fn consented(&mut self, lent: &mut Lent<'_>) {
        // His server passes on no answer but to a question that it knows of: what was taken for his no was not his.
        let was_asked = self.consent == Some(Consent::Asked) || self.refused_until.is_some();
        self.may_be_asked(lent);
        // What nobody has asked for is nothing (RFC 6121 §3.1.6).
        if !was_asked || self.consent == Some(Consent::Given) {
            return;
        }
        self.consent = Some(Consent::Given);
        // Some servers that were told long ago say so, and no more.
        self.unheard = Some(lent.after(MOMENT));
        // What was said before he let see was said of everybody.
        self.heard = None;
        self.known = Presence::new();
        self.why = "";
        lent.keep();
        // Who is told that he may see has not to be forgotten by a process that is killed now: nobody would be asked again.
        lent.acts.push(Act::Settle);
        self.tell(lent);
    }

    pub(super) fn refused(&mut self, lent: &mut Lent<'_>) {
        if self.consent.take().is_some() {
            // A watcher who asks again at once would bring the question before him as often as he likes.
            self.refused_until = Some(lent.after(REFUSED));
            lent.keep();
            // Who is blocked is not to know that he is: he hears of it once he is not any more.
            if self.visibility != Visibility::Offline {
                self.why = HAS_SAID_NO;
                self.end_all(lent, Ending::Rejected);
            }
        }
        self.unseen(lent);
    }

    pub(super) fn unseen(&mut self, lent: &mut Lent<'_>) {
        self.heard = None;
        self.known = Presence::new();
        // A poll is answered with nothing.
        self.admit(lent, |_| true);
    }

    pub(super) fn nobody(&mut self, lent: &mut Lent<'_>) {
        if self.consent.take().is_some() {
            lent.keep();
            self.end_all(lent, Ending::NoResource);
        }
        self.unseen(lent);
    }

    pub(super) fn hide(&mut self, lent: &mut Lent<'_>) {
        if self.visibility != Visibility::Offline {
            self.visibility = Visibility::Offline;
            self.why = "blocked: the watcher always sees him offline";
            self.tell(lent);
        }
    }

    pub(super) fn appear(&mut self, lent: &mut Lent<'_>) {
        if self.visibility != Visibility::Own {
            self.visibility = Visibility::Own;
            self.why = "";
            // What he said meanwhile did not come in.
            (self.heard, self.is_partial) = (None, true);
            self.known = Presence::new();
            if self.refused_until.is_some() {
                // He was served because he was not to know that he is blocked: now he hears what he would have heard.
                self.why = HAS_SAID_NO;
                return self.end_all(lent, Ending::Rejected);
            }
            self.tell(lent);
            // Who has only to hear that it is over looks no more.
            if self.notifiers().any(|notifier| !notifier.is_closing()) {
                match self.consent {
                    Some(Consent::Given) => self.probe(lent),
                    Some(Consent::Asked) | None => self.ask(lent),
                }
            }
        }
    }

    pub(super) fn end_all(&mut self, lent: &mut Lent<'_>, ending: Ending) {
        for served in &mut self.served {
            served.notifier.handle(lent.now, NotifierInput::End(ending));
        }
        self.follow(lent, &mut Vec::new());
    }
}
