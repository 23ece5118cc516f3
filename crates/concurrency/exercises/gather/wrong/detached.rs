//! Breaks `stops`: a `JoinHandle` that is dropped lets its task run on.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use concurrency::{Panic, Settled};
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinHandle};

pub async fn gather(backend: Backend, ids: Vec<u32>, limit: NonZeroUsize) -> Vec<Settled<Reply, FetchError>> {
    let permits = Arc::new(Semaphore::new(limit.get()));
    let mut handles: Vec<JoinHandle<_>> = Vec::new();
    for id in ids {
        // A permit before each task: this much is right, and keeps the crowd away.
        let Ok(permit) = permits.clone().acquire_owned().await else { break };
        let call = backend.fetch(id);
        handles.push(tokio::spawn(async move {
            let result = call.await;
            drop(permit);
            result
        }));
    }
    let mut settled = Vec::new();
    for handle in handles {
        settled.push(match handle.await {
            Ok(Ok(reply)) => Settled::Ok(reply),
            Ok(Err(error)) => Settled::Failed(error),
            Err(error) if error.is_panic() => Settled::Panicked(Panic::new(error.into_panic())),
            Err(_) => Settled::Cancelled,
        });
    }
    settled
}
