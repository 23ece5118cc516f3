//! Breaks `accepts`: a job without an await is over when the next one begins, whoever runs it.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use testing::proof::Gauge;

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    for limit in [2, 3, 5] {
        let gauge = Gauge::new();
        let jobs = (0..20).map(|n| gauge.hold(format!("job {n}"), async {}).boxed()).collect();
        run(jobs, limit).await;
        gauge.assert_peak(limit);
        gauge.assert_total(20);
    }
}
