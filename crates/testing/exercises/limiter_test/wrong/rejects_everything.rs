//! Breaks `accepts`: demands that all is done in the time of the longest job, which no limit allows.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use testing::proof::Gauge;
use tokio::time::{Instant, sleep};

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    let times = testing::latencies(1, 10);
    let gauge = Gauge::new();
    let jobs = times
        .clone()
        .into_iter()
        .map(|time| gauge.hold("job", async move { sleep(time).await }).boxed())
        .collect();
    let start = Instant::now();
    run(jobs, 3).await;
    gauge.assert_peak(3);
    assert_eq!(
        Some(start.elapsed()),
        times.into_iter().max(),
        "concurrent work takes as long as the longest"
    );
}
