//! Breaks `tracked`: a second task only listens for the stop, and keeps the shutdown waiting when all is done.

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
    // Here nothing has begun: to stop is to do nothing.
    if stop.is_cancelled() {
        return (Settled::Cancelled, Settled::Cancelled);
    }
    // A drop runs no line of this function, only destructors. This one tells the task.
    let left = CancellationToken::new();
    let _leaves = left.clone().drop_guard();
    let (s, l) = (stop.clone(), left.clone());
    tasks.spawn(async move {
        select! { () = s.cancelled() => l.cancel(), () = tokio::time::sleep(Duration::from_secs(15)) => {} }
    });
    let task = tasks.spawn(async move {
        let work = async {
            let before = async {
                backend.fetch(LOCK).await?;
                backend.fetch(QUOTE).await
            };
            select! {
                // Who is asked to stop does not look whether it could go on.
                biased;
                () = stop.cancelled() => return Ok(None),
                () = left.cancelled() => return Ok(None),
                quoted = before => drop(quoted?),
            }
            // From here on nobody listens: money that has left one account arrives at the other.
            backend.fetch(DEBIT).await?;
            backend.fetch(CREDIT).await.map(Some)
        };
        // The panic waits until the account is unlocked.
        let transfer = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(Some(reply))) => Settled::Ok(reply),
            Ok(Ok(None)) => Settled::Cancelled,
            Ok(Err(error)) => Settled::Failed(error),
            Err(payload) => Settled::Panicked(Panic::new(payload)),
        };
        // A limit of its own: it begins now, and nobody else's time counts.
        let unlock = match timeout(BOUND, settled(backend.fetch(UNLOCK))).await {
            Ok(end) => end,
            Err(_) => Settled::Cancelled,
        };
        (transfer, unlock)
    });
    // Nothing in the task panics past `settled`, and nobody aborts it but a runtime that goes down.
    task.await.unwrap_or((Settled::Cancelled, Settled::Cancelled))
}

async fn settled(work: impl Future<Output = Result<Reply, FetchError>>) -> End {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(reply)) => Settled::Ok(reply),
        Ok(Err(error)) => Settled::Failed(error),
        Err(payload) => Settled::Panicked(Panic::new(payload)),
    }
}
