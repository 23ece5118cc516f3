//! Breaks `never-starts`: who waits has a thread already, and waits on it for its turn: it can't be stopped any more.

use concurrency::{BlockingError, Panic};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::{runtime::Handle, sync::Semaphore, task::spawn_blocking};

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
        let places = self.places.clone();
        let runtime = Handle::current();
        let thread = spawn_blocking(move || {
            let place = runtime.block_on(places.acquire_owned());
            let _permits = (admitted, place);
            work()
        });
        thread.await.map_err(|error| BlockingError::Panicked(Panic::new(error.into_panic())))
    }
}
