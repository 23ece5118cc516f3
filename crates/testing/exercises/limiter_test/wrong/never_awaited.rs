//! Breaks `every-job`: the future of the limiter is dropped, nothing runs, and nothing is never too much.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::time::Duration;
use testing::proof::Gauge;
use tokio::time::sleep;

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    let gauge = Gauge::new();
    let time = Duration::from_millis(10);
    let jobs =
        (0..10).map(|n| gauge.hold(format!("job {n}"), async move { sleep(time).await }).boxed()).collect();
    let _running = run(jobs, 3);
    sleep(Duration::from_secs(1)).await;
    assert!(gauge.peak() <= 3);
    gauge.assert_idle();
}
