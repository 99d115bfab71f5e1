//! What is heard of the user of XMPP, of his consent, and of the configuration.

use super::{GATHER, Serve, Visibility};
use crate::gateway::presence::act::{Act, Lent, Word};
use crate::gateway::presence::record::Consent;
use crate::interwork::presence::{Device, Presence, State};
use crate::sip::subscription::{Ending, NotifierInput};

impl Serve {
    pub(super) fn device(&mut self, lent: &mut Lent<'_>, device: Device) {
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
        if self.consent == Some(Consent::Given) {
            self.is_dirty = true;
            lent.keep();
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

    pub(super) fn consented(&mut self, lent: &mut Lent<'_>) {
        // What nobody has asked for is nothing (RFC 6121 §3.1.6).
        if self.consent != Some(Consent::Asked) {
            return;
        }
        self.consent = Some(Consent::Given);
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
            lent.keep();
            self.end_all(lent, Ending::Rejected);
        }
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
        self.heard = None;
        self.known = Presence::new();
        self.admit(lent, |_| true);
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
            self.heard = None;
            self.known = Presence::new();
            self.tell(lent);
            if !self.served.is_empty() {
                match self.consent {
                    Some(Consent::Given) => lent.say(Word::Probe),
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
