//! Breaks `outcomes`: a task that panics never gives its permit back, and soon there are none.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinSet};

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let permits = Arc::new(Semaphore::new(limit.get()));
    let mut settled: Vec<_> = ids.iter().map(|_| Settled::Cancelled).collect();
    let mut tasks = JoinSet::new();
    let mut places = Vec::new();
    for id in ids {
        permits.acquire().await.unwrap().forget();
        let (call, permits) = (backend.fetch(id), permits.clone());
        let task = tasks.spawn(async move {
            let result = call.await;
            // A guard would also be dropped by a panic; this line is only reached without one.
            permits.add_permits(1);
            result
        });
        places.push(task.id());
    }
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
