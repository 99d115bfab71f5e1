//! The only place that spawns tasks: each is named, counted, cancelled and awaited at the end.
//!
//! A task that must not end (a listener, a shard) is spawned with [`Supervisor::keep`], which starts it again after a
//! growing pause; a task that belongs to one connection is spawned with [`Supervisor::spawn`].

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Backoff;

/// Spawns tasks and knows which are alive. Clones share their tasks.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    stop: CancellationToken,
    tasks: TaskTracker,
    alive: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Supervisor {
    /// A supervisor without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` until it ends or everything is stopped at once ([`Supervisor::abort`]). An orderly stop is the
    /// business of `work` itself.
    pub fn spawn<F>(&self, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let counted = Counted::enter(Arc::clone(&self.alive), name);
        let stop = self.stop.clone();
        // Boxed: a future that is handed from one to the next would take its room in each of them.
        let work = Box::pin(work);
        self.spawn_tracked(async move {
            let _counted = counted;
            stop.run_until_cancelled(work).await;
        });
    }

    /// Runs what `work` makes, again and again: a task that ends with an error is started anew after a pause that
    /// grows to 30 s. `Ok` ends it for good.
    pub fn keep<M, F, E>(&self, name: &'static str, mut work: M)
    where
        M: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        self.spawn(name, async move {
            let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
            loop {
                match work().await {
                    Ok(()) => return,
                    Err(error) => {
                        let pause = backoff.failed(u32::MAX);
                        tracing::error!(task = name, %error, pause_ms = pause.as_millis(), "task failed; it is started again");
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        });
    }

    /// Runs `work`, which may block, on a thread of its own; the answer is what it gives, and `None` where it panicked. It cannot be
    /// ended: who waits for it bounds that.
    pub fn block<T, F>(
        &self,
        name: &'static str,
        work: F,
    ) -> impl Future<Output = Option<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let counted = Counted::enter(Arc::clone(&self.alive), name);
        #[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        let running = tokio::task::spawn_blocking(move || {
            let _counted = counted;
            work()
        });
        async move { running.await.ok() }
    }

    /// How many tasks of each name are alive.
    #[must_use]
    pub fn alive(&self) -> BTreeMap<&'static str, u64> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until every task has ended.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Ends every task at its next await.
    pub fn abort(&self) {
        self.stop.cancel();
    }

    #[allow(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    fn spawn_tracked<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(work);
    }
}

/// Counts a task for as long as it lives, however it ends.
struct Counted {
    alive: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    name: &'static str,
}

impl Counted {
    fn enter(alive: Arc<Mutex<BTreeMap<&'static str, u64>>>, name: &'static str) -> Self {
        *alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name)
            .or_default() += 1;
        Self { alive, name }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = alive.get_mut(self.name) {
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_kept_task_is_started_again_until_it_ends_well() {
        let supervisor = Supervisor::new();
        let runs = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&runs);
        supervisor.keep("test", move || {
            let run = seen.fetch_add(1, Ordering::SeqCst);
            async move { if run < 3 { Err("not yet") } else { Ok(()) } }
        });
        supervisor.ended().await;
        assert_eq!(runs.load(Ordering::SeqCst), 4);
        assert_eq!(supervisor.alive().get("test"), Some(&0));
    }

    #[tokio::test]
    async fn what_blocks_holds_up_no_task_and_is_counted() {
        let supervisor = Supervisor::new();
        let (go, wait) = std::sync::mpsc::channel::<u8>();
        let answer = supervisor.block("slow", move || wait.recv());
        assert_eq!(supervisor.alive().get("slow"), Some(&1));
        supervisor.spawn("quick", async move { go.send(7).unwrap() });
        assert_eq!(answer.await, Some(Ok(7)));
        assert_eq!(supervisor.alive().get("slow"), Some(&0));
        assert_eq!(supervisor.block("bad", || panic!("on purpose")).await, None::<u8>);
    }

    #[tokio::test]
    async fn abort_ends_what_would_run_forever() {
        let supervisor = Supervisor::new();
        supervisor.spawn("forever", std::future::pending());
        assert_eq!(supervisor.alive().get("forever"), Some(&1));
        supervisor.abort();
        supervisor.ended().await;
        assert_eq!(supervisor.alive().get("forever"), Some(&0));
    }
}
