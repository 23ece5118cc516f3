//! Breaks `concurrent`: awaits each call before it makes the next, as a loop of `await`s does in Python, too.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use std::num::NonZeroUsize;
use tokio::task::JoinSet;

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let _ = limit;
    let mut settled = Vec::new();
    for id in ids {
        let mut task = JoinSet::new();
        task.spawn(backend.fetch(id));
        settled.push(match task.join_next().await {
            Some(Ok(Ok(reply))) => Settled::Ok(reply),
            Some(Ok(Err(error))) => Settled::Failed(error),
            Some(Err(error)) if error.is_panic() => Settled::Panicked(Panic::new(error.into_panic())),
            _ => Settled::Cancelled,
        });
    }
    settled
}
