//! Breaks `bounded`: the jobs meet in groups as large as the limit, and so they do when all are there at once.

use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use testing::proof::Rendezvous;

pub type Job = BoxFuture<'static, ()>;
pub type Limiter = Arc<dyn Fn(Vec<Job>, usize) -> BoxFuture<'static, ()> + Send + Sync>;
pub async fn limiter_test(run: Limiter) {
    for limit in [2, 3, 5] {
        let rendezvous = Rendezvous::of(limit, 20);
        run((0..20).map(|n| rendezvous.arrive(format!("job {n}")).boxed()).collect(), limit).await;
        rendezvous.assert_met();
    }
}
