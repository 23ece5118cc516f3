//! Breaks `asserts`: with one too many in flight the count of free places overflows, before anything is asserted.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::time::{Instant, sleep};

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    for limit in [1, 2, 3, 5] {
        let times = testing::latencies(5, 12);
        let active = Arc::new(AtomicUsize::new(0));
        let fewest_free = Arc::new(AtomicUsize::new(limit));
        let done = Arc::new(AtomicUsize::new(0));
        let mut jobs: Vec<Job> = Vec::new();
        for time in &times {
            let (active, fewest_free, done) = (active.clone(), fewest_free.clone(), done.clone());
            let time = *time;
            jobs.push(
                async move {
                    let free = limit - (active.fetch_add(1, Relaxed) + 1);
                    fewest_free.fetch_min(free, Relaxed);
                    sleep(time).await;
                    active.fetch_sub(1, Relaxed);
                    done.fetch_add(1, Relaxed);
                }
                .boxed(),
            );
        }
        let start = Instant::now();
        run(jobs, limit).await;
        assert_eq!(done.load(Relaxed), times.len());
        assert_eq!(fewest_free.load(Relaxed), 0, "no place stays free");
        assert!(start.elapsed() >= times.iter().sum::<std::time::Duration>() / 12);
    }
}
