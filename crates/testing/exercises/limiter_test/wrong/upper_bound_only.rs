//! Breaks `concurrent`: the test of the asyncio notes: one after another is never more than three.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::sleep;

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;

pub async fn limiter_test(run: Limiter) {
    let active = Arc::new(AtomicUsize::new(0));
    let max_active = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicUsize::new(0));
    let mut jobs: Vec<Job> = Vec::new();
    for _ in 0..10 {
        let (active, max_active, done) = (active.clone(), max_active.clone(), done.clone());
        jobs.push(
            async move {
                max_active.fetch_max(active.fetch_add(1, Relaxed) + 1, Relaxed);
                sleep(Duration::from_millis(10)).await;
                active.fetch_sub(1, Relaxed);
                done.fetch_add(1, Relaxed);
            }
            .boxed(),
        );
    }
    run(jobs, 3).await;
    assert!(max_active.load(Relaxed) <= 3);
    assert_eq!(done.load(Relaxed), 10);
}
