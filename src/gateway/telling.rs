//! The end of a message: its sender is told, and it is counted.

use std::time::Instant;

use super::Gateway;
use super::answer::{Answers, Trouble};
use super::conversation::{Heard, Pair};
use super::delivery::Outcome;
use super::event::{Observation, Output};
use super::pending::Token;
use super::waiting::{About, Waiting, WaitingKind};
use crate::interwork::receipt::{self, Receipt};
use crate::policy;
use crate::route::Protocol;
use crate::sip::{Method, Response, StatusCode};
use crate::xmpp::{Jid, Stanza};

impl<O> Gateway<O> {
    /// A SIP request of ours got its final response.
    pub(super) fn responded(&mut self, now: Instant, token: Token, response: Box<Response>) {
        let Some(response) = self.presence_answered(now, token, response) else {
            return;
        };
        if self.heard(now, token, &response) == Heard::Done {
            return;
        }
        let Some(Waiting {
            kind: WaitingKind::Xmpp { .. },
            ..
        }) = self.waiting.get(token)
        else {
            return;
        };
        if !response.status().is_success() {
            self.receipts.forget(token);
        }
        if let Some(waiting) = self.end(token) {
            self.answered_by_sip(now, waiting, &response);
        }
    }

    /// The SIP side has said what became of a text.
    pub(super) fn answered_by_sip(&mut self, now: Instant, waiting: Waiting<O>, response: &Response) {
        let Waiting {
            about,
            kind: WaitingKind::Xmpp { sender, asked, .. },
            hold,
            ..
        } = waiting
        else {
            return;
        };
        if response.status().is_success() {
            self.observe(about, Protocol::Xmpp, Protocol::Sip, Outcome::Delivered);
            // 202 says only that somebody keeps it (RFC 3428 §7).
            if let Some(asked) = asked
                && response.status() == StatusCode::OK
                && about.answers == policy::Answers::Pass
                && asked.includes(Receipt::Delivered)
            {
                let (from, to) = (sender.to().clone(), sender.from().clone());
                self.tell_receipt(now, receipt::to_stanza(Receipt::Delivered, asked.id(), from, to));
            }
            return;
        }
        self.observe(about, Protocol::Xmpp, Protocol::Sip, Outcome::Failed);
        if about.answers == policy::Answers::Pass
            && let Some(error) = self.answers.refused_by_sip(&sender, response)
        {
            self.send_back_held(now, error, about.trace, hold);
        }
    }

    pub(super) fn succeed(&mut self, now: Instant, waiting: Waiting<O>) {
        let Waiting { about, kind, .. } = waiting;
        self.no_error_awaited(&kind);
        match kind {
            WaitingKind::Sip {
                origin,
                request,
                from,
                to,
                ..
            } if *request.method() == Method::Invite => {
                self.accept(now, &Pair::new(&to, &from), &request, Some(origin));
                self.observe(about, Protocol::Sip, Protocol::Xmpp, Outcome::Delivered);
            }
            WaitingKind::Sip { origin, request, .. } => {
                let response = Answers::taken(&request, about.answers);
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
        let Waiting {
            token,
            about,
            kind,
            before,
            hold,
            ..
        } = waiting;
        // That there is nothing by this protocol says less than why the other led to nobody.
        let trouble = match before {
            Some(before) if trouble == Trouble::NotFound => before,
            Some(_) | None => trouble,
        };
        self.no_error_awaited(&kind);
        self.receipts.forget(token);
        let (from, to) = match kind {
            WaitingKind::Sip {
                origin,
                request,
                from,
                to,
                ..
            } => {
                let response = self.answers.troubled_request(&request, trouble, about.answers);
                self.ready.push_back(Output::Respond {
                    origin,
                    response: Box::new(response),
                });
                if *request.method() == Method::Invite {
                    self.decline(now, &Pair::new(&to, &from), &request);
                }
                (Protocol::Sip, Protocol::Xmpp)
            }
            WaitingKind::Xmpp { sender, .. } => {
                if let Some(error) = self.answers.troubled_sender(&sender, trouble, about.answers) {
                    self.send_back_held(now, error, about.trace, hold);
                }
                (Protocol::Xmpp, Protocol::Sip)
            }
            WaitingKind::Passed { sender } => {
                self.asked.forget(&sender);
                if let Some(error) = self.answers.troubled_sender(&sender, trouble, about.answers) {
                    self.send_back_held(now, error, about.trace, hold);
                }
                return;
            }
            WaitingKind::Forwarded { sender } => {
                self.told_by_us(now, &sender);
                if let Some(error) = self.answers.troubled_sender(&sender, trouble, about.answers) {
                    self.send_back_held(now, error, about.trace, hold);
                }
                (Protocol::Xmpp, Protocol::Xmpp)
            }
        };
        self.observe(about, from, to, Outcome::Failed);
    }

    /// The XMPP side refuses a message of SIP.
    pub(super) fn refused(&mut self, now: Instant, token: Token, stanza: &Stanza) {
        let Some(Waiting {
            kind:
                WaitingKind::Sip {
                    request,
                    from,
                    to,
                    profile,
                    ..
                },
            about,
            ..
        }) = self.waiting.get(token)
        else {
            return self.failed_late(now, token, stanza);
        };
        // The addressee himself, or his server for him: nobody else can make a message fail.
        let by = stanza.from().bare();
        let is_his = by == to.bare() || by == Jid::from(to.domain().clone());
        if !is_his || stanza.to().bare() != from.bare() {
            return;
        }
        let response = match about.answers {
            policy::Answers::Pass => self.answers.refused_by_xmpp(request, stanza, profile),
            policy::Answers::Withhold => Some(Answers::taken(request, about.answers)),
        };
        let Some(response) = response else { return };
        if let Some(Waiting {
            about,
            kind:
                WaitingKind::Sip {
                    origin,
                    request,
                    from,
                    to,
                    ..
                },
            ..
        }) = self.end(token)
        {
            self.ready.push_back(Output::Respond {
                origin,
                response: Box::new(response),
            });
            self.receipts.forget(token);
            let pair = Pair::new(&to, &from);
            if !to.is_bare() {
                self.conversations.leave_device(&pair);
            }
            if *request.method() == Method::Invite {
                self.decline(now, &pair, &request);
            }
            self.observe(about, Protocol::Sip, Protocol::Xmpp, Outcome::Failed);
        }
    }

    pub(super) fn observe(&mut self, about: About, from: Protocol, to: Protocol, outcome: Outcome) {
        let About { trace, way, .. } = about;
        self.ready.push_back(Output::Observe(Observation {
            way,
            from,
            to,
            outcome,
            trace,
        }));
    }
}
