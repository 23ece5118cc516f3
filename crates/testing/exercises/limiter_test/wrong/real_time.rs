//! Breaks `accepts`: `std::time::Instant` knows nothing of the paused clock: the work takes no time on it.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testing::proof::Gauge;
use tokio::time::sleep;

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    for limit in [2, 3, 5] {
        let gauge = Gauge::new();
        let time = Duration::from_millis(100);
        let jobs = (0..30)
            .map(|n| gauge.hold(format!("job {n}"), async move { sleep(time).await }).boxed())
            .collect();
        let start = Instant::now();
        run(jobs, limit).await;
        gauge.assert_peak(limit);
        assert!(start.elapsed() >= time * 30 / u32::try_from(limit).unwrap());
    }
}
