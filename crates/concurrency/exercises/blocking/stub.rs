//! Run blocking work on threads, `limit` at once, and say "busy" when too many wait. Task and rules: `cargo run`, or README.md.

use concurrency::BlockingError;
use std::num::NonZeroUsize;

/// Runs blocking work on threads.
pub struct Offload {}

impl Offload {
    /// Room for `limit` calls that run, and for `may_wait` that wait.
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        todo!("room for {limit} that run and {may_wait} that wait")
    }

    /// Runs `work` on a thread where it may block, and gives what it gives.
    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        todo!("run {} on a thread", std::any::type_name_of_val(&work))
    }
}
