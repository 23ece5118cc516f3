//! Breaks `bounded`: counts what was done, and not how much of it at a time.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::sleep;

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    let calls = Arc::new(AtomicUsize::new(0));
    let job = |n: u64| {
        let calls = calls.clone();
        async move {
            sleep(Duration::from_millis(10 * n)).await;
            calls.fetch_add(1, Relaxed);
        }
        .boxed()
    };
    run((1..=10).map(job).collect(), 3).await;
    assert_eq!(calls.load(Relaxed), 10, "every job is called");
}
