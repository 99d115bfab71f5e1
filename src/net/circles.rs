//! Stanzas that come again and again: two edges that each take the other for the way to a domain hand them on for ever, and XMPP
//! has nothing that counts hops.
//!
//! What is translated names the gateways that it went through (`interwork::passage`). What is forwarded goes on as it came, so it
//! is known by coming back: the same id, addresses and text, far more often in a moment than anybody would send it.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{REMEMBERED_STANZAS, SAME_STANZAS};
use crate::xmpp::Stanza;

/// What came lately from outside.
#[derive(Debug, Default)]
pub struct Circles {
    keys: RandomState,
    counts: Mutex<Counts>,
}

/// How often each came, in this span of time and in the one before it.
#[derive(Debug, Default)]
struct Counts {
    now: HashMap<u64, u32>,
    before: HashMap<u64, u32>,
    since: Option<Instant>,
}

impl Circles {
    /// Whether a stanza has come so often that it goes in circles. Those without an id are not known again.
    pub fn has_circled(&self, now: Instant, stanza: &Stanza) -> bool {
        let Some(id) = stanza.id() else { return false };
        let mut key = self.keys.build_hasher();
        (id, stanza.from(), stanza.to(), stanza.kind().name()).hash(&mut key);
        stanza.child_text("body").hash(&mut key);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.count(now, key.finish()) > SAME_STANZAS
    }
}

impl Counts {
    fn count(&mut self, now: Instant, key: u64) -> u32 {
        let is_over = self
            .since
            .is_none_or(|since| now.saturating_duration_since(since) >= SPAN);
        if is_over || self.now.len() >= REMEMBERED_STANZAS {
            self.before = std::mem::take(&mut self.now);
            self.since = Some(now);
        }
        let here = self.now.entry(key).or_default();
        *here = here.saturating_add(1);
        here.saturating_add(self.before.get(&key).copied().unwrap_or_default())
    }
}

/// A circle takes milliseconds.
const SPAN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::world;
    use crate::xml::Element;
    use crate::xmpp::stanza::{Kind, MessageType};
    use crate::xmpp::{Jid, ns};

    fn message(id: &str, body: &str) -> Stanza {
        let jid = |text| Jid::parse(text).unwrap();
        let kind = Kind::Message(MessageType::Chat);
        Stanza::new(kind, jid("a@one.example/x"), jid("b@two.example"))
            .with_id(id)
            .with_child(Element::new("body", ns::STANZA).with_text(body))
    }

    #[test]
    fn the_same_stanza_is_let_through_a_few_times_and_another_always() {
        let (circles, now) = (Circles::default(), world::now());
        for number in 0..SAME_STANZAS {
            assert!(!circles.has_circled(now, &message("m", "x")));
            assert!(!circles.has_circled(now, &message("m", &format!("{number}"))));
            assert!(!circles.has_circled(now, &message(&format!("{number}"), "x")));
        }
        assert!(circles.has_circled(now, &message("m", "x")));
        assert!(!circles.has_circled(now, &message("n", "x")));
        // In the second span it is still remembered, and in the third it is not.
        let later = now.checked_add(SPAN).unwrap();
        assert!(circles.has_circled(later, &message("m", "x")));
        let much_later = later.checked_add(SPAN).unwrap().checked_add(SPAN).unwrap();
        assert!(!circles.has_circled(much_later, &message("n", "x")));
        let much_later = much_later.checked_add(SPAN).unwrap();
        assert!(!circles.has_circled(much_later, &message("m", "x")));
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let (circles, now) = (Circles::default(), world::now());
        for number in 0..3 * REMEMBERED_STANZAS {
            assert!(!circles.has_circled(now, &message(&format!("{number}"), "x")));
        }
        let counts = circles.counts.lock().unwrap();
        assert!(counts.now.len() <= REMEMBERED_STANZAS && counts.before.len() <= REMEMBERED_STANZAS);
    }
}
