//! Breaks `busy`: it refuses whoever does not get a thread at once.

use concurrency::{BlockingError, Panic};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::{sync::Semaphore, task::spawn_blocking};

pub struct Offload {
    limit: usize,
    places: Arc<Semaphore>,
}

impl Offload {
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        let _ = may_wait;
        Self { limit: limit.get(), places: Arc::new(Semaphore::new(limit.get())) }
    }

    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(BlockingError::Busy { running: self.limit, waiting: 0 });
        };
        let thread = spawn_blocking(move || {
            let _permit = place;
            work()
        });
        thread.await.map_err(|error| BlockingError::Panicked(Panic::new(error.into_panic())))
    }
}
