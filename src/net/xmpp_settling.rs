//! Which stanzas of a stream could still be lost with us, so that no earlier one is acknowledged than is out of danger.
//!
//! Each stanza gets a [`Hold`], which goes with the message and is dropped when its outcome is known. An acknowledgement counts
//! stanzas in their order, so one that waits holds back those behind it; after a while it is acknowledged all the same, or
//! one user's phone that rings would hold up everybody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::world;
use crate::gateway::Hold;

/// The stanzas of one stream, in their order.
#[derive(Debug, Default)]
pub(super) struct Settling {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    book: Mutex<Book>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Book {
    /// How many are out of danger, or have waited long enough.
    settled: u64,
    /// Those behind them: whether each is out of danger, and when it came.
    open: VecDeque<(State, Instant)>,
    /// How many somebody waits for.
    wanted: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Free,
}

impl Settling {
    /// A stanza came: what to keep as long as it can be lost with us.
    pub(super) fn hold(&self) -> Hold {
        let now = world::now();
        let mut book = self.shared.book();
        book.settle(now);
        let open = u64::try_from(book.open.len()).unwrap_or(u64::MAX);
        let number = book.settled.saturating_add(open);
        book.open.push_back((State::Held, now));
        Box::new(Held {
            number,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Waits until so many stanzas in all are out of danger or have waited long enough: how many are.
    pub(super) async fn reach(&self, wanted: u64) -> u64 {
        loop {
            let changed = self.shared.changed.notified();
            let late = {
                let mut book = self.shared.book();
                book.settle(world::now());
                if book.settled >= wanted {
                    return book.settled;
                }
                book.wanted = wanted;
                book.open.front().and_then(|(_, came)| came.checked_add(LONGEST))
            };
            tokio::select! {
                () = changed => {}
                () = world::sleep_until(late) => {}
            }
        }
    }
}

impl Shared {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn settle(&mut self, now: Instant) {
        while let Some((state, came)) = self.open.front()
            && (*state == State::Free || now.saturating_duration_since(*came) >= LONGEST)
        {
            self.open.pop_front();
            self.settled = self.settled.saturating_add(1);
        }
    }
}

/// One stanza that could be lost with us.
#[derive(Debug)]
struct Held {
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut book = self.shared.book();
        let place = self.number.checked_sub(book.settled);
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some((state, _)) = place.and_then(|place| book.open.get_mut(place)) {
            *state = State::Free;
            // Only who comes first can free those behind it.
            if place == Some(0) {
                book.settle(world::now());
            }
        }
        if book.wanted > 0 && book.settled >= book.wanted {
            book.wanted = 0;
            self.shared.changed.notify_one();
        }
    }
}

/// After this a stanza is acknowledged though its outcome is not known: what is taken by a peer's phone takes so long at
/// most, while a user who is asked for a session may let it ring for minutes.
const LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stanzas_settle_in_their_order_and_none_waits_for_ever() {
        let settling = Settling::default();
        let (first, second, third) = (settling.hold(), settling.hold(), settling.hold());
        assert_eq!(settling.reach(0).await, 0);
        drop(second);
        assert_eq!(settling.reach(0).await, 0, "the first is not");
        let dropping = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (reached, ()) = tokio::join!(settling.reach(2), dropping);
        assert_eq!(reached, 2);
        assert_eq!(settling.reach(3).await, 3, "it has waited long enough");
        drop(third);
        drop(settling.hold());
        assert_eq!(settling.reach(4).await, 4);
    }
}
