//! The orderly stop: phase by phase, each seen in `/readyz` and in the metrics, and bounded by the grace time.
//!
//! What comes when is decided by [`Stopping`], which knows no task and no clock; [`stop`] does what it says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::net::world::{self, World};
use crate::observe::health::Phase;
use tokio_util::sync::CancellationToken;

/// Takes the proxy from running to done within `grace`; `accepting` is cancelled to close the listeners.
pub(super) async fn stop(
    world: &Arc<World>,
    accepting: &CancellationToken,
    answering: &CancellationToken,
    grace: Duration,
) {
    let mut stopping = Stopping::new(grace);
    loop {
        match stopping.next(world::now(), &seen(world)) {
            Next::Wait => tokio::time::sleep(LOOK).await,
            Next::Go(act) => {
                if act != Act::End {
                    enter(world, act.phase());
                }
                match act {
                    Act::SayNotReady | Act::AwaitOutcomes => {}
                    Act::CloseListeners => accepting.cancel(),
                    Act::RefuseNew => {
                        // Until a shard has heard of it, and ends its sessions, it counts as something that waits.
                        let shards = i64::try_from(world.shards.len()).unwrap_or_default();
                        world.metrics.pending.add(shards);
                        world.refuse_new.cancel();
                    }
                    Act::CloseStreams => world.close_streams.cancel(),
                    Act::CloseLinks => world.close.cancel(),
                    Act::CloseFlows => world.close_flows.cancel(),
                    Act::FlushStore => world.close_store.cancel(),
                    Act::End => {
                        answering.cancel();
                        world.supervisor.abort();
                        world.supervisor.ended().await;
                        return enter(world, act.phase());
                    }
                }
            }
            Next::Late(act) => tracing::warn!(
                phase = %act.phase(), waiting = world.metrics.pending.get(),
                errors = world.metrics.telling.get(),
                "{}", act.left_over()
            ),
        }
    }
}

fn enter(world: &World, phase: Phase) {
    if world.health.phase() != phase {
        tracing::info!(%phase, "stopping");
        world.health.enter(phase);
    }
}

/// The course of a stop. Its `next` is asked again and again, with the time and what is seen of the proxy.
#[derive(Debug)]
struct Stopping {
    grace: Duration,
    left: std::slice::Iter<'static, Act>,
    /// What was done last, and until when what it ends is waited for; `None` once that was told to be late.
    current: Option<(Act, Instant)>,
}

/// What is done in its turn, and then waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    SayNotReady,
    CloseListeners,
    RefuseNew,
    AwaitOutcomes,
    /// Streams that others opened: what they still sent is refused, and the links carry the word.
    CloseStreams,
    /// Then what still waits on the links comes back, and its answers go out on the flows.
    CloseLinks,
    CloseFlows,
    /// What all these have changed outlives the process.
    FlushStore,
    End,
}

/// What there still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Messages that wait for their outcome, and sessions of messages that end.
    waiting: bool,
    /// Errors for senders: who does not hear of a failure now never will.
    telling: bool,
    /// Streams that others opened.
    streams: bool,
    /// Links.
    links: bool,
    /// SIP connections, farewells, and answers whose connection is gone.
    flows: bool,
    /// The store, which ends when it is written.
    store: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Go(Act),
    Wait,
    /// The time for what was done is over; it goes on all the same.
    Late(Act),
}

impl Stopping {
    fn new(grace: Duration) -> Self {
        Self {
            grace,
            left: Act::ALL.iter(),
            current: None,
        }
    }

    fn next(&mut self, now: Instant, seen: &Seen) -> Next {
        if let Some((act, until)) = self.current
            && act.is_under_way(seen)
        {
            if now < until {
                return Next::Wait;
            }
            self.current = None;
            return Next::Late(act);
        }
        let act = self.left.next().copied().unwrap_or(Act::End);
        let within = match act {
            Act::AwaitOutcomes => self.grace,
            Act::CloseStreams | Act::CloseLinks | Act::CloseFlows => FAREWELL,
            Act::FlushStore => FLUSH,
            Act::SayNotReady | Act::CloseListeners | Act::RefuseNew | Act::End => Duration::ZERO,
        };
        self.current = Some((act, now.checked_add(within).unwrap_or(now)));
        Next::Go(act)
    }
}

impl Act {
    const ALL: [Self; 9] = [
        Self::SayNotReady,
        Self::CloseListeners,
        Self::RefuseNew,
        Self::AwaitOutcomes,
        Self::CloseStreams,
        Self::CloseLinks,
        Self::CloseFlows,
        Self::FlushStore,
        Self::End,
    ];

    /// The phase that it belongs to.
    const fn phase(self) -> Phase {
        match self {
            Self::SayNotReady => Phase::NotReady,
            Self::CloseListeners => Phase::StopAccept,
            Self::RefuseNew => Phase::RefuseNew,
            Self::AwaitOutcomes => Phase::FinishTransactions,
            Self::CloseStreams | Self::CloseLinks | Self::CloseFlows => Phase::CloseStreams,
            Self::FlushStore => Phase::FlushStore,
            Self::End => Phase::Done,
        }
    }

    /// Whether something is left of what it ends.
    const fn is_under_way(self, seen: &Seen) -> bool {
        match self {
            Self::SayNotReady | Self::CloseListeners | Self::RefuseNew | Self::End => false,
            Self::AwaitOutcomes => seen.waiting || seen.telling,
            Self::CloseStreams => seen.streams || seen.telling,
            Self::CloseLinks => seen.links || seen.waiting,
            Self::CloseFlows => seen.flows,
            Self::FlushStore => seen.store,
        }
    }

    const fn left_over(self) -> &'static str {
        match self {
            Self::AwaitOutcomes => {
                "the grace time is over while messages still wait, or errors for their senders"
            }
            Self::CloseStreams => "some streams did not close in time, or senders could not be told in time",
            Self::CloseLinks => "some links did not close in time",
            Self::FlushStore => {
                "the store was not written in time, and what changed last may be lost; look at the disk of [edge] state_dir"
            }
            Self::SayNotReady | Self::CloseListeners | Self::RefuseNew | Self::CloseFlows | Self::End => {
                "some connections did not close in time"
            }
        }
    }
}

fn seen(world: &World) -> Seen {
    let alive = world.supervisor.alive();
    let any = |names: &[&str]| {
        alive
            .iter()
            .any(|(task, alive)| names.contains(task) && *alive > 0)
    };
    Seen {
        waiting: world.metrics.pending.get() > 0,
        telling: world.metrics.telling.get() > 0,
        streams: any(&["xmpp_stream"]),
        links: any(&["sip_link", "xmpp_link"]),
        flows: any(&["sip_flow", "sip_answers", "farewell"]),
        store: any(&["store"]),
    }
}

/// How often it is looked at what there still is.
const LOOK: Duration = Duration::from_millis(20);
/// Time for the farewells of streams and TLS sessions.
const FAREWELL: Duration = Duration::from_secs(2);
/// Time for the store to be written and closed.
const FLUSH: Duration = Duration::from_secs(5);

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "a test needs some instant to count from"
)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);
    const NOTHING: Seen = Seen {
        waiting: false,
        telling: false,
        streams: false,
        links: false,
        flows: false,
        store: false,
    };

    /// Goes on until something is waited for, or it is late, or the end has come.
    fn go(stopping: &mut Stopping, now: Instant, seen: Seen) -> (Vec<Act>, Next) {
        let mut done = Vec::new();
        loop {
            match stopping.next(now, &seen) {
                Next::Go(Act::End) => return (done, Next::Go(Act::End)),
                Next::Go(act) => done.push(act),
                other @ (Next::Wait | Next::Late(_)) => return (done, other),
            }
        }
    }

    #[test]
    fn with_nothing_left_it_ends_at_once_and_in_order() {
        let (done, end) = go(&mut Stopping::new(GRACE), Instant::now(), NOTHING);
        assert_eq!((done.as_slice(), end), (&Act::ALL[..8], Next::Go(Act::End)));
        let phases: Vec<_> = Act::ALL.iter().map(|act| act.phase()).collect();
        assert!(phases.is_sorted(), "{phases:?}");
        assert_eq!(phases.last(), Some(&Phase::Done));
    }

    #[test]
    fn each_step_waits_for_what_it_ends_and_no_longer_than_its_time() {
        let rows = [
            (
                Seen {
                    waiting: true,
                    ..NOTHING
                },
                Act::AwaitOutcomes,
                GRACE,
            ),
            (
                Seen {
                    telling: true,
                    ..NOTHING
                },
                Act::AwaitOutcomes,
                GRACE,
            ),
            (
                Seen {
                    streams: true,
                    ..NOTHING
                },
                Act::CloseStreams,
                FAREWELL,
            ),
            (
                Seen {
                    links: true,
                    ..NOTHING
                },
                Act::CloseLinks,
                FAREWELL,
            ),
            (
                Seen {
                    flows: true,
                    ..NOTHING
                },
                Act::CloseFlows,
                FAREWELL,
            ),
            (
                Seen {
                    store: true,
                    ..NOTHING
                },
                Act::FlushStore,
                FLUSH,
            ),
        ];
        for (seen, act, within) in rows {
            let start = Instant::now();
            let mut stopping = Stopping::new(GRACE);
            let (done, next) = go(&mut stopping, start, seen);
            assert_eq!((done.last(), next), (Some(&act), Next::Wait));
            let just_before = start + within - Duration::from_millis(1);
            assert_eq!(stopping.next(just_before, &seen), Next::Wait);
            let mut patient = Stopping::new(GRACE);
            go(&mut patient, start, seen);
            // It is gone in time: on it goes, and nothing is late.
            assert_eq!(go(&mut patient, just_before, NOTHING).1, Next::Go(Act::End));
            assert_eq!(stopping.next(start + within, &seen), Next::Late(act));
            let after = stopping.next(start + within, &seen);
            assert!(
                matches!(after, Next::Go(following) if following != act),
                "{after:?}"
            );
        }
    }

    #[test]
    fn what_the_closing_links_give_back_is_waited_for_before_flows_are_closed() {
        let start = Instant::now();
        let mut stopping = Stopping::new(GRACE);
        let links = Seen {
            links: true,
            ..NOTHING
        };
        assert_eq!(go(&mut stopping, start, links).1, Next::Wait);
        let returned = Seen {
            waiting: true,
            ..NOTHING
        };
        assert_eq!(stopping.next(start, &returned), Next::Wait);
        assert_eq!(stopping.next(start, &NOTHING), Next::Go(Act::CloseFlows));
    }

    #[test]
    fn nothing_holds_it_up_for_ever() {
        let all = Seen {
            waiting: true,
            telling: true,
            streams: true,
            links: true,
            flows: true,
            store: true,
        };
        let start = Instant::now();
        let mut stopping = Stopping::new(GRACE);
        let mut now = start;
        let mut late = Vec::new();
        loop {
            match go(&mut stopping, now, all).1 {
                Next::Late(act) => late.push(act),
                Next::Wait => now += Duration::from_millis(100),
                Next::Go(_) => break,
            }
        }
        assert_eq!(
            late,
            [
                Act::AwaitOutcomes,
                Act::CloseStreams,
                Act::CloseLinks,
                Act::CloseFlows,
                Act::FlushStore
            ]
        );
        assert_eq!(now - start, GRACE + 3 * FAREWELL + FLUSH);
    }
}
