//! Breaks `bounded`: the semaphore bounds the calls, and a task for each id waits for it.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{Stream, StreamExt as _, stream};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::{sync::Semaphore, task::JoinSet};

pub fn bounded(
    backend: Backend,
    ids: Box<dyn Iterator<Item = u32> + Send>,
    limit: NonZeroUsize,
) -> impl Stream<Item = Result<Reply, FetchError>> + Send {
    let permits = Arc::new(Semaphore::new(limit.get()));
    stream::once(async move {
        let calls: Vec<_> = ids
            .map(|id| {
                let (permits, call) = (permits.clone(), backend.fetch(id));
                let mut task = JoinSet::new();
                task.spawn(async move {
                    let permit = permits.acquire_owned().await;
                    (call.await, permit)
                });
                task
            })
            .collect();
        stream::iter(calls).then(async |mut task| {
            // The permit goes back when the reply is read: this much is right.
            let (reply, _permit) = task.join_next().await.unwrap().unwrap();
            reply
        })
    })
    .flatten()
}
