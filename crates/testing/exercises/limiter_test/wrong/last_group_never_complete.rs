//! Breaks `accepts`: ten jobs that wait for groups of three; the tenth waits for ever.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::time::Duration;
use testing::proof::{Gauge, Rendezvous};
use tokio::time::sleep;

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    let gauge = Gauge::new();
    let rendezvous = Rendezvous::new(3);
    let job = |n: u64| {
        let arrive = rendezvous.arrive(format!("job {n}"));
        let work = async move {
            arrive.await;
            sleep(Duration::from_millis(10 * n)).await;
        };
        gauge.hold(format!("job {n}"), work).boxed()
    };
    run((1..=10).map(job).collect(), 3).await;
    gauge.assert_peak(3);
    gauge.assert_total(10);
}
