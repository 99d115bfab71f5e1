//! The dialogs that one INVITE makes: a proxy may have asked several user agents, and each that answers has its own
//! (RFC 3261 §13.2.2.4).
//!
//! Invariants: no more dialogs than [`crate::limits::DIALOGS_OF_A_REQUEST`]; every early dialog is confirmed or told as
//! ended, at the latest 64*T1 after the first 2xx; each 2xx until then is told as one thing, for somebody has accepted.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Dialog, DialogId, NoDialog, Phase};
use crate::limits::DIALOGS_OF_A_REQUEST;
use crate::sip::transaction::Timers;
use crate::sip::{Request, Response, Transport};

/// All dialogs of one INVITE of ours.
#[derive(Debug)]
pub struct Forks {
    request: Request,
    over: Transport,
    timers: Timers,
    early: Vec<Dialog>,
    confirmed: Vec<DialogId>,
    state: State,
    outputs: VecDeque<Fork>,
}

/// What happens to it.
#[derive(Debug)]
pub enum ForkInput {
    /// A response to the INVITE.
    Response(Box<Response>),
    /// The transaction of the INVITE ended without an answer.
    Failed,
    /// [`Forks::timeout`] has come.
    Timer,
}

/// What became of a dialog.
#[derive(Debug, PartialEq, Eq)]
pub enum Fork {
    /// There is an early dialog.
    Early(DialogId),
    /// It is confirmed: acknowledge it.
    Confirmed(Box<Dialog>),
    /// Its 2xx came again: acknowledge it again.
    Again(DialogId),
    /// It ended before it was confirmed.
    Ended(DialogId),
    /// It is confirmed, and one too many or one that we had ended: acknowledge it, and end it by BYE.
    Excess(Box<Dialog>),
    /// It was accepted by a 2xx that says no way back, as one without Contact: neither ACK nor BYE could reach it. Its
    /// callee ends it, as it hears no ACK (RFC 3261 §13.3.1.4). Told again each time that such a 2xx comes.
    Unusable(DialogId, NoDialog),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No final response yet.
    Open,
    /// A 2xx came; others may follow until then.
    Accepted(Instant),
    Over,
}

impl Forks {
    /// For an INVITE that goes out over a transport.
    #[must_use]
    pub const fn new(request: Request, over: Transport, timers: Timers) -> Self {
        Self {
            request,
            over,
            timers,
            early: Vec::new(),
            confirmed: Vec::new(),
            state: State::Open,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Instant, input: ForkInput) {
        match input {
            ForkInput::Response(response) => self.receive(now, &response),
            ForkInput::Failed if self.state == State::Open => self.close(),
            ForkInput::Failed => {}
            ForkInput::Timer => {
                if self.timeout().is_some_and(|at| at <= now) {
                    self.close();
                }
            }
        }
    }

    /// The next thing to know.
    pub fn poll(&mut self) -> Option<Fork> {
        self.outputs.pop_front()
    }

    /// When [`ForkInput::Timer`] is next of use.
    #[must_use]
    pub const fn timeout(&self) -> Option<Instant> {
        match self.state {
            State::Accepted(until) => Some(until),
            State::Open | State::Over => None,
        }
    }

    /// Whether no dialog can come of the INVITE any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// An early dialog, for requests within it.
    pub fn early(&mut self, id: &DialogId) -> Option<&mut Dialog> {
        self.early.iter_mut().find(|dialog| dialog.id() == *id)
    }

    fn receive(&mut self, now: Instant, response: &Response) {
        if self.state == State::Over {
            return;
        }
        let status = response.status();
        if status.is_success() {
            self.accept(now, response);
        } else if status.is_provisional() {
            self.provisional(response);
        } else if self.state == State::Open {
            self.close();
        }
    }

    fn provisional(&mut self, response: &Response) {
        let id = DialogId::of_response(response);
        if self.early(&id).is_some()
            || self.confirmed.contains(&id)
            || self.early.len() >= DIALOGS_OF_A_REQUEST
        {
            return;
        }
        if let Ok(dialog) = Dialog::of_caller(&self.request, response, &self.over) {
            self.early.push(dialog);
            self.outputs.push_back(Fork::Early(id));
        }
    }

    fn accept(&mut self, now: Instant, response: &Response) {
        let id = DialogId::of_response(response);
        if self.confirmed.contains(&id) {
            self.outputs.push_back(Fork::Again(id));
            return;
        }
        //= rfc3261#13.2.2.4
        //# The UAC core considers the INVITE transaction completed 64*T1 seconds after the reception of the first 2xx
        //# response. At this point all the early dialogs that have not transitioned to established dialogs are terminated.
        if self.state == State::Open {
            let until = now.checked_add(self.timers.give_up()).unwrap_or(now);
            self.state = State::Accepted(until);
        }
        let known = self.early.iter().position(|dialog| dialog.id() == id);
        let (dialog, was_ended) = match known {
            Some(at) => {
                let mut dialog = self.early.swap_remove(at);
                let was_ended = dialog.phase == Phase::Ended;
                // Its end and the 2xx have crossed, and the callee waits for an ACK all the same.
                dialog.phase = Phase::Early;
                dialog.confirm_by(response);
                (dialog, was_ended)
            }
            None => match Dialog::of_caller(&self.request, response, &self.over) {
                Ok(dialog) => (dialog, false),
                Err(why) => {
                    self.outputs.push_back(Fork::Unusable(id, why));
                    return;
                }
            },
        };
        let has_room = self.confirmed.len() < DIALOGS_OF_A_REQUEST;
        if has_room {
            self.confirmed.push(id);
        }
        let dialog = Box::new(dialog);
        self.outputs.push_back(if has_room && !was_ended {
            Fork::Confirmed(dialog)
        } else {
            Fork::Excess(dialog)
        });
    }

    //= rfc3261#12.3
    //# Independent of the method, if a request outside of a dialog generates a non-2xx final response, any early dialogs
    //# created through provisional responses to that request are terminated.
    fn close(&mut self) {
        self.state = State::Over;
        for dialog in self.early.drain(..) {
            self.outputs.push_back(Fork::Ended(dialog.id()));
        }
    }
}
