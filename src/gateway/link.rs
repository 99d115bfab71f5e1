//! The life of an XMPP link: when a stream is opened and closed, what is written on it, and what becomes of each letter.
//!
//! It holds no queue: letters come one at a time while [`XmppLink::takes_letters`], and wait with the caller otherwise.
//! Nor does it know sockets, DNS or XML: the caller opens the stream, writes, and reports.
//!
//! Invariants, for every letter with a token that was handed in:
//! - It is told of by one [`Fate`]: written or acknowledged, or returned with the reason.
//! - What is told of as written or acknowledged on a stream is told before that stream is told as broken, and nothing is
//!   written on a later stream before that.
//! - Letters are written in the order in which they came.

mod event;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use event::{Evidence, Far, Farewell, Fate, Input, Keep, Letter, Output};

use super::answer::Trouble;
use super::pending::Token;
use crate::clock::Backoff;
use crate::limits::XmppLimits;

/// The machine of one link, over all its streams.
#[derive(Debug)]
pub struct XmppLink {
    limits: XmppLimits,
    far: Far,
    keep: Keep,
    backoff: Backoff,
    /// Counts the streams.
    epoch: u64,
    state: State,
    stopping: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    /// Nothing is to be carried.
    Idle { since: Instant },
    /// No stream is opened before the end of the pause.
    Paused {
        until: Instant,
        /// After a failure letters are given back with it at once; after a stream that was up they wait.
        trouble: Option<Trouble>,
    },
    /// A stream is being opened, for the first letter.
    Opening { first: Option<Letter> },
    /// A stream is up.
    Up(Up),
    /// Nothing more happens.
    Done,
}

#[derive(Debug)]
struct Up {
    since: Instant,
    evidence: Evidence,
    /// What was written and is not yet known to be out of our hands, in its order: where it ends, and its name.
    written: VecDeque<(u64, Option<Token>)>,
    /// What is being written at this moment.
    writing: Option<Option<Token>>,
    is_ending: bool,
}

impl XmppLink {
    /// A link without a stream.
    #[must_use]
    pub fn new(now: Instant, limits: &XmppLimits, far: Far) -> Self {
        Self {
            limits: limits.clone(),
            far,
            keep: Keep::WhileUsed,
            backoff: Backoff::new(limits.first_pause, longest_pause(limits, far)),
            epoch: 0,
            state: State::Idle { since: now },
            stopping: false,
            outputs: VecDeque::new(),
        }
    }

    /// Whether a letter may be handed in now. The caller may hold letters back for longer, where the stream's buffer
    /// has no room.
    #[must_use]
    pub fn takes_letters(&self) -> bool {
        match &self.state {
            State::Idle { .. } => !self.stopping,
            State::Paused { trouble, .. } => trouble.is_some(),
            State::Opening { .. } | State::Done => false,
            State::Up(up) => {
                !up.is_ending
                    && up.writing.is_none()
                    && match up.evidence {
                        Evidence::Taken => true,
                        Evidence::Acknowledged => up.written.len() < self.limits.unacknowledged,
                    }
            }
        }
    }

    /// The number of the stream that is up, or was last.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes note of what happened; poll afterwards.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Keep(keep) => {
                self.keep = keep;
                self.keep_up();
            }
            Input::Limits(limits) => self.limited(now, *limits),
            Input::Letter(letter) => self.letter(now, letter),
            Input::Opened(evidence) => self.opened(now, evidence),
            Input::Failed { trouble, random } => self.failed(now, trouble, random),
            Input::Wrote(at) => self.wrote(at),
            Input::Unwritable(trouble) => {
                if let State::Up(up) = &mut self.state
                    && let Some(token) = up.writing.take()
                {
                    self.give_back(token, trouble);
                }
            }
            Input::Taken(octets) => self.taken(octets),
            Input::Acknowledged(count) => self.acknowledged(count),
            Input::Changed => self.close(Farewell::Changed),
            Input::Ending => {
                if let State::Up(up) = &mut self.state {
                    up.is_ending = true;
                }
            }
            Input::Ended { random } => self.ended(now, random),
            Input::Stop => self.stop(),
            Input::Timer => self.tick(now),
        }
    }

    /// The next thing to do; to be called until it gives `None` after every [`handle`](Self::handle).
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The earliest instant at which [`Input::Timer`] does something.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Idle { since } => since.checked_add(self.limits.idle),
            State::Paused { until, .. } => Some(*until),
            State::Opening { .. } | State::Up(_) | State::Done => None,
        }
    }

    fn limited(&mut self, now: Instant, limits: XmppLimits) {
        let longest = longest_pause(&limits, self.far);
        self.backoff.set_longest(longest);
        self.limits = limits;
        if let State::Paused { until, .. } = &mut self.state
            && let Some(latest) = now.checked_add(longest)
        {
            *until = latest.min(*until);
        }
    }

    fn letter(&mut self, now: Instant, letter: Letter) {
        match &mut self.state {
            State::Idle { .. } => self.open(Some(letter)),
            State::Paused {
                trouble: Some(trouble),
                ..
            } => {
                let trouble = *trouble;
                self.give_back(letter.token, trouble);
            }
            State::Up(up) if !up.is_ending && up.writing.is_none() => {
                if letter.until <= now {
                    self.give_back(letter.token, Trouble::Timeout);
                } else {
                    up.writing = Some(letter.token);
                    self.outputs.push_back(Output::Write(letter.stanza));
                }
            }
            // Nobody asked for it now; better told as not carried than lost.
            State::Paused { trouble: None, .. } | State::Opening { .. } | State::Up(_) => {
                self.give_back(letter.token, Trouble::Overload);
            }
            State::Done => self.give_back(letter.token, Trouble::Stopping),
        }
    }

    fn open(&mut self, first: Option<Letter>) {
        self.state = State::Opening { first };
        self.outputs.push_back(Output::Open);
    }

    fn keep_up(&mut self) {
        if let (State::Idle { .. }, Keep::Always, false) = (&self.state, self.keep, self.stopping) {
            self.open(None);
        }
    }

    fn opened(&mut self, now: Instant, evidence: Evidence) {
        let State::Opening { first } = &mut self.state else {
            return;
        };
        let first = first.take();
        self.epoch = self.epoch.wrapping_add(1);
        self.state = State::Up(Up {
            since: now,
            evidence,
            written: VecDeque::new(),
            writing: None,
            is_ending: false,
        });
        if let Some(letter) = first {
            self.letter(now, letter);
        }
    }

    fn failed(&mut self, now: Instant, trouble: Trouble, random: u32) {
        let State::Opening { first } = &mut self.state else {
            return;
        };
        if let Some(letter) = first.take() {
            self.give_back(letter.token, trouble);
        }
        self.pause(now, Some(trouble), random);
    }

    fn wrote(&mut self, at: u64) {
        if let State::Up(up) = &mut self.state
            && let Some(token) = up.writing.take()
            && (token.is_some() || up.evidence == Evidence::Acknowledged)
        {
            up.written.push_back((at, token));
        }
    }

    fn taken(&mut self, octets: u64) {
        let State::Up(up) = &mut self.state else { return };
        if up.evidence != Evidence::Taken {
            return;
        }
        let count = up.written.iter().take_while(|(at, _)| *at <= octets).count();
        let tokens: Vec<_> = up.written.drain(..count).filter_map(|(_, token)| token).collect();
        self.tell_written(tokens);
    }

    fn tell_written(&mut self, tokens: Vec<Token>) {
        if !tokens.is_empty() {
            let epoch = self.epoch;
            self.outputs
                .push_back(Output::Tell(Fate::Written { tokens, epoch }));
        }
    }

    fn acknowledged(&mut self, count: u64) {
        let State::Up(up) = &mut self.state else { return };
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(up.written.len());
        let tokens: Vec<_> = up.written.drain(..count).filter_map(|(_, token)| token).collect();
        if !tokens.is_empty() {
            let epoch = self.epoch;
            self.outputs
                .push_back(Output::Tell(Fate::Acknowledged { tokens, epoch }));
        }
    }

    fn close(&mut self, why: Farewell) {
        if let State::Up(up) = &mut self.state
            && !up.is_ending
        {
            up.is_ending = true;
            self.outputs.push_back(Output::Close(why));
        }
    }

    fn ended(&mut self, now: Instant, random: u32) {
        let State::Up(up) = &mut self.state else { return };
        let lived = now.saturating_duration_since(up.since);
        let evidence = up.evidence;
        let writing = up.writing.take();
        let written: Vec<_> = up.written.drain(..).filter_map(|(_, token)| token).collect();
        match evidence {
            // Whatever may have reached the far end counts as written, and is told as lost with the stream.
            Evidence::Taken => self.tell_written(written),
            Evidence::Acknowledged => {
                for token in written {
                    self.give_back(Some(token), Trouble::Broken);
                }
            }
        }
        if let Some(token) = writing {
            self.give_back(token, Trouble::Broken);
        }
        let epoch = self.epoch;
        self.outputs.push_back(Output::Tell(Fate::Broken { epoch }));
        // A far end that ends each stream at once must not make us spin; a stream that was up for a while was well.
        if lived >= well(self.far) {
            self.backoff.succeeded();
        }
        let trouble = (self.backoff.failures() >= PATIENCE).then_some(Trouble::Refused);
        self.pause(now, trouble, random);
    }

    fn pause(&mut self, now: Instant, trouble: Option<Trouble>, random: u32) {
        let pause = self.backoff.failed(random);
        self.state = if self.stopping {
            State::Idle { since: now }
        } else {
            State::Paused {
                until: now.checked_add(pause).unwrap_or(now),
                trouble,
            }
        };
        self.done_if_stopping();
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.close(Farewell::Stopping);
        if let State::Opening { first } = &mut self.state {
            let token = first.take().and_then(|letter| letter.token);
            self.give_back(token, Trouble::Stopping);
        }
        self.done_if_stopping();
    }

    fn done_if_stopping(&mut self) {
        match self.state {
            State::Idle { .. } | State::Paused { .. } | State::Opening { .. } if self.stopping => {
                self.state = State::Done;
                self.outputs.push_back(Output::Done);
            }
            State::Idle { .. }
            | State::Paused { .. }
            | State::Opening { .. }
            | State::Up(_)
            | State::Done => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        match self.state {
            State::Paused { until, .. } if until <= now => {
                self.state = State::Idle { since: now };
                self.keep_up();
            }
            State::Idle { since } if now.saturating_duration_since(since) >= self.limits.idle => {
                // Where a letter waits after all, the link lives on.
                self.state = State::Idle { since: now };
                self.outputs.push_back(Output::Retire);
            }
            State::Idle { .. }
            | State::Paused { .. }
            | State::Opening { .. }
            | State::Up(_)
            | State::Done => {}
        }
    }

    fn give_back(&mut self, token: Option<Token>, trouble: Trouble) {
        if let Some(token) = token {
            self.outputs
                .push_back(Output::Tell(Fate::Returned { token, trouble }));
        }
    }
}

const fn longest_pause(limits: &XmppLimits, far: Far) -> Duration {
    match far {
        Far::Peer => limits.longest_pause,
        Far::Node => limits.longest_pause_of_node,
    }
}

/// A stream that was up for so long was a success, whatever ended it. Where one of several nodes dies, and soon another,
/// the next one carries on without a pause that has grown.
const fn well(far: Far) -> Duration {
    match far {
        Far::Peer => Duration::from_secs(10),
        Far::Node => Duration::from_secs(1),
    }
}

/// After so many failures in a row letters do not wait for the end of a pause any more.
const PATIENCE: u32 = 3;

#[cfg(test)]
mod tests;
