//! Breaks `unlock`: the lines after an `.await` are no `finally`: a future that is dropped there does not come to them.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub const LOCK: u32 = 1;
pub const QUOTE: u32 = 2;
pub const DEBIT: u32 = 3;
pub const CREDIT: u32 = 4;
pub const UNLOCK: u32 = 9;

pub const BOUND: Duration = Duration::from_millis(50);

pub type End = Settled<Reply, FetchError>;

pub async fn transfer(backend: Backend, stop: CancellationToken, tasks: TaskTracker) -> (End, End) {
    if stop.is_cancelled() {
        return (Settled::Cancelled, Settled::Cancelled);
    }
    let before = settled(async {
        backend.fetch(LOCK).await?;
        backend.fetch(QUOTE).await
    });
    let transfer = match stop.run_until_cancelled(before).await {
        Some(Settled::Ok(_)) => {
            let money = backend.clone();
            let task = tasks.spawn(settled(async move {
                money.fetch(DEBIT).await?;
                money.fetch(CREDIT).await
            }));
            task.await.unwrap_or(Settled::Cancelled)
        }
        Some(other) => other,
        None => Settled::Cancelled,
    };
    let unlock = tasks.spawn(timeout(BOUND, settled(backend.fetch(UNLOCK)))).await;
    let unlock = unlock.ok().and_then(Result::ok).unwrap_or(Settled::Cancelled);
    (transfer, unlock)
}

async fn settled(work: impl Future<Output = Result<Reply, FetchError>>) -> End {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(reply)) => Settled::Ok(reply),
        Ok(Err(error)) => Settled::Failed(error),
        Err(payload) => Settled::Panicked(Panic::new(payload)),
    }
}
