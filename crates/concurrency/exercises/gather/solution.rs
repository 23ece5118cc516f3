//! A task an id, never more than `limit` of them; the set of tasks is the only owner.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use tokio::task::JoinSet;

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let mut settled: Vec<Option<Settled<Reply, FetchError>>> = ids.iter().map(|_| None).collect();
    let mut waiting = ids.into_iter().enumerate();
    // The set aborts its tasks when it is dropped, and it is dropped with this function's future.
    let mut tasks = JoinSet::new();
    // A panicked task returns no position, but its id is known: so the id is what leads back to the position.
    let mut places = HashMap::new();
    loop {
        // Spawning only into a free place bounds the tasks, and not just the calls.
        while tasks.len() < limit.get()
            && let Some((place, id)) = waiting.next()
        {
            places.insert(tasks.spawn(backend.fetch(id)).id(), place);
        }
        let (task, outcome) = match tasks.join_next_with_id().await {
            Some(Ok((task, Ok(reply)))) => (task, Settled::Ok(reply)),
            Some(Ok((task, Err(error)))) => (task, Settled::Failed(error)),
            Some(Err(error)) if error.is_panic() => {
                (error.id(), Settled::Panicked(Panic::new(error.into_panic())))
            }
            Some(Err(error)) => (error.id(), Settled::Cancelled),
            None => break,
        };
        settled[places[&task]] = Some(outcome);
    }
    // Every place has been settled by now; a task that was lost would show as cancelled.
    settled.into_iter().map(|outcome| outcome.unwrap_or(Settled::Cancelled)).collect()
}
