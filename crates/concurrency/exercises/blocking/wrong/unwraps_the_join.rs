//! Breaks `panic`: `unwrap` on the handle makes a panic of the work one of the caller.

use concurrency::BlockingError;
use std::{num::NonZeroUsize, sync::Arc};
use tokio::{sync::Semaphore, task::spawn_blocking};

pub struct Offload {
    limit: usize,
    may_wait: usize,
    admitted: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Offload {
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        let limit = limit.get();
        let [admitted, places] = [limit + may_wait, limit].map(|n| Arc::new(Semaphore::new(n)));
        Self { limit, may_wait, admitted, places }
    }

    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let Ok(admitted) = self.admitted.clone().try_acquire_owned() else {
            return Err(BlockingError::Busy { running: self.limit, waiting: self.may_wait });
        };
        let place = self.places.clone().acquire_owned().await.map_err(|_| BlockingError::Closed)?;
        let thread = spawn_blocking(move || {
            let _permits = (admitted, place);
            work()
        });
        Ok(thread.await.unwrap())
    }
}
