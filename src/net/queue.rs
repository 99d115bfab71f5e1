//! Bounded queues between tasks, made in one place, so that each has a name, a bound and a counter of refusals.

use std::sync::Arc;

use prometheus::IntCounter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::observe::Metrics;

/// Makes a queue of at most `capacity` entries; `name` is its label in `vestibule_queue_full_total`.
#[must_use]
pub fn bounded<T>(name: &'static str, capacity: usize, metrics: &Metrics) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (
        Sender {
            sender,
            full: metrics.queue_full(name),
            budget: None,
        },
        Receiver(receiver),
    )
}

/// Makes a queue whose entries together also hold at most `octets`, by their `weight`. One entry that is heavier than
/// the whole budget passes when nothing else waits.
#[must_use]
pub fn weighed<T>(
    name: &'static str,
    capacity: usize,
    octets: usize,
    weight: fn(&T) -> usize,
    metrics: &Metrics,
) -> (Sender<T>, Receiver<T>) {
    let (mut sender, receiver) = bounded(name, capacity, metrics);
    let most = u32::try_from(octets.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    sender.budget = Some(Budget {
        octets: Arc::new(Semaphore::new(
            usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS),
        )),
        most,
        weight,
    });
    (sender, receiver)
}

/// The end that entries go in at.
#[derive(Debug)]
pub struct Sender<T> {
    sender: mpsc::Sender<Weighed<T>>,
    full: IntCounter,
    budget: Option<Budget<T>>,
}

/// What the entries of a queue may hold together.
#[derive(Debug)]
struct Budget<T> {
    octets: Arc<Semaphore>,
    most: u32,
    weight: fn(&T) -> usize,
}

/// An entry with its part of the budget, which it gives back when it is taken out.
#[derive(Debug)]
struct Weighed<T> {
    entry: T,
    _part: Option<OwnedSemaphorePermit>,
}

/// The end that entries come out of.
#[derive(Debug)]
pub struct Receiver<T>(mpsc::Receiver<Weighed<T>>);

/// Room for one entry, which cannot be refused any more.
#[derive(Debug)]
pub struct Place<T>(mpsc::OwnedPermit<Weighed<T>>);

/// Why an entry was not taken; it is given back.
#[derive(Debug)]
pub enum Refused<T> {
    /// The queue is full: the receiver is too slow.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

impl<T> Sender<T> {
    /// Puts an entry in without waiting.
    ///
    /// # Errors
    /// [`Refused`] with the entry, where the queue is full (which is counted) or closed.
    pub fn offer(&self, entry: T) -> Result<(), Refused<T>> {
        let part = match &self.budget {
            None => None,
            Some(budget) => match Arc::clone(&budget.octets).try_acquire_many_owned(budget.part_of(&entry)) {
                Ok(part) => Some(part),
                Err(_) if self.sender.is_closed() => return Err(Refused::Closed(entry)),
                Err(_) => {
                    self.full.inc();
                    return Err(Refused::Full(entry));
                }
            },
        };
        let weighed = Weighed { entry, _part: part };
        self.sender.try_send(weighed).map_err(|error| match error {
            mpsc::error::TrySendError::Full(weighed) => {
                self.full.inc();
                Refused::Full(weighed.entry)
            }
            mpsc::error::TrySendError::Closed(weighed) => Refused::Closed(weighed.entry),
        })
    }

    /// Keeps room for one entry that will come later.
    ///
    /// # Errors
    /// [`Refused`] where there is none (which is counted), or the receiver is gone.
    pub fn reserve(&self) -> Result<Place<T>, Refused<()>> {
        self.sender
            .clone()
            .try_reserve_owned()
            .map(Place)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    self.full.inc();
                    Refused::Full(())
                }
                mpsc::error::TrySendError::Closed(_) => Refused::Closed(()),
            })
    }

    /// Waits for room for one entry that will come later; nothing is lost where it is not waited for to the end.
    ///
    /// # Errors
    /// [`Refused::Closed`].
    pub async fn place(&self) -> Result<Place<T>, Refused<()>> {
        let place = self.sender.clone().reserve_owned().await;
        place.map(Place).map_err(|_| Refused::Closed(()))
    }

    /// Puts an entry in, waiting for room: for producers whose own input can be held back.
    ///
    /// # Errors
    /// [`Refused::Closed`] with the entry.
    pub async fn send(&self, entry: T) -> Result<(), Refused<T>> {
        let part = match &self.budget {
            None => None,
            // It is never closed.
            Some(budget) => {
                let part = budget.part_of(&entry);
                Arc::clone(&budget.octets).acquire_many_owned(part).await.ok()
            }
        };
        self.sender
            .send(Weighed { entry, _part: part })
            .await
            .map_err(|error| Refused::Closed(error.0.entry))
    }

    /// Whether nothing waits in it.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.sender.capacity() == self.sender.max_capacity()
    }

    /// Whether the receiver is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl<T> Place<T> {
    /// Puts the entry in.
    pub fn send(self, entry: T) {
        let _sender = self.0.send(Weighed { entry, _part: None });
    }
}

impl<T> Budget<T> {
    fn part_of(&self, entry: &T) -> u32 {
        u32::try_from((self.weight)(entry)).map_or(self.most, |weight| weight.min(self.most))
    }
}

impl<T> Clone for Budget<T> {
    fn clone(&self) -> Self {
        Self {
            octets: Arc::clone(&self.octets),
            most: self.most,
            weight: self.weight,
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            full: self.full.clone(),
            budget: self.budget.clone(),
        }
    }
}

impl<T> Receiver<T> {
    /// The next entry; `None` where all senders are gone.
    pub async fn recv(&mut self) -> Option<T> {
        self.0.recv().await.map(|weighed| weighed.entry)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An entry, where one waits already.
    pub fn next_waiting(&mut self) -> Option<T> {
        self.0.try_recv().ok().map(|weighed| weighed.entry)
    }

    /// Takes no more entries in; those that wait can still be taken out.
    pub fn close(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn entries_are_refused_when_they_hold_too_much_together_and_not_before() {
        let metrics = Metrics::new().unwrap();
        let (sender, mut receiver) = weighed::<Vec<u8>>("test", 10, 100, Vec::len, &metrics);
        assert!(sender.offer(vec![0; 60]).is_ok());
        assert!(matches!(sender.offer(vec![0; 41]), Err(Refused::Full(entry)) if entry.len() == 41));
        assert!(sender.offer(vec![0; 40]).is_ok());
        assert_eq!(receiver.recv().await.map(|entry| entry.len()), Some(60));
        assert!(sender.offer(vec![0; 60]).is_ok());
        receiver.next_waiting();
        receiver.next_waiting();
        assert!(sender.offer(vec![0; 1_000]).is_ok(), "alone, whatever its weight");
        assert!(sender.offer(vec![0; 1]).is_err());
        drop(receiver);
        assert!(matches!(sender.offer(vec![0; 1]), Err(Refused::Closed(_))));
    }

    #[tokio::test]
    async fn a_producer_that_can_wait_waits_for_its_part_of_the_budget() {
        let metrics = Metrics::new().unwrap();
        let (sender, mut receiver) = weighed::<Vec<u8>>("test", 10, 100, Vec::len, &metrics);
        sender.send(vec![1; 100]).await.unwrap();
        let second = sender.send(vec![2; 100]);
        tokio::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("there was no room"),
            () = std::future::ready(()) => {}
        }
        let (taken, sent) = tokio::join!(receiver.recv(), second);
        assert!(taken.is_some() && sent.is_ok());
    }
}
