//! Exactly the limit, every job once, and the time of the best schedule; for several limits.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::time::Duration;
use testing::proof::{Envelope, Gauge};
use tokio::time::{Instant, sleep};

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;

pub async fn limiter_test(run: Limiter) {
    // A limiter that takes no notice of what it is told is right for one limit. It can't be for all of these.
    for limit in [1, 2, 3, 5] {
        // Different times, the slow ones among the first: in equal ones, chunks are as fast as what they imitate.
        let times = [50, 10, 40, 20, 30, 60, 10, 20, 70, 30, 10].map(Duration::from_millis);
        let gauge = Gauge::new();
        // A bare `sleep(time)` counts from when it is made. In an `async` block it is made when the job begins.
        let job = |(n, time)| gauge.hold(format!("job {n}"), async move { sleep(time).await }).boxed();
        let jobs = (1..).zip(times).map(job).collect();
        let start = Instant::now();
        run(jobs, limit).await;
        // Exactly: one that does too little keeps an upper bound as well.
        gauge.assert_peak(limit);
        gauge.assert_total(times.len());
        gauge.assert_idle();
        // On the paused clock a time is exact, so no tolerance hides a limit that is reached and not kept.
        Envelope::of(&times, limit).assert(start.elapsed());
    }
}
