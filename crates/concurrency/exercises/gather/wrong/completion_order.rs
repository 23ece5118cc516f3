//! Breaks `order`: `join_next` gives what ends first, not what was asked for first.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use std::num::NonZeroUsize;
use tokio::task::JoinSet;

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let mut settled = Vec::new();
    let mut waiting = ids.into_iter();
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < limit.get()
            && let Some(id) = waiting.next()
        {
            tasks.spawn(backend.fetch(id));
        }
        match tasks.join_next().await {
            Some(Ok(Ok(reply))) => settled.push(Settled::Ok(reply)),
            Some(Ok(Err(error))) => settled.push(Settled::Failed(error)),
            Some(Err(error)) => settled.push(Settled::Panicked(Panic::new(error.into_panic()))),
            None => return settled,
        }
    }
}
