//! Breaks `bounded`: four jobs can't exceed a limit of five.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use testing::proof::{Envelope, Gauge};
use tokio::time::{Instant, sleep};

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    let times = testing::latencies(3, 4);
    let gauge = Gauge::new();
    let jobs = times
        .clone()
        .into_iter()
        .map(|time| gauge.hold("job", async move { sleep(time).await }).boxed())
        .collect();
    let start = Instant::now();
    run(jobs, 5).await;
    gauge.assert_at_most(5);
    gauge.assert_total(4);
    Envelope::of(&times, 5).assert(start.elapsed());
}
