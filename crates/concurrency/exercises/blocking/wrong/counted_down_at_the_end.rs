//! Breaks `never-starts`: the number is counted down after the work; who goes while it waits never gets there.

use concurrency::{BlockingError, Panic};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{sync::Semaphore, task::spawn_blocking};

pub struct Offload {
    limit: usize,
    may_wait: usize,
    admitted: Arc<AtomicUsize>,
    places: Arc<Semaphore>,
}

impl Offload {
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        let limit = limit.get();
        Self { limit, may_wait, admitted: Arc::default(), places: Arc::new(Semaphore::new(limit)) }
    }

    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.admitted.fetch_add(1, SeqCst) >= self.limit + self.may_wait {
            self.admitted.fetch_sub(1, SeqCst);
            return Err(BlockingError::Busy { running: self.limit, waiting: self.may_wait });
        }
        let place = self.places.clone().acquire_owned().await.map_err(|_| BlockingError::Closed)?;
        let admitted = self.admitted.clone();
        let thread = spawn_blocking(move || {
            /// Also when the work panics.
            struct CountDown(Arc<AtomicUsize>);
            impl Drop for CountDown {
                fn drop(&mut self) {
                    self.0.fetch_sub(1, SeqCst);
                }
            }
            let _place = place;
            let _admitted = CountDown(admitted);
            work()
        });
        thread.await.map_err(|error| BlockingError::Panicked(Panic::new(error.into_panic())))
    }
}
