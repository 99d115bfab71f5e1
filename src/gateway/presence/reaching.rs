//! Servers that cannot be reached, or answer nothing: one relation tries for all of them, and when it gets through the rest go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::returning::say_unsaid;
use super::serve::ServeInput;
use super::watch::WatchInput;
use crate::domain::Domain;
use crate::gateway::conversation::Pair;
use crate::gateway::{Gateway, after};
use crate::sip::transaction::Timers;

/// Where something is to go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// To the servers of a domain of SIP.
    Sip(Domain),
    /// In the name of the first domain, to the server of the second, of XMPP.
    Xmpp(Domain, Domain),
}

impl Way {
    pub(super) fn to_sip(pair: &Pair) -> Self {
        Self::Sip(pair.sip.domain().clone())
    }

    pub(super) fn to_xmpp(pair: &Pair) -> Self {
        Self::Xmpp(pair.sip.domain().clone(), pair.xmpp.domain().clone())
    }
}

/// There is no way to somewhere, or was none a moment ago.
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

/// When the servers of a domain have answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// Since when, without a silence in between.
    since: Instant,
    last: Instant,
}

impl Heard {
    fn again(&mut self, now: Instant) {
        if !self.is_recent(now) {
            self.since = now;
        }
        self.last = now;
    }

    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < RECENT
    }
}

impl<O> Gateway<O> {
    /// Something of a relation waits for a way.
    pub(super) fn wait_for_way(&mut self, now: Instant, pair: &Arc<Pair>, way: Way) {
        let down = self.presence.down.entry(way).or_insert_with(|| Down {
            at: after(now, TRY),
            waiting: VecDeque::new(),
            is_open: false,
        });
        down.waiting.push_back(Arc::clone(pair));
    }

    /// Something got through.
    pub(super) fn way_is_open(&mut self, now: Instant, way: impl FnOnce() -> Way) {
        // Nearly always there is nothing to look for.
        if !self.presence.down.is_empty()
            && let Some(down) = self.presence.down.get_mut(&way())
            && !down.is_open
        {
            down.is_open = true;
            down.at = now;
        }
    }

    /// The servers of a domain of SIP have answered something.
    pub(super) fn heard_of(&mut self, now: Instant, domain: &Domain) {
        let heard = &mut self.presence.heard;
        if let Some(heard) = heard.get_mut(domain) {
            heard.again(now);
        } else {
            if heard.len() >= HEARD {
                heard.retain(|_, heard| heard.is_recent(now));
            }
            heard.insert(
                domain.clone(),
                Heard {
                    since: now,
                    last: now,
                },
            );
        }
    }

    /// Whether they have answered others for as long as a request that is given up now was on its way.
    pub(super) fn answers_others(&self, now: Instant, domain: &Domain) -> bool {
        let heard = self.presence.heard.get(domain);
        heard.is_some_and(|heard| {
            // One that was sent before they came back tells nothing of who it was for.
            heard.is_recent(now) && now.saturating_duration_since(heard.since) >= Timers::default().give_up()
        })
    }

    /// Lets those try whose turn it is.
    pub(super) fn look_for_ways(&mut self, now: Instant) {
        let due: Vec<Way> = self
            .presence
            .down
            .iter()
            .filter(|(_, down)| down.at <= now)
            .map(|(way, _)| way.clone())
            .collect();
        for way in due {
            let Some(down) = self.presence.down.get_mut(&way) else {
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
                self.presence.down.remove(&way);
            }
            for pair in trying {
                self.relate(now, &pair, |relation, lent| match way {
                    Way::Sip(_) => {
                        relation.is_waiting = false;
                        if let Some(watch) = &mut relation.watch {
                            watch.handle(lent, WatchInput::Reachable);
                        }
                        if let Some(serve) = &mut relation.serve {
                            serve.handle(lent, ServeInput::Reachable);
                        }
                    }
                    Way::Xmpp(..) => {
                        (relation.is_unheard, relation.waits_to_say) = (false, false);
                        say_unsaid(relation, lent);
                        if let Some(watch) = &mut relation.watch {
                            watch.handle(lent, WatchInput::Tellable);
                        }
                    }
                });
            }
        }
    }
}

/// Servers that cannot be reached, or answer nothing, are tried again after this.
const TRY: Duration = Duration::from_secs(1);
/// How many go on at once when they can be reached again, and how often.
const STEP: usize = 50;
const STEP_PAUSE: Duration = Duration::from_millis(50);
/// Servers that have answered so recently are there.
const RECENT: Duration = Duration::from_secs(30);
/// Of so many domains at most it is remembered whether they were heard of longer ago.
const HEARD: usize = 1_024;
