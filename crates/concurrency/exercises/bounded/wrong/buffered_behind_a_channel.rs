//! Breaks `progress`: the task that polls the calls waits for room in the channel, and polls none meanwhile.

use common::{
    Backend,
    backend::{FetchError, Reply},
};
use futures_util::{Stream, StreamExt as _, stream};
use std::num::NonZeroUsize;
use tokio::{sync::mpsc, task::JoinSet};

pub fn bounded(
    backend: Backend,
    ids: Box<dyn Iterator<Item = u32> + Send>,
    limit: NonZeroUsize,
) -> impl Stream<Item = Result<Reply, FetchError>> + Send {
    stream::once(async move {
        let (send, receive) = mpsc::channel(1);
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            let mut calls = stream::iter(ids).map(|id| backend.fetch(id)).buffered(limit.get());
            while let Some(reply) = calls.next().await {
                if send.send(reply).await.is_err() {
                    return;
                }
            }
        });
        stream::unfold((receive, driver), async |(mut receive, driver)| {
            Some((receive.recv().await?, (receive, driver)))
        })
    })
    .flatten()
}
