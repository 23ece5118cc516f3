//! Breaks `panic`: the number is counted down in the line after the work, which a panic never reaches.

use concurrency::{BlockingError, Panic};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{sync::Notify, task::spawn_blocking};

pub struct Offload {
    limit: usize,
    may_wait: usize,
    waiting: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    freed: Arc<Notify>,
}

impl Offload {
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        let limit = limit.get();
        Self { limit, may_wait, waiting: Arc::default(), running: Arc::default(), freed: Arc::default() }
    }

    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        /// Also when the caller goes.
        struct Waits<'a>(&'a AtomicUsize);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        let (running, freed) = (self.running.clone(), self.freed.clone());
        let starts = || running.fetch_update(SeqCst, SeqCst, |n| (n < self.limit).then_some(n + 1)).is_ok();
        if !starts() {
            if self.waiting.load(SeqCst) >= self.may_wait {
                return Err(BlockingError::Busy {
                    running: self.running.load(SeqCst),
                    waiting: self.waiting.load(SeqCst),
                });
            }
            self.waiting.fetch_add(1, SeqCst);
            let _waits = Waits(&self.waiting);
            loop {
                let freed = self.freed.notified();
                if starts() {
                    break;
                }
                freed.await;
            }
        }
        let thread = spawn_blocking(move || {
            let value = work();
            running.fetch_sub(1, SeqCst);
            freed.notify_waiters();
            value
        });
        thread.await.map_err(|error| BlockingError::Panicked(Panic::new(error.into_panic())))
    }
}
