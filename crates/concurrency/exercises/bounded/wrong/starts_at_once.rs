//! Breaks `lazy`: begins when it is made, for a reader who may never come.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{Stream, stream};
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
    let (send, receive) = mpsc::channel(limit.get());
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        for id in ids {
            let permit = permits.clone().acquire_owned().await;
            let mut task = JoinSet::new();
            task.spawn(backend.fetch(id));
            // The permit goes with the call, and is given back when the reply is read: this much is right.
            if send.send((task, permit)).await.is_err() {
                return;
            }
        }
    });
    stream::unfold((receive, driver), async |(mut receive, driver)| {
        let (mut task, _permit): (JoinSet<_>, _) = receive.recv().await?;
        Some((task.join_next().await.unwrap().unwrap(), (receive, driver)))
    })
}
