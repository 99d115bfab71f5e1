//! Servers of SIP that cannot be reached: one relation asks for all of them, and when it is answered the rest go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::serve::ServeInput;
use super::watch::WatchInput;
use crate::domain::Domain;
use crate::gateway::conversation::Pair;
use crate::gateway::{Gateway, after};

/// The servers of a domain cannot be reached, or could not a moment ago.
#[derive(Debug)]
pub(super) struct Down {
    /// When the next relation tries.
    at: Instant,
    waiting: VecDeque<Arc<Pair>>,
    /// Whether they can be reached again, so that the rest goes on as fast as may be.
    is_open: bool,
}

impl Down {
    pub(super) const fn at(&self) -> Instant {
        self.at
    }
}

impl<O> Gateway<O> {
    /// Something of a relation waits for the way to its SIP side.
    pub(super) fn wait_for_way(&mut self, now: Instant, pair: &Arc<Pair>) {
        let domain = pair.sip.domain().clone();
        let down = self.presence.down.entry(domain).or_insert_with(|| Down {
            at: after(now, TRY),
            waiting: VecDeque::new(),
            is_open: false,
        });
        down.waiting.push_back(Arc::clone(pair));
    }

    /// The servers of a domain have answered.
    pub(super) fn way_is_open(&mut self, now: Instant, domain: &Domain) {
        if let Some(down) = self.presence.down.get_mut(domain)
            && !down.is_open
        {
            down.is_open = true;
            down.at = now;
        }
    }

    /// Lets those try whose turn it is.
    pub(super) fn look_for_ways(&mut self, now: Instant) {
        let due: Vec<Domain> = self
            .presence
            .down
            .iter()
            .filter(|(_, down)| down.at <= now)
            .map(|(domain, _)| domain.clone())
            .collect();
        for domain in due {
            let Some(down) = self.presence.down.get_mut(&domain) else {
                continue;
            };
            let (count, pause) = if down.is_open {
                (STEP, STEP_PAUSE)
            } else {
                (1, TRY)
            };
            down.at = after(now, pause);
            let some = down.waiting.len().min(count);
            let trying: Vec<Arc<Pair>> = down.waiting.drain(..some).collect();
            if down.waiting.is_empty() {
                self.presence.down.remove(&domain);
            }
            for pair in trying {
                self.relate(now, &pair, |relation, lent| {
                    relation.is_waiting = false;
                    if let Some(watch) = &mut relation.watch {
                        watch.handle(lent, WatchInput::Reachable);
                    }
                    if let Some(serve) = &mut relation.serve {
                        serve.handle(lent, ServeInput::Reachable);
                    }
                });
            }
        }
    }
}

/// Servers that cannot be reached are tried again after this.
const TRY: Duration = Duration::from_secs(1);
/// How many go on at once when they can be reached again, and how often.
const STEP: usize = 50;
const STEP_PAUSE: Duration = Duration::from_millis(50);
