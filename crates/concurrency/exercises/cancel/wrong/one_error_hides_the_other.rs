//! Breaks `told`: when clean-up fails, its error takes the place of what had happened.

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

pub async fn transfer(backend: Backend, stop: CancellationToken, tasks: TaskTracker) -> (End, End) {
    if stop.is_cancelled() {
        return (Settled::Cancelled, Settled::Cancelled);
    }
    let left = CancellationToken::new();
    let _leaves = left.clone().drop_guard();
    let task = tasks.spawn(async move {
        let before = settled(async {
            backend.fetch(LOCK).await?;
            backend.fetch(QUOTE).await
        });
        let transfer = select! {
            biased;
            () = stop.cancelled() => Settled::Cancelled,
            () = left.cancelled() => Settled::Cancelled,
            quoted = before => match quoted {
                Settled::Ok(_) => settled(async {
                    backend.fetch(DEBIT).await?;
                    backend.fetch(CREDIT).await
                })
                .await,
                other => other,
            },
        };
        let unlock = timeout(BOUND, settled(backend.fetch(UNLOCK))).await;
        match unlock.unwrap_or(Settled::Cancelled) {
            Settled::Failed(error) => (Settled::Failed(error.clone()), Settled::Failed(error)),
            unlock => (transfer, unlock),
        }
    });
    task.await.unwrap_or((Settled::Cancelled, Settled::Cancelled))
}

async fn settled(work: impl Future<Output = Result<Reply, FetchError>>) -> End {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(reply)) => Settled::Ok(reply),
        Ok(Err(error)) => Settled::Failed(error),
        Err(payload) => Settled::Panicked(Panic::new(payload)),
    }
}
