//! What the tables of all flows share: how many transactions are alive, and which requests are under way.
//!
//! RFC 3261 §8.2.2.2 (merged requests). Invariants: a flow has never more transactions than it leaves to all others
//! together; what was entered leaves when its evidence is dropped.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sip::Request;

/// Shared by the tables of all flows; clones are the same register.
#[derive(Debug, Clone, Default)]
pub struct Register(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    alive: AtomicUsize,
    under_way: Mutex<HashSet<Arc<str>>>,
}

/// The place of one transaction, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Register);

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub struct UnderWay {
    register: Register,
    name: Arc<str>,
}

/// The same request is under way by another path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the same request came by another path and is under way")]
pub struct Merged;

impl Register {
    /// A register without transactions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many transactions are alive on all flows together.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.0.alive.load(Ordering::Relaxed)
    }

    /// Notes a request that is to be acted on; `None` where it could not be taken for another, as it belongs to a dialog.
    ///
    /// # Errors
    /// [`Merged`] where it is under way already. Two requests are one when sender, From tag, Call-ID and CSeq are the
    /// same, on whichever flows they came; a repetition within a transaction does not get here.
    //
    //= rfc3261#8.2.2.2
    //# If the request has no tag in the To header field, the UAS core MUST check the request against ongoing
    //# transactions.
    pub fn enter(&self, request: &Request) -> Result<Option<UnderWay>, Merged> {
        let headers = request.headers();
        if headers.to().tag().is_some() {
            return Ok(None);
        }
        let from = headers.from();
        let mut name = String::new();
        // The address of the sender too, which his flow has to prove: nobody can keep others from being heard.
        let _ = write!(
            name,
            "{}\n{}\n{}\n{}\n{}",
            headers.call_id(),
            headers.cseq().number(),
            request.method(),
            from.tag().unwrap_or_default(),
            from.uri(),
        );
        let name: Arc<str> = name.into();
        let mut under_way = self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if !under_way.insert(Arc::clone(&name)) {
            return Err(Merged);
        }
        Ok(Some(UnderWay {
            register: self.clone(),
            name,
        }))
    }

    /// A place for one more transaction of a flow that has `own`, where `most` may be alive on all flows together.
    ///
    /// A flow takes no more than it leaves to others: one has at most half, n have at most n of n + 1 parts, and there is
    /// always something left for the next.
    pub(super) fn take(&self, own: usize, most: usize) -> Option<Place> {
        let taken = self
            .0
            .alive
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |alive| {
                let left = most.saturating_sub(alive);
                (own < left).then(|| alive.saturating_add(1))
            });
        taken.ok().map(|_| Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let shared = &self.register.0;
        let mut under_way = shared.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{MESSAGE, request};
    use super::*;

    #[test]
    fn a_request_under_way_is_known_again_on_whatever_path_until_it_is_answered() {
        let register = Register::new();
        let first = register.enter(&request(MESSAGE)).unwrap();
        let other_path = MESSAGE.replace("z9hG4bKmessage1", "z9hG4bKmessage2");
        assert_eq!(register.enter(&request(&other_path)).unwrap_err(), Merged);
        drop(first);
        assert!(register.enter(&request(&other_path)).is_ok());
    }

    #[test]
    fn what_differs_in_one_part_is_another_request() {
        let register = Register::new();
        let _first = register.enter(&request(MESSAGE)).unwrap();
        for (was, is) in [
            ("tag=a1", "tag=a2"),
            ("Call-ID: message-1", "Call-ID: message-2"),
            ("CSeq: 1 ", "CSeq: 2 "),
            ("From: <sip:ada@example.com>", "From: <sip:eve@example.com>"),
        ] {
            assert!(MESSAGE.contains(was), "{was}");
            let entered = register.enter(&request(&MESSAGE.replace(was, is)));
            assert!(entered.is_ok_and(|it| it.is_some()), "{is}");
        }
        let options = MESSAGE.replace("MESSAGE", "OPTIONS");
        assert!(register.enter(&request(&options)).is_ok());
    }

    #[test]
    fn what_belongs_to_a_dialog_is_not_looked_at() {
        let register = Register::new();
        let tagged =
            request(&MESSAGE.replace("To: <sip:ben@example.org>", "To: <sip:ben@example.org>;tag=b1"));
        assert!(register.enter(&tagged).unwrap().is_none());
        assert!(register.enter(&tagged).unwrap().is_none());
    }

    #[test]
    fn a_flow_takes_no_more_than_it_leaves() {
        let register = Register::new();
        let fill = |most: usize| -> Vec<Place> {
            let mut own = Vec::new();
            while let Some(place) = register.take(own.len(), most) {
                own.push(place);
            }
            own
        };
        let (one, two, three) = (fill(64), fill(64), fill(64));
        assert_eq!([one.len(), two.len(), three.len()], [32, 16, 8]);
        assert_eq!(register.alive(), 56);
        drop(one);
        assert_eq!(fill(64).len(), 20, "what one gives back is there for the others");
        drop((two, three));
        assert_eq!(register.alive(), 0);
        assert_eq!(fill(1).len(), 1, "where one is allowed, one has it");
    }
}
