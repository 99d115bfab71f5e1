//! Bounded queues between tasks, made in one place, so that each has a name, a bound and a counter of refusals.

use prometheus::IntCounter;
use tokio::sync::mpsc;

use crate::observe::Metrics;

/// Makes a queue of at most `capacity` entries; `name` is its label in `vestibule_queue_full_total`.
#[must_use]
pub fn bounded<T>(name: &'static str, capacity: usize, metrics: &Metrics) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (
        Sender {
            sender,
            full: metrics.queue_full(name),
        },
        Receiver(receiver),
    )
}

/// The end that entries go in at.
#[derive(Debug)]
pub struct Sender<T> {
    sender: mpsc::Sender<T>,
    full: IntCounter,
}

/// The end that entries come out of.
#[derive(Debug)]
pub struct Receiver<T>(mpsc::Receiver<T>);

/// Room for one entry, which cannot be refused any more.
#[derive(Debug)]
pub struct Place<T>(mpsc::OwnedPermit<T>);

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
        self.sender.try_send(entry).map_err(|error| match error {
            mpsc::error::TrySendError::Full(entry) => {
                self.full.inc();
                Refused::Full(entry)
            }
            mpsc::error::TrySendError::Closed(entry) => Refused::Closed(entry),
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

    /// Puts an entry in, waiting for room: for producers whose own input can be held back.
    ///
    /// # Errors
    /// [`Refused::Closed`] with the entry.
    pub async fn send(&self, entry: T) -> Result<(), Refused<T>> {
        self.sender
            .send(entry)
            .await
            .map_err(|error| Refused::Closed(error.0))
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
        let _sender = self.0.send(entry);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            full: self.full.clone(),
        }
    }
}

impl<T> Receiver<T> {
    /// The next entry; `None` where all senders are gone.
    pub async fn recv(&mut self) -> Option<T> {
        self.0.recv().await
    }

    /// An entry, where one waits already.
    pub fn next_waiting(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }

    /// Takes no more entries in; those that wait can still be taken out.
    pub fn close(&mut self) {
        self.0.close();
    }
}
