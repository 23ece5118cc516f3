//! Breaks `unlock`: a guard in the caller unlocks at the drop, while the shielded debit still runs.

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

struct Unlock(Option<(Backend, TaskTracker)>);

impl Unlock {
    async fn now(&mut self) -> End {
        let Some((backend, tasks)) = self.0.take() else { return Settled::Cancelled };
        let unlock = tasks.spawn(timeout(BOUND, settled(backend.fetch(UNLOCK)))).await;
        unlock.ok().and_then(Result::ok).unwrap_or(Settled::Cancelled)
    }
}

impl Drop for Unlock {
    fn drop(&mut self) {
        if let Some((backend, tasks)) = self.0.take() {
            tasks.spawn(timeout(BOUND, settled(backend.fetch(UNLOCK))));
        }
    }
}

pub async fn transfer(backend: Backend, stop: CancellationToken, tasks: TaskTracker) -> (End, End) {
    if stop.is_cancelled() {
        return (Settled::Cancelled, Settled::Cancelled);
    }
    let mut unlock = Unlock(Some((backend.clone(), tasks.clone())));
    let before = settled(async {
        backend.fetch(LOCK).await?;
        backend.fetch(QUOTE).await
    });
    let transfer = match stop.run_until_cancelled(before).await {
        Some(Settled::Ok(_)) => {
            let task = tasks.spawn(settled(async move {
                backend.fetch(DEBIT).await?;
                backend.fetch(CREDIT).await
            }));
            task.await.unwrap_or(Settled::Cancelled)
        }
        Some(other) => other,
        None => Settled::Cancelled,
    };
    (transfer, unlock.now().await)
}

async fn settled(work: impl Future<Output = Result<Reply, FetchError>>) -> End {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(reply)) => Settled::Ok(reply),
        Ok(Err(error)) => Settled::Failed(error),
        Err(payload) => Settled::Panicked(Panic::new(payload)),
    }
}
