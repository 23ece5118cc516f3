//! Breaks `outcomes`: `unwrap` on a task that panicked panics the caller, and every other outcome is lost.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::Settled;
use std::num::NonZeroUsize;
use tokio::task::JoinSet;

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let mut settled: Vec<_> = ids.iter().map(|_| Settled::Cancelled).collect();
    let mut waiting = ids.into_iter().enumerate();
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < limit.get()
            && let Some((place, id)) = waiting.next()
        {
            let call = backend.fetch(id);
            tasks.spawn(async move { (place, call.await) });
        }
        let Some(joined) = tasks.join_next().await else { return settled };
        let (place, result) = joined.unwrap();
        settled[place] = match result {
            Ok(reply) => Settled::Ok(reply),
            Err(error) => Settled::Failed(error),
        };
    }
}
