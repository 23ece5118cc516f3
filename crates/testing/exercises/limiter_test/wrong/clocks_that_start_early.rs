//! Breaks `accepts`: a `sleep` counts from when it is made: here all do at once, and not when their jobs begin.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::time::Duration;
use testing::proof::{Envelope, Gauge};
use tokio::time::{Instant, sleep};

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;

pub async fn limiter_test(run: Limiter) {
    for limit in [1, 2, 3, 5] {
        let times = [50, 10, 40, 20, 30, 60, 10, 20, 70, 30, 10].map(Duration::from_millis);
        let gauge = Gauge::new();
        let job = |(n, time)| gauge.hold(format!("job {n}"), sleep(time)).boxed();
        let jobs = (1..).zip(times).map(job).collect();
        let start = Instant::now();
        run(jobs, limit).await;
        gauge.assert_peak(limit);
        gauge.assert_total(times.len());
        gauge.assert_idle();
        Envelope::of(&times, limit).assert(start.elapsed());
    }
}
