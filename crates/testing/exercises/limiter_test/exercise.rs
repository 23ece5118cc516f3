//! Write the test that tells wrong limiters from right ones. Task and rules: `cargo run`, or README.md.

use futures::future::BoxFuture;
use std::sync::Arc;

/// A piece of work.
pub type Job = BoxFuture<'static, ()>;

/// What is tested: runs the jobs, in the order of the list, at most so many (1 or more) at a time.
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;

/// Panics, or stands still, unless `run` is right. It runs on the paused clock.
pub async fn limiter_test(run: Limiter) {
    run(Vec::new(), 3).await;
    todo!("give it jobs that tell how they were run")
}
