//! Breaks `bounded`: a tolerance of a third, as a test on a running clock needs it, has room for one more.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    for limit in [2, 3, 4, 6] {
        let done = Arc::new(AtomicUsize::new(0));
        let job = |_| {
            let done = done.clone();
            async move {
                sleep(Duration::from_millis(50)).await;
                done.fetch_add(1, Relaxed);
            }
            .boxed()
        };
        let start = Instant::now();
        run((0..24).map(job).collect(), limit).await;
        assert_eq!(done.load(Relaxed), 24);
        let ideal = Duration::from_millis(50) * 24 / u32::try_from(limit).unwrap();
        let took = start.elapsed();
        assert!(took >= ideal * 2 / 3 && took <= ideal * 4 / 3, "{took:?} is not about {ideal:?}");
    }
}
