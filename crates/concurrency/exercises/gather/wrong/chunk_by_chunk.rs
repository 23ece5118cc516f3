//! Breaks `concurrent`: waits for the slowest of each chunk while free places stand empty.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use std::num::NonZeroUsize;
use tokio::task::JoinSet;

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let mut settled = Vec::new();
    for chunk in ids.chunks(limit.get()) {
        let mut tasks = JoinSet::new();
        let places: Vec<_> = chunk.iter().map(|id| tasks.spawn(backend.fetch(*id)).id()).collect();
        let mut outcomes: Vec<_> = chunk.iter().map(|_| Settled::Cancelled).collect();
        while let Some(joined) = tasks.join_next_with_id().await {
            let (task, outcome) = match joined {
                Ok((task, Ok(reply))) => (task, Settled::Ok(reply)),
                Ok((task, Err(error))) => (task, Settled::Failed(error)),
                Err(error) => (error.id(), Settled::Panicked(Panic::new(error.into_panic()))),
            };
            if let Some(place) = places.iter().position(|known| *known == task) {
                outcomes[place] = outcome;
            }
        }
        settled.extend(outcomes);
    }
    settled
}
