//! Breaks `concurrent`: a mutex around the work lets in one, whatever the limit.

use concurrency::{BlockingError, Panic};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::{
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
};

pub struct Offload {
    limit: usize,
    may_wait: usize,
    admitted: Arc<Semaphore>,
    turn: Arc<Mutex<()>>,
}

impl Offload {
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        let limit = limit.get();
        Self { limit, may_wait, admitted: Arc::new(Semaphore::new(limit + may_wait)), turn: Arc::default() }
    }

    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let Ok(admitted) = self.admitted.clone().try_acquire_owned() else {
            return Err(BlockingError::Busy { running: self.limit, waiting: self.may_wait });
        };
        let turn = self.turn.clone().lock_owned().await;
        let thread = spawn_blocking(move || {
            let _held = (admitted, turn);
            work()
        });
        thread.await.map_err(|error| BlockingError::Panicked(Panic::new(error.into_panic())))
    }
}
