//! Breaks `bounded`: what `asyncio.gather` does, everything at once.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use std::num::NonZeroUsize;
use tokio::task::JoinSet;

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let _ = limit;
    let mut settled: Vec<_> = ids.iter().map(|_| Settled::Cancelled).collect();
    let mut tasks = JoinSet::new();
    let places: Vec<_> = ids.into_iter().map(|id| tasks.spawn(backend.fetch(id)).id()).collect();
    while let Some(joined) = tasks.join_next_with_id().await {
        let (task, outcome) = match joined {
            Ok((task, Ok(reply))) => (task, Settled::Ok(reply)),
            Ok((task, Err(error))) => (task, Settled::Failed(error)),
            Err(error) => (error.id(), Settled::Panicked(Panic::new(error.into_panic()))),
        };
        if let Some(place) = places.iter().position(|known| *known == task) {
            settled[place] = outcome;
        }
    }
    settled
}
