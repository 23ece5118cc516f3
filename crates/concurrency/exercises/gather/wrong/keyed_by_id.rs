//! Breaks `every-id`: a map from id to outcome merges ids that are asked for twice.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use tokio::task::JoinSet;

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let mut waiting = ids.clone().into_iter();
    let mut outcomes = HashMap::new();
    let mut asked = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < limit.get()
            && let Some(id) = waiting.next()
        {
            asked.insert(tasks.spawn(backend.fetch(id)).id(), id);
        }
        let (task, outcome) = match tasks.join_next_with_id().await {
            Some(Ok((task, Ok(reply)))) => (task, Settled::Ok(reply)),
            Some(Ok((task, Err(error)))) => (task, Settled::Failed(error)),
            Some(Err(error)) => (error.id(), Settled::Panicked(Panic::new(error.into_panic()))),
            None => break,
        };
        outcomes.insert(asked[&task], outcome);
    }
    ids.iter().filter_map(|id| outcomes.remove(id)).collect()
}
