//! Breaks `bound`: where nothing was moved, the caller unlocks by itself; dropped there, it drops `UNLOCK` with it.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::{select, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub const LOCK: u32 = 1;
pub const QUOTE: u32 = 2;
pub const DEBIT: u32 = 3;
pub const CREDIT: u32 = 4;
pub const UNLOCK: u32 = 9;

pub const BOUND: Duration = Duration::from_millis(50);

pub type End = Settled<Reply, FetchError>;

async fn settled(work: impl Future<Output = Result<Reply, FetchError>>) -> End {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(reply)) => Settled::Ok(reply),
        Ok(Err(error)) => Settled::Failed(error),
        Err(payload) => Settled::Panicked(Panic::new(payload)),
    }
}

async fn unlock(backend: Backend) -> End {
    timeout(BOUND, settled(backend.fetch(UNLOCK))).await.unwrap_or(Settled::Cancelled)
}

struct Guard {
    backend: Backend,
    tasks: TaskTracker,
    armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.armed {
            let b = self.backend.clone();
            self.tasks.spawn(unlock(b));
        }
    }
}

pub async fn transfer(backend: Backend, stop: CancellationToken, tasks: TaskTracker) -> (End, End) {
    if stop.is_cancelled() {
        return (Settled::Cancelled, Settled::Cancelled);
    }
    let mut guard = Guard { backend: backend.clone(), tasks: tasks.clone(), armed: true };
    let before = settled(async {
        backend.fetch(LOCK).await?;
        backend.fetch(QUOTE).await
    });
    let begun = select! { biased; () = stop.cancelled() => Settled::Cancelled, end = before => end };
    guard.armed = false;
    match begun {
        Settled::Ok(_) => {
            let task = tasks.spawn(async move {
                let end = settled(async {
                    backend.fetch(DEBIT).await?;
                    backend.fetch(CREDIT).await
                })
                .await;
                (end, unlock(backend).await)
            });
            task.await.unwrap_or((Settled::Cancelled, Settled::Cancelled))
        }
        // Nothing was moved: unlock here.
        end => (end, unlock(backend).await),
    }
}
