//! Breaks `any-limit`: proves everything about the limit of three, and there is a limiter that has no other.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use testing::proof::{Envelope, Gauge};
use tokio::time::{Instant, sleep};

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    let times = testing::latencies(7, 10);
    let gauge = Gauge::new();
    let jobs = times
        .clone()
        .into_iter()
        .map(|time| gauge.hold("job", async move { sleep(time).await }).boxed())
        .collect();
    let start = Instant::now();
    run(jobs, 3).await;
    gauge.assert_peak(3);
    gauge.assert_total(10);
    Envelope::of(&times, 3).assert(start.elapsed());
}
