//! The end of a message: its sender is told, and it is counted.

use std::time::Instant;

use super::answer::{Answers, Trouble};
use super::delivery::{Link, Outcome, Trace};
use super::event::{Observation, Output};
use super::waiting::{About, Waiting, WaitingKind};
use super::{Gateway, after, send};
use crate::route::Protocol;
use crate::xmpp::Stanza;

impl<O> Gateway<O> {
    pub(super) fn succeed(&mut self, waiting: Waiting<O>) {
        let Waiting { about, kind, .. } = waiting;
        match kind {
            WaitingKind::Sip { origin, request, .. } => {
                let response = Answers::taken(&request);
                self.ready.push_back(Output::Respond {
                    origin,
                    response: Box::new(response),
                });
                self.observe(about, Protocol::Sip, Protocol::Xmpp, Outcome::Delivered);
            }
            WaitingKind::Forwarded { .. } => {
                self.observe(about, Protocol::Xmpp, Protocol::Xmpp, Outcome::Delivered);
            }
            WaitingKind::Passed { .. } => {}
            WaitingKind::Xmpp { .. } => {
                self.observe(about, Protocol::Xmpp, Protocol::Sip, Outcome::Delivered);
            }
        }
    }

    pub(super) fn fail(&mut self, now: Instant, waiting: Waiting<O>, trouble: Trouble) {
        let Waiting { about, kind, .. } = waiting;
        let (from, to) = match kind {
            WaitingKind::Sip { origin, request, .. } => {
                let response = self.answers.troubled_request(&request, trouble);
                self.ready.push_back(Output::Respond {
                    origin,
                    response: Box::new(response),
                });
                (Protocol::Sip, Protocol::Xmpp)
            }
            WaitingKind::Xmpp { sender } => {
                if let Some(error) = self.answers.troubled_sender(&sender, trouble) {
                    self.send_back(now, error, about.trace);
                }
                (Protocol::Xmpp, Protocol::Sip)
            }
            WaitingKind::Passed { sender } => {
                if let Some(error) = self.answers.troubled_sender(&sender, trouble) {
                    self.send_back(now, error, about.trace);
                }
                return;
            }
            WaitingKind::Forwarded { sender } => {
                if let Some(error) = self.answers.troubled_sender(&sender, trouble) {
                    self.send_back(now, error, about.trace);
                }
                (Protocol::Xmpp, Protocol::Xmpp)
            }
        };
        self.observe(about, from, to, Outcome::Failed);
    }

    /// Sends an error to the user whose message it is about, over the link that the message could have come by.
    pub(super) fn send_back(&mut self, now: Instant, stanza: Stanza, trace: Trace) {
        let link = Link::Xmpp {
            local: stanza.from().domain().clone(),
            remote: stanza.to().domain().clone(),
        };
        let until = after(now, self.limits.deliver);
        self.ready
            .push_back(send(&link, Box::new(stanza), None, until, Some(trace)));
    }

    pub(super) fn observe(&mut self, about: About, from: Protocol, to: Protocol, outcome: Outcome) {
        let About { trace, way } = about;
        self.ready.push_back(Output::Observe(Observation {
            way,
            from,
            to,
            outcome,
            trace,
        }));
    }
}
