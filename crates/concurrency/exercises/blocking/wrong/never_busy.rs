//! Breaks `busy`: the line has no end: nobody is ever refused.

use concurrency::{BlockingError, Panic};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::{sync::Semaphore, task::spawn_blocking};

pub struct Offload {
    places: Arc<Semaphore>,
}

impl Offload {
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        let _ = may_wait;
        Self { places: Arc::new(Semaphore::new(limit.get())) }
    }

    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let place = self.places.clone().acquire_owned().await.map_err(|_| BlockingError::Closed)?;
        let thread = spawn_blocking(move || {
            let _permit = place;
            work()
        });
        thread.await.map_err(|error| BlockingError::Panicked(Panic::new(error.into_panic())))
    }
}
