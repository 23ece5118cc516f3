//! Breaks `bounded`: the permit is held while the task is spawned, and not while it runs.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{Stream, StreamExt as _, stream};
use std::{num::NonZeroUsize, sync::Arc};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

pub fn bounded(
    backend: Backend,
    ids: Box<dyn Iterator<Item = u32> + Send>,
    limit: NonZeroUsize,
) -> impl Stream<Item = Result<Reply, FetchError>> + Send {
    let permits = Arc::new(Semaphore::new(limit.get()));
    stream::once(async move {
        let (send, receive) = mpsc::channel(1024);
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            for id in ids {
                let _permit = permits.acquire().await;
                let mut task = JoinSet::new();
                task.spawn(backend.fetch(id));
                if send.send(task).await.is_err() {
                    return;
                }
            }
        });
        stream::unfold((receive, driver), async |(mut receive, driver)| {
            let mut task: JoinSet<_> = receive.recv().await?;
            Some((task.join_next().await.unwrap().unwrap(), (receive, driver)))
        })
    })
    .flatten()
}
