//! Two semaphores: one for who is in at all, one for who runs. The thread owns the permits of both.

use concurrency::{BlockingError, Panic};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Runs blocking work on threads.
pub struct Offload {
    limit: usize,
    may_wait: usize,
    /// For those that run and those that wait.
    admitted: Arc<Semaphore>,
    /// For those that run.
    places: Arc<Semaphore>,
}

impl Offload {
    /// Room for `limit` calls that run, and for `may_wait` that wait.
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        let limit = limit.get();
        // A semaphore counts only so far; that many callers nobody has.
        let [admitted, places] = [limit.saturating_add(may_wait), limit]
            .map(|n| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS))));
        Self { limit, may_wait, admitted, places }
    }

    /// Runs `work` on a thread where it may block, and gives what it gives.
    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let Ok(admitted) = self.admitted.clone().try_acquire_owned() else {
            // Nobody is let in beyond the two limits together, so these are what is there.
            let running = self.limit.min(Semaphore::MAX_PERMITS) - self.places.available_permits();
            return Err(BlockingError::Busy {
                running,
                waiting: (self.limit - running).saturating_add(self.may_wait),
            });
        };
        // Dropped here, the caller is out of the line and gives `admitted` back; nothing was handed to a thread yet.
        let place = self.places.clone().acquire_owned().await.map_err(|_| BlockingError::Closed)?;
        let thread = spawn_blocking(move || {
            // From here on the permits belong to the thread. Dropping the handle does not end a thread, and so it does
            // not free a place; the end of this closure does, be it a panic.
            let _permits = (admitted, place);
            work()
        });
        thread.await.map_err(|error| match error.try_into_panic() {
            Ok(payload) => BlockingError::Panicked(Panic::new(payload)),
            // The runtime is shutting down.
            Err(_) => BlockingError::Closed,
        })
    }
}
