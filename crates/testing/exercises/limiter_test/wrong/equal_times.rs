//! Breaks `concurrent`: where all jobs take equally long, chunks take the best time too.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::time::Duration;
use testing::proof::{Envelope, Gauge};
use tokio::time::{Instant, sleep};

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    for limit in [1, 2, 3, 5] {
        let times = [Duration::from_millis(10); 20];
        let gauge = Gauge::new();
        let jobs = times
            .into_iter()
            .map(|time| gauge.hold("job", async move { sleep(time).await }).boxed())
            .collect();
        let start = Instant::now();
        run(jobs, limit).await;
        gauge.assert_peak(limit);
        gauge.assert_total(20);
        Envelope::of(&times, limit).assert(start.elapsed());
    }
}
